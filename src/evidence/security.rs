//! What keeps programs and modules from doing what they may otherwise: SELinux, AppArmor, kernel
//! lockdown, Secure Boot.
//!
//! getenforce(8), sestatus(8), getsebool(8), `semanage boolean -l`, `/sys/fs/selinux/enforce`;
//! kernel_lockdown(7); `mokutil --sb-state` or the UEFI variable itself (UEFI specification, 3.3);
//! AppArmor's module parameter.
//!
//! Not parsed: policies. Denials are logs.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// SELinux, AppArmor, lockdown and Secure Boot.
pub const SLICE: Slice = Slice { name: "security", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("getenforce", &["getenforce"], &[]),
    Want::command(
        "sestatus",
        &["sestatus"],
        &[
            "sos_commands/selinux/sestatus",
            "sos_commands/selinux/sestatus_-v",
            "sos_commands/selinux/sestatus_-b",
        ],
    ),
    Want::command("getsebool", &["getsebool", "-a"], &["sos_commands/selinux/getsebool_-a"]),
    Want::output("getsebool-*"),
    Want::command("semanage-boolean", &[], &["sos_commands/selinux/semanage_boolean_-l"]),
    Want::file("sys/fs/selinux/enforce"),
    Want::file("sys/kernel/security/lockdown"),
    Want::command("mokutil", &["mokutil", "--sb-state"], &["sos_commands/boot/mokutil_--sb-state"]),
    Want::output("mokutil-*"),
    Want::file("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
    Want::file("sys/module/apparmor/parameters/enabled"),
];

const FACTS: &[FactDef] = &[
    FactDef::new("selinux.mode", Kind::Text, "enforcing, permissive or disabled", "getenforce"),
    FactDef::new(
        "selinux.virt_use_nfs",
        Kind::Bool,
        "Confined guests may use NFS, current value",
        "getsebool virt_use_nfs",
    ),
    FactDef::new(
        "selinux.virt_use_samba",
        Kind::Bool,
        "Confined guests may use CIFS, current value",
        "getsebool virt_use_samba",
    ),
    FactDef::new(
        "selinux.virt_use_fusefs",
        Kind::Bool,
        "Confined guests may use FUSE file systems, current value",
        "getsebool virt_use_fusefs",
    ),
    FactDef::new(
        "selinux.container_use_devices",
        Kind::Bool,
        "Containers may use devices that are mounted in, current value",
        "getsebool container_use_devices",
    ),
    FactDef::new(
        "lockdown.mode",
        Kind::Text,
        "Kernel lockdown: none, integrity or confidentiality",
        "cat /sys/kernel/security/lockdown",
    ),
    FactDef::new(
        "secureboot.enabled",
        Kind::Bool,
        "Firmware checks what it boots",
        "mokutil --sb-state",
    ),
    FactDef::new(
        "apparmor.enabled",
        Kind::Bool,
        "AppArmor is on",
        "cat /sys/module/apparmor/parameters/enabled",
    ),
];

/// SELinux booleans that are kept.
const BOOLEANS: &[(&str, &str)] = &[
    ("virt_use_nfs", "selinux.virt_use_nfs"),
    ("virt_use_samba", "selinux.virt_use_samba"),
    ("virt_use_fusefs", "selinux.virt_use_fusefs"),
    ("container_use_devices", "selinux.container_use_devices"),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    match piece.file_name() {
        "getenforce.txt" | "enforce" => enforce(piece.path, &text, out),
        "lockdown" => lockdown(piece.path, &text, out),
        "enabled" => apparmor(piece.path, &text, out),
        name if name.starts_with("SecureBoot-") => efi_variable(piece, out),
        name if name.starts_with("mokutil") => secure_boot(piece.path, &text, out),
        name if name.starts_with("sestatus") => sestatus(piece.path, &text, out),
        _ => booleans(piece.path, &text, out),
    }
}

fn enforce(path: &str, text: &str, out: &mut Out) {
    let answer = (1u32..).zip(text.lines()).find_map(|(number, line)| {
        let mode = match line.trim() {
            "Enforcing" | "1" => "enforcing",
            "Permissive" | "0" => "permissive",
            "Disabled" => "disabled",
            _ => return None,
        };
        Some((mode, Origin::new(path, Some(number), line)))
    });
    match answer {
        Some((mode, origin)) => out.fact("selinux.mode", Value::text(mode), origin),
        None if text.trim().is_empty() => {}
        None => out.problem(path, Some(1), "not an answer of getenforce"),
    }
}

/// `Current mode:` tells the mode, but is missing where SELinux is disabled.
fn sestatus(path: &str, text: &str, out: &mut Out) {
    let mut understood = false;
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let mode = match (key.trim(), value.trim()) {
            ("SELinux status", "disabled") => "disabled",
            ("Current mode", mode @ ("enforcing" | "permissive")) => mode,
            ("SELinux status", _) => {
                understood = true;
                continue;
            }
            _ => continue,
        };
        understood = true;
        out.fact("selinux.mode", Value::text(mode), Origin::new(path, Some(number), line));
    }
    if !understood && !text.trim().is_empty() {
        out.problem(path, None, "not an answer of sestatus");
    }
    // `sestatus -b` goes on with the booleans.
    booleans(path, text, out);
}

