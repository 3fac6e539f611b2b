//! Patterns: regexes that are checked when a rule is loaded and compiled when they are first used.
//!
//! A rule base holds thousands of regexes and an input meets a handful of them: compiling all at
//! start would take longer than most analyses. ASCII case is ignored, as kernels change it between
//! versions. Only the regex crate is used: linear time, so that no rule can hang the program.

use std::fmt;
use std::sync::OnceLock;

use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

/// Most bytes that a compiled pattern may take.
const SIZE_LIMIT: usize = 1 << 20;
/// Shortest literal that is worth a stop of the scanner.
const SHORTEST: usize = 4;
/// A pattern with more alternatives than this is to be split by its author.
const MOST_ALTERNATIVES: usize = 64;

/// A regex of a rule.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// A pattern, its syntax checked.
    ///
    /// # Errors
    /// What is wrong with the syntax.
    pub fn new(text: &str) -> Result<Self, String> {
        regex_syntax::parse(text).map_err(|e| {
            let message = e.to_string();
            let last = message.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })?;
        Ok(Self { text: text.to_owned(), regex: OnceLock::new() })
    }

    /// As it stands in the rule.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The compiled regex; `None` if it is too large, which loading with
    /// [`Thorough`](super::load::Care::Thorough) care reports.
    pub fn regex(&self) -> Option<&Regex> {
        let compile = || {
            regex::RegexBuilder::new(&self.text)
                .case_insensitive(true)
                .size_limit(SIZE_LIMIT)
                .build()
                .ok()
        };
        self.regex.get_or_init(compile).as_ref()
    }

    /// Whether it occurs in a text.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex().is_some_and(|r| r.is_match(text))
    }

    /// Literals of which one must occur in every match, in lower case: the alternatives whose
    /// shortest is longest. `None` if there is none of at least four bytes.
    pub fn required_literals(&self) -> Option<Vec<String>> {
        let hir = regex_syntax::parse(&self.text).ok()?;
        let literals = required(&hir)?;
        (shortest(&literals) >= SHORTEST).then_some(literals)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn shortest(literals: &[String]) -> usize {
    literals.iter().map(String::len).min().unwrap_or(0)
}

fn required(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            longest_ascii(text).map(|t| vec![t])
        }
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(|l| shortest(l)),
        HirKind::Alternation(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(required).collect();
            all.map(|a| a.concat()).filter(|a| a.len() <= MOST_ALTERNATIVES)
        }
        _ => None,
    }
}

/// Case folding outside ASCII is the regex's business, so only ASCII runs make literals.
fn longest_ascii(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii())
        .max_by_key(|run| run.len())
        .filter(|run| !run.is_empty())
        .map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(pattern: &str) -> Option<Vec<String>> {
        Pattern::new(pattern).unwrap().required_literals()
    }

    #[test]
    fn finds_the_most_telling_literal() {
        assert_eq!(
            literals("KVM: entry failed, hardware error (?<code>0x[0-9a-f]+)"),
            Some(vec!["kvm: entry failed, hardware error ".into()])
        );
        assert_eq!(
            literals("a.*(disabled by bios|no hardware support)"),
            Some(vec!["disabled by bios".into(), "no hardware support".into()])
        );
        assert_eq!(literals("(?:abcd)?x"), None, "an optional literal is not required");
        assert_eq!(literals("ab.*cd"), None, "too short to be worth a stop");
    }

    #[test]
    fn case_is_ignored_and_bad_syntax_is_told() {
        assert!(Pattern::new("disabled by bios").unwrap().is_match("kvm: Disabled by BIOS"));
        assert!(Pattern::new("a(b").unwrap_err().contains("unclosed group"));
    }
}
