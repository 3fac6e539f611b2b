//! The guests of a host.

use std::collections::BTreeMap;

use crate::model::{Fact, Host, Origin, Value};

/// A guest, as far as its memory is concerned.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    /// Its name, VM id or process id.
    pub(super) name: String,
    /// RAM at start, KiB.
    pub(super) ram_kib: i64,
    /// Whether the RAM lies in huge pages; `None` where that is not known.
    pub(super) huge: Option<bool>,
    /// Size of these pages, where it is said.
    pub(super) page_kib: Option<i64>,
    /// RAM that is bound to NUMA nodes, by list of nodes.
    pub(super) nodes: BTreeMap<String, i64>,
    /// Whether it runs; `None` where that is not known.
    pub(super) running: Option<bool>,
    /// Where its RAM was read.
    pub(super) origin: Origin,
}

/// All guests whose RAM is known, in the order of their names.
pub(super) fn of(host: &Host) -> Vec<Guest> {
    let mut guests: BTreeMap<&str, Guest> = BTreeMap::new();
    // What later places say replaces what earlier ones said: a command line is what was tried.
    for (name, factor) in
        [("guest.memory_kib", 1), ("domain.memory_kib", 1), ("qemu.memory_mib", 1024)]
    {
        for fact in host.facts.all(name) {
            let (Some(guest), Value::Int(amount)) = (fact.instance.as_deref(), &fact.value) else {
                continue;
            };
            let Some(ram_kib) = amount.checked_mul(factor) else { continue };
            let guest = Guest {
                name: guest.to_owned(),
                ram_kib,
                huge: bool_of(
                    host,
                    &["qemu.hugepages", "domain.hugepages", "guest.hugepages"],
                    guest,
                ),
                page_kib: int_of(
                    host,
                    &["qemu.hugepage_kib", "domain.hugepage_kib", "guest.hugepage_kib"],
                    guest,
                ),
                nodes: nodes(host, guest),
                running: running(host, guest),
                origin: fact.origin.clone(),
            };
            if let Some(fact) = fact.instance.as_deref() {
                guests.insert(fact, guest);
            }
        }
    }
    without_doubles(host, guests)
}

fn fact_of<'h>(host: &'h Host, names: &[&str], guest: &str) -> Option<&'h Fact> {
    names.iter().find_map(|name| host.facts.of(name, guest))
}

fn bool_of(host: &Host, names: &[&str], guest: &str) -> Option<bool> {
    match fact_of(host, names, guest)?.value {
        Value::Bool(value) => Some(value),
        _ => None,
    }
}

fn int_of(host: &Host, names: &[&str], guest: &str) -> Option<i64> {
    match fact_of(host, names, guest)?.value {
        Value::Int(value) => Some(value),
        _ => None,
    }
}

fn running(host: &Host, guest: &str) -> Option<bool> {
    let said = ["qemu.running", "domain.running", "pve.running", "guest.running"];
    if let Some(running) = bool_of(host, &said, guest) {
        return Some(running);
    }
    // libvirt keeps a file in its run-time folder only while the guest runs.
    let live = |f: &&Fact| {
        f.instance.as_deref() == Some(guest) && f.origin.source.contains("run/libvirt/qemu/")
    };
    host.facts.all("domain.memory_kib").iter().find(live).map(|_| true)
}

/// Bound RAM by list of nodes; what was tried counts before what is defined.
fn nodes(host: &Host, guest: &str) -> BTreeMap<String, i64> {
    for name in ["qemu.node_ram_kib", "domain.node_ram_kib"] {
        let mut nodes = BTreeMap::new();
        for fact in host.facts.all(name) {
            let place = fact.instance.as_deref().and_then(|i| i.rsplit_once('/'));
            if let (Some((owner, list)), Value::Int(kib)) = (place, &fact.value)
                && owner == guest
            {
                nodes.insert(list.to_owned(), *kib);
            }
        }
        if !nodes.is_empty() {
            return nodes;
        }
    }
    BTreeMap::new()
}

/// A process and a manager may name one guest differently (Proxmox VE by number, `ps` by name):
/// where processes of QEMU are listed, a running guest that no process has the name of is one of
/// them.
fn without_doubles(host: &Host, mut guests: BTreeMap<&str, Guest>) -> Vec<Guest> {
    let listed = host.facts.all("qemu.running");
    if !listed.is_empty() {
        guests.retain(|name, guest| {
            let own = host.facts.of("qemu.running", name).is_some();
            let process = host.facts.of("guest.running", name);
            let other_vmm = process.is_some_and(|f| f.origin.source.starts_with("commands/ps"));
            guest.running != Some(true) || own || other_vmm
        });
    }
    guests.into_values().collect()
}
