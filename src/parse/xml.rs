//! XML with line numbers.
//!
//! Tools put text before a document (comments, `virsh` prompts, `wsrep` banners), and collections
//! cut it off at the end; neither must cost what is there.

use std::borrow::Cow;

use roxmltree::{Document, Node, ParsingOptions};

use crate::model::Origin;

/// Most nodes of a document that are read: a domain has some hundreds.
const MOST_NODES: u32 = 200_000;

/// Parses a document. DTDs are allowed because property lists name one; entities are not
/// fetched, and their expansion is bounded by the parser.
///
/// # Errors
/// What is wrong, with line and column, for a person.
pub fn parse(text: &str) -> Result<Document<'_>, String> {
    let options =
        ParsingOptions { allow_dtd: true, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|e| e.to_string())
}

/// The document in a text: from the first `<` that opens it, with its open elements closed where
/// the end is missing. Lines keep their numbers.
pub fn document(text: &str, whole: bool) -> Cow<'_, str> {
    let start = text.find('<').unwrap_or(text.len());
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    let needs_blanks = !text[..start].trim().is_empty();
    let mut fixed = if needs_blanks {
        Cow::Owned(text[..start].chars().map(blank).chain(text[start..].chars()).collect())
    } else {
        Cow::Borrowed(text)
    };
    if !whole {
        let closed = close(&fixed);
        fixed = Cow::Owned(closed);
    }
    fixed
}

/// Cuts after the last complete tag and closes what is open there.
fn close(text: &str) -> String {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    let mut end = 0;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at..];
        let closing = if tag.starts_with("<!--") { "-->" } else { ">" };
        let Some(length) = tag.find(closing).map(|l| l + closing.len()) else { break };
        let inside = &tag[1..length - closing.len()];
        if let Some(name) = inside.strip_prefix('/') {
            if open.last() == Some(&name.trim()) {
                open.pop();
            }
        } else if !inside.starts_with(['!', '?']) && !inside.ends_with('/') {
            open.extend(inside.split_whitespace().next());
        }
        rest = &tag[length..];
        end = text.len() - rest.len();
    }
    let mut closed = text[..end].to_owned();
    for name in open.iter().rev() {
        closed.push_str("</");
        closed.push_str(name);
        closed.push('>');
    }
    closed
}

/// Line numbers of places in a text.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Finds the line starts once.
    pub fn new(text: &'a str) -> Self {
        let after = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// The 1-based line of a byte, and its text.
    pub fn at(&self, byte: usize) -> (u32, &'a str) {
        let number = self.starts.partition_point(|start| *start <= byte);
        let start = number.checked_sub(1).and_then(|n| self.starts.get(n)).copied().unwrap_or(0);
        let line = self.text.get(start..).and_then(|t| t.lines().next()).unwrap_or("");
        (u32::try_from(number).unwrap_or(u32::MAX), line.trim())
    }

    /// The line where an element begins, and its text.
    pub fn of(&self, node: Node<'_, '_>) -> (u32, &'a str) {
        self.at(node.range().start)
    }

    /// The place of an element in the file at `path`.
    pub fn origin(&self, path: &str, node: Node<'_, '_>) -> Origin {
        let (line, text) = self.of(node);
        Origin::new(path, Some(line), text)
    }
}

/// The first child element of a name.
pub fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|c| c.is_element() && c.tag_name().name() == name)
}

/// Follows a path of child elements, taking the first of each.
pub fn descend<'a, 'i>(node: Node<'a, 'i>, path: &[&str]) -> Option<Node<'a, 'i>> {
    path.iter().try_fold(node, |node, name| child(node, name))
}

/// The text of an element, without surrounding blanks; `None` where there is none.
pub fn text<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.text().map(str::trim).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_elements() {
        let text = "<!-- a\nb -->\n<domain>\n  <name>web</name>\n</domain>\n";
        let document = parse(text).unwrap();
        let lines = Lines::new(text);
        let name = descend(document.root_element(), &["name"]).unwrap();
        assert_eq!(lines.of(name), (4, "<name>web</name>"));
        assert_eq!(self::text(name), Some("web"));
        assert_eq!(lines.at(10_000), (6, ""));
    }

    #[test]
    fn a_cut_document_is_closed() {
        let text = "<domain type='kvm'>\n  <name>web</name>\n  <devices>\n    <emulator>/usr/bi";
        let fixed = document(text, false);
        let parsed = parse(&fixed).unwrap();
        assert_eq!(parsed.root_element().attribute("type"), Some("kvm"));
        assert!(descend(parsed.root_element(), &["devices", "emulator"]).is_some());
        for broken in ["", "<", "<!--", "</a>", "<a><b></a>", "<é"] {
            let _ = parse(&document(broken, false));
        }
    }

    #[test]
    fn text_before_the_document_is_blanked() {
        let fixed = document("virsh # dumpxml x\n<domain/>", true);
        assert_eq!(Lines::new(&fixed).at(fixed.find("<domain").unwrap()).0, 2);
        assert!(parse(&fixed).is_ok());
    }

    #[test]
    fn entities_do_not_expand_without_limit() {
        let bomb = "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">\
                    <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">\
                    <!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;\"><!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;\">]>\
                    <a>&f;</a>";
        assert!(parse(bomb).is_err());
    }
}
