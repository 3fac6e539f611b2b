//! Whether AMD's APIC virtualization (AVIC) works for guests, or is inhibited.
//!
//! With AVIC the CPU delivers interrupts itself. Without it KVM waits for the guest to accept one,
//! which shows as `vintr` exits (irq_window_exits). Inhibitions are numbered, and the numbers moved:
//! `enum kvm_apicv_inhibit` of arch/x86/include/asm/kvm_host.h in 5.6, 5.19 and 6.2.

use super::super::cpu::number;
use super::super::derived;
use crate::model::{Fact, Host, Origin, Value, Version};

/// Inhibitions in the order of 5.6 to 5.18.
const UNTIL_5_18: &[&str] =
    &["disabled", "hyperv", "nested", "irqwin", "pit_reinj", "x2apic", "blockirq", "absent", "sev"];
/// In the order of 5.19 to 6.1.
const UNTIL_6_1: &[&str] = &[
    "disabled",
    "hyperv",
    "absent",
    "blockirq",
    "apic_id_modified",
    "apic_base_modified",
    "nested",
    "irqwin",
    "pit_reinj",
    "sev",
];
/// In the order from 6.2 on.
const NOW: &[&str] = &[
    "disabled",
    "hyperv",
    "absent",
    "blockirq",
    "physical_id_aliased",
    "apic_id_modified",
    "apic_base_modified",
    "nested",
    "irqwin",
    "pit_reinj",
    "sev",
    "logical_id_aliased",
    "physical_id_too_big",
];
/// What comes and goes while a guest runs.
const PASSING: &[&str] = &["irqwin", "blockirq", "absent"];

pub(super) fn facts(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    let parameter = match host.facts.text("kvm.vendor_module") {
        Some("kvm_amd") => host.facts.first("kvm.avic"),
        _ => host.facts.first("kvm.apicv").or_else(|| host.facts.first("kvm.avic")),
    };
    facts.extend(parameter.map(|f| derived("avic.enabled", f.value.clone(), &f.origin)));
    if let Some((used, origin)) = used(host) {
        facts.push(derived("avic.used", Value::Bool(used), &origin));
    }
    if let Some((text, origin)) = window(host) {
        facts.push(derived("avic.evidence", Value::text(text), &origin));
    }
    if let Some(fact) = host.facts.first("apicv.inhibited_by")
        && let Value::Words(words) = &fact.value
    {
        let names: Vec<String> = words.iter().map(|w| name(w, host)).collect();
        let lasting = names.iter().any(|n| !PASSING.contains(&n.as_str()) && n != "nested")
            || names.iter().any(|n| n == "nested") && before(host, "5.19");
        facts.push(derived("avic.reasons", Value::words(names), &fact.origin));
        facts.push(derived("avic.lasting", Value::Bool(lasting), &fact.origin));
    }
    facts
}

fn before(host: &Host, version: &str) -> bool {
    let (Some(kernel), Some(version)) =
        (host.facts.version("kernel.version"), Version::parse(version))
    else {
        return false;
    };
    kernel.compare(&version).is_lt()
}

/// The name of an inhibition, which older trace lines give as a number.
fn name(word: &str, host: &Host) -> String {
    let Ok(bit) = word.parse::<usize>() else { return word.to_owned() };
    let names = if before(host, "5.19") {
        UNTIL_5_18
    } else if before(host, "6.2") {
        UNTIL_6_1
    } else {
        NOW
    };
    names.get(bit).map_or_else(|| word.to_owned(), |n| (*n).to_owned())
}

/// Exits that only AVIC causes.
fn used(host: &Host) -> Option<(bool, Origin)> {
    const EXITS: &[&str] = &["avic_incomplete_ipi", "avic_unaccelerated_access"];
    let sampled = EXITS.iter().find_map(|e| host.facts.of("perfkvm.samples", e));
    let traced = ["kvm_avic_incomplete_ipi", "kvm_avic_unaccelerated_access", "kvm_avic_doorbell"];
    let counted = traced.iter().find_map(|e| {
        host.facts.of("kvmcount.rate", e).filter(|f| number(f).is_some_and(|n| n > 0))
    });
    if let Some(fact) = sampled.or(counted) {
        return Some((true, fact.origin.clone()));
    }
    let total = host.facts.first("perfkvm.total_samples")?;
    Some((false, total.origin.clone()))
}

/// Exits that show the software path.
fn window(host: &Host) -> Option<(String, Origin)> {
    if let Some(fact) = host.facts.of("perfkvm.samples", "vintr") {
        let samples = number(fact).filter(|n| *n > 0)?;
        return Some((format!("{samples} vintr exits while perf looked"), fact.origin.clone()));
    }
    let names = ["kvm_exit(VINTR)", "kvm_exit(vintr)", "irq_window_exits"];
    let fact = names.iter().find_map(|n| {
        host.facts.of("kvmcount.rate", n).filter(|f| number(f).is_some_and(|r| r >= 100))
    })?;
    let rate = number(fact)?;
    Some((format!("{rate} exits per second to inject an interrupt"), fact.origin.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::testing::{host, value};

    #[test]
    fn numbers_mean_what_the_kernel_means() {
        let reasons = |kernel: &str, bit: &str| {
            let host = host(&[
                ("apicv.inhibited_by", "", Value::words([bit])),
                ("kernel.version", "", Value::Version(Version::parse(kernel).unwrap())),
            ]);
            let facts = facts(&host);
            (value(&facts, "avic.reasons").unwrap(), value(&facts, "avic.lasting").unwrap())
        };
        let is = |name: &str, lasting: &str| (name.to_owned(), lasting.to_owned());
        assert_eq!(reasons("5.15.0", "4"), is("pit_reinj", "true"));
        assert_eq!(reasons("5.15.0", "2"), is("nested", "true"));
        assert_eq!(reasons("6.1.0", "8"), is("pit_reinj", "true"));
        assert_eq!(reasons("6.12.9", "9"), is("pit_reinj", "true"));
        assert_eq!(reasons("6.12.9", "8"), is("irqwin", "false"));
        assert_eq!(reasons("6.12.9", "nested"), is("nested", "false"));
    }

    #[test]
    fn exits_of_both_ways() {
        let table = |reason: &'static str| {
            facts(&host(&[
                ("perfkvm.samples", reason, Value::Int(3)),
                ("perfkvm.total_samples", "", Value::Int(23)),
            ]))
        };
        let without = table("vintr");
        assert_eq!(value(&without, "avic.used").unwrap(), "false");
        assert!(value(&without, "avic.evidence").unwrap().starts_with("3 vintr"));
        let with = table("avic_incomplete_ipi");
        assert_eq!(value(&with, "avic.used").unwrap(), "true");
        assert_eq!(value(&with, "avic.evidence"), None);
    }
}
