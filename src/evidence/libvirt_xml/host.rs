//! What libvirt believes the host can do: `virsh capabilities`.

use roxmltree::Node;

use super::Reader;
use crate::model::{FactDef, Kind, Value};
use crate::parse::xml::{self, child, descend};

pub(super) const FACTS: &[FactDef] = &[FactDef::per(
    "libvirt.domain_types",
    Kind::Words,
    "architecture",
    "Domain types that libvirt offers for guests of an architecture, e.g. kvm qemu",
    "virsh capabilities",
)];

impl Reader<'_, '_> {
    pub(super) fn capabilities(&mut self, root: Node<'_, '_>) {
        self.cells(root);
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

    /// `<host><topology><cells><cell id='0'><pages unit='KiB' size='2048'>512</pages>`: the pages
    /// a NUMA node has, in use or not.
    fn cells(&mut self, root: Node<'_, '_>) {
        let cells = descend(root, &["host", "topology", "cells"]);
        for cell in cells.iter().flat_map(Node::children).filter(|c| c.has_tag_name("cell")) {
            let Some(id) = cell.attribute("id") else { continue };
            for pages in cell.children().filter(|c| c.has_tag_name("pages")) {
                let size = pages.attribute("size").and_then(|s| s.parse::<i64>().ok());
                let count = xml::text(pages).and_then(|t| t.parse::<i64>().ok());
                // Pages of 4 KiB (64 on some ARM kernels) are the ordinary ones.
                if let (Some(size @ 65..), Some(count)) = (size, count) {
                    let origin = self.origin(pages);
                    let instance = format!("{id}/{size}");
                    let count = Value::Int(count);
                    self.out.fact_of("libvirt.node_hugepages", &instance, count, origin);
                }
            }
        }
    }
}