/// `virt_use_nfs --> off`, `virt_use_nfs   (off  ,  on)  ...` (now, at boot) or `virt_use_nfs  off`.
fn booleans(path: &str, text: &str, out: &mut Out) {
    for (number, line) in (1u32..).zip(text.lines()) {
        let mut words = line
            .split(|c: char| c.is_whitespace() || "(),".contains(c))
            .filter(|word| !word.is_empty() && *word != "-->");
        let first = words.next().unwrap_or_default();
        let Some((_, name)) = BOOLEANS.iter().find(|(boolean, _)| *boolean == first) else {
            continue;
        };
        match words.next() {
            Some(state @ ("on" | "off")) => {
                let origin = Origin::new(path, Some(number), line);
                out.fact(name, Value::Bool(state == "on"), origin);
            }
            _ => out.problem(path, Some(number), "expected `on` or `off`"),
        }
    }
}

/// `none [integrity] confidentiality`: the one in brackets holds.
fn lockdown(path: &str, text: &str, out: &mut Out) {
    let line = text.lines().next().unwrap_or_default();
    let held =
        line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(mode, _)| mode);
    match held {
        Some(mode @ ("none" | "integrity" | "confidentiality")) => {
            out.fact("lockdown.mode", Value::text(mode), Origin::new(path, Some(1), line));
        }
        None if text.trim().is_empty() => {}
        _ => out.problem(path, Some(1), "no known mode stands in brackets"),
    }
}

fn apparmor(path: &str, text: &str, out: &mut Out) {
    let line = text.lines().next().unwrap_or_default();
    let origin = Origin::new(path, Some(1), line);
    match line.trim() {
        "Y" | "1" => out.fact("apparmor.enabled", Value::Bool(true), origin),
        "N" | "0" => out.fact("apparmor.enabled", Value::Bool(false), origin),
        "" => {}
        _ => out.problem(path, Some(1), "expected Y or N"),
    }
}

/// Only mokutil's two plain answers are used. `EFI variables are not supported on this system` is
/// said of a BIOS, but also inside containers.
fn secure_boot(path: &str, text: &str, out: &mut Out) {
    for (number, line) in (1u32..).zip(text.lines()) {
        let enabled = match line.trim() {
            "SecureBoot enabled" => true,
            "SecureBoot disabled" | "This system doesn't support Secure Boot" => false,
            _ => continue,
        };
        let origin = Origin::new(path, Some(number), line);
        return out.fact("secureboot.enabled", Value::Bool(enabled), origin);
    }
}

/// Four bytes of attributes, then one of value.
fn efi_variable(piece: Piece<'_>, out: &mut Out) {
    let origin = |value: u8| Origin::new(piece.path, None, &format!("SecureBoot = {value}"));
    match piece.bytes {
        [_, _, _, _, value @ (0 | 1)] => {
            out.fact("secureboot.enabled", Value::Bool(*value == 1), origin(*value));
        }
        [] => {}
        _ => out.problem(piece.path, None, "expected five bytes, the last 0 or 1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(path: &str, bytes: &[u8]) -> (Vec<(&'static str, String)>, usize) {
        let mut out = Out::default();
        parse(Piece { path, bytes, whole: true }, &mut out);
        (out.facts.iter().map(|f| (f.name, f.value.to_string())).collect(), out.problems.len())
    }

    fn read(path: &str, text: &str) -> (Vec<(&'static str, String)>, usize) {
        read_bytes(path, text.as_bytes())
    }

    fn one(name: &'static str, value: &str) -> (Vec<(&'static str, String)>, usize) {
        (vec![(name, value.to_owned())], 0)
    }

    #[test]
    fn selinux_mode_from_all_places() {
        assert_eq!(
            read("commands/getenforce.txt", "Enforcing\n"),
            one("selinux.mode", "enforcing")
        );
        assert_eq!(read("sys/fs/selinux/enforce", "0"), one("selinux.mode", "permissive"));
        let status = "SELinux status:                 enabled\nCurrent mode:                   permissive\nMode from config file:          enforcing\n";
        assert_eq!(read("commands/sestatus.txt", status), one("selinux.mode", "permissive"));
        let off = "SELinux status:                 disabled\n";
        assert_eq!(read("commands/sestatus.txt", off), one("selinux.mode", "disabled"));
        assert_eq!(read("commands/getenforce.txt", "getenforce: not found\n"), (vec![], 1));
    }

    #[test]
    fn booleans_of_three_tools() {
        let nfs = one("selinux.virt_use_nfs", "false");
        assert_eq!(
            read("commands/getsebool.txt", "virt_use_comm --> on\nvirt_use_nfs --> off\n"),
            nfs
        );
        assert_eq!(
            read(
                "commands/semanage-boolean.txt",
                "virt_use_nfs   (off  ,  on)  Allow virt to use nfs\n"
            ),
            nfs
        );
        let status = "SELinux status: enabled\nPolicy booleans:\nvirt_use_nfs                                off\n";
        assert_eq!(read("commands/sestatus.txt", status), nfs);
    }

    #[test]
    fn lockdown_and_apparmor() {
        let path = "sys/kernel/security/lockdown";
        assert_eq!(
            read(path, "none [integrity] confidentiality\n"),
            one("lockdown.mode", "integrity")
        );
        assert_eq!(read(path, "none integrity\n"), (vec![], 1));
        assert_eq!(
            read("sys/module/apparmor/parameters/enabled", "Y\n"),
            one("apparmor.enabled", "true")
        );
    }

    #[test]
    fn secure_boot() {
        assert_eq!(
            read("commands/mokutil.txt", "SecureBoot enabled\n"),
            one("secureboot.enabled", "true")
        );
        let unknown = "EFI variables are not supported on this system\n";
        assert_eq!(read("commands/mokutil.txt", unknown), (vec![], 0));
        let variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        assert_eq!(read_bytes(variable, &[6, 0, 0, 0, 0]), one("secureboot.enabled", "false"));
        assert_eq!(read_bytes(variable, &[6, 0]), (vec![], 1));
    }
}
