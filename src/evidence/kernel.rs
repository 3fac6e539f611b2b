//! The running kernel: release, architecture, command line, and how KVM was configured.
//!
//! uname(1), `/proc/version` (proc_version(5)), `/proc/cmdline` (proc_cmdline(5)), and the build
//! configuration that distributions keep under `/boot` or `/lib/modules`, or the kernel itself in
//! `/proc/config.gz` (CONFIG_IKCONFIG_PROC).
//!
//! Not parsed: `/proc/version` names no architecture, so it gives none; of the configuration only
//! `CONFIG_*KVM*`, `CONFIG_VIRTUALIZATION` and `CONFIG_MICROCODE*` are kept.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

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

/// Limit for an unpacked `/proc/config.gz`; real ones have about 300 KiB.
const CONFIG_LIMIT: u64 = 8 << 20;

fn parse(piece: Piece<'_>, out: &mut Out) {
    match piece.path {
        "commands/uname.txt" => uname(piece.path, &piece.text(), out),
        "proc/version" => proc_version(piece.path, &piece.text(), out),
        "proc/version_signature" => version_signature(piece, out),
        "proc/cmdline" => cmdline(piece, out),
        _ => match config_text(piece) {
            Ok(text) => config(piece, &text, out),
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

fn config_text(piece: Piece<'_>) -> std::io::Result<Cow<'_, str>> {
    if !piece.bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(String::from_utf8_lossy(piece.bytes));
    }
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(piece.bytes).take(CONFIG_LIMIT).read_to_end(&mut bytes)?;
    Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What the configuration says about KVM, and where.
#[derive(Default)]
struct Config {
    words: BTreeSet<String>,
    /// State of CONFIG_KVM and its place.
    kvm: Option<(char, Origin)>,
    /// CONFIG_VIRTUALIZATION=n, without which no KVM line is written at all.
    no_virtualization: Option<Origin>,
    /// States of the x86 parts: intel, amd, pvm.
    parts: Vec<char>,
    /// Options of the microcode loader.
    microcode: BTreeSet<String>,
    /// Place of the first of them.
    microcode_at: Option<Origin>,
}

fn config(piece: Piece<'_>, text: &str, out: &mut Out) {
    let seen = read_config(piece.path, text);
    let release = release_in(piece.path);
    let mut put = |name, value, origin| match release {
        Some(release) => out.fact_of(name, release, value, origin),
        None => out.fact(name, value, origin),
    };
    if let Some(origin) = seen.microcode_at.clone().filter(|_| piece.whole) {
        put("kernel.microcode_config", Value::Words(seen.microcode.clone()), origin);
    }
    let place = seen.kvm.as_ref().map(|(_, o)| o).or(seen.no_virtualization.as_ref());
    let Some(origin) = place.cloned() else {
        if !text.contains("CONFIG_") {
            out.problem(piece.path, None, "not a kernel configuration");
        }
        return;
    };
    if let Some(state) = kvm_state(&seen) {
        put("kernel.kvm_config", Value::text(state), origin.clone());
    }
    if piece.whole {
        put("kernel.config", Value::Words(seen.words), origin);
    }
}

fn read_config(path: &str, text: &str) -> Config {
    let mut seen = Config::default();
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((name, value)) = option(line) else { continue };
        if name.starts_with("CONFIG_MICROCODE") {
            seen.microcode.insert(format!("{name}={value}"));
            seen.microcode_at.get_or_insert_with(|| Origin::new(path, Some(number), line));
        }
        if !name.contains("KVM") && name != "CONFIG_VIRTUALIZATION" {
            continue;
        }
        seen.words.insert(format!("{name}={value}"));
        let state = value.chars().next().unwrap_or('n');
        match name {
            "CONFIG_KVM" => seen.kvm = Some((state, Origin::new(path, Some(number), line))),
            "CONFIG_VIRTUALIZATION" if state == 'n' => {
                seen.no_virtualization = Some(Origin::new(path, Some(number), line));
            }
            "CONFIG_KVM_INTEL" | "CONFIG_KVM_AMD" | "CONFIG_KVM_PVM" => seen.parts.push(state),
            _ => {}
        }
    }
    seen
}

/// `CONFIG_X=value` or `# CONFIG_X is not set`.
fn option(line: &str) -> Option<(&str, &str)> {
    if let Some(comment) = line.strip_prefix("# ") {
        let name = comment.trim_end().strip_suffix(" is not set")?;
        return name.starts_with("CONFIG_").then_some((name, "n"));
    }
    let (name, value) = line.trim().split_once('=')?;
    name.starts_with("CONFIG_").then_some((name, value))
}

/// The core without any part for a vendor is of no use on x86; where no part is named (ARM, or an
/// extract) the core alone decides.
fn kvm_state(seen: &Config) -> Option<&'static str> {
    let core = match &seen.kvm {
        Some((state, _)) => *state,
        None => seen.no_virtualization.as_ref().map(|_| 'n')?,
    };
    if core == 'n' || (!seen.parts.is_empty() && seen.parts.iter().all(|s| *s == 'n')) {
        Some("absent")
    } else if core == 'm' || seen.parts.contains(&'m') {
        Some("module")
    } else {
        Some("builtin")
    }
}

/// The release in `boot/config-REL`, `usr/lib/kernel/config-REL` or `lib/modules/REL/config`.
fn release_in(path: &str) -> Option<&str> {
    let (folder, file) = path.rsplit_once('/')?;
    if let Some(release) = file.strip_prefix("config-") {
        return Some(release);
    }
    folder.rsplit_once("lib/modules/").map(|(_, release)| release)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::show as value;

    fn read(path: &str, bytes: &[u8]) -> Out {
        let mut out = Out::default();
        parse(Piece { path, bytes, whole: true }, &mut out);
        out
    }

    #[test]
    fn the_stable_release_that_a_distribution_names() {
        let base = |path, text: &str| value(&read(path, text.as_bytes()), "kernel.base");
        let debian = "Linux h 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01) x86_64 GNU/Linux\n";
        assert_eq!(base("commands/uname.txt", debian).as_deref(), Some("6.1.76-1"));
        let ubuntu = "Ubuntu 5.15.0-94.104-generic 5.15.136\n";
        assert_eq!(base("proc/version_signature", ubuntu).as_deref(), Some("5.15.136"));
        let other = "Linux h 5.15.0-94-generic #104-Ubuntu SMP Tue Jan 9 15:25:40 UTC 2024 x86_64 GNU/Linux\n";
        assert_eq!(base("commands/uname.txt", other), None);
    }

    #[test]
    fn uname_with_one_and_with_three_machine_words() {
        let out = read(
            "commands/uname.txt",
            b"Linux n1 5.15.0-84-generic #93-Ubuntu SMP Tue Sep 5 17:16:10 UTC 2023 x86_64 x86_64 x86_64 GNU/Linux\n",
        );
        assert_eq!(value(&out, "kernel.release").unwrap(), "5.15.0-84-generic");
        assert_eq!(value(&out, "kernel.arch").unwrap(), "x86_64");
        let out = read(
            "commands/uname.txt",
            b"Linux n2 6.1.21-v8+ #1642 SMP PREEMPT Mon aarch64 GNU/Linux\n",
        );
        assert_eq!(value(&out, "kernel.arch").unwrap(), "aarch64");
    }

    #[test]
    fn a_vmkernel_number_is_no_linux_version() {
        let out = read(
            "commands/uname.txt",
            b"VMkernel esx1 7.0.1 #1 SMP Release build-1 Oct 1 2020 x86_64 x86_64 x86_64 ESXi\n",
        );
        assert_eq!(value(&out, "kernel.release").unwrap(), "7.0.1");
        assert_eq!(value(&out, "kernel.version"), None);
        assert_eq!(value(&out, "kernel.arch").unwrap(), "x86_64");
    }

    #[test]
    fn command_line_keeps_quoted_blanks() {
        let out = read(
            "proc/cmdline",
            b"root=/dev/sda1 dyndbg=\"file kvm.c +p\" kvm-intel.nested=0 quiet\n",
        );
        let words = out.facts[0].value.clone();
        let Value::Words(words) = words else { panic!("words") };
        assert!(words.contains("dyndbg=\"file kvm.c +p\""));
        assert!(words.contains("kvm-intel.nested=0"));
        assert_eq!(words.len(), 4);
    }

    #[test]
    fn configuration_tells_built_in_from_module_from_absent() {
        let state =
            |text: &str| value(&read("boot/config-6.1.0-9", text.as_bytes()), "kernel.kvm_config");
        assert_eq!(
            state("CONFIG_KVM=y\nCONFIG_KVM_INTEL=m\n# CONFIG_KVM_AMD is not set\n").unwrap(),
            "module"
        );
        assert_eq!(state("CONFIG_KVM=y\nCONFIG_KVM_INTEL=y\n").unwrap(), "builtin");
        assert_eq!(state("CONFIG_KVM=y\n").unwrap(), "builtin");
        assert_eq!(
            state("CONFIG_KVM_GUEST=y\n# CONFIG_VIRTUALIZATION is not set\n").unwrap(),
            "absent"
        );
        assert_eq!(state("# CONFIG_KVM is not set\n").unwrap(), "absent");
        let no_vendor =
            "CONFIG_KVM=m\n# CONFIG_KVM_INTEL is not set\n# CONFIG_KVM_AMD is not set\n";
        assert_eq!(state(no_vendor).unwrap(), "absent");
        assert_eq!(state("CONFIG_SMP=y\nCONFIG_KVM_GUEST=y\n"), None, "an extract proves nothing");
    }

    #[test]
    fn a_kernel_may_be_built_without_the_microcode_loader() {
        let text = b"CONFIG_X86_MCE=y\n# CONFIG_MICROCODE is not set\nCONFIG_KVM=m\n";
        let out = read("boot/config-6.1.0-9", text);
        assert_eq!(value(&out, "kernel.microcode_config").unwrap(), "CONFIG_MICROCODE=n");
        let text = b"CONFIG_MICROCODE=y\nCONFIG_MICROCODE_INTEL=y\n";
        let out = read("boot/config-6.1.0-9", text);
        let expected = "CONFIG_MICROCODE=y CONFIG_MICROCODE_INTEL=y";
        assert_eq!(value(&out, "kernel.microcode_config").unwrap(), expected);
    }

    #[test]
    fn the_path_names_the_release() {
        assert_eq!(release_in("boot/config-5.4.0-1-x"), Some("5.4.0-1-x"));
        assert_eq!(release_in("usr/lib/modules/6.9.1/config"), Some("6.9.1"));
        assert_eq!(release_in("proc/config"), None);
    }

    #[test]
    fn packed_configuration_is_unpacked_and_a_broken_one_reported() {
        use std::io::Write;
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"CONFIG_KVM=m\n").unwrap();
        let bytes = gz.finish().unwrap();
        assert_eq!(value(&read("proc/config.gz", &bytes), "kernel.kvm_config").unwrap(), "module");
        let broken = read("proc/config.gz", &bytes[..12]);
        assert!(broken.facts.is_empty());
        assert_eq!(broken.problems.len(), 1);
    }
}
