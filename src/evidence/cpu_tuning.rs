//! How CPUs are tuned for guests: cache allocation (resctrl,
//! Documentation/arch/x86/resctrl.rst), the profile of tuned(8), and KVM's halt polling
//! (Documentation/virt/kvm/halt-polling.rst).
//!
//! `/sys/fs/resctrl` exists where it is mounted; each group is a folder with a `schemata`, whose
//! line `L3:0=fffff;1=fffff` gives a mask of cache ways per cache. A group whose mask differs from
//! the root's has a part of the cache; that its part is exclusive follows from all masks together.
//!
//! Not parsed: memory bandwidth (MB), L2, monitoring.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Tuning of CPUs.
pub const SLICE: Slice = Slice { name: "cpu_tuning", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/fs/resctrl/schemata"),
    Want::file("sys/fs/resctrl/*/schemata"),
    Want::file("sys/fs/resctrl/info/L3/cbm_mask"),
    Want::file("etc/tuned/active_profile"),
    Want::command("tuned-adm-active", &[], &["sos_commands/tuned/tuned-adm_active"]),
    Want::output("tuned-adm*"),
    Want::file("sys/module/kvm/parameters/halt_poll_ns"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "resctrl.l3",
        Kind::Text,
        "group",
        "Masks of L3 cache ways of a group of resctrl; the root group is `/`",
        "cat /sys/fs/resctrl/schemata /sys/fs/resctrl/*/schemata",
    ),
    FactDef::new(
        "resctrl.l3_mask",
        Kind::Text,
        "All ways of an L3 cache that can be allocated: the CPU has cache allocation (CAT)",
        "cat /sys/fs/resctrl/info/L3/cbm_mask",
    ),
    FactDef::new(
        "tuned.profile",
        Kind::Text,
        "Active profile of tuned, e.g. virtual-host",
        "tuned-adm active",
    ),
    FactDef::new(
        "kvm.halt_poll_ns",
        Kind::Int,
        "Longest time for which KVM polls when a vCPU halts, nanoseconds; 0 is off",
        "cat /sys/module/kvm/parameters/halt_poll_ns",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let row = text.lines().next().unwrap_or_default().trim();
    let origin = Origin::new(piece.path, Some(1), row);
    if let Some(place) = piece.path.strip_prefix("sys/fs/resctrl/") {
        if place == "info/L3/cbm_mask" && !row.is_empty() {
            out.fact("resctrl.l3_mask", Value::text(row), origin);
        } else if let Some(group) = place.strip_suffix("schemata") {
            let group = if group.is_empty() { "/" } else { group.trim_end_matches('/') };
            schemata(group, &text, piece, out);
        }
    } else if piece.file_name() == "halt_poll_ns" {
        match row.parse() {
            Ok(ns) => out.fact("kvm.halt_poll_ns", Value::Int(ns), origin),
            Err(_) => out.problem(piece.path, Some(1), "not a number"),
        }
    } else {
        let profile = row.strip_prefix("Current active profile:").unwrap_or(row).trim();
        let is_name = |w: &str| w.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !profile.is_empty() && profile.split_whitespace().all(is_name) {
            out.fact("tuned.profile", Value::text(profile), origin);
        }
    }
}

/// `    L3:0=fffff;1=fffff`; with code and data apart it is `L3CODE` and `L3DATA`.
fn schemata(group: &str, text: &str, piece: Piece<'_>, out: &mut Out) {
    for (line, row) in lines(text) {
        let Some((kind, masks)) = row.trim().split_once(':') else { continue };
        if matches!(kind, "L3" | "L3DATA") {
            let origin = Origin::new(piece.path, Some(line), row);
            out.fact_of("resctrl.l3", group, Value::text(masks), origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn facts(path: &str, text: &str) -> Vec<String> {
        testing::shown(parse, path, text)
    }

    #[test]
    fn groups_of_resctrl() {
        let text = "    MB:0=100;1=100\n    L3:0=fff00;1=fffff\n";
        assert_eq!(facts("sys/fs/resctrl/schemata", text), ["resctrl.l3[/]=0=fff00;1=fffff"]);
        let text = "L3:0=000ff;1=00000\n";
        assert_eq!(facts("sys/fs/resctrl/vm1/schemata", text), ["resctrl.l3[vm1]=0=000ff;1=00000"]);
        assert_eq!(
            facts("sys/fs/resctrl/info/L3/cbm_mask", "fffff\n"),
            ["resctrl.l3_mask[]=fffff"]
        );
    }

    #[test]
    fn tuned_and_halt_polling() {
        let active = "Current active profile: virtual-guest\n";
        assert_eq!(facts("commands/tuned-adm.txt", active), ["tuned.profile[]=virtual-guest"]);
        assert_eq!(
            facts("etc/tuned/active_profile", "virtual-host\n"),
            ["tuned.profile[]=virtual-host"]
        );
        assert_eq!(facts("commands/tuned-adm.txt", "Cannot talk to TuneD daemon!\n"), [""; 0]);
        let poll = |text| facts("sys/module/kvm/parameters/halt_poll_ns", text);
        assert_eq!(poll("200000\n"), ["kvm.halt_poll_ns[]=200000"]);
        assert_eq!(poll("Y\n"), ["not a number"]);
    }
}
