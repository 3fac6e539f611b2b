//! Tests of the comparison of microcode.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Event, Layer, Writer};

/// A machine: facts by name and instance, and lines of the kernel's log.
#[derive(Default)]
struct Machine {
    facts: Vec<(&'static str, &'static str, Value)>,
    lines: Vec<Vec<(&'static str, &'static str)>>,
}

impl Machine {
    /// Bare metal with this family, model and stepping.
    fn metal(vendor: &str, family: i64, model: i64, stepping: i64, revision: i64) -> Self {
        Self::default()
            .with("platform.is_guest", Value::Bool(false))
            .with("virt.vendor", Value::text(vendor))
            .with("cpu.family", Value::Int(family))
            .with("cpu.model", Value::Int(model))
            .with("cpu.stepping", Value::Int(stepping))
            .with("microcode.revision", Value::Int(revision))
    }

    /// Xeon E3 v5.
    fn skylake(revision: i64) -> Self {
        Self::metal("intel", 6, 0x5e, 3, revision).with("microcode.sysfs_platforms", Value::Int(2))
    }

    /// EPYC 7003, stepping B1.
    fn milan(revision: i64) -> Self {
        Self::metal("amd", 0x19, 1, 1, revision)
    }

    /// Xeon of the 4th generation, stepping 8: two platforms number their revisions differently.
    fn sapphire_rapids(revision: i64) -> Self {
        Self::metal("intel", 6, 0x8f, 8, revision)
    }

    fn with(self, name: &'static str, value: Value) -> Self {
        self.with_of(name, "", value)
    }

    fn with_of(mut self, name: &'static str, instance: &'static str, value: Value) -> Self {
        self.facts.push((name, instance, value));
        self
    }

    fn says(mut self, line: &[(&'static str, &'static str)]) -> Self {
        self.lines.push(line.to_vec());
        self
    }

    /// An installed update.
    fn installed(self, update: &'static str, date: &str) -> Self {
        self.with_of("microcode.installed", update, Value::text(date))
    }

    fn facts(self) -> BTreeMap<&'static str, String> {
        let mut host = Host::new("", Layer::Unknown, "x");
        for (name, instance, value) in self.facts {
            let instance = (!instance.is_empty()).then(|| instance.to_owned());
            host.facts.add(Fact { name, instance, value, origin: Origin::default() });
        }
        for line in self.lines {
            let fields = line.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let kind = if line[0].1 == "version" { "boot" } else { "microcode" };
            host.events.add(Event {
                kind: kind.to_owned(),
                origin: Origin::default(),
                stamp: None,
                writer: Writer::Kernel,
                fields,
                key: None,
            });
        }
        run(&host).into_iter().map(|f| (f.name, f.value.to_string())).collect()
    }
}

#[track_caller]
fn is(facts: &BTreeMap<&'static str, String>, name: &str, expected: &str) {
    assert_eq!(facts.get(name).map(String::as_str), Some(expected), "{name} of {facts:?}");
}

#[track_caller]
fn verdict(machine: Machine, expected: &str) {
    is(&machine.facts(), "microcode.verdict", expected);
}

#[test]
fn an_old_revision_is_below_the_newest_that_was_released() {
    let facts = Machine::skylake(0xd6).facts();
    is(&facts, "microcode.signature", "000506e3");
    is(&facts, "microcode.running", "0xd6");
    is(&facts, "microcode.baseline_revision", "0xf0");
    is(&facts, "microcode.baseline_date", "2021-11-12");
    is(&facts, "microcode.below_baseline", "true");
    assert!(facts["microcode.baseline_source"].contains("Intel"));
    verdict(Machine::skylake(0xf0), "current");
    verdict(Machine::skylake(0xf1), "above");
}

