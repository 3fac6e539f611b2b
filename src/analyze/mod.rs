//! Derived facts: what follows from several facts, files or layers.
//!
//! One file or folder per subject, each with the facts it makes. An analyzer computes and compares; it never
//! concludes that something is a cause: that is said in a rule. A derived fact carries the origin
//! of the fact that decided it.
//!
//! What is known of many revisions or kernels stands in tables (`rules/tables/*.tsv`) that an
//! analyzer looks up: [`microcode`] the newest released microcode and the revisions that were
//! withdrawn, [`kernel_bugs`] the versions that a bug of KVM is in.
//!
//! To add one: write `src/analyze/<subject>.rs`, then its `mod` line and its entry in [`ALL`].
//! Analyzers run in the order of the table; a later one may read what an earlier one made.

use crate::model::{Fact, FactDef, Host, Layer, Origin, Stack, Value};

pub mod access;
pub mod cpu;
pub mod cpu_stack;
pub mod exits;
pub mod features;
pub mod heat;
pub mod hosting;
pub mod iommu;
pub mod kernel_bugs;
pub mod kvm_state;
pub mod layers;
pub mod memory;
pub mod microcode;
pub mod network;
pub mod platform;
pub mod steal;
#[cfg(test)]
mod testing;
pub mod timeline;
pub mod tuning;
pub mod vmentry;
mod vmx;

/// A subject.
#[derive(Clone, Copy)]
pub struct Analyzer {
    /// Its name: that of the file it is written in.
    pub name: &'static str,
    /// The facts it makes.
    pub facts: &'static [FactDef],
    /// Derives facts.
    pub run: Run,
}

/// What an analyzer looks at.
#[derive(Clone, Copy)]
pub enum Run {
    /// One host by itself; runs before layers are known.
    Host(fn(&Host) -> Vec<Fact>),
    /// All hosts, in their layers. Each fact comes with the index of the host it is one of.
    Stack(fn(&Stack) -> Vec<(usize, Fact)>),
}

/// All analyzers, in the order they run: those of single hosts first, then those of the stack.
pub const ALL: &[Analyzer] = &[
    platform::ANALYZER,
    kvm_state::ANALYZER,
    kernel_bugs::ANALYZER,
    access::ANALYZER,
    vmentry::ANALYZER,
    features::ANALYZER,
    timeline::ANALYZER,
    memory::ANALYZER,
    memory::STACK,
    cpu::ANALYZER,
    steal::ANALYZER,
    exits::ANALYZER,
    heat::ANALYZER,
    tuning::ANALYZER,
    network::tunnels::ANALYZER,
    network::bridges::ANALYZER,
    network::subnets::ANALYZER,
    network::capture::ANALYZER,
    network::path::ANALYZER,
    network::filters::ANALYZER,
    network::identity::ANALYZER,
    iommu::ANALYZER,
    microcode::ANALYZER,
    cpu_stack::ANALYZER,
    hosting::ANALYZER,
];

/// Derives all facts and orders the hosts into layers. `given` holds the layers the user named.
pub fn analyze(mut hosts: Vec<Host>, given: &[Option<Layer>]) -> Stack {
    for host in &mut hosts {
        for analyzer in ALL {
            let Run::Host(run) = analyzer.run else { continue };
            for fact in run(host) {
                host.facts.add(fact);
            }
        }
    }
    let mut stack = layers::stack(hosts, given);
    for analyzer in ALL {
        let Run::Stack(run) = analyzer.run else { continue };
        for (index, fact) in run(&stack) {
            if let Some(host) = stack.hosts.get_mut(index) {
                host.facts.add(fact);
            }
        }
    }
    stack.timeline = timeline::timeline(&stack);
    stack
}

/// A derived fact of the host.
fn derived(name: &'static str, value: Value, origin: &Origin) -> Fact {
    Fact { name, instance: None, value, origin: origin.clone() }
}

/// A derived fact of one of several.
fn derived_of(name: &'static str, instance: &str, value: Value, origin: &Origin) -> Fact {
    Fact { name, instance: Some(instance.to_owned()), value, origin: origin.clone() }
}
