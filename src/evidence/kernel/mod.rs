//! The running kernel: release, architecture, command line, and how KVM was configured.
//!
//! uname(1), `/proc/version` (proc_version(5)), `/proc/cmdline` (proc_cmdline(5)), and the build
//! configuration that distributions keep under `/boot` or `/lib/modules`, or the kernel itself in
//! `/proc/config.gz` (CONFIG_IKCONFIG_PROC).
//!
//! Not parsed: `/proc/version` names no architecture, so it gives none; of the configuration only
//! `CONFIG_*KVM*`, `CONFIG_VIRTUALIZATION` and `CONFIG_MICROCODE*` are kept.

mod config;
#[cfg(test)]
mod tests;

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Version, Want};

/// Kernel release, command line and KVM's build options.
pub const SLICE: Slice = Slice { name: "kernel", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command(
        "uname",
        &["uname", "-a"],
        &["uname", "sos_commands/kernel/uname_-a", "sos_commands/kernel/uname"],
    ),
    Want::file("proc/version"),
    Want::file("proc/version_signature"),
    Want::file("proc/cmdline"),
    Want::file("boot/config-*"),
    Want::file("usr/lib/kernel/config-*"),
    Want::file("lib/modules/*/config"),
    Want::file("usr/lib/modules/*/config"),
    Want::file("proc/config.gz"),
    Want::given("proc/config"),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "kernel.name",
        Kind::Text,
        "Operating system kernel, first word of uname -a: Linux, VMkernel, Darwin, FreeBSD",
        "uname -s",
    ),
    FactDef::new(
        "kernel.release",
        Kind::Text,
        "Release of the running kernel, as uname -r prints it",
        "uname -r",
    ),
    FactDef::new(
        "kernel.version",
        Kind::Version,
        "The same as a version, for Linux only: 5.15.0-151-generic compares as 5.15.0",
        "uname -r",
    ),
    FactDef::new(
        "kernel.base",
        Kind::Version,
        "Stable release that a distribution says its kernel is built from: Debian in uname -v, Ubuntu in /proc/version_signature",
        "uname -v; cat /proc/version_signature",
    ),
    FactDef::new(
        "kernel.arch",
        Kind::Text,
        "Architecture of the running kernel, as uname -m prints it",
        "uname -m",
    ),
    FactDef::new(
        "kernel.cmdline",
        Kind::Words,
        "Parameters the kernel was booted with, quotes kept",
        "cat /proc/cmdline",
    ),
    FactDef::per(
        "kernel.kvm_config",
        Kind::Text,
        "kernel release",
        "How KVM was built: builtin, module or absent; per release named by the file's path",
        "grep KVM /boot/config-$(uname -r)",
    ),
    FactDef::per(
        "kernel.config",
        Kind::Words,
        "kernel release",
        "Build options CONFIG_*KVM* and CONFIG_VIRTUALIZATION as NAME=value; unset is =n",
        "grep -E 'KVM|VIRTUALIZATION' /boot/config-$(uname -r)",
    ),
    FactDef::per(
        "kernel.microcode_config",
        Kind::Words,
        "kernel release",
        "Build options CONFIG_MICROCODE* as NAME=value; unset is =n",
        "grep MICROCODE /boot/config-$(uname -r)",
    ),
];

/// Systems whose `uname -a` is understood.
pub(super) const SYSTEMS: &[&str] = &["Linux", "VMkernel", "Darwin", "FreeBSD", "GNU/kFreeBSD"];

fn parse(piece: Piece<'_>, out: &mut Out) {
    match piece.path {
        "commands/uname.txt" => uname(piece.path, &piece.text(), out),
        "proc/version" => proc_version(piece.path, &piece.text(), out),
        "proc/version_signature" => version_signature(piece, out),
        "proc/cmdline" => cmdline(piece, out),
        _ => match config::text(piece) {
            Ok(text) => config::parse(piece, &text, out),
            Err(e) => out.problem(piece.path, None, format!("cannot be decompressed: {e}")),
        },
    }
}

