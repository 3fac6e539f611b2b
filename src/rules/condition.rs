//! The condition language: a closed set of three-valued tests over facts and symptoms.
//!
//! ```yaml
//! all: [ ... ]            # no beats cannot-tell beats yes
//! any: [ ... ]            # yes beats cannot-tell beats no
//! not: { ... }
//! fact: kvm.nested        # with one of: is, in, has, lacks, matches, less_than, at_most, at_least, more_than
//! symptom: id             # a log signature, record or predicate; with where, at_least, within
//! temporal: [id, id]      # each of them, within a time
//! temporal_ordered: [id, id]
//! ```
//! `at:` says on which host: `here` (default), `above`, `below`, `anywhere`.
//! Counting and time windows use the words of Sigma's correlation rules
//! (sigma-correlation-rules-specification: `event_count`, `temporal`, `temporal_ordered`).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::load::Vocabulary;
use super::node::{Node, Position, Yaml};
use super::pattern::Pattern;
use super::read::{Map, Reader};
use crate::model::{FactDef, Kind, Value, Version};

/// On which hosts a test looks, seen from the host a rule is evaluated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// That host.
    Here,
    /// The hosts one layer up.
    Above,
    /// The host one layer down.
    Below,
    /// All hosts of the stack.
    Anywhere,
}

impl Scope {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Here, "here"),
        (Self::Above, "above"),
        (Self::Below, "below"),
        (Self::Anywhere, "anywhere"),
    ];
}

/// A condition.
#[derive(Debug, Clone)]
pub enum Condition {
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A test of a fact.
    Fact(FactTest),
    /// A test for a symptom.
    Symptom(SymptomRef),
    /// Several symptoms near each other in time.
    Temporal(Temporal),
}

/// A test of a fact. Where a fact has several values, one that passes is enough.
#[derive(Debug, Clone)]
pub struct FactTest {
    /// The fact.
    pub def: FactDef,
    /// Where to look.
    pub scope: Scope,
    /// The test.
    pub op: Op,
}

/// An operator with its operand.
#[derive(Debug, Clone)]
pub enum Op {
    /// Equal to one of these.
    In(Vec<Value>),
    /// Contains one of these words.
    Has(Vec<String>),
    /// Contains none of these words.
    Lacks(Vec<String>),
    /// Matches the regex (unanchored, ASCII case ignored).
    Matches(Pattern),
    /// Compares as asked.
    Compare(Comparison, Value),
}

/// A comparison of numbers or versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `less_than`
    Less,
    /// `at_most`
    AtMost,
    /// `at_least`
    AtLeast,
    /// `more_than`
    More,
}

impl Comparison {
    /// Whether an ordering satisfies it.
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::AtLeast => ordering.is_ge(),
            Self::More => ordering.is_gt(),
        }
    }
}

/// A reference to a symptom, perhaps with a filter on its fields, a count and a window.
#[derive(Debug, Clone)]
pub struct SymptomRef {
    /// Id of the symptom.
    pub id: String,
    /// Where it is referred to.
    pub position: Position,
    /// Where to look.
    pub scope: Scope,
    /// Fields that must match.
    pub filter: Filter,
    /// How many events there must be.
    pub at_least: u64,
    /// Within which time, in microseconds; `None`: any.
    pub within: Option<i64>,
}

/// Symptoms near each other in time.
#[derive(Debug, Clone)]
pub struct Temporal {
    /// Ids.
    pub ids: Vec<String>,
    /// Where they are referred to.
    pub position: Position,
    /// Where to look.
    pub scope: Scope,
    /// Whether they must come in this order.
    pub ordered: bool,
    /// Microseconds between the first and the last.
    pub within: i64,
}

/// Regexes over named fields; all must match.
#[derive(Debug, Clone, Default)]
pub struct Filter(pub BTreeMap<String, Pattern>);

impl Filter {
    /// Whether an event's fields pass.
    pub fn passes(&self, fields: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(name, regex)| fields.get(name).is_some_and(|v| regex.is_match(v)))
    }
}

