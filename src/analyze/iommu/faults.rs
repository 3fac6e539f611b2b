//! Whose faults the IOMMU reports: the host's own drivers', or those of devices that VFIO has.
//!
//! A device of a guest faults when the guest's driver, or what is left of it after a reboot, uses
//! memory it no longer has: the IOMMU does its work. A device of the host that faults has a driver
//! that maps its memory wrongly, or hardware that does not keep to it.

use std::collections::BTreeMap;

use super::topology::{Device, Topology};
use super::{Targets, derived, derived_of};
use crate::model::{Event, Fact, Host, Stamp, Value};

/// Devices are probed within this time after the kernel's first line, in microseconds.
const BOOT: i64 = 120_000_000;

/// Derived facts of all faults.
pub(super) fn facts(host: &Host, topology: &Topology, targets: &Targets) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut faults: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    let mut first_timeout = None;
    for event in host.events.of("iommu-fault") {
        let field = |name| event.fields.get(name).map(String::as_str);
        match field("class") {
            Some("timeout") => {
                first_timeout.get_or_insert(event);
                if let Some(device) = field("device") {
                    let owner = Value::text(owner(device, event, topology, targets));
                    facts.push(derived_of("iommu.timeout_owner", device, owner, &event.origin));
                }
            }
            Some("permission" | "unmapped") => {
                let device = field("device").unwrap_or("");
                faults.entry(device).or_default().push(event);
            }
            _ => {}
        }
    }
    if let Some(event) = first_timeout
        && let Some(early) = at_boot(host, event)
    {
        facts.push(derived("iommu.timeout_at_boot", Value::Bool(early), &event.origin));
    }
    for (device, events) in faults {
        let Some(event) = events.first().filter(|_| !device.is_empty()) else { continue };
        let owner = owner(device, event, topology, targets);
        let count = Value::Int(i64::try_from(events.len()).unwrap_or(i64::MAX));
        let name = if owner == "host" { "iommu.host_faults" } else { "iommu.other_faults" };
        facts.push(derived_of("iommu.fault_owner", device, Value::text(owner), &event.origin));
        facts.push(derived_of(name, device, count, &event.origin));
        if let Some(meaning) = event.fields.get("meaning") {
            let meaning = Value::text(meaning);
            facts.push(derived_of("iommu.fault_meaning", device, meaning, &event.origin));
        }
    }
    facts
}

/// `guest` for what VFIO has or a guest is given, `host` for what a driver of the host has.
fn owner(device: &str, event: &Event, topology: &Topology, targets: &Targets) -> &'static str {
    let known = topology.device(device);
    let named = event.fields.get("driver").map(String::as_str);
    let held = known.and_then(|d| d.driver.as_ref()).map(|(driver, _)| driver.as_str());
    match named.or(held) {
        Some(driver) if driver.contains("vfio") => "guest",
        _ if targets.contains_key(device) && !known.is_some_and(Device::blocks) => "guest",
        Some("none") => "nobody",
        Some(_) => "host",
        None => "unknown",
    }
}

fn at_boot(host: &Host, event: &Event) -> Option<bool> {
    if let Some(Stamp::Boot(at)) = event.stamp {
        return Some(at < BOOT);
    }
    let booted = host.boot_line("version")?.stamp?;
    event.stamp?.since(booted).map(|after| after < BOOT)
}
