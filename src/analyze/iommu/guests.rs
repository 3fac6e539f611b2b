//! What guests are configured with, compared with each other's parts and with the host.

use std::collections::BTreeSet;

use super::derived_of;
use crate::model::{Fact, Host, Value};

/// Derived facts of each guest.
pub(super) fn facts(host: &Host) -> Vec<Fact> {
    let names = ["hostdev.devices", "viommu.model"];
    let guests: BTreeSet<&str> = names
        .iter()
        .flat_map(|n| host.facts.all(n))
        .filter_map(|f| f.instance.as_deref())
        .collect();
    guests.into_iter().flat_map(|guest| of(host, guest)).collect()
}

fn of(host: &Host, guest: &str) -> Vec<Fact> {
    let mut facts = Vec::new();
    let fact = |name: &str| host.facts.of(name, guest);
    let int = |name: &str| match fact(name).map(|f| (&f.value, &f.origin)) {
        Some((Value::Int(n), origin)) => Some((*n, origin)),
        _ => None,
    };
    let assigned = fact("hostdev.devices");
    let intel = fact("viommu.model").filter(|f| f.value == Value::text("intel"));
    // The definition and the last command line may differ: only where all say so it is missing.
    let modes = host.facts.all("viommu.caching_mode").iter();
    let modes: Vec<&Fact> = modes.filter(|f| f.instance.as_deref() == Some(guest)).collect();
    if let (Some(mode), true, true) = (modes.first(), intel.is_some(), assigned.is_some()) {
        let missing = modes.iter().all(|m| m.value == Value::Bool(false));
        let value = Value::Bool(missing);
        facts.push(derived_of("viommu.caching_mode_missing", guest, value, &mode.origin));
    }
    if let Some(model) = intel {
        let width = int("viommu.aw_bits");
        let origin = width.map_or(&model.origin, |(_, origin)| origin);
        let wide = Value::Bool(width.is_some_and(|(bits, _)| bits >= 48));
        facts.push(derived_of("viommu.asks_48_bits", guest, wide, origin));
    }
    if let (Some((limit, origin)), Some((ram, _)), true) =
        (int("domain.hard_limit_kib"), int("domain.memory_kib"), assigned.is_some())
    {
        // libvirt itself adds 1 GiB for the windows of devices (qemuDomainGetMemLockLimitBytes).
        let needed = ram.saturating_add(1 << 20);
        let below = Value::Bool(limit < needed);
        facts.push(derived_of("domain.hard_limit_below_ram", guest, below, origin));
    }
    facts
}
