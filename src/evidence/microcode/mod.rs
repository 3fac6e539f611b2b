//! Microcode: the update files that are installed, the revision and platform that run, and what
//! was done to them.
//!
//! | file | what it reads |
//! |---|---|
//! | [`container`] | an update, whoever made it |
//! | `intel.rs`, `amd.rs` | the vendors' containers |
//! | [`listing`] | `iucode_tool -l` |
//! | `history.rs` | package managers' logs: when microcode packages changed |
//! | [`kernel_log`] | the kernel's own words about microcode |
//!
//! sysfs: Documentation/ABI/testing/sysfs-devices-system-cpu and
//! arch/x86/kernel/cpu/microcode/core.c. Only the files that fit the processor are collected from
//! a live host: all of Intel's have some 20 MB. The revision per processor of `/proc/cpuinfo` is
//! read in `cpuinfo.rs`, versions of packages in `packages.rs`.
//!
//! Not parsed: the archive in front of an initrd, from which the updates are loaded early, other
//! than through `iucode_tool`.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

mod amd;
pub mod container;
mod history;
mod intel;
pub mod kernel_log;
pub mod listing;

use container::Update;

/// Installed updates, running revision, and the vulnerabilities that wait for an update.
pub const SLICE: Slice = Slice { name: "microcode", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("lib/firmware/intel-ucode/{cpu}*"),
    Want::file("lib/firmware/intel-ucode-with-caveats/{cpu}*"),
    Want::file("usr/share/microcode_ctl/ucode_with_caveats/*/intel-ucode/{cpu}*"),
    Want::file("lib/firmware/amd-ucode/microcode_amd_fam{family}h.bin*"),
    Want::given("**/intel-ucode/*"),
    Want::given("**/intel-ucode-with-caveats/*"),
    Want::given("**/amd-ucode/*.bin"),
    Want::file("sys/devices/system/cpu/cpu*/microcode/version"),
    Want::file("sys/devices/system/cpu/cpu*/microcode/processor_flags"),
    Want::file("sys/devices/system/cpu/vulnerabilities/*"),
    Want::output("lscpu"),
    // `-S` selects what fits the running processor; Debian and Ubuntu install the tool.
    Want::command("iucode_tool", &["iucode_tool", "-S", "-l", "/lib/firmware/intel-ucode"], &[]),
    Want::output("iucode_tool-*"),
    Want::output("iucode-tool*"),
    Want::file("var/log/dpkg.log"),
    Want::given("var/log/dpkg.log.*"),
    // Says the same as dpkg.log, with command lines and names of users.
    Want::given("var/log/apt/history.log*"),
    Want::file("var/log/pacman.log"),
    Want::file("var/log/zypp/history"),
    Want::file("var/log/dnf.rpm.log"),
    Want::given("var/log/dnf.rpm.log.*"),
    Want::file("var/log/yum.log"),
];

const LIST: &str = "iucode_tool -l /lib/firmware/intel-ucode";
const HISTORY: &str = "grep -hE 'microcode|ucode' /var/log/dpkg.log* /var/log/pacman.log \
                       /var/log/zypp/history /var/log/dnf.rpm.log* /var/log/yum.log";

