//! Rule files to a checked rule set: all mistakes at once, each with its position.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use sha2::{Digest, Sha256};

use super::case::{self, Machine};
use super::check;
use super::condition::{self, Filter, Scope};
use super::node::{self, Node, Position};
use super::read::{Map, Reader};
use super::rule::{
    AdviceRule, CauseRule, EvidenceRule, Explains, PRIORS, RemedyRule, Seat, Signature, Symptom,
    SymptomTest, Target,
};
use crate::model::{AdviceKind, FactDef, RecordParser, Severity, Weight, Writer};

/// A mistake in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// File.
    pub file: String,
    /// Position; line 0 where it concerns the whole file.
    pub at: Position,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.line == 0 {
            return write!(f, "{}: {}", self.file, self.what);
        }
        write!(f, "{}:{}:{}: {}", self.file, self.at.line, self.at.column, self.what)
    }
}

/// How much is checked while loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// The embedded rules: what the project's own tests hold is not checked at every start.
    Quick,
    /// A stranger's rules, and the linter.
    Thorough,
}

/// What rules may name: the facts and records that the program makes.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    facts: BTreeMap<&'static str, FactDef>,
    records: BTreeMap<&'static str, RecordParser>,
}

impl Vocabulary {
    /// The vocabulary of these facts and records.
    pub fn new(
        facts: impl IntoIterator<Item = FactDef>,
        records: impl IntoIterator<Item = RecordParser>,
    ) -> Self {
        Self {
            facts: facts.into_iter().map(|d| (d.name, d)).collect(),
            records: records.into_iter().map(|r| (r.kind, r)).collect(),
        }
    }

    /// The declaration of a fact.
    pub fn fact(&self, name: &str) -> Option<&FactDef> {
        self.facts.get(name)
    }

    /// All fact names.
    pub fn fact_names(&self) -> impl Iterator<Item = &'static str> {
        self.facts.keys().copied()
    }

    /// All fact declarations.
    pub fn facts(&self) -> impl Iterator<Item = &FactDef> {
        self.facts.values()
    }

    /// The declaration of a record kind.
    pub fn record(&self, kind: &str) -> Option<&RecordParser> {
        self.records.get(kind)
    }

    /// All record kinds.
    pub fn records(&self) -> impl Iterator<Item = &RecordParser> {
        self.records.values()
    }
}

/// All rules, by id.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// Symptoms.
    pub symptoms: BTreeMap<String, Symptom>,
    /// Causes.
    pub causes: BTreeMap<String, CauseRule>,
    /// Advice.
    pub advice: BTreeMap<String, AdviceRule>,
    /// Machines that the rules' tests start from.
    pub machines: BTreeMap<String, Machine>,
    /// SHA-256 over all files, hex: names the rule base in a report.
    pub digest: String,
}

