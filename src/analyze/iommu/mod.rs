//! IOMMU groups and assigned devices: which devices stand together and why, whether VFIO can take
//! a group, whether an IOMMU translates at all.
//!
//! VFIO takes a group only as a whole: no member may be bound to a driver that does DMA for the
//! host (drivers/vfio/group.c; since 5.19 `iommu_group_claim_dma_owner` of drivers/iommu/iommu.c,
//! where drivers say `driver_managed_dma`). Bridges, unbound devices, pci-stub and VFIO's own
//! drivers are harmless. Why devices share a group is `pci_device_group` of drivers/iommu/iommu.c:
//! aliases behind conventional bridges, ports and functions without Access Control Services.
//!
//! Only a group with a device that somebody wants to assign matters: hosts are full of groups whose
//! members work for the host.

use std::collections::{BTreeMap, BTreeSet};

use super::{Analyzer, Run, derived, derived_of};
use crate::model::{Event, Fact, Host, Origin, Value};

mod facts;
mod faults;
mod guests;
mod sharing;
mod topology;

use topology::{Device, Topology};

/// IOMMU groups and assigned devices.
pub const ANALYZER: Analyzer = Analyzer { name: "iommu", facts: facts::FACTS, run: Run::Host(run) };

fn run(host: &Host) -> Vec<Fact> {
    let topology = Topology::of(host);
    let mut facts = state(host, &topology);
    facts.extend(host_settings(host));
    let targets = targets(host, &topology);
    for (number, members) in &topology.groups {
        facts.extend(group_facts(*number, members, &topology, &targets));
    }
    for (address, how) in &targets {
        facts.extend(target_facts(address, how, &topology));
    }
    facts.extend(faults::facts(host, &topology, &targets));
    facts.extend(guests::facts(host));
    facts
}

/// What `iommu-boot` events say.
fn boot<'h>(host: &'h Host, what: &'h str) -> impl Iterator<Item = &'h Event> + use<'h> {
    let events = host.events.of("iommu-boot").iter();
    events.filter(move |e| e.fields.get("what").is_some_and(|w| w == what))
}

fn state(host: &Host, topology: &Topology) -> Vec<Fact> {
    let mut facts = Vec::new();
    let amd = boot(host, "remapping").find(|e| e.fields.get("value").is_some_and(|v| v == "amd"));
    let on = topology
        .first_group
        .as_ref()
        .or(host.facts.first("iommu.unit").map(|f| &f.origin))
        .or(boot(host, "active").next().map(|e| &e.origin))
        .or(amd.map(|e| &e.origin));
    let empty = host.facts.all("iommu.listing_empty").iter();
    let empty = empty.filter(|f| f.value == Value::Bool(true)).map(|f| &f.origin).next();
    let off = empty
        .or(boot(host, "off").next().map(|e| &e.origin))
        .or(cmdline(host, is_off).map(|(_, origin)| origin))
        // A log that begins with the boot would have the driver's lines.
        .or(host.boot_line("version").map(|e| &e.origin));
    if let Some(origin) = on.or(off) {
        facts.push(derived("iommu.active", Value::Bool(on.is_some()), origin));
    }
    let remapped = boot(host, "remapping").next();
    let refused = boot(host, "no-remapping").next().map(|e| &e.origin);
    let unwanted = cmdline(host, |w| matches!(w, "intremap=off" | "nointremap")).map(|(_, o)| o);
    // A driver that is active and says nothing of remapping has none, if its boot was logged.
    let silent = on.and(boot(host, "active").next()).filter(|_| remapped.is_none());
    let silent = silent.filter(|_| host.boot_line("version").is_some()).map(|e| &e.origin);
    if let Some(event) = remapped.filter(|_| unwanted.is_none()) {
        facts.push(derived("iommu.interrupt_remapping", Value::Bool(true), &event.origin));
    } else if let Some(origin) = refused.or(unwanted).or(silent) {
        facts.push(derived("iommu.interrupt_remapping", Value::Bool(false), origin));
    }
    if let Some(event) = boot(host, "width").next()
        && let Some(width) = event.fields.get("value").and_then(|v| v.parse().ok())
    {
        facts.push(derived("iommu.host_width", Value::Int(width), &event.origin));
    }
    facts
}

