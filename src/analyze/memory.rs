//! Memory that guests want against memory that is there.
//!
//! * `cgroups.rs`: limits around single guests
//! * `guests.rs`: the guests of a host, from all places that know of one
//! * `pools.rs`: huge pages that guests need against free ones, in total and on bound NUMA nodes
//! * `killer.rs`: what the OOM killer's records say together
//!
//! Sums are of guests that run, in memory outside the huge page pools: guests in huge pages do not
//! compete for the rest. Where a list of processes shows QEMU, it alone counts, because other
//! places name the same guests differently.

mod cgroups;
mod guests;
mod killer;
mod pools;

use super::{Analyzer, Run, derived, derived_of};
use crate::model::{Fact, FactDef, Host, Kind, Layer, Origin, Stack, Value};
use guests::Guest;

/// Guests' memory against their host's.
pub const ANALYZER: Analyzer = Analyzer { name: "memory", facts: FACTS, run: Run::Host(run) };

/// What the layer below gives, seen from the guest.
pub const STACK: Analyzer =
    Analyzer { name: "memory_stack", facts: STACK_FACTS, run: Run::Stack(run_stack) };

const SHOW_NODES: &str = "grep . /sys/devices/system/node/node*/hugepages/*/free_hugepages";
const SHOW: &str = "virsh list --all; grep -E 'MemTotal|Huge' /proc/meminfo";

const fn per_guest(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "guest", doc, SHOW)
}

const FACTS: &[FactDef] = &[
    FactDef::new(
        "memory.for_guests_kib",
        Kind::Int,
        "memory outside the huge page pools, KiB",
        "grep -E 'MemTotal|Hugetlb|HugePages_Total' /proc/meminfo",
    ),
    FactDef::new(
        "guests.running_ram_kib",
        Kind::Int,
        "RAM of all running guests that lies outside huge page pools, KiB",
        SHOW,
    ),
    FactDef::new(
        "guests.running_huge_kib",
        Kind::Int,
        "RAM of all running guests that lies in huge page pools, KiB",
        SHOW,
    ),
    FactDef::new(
        "guests.running_count",
        Kind::Int,
        "running guests whose RAM is known",
        "virsh list; ps -C qemu-system-x86_64",
    ),
    FactDef::new(
        "guests.ram_percent",
        Kind::Int,
        "RAM of running guests against the memory outside huge page pools, percent",
        SHOW,
    ),
    FactDef::new(
        "guests.next_start_percent",
        Kind::Int,
        "the same with the largest guest that does not run, percent",
        SHOW,
    ),
    per_guest(
        "guest.ram_percent",
        Kind::Int,
        "RAM of one guest outside huge pages against the memory that is not in pools, percent",
    ),
    FactDef::new(
        "memory.pressure",
        Kind::Bool,
        "whether under 5 % of memory is available and swap is absent or four fifths full",
        "free -m",
    ),
    FactDef::new(
        "memory.commit_short",
        Kind::Bool,
        "whether strict overcommit (vm.overcommit_memory=2) has no room for the largest guest that \
         does not run",
        "sysctl vm.overcommit_memory; grep Commit /proc/meminfo",
    ),
    per_guest(
        "hugepages.short",
        Kind::Bool,
        "whether a guest that does not run needs more huge pages of its size than are free",
    ),
    per_guest("hugepages.needed", Kind::Int, "huge pages that a guest which does not run needs"),
    per_guest("hugepages.available", Kind::Int, "huge pages of that size that it can still get"),
    per_guest(
        "hugepages.node_short",
        Kind::Bool,
        "whether enough huge pages are free in total, but not on the NUMA nodes the RAM is bound to",
    ),
    per_guest("hugepages.node_needed", Kind::Int, "huge pages needed on the bound NUMA nodes"),
    per_guest("hugepages.node_available", Kind::Int, "huge pages free on the bound NUMA nodes"),
    FactDef::new(
        "hugepages.any_short",
        Kind::Bool,
        "whether any guest that does not run finds too few huge pages in total",
        "grep . /sys/kernel/mm/hugepages/*/free_hugepages",
    ),
    FactDef::new(
        "hugepages.any_node_short",
        Kind::Bool,
        "whether any guest that does not run finds too few huge pages only on its NUMA nodes",
        SHOW_NODES,
    ),
    FactDef::new(
        "guests.any_huge",
        Kind::Bool,
        "whether any guest whose definition is known asks for huge pages",
        "grep -l hugepages /etc/libvirt/qemu/*.xml",
    ),
    FactDef::new(
        "hugepages.none",
        Kind::Bool,
        "whether no huge page of any size is reserved on this machine",
        "grep . /sys/kernel/mm/hugepages/*/nr_hugepages",
    ),
    FactDef::new(
        "oom.limit_percent",
        Kind::Int,
        "limit of the memory cgroup in which a VMM was killed, against its guest's RAM, percent",
        "dmesg | grep -iE 'oom|out of memory'; virsh memtune NAME",
    ),
    FactDef::new(
        "oom.limit_kib",
        Kind::Int,
        "limit of the memory cgroup in which a VMM was killed, KiB",
        "dmesg | grep 'memory: usage'",
    ),
    FactDef::new(
        "oom.cgroup",
        Kind::Text,
        "the memory cgroup whose limit killed a VMM",
        "dmesg | grep oom-kill:",
    ),
    FactDef::new(
        "oom.vmm_percent",
        Kind::Int,
        "resident memory of all VMMs when the OOM killer ran, against all memory, percent",
        "dmesg | grep -A200 'Tasks state'",
    ),
    FactDef::new(
        "oom.guests_percent",
        Kind::Int,
        "running guests and the largest VMM that was killed for want of memory of the whole \
         machine, against the memory outside huge page pools, percent",
        "dmesg | grep -i 'killed process'; ps -C qemu-system-x86_64 -o rss,args",
    ),
    FactDef::new(
        "cgroup.tightest_percent",
        Kind::Int,
        "limit around a guest against its RAM, percent: the one that killed it, or the tightest",
        "systemctl show -p MemoryMax 'machine-qemu*.scope'; virsh memtune NAME",
    ),
    FactDef::per(
        "cgroup.limit_percent",
        Kind::Int,
        "guest",
        "limit of a guest's own control group against its RAM, percent",
        "systemctl show -p MemoryMax 'machine-qemu*.scope'; virsh memtune NAME",
    ),
    FactDef::per(
        "cgroup.guest_oom_kills",
        Kind::Int,
        "guest",
        "processes that were killed for the limit of a guest's own control group",
        "grep oom_kill /sys/fs/cgroup/machine.slice/*/memory.events",
    ),
];

