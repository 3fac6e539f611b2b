//! What the OOM killer's records say together: they come line by line, one kill in several.

use std::collections::BTreeMap;

use super::guests::Guest;
use super::{derived, percent};
use crate::model::{Event, Fact, Host, Origin, Value};

pub(super) fn facts(host: &Host, guests: &[Guest]) -> Vec<Fact> {
    let events = host.events.of("oom");
    let mut facts = Vec::new();
    facts.extend(vmm_share(host, events));
    let Some((constraint, limit)) = limited(events) else { return facts };
    let cgroup = constraint.and_then(|c| field(c, "limit_cgroup").or_else(|| field(c, "cgroup")));
    if let (Some(event), Some(cgroup)) = (constraint, cgroup) {
        facts.push(derived("oom.cgroup", Value::text(cgroup), &event.origin));
    }
    let Some((kib, event)) = limit else { return facts };
    facts.push(derived("oom.limit_kib", Value::Int(kib), &event.origin));
    let own = constraint.and_then(|c| field(c, "cgroup")).unwrap_or_default();
    if let Some(guest) = victim(guests, own, kib)
        && let Some(percent) = percent(kib, guest.ram_kib)
    {
        facts.push(derived("oom.limit_percent", Value::Int(percent), &event.origin));
    }
    facts
}

fn field<'e>(event: &'e Event, name: &str) -> Option<&'e str> {
    event.fields.get(name).map(String::as_str)
}

type Limited<'e> = (Option<&'e Event>, Option<(i64, &'e Event)>);

/// The last kill of a VMM for a cgroup's limit: its line of keys, and the limit that was printed
/// before it.
fn limited(events: &[Event]) -> Option<Limited<'_>> {
    let is = |e: &Event, name: &str, value: &str| field(e, name) == Some(value);
    let of_vmm = |e: &Event| is(e, "scope", "memcg") && is(e, "vmm", "yes");
    let last = events.iter().rposition(of_vmm)?;
    let pid = field(&events[last], "pid");
    let source = &events[last].origin.source;
    let before = |e: &&Event| e.origin.source == *source;
    let constraint = events[..=last].iter().rev().filter(before).find(|e| {
        let old = field(e, "task").is_none();
        is(e, "step", "constraint") && (old || field(e, "pid") == pid)
    });
    let limit = events[..=last].iter().rev().filter(before).find(|e| is(e, "step", "limit"));
    let limit = limit.and_then(|e| Some((field(e, "limit_kib")?.parse().ok()?, e)));
    Some((constraint, limit))
}

/// The guest that a killed VMM ran: the one its group is named after, the only one, or the largest
/// that fits the limit.
fn victim<'g>(guests: &'g [Guest], group: &str, limit_kib: i64) -> Option<&'g Guest> {
    let named = guests.iter().find(|g| is_group_of(group, &g.name));
    let only = guests.first().filter(|_| guests.len() == 1);
    named.or(only).or_else(|| {
        let fitting =
            guests.iter().filter(|g| g.ram_kib <= limit_kib.saturating_add(limit_kib / 10));
        fitting.max_by_key(|g| g.ram_kib)
    })
}

/// Whether a control group or scope is a guest's: `machine-qemu\x2d3\x2dweb.scope`, where systemd
/// writes `\x2d` for `-`, or `qemu.slice/101.scope`.
pub(super) fn is_group_of(group: &str, guest: &str) -> bool {
    let plain = group.replace("\\x2d", "-");
    plain.split('/').any(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let machine = part.strip_prefix("machine-").unwrap_or(part);
        let named = machine.strip_prefix("qemu-").and_then(|rest| rest.split_once('-'));
        !guest.is_empty() && (part == guest || named.is_some_and(|(_, name)| name == guest))
    })
}

/// Running guests with the largest VMM that was killed, against the memory for guests.
pub(super) fn guests_percent(
    host: &Host,
    capacity: Option<(i64, Origin)>,
    facts: &[Fact],
) -> Option<Fact> {
    let killed = host.events.of("oom").iter().filter(|e| {
        field(e, "vmm") == Some("yes")
            && field(e, "step") == Some("killed")
            && field(e, "scope") != Some("memcg")
    });
    let (kib, event) = killed.filter_map(|e| Some((held(e)?, e))).max_by_key(|(kib, _)| *kib)?;
    let running = facts.iter().find(|f| f.name == "guests.running_ram_kib");
    // Without a list of what runs beside it the sum would say too little.
    let Value::Int(running) = running?.value else { return None };
    let percent = percent(running.saturating_add(kib), capacity?.0)?;
    Some(derived("oom.guests_percent", Value::Int(percent), &event.origin))
}

/// Resident memory of a task that was killed or listed, KiB; guest RAM of a memfd is shared.
fn held(event: &Event) -> Option<i64> {
    let size = |name| field(event, name).and_then(|s| s.parse::<i64>().ok());
    Some(size("anon_rss_kib")?.saturating_add(size("shmem_rss_kib").unwrap_or_default()))
}

/// How much of the memory VMMs held when the killer listed the tasks, each at its largest.
fn vmm_share(host: &Host, events: &[Event]) -> Option<Fact> {
    let mut largest: BTreeMap<&str, i64> = BTreeMap::new();
    let mut origin = None;
    let sized = events.iter().filter(|e| {
        field(e, "vmm") == Some("yes") && matches!(field(e, "step"), Some("task" | "killed"))
    });
    for event in sized {
        let (Some(pid), Some(kib)) = (field(event, "pid"), held(event)) else { continue };
        let most = largest.entry(pid).or_default();
        *most = kib.max(*most);
        origin.get_or_insert(&event.origin);
    }
    let sum = largest.values().fold(0_i64, |sum, kib| sum.saturating_add(*kib));
    let percent = percent(sum, host.facts.int("memory.total_kib")?)?;
    Some(derived("oom.vmm_percent", Value::Int(percent), origin?))
}