#[test]
fn nothing_is_judged_inside_a_guest_or_where_nobody_tells() {
    let guest = Machine { facts: Vec::new(), ..Machine::default() }
        .with("platform.is_guest", Value::Bool(true))
        .with("virt.vendor", Value::text("intel"))
        .with("cpu.family", Value::Int(6))
        .with("cpu.model", Value::Int(0x5e))
        .with("cpu.stepping", Value::Int(3))
        .with("microcode.revision", Value::Int(0xd6))
        .with_of("cpu.vulnerability", "mds", Value::text("Vulnerable: no microcode"));
    let facts = guest.facts();
    is(&facts, "microcode.verdict", "guest");
    for name in ["microcode.below_baseline", "microcode.unpatched", "microcode.baseline_revision"] {
        assert_eq!(facts.get(name), None);
    }
    let mut unknown = Machine::skylake(0xd6);
    unknown.facts.retain(|(name, ..)| *name != "platform.is_guest");
    verdict(unknown, "platform-unknown");
}

#[test]
fn made_up_revisions_and_those_for_development() {
    for revision in [0, 1, 0xffff_ffff] {
        verdict(Machine::skylake(revision), "synthetic");
    }
    verdict(Machine::milan(0x0100_0065), "synthetic");
    verdict(Machine::skylake(0x8000_0012), "debug");
}

#[test]
fn a_signature_of_several_platforms_needs_the_platform() {
    let table = baseline::intel().rows.iter().filter(|r| r.signature == 0x0008_06f8);
    let of: BTreeMap<u32, i64> = table.map(|r| (r.platforms, i64::from(r.revision))).collect();
    let (server, hbm) = (of[&0x87], of[&0x10]);
    assert!(server < hbm, "the numbers of one platform say nothing about the other");
    verdict(Machine::sapphire_rapids(server), "ambiguous");
    let on = |platform, revision| {
        Machine::sapphire_rapids(revision).with("microcode.sysfs_platforms", Value::Int(platform))
    };
    verdict(on(0x01, server), "current");
    verdict(on(0x10, server), "below");
    verdict(on(0x10, hbm), "current");
    verdict(on(0x40, hbm), "unlisted");
}

#[test]
fn the_kernels_list_does_not_know_platforms() {
    let old = |machine: Machine| {
        machine.with_of("cpu.vulnerability", "old_microcode", Value::text("Vulnerable")).facts()
    };
    is(&old(Machine::skylake(0xd6)), "microcode.kernel_says_old", "true");
    let shared = old(Machine::sapphire_rapids(0x2b00_0639));
    assert_eq!(shared.get("microcode.kernel_says_old"), None);
    let log = Machine::skylake(0xd6).says(&[("what", "old")]).facts();
    is(&log, "microcode.kernel_says_old", "true");
    let quiet = Machine::skylake(0xd6).says(&[("what", "version")]);
    is(&quiet.facts(), "microcode.kernel_says_old", "false");
    let silent = Machine::skylake(0xd6);
    let silent = silent.with_of("cpu.vulnerability", "old_microcode", Value::text("Not affected"));
    is(&silent.facts(), "microcode.kernel_says_old", "false");
}

#[test]
fn without_the_platform_agreeing_revisions_are_enough() {
    let mut machine = Machine::skylake(0xd6);
    machine.facts.retain(|(name, ..)| *name != "microcode.sysfs_platforms");
    verdict(machine, "below");
}

#[test]
fn all_is_read_from_the_kernels_log_where_nothing_else_was_collected() {
    let line =
        [("what", "current"), ("signature", "506e3"), ("platforms", "2"), ("revision", "d6")];
    let machine = Machine::default().with("platform.is_guest", Value::Bool(false)).says(&line);
    let facts = machine.facts();
    is(&facts, "microcode.signature", "000506e3");
    is(&facts, "microcode.platforms", "0x2");
    is(&facts, "microcode.verdict", "below");
}

#[test]
fn old_firmware_cannot_take_the_newest_patch_of_amd() {
    let facts = Machine::milan(0x0a00_11d5).facts();
    is(&facts, "microcode.baseline_revision", "0xa0011de");
    is(&facts, "microcode.below_baseline", "true");
    is(&facts, "microcode.needs_firmware", "true");
    let older = Machine::milan(0x0a00_1173).facts();
    is(&older, "microcode.needs_firmware", "false");
    let ready = Machine::milan(0x0a00_11d9).facts();
    is(&ready, "microcode.below_baseline", "true");
    is(&ready, "microcode.needs_firmware", "false");
    verdict(Machine::milan(0x0a00_11de), "current");
}

