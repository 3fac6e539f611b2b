//! The measurements that causes rest on, as the report shows them: one file per key.
//!
//! Built from facts alone. To add one: write `src/report/analyses/<key>.rs` and its field here.

use serde::Serialize;

use crate::model::{Diagnosis, Stack};

mod iommu;
pub mod microcode;
mod timeline;
mod vmentry;

/// Measurements.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Analyses {
    /// What happened around a failure, in all layers.
    pub timeline: Vec<timeline::TimelineEntry>,
    /// IOMMU groups with devices that guests are given, or want.
    pub iommu: Vec<iommu::IommuGroup>,
    /// Microcode of the hosts whose processor is known.
    pub microcode: Vec<microcode::Microcode>,
    /// Failed VM entries, decoded.
    pub vmentry: Vec<vmentry::VmEntry>,
}

impl Analyses {
    /// The measurements of a stack, and of what was concluded.
    pub fn of(stack: &Stack, diagnosis: &Diagnosis) -> Self {
        Self {
            timeline: timeline::of(stack, diagnosis),
            microcode: stack.hosts.iter().filter_map(microcode::of).collect(),
            iommu: stack.hosts.iter().flat_map(iommu::of).collect(),
            vmentry: stack.hosts.iter().flat_map(vmentry::of).collect(),
        }
    }
}
