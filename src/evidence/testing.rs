//! Shared by the tests of the slices: text in, facts out.

use crate::model::{Out, Piece};

/// What a parser makes of a whole file.
pub(super) fn read(parse: fn(Piece<'_>, &mut Out), path: &str, text: &str) -> Out {
    read_part(parse, path, text, true)
}

/// What a parser makes of a file that may be cut off.
pub(super) fn read_part(
    parse: fn(Piece<'_>, &mut Out),
    path: &str,
    text: &str,
    whole: bool,
) -> Out {
    let mut out = Out::default();
    parse(Piece { path, bytes: text.as_bytes(), whole }, &mut out);
    out
}

/// A fact's value as text.
pub(super) fn show(out: &Out, name: &str) -> Option<String> {
    out.facts.iter().find(|f| f.name == name).map(|f| f.value.to_string())
}

/// The value, as text, of a fact of which there are several.
pub(super) fn show_of(out: &Out, name: &str, instance: &str) -> Option<String> {
    let mut facts = out.facts.iter();
    let fact = facts.find(|f| f.name == name && f.instance.as_deref() == Some(instance));
    fact.map(|f| f.value.to_string())
}

/// What a whole file gives: facts as `name[instance]=value`, then what is wrong with it.
pub(super) fn shown(parse: fn(Piece<'_>, &mut Out), path: &str, text: &str) -> Vec<String> {
    let out = read(parse, path, text);
    let facts = out
        .facts
        .iter()
        .map(|f| format!("{}[{}]={}", f.name, f.instance.as_deref().unwrap_or(""), f.value));
    facts.chain(out.problems.iter().map(|p| p.what.clone())).collect()
}
