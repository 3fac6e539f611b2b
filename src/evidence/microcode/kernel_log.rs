//! What the kernel's log says about microcode, in the words of all releases.
//!
//! arch/x86/kernel/cpu/microcode/{core,intel,amd}.c, arch/x86/kernel/cpu/mce/core.c (a machine
//! check names signature and revision), arch/x86/kernel/smpboot.c (family, model and stepping),
//! arch/x86/kernel/cpu/bugs.c (vulnerabilities).
//!
//! | `what` | lines |
//! |---|---|
//! | early | `microcode updated early to revision 0xd6, date = 2020-04-27` (to 6.4, Intel), `updated early: 0xca -> 0xd6, date = ...` (6.5, 6.6), `updated early to new patch_level=0x0830107a` (to 6.6, AMD) |
//! | current | `Current revision: 0x000000d6` (6.7 on), `sig=0x506e3, pf=0x2, revision=0xd6`, `CPU0: patch_level=0x0830107a` |
//! | previous | `Updated early from: 0x000000ca` (6.7 on): loaded early, over this one |
//! | late | `updated to revision 0xd6, date = ...`, `Reload completed, microcode revision: 0xd6` |
//! | failed | `CPU0 update to revision 0xd6 failed`, `update failed for patch_level=0x0830107a` |
//! | refused | `No sha256 digest for patch ID: 0xa0011de found`, `Patch 0xa0011de SHA256 digest mismatch!` |
//! | mce | `PROCESSOR 0:906ec TIME 1700000000 SOCKET 0 APIC 8 microcode ca` |
//! | cpu | `smpboot: CPU0: NAME (family: 0x6, model: 0x5e, stepping: 0x3)` |
//! | unpatched | `MDS: Vulnerable: Clear CPU buffers attempted, no microcode` |
//! | old | `x86/CPU: Running old microcode` (6.16 on) |

use std::collections::BTreeMap;

use super::number;
use crate::model::{Record, RecordParser, Writer};

/// Lines of the microcode loader, and others that name a revision.
pub const MICROCODE: RecordParser = RecordParser {
    kind: "microcode",
    doc: "What the kernel says about microcode; `what` is early, current, previous, late, failed, \
          refused, mce, cpu, unpatched or old; numbers are hexadecimal without 0x \
          (arch/x86/kernel/cpu/microcode/)",
    fields: &["what", "revision", "from", "date", "signature", "platforms", "name"],
    literals: &["microcode", "Error]: PROCESSOR ", "sha256 digest", "patch_level=", ", stepping: "],
    writers: &[Writer::Kernel],
    parse,
};

type Fields = BTreeMap<String, String>;

fn parse(message: &str) -> Option<Record> {
    let fields = of_loader(message)
        .or_else(|| of_machine_check(message))
        .or_else(|| of_processor(message))
        .or_else(|| of_vulnerability(message))
        .or_else(|| message.contains("Running old microcode").then(|| fields("old", &[])))?;
    // A machine check is an event each time; all else is said again by journal and dmesg.
    let again = fields.get("what").is_none_or(|w| w != "mce");
    Some(Record { fields, key: again.then(|| message.trim().to_owned()) })
}

fn fields(what: &str, pairs: &[(&str, String)]) -> Fields {
    let named = [("what", what.to_owned())];
    let all = named.iter().chain(pairs).filter(|(_, v)| !v.is_empty());
    all.map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
}

/// The hexadecimal number after `label`, in its shortest form.
fn hex(message: &str, label: &str) -> Option<String> {
    let (_, rest) = message.split_once(label)?;
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("0x").unwrap_or(rest);
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    Some(format!("{:x}", number(rest.get(..end)?)?))
}

fn date(message: &str) -> String {
    let date = message.split_once("date = ").and_then(|(_, rest)| rest.get(..10));
    date.unwrap_or_default().to_owned()
}

