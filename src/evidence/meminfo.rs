//! Memory, swap and huge pages: `/proc/meminfo` (proc_meminfo(5)).
//!
//! Read line by line and not with `procfs::Meminfo`: that wants every field of a complete file,
//! gives no line numbers, and multiplies without a check for overflow.
//!
//! Only the fields below are parsed. Sizes are KiB, which the kernel writes as `kB`.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Memory, swap and huge pages.
pub const SLICE: Slice = Slice { name: "meminfo", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[Want::file("proc/meminfo")];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "memory.total_kib",
        Kind::Int,
        "Usable memory in KiB, MemTotal",
        "grep MemTotal /proc/meminfo",
    ),
    FactDef::new(
        "memory.free_kib",
        Kind::Int,
        "Unused memory in KiB, MemFree",
        "grep MemFree /proc/meminfo",
    ),
    FactDef::new(
        "memory.available_kib",
        Kind::Int,
        "Memory that programs can get without swapping, in KiB, MemAvailable (3.14 on)",
        "grep MemAvailable /proc/meminfo",
    ),
    FactDef::new(
        "memory.swap_total_kib",
        Kind::Int,
        "Swap in KiB, SwapTotal",
        "grep SwapTotal /proc/meminfo",
    ),
    FactDef::new(
        "memory.swap_free_kib",
        Kind::Int,
        "Unused swap in KiB, SwapFree",
        "grep SwapFree /proc/meminfo",
    ),
    FactDef::new(
        "memory.page_tables_kib",
        Kind::Int,
        "Memory in page tables in KiB, PageTables",
        "grep PageTables /proc/meminfo",
    ),
    FactDef::new(
        "memory.hugepages_total",
        Kind::Int,
        "Huge pages of the default size, a count, HugePages_Total",
        "grep HugePages_Total /proc/meminfo",
    ),
    FactDef::new(
        "memory.hugepages_free",
        Kind::Int,
        "Huge pages not yet handed out, a count, HugePages_Free",
        "grep HugePages_Free /proc/meminfo",
    ),
    FactDef::new(
        "memory.hugepages_reserved",
        Kind::Int,
        "Free huge pages of the default size that are promised already, a count, HugePages_Rsvd",
        "grep HugePages_Rsvd /proc/meminfo",
    ),
    FactDef::new(
        "memory.hugetlb_kib",
        Kind::Int,
        "Memory in the huge page pools of all sizes in KiB, Hugetlb (4.15 on)",
        "grep Hugetlb /proc/meminfo",
    ),
    FactDef::new(
        "memory.anon_kib",
        Kind::Int,
        "Anonymous memory in KiB, AnonPages",
        "grep AnonPages /proc/meminfo",
    ),
    FactDef::new(
        "memory.anon_huge_kib",
        Kind::Int,
        "Anonymous memory in transparent huge pages in KiB, AnonHugePages",
        "grep AnonHugePages /proc/meminfo",
    ),
    FactDef::new(
        "memory.shmem_kib",
        Kind::Int,
        "Shared memory, tmpfs and memfd in KiB, Shmem",
        "grep Shmem: /proc/meminfo",
    ),
    FactDef::new(
        "memory.mlocked_kib",
        Kind::Int,
        "Locked memory in KiB, Mlocked",
        "grep Mlocked /proc/meminfo",
    ),
    FactDef::new(
        "memory.commit_limit_kib",
        Kind::Int,
        "Memory that may be promised under strict overcommit in KiB, CommitLimit",
        "grep CommitLimit /proc/meminfo",
    ),
    FactDef::new(
        "memory.committed_kib",
        Kind::Int,
        "Memory promised to programs in KiB, Committed_AS",
        "grep Committed_AS /proc/meminfo",
    ),
    FactDef::new(
        "memory.hugepage_size_kib",
        Kind::Int,
        "Default size of a huge page in KiB, Hugepagesize",
        "grep Hugepagesize /proc/meminfo",
    ),
];

