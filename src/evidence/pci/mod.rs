//! PCI devices: what they are, which driver holds them, in which IOMMU group they stand, and what
//! of the topology decides that.
//!
//! * `sysfs.rs`: `/sys/bus/pci/devices` (Documentation/ABI/testing/sysfs-bus-pci)
//! * `config.rs`: configuration space: header type, Express type, Access Control Services
//! * `lspci.rs`: lspci(8) in all verbosities
//! * `groups.rs`: lists of IOMMU groups as people print and post them
//! * `nodedev.rs`: `virsh nodedev-dumpxml`
//! * `tools.rs`: driverctl(8), DPDK's `dpdk-devbind --status`
//!
//! All give the same facts, one instance per device under its full address (`0000:01:00.0`), so a
//! diagnosis does not depend on which of them an input holds. What joins several devices (groups,
//! viability, why a group is shared) is derived in the analyzer `iommu`.
//!
//! Not parsed: resources, link state, vital product data, and the tree that `lspci -t` draws.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

mod config;
mod groups;
mod lspci;
mod nodedev;
mod sysfs;
mod tools;

/// PCI devices.
pub const SLICE: Slice = Slice { name: "pci", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/bus/pci/devices/*/vendor"),
    Want::file("sys/bus/pci/devices/*/device"),
    Want::file("sys/bus/pci/devices/*/class"),
    Want::file("sys/bus/pci/devices/*/config"),
    Want::file("sys/bus/pci/devices/*/sriov_numvfs"),
    Want::file("sys/bus/pci/devices/*/reset_method"),
    Want::given("sys/devices/pci*/**/vendor"),
    Want::given("sys/devices/pci*/**/device"),
    Want::given("sys/devices/pci*/**/class"),
    Want::given("sys/devices/pci*/**/config"),
    Want::given("sys/devices/pci*/**/sriov_numvfs"),
    Want::given("sys/devices/pci*/**/reset_method"),
    Want::link("sys/bus/pci/devices/*"),
    Want::link("sys/bus/pci/devices/*/driver"),
    Want::link("sys/bus/pci/devices/*/iommu_group"),
    Want::link("sys/bus/pci/devices/*/physfn"),
    Want::link("sys/devices/pci*/**/driver"),
    Want::link("sys/devices/pci*/**/iommu_group"),
    Want::link("sys/devices/pci*/**/physfn"),
    Want::command("lspci", &["lspci", "-Dnnvvv"], &["lspci", "sos_commands/pci/lspci_*"]),
    Want::output("lspci*"),
    // Scripts that print groups have all kinds of names.
    Want::output("*iommu*"),
    Want::output("pvesh*hardware-pci*"),
    Want::output("virsh-nodedev*"),
    Want::given("commands/*nodedev*.xml"),
    Want::command("driverctl", &["driverctl", "-v", "list-devices"], &[]),
    Want::output("driverctl*"),
    Want::output("dpdk-devbind*"),
    Want::output("dpdk_devbind*"),
    Want::output("dpdk_nic_bind*"),
    Want::output("dpdk-status*"),
];

const fn device(
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    command: &'static str,
) -> FactDef {
    FactDef::per(name, kind, "PCI device", doc, command)
}

