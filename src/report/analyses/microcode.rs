//! Microcode: what runs, what is installed, what was released.

use serde::Serialize;

use crate::model::Host;

/// The microcode of a host. Numbers are hexadecimal, as the kernel prints them.
#[derive(Debug, Clone, Serialize)]
pub struct Microcode {
    /// Id of the host.
    pub host: String,
    /// Processor signature, EAX of CPUID leaf 1.
    pub signature: String,
    /// Intel's platform as a mask.
    #[serde(rename = "platform_mask")]
    pub platforms: Option<String>,
    /// Revision that runs.
    pub running: Option<String>,
    /// Newest installed revision that fits.
    pub installed: Option<Revision>,
    /// Newest released revision that fits.
    pub baseline: Option<Revision>,
    /// What the baseline was made from.
    pub baseline_source: Option<String>,
    /// `below`, `current`, `above`, or why there is no judgement.
    pub verdict: String,
}

/// A revision.
#[derive(Debug, Clone, Serialize)]
pub struct Revision {
    /// Its number.
    pub revision: String,
    /// Its date, where it is known.
    pub date: Option<String>,
}

/// The microcode of a host whose processor is known.
pub(super) fn of(host: &Host) -> Option<Microcode> {
    let text = |name: &str| host.facts.text(name).map(str::to_owned);
    let revision = |number: &str, date: &str| {
        text(number).map(|revision| Revision { revision, date: text(date) })
    };
    Some(Microcode {
        host: host.id.clone(),
        signature: text("microcode.signature")?,
        platforms: text("microcode.platforms"),
        running: text("microcode.running"),
        installed: revision("microcode.installed_revision", "microcode.installed_date"),
        baseline: revision("microcode.baseline_revision", "microcode.baseline_date"),
        baseline_source: text("microcode.baseline_source"),
        verdict: text("microcode.verdict")?,
    })
}
