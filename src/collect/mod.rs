//! Collecting: joins what evidence wants with what a source has.
//!
//! Each file of the input goes to the slices that want it, whole and bounded; each log goes through
//! the line scanner window by window while it streams, each window on all cores. Everything ends in
//! one [`Host`], in an order that depends on the input alone.

mod stream;

use std::collections::BTreeSet;
use std::io::Read;

use crate::evidence::{self, Slice, logs};
use crate::model::{Fact, Gap, GapReason, Host, LineScanner, Out, Piece, Problem, Want, Writer};
use crate::source::{Found, Sink, Source, Stats, Wanted};

/// Most bytes of one file that a slice parses. Larger files of the kinds that slices read do not
/// occur on machines; logs have no such limit.
const SLICE_LIMIT: u64 = 8 << 20;

/// What one input gave.
#[derive(Debug)]
pub struct Collected {
    /// The machine.
    pub host: Host,
    /// What went wrong on the way.
    pub problems: Vec<Problem>,
    /// How much was read.
    pub stats: Stats,
    /// Lines of logs that were scanned.
    pub lines: u64,
}

/// What all evidence wants, logs included: slices first, in the order of [`evidence::ALL`].
pub fn wants() -> Vec<Want> {
    targets().into_iter().map(|(want, _)| want).collect()
}

/// Who takes a file.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// Slice number of [`evidence::ALL`].
    Slice(usize),
    /// A log whose untagged lines this writer wrote.
    Log(Writer),
}

fn targets() -> Vec<(Want, Target)> {
    let slices = evidence::ALL.iter().enumerate();
    let slices = slices.flat_map(|(i, s)| s.wants.iter().map(move |w| (*w, Target::Slice(i))));
    let logs = logs::LOGS.iter().map(|l| (l.want, Target::Log(l.writer)));
    slices.chain(logs).collect()
}

/// Reads one input into `host`.
pub fn collect(source: &mut dyn Source, host: Host, scanner: &dyn LineScanner) -> Collected {
    let targets = targets();
    let wanted = Wanted::new(targets.iter().map(|(want, _)| *want)).want_unknown_logs(true);
    let targets = targets.into_iter().map(|(_, target)| target).collect();
    let never = Wanted::new(logs::NEVER.iter().map(|glob| Want::given(glob)));
    let mut collector = Collector {
        host,
        targets,
        wanted: &wanted,
        never: &never,
        scanner,
        problems: Vec::new(),
        lines: 0,
    };
    let stats = source.visit(&wanted, &mut collector);
    let Collector { mut host, mut problems, lines, targets, .. } = collector;
    name_fact_gaps(&mut host, &wanted, &targets);
    host.facts.sort();
    problems.sort();
    Collected { host, problems, stats, lines }
}

struct Collector<'c> {
    host: Host,
    targets: Vec<Target>,
    wanted: &'c Wanted,
    /// Files that are no logs, whatever their words.
    never: &'c Wanted,
    scanner: &'c dyn LineScanner,
    problems: Vec<Problem>,
    lines: u64,
}

