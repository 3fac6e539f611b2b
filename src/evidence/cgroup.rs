//! Memory limits of control groups, versions 1 and 2, and of systemd's units.
//!
//! Version 2 (Documentation/admin-guide/cgroup-v2.rst): `memory.max`, `memory.high`,
//! `memory.current` in bytes, or `max` for none, and `memory.events`. Version 1
//! (Documentation/admin-guide/cgroup-v1/memory.rst): `memory.limit_in_bytes` and
//! `memory.usage_in_bytes`, where a huge number stands for no limit, `memory.failcnt` and
//! `memory.oom_control`. Guests are found in machine.slice (libvirt), qemu.slice (Proxmox VE),
//! kubepods (KubeVirt, Kata) and below docker's groups; a container sees its own group at the
//! root.
//!
//! Of all groups of a live host only those of guests are collected. Not parsed: swap, pressure,
//! statistics.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Memory limits of control groups.
pub const SLICE: Slice = Slice { name: "cgroup", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/fs/cgroup/memory.max"),
    Want::file("sys/fs/cgroup/memory.events"),
    Want::file("sys/fs/cgroup/memory/memory.limit_in_bytes"),
    Want::file("sys/fs/cgroup/memory/memory.oom_control"),
    Want::file("sys/fs/cgroup/machine.slice/memory.max"),
    Want::file("sys/fs/cgroup/machine.slice/*/memory.max"),
    Want::file("sys/fs/cgroup/machine.slice/*/memory.current"),
    Want::file("sys/fs/cgroup/machine.slice/*/memory.events"),
    Want::file("sys/fs/cgroup/qemu.slice/*/memory.max"),
    Want::file("sys/fs/cgroup/qemu.slice/*/memory.events"),
    Want::file("sys/fs/cgroup/kubepods.slice/*/*/*/memory.max"),
    Want::file("sys/fs/cgroup/kubepods.slice/*/*/*/memory.events"),
    Want::file("sys/fs/cgroup/memory/machine.slice/*/memory.limit_in_bytes"),
    Want::file("sys/fs/cgroup/memory/machine.slice/*/memory.oom_control"),
    Want::given("sys/fs/cgroup/**/memory.*"),
    Want::given("cgroup/**/memory.*"),
    Want::command(
        "systemctl-show-guests",
        &[
            "systemctl",
            "show",
            "--property=Id,MemoryMax,MemoryHigh,MemoryCurrent,LimitMEMLOCKSoft",
            "libvirtd.service",
            "virtqemud.service",
            "machine.slice",
            "qemu.slice",
            "machine-qemu*.scope",
        ],
        &[],
    ),
    Want::output("systemctl-show*"),
];

const fn group(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    let command = "grep -r . /sys/fs/cgroup --include='memory.*' | grep -E 'max|limit|current'";
    FactDef::per(name, kind, "control group", doc, command)
}

const FACTS: &[FactDef] = &[
    group("cgroup.memory_max_kib", Kind::Int, "Memory limit of a control group or unit, KiB"),
    group("cgroup.memory_high_kib", Kind::Int, "Memory above which a group is throttled, KiB"),
    group("cgroup.memory_current_kib", Kind::Int, "Memory that a group uses, KiB"),
    group("cgroup.memory_limited", Kind::Bool, "Whether a group has a memory limit of its own"),
    group(
        "cgroup.limit_hits",
        Kind::Int,
        "How often a group ran into its limit: `max` of memory.events, memory.failcnt",
    ),
    group("cgroup.oom_kills", Kind::Int, "Processes of a group that were killed for its limit"),
    FactDef::per(
        "unit.memlock_kib",
        Kind::Int,
        "systemd unit",
        "Memory that processes of a unit may lock, KiB; none where it is unlimited",
        "systemctl show -p LimitMEMLOCKSoft libvirtd virtqemud",
    ),
    FactDef::per(
        "unit.memlock_unlimited",
        Kind::Bool,
        "systemd unit",
        "Whether processes of a unit may lock all memory",
        "systemctl show -p LimitMEMLOCKSoft libvirtd virtqemud",
    ),
];

