//! YAML as a tree in which every value knows its line and column.
//!
//! Only this file knows the YAML crate. Its budgets hold: a rule file of a stranger cannot expand
//! without limit, and duplicate keys are errors.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Position in a file, 1-based.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// A value with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub at: Position,
    /// What it is.
    pub value: Yaml,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Anything else that is scalar.
    Text(String),
    /// List.
    List(Vec<Node>),
    /// Map, in the order of the file.
    Map(Vec<(Position, String, Node)>),
}

impl Yaml {
    /// What a person calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true/false",
            Self::Int(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Parses one YAML document.
///
/// # Errors
/// Position and message of the first syntax error.
pub fn parse(text: &str) -> Result<Node, (Position, String)> {
    serde_saphyr::from_str::<Spanned<Yaml>>(text).map(Node::from).map_err(|e| {
        let at = e
            .location()
            .map_or(Position::default(), |l| Position { line: l.line(), column: l.column() });
        let message = e.without_snippet().to_string();
        (at, message.lines().next().unwrap_or("not YAML").to_owned())
    })
}

impl From<Spanned<Yaml>> for Node {
    fn from(spanned: Spanned<Yaml>) -> Self {
        Self { at: position(&spanned), value: spanned.value }
    }
}

fn position<T>(spanned: &Spanned<T>) -> Position {
    Position { line: spanned.referenced.line(), column: spanned.referenced.column() }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Deserialize::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(i64::try_from(value).map_or_else(|_| Yaml::Text(value.to_string()), Yaml::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Yaml>>()? {
            list.push(item.into());
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Yaml>>()? {
            entries.push((position(&key), key.value, value.into()));
        }
        Ok(Yaml::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_where_it_stands() {
        let node = parse("id: x\nwhen:\n  all:\n    - { fact: a.b, is: true }\n").unwrap();
        let Yaml::Map(top) = node.value else { panic!("a map") };
        assert_eq!(top[1].0, Position { line: 2, column: 1 });
        let Yaml::Map(when) = &top[1].2.value else { panic!("a map") };
        let Yaml::List(all) = &when[0].2.value else { panic!("a list") };
        let Yaml::Map(test) = &all[0].value else { panic!("a map") };
        assert_eq!((test[1].0.line, test[1].1.as_str()), (4, "is"));
        assert_eq!(test[1].2.at, Position { line: 4, column: 24 });
        assert_eq!(test[1].2.value, Yaml::Bool(true));
    }

    #[test]
    fn a_syntax_error_has_a_position() {
        let (at, what) = parse("a: 1\nb: [1, 2\nc: }\n").unwrap_err();
        assert!(at.line >= 2, "{at:?} {what}");
        assert!(parse("a: 1\na: 2\n").is_err(), "a duplicate key is an error");
    }
}
