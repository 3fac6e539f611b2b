//! Devices that guests are given, and the IOMMU that guests see.
//!
//! * libvirt: `<hostdev type='pci'>`, `<interface type='hostdev'>`, `<iommu>`, `<ioapic>`,
//!   `<memtune>` (<https://libvirt.org/formatdomain.html>)
//! * QEMU: `-device vfio-pci,host=`, `-device intel-iommu`, `amd-iommu`, `virtio-iommu-pci`,
//!   `-machine kernel_irqchip=`, `-overcommit mem-lock=` (also as JSON)
//! * Cloud Hypervisor: `--device path=/sys/bus/pci/devices/...`; crosvm: `--vfio`
//! * Proxmox VE: `hostpciN: 0000:0c:00,pcie=1` and `viommu` of `machine` (qm.conf(5)); an address
//!   without a function gives all functions of the slot
//!
//! Not parsed: mediated devices, USB and SCSI devices, networks that hand out virtual functions.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::{Slice, count, joined, libvirt_xml};
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::xml::{self, Lines, child, descend};
use crate::parse::{kv, libvirt, lines, pci, shell};

/// Assigned devices and virtual IOMMUs.
pub const SLICE: Slice = Slice { name: "hostdev", wants: WANTS, facts: FACTS, parse };

const OTHERS: &[Want] = &[
    Want::file("etc/pve/qemu-server/*.conf"),
    Want::given("etc/pve/nodes/*/qemu-server/*.conf"),
    Want::output("qm-config*"),
    Want::command("ps", &["ps", "auxww"], &["ps", "sos_commands/process/ps_*"]),
    Want::output("ps-*"),
    Want::output("cloud-hypervisor-cmdline*"),
];

const WANTED: &[&[Want]] = &[libvirt_xml::DOMAINS, OTHERS];
const WANTS: &[Want] = &joined::<_, { count(WANTED) }>(WANTED);

const fn guest(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "guest", doc, "virsh dumpxml NAME")
}

const FACTS: &[FactDef] = &[
    guest("hostdev.devices", Kind::Words, "Addresses of the PCI devices the guest is given"),
    guest("viommu.model", Kind::Text, "IOMMU the guest sees: intel, amd, virtio, smmuv3"),
    guest(
        "viommu.caching_mode",
        Kind::Bool,
        "Whether the guest's intel-iommu is told to use caching mode (QEMU's own default is off)",
    ),
    guest(
        "viommu.intremap",
        Kind::Bool,
        "Whether interrupt remapping is switched on (or off) for the guest's IOMMU by name",
    ),
    guest("viommu.aw_bits", Kind::Int, "Address width that the guest's IOMMU translates, bits"),
    guest(
        "viommu.split_irqchip",
        Kind::Bool,
        "Whether the I/O APIC is QEMU's own (kernel_irqchip=split, <ioapic driver='qemu'/>)",
    ),
    guest("domain.hard_limit_kib", Kind::Int, "Memory limit of <memtune>, KiB"),
    guest("domain.locked", Kind::Bool, "Whether guest RAM is asked to be locked"),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let file = piece.file_name();
    if piece.path.contains("/qemu-server/") || file.starts_with("qm-config") {
        proxmox(piece, &text, out);
    } else if file.starts_with("ps") || file.starts_with("cloud-hypervisor") {
        vmms(piece, &text, out);
    } else if text.contains("<dom") {
        domain(piece, &text, out);
    }
}

/// A domain's XML; that it is broken says the slice `libvirt_xml`.
fn domain(piece: Piece<'_>, text: &str, out: &mut Out) {
    let fixed = xml::document(text, piece.whole);
    let Ok(document) = xml::parse(&fixed) else { return };
    let Some(domain) = libvirt::domain(document.root_element()) else { return };
    let name = libvirt::name(domain, piece.file_name());
    let mut reader = Domain { piece, lines: Lines::new(&fixed), name, out };
    reader.devices(domain);
    reader.iommu(domain);
    reader.limits(domain);
}

struct Domain<'a, 'n, 'o> {
    piece: Piece<'a>,
    lines: Lines<'n>,
    name: &'n str,
    out: &'o mut Out,
}