/// Fields of the file, the facts they make, and whether they are sizes.
const FIELDS: &[(&str, &str, bool)] = &[
    ("MemTotal", "memory.total_kib", true),
    ("MemFree", "memory.free_kib", true),
    ("MemAvailable", "memory.available_kib", true),
    ("SwapTotal", "memory.swap_total_kib", true),
    ("SwapFree", "memory.swap_free_kib", true),
    ("PageTables", "memory.page_tables_kib", true),
    ("HugePages_Total", "memory.hugepages_total", false),
    ("HugePages_Free", "memory.hugepages_free", false),
    ("HugePages_Rsvd", "memory.hugepages_reserved", false),
    ("Hugetlb", "memory.hugetlb_kib", true),
    ("AnonPages", "memory.anon_kib", true),
    ("AnonHugePages", "memory.anon_huge_kib", true),
    ("Shmem", "memory.shmem_kib", true),
    ("Mlocked", "memory.mlocked_kib", true),
    ("CommitLimit", "memory.commit_limit_kib", true),
    ("Committed_AS", "memory.committed_kib", true),
    ("Hugepagesize", "memory.hugepage_size_kib", true),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    for (number, line) in (1u32..).zip(complete_lines(&text, piece.whole)) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let Some((_, name, is_size)) = FIELDS.iter().find(|(field, ..)| *field == key.trim())
        else {
            continue;
        };
        match count(value, *is_size) {
            Ok(count) => {
                out.fact(name, Value::Int(count), Origin::new(piece.path, Some(number), line));
            }
            Err(what) => out.problem(piece.path, Some(number), what),
        }
    }
}

/// Lines that are whole: the last one of a cut file may have lost digits.
fn complete_lines(text: &str, whole: bool) -> impl Iterator<Item = &str> {
    let text = if whole { text } else { text.rsplit_once('\n').map_or("", |(head, _)| head) };
    text.lines()
}

fn count(value: &str, is_size: bool) -> Result<i64, String> {
    let mut words = value.split_whitespace();
    let number = words.next().ok_or("the value is missing")?;
    let number = number.parse().map_err(|e| format!("`{number}` is not a count: {e}"))?;
    match words.next() {
        None if !is_size => Ok(number),
        Some("kB") if is_size => Ok(number),
        unit => Err(format!("unexpected unit `{}`", unit.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, whole: bool) -> Out {
        let mut out = Out::default();
        parse(Piece { path: "proc/meminfo", bytes: text.as_bytes(), whole }, &mut out);
        out
    }

    fn int(out: &Out, name: &str) -> Option<Value> {
        out.facts.iter().find(|f| f.name == name).map(|f| f.value.clone())
    }

    #[test]
    fn sizes_and_counts_of_an_incomplete_file() {
        let out = read(
            "MemTotal:       16316452 kB\nHugePages_Total:     512\nHugepagesize:       2048 kB\n",
            true,
        );
        assert_eq!(int(&out, "memory.total_kib"), Some(Value::Int(16_316_452)));
        assert_eq!(int(&out, "memory.hugepages_total"), Some(Value::Int(512)));
        assert_eq!(int(&out, "memory.hugepage_size_kib"), Some(Value::Int(2048)));
        assert_eq!(int(&out, "memory.swap_total_kib"), None);
    }

    #[test]
    fn a_broken_line_costs_that_line() {
        let out = read(
            "MemTotal: 99999999999999999999 kB\nMemFree: 5 MB\nSwapTotal: 7 kB\nSwapFree:\n",
            true,
        );
        assert_eq!(out.facts.len(), 1);
        assert_eq!(int(&out, "memory.swap_total_kib"), Some(Value::Int(7)));
        let places: Vec<_> = out.problems.iter().map(|p| p.source.as_str()).collect();
        assert_eq!(places, ["proc/meminfo:1", "proc/meminfo:2", "proc/meminfo:4"]);
    }

    #[test]
    fn the_last_line_of_a_cut_file_is_not_believed() {
        let out = read("MemTotal:       16316452 kB\nMemFree:        81", false);
        assert_eq!(out.facts.len(), 1);
        assert!(out.problems.is_empty());
    }
}
