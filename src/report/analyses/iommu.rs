//! IOMMU groups that matter: those of assigned devices, and those that VFIO has a part of.

use serde::Serialize;

use crate::model::{Fact, Host, Value};

/// An IOMMU group.
#[derive(Debug, Clone, Serialize)]
pub struct IommuGroup {
    /// Host it is on, e.g. `l0`.
    pub host: String,
    /// Its number.
    pub group: i64,
    /// Its members.
    pub devices: Vec<Device>,
    /// Whether VFIO could take it; `null` where a member's driver is not known.
    pub viable: Option<bool>,
    /// Which members keep VFIO from it, or why it could take it.
    pub reason: Option<String>,
    /// Why its members stand together; see the fact `iommu.group_shared_by`.
    pub shared_by: Option<String>,
}

/// A member.
#[derive(Debug, Clone, Serialize)]
pub struct Device {
    /// `0000:01:00.0`.
    pub address: String,
    /// Class and subclass in hexadecimal.
    pub class: Option<String>,
    /// Maker and model.
    pub name: Option<String>,
    /// Driver; `none` where there is none, `null` where it is not known.
    pub driver: Option<String>,
    /// Whether a guest is given the device (`assigned`), or a VMM reported trouble (`tried`).
    pub wanted: Option<String>,
}

/// The groups of a host that matter.
pub(super) fn of(host: &Host) -> Vec<IommuGroup> {
    let mut groups: Vec<IommuGroup> =
        host.facts.all("iommu.group_devices").iter().filter_map(|f| group(host, f)).collect();
    groups.retain(matters);
    groups.sort_by_key(|g| g.group);
    groups
}

fn matters(group: &IommuGroup) -> bool {
    let vfio = |d: &Device| d.driver.as_deref().is_some_and(|driver| driver.contains("vfio"));
    group.devices.iter().any(|d| d.wanted.is_some() || vfio(d))
}

fn group(host: &Host, fact: &Fact) -> Option<IommuGroup> {
    let number = fact.instance.as_deref()?;
    let Value::Words(members) = &fact.value else { return None };
    let viable = match host.facts.of("iommu.group_viable", number).map(|f| &f.value) {
        Some(Value::Bool(viable)) => Some(*viable),
        _ => None,
    };
    Some(IommuGroup {
        host: host.id.clone(),
        group: number.parse().ok()?,
        devices: members.iter().filter_map(|m| device(host, m)).collect(),
        viable,
        reason: text(host, "iommu.group_reason", number),
        shared_by: text(host, "iommu.group_shared_by", number),
    })
}

/// A member, written as `ADDRESS(driver)`.
fn device(host: &Host, member: &str) -> Option<Device> {
    let (address, driver) = member.strip_suffix(')')?.split_once('(')?;
    Some(Device {
        address: address.to_owned(),
        class: text(host, "pci.class", address),
        name: text(host, "pci.name", address),
        driver: (driver != "?").then(|| driver.to_owned()),
        wanted: text(host, "vfio.target", address),
    })
}

fn text(host: &Host, name: &str, instance: &str) -> Option<String> {
    host.facts.of(name, instance).map(|f| f.value.to_string())
}
