//! CPUs and who wants them: vCPUs of running guests against the CPUs of the machine, the length of
//! its run queue, and how much of its work is guests.
//!
//! Which guests run follows from processes, `virsh list`, `virsh domstats`, live XML and `qm list`;
//! their vCPUs from the command line, the definition or domstats. One guest may be seen in several of
//! them, under one name.

use std::collections::BTreeMap;

use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Origin, Value};

/// CPUs and who wants them.
pub const ANALYZER: Analyzer = Analyzer { name: "cpu", facts: FACTS, run: Run::Host(run) };

const LIST: &str = "virsh list; ps -eo args | grep qemu; nproc";

const FACTS: &[FactDef] = &[
    FactDef::new("cpus.online", Kind::Int, "CPUs that this machine can use", "nproc"),
    FactDef::new(
        "guests.running",
        Kind::Int,
        "guests that run here, of which the number of vCPUs is known",
        LIST,
    ),
    FactDef::new("guests.vcpus", Kind::Int, "vCPUs of all running guests together", LIST),
    FactDef::new("guests.vcpus_text", Kind::Text, "vCPUs of the running guests, one by one", LIST),
    FactDef::new(
        "guests.overcommit",
        Kind::Int,
        "vCPUs of running guests for 100 CPUs: more than 100 is overcommitted",
        LIST,
    ),
    FactDef::new(
        "guests.largest_overcommit",
        Kind::Int,
        "vCPUs of the largest guest for 100 CPUs; a defined guest counts where no list of running ones is",
        "virsh dumpxml NAME | grep vcpu; nproc",
    ),
    FactDef::new(
        "guests.largest",
        Kind::Text,
        "the guest with the most vCPUs, and how many they are",
        "virsh dumpxml NAME | grep vcpu",
    ),
    FactDef::new(
        "guests.delay_percent",
        Kind::Int,
        "time in which vCPUs waited for a CPU, for 100 of the time they ran; of the guest that waited most",
        "virsh domstats --vcpu",
    ),
    FactDef::new(
        "load.per_cpu",
        Kind::Int,
        "load average of one minute for 100 CPUs",
        "uptime; nproc",
    ),
    FactDef::new(
        "load.per_cpu15",
        Kind::Int,
        "load average of fifteen minutes for 100 CPUs",
        "uptime; nproc",
    ),
    FactDef::new(
        "queue.per_cpu",
        Kind::Int,
        "tasks that run or want to, for 100 CPUs",
        "vmstat 1 5; nproc",
    ),
    FactDef::new(
        "pressure.per_cpu",
        Kind::Int,
        "the larger of load average and run queue, for 100 CPUs, as far as they are known",
        "uptime; vmstat 1 5; nproc",
    ),
    FactDef::new(
        "guests.wanted_cpus",
        Kind::Int,
        "the larger of the vCPUs of all running guests and of the largest guest, for 100 CPUs",
        LIST,
    ),
    FactDef::new(
        "busy.permille",
        Kind::Int,
        "share of CPU time that is not idle, thousandths",
        "vmstat 1 5",
    ),
    FactDef::new(
        "busy.guests",
        Kind::Int,
        "share of vCPUs in the CPU time that is not idle, thousandths, since boot",
        "cat /proc/stat",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    let cpus = cpus(host);
    facts.extend(cpus.clone().map(|(n, origin)| derived("cpus.online", Value::Int(n), &origin)));
    facts.extend(busy(host));
    facts.extend(delay(host));
    let Some((cpus, _)) = cpus else { return facts };
    facts.extend(guests(host, cpus));
    facts.extend(largest(host, cpus));
    let shares = [
        ("load.per_cpu", "load.avg1"),
        ("load.per_cpu15", "load.avg15"),
        ("queue.per_cpu", "util.run_queue"),
    ];
    for (name, source) in shares {
        let most = host
            .facts
            .all(source)
            .iter()
            .filter_map(|f| Some((number(f)?, f)))
            .max_by_key(|(n, _)| *n);
        facts.extend(most.map(|(n, f)| derived(name, Value::Int(n / cpus), &f.origin)));
    }
    let larger = [
        ("pressure.per_cpu", ["load.per_cpu", "queue.per_cpu"]),
        ("guests.wanted_cpus", ["guests.overcommit", "guests.largest_overcommit"]),
    ];
    for (name, sources) in larger {
        let known = facts.iter().filter(|f| sources.contains(&f.name));
        let most = known.max_by_key(|f| number(f)).cloned();
        facts.extend(most.map(|f| derived(name, f.value, &f.origin)));
    }
    facts
}

/// A fact's number.
pub(super) fn number(fact: &Fact) -> Option<i64> {
    match fact.value {
        Value::Int(n) => Some(n),
        _ => None,
    }
}

/// Online CPUs, from the best place that tells.
pub(super) fn cpus(host: &Host) -> Option<(i64, Origin)> {
    ["cpu.online", "procstat.cpus", "cpu.count", "lscpu.cpus"].iter().find_map(|name| {
        let fact = host.facts.first(name)?;
        Some((number(fact).filter(|n| *n > 0)?, fact.origin.clone()))
    })
}

fn yes<'h>(host: &'h Host, name: &str) -> impl Iterator<Item = (&'h str, &'h Origin)> + use<'h> {
    host.facts.all(name).iter().filter_map(|f| {
        (f.value == Value::Bool(true)).then_some((f.instance.as_deref()?, &f.origin))
    })
}

