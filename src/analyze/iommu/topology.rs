//! PCI devices of a host, joined from all evidence of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Fact, Host, Origin, Value};

/// A device.
#[derive(Debug, Clone, Default)]
pub(super) struct Device {
    pub(super) address: String,
    pub(super) class: Option<String>,
    pub(super) name: Option<String>,
    /// `none` where it is known that there is none.
    pub(super) driver: Option<(String, Origin)>,
    pub(super) group: Option<(i64, Origin)>,
    pub(super) parent: Option<String>,
    pub(super) express: Option<String>,
    pub(super) acs: Option<String>,
    pub(super) secondary: Option<i64>,
}

impl Device {
    /// `0000:01:00` of `0000:01:00.0`.
    pub(super) fn slot(&self) -> &str {
        self.address.rsplit_once('.').map_or(&self.address, |(slot, _)| slot)
    }

    /// `0000:01` of `0000:01:00.0`.
    pub(super) fn bus(&self) -> &str {
        self.slot().rsplit_once(':').map_or("", |(bus, _)| bus)
    }

    fn class_is(&self, prefix: &str) -> bool {
        self.class.as_deref().is_some_and(|c| c.starts_with(prefix))
    }

    /// A PCI-to-PCI bridge, and so every port of PCI Express.
    pub(super) fn is_bridge(&self) -> bool {
        let port =
            self.express.as_deref().is_some_and(|e| e.ends_with("-port") || e.ends_with("-bridge"));
        self.class_is("0604") || port || self.secondary.is_some()
    }

    /// A device that does DMA of its own: no bridge of any kind.
    pub(super) fn is_endpoint(&self) -> bool {
        !self.is_bridge() && !self.class_is("06")
    }

    pub(super) fn is_vfio(&self) -> bool {
        self.driver.as_ref().is_some_and(|(driver, _)| driver.contains("vfio"))
    }

    /// Whether it keeps VFIO from its group.
    pub(super) fn blocks(&self) -> bool {
        self.driver.is_some() && !self.harmless()
    }

    /// Whether it is known that it does not.
    pub(super) fn harmless(&self) -> bool {
        self.is_bridge()
            || self.is_vfio()
            || self.driver.as_ref().is_some_and(|(driver, _)| {
                matches!(driver.as_str(), "none" | "pci-stub" | "pcieport" | "shpchp")
            })
    }

    /// Whether the other is a part of the same card that goes where this one goes: sound, USB and
    /// serial functions of a graphics card, or the whole slot of a device with one purpose.
    pub(super) fn carries(&self, other: &Self) -> bool {
        let companion = |d: &Self| {
            d.class_is("0403") || d.class_is("0c03") || d.class_is("0c80") || d.class_is("03")
        };
        let graphics = |d: &Self| d.class_is("03");
        self.slot() == other.slot()
            && companion(self)
            && companion(other)
            && (graphics(self) || graphics(other))
    }

    /// `0000:01:00.0(nvidia)`.
    pub(super) fn shown(&self) -> String {
        let driver = self.driver.as_ref().map_or("?", |(driver, _)| driver);
        format!("{}({driver})", self.address)
    }

    /// What it is, for a person.
    pub(super) fn what(&self) -> &str {
        match (&self.name, self.class.as_deref()) {
            (Some(name), _) => name,
            (None, Some(class)) => class_name(class),
            (None, None) => "PCI device",
        }
    }
}

/// Classes as the PCI Code and ID Assignment Specification calls them.
pub(super) fn class_name(class: &str) -> &'static str {
    match class.get(..2).unwrap_or("") {
        "01" => "storage controller",
        "02" => "network controller",
        "03" => "display controller",
        "04" => "multimedia controller",
        "05" => "memory controller",
        "06" => "bridge",
        "07" => "communication controller",
        "08" => "system peripheral",
        "0c" => "serial bus controller",
        "12" => "processing accelerator",
        _ => "PCI device",
    }
}

/// The devices of a host, and the groups they stand in.
#[derive(Debug, Default)]
pub(super) struct Topology {
    devices: BTreeMap<String, Device>,
    /// Members by group.
    pub(super) groups: BTreeMap<i64, BTreeSet<String>>,
    /// Where the first group was seen.
    pub(super) first_group: Option<Origin>,
}

impl Topology {
    pub(super) fn of(host: &Host) -> Self {
        let mut topology = Self::default();
        for (name, set) in TEXTS {
            topology.read(host, name, |device, fact| {
                if let Value::Text(text) = &fact.value {
                    set(device, text, &fact.origin);
                }
            });
        }
        topology.read(host, "pci.secondary", |device, fact| {
            if let Value::Int(bus) = fact.value {
                device.secondary = Some(bus);
            }
        });
        topology.read(host, "pci.iommu_group", |device, fact| {
            if let Value::Int(group) = fact.value {
                device.group.get_or_insert((group, fact.origin.clone()));
            }
        });
        topology.groups_at_boot(host);
        topology.unbound(host);
        for device in topology.devices.values() {
            if let Some((group, origin)) = &device.group {
                topology.groups.entry(*group).or_default().insert(device.address.clone());
                topology.first_group.get_or_insert(origin.clone());
            }
        }
        topology
    }

