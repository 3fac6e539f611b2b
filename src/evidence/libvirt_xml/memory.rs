//! The guest's RAM and what backs it: `<memory>`, `<memoryBacking>`, `<numatune>` and the cells of
//! `<cpu><numa>` (<https://libvirt.org/formatdomain.html#memory-allocation>). Limits and locking
//! come with assigned devices.
//!
//! `<numatune>` binds only with mode strict, which is also what it means without a mode; `preferred`
//! and `interleave` are wishes.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::{Reader, domain};
use crate::model::{FactDef, Kind, Value};
use crate::parse::xml::{self, child, descend};

pub(super) const FACTS: &[FactDef] = &[
    domain("domain.memory_kib", Kind::Int, "Largest memory of the guest, KiB"),
    domain(
        "domain.current_memory_kib",
        Kind::Int,
        "Memory that the balloon leaves to the guest, KiB",
    ),
    domain("domain.hugepages", Kind::Bool, "Whether guest RAM is backed by huge pages"),
    domain(
        "domain.hugepage_kib",
        Kind::Int,
        "Size of these huge pages, KiB; none where libvirt takes the host's default",
    ),
    domain("domain.memory_source", Kind::Text, "What backs guest RAM: anonymous, file or memfd"),
    FactDef::per(
        "domain.node_ram_kib",
        Kind::Int,
        "domain/NUMA nodes",
        "Guest RAM that is bound to these NUMA nodes of the host, KiB",
        "virsh numatune NAME",
    ),
];

impl Reader<'_, '_> {
    pub(super) fn memory(&mut self, domain: Node<'_, '_>) {
        for (element, name) in
            [("memory", "domain.memory_kib"), ("currentMemory", "domain.current_memory_kib")]
        {
            let Some(node) = child(domain, element) else { continue };
            match kib(node) {
                Some(kib) => self.fact(name, Value::Int(kib), node),
                None => self.broken(node, "the memory size is not understood"),
            }
        }
        self.backing(domain);
        self.placement(domain);
    }

    fn backing(&mut self, domain: Node<'_, '_>) {
        let backing = child(domain, "memoryBacking");
        match backing.and_then(|b| child(b, "hugepages")) {
            Some(pages) => {
                self.fact("domain.hugepages", Value::Bool(true), pages);
                if let Some(page) = child(pages, "page") {
                    match size(page, page.attribute("size")) {
                        Some(kib) => self.fact("domain.hugepage_kib", Value::Int(kib), page),
                        None => self.broken(page, "the size of huge pages is not understood"),
                    }
                }
            }
            None if self.piece.whole => {
                self.fact("domain.hugepages", Value::Bool(false), domain);
            }
            None => {}
        }
        if let Some(source) = backing.and_then(|b| child(b, "source")) {
            self.text("domain.memory_source", source.attribute("type"), source);
        }
    }

    /// Which part of the RAM is bound to which nodes: each cell of its own, or all of it.
    fn placement(&mut self, domain: Node<'_, '_>) {
        let Some(tune) = child(domain, "numatune") else { return };
        let strict = |node: Node<'_, '_>| matches!(node.attribute("mode"), None | Some("strict"));
        let cells = descend(domain, &["cpu", "numa"]);
        let mut bound: BTreeMap<String, i64> = BTreeMap::new();
        let mut rest = child(domain, "memory").and_then(kib).unwrap_or_default();
        let nodes = tune.children().filter(|c| c.has_tag_name("memnode"));
        for node in nodes {
            let id = node.attribute("cellid");
            let cell = cells.and_then(|c| c.children().find(|c| c.attribute("id") == id));
            let size = cell.and_then(|c| size(c, c.attribute("memory")));
            let (Some(set), Some(kib)) = (node.attribute("nodeset"), size) else { continue };
            rest = rest.saturating_sub(kib);
            if strict(node) {
                let sum = bound.entry(set.to_owned()).or_default();
                *sum = sum.saturating_add(kib);
            }
        }
        if let Some(all) = child(tune, "memory").filter(|m| strict(*m) && rest > 0)
            && let Some(set) = all.attribute("nodeset")
        {
            let sum = bound.entry(set.to_owned()).or_default();
            *sum = sum.saturating_add(rest);
        }
        for (nodes, kib) in bound {
            let origin = self.origin(tune);
            let instance = format!("{}/{nodes}", self.name);
            self.out.fact_of("domain.node_ram_kib", &instance, Value::Int(kib), origin);
        }
    }
}

/// An element's text as a size, in KiB.
fn kib(node: Node<'_, '_>) -> Option<i64> {
    size(node, xml::text(node))
}

/// A size with the unit of its element, in KiB. Units as in libvirt's documentation: KiB where
/// none is given.
fn size(node: Node<'_, '_>, size: Option<&str>) -> Option<i64> {
    let size: i64 = size?.trim().parse().ok()?;
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

#[cfg(test)]
mod tests {
    use crate::evidence::libvirt_xml::SLICE;
    use crate::evidence::testing::read;

    fn of(body: &str) -> Vec<String> {
        let text = format!("<domain type='kvm'><name>a</name>{body}</domain>");
        let out = read(SLICE.parse, "etc/libvirt/qemu/a.xml", &text);
        let shown = |f: &crate::model::Fact| {
            format!("{} {} {}", f.name, f.instance.clone().unwrap_or_default(), f.value)
        };
        out.facts.iter().map(shown).collect()
    }

    #[track_caller]
    fn has(facts: &[String], wanted: &[&str]) {
        for fact in wanted {
            assert!(facts.iter().any(|f| f == fact), "{fact} is not in {facts:#?}");
        }
    }

    #[test]
    fn huge_pages_bound_as_a_whole() {
        let facts = of("<memory unit='GiB'>8</memory><currentMemory unit='GiB'>6</currentMemory>\
             <memoryBacking><hugepages><page size='1' unit='G'/></hugepages>\
             <source type='memfd'/></memoryBacking>\
             <numatune><memory mode='strict' nodeset='1'/></numatune>");
        has(
            &facts,
            &[
                "domain.current_memory_kib a 6291456",
                "domain.hugepage_kib a 1048576",
                "domain.memory_source a memfd",
                "domain.node_ram_kib a/1 8388608",
            ],
        );
    }

    #[test]
    fn cells_have_nodes_of_their_own() {
        let facts = of("<memory unit='GiB'>3</memory><cpu><numa>\
             <cell id='0' cpus='0-1' memory='1' unit='GiB'/>\
             <cell id='1' cpus='2-3' memory='2' unit='GiB'/></numa></cpu>\
             <numatune><memory mode='strict' nodeset='0-1'/>\
             <memnode cellid='0' mode='strict' nodeset='0'/>\
             <memnode cellid='1' mode='preferred' nodeset='1'/></numatune>");
        has(&facts, &["domain.node_ram_kib a/0 1048576"]);
        assert_eq!(facts.iter().filter(|f| f.starts_with("domain.node_ram")).count(), 1);
    }

    #[test]
    fn a_wish_binds_nothing() {
        let facts = of("<memory unit='GiB'>8</memory>\
             <numatune><memory mode='preferred' nodeset='1'/></numatune>");
        assert!(!facts.iter().any(|f| f.starts_with("domain.node_ram")), "{facts:?}");
    }
}
