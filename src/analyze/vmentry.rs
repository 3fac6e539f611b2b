//! Failed VM entries and unexpected exits: the numbers in the logs, decoded.

use super::{Analyzer, derived_of, vmx};
use crate::model::{Event, Fact, FactDef, Host, Kind, Value};

/// Failed VM entries.
pub const ANALYZER: Analyzer = Analyzer { name: "vmentry", facts: FACTS, run };

const fn fact(name: &'static str, per: &'static str, doc: &'static str) -> FactDef {
    FactDef { name, kind: Kind::Text, per, doc, command: "cat /var/log/libvirt/qemu/*.log; dmesg" }
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
    for (event, number) in numbers(host, "kvm-entry-failed", "code") {
        let (vendor, kind, meaning) = vmx::entry_error(number);
        let instance = format!("{number:#x}");
        for (name, value) in
            [("vmentry.vendor", vendor), ("vmentry.kind", kind), ("vmentry.meaning", &meaning)]
        {
            facts.push(derived_of(name, &instance, Value::text(value), &event.origin));
        }
    }
    for (event, number) in numbers(host, "vmx-unexpected-exit", "reason") {
        let instance = format!("{number:#x}");
        let name = Value::text(vmx::exit_reason(number));
        facts.push(derived_of("vmexit.reason", &instance, name, &event.origin));
        let basic = Value::text((number & 0xffff).to_string());
        facts.push(derived_of("vmexit.number", &instance, basic, &event.origin));
    }
    facts
}

/// Events of a signature with the number in one of their fields. Kernels and VMMs print it in
/// hexadecimal; some leave the `0x` out.
fn numbers<'h>(
    host: &'h Host,
    symptom: &str,
    field: &'h str,
) -> impl Iterator<Item = (&'h Event, u64)> {
    host.events.of(symptom).iter().filter_map(move |event| {
        let text = event.fields.get(field)?.to_ascii_lowercase();
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        Some((event, u64::from_str_radix(digits, 16).ok()?))
    })
}