impl Sink for Collector<'_> {
    fn file(&mut self, path: &str, found: Found<'_>, reader: &mut dyn Read) {
        if logs::is_from_elsewhere(path) {
            return;
        }
        let matched =
            if found.link { self.wanted.matches_link(path) } else { self.wanted.matches(path) };
        let targets: Vec<Target> =
            matched.iter().filter_map(|i| self.targets.get(*i)).copied().collect();
        let slices: BTreeSet<usize> = targets
            .iter()
            .filter_map(|t| match t {
                Target::Slice(index) => Some(*index),
                Target::Log(_) => None,
            })
            .collect();
        let log = targets.iter().find_map(|t| match t {
            Target::Log(writer) => Some(*writer),
            Target::Slice(_) => None,
        });
        let (bytes, whole) = match log {
            Some(writer) => (self.log(path, found, writer, reader), true),
            None if slices.is_empty() => return self.unknown(path, found, reader),
            None => self.read_whole(path, reader),
        };
        for slice in slices.into_iter().filter_map(|i| evidence::ALL.get(i)) {
            self.parse(slice, found, Piece { path, bytes: &bytes, whole });
        }
    }

    fn gap(&mut self, gap: Gap) {
        if !self.host.gaps.contains(&gap) {
            self.host.gaps.push(gap);
        }
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

impl Collector<'_> {
    /// A read error is the source's to report: here the content is only not whole.
    fn read_whole(&mut self, path: &str, reader: &mut dyn Read) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let result = reader.take(SLICE_LIMIT + 1).read_to_end(&mut bytes);
        let too_long = bytes.len() as u64 > SLICE_LIMIT;
        if too_long {
            bytes.truncate(usize::try_from(SLICE_LIMIT).unwrap_or(usize::MAX));
            self.gap(Gap { source: path.to_owned(), reason: GapReason::CutOff });
            let what = format!("longer than {} MiB: the rest is not read", SLICE_LIMIT >> 20);
            self.problems.push(Problem { source: path.to_owned(), what });
        }
        (bytes, result.is_ok() && !too_long)
    }

    /// Parsers know canonical paths; a person wants the path that is in the input.
    fn parse(&mut self, slice: &Slice, found: Found<'_>, piece: Piece<'_>) {
        let mut out = Out::default();
        (slice.parse)(piece, &mut out);
        for fact in out.facts.iter_mut().filter(|f| f.origin.source == piece.path) {
            found.path.clone_into(&mut fact.origin.source);
            fact.origin.line = fact.origin.line.map(|line| file_line(found, line));
        }
        for problem in &mut out.problems {
            locate(problem, piece.path, found);
        }
        let unparsed = out.facts.is_empty() && !out.problems.is_empty();
        if unparsed {
            self.gap(Gap { source: piece.path.to_owned(), reason: GapReason::Unparseable });
        }
        self.add(out.facts);
        self.problems.append(&mut out.problems);
    }

    fn add(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            self.host.facts.add(fact);
        }
    }

    /// Streams a log through the scanner; gives back its last window, for slices that read it too.
    fn log(
        &mut self,
        path: &str,
        found: Found<'_>,
        writer: Writer,
        reader: &mut dyn Read,
    ) -> Vec<u8> {
        if !logs::is_of_few(path) {
            self.host.heard.extend(heard(writer));
        }
        let scanned = stream::scan(self.scanner, found, writer, reader);
        for event in scanned.events {
            self.host.events.add(event);
        }
        self.lines += scanned.lines;
        scanned.tail
    }

    /// A file that no evidence names: a log, if its head looks like one.
    fn unknown(&mut self, path: &str, found: Found<'_>, reader: &mut dyn Read) {
        if !self.never.matches(path).is_empty() {
            return;
        }
        let mut head = vec![0; 4096];
        let read = stream::read_full(reader, &mut head);
        head.truncate(read);
        if let Some(writer) = logs::sniff(&String::from_utf8_lossy(&head)) {
            self.log(path, found, writer, &mut head.as_slice().chain(reader));
        }
    }
}

/// The line of the file that is a line of the content.
fn file_line(found: Found<'_>, line: u32) -> u32 {
    line.saturating_add(found.first_line.saturating_sub(1))
}

/// Puts a problem of the content (`path` or `path:line`) where it stands in the input.
fn locate(problem: &mut Problem, path: &str, found: Found<'_>) {
    let Some(rest) = problem.source.strip_prefix(path) else { return };
    if rest.is_empty() {
        found.path.clone_into(&mut problem.source);
    } else if let Some(line) = rest.strip_prefix(':').and_then(|l| l.parse().ok()) {
        problem.source = format!("{}:{}", found.path, file_line(found, line));
    }
}

/// Whose silence a log proves. The system's log has lines of all daemons; the kernel's log has the
/// audit records when no auditd takes them.
fn heard(writer: Writer) -> Vec<Writer> {
    match writer {
        Writer::Other => {
            vec![
                Writer::Kernel,
                Writer::Audit,
                Writer::Libvirt,
                Writer::Systemd,
                Writer::Udev,
                Writer::Network,
            ]
        }
        Writer::Kernel => vec![Writer::Kernel, Writer::Audit],
        other => vec![other],
    }
}

/// Which facts the gaps of a host explain.
fn name_fact_gaps(host: &mut Host, wanted: &Wanted, targets: &[Target]) {
    host.gaps.sort();
    for gap in &host.gaps {
        for index in wanted.matches(&gap.source) {
            let Some(Target::Slice(slice)) = targets.get(index) else { continue };
            let facts = evidence::ALL.get(*slice).map_or(&[][..], |s| s.facts);
            for def in facts {
                host.fact_gaps.entry(def.name).or_insert(gap.reason);
            }
        }
    }
}
