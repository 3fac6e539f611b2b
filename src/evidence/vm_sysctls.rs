//! Memory settings of the kernel: /proc/sys/vm (Documentation/admin-guide/sysctl/vm.rst), the
//! same as `sysctl -a` prints it, and kernel same-page merging under /sys/kernel/mm/ksm.
//!
//! Only the settings below are parsed.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Memory settings.
pub const SLICE: Slice = Slice { name: "vm_sysctls", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("proc/sys/vm/overcommit_memory"),
    Want::file("proc/sys/vm/overcommit_ratio"),
    Want::file("proc/sys/vm/overcommit_kbytes"),
    Want::file("proc/sys/vm/max_map_count"),
    Want::file("proc/sys/vm/nr_hugepages"),
    Want::file("proc/sys/vm/swappiness"),
    Want::file("proc/sys/vm/min_free_kbytes"),
    Want::file("sys/kernel/mm/ksm/run"),
    Want::file("sys/kernel/mm/ksm/pages_sharing"),
    Want::command("sysctl*", &[], &["sos_commands/kernel/sysctl_-a"]),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "vm.overcommit_memory",
        Kind::Int,
        "0: obvious overcommits of address space are refused; 1: none; 2: all above CommitLimit",
        "sysctl vm.overcommit_memory",
    ),
    FactDef::new(
        "vm.overcommit_ratio",
        Kind::Int,
        "Share of RAM that counts into CommitLimit, percent",
        "sysctl vm.overcommit_ratio",
    ),
    FactDef::new(
        "vm.overcommit_kbytes",
        Kind::Int,
        "Amount that counts into CommitLimit instead of the ratio, KiB; 0: the ratio counts",
        "sysctl vm.overcommit_kbytes",
    ),
    FactDef::new(
        "vm.max_map_count",
        Kind::Int,
        "Most memory maps of a process",
        "sysctl vm.max_map_count",
    ),
    FactDef::new(
        "vm.nr_hugepages",
        Kind::Int,
        "Huge pages of the default size that are asked for",
        "sysctl vm.nr_hugepages",
    ),
    FactDef::new(
        "vm.swappiness",
        Kind::Int,
        "How willingly the kernel swaps, 0 to 200",
        "sysctl vm.swappiness",
    ),
    FactDef::new(
        "vm.min_free_kbytes",
        Kind::Int,
        "Memory that is kept free, KiB",
        "sysctl vm.min_free_kbytes",
    ),
    FactDef::new(
        "ksm.run",
        Kind::Int,
        "Same-page merging: 0 off, 1 on, 2 undo",
        "cat /sys/kernel/mm/ksm/run",
    ),
    FactDef::new(
        "ksm.pages_sharing",
        Kind::Int,
        "Pages of 4 KiB that same-page merging saves",
        "cat /sys/kernel/mm/ksm/pages_sharing",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if piece.path.starts_with("commands/") {
        let whole = if piece.whole { &*text } else { text.rsplit_once('\n').map_or("", |t| t.0) };
        for (number, line) in lines(whole) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let key = key.trim().replace('/', ".");
            if let Some(name) = fact_name(&key) {
                number_of(piece, name, number, line, value, out);
            }
        }
        return;
    }
    let name = match piece.path.strip_prefix("proc/sys/vm/") {
        Some(file) => fact_name(&format!("vm.{file}")),
        None => fact_name(&format!("ksm.{}", piece.file_name())),
    };
    if let Some(name) = name {
        let line = text.lines().next().unwrap_or_default();
        number_of(piece, name, 1, line, line, out);
    }
}

fn fact_name(key: &str) -> Option<&'static str> {
    FACTS.iter().map(|f| f.name).find(|n| *n == key)
}

fn number_of(
    piece: Piece<'_>,
    name: &'static str,
    number: u32,
    line: &str,
    value: &str,
    out: &mut Out,
) {
    match value.trim().parse() {
        Ok(n) => out.fact(name, Value::Int(n), Origin::new(piece.path, Some(number), line)),
        Err(_) => out.problem(piece.path, Some(number), format!("{name} is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{read, read_part, show};

    #[test]
    fn a_list_and_single_files() {
        let text = "vm.nr_hugepages = 512\nvm.overcommit_memory=2\nnet.ipv4.ip_forward = 1\n\
                    vm.swappiness = 1";
        let out = read(parse, "commands/sysctl-a.txt", text);
        assert_eq!(show(&out, "vm.nr_hugepages").as_deref(), Some("512"));
        assert_eq!(show(&out, "vm.overcommit_memory").as_deref(), Some("2"));
        assert_eq!(out.facts.len(), 3);
        let cut = read_part(parse, "commands/sysctl-a.txt", text, false);
        assert_eq!(show(&cut, "vm.swappiness"), None);
        let out = read(parse, "proc/sys/vm/max_map_count", "65530\n");
        assert_eq!(show(&out, "vm.max_map_count").as_deref(), Some("65530"));
        let out = read(parse, "sys/kernel/mm/ksm/run", "1\n");
        assert_eq!(show(&out, "ksm.run").as_deref(), Some("1"));
    }

    #[test]
    fn what_is_no_number_is_a_problem() {
        let out = read(parse, "proc/sys/vm/swappiness", "cat: permission denied\n");
        assert_eq!((out.facts.len(), out.problems.len()), (0, 1));
    }
}
