//! The report as strangers see it: schema version 1.
//!
//! Only this file decides what leaves the program; the internal types are free to change.

use serde::Serialize;

use super::analyses::Analyses;
use crate::model::{self, Diagnosis, Host, Problem, Stack};

/// Version of the JSON schema. It changes when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// A report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What made it.
    pub tool: Tool,
    /// The machines, L0 first.
    pub hosts: Vec<HostView>,
    /// Causes with a confidence of 0.5 and over, best first.
    pub causes: Vec<CauseView>,
    /// Causes with a confidence between 0.2 and 0.5.
    pub suspected: Vec<CauseView>,
    /// Hardening and tuning.
    pub advice: Vec<AdviceView>,
    /// Causes that can neither be named nor ruled out.
    pub undetermined: Vec<UndeterminedView>,
    /// What to collect next, most telling first.
    pub next_evidence: Vec<NextView>,
    /// Measurements that causes rest on.
    pub analyses: Analyses,
    /// What could not be read or understood.
    pub problems: Vec<ProblemView>,
    /// How much was read.
    pub stats: Stats,
}

/// The program.
#[derive(Debug, Clone, Serialize)]
pub struct Tool {
    /// `nestdoctor`
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The rule base.
    pub rules: Rules,
}

/// The rule base.
#[derive(Debug, Clone, Serialize)]
pub struct Rules {
    /// How many rules.
    pub count: usize,
    /// Names exactly this rule base.
    pub digest: String,
}

/// A machine.
#[derive(Debug, Clone, Serialize)]
pub struct HostView {
    /// Name inside this report.
    pub id: String,
    /// `L0`, `L1`, `L2` or `unknown`.
    pub layer: String,
    /// The machine's own name.
    pub name: String,
    /// What it runs on.
    pub platform: Platform,
    /// Kernel release.
    pub kernel: String,
    /// The input it was read from.
    pub source: String,
}

/// A platform; an empty text means that it is not known.
#[derive(Debug, Clone, Serialize)]
pub struct Platform {
    /// One word, e.g. `gcp`, `vmware`, `bare-metal`.
    pub vendor: String,
    /// Maker and model.
    pub product: String,
    /// What the kernel says is below it.
    pub hypervisor: String,
    /// `on`, `off`, `software` (KVM works without vmx/svm) or `unknown`: whether guests of this
    /// machine could nest.
    pub nesting: &'static str,
}

/// A cause.
#[derive(Debug, Clone, Serialize)]
pub struct CauseView {
    /// 1 for the best.
    pub rank: usize,
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
    /// Where it sits.
    pub layer: String,
    /// Host it sits on; `null` where that layer was not collected.
    pub host: Option<String>,
    /// `critical`, `error` or `warning`.
    pub severity: &'static str,
    /// Between 0 and 1.
    pub confidence: f64,
    /// For and against.
    pub evidence: Vec<EvidenceView>,
    /// What it explains.
    pub explains: Vec<ExplainedView>,
    /// Why.
    pub why: String,
    /// What to do, for this platform.
    pub remedy: Vec<RemedyView>,
    /// Where to read on.
    pub references: Vec<String>,
}

/// A piece of evidence.
#[derive(Debug, Clone, Serialize)]
pub struct EvidenceView {
    /// Host it was seen on.
    pub host: String,
    /// File of the input.
    pub source: String,
    /// 1-based line.
    pub line: Option<u32>,
    /// The line.
    pub text: String,
    /// `proves`, `strong`, `supports` or `against`.
    pub weight: &'static str,
    /// What it says.
    pub says: String,
}

/// Something that a cause explains.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedView {
    /// Id of the symptom or cause.
    pub id: String,
    /// Title.
    pub title: String,
    /// Host.
    pub host: String,
    /// Its layer.
    pub layer: String,
}

/// A remedy.
#[derive(Debug, Clone, Serialize)]
pub struct RemedyView {
    /// What to do.
    pub text: String,
    /// Commands that do it.
    pub commands: Vec<String>,
    /// What it may break.
    pub risk: String,
}

/// What could be better on a machine that works.
#[derive(Debug, Clone, Serialize)]
pub struct AdviceView {
    /// Id.
    pub id: String,
    /// `risk` or `tuning`.
    pub kind: &'static str,
    /// Title.
    pub title: String,
    /// `L0`, `L1`, `L2`, `network` or `unknown`.
    pub layer: String,
    /// Id of the host it concerns.
    pub host: String,
    /// Where that was seen.
    pub evidence: Vec<SeenView>,
    /// Why it matters.
    pub why: String,
    /// What following it costs.
    pub costs: String,
    /// What to do.
    pub remedy: Vec<RemedyView>,
    /// Where to read on.
    pub references: Vec<String>,
}

/// A line that shows something.
#[derive(Debug, Clone, Serialize)]
pub struct SeenView {
    /// File.
    pub source: String,
    /// Line.
    pub line: Option<u32>,
    /// The line itself.
    pub text: String,
}

/// A cause that cannot be decided.
#[derive(Debug, Clone, Serialize)]
pub struct UndeterminedView {
    /// Id.
    pub id: String,
    /// Facts and logs that would tell.
    pub missing: Vec<String>,
    /// Why they are missing.
    pub why: String,
}

