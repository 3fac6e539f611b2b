//! Memory limits around single guests.

use super::guests::Guest;
use super::killer::is_group_of;
use super::{derived, derived_of, percent};
use crate::model::{Fact, Host, Origin, Value};

/// Limits of groups that are a guest's own, whether it runs or not, and who was killed in them.
pub(super) fn limits(host: &Host, guests: &[Guest]) -> Vec<Fact> {
    let mut facts = Vec::new();
    let kills = |group: &str| match host.facts.of("cgroup.oom_kills", group)?.value {
        Value::Int(kills) => Some(kills),
        _ => None,
    };
    for guest in guests.iter().filter(|g| g.ram_kib > 0 && g.huge != Some(true)) {
        // Pods and containers are not named after their guest: where there is one guest, the
        // group that lost a process is its own.
        let is_own = |f: &&Fact| {
            f.instance.as_deref().is_some_and(|group| {
                is_group_of(group, &guest.name)
                    || (guests.len() == 1 && kills(group).is_some_and(|k| k > 0))
            })
        };
        let limits = host.facts.all("cgroup.memory_max_kib").iter().filter(is_own);
        for limit in limits.chain(host.facts.of("domain.hard_limit_kib", &guest.name)) {
            let Value::Int(kib) = limit.value else { continue };
            let percent = percent(kib, guest.ram_kib).map(Value::Int);
            let fact = |p| derived_of("cgroup.limit_percent", &guest.name, p, &limit.origin);
            facts.extend(percent.map(fact));
        }
        for kills in host.facts.all("cgroup.oom_kills").iter().filter(is_own) {
            let value = kills.value.clone();
            facts.push(derived_of("cgroup.guest_oom_kills", &guest.name, value, &kills.origin));
        }
    }
    facts
}

/// The limit that killed a guest, or the tightest of those that could.
pub(super) fn tightest(facts: &[Fact]) -> Option<Fact> {
    let of = |name: &'static str| facts.iter().filter(move |f| f.name == name).filter_map(number);
    let killed = of("oom.limit_percent").next();
    let (percent, origin) =
        killed.or_else(|| of("cgroup.limit_percent").min_by_key(|(p, _)| *p))?;
    Some(derived("cgroup.tightest_percent", Value::Int(percent), origin))
}

/// A fact's number with its place.
fn number(fact: &Fact) -> Option<(i64, &Origin)> {
    match fact.value {
        Value::Int(number) => Some((number, &fact.origin)),
        _ => None,
    }
}
