//! All log signatures and record parsers as one multi-pattern scanner.
//!
//! Every pattern has literals of which one must occur in a matching line. One Aho-Corasick
//! automaton over all of them walks the text; only the lines it stops at are cut out, get their
//! prefix taken off and meet the regexes whose literals they hold. A line without any literal
//! costs no allocation and no regex. Literals are matched without regard to ASCII case.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, MatchKind};

use super::load::{RuleSet, Vocabulary};
use super::pattern::Pattern;
use super::rule::SymptomTest;
use crate::model::{Event, LineScanner, Origin, RecordParser, Stream, Writer};

/// The compiled signatures of a rule set.
#[derive(Debug)]
pub struct Scanner {
    literals: AhoCorasick,
    /// For each literal, the patterns that hold it.
    owners: Vec<Vec<usize>>,
    patterns: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    kind: String,
    writers: BTreeSet<Writer>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Regex { regex: Pattern, none: Vec<Pattern> },
    Record(RecordParser),
}

impl Scanner {
    /// Compiles the signatures of a checked rule set and the record parsers.
    pub fn new(set: &RuleSet, vocabulary: &Vocabulary) -> Self {
        let mut patterns = Vec::new();
        let mut by_literal: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut add = |pattern: Entry, literals: Vec<String>| {
            for literal in literals {
                by_literal.entry(literal).or_default().push(patterns.len());
            }
            patterns.push(pattern);
        };
        for symptom in set.symptoms.values() {
            let SymptomTest::Log(signature) = &symptom.test else { continue };
            for regex in &signature.any {
                let test = Test::Regex { regex: regex.clone(), none: signature.none.clone() };
                let writers = signature.writers.iter().copied().collect();
                let pattern = Entry { kind: symptom.id.clone(), writers, test };
                add(pattern, regex.required_literals().unwrap_or_default());
            }
        }
        for record in vocabulary.records() {
            let writers = record.writers.iter().copied().collect();
            let pattern =
                Entry { kind: record.kind.to_owned(), writers, test: Test::Record(*record) };
            add(pattern, record.literals.iter().map(|l| l.to_ascii_lowercase()).collect());
        }
        let (words, owners): (Vec<_>, Vec<_>) = by_literal.into_iter().unzip();
        let literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&words)
            .expect("a few thousand literals fit into an automaton");
        Self { literals, owners, patterns }
    }

    /// Patterns of which a literal occurs in the line.
    fn candidates(&self, line: &[u8]) -> BTreeSet<usize> {
        self.literals
            .find_overlapping_iter(line)
            .filter_map(|m| self.owners.get(m.pattern().as_usize()))
            .flatten()
            .copied()
            .collect()
    }

    fn line(&self, line: &[u8], number: u32, stream: Stream<'_>, events: &mut Vec<Event>) {
        let candidates = self.candidates(line);
        if candidates.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(line);
        let prefix = (stream.split)(stream.writer, &text);
        let mut matched = BTreeSet::new();
        for pattern in candidates.into_iter().filter_map(|i| self.patterns.get(i)) {
            if !pattern.writers.contains(&prefix.writer) || matched.contains(&pattern.kind) {
                continue;
            }
            let Some((fields, key)) = pattern.test.apply(prefix.message) else { continue };
            matched.insert(&pattern.kind);
            events.push(Event {
                kind: pattern.kind.clone(),
                origin: Origin::new(stream.source, Some(number), &text),
                stamp: prefix.stamp,
                writer: prefix.writer,
                fields,
                key,
            });
        }
    }
}

impl Test {
    fn apply(&self, message: &str) -> Option<(BTreeMap<String, String>, Option<String>)> {
        match self {
            Self::Record(parser) => (parser.parse)(message).map(|r| (r.fields, r.key)),
            Self::Regex { regex, none } => {
                let regex = regex.regex()?;
                let captures = regex.captures(message)?;
                if none.iter().any(|n| n.is_match(message)) {
                    return None;
                }
                let fields = regex
                    .capture_names()
                    .flatten()
                    .filter_map(|n| Some((n.to_owned(), captures.name(n)?.as_str().to_owned())))
                    .collect();
                Some((fields, None))
            }
        }
    }
}

impl LineScanner for Scanner {
    fn scan(&self, block: &[u8], first: u32, stream: Stream<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        let mut number = first;
        let mut counted = 0;
        let mut position = 0;
        while let Some(hit) = block.get(position..).and_then(|rest| self.literals.find(rest)) {
            let hit = position + hit.start();
            let start = memchr::memrchr(b'\n', &block[..hit]).map_or(0, |i| i + 1);
            let end = memchr::memchr(b'\n', &block[hit..]).map_or(block.len(), |i| hit + i);
            let lines = memchr::memchr_iter(b'\n', &block[counted..start]).count();
            number = number.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            counted = start;
            self.line(&block[start..end], number, stream, &mut events);
            position = end;
        }
        events
    }
}
