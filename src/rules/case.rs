//! The tests that a rule file carries: input files inline, and what must come of them.
//!
//! ```yaml
//! tests:
//!   - name: fires when the parameter is N
//!     machine: l1-kvm-guest            # optional: the files of rules/machines/<name>.yaml
//!     files: { etc/hostname: "a\n", proc/cpuinfo: null }   # added, replaced, or (null) removed
//!     expect: fires                    # fires, silent, unknown
//!   - name: cannot tell without L0
//!     layers: { l0: { machine: ..., files: ... }, l1: { ... } }
//!     expect: unknown
//! ```
//! A test goes through the whole pipeline, from bytes to ranking.

use std::collections::BTreeMap;

use super::node::{Node, Position, Yaml};
use super::read::{Map, Reader};
use crate::model::Layer;

/// What a test expects of its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Symptom: seen. Cause: reported.
    Fires,
    /// Symptom: not seen. Cause: neither reported nor undetermined.
    Silent,
    /// Cause: not reported, but named among the undetermined.
    Unknown,
}

impl Expect {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Fires, "fires"), (Self::Silent, "silent"), (Self::Unknown, "unknown")];
}

/// Files by canonical path; `None` removes one of the machine's.
pub type Files = BTreeMap<String, Option<String>>;

/// A machine that tests start from: `rules/machines/<name>.yaml`.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Its files.
    pub files: Files,
}

/// One input of a test.
#[derive(Debug, Clone)]
pub struct Input {
    /// The layer it is given as; `None`: left to be detected.
    pub layer: Option<Layer>,
    /// Machine it starts from.
    pub machine: Option<(Position, String)>,
    /// Its own files.
    pub files: Files,
}

impl Input {
    /// The files of the input: the machine's, changed by its own.
    pub fn tree(&self, machines: &BTreeMap<String, Machine>) -> BTreeMap<String, Vec<u8>> {
        let machine = self.machine.as_ref().and_then(|(_, name)| machines.get(name));
        let mut files = machine.map(|m| m.files.clone()).unwrap_or_default();
        files.extend(self.files.clone());
        files.into_iter().filter_map(|(path, text)| Some((path, text?.into_bytes()))).collect()
    }
}

/// A test.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub at: Position,
    /// What is given.
    pub inputs: Vec<Input>,
    /// What must come of it.
    pub expect: Expect,
}

/// Reads `tests:`.
pub fn read_cases(reader: &mut Reader<'_>, map: &mut Map) -> Vec<Case> {
    let Some(node) = map.need(reader, "tests") else { return Vec::new() };
    let items = reader.list(node);
    items.into_iter().filter_map(|n| read_case(reader, n)).collect()
}

fn read_case(reader: &mut Reader<'_>, node: Node) -> Option<Case> {
    let mut map = reader.map(node, "a test")?;
    let at = map.at;
    let name = map.need_text(reader, "name");
    let expect =
        map.need(reader, "expect").and_then(|n| reader.word(&n, "expectation", Expect::ALL));
    let inputs = match map.take("layers") {
        Some(layers) => read_layers(reader, layers),
        None => vec![read_input(reader, &mut map, None)],
    };
    map.finish(reader);
    Some(Case { name, at, inputs, expect: expect? })
}

fn read_layers(reader: &mut Reader<'_>, node: Node) -> Vec<Input> {
    let Some(map) = reader.map(node, "`layers`") else { return Vec::new() };
    let mut inputs = Vec::new();
    for (at, name, node) in map.rest() {
        let Some(layer) = Layer::named(&name) else {
            reader.unknown(at, "layer", &name, ["l0", "l1", "l2"]);
            continue;
        };
        if let Some(mut map) = reader.map(node, "a layer") {
            inputs.push(read_input(reader, &mut map, Some(layer)));
            map.finish(reader);
        }
    }
    inputs
}

fn read_input(reader: &mut Reader<'_>, map: &mut Map, layer: Option<Layer>) -> Input {
    let machine = map.take("machine").and_then(|n| reader.text(&n, "machine").map(|t| (n.at, t)));
    let files = map.take("files").map(|n| read_files(reader, n)).unwrap_or_default();
    Input { layer, machine, files }
}

fn read_files(reader: &mut Reader<'_>, node: Node) -> Files {
    let Some(map) = reader.map(node, "`files`") else { return Files::new() };
    let mut files = Files::new();
    for (_, path, node) in map.rest() {
        if node.value == Yaml::Null {
            files.insert(path, None);
        } else if let Some(text) = reader.text(&node, "a file") {
            files.insert(path, Some(text));
        }
    }
    files
}

/// Reads a machine's map.
pub fn read_machine(reader: &mut Reader<'_>, map: &mut Map) -> Machine {
    map.need_text(reader, "title");
    let files = map.need(reader, "files").map(|n| read_files(reader, n)).unwrap_or_default();
    Machine { files }
}