/// From here on a limit of version 1 means none: the largest is 2^63 less a page.
const NO_LIMIT: u64 = 1 << 62;

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if piece.path.starts_with("commands/") {
        units(piece, &text, out);
        return;
    }
    let Some(inside) = piece.path.split_once("cgroup/").map(|(_, inside)| inside) else { return };
    let Some((folder, file)) = folder_and_file(inside) else { return };
    let line = text.lines().next().unwrap_or_default();
    let origin = Origin::new(piece.path, Some(1), line);
    match file {
        "max" | "limit_in_bytes" => limit(piece, &folder, line, origin, out),
        "high" => {
            if let Some(kib) = bytes(line) {
                out.fact_of("cgroup.memory_high_kib", &folder, Value::Int(kib), origin);
            }
        }
        "current" | "usage_in_bytes" => match bytes(line) {
            Some(kib) => {
                out.fact_of("cgroup.memory_current_kib", &folder, Value::Int(kib), origin);
            }
            None => out.problem(piece.path, Some(1), "expected a number of bytes"),
        },
        "failcnt" => {
            if let Ok(hits) = line.trim().parse() {
                out.fact_of("cgroup.limit_hits", &folder, Value::Int(hits), origin);
            }
        }
        "events" | "oom_control" => events(piece, &folder, &text, out),
        _ => {}
    }
}

/// `memory/machine.slice/x.scope/memory.max`: the group with a leading slash, and what follows
/// `memory.`.
fn folder_and_file(inside: &str) -> Option<(String, &str)> {
    let (folder, file) = inside.rsplit_once('/').unwrap_or(("", inside));
    let folder = folder.strip_prefix("memory").filter(|f| f.is_empty() || f.starts_with('/'));
    let folder = folder.unwrap_or_else(|| inside.rsplit_once('/').map_or("", |(f, _)| f));
    Some((format!("/{}", folder.trim_start_matches('/')), file.strip_prefix("memory.")?))
}

fn limit(piece: Piece<'_>, group: &str, line: &str, origin: Origin, out: &mut Out) {
    match (line.trim(), bytes(line)) {
        ("max", _) => {
            out.fact_of("cgroup.memory_limited", group, Value::Bool(false), origin);
        }
        (_, Some(kib)) => {
            out.fact_of("cgroup.memory_limited", group, Value::Bool(true), origin.clone());
            out.fact_of("cgroup.memory_max_kib", group, Value::Int(kib), origin);
        }
        (number, None) if number.parse::<u64>().is_ok() => {
            out.fact_of("cgroup.memory_limited", group, Value::Bool(false), origin);
        }
        _ => out.problem(piece.path, Some(1), "expected a number of bytes or `max`"),
    }
}

/// Bytes as KiB; `None` for what means no limit.
fn bytes(text: &str) -> Option<i64> {
    let bytes: u64 = text.trim().parse().ok().filter(|b| *b < NO_LIMIT)?;
    i64::try_from(bytes >> 10).ok()
}

/// `oom_kill 1`, `max 211`.
fn events(piece: Piece<'_>, group: &str, text: &str, out: &mut Out) {
    for (number, line) in lines(text) {
        let mut words = line.split_whitespace();
        let name = match words.next() {
            Some("oom_kill") => "cgroup.oom_kills",
            Some("max") => "cgroup.limit_hits",
            _ => continue,
        };
        match words.next().and_then(|w| w.parse().ok()) {
            Some(n) => {
                let origin = Origin::new(piece.path, Some(number), line);
                out.fact_of(name, group, Value::Int(n), origin);
            }
            None => out.problem(piece.path, Some(number), "the count is no number"),
        }
    }
}

/// `systemctl show`: blocks of `Key=value`, the unit's name in `Id` somewhere in its block.
fn units(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut block: Vec<(u32, &str, &str)> = Vec::new();
    for (number, line) in lines(text).chain([(0, "")]) {
        match line.split_once('=') {
            Some((key, value)) => block.push((number, key, value)),
            None if line.trim().is_empty() => {
                unit(piece, &block, out);
                block.clear();
            }
            None => {}
        }
    }
}