/// Names of running guests with the place that says so.
pub(super) fn running(host: &Host) -> BTreeMap<&str, &Origin> {
    let mut guests = BTreeMap::new();
    for name in ["qemu.running", "domain.running", "domain.live"] {
        guests.extend(yes(host, name));
    }
    let listed = host.facts.all("domstats.state").iter();
    guests.extend(listed.filter_map(|f| {
        (f.value == Value::text("running")).then_some((f.instance.as_deref()?, &f.origin))
    }));
    // Proxmox VE lists by number what QEMU calls by name.
    for (id, origin) in yes(host, "pve.running") {
        let name = host.facts.of("pve.name", id).map(|f| &f.value);
        let name = match name {
            Some(Value::Text(name)) => name.as_str(),
            _ => id,
        };
        guests.entry(name).or_insert(origin);
    }
    // A listing that says "shut off" is newer than a file that was left behind.
    for fact in host.facts.all("domain.running").iter().filter(|f| f.value == Value::Bool(false)) {
        if let Some(name) = fact.instance.as_deref()
            && host.facts.of("qemu.running", name).is_none()
        {
            guests.remove(name);
        }
    }
    guests
}

/// vCPUs of a guest.
pub(super) fn vcpus(host: &Host, guest: &str) -> Option<i64> {
    let names = ["qemu.vcpus", "domstats.vcpus", "domain.vcpus_now", "domain.vcpus"];
    let direct = names.iter().find_map(|name| number(host.facts.of(name, guest)?));
    direct.or_else(|| {
        let by_name = host.facts.all("pve.name").iter();
        let id = by_name
            .filter(|f| f.value == Value::text(guest))
            .find_map(|f| f.instance.as_deref())
            .unwrap_or(guest);
        number(host.facts.of("pve.vcpus", id)?)
    })
}

fn guests(host: &Host, cpus: i64) -> Vec<Fact> {
    let known: Vec<(&str, i64, &Origin)> = running(host)
        .into_iter()
        .filter_map(|(name, origin)| Some((name, vcpus(host, name).filter(|n| *n > 0)?, origin)))
        .collect();
    let Some((_, _, origin)) = known.first() else { return Vec::new() };
    let sum = known.iter().fold(0_i64, |sum, (_, n, _)| sum.saturating_add(*n));
    let text: Vec<String> = known.iter().map(|(name, n, _)| format!("{name} {n}")).collect();
    let number = i64::try_from(known.len()).unwrap_or(i64::MAX);
    vec![
        derived("guests.running", Value::Int(number), origin),
        derived("guests.vcpus", Value::Int(sum), origin),
        derived("guests.vcpus_text", Value::text(text.join(", ")), origin),
        derived("guests.overcommit", Value::Int(sum.saturating_mul(100) / cpus), origin),
    ]
}

/// The guest with the most vCPUs.
fn largest(host: &Host, cpus: i64) -> Vec<Fact> {
    let running = running(host);
    let defined = ["domain.vcpus_now", "domain.vcpus", "qemu.vcpus"];
    let candidates: Vec<(&str, i64, &Origin)> = if running.is_empty() {
        let facts = defined.iter().flat_map(|name| host.facts.all(name));
        facts.filter_map(|f| Some((f.instance.as_deref()?, number(f)?, &f.origin))).collect()
    } else {
        running.into_iter().filter_map(|(g, o)| Some((g, vcpus(host, g)?, o))).collect()
    };
    let Some((name, n, origin)) = candidates.into_iter().max_by_key(|(_, n, _)| *n) else {
        return Vec::new();
    };
    vec![
        derived("guests.largest_overcommit", Value::Int(n.saturating_mul(100) / cpus), origin),
        derived("guests.largest", Value::text(format!("{name} with {n}")), origin),
    ]
}

