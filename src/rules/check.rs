//! What must hold between rules: every reference has its target, every rule its proof.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, Expect};
use super::condition::{Condition, Scope};
use super::load::{Mistake, RuleSet, Vocabulary};
use super::node::Position;
use super::rule::{AdviceRule, CauseRule, RemedyRule, Symptom, SymptomTest, Target};
use super::text;
use crate::model::suggest::nearest;

/// All mistakes between the rules of a set.
pub fn check(set: &RuleSet, vocabulary: &Vocabulary) -> Vec<Mistake> {
    let mut checker = Checker { set, vocabulary, mistakes: Vec::new() };
    set.symptoms.values().for_each(|s| checker.symptom(s));
    set.causes.values().for_each(|c| checker.cause(c));
    set.advice.values().for_each(|a| checker.advice(a));
    checker.cycles();
    checker.mistakes
}

struct Checker<'s> {
    set: &'s RuleSet,
    vocabulary: &'s Vocabulary,
    mistakes: Vec<Mistake>,
}

impl Checker<'_> {
    fn mistake(&mut self, file: &str, at: Position, what: impl Into<String>) {
        self.mistakes.push(Mistake { file: file.to_owned(), at, what: what.into() });
    }

    fn symptom(&mut self, symptom: &Symptom) {
        match &symptom.test {
            SymptomTest::Log(signature) => {
                for regex in &signature.any {
                    if regex.required_literals().is_none() {
                        let what = format!(
                            "`{regex}` needs a literal of at least 4 bytes, or it slows every scan"
                        );
                        self.mistake(&symptom.file, Position::default(), what);
                    }
                }
            }
            SymptomTest::Record { .. } => {}
            SymptomTest::When(condition) => {
                self.condition(&symptom.file, condition);
                self.flat(&symptom.file, condition);
            }
        }
        self.title(&symptom.file, &symptom.title);
        self.cases(&symptom.file, &symptom.cases, false);
    }

    fn cause(&mut self, cause: &CauseRule) {
        let file = &cause.file;
        let conditions = cause.needs.iter().chain(cause.evidence.iter().map(|e| &e.when));
        let mut elsewhere = false;
        for condition in conditions {
            self.condition(file, condition);
            elsewhere |= reads_elsewhere(condition);
        }
        for explains in &cause.explains {
            match &explains.target {
                Target::Symptom(id) => self.symptom_id(file, explains.position, id),
                Target::Cause(id) => self.cause_id(file, explains.position, id),
            }
        }
        let says = cause.evidence.iter().map(|e| e.says.as_str());
        self.texts(file, says.chain([cause.why.as_str()]));
        self.help(file, &cause.remedies, &cause.references);
        if cause.explains.is_empty() && cause.needs.is_none() {
            self.mistake(
                file,
                Position::default(),
                "a cause needs `explains` or `needs`: what goes wrong?",
            );
        }
        self.title(file, &cause.title);
        self.cases(file, &cause.cases, elsewhere);
    }

    fn advice(&mut self, advice: &AdviceRule) {
        let file = &advice.file;
        self.condition(file, &advice.when);
        self.texts(file, [advice.why.as_str(), advice.costs.as_str()].into_iter());
        self.help(file, &advice.remedies, &advice.references);
        self.title(file, &advice.title);
        self.cases(file, &advice.cases, false);
    }

    /// What a reader is to do, and where to read on.
    fn help(&mut self, file: &str, remedies: &[RemedyRule], references: &[String]) {
        if remedies.is_empty() || references.is_empty() {
            self.mistake(file, Position::default(), "a rule needs a remedy and a reference");
        }
        for remedy in remedies {
            remedy.when.iter().for_each(|c| self.condition(file, c));
            let commands = remedy.commands.iter().map(String::as_str);
            self.texts(file, commands.chain([remedy.text.as_str()]));
        }
    }

    fn condition(&mut self, file: &str, condition: &Condition) {
        match condition {
            Condition::All(items) | Condition::Any(items) => {
                for item in items {
                    self.condition(file, item);
                }
            }
            Condition::Not(inner) => self.condition(file, inner),
            Condition::Fact(_) => {}
            Condition::Symptom(symptom) => self.symptom_id(file, symptom.position, &symptom.id),
            Condition::Temporal(temporal) => {
                temporal.ids.iter().for_each(|id| self.symptom_id(file, temporal.position, id));
            }
        }
    }

    /// A predicate may build on what is observed, not on further predicates: so there is no cycle.
    fn flat(&mut self, file: &str, condition: &Condition) {
        match condition {
            Condition::All(items) | Condition::Any(items) => {
                for item in items {
                    self.flat(file, item);
                }
            }
            Condition::Not(inner) => self.flat(file, inner),
            Condition::Symptom(test) => {
                let target = self.set.symptoms.get(&test.id).map(|s| &s.test);
                if matches!(target, Some(SymptomTest::When(_))) {
                    let what =
                        format!("`{}` is a predicate itself; name what it rests on", test.id);
                    self.mistake(file, test.position, what);
                }
            }
            Condition::Fact(_) | Condition::Temporal(_) => {}
        }
    }

    fn symptom_id(&mut self, file: &str, at: Position, id: &str) {
        if !self.set.symptoms.contains_key(id) {
            let hint = hint(id, self.set.symptoms.keys());
            self.mistake(file, at, format!("unknown symptom `{id}`{hint}"));
        }
    }

    fn cause_id(&mut self, file: &str, at: Position, id: &str) {
        if !self.set.causes.contains_key(id) {
            let hint = hint(id, self.set.causes.keys());
            self.mistake(file, at, format!("unknown cause `{id}`{hint}"));
        }
    }

    /// Texts may hold `{fact}`: the fact must exist.
    fn texts<'t>(&mut self, file: &str, texts: impl Iterator<Item = &'t str>) {
        for name in texts.flat_map(text::names) {
            if self.vocabulary.fact(name).is_none() {
                let hint = nearest(name, self.vocabulary.fact_names())
                    .map_or(String::new(), |n| format!("; did you mean `{{{n}}}`?"));
                let what = format!("unknown fact in text: `{{{name}}}`{hint}");
                self.mistake(file, Position::default(), what);
            }
        }
    }

    /// House style of titles: lower case unless a name, no final dot.
    fn title(&mut self, file: &str, title: &str) {
        if title.is_empty() || title.ends_with('.') || title.len() > 100 {
            let what = "a title is one phrase of at most 100 characters without a final dot";
            self.mistake(file, Position::default(), what);
        }
    }

    fn cases(&mut self, file: &str, cases: &[Case], elsewhere: bool) {
        for (expect, word, wanted) in [
            (Expect::Fires, "fires", true),
            (Expect::Silent, "silent", true),
            (Expect::Unknown, "unknown", elsewhere),
        ] {
            if wanted && !cases.iter().any(|c| c.expect == expect) {
                let what = format!("no test with `expect: {word}`");
                self.mistake(file, Position::default(), what);
            }
        }
        let inputs = cases.iter().flat_map(|c| &c.inputs).filter_map(|i| i.machine.as_ref());
        for (at, name) in inputs {
            if !self.set.machines.contains_key(name) {
                let hint = hint(name, self.set.machines.keys());
                self.mistake(file, *at, format!("unknown machine `{name}`{hint}"));
            }
        }
    }

    /// The graph of causes that explain causes must have no cycle: a consequence has one root.
    fn cycles(&mut self) {
        let set = self.set;
        for cause in set.causes.values() {
            let mut seen = BTreeSet::new();
            let mut open = explained_causes(&set.causes, &cause.id);
            while let Some(id) = open.pop() {
                if id == cause.id {
                    let what = format!("`{id}` explains itself, through the causes it explains");
                    self.mistake(&cause.file, Position::default(), what);
                    break;
                }
                if seen.insert(id) {
                    open.extend(explained_causes(&set.causes, id));
                }
            }
        }
    }
}

fn explained_causes<'s>(causes: &'s BTreeMap<String, CauseRule>, id: &str) -> Vec<&'s str> {
    let explains = causes.get(id).map_or(&[][..], |c| c.explains.as_slice());
    explains
        .iter()
        .filter_map(|e| match &e.target {
            Target::Cause(id) => Some(id.as_str()),
            Target::Symptom(_) => None,
        })
        .collect()
}

fn hint<'a>(word: &str, known: impl Iterator<Item = &'a String>) -> String {
    nearest(word, known.map(String::as_str))
        .map_or(String::new(), |n| format!("; did you mean `{n}`?"))
}

/// Whether a condition looks at another host: then it must have a test without that host.
fn reads_elsewhere(condition: &Condition) -> bool {
    match condition {
        Condition::All(items) | Condition::Any(items) => items.iter().any(reads_elsewhere),
        Condition::Not(inner) => reads_elsewhere(inner),
        Condition::Fact(test) => matches!(test.scope, Scope::Above | Scope::Below),
        Condition::Symptom(test) => matches!(test.scope, Scope::Above | Scope::Below),
        Condition::Temporal(test) => matches!(test.scope, Scope::Above | Scope::Below),
    }
}