impl Domain<'_, '_, '_> {
    fn put(&mut self, name: &'static str, value: Value, node: Node<'_, '_>) {
        let origin = self.lines.origin(self.piece.path, node);
        self.out.fact_of(name, self.name, value, origin);
    }

    fn devices(&mut self, domain: Node<'_, '_>) {
        let Some(devices) = child(domain, "devices") else { return };
        let given = devices.children().filter(|d| {
            let kind = d.attribute("type");
            d.has_tag_name("hostdev") && kind == Some("pci")
                || d.has_tag_name("interface") && kind == Some("hostdev")
        });
        let given: Vec<_> = given
            .filter_map(|d| Some((d, libvirt::pci_address(descend(d, &["source", "address"])?)?)))
            .collect();
        if let Some((first, _)) = given.first() {
            let first = *first;
            self.put("hostdev.devices", Value::words(given.into_iter().map(|(_, a)| a)), first);
        }
    }

    fn iommu(&mut self, domain: Node<'_, '_>) {
        if let Some(ioapic) = descend(domain, &["features", "ioapic"]) {
            let split = ioapic.attribute("driver") == Some("qemu");
            self.put("viommu.split_irqchip", Value::Bool(split), ioapic);
        }
        let Some(iommu) = descend(domain, &["devices", "iommu"]) else { return };
        let Some(model) = iommu.attribute("model") else { return };
        self.put("viommu.model", Value::text(model), iommu);
        let driver = child(iommu, "driver");
        let place = driver.unwrap_or(iommu);
        let attribute = |name| driver.and_then(|d| d.attribute(name));
        if let Some(on) = attribute("intremap").and_then(kv::boolean) {
            self.put("viommu.intremap", Value::Bool(on), place);
        }
        match attribute("caching_mode").map(kv::boolean) {
            Some(Some(on)) => self.put("viommu.caching_mode", Value::Bool(on), place),
            None if self.piece.whole && model == "intel" => {
                self.put("viommu.caching_mode", Value::Bool(false), place);
            }
            _ => {}
        }
        if let Some(bits) = attribute("aw_bits").and_then(|b| b.parse().ok()) {
            self.put("viommu.aw_bits", Value::Int(bits), place);
        }
    }

    fn limits(&mut self, domain: Node<'_, '_>) {
        if let Some(limit) = descend(domain, &["memtune", "hard_limit"])
            && let Some(kib) = kib(limit)
        {
            self.put("domain.hard_limit_kib", Value::Int(kib), limit);
        }
        if let Some(locked) = descend(domain, &["memoryBacking", "locked"]) {
            self.put("domain.locked", Value::Bool(true), locked);
        }
    }
}

fn kib(node: Node<'_, '_>) -> Option<i64> {
    let size: i64 = xml::text(node)?.parse().ok()?;
    let shift = match node.attribute("unit").unwrap_or("KiB") {
        "b" | "bytes" => return Some(size >> 10),
        "k" | "K" | "KiB" => 0,
        "M" | "MiB" => 10,
        "G" | "GiB" => 20,
        "T" | "TiB" => 30,
        _ => return None,
    };
    size.checked_mul(1 << shift)
}

/// What a QEMU command line says; the slice `qemu_cmdline` finds it.
pub(super) fn arguments(guest: &str, arguments: &[String], origin: &Origin, out: &mut Out) {
    let mut devices = BTreeSet::new();
    let mut put = |name, value| out.fact_of(name, guest, value, origin.clone());
    for pair in arguments.windows(2) {
        let option = pair[0].trim_start_matches('-');
        let argument = Argument(&pair[1]);
        match option {
            "device" => {
                if matches!(argument.driver(), "vfio-pci" | "vfio-pci-nohotplug") {
                    devices.extend(argument.device());
                }
                if let Some(model) = viommu(argument.driver()) {
                    put("viommu.model", Value::text(model));
                    of_viommu(model, argument, &mut put);
                }
            }
            "machine" | "M" => {
                if let Some(chip) =
                    argument.get("kernel_irqchip").or(argument.get("kernel-irqchip"))
                {
                    put("viommu.split_irqchip", Value::Bool(chip == "split"));
                }
                if argument.get("iommu").as_deref() == Some("smmuv3") {
                    put("viommu.model", Value::text("smmuv3"));
                }
            }
            "overcommit" | "realtime" => {
                if let Some(lock) = argument.get("mem-lock").or(argument.get("mlock")) {
                    put("domain.locked", Value::Bool(lock == "on"));
                }
            }
            _ => {}
        }
    }
    if !devices.is_empty() {
        put("hostdev.devices", Value::Words(devices));
    }
}

