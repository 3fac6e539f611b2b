//! Failed VM entries.

use serde::Serialize;

use crate::model::Host;

/// A failed VM entry.
#[derive(Debug, Clone, Serialize)]
pub struct VmEntry {
    /// File.
    pub source: String,
    /// Line.
    pub line: Option<u32>,
    /// `intel` or `amd`.
    pub vendor: String,
    /// The number.
    pub error: ErrorNumber,
}

/// An error number in the words of the manual.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorNumber {
    /// As it was printed.
    pub raw: String,
    /// What it means.
    pub meaning: String,
}

/// The failed VM entries of a host.
pub(super) fn of(host: &Host) -> Vec<VmEntry> {
    let meanings = host.facts.all("vmentry.meaning").iter();
    meanings
        .filter_map(|fact| {
            let raw = fact.instance.clone()?;
            let vendor = host.facts.of("vmentry.vendor", &raw).map(|f| f.value.to_string());
            Some(VmEntry {
                source: fact.origin.source.clone(),
                line: fact.origin.line,
                vendor: vendor.unwrap_or_default(),
                error: ErrorNumber { raw, meaning: fact.value.to_string() },
            })
        })
        .collect()
}
