//! Failed VM entries and unexpected exits: the numbers in the logs, decoded.

use super::{Analyzer, Run, derived_of, vmx};
use crate::model::{Event, Fact, FactDef, Host, Kind, Value};

/// Failed VM entries.
pub const ANALYZER: Analyzer = Analyzer { name: "vmentry", facts: FACTS, run: Run::Host(run) };

const fn fact(name: &'static str, per: &'static str, doc: &'static str) -> FactDef {
    FactDef::per(name, Kind::Text, per, doc, "cat /var/log/libvirt/qemu/*.log; dmesg")
}

const FACTS: &[FactDef] = &[
    fact(
        "vmentry.vendor",
        "error number",
        "whose processor fails the entry, from the form of the number: intel or amd",
    ),
    fact(
        "vmentry.kind",
        "error number",
        "guest-state, controls, host-state, msr-load, machine-check, vmexit-invalid, no-error-number, other",
    ),
    fact("vmentry.meaning", "error number", "the error number in the words of the manual"),
    fact(
        "vmexit.reason",
        "exit reason",
        "an exit reason that KVM did not expect, in the words of the manual",
    ),
    fact("vmexit.number", "exit reason", "the same as decimal number"),
];

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    let failures = numbers(host, "kvm-entry-failed", "code", 16);
    for (event, number) in failures.chain(numbers(host, "kvm-entry-failed", "decimal", 10)) {
        let (vendor, kind, meaning) = vmx::entry_error(number);
        let instance = format!("{number:#x}");
        for (name, value) in
            [("vmentry.vendor", vendor), ("vmentry.kind", kind), ("vmentry.meaning", &meaning)]
        {
            facts.push(derived_of(name, &instance, Value::text(value), &event.origin));
        }
    }
    let vmx = numbers(host, "vmx-unexpected-exit", "reason", 16)
        .map(|(event, number)| (event, number & 0xffff, vmx::exit_reason(number)));
    let svm = numbers(host, "vmx-unexpected-exit", "exitcode", 16)
        .map(|(event, number)| (event, number, vmx::svm_exit_code(number)));
    for (event, number, name) in vmx.chain(svm) {
        let instance = format!("{number:#x}");
        facts.push(derived_of("vmexit.reason", &instance, Value::text(name), &event.origin));
        let number = Value::text(number.to_string());
        facts.push(derived_of("vmexit.number", &instance, number, &event.origin));
    }
    facts
}

/// Events of a signature with the number in one of their fields. Kernels and QEMU print it in
/// hexadecimal, some without the `0x`; VMMs written in Rust print it in decimal.
fn numbers<'h>(
    host: &'h Host,
    symptom: &str,
    field: &'h str,
    radix: u32,
) -> impl Iterator<Item = (&'h Event, u64)> + use<'h> {
    host.events.of(symptom).iter().filter_map(move |event| {
        let text = event.fields.get(field)?.to_ascii_lowercase();
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        Some((event, u64::from_str_radix(digits, radix).ok()?))
    })
}