const STACK_FACTS: &[FactDef] = &[
    FactDef::new(
        "memory.given_kib",
        Kind::Int,
        "RAM that the layer below defines for this machine, KiB",
        "virsh dumpxml NAME | grep -i memory",
    ),
    FactDef::new(
        "memory.ballooned",
        Kind::Bool,
        "whether the layer below takes part of this machine's RAM back by its balloon",
        "virsh dominfo NAME",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    let guests = guests::of(host);
    let mut facts = sums(host, &guests);
    facts.extend(pressure(host));
    facts.extend(commit(host, &guests));
    facts.extend(pools::facts(host, &guests));
    facts.extend(killer::facts(host, &guests));
    facts.extend(killer::guests_percent(host, capacity(host), &facts));
    facts.extend(cgroups::limits(host, &guests));
    facts.extend(cgroups::tightest(&facts));
    facts.extend(any_huge(&guests));
    facts
}

/// `part` of `whole` in percent, rounded down; `None` where the whole is nothing.
fn percent(part: i64, whole: i64) -> Option<i64> {
    (whole > 0).then(|| part.checked_mul(100).map(|p| p / whole)).flatten()
}

/// Memory outside the pools, with the fact that tells the total.
fn capacity(host: &Host) -> Option<(i64, Origin)> {
    let total = host.facts.first("memory.total_kib")?;
    let Value::Int(kib) = total.value else { return None };
    Some((kib.saturating_sub(pools::reserved_kib(host)), total.origin.clone()))
}

fn sums(host: &Host, guests: &[Guest]) -> Vec<Fact> {
    let mut facts = Vec::new();
    let capacity = capacity(host);
    let running: Vec<&Guest> = guests.iter().filter(|g| g.running == Some(true)).collect();
    let sum = |huge: bool| {
        let of_kind = running.iter().filter(|g| (g.huge == Some(true)) == huge);
        of_kind.fold(0_i64, |sum, g| sum.saturating_add(g.ram_kib))
    };
    let (plain, huge) = (sum(false), sum(true));
    if let Some(first) = running.first() {
        let count = i64::try_from(running.len()).unwrap_or(i64::MAX);
        facts.push(derived("guests.running_ram_kib", Value::Int(plain), &first.origin));
        facts.push(derived("guests.running_huge_kib", Value::Int(huge), &first.origin));
        facts.push(derived("guests.running_count", Value::Int(count), &first.origin));
    }
    let Some((capacity, origin)) = capacity else { return facts };
    facts.push(derived("memory.for_guests_kib", Value::Int(capacity), &origin));
    if let Some(first) = running.first() {
        let percent = percent(plain, capacity).map(Value::Int);
        facts.extend(percent.map(|p| derived("guests.ram_percent", p, &first.origin)));
    }
    for guest in guests.iter().filter(|g| g.huge != Some(true)) {
        let percent = percent(guest.ram_kib, capacity).map(Value::Int);
        let fact = |p| derived_of("guest.ram_percent", &guest.name, p, &guest.origin);
        facts.extend(percent.map(fact));
    }
    if let Some(next) = largest_idle(guests) {
        let percent = percent(plain.saturating_add(next.ram_kib), capacity).map(Value::Int);
        facts.extend(percent.map(|p| derived("guests.next_start_percent", p, &next.origin)));
    }
    facts
}

/// The largest guest outside huge pages that is not known to run.
fn largest_idle(guests: &[Guest]) -> Option<&Guest> {
    let idle = guests.iter().filter(|g| g.running != Some(true) && g.huge != Some(true));
    idle.max_by_key(|g| g.ram_kib)
}

fn pressure(host: &Host) -> Option<Fact> {
    let int = |name| host.facts.int(name);
    let available = host.facts.first("memory.available_kib")?;
    let low = percent(int("memory.available_kib")?, int("memory.total_kib")?)? < 5;
    let swap = int("memory.swap_total_kib")?;
    let full = swap == 0 || percent(int("memory.swap_free_kib")?, swap)? < 20;
    Some(derived("memory.pressure", Value::Bool(low && full), &available.origin))
}

fn commit(host: &Host, guests: &[Guest]) -> Option<Fact> {
    let int = |name| host.facts.int(name);
    let mode = host.facts.first("vm.overcommit_memory").filter(|f| f.value == Value::Int(2))?;
    let room = int("memory.commit_limit_kib")?.saturating_sub(int("memory.committed_kib")?);
    let short = largest_idle(guests)?.ram_kib > room;
    Some(derived("memory.commit_short", Value::Bool(short), &mode.origin))
}

fn any_huge(guests: &[Guest]) -> Option<Fact> {
    let known = || guests.iter().filter(|g| g.huge.is_some());
    let deciding = known().find(|g| g.huge == Some(true)).or_else(|| known().next())?;
    let any = Value::Bool(deciding.huge == Some(true));
    Some(derived("guests.any_huge", any, &deciding.origin))
}

fn run_stack(stack: &Stack) -> Vec<(usize, Fact)> {
    let mut facts = Vec::new();
    for (index, host) in stack.hosts.iter().enumerate() {
        let below = host.layer.below().filter(|l| *l != Layer::Unknown);
        let providers = stack.hosts.iter().filter(|h| Some(h.layer) == below && h.collected());
        for provider in providers {
            facts.extend(given(provider, host).into_iter().map(|fact| (index, fact)));
        }
    }
    facts
}

/// What `provider` defines for `guest`, if it is one of its domains.
fn given(provider: &Host, guest: &Host) -> Vec<Fact> {
    let uuid = guest.facts.text("dmi.product_uuid").map(str::to_ascii_lowercase);
    let by_uuid = provider
        .facts
        .all("domain.uuid")
        .iter()
        .find(|f| uuid.as_deref().is_some_and(|u| f.value == Value::text(u)));
    let name = guest.name().split('.').next().unwrap_or_default();
    let domain = by_uuid.and_then(|f| f.instance.as_deref()).unwrap_or(name);
    let Some(memory) = provider.facts.of("domain.memory_kib", domain) else { return Vec::new() };
    let mut facts = vec![derived("memory.given_kib", memory.value.clone(), &memory.origin)];
    if let Some(current) = provider.facts.of("domain.current_memory_kib", domain)
        && let (Value::Int(left), Value::Int(all)) = (&current.value, &memory.value)
    {
        facts.push(derived("memory.ballooned", Value::Bool(left < all), &current.origin));
    }
    facts
}

#[cfg(test)]
mod tests;