fn unit(piece: Piece<'_>, block: &[(u32, &str, &str)], out: &mut Out) {
    let Some((_, _, id)) = block.iter().find(|(_, key, _)| *key == "Id") else { return };
    for (number, key, value) in block {
        let origin = Origin::new(piece.path, Some(*number), &format!("{key}={value}"));
        match *key {
            "MemoryMax" | "MemoryLimit" => match bytes(value) {
                Some(kib) => {
                    out.fact_of("cgroup.memory_max_kib", id, Value::Int(kib), origin.clone());
                    out.fact_of("cgroup.memory_limited", id, Value::Bool(true), origin);
                }
                None if *value == "infinity" => {
                    out.fact_of("cgroup.memory_limited", id, Value::Bool(false), origin);
                }
                None => {}
            },
            "MemoryCurrent" => {
                if let Some(kib) = bytes(value) {
                    out.fact_of("cgroup.memory_current_kib", id, Value::Int(kib), origin);
                }
            }
            "LimitMEMLOCKSoft" | "LimitMEMLOCK" => {
                let kib = bytes(value);
                let unlimited = *value == "infinity" || (kib.is_none() && value.len() > 15);
                if kib.is_some() || unlimited {
                    let bool = Value::Bool(unlimited);
                    out.fact_of("unit.memlock_unlimited", id, bool, origin.clone());
                }
                if let Some(kib) = kib {
                    out.fact_of("unit.memlock_kib", id, Value::Int(kib), origin);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::read;

    fn of(out: &Out, name: &str) -> Vec<(String, String)> {
        let of = out.facts.iter().filter(|f| f.name == name);
        of.map(|f| (f.instance.clone().unwrap_or_default(), f.value.to_string())).collect()
    }

    fn one(instance: &str, value: &str) -> Vec<(String, String)> {
        vec![(instance.to_owned(), value.to_owned())]
    }

    #[test]
    fn version_2_with_and_without_a_limit() {
        let scope = "sys/fs/cgroup/machine.slice/machine-qemu\\x2d1\\x2dweb.scope";
        let group = "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope";
        let out = read(parse, &format!("{scope}/memory.max"), "2147483648\n");
        assert_eq!(of(&out, "cgroup.memory_max_kib"), one(group, "2097152"));
        let out = read(parse, &format!("{scope}/memory.max"), "max\n");
        assert_eq!(of(&out, "cgroup.memory_limited"), one(group, "false"));
        assert_eq!(of(&out, "cgroup.memory_max_kib"), []);
        let out = read(parse, &format!("{scope}/memory.events"), "low 0\nmax 211\noom_kill 2\n");
        assert_eq!(of(&out, "cgroup.oom_kills"), one(group, "2"));
        assert_eq!(of(&out, "cgroup.limit_hits"), one(group, "211"));
        let out = read(parse, "sys/fs/cgroup/memory.max", "1048576\n");
        assert_eq!(of(&out, "cgroup.memory_max_kib"), one("/", "1024"));
    }

    #[test]
    fn version_1_has_a_huge_number_for_none() {
        let path = "sys/fs/cgroup/memory/kubepods/pod1/memory.limit_in_bytes";
        let out = read(parse, path, "9223372036854771712\n");
        assert_eq!(of(&out, "cgroup.memory_limited"), one("/kubepods/pod1", "false"));
        let out = read(parse, path, "34619084800\n");
        assert_eq!(of(&out, "cgroup.memory_max_kib"), one("/kubepods/pod1", "33807700"));
        assert_eq!(read(parse, path, "cat: no such file\n").problems.len(), 1);
    }

    #[test]
    fn units_of_systemctl_show() {
        let text = "Id=libvirtd.service\nMemoryMax=infinity\nLimitMEMLOCKSoft=67108864\n\n\
                    MemoryMax=1073741824\nId=machine-qemu\\x2d3\\x2da.scope\n";
        let out = read(parse, "commands/systemctl-show-guests.txt", text);
        assert_eq!(of(&out, "unit.memlock_kib"), one("libvirtd.service", "65536"));
        let scope = "machine-qemu\\x2d3\\x2da.scope";
        assert_eq!(of(&out, "cgroup.memory_max_kib"), one(scope, "1048576"));
        assert_eq!(of(&out, "cgroup.memory_limited").len(), 2);
    }
}