#[test]
fn the_installed_update_must_fit_signature_platform_and_firmware() {
    let facts = Machine::skylake(0xd6)
        .installed("000506e3/36/000000f0", "2021-11-12")
        .installed("000506e3/01/000000ff", "2022-01-01")
        .installed("000806ec/94/00000100", "2024-11-12")
        .facts();
    is(&facts, "microcode.installed_revision", "0xf0");
    is(&facts, "microcode.installed_date", "2021-11-12");
    is(&facts, "microcode.installed_newer", "true");
    let same = Machine::skylake(0xf0).installed("000506e3/36/000000f0", "2021-11-12").facts();
    is(&same, "microcode.installed_newer", "false");
    let other = Machine::skylake(0xd6).installed("000806ec/94/00000100", "2024-11-12").facts();
    assert_eq!(other.get("microcode.installed_newer"), None);

    let bound = |running| {
        Machine::milan(running)
            .installed("00a00f11//0a0011d5", "2024-02-23")
            .installed("00a00f11//0a0011de", "2025-04-18")
            .with_of("microcode.installed_minimum", "00a00f11//0a0011de", Value::Int(0x0a00_11d9))
            .facts()
    };
    is(&bound(0x0a00_11d5), "microcode.installed_newer", "false");
    is(&bound(0x0a00_11d9), "microcode.installed_revision", "0xa0011de");
}

#[test]
fn a_vulnerability_without_a_released_fix_is_no_old_microcode() {
    let state = "Vulnerable: Clear CPU buffers attempted, no microcode; SMT vulnerable";
    let facts = |revision| {
        Machine::skylake(revision)
            .with_of("cpu.vulnerability", "mmio_stale_data", Value::text(state))
            .with_of("cpu.vulnerability", "l1tf", Value::text("Mitigation: PTE Inversion"))
            .facts()
    };
    is(&facts(0xd6), "microcode.unpatched", "mmio_stale_data");
    is(&facts(0xd6), "microcode.fix_released", "true");
    is(&facts(0xf0), "microcode.fix_released", "false");
    let log = Machine::skylake(0xd6).says(&[("what", "version")]);
    is(&log.facts(), "microcode.fix_released", "false");
    assert_eq!(Machine::skylake(0xd6).facts().get("microcode.fix_released"), None);
}

#[test]
fn whether_the_kernel_could_load_and_did() {
    let version = [("what", "version")];
    let early = [("what", "early"), ("revision", "d6"), ("from", "ca")];
    let facts = Machine::skylake(0xd6).says(&version).says(&early).facts();
    is(&facts, "microcode.loaded_early", "true");
    is(&facts, "microcode.before_loading", "0xca");
    let current = [("what", "current"), ("revision", "d6")];
    let facts = Machine::skylake(0xd6).says(&version).says(&current).facts();
    is(&facts, "microcode.loaded_early", "false");
    let facts = Machine::skylake(0xd6).says(&current).facts();
    assert_eq!(facts.get("microcode.loaded_early"), None, "the log does not go back to the boot");

    let facts = Machine::skylake(0xd6)
        .with("kernel.release", Value::text("6.1.0-x"))
        .with_of("kernel.microcode_config", "5.4.0-y", Value::words(["CONFIG_MICROCODE=y"]))
        .with_of("kernel.microcode_config", "6.1.0-x", Value::words(["CONFIG_MICROCODE=n"]))
        .with("kernel.cmdline", Value::words(["ro", "microcode=force_minrev,dis_ucode_ldr"]))
        .facts();
    is(&facts, "microcode.loader_absent", "true");
    is(&facts, "microcode.loader_disabled", "true");
    let one_vendor = Value::words(["CONFIG_MICROCODE=y", "CONFIG_MICROCODE_AMD=n"]);
    let facts = Machine::skylake(0xd6).with("kernel.microcode_config", one_vendor).facts();
    is(&facts, "microcode.loader_absent", "false");
}

#[test]
fn packages_tell_absence_only_as_a_whole_list() {
    let facts = |complete| {
        Machine::skylake(0xd6)
            .with("packages.installed", Value::words(["dpkg", "amd64-microcode"]))
            .with("packages.complete", Value::Bool(complete))
            .facts()
    };
    is(&facts(true), "microcode.package_installed", "false");
    assert_eq!(facts(false).get("microcode.package_installed"), None);
}