    /// Reads a fact of all devices. What the kernel says in sysfs counts before what tools print,
    /// whose output may be older.
    fn read(&mut self, host: &Host, name: &str, set: impl Fn(&mut Device, &Fact)) {
        let facts = host.facts.all(name);
        let (kernel, tools): (Vec<&Fact>, Vec<&Fact>) =
            facts.iter().partition(|f| f.origin.source.starts_with("sys/"));
        for fact in kernel.into_iter().chain(tools) {
            let Some(address) = &fact.instance else { continue };
            let device = self.devices.entry(address.clone()).or_default();
            device.address.clone_from(address);
            set(device, fact);
        }
    }

    /// Groups as the kernel logged them at boot, for devices of which nothing else says it. Where
    /// there were more lines than are kept, the lists would have holes: then none is made.
    fn groups_at_boot(&mut self, host: &Host) {
        if self.devices.values().any(|d| d.group.is_some()) {
            return;
        }
        let events = host.events.of("iommu-boot");
        if host.events.count("iommu-boot") > events.len() as u64 {
            return;
        }
        for event in events {
            let field = |name| event.fields.get(name);
            let (Some(address), Some(group)) = (field("device"), field("group")) else { continue };
            let Ok(group) = group.parse() else { continue };
            let device = self.devices.entry(address.clone()).or_default();
            device.address.clone_from(address);
            device.group = Some((group, event.origin.clone()));
        }
    }

    /// In sysfs a device without a driver has no link: that is known where links of others were
    /// collected.
    fn unbound(&mut self, host: &Host) {
        let of_kernel = |f: &&Fact| f.origin.source.starts_with("sys/");
        if !host.facts.all("pci.driver").iter().any(|f| of_kernel(&f)) {
            return;
        }
        for fact in host.facts.all("pci.class").iter().filter(of_kernel) {
            let device = fact.instance.as_ref().and_then(|a| self.devices.get_mut(a));
            if let Some(device) = device.filter(|d| d.driver.is_none()) {
                device.driver = Some(("none".to_owned(), fact.origin.clone()));
            }
        }
    }

    pub(super) fn device(&self, address: &str) -> Option<&Device> {
        self.devices.get(address)
    }

    /// The device whose secondary bus a device stands on, or whom its path names.
    pub(super) fn above(&self, device: &Device) -> Option<&Device> {
        if let Some(parent) = device.parent.as_ref().and_then(|p| self.device(p)) {
            return Some(parent);
        }
        let (domain, bus) = device.bus().rsplit_once(':')?;
        let bus = i64::from_str_radix(bus, 16).ok()?;
        self.devices.values().find(|d| {
            d.secondary == Some(bus)
                && d.bus().rsplit_once(':').is_some_and(|(own, _)| own == domain)
        })
    }

    /// The devices of an address, or of a slot that is given without a function.
    pub(super) fn expand(&self, word: &str) -> Vec<String> {
        let word = full(word);
        if word.contains('.') {
            return vec![word];
        }
        let functions: Vec<String> =
            self.devices.values().filter(|d| d.slot() == word).map(|d| d.address.clone()).collect();
        if functions.is_empty() { vec![format!("{word}.0")] } else { functions }
    }
}

/// An address with its domain, in small letters.
pub(super) fn full(address: &str) -> String {
    let lower = address.to_ascii_lowercase();
    if lower.matches(':').count() == 1 { format!("0000:{lower}") } else { lower }
}

type Set = fn(&mut Device, &str, &Origin);

/// Facts that are texts; the first value counts.
const TEXTS: &[(&str, Set)] = &[
    ("pci.class", |d, t, _| {
        d.class.get_or_insert_with(|| t.to_owned());
    }),
    ("pci.name", |d, t, _| {
        d.name.get_or_insert_with(|| t.to_owned());
    }),
    ("pci.driver", |d, t, o| {
        d.driver.get_or_insert_with(|| (t.to_owned(), o.clone()));
    }),
    ("pci.parent", |d, t, _| {
        d.parent.get_or_insert_with(|| t.to_owned());
    }),
    ("pci.express", |d, t, _| {
        d.express.get_or_insert_with(|| t.to_owned());
    }),
    ("pci.acs", |d, t, _| {
        d.acs.get_or_insert_with(|| t.to_owned());
    }),
];
