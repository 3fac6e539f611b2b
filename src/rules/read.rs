//! Reads nodes into rules and collects every mistake with its position.

use super::load::{Care, Mistake};
use super::node::{Node, Position, Yaml};
use crate::model::suggest::nearest;

/// The mistakes of one file.
#[derive(Debug)]
pub struct Reader<'f> {
    file: &'f str,
    care: Care,
    /// Found so far.
    pub mistakes: Vec<Mistake>,
}

impl<'f> Reader<'f> {
    /// A reader of a file.
    pub fn new(file: &'f str, care: Care) -> Self {
        Self { file, care, mistakes: Vec::new() }
    }

    /// Whether everything is to be checked now that could be left to its first use.
    pub fn thorough(&self) -> bool {
        self.care == Care::Thorough
    }

    /// The file's path.
    pub fn file(&self) -> &'f str {
        self.file
    }

    /// Notes a mistake.
    pub fn mistake(&mut self, at: Position, what: impl Into<String>) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), at, what: what.into() });
    }

    /// Notes that `word` is none of `known`, with the nearest of them.
    pub fn unknown<'a>(
        &mut self,
        at: Position,
        what: &str,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let hint = nearest(word, known).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        self.mistake(at, format!("unknown {what} `{word}`{hint}"));
    }

    /// The node as map; a mistake if it is none.
    pub fn map(&mut self, node: Node, what: &str) -> Option<Map> {
        match node.value {
            Yaml::Map(entries) => {
                Some(Map { at: node.at, entries, known: Vec::new(), taken: false })
            }
            other => {
                self.mistake(node.at, format!("{what} must be a map, not {}", other.kind()));
                None
            }
        }
    }

    /// The node as list; a single value counts as a list of one.
    pub fn list(&mut self, node: Node) -> Vec<Node> {
        match node.value {
            Yaml::List(items) => items,
            value => vec![Node { at: node.at, value }],
        }
    }

    /// The node as text; numbers and booleans are taken as they are written.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Yaml::Text(text) => Some(text.clone()),
            Yaml::Int(i) => Some(i.to_string()),
            Yaml::Bool(b) => Some(b.to_string()),
            other => {
                self.mistake(node.at, format!("{what} must be text, not {}", other.kind()));
                None
            }
        }
    }

    /// The node as list of texts.
    pub fn texts(&mut self, node: Node, what: &str) -> Vec<String> {
        self.list(node).iter().filter_map(|n| self.text(n, what)).collect()
    }

    /// The node as one of a set of words.
    pub fn word<T: Copy>(&mut self, node: &Node, what: &str, words: &[(T, &str)]) -> Option<T> {
        let text = self.text(node, what)?;
        let found = words.iter().find(|(_, w)| *w == text).map(|(t, _)| *t);
        if found.is_none() {
            self.unknown(node.at, what, &text, words.iter().map(|(_, w)| *w));
        }
        found
    }
}

/// A map that is taken apart key by key; what is left over is a mistake.
#[derive(Debug)]
pub struct Map {
    /// Where the map stands.
    pub at: Position,
    entries: Vec<(Position, String, Node)>,
    known: Vec<&'static str>,
    taken: bool,
}

impl Map {
    /// Takes the value of a key.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let index = self.entries.iter().position(|(_, k, _)| k == key)?;
        self.taken = true;
        Some(self.entries.remove(index).2)
    }

    /// Takes the value of a key that must be there.
    pub fn need(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Node> {
        let node = self.take(key);
        if node.is_none() {
            reader.mistake(self.at, format!("`{key}` is missing"));
        }
        node
    }

    /// Takes a text that must be there.
    pub fn need_text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> String {
        let node = self.need(reader, key);
        node.and_then(|n| reader.text(&n, key)).unwrap_or_default()
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(_, k, _)| k == key)
    }

    /// Whether any key that was asked for was there; if not, the map is of another kind.
    pub fn recognised(&self) -> bool {
        self.taken
    }

    /// The rest, for maps whose keys are free names.
    pub fn rest(self) -> Vec<(Position, String, Node)> {
        self.entries
    }

    /// Every key that nobody took is a mistake.
    pub fn finish(self, reader: &mut Reader<'_>) {
        for (at, key, _) in self.entries {
            reader.unknown(at, "key", &key, self.known.iter().copied());
        }
    }
}
