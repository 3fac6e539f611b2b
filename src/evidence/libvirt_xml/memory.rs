//! The guest's RAM and what backs it.

use roxmltree::Node;

use super::{Reader, domain};
use crate::model::{FactDef, Kind, Value};
use crate::parse::xml::{self, child, descend};

pub(super) const FACTS: &[FactDef] = &[
    domain("domain.memory_kib", Kind::Int, "Largest memory of the guest, KiB"),
    domain("domain.hugepages", Kind::Bool, "Whether guest RAM is backed by huge pages"),
];

impl Reader<'_, '_> {
    pub(super) fn memory(&mut self, domain: Node<'_, '_>) {
        if let Some(memory) = child(domain, "memory") {
            match kib(memory) {
                Some(kib) => self.fact("domain.memory_kib", Value::Int(kib), memory),
                None => self.broken(memory, "the memory size is not understood"),
            }
        }
        match descend(domain, &["memoryBacking", "hugepages"]) {
            Some(pages) => self.fact("domain.hugepages", Value::Bool(true), pages),
            None if self.piece.whole => self.fact("domain.hugepages", Value::Bool(false), domain),
            None => {}
        }
    }
}

/// A size with its unit, in KiB. Units as in libvirt's documentation: KiB where none is given.
fn kib(node: Node<'_, '_>) -> Option<i64> {
    let size: i64 = xml::text(node)?.parse().ok()?;
    let bytes: i64 = match node.attribute("unit").unwrap_or("KiB") {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "k" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "G" | "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    size.checked_mul(bytes).map(|b| b >> 10)
}
