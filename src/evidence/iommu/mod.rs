//! The IOMMU of a host: its groups and units in sysfs, parameters of VFIO, limits on locked
//! memory, and what the kernel says at boot.
//!
//! `/sys/kernel/iommu_groups/N/devices/ADDRESS` are links (Documentation/ABI/testing/
//! sysfs-kernel-iommu_groups), `/sys/class/iommu` has a link per unit. VFIO's parameters are in
//! drivers/vfio/vfio_iommu_type1.c, drivers/vfio/pci/vfio_pci.c and drivers/iommu/iommufd/device.c;
//! modprobe.d(5) may set them. Boot lines: drivers/iommu/intel/{dmar,iommu,irq_remapping}.c,
//! drivers/iommu/amd/init.c, drivers/iommu/iommu.c.
//!
//! Faults that it reports later are in `fault.rs`.
//!
//! Not parsed: reserved regions, the registers in debugfs, and the ACPI tables DMAR and IVRS.

use std::collections::BTreeMap;

use super::Slice;

mod fault;

pub use fault::FAULT;

use crate::model::{FactDef, Kind, Origin, Out, Piece, Record, RecordParser, Value, Want, Writer};
use crate::parse::{lines, pci};

/// The IOMMU.
pub const SLICE: Slice = Slice { name: "iommu", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/kernel/iommu_groups/*/type"),
    Want::link("sys/kernel/iommu_groups/*/devices/*"),
    Want::link("sys/class/iommu/*"),
    Want::file("sys/module/vfio/parameters/*"),
    Want::file("sys/module/vfio_pci/parameters/*"),
    Want::file("sys/module/vfio_iommu_type1/parameters/*"),
    Want::file("sys/module/iommufd/parameters/*"),
    Want::file("etc/modprobe.d/*.conf"),
    Want::file("usr/lib/modprobe.d/*.conf"),
    Want::file("run/modprobe.d/*.conf"),
    Want::given("lib/modprobe.d/*.conf"),
    Want::given("proc/*/limits"),
    Want::output("ulimit*"),
    Want::output("prlimit*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "iommu.group_type",
        Kind::Text,
        "IOMMU group",
        "Default domain of a group: DMA, DMA-FQ, identity (iommu=pt), blocked, unmanaged",
        "grep . /sys/kernel/iommu_groups/*/type",
    ),
    FactDef::per(
        "iommu.unit",
        Kind::Text,
        "IOMMU",
        "A unit that the kernel uses: intel (dmar0), amd (ivhd0), arm (smmu), virtio, other",
        "ls /sys/class/iommu",
    ),
    FactDef::new(
        "vfio.unsafe_interrupts",
        Kind::Bool,
        "Whether VFIO (type 1 or iommufd) accepts platforms without interrupt remapping",
        "cat /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
    ),
    FactDef::new(
        "vfio.dma_entry_limit",
        Kind::Int,
        "DMA mappings that a container of VFIO type 1 may hold (65535 where nobody changed it)",
        "cat /sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
    ),
    FactDef::new(
        "vfio.no_iommu",
        Kind::Bool,
        "Whether VFIO may work without an IOMMU (enable_unsafe_noiommu_mode)",
        "cat /sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
    ),
    FactDef::new(
        "vfio.ids",
        Kind::Words,
        "Vendor:device pairs that vfio-pci is told to take (parameter ids, modprobe.d)",
        "cat /sys/module/vfio_pci/parameters/ids; grep -r vfio /etc/modprobe.d",
    ),
    FactDef::per(
        "memlock.limit_kib",
        Kind::Int,
        "process",
        "RLIMIT_MEMLOCK, soft, KiB; no fact where it is unlimited",
        "grep 'Max locked memory' /proc/PID/limits",
    ),
    FactDef::per(
        "memlock.unlimited",
        Kind::Bool,
        "process",
        "Whether RLIMIT_MEMLOCK is unlimited",
        "grep 'Max locked memory' /proc/PID/limits",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let origin = Origin::new(piece.path, Some(1), text.lines().next().unwrap_or(""));
    let line = text.trim();
    let parts: Vec<&str> = piece.path.split('/').collect();
    match parts.as_slice() {
        ["sys", "kernel", "iommu_groups", group, "type"] if !line.is_empty() => {
            out.fact_of("iommu.group_type", group, Value::text(line), origin);
        }
        ["sys", "kernel", "iommu_groups", group, "devices", device] => {
            let origin = Origin::new(piece.path, None, line);
            if let (Ok(group), Some(device)) = (group.parse(), pci::address(device)) {
                out.fact_of("pci.iommu_group", &device, Value::Int(group), origin);
            }
        }
        ["sys", "class", "iommu", unit] => {
            let origin = Origin::new(piece.path, None, line);
            out.fact_of("iommu.unit", unit, Value::text(vendor(unit)), origin);
        }
        ["sys", "module", module, "parameters", parameter] => {
            setting(piece, module, parameter, line, &origin, out);
        }
        ["proc", pid, "limits"] => limits(piece, pid, &text, out),
        [.., file] if file.starts_with("ulimit") || file.starts_with("prlimit") => {
            limits(piece, "shell", &text, out);
        }
        _ => modprobe(piece, &text, out),
    }
}

fn vendor(unit: &str) -> &'static str {
    match unit {
        u if u.starts_with("dmar") => "intel",
        u if u.starts_with("ivhd") => "amd",
        u if u.contains("smmu") => "arm",
        u if u.starts_with("virtio") => "virtio",
        _ => "other",
    }
}

