//! What ranking concludes: the report is a view of it.

use super::fact::Origin;
use super::host::Layer;

/// How much a piece of evidence says, in five words.
///
/// Each has a documented weight in decibans, 10·log10 of the likelihood ratio
/// (I. J. Good, "Weight of evidence", 1985).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// +30: a thousand to one for it.
    Proves,
    /// +13: twenty to one for it.
    Strong,
    /// +6: four to one for it.
    Supports,
    /// −10: ten to one against it.
    Against,
    /// The cause is impossible.
    Excludes,
}

impl Weight {
    /// All weights with the words that rules use.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::Proves, "proves"),
        (Self::Strong, "strong"),
        (Self::Supports, "supports"),
        (Self::Against, "against"),
        (Self::Excludes, "excludes"),
    ];

    /// Decibans; `None` for [`Weight::Excludes`], which is no number.
    pub fn decibans(self) -> Option<i32> {
        match self {
            Self::Proves => Some(30),
            Self::Strong => Some(13),
            Self::Supports => Some(6),
            Self::Against => Some(-10),
            Self::Excludes => None,
        }
    }

    /// The word that rules and reports use.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(w, _)| *w == self).map_or("", |(_, word)| word)
    }
}

/// How bad it is when the cause holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The layer above does not run.
    Critical,
    /// A guest or a function fails.
    Error,
    /// It works, badly.
    Warning,
}

impl Severity {
    /// All severities with the words that rules use.
    pub const ALL: &'static [(Self, &'static str)] =
        &[(Self::Critical, "critical"), (Self::Error, "error"), (Self::Warning, "warning")];

    /// The word that rules and reports use.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(s, _)| *s == self).map_or("", |(_, word)| word)
    }
}

/// A piece of evidence as the report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Id of the host it was seen on.
    pub host: String,
    /// Where it stands.
    pub origin: Origin,
    /// How much it says.
    pub weight: Weight,
    /// What it says, in the words of the rule.
    pub says: String,
}

/// A symptom or a further cause that a cause explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Id of the symptom or cause.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Host it was seen on.
    pub host: String,
    /// That host's layer.
    pub layer: Layer,
}

/// What to do about a cause, for this platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What to do and why.
    pub text: String,
    /// Commands that do it.
    pub commands: Vec<String>,
    /// What it may break.
    pub risk: String,
}

/// A root cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// Id, one of the published ones.
    pub id: String,
    /// Title.
    pub title: String,
    /// Where it sits.
    pub layer: Layer,
    /// Host it sits on; empty if that layer was not collected.
    pub host: String,
    /// How bad it is.
    pub severity: Severity,
    /// Score in decibans.
    pub score: i32,
    /// Evidence for and against.
    pub evidence: Vec<Evidence>,
    /// What it explains.
    pub explains: Vec<Explained>,
    /// Why this is the cause.
    pub why: String,
    /// What to do.
    pub remedy: Vec<Remedy>,
    /// Where to read on.
    pub references: Vec<String>,
}

impl Cause {
    /// Probability, from the score: 1/(1+10^(−score/10)). Never 1: a program can be wrong.
    pub fn confidence(&self) -> f64 {
        let odds = 10f64.powf(f64::from(self.score) / 10.0);
        let p = (odds / (1.0 + odds)).min(0.99);
        (p * 100.0).round() / 100.0
    }
}

/// What a piece of advice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdviceKind {
    /// Hardening: what an attacker, or an accident, could use.
    Risk,
    /// What could be faster or steadier.
    Tuning,
}

impl AdviceKind {
    /// All kinds with the words that rules use.
    pub const ALL: &'static [(Self, &'static str)] =
        &[(Self::Risk, "risk"), (Self::Tuning, "tuning")];

    /// The word that rules and reports use.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(k, _)| *k == self).map_or("", |(_, word)| word)
    }
}

/// What could be better on a machine that works. Never ranked among causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Id of its rule.
    pub id: String,
    /// What it is about.
    pub kind: AdviceKind,
    /// Title.
    pub title: String,
    /// Id of the host it concerns.
    pub host: String,
    /// That host's layer.
    pub layer: Layer,
    /// Where that was seen.
    pub seen: Vec<Origin>,
    /// Why it matters.
    pub why: String,
    /// What following it costs.
    pub costs: String,
    /// What to do.
    pub remedy: Vec<Remedy>,
    /// Where to read on.
    pub references: Vec<String>,
}

/// A cause that can neither be named nor ruled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undetermined {
    /// Id of the cause.
    pub id: String,
    /// Facts and logs that would tell.
    pub missing: Vec<String>,
    /// Why they are missing.
    pub why: String,
}

/// The next thing to collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextEvidence {
    /// Command that collects it, with the layer to run it on.
    pub command: String,
    /// Causes it would help to decide.
    pub would_decide: Vec<String>,
}

/// The whole conclusion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnosis {
    /// Confidence of 0.5 and over, best first.
    pub causes: Vec<Cause>,
    /// Confidence between 0.2 and 0.5.
    pub suspected: Vec<Cause>,
    /// What could be better, risks first.
    pub advice: Vec<Advice>,
    /// Neither named nor ruled out.
    pub undetermined: Vec<Undetermined>,
    /// What to collect next, most telling first.
    pub next_evidence: Vec<NextEvidence>,
}
