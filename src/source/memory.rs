//! Files that are in memory already.

use std::collections::BTreeMap;

use super::deliver::Delivery;
use super::limits::Limits;
use super::manifest::Manifest;
use super::survey::Survey;
use super::{Sink, Source, Stats, Wanted};

/// Files and links by their path. They are treated like those of a directory.
#[derive(Debug)]
pub struct Memory {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
    manifest: Option<Manifest>,
}

impl Memory {
    /// A source of these files.
    pub fn new(name: &str, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { name: name.to_owned(), files, links: BTreeMap::new(), manifest: None }
    }

    /// Adds symbolic links with their targets. What they lead to is not delivered for them.
    #[must_use]
    pub fn with_links(mut self, links: BTreeMap<String, String>) -> Self {
        self.links = links;
        self
    }
}

impl Source for Memory {
    fn visit(&mut self, wanted: &Wanted, sink: &mut dyn Sink) -> Stats {
        let layout = Survey::layout(self.files.keys().chain(self.links.keys()).map(String::as_str));
        let mut delivery = Delivery::new(wanted, sink, Limits::DEFAULT);
        for (found, bytes) in &self.files {
            let role = delivery.role(&layout, found);
            if let Some(fault) = delivery.file(role, found, false, &mut bytes.as_slice()) {
                delivery.problem(found, fault);
            }
        }
        for (found, target) in &self.links {
            delivery.link(&layout, found, target);
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
