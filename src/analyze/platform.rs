//! Platform: what this machine is, and whether it is a guest.
//!
//! DMI strings decide before the hypervisor's CPUID signature, as in systemd's detect-virt.c:
//! VirtualBox shows KVM's signature to Linux guests, clouds on KVM show theirs. A `vmx` flag does
//! not mean bare metal, and bare metal does not need one.

use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Origin, Value, Version};

/// Platform.
pub const ANALYZER: Analyzer = Analyzer { name: "platform", facts: FACTS, run: Run::Host(run) };

const DMI: &str = "cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name";

const FACTS: &[FactDef] = &[
    FactDef::new(
        "platform.vendor",
        Kind::Text,
        "what the machine runs on: bare-metal, kvm, proxmox, openstack, kubevirt, gcp, aws, azure, hyperv, wsl, vmware, virtualbox, xen, parallels, apple-vz, utm, docker-desktop, ...",
        DMI,
    ),
    FactDef::new(
        "platform.is_guest",
        Kind::Bool,
        "whether the machine is a virtual machine",
        "systemd-detect-virt",
    ),
    FactDef::new(
        "platform.machine_type",
        Kind::Text,
        "the provider's machine type, e.g. e2-standard-4 or m5.xlarge",
        DMI,
    ),
    FactDef::new(
        "platform.product",
        Kind::Text,
        "vendor and product as the firmware names them",
        DMI,
    ),
    FactDef::new(
        "platform.confidential",
        Kind::Bool,
        "whether memory encryption makes this a confidential guest (SEV, TDX)",
        "dmesg",
    ),
];

/// Values of DMI fields (lower case, by prefix) that name a platform; the first that fits wins.
/// Sources: systemd src/basic/virt.c, the providers' documents.
const BY_DMI: &[(&str, &str, &str)] = &[
    ("dmi.sys_vendor", "google", "gcp"),
    ("dmi.product_name", "google compute engine", "gcp"),
    ("dmi.sys_vendor", "amazon ec2", "aws"),
    ("dmi.bios_vendor", "amazon ec2", "aws"),
    ("dmi.bios_version", "4.2.amazon", "aws"),
    ("dmi.bios_version", "4.11.amazon", "aws"),
    ("dmi.chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure"),
    ("dmi.sys_vendor", "vmware", "vmware"),
    ("dmi.product_name", "vmware", "vmware"),
    ("dmi.sys_vendor", "innotek gmbh", "virtualbox"),
    ("dmi.product_name", "virtualbox", "virtualbox"),
    ("dmi.board_vendor", "oracle corporation", "virtualbox"),
    ("dmi.sys_vendor", "parallels", "parallels"),
    ("dmi.product_name", "parallels", "parallels"),
    ("dmi.sys_vendor", "kubevirt", "kubevirt"),
    ("dmi.product_name", "kubevirt", "kubevirt"),
    ("dmi.product_name", "openstack", "openstack"),
    ("dmi.sys_vendor", "openstack", "openstack"),
    ("dmi.sys_vendor", "alibaba cloud", "alibaba"),
    ("dmi.sys_vendor", "digitalocean", "digitalocean"),
    ("dmi.sys_vendor", "hetzner", "hetzner"),
    ("dmi.chassis_asset_tag", "oraclecloud.com", "oracle"),
    ("dmi.product_name", "apple virtualization", "apple-vz"),
    ("dmi.sys_vendor", "nutanix", "nutanix"),
    ("dmi.product_name", "bhyve", "bhyve"),
    ("dmi.bios_vendor", "bhyve", "bhyve"),
    ("dmi.product_name", "hvm domu", "xen"),
    ("dmi.sys_vendor", "xen", "xen"),
    ("dmi.bios_vendor", "proxmox", "proxmox"),
    ("dmi.sys_vendor", "cloud hypervisor", "cloud-hypervisor"),
    ("dmi.product_name", "cloudstack kvm", "kvm"),
    ("dmi.sys_vendor", "ovirt", "kvm"),
    ("dmi.product_name", "rhel", "kvm"),
    ("dmi.product_name", "ovirt", "kvm"),
    ("dmi.sys_vendor", "qemu", "kvm"),
    ("dmi.product_name", "standard pc", "kvm"),
    ("dmi.product_name", "qemu", "kvm"),
    ("dmi.sys_vendor", "bochs", "kvm"),
];

/// Words of other witnesses: the kernel's "Hypervisor detected:", systemd-detect-virt, lscpu.
const BY_WORD: &[(&str, &str)] = &[
    ("wsl", "wsl"),
    ("hyper-v", "hyperv"),
    ("microsoft", "hyperv"),
    ("vmware", "vmware"),
    ("oracle", "virtualbox"),
    ("innotek", "virtualbox"),
    ("amazon", "aws"),
    ("google", "gcp"),
    ("parallels", "parallels"),
    ("apple", "apple-vz"),
    ("bhyve", "bhyve"),
    ("xen", "xen"),
    ("kvm", "kvm"),
    ("qemu", "kvm"),
    ("bochs", "kvm"),
];

