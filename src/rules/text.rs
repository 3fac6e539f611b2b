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
    fill_with(text, hosts, str::to_owned)
}

/// The same for a command that a person will paste into a shell. The values come from a stranger's
/// bundle: whatever a shell could take for more than a word is quoted.
pub fn fill_command(text: &str, hosts: &[&Host]) -> String {
    fill_with(text, hosts, quoted)
}

fn fill_with(text: &str, hosts: &[&Host], show: fn(&str) -> String) -> String {
    pieces(text)
        .map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Fact(name) => hosts
                .iter()
                .find_map(|h| h.facts.first(name))
                .map_or_else(|| format!("<{name}>"), |f| show(&f.value.to_string())),
        })
        .collect()
}

/// A word of a POSIX shell.
fn quoted(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&b);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
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
        let command = "usermod -aG kvm {kvm.vendor_module}";
        assert_eq!(fill_command(command, &[&host]), "usermod -aG kvm kvm_intel");
        assert_eq!(names(text).collect::<Vec<_>>(), ["kvm.vendor_module", "host.name"]);
    }

    #[test]
    fn a_hostile_value_stays_one_word_of_a_command() {
        assert_eq!(quoted("kvm_intel"), "kvm_intel");
        assert_eq!(quoted("x; rm -rf ~"), "'x; rm -rf ~'");
        assert_eq!(quoted("a'b$(c)"), "'a'\\''b$(c)'");
        assert_eq!(quoted(""), "''");
    }
}