impl RuleSet {
    /// Loads rule files, each a path and a text. A later file replaces an earlier one's rule of the
    /// same id only if it comes from another folder root (`--rules DIR` over the embedded ones).
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        vocabulary: &Vocabulary,
        care: Care,
    ) -> Result<Self, Vec<Mistake>> {
        let mut set = Self::default();
        let mut mistakes = Vec::new();
        let mut digest = Sha256::new();
        for (file, text) in files {
            digest.update(file.as_bytes());
            digest.update([0]);
            digest.update(text.as_bytes());
            let mut reader = Reader::new(file, care);
            match node::parse(text) {
                Ok(node) => set.read_file(&mut reader, vocabulary, node),
                Err((at, what)) => reader.mistake(at, what),
            }
            mistakes.append(&mut reader.mistakes);
        }
        if care == Care::Thorough {
            mistakes.extend(check::check(&set, vocabulary));
        }
        mistakes.sort_by(|a, b| (&a.file, a.at).cmp(&(&b.file, b.at)));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        set.digest = hex(&digest.finalize()[..8]);
        Ok(set)
    }

    /// Title of a rule.
    pub fn title(&self, id: &str) -> &str {
        let symptom = self.symptoms.get(id).map(|s| s.title.as_str());
        let cause = self.causes.get(id).map(|c| c.title.as_str());
        let advice = self.advice.get(id).map(|a| a.title.as_str());
        symptom.or(cause).or(advice).unwrap_or("")
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.symptoms.len() + self.causes.len() + self.advice.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read_file(&mut self, reader: &mut Reader<'_>, vocabulary: &Vocabulary, node: Node) {
        let at = node.at;
        let Some(mut map) = reader.map(node, "a rule") else { return };
        let kind = map.need_text(reader, "kind");
        let id = map.need_text(reader, "id");
        check_stem(reader, at, &id);
        if kind == "machine" {
            let machine = case::read_machine(reader, &mut map);
            map.finish(reader);
            self.machines.insert(id, machine);
            return;
        }
        map.need_text(reader, "since");
        match kind.as_str() {
            "symptom" => {
                if let Some(symptom) = read_symptom(reader, vocabulary, &mut map, &id) {
                    self.add(reader, at, id, Rule::Symptom(Box::new(symptom)));
                }
            }
            "cause" => {
                let cause = read_cause(reader, vocabulary, &mut map, &id);
                self.add(reader, at, id, Rule::Cause(Box::new(cause)));
            }
            "risk" | "tuning" => {
                if let Some(advice) = read_advice(reader, vocabulary, &mut map, &id, &kind) {
                    self.add(reader, at, id, Rule::Advice(Box::new(advice)));
                }
            }
            other => {
                let known = ["symptom", "cause", "risk", "tuning", "machine"];
                reader.unknown(at, "kind", other, known);
            }
        }
        map.finish(reader);
    }

    fn add(&mut self, reader: &mut Reader<'_>, at: Position, id: String, rule: Rule) {
        let root = |file: &str| file.split('/').next().map(str::to_owned);
        let other = self.symptoms.get(&id).map(|s| s.file.clone());
        let other = other.or_else(|| self.causes.get(&id).map(|c| c.file.clone()));
        let other = other.or_else(|| self.advice.get(&id).map(|a| a.file.clone()));
        if let Some(other) = other {
            if root(&other) == root(reader.file()) {
                reader.mistake(at, format!("`{id}` is already defined in {other}"));
            }
            self.symptoms.remove(&id);
            self.causes.remove(&id);
            self.advice.remove(&id);
        }
        match rule {
            Rule::Symptom(symptom) => drop(self.symptoms.insert(id, *symptom)),
            Rule::Cause(cause) => drop(self.causes.insert(id, *cause)),
            Rule::Advice(advice) => drop(self.advice.insert(id, *advice)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

enum Rule {
    Symptom(Box<Symptom>),
    Cause(Box<CauseRule>),
    Advice(Box<AdviceRule>),
}

/// The id is the file's stem, so that everybody knows where a rule is written.
fn check_stem(reader: &mut Reader<'_>, at: Position, id: &str) {
    let stem = reader.file().rsplit('/').next().unwrap_or("").trim_end_matches(".yaml");
    if !id.is_empty() && id != stem {
        reader.mistake(at, format!("the id `{id}` must be the file's name, which is `{stem}`"));
    }
}

fn read_symptom(
    reader: &mut Reader<'_>,
    vocabulary: &Vocabulary,
    map: &mut Map,
    id: &str,
) -> Option<Symptom> {
    let title = map.need_text(reader, "title");
    let cases = case::read_cases(reader, map);
    let test = if let Some(node) = map.take("log") {
        read_signature(reader, node).map(SymptomTest::Log)
    } else if let Some(node) = map.take("record") {
        read_record(reader, vocabulary, map, &node)
    } else if let Some(node) = map.take("when") {
        condition::read(reader, vocabulary, node).map(SymptomTest::When)
    } else {
        reader.mistake(map.at, "a symptom needs one of `log`, `record`, `when`");
        None
    };
    Some(Symptom { id: id.to_owned(), file: reader.file().to_owned(), title, test: test?, cases })
}

fn read_record(
    reader: &mut Reader<'_>,
    vocabulary: &Vocabulary,
    map: &mut Map,
    node: &Node,
) -> Option<SymptomTest> {
    let filter_at = node.at;
    let filter = map.take("where").map(|n| condition::read_filter(reader, n)).unwrap_or_default();
    let kind = reader.text(node, "record")?;
    let Some(record) = vocabulary.record(&kind) else {
        reader.unknown(node.at, "record", &kind, vocabulary.records().map(|r| r.kind));
        return None;
    };
    check_fields(reader, filter_at, &filter, record.fields);
    Some(SymptomTest::Record { kind, filter })
}

fn check_fields(reader: &mut Reader<'_>, at: Position, filter: &Filter, known: &[&str]) {
    for name in filter.0.keys().filter(|n| !known.contains(&n.as_str())) {
        reader.unknown(at, "field", name, known.iter().copied());
    }
}

fn read_signature(reader: &mut Reader<'_>, node: Node) -> Option<Signature> {
    let mut map = reader.map(node, "`log`")?;
    let words: Vec<(Writer, &str)> = Writer::ALL.iter().map(|(w, n, _)| (*w, *n)).collect();
    let writers = map.need(reader, "writers").map(|n| reader.list(n)).unwrap_or_default();
    let writers = writers.iter().filter_map(|n| reader.word(n, "writer", &words)).collect();
    let any = map.need(reader, "any").map(|n| reader.list(n)).unwrap_or_default();
    let any = any.iter().filter_map(|n| condition::read_regex(reader, n)).collect();
    let exclude = map.take("none").map(|n| reader.list(n)).unwrap_or_default();
    let exclude = exclude.iter().filter_map(|n| condition::read_regex(reader, n)).collect();
    map.finish(reader);
    Some(Signature { writers, any, none: exclude })
}

fn read_cause(
    reader: &mut Reader<'_>,
    vocabulary: &Vocabulary,
    map: &mut Map,
    id: &str,
) -> CauseRule {
    let title = map.need_text(reader, "title");
    let seat = map.need(reader, "layer").and_then(|n| reader.word(&n, "layer", Seat::ALL));
    let severity =
        map.need(reader, "severity").and_then(|n| reader.word(&n, "severity", Severity::ALL));
    let prior = map.need(reader, "prior").and_then(|n| reader.word(&n, "prior", PRIORS));
    let needs = map.take("needs").and_then(|n| condition::read(reader, vocabulary, n));
    let evidence = map.take("evidence").map(|n| reader.list(n)).unwrap_or_default();
    let evidence =
        evidence.into_iter().filter_map(|n| read_evidence(reader, vocabulary, n)).collect();
    let explains = map.take("explains").map(|n| reader.list(n)).unwrap_or_default();
    let explains = explains.into_iter().filter_map(|n| read_explains(reader, n)).collect();
    let why = map.need_text(reader, "why");
    let remedies = read_remedies(reader, vocabulary, map);
    let references = map.need(reader, "references").map(|n| reader.texts(n, "a reference"));
    CauseRule {
        id: id.to_owned(),
        file: reader.file().to_owned(),
        title,
        seat: seat.unwrap_or(Seat::Any),
        severity: severity.unwrap_or(Severity::Error),
        prior: prior.unwrap_or(-20),
        needs,
        evidence,
        explains,
        why,
        remedies,
        references: references.unwrap_or_default(),
        cases: case::read_cases(reader, map),
    }
}

fn read_advice(
    reader: &mut Reader<'_>,
    vocabulary: &Vocabulary,
    map: &mut Map,
    id: &str,
    kind: &str,
) -> Option<AdviceRule> {
    let kind = AdviceKind::ALL.iter().find(|(_, word)| *word == kind).map(|(k, _)| *k);
    let title = map.need_text(reader, "title");
    let seat = map.need(reader, "layer").and_then(|n| reader.word(&n, "layer", Seat::ALL));
    let when = map.need(reader, "when").and_then(|n| condition::read(reader, vocabulary, n));
    let why = map.need_text(reader, "why");
    let costs = map.need_text(reader, "costs");
    let remedies = read_remedies(reader, vocabulary, map);
    let references = map.need(reader, "references").map(|n| reader.texts(n, "a reference"));
    let cases = case::read_cases(reader, map);
    Some(AdviceRule {
        id: id.to_owned(),
        file: reader.file().to_owned(),
        kind: kind?,
        title,
        seat: seat?,
        when: when?,
        why,
        costs,
        remedies,
        references: references.unwrap_or_default(),
        cases,
    })
}

fn read_remedies(
    reader: &mut Reader<'_>,
    vocabulary: &Vocabulary,
    map: &mut Map,
) -> Vec<RemedyRule> {
    let remedies = map.need(reader, "remedy").map(|n| reader.list(n)).unwrap_or_default();
    remedies.into_iter().filter_map(|n| read_remedy(reader, vocabulary, n)).collect()
}

fn read_weight(reader: &mut Reader<'_>, map: &mut Map) -> Option<Weight> {
    map.need(reader, "weight").and_then(|n| reader.word(&n, "weight", Weight::ALL))
}

fn read_evidence(
    reader: &mut Reader<'_>,
    vocabulary: &Vocabulary,
    node: Node,
) -> Option<EvidenceRule> {
    let mut map = reader.map(node, "evidence")?;
    let weight = read_weight(reader, &mut map);
    let says = map.need_text(reader, "says");
    let when = map.need(reader, "when").and_then(|n| condition::read(reader, vocabulary, n));
    map.finish(reader);
    Some(EvidenceRule { when: when?, weight: weight?, says })
}

fn read_explains(reader: &mut Reader<'_>, node: Node) -> Option<Explains> {
    let mut map = reader.map(node, "an `explains` entry")?;
    let position = map.at;
    let target = if let Some(node) = map.take("symptom") {
        reader.text(&node, "symptom").map(Target::Symptom)
    } else {
        let node = map.need(reader, "cause");
        node.and_then(|n| reader.text(&n, "cause")).map(Target::Cause)
    };
    let weight = match target {
        Some(Target::Cause(_)) => Some(Weight::Supports),
        _ => read_weight(reader, &mut map),
    };
    let scopes = [(Scope::Here, "here"), (Scope::Above, "above")];
    let scope = map.take("at").and_then(|n| reader.word(&n, "place", &scopes));
    let filter = map.take("where").map(|n| condition::read_filter(reader, n)).unwrap_or_default();
    map.finish(reader);
    Some(Explains { target: target?, position, weight: weight?, scope, filter })
}

fn read_remedy(reader: &mut Reader<'_>, vocabulary: &Vocabulary, node: Node) -> Option<RemedyRule> {
    let mut map = reader.map(node, "a remedy")?;
    let when = map.take("when");
    let asked = when.is_some();
    let when = when.and_then(|n| condition::read(reader, vocabulary, n));
    let text = map.need_text(reader, "text");
    let commands = map.take("commands").map(|n| reader.texts(n, "a command")).unwrap_or_default();
    let risk = map.take("risk").and_then(|n| reader.text(&n, "risk")).unwrap_or_default();
    map.finish(reader);
    (when.is_some() == asked).then_some(RemedyRule { when, text, commands, risk })
}
