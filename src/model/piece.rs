//! Pieces: bytes that a source handed over, and what a parser makes of them.

use super::fact::{Fact, Origin, Value};

/// A file of the input.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Canonical path, e.g. `proc/cpuinfo` or `commands/lsmod.txt`.
    pub path: &'a str,
    /// Its content, up to the limit for its kind.
    pub bytes: &'a [u8],
    /// Whether the content is complete.
    pub whole: bool,
}

impl Piece<'_> {
    /// The content as text; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes)
    }

    /// The last component of the path.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

/// Something that went wrong while reading the input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// File, with line where known (`path:line`).
    pub source: String,
    /// What is wrong, for a person.
    pub what: String,
}

/// What a parser hands back: facts and problems, never an error. A broken line costs that line.
#[derive(Debug, Default)]
pub struct Out {
    /// Facts in the order they were read.
    pub facts: Vec<Fact>,
    /// What could not be understood.
    pub problems: Vec<Problem>,
}

impl Out {
    /// Adds a fact of the host.
    pub fn fact(&mut self, name: &'static str, value: Value, origin: Origin) {
        self.facts.push(Fact { name, instance: None, value, origin });
    }

    /// Adds a fact of one of several, e.g. of a domain.
    pub fn fact_of(&mut self, name: &'static str, instance: &str, value: Value, origin: Origin) {
        self.facts.push(Fact { name, instance: Some(instance.to_owned()), value, origin });
    }

    /// Adds a problem at a line of `source`.
    pub fn problem(&mut self, source: &str, line: Option<u32>, what: impl Into<String>) {
        let source = line.map_or_else(|| source.to_owned(), |l| format!("{source}:{l}"));
        self.problems.push(Problem { source, what: what.into() });
    }
}
