//! Installed packages: `dpkg -l`, `rpm -qa`, `pacman -Q`.
//!
//! Columns of dpkg-query(1); name-version-release.arch of rpm(8), also with the date that
//! sosreport adds; `name version` of pacman(8). Epochs and architectures are taken off.
//!
//! Not parsed: packages that are not fully installed, and names that dpkg cut to fit a terminal.

use std::collections::BTreeSet;

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Version, Want};

/// Installed packages, and versions of those that matter for virtualization.
pub const SLICE: Slice = Slice { name: "packages", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("dpkg-l", &["dpkg", "-l"], &["installed-debs", "sos_commands/dpkg/dpkg_-l"]),
    Want::command(
        "rpm-qa",
        &["rpm", "-qa"],
        &["installed-rpms", "sos_commands/rpm/*rpm*-qa*", "sos_commands/rpm/package-data"],
    ),
    Want::command("pacman-Q", &["pacman", "-Q"], &[]),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "packages.installed",
        Kind::Words,
        "Names of installed packages; absence tells only with packages.complete",
        "dpkg -l; rpm -qa; pacman -Q",
    ),
    FactDef::new(
        "packages.complete",
        Kind::Bool,
        "The list is of all packages and no extract: the package manager itself is in it",
        "dpkg -l; rpm -qa; pacman -Q",
    ),
    FactDef::per(
        "packages.version",
        Kind::Version,
        "package",
        "Version of QEMU, libvirt, kernel, firmware, microcode and hypervisor packages",
        "dpkg -l; rpm -qa; pacman -Q",
    ),
];

/// Beginnings of the names whose version is kept.
const VERSIONED: &[&str] = &[
    "qemu",
    "pve-qemu",
    "libvirt",
    "kernel",
    "linux-image",
    "pve-kernel",
    "proxmox-kernel",
    "virtualbox",
    "VirtualBox",
    "ovmf",
    "edk2",
    "seabios",
    "intel-microcode",
    "amd64-microcode",
    "microcode_ctl",
    "ucode-intel",
    "ucode-amd",
    "intel-ucode",
    "amd-ucode",
    "linux-firmware",
    "kata",
    "firecracker",
    "cloud-hypervisor",
    "open-vm-tools",
    "incus",
    "lxd",
];

/// Takes name and version off a line; `None` where it is no installed package.
type Reader = fn(&str) -> Option<(&str, &str)>;

fn parse(piece: Piece<'_>, out: &mut Out) {
    let (read, manager): (Reader, _) = match piece.file_name() {
        "dpkg-l.txt" => (of_dpkg, "dpkg"),
        "rpm-qa.txt" => (of_rpm, "rpm"),
        _ => (of_pacman, "pacman"),
    };
    let text = piece.text();
    let mut names = BTreeSet::new();
    let mut first: Option<Origin> = None;
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((name, version)) = read(line) else { continue };
        names.insert(name.to_owned());
        first.get_or_insert_with(|| Origin::new(piece.path, Some(number), line));
        if VERSIONED.iter().any(|begin| name.starts_with(begin))
            && let Some(version) = Version::parse(without_epoch(version))
        {
            let origin = Origin::new(piece.path, Some(number), line);
            out.fact_of("packages.version", name, Value::Version(version), origin);
        }
    }
    match first {
        Some(origin) => {
            // Of a cut or a filtered list, absence cannot be told.
            let complete = piece.whole && names.contains(manager);
            out.fact("packages.complete", Value::Bool(complete), origin.clone());
            out.fact("packages.installed", Value::Words(names), origin);
        }
        None if !text.trim().is_empty() => {
            out.problem(piece.path, None, "no line is an installed package");
        }
        _ => {}
    }
}

/// `ii  name:arch  1:version  arch  description`; the second letter is the state.
fn of_dpkg(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    let state = words.next().filter(|s| s.len() == 2 && s.ends_with('i'))?;
    let known = state.starts_with(['i', 'h', 'u', 'r', 'p']);
    let name = words.next().filter(|_| known)?;
    let version = words.next().filter(|v| v.starts_with(|c: char| c.is_ascii_digit()))?;
    Some((name.split_once(':').map_or(name, |(name, _)| name), version))
}

/// `name-version-release.arch`, then whatever sosreport adds.
fn of_rpm(line: &str) -> Option<(&str, &str)> {
    let nvra = line.split_whitespace().next()?;
    let nvr = nvra.rsplit_once('.').filter(|(_, arch)| is_arch(arch)).map_or(nvra, |(nvr, _)| nvr);
    let (name_version, _) = nvr.rsplit_once('-')?;
    let (name, version) = name_version.rsplit_once('-')?;
    let plausible = !name.is_empty()
        && version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
    // The release belongs to the version as it is shown.
    plausible.then(|| (name, nvr.get(name.len() + 1..).unwrap_or(version)))
}

