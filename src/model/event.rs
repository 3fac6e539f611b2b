//! Events: what a log line or a structured record said, once it is known who wrote it.

use std::collections::{BTreeMap, BTreeSet};

use super::fact::Origin;
use super::log::{Stamp, Writer};

/// One matched log line or record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Id of the symptom rule, or name of the record kind (`apparmor`, `selinux`).
    pub kind: String,
    /// Where it stands.
    pub origin: Origin,
    /// When it was written.
    pub stamp: Option<Stamp>,
    /// Who wrote it.
    pub writer: Writer,
    /// Named parts of the line: a signature's captures, a record's keys.
    pub fields: BTreeMap<String, String>,
    /// Two events of one kind and key are one event that was logged twice.
    pub key: Option<String>,
}

/// What a record parser made of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The record's keys and decoded values.
    pub fields: BTreeMap<String, String>,
    /// Identity of the record across the places it is logged in.
    pub key: Option<String>,
}

/// A kind of structured line, such as an AppArmor denial, that evidence declares.
#[derive(Debug, Clone, Copy)]
pub struct RecordParser {
    /// Name that rules use: `record: apparmor`.
    pub kind: &'static str,
    /// One line: what it is and where its grammar is written down.
    pub doc: &'static str,
    /// Field names a rule may ask for.
    pub fields: &'static [&'static str],
    /// A line without any of these is none of ours; ASCII case is ignored.
    pub literals: &'static [&'static str],
    /// Who writes such lines.
    pub writers: &'static [Writer],
    /// The message, after the log prefix, to a record.
    pub parse: fn(&str) -> Option<Record>,
}

/// Events of one kind that are kept whole per host; what is beyond is only counted.
pub const KEPT: usize = 512;

/// The events of one host.
#[derive(Debug, Clone, Default)]
pub struct Events {
    by_kind: BTreeMap<String, (Vec<Event>, u64)>,
    keys: BTreeSet<(String, String)>,
}

impl Events {
    /// Adds an event unless its key was seen already.
    pub fn add(&mut self, event: Event) {
        if let Some(key) = &event.key
            && !self.keys.insert((event.kind.clone(), key.clone()))
        {
            return;
        }
        let (kept, total) = self.by_kind.entry(event.kind.clone()).or_default();
        *total += 1;
        if kept.len() < KEPT {
            kept.push(event);
        }
    }

    /// Kept events of a kind, in the order they were added.
    pub fn of(&self, kind: &str) -> &[Event] {
        self.by_kind.get(kind).map_or(&[], |(kept, _)| kept.as_slice())
    }

    /// How many there were, kept or not.
    pub fn count(&self, kind: &str) -> u64 {
        self.by_kind.get(kind).map_or(0, |(_, total)| *total)
    }

    /// All kept events, by kind.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.by_kind.values().flat_map(|(kept, _)| kept)
    }

    /// How many events there were of all kinds.
    pub fn total(&self) -> u64 {
        self.by_kind.values().map(|(_, total)| total).sum()
    }
}
