//! The machine's own name, its distribution, how long it runs, and what it says it runs on.
//!
//! hostname(5), os-release(5), machine-id(5), `/proc/uptime` (proc_uptime(5)), the words of
//! systemd-detect-virt(1), hostnamectl(1) and virt-what(1).
//!
//! Not parsed: the many release files from before os-release, and `uptime`'s text, which is
//! localized.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Version, Want};

/// Name, distribution and kind of machine.
pub const SLICE: Slice = Slice { name: "host", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("etc/hostname"),
    Want::command("hostname", &["hostname"], &["hostname", "sos_commands/host/hostname"]),
    Want::output("uname"),
    Want::file("etc/os-release"),
    Want::file("usr/lib/os-release"),
    Want::file("proc/uptime"),
    Want::file("etc/machine-id"),
    Want::given("var/lib/dbus/machine-id"),
    Want::command("systemd-detect-virt", &["systemd-detect-virt"], &[]),
    Want::command(
        "hostnamectl",
        &["hostnamectl", "status"],
        &["sos_commands/host/hostnamectl_status", "sos_commands/host/hostnamectl"],
    ),
    Want::output("virt-what"),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "host.name",
        Kind::Text,
        "Host name, from etc/hostname, hostname or uname -a",
        "hostname",
    ),
    FactDef::new(
        "host.os_id",
        Kind::Text,
        "Distribution, ID of os-release, e.g. ubuntu",
        "cat /etc/os-release",
    ),
    FactDef::new(
        "host.os_like",
        Kind::Words,
        "Distributions this one descends from, ID_LIKE of os-release",
        "cat /etc/os-release",
    ),
    FactDef::new(
        "host.os_name",
        Kind::Text,
        "Distribution for people, PRETTY_NAME of os-release",
        "cat /etc/os-release",
    ),
    FactDef::new(
        "host.os_version",
        Kind::Version,
        "Version of the distribution, VERSION_ID of os-release; rolling ones have none",
        "cat /etc/os-release",
    ),
    FactDef::new(
        "host.uptime_seconds",
        Kind::Int,
        "Whole seconds since boot, from proc/uptime",
        "cat /proc/uptime",
    ),
    FactDef::new(
        "host.detect_virt",
        Kind::Text,
        "What the machine runs on, in the words of systemd-detect-virt; none on bare metal",
        "systemd-detect-virt",
    ),
    FactDef::new(
        "host.machine_id",
        Kind::Text,
        "Id of the installation, 32 hex digits; equal on clones",
        "cat /etc/machine-id",
    ),
];

/// What systemd-detect-virt can answer (systemd, src/basic/virt.c).
const VIRT_WORDS: &[&str] = &[
    "none",
    "kvm",
    "amazon",
    "qemu",
    "bochs",
    "xen",
    "uml",
    "vmware",
    "oracle",
    "microsoft",
    "zvm",
    "parallels",
    "bhyve",
    "qnx",
    "acrn",
    "powervm",
    "apple",
    "sre",
    "google",
    "vm-other",
    "systemd-nspawn",
    "lxc-libvirt",
    "lxc",
    "openvz",
    "docker",
    "podman",
    "rkt",
    "wsl",
    "proot",
    "pouch",
    "container-other",
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    match piece.path {
        "etc/hostname" | "commands/hostname.txt" => name(piece.path, &text, out),
        "commands/uname.txt" => name_from_uname(piece.path, &text, out),
        "etc/os-release" | "usr/lib/os-release" => os_release(piece.path, &text, out),
        "proc/uptime" => uptime(piece.path, &text, out),
        "etc/machine-id" | "var/lib/dbus/machine-id" => machine_id(piece.path, &text, out),
        "commands/systemd-detect-virt.txt" => detect_virt(piece.path, &text, out),
        "commands/hostnamectl.txt" => hostnamectl(piece.path, &text, out),
        "commands/virt-what.txt" => virt_what(piece.path, &text, out),
        _ => {}
    }
}

/// The first line that is a host name; comments and shell prompts are not.
fn name(path: &str, text: &str, out: &mut Out) {
    let found = (1u32..).zip(text.lines()).find(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '$'])
    });
    let Some((number, line)) = found else { return };
    if line.trim().contains(char::is_whitespace) {
        out.problem(path, Some(number), "not a host name: it contains a blank");
        return;
    }
    out.fact("host.name", Value::text(line.trim()), Origin::new(path, Some(number), line));
}

