//! Huge pages that guests need against those that are free.
//!
//! `free_hugepages` counts reserved pages too: a mapping that is not touched yet holds them. What
//! a new guest can get is free less reserved, and surplus pages where those are allowed.

use std::collections::BTreeMap;

use super::guests::Guest;
use super::{derived, derived_of};
use crate::model::{Event, Fact, Host, Origin, Value};

/// A pool of the whole machine.
#[derive(Debug, Clone)]
struct Pool {
    available: i64,
    origin: Origin,
}

pub(super) fn facts(host: &Host, guests: &[Guest]) -> Vec<Fact> {
    let mut facts: Vec<Fact> = none(host).into_iter().collect();
    let default = default_size(host);
    let idle = guests.iter().filter(|g| g.huge == Some(true) && g.running != Some(true));
    let refused: Vec<Guest> = host.events.of("guest_ram").iter().filter_map(refused).collect();
    for guest in idle.chain(&refused) {
        let Some(size) = guest.page_kib.or(default).filter(|s| *s > 0) else { continue };
        facts.extend(of_guest(host, guest, size));
    }
    for (of_guest, any) in [
        ("hugepages.short", "hugepages.any_short"),
        ("hugepages.node_short", "hugepages.any_node_short"),
    ] {
        let deciding = facts.iter().find(|f| f.name == of_guest && f.value == Value::Bool(true));
        let known = deciding.or(facts.iter().find(|f| f.name == "hugepages.none"));
        let fact = known.map(|f| derived(any, Value::Bool(deciding.is_some()), &f.origin));
        facts.extend(fact);
    }
    facts
}

fn of_guest(host: &Host, guest: &Guest, size: i64) -> Vec<Fact> {
    let mut facts = Vec::new();
    let Some(pool) = pool(host, size) else { return facts };
    let needed = pages(guest.ram_kib, size);
    let short = needed > pool.available;
    let mut add = |name, value| {
        facts.push(derived_of(name, &guest.name, value, &pool.origin));
    };
    add("hugepages.needed", Value::Int(needed));
    add("hugepages.available", Value::Int(pool.available));
    add("hugepages.short", Value::Bool(short));
    let mut worst: Option<(i64, i64, Origin)> = None;
    for (list, kib) in &guest.nodes {
        let Some((available, origin)) = on_nodes(host, list, size) else { continue };
        let needed = pages(*kib, size);
        let missing = |n: i64, a: i64| n.saturating_sub(a);
        if worst.as_ref().is_none_or(|(n, a, _)| missing(needed, available) > missing(*n, *a)) {
            worst = Some((needed, available, origin));
        }
    }
    if let Some((needed, available, origin)) = worst {
        let mut add = |name, value| facts.push(derived_of(name, &guest.name, value, &origin));
        add("hugepages.node_needed", Value::Int(needed));
        add("hugepages.node_available", Value::Int(available));
        add("hugepages.node_short", Value::Bool(needed > available && !short));
    }
    facts
}

fn pages(kib: i64, size: i64) -> i64 {
    kib.saturating_add(size.saturating_sub(1)) / size.max(1)
}

/// RAM that QEMU was refused, where its message names the option: a guest of that size.
fn refused(event: &Event) -> Option<Guest> {
    let field = |name: &str| event.fields.get(name).map(String::as_str);
    if field("huge") != Some("yes") || field("error") != Some("no memory") {
        return None;
    }
    let ram_kib = field("size_kib")?.parse().ok()?;
    let bound = field("nodes").filter(|_| field("policy") == Some("bind"));
    Some(Guest {
        name: field("id").unwrap_or("refused").to_owned(),
        ram_kib,
        huge: Some(true),
        page_kib: field("page_kib").and_then(|p| p.parse().ok()),
        nodes: bound.map(|nodes| (nodes.to_owned(), ram_kib)).into_iter().collect(),
        running: Some(false),
        origin: event.origin.clone(),
    })
}

fn int(fact: Option<&Fact>) -> Option<i64> {
    match fact?.value {
        Value::Int(n) => Some(n),
        _ => None,
    }
}

/// The default size: as the kernel says it, or the size of the only pool.
fn default_size(host: &Host) -> Option<i64> {
    host.facts.int("memory.hugepage_size_kib").or_else(|| {
        let pools = host.facts.all("hugepages.total");
        let only = pools.first().filter(|_| pools.len() == 1)?;
        only.instance.as_deref()?.parse().ok()
    })
}