const FACTS: &[FactDef] = &[
    device("pci.vendor", Kind::Text, "Vendor id, four hexadecimal digits", "lspci -Dnn"),
    device("pci.device", Kind::Text, "Device id, four hexadecimal digits", "lspci -Dnn"),
    device(
        "pci.class",
        Kind::Text,
        "Class and subclass, four hexadecimal digits, e.g. 0300 for a VGA controller",
        "lspci -Dnn",
    ),
    device("pci.name", Kind::Text, "Maker and model as lspci prints them", "lspci -D"),
    device(
        "pci.driver",
        Kind::Text,
        "Driver that is bound to the device; none where it was seen that there is no driver",
        "lspci -Dk",
    ),
    device(
        "pci.iommu_group",
        Kind::Int,
        "Number of the IOMMU group the device stands in",
        "find /sys/kernel/iommu_groups -type l",
    ),
    device(
        "pci.parent",
        Kind::Text,
        "Address of the bridge or port above the device; root where there is none",
        "ls -l /sys/bus/pci/devices",
    ),
    device(
        "pci.secondary",
        Kind::Int,
        "Number of the bus right below a bridge",
        "lspci -vv | grep -E 'Bus: primary'",
    ),
    device(
        "pci.express",
        Kind::Text,
        "Express type: endpoint, legacy-endpoint, root-port, upstream-port, downstream-port, \
         pci-bridge (Express above, conventional below), pcie-bridge, integrated-endpoint, \
         event-collector; conventional without the capability",
        "lspci -vv",
    ),
    device(
        "pci.multifunction",
        Kind::Bool,
        "Whether function 0 says that the slot has several functions (header type, bit 7)",
        "setpci -s ADDRESS HEADER_TYPE",
    ),
    device(
        "pci.acs",
        Kind::Text,
        "Access Control Services: isolating (source validation, request and completion redirect, \
         upstream forwarding are on), off (the capability is there, not all are on), absent",
        "sudo lspci -vvv | grep -E 'ACSCap|ACSCtl'",
    ),
    device("pci.physfn", Kind::Text, "Physical function of a virtual one (SR-IOV)", "lspci -Dvv"),
    device(
        "pci.sriov_vfs",
        Kind::Int,
        "Virtual functions that are switched on (SR-IOV)",
        "cat /sys/bus/pci/devices/*/sriov_numvfs",
    ),
    device(
        "pci.reset_method",
        Kind::Words,
        "Ways the kernel can reset the device: flr, bus, pm, af_flr, device_specific; empty: none",
        "cat /sys/bus/pci/devices/*/reset_method",
    ),
    FactDef::new(
        "iommu.listing_empty",
        Kind::Bool,
        "Whether a list of the IOMMU groups was made and has none",
        "find /sys/kernel/iommu_groups -type l",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let path = piece.path;
    if path.starts_with("sys/") {
        sysfs::parse(piece, out);
        return;
    }
    let text = piece.text();
    let file = piece.file_name();
    if of_another_machine(file) {
        return;
    }
    if text.contains("<device>") {
        nodedev::parse(piece, &text, out);
    } else if file.starts_with("driverctl") {
        tools::driverctl(piece, &text, out);
    } else if file.starts_with("dpdk") {
        tools::devbind(piece, &text, out);
    } else if file.starts_with("virsh-nodedev")
        || path.rsplit_once('.').is_some_and(|(_, end)| end == "xml")
    {
        // `virsh nodedev-list` prints names only.
    } else if file.starts_with("lspci") {
        lspci::parse(piece, &text, out);
    } else {
        groups::parse(piece, &text, out);
    }
}

/// Whether a file's name says that it was taken inside a guest: `lspci-nnk-l1.txt`.
fn of_another_machine(file: &str) -> bool {
    let stem = file.split('.').next().unwrap_or(file);
    ["-l1", "-l2", "-guest", "-vm", "-in-guest"].iter().any(|end| stem.ends_with(end))
}

/// Facts of one device, from one place.
struct Device<'o> {
    out: &'o mut Out,
    address: String,
    origin: Origin,
}

impl Device<'_> {
    fn put(&mut self, name: &'static str, value: Value) {
        self.out.fact_of(name, &self.address, value, self.origin.clone());
    }

    fn text(&mut self, name: &'static str, text: impl Into<String>) {
        self.put(name, Value::text(text));
    }
}

/// `8086` of `0x8086`, `8086`; `None` where it is no number of four digits.
fn id(text: &str) -> Option<String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let fits = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| digits.to_ascii_lowercase())
}
