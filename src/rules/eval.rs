//! Three-valued evaluation: yes with proofs, no with what was seen, or cannot tell and why.

use std::collections::BTreeSet;

use super::condition::{Condition, FactTest, Filter, Op, Scope, SymptomRef, Temporal};
use super::load::{RuleSet, Vocabulary};
use super::rule::{Signature, Symptom, SymptomTest};
use crate::model::{Event, Fact, GapReason, Host, Layer, Origin, Stack, Stamp, Value, Writer};

/// Most proofs that one test hands on: a report shows examples, not the whole log.
const MOST_PROOFS: usize = 3;

/// Where it stands that a condition holds, or does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proof {
    /// Index of the host in the stack.
    pub host: usize,
    /// The line.
    pub origin: Origin,
}

/// Evidence that would decide a condition, and is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Layer it would have to come from.
    pub layer: Layer,
    /// Fact, or log, that is missing.
    pub what: String,
    /// Command that collects it.
    pub command: String,
    /// Why it is not there.
    pub reason: GapReason,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It holds.
    Yes(Vec<Proof>),
    /// It does not hold; what was seen instead.
    No(Vec<Proof>),
    /// It cannot be told.
    Unknown(BTreeSet<Missing>),
}

impl Answer {
    fn negate(self) -> Self {
        match self {
            Self::Yes(proofs) => Self::No(proofs),
            Self::No(proofs) => Self::Yes(proofs),
            unknown @ Self::Unknown(_) => unknown,
        }
    }

    /// No beats cannot-tell beats yes.
    fn all(answers: impl IntoIterator<Item = Self>) -> Self {
        let (mut proofs, mut missing) = (Vec::new(), None::<BTreeSet<Missing>>);
        for answer in answers {
            match answer {
                Self::Yes(more) => proofs.extend(more),
                Self::Unknown(more) => missing.get_or_insert_default().extend(more),
                no @ Self::No(_) => return no,
            }
        }
        missing.map_or(Self::Yes(proofs), Self::Unknown)
    }

    /// Yes beats cannot-tell beats no.
    fn any(answers: impl IntoIterator<Item = Self>) -> Self {
        let (mut yes, mut seen) = (None::<Vec<Proof>>, Vec::new());
        let mut missing = None::<BTreeSet<Missing>>;
        for answer in answers {
            match answer {
                Self::Yes(more) => yes.get_or_insert_default().extend(more),
                Self::Unknown(more) => missing.get_or_insert_default().extend(more),
                Self::No(more) => seen.extend(more),
            }
        }
        match yes {
            Some(proofs) => Self::Yes(proofs),
            None => missing.map_or(Self::No(seen), Self::Unknown),
        }
    }
}

/// Evaluates rules against one frozen stack.
#[derive(Debug)]
pub struct Evaluator<'s> {
    /// The patient.
    pub stack: &'s Stack,
    set: &'s RuleSet,
    vocabulary: &'s Vocabulary,
}

impl<'s> Evaluator<'s> {
    /// An evaluator.
    pub fn new(stack: &'s Stack, set: &'s RuleSet, vocabulary: &'s Vocabulary) -> Self {
        Self { stack, set, vocabulary }
    }

    /// Whether a condition holds, seen from host number `focus`.
    pub fn condition(&self, condition: &Condition, focus: usize) -> Answer {
        match condition {
            Condition::All(items) => Answer::all(items.iter().map(|c| self.condition(c, focus))),
            Condition::Any(items) => Answer::any(items.iter().map(|c| self.condition(c, focus))),
            Condition::Not(inner) => self.condition(inner, focus).negate(),
            Condition::Fact(test) => self.on_hosts(
                test.scope,
                focus,
                |h| self.fact(test, h),
                || missing_fact(test, None),
            ),
            Condition::Symptom(test) => self.on_hosts(
                test.scope,
                focus,
                |h| self.symptom_ref(test, h),
                || self.missing_symptom(&test.id, None),
            ),
            Condition::Temporal(test) => self.on_hosts(
                test.scope,
                focus,
                |h| self.temporal(test, h),
                || test.ids.iter().flat_map(|id| self.missing_symptom(id, None)).collect(),
            ),
        }
    }

