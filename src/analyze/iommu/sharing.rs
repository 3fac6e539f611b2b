//! Why devices share an IOMMU group: `pci_device_group` of drivers/iommu/iommu.c, read backwards.
//!
//! The kernel goes up from a device: behind a bridge to conventional PCI all requests look alike; a
//! port on the way that lacks Access Control Services (source validation, request and completion
//! redirection, upstream forwarding) lets devices below it talk past the IOMMU; functions of one
//! slot can do so inside the device. What is not known of a port is not guessed: then the answer
//! follows from who its members are.

use std::collections::BTreeSet;

use super::topology::{Device, Topology};

/// The reason, in one word of `iommu.group_shared_by`.
pub(super) fn why(devices: &[&Device], topology: &Topology) -> &'static str {
    if devices.len() < 2 {
        return "one-device";
    }
    if devices.iter().any(|d| conventional(d, topology)) {
        return "pci-bridge";
    }
    let slots: BTreeSet<&str> = devices.iter().map(|d| d.slot()).collect();
    let bridges: Vec<&&Device> = devices.iter().filter(|d| d.is_bridge()).collect();
    if bridges.is_empty() {
        if slots.len() == 1 {
            return "functions";
        }
        let buses: BTreeSet<&str> = devices.iter().map(|d| d.bus()).collect();
        if devices.iter().all(|d| on_root(d, topology)) {
            return "integrated";
        }
        // Several slots of one bus behind a port, and the port stands elsewhere.
        return if buses.len() == 1 { "switch" } else { "unknown" };
    }
    let inner = |d: &Device| {
        matches!(d.express.as_deref(), Some("upstream-port" | "downstream-port"))
            || d.express.is_none() && !on_root(d, topology)
    };
    if bridges.iter().any(|d| inner(d)) {
        return "switch";
    }
    if bridges.iter().any(|d| on_root(d, topology)) { "root-port" } else { "unknown" }
}

/// Whether a device is a bridge to a conventional bus, or stands behind one.
fn conventional(device: &Device, topology: &Topology) -> bool {
    let is_bridge = |d: &Device| d.express.as_deref() == Some("pci-bridge");
    let above = topology.above(device);
    is_bridge(device)
        || above.is_some_and(is_bridge)
        || device.express.as_deref() == Some("conventional")
            && above.is_some_and(|a| a.express.as_deref() == Some("conventional"))
}

/// Whether a device stands on a root bus: no bridge is above it.
fn on_root(device: &Device, topology: &Topology) -> bool {
    match device.parent.as_deref() {
        Some(parent) => parent == "root",
        // Bus 0 is always a root bus; further ones only where no bridge leads to them.
        None => {
            device.bus().ends_with(":00")
                || device.express.as_deref().is_some_and(|e| {
                    matches!(e, "root-port" | "integrated-endpoint" | "event-collector")
                }) && topology.above(device).is_none()
        }
    }
}