/// `Linux NODE RELEASE VERSION... MACHINE [PROCESSOR [PLATFORM]] OS`; VERSION has blanks.
fn uname(path: &str, text: &str, out: &mut Out) {
    for (number, line) in (1u32..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [system, _node, release, rest @ ..] = words.as_slice() else { continue };
        if !SYSTEMS.contains(system) || !release.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let origin = Origin::new(path, Some(number), line);
        out.fact("kernel.name", Value::text(*system), origin.clone());
        facts_of_release(system, release, &origin, out);
        debian_base(line, &origin, out);
        if let Some(arch) = arch(rest) {
            out.fact("kernel.arch", Value::text(arch), origin);
        }
        return;
    }
    if !text.trim().is_empty() {
        out.problem(path, Some(1), "no line is an answer of uname -a");
    }
}

/// `#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)`: the package's version is upstream's.
fn debian_base(line: &str, origin: &Origin, out: &mut Out) {
    let package = line.split_once(" Debian ").and_then(|(_, rest)| rest.split_whitespace().next());
    if let Some(version) = package.and_then(Version::parse) {
        out.fact("kernel.base", Value::Version(version), origin.clone());
    }
}

/// `Ubuntu 5.15.0-94.104-generic 5.15.136`: the last word is the stable release underneath.
fn version_signature(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let Some(line) = text.lines().next().filter(|_| piece.whole) else { return };
    let [_, _, base] = line.split_whitespace().collect::<Vec<_>>()[..] else { return };
    if let Some(version) = Version::parse(base) {
        let origin = Origin::new(piece.path, Some(1), line);
        out.fact("kernel.base", Value::Version(version), origin);
    }
}

fn facts_of_release(system: &str, release: &str, origin: &Origin, out: &mut Out) {
    out.fact("kernel.release", Value::text(release), origin.clone());
    // Another system's number must never be compared with Linux releases.
    if system == "Linux"
        && let Some(version) = Version::parse(release)
    {
        out.fact("kernel.version", Value::Version(version), origin.clone());
    }
}

/// The leftmost of the architecture words at the end: machine comes before processor and platform.
fn arch<'a>(words: &[&'a str]) -> Option<&'a str> {
    let is_arch = |w: &str| {
        w.starts_with("arm")
            || w.starts_with("aarch64")
            || w.starts_with("ppc64")
            || w.starts_with("riscv")
            || w.starts_with("mips")
            || matches!(w, "x86_64" | "amd64" | "i386" | "i486" | "i586" | "i686")
            || matches!(w, "s390x" | "loongarch64" | "sparc64" | "alpha" | "ia64")
    };
    let mut tail = words.iter().rev().skip_while(|w| !is_arch(w)).peekable();
    let mut found = None;
    while let Some(word) = tail.next_if(|w| is_arch(w) || **w == "unknown") {
        if is_arch(word) {
            found = Some(*word);
        }
    }
    found
}

/// `Linux version RELEASE (builder) (compiler) #1 SMP date`
fn proc_version(path: &str, text: &str, out: &mut Out) {
    let line = text.lines().next().unwrap_or_default();
    let release = line.strip_prefix("Linux version ").and_then(|r| r.split_whitespace().next());
    match release {
        Some(release) => {
            let origin = Origin::new(path, Some(1), line);
            facts_of_release("Linux", release, &origin, out);
            debian_base(line, &origin, out);
        }
        None if text.trim().is_empty() => {}
        None => out.problem(path, Some(1), "does not begin with `Linux version`"),
    }
}

/// Splits at blanks outside double quotes, as the kernel does (lib/cmdline.c, next_arg).
fn cmdline(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let Some(line) = text.lines().find(|l| !l.trim().is_empty()) else { return };
    if !piece.whole {
        // What is cut off could be the very parameter that a rule finds missing.
        out.problem(piece.path, None, "cut off: its parameters are not used");
        return;
    }
    let mut quoted = false;
    let words = line
        .split(|c: char| {
            quoted ^= c == '"';
            c.is_whitespace() && !quoted
        })
        .filter(|w| !w.is_empty());
    out.fact("kernel.cmdline", Value::words(words), Origin::new(piece.path, Some(1), line));
}