fn setting(
    piece: Piece<'_>,
    module: &str,
    parameter: &str,
    value: &str,
    origin: &Origin,
    out: &mut Out,
) {
    let on = match value {
        "Y" | "y" | "1" | "on" | "true" => Some(Value::Bool(true)),
        "N" | "n" | "0" | "off" | "false" => Some(Value::Bool(false)),
        _ => None,
    };
    let made = match (module, parameter) {
        ("vfio_iommu_type1" | "iommufd", "allow_unsafe_interrupts") => {
            on.map(|v| ("vfio.unsafe_interrupts", v))
        }
        ("vfio", "enable_unsafe_noiommu_mode") => on.map(|v| ("vfio.no_iommu", v)),
        ("vfio_iommu_type1", "dma_entry_limit") => {
            value.parse().ok().map(|n| ("vfio.dma_entry_limit", Value::Int(n)))
        }
        ("vfio_pci", "ids") => {
            let ids = value.split(',').map(str::trim).filter(|i| !i.is_empty());
            Some(("vfio.ids", Value::words(ids.map(str::to_ascii_lowercase))))
        }
        _ => return,
    };
    match made {
        // An empty list, as the kernel prints it, says that ids came from elsewhere.
        Some((_, Value::Words(words))) if words.is_empty() => {}
        Some((name, value)) => out.fact(name, value, origin.clone()),
        None => out.problem(piece.path, origin.line, format!("not a value of {parameter}")),
    }
}

/// `options vfio-pci ids=10de:13c2,10de:0fbb disable_vga=1`
fn modprobe(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (number, line) in lines(text) {
        let mut words = line.split_whitespace();
        if words.next() != Some("options") {
            continue;
        }
        let module = words.next().unwrap_or("").replace('-', "_");
        if !matches!(module.as_str(), "vfio" | "vfio_pci" | "vfio_iommu_type1" | "iommufd") {
            continue;
        }
        let origin = Origin::new(piece.path, Some(number), line);
        for (parameter, value) in words.filter_map(|w| w.split_once('=')) {
            setting(piece, &module, parameter, value.trim_matches('"'), &origin, out);
        }
    }
}

/// `Max locked memory         65536                65536                bytes` of /proc/PID/limits,
/// `max locked memory  (kbytes, -l) 64` of a shell.
fn limits(piece: Piece<'_>, process: &str, text: &str, out: &mut Out) {
    for (number, line) in lines(text) {
        let lower = line.to_ascii_lowercase();
        let Some(rest) = lower.split_once("max locked memory").map(|(_, rest)| rest) else {
            continue;
        };
        let in_kib = rest.contains("kbytes");
        let words: Vec<&str> = rest.split_whitespace().collect();
        let value = if in_kib { words.last() } else { words.first() };
        let origin = Origin::new(piece.path, Some(number), line);
        let unlimited = value.is_some_and(|v| *v == "unlimited");
        let number_of = value.and_then(|v| v.parse::<i64>().ok());
        if unlimited || number_of.is_some() {
            out.fact_of("memlock.unlimited", process, Value::Bool(unlimited), origin.clone());
        }
        if let Some(limit) = number_of {
            let kib = if in_kib { limit } else { limit >> 10 };
            out.fact_of("memlock.limit_kib", process, Value::Int(kib), origin);
        }
    }
}

