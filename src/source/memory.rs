//! Files that are in memory already.

use std::collections::BTreeMap;

use super::deliver::Delivery;
use super::layout::Decider;
use super::limits::Limits;
use super::manifest::Manifest;
use super::{Sink, Source, Stats, Wanted};

/// Files by their path. They are treated like those of a directory.
#[derive(Debug)]
pub struct Memory {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
    manifest: Option<Manifest>,
}

impl Memory {
    /// A source of these files.
    pub fn new(name: &str, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { name: name.to_owned(), files, manifest: None }
    }
}

impl Source for Memory {
    fn visit(&mut self, wanted: &Wanted, sink: &mut dyn Sink) -> Stats {
        let layout = Decider::decide(self.files.keys().map(String::as_str));
        let mut delivery = Delivery::new(wanted, sink, Limits::DEFAULT);
        for (found, bytes) in &self.files {
            let role = delivery.role(&layout, found);
            if let Some(fault) = delivery.file(role, found, false, &mut bytes.as_slice()) {
                delivery.problem(found, fault);
            }
        }
        self.manifest = delivery.manifest;
        delivery.stats
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }
}