/// Lines of the loader. Its prefix was left out by the first releases that loaded early.
fn of_loader(message: &str) -> Option<Fields> {
    let one = |what: &str, label: &str| {
        Some(fields(what, &[("revision", hex(message, label)?), ("date", date(message))]))
    };
    if message.contains("updated early to") || message.contains("updated early: ") {
        return one("early", "updated early to revision ")
            .or_else(|| one("early", "updated early to new patch_level="))
            .or_else(|| {
                let from = hex(message, "updated early: ")?;
                let revision = ("revision", hex(message, " -> ")?);
                Some(fields("early", &[revision, ("from", from), ("date", date(message))]))
            });
    }
    let ours = message.strip_prefix("microcode: ")?;
    if ours.starts_with("Current revision: ") {
        one("current", "revision: ")
    } else if ours.starts_with("Updated early from: ") {
        Some(fields("previous", &[("from", hex(ours, "from: ")?)]))
    } else if ours.contains("sig=0x") {
        let (signature, platforms) = (hex(ours, "sig=")?, hex(ours, "pf=")?);
        let revision = ("revision", hex(ours, "revision=")?);
        Some(fields("current", &[revision, ("signature", signature), ("platforms", platforms)]))
    } else if ours.contains("failed") {
        one("failed", "update to revision ").or_else(|| one("failed", "patch_level="))
    } else if ours.starts_with("No sha256 digest for ") {
        one("refused", "patch ID: ")
    } else if ours.contains("SHA256 digest mismatch") {
        one("refused", "Patch ")
    } else if ours.contains("pdated to revision ") {
        one("late", "pdated to revision ")
    } else if ours.starts_with("Reload completed, microcode revision: ") {
        let reloaded = ours.split(" -> ").last().unwrap_or(ours);
        let revision = hex(reloaded, "").or_else(|| hex(ours, "revision: "))?;
        Some(fields("late", &[("revision", revision)]))
    } else if ours.contains("new patch_level=") || ours.starts_with("reload patch_level=") {
        one("late", "patch_level=")
    } else {
        one("current", ": patch_level=")
    }
}

fn of_machine_check(message: &str) -> Option<Fields> {
    let (_, rest) = message.split_once("[Hardware Error]: PROCESSOR ")?;
    let (_, rest) = rest.split_once(':')?;
    let signature = hex(rest, "")?;
    let revision = hex(rest, " microcode ")?;
    Some(fields("mce", &[("signature", signature), ("revision", revision)]))
}

fn of_processor(message: &str) -> Option<Fields> {
    if !message.contains("CPU0: ") {
        return None;
    }
    let (_, rest) = message.rsplit_once('(')?;
    let part = |long: &str, short: &str| {
        let text = hex(rest, long).or_else(|| hex(rest, short))?;
        u32::from_str_radix(&text, 16).ok()
    };
    let (family, model) = (part("family: ", "fam: ")?, part("model: ", "model: ")?);
    let stepping = part("stepping: ", "stepping: ").filter(|s| *s <= 0xf)?;
    let signature = signature(family, model, stepping)?;
    Some(fields("cpu", &[("signature", format!("{signature:x}"))]))
}

/// The signature that encodes family, model and stepping: the way back of CPUID leaf 1.
fn signature(family: u32, model: u32, stepping: u32) -> Option<u32> {
    if family > 0xf + 0xff || model > 0xff || stepping > 0xf {
        return None;
    }
    let extended = family.saturating_sub(0xf);
    Some(extended << 20 | (model >> 4) << 16 | family.min(0xf) << 8 | (model & 0xf) << 4 | stepping)
}