/// Reads a condition.
pub fn read(reader: &mut Reader<'_>, vocabulary: &Vocabulary, node: Node) -> Option<Condition> {
    if let Yaml::List(items) = node.value {
        return Some(Condition::All(read_all(reader, vocabulary, items)));
    }
    let mut map = reader.map(node, "a condition")?;
    let condition = read_map(reader, vocabulary, &mut map);
    if condition.is_none() && !map.recognised() {
        reader.mistake(
            map.at,
            "a condition needs one of `all`, `any`, `not`, `fact`, `symptom`, `temporal`, `temporal_ordered`",
        );
        return None;
    }
    map.finish(reader);
    condition
}

fn read_map(reader: &mut Reader<'_>, vocabulary: &Vocabulary, map: &mut Map) -> Option<Condition> {
    if let Some(node) = map.take("all") {
        let items = reader.list(node);
        return Some(Condition::All(read_all(reader, vocabulary, items)));
    }
    if let Some(node) = map.take("any") {
        let items = reader.list(node);
        return Some(Condition::Any(read_all(reader, vocabulary, items)));
    }
    if let Some(node) = map.take("not") {
        return read(reader, vocabulary, node).map(|c| Condition::Not(Box::new(c)));
    }
    if let Some(node) = map.take("fact") {
        return read_fact(reader, vocabulary, map, &node).map(Condition::Fact);
    }
    if let Some(node) = map.take("symptom") {
        return read_symptom(reader, map, &node).map(Condition::Symptom);
    }
    for (key, ordered) in [("temporal", false), ("temporal_ordered", true)] {
        if let Some(node) = map.take(key) {
            return read_temporal(reader, map, node, ordered).map(Condition::Temporal);
        }
    }
    None
}

fn read_all(reader: &mut Reader<'_>, vocabulary: &Vocabulary, items: Vec<Node>) -> Vec<Condition> {
    items.into_iter().filter_map(|n| read(reader, vocabulary, n)).collect()
}

fn read_scope(reader: &mut Reader<'_>, map: &mut Map) -> Scope {
    map.take("at").and_then(|n| reader.word(&n, "place", Scope::ALL)).unwrap_or(Scope::Here)
}

fn read_fact(
    reader: &mut Reader<'_>,
    vocabulary: &Vocabulary,
    map: &mut Map,
    node: &Node,
) -> Option<FactTest> {
    let scope = read_scope(reader, map);
    let op = take_op(reader, map);
    let name = reader.text(node, "fact")?;
    let Some(def) = vocabulary.fact(&name) else {
        reader.unknown(node.at, "fact", &name, vocabulary.fact_names());
        return None;
    };
    let (word, operand) = op?;
    let op = read_op(reader, def, word, operand)?;
    Some(FactTest { def: *def, scope, op })
}

const OPERATORS: &[&str] =
    &["is", "in", "has", "lacks", "matches", "less_than", "at_most", "at_least", "more_than"];

fn take_op(reader: &mut Reader<'_>, map: &mut Map) -> Option<(&'static str, Node)> {
    let mut found: Vec<_> =
        OPERATORS.iter().filter_map(|op| map.take(op).map(|node| (*op, node))).collect();
    if found.len() == 1 {
        return found.pop();
    }
    reader.mistake(map.at, format!("a fact needs exactly one of {}", OPERATORS.join(", ")));
    None
}

fn read_op(reader: &mut Reader<'_>, def: &FactDef, word: &str, operand: Node) -> Option<Op> {
    let fits = match word {
        "is" | "in" => def.kind != Kind::Words,
        "has" | "lacks" => def.kind == Kind::Words,
        "matches" => matches!(def.kind, Kind::Text | Kind::Words | Kind::Version),
        _ => matches!(def.kind, Kind::Int | Kind::Version),
    };
    if !fits {
        reader.mistake(
            operand.at,
            format!("`{word}` does not fit `{}`, which is {}", def.name, def.kind),
        );
        return None;
    }
    match word {
        "is" | "in" => {
            let items = reader.list(operand);
            Some(Op::In(items.iter().filter_map(|n| read_value(reader, def, n)).collect()))
        }
        "has" => Some(Op::Has(reader.texts(operand, "a word"))),
        "lacks" => Some(Op::Lacks(reader.texts(operand, "a word"))),
        "matches" => read_regex(reader, &operand).map(Op::Matches),
        _ => {
            let comparison = match word {
                "less_than" => Comparison::Less,
                "at_most" => Comparison::AtMost,
                "at_least" => Comparison::AtLeast,
                _ => Comparison::More,
            };
            read_value(reader, def, &operand).map(|v| Op::Compare(comparison, v))
        }
    }
}