fn is_off(word: &str) -> bool {
    matches!(word, "intel_iommu=off" | "amd_iommu=off" | "iommu=off")
}

/// The first parameter of the command line that passes.
fn cmdline(host: &Host, passes: impl Fn(&str) -> bool) -> Option<(&str, &Origin)> {
    let fact = host.facts.first("kernel.cmdline")?;
    let Value::Words(words) = &fact.value else { return None };
    words.iter().find(|w| passes(w)).map(|w| (w.as_str(), &fact.origin))
}

fn host_settings(host: &Host) -> Vec<Fact> {
    let Some(fact) = host.facts.first("kernel.cmdline") else { return Vec::new() };
    let has = |passes: &dyn Fn(&str) -> bool| cmdline(host, passes).is_some();
    let on = |w: &str| {
        w.strip_prefix("intel_iommu=")
            .or(w.strip_prefix("amd_iommu="))
            .is_some_and(|v| v.split(',').any(|o| matches!(o, "on" | "force_enable" | "sm_on")))
            || matches!(w, "iommu=on" | "iommu=force")
    };
    let asked = match () {
        () if has(&is_off) => "off",
        () if has(&on) => "on",
        () => "default",
    };
    let passthrough = |w: &str| {
        w.strip_prefix("iommu=").is_some_and(|v| v.split(',').any(|o| o == "pt"))
            || w == "iommu.passthrough=1"
    };
    let acs = |w: &str| w.starts_with("pcie_acs_override");
    vec![
        derived("iommu.asked", Value::text(asked), &fact.origin),
        derived("iommu.passthrough", Value::Bool(has(&passthrough)), &fact.origin),
        derived("iommu.acs_override", Value::Bool(has(&acs)), &fact.origin),
    ]
}

/// Symptoms whose events name a device or a group that somebody wants for a guest.
const TRIED: &[&str] = &[
    "vfio-group-not-viable",
    "vfio-device-not-bound",
    "vfio-no-iommu-group",
    "vfio-container-refused",
    "vfio-platform-reserved",
    "vfio-dma-map-out-of-memory",
    "vfio-device-reset-failed",
];