/// Share of waiting in what libvirt accounts to vCPUs.
fn delay(host: &Host) -> Option<Fact> {
    let facts = host.facts.all("domstats.delay_ms").iter();
    let (percent, origin) = facts
        .filter_map(|f| {
            let ran = number(host.facts.of("domstats.time_ms", f.instance.as_deref()?)?)?;
            let percent = number(f)?.saturating_mul(100).checked_div(ran)?;
            Some((percent, &f.origin))
        })
        .max_by_key(|(percent, _)| *percent)?;
    Some(derived("guests.delay_percent", Value::Int(percent), origin))
}

fn busy(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    let idle = host.facts.all("util.idle").iter().min_by_key(|f| number(f).unwrap_or(i64::MAX));
    if let Some(fact) = idle
        && let Some(idle) = number(fact)
    {
        let waits = fact.instance.as_deref().and_then(|i| host.facts.of("util.iowait", i));
        let waits = waits.and_then(number).unwrap_or(0);
        let busy = 1000_i64.saturating_sub(idle).saturating_sub(waits).max(0);
        facts.push(derived("busy.permille", Value::Int(busy), &fact.origin));
    }
    let ticks = |name: &str| host.facts.of(name, "stat").and_then(number);
    let of_guests = host.facts.of("procstat.guest", "stat");
    let all = ["user", "nice", "system", "irq", "softirq"]
        .iter()
        .map(|n| ticks(&format!("procstat.{n}")))
        .try_fold(0_i64, |sum, n| sum.checked_add(n?));
    if let (Some(fact), Some(all)) = (of_guests, all.filter(|all| *all > 0))
        && let Some(guest) = number(fact)
    {
        let share = guest.saturating_mul(1000) / all;
        facts.push(derived("busy.guests", Value::Int(share.clamp(0, 1000)), &fact.origin));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::testing::{host, value};

    #[test]
    fn running_guests_are_counted_once_and_stopped_ones_not() {
        let host = host(&[
            ("cpu.online", "", Value::Int(16)),
            ("qemu.running", "a", Value::Bool(true)),
            ("qemu.vcpus", "a", Value::Int(12)),
            ("domain.running", "a", Value::Bool(true)),
            ("domain.running", "b", Value::Bool(true)),
            ("domain.vcpus", "b", Value::Int(12)),
            ("domain.running", "c", Value::Bool(false)),
            ("domain.live", "c", Value::Bool(true)),
            ("domain.vcpus", "c", Value::Int(64)),
        ]);
        let facts = run(&host);
        assert_eq!(value(&facts, "guests.running").unwrap(), "2");
        assert_eq!(value(&facts, "guests.vcpus").unwrap(), "24");
        assert_eq!(value(&facts, "guests.overcommit").unwrap(), "150");
        assert_eq!(value(&facts, "guests.largest_overcommit").unwrap(), "75");
    }

    #[test]
    fn proxmox_by_number_and_name() {
        let host = host(&[
            ("cpu.count", "", Value::Int(4)),
            ("pve.running", "131", Value::Bool(true)),
            ("pve.name", "131", Value::text("mail")),
            ("pve.vcpus", "131", Value::Int(6)),
            ("qemu.running", "mail", Value::Bool(true)),
        ]);
        let facts = run(&host);
        assert_eq!(value(&facts, "guests.vcpus_text").unwrap(), "mail 6");
        assert_eq!(value(&facts, "guests.overcommit").unwrap(), "150");
    }

    #[test]
    fn without_a_list_only_the_largest_definition_is_told() {
        let host =
            host(&[("cpu.online", "", Value::Int(6)), ("domain.vcpus", "big", Value::Int(64))]);
        let facts = run(&host);
        assert_eq!(value(&facts, "guests.overcommit"), None);
        assert_eq!(value(&facts, "guests.largest_overcommit").unwrap(), "1066");
    }

    #[test]
    fn load_and_what_it_is_made_of() {
        let host = host(&[
            ("cpu.online", "", Value::Int(4)),
            ("load.avg1", "", Value::Int(2000)),
            ("util.run_queue", "vmstat", Value::Int(800)),
            ("util.idle", "vmstat", Value::Int(20)),
            ("util.iowait", "vmstat", Value::Int(80)),
            ("procstat.user", "stat", Value::Int(700)),
            ("procstat.nice", "stat", Value::Int(0)),
            ("procstat.system", "stat", Value::Int(300)),
            ("procstat.irq", "stat", Value::Int(0)),
            ("procstat.softirq", "stat", Value::Int(0)),
            ("procstat.guest", "stat", Value::Int(250)),
        ]);
        let facts = run(&host);
        assert_eq!(value(&facts, "load.per_cpu").unwrap(), "500");
        assert_eq!(value(&facts, "queue.per_cpu").unwrap(), "200");
        assert_eq!(value(&facts, "busy.permille").unwrap(), "900");
        assert_eq!(value(&facts, "busy.guests").unwrap(), "250");
    }
}