#[test]
fn a_package_much_younger_than_the_baseline_has_it() {
    use crate::model::Version;
    let newer = |machine: Machine, package, version: &str| {
        let version = Value::Version(Version::parse(version).unwrap());
        let facts = machine.with_of("packages.version", package, version).facts();
        facts.get("microcode.package_newer").cloned()
    };
    // The baseline of this processor is of 2021-11-12.
    let skylake = || Machine::skylake(0xd6);
    for (package, version) in [
        ("intel-microcode", "3.20230808.1~deb12u1"),
        ("microcode_ctl", "20230808-1.el9"),
        ("intel-ucode", "20230808-1"),
    ] {
        assert_eq!(newer(skylake(), package, version).as_deref(), Some("true"), "{package}");
    }
    assert_eq!(newer(skylake(), "intel-microcode", "3.20220207.1"), None, "released before");
    assert_eq!(newer(skylake(), "microcode_ctl", "2.1-73.el7"), None);
    assert_eq!(newer(skylake(), "amd64-microcode", "3.20250311.1"), None);
    let no = Some("false");
    assert_eq!(newer(Machine::skylake(0xf0), "intel-ucode", "20230808-1").as_deref(), no);
    let bound = newer(Machine::milan(0x0a00_11d5), "amd64-microcode", "3.20991231.1");
    assert_eq!(bound.as_deref(), no, "firmware must come first");
}

/// Runs of a machine, the newest first, and when the package changed.
fn crashes(runs: &[&'static str], change: &'static str) -> BTreeMap<&'static str, String> {
    let mut machine = Machine::skylake(0xd6);
    for (index, run) in runs.iter().enumerate() {
        let (start, ended) = run.rsplit_once(' ').unwrap();
        let instance = format!("{index:04} {start}").leak();
        machine = machine.with_of("boots.run", instance, Value::text(ended));
    }
    let package = Value::text("intel-microcode 3.20200609");
    machine.with_of("microcode.package_change", change, package).facts()
}

#[test]
fn crashes_that_begin_with_a_change_have_a_suspect() {
    let runs = [
        "06-12 09:00 running",
        "06-11 08:00 crash",
        "06-10 18:00 crash",
        "06-10 07:00 shutdown",
        "06-09 07:00 shutdown",
    ];
    let facts = crashes(&runs, "2020-06-10 07:04:52");
    is(&facts, "microcode.crashes_after_change", "2");
    assert!(facts["microcode.suspect_change"].contains("2020-06-10 07:04:52"));
    let later = crashes(&runs, "2020-06-11 07:04:52");
    is(&later, "microcode.crashes_began_with_change", "false");
    assert_eq!(later.get("microcode.suspect_change"), None, "it crashed before");
    let first = crashes(&runs[..4], "2020-06-10 07:04:52");
    assert_eq!(first.get("microcode.suspect_change"), None, "one run before says little");
}

#[test]
fn years_are_counted_back_from_the_newest_boot() {
    let runs = [
        "01-05 09:00 running",
        "01-03 08:00 crash",
        "12-30 18:00 crash",
        "12-20 07:00 shutdown",
        "12-10 07:00 shutdown",
    ];
    is(&crashes(&runs, "2020-12-25 07:04:52"), "microcode.crashes_after_change", "2");
    let dated = [
        "2021-01-05 09:00 running",
        "2021-01-03 08:00 crash",
        "2020-12-30 18:00 crash",
        "2020-12-20 07:00 shutdown",
        "2020-12-10 07:00 shutdown",
    ];
    is(&crashes(&dated, "2020-12-25 07:04:52"), "microcode.crashes_after_change", "2");
    let another = crashes(&dated, "2019-12-25 07:04:52");
    assert_eq!(another.get("microcode.suspect_change"), None, "that was a year before");
}

#[test]
fn no_processor_no_facts() {
    assert!(Machine::default().facts().is_empty());
    let arm = Machine::metal("arm", 8, 0, 0, 0).facts();
    assert!(arm.is_empty());
    verdict(Machine::metal("intel", 6, 0x5e, 3, -1), "revision-unknown");
}