fn run(host: &Host) -> Vec<Fact> {
    let guest = is_guest(host);
    let vendor = vendor(host, guest.as_ref().map(|(g, _)| *g));
    let mut facts = Vec::new();
    if let Some((vendor, origin)) = &vendor {
        facts.push(derived("platform.vendor", Value::text(*vendor), origin));
    }
    if let Some((guest, origin)) = &guest {
        facts.push(derived("platform.is_guest", Value::Bool(*guest), origin));
    }
    facts.extend(machine_type(host, vendor.as_ref().map(|(v, _)| *v)));
    facts.extend(release(host));
    facts.extend(product(host));
    facts.extend(confidential(host));
    facts
}

type Found<T> = Option<(T, Origin)>;

fn vendor(host: &Host, guest: Option<bool>) -> Found<&'static str> {
    let (dmi, origin) = by_release(host)
        .or_else(|| by_setting(host))
        .or_else(|| by_dmi(host))
        .or_else(|| by_product_line(host))
        .or_else(|| by_windows(host))
        .or_else(|| by_word(host))
        .or_else(|| {
            let fact = host.facts.first("cpu.model_name");
            (guest == Some(false))
                .then(|| ("bare-metal", fact.map(|f| f.origin.clone()).unwrap_or_default()))
        })?;
    Some((refine(host, dmi), origin))
}

/// Kernels that are built for one platform only.
fn by_release(host: &Host) -> Found<&'static str> {
    let fact = host.facts.first("kernel.release")?;
    let release = fact.value.to_string().to_ascii_lowercase();
    let vendor = if release.contains("microsoft-standard") || release.ends_with("-microsoft") {
        "wsl"
    } else if release.contains("linuxkit") {
        "docker-desktop"
    } else {
        return None;
    };
    Some((vendor, fact.origin.clone()))
}

/// A configuration file of the VMM that came with the evidence of its guest.
fn by_setting(host: &Host) -> Found<&'static str> {
    let fact = host.facts.first("utm.backend")?;
    Some(("utm", fact.origin.clone()))
}

fn by_dmi(host: &Host) -> Found<&'static str> {
    let listed = BY_DMI.iter().find_map(|(name, prefix, vendor)| {
        let fact = host.facts.first(name)?;
        let value = fact.value.to_string().to_ascii_lowercase();
        value.starts_with(prefix).then(|| (*vendor, fact.origin.clone()))
    });
    listed.or_else(|| {
        let maker = host.facts.first("dmi.sys_vendor")?;
        let model = host.facts.text("dmi.product_name").unwrap_or("");
        Some((by_maker(&maker.value.to_string(), model)?, maker.origin.clone()))
    })
}

/// The kernel's own line "DMI: VENDOR PRODUCT/BOARD, BIOS ...", where sysfs was not collected.
fn by_product_line(host: &Host) -> Found<&'static str> {
    let event = host.boot_line("dmi")?;
    let line = event.fields.get("value")?.to_ascii_lowercase();
    if line.starts_with("microsoft corporation virtual machine") {
        return Some(("hyperv", event.origin.clone()));
    }
    let names =
        BY_DMI.iter().filter(|(name, _, _)| matches!(*name, "dmi.sys_vendor" | "dmi.product_name"));
    let (_, _, vendor) = names.into_iter().find(|(_, prefix, _)| line.starts_with(prefix))?;
    Some((vendor, event.origin.clone()))
}

/// Windows names maker and model; a machine whose maker is no hypervisor is physical.
fn by_windows(host: &Host) -> Found<&'static str> {
    let maker = host.facts.first("windows.manufacturer")?;
    let model = host.facts.text("windows.model").unwrap_or("");
    let vendor = by_maker(&maker.value.to_string(), model).unwrap_or("bare-metal");
    Some((vendor, maker.origin.clone()))
}

/// Maker and model in any spelling of case.
fn by_maker(maker: &str, model: &str) -> Option<&'static str> {
    let (maker, model) = (maker.to_ascii_lowercase(), model.to_ascii_lowercase());
    match (maker.as_str(), model.as_str()) {
        (maker, "virtual machine") if maker.starts_with("microsoft") => return Some("hyperv"),
        ("red hat", "kvm") => return Some("kvm"),
        _ => {}
    }
    let fits = |(name, prefix, _): &&(&str, &str, &str)| match *name {
        "dmi.sys_vendor" => maker.starts_with(prefix),
        "dmi.product_name" => model.starts_with(prefix),
        _ => false,
    };
    BY_DMI.iter().find(fits).map(|(_, _, vendor)| *vendor)
}

/// What the kernel, systemd-detect-virt or lscpu say of the hypervisor; the first that names one
/// that is known. A container answers systemd-detect-virt with its own kind.
fn by_word(host: &Host) -> Found<&'static str> {
    let event = host
        .boot_line("hypervisor")
        .and_then(|e| Some((e.fields.get("value")?.clone(), &e.origin)));
    let facts = ["host.detect_virt", "lscpu.hypervisor_vendor"].iter();
    let facts = facts.filter_map(|n| host.facts.first(n)).map(|f| (f.value.to_string(), &f.origin));
    event.into_iter().chain(facts).find_map(|(text, origin)| {
        let text = text.to_ascii_lowercase();
        let (_, vendor) = BY_WORD.iter().find(|(word, _)| text.contains(word))?;
        Some((*vendor, origin.clone()))
    })
}

