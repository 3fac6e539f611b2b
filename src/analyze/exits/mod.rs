//! VM exits: how many per second, per VM and in all, what they are mostly, and whether L2 guests are
//! what causes them.
//!
//! Rates are taken as a tool printed them, or between two samples with their times, or (as a lower
//! bound) as the mean since the host started. The kinds of storm and their limits:
//!
//! | kind | more than |
//! |---|---|
//! | `hlt` | 5,000 HLT exits per vCPU and second, a third of all: the vCPU sleeps under 0.2 ms |
//! | `io`, `mmio` | 20,000 per vCPU and second, half of all |
//! | `irq-window` | 10,000 per vCPU and second, a fifth of all: no APIC virtualization |
//! | `rate` | 500,000 per second while nothing enters L2 |
//!
//! Where the number of vCPUs is not known, a VM is taken to have four.

mod avic;
mod rates;

use super::cpu::number;
use super::{Analyzer, Run, derived, derived_of};
use crate::model::{Fact, FactDef, Host, Kind, Value};
use rates::{Basis, Rates};

/// VM exits.
pub const ANALYZER: Analyzer = Analyzer { name: "exits", facts: FACTS, run: Run::Host(run) };

const fn of(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "VM", doc, "kvm_stat --once")
}

const FACTS: &[FactDef] = &[
    of("exits.per_second", Kind::Int, "VM exits per second of a VM; without instance of all VMs"),
    of("exits.per_vcpu", Kind::Int, "VM exits per second and vCPU"),
    of("exits.hlt", Kind::Int, "exits per second because a vCPU halted (halt_exits)"),
    of("exits.io", Kind::Int, "exits per second of port I/O (io_exits)"),
    of("exits.mmio", Kind::Int, "exits per second of emulated MMIO (mmio_exits)"),
    of("exits.irq_window", Kind::Int, "exits per second to inject an interrupt (irq_window_exits)"),
    of("exits.l2_entries", Kind::Int, "entries into L2 per second (nested_run)"),
    of("exits.l2_active", Kind::Bool, "whether guests of guests run (nested_run, guest_mode)"),
    of("exits.basis", Kind::Text, "what the rates rest on: measured, sampled, or mean-since-boot"),
    of("exits.storm", Kind::Text, "kind of storm of VM exits: hlt, io, mmio, irq-window, rate"),
    of("exits.storm_text", Kind::Text, "the storm in words, with its rates"),
    FactDef::new(
        "avic.enabled",
        Kind::Bool,
        "whether APIC virtualization is on as a parameter (AVIC of kvm_amd, APICv of kvm_intel)",
        "cat /sys/module/kvm_amd/parameters/avic /sys/module/kvm_intel/parameters/enable_apicv",
    ),
    FactDef::new(
        "avic.evidence",
        Kind::Text,
        "what shows that interrupts take the software path although AVIC is on",
        "perf kvm stat live -p PID",
    ),
    FactDef::new(
        "avic.used",
        Kind::Bool,
        "whether exits that only AVIC causes were seen (avic_incomplete_ipi, avic_unaccelerated_access)",
        "perf kvm stat live -p PID",
    ),
    FactDef::new(
        "avic.reasons",
        Kind::Words,
        "why KVM inhibits APIC virtualization, by the names of this kernel",
        "trace-cmd record -e kvm:kvm_apicv_inhibit_changed",
    ),
    FactDef::new(
        "avic.lasting",
        Kind::Bool,
        "whether one of these reasons lasts as long as the VM or its guest's setting does",
        "trace-cmd record -e kvm:kvm_apicv_inhibit_changed",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    for rates in rates::all(host) {
        report(host, &rates, &mut facts);
    }
    facts.extend(perf(host));
    facts.extend(avic::facts(host));
    facts
}

fn report(host: &Host, rates: &Rates<'_>, facts: &mut Vec<Fact>) {
    let origin = rates.origin;
    let mut add = |name, value| {
        facts.push(match &rates.vm {
            Some(vm) => derived_of(name, vm, value, origin),
            None => derived(name, value, origin),
        });
    };
    let named = [
        ("exits.per_second", rates.exits),
        ("exits.hlt", rates.hlt),
        ("exits.io", rates.io),
        ("exits.mmio", rates.mmio),
        ("exits.irq_window", rates.irq_window),
        ("exits.l2_entries", rates.l2),
    ];
    for (name, rate) in named {
        if let Some(rate) = rate {
            add(name, Value::Int(rate));
        }
    }
    let l2 = rates.l2_active(host);
    if let Some(l2) = l2 {
        add("exits.l2_active", Value::Bool(l2));
    }
    add("exits.basis", Value::text(rates.basis.word()));
    let known = rates.vcpus(host);
    if let (Some(vcpus), Some(exits)) = (known, rates.exits) {
        add("exits.per_vcpu", Value::Int(exits / vcpus.max(1)));
    }
    if let Some((kind, text)) = storm(rates, known.unwrap_or(4).max(1), l2) {
        add("exits.storm", Value::text(kind));
        add("exits.storm_text", Value::text(text));
    }
}

/// Whether rates are a storm, and of which kind.
fn storm(rates: &Rates<'_>, vcpus: i64, l2: Option<bool>) -> Option<(&'static str, String)> {
    const USELESS: i64 = 500_000;
    let kinds = [
        ("hlt", rates.hlt, 5_000, 3, "HLT exits"),
        ("io", rates.io, 20_000, 2, "exits of port I/O"),
        ("mmio", rates.mmio, 20_000, 2, "exits of emulated MMIO"),
        ("irq-window", rates.irq_window, 10_000, 5, "exits to inject an interrupt"),
    ];
    let exits = rates.exits.unwrap_or(0);
    let at_least = if rates.basis == Basis::SinceBoot { "at least " } else { "" };
    let over = kinds.into_iter().filter_map(|(kind, rate, limit, part, what)| {
        let rate = rate.filter(|r| *r >= limit * vcpus && r.saturating_mul(part) >= exits)?;
        let per_vcpu = rate / vcpus;
        let text = format!("{at_least}{rate} {what} per second ({per_vcpu} per vCPU)");
        Some((kind, rate, text))
    });
    let worst = over.max_by_key(|(_, rate, _)| *rate);
    if let Some((kind, _, text)) = worst {
        return Some((kind, text));
    }
    let nothing_in_l2 = l2 == Some(false);
    (exits >= USELESS && nothing_in_l2)
        .then(|| ("rate", format!("{at_least}{exits} VM exits per second, and nothing enters L2")))
}

/// What perf saw. Its table does not say how long it looked. But a vCPU that hardly does anything
/// but halt, and sleeps a few microseconds each time, is in a storm; and so is one that exits for
/// emulated devices tens of thousands of times while somebody looks.
fn perf(host: &Host) -> Vec<Fact> {
    const SHORT_NS: i64 = 60_000;
    // Kind, its reasons, least samples, least share, longest mean.
    let kinds = [
        ("hlt", "HLT", vec!["hlt", "wfx"], 2_000, 800, SHORT_NS),
        ("io", "port I/O", vec!["io_instruction", "io", "ioio"], 50_000, 600, i64::MAX),
        ("mmio", "emulated MMIO", vec!["ept_misconfig", "dabt_low"], 50_000, 600, i64::MAX),
    ];
    let storm = kinds.into_iter().find_map(|(kind, what, reasons, least, part, longest)| {
        reasons.into_iter().find_map(|reason| {
            let fact = host.facts.of("perfkvm.samples", reason)?;
            let share = number(host.facts.of("perfkvm.share", reason)?)?;
            let mean = number(host.facts.of("perfkvm.mean_ns", reason)?)?;
            let samples = number(fact)?;
            (samples >= least && share >= part && mean <= longest).then_some((
                kind,
                what,
                samples,
                share,
                mean,
                &fact.origin,
            ))
        })
    });
    let Some((kind, what, samples, share, mean, origin)) = storm else { return Vec::new() };
    let text = format!(
        "{}.{} % of the exits that perf saw are {what}, {samples} times, with {} us to the next entry",
        share / 10,
        share % 10,
        mean / 1000
    );
    vec![
        derived("exits.storm", Value::text(kind), origin),
        derived("exits.storm_text", Value::text(text), origin),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::testing::{host, value};

    fn rate(counter: &'static str, rate: i64) -> (&'static str, &'static str, Value) {
        ("kvmcount.rate", counter, Value::Int(rate))
    }

    fn storm_of(facts: &[(&'static str, &'static str, Value)]) -> Option<String> {
        value(&run(&host(facts)), "exits.storm")
    }

    #[test]
    fn kinds_of_storm() {
        let vcpus = ("guests.vcpus", "", Value::Int(2));
        let hlt = [rate("exits", 60_000), rate("halt_exits", 40_000), vcpus.clone()];
        assert_eq!(storm_of(&hlt).as_deref(), Some("hlt"));
        let io = [rate("kvm_exit", 90_000), rate("kvm_pio", 80_000), vcpus.clone()];
        assert_eq!(storm_of(&io).as_deref(), Some("io"));
        let window = [rate("exits", 60_000), rate("irq_window_exits", 30_000), vcpus.clone()];
        assert_eq!(storm_of(&window).as_deref(), Some("irq-window"));
        let useless = [rate("exits", 700_000), rate("nested_run", 0), vcpus.clone()];
        assert_eq!(storm_of(&useless).as_deref(), Some("rate"));
    }

    #[test]
    fn what_is_no_storm() {
        let vcpus = ("guests.vcpus", "", Value::Int(8));
        let idle = [rate("exits", 9_000), rate("halt_exits", 6_000), vcpus.clone()];
        assert_eq!(storm_of(&idle), None);
        let l2 = [rate("exits", 700_000), rate("nested_run", 200_000), vcpus.clone()];
        assert_eq!(storm_of(&l2), None);
        let unknown = [rate("exits", 700_000), vcpus];
        assert_eq!(storm_of(&unknown), None, "whether L2 runs cannot be told");
    }

    #[test]
    fn halting_without_sleep_as_perf_sees_it() {
        let table = |samples, share, mean| {
            storm_of(&[
                ("perfkvm.samples", "hlt", Value::Int(samples)),
                ("perfkvm.share", "hlt", Value::Int(share)),
                ("perfkvm.mean_ns", "hlt", Value::Int(mean)),
            ])
        };
        assert_eq!(table(30_000, 990, 29_000).as_deref(), Some("hlt"));
        assert_eq!(table(106, 180, 21_370_000), None);
        assert_eq!(table(30_000, 990, 2_000_000), None);
        let io = [
            ("perfkvm.samples", "io_instruction", Value::Int(210_000)),
            ("perfkvm.share", "io_instruction", Value::Int(905)),
            ("perfkvm.mean_ns", "io_instruction", Value::Int(11_000)),
        ];
        assert_eq!(storm_of(&io).as_deref(), Some("io"));
    }
}