/// `Linux NODE RELEASE ...`
fn name_from_uname(path: &str, text: &str, out: &mut Out) {
    for (number, line) in (1u32..).zip(text.lines()) {
        let mut words = line.split_whitespace();
        let system = words.next().unwrap_or_default();
        // The version string follows: `uname -r` alone, or a prompt, has fewer words.
        if !super::kernel::SYSTEMS.contains(&system) || line.split_whitespace().count() < 4 {
            continue;
        }
        if let Some(node) = words.next() {
            out.fact("host.name", Value::text(node), Origin::new(path, Some(number), line));
        }
        return;
    }
}

fn os_release(path: &str, text: &str, out: &mut Out) {
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let value = unquote(value);
        if value.is_empty() {
            continue;
        }
        let origin = Origin::new(path, Some(number), line);
        match key {
            "ID" => out.fact("host.os_id", Value::text(value.to_ascii_lowercase()), origin),
            "ID_LIKE" => {
                out.fact("host.os_like", Value::words(value.split_whitespace()), origin);
            }
            "PRETTY_NAME" => out.fact("host.os_name", Value::text(value), origin),
            "VERSION_ID" => {
                // `VERSION_ID=rolling` is legal and says nothing to compare.
                if let Some(version) = Version::parse(value) {
                    out.fact("host.os_version", Value::Version(version), origin);
                }
            }
            _ => {}
        }
    }
}

/// os-release is shell syntax; only whole-value quotes occur in practice.
fn unquote(value: &str) -> &str {
    let value = value.trim();
    ['"', '\''].into_iter().find_map(|q| value.strip_prefix(q)?.strip_suffix(q)).unwrap_or(value)
}

/// `12345.67 54321.00`: seconds up, seconds idle over all CPUs.
fn uptime(path: &str, text: &str, out: &mut Out) {
    let line = text.lines().next().unwrap_or_default();
    let Some(first) = line.split_whitespace().next() else { return };
    let whole = first.split_once('.').map_or(first, |(whole, _)| whole);
    match whole.parse::<u32>() {
        Ok(seconds) => out.fact(
            "host.uptime_seconds",
            Value::Int(seconds.into()),
            Origin::new(path, Some(1), line),
        ),
        Err(e) => out.problem(path, Some(1), format!("uptime is not a number: {e}")),
    }
}

fn machine_id(path: &str, text: &str, out: &mut Out) {
    let line = text.lines().next().unwrap_or_default();
    let id = line.trim();
    // An image that never booted has an empty file or `uninitialized` (machine-id(5)).
    if id.is_empty() || id == "uninitialized" {
        return;
    }
    if id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        let value = Value::text(id.to_ascii_lowercase());
        out.fact("host.machine_id", value, Origin::new(path, Some(1), line));
    } else {
        out.problem(path, Some(1), "a machine id has 32 hexadecimal digits");
    }
}

/// The last line's last word. A word that systemd does not know yet counts when it stands alone,
/// so that "command not found" is no platform.
fn detect_virt(path: &str, text: &str, out: &mut Out) {
    let Some((number, line)) =
        (1u32..).zip(text.lines()).filter(|(_, l)| !l.trim().is_empty()).last()
    else {
        return;
    };
    let word = line.split_whitespace().last().unwrap_or_default();
    let alone = line.trim() == word
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if alone || VIRT_WORDS.contains(&word) {
        out.fact("host.detect_virt", Value::text(word), Origin::new(path, Some(number), line));
    } else {
        out.problem(path, Some(number), "not an answer of systemd-detect-virt");
    }
}

/// Only lines that are there are used: bare metal has no `Virtualization:` line.
fn hostnamectl(path: &str, text: &str, out: &mut Out) {
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let name = match key.trim() {
            "Virtualization" => "host.detect_virt",
            "Machine ID" => "host.machine_id",
            _ => continue,
        };
        if !value.is_empty() && !value.contains(char::is_whitespace) {
            out.fact(name, Value::text(value), Origin::new(path, Some(number), line));
        }
    }
}