    /// Asks on every host of a scope; one yes is enough. A layer that must exist but has no host
    /// cannot answer.
    fn on_hosts(
        &self,
        scope: Scope,
        focus: usize,
        ask: impl Fn(usize) -> Answer,
        missing: impl Fn() -> BTreeSet<Missing>,
    ) -> Answer {
        match self.hosts(scope, focus) {
            Some(hosts) if hosts.is_empty() => Answer::No(Vec::new()),
            Some(hosts) => Answer::any(hosts.into_iter().map(ask)),
            None => {
                let layer = self.layer_of(scope, focus);
                Answer::Unknown(missing().into_iter().map(|m| Missing { layer, ..m }).collect())
            }
        }
    }

    /// Hosts of a scope: `None` if they may exist but are not in the stack, empty if they cannot.
    fn hosts(&self, scope: Scope, focus: usize) -> Option<Vec<usize>> {
        let layer = self.stack.hosts.get(focus).map_or(Layer::Unknown, |h| h.layer);
        match scope {
            Scope::Here => Some(vec![focus]),
            Scope::Anywhere => Some((0..self.stack.hosts.len()).collect()),
            Scope::Above => Some(self.stack.above(focus)).filter(|above| !above.is_empty()),
            Scope::Below if layer == Layer::L0 => Some(Vec::new()),
            Scope::Below => Some(self.stack.below(focus)).filter(|below| !below.is_empty()),
        }
    }

    fn layer_of(&self, scope: Scope, focus: usize) -> Layer {
        let layer = self.stack.hosts.get(focus).map_or(Layer::Unknown, |h| h.layer);
        match (scope, layer) {
            (Scope::Above, Layer::L0) => Layer::L1,
            (Scope::Above, Layer::L1) => Layer::L2,
            (Scope::Below, _) => layer.below().unwrap_or(Layer::Unknown),
            (Scope::Above, _) => Layer::Unknown,
            _ => layer,
        }
    }

    fn fact(&self, test: &FactTest, index: usize) -> Answer {
        let Some(host) = self.stack.hosts.get(index) else { return Answer::No(Vec::new()) };
        let facts = host.facts.all(test.def.name);
        if facts.is_empty() {
            return Answer::Unknown(missing_fact(test, Some(host)));
        }
        let proof = |f: &Fact| Proof { host: index, origin: f.origin.clone() };
        let passed: Vec<_> = facts.iter().filter(|f| passes(&test.op, &f.value)).collect();
        if passed.is_empty() {
            return Answer::No(facts.iter().take(MOST_PROOFS).map(proof).collect());
        }
        Answer::Yes(passed.into_iter().take(MOST_PROOFS).map(proof).collect())
    }

    /// Whether a symptom is seen on a host.
    pub fn symptom(&self, id: &str, filter: &Filter, index: usize) -> Answer {
        let Some(symptom) = self.set.symptoms.get(id) else { return Answer::No(Vec::new()) };
        match &symptom.test {
            SymptomTest::When(condition) => self.condition(condition, index),
            _ => self.events_answer(symptom, filter, index, 1, None),
        }
    }

    fn symptom_ref(&self, test: &SymptomRef, index: usize) -> Answer {
        let Some(symptom) = self.set.symptoms.get(&test.id) else { return Answer::No(Vec::new()) };
        match &symptom.test {
            SymptomTest::When(condition) => self.condition(condition, index),
            _ => self.events_answer(symptom, &test.filter, index, test.at_least, test.within),
        }
    }

