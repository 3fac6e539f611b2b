//! Lists of IOMMU groups. The kernel has no tool that prints them, so people post what their
//! scripts make of /sys/kernel/iommu_groups:
//!
//! ```text
//! IOMMU Group 1 00:01.0 PCI bridge [0604]: ...       a line per device
//! IOMMU group 1                                      a head, then lspci's paragraphs
//! Group 14:  [10de:13c2] [R] 01:00.0  VGA ...        with ids and marks before the address
//! 1 0000:00:01.0                                     number and address
//! /sys/kernel/iommu_groups/1/devices/0000:00:01.0    find -type l, ls -l, ls -R
//! │ 0x030000 │ 0x13c2 │ 0000:01:00.0 │ 1 │ ...       pvesh get /nodes/NODE/hardware/pci
//! ```
//!
//! A list without any device is a fact: the kernel has made no groups, so no IOMMU is in use.

use super::lspci::Reader;
use super::{Device, id};
use crate::model::{Origin, Out, Piece, Value};
use crate::parse::{lines, pci, prompt};

pub(super) fn parse(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut found = tables(piece, text, out);
    let mut reader = Reader::new(piece, text, out);
    let mut group = None;
    let mut empty_glob = false;
    for (number, line) in lines(text) {
        let body = unmarked(line);
        empty_glob |= body.contains("iommu_groups/*") || body.contains("IOMMU Group *");
        if prompt::is_typed(line) || body.starts_with('[') && body.contains(']') && is_kernel(body)
        {
            continue;
        }
        if let Some((in_path, address)) = path(body) {
            group = Some(in_path);
            if let Some(address) = address {
                reader.device(number, &address, group);
                continue;
            }
        }
        match head(line, body) {
            Some((n, rest)) => {
                group = Some(n);
                listed(&mut reader, number, rest, group);
            }
            None if listed(&mut reader, number, body, group) => {}
            None => reader.detail(number, body),
        }
    }
    found |= reader.devices > 0;
    reader.finish();
    emptiness(piece, text, found, empty_glob, out);
}

/// Whether the list has groups. What is neither a list nor an error message is no answer.
fn emptiness(piece: Piece<'_>, text: &str, found: bool, empty_glob: bool, out: &mut Out) {
    let mut said = text.lines().map(str::trim).filter(|l| !l.is_empty() && !prompt::is_typed(l));
    let nothing = |l: &str| {
        l == "total 0" || l.contains("iommu_groups") && l.contains("No such file or directory")
    };
    let empty = piece.whole && (empty_glob || said.all(nothing));
    if found || empty {
        let first = text.lines().next().unwrap_or("");
        let origin = Origin::new(piece.path, (!first.is_empty()).then_some(1), first);
        out.fact("iommu.listing_empty", Value::Bool(!found), origin);
    }
}

/// A kernel message, which a list that was searched out of the log holds too.
fn is_kernel(body: &str) -> bool {
    body.strip_prefix('[').is_some_and(|b| b.trim_start().starts_with(|c: char| c.is_ascii_digit()))
        && body.split(']').next().is_some_and(|stamp| stamp.contains('.'))
}

/// Takes off what draws a tree or a list.
fn unmarked(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_whitespace() || "├└│─┬╰╭*-•>`|".contains(c)).trim_end()
}

/// The group of a head, and what follows it on its line.
fn head<'l>(line: &str, body: &'l str) -> Option<(i64, &'l str)> {
    // lspci names a device's group in its paragraph: `	IOMMU group: 14`.
    let indented = line.starts_with(char::is_whitespace);
    if indented && body.starts_with("IOMMU group: ") {
        return None;
    }
    let body = body.trim_start_matches(['#', '=', ' ']);
    let lower = body.to_ascii_lowercase();
    let names = ["iommu group", "iommu_group", "iommugroup", "group"];
    let name = names.iter().find(|n| lower.starts_with(**n))?;
    let rest = body[name.len()..].trim_start_matches([' ', '\t', ':', '#', '=']);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..end].parse().ok()?;
    Some((number, rest[end..].trim_start_matches([' ', '\t', ':', '-', '=', '>', '|'])))
}