fn read_value(reader: &mut Reader<'_>, def: &FactDef, node: &Node) -> Option<Value> {
    let value = match (def.kind, &node.value) {
        (Kind::Bool, Yaml::Bool(b)) => Some(Value::Bool(*b)),
        (Kind::Int, Yaml::Int(i)) => Some(Value::Int(*i)),
        (Kind::Text, Yaml::Text(t)) => Some(Value::text(t)),
        (Kind::Text, Yaml::Int(i)) => Some(Value::text(i.to_string())),
        (Kind::Version, Yaml::Text(t)) => Version::parse(t).map(Value::Version),
        (Kind::Version, Yaml::Int(i)) => Version::parse(&i.to_string()).map(Value::Version),
        _ => None,
    };
    if value.is_none() {
        let what = format!("`{}` is {}, this is {}", def.name, def.kind, node.value.kind());
        reader.mistake(node.at, what);
    }
    value
}

/// Reads a regex.
pub fn read_regex(reader: &mut Reader<'_>, node: &Node) -> Option<Pattern> {
    let text = reader.text(node, "a regex")?;
    let pattern = Pattern::new(&text);
    if let Err(what) = &pattern {
        reader.mistake(node.at, format!("bad regex: {what}"));
    }
    let pattern = pattern.ok()?;
    if reader.thorough() && pattern.regex().is_none() {
        reader.mistake(node.at, format!("`{text}` is too large a regex"));
    }
    Some(pattern)
}

/// Reads `where:`, a map from field to regex.
pub fn read_filter(reader: &mut Reader<'_>, node: Node) -> Filter {
    let Some(map) = reader.map(node, "`where`") else { return Filter::default() };
    let entries = map.rest();
    Filter(
        entries
            .into_iter()
            .filter_map(|(_, name, node)| read_regex(reader, &node).map(|r| (name, r)))
            .collect(),
    )
}

fn read_symptom(reader: &mut Reader<'_>, map: &mut Map, node: &Node) -> Option<SymptomRef> {
    let scope = read_scope(reader, map);
    let filter = map.take("where").map(|n| read_filter(reader, n)).unwrap_or_default();
    let at_least = map.take("at_least").map_or(1, |n| match n.value {
        Yaml::Int(i) if i > 0 => i.unsigned_abs(),
        _ => {
            reader.mistake(n.at, "`at_least` must be a number over 0");
            1
        }
    });
    let within = map.take("within").and_then(|n| read_duration(reader, &n));
    let id = reader.text(node, "symptom")?;
    Some(SymptomRef { id, position: node.at, scope, filter, at_least, within })
}

fn read_temporal(
    reader: &mut Reader<'_>,
    map: &mut Map,
    node: Node,
    ordered: bool,
) -> Option<Temporal> {
    let position = node.at;
    let scope = read_scope(reader, map);
    let within = map.need(reader, "within").and_then(|n| read_duration(reader, &n))?;
    let ids = reader.texts(node, "symptom");
    if ids.len() < 2 {
        reader.mistake(position, "`temporal` needs at least two symptoms");
    }
    Some(Temporal { ids, position, scope, ordered, within })
}

/// Reads `30s`, `10m`, `2h`, `1d` as microseconds.
fn read_duration(reader: &mut Reader<'_>, node: &Node) -> Option<i64> {
    let text = reader.text(node, "a duration")?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let micros =
        digits.parse::<i64>().ok().zip(seconds).and_then(|(n, s)| n.checked_mul(s * 1_000_000));
    if micros.is_none() {
        reader.mistake(node.at, format!("`{text}` is no duration; write 30s, 10m, 2h or 1d"));
    }
    micros
}