/// The next thing to collect.
#[derive(Debug, Clone, Serialize)]
pub struct NextView {
    /// Command.
    pub command: String,
    /// Ids it would help to decide.
    pub would_decide: Vec<String>,
}

/// A problem.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemView {
    /// Host it concerns, then file and line.
    pub source: String,
    /// What is wrong.
    pub what: String,
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Stats {
    /// Files.
    pub files: u64,
    /// Bytes, decompressed.
    pub bytes: u64,
    /// Lines of logs.
    pub lines: u64,
    /// Log lines and records that matched.
    pub events: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Builds the view.
pub fn report(
    rules: Rules,
    stack: &Stack,
    diagnosis: &Diagnosis,
    problems: Vec<Problem>,
    stats: Stats,
) -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), rules },
        hosts: stack.hosts.iter().filter(|h| h.collected()).map(host).collect(),
        causes: causes(&diagnosis.causes),
        suspected: causes(&diagnosis.suspected),
        advice: diagnosis.advice.iter().map(advice).collect(),
        undetermined: diagnosis.undetermined.iter().map(undetermined).collect(),
        next_evidence: diagnosis.next_evidence.iter().map(next).collect(),
        analyses: Analyses::of(stack, diagnosis),
        problems: problems
            .into_iter()
            .map(|p| ProblemView { source: p.source, what: p.what })
            .collect(),
        stats,
    }
}

fn text(host: &Host, fact: &str) -> String {
    host.facts.first(fact).map(|f| f.value.to_string()).unwrap_or_default()
}

fn host(host: &Host) -> HostView {
    let hypervisor = host.boot_line("hypervisor");
    let hypervisor = hypervisor.and_then(|e| e.fields.get("value").cloned());
    HostView {
        id: host.id.clone(),
        layer: host.layer.to_string(),
        name: host.name().to_owned(),
        platform: Platform {
            vendor: text(host, "platform.vendor"),
            product: text(host, "platform.product"),
            hypervisor: hypervisor.unwrap_or_else(|| text(host, "lscpu.hypervisor_vendor")),
            nesting: nesting(host),
        },
        kernel: text(host, "kernel.release"),
        source: host.source.clone(),
    }
}

/// Whether guests of the machine could nest, as far as its own settings tell.
fn nesting(host: &Host) -> &'static str {
    let answers = host.facts.first("devkvm.api_version").is_some();
    match (host.facts.bool("virt.flag"), host.facts.bool("kvm.nested")) {
        // A pagetable-based back end: KVM answers, though the CPU shows no flag.
        (Some(false), _) if answers => "software",
        (_, Some(true)) => "on",
        (_, Some(false)) | (Some(false), None) => "off",
        _ => "unknown",
    }
}

fn causes(causes: &[model::Cause]) -> Vec<CauseView> {
    causes.iter().enumerate().map(|(i, c)| cause(i + 1, c)).collect()
}

fn cause(rank: usize, cause: &model::Cause) -> CauseView {
    CauseView {
        rank,
        id: cause.id.clone(),
        title: cause.title.clone(),
        layer: cause.layer.to_string(),
        host: (!cause.host.is_empty()).then(|| cause.host.clone()),
        severity: cause.severity.word(),
        confidence: cause.confidence(),
        evidence: cause.evidence.iter().map(evidence).collect(),
        explains: cause.explains.iter().map(explained).collect(),
        why: cause.why.clone(),
        remedy: cause.remedy.iter().map(remedy).collect(),
        references: cause.references.clone(),
    }
}

fn evidence(evidence: &model::Evidence) -> EvidenceView {
    EvidenceView {
        host: evidence.host.clone(),
        source: evidence.origin.source.clone(),
        line: evidence.origin.line,
        text: evidence.origin.text.clone(),
        weight: evidence.weight.word(),
        says: evidence.says.clone(),
    }
}

fn explained(explained: &model::Explained) -> ExplainedView {
    ExplainedView {
        id: explained.id.clone(),
        title: explained.title.clone(),
        host: explained.host.clone(),
        layer: explained.layer.to_string(),
    }
}

fn remedy(remedy: &model::Remedy) -> RemedyView {
    RemedyView {
        text: remedy.text.clone(),
        commands: remedy.commands.clone(),
        risk: remedy.risk.clone(),
    }
}

fn advice(advice: &model::Advice) -> AdviceView {
    let seen = |origin: &model::Origin| SeenView {
        source: origin.source.clone(),
        line: origin.line,
        text: origin.text.clone(),
    };
    AdviceView {
        id: advice.id.clone(),
        kind: advice.kind.word(),
        title: advice.title.clone(),
        layer: advice.layer.to_string(),
        host: advice.host.clone(),
        evidence: advice.seen.iter().map(seen).collect(),
        why: advice.why.clone(),
        costs: advice.costs.clone(),
        remedy: advice.remedy.iter().map(remedy).collect(),
        references: advice.references.clone(),
    }
}

fn undetermined(undetermined: &model::Undetermined) -> UndeterminedView {
    UndeterminedView {
        id: undetermined.id.clone(),
        missing: undetermined.missing.clone(),
        why: undetermined.why.clone(),
    }
}

fn next(next: &model::NextEvidence) -> NextView {
    NextView { command: next.command.clone(), would_decide: next.would_decide.clone() }
}