type Targets = BTreeMap<String, (&'static str, Origin)>;

/// Devices that guests are given, and those of which VMMs report trouble.
fn targets(host: &Host, topology: &Topology) -> Targets {
    let mut targets = Targets::new();
    for fact in host.facts.all("hostdev.devices") {
        let Value::Words(words) = &fact.value else { continue };
        for word in words {
            for address in topology.expand(word) {
                targets.entry(address).or_insert_with(|| ("assigned", fact.origin.clone()));
            }
        }
    }
    for event in TRIED.iter().flat_map(|id| host.events.of(id)) {
        let device = event.fields.get("device").map(|d| topology::full(d));
        if let Some(device) = device {
            targets.entry(device).or_insert_with(|| ("tried", event.origin.clone()));
            continue;
        }
        // A message that names only the group means those of its members that VFIO already has.
        let group = event.fields.get("group").and_then(|g| g.parse::<i64>().ok());
        let members = group.and_then(|g| topology.groups.get(&g)).into_iter().flatten();
        for address in members.filter(|a| topology.device(a).is_some_and(Device::is_vfio)) {
            targets.entry(address.clone()).or_insert_with(|| ("tried", event.origin.clone()));
        }
    }
    targets
}

fn target_facts(address: &str, how: &(&'static str, Origin), topology: &Topology) -> Vec<Fact> {
    let (how, origin) = how;
    let mut facts = vec![derived_of("vfio.target", address, Value::text(*how), origin)];
    let device = topology.device(address);
    if let Some((driver, place)) = device.and_then(|d| d.driver.as_ref()) {
        facts.push(derived_of("vfio.target_driver", address, Value::text(driver), place));
        let held = device.is_some_and(Device::blocks);
        facts.push(derived_of("vfio.target_on_host_driver", address, Value::Bool(held), place));
    }
    if topology.first_group.is_some() {
        let grouped = device.is_some_and(|d| d.group.is_some());
        facts.push(derived_of("vfio.target_has_group", address, Value::Bool(grouped), origin));
    }
    facts
}

fn group_facts(
    number: i64,
    members: &BTreeSet<String>,
    topology: &Topology,
    targets: &Targets,
) -> Vec<Fact> {
    let devices: Vec<&Device> = members.iter().filter_map(|a| topology.device(a)).collect();
    let Some(origin) = devices.iter().find_map(|d| d.group.as_ref()).map(|(_, o)| o) else {
        return Vec::new();
    };
    let blockers: Vec<&Device> = devices.iter().copied().filter(|d| d.blocks()).collect();
    let place = blockers.first().and_then(|d| d.driver.as_ref()).map_or(origin, |(_, o)| o);
    let viable = match () {
        () if !blockers.is_empty() => Some(false),
        () if devices.iter().all(|d| d.harmless()) => Some(true),
        () => None,
    };
    let shared = sharing::why(&devices, topology);
    let listed = Value::words(devices.iter().map(|d| d.shown()));
    let mut made = vec![
        ("iommu.group_devices", listed, origin),
        ("iommu.group_shared_by", Value::text(shared), origin),
    ];
    let wanted: Vec<&Device> =
        devices.iter().copied().filter(|d| targets.contains_key(&d.address)).collect();
    if let Some(viable) = viable {
        let reason = Value::text(reason(viable, &blockers, &devices));
        if !wanted.is_empty() {
            made.push(("vfio.group_viable", Value::Bool(viable), place));
            made.push(("vfio.group_reason", reason.clone(), place));
        }
        made.push(("iommu.group_viable", Value::Bool(viable), place));
        made.push(("iommu.group_reason", reason, place));
    }
    if !wanted.is_empty() {
        made.push(("vfio.group_shared_by", Value::text(shared), origin));
        let wanted = wanted_facts(&wanted, &devices, &blockers, shared);
        made.extend(wanted.into_iter().map(|(name, value)| (name, value, place)));
    }
    let instance = number.to_string();
    made.into_iter().map(|(name, value, o)| derived_of(name, &instance, value, o)).collect()
}

/// What a group with devices that somebody wants is in the way of, and why they share it.
fn wanted_facts(
    wanted: &[&Device],
    devices: &[&Device],
    blockers: &[&Device],
    shared: &str,
) -> Vec<(&'static str, Value)> {
    let mut made = Vec::new();
    // The functions of a card go together, but one that is left behind while the card itself is
    // with VFIO already is in the way like any other device.
    let own =
        |d: &Device| wanted.iter().any(|w| w.address == d.address || w.blocks() && w.carries(d));
    let (ours, foreign): (Vec<&Device>, Vec<&Device>) =
        blockers.iter().copied().partition(|d| own(d));
    for (name, list) in
        [("vfio.group_own_blockers", ours), ("vfio.group_foreign_blockers", foreign)]
    {
        // That a list is empty is known only where the drivers of all members are.
        if !list.is_empty() || devices.iter().all(|d| d.is_bridge() || d.driver.is_some()) {
            made.push((name, Value::words(list.iter().map(|d| d.shown()))));
        }
    }
    let open = |d: &&&Device| d.is_bridge() && matches!(d.acs.as_deref(), Some("absent" | "off"));
    let ports: Vec<String> = devices.iter().filter(open).map(|d| d.address.clone()).collect();
    if !ports.is_empty() {
        made.push(("vfio.group_ports_without_acs", Value::words(ports)));
    }
    let apart = |d: &&&Device| {
        d.is_endpoint() && !wanted.iter().any(|w| w.address == d.address || w.carries(d))
    };
    let others = devices.iter().any(|d| apart(&d));
    let acs = matches!(shared, "functions" | "root-port" | "switch");
    made.push(("vfio.group_lacks_acs", Value::Bool(others && acs)));
    made
}

fn reason(viable: bool, blockers: &[&Device], devices: &[&Device]) -> String {
    if !viable {
        let held: Vec<String> = blockers
            .iter()
            .map(|d| {
                let driver = d.driver.as_ref().map_or("?", |(driver, _)| driver);
                format!("{} ({}) is bound to {driver}", d.address, d.what())
            })
            .collect();
        return held.join("; ");
    }
    let count = |passes: &dyn Fn(&Device) -> bool| devices.iter().filter(|d| passes(d)).count();
    let vfio = count(&Device::is_vfio);
    let bridges = count(&|d| !d.is_vfio() && d.is_bridge());
    let free = devices.len().saturating_sub(vfio + bridges);
    format!("{vfio} bound to VFIO, {bridges} bridges, {free} without a driver that does DMA")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
