//! The story: inputs, collected, analyzed, ruled upon, ranked, reported.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Instant;

use crate::collect::{self, Collected};
use crate::model::{Fact, Host, Layer, Problem, Stack};
use crate::rank;
use crate::report::view::{self, Report, Rules, Stats};
use crate::rules::{Care, EMBEDDED, Mistake, RuleSet, Scanner, Vocabulary};
use crate::source::Source;
use crate::{analyze, evidence};

/// What the program can observe: the names that rules may use.
pub fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let read = evidence::ALL.iter().flat_map(|s| s.facts);
        let derived = analyze::ALL.iter().flat_map(|a| a.facts);
        Vocabulary::new(read.chain(derived).copied(), evidence::RECORDS.iter().copied())
    })
}

/// A loaded rule base, ready to diagnose any number of stacks.
#[derive(Debug)]
pub struct Doctor {
    /// The rules.
    pub rules: RuleSet,
    scanner: Scanner,
}

/// One input: a source, and the layer the user says it is.
pub struct Input {
    /// Where the evidence is.
    pub source: Box<dyn Source>,
    /// `l0=`, `l1=` or `l2=` on the command line.
    pub layer: Option<Layer>,
}

/// A patient, examined.
#[derive(Debug)]
pub struct Examination {
    /// Its machines with all facts.
    pub stack: Stack,
    /// What went wrong while reading.
    pub problems: Vec<Problem>,
    /// How much was read.
    pub stats: Stats,
}

impl Doctor {
    /// Loads the embedded rules and those of `extra`, each a path and a text.
    ///
    /// # Errors
    /// All mistakes in all rule files.
    pub fn new(extra: &[(String, String)], care: Care) -> Result<Self, Vec<Mistake>> {
        let extra = extra.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        let rules = RuleSet::load(EMBEDDED.iter().copied().chain(extra), vocabulary(), care)?;
        let scanner = Scanner::new(&rules, vocabulary());
        Ok(Self { rules, scanner })
    }

    /// Reads the inputs and derives facts.
    #[expect(clippy::disallowed_methods, reason = "stats say how long it took")]
    pub fn examine(&self, inputs: Vec<Input>) -> Examination {
        let start = Instant::now();
        let mut several = inputs.len() > 1;
        let mut inputs: VecDeque<Input> = inputs.into();
        let mut stats = Stats::default();
        let (mut hosts, mut layers, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(mut input) = inputs.pop_front() {
            let name = input.source.name().to_owned();
            let host = Host::new("", Layer::Unknown, &name);
            let Collected { host, problems: found, stats: read, lines } =
                collect::collect(input.source.as_mut(), host, &self.scanner);
            for (layer, source) in input.source.others().into_iter().rev() {
                several = true;
                inputs.push_front(Input { source, layer: input.layer.or(layer) });
            }
            stats.files += read.files;
            stats.bytes += read.bytes;
            stats.lines += lines;
            stats.events += host.events.total();
            // What lies beside several machines is no machine where nothing is known of it.
            let empty = host.facts.iter().next().is_none() && host.events.total() == 0;
            if !(several && empty && input.layer.is_none()) {
                hosts.push(host);
                layers.push(input.layer);
            }
            problems
                .extend(found.into_iter().map(|p| if several { prefixed(p, &name) } else { p }));
        }
        let stack = analyze::analyze(hosts, &layers);
        stats.seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Examination { stack, problems, stats }
    }

    /// Ranks the causes of what was examined.
    #[expect(clippy::disallowed_methods, reason = "stats say how long it took")]
    pub fn diagnose(&self, examination: Examination) -> Report {
        let start = Instant::now();
        let Examination { stack, problems, mut stats } = examination;
        let diagnosis = rank::rank(&stack, &self.rules, vocabulary());
        stats.seconds += (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let rules = Rules { count: self.rules.len(), digest: self.rules.digest.clone() };
        view::report(rules, &stack, &diagnosis, problems, stats)
    }
}

/// With several inputs a problem says which one it concerns.
fn prefixed(problem: Problem, input: &str) -> Problem {
    if problem.source.starts_with(input) {
        return problem;
    }
    Problem { source: format!("{input}: {}", problem.source), what: problem.what }
}

impl Examination {
    /// Whether anything of the inputs was recognised as evidence: a fact, or a line of a log. Of
    /// inputs without any, silence says nothing.
    pub fn recognised(&self) -> bool {
        self.stats.lines > 0 || self.facts().next().is_some()
    }

    /// All facts with their hosts, in order.
    pub fn facts(&self) -> impl Iterator<Item = (&Host, &Fact)> {
        self.stack.hosts.iter().flat_map(|h| h.facts.iter().map(move |f| (h, f)))
    }
}
