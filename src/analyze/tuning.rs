//! What could be tuned about CPUs, caches and disks of a machine that hosts or is a guest.

use super::cpu::{cpus, number};
use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Value};

/// Tuning.
pub const ANALYZER: Analyzer = Analyzer { name: "tuning", facts: FACTS, run: Run::Host(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "disk.sorted_twice",
        Kind::Words,
        "disks of a guest on which the guest's own I/O scheduler sorts what the host sorts again",
        "grep . /sys/block/*/queue/scheduler",
    ),
    FactDef::new(
        "guests.unpinned",
        Kind::Words,
        "running guests none of whose vCPUs is pinned, as far as their definition is known",
        "virsh vcpupin NAME",
    ),
    FactDef::new(
        "cache.l3_shared",
        Kind::Bool,
        "whether the CPU can allocate parts of the L3 cache and every group may use all of it",
        "cat /sys/fs/resctrl/schemata",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    [sorted_twice(host), unpinned(host), l3_shared(host)].into_iter().flatten().collect()
}

/// Only disks whose queue lies in the layer below: paravirtual ones, and all of a guest's SCSI disks.
fn sorted_twice(host: &Host) -> Option<Fact> {
    if host.facts.bool("platform.is_guest") != Some(true) {
        return None;
    }
    let facts: Vec<&Fact> = host.facts.all("block.scheduler").iter().collect();
    let sorts = |f: &&&Fact| !matches!(&f.value, Value::Text(s) if s == "none" || s == "noop");
    let virtual_disk = |f: &&&Fact| {
        let name = f.instance.as_deref().unwrap_or_default();
        ["vd", "xvd", "sd", "hd"].iter().any(|p| name.starts_with(p))
    };
    let first = facts.first()?;
    let sorted = facts.iter().filter(virtual_disk).filter(sorts);
    let names: Vec<&str> = sorted.filter_map(|f| f.instance.as_deref()).collect();
    Some(derived("disk.sorted_twice", Value::words(names), &first.origin))
}

fn unpinned(host: &Host) -> Option<Fact> {
    let online = cpus(host).map(|(n, _)| n);
    let facts = host.facts.all("domain.vcpus_pinned");
    let first = facts.first()?;
    let running = |name: &str| {
        let says =
            |fact: &str| host.facts.of(fact, name).is_some_and(|f| f.value == Value::Bool(true));
        says("domain.running") || says("qemu.running") || says("domain.live")
    };
    // vcpupin changes a running guest and not its definition.
    let narrowed = |name: &str| {
        let affinity = host.facts.of("vcpus.affinity", name).and_then(number);
        matches!((affinity, online), (Some(may), Some(all)) if may < all)
    };
    let free = facts.iter().filter(|f| f.value == Value::Int(0));
    let names: Vec<&str> = free
        .filter_map(|f| f.instance.as_deref())
        .filter(|name| running(name) && !narrowed(name))
        .collect();
    Some(derived("guests.unpinned", Value::words(names), &first.origin))
}

fn l3_shared(host: &Host) -> Option<Fact> {
    let mask = host.facts.text("resctrl.l3_mask")?.trim_start_matches('0').to_owned();
    let groups = host.facts.all("resctrl.l3");
    let first = groups.first()?;
    let all_ways = |f: &Fact| match &f.value {
        Value::Text(masks) => masks
            .split(';')
            .filter_map(|m| Some(m.split_once('=')?.1.trim().trim_start_matches('0')))
            .all(|m| m.eq_ignore_ascii_case(&mask)),
        _ => false,
    };
    Some(derived("cache.l3_shared", Value::Bool(groups.iter().all(all_ways)), &first.origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::testing::{host, value};

    #[test]
    fn schedulers_of_a_guest() {
        let disks = [
            ("platform.is_guest", "", Value::Bool(true)),
            ("block.scheduler", "vda", Value::text("mq-deadline")),
            ("block.scheduler", "vdb", Value::text("none")),
            ("block.scheduler", "nvme0n1", Value::text("kyber")),
        ];
        assert_eq!(value(&run(&host(&disks)), "disk.sorted_twice").unwrap(), "vda");
        assert_eq!(value(&run(&host(&disks[1..])), "disk.sorted_twice"), None);
    }

    #[test]
    fn pins_of_running_guests() {
        let host = host(&[
            ("cpu.online", "", Value::Int(8)),
            ("domain.vcpus_pinned", "free", Value::Int(0)),
            ("domain.vcpus_pinned", "off", Value::Int(0)),
            ("domain.vcpus_pinned", "live", Value::Int(0)),
            ("domain.vcpus_pinned", "tied", Value::Int(2)),
            ("domain.running", "free", Value::Bool(true)),
            ("domain.running", "live", Value::Bool(true)),
            ("domain.running", "tied", Value::Bool(true)),
            ("vcpus.affinity", "live", Value::Int(4)),
        ]);
        assert_eq!(value(&run(&host), "guests.unpinned").unwrap(), "free");
    }

    #[test]
    fn groups_of_the_cache() {
        let shared = |masks: &str| {
            let host = host(&[
                ("resctrl.l3_mask", "", Value::text("fffff")),
                ("resctrl.l3", "/", Value::text("0=fffff;1=fffff")),
                ("resctrl.l3", "vm1", Value::text(masks)),
            ]);
            value(&run(&host), "cache.l3_shared").unwrap()
        };
        assert_eq!(shared("0=000ff;1=fffff"), "false");
        assert_eq!(shared("0=fffff;1=fffff"), "true");
    }
}
