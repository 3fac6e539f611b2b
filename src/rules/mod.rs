//! The rule engine: rule files in, findings out.
//!
//! * [`node`]: YAML as a tree with positions (the only user of the YAML crate)
//! * [`read`]: reading maps and lists, collecting every mistake instead of stopping at the first
//! * [`pattern`]: regexes, compiled when they are first used, and the literals they need
//! * [`rule`]: what a rule is
//! * [`condition`]: the three-valued condition language
//! * [`load`]: files to a checked [`RuleSet`]
//! * [`check`]: what must hold between rules (names, references, cycles)
//! * [`scan`]: all log signatures as one parallel multi-pattern scanner
//! * [`eval`]: yes, no, or cannot tell
//! * [`text`]: fact values inside the texts of a rule
//! * [`case`]: the tests that a rule file carries

pub mod case;
pub mod check;
pub mod condition;
pub mod eval;
pub mod load;
pub mod node;
pub mod pattern;
pub mod read;
pub mod rule;
pub mod scan;
pub mod text;

pub use condition::{Condition, Scope};
pub use eval::{Answer, Missing, Proof};
pub use load::{Care, Mistake, RuleSet, Vocabulary};
pub use pattern::Pattern;
pub use rule::{CauseRule, Symptom, SymptomTest};
pub use scan::Scanner;

/// The rule files inside the binary: path and text, ordered by path.
pub const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/embedded_rules.rs"));