const FACTS: &[FactDef] = &[
    FactDef::per(
        "microcode.installed",
        Kind::Text,
        "update",
        "Date of an update in an installed file or a listing; the update is SIGNATURE/PLATFORMS/REVISION, hexadecimal",
        LIST,
    ),
    FactDef::per(
        "microcode.installed_minimum",
        Kind::Int,
        "update",
        "Lowest revision on which a processor of AMD accepts that update",
        "less /usr/lib/firmware/amd-ucode/README",
    ),
    FactDef::new(
        "microcode.sysfs_revision",
        Kind::Int,
        "Microcode revision of a processor; several where they differ",
        "grep . /sys/devices/system/cpu/cpu*/microcode/version",
    ),
    FactDef::new(
        "microcode.sysfs_platforms",
        Kind::Int,
        "Intel's platform of the processor, as a mask with one bit set",
        "cat /sys/devices/system/cpu/cpu0/microcode/processor_flags",
    ),
    FactDef::per(
        "cpu.vulnerability",
        Kind::Text,
        "vulnerability",
        "What the kernel says about a vulnerability of the processor, under its name in sysfs",
        "grep . /sys/devices/system/cpu/vulnerabilities/*",
    ),
    FactDef::per(
        "microcode.package_change",
        Kind::Text,
        "time",
        "Package that brought other microcode at that local time, with its new version",
        HISTORY,
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let path = piece.path;
    if path.contains("intel-ucode") || path.contains("amd-ucode") {
        of_container(piece, out);
    } else if path == "commands/lscpu.txt" {
        of_lscpu(piece, out);
    } else if path.starts_with("commands/") {
        listing::parse(piece, out);
    } else if path.starts_with("var/log/") {
        history::parse(piece, out);
    } else if let Some((_, name)) = path.split_once("/vulnerabilities/") {
        of_vulnerability(piece, name, out);
    } else {
        of_sysfs(piece, out);
    }
}

/// The instance that stands for an update.
fn instance(update: &Update) -> String {
    let platforms = update.platforms.map(|mask| format!("{mask:02x}")).unwrap_or_default();
    format!("{:08x}/{platforms}/{:08x}", update.signature, update.revision)
}

fn add(update: &Update, origin: &Origin, out: &mut Out) {
    let instance = instance(update);
    let date = Value::text(update.date.as_str());
    out.fact_of("microcode.installed", &instance, date, origin.clone());
    if update.platforms.is_none() && update.minimum > 0 {
        let minimum = Value::Int(i64::from(update.minimum));
        out.fact_of("microcode.installed_minimum", &instance, minimum, origin.clone());
    }
}

fn of_container(piece: Piece<'_>, out: &mut Out) {
    let name = piece.file_name();
    let Some(contents) = container::read(piece.bytes) else {
        // Licences and notes lie beside the updates.
        if named_like_a_container(name) {
            out.problem(piece.path, None, "not a microcode container");
        }
        return;
    };
    for update in &contents.updates {
        add(update, &Origin::new(piece.path, None, &update.to_string()), out);
    }
    for (at, what) in contents.faults {
        out.problem(piece.path, None, format!("{what} (byte {at})"));
    }
}

/// `06-5e-03`, `06-5e-03.initramfs`, `microcode_amd_fam19h.bin`.
fn named_like_a_container(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    let parts: Vec<&str> = stem.split('-').collect();
    let hex = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
    name.starts_with("microcode_amd") || parts.len() == 3 && parts.iter().all(hex)
}

/// `0xf0` and a line end.
fn of_sysfs(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || !(piece.whole || text.contains('\n')) {
        return;
    }
    let name = match piece.file_name() {
        "version" => "microcode.sysfs_revision",
        _ => "microcode.sysfs_platforms",
    };
    let origin = Origin::new(piece.path, Some(1), line);
    match number(line) {
        // AMD has no platforms.
        Some(0) => {}
        Some(number) => out.fact(name, Value::Int(i64::from(number)), origin),
        None => out.problem(piece.path, Some(1), "not a hexadecimal number"),
    }
}

/// A hexadecimal number of 32 bits, with or without `0x`.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
}

fn of_vulnerability(piece: Piece<'_>, name: &str, out: &mut Out) {
    let text = piece.text();
    let line = text.lines().next().unwrap_or_default().trim();
    if !line.is_empty() && piece.whole {
        let origin = Origin::new(piece.path, Some(1), line);
        out.fact_of("cpu.vulnerability", name, Value::text(line), origin);
    }
}

