//! NUMA nodes: their CPUs and memory.
//!
//! From /sys/devices/system/node (Documentation/ABI/stable/sysfs-devices-node) and
//! `numactl --hardware`, which prints sizes in MiB. nodeN/meminfo also holds the node's share of
//! the default huge page pool.
//!
//! Not parsed: distances, memory-side caches, numastat's hit and miss counters.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// NUMA nodes.
pub const SLICE: Slice = Slice { name: "numa", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/devices/system/node/online"),
    Want::file("sys/devices/system/node/node*/cpulist"),
    Want::file("sys/devices/system/node/node*/meminfo"),
    Want::command(
        "numactl-hardware",
        &["numactl", "--hardware"],
        &["sos_commands/numa/numactl_--hardware"],
    ),
    Want::output("numactl*"),
];

const fn node(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "NUMA node", doc, "numactl --hardware")
}

const FACTS: &[FactDef] = &[
    FactDef::new(
        "numa.online",
        Kind::Text,
        "NUMA nodes that are there, as a list such as 0-1",
        "cat /sys/devices/system/node/online",
    ),
    node("numa.cpus", Kind::Text, "CPUs of a node as a list such as 0-7,16-23"),
    node("numa.total_kib", Kind::Int, "Memory of a node, KiB"),
    node("numa.free_kib", Kind::Int, "Unused memory of a node, KiB"),
    node("numa.hugepages_total", Kind::Int, "Huge pages of the default size on a node"),
    node(
        "numa.hugepages_free",
        Kind::Int,
        "Huge pages of the default size on a node not handed out",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if piece.path.starts_with("commands/") {
        for (number, line) in complete(piece, &text) {
            hardware(piece, number, line, out);
        }
        return;
    }
    let Some(rest) = piece.path.strip_prefix("sys/devices/system/node/") else { return };
    let first = text.lines().next().unwrap_or_default().trim();
    match rest.strip_prefix("node").and_then(|r| r.split_once('/')) {
        // A node without CPUs has an empty list: memory only.
        Some((node, "cpulist")) if piece.whole => {
            let origin = Origin::new(piece.path, Some(1), first);
            out.fact_of("numa.cpus", node, Value::text(first), origin);
        }
        Some((node, "meminfo")) => {
            for (number, line) in complete(piece, &text) {
                meminfo(piece, node, number, line, out);
            }
        }
        _ if rest == "online" && !first.is_empty() => {
            out.fact("numa.online", Value::text(first), Origin::new(piece.path, Some(1), first));
        }
        _ => {}
    }
}

/// Lines; of a cut file without the last one, which may have lost digits.
fn complete<'t>(piece: Piece<'_>, text: &'t str) -> impl Iterator<Item = (u32, &'t str)> {
    let whole = if piece.whole { text } else { text.rsplit_once('\n').map_or("", |(t, _)| t) };
    lines(whole)
}

/// `Node 0 MemTotal:       33011204 kB`.
fn meminfo(piece: Piece<'_>, node: &str, number: u32, line: &str, out: &mut Out) {
    let mut words = line.split_whitespace().skip(2);
    let name = match words.next() {
        Some("MemTotal:") => "numa.total_kib",
        Some("MemFree:") => "numa.free_kib",
        Some("HugePages_Total:") => "numa.hugepages_total",
        Some("HugePages_Free:") => "numa.hugepages_free",
        _ => return,
    };
    match words.next().and_then(|w| w.parse().ok()) {
        Some(n) => {
            let origin = Origin::new(piece.path, Some(number), line);
            out.fact_of(name, node, Value::Int(n), origin);
        }
        None => out.problem(piece.path, Some(number), "the value is no number"),
    }
}

/// `node 0 size: 32237 MB`, `node 1 free: 13886 MB`, `node 0 cpus: 0 1 2`.
fn hardware(piece: Piece<'_>, number: u32, line: &str, out: &mut Out) {
    let Some((head, value)) = line.trim().split_once(':') else { return };
    let mut words = head.split_whitespace();
    if words.next() != Some("node") {
        return;
    }
    let Some(node) = words.next().filter(|n| n.parse::<u32>().is_ok()) else { return };
    let name = match words.next() {
        Some("size") => "numa.total_kib",
        Some("free") => "numa.free_kib",
        _ => return,
    };
    let mib = value.trim().strip_suffix("MB").and_then(|v| v.trim().parse::<i64>().ok());
    match mib.and_then(|m| m.checked_mul(1024)) {
        Some(kib) => {
            let origin = Origin::new(piece.path, Some(number), line);
            out.fact_of(name, node, Value::Int(kib), origin);
        }
        None => out.problem(piece.path, Some(number), "expected a size in MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{read, read_part, show_of as of};

    #[test]
    fn memory_and_huge_pages_of_a_node() {
        let text = "Node 1 MemTotal:       33011204 kB\nNode 1 MemFree: 100 kB\n\
                    Node 1 HugePages_Total:   726\nNode 1 HugePages_Free:    12\n";
        let path = "sys/devices/system/node/node1/meminfo";
        let out = read(parse, path, text);
        assert_eq!(of(&out, "numa.total_kib", "1").as_deref(), Some("33011204"));
        assert_eq!(of(&out, "numa.hugepages_free", "1").as_deref(), Some("12"));
        let cut = read_part(parse, path, text.trim_end(), false);
        assert_eq!(of(&cut, "numa.hugepages_free", "1"), None);
        let broken = read(parse, path, "Node 1 MemTotal: much kB\n");
        assert_eq!((broken.facts.len(), broken.problems.len()), (0, 1));
    }

    #[test]
    fn numactl_and_lists() {
        let text = "available: 2 nodes (0-1)\nnode 0 cpus: 0 1\nnode 0 size: 100 MB\n\
                    node 0 free: 50 MB\nnode distances:\nnode   0   1 \n  0:  10  21 \n";
        let out = read(parse, "commands/numactl-hardware.txt", text);
        assert_eq!(of(&out, "numa.total_kib", "0").as_deref(), Some("102400"));
        assert_eq!(of(&out, "numa.free_kib", "0").as_deref(), Some("51200"));
        assert!(out.problems.is_empty());
        let out = read(parse, "sys/devices/system/node/node0/cpulist", "0-7\n");
        assert_eq!(of(&out, "numa.cpus", "0").as_deref(), Some("0-7"));
    }
}
