//! Hosts and the stack they form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::event::{Event, Events};
use super::fact::{Facts, Origin, Value};
use super::gap::{Gap, GapReason};
use super::log::Writer;

/// A layer of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The physical host.
    L0,
    /// A guest of L0 that is, or wants to be, a hypervisor itself.
    L1,
    /// A guest of L1.
    L2,
    /// The path between the layers.
    Network,
    /// Not known from the evidence.
    Unknown,
}

impl Layer {
    /// The layer that hosts this one.
    pub fn below(self) -> Option<Self> {
        match self {
            Self::L1 => Some(Self::L0),
            Self::L2 => Some(Self::L1),
            _ => None,
        }
    }

    /// `l0`, `l1`, `l2` in either case.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "l0" => Some(Self::L0),
            "l1" => Some(Self::L1),
            "l2" => Some(Self::L2),
            "network" => Some(Self::Network),
            _ => None,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::Network => "network",
            Self::Unknown => "unknown",
        })
    }
}

/// One machine of the stack.
#[derive(Debug, Clone)]
pub struct Host {
    /// Stable name inside the report, e.g. `l1` or `host-2`.
    pub id: String,
    /// The layer it sits in.
    pub layer: Layer,
    /// Index in the stack of the host that it is known to run on.
    pub carrier: Option<usize>,
    /// The input it was read from; empty for a layer that must exist but was not collected.
    pub source: String,
    /// What is known of it.
    pub facts: Facts,
    /// What its logs say.
    pub events: Events,
    /// The writers whose logs were read: silence of any other writer proves nothing.
    pub heard: BTreeSet<Writer>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// Facts that are missing because a file they are read from is one of the gaps.
    pub fact_gaps: BTreeMap<&'static str, GapReason>,
}

impl Host {
    /// A host of which nothing is known yet.
    pub fn new(id: impl Into<String>, layer: Layer, source: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            layer,
            carrier: None,
            source: source.into(),
            facts: Facts::default(),
            events: Events::default(),
            heard: BTreeSet::new(),
            gaps: Vec::new(),
            fact_gaps: BTreeMap::new(),
        }
    }

    /// Whether evidence of this host was read at all.
    pub fn collected(&self) -> bool {
        !self.source.is_empty()
    }

    /// The first line in which its kernel says a thing about itself at boot: the event of kind
    /// `boot` with this `what`.
    pub fn boot_line(&self, what: &str) -> Option<&Event> {
        self.events.of("boot").iter().find(|e| e.fields.get("what").is_some_and(|w| w == what))
    }

    /// Its own name, as far as it is known: as it is configured before as `uname` prints it.
    pub fn name(&self) -> &str {
        let names = self.facts.all("host.name");
        let configured = names.iter().find(|f| f.origin.source.contains("hostname"));
        match configured.or(names.first()).map(|f| &f.value) {
            Some(Value::Text(name)) => name,
            _ => "",
        }
    }
}

/// The machines of one patient, L0 first.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// In the order L0, L1, L2, unknown.
    pub hosts: Vec<Host>,
    /// What happened when, in all layers.
    pub timeline: Vec<Moment>,
}

impl Stack {
    /// The hosts that a host may run on: the one it is known to run on, or else all of the layer
    /// below it.
    pub fn below(&self, index: usize) -> Vec<usize> {
        let Some(host) = self.hosts.get(index) else { return Vec::new() };
        match (host.carrier, host.layer.below()) {
            (Some(carrier), _) => vec![carrier],
            (None, Some(below)) => {
                (0..self.hosts.len()).filter(|i| self.hosts[*i].layer == below).collect()
            }
            (None, None) => Vec::new(),
        }
    }

    /// The hosts that may run on a host: the other way round.
    pub fn above(&self, index: usize) -> Vec<usize> {
        (0..self.hosts.len()).filter(|i| *i != index && self.below(*i).contains(&index)).collect()
    }
}

/// Something that a host logged, at a time that can be compared across hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since the Unix epoch, on the clock of the lowest host.
    pub at: i64,
    /// Index of the host that logged it.
    pub host: usize,
    /// Id of the symptom, or name of the record kind.
    pub kind: String,
    /// The line.
    pub origin: Origin,
}