fn pool(host: &Host, size: i64) -> Option<Pool> {
    let key = size.to_string();
    let of = |name| host.facts.of(name, &key);
    if let Some(free) = of("hugepages.free") {
        let reserved = int(of("hugepages.reserved")).unwrap_or_default();
        let allowed = int(of("hugepages.overcommit")).unwrap_or_default();
        let surplus = int(of("hugepages.surplus")).unwrap_or_default();
        let available = int(Some(free))?
            .saturating_sub(reserved)
            .saturating_add(allowed.saturating_sub(surplus).max(0));
        return Some(Pool { available, origin: free.origin.clone() });
    }
    if host.facts.int("memory.hugepage_size_kib") == Some(size) {
        let free = host.facts.first("memory.hugepages_free")?;
        let reserved = host.facts.int("memory.hugepages_reserved").unwrap_or_default();
        let available = int(Some(free))?.saturating_sub(reserved);
        return Some(Pool { available, origin: free.origin.clone() });
    }
    let nodes = host.facts.all("hugepages.node_free").iter();
    let of_size = |f: &&Fact| {
        f.instance.as_deref().and_then(|i| i.split_once('/')).is_some_and(|(_, s)| s == key)
    };
    let nodes: Vec<&Fact> = nodes.filter(of_size).collect();
    let available = nodes.iter().filter_map(|f| int(Some(f))).fold(0, i64::saturating_add);
    let origin = nodes.first().map(|f| f.origin.clone());
    // Pools of other sizes are listed and this one is not: the kernel has none of this size.
    let others = host.facts.all("hugepages.free").first().map(|f| f.origin.clone());
    Some(Pool { available, origin: origin.or(others)? })
}

/// Free pages of a size on a list of nodes such as `0-1,3`; `None` unless each is known.
fn on_nodes(host: &Host, list: &str, size: i64) -> Option<(i64, Origin)> {
    let mut sum = 0_i64;
    let mut place = None;
    for node in numbers(list)? {
        let by_default = host.facts.int("memory.hugepage_size_kib") == Some(size);
        let fact =
            host.facts.of("hugepages.node_free", &format!("{node}/{size}")).or_else(|| {
                host.facts.of("numa.hugepages_free", &node.to_string()).filter(|_| by_default)
            })?;
        sum = sum.saturating_add(int(Some(fact))?);
        place.get_or_insert_with(|| fact.origin.clone());
    }
    Some((sum, place?))
}

/// `0-1,3` as numbers; no more of them than Linux has nodes.
fn numbers(list: &str) -> Option<Vec<u32>> {
    const MOST: usize = 1024;
    let mut all: Vec<u32> = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        all.extend((from..=to).take(MOST + 1));
        if all.len() > MOST {
            return None;
        }
    }
    Some(all)
}

/// Memory in all pools, KiB.
pub(super) fn reserved_kib(host: &Host) -> i64 {
    if let Some(kib) = host.facts.int("memory.hugetlb_kib") {
        return kib;
    }
    let mut sizes: BTreeMap<i64, i64> = BTreeMap::new();
    for fact in host.facts.all("hugepages.total") {
        let size = fact.instance.as_deref().and_then(|i| i.parse::<i64>().ok());
        if let (Some(size), Some(count)) = (size, int(Some(fact))) {
            sizes.insert(size, count.saturating_mul(size));
        }
    }
    if let (Some(size), Some(count)) =
        (host.facts.int("memory.hugepage_size_kib"), host.facts.int("memory.hugepages_total"))
    {
        sizes.entry(size).or_insert(count.saturating_mul(size));
    }
    sizes.into_values().fold(0, i64::saturating_add)
}

/// Whether there is no pool with pages; known only where the default pool is.
fn none(host: &Host) -> Option<Fact> {
    let pools = host.facts.all("hugepages.total");
    let default = host.facts.first("memory.hugepages_total");
    let fact = pools.first().or(default)?;
    let hugetlb = host.facts.int("memory.hugetlb_kib").unwrap_or_default();
    let any = pools.iter().chain(default).any(|f| int(Some(f)).is_some_and(|n| n > 0));
    Some(derived("hugepages.none", Value::Bool(!any && hugetlb == 0), &fact.origin))
}
