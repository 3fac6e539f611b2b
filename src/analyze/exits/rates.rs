//! Rates of KVM's counters, per VM, from whatever was measured.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cpu::number;
use crate::model::{Fact, Host, Origin, Value};

/// What a rate rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Basis {
    /// A tool measured it.
    Measured,
    /// Two samples with their times.
    Sampled,
    /// A counter over the uptime of the host: a lower bound of the mean.
    SinceBoot,
}

impl Basis {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Sampled => "sampled",
            Self::SinceBoot => "mean-since-boot",
        }
    }
}

/// Rates of one VM, or of all, per second.
pub(super) struct Rates<'h> {
    /// `PID-FD` or a domain's name.
    pub(super) vm: Option<String>,
    pub(super) basis: Basis,
    pub(super) exits: Option<i64>,
    pub(super) hlt: Option<i64>,
    pub(super) io: Option<i64>,
    pub(super) mmio: Option<i64>,
    pub(super) irq_window: Option<i64>,
    pub(super) l2: Option<i64>,
    pub(super) origin: &'h Origin,
}

/// Counters of debugfs and of tracepoints that count the same.
const EXITS: &[&str] = &["exits", "kvm_exit"];
const HLT: &[&str] = &["halt_exits", "kvm_exit(HLT)", "kvm_exit(hlt)"];
const IO: &[&str] = &["io_exits", "kvm_exit(IO_INSTRUCTION)", "kvm_exit(IOIO)", "kvm_pio"];
const MMIO: &[&str] = &["mmio_exits", "kvm_exit(EPT_MISCONFIG)", "kvm_mmio"];
const WINDOW: &[&str] = &[
    "irq_window_exits",
    "kvm_exit(PENDING_INTERRUPT)",
    "kvm_exit(INTERRUPT_WINDOW)",
    "kvm_exit(VINTR)",
];
const L2: &[&str] = &[
    "nested_run",
    "kvm_nested_vmenter",
    "kvm_nested_vmrun",
    "kvm_exit(VMRESUME)",
    "kvm_exit(VMRUN)",
];

/// A counter's rate, and where it was read.
type Table<'h> = BTreeMap<&'h str, (i64, &'h Origin)>;

/// Rates of all VMs, on the best basis there is for each: sums first.
pub(super) fn all(host: &Host) -> Vec<Rates<'_>> {
    let mut best: BTreeMap<Option<String>, Rates<'_>> = BTreeMap::new();
    let bases = [
        (Basis::Measured, measured(host)),
        (Basis::Sampled, sampled(host)),
        (Basis::SinceBoot, since_boot(host)),
    ];
    for (basis, table) in bases {
        let vms: BTreeSet<Option<&str>> = table.keys().map(|c| split(c).0).collect();
        for vm in vms {
            if let Some(rates) = of(vm, basis, &table) {
                best.entry(rates.vm.clone()).or_insert(rates);
            }
        }
    }
    best.into_values().collect()
}

/// VM and name of a counter's instance.
fn split(counter: &str) -> (Option<&str>, &str) {
    match counter.rsplit_once('/') {
        Some((vm, name)) => (Some(vm), name),
        None => (None, counter),
    }
}

/// The rates of one VM; `None` without a count of its exits.
fn of<'h>(vm: Option<&str>, basis: Basis, table: &Table<'h>) -> Option<Rates<'h>> {
    let find = |names: &[&str]| {
        names.iter().find_map(|name| match vm {
            Some(vm) => table.get(format!("{vm}/{name}").as_str()).copied(),
            None => table.get(name).copied(),
        })
    };
    let rate = |names: &[&str]| find(names).map(|(rate, _)| rate);
    let (exits, origin) = find(EXITS).or_else(|| find(HLT)).or_else(|| find(IO))?;
    Some(Rates {
        vm: vm.map(str::to_owned),
        basis,
        exits: find(EXITS).map(|_| exits),
        hlt: rate(HLT),
        io: rate(IO),
        mmio: rate(MMIO),
        irq_window: rate(WINDOW),
        l2: rate(L2),
        origin,
    })
}

fn measured(host: &Host) -> Table<'_> {
    let facts = host.facts.all("kvmcount.rate").iter();
    facts.filter_map(|f| Some((f.instance.as_deref()?, (number(f)?, &f.origin)))).collect()
}

