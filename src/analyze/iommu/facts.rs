//! The facts that the analyzer makes.

use crate::model::{FactDef, Kind};

const LIST: &str = "find /sys/kernel/iommu_groups -type l";
const LSPCI: &str = "lspci -Dnnk";

const fn group(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "IOMMU group", doc, LIST)
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
    FactDef::per(
        "vfio.target",
        Kind::Text,
        "PCI device",
        "a device that a guest is given (assigned) or that a VMM reported trouble with (tried)",
        "virsh dumpxml NAME | grep -A4 hostdev",
    ),
    FactDef::per(
        "vfio.target_driver",
        Kind::Text,
        "PCI device",
        "driver of such a device; none where there is none",
        LSPCI,
    ),
    FactDef::per(
        "vfio.target_on_host_driver",
        Kind::Bool,
        "PCI device",
        "whether a driver of the host holds such a device, not VFIO",
        LSPCI,
    ),
    FactDef::per(
        "vfio.target_has_group",
        Kind::Bool,
        "PCI device",
        "whether such a device stands in an IOMMU group, where groups are known",
        LIST,
    ),
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
    FactDef::per(
        "iommu.timeout_owner",
        Kind::Text,
        "PCI device",
        "who has a device that does not confirm invalidations: guest, host, nobody, unknown",
        "dmesg | grep -E 'IOTLB_INV_TIMEOUT|Time-out'",
    ),
    FactDef::new(
        "iommu.timeout_at_boot",
        Kind::Bool,
        "whether the first such timeout came within two minutes after the kernel's first line",
        "dmesg | grep -E 'IOTLB_INV_TIMEOUT|Completion-Wait|Time-out'",
    ),
    FactDef::per(
        "iommu.fault_owner",
        Kind::Text,
        "PCI device",
        "who has a device whose requests the IOMMU blocked: guest, host, nobody, unknown",
        "dmesg | grep -E 'DMAR|AMD-Vi'",
    ),
    FactDef::per(
        "iommu.host_faults",
        Kind::Int,
        "PCI device",
        "blocked requests of a device that a driver of the host has",
        "dmesg | grep -E 'DMAR|AMD-Vi'",
    ),
    FactDef::per(
        "iommu.other_faults",
        Kind::Int,
        "PCI device",
        "blocked requests of a device of a guest, of nobody, or of nobody known",
        "dmesg | grep -E 'DMAR|AMD-Vi'",
    ),
    FactDef::per(
        "iommu.fault_meaning",
        Kind::Text,
        "PCI device",
        "the first blocked request, in the words of the manual",
        "dmesg | grep -E 'DMAR|AMD-Vi'",
    ),
    FactDef::per(
        "viommu.caching_mode_missing",
        Kind::Bool,
        "guest",
        "whether a guest has an intel-iommu without caching mode and devices of VFIO",
        "virsh dumpxml NAME | grep -A2 '<iommu'",
    ),
    FactDef::per(
        "viommu.asks_48_bits",
        Kind::Bool,
        "guest",
        "whether a guest's intel-iommu is told to translate 48 bits or more",
        "virsh dumpxml NAME | grep aw_bits",
    ),
    FactDef::per(
        "domain.hard_limit_below_ram",
        Kind::Bool,
        "guest",
        "whether a guest with assigned devices has a <hard_limit> below its RAM and 1 GiB",
        "virsh dumpxml NAME | grep -E 'hard_limit|<memory'",
    ),
];
