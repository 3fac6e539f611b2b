//! VMware: VM configurations (.vmx), what vmware.log repeats of them, and the version.
//!
//! A .vmx file is `key = "value"` per line; keys compare without case. `vhv.enable` shows VT-x or
//! AMD-V to the guest; a configuration without it does not show them, so a complete one gives
//! `false`. `virtualHW.version` is the hardware version (nesting needs 9), and
//! `pciPassthruN.present` excludes nesting on ESXi.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Version, Want};
use crate::parse::{kv, lines};

/// VMware's files.
pub const SLICE: Slice = Slice { name: "vmx_file", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::given("**/*.vmx"),
    Want::given("**/vmware.log"),
    Want::command("vmware-v", &["vmware", "-v"], &[]),
    Want::output("esxcli-hardware-cpu-global-get"),
    Want::output("esxcli-vm-process-list"),
    Want::output("esxcli-system-version-get"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "vmx.vhv_enable",
        Kind::Bool,
        "VM",
        "Whether the VM is shown VT-x or AMD-V (vhv.enable); false where the file has no \
              such line",
        "grep -i vhv NAME.vmx",
    ),
    FactDef::per(
        "vmx.hw_version",
        Kind::Int,
        "VM",
        "Virtual hardware version (virtualHW.version)",
        "grep -i virtualHW.version NAME.vmx",
    ),
    FactDef::per(
        "vmx.pci_passthrough",
        Kind::Bool,
        "VM",
        "Whether a PCI device of the host is given to the VM",
        "grep -i pciPassthru NAME.vmx",
    ),
    FactDef::per(
        "vmx.vcpus",
        Kind::Int,
        "VM",
        "Virtual CPUs (numvcpus)",
        "grep -i numvcpus NAME.vmx",
    ),
    FactDef::per(
        "vmx.memory_mib",
        Kind::Int,
        "VM",
        "RAM of the VM, MiB (memSize)",
        "grep -i memsize NAME.vmx",
    ),
    FactDef::per(
        "vmx.hides_hypervisor",
        Kind::Bool,
        "VM",
        "Whether the guest is not told that it runs on a hypervisor (hypervisor.cpuid.v0)",
        "grep -i hypervisor.cpuid NAME.vmx",
    ),
    FactDef::per(
        "vmx.monitor",
        Kind::Words,
        "VM",
        "Settings of VMware's monitor, e.g. monitor.virtual_mmu=hardware",
        "grep -i ^monitor NAME.vmx",
    ),
    FactDef::new(
        "vmware.machines",
        Kind::Words,
        "Names of the VMs that run on ESXi",
        "esxcli vm process list",
    ),
    FactDef::new("vmware.version", Kind::Version, "Version of the VMware product", "vmware -v"),
    FactDef::new(
        "vmware.product",
        Kind::Text,
        "VMware product: ESXi, Workstation, Player, Fusion",
        "vmware -v",
    ),
    FactDef::new(
        "vmware.hv_support",
        Kind::Int,
        "ESXi's verdict on the CPU: 0 no VT-x or AMD-V, 1 not usable, 2 off in the firmware, \
              3 on",
        "esxcli hardware cpu global get",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = crate::parse::decoded(piece.bytes);
    match piece.file_name() {
        "vmware-v.txt" => version(piece, &text, out),
        "esxcli-hardware-cpu-global-get.txt" => support(piece, &text, out),
        "esxcli-vm-process-list.txt" => running(piece, &text, out),
        "esxcli-system-version-get.txt" => esxi(piece, &text, out),
        name if name.rsplit('.').next() == Some("vmx") => {
            let settings = kv::ini(&text).map(|s| (s.key, s.value, s.line, s.text));
            configuration(piece, stem(piece.path), &settings.collect::<Vec<_>>(), out);
        }
        _ => log(piece, &text, out),
    }
}

/// Settings with their lines, of a .vmx file or of the dictionary in vmware.log; `file` names a
/// VM that does not name itself.
fn configuration(
    piece: Piece<'_>,
    file: &str,
    settings: &[(&str, &str, u32, &str)],
    out: &mut Out,
) {
    let named = |key: &str| settings.iter().find(|s| s.0.eq_ignore_ascii_case(key));
    let vm = named("displayName").map_or(file, |s| s.1);
    let mut add = |name, value, (line, text): (u32, &str)| {
        out.fact_of(name, vm, value, Origin::new(piece.path, Some(line), text));
    };
    machine(settings, &mut add);
    let hardware = named("virtualHW.version");
    match named("vhv.enable") {
        Some((_, value, line, text)) => {
            if let Some(on) = kv::boolean(value) {
                add("vmx.vhv_enable", Value::Bool(on), (*line, text));
            }
        }
        None => {
            if let Some((_, _, line, text)) = hardware.filter(|_| piece.whole) {
                add("vmx.vhv_enable", Value::Bool(false), (*line, text));
            }
        }
    }
    if let Some((_, value, line, text)) = hardware
        && let Ok(version) = value.parse()
    {
        add("vmx.hw_version", Value::Int(version), (*line, text));
    }
    let passthrough = settings.iter().find(|(key, value, ..)| {
        let key = key.to_ascii_lowercase();
        key.starts_with("pcipassthru")
            && key.ends_with(".present")
            && kv::boolean(value) == Some(true)
    });
    if let Some((_, _, line, text)) = passthrough {
        add("vmx.pci_passthrough", Value::Bool(true), (*line, text));
    }
}

/// Size, visibility of the hypervisor, and the monitor's settings.
fn machine(
    settings: &[(&str, &str, u32, &str)],
    add: &mut impl FnMut(&'static str, Value, (u32, &str)),
) {
    let mut monitor: Vec<String> = Vec::new();
    let mut first = None;
    for (key, value, line, text) in settings {
        let place = (*line, *text);
        match key.to_ascii_lowercase().as_str() {
            "numvcpus" | "memsize" => {
                let is_memory = key.eq_ignore_ascii_case("memsize");
                let fact = if is_memory { "vmx.memory_mib" } else { "vmx.vcpus" };
                if let Ok(number) = value.parse() {
                    add(fact, Value::Int(number), place);
                }
            }
            "hypervisor.cpuid.v0" => {
                if let Some(shown) = kv::boolean(value) {
                    add("vmx.hides_hypervisor", Value::Bool(!shown), place);
                }
            }
            name if name.starts_with("monitor.") || name.starts_with("monitor_control.") => {
                monitor.push(format!("{name}={value}"));
                first.get_or_insert(place);
            }
            _ => {}
        }
    }
    if let Some(place) = first {
        add("vmx.monitor", Value::words(monitor), place);
    }
}

/// `Display Name: NAME` of each VM.
fn running(piece: Piece<'_>, text: &str, out: &mut Out) {
    let named = |(line, text): (u32, &str)| {
        let name = text.trim().strip_prefix("Display Name:")?.trim();
        Some((name.to_owned(), Origin::new(piece.path, Some(line), text)))
    };
    let found: Vec<(String, Origin)> = lines(text).filter_map(named).collect();
    if let Some((_, origin)) = found.first().filter(|_| piece.whole) {
        let origin = origin.clone();
        out.fact("vmware.machines", Value::words(found.into_iter().map(|(n, _)| n)), origin);
    }
}

/// `Product: VMware ESXi`, `Version: 8.0.3`.
fn esxi(piece: Piece<'_>, text: &str, out: &mut Out) {
    let field =
        |key: &str| lines(text).find_map(|(n, l)| Some((n, l, l.trim().strip_prefix(key)?.trim())));
    let Some((line, row, name)) = field("Product:") else { return };
    let number = field("Version:").map(|(_, _, number)| number);
    product(piece, name.trim_start_matches("VMware "), number, (line, row), out);
}

/// The banner of vmware.log, and its lines `DICT key = "value"`.
fn log(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut settings = Vec::new();
    // Where the log does not name the VM, its configuration file or its folder does.
    let folder = piece.path.rsplit('/').nth(1).unwrap_or("");
    let mut vm = folder;
    for (line, text) in lines(text) {
        if let Some((_, banner)) = text.split_once("Log for VMware ") {
            let number = banner.split_once(" version=").map(|(_, v)| v);
            product(piece, banner, number, (line, text), out);
        } else if let Some((_, path)) = text.split_once(" DICT --- CONFIGURATION ") {
            vm = stem(path.trim());
        } else if let Some((_, setting)) = text.split_once(" DICT ")
            && let Some((key, value)) = setting.split_once('=')
        {
            settings.push((key.trim(), kv::unquote(value.trim()), line, text));
        }
    }
    configuration(piece, vm, &settings, out);
}

/// The name in a path of Windows or Unix, without `.vmx`.
fn stem(path: &str) -> &str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.strip_suffix(".vmx").unwrap_or(file)
}

/// `VMware ESXi 8.0.3 build-24414501`.
fn version(piece: Piece<'_>, text: &str, out: &mut Out) {
    let banner = |l: &str| l.trim().starts_with("VMware ");
    if let Some((line, text)) = lines(text).find(|(_, l)| banner(l)) {
        let name = text.trim().trim_start_matches("VMware ");
        let number = name.split(' ').find(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        product(piece, name, number, (line, text), out);
    }
}

/// `name` begins with the product's name, `number` with its version.
fn product(
    piece: Piece<'_>,
    name: &str,
    number: Option<&str>,
    (line, text): (u32, &str),
    out: &mut Out,
) {
    let origin = || Origin::new(piece.path, Some(line), text);
    let product = match name.split(' ').next() {
        Some("ESX" | "ESXi") => "ESXi",
        Some("Workstation") if name.contains("Player") => "Player",
        Some("Player") => "Player",
        Some("Workstation") => "Workstation",
        Some("Fusion") => "Fusion",
        _ => return,
    };
    out.fact("vmware.product", Value::text(product), origin());
    let number = number.and_then(|n| n.split(' ').next()).and_then(Version::parse);
    if let Some(version) = number {
        out.fact("vmware.version", Value::Version(version), origin());
    }
}

fn support(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (line, text) in lines(text) {
        if let Some(level) =
            text.trim().strip_prefix("HV Support:").and_then(|v| v.trim().parse().ok())
        {
            let origin = Origin::new(piece.path, Some(line), text);
            out.fact("vmware.hv_support", Value::Int(level), origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, text: &str, whole: bool) -> Vec<String> {
        let mut out = Out::default();
        parse(Piece { path, bytes: text.as_bytes(), whole }, &mut out);
        assert_eq!(out.problems, []);
        let show = |f: &crate::model::Fact| {
            format!("{}[{}]={}", f.name, f.instance.as_deref().unwrap_or(""), f.value)
        };
        out.facts.iter().map(show).collect()
    }

    #[test]
    fn a_configuration() {
        let text = ".encoding = \"UTF-8\"\nvirtualHW.version = \"20\"\ndisplayName = \"lab\"\n\
                    VHV.Enable = \"TRUE\"\npciPassthru0.present = \"TRUE\"\n";
        let expected =
            ["vmx.vhv_enable[lab]=true", "vmx.hw_version[lab]=20", "vmx.pci_passthrough[lab]=true"];
        assert_eq!(run("vms/x.vmx", text, true), expected);
    }

    #[test]
    fn without_the_setting_nothing_is_shown_to_the_guest() {
        let text = "virtualHW.version = \"8\"\n";
        assert_eq!(run("x.vmx", text, true), ["vmx.vhv_enable[x]=false", "vmx.hw_version[x]=8"]);
        assert_eq!(run("x.vmx", text, false), ["vmx.hw_version[x]=8"]);
        assert_eq!(run("x.vmx", "", true), Vec::<String>::new());
    }

    #[test]
    fn log_and_versions() {
        let text = "2018-11-06T20:14:02.118+01:00| vmx| I125: Log for VMware Workstation pid=3884 version=12.5.9 build=b option=Release\n\
            2018-11-06T20:14:02.243+01:00| vmx| I125: DICT --- CONFIGURATION D:\\vms\\lab\\lab.vmx\n\
            2018-11-06T20:14:02.243+01:00| vmx| I125: DICT         virtualHW.version = \"11\"\n\
            2018-11-06T20:14:02.243+01:00| vmx| I125: DICT               vhv.enable = \"TRUE\"\n\
            2018-11-06T20:14:02.243+01:00| vmx| I125: DICT                 guestOS = \"other\"\n";
        let expected = [
            "vmware.product[]=Workstation",
            "vmware.version[]=12.5.9",
            "vmx.vhv_enable[lab]=true",
            "vmx.hw_version[lab]=11",
        ];
        assert_eq!(run("vmware.log", text, true), expected);
        let expected = ["vmware.product[]=ESXi", "vmware.version[]=8.0.3"];
        assert_eq!(run("commands/vmware-v.txt", "VMware ESXi 8.0.3 build-1\n", true), expected);
        let path = "commands/esxcli-hardware-cpu-global-get.txt";
        assert_eq!(run(path, "   HV Support: 3\n", true), ["vmware.hv_support[]=3"]);
    }

    #[test]
    fn size_monitor_and_running_machines() {
        let text = "numvcpus = \"8\"\nmemSize = \"16384\"\nhypervisor.cpuid.v0 = \"FALSE\"\n\
                    monitor.virtual_mmu = \"hardware\"\nmonitor_control.enable_fullcpuid = \"TRUE\"\n";
        let expected = [
            "vmx.vcpus[x]=8",
            "vmx.memory_mib[x]=16384",
            "vmx.hides_hypervisor[x]=true",
            "vmx.monitor[x]=monitor.virtual_mmu=hardware monitor_control.enable_fullcpuid=TRUE",
        ];
        assert_eq!(run("x.vmx", text, true), expected);
        let list = "web\n   World ID: 2100\n   Display Name: web\n   Config File: /vmfs/web.vmx\n";
        let path = "commands/esxcli-vm-process-list.txt";
        assert_eq!(run(path, list, true), ["vmware.machines[]=web"]);
        let text = "   Product: VMware ESXi\n   Version: 8.0.3\n   Build: Releasebuild-1\n";
        let path = "commands/esxcli-system-version-get.txt";
        assert_eq!(run(path, text, true), ["vmware.product[]=ESXi", "vmware.version[]=8.0.3"]);
    }
}
