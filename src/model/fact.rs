//! Facts: typed values under stable dotted names, each with the place it was read from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::version::Version;

/// The type of a fact's value; rules are checked against it when they are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Bool,
    /// A whole number, in the fact's unit.
    Int,
    /// Free text, compared exactly or by regex.
    Text,
    /// A set of words, such as CPU flags or loaded modules.
    Words,
    /// A version number.
    Version,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Text => "text",
            Self::Words => "words",
            Self::Version => "version",
        })
    }
}

/// The declaration of a fact: what a rule may name and what `nestdoctor explain` prints.
#[derive(Debug, Clone, Copy)]
pub struct FactDef {
    /// Dotted name, e.g. `kvm.nested`. Unique in the program.
    pub name: &'static str,
    /// Type of the value.
    pub kind: Kind,
    /// What one value stands for where there are several, e.g. `domain`; empty for one per host.
    pub per: &'static str,
    /// One line: meaning, unit, source.
    pub doc: &'static str,
    /// The shell command by which a person obtains it.
    pub command: &'static str,
}

impl FactDef {
    /// A fact of which a host has one.
    pub const fn new(
        name: &'static str,
        kind: Kind,
        doc: &'static str,
        command: &'static str,
    ) -> Self {
        Self::per(name, kind, "", doc, command)
    }

    /// A fact of which a host has one for each of several, e.g. `per` domain: values have instances.
    pub const fn per(
        name: &'static str,
        kind: Kind,
        per: &'static str,
        doc: &'static str,
        command: &'static str,
    ) -> Self {
        Self { name, kind, per, doc, command }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// See [`Kind::Bool`].
    Bool(bool),
    /// See [`Kind::Int`].
    Int(i64),
    /// See [`Kind::Text`].
    Text(String),
    /// See [`Kind::Words`].
    Words(BTreeSet<String>),
    /// See [`Kind::Version`].
    Version(Version),
}

impl Value {
    /// Text value.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Set of words.
    pub fn words<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        Self::Words(words.into_iter().map(Into::into).collect())
    }

    /// The type of this value.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Text(_) => Kind::Text,
            Self::Words(_) => Kind::Words,
            Self::Version(_) => Kind::Version,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Text(t) => f.write_str(t),
            Self::Words(w) => {
                f.write_str(&w.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
            }
            Self::Version(v) => write!(f, "{v}"),
        }
    }
}

/// Where a value or a line was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Origin {
    /// Path inside the input, or `derived` for a value computed from others.
    pub source: String,
    /// 1-based line, where the source has lines.
    pub line: Option<u32>,
    /// The line itself, cut to [`EXCERPT`] characters.
    pub text: String,
}

/// Longest excerpt that is kept of a line, in characters.
pub const EXCERPT: usize = 300;

impl Origin {
    /// A place in a file, with the text that stands there.
    pub fn new(source: impl Into<String>, line: Option<u32>, text: &str) -> Self {
        Self { source: source.into(), line, text: excerpt(text) }
    }
}

/// Cuts `text` to [`EXCERPT`] characters, at a character border.
pub fn excerpt(text: &str) -> String {
    let text = text.trim_end();
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One value of one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Name of its [`FactDef`].
    pub name: &'static str,
    /// Which of several, e.g. the domain's name.
    pub instance: Option<String>,
    /// The value.
    pub value: Value,
    /// Where it was read.
    pub origin: Origin,
}

/// The facts of one host, ordered by name, then by instance, then as they were read.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    by_name: BTreeMap<&'static str, Vec<Fact>>,
}

impl Facts {
    /// Adds a fact. A second value of the same name and instance is kept only if it differs;
    /// [`Facts::first`] then answers with the one that was added first.
    pub fn add(&mut self, fact: Fact) {
        let all = self.by_name.entry(fact.name).or_default();
        if !all.iter().any(|f| f.instance == fact.instance && f.value == fact.value) {
            all.push(fact);
        }
    }

    /// All values of a name.
    pub fn all(&self, name: &str) -> &[Fact] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The first value of a name.
    pub fn first(&self, name: &str) -> Option<&Fact> {
        self.all(name).first()
    }

    /// The value of a name and instance.
    pub fn of(&self, name: &str, instance: &str) -> Option<&Fact> {
        self.all(name).iter().find(|f| f.instance.as_deref() == Some(instance))
    }

    /// The first value as bool.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.first(name)?.value {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The first value as number.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.first(name)?.value {
            Value::Int(i) => Some(i),
            _ => None,
        }
    }

    /// The first value as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.first(name)?.value {
            Value::Text(t) => Some(t),
            Value::Version(_) | Value::Bool(_) | Value::Int(_) | Value::Words(_) => None,
        }
    }

    /// The first value as set of words.
    pub fn words(&self, name: &str) -> Option<&BTreeSet<String>> {
        match &self.first(name)?.value {
            Value::Words(w) => Some(w),
            _ => None,
        }
    }

    /// The first value as version.
    pub fn version(&self, name: &str) -> Option<&Version> {
        match &self.first(name)?.value {
            Value::Version(v) => Some(v),
            _ => None,
        }
    }

    /// All facts in order.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.by_name.values().flatten()
    }

    /// Puts every name's values in the order of instance and origin.
    pub fn sort(&mut self) {
        for all in self.by_name.values_mut() {
            all.sort_by(|a, b| (&a.instance, &a.origin).cmp(&(&b.instance, &b.origin)));
        }
    }
}
