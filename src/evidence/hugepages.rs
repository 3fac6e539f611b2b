//! Huge page pools and transparent huge pages.
//!
//! A pool is a folder `hugepages-SIZEkB` under /sys/kernel/mm/hugepages (the whole machine) and
//! under /sys/devices/system/node/nodeN/hugepages (one NUMA node): see
//! Documentation/admin-guide/mm/hugetlbpage.rst. `virsh freepages --all` prints the free pages of
//! each node. Of /sys/kernel/mm/transparent_hugepage the files with a choice are read, in which
//! the value in brackets holds (Documentation/admin-guide/mm/transhuge.rst).
//!
//! Not parsed: khugepaged's tuning, per-size folders of multi-size THP, the demotion files.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Huge pages.
pub const SLICE: Slice = Slice { name: "hugepages", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/kernel/mm/hugepages/hugepages-*kB/*_hugepages"),
    Want::file("sys/devices/system/node/node*/hugepages/hugepages-*kB/*_hugepages"),
    Want::file("sys/kernel/mm/transparent_hugepage/enabled"),
    Want::file("sys/kernel/mm/transparent_hugepage/defrag"),
    Want::file("sys/kernel/mm/transparent_hugepage/shmem_enabled"),
    Want::command(
        "virsh-freepages",
        &["virsh", "-r", "freepages", "--all"],
        &["sos_commands/virsh/virsh_-r_freepages*"],
    ),
];

const SHOW: &str = "grep . /sys/kernel/mm/hugepages/*/*";
const SHOW_NODE: &str = "grep . /sys/devices/system/node/node*/hugepages/*/*";

const fn pool(name: &'static str, doc: &'static str) -> FactDef {
    FactDef::per(name, Kind::Int, "page size in KiB", doc, SHOW)
}

const fn node(name: &'static str, doc: &'static str) -> FactDef {
    FactDef::per(name, Kind::Int, "NUMA node/page size in KiB", doc, SHOW_NODE)
}

const fn thp(name: &'static str, doc: &'static str) -> FactDef {
    let command = "grep . /sys/kernel/mm/transparent_hugepage/*";
    FactDef::new(name, Kind::Text, doc, command)
}

const FACTS: &[FactDef] = &[
    pool("hugepages.total", "Huge pages of a size on the machine, nr_hugepages"),
    pool(
        "hugepages.free",
        "Huge pages not handed out, free_hugepages; reserved ones are among them",
    ),
    pool("hugepages.reserved", "Free huge pages that are promised already, resv_hugepages"),
    pool("hugepages.surplus", "Huge pages above nr_hugepages, surplus_hugepages"),
    pool(
        "hugepages.overcommit",
        "Surplus huge pages that the kernel may make when asked, nr_overcommit_hugepages",
    ),
    node("hugepages.node_total", "Huge pages of a size on a NUMA node, nr_hugepages"),
    node("hugepages.node_free", "Huge pages of a size on a NUMA node not handed out"),
    node("hugepages.node_surplus", "Surplus huge pages of a size on a NUMA node"),
    thp("thp.enabled", "Transparent huge pages for anonymous memory: always, madvise or never"),
    thp("thp.defrag", "How hard the kernel works for a transparent huge page, e.g. madvise"),
    thp(
        "thp.shmem",
        "Transparent huge pages for shared memory, which memfd-backed guest RAM is: never, advise, \
         within_size, always, deny, force",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let path = piece.path;
    if path.starts_with("commands/") {
        freepages(piece, out);
    } else if let Some(file) = path.strip_prefix("sys/kernel/mm/transparent_hugepage/") {
        choice(piece, file, out);
    } else if let Some((instance, name)) = place(path) {
        let text = piece.text();
        let line = text.lines().next().unwrap_or_default();
        match line.trim().parse::<i64>() {
            Ok(n) if n >= 0 => {
                out.fact_of(name, &instance, Value::Int(n), Origin::new(path, Some(1), line));
            }
            _ => out.problem(path, Some(1), "expected a count of huge pages"),
        }
    }
}

/// Instance and fact of a pool's file.
fn place(path: &str) -> Option<(String, &'static str)> {
    let (folder, file) = path.rsplit_once('/')?;
    let (above, pool) = folder.rsplit_once('/')?;
    let size = pool.strip_prefix("hugepages-")?.strip_suffix("kB")?;
    size.parse::<i64>().ok()?;
    if above == "sys/kernel/mm/hugepages" {
        let name = match file {
            "nr_hugepages" => "hugepages.total",
            "free_hugepages" => "hugepages.free",
            "resv_hugepages" => "hugepages.reserved",
            "surplus_hugepages" => "hugepages.surplus",
            "nr_overcommit_hugepages" => "hugepages.overcommit",
            _ => return None,
        };
        return Some((size.to_owned(), name));
    }
    let node = above.strip_prefix("sys/devices/system/node/node")?.strip_suffix("/hugepages")?;
    let name = match file {
        "nr_hugepages" => "hugepages.node_total",
        "free_hugepages" => "hugepages.node_free",
        "surplus_hugepages" => "hugepages.node_surplus",
        _ => return None,
    };
    Some((format!("{node}/{size}"), name))
}

/// `always [madvise] never`.
fn choice(piece: Piece<'_>, file: &str, out: &mut Out) {
    let name = match file {
        "enabled" => "thp.enabled",
        "defrag" => "thp.defrag",
        "shmem_enabled" => "thp.shmem",
        _ => return,
    };
    let text = piece.text();
    let line = text.lines().next().unwrap_or_default();
    let chosen = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    match chosen {
        Some((value, _)) => {
            out.fact(name, Value::text(value), Origin::new(piece.path, Some(1), line));
        }
        None => out.problem(piece.path, Some(1), "no value stands in brackets"),
    }
}

/// `Node 0:` and under it `2048KiB: 512` for each size; the pages of 4 KiB are no huge ones.
fn freepages(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut node = None;
    let last = text.lines().count();
    for (number, line) in lines(&text) {
        if !piece.whole && usize::try_from(number).is_ok_and(|n| n == last) {
            break;
        }
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        if let Some(id) = key.strip_prefix("Node ") {
            node = id.trim().parse::<u32>().ok();
            continue;
        }
        let size = key.strip_suffix("KiB").and_then(|k| k.trim().parse::<i64>().ok());
        let (Some(node), Some(size)) = (node, size) else { continue };
        if size < 64 {
            continue;
        }
        match value.trim().parse() {
            Ok(free) => out.fact_of(
                "hugepages.node_free",
                &format!("{node}/{size}"),
                Value::Int(free),
                Origin::new(piece.path, Some(number), line),
            ),
            Err(_) => out.problem(piece.path, Some(number), "expected a count of free pages"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{read, read_part};

    fn all(out: &Out) -> Vec<(&str, &str, String)> {
        let fact = |f: &'_ crate::model::Fact| f.value.to_string();
        out.facts.iter().map(|f| (f.name, f.instance.as_deref().unwrap_or(""), fact(f))).collect()
    }

    #[test]
    fn pools_of_the_machine_and_of_a_node() {
        let out = read(parse, "sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "7\n");
        assert_eq!(all(&out), [("hugepages.free", "1048576", "7".to_owned())]);
        let path = "sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages";
        let out = read(parse, path, "726\n");
        assert_eq!(all(&out), [("hugepages.node_total", "1/2048", "726".to_owned())]);
        let path = "sys/kernel/mm/hugepages/hugepages-2048kB/demote_hugepages";
        assert_eq!(all(&read(parse, path, "1\n")), []);
    }

    #[test]
    fn an_unreadable_count_is_no_zero() {
        for text in ["", "many\n", "-1\n"] {
            let out = read(parse, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", text);
            assert_eq!((all(&out).len(), out.problems.len()), (0, 1), "{text:?}");
        }
    }

    #[test]
    fn the_chosen_thp_mode() {
        let path = "sys/kernel/mm/transparent_hugepage/enabled";
        let out = read(parse, path, "always [madvise] never\n");
        assert_eq!(all(&out), [("thp.enabled", "", "madvise".to_owned())]);
        assert_eq!(read(parse, path, "always madvise never\n").problems.len(), 1);
    }

    #[test]
    fn free_pages_of_libvirt_by_node() {
        let text =
            "Node 0:\n4KiB: 3221\n2048KiB: 12\n\nNode 1:\n4KiB: 9\n2048KiB: 0\n1048576KiB: 4";
        let out = read(parse, "commands/virsh-freepages.txt", text);
        let free = |instance, n: &str| ("hugepages.node_free", instance, n.to_owned());
        assert_eq!(all(&out), [free("0/2048", "12"), free("1/2048", "0"), free("1/1048576", "4")]);
        let cut = read_part(parse, "commands/virsh-freepages.txt", text, false);
        assert_eq!(all(&cut).len(), 2, "a cut last line may have lost digits");
    }
}
