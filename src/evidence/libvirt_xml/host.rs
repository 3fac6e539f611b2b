//! What libvirt believes the host can do: `virsh capabilities`.

use roxmltree::Node;

use super::Reader;
use crate::model::{FactDef, Kind, Value};
use crate::parse::xml::child;

pub(super) const FACTS: &[FactDef] = &[FactDef {
    name: "libvirt.domain_types",
    kind: Kind::Words,
    per: "architecture",
    doc: "Domain types that libvirt offers for guests of an architecture, e.g. kvm qemu",
    command: "virsh capabilities",
}];

impl Reader<'_, '_> {
    pub(super) fn capabilities(&mut self, root: Node<'_, '_>) {
        for guest in root.children().filter(|c| c.has_tag_name("guest")) {
            let Some(arch) = child(guest, "arch") else { continue };
            let Some(name) = arch.attribute("name") else { continue };
            let types = arch.children().filter(|c| c.has_tag_name("domain"));
            let types: Vec<&str> = types.filter_map(|d| d.attribute("type")).collect();
            if !types.is_empty() {
                let origin = self.origin(arch);
                self.out.fact_of("libvirt.domain_types", name, Value::words(types), origin);
            }
        }
    }
}
