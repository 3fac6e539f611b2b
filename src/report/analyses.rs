//! The measurements that causes rest on, as the report shows them: one file per key.
//!
//! Built from facts alone. To add one: write `src/report/analyses/<key>.rs` and its field here.

use serde::Serialize;

use crate::model::Stack;

mod iommu;
mod vmentry;

/// Measurements.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Analyses {
    /// IOMMU groups with devices that guests are given, or want.
    pub iommu: Vec<iommu::IommuGroup>,
    /// Failed VM entries, decoded.
    pub vmentry: Vec<vmentry::VmEntry>,
}

impl Analyses {
    /// The measurements of a stack.
    pub fn of(stack: &Stack) -> Self {
        Self {
            iommu: stack.hosts.iter().flat_map(iommu::of).collect(),
            vmentry: stack.hosts.iter().flat_map(vmentry::of).collect(),
        }
    }
}
