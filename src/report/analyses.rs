//! The measurements that causes rest on, as the report shows them: one file per key.
//!
//! Built from facts alone. To add one: write `src/report/analyses/<key>.rs` and its field here.

use serde::Serialize;

use crate::model::Stack;

pub mod microcode;
mod vmentry;

/// Measurements.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Analyses {
    /// Microcode of the hosts whose processor is known.
    pub microcode: Vec<microcode::Microcode>,
    /// Failed VM entries, decoded.
    pub vmentry: Vec<vmentry::VmEntry>,
}

impl Analyses {
    /// The measurements of a stack.
    pub fn of(stack: &Stack) -> Self {
        Self {
            microcode: stack.hosts.iter().filter_map(microcode::of).collect(),
            vmentry: stack.hosts.iter().flat_map(vmentry::of).collect(),
        }
    }
}