/// virt-what prints one line per fact it finds out (`redhat` then `kvm`): the one that names the
/// hypervisor is given in systemd's word, and the first line where none does.
fn virt_what(path: &str, text: &str, out: &mut Out) {
    let lines = || {
        (1u32..).zip(text.lines()).filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.contains(char::is_whitespace)
        })
    };
    let known = lines().find_map(|(n, line)| Some((n, line, virt_what_word(line.trim())?)));
    let first = || lines().next().map(|(n, line)| (n, line, line.trim()));
    if let Some((number, line, word)) = known.or_else(first) {
        out.fact("host.detect_virt", Value::text(word), Origin::new(path, Some(number), line));
    }
}

/// virt-what(1)'s names for what systemd names otherwise.
fn virt_what_word(word: &str) -> Option<&str> {
    match word {
        "hyperv" => Some("microsoft"),
        "virtualbox" => Some("oracle"),
        "xen" | "xen-hvm" | "xen-domU" | "xen-dom0" => Some("xen"),
        _ => VIRT_WORDS.contains(&word).then_some(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> (Vec<(&'static str, String)>, usize) {
        let mut out = Out::default();
        parse(Piece { path, bytes: text.as_bytes(), whole: true }, &mut out);
        let facts = out.facts.iter().map(|f| (f.name, f.value.to_string())).collect();
        (facts, out.problems.len())
    }

    #[test]
    fn os_release_with_and_without_quotes() {
        let text = "NAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nID=ubuntu\nID_LIKE=debian\nPRETTY_NAME='Ubuntu 22.04.5 LTS'\n";
        let facts = read("etc/os-release", text).0;
        assert!(facts.contains(&("host.os_id", "ubuntu".into())));
        assert!(facts.contains(&("host.os_version", "22.04".into())));
        assert!(facts.contains(&("host.os_name", "Ubuntu 22.04.5 LTS".into())));
        assert!(facts.contains(&("host.os_like", "debian".into())));
    }

    #[test]
    fn a_rolling_distribution_has_no_version() {
        let facts = read("etc/os-release", "ID=arch\nVERSION_ID=rolling\nBUILD_ID=rolling\n").0;
        assert_eq!(facts, [("host.os_id", "arch".into())]);
    }

    #[test]
    fn the_name_stands_after_comments_and_prompts() {
        assert_eq!(
            read("etc/hostname", "# set by installer\nnode7\n").0,
            [("host.name", "node7".into())]
        );
        assert_eq!(
            read(
                "commands/uname.txt",
                "$ uname -a\nLinux node7 6.1.0-9-amd64 #1 SMP x86_64 GNU/Linux\n"
            )
            .0,
            [("host.name", "node7".into())]
        );
        assert_eq!(read("commands/uname.txt", "6.1.0-9-amd64\n"), (vec![], 0));
    }

    #[test]
    fn detect_virt_answers_and_does_not_guess() {
        let virt = |w: &str| vec![("host.detect_virt", w.to_owned())];
        assert_eq!(read("commands/systemd-detect-virt.txt", "none\n").0, virt("none"));
        assert_eq!(
            read("commands/systemd-detect-virt.txt", "$ systemd-detect-virt\nkvm\n").0,
            virt("kvm")
        );
        let refused = "bash: systemd-detect-virt: command not found\n";
        assert_eq!(read("commands/systemd-detect-virt.txt", refused), (vec![], 1));
        assert_eq!(read("commands/virt-what.txt", "redhat\nkvm\n").0, virt("kvm"));
        assert_eq!(read("commands/virt-what.txt", "hyperv\n").0, virt("microsoft"));
        assert_eq!(read("commands/virt-what.txt", "").0, []);
    }

    #[test]
    fn hostnamectl_of_a_guest() {
        let text = "   Static hostname: n1\n        Machine ID: 0123456789abcdef0123456789abcdef\n    Virtualization: kvm\n";
        assert_eq!(
            read("commands/hostnamectl.txt", text).0,
            [
                ("host.machine_id", "0123456789abcdef0123456789abcdef".into()),
                ("host.detect_virt", "kvm".into())
            ]
        );
    }

    #[test]
    fn broken_files_give_problems_not_values() {
        assert_eq!(
            read("proc/uptime", "4242.17 9000.50\n").0,
            [("host.uptime_seconds", "4242".into())]
        );
        assert_eq!(read("proc/uptime", "up 3 days\n"), (vec![], 1));
        assert_eq!(read("proc/uptime", ""), (vec![], 0));
        assert_eq!(read("etc/machine-id", "uninitialized\n"), (vec![], 0));
        assert_eq!(read("etc/machine-id", "12\n"), (vec![], 1));
    }
}