    /// Events of a symptom on a host that pass a filter.
    pub fn events(&self, id: &str, filter: &Filter, index: usize) -> Vec<&'s Event> {
        let Some(symptom) = self.set.symptoms.get(id) else { return Vec::new() };
        self.kept(symptom, filter, index)
    }

    fn kept(&self, symptom: &Symptom, filter: &Filter, index: usize) -> Vec<&'s Event> {
        let Some(host) = self.stack.hosts.get(index) else { return Vec::new() };
        let (kind, own) = match &symptom.test {
            SymptomTest::Record { kind, filter } => (kind.as_str(), Some(filter)),
            _ => (symptom.id.as_str(), None),
        };
        let own = |e: &Event| own.is_none_or(|f| f.passes(&e.fields));
        host.events.of(kind).iter().filter(|e| own(e) && filter.passes(&e.fields)).collect()
    }

    fn events_answer(
        &self,
        symptom: &Symptom,
        filter: &Filter,
        index: usize,
        at_least: u64,
        within: Option<i64>,
    ) -> Answer {
        let Some(host) = self.stack.hosts.get(index) else { return Answer::No(Vec::new()) };
        let events = self.kept(symptom, filter, index);
        // Events beyond those that are kept count where no filter and no window asks for more.
        let plain = matches!(symptom.test, SymptomTest::Log(_)) && filter.0.is_empty();
        let enough = match within {
            Some(window) => in_window(&events, at_least, window),
            None if plain => host.events.count(&symptom.id) >= at_least,
            None => events.len() as u64 >= at_least,
        };
        if enough && !events.is_empty() {
            return Answer::Yes(proofs(&events, index));
        }
        if self.heard(symptom, host) {
            return Answer::No(proofs(&events, index));
        }
        Answer::Unknown(self.missing_symptom(&symptom.id, Some(host)))
    }

    /// Whether a log was read in which the symptom would stand: only then silence is a no.
    fn heard(&self, symptom: &Symptom, host: &Host) -> bool {
        self.writers(symptom).iter().any(|w| host.heard.contains(w))
    }

    fn writers(&self, symptom: &Symptom) -> Vec<Writer> {
        match &symptom.test {
            SymptomTest::Log(Signature { writers, .. }) => writers.clone(),
            SymptomTest::Record { kind, .. } => {
                self.vocabulary.record(kind).map(|r| r.writers.to_vec()).unwrap_or_default()
            }
            SymptomTest::When(_) => Vec::new(),
        }
    }

    fn missing_symptom(&self, id: &str, host: Option<&Host>) -> BTreeSet<Missing> {
        let Some(symptom) = self.set.symptoms.get(id) else { return BTreeSet::new() };
        if let SymptomTest::When(condition) = &symptom.test {
            return self.missing_condition(condition, host);
        }
        let layer = host.map_or(Layer::Unknown, |h| h.layer);
        let writers = self.writers(symptom);
        let Some(writer) = writers.first() else { return BTreeSet::new() };
        BTreeSet::from([Missing {
            layer,
            what: format!("log of {writer}"),
            command: log_command(*writer).to_owned(),
            reason: GapReason::NotCollected,
        }])
    }

    /// All that a predicate rests on: what to collect where nothing of a host is known.
    fn missing_condition(&self, condition: &Condition, host: Option<&Host>) -> BTreeSet<Missing> {
        match condition {
            Condition::All(items) | Condition::Any(items) => {
                items.iter().flat_map(|c| self.missing_condition(c, host)).collect()
            }
            Condition::Not(inner) => self.missing_condition(inner, host),
            Condition::Fact(test) => missing_fact(test, host),
            Condition::Symptom(test) => self.missing_symptom(&test.id, host),
            Condition::Temporal(test) => {
                test.ids.iter().flat_map(|id| self.missing_symptom(id, host)).collect()
            }
        }
    }

    fn temporal(&self, test: &Temporal, index: usize) -> Answer {
        let empty = Filter::default();
        let answers: Vec<_> = test.ids.iter().map(|id| self.symptom(id, &empty, index)).collect();
        let together = Answer::all(answers);
        let Answer::Yes(proofs) = together else { return together };
        let events: Vec<_> = test.ids.iter().map(|id| self.events(id, &empty, index)).collect();
        let near = events
            .first()
            .is_some_and(|first| first.iter().any(|start| follows(&events[1..], start, test)));
        if near { Answer::Yes(proofs) } else { Answer::No(proofs) }
    }
}

/// Whether each of `rest` has an event near `start`; in order, each after the one before.
fn follows(rest: &[Vec<&Event>], start: &Event, test: &Temporal) -> bool {
    let mut last = start;
    rest.iter().all(|events| {
        let next = events.iter().find(|e| match (e.stamp, last.stamp, start.stamp) {
            (Some(e), Some(last), Some(start)) => {
                let near = e.since(start).is_some_and(|d| d.abs() <= test.within);
                near && (!test.ordered || e.since(last).is_some_and(|d| d >= 0))
            }
            _ => false,
        });
        if let Some(next) = next {
            last = next;
        }
        next.is_some()
    })
}