/// What the kernel says about its IOMMU at boot, and which devices it puts into groups.
pub const BOOT: RecordParser = RecordParser {
    kind: "iommu-boot",
    doc: "A line about the IOMMU at boot; `what` is group (a device joins `group`), table (firmware \
          describes an IOMMU), asked (the command line asks for it), off (the command line switches \
          it off), active (the driver runs), remapping (`value` amd where it is AMD's), \
          no-remapping, width (`value` bits)",
    fields: &["what", "value", "device", "group"],
    literals: &[
        "iommu group ",
        "iommu: adding device ",
        "dmar",
        "iommu: enabled",
        "iommu: disabled",
        "intel-iommu",
        "amd-vi",
        "directed i/o",
        "irq remapping",
        "acpi: ivrs ",
        "acpi: iort ",
        "smmu",
        "virtio_iommu",
    ],
    writers: &[Writer::Kernel],
    parse: boot,
};

fn boot(message: &str) -> Option<Record> {
    let mut fields = BTreeMap::new();
    let mut put = |key: &str, value: &str| fields.insert(key.to_owned(), value.to_owned());
    let key = if let Some((device, group)) = joined(message) {
        put("what", "group");
        put("device", &device);
        put("group", group);
        format!("group {device}")
    } else {
        let (what, value) = state(message)?;
        put("what", what);
        put("value", value);
        format!("{what} {value}")
    };
    Some(Record { fields, key: Some(key) })
}

/// `igb 0000:02:00.0: Adding to iommu group 3`, before 5.3
/// `iommu: Adding device 0000:02:00.0 to group 3`.
fn joined(message: &str) -> Option<(String, &str)> {
    let number = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if let Some((before, group)) = message.split_once(": Adding to iommu group ") {
        let device = before.split_whitespace().last().and_then(pci::address)?;
        return Some((device, &group[..number(group)])).filter(|(_, g)| !g.is_empty());
    }
    let rest = message.split_once("iommu: Adding device ")?.1;
    let (device, group) = rest.split_once(" to group ")?;
    Some((pci::address(device)?, &group[..number(group)])).filter(|(_, g)| !g.is_empty())
}