fn viommu(driver: &str) -> Option<&'static str> {
    match driver {
        "intel-iommu" => Some("intel"),
        "amd-iommu" => Some("amd"),
        "virtio-iommu-pci" | "virtio-iommu" => Some("virtio"),
        "arm-smmuv3" => Some("smmuv3"),
        _ => None,
    }
}

fn of_viommu(model: &str, argument: Argument<'_>, put: &mut dyn FnMut(&'static str, Value)) {
    if let Some(on) = argument.get("intremap").as_deref().and_then(kv::boolean) {
        put("viommu.intremap", Value::Bool(on));
    }
    if model == "intel" {
        let mode = argument.get("caching-mode").as_deref().and_then(kv::boolean);
        put("viommu.caching_mode", Value::Bool(mode == Some(true)));
    }
    if let Some(bits) = argument.get("aw-bits").and_then(|b| b.parse().ok()) {
        put("viommu.aw_bits", Value::Int(bits));
    }
}

/// An option's argument: `driver,key=value,...` or a JSON object.
#[derive(Clone, Copy)]
struct Argument<'a>(&'a str);

impl<'a> Argument<'a> {
    fn driver(self) -> &'a str {
        if self.0.starts_with('{') {
            return json(self.0, "driver").unwrap_or("");
        }
        let first = self.0.split(',').next().unwrap_or("");
        first.strip_prefix("driver=").unwrap_or(first)
    }

    fn get(self, key: &str) -> Option<String> {
        if self.0.starts_with('{') {
            return json(self.0, key).map(str::to_owned);
        }
        let mut parts = self.0.split(',');
        parts.find_map(|p| p.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
    }

    fn device(self) -> Option<String> {
        let by_path = || self.get("sysfsdev").and_then(|p| pci::in_path(&p));
        self.get("host").and_then(|h| pci::address(&h)).or_else(by_path)
    }
}

/// The value of a key of a flat JSON object.
fn json<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\"{key}\":"))?;
    let rest = rest.trim_start();
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split([',', '}']).next().map(str::trim),
    }
}

/// Processes of VMMs that take devices by their path in sysfs.
fn vmms(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (number, line) in lines(text) {
        let vmm = ["cloud-hypervisor", "crosvm"].iter().find(|v| line.contains(**v));
        if vmm.is_none() || !line.contains("/sys/bus/pci/devices/") || line.contains("grep ") {
            continue;
        }
        let words = shell::plain_words(line);
        let devices = words
            .iter()
            .flat_map(|w| w.split([',', '=']))
            .filter_map(|w| w.strip_prefix("/sys/bus/pci/devices/").and_then(|_| pci::in_path(w)));
        let devices: BTreeSet<String> = devices.collect();
        let pid = words.iter().find(|w| w.parse::<u32>().is_ok());
        let guest = pid.map_or("vmm", String::as_str);
        if !devices.is_empty() {
            let origin = Origin::new(piece.path, Some(number), line);
            out.fact_of("hostdev.devices", guest, Value::Words(devices), origin);
        }
    }
}

/// `hostpci0: 0000:0c:00,pcie=1` and `machine: q35,viommu=intel`.
fn proxmox(piece: Piece<'_>, text: &str, out: &mut Out) {
    let file = piece.file_name();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let id = stem.strip_prefix("qm-config-").unwrap_or(stem);
    let mut devices = BTreeSet::new();
    let mut place = None;
    for (number, line) in lines(text) {
        // Snapshots and pending changes follow.
        if line.starts_with('[') {
            break;
        }
        let Some((key, value)) = line.split_once(':').map(|(k, v)| (k.trim(), v.trim())) else {
            continue;
        };
        let origin = Origin::new(piece.path, Some(number), line);
        let digits = key.strip_prefix("hostpci").filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        if digits.is_some_and(|d| !d.is_empty()) {
            let hosts = value.split(',').next().unwrap_or("").trim_start_matches("host=");
            let given = hosts.split(';').filter_map(|h| pci::address(h).or_else(|| pci::slot(h)));
            devices.extend(given);
            place.get_or_insert(origin);
        } else if key == "machine"
            && let Some(model) = value.split(',').find_map(|p| p.strip_prefix("viommu="))
        {
            out.fact_of("viommu.model", id, Value::text(model), origin);
        }
    }
    if let Some(origin) = place.filter(|_| !devices.is_empty()) {
        out.fact_of("hostdev.devices", id, Value::Words(devices), origin);
    }
}

#[cfg(test)]
#[path = "hostdev_tests.rs"]
mod tests;
