//! VirtualBox: what VBox.log says of the program and of the VM, and `VBoxManage`.
//!
//! VBox.log begins with a banner, names the host's system and dumps the VM's configuration
//! (`CFGM dump`), in which `NestedHWVirt` tells whether the guest is shown VT-x or AMD-V. The
//! same is in `VBoxManage showvminfo` and in the VM's .vbox file. What the log says of failures
//! is matched by rules.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Version, Want};
use crate::parse::{kv, lines};

/// VirtualBox.
pub const SLICE: Slice = Slice { name: "virtualbox", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("home/*/VirtualBox VMs/*/Logs/VBox.log"),
    Want::given("**/VBox.log"),
    Want::given("**/*.vbox"),
    Want::command("vboxmanage-version", &["VBoxManage", "--version"], &[]),
    Want::output("vboxmanage-showvminfo*"),
];

const FACTS: &[FactDef] = &[
    FactDef::new("vbox.version", Kind::Version, "Version of VirtualBox", "VBoxManage --version"),
    FactDef::new(
        "vbox.host_os",
        Kind::Text,
        "System that VirtualBox runs on, e.g. Linux, Windows 11",
        "grep 'OS Product' ~/'VirtualBox VMs'/*/Logs/VBox.log",
    ),
    FactDef::per(
        "vbox.nested_hw_virt",
        Kind::Bool,
        "VM",
        "Whether the VM is shown VT-x or AMD-V (NestedHWVirt)",
        "VBoxManage showvminfo NAME | grep Nested",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = crate::parse::decoded(piece.bytes);
    match piece.file_name() {
        "vboxmanage-version.txt" => version(piece, &text, out),
        name if name.rsplit('.').next() == Some("vbox") => settings(piece, &text, out),
        name if name.starts_with("vboxmanage") => info(piece, &text, out),
        _ => log(piece, &text, out),
    }
}

/// `VBoxManage --version`: `7.2.10r173021`; warnings may stand before it.
fn version(piece: Piece<'_>, text: &str, out: &mut Out) {
    let found = lines(text).find_map(|(n, l)| Some((Version::parse(l)?, n, l)));
    if let Some((version, line, text)) = found {
        let origin = Origin::new(piece.path, Some(line), text);
        out.fact("vbox.version", Value::Version(version), origin);
    }
}

fn log(piece: Piece<'_>, text: &str, out: &mut Out) {
    let vm = vm_of(piece.path);
    for (line, text) in lines(text) {
        let origin = || Origin::new(piece.path, Some(line), text);
        if let Some((_, banner)) = text.split_once("VirtualBox VM ")
            && text.contains(" log")
            && let Some(version) = banner.split(' ').next().and_then(Version::parse)
        {
            out.fact("vbox.version", Value::Version(version), origin());
        } else if let Some((_, product)) = text.split_once(" OS Product: ") {
            out.fact("vbox.host_os", Value::text(product.trim()), origin());
        } else if let Some((_, value)) = text.split_once("NestedHWVirt ") {
            match value.rsplit_once('(').map(|(_, v)| v.trim_end().trim_end_matches(')')) {
                Some("1") => nested(true, vm, origin(), out),
                Some("0") => nested(false, vm, origin(), out),
                _ => out.problem(piece.path, Some(line), "NestedHWVirt is neither 0 nor 1"),
            }
        }
    }
}

fn nested(on: bool, vm: Option<&str>, origin: Origin, out: &mut Out) {
    match vm {
        Some(vm) => out.fact_of("vbox.nested_hw_virt", vm, Value::Bool(on), origin),
        None => out.fact("vbox.nested_hw_virt", Value::Bool(on), origin),
    }
}

/// The VM's name in `VirtualBox VMs/NAME/Logs/VBox.log` and `VirtualBox VMs/NAME/NAME.vbox`.
fn vm_of(path: &str) -> Option<&str> {
    let (folder, file) = path.rsplit_once('/')?;
    if let Some(name) = file.strip_suffix(".vbox") {
        return Some(name);
    }
    folder.strip_suffix("/Logs")?.rsplit('/').next()
}

/// The VM's settings: `<NestedHWVirt enabled="true"/>`.
fn settings(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (line, text) in lines(text) {
        let enabled =
            text.split_once("<NestedHWVirt enabled=\"").and_then(|(_, v)| v.split('"').next());
        if let Some(on) = enabled.and_then(kv::boolean) {
            nested(on, vm_of(piece.path), Origin::new(piece.path, Some(line), text), out);
        }
    }
}

/// `VBoxManage showvminfo`: `Name:` and `Nested VT-x/AMD-V: enabled`, or machine-readable.
fn info(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut vm: Option<&str> = None;
    for (line, text) in lines(text) {
        let Some((key, value)) = text.split_once([':', '=']) else { continue };
        let value = kv::unquote(value.trim());
        match key.trim() {
            "Name" | "name" => vm = vm.or(Some(value)),
            "Nested VT-x/AMD-V" | "nested-hw-virt" => {
                if let Some(on) = kv::boolean(value) {
                    nested(on, vm, Origin::new(piece.path, Some(line), text), out);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, text: &str) -> Vec<String> {
        let mut out = Out::default();
        parse(Piece { path, bytes: text.as_bytes(), whole: true }, &mut out);
        let show = |f: &crate::model::Fact| {
            format!("{}[{}]={}", f.name, f.instance.as_deref().unwrap_or(""), f.value)
        };
        let problems = out.problems.iter().map(|p| p.source.clone());
        out.facts.iter().map(show).chain(problems).collect()
    }

    #[test]
    fn log_of_a_vm() {
        let text = "00:00:00.1 VirtualBox VM 7.0.26 r168464 linux.amd64 (Apr 11 2025) release log\n\
            00:00:00.2 OS Product: Linux\n\
            00:00:00.3   NestedHWVirt      <integer> = 0x0000000000000001 (1)\n\
            00:00:00.4   NestedHWVirt      <integer> = 0x7 (7)\n";
        let path = "home/a/VirtualBox VMs/lab/Logs/VBox.log";
        assert_eq!(
            run(path, text),
            [
                "vbox.version[]=7.0.26",
                "vbox.host_os[]=Linux",
                "vbox.nested_hw_virt[lab]=true",
                "home/a/VirtualBox VMs/lab/Logs/VBox.log:4",
            ]
        );
        assert_eq!(
            run("VBox.log", "00:00:00.3 NestedHWVirt <integer> = 0x0 (0)\n"),
            ["vbox.nested_hw_virt[]=false"]
        );
    }

    #[test]
    fn vboxmanage() {
        let text = "WARNING: The character device /dev/vboxdrv does not exist.\n7.2.10r173021\n";
        assert_eq!(run("commands/vboxmanage-version.txt", text), ["vbox.version[]=7.2.10r173021"]);
        let text = "Name:            lab\nNested VT-x/AMD-V:           enabled\n";
        assert_eq!(
            run("commands/vboxmanage-showvminfo.txt", text),
            ["vbox.nested_hw_virt[lab]=true"]
        );
        let xml = "<CPU>\n<NestedHWVirt enabled=\"false\"/>\n";
        assert_eq!(run("vms/lab/lab.vbox", xml), ["vbox.nested_hw_virt[lab]=false"]);
    }
}
