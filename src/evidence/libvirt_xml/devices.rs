//! The guest's devices: the emulator that makes them, what backs the disks, how many are the
//! host's own.

use roxmltree::Node;

use super::{Reader, domain};
use crate::model::{FactDef, Kind, Value};
use crate::parse::xml::child;

pub(super) const FACTS: &[FactDef] = &[
    domain("domain.emulator", Kind::Text, "Path of the QEMU binary"),
    domain("domain.disks", Kind::Words, "Files and devices that back the disks"),
    domain("domain.hostdevs", Kind::Int, "Number of assigned host devices"),
];

impl Reader<'_, '_> {
    pub(super) fn devices(&mut self, domain: Node<'_, '_>) {
        let Some(devices) = child(domain, "devices") else { return };
        if let Some(emulator) = child(devices, "emulator") {
            self.text("domain.emulator", emulator.text(), emulator);
        }
        let elements = |name| devices.children().filter(move |c| c.has_tag_name(name));
        let source = |disk| {
            let source: Node<'_, '_> = child(disk, "source")?;
            source.attribute("file").or_else(|| source.attribute("dev"))
        };
        let disks: Vec<&str> = elements("disk").filter_map(source).collect();
        if let Some(first) = elements("disk").find(|d| source(*d).is_some()) {
            self.fact("domain.disks", Value::words(disks), first);
        }
        let assigned = elements("hostdev").count();
        let first = elements("hostdev").next();
        if self.piece.whole || assigned > 0 {
            let count = i64::try_from(assigned).unwrap_or(i64::MAX);
            self.fact("domain.hostdevs", Value::Int(count), first.unwrap_or(devices));
        }
    }
}