fn in_window(events: &[&Event], at_least: u64, window: i64) -> bool {
    let stamps: Vec<Stamp> = events.iter().filter_map(|e| e.stamp).collect();
    let count = usize::try_from(at_least).unwrap_or(usize::MAX);
    stamps.windows(count.max(1)).any(|w| match (w.first(), w.last()) {
        (Some(first), Some(last)) => last.since(*first).is_some_and(|d| d.abs() <= window),
        _ => false,
    })
}

fn proofs(events: &[&Event], host: usize) -> Vec<Proof> {
    events.iter().take(MOST_PROOFS).map(|e| Proof { host, origin: e.origin.clone() }).collect()
}

fn passes(op: &Op, value: &Value) -> bool {
    match op {
        Op::In(values) => values.iter().any(|v| equal(v, value)),
        Op::Has(words) => {
            matches!(value, Value::Words(set) if words.iter().any(|w| set.contains(w)))
        }
        Op::Lacks(words) => {
            matches!(value, Value::Words(set) if !words.iter().any(|w| set.contains(w)))
        }
        Op::Matches(regex) => match value {
            Value::Words(set) => set.iter().any(|w| regex.is_match(w)),
            Value::Text(text) => regex.is_match(text),
            other => regex.is_match(&other.to_string()),
        },
        Op::Compare(comparison, wanted) => match (value, wanted) {
            (Value::Int(a), Value::Int(b)) => comparison.holds(a.cmp(b)),
            (Value::Version(a), Value::Version(b)) => comparison.holds(a.compare(b)),
            _ => false,
        },
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Version(a), Value::Version(b)) => a.compare(b).is_eq(),
        _ => a == b,
    }
}

fn missing_fact(test: &FactTest, host: Option<&Host>) -> BTreeSet<Missing> {
    let reason = host.and_then(|h| gap_of(h, test.def.name)).unwrap_or(GapReason::NotCollected);
    BTreeSet::from([Missing {
        layer: host.map_or(Layer::Unknown, |h| h.layer),
        what: test.def.name.to_owned(),
        command: test.def.command.to_owned(),
        reason,
    }])
}

/// Why a fact is missing, if a file it is read from could not be read.
fn gap_of(host: &Host, fact: &str) -> Option<GapReason> {
    host.fact_gaps.get(fact).copied()
}

/// The command that shows a writer's log.
pub fn log_command(writer: Writer) -> &'static str {
    match writer {
        Writer::Kernel => "dmesg",
        Writer::Audit => "ausearch -m AVC,USER_AVC -ts boot",
        Writer::Qemu => "cat /var/log/libvirt/qemu/*.log",
        Writer::Libvirt => "journalctl -u libvirtd -u virtqemud -b",
        Writer::Virtualbox => "cat VBox.log",
        Writer::Vmware => "cat vmware.log",
        Writer::Windows => "Get-WinEvent -LogName System; systeminfo",
        Writer::Tool => "kvm-ok; virt-host-validate qemu",
        Writer::Stderr | Writer::Vmm => "the failing command with 2> stderr.txt",
        _ => "journalctl -b",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown() -> Answer {
        Answer::Unknown(BTreeSet::new())
    }

    fn yes() -> Answer {
        Answer::Yes(Vec::new())
    }

    fn no() -> Answer {
        Answer::No(Vec::new())
    }

    #[test]
    fn no_beats_cannot_tell_beats_yes_in_all() {
        assert_eq!(Answer::all([yes(), unknown(), no()]), no());
        assert_eq!(Answer::all([yes(), unknown()]), unknown());
        assert_eq!(Answer::all([yes(), yes()]), yes());
    }

    #[test]
    fn yes_beats_cannot_tell_beats_no_in_any() {
        assert_eq!(Answer::any([no(), unknown(), yes()]), yes());
        assert_eq!(Answer::any([no(), unknown()]), unknown());
        assert_eq!(Answer::any([no(), no()]), no());
    }

    #[test]
    fn not_turns_yes_and_no_and_leaves_what_cannot_be_told() {
        assert_eq!(yes().negate(), no());
        assert_eq!(no().negate(), yes());
        assert_eq!(unknown().negate(), unknown());
    }
}