/// Group and device of a path in /sys/kernel/iommu_groups, or of a device's `iommu_group` link.
fn path(body: &str) -> Option<(i64, Option<String>)> {
    let at = body.rfind("iommu_groups/")?;
    let rest = &body[at + "iommu_groups/".len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let group = rest[..end].parse().ok()?;
    let inside = rest[end..].strip_prefix("/devices/").map(|d| d.split_whitespace().next());
    let device = inside.flatten().and_then(|d| pci::address(d.trim_end_matches([':', '/'])));
    let linked = || {
        let path = body.split(" -> ").next()?.split_whitespace().last()?;
        path.strip_suffix("/iommu_group").and_then(pci::in_path)
    };
    Some((group, device.or_else(linked)))
}

/// A device in a group: the address may stand behind ids, marks and the group's number.
fn listed(reader: &mut Reader<'_, '_>, number: u32, body: &str, group: Option<i64>) -> bool {
    let mut rest = body;
    let mut own = None;
    for place in 0..6 {
        if reader.device(number, rest, own.or(group)) {
            return true;
        }
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let plain = word.trim_matches(|c: char| "[]:|,".contains(c));
        // Names of links stand behind the columns of `ls -l`.
        let passes = id(plain).is_some()
            || plain.split_once(':').is_some_and(|(v, d)| id(v).is_some() && id(d).is_some())
            || plain.is_empty()
            || matches!(plain, "R" | "pci" | "PCI" | "Device");
        if place == 0
            && let Ok(n) = plain.parse()
        {
            own = Some(n);
        } else if !passes {
            break;
        }
        rest = after.trim_start();
    }
    let long = body.starts_with("lrwx").then(|| body.split(" -> ").next()).flatten();
    let name = long.and_then(|l| l.split_whitespace().last());
    name.is_some_and(|n| reader.device(number, n, group))
}

/// Proxmox VE's table; whether it had any device with a group.
fn tables(piece: Piece<'_>, text: &str, out: &mut Out) -> bool {
    let mut columns: Vec<String> = Vec::new();
    let mut found = false;
    for (number, line) in lines(text) {
        let cells: Vec<&str> = line.split(['│', '|']).map(str::trim).collect();
        let Some(cells) = cells.get(1..).filter(|c| c.len() > 3) else { continue };
        if cells.contains(&"iommugroup") {
            columns = cells.iter().map(|c| (*c).to_owned()).collect();
            continue;
        }
        let cell = |name: &str| {
            columns.iter().position(|c| c == name).and_then(|at| cells.get(at)).copied()
        };
        let Some(address) = cell("id").and_then(pci::address) else { continue };
        let origin = Origin::new(piece.path, Some(number), line);
        let mut device = Device { out: &mut *out, address, origin };
        if let Some(class) = cell("class").and_then(|c| c.get(..6)).and_then(id) {
            device.text("pci.class", class);
        }
        for (column, fact) in [("vendor", "pci.vendor"), ("device", "pci.device")] {
            if let Some(value) = cell(column).and_then(id) {
                device.text(fact, value);
            }
        }
        // Without an IOMMU the table says -1.
        if let Some(group) = cell("iommugroup").and_then(|g| g.parse().ok()).filter(|g| *g >= 0) {
            device.put("pci.iommu_group", Value::Int(group));
            found = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing::{read, show};
    use crate::model::Out;

    fn groups(text: &str) -> (Vec<String>, Out) {
        let out = read(parse, "commands/iommu-groups.txt", text);
        let groups = out.facts.iter().filter(|f| f.name == "pci.iommu_group");
        let groups =
            groups.map(|f| format!("{} {}", f.value, f.instance.clone().unwrap_or_default()));
        (groups.collect(), out)
    }

    #[test]
    fn the_forms_that_scripts_print() {
        let expected = ["1 0000:00:01.0", "1 0000:01:00.0", "12 0000:02:00.0"];
        for text in [
            "IOMMU Group 1 00:01.0 PCI bridge [0604]: A [8086:1901]\n\
             IOMMU Group 1 01:00.0 VGA compatible controller [0300]: B [10de:13c2]\n\
             IOMMU Group 12 02:00.0 Ethernet controller [0200]: C [8086:1533]\n",
            "IOMMU group 1\n\t00:01.0 PCI bridge [0604]: A\n\t01:00.0 VGA: B\nIOMMU group 12\n\t02:00.0 x\n",
            "IOMMU Group 1:\n\t\t00:01.0 PCI bridge: A\n\t\t01:00.0 VGA: B\n\nIOMMU Group 12:\n\t\t02:00.0 x: y\n",
            "1 0000:00:01.0\n1 0000:01:00.0\n12 0000:02:00.0\n",
            "Group 1:\t[8086:1901] [R] 00:01.0  PCI bridge   A\n\t[10de:13c2] [R] 01:00.0  VGA  B\n\
             Group 12:\t[8086:1533]     02:00.0  Ethernet controller   C\n",
            "/sys/kernel/iommu_groups/1/devices/0000:00:01.0\n/sys/kernel/iommu_groups/1/devices/0000:01:00.0\n\
             /sys/kernel/iommu_groups/12/devices/0000:02:00.0\n",
            "/sys/kernel/iommu_groups/1/devices:\n0000:00:01.0\n0000:01:00.0\n\n/sys/kernel/iommu_groups/12/devices:\n0000:02:00.0\n",
            "/sys/kernel/iommu_groups/1/devices:\ntotal 0\n\
             lrwxrwxrwx 1 root root 0 Mar  3 10:00 0000:00:01.0 -> ../../../../devices/pci0000:00/0000:00:01.0\n\
             lrwxrwxrwx 1 root root 0 Mar  3 10:00 0000:01:00.0 -> ../../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0\n\
             /sys/kernel/iommu_groups/12/devices:\ntotal 0\n\
             lrwxrwxrwx 1 root root 0 Mar  3 10:00 0000:02:00.0 -> ../../../../devices/pci0000:00/0000:02:00.0\n",
            "lrwxrwxrwx 1 root root 0 Mar 3 10:00 /sys/bus/pci/devices/0000:00:01.0/iommu_group -> ../../../kernel/iommu_groups/1\n\
             lrwxrwxrwx 1 root root 0 Mar 3 10:00 /sys/bus/pci/devices/0000:01:00.0/iommu_group -> ../../../kernel/iommu_groups/1\n\
             lrwxrwxrwx 1 root root 0 Mar 3 10:00 /sys/bus/pci/devices/0000:02:00.0/iommu_group -> ../../../kernel/iommu_groups/12\n",
            "### Group 1 ###\n    00:01.0 PCI bridge: A\n    01:00.0 VGA: B\n### Group 12 ###\n    02:00.0 Net: C\n",
        ] {
            let (found, out) = groups(text);
            assert_eq!(found, expected, "{text}");
            assert_eq!(show(&out, "iommu.listing_empty").as_deref(), Some("false"));
        }
    }

    #[test]
    fn drivers_in_a_list_of_groups() {
        let text = "IOMMU Group 3:\n\t03:00.0 Ethernet controller [0200]: X [8086:1572]\n\
            \t\tKernel driver in use: i40e\n\t03:00.1 Ethernet controller [0200]: X [8086:1572]\n";
        let (_, out) = groups(text);
        let drivers: Vec<_> = out
            .facts
            .iter()
            .filter(|f| f.name == "pci.driver")
            .map(|f| f.value.to_string())
            .collect();
        assert_eq!(drivers, ["i40e", "none"]);
    }

    #[test]
    fn proxmox_table() {
        let text = "┌──────────┬────────┬──────────────┬────────────┬────────┐\n\
            │ class    │ device │ id           │ iommugroup │ vendor │\n\
            ╞══════════╪════════╪══════════════╪════════════╪════════╡\n\
            │ 0x030000 │ 0x13c2 │ 0000:01:00.0 │         14 │ 0x10de │\n\
            │ 0x020000 │ 0x1533 │ 0000:02:00.0 │         -1 │ 0x8086 │\n";
        let (found, out) = groups(text);
        assert_eq!(found, ["14 0000:01:00.0"]);
        assert_eq!(show(&out, "pci.class").as_deref(), Some("0300"));
    }

    #[test]
    fn an_empty_list_is_an_answer_and_other_text_is_none() {
        for text in [
            "",
            "total 0\n",
            "ls: cannot access '/sys/kernel/iommu_groups/*/devices/*': No such file or directory\n",
            "IOMMU Group * lspci: -s: Invalid slot number\n",
        ] {
            let (found, out) = groups(text);
            assert!(found.is_empty());
            assert_eq!(show(&out, "iommu.listing_empty").as_deref(), Some("true"), "{text}");
        }
        let log = "[    0.3] pci 0000:00:01.0: Adding to iommu group 1\n";
        assert!(groups(log).1.facts.is_empty());
        assert!(groups("no permission\n").1.facts.is_empty());
    }
}