fn is_arch(word: &str) -> bool {
    let known = ["x86_64", "noarch", "aarch64", "ppc64le", "s390x", "i386", "i586", "i686", "src"];
    known.contains(&word) || word.starts_with("(none)") || word.starts_with("riscv")
}

/// `name version-release`
fn of_pacman(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    let plausible = words.next().is_none()
        && version.contains('-')
        && version.starts_with(|c: char| c.is_ascii_alphanumeric());
    plausible.then_some((name, version))
}

/// `1:6.2+dfsg` is version 6.2 of epoch 1, which only its distributor counts.
fn without_epoch(version: &str) -> &str {
    match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn read(path: &str, text: &str) -> Out {
        testing::read(parse, path, text)
    }

    fn installed(out: &Out) -> String {
        let found = out.facts.iter().find(|f| f.name == "packages.installed");
        found.map_or(String::new(), |f| f.value.to_string())
    }

    fn complete(out: &Out) -> bool {
        out.facts.iter().any(|f| f.name == "packages.complete" && f.value == Value::Bool(true))
    }

    fn version(out: &Out, package: &str) -> Option<Value> {
        out.facts.iter().find(|f| f.instance.as_deref() == Some(package)).map(|f| f.value.clone())
    }

    fn parsed(text: &str) -> Option<Value> {
        Version::parse(text).map(Value::Version)
    }

    #[test]
    fn dpkg_counts_only_what_is_installed() {
        let out = read(
            "commands/dpkg-l.txt",
            "Desired=Unknown/Install/Remove/Purge/Hold\n||/ Name  Version  Architecture Description\n\
             +++-====-====-====-====\nii  qemu-system-x86 1:6.2+dfsg-2ubuntu6 amd64 QEMU\n\
             ii  libc6:amd64 2.35-0ubuntu3 amd64 GNU C\nrc  virtualbox 6.1 amd64 gone\nhi  ovmf 2022.02-3 all UEFI\n",
        );
        assert_eq!(installed(&out), "libc6 ovmf qemu-system-x86");
        assert_eq!(version(&out, "qemu-system-x86"), parsed("6.2+dfsg-2ubuntu6"));
        assert_eq!(version(&out, "virtualbox"), None);
        assert_eq!(version(&out, "libc6"), None);
    }

    #[test]
    fn rpm_names_may_hold_dashes_and_lines_dates() {
        let out = read(
            "commands/rpm-qa.txt",
            "$ rpm -qa\nqemu-kvm-6.2.0-11.el8_7.x86_64\nmicrocode_ctl-20220207-1.el8.noarch   Mon 01 Jan 2025\n\
             gpg-pubkey-fd431d51-4ae0493b\nkernel-4.18.0-425.el8.x86_64\nkernel-4.18.0-372.el8.x86_64\n",
        );
        assert_eq!(installed(&out), "gpg-pubkey kernel microcode_ctl qemu-kvm");
        assert_eq!(version(&out, "qemu-kvm"), parsed("6.2.0-11.el8_7"));
        assert_eq!(version(&out, "microcode_ctl"), parsed("20220207-1.el8"));
        assert_eq!(out.facts.iter().filter(|f| f.instance.as_deref() == Some("kernel")).count(), 2);
    }

    #[test]
    fn pacman() {
        let out = read("commands/pacman-Q.txt", "edk2-ovmf 202505-1\nlinux 6.16.7.arch1-1\n");
        assert_eq!(installed(&out), "edk2-ovmf linux");
        assert_eq!(version(&out, "edk2-ovmf"), parsed("202505-1"));
    }

    #[test]
    fn neither_a_cut_nor_a_foreign_list_shows_absence() {
        let mut out = Out::default();
        let bytes = b"qemu-kvm-6.2.0-11.el8.x86_64\nlibv";
        parse(Piece { path: "commands/rpm-qa.txt", bytes, whole: false }, &mut out);
        assert_eq!(installed(&out), "qemu-kvm");
        assert!(!complete(&out));
        assert!(version(&out, "qemu-kvm").is_some());
        assert!(!complete(&read("commands/rpm-qa.txt", "qemu-kvm-6.2.0-11.el8.x86_64\n")));
        assert!(complete(&read("commands/rpm-qa.txt", "rpm-4.16.1.3-37.el9.x86_64\n")));
        assert_eq!(
            read("commands/dpkg-l.txt", "bash: dpkg: command not found\n").problems.len(),
            1
        );
    }
}