/// `NAME: Vulnerable: ... no microcode`
fn of_vulnerability(message: &str) -> Option<Fields> {
    let (name, state) = message.split_once(": ")?;
    let lacking = state.starts_with("Vulnerable") && state.ends_with("o microcode");
    let name = name.to_ascii_lowercase().replace(' ', "_");
    lacking.then(|| fields("unpatched", &[("name", name)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &str) -> String {
        let Some(record) = parse(message) else { return "-".to_owned() };
        let what = record.fields.get("what").cloned().unwrap_or_default();
        let rest = record.fields.iter().filter(|(k, _)| *k != "what");
        rest.fold(what, |text, (k, v)| format!("{text} {k}={v}"))
    }

    #[test]
    fn the_words_of_all_releases() {
        for (message, expected) in [
            (
                "microcode: microcode updated early to revision 0xd6, date = 2020-04-27",
                "early date=2020-04-27 revision=d6",
            ),
            (
                "CPU0 microcode updated early to revision 0xa4, date = 2010-10-02",
                "early date=2010-10-02 revision=a4",
            ),
            (
                "microcode: updated early: 0xca -> 0xd6, date = 2020-04-27",
                "early date=2020-04-27 from=ca revision=d6",
            ),
            (
                "microcode: microcode updated early to new patch_level=0x0830107a",
                "early revision=830107a",
            ),
            ("microcode: Current revision: 0x000000d6", "current revision=d6"),
            ("microcode: Updated early from: 0x0a201016", "previous from=a201016"),
            (
                "microcode: CPU0 sig=0x506e3, pf=0x2, revision=0xd6",
                "current platforms=2 revision=d6 signature=506e3",
            ),
            ("microcode: CPU3: patch_level=0x0830107c", "current revision=830107c"),
            ("microcode: CPU0: new patch_level=0x010000db", "late revision=10000db"),
            (
                "microcode: updated to revision 0x2e, date = 2018-04-10",
                "late date=2018-04-10 revision=2e",
            ),
            ("microcode: Reload completed, microcode revision: 0x2e", "late revision=2e"),
            ("microcode: Reload completed, microcode revision: 0x2d -> 0x2e", "late revision=2e"),
            ("microcode: CPU2 update to revision 0xdc failed", "failed revision=dc"),
            (
                "microcode: CPU0: update failed for patch_level=0x0a001079",
                "failed revision=a001079",
            ),
            (
                "microcode: No sha256 digest for patch ID: 0xa0011de found",
                "refused revision=a0011de",
            ),
            ("microcode: Patch 0xa0011de SHA256 digest mismatch!", "refused revision=a0011de"),
            (
                "mce: [Hardware Error]: PROCESSOR 0:906ec TIME 1700000000 SOCKET 0 APIC 8 microcode ca",
                "mce revision=ca signature=906ec",
            ),
            (
                "smpboot: CPU0: Intel(R) Xeon(R) CPU E3 v5 @ 3.50GHz (family: 0x6, model: 0x5e, stepping: 0x3)",
                "cpu signature=506e3",
            ),
            (
                "smpboot: CPU0: AMD EPYC 7543 32-Core Processor (family: 0x19, model: 0x1, stepping: 0x1)",
                "cpu signature=a00f11",
            ),
            (
                "smpboot: CPU0: Intel(R) Core(TM) i7 CPU (fam: 06, model: 2a, stepping: 07)",
                "cpu signature=206a7",
            ),
            (
                "Register File Data Sampling: Vulnerable: No microcode",
                "unpatched name=register_file_data_sampling",
            ),
            ("MDS: Vulnerable: Clear CPU buffers attempted, no microcode", "unpatched name=mds"),
        ] {
            assert_eq!(shown(message), expected, "{message}");
        }
    }

    #[test]
    fn other_lines_are_no_records() {
        for message in [
            "microcode: Microcode Update Driver: v2.2.",
            "MDS: Mitigation: Clear CPU buffers",
            "microcode: Current revision: 0xzz",
            "microcode: Current revision: 0x1234567890",
            "smpboot: CPU0: X (family: 0xffffffff, model: 0x5e, stepping: 0x3)",
            "systemd: updated early to lunch",
            "microcode: ",
        ] {
            assert_eq!(shown(message), "-", "{message}");
        }
    }

    #[test]
    fn machine_checks_are_counted_each_the_rest_once() {
        let key = |message: &str| parse(message).and_then(|r| r.key);
        assert_eq!(
            key("mce: [Hardware Error]: PROCESSOR 0:906ec TIME 1 SOCKET 0 APIC 0 microcode ca"),
            None
        );
        assert!(key("microcode: Current revision: 0x000000d6").is_some());
    }
}
