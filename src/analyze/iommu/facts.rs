//! The facts that the analyzer makes.

use crate::model::{FactDef, Kind};

const LIST: &str = "find /sys/kernel/iommu_groups -type l";
const LSPCI: &str = "lspci -Dnnk";

const fn group(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef { name, kind, per: "IOMMU group", doc, command: LIST }
}

pub(super) const FACTS: &[FactDef] = &[
    FactDef::new(
        "iommu.active",
        Kind::Bool,
        "whether an IOMMU translates: groups, units or the driver's boot lines exist; no where the \
         list of groups is empty, the command line switches it off, or a log from boot has none of it",
        LIST,
    ),
    FactDef::new(
        "iommu.asked",
        Kind::Text,
        "what the kernel command line says: on, off, or default where it says nothing",
        "cat /proc/cmdline",
    ),
    FactDef::new(
        "iommu.passthrough",
        Kind::Bool,
        "whether the host's own devices bypass translation (iommu=pt, iommu.passthrough=1)",
        "cat /proc/cmdline",
    ),
    FactDef::new(
        "iommu.acs_override",
        Kind::Bool,
        "whether the command line has pcie_acs_override, which only patched kernels know",
        "cat /proc/cmdline",
    ),
    FactDef::new(
        "iommu.interrupt_remapping",
        Kind::Bool,
        "whether interrupts of devices are remapped, as the kernel says at boot",
        "dmesg | grep -iE 'remapping'",
    ),
    FactDef::new(
        "iommu.host_width",
        Kind::Int,
        "address width of the platform in the DMAR table, bits; in a guest of QEMU the width of its intel-iommu",
        "dmesg | grep 'Host address width'",
    ),
    group(
        "iommu.group_devices",
        Kind::Words,
        "members, as ADDRESS(driver); ? where the driver is not known",
    ),
    group(
        "iommu.group_viable",
        Kind::Bool,
        "whether VFIO could take the group as its members are bound",
    ),
    group(
        "iommu.group_reason",
        Kind::Text,
        "which members keep VFIO from the group, or why it could take it",
    ),
    group(
        "iommu.group_shared_by",
        Kind::Text,
        "why its members stand together: one-device, functions (of one slot, without ACS), \
         root-port or switch (ports without ACS), pci-bridge (conventional bus), integrated, unknown",
    ),
    FactDef {
        name: "vfio.target",
        kind: Kind::Text,
        per: "PCI device",
        doc: "a device that a guest is given (assigned) or that a VMM reported trouble with (tried)",
        command: "virsh dumpxml NAME | grep -A4 hostdev",
    },
    FactDef {
        name: "vfio.target_driver",
        kind: Kind::Text,
        per: "PCI device",
        doc: "driver of such a device; none where there is none",
        command: LSPCI,
    },
    FactDef {
        name: "vfio.target_on_host_driver",
        kind: Kind::Bool,
        per: "PCI device",
        doc: "whether a driver of the host holds such a device, not VFIO",
        command: LSPCI,
    },
    FactDef {
        name: "vfio.target_has_group",
        kind: Kind::Bool,
        per: "PCI device",
        doc: "whether such a device stands in an IOMMU group, where groups are known",
        command: LIST,
    },
    group("vfio.group_viable", Kind::Bool, "iommu.group_viable of groups with such a device"),
    group("vfio.group_reason", Kind::Text, "iommu.group_reason of groups with such a device"),
    group("vfio.group_shared_by", Kind::Text, "iommu.group_shared_by of groups with such a device"),
    group(
        "vfio.group_own_blockers",
        Kind::Words,
        "members on host drivers that are such devices themselves, or belong to a card that is",
    ),
    group(
        "vfio.group_foreign_blockers",
        Kind::Words,
        "members on host drivers that nobody wants to assign",
    ),
    group(
        "vfio.group_lacks_acs",
        Kind::Bool,
        "whether such a device shares its group with devices of others because ports or functions \
         lack Access Control Services",
    ),
    group(
        "vfio.group_ports_without_acs",
        Kind::Words,
        "ports among the members whose Access Control Services are absent or not switched on",
    ),
    FactDef {
        name: "iommu.timeout_owner",
        kind: Kind::Text,
        per: "PCI device",
        doc: "who has a device that does not confirm invalidations: guest, host, nobody, unknown",
        command: "dmesg | grep -E 'IOTLB_INV_TIMEOUT|Time-out'",
    },
    FactDef::new(
        "iommu.timeout_at_boot",
        Kind::Bool,
        "whether the first such timeout came within two minutes after the kernel's first line",
        "dmesg | grep -E 'IOTLB_INV_TIMEOUT|Completion-Wait|Time-out'",
    ),
    FactDef {
        name: "iommu.fault_owner",
        kind: Kind::Text,
        per: "PCI device",
        doc: "who has a device whose requests the IOMMU blocked: guest, host, nobody, unknown",
        command: "dmesg | grep -E 'DMAR|AMD-Vi'",
    },
    FactDef {
        name: "iommu.host_faults",
        kind: Kind::Int,
        per: "PCI device",
        doc: "blocked requests of a device that a driver of the host has",
        command: "dmesg | grep -E 'DMAR|AMD-Vi'",
    },
    FactDef {
        name: "iommu.other_faults",
        kind: Kind::Int,
        per: "PCI device",
        doc: "blocked requests of a device of a guest, of nobody, or of nobody known",
        command: "dmesg | grep -E 'DMAR|AMD-Vi'",
    },
    FactDef {
        name: "iommu.fault_meaning",
        kind: Kind::Text,
        per: "PCI device",
        doc: "the first blocked request, in the words of the manual",
        command: "dmesg | grep -E 'DMAR|AMD-Vi'",
    },
    FactDef {
        name: "viommu.caching_mode_missing",
        kind: Kind::Bool,
        per: "guest",
        doc: "whether a guest has an intel-iommu without caching mode and devices of VFIO",
        command: "virsh dumpxml NAME | grep -A2 '<iommu'",
    },
    FactDef {
        name: "viommu.asks_48_bits",
        kind: Kind::Bool,
        per: "guest",
        doc: "whether a guest's intel-iommu is told to translate 48 bits or more",
        command: "virsh dumpxml NAME | grep aw_bits",
    },
    FactDef {
        name: "domain.hard_limit_below_ram",
        kind: Kind::Bool,
        per: "guest",
        doc: "whether a guest with assigned devices has a <hard_limit> below its RAM and 1 GiB",
        command: "virsh dumpxml NAME | grep -E 'hard_limit|<memory'",
    },
];