/// `Vulnerability Gather data sampling: ...`, from util-linux 2.37 on in a section of its own and
/// without the first word.
fn of_lscpu(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut section = false;
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((label, value)) = line.split_once(':') else { continue };
        let (label, value) = (label.trim(), value.trim());
        let named = label.strip_prefix("Vulnerability ");
        if named.is_none() && !line.starts_with(' ') {
            section = label == "Vulnerabilities";
            continue;
        }
        let known = ["Not affected", "Vulnerable", "Mitigation", "KVM: ", "Unknown"];
        if (named.is_some() || section) && known.iter().any(|k| value.starts_with(k)) {
            let name = named.unwrap_or(label).to_ascii_lowercase().replace(' ', "_");
            let origin = Origin::new(piece.path, Some(number), line);
            out.fact_of("cpu.vulnerability", &name, Value::text(value), origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn read(path: &str, bytes: &[u8]) -> Out {
        let mut out = Out::default();
        parse(Piece { path, bytes, whole: true }, &mut out);
        out
    }

    fn facts(out: &Out) -> Vec<(&str, &str, String)> {
        let instance = |f: &'_ crate::model::Fact| f.instance.clone().unwrap_or_default();
        let all =
            out.facts.iter().map(|f| (f.name, instance(f).leak() as &str, f.value.to_string()));
        all.collect()
    }

    #[test]
    fn updates_of_intel_by_signature_platforms_and_revision() {
        let mut file = intel::tests::update(0xf4a, 0x5d, 2, 0x0610_2005);
        file.extend(intel::tests::update(0xf4a, 0x5c, 4, 0x1214_2005));
        let out = read("usr/lib/firmware/intel-ucode/0f-04-0a", &file);
        assert_eq!(
            facts(&out),
            [
                ("microcode.installed", "00000f4a/5d/00000002", "2005-06-10".to_owned()),
                ("microcode.installed", "00000f4a/5c/00000004", "2005-12-14".to_owned()),
            ]
        );
    }

    #[test]
    fn patches_of_amd_with_what_they_ask_of_the_firmware() {
        let file = amd::tests::milan(0x0a00_11de, 0x0a00_11d9);
        let out = read("lib/firmware/amd-ucode/microcode_amd_fam19h.bin", &file);
        let instance = "00a00f11//0a0011de";
        assert_eq!(
            facts(&out),
            [
                ("microcode.installed", instance, "2025-04-18".to_owned()),
                ("microcode.installed_minimum", instance, 0x0a00_11d9.to_string()),
            ]
        );
    }

    #[test]
    fn a_broken_container_is_told_from_another_file() {
        let broken = read("lib/firmware/intel-ucode/06-5e-03.initramfs", b"<html>not found");
        assert_eq!(broken.problems.len(), 1);
        let other = read("lib/firmware/intel-ucode/LICENSE", b"Copyright");
        assert!(other.problems.is_empty() && other.facts.is_empty());
        let mut cut = intel::tests::update(0x506e3, 0x36, 0xf0, 0x1112_2021);
        cut.truncate(60);
        let cut = read("lib/firmware/intel-ucode/06-5e-03", &cut);
        assert_eq!((cut.facts.len(), cut.problems.len()), (0, 1));
    }

    #[test]
    fn revision_and_platform_of_a_processor() {
        let folder = "sys/devices/system/cpu/cpu3/microcode";
        let show = |file: &str, text: &str, name: &str| {
            testing::show(&read(&format!("{folder}/{file}"), text.as_bytes()), name)
        };
        assert_eq!(show("version", "0xf0\n", "microcode.sysfs_revision").unwrap(), "240");
        assert_eq!(show("processor_flags", "0x2\n", "microcode.sysfs_platforms").unwrap(), "2");
        assert_eq!(show("processor_flags", "0x0\n", "microcode.sysfs_platforms"), None);
        let mut cut = Out::default();
        let path = "sys/devices/system/cpu/cpu0/microcode/version";
        parse(Piece { path, bytes: b"0x2b00", whole: false }, &mut cut);
        assert!(cut.facts.is_empty(), "half a number is none");
        assert_eq!(read(path, b"n/a\n").problems.len(), 1);
    }

    #[test]
    fn vulnerabilities_of_sysfs_and_of_lscpu_have_the_same_names() {
        let sysfs = read(
            "sys/devices/system/cpu/vulnerabilities/gather_data_sampling",
            b"Vulnerable: No microcode\n",
        );
        let old = "Model name: X\nVulnerability Gather data sampling: Vulnerable: No microcode\n";
        let new = "Model name: X\nVulnerabilities:\n  Gather data sampling:   Vulnerable: No microcode\n\
                   NUMA:\n  NUMA node0 CPU(s): 0-3\n";
        for text in [old, new] {
            assert_eq!(facts(&read("commands/lscpu.txt", text.as_bytes())), facts(&sysfs));
        }
        assert_eq!(sysfs.facts.len(), 1);
    }
}
