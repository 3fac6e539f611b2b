//! Fact values inside the texts of a rule: `nested is {kvm.nested}`.

use crate::model::Host;

/// The fact names in a text.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Fact(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// Replaces each `{fact}` by its value on the first of `hosts` that has it.
/// A text with a fact that nobody has keeps the name in angle brackets, as a person would write it.
pub fn fill(text: &str, hosts: &[&Host]) -> String {
    pieces(text)
        .map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Fact(name) => hosts
                .iter()
                .find_map(|h| h.facts.first(name))
                .map_or_else(|| format!("<{name}>"), |f| f.value.to_string()),
        })
        .collect()
}

enum Piece<'t> {
    Text(&'t str),
    Fact(&'t str),
}

/// Cuts at `{name}` where the name looks like a fact's: shell braces such as `${x}` or `{a,b}` stay.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(name) = rest.strip_prefix('{').and_then(|r| r.split_once('}')).map(|(n, _)| n)
            && is_fact_name(name)
        {
            rest = &rest[name.len() + 2..];
            return Some(Piece::Fact(name));
        }
        let start = usize::from(rest.starts_with('{'));
        let end = rest[start..].find('{').map_or(rest.len(), |i| i + start);
        let (head, tail) = rest.split_at(end);
        rest = tail;
        Some(Piece::Text(head))
    })
}

fn is_fact_name(name: &str) -> bool {
    name.contains('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fact, Layer, Origin, Value};

    #[test]
    fn fills_facts_and_leaves_shell_braces() {
        let mut host = Host::new("l0", Layer::L0, "x");
        host.facts.add(Fact {
            name: "kvm.vendor_module",
            instance: None,
            value: Value::text("kvm_intel"),
            origin: Origin::default(),
        });
        let text = "modprobe -r {kvm.vendor_module} && echo ${HOME} {a,b} {host.name}";
        assert_eq!(fill(text, &[&host]), "modprobe -r kvm_intel && echo ${HOME} {a,b} <host.name>");
        assert_eq!(names(text).collect::<Vec<_>>(), ["kvm.vendor_module", "host.name"]);
    }
}
