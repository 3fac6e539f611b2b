//! The measurements that causes rest on, as the report shows them: one file per key.
//!
//! Built from facts alone. To add one: write `src/report/analyses/<key>.rs` and its field here.

use serde::Serialize;

use crate::model::Stack;

mod vmentry;

/// Measurements.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Analyses {
    /// Failed VM entries, decoded.
    pub vmentry: Vec<vmentry::VmEntry>,
}

impl Analyses {
    /// The measurements of a stack.
    pub fn of(stack: &Stack) -> Self {
        Self { vmentry: stack.hosts.iter().flat_map(vmentry::of).collect() }
    }
}
