//! Microcode: what runs, what is installed, and what the vendors have released.
//!
//! Judged on bare metal only. A hypervisor makes the revision up (KVM shows 0x1 and 0x1000065,
//! Hyper-V 0xffffffff) or hands one on that fits another signature; the kernel's own check of old
//! microcode gives up under a hypervisor too (arch/x86/kernel/cpu/common.c).
//!
//! An update of Intel fits a signature and a platform. Several platforms share a signature and
//! number their revisions differently, so without the platform there is a judgement only where all
//! of them agree. A patch of AMD fits family, model and stepping, and may ask for a lowest revision
//! under it, which only firmware can bring.

use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Origin, Value};

mod baseline;
mod crashes;
mod installed;
mod loader;
mod processor;

use baseline::Found;
use processor::Processor;

/// Microcode.
pub const ANALYZER: Analyzer = Analyzer { name: "microcode", facts: FACTS, run: Run::Host(run) };

const RUNNING: &str = "grep -m1 microcode /proc/cpuinfo";
const CHECK: &str = "nestdoctor microcode";

const FACTS: &[FactDef] = &[
    FactDef::new(
        "microcode.signature",
        Kind::Text,
        "processor signature, EAX of CPUID leaf 1, 8 hex digits",
        CHECK,
    ),
    FactDef::new(
        "microcode.platforms",
        Kind::Text,
        "Intel's platform of the processor as a mask, hexadecimal",
        "cat /sys/devices/system/cpu/cpu0/microcode/processor_flags",
    ),
    FactDef::new(
        "microcode.running",
        Kind::Text,
        "revision that runs, the lowest of all processors",
        RUNNING,
    ),
    FactDef::new(
        "microcode.verdict",
        Kind::Text,
        "below, current or above the baseline; or why there is no judgement: guest, platform-unknown, revision-unknown, synthetic, debug, unlisted, ambiguous",
        CHECK,
    ),
    FactDef::new(
        "microcode.baseline_revision",
        Kind::Text,
        "newest released revision that fits",
        CHECK,
    ),
    FactDef::new("microcode.baseline_date", Kind::Text, "date of that revision", CHECK),
    FactDef::new(
        "microcode.baseline_source",
        Kind::Text,
        "release that the baseline was made from",
        CHECK,
    ),
    FactDef::new(
        "microcode.below_baseline",
        Kind::Bool,
        "the running revision is older than the baseline",
        CHECK,
    ),
    FactDef::new(
        "microcode.needs_firmware",
        Kind::Bool,
        "the newer revision of AMD can only be loaded after a firmware update",
        CHECK,
    ),
    FactDef::new(
        "microcode.installed_revision",
        Kind::Text,
        "newest revision in the installed files that fits and can be loaded",
        "iucode_tool -S -l /lib/firmware/intel-ucode",
    ),
    FactDef::new(
        "microcode.installed_date",
        Kind::Text,
        "date of that revision",
        "iucode_tool -S -l /lib/firmware/intel-ucode",
    ),
    FactDef::new(
        "microcode.installed_newer",
        Kind::Bool,
        "the installed revision is newer than what runs",
        CHECK,
    ),
    FactDef::new(
        "microcode.differs_across_cores",
        Kind::Bool,
        "not all processors run the same revision",
        "grep microcode /proc/cpuinfo | sort | uniq -c",
    ),
    FactDef::new(
        "microcode.loaded_early",
        Kind::Bool,
        "the kernel loaded an update at boot",
        "dmesg | grep microcode",
    ),
    FactDef::new(
        "microcode.before_loading",
        Kind::Text,
        "revision that the firmware had brought, before the kernel loaded its own",
        "dmesg | grep microcode",
    ),
    FactDef::new(
        "microcode.loader_disabled",
        Kind::Bool,
        "dis_ucode_ldr is on the command line",
        "cat /proc/cmdline",
    ),
    FactDef::new(
        "microcode.loader_absent",
        Kind::Bool,
        "the running kernel is built without the loader for this vendor",
        "grep MICROCODE /boot/config-$(uname -r)",
    ),
    FactDef::new(
        "microcode.package_installed",
        Kind::Bool,
        "a package with microcode for this vendor is installed",
        "dpkg -l; rpm -qa; pacman -Q",
    ),
    FactDef::new(
        "microcode.package_newer",
        Kind::Bool,
        "the date in the version of the installed package is a year or more after that of the baseline, so the package has it, and what runs is older; no where nothing newer can be loaded",
        "dpkg -l; rpm -qa; pacman -Q",
    ),
    FactDef::new(
        "microcode.unpatched",
        Kind::Words,
        "vulnerabilities for which the kernel misses microcode, on bare metal",
        "grep -ri 'no microcode' /sys/devices/system/cpu/vulnerabilities",
    ),
    FactDef::new(
        "microcode.fix_released",
        Kind::Bool,
        "the kernel misses microcode for a vulnerability, and a newer revision was released",
        CHECK,
    ),
    FactDef::new(
        "microcode.kernel_says_old",
        Kind::Bool,
        "the kernel (6.16 on) finds the revision older than its own list, which goes by family, model and stepping alone; absent where that does not suffice",
        "cat /sys/devices/system/cpu/vulnerabilities/old_microcode",
    ),
    FactDef::new(
        "microcode.is_regression",
        Kind::Bool,
        "the running revision is known to break something",
        CHECK,
    ),
    FactDef::new(
        "microcode.known_regression",
        Kind::Text,
        "what the running revision is known to break, with the reference",
        CHECK,
    ),
    FactDef::new(
        "microcode.installed_is_regression",
        Kind::Bool,
        "the installed revision is known to break something",
        CHECK,
    ),
    FactDef::new(
        "microcode.installed_regression",
        Kind::Text,
        "what the installed revision is known to break, with the reference",
        CHECK,
    ),
    FactDef::new(
        "microcode.crashes_began_with_change",
        Kind::Bool,
        "runs of the machine end in crashes since a microcode package changed, and none did before",
        "last -x; zgrep -h microcode /var/log/dpkg.log*",
    ),
    FactDef::new(
        "microcode.suspect_change",
        Kind::Text,
        "the change of a microcode package after which runs began to end in crashes",
        "last -x; zgrep -h microcode /var/log/dpkg.log*",
    ),
    FactDef::new(
        "microcode.crashes_after_change",
        Kind::Int,
        "runs of the machine that ended in a crash since that change; none did before",
        "last -x",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    let Some(processor) = Processor::of(host) else { return Vec::new() };
    let mut facts = processor.facts();
    let verdict = match host.facts.bool("platform.is_guest") {
        Some(true) => Err("guest"),
        None => Err("platform-unknown"),
        Some(false) => processor.judgeable(),
    };
    let (revision, origin) = match (&verdict, &processor.revision) {
        (Ok(()), Some((revision, origin))) => (*revision, origin),
        (verdict, _) => {
            let why = verdict.err().unwrap_or("revision-unknown");
            facts.push(derived("microcode.verdict", Value::text(why), processor.origin()));
            return facts;
        }
    };
    facts.extend(against_baseline(&processor, revision, origin));
    facts.extend(installed::facts(host, &processor, revision));
    facts.extend(loader::facts(host, &processor));
    facts.extend(fix_released(&facts));
    facts.extend(loader::package_newer(host, &processor, &facts));
    facts.extend(crashes::facts(host));
    facts
}

/// A processor for which no fix exists misses it for good: that is no fault of its microcode.
fn fix_released(facts: &[Fact]) -> Option<Fact> {
    let of = |name: &str| facts.iter().find(|f| f.name == name);
    let missing = of("microcode.unpatched")?;
    let none = matches!(&missing.value, Value::Words(words) if words.is_empty());
    let released = match of("microcode.below_baseline") {
        _ if none => false,
        Some(below) => below.value == Value::Bool(true),
        None => return None,
    };
    Some(derived("microcode.fix_released", Value::Bool(released), &missing.origin))
}

fn against_baseline(processor: &Processor, revision: u32, origin: &Origin) -> Vec<Fact> {
    let fact = |name, value| derived(name, value, origin);
    let mut facts = Vec::new();
    let known = baseline::regression(processor.signature.0, revision);
    facts.push(fact("microcode.is_regression", Value::Bool(known.is_some())));
    facts.extend(known.map(|known| fact("microcode.known_regression", Value::text(known))));
    let newest = match baseline::newest(processor, revision) {
        Found::One(newest) => newest,
        Found::Nothing(why) => {
            facts.push(fact("microcode.verdict", Value::text(why)));
            return facts;
        }
    };
    let verdict = match revision.cmp(&newest.revision) {
        std::cmp::Ordering::Less => "below",
        std::cmp::Ordering::Equal => "current",
        std::cmp::Ordering::Greater => "above",
    };
    let text = |name, text: &str| fact(name, Value::text(text));
    facts.push(text("microcode.verdict", verdict));
    facts.push(text("microcode.baseline_revision", &format!("{:#x}", newest.revision)));
    facts.push(text("microcode.baseline_date", &newest.date));
    facts.push(text("microcode.baseline_source", newest.source));
    facts.push(fact("microcode.below_baseline", Value::Bool(verdict == "below")));
    facts.push(fact("microcode.needs_firmware", Value::Bool(newest.needs_firmware)));
    facts
}

#[cfg(test)]
mod tests;