fn state(message: &str) -> Option<(&'static str, &str)> {
    const STATES: &[(&str, &str)] = &[
        ("table", "ACPI: DMAR 0x"),
        ("table", "ACPI: IVRS 0x"),
        ("table", "ACPI: IORT 0x"),
        ("no-remapping", "Not enabling interrupt remapping"),
        ("no-remapping", "Not enable interrupt remapping"),
        ("no-remapping", "interrupt remapping is being disabled"),
        ("no-remapping", "Failed to enable IRQ remapping"),
        ("no-remapping", "Failed to enable irq remapping"),
        ("no-remapping", "Disabling interrupt remapping"),
        ("no-remapping", "disabling interrupt remapping"),
        ("no-remapping", "Interrupt remapping disabled"),
        ("remapping", "Enabled IRQ remapping in "),
        ("asked", "DMAR: IOMMU enabled"),
        ("asked", "Intel-IOMMU: enabled"),
        ("off", "DMAR: IOMMU disabled"),
        ("off", "Intel-IOMMU: disabled"),
        ("off", "AMD-Vi: AMD IOMMU disabled"),
        ("active", "Intel(R) Virtualization Technology for Directed I/O"),
        ("active", "AMD-Vi: Found IOMMU "),
        ("active", "AMD-Vi: Enabling IOMMU at "),
        ("active", "AMD-Vi: IOMMU performance counters supported"),
        ("active", "AMD-Vi: AMD IOMMUv2 loaded and initialized"),
        ("active", "AMD-Vi: Virtual APIC enabled"),
        ("active", "virtio_iommu virtio"),
        ("active", "AMD-Vi: Lazy IO/TLB flushing enabled"),
    ];
    if let Some(bits) = message.strip_prefix("DMAR: Host address width ") {
        return bits.trim().parse::<u8>().is_ok().then_some(("width", bits.trim()));
    }
    if message.contains("AMD-Vi: Interrupt remapping enabled") {
        return Some(("remapping", "amd"));
    }
    let smmu = message.starts_with("arm-smmu") && message.contains("-bit, oas ");
    let found = STATES.iter().find(|(_, words)| message.contains(words)).map(|(what, _)| *what);
    found.or(smmu.then_some("active")).map(|what| (what, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{read, show};

    #[test]
    fn groups_units_and_their_types() {
        let out = read(parse, "sys/kernel/iommu_groups/7/type", "DMA-FQ\n");
        assert_eq!(show(&out, "iommu.group_type").as_deref(), Some("DMA-FQ"));
        assert_eq!(out.facts[0].instance.as_deref(), Some("7"));
        let target = "../../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0";
        let out = read(parse, "sys/kernel/iommu_groups/7/devices/0000:01:00.0", target);
        assert_eq!(show(&out, "pci.iommu_group").as_deref(), Some("7"));
        assert_eq!(out.facts[0].instance.as_deref(), Some("0000:01:00.0"));
        let out = read(parse, "sys/class/iommu/dmar1", "../../devices/virtual/iommu/dmar1");
        assert_eq!(show(&out, "iommu.unit").as_deref(), Some("intel"));
    }

    #[test]
    fn parameters_from_sysfs_and_from_modprobe() {
        let path = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
        assert_eq!(
            show(&read(parse, path, "N\n"), "vfio.unsafe_interrupts").as_deref(),
            Some("false")
        );
        assert_eq!(read(parse, path, "?\n").problems.len(), 1);
        let text = "# options vfio-pci ids=1:2\noptions kvm ignore_msrs=1\n\
            options vfio-pci ids=10DE:13c2,10de:0fbb disable_vga=1\noptions vfio_iommu_type1 dma_entry_limit=200000\n";
        let out = read(parse, "etc/modprobe.d/vfio.conf", text);
        assert_eq!(show(&out, "vfio.ids").as_deref(), Some("10de:0fbb 10de:13c2"));
        assert_eq!(show(&out, "vfio.dma_entry_limit").as_deref(), Some("200000"));
        assert_eq!(out.facts.len(), 2);
        assert!(read(parse, "sys/module/vfio_pci/parameters/ids", "\n").facts.is_empty());
    }

    #[test]
    fn limits_of_a_process_and_of_a_shell() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max locked memory         8388608              unlimited            bytes     \n";
        let out = read(parse, "proc/4711/limits", text);
        assert_eq!(show(&out, "memlock.limit_kib").as_deref(), Some("8192"));
        let out = read(parse, "commands/ulimit-a.txt", "max locked memory       (kbytes, -l) 64\n");
        assert_eq!(show(&out, "memlock.limit_kib").as_deref(), Some("64"));
        let out =
            read(parse, "commands/ulimit-a.txt", "max locked memory (kbytes, -l) unlimited\n");
        assert_eq!(show(&out, "memlock.unlimited").as_deref(), Some("true"));
        assert_eq!(show(&out, "memlock.limit_kib"), None);
    }

    fn fields(message: &str) -> String {
        let record = boot(message).unwrap_or_default();
        let field = |name| record.fields.get(name).cloned().unwrap_or_default();
        ["what", "value", "device", "group"].map(field).join(" ").trim().to_owned()
    }

    #[test]
    fn boot_lines_of_all_releases() {
        for (line, expected) in [
            ("pci 0000:01:00.0: Adding to iommu group 1", "group  0000:01:00.0 1"),
            ("vfio-pci 10000:e1:00.0: Adding to iommu group 42", "group  10000:e1:00.0 42"),
            ("iommu: Adding device 0000:02:00.1 to group 13", "group  0000:02:00.1 13"),
            ("DMAR: Host address width 46", "width 46"),
            ("DMAR-IR: Enabled IRQ remapping in x2apic mode", "remapping"),
            ("Enabled IRQ remapping in x2apic mode", "remapping"),
            ("AMD-Vi: Interrupt remapping enabled", "remapping amd"),
            ("PCI-DMA: Intel(R) Virtualization Technology for Directed I/O", "active"),
            ("DMAR: Intel(R) Virtualization Technology for Directed I/O", "active"),
            ("pci 0000:00:00.2: AMD-Vi: Found IOMMU cap 0x40", "active"),
            ("AMD-Vi: Found IOMMU at 0000:00:00.2 cap 0x40", "active"),
            ("Intel-IOMMU: enabled", "asked"),
            ("ACPI: IVRS 0x00000000CBD80000 0000D0 (v02 AMD)", "table"),
            (
                "AMD-Vi: AMD IOMMUv2 functionality not available on this system - This is not a bug.",
                "",
            ),
            ("mlx5_core 0000:01:00.0: Adding to iommu group", ""),
            ("DMAR: No RMRR found", ""),
        ] {
            assert_eq!(fields(line), expected, "{line}");
        }
    }
}
