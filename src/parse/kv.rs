//! `key=value` in its two common dresses: audit records on one line, and INI files.

use nom::branch::alt;
use nom::bytes::complete::{take_till, take_while1};
use nom::character::complete::char;
use nom::combinator::map;
use nom::sequence::{delimited, terminated};
use nom::{IResult, Parser};

/// A value of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// What stands between the quotes, or up to the next blank.
    pub raw: &'a str,
    /// Whether it was quoted.
    pub quoted: bool,
}

/// The pairs of a record. Words that are no pair are passed over.
///
/// With `spaced`, an unquoted value runs on to the next `key=`: `ausearch -i` takes the quotes
/// off and leaves the blanks, as in `comm=CPU 0/KVM path=/dev/kvm`.
pub fn pairs(text: &str, spaced: bool) -> Pairs<'_> {
    Pairs { rest: text, spaced }
}

/// Iterator of [`pairs`].
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: &'a str,
    spaced: bool,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() {
                return None;
            }
            let bare = |rest: &'a str| {
                let blank = || rest.find(char::is_whitespace).unwrap_or(rest.len());
                let end = if self.spaced { spaced_end(rest) } else { blank() };
                let value = Value { raw: rest[..end].trim_end(), quoted: false };
                IResult::<&str, Value<'a>>::Ok((&rest[end..], value))
            };
            let quoted = map(delimited(char('"'), take_till(|c| c == '"'), char('"')), |raw| {
                Value { raw, quoted: true }
            });
            if let Ok((rest, pair)) = (key, alt((quoted, bare))).parse(self.rest) {
                self.rest = rest;
                return Some(pair);
            }
            let word = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
            self.rest = &self.rest[word..];
        }
    }
}

/// `key=`: the key.
fn key(input: &str) -> IResult<&str, &str> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    terminated(take_while1(letter), char('=')).parse(input)
}

/// Where an unquoted value with blanks ends: before the blank that the next `key=` follows.
fn spaced_end(text: &str) -> usize {
    let mut at = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        if at > 0 && key(word).is_ok() {
            return at;
        }
        at += word.len();
    }
    at
}

/// Decodes a string that an audit record gives in hexadecimal because it holds blanks or control
/// characters; `None` where it is not hexadecimal. Control characters become blanks.
pub fn unhex(text: &str) -> Option<String> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        // The kernel prints capitals; `dead` is a word.
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.is_empty() || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let decoded: Option<Vec<u8>> =
        bytes.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    let decoded = String::from_utf8_lossy(&decoded?).into_owned();
    Some(decoded.replace(char::is_control, " "))
}

/// A setting of an INI file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Section it stands in; empty above the first.
    pub section: &'a str,
    /// Key as written.
    pub key: &'a str,
    /// Value without quotes and surrounding blanks.
    pub value: &'a str,
    /// 1-based line.
    pub line: u32,
    /// The line itself.
    pub text: &'a str,
}

/// The settings of an INI file or of a plain `key = value` file. Comments start with `#` or `;`
/// at the beginning of a line; lines that are neither are passed over.
pub fn ini(text: &str) -> impl Iterator<Item = Setting<'_>> {
    let mut section = "";
    super::lines(text).filter_map(move |(line, text)| {
        let trimmed = text.trim().trim_start_matches('\u{feff}');
        if trimmed.starts_with(['#', ';']) {
            return None;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|t| t.split(']').next()) {
            section = name.trim();
            return None;
        }
        let (key, value) = trimmed.split_once('=')?;
        let value = unquote(value.trim());
        (!key.trim().is_empty()).then_some(Setting { section, key: key.trim(), value, line, text })
    })
}

/// Takes a pair of quotes off.
pub fn unquote(value: &str) -> &str {
    ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value)
}

/// A yes or no in the words that configuration files use.
pub fn boolean(value: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|w| value.eq_ignore_ascii_case(w));
    if is(&["true", "yes", "on", "1", "y", "enabled"]) {
        Some(true)
    } else if is(&["false", "no", "off", "0", "n", "disabled"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, spaced: bool) -> Vec<(&str, &str)> {
        pairs(text, spaced).map(|(k, v)| (k, v.raw)).collect()
    }

    #[test]
    fn pairs_of_an_audit_record() {
        let text = "avc:  denied for  pid=7 comm=\"CPU 0/KVM\" capname=x  tclass=file";
        assert_eq!(
            values(text, false),
            [("pid", "7"), ("comm", "CPU 0/KVM"), ("capname", "x"), ("tclass", "file")]
        );
    }

    #[test]
    fn interpreted_values_keep_their_blanks() {
        let text = "pid=7 comm=CPU 0/KVM path=/a b c permissive=0 ";
        let expected =
            [("pid", "7"), ("comm", "CPU 0/KVM"), ("path", "/a b c"), ("permissive", "0")];
        assert_eq!(values(text, true), expected);
    }

    #[test]
    fn broken_pairs_are_passed_over() {
        assert_eq!(
            values("=x a= \"b c=\"open é=1 d=2", false),
            [("a", ""), ("c", "\"open"), ("d", "2")]
        );
        assert_eq!(values("", true), []);
    }

    #[test]
    fn hexadecimal_strings() {
        assert_eq!(unhex("5468726561642028706F6F6C656429").as_deref(), Some("Thread (pooled)"));
        assert_eq!(unhex("6100").as_deref(), Some("a "));
        for text in ["", "616", "dead", "qemu"] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }

    #[test]
    fn ini_settings_know_their_section_and_line() {
        let text = "\u{feff}top=1\n[libvirt]\n# virt_type = qemu\nvirt_type = \"kvm\"\nno equals\n";
        let all: Vec<_> = ini(text).map(|s| (s.section, s.key, s.value, s.line)).collect();
        assert_eq!(all, [("", "top", "1", 1), ("libvirt", "virt_type", "kvm", 4)]);
    }
}
