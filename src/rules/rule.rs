//! What a rule is, once it is read.

use super::case::Case;
use super::condition::{Condition, Filter, Scope};
use super::node::Position;
use super::pattern::Pattern;
use crate::model::{AdviceKind, Severity, Weight, Writer};

/// Something that can be observed: a log signature, a record, or a predicate on facts.
#[derive(Debug, Clone)]
pub struct Symptom {
    /// Id, which is also the file's stem.
    pub id: String,
    /// File it was read from.
    pub file: String,
    /// What is observed, as a person would say it.
    pub title: String,
    /// How it is observed.
    pub test: SymptomTest,
    /// Its tests.
    pub cases: Vec<Case>,
}

/// How a symptom is observed.
#[derive(Debug, Clone)]
pub enum SymptomTest {
    /// A line of a log.
    Log(Signature),
    /// A structured record with these fields.
    Record {
        /// Kind of the record.
        kind: String,
        /// What its fields must match.
        filter: Filter,
    },
    /// A condition on facts and other symptoms.
    When(Condition),
}

/// A log signature.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Who can have written it.
    pub writers: Vec<Writer>,
    /// One of these must match the message. Named groups become fields.
    pub any: Vec<Pattern>,
    /// None of these may match.
    pub none: Vec<Pattern>,
}

/// Where causes of a rule sit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// On L0, also where no evidence of L0 was given: a guest has a host.
    L0,
    /// On L1.
    L1,
    /// On L2.
    L2,
    /// On whichever host shows the evidence.
    Any,
    /// On the host that has to give its guests a function: L0, also where it was not collected, and
    /// any collected guest that is a hypervisor itself.
    Provider,
    /// On the path between the layers.
    Network,
}

impl Seat {
    /// All seats with the words that rules use.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::L0, "l0"),
        (Self::L1, "l1"),
        (Self::L2, "l2"),
        (Self::Any, "any"),
        (Self::Provider, "provider"),
        (Self::Network, "network"),
    ];
}

/// A root cause.
#[derive(Debug, Clone)]
pub struct CauseRule {
    /// Id, which is also the file's stem.
    pub id: String,
    /// File it was read from.
    pub file: String,
    /// Title.
    pub title: String,
    /// Where it sits.
    pub seat: Seat,
    /// How bad it is.
    pub severity: Severity,
    /// Decibans before any evidence.
    pub prior: i32,
    /// What must hold for this to be a cause at all. Without it: one explained symptom is seen.
    pub needs: Option<Condition>,
    /// Evidence for and against.
    pub evidence: Vec<EvidenceRule>,
    /// What it explains.
    pub explains: Vec<Explains>,
    /// Why this is the cause, with `{fact}` for values.
    pub why: String,
    /// Remedies; those whose condition holds are shown.
    pub remedies: Vec<RemedyRule>,
    /// Where to read on.
    pub references: Vec<String>,
    /// Its tests.
    pub cases: Vec<Case>,
}

/// Advice: what could be better on a machine that works.
#[derive(Debug, Clone)]
pub struct AdviceRule {
    /// Id, which is also the file's stem.
    pub id: String,
    /// File it was read from.
    pub file: String,
    /// `risk` or `tuning`.
    pub kind: AdviceKind,
    /// Title.
    pub title: String,
    /// On which hosts it is asked.
    pub seat: Seat,
    /// When it is given: only a clear yes counts.
    pub when: Condition,
    /// Why it matters, with `{fact}` for values.
    pub why: String,
    /// What following it costs.
    pub costs: String,
    /// Remedies; those whose condition holds are shown.
    pub remedies: Vec<RemedyRule>,
    /// Where to read on.
    pub references: Vec<String>,
    /// Its tests.
    pub cases: Vec<Case>,
}

/// Priors in decibans, with the words that rules use.
pub const PRIORS: &[(i32, &str)] = &[(-10, "common"), (-20, "uncommon"), (-30, "rare")];

/// A piece of evidence for or against a cause.
#[derive(Debug, Clone)]
pub struct EvidenceRule {
    /// When it is there.
    pub when: Condition,
    /// How much it says.
    pub weight: Weight,
    /// What it says, with `{fact}` for values.
    pub says: String,
}

/// A symptom or a further cause that a cause explains.
#[derive(Debug, Clone)]
pub struct Explains {
    /// What.
    pub target: Target,
    /// Where it is written.
    pub position: Position,
    /// How much seeing it says for the cause.
    pub weight: Weight,
    /// Where it has to show: on the cause's own host, on those above, or (`None`) on either.
    pub scope: Option<Scope>,
    /// Only events whose fields match count.
    pub filter: Filter,
}

/// What an `explains` entry points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A symptom by id.
    Symptom(String),
    /// A cause by id.
    Cause(String),
}

/// A remedy for some platform.
#[derive(Debug, Clone)]
pub struct RemedyRule {
    /// When it applies; always, if `None`. Of several, all that apply are shown.
    pub when: Option<Condition>,
    /// What to do, with `{fact}` for values.
    pub text: String,
    /// Commands, with `{fact}` for values.
    pub commands: Vec<String>,
    /// What it may break.
    pub risk: String,
}