/// Rates between the two samples that are furthest apart, at least half a second.
fn sampled(host: &Host) -> Table<'_> {
    let times: BTreeMap<&str, i64> = host
        .facts
        .all("kvmcount.uptime_ms")
        .iter()
        .filter_map(|f| Some((f.origin.source.as_str(), number(f)?)))
        .collect();
    let by_time = |(_, ms): &(&&str, &i64)| **ms;
    let (Some((first, from)), Some((last, to))) =
        (times.iter().min_by_key(by_time), times.iter().max_by_key(by_time))
    else {
        return Table::new();
    };
    let elapsed = to.saturating_sub(*from);
    if elapsed < 500 {
        return Table::new();
    }
    let of = |source: &str| -> BTreeMap<&str, &Fact> {
        let facts = host.facts.all("kvmcount.total").iter();
        let facts = facts.filter(move |f| f.origin.source == source);
        facts.filter_map(|f| Some((f.instance.as_deref()?, f))).collect()
    };
    let (before, after) = (of(first), of(last));
    // A value that did not change is kept once only, with the sample that was read first.
    let unchanged = |counter: &str| after.get(counter).or_else(|| before.get(counter)).copied();
    before
        .iter()
        .filter_map(|(counter, fact)| {
            let now = unchanged(counter)?;
            let delta = number(now)?.checked_sub(number(fact)?).filter(|d| *d >= 0)?;
            Some((*counter, (delta.saturating_mul(1000) / elapsed, &now.origin)))
        })
        .collect()
}

/// Counters over the host's uptime: no VM is older than its host.
fn since_boot(host: &Host) -> Table<'_> {
    let Some(uptime) = host.facts.int("host.uptime_seconds").filter(|s| *s > 0) else {
        return Table::new();
    };
    let facts = host.facts.all("kvmcount.total").iter();
    facts.filter_map(|f| Some((f.instance.as_deref()?, (number(f)? / uptime, &f.origin)))).collect()
}

impl Rates<'_> {
    /// vCPUs of the VM, or of all running guests.
    pub(super) fn vcpus(&self, host: &Host) -> Option<i64> {
        let known = match &self.vm {
            Some(vm) => ["kvmcount.vcpus", "domstats.vcpus"]
                .iter()
                .find_map(|name| number(host.facts.of(name, vm)?)),
            None => host.facts.int("guests.vcpus"),
        };
        known.filter(|n| *n > 0)
    }

    /// Whether guests of the VM run guests: a counter that grows, or a vCPU that is in L2.
    pub(super) fn l2_active(&self, host: &Host) -> Option<bool> {
        let in_l2 = host.facts.all("kvmcount.total").iter().any(|f| {
            let counter = f.instance.as_deref().unwrap_or_default();
            let of_vm = self.vm.as_deref().is_none_or(|vm| split(counter).0 == Some(vm));
            of_vm && counter.ends_with("guest_mode") && f.value != Value::Int(0)
        });
        if in_l2 { Some(true) } else { self.l2.map(|rate| rate > 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Layer;

    fn fact(name: &'static str, instance: &str, source: &str, value: i64) -> Fact {
        Fact {
            name,
            instance: Some(instance.to_owned()),
            value: Value::Int(value),
            origin: Origin::new(source, Some(1), ""),
        }
    }

    fn host(facts: Vec<Fact>) -> Host {
        let mut host = Host::new("h", Layer::L0, "input");
        facts.into_iter().for_each(|f| host.facts.add(f));
        host
    }

    #[test]
    fn two_samples_per_vm_and_of_all() {
        let (one, two) = ("commands/kvm-counters.txt", "commands/kvm-counters.2.txt");
        let host = host(vec![
            fact("kvmcount.uptime_ms", "kvm-counters", one, 10_000),
            fact("kvmcount.uptime_ms", "kvm-counters.2", two, 12_000),
            fact("kvmcount.total", "exits", one, 1_000),
            fact("kvmcount.total", "exits", two, 41_000),
            fact("kvmcount.total", "7-11/exits", one, 1_000),
            fact("kvmcount.total", "7-11/exits", two, 31_000),
            fact("kvmcount.total", "7-11/nested_run", one, 500),
        ]);
        let all = all(&host);
        assert_eq!(all[0].exits, Some(20_000));
        assert_eq!(all[0].vm, None);
        assert_eq!(all[1].exits, Some(15_000));
        assert_eq!((all[1].vm.as_deref(), all[1].l2), (Some("7-11"), Some(0)));
        assert_eq!(all[1].l2_active(&host), Some(false));
    }

    #[test]
    fn one_sample_gives_a_lower_bound() {
        let mut host = host(vec![fact("kvmcount.total", "web/exits", "x", 9_000_000)]);
        assert!(all(&host).is_empty());
        host.facts.add(fact("host.uptime_seconds", "", "proc/uptime", 100));
        let all = all(&host);
        assert_eq!((all[0].exits, all[0].basis), (Some(90_000), Basis::SinceBoot));
    }
}