/// What only a second look tells apart.
fn refine(host: &Host, vendor: &'static str) -> &'static str {
    let release = host.facts.text("kernel.release").unwrap_or("");
    let version = host.facts.text("dmi.product_version").unwrap_or("");
    match vendor {
        "hyperv" if release.contains("azure") => "azure",
        "kvm" if version.contains("pve") => "proxmox",
        other => other,
    }
}

fn is_guest(host: &Host) -> Found<bool> {
    if let Some(event) = host.boot_line("hypervisor") {
        return Some((true, event.origin.clone()));
    }
    if let Some((vendor, origin)) = by_release(host).or_else(|| by_windows(host)) {
        return Some((vendor != "bare-metal", origin));
    }
    if let Some(fact) = host.facts.first("cpu.hypervisor") {
        return Some((fact.value == Value::Bool(true), fact.origin.clone()));
    }
    if let Some(fact) = host.facts.first("lscpu.hypervisor_vendor") {
        return Some((true, fact.origin.clone()));
    }
    if let Some((vendor, origin)) =
        by_setting(host).or_else(|| by_dmi(host)).or_else(|| by_product_line(host))
    {
        let metal = vendor == "aws"
            && host.facts.text("dmi.product_name").is_some_and(|p| p.contains(".metal"));
        return Some((!metal, origin));
    }
    if let Some(fact) = host.facts.first("host.detect_virt") {
        return Some((fact.value != Value::text("none"), fact.origin.clone()));
    }
    physical(host)
}

/// Signs of a physical machine: a maker that is no hypervisor, or a board's device tree.
fn physical(host: &Host) -> Found<bool> {
    let names = ["dmi.sys_vendor", "dmi.product_name", "dmi.device_tree_model", "vmware.version"];
    if let Some(fact) = names.iter().find_map(|n| host.facts.first(n)) {
        return Some((false, fact.origin.clone()));
    }
    let event = host.boot_line("dmi").or_else(|| host.boot_line("device_tree"))?;
    Some((false, event.origin.clone()))
}

/// The kernel's release from its own first line, where `uname` was not collected.
fn release(host: &Host) -> Vec<Fact> {
    let known = host.facts.first("kernel.release").is_some();
    let Some(event) = host.boot_line("version").filter(|_| !known) else { return Vec::new() };
    let Some(release) = event.fields.get("value") else { return Vec::new() };
    let version = Version::parse(release);
    let text = derived("kernel.release", Value::text(release), &event.origin);
    let version = version.map(|v| derived("kernel.version", Value::Version(v), &event.origin));
    std::iter::once(text).chain(version).collect()
}

/// EC2 names the instance type as the product, also in the kernel's own DMI line.
fn type_in_boot_log(host: &Host) -> Option<Fact> {
    let event = host.boot_line("dmi")?;
    let product = event.fields.get("value")?.strip_prefix("Amazon EC2 ")?;
    let name = product.split(['/', ',']).next()?.trim();
    Some(derived("platform.machine_type", Value::text(name), &event.origin))
}

fn machine_type(host: &Host, vendor: Option<&str>) -> Option<Fact> {
    let fact = host
        .facts
        .first("cloud.machine_type")
        .or_else(|| host.facts.first("dmi.product_name").filter(|_| vendor == Some("aws")));
    let Some(fact) = fact else { return type_in_boot_log(host) };
    let text = fact.value.to_string();
    let name = text.rsplit('/').next().unwrap_or(&text);
    Some(derived("platform.machine_type", Value::text(name), &fact.origin))
}

fn product(host: &Host) -> Option<Fact> {
    for (vendor, product) in
        [("dmi.sys_vendor", "dmi.product_name"), ("windows.manufacturer", "windows.model")]
    {
        let facts = [host.facts.first(vendor), host.facts.first(product)];
        if let Some(first) = facts.into_iter().flatten().next() {
            let text: Vec<_> = facts.into_iter().flatten().map(|f| f.value.to_string()).collect();
            return Some(derived("platform.product", Value::text(text.join(" ")), &first.origin));
        }
    }
    let event = host.boot_line("dmi").or_else(|| host.boot_line("device_tree"))?;
    let line = event.fields.get("value")?;
    let name = line.split(", BIOS").next().unwrap_or(line);
    Some(derived("platform.product", Value::text(name), &event.origin))
}

/// "Memory Encryption Features active:" is printed on a host with SME too: only SEV and TDX are
/// guests' features. A log that goes back to the kernel's first line and has none says that it is
/// no confidential guest.
fn confidential(host: &Host) -> Option<Fact> {
    let Some(event) = host.boot_line("memory_encryption") else {
        let first = host.boot_line("version")?;
        return Some(derived("platform.confidential", Value::Bool(false), &first.origin));
    };
    let value = event.fields.get("value")?;
    let guest = ["SEV", "TDX"].iter().any(|w| value.contains(w));
    Some(derived("platform.confidential", Value::Bool(guest), &event.origin))
}
