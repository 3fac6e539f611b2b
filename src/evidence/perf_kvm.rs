//! VM exits by reason, as `perf kvm stat` counts them (tools/perf/builtin-kvm.c), and the trace lines
//! that say why APIC virtualization is inhibited for a VM.
//!
//! `perf kvm stat report` and `live` print `REASON samples share time-share min max mean`; the time of
//! an exit runs until the guest is entered again, so that of HLT is how long the vCPU slept. Reasons
//! are lower-case on AMD (`hlt`, `vintr`, `npf`) and upper-case on Intel (`HLT`, `EPT_VIOLATION`);
//! they are kept in lower case.
//!
//! `kvm_apicv_inhibit_changed` (arch/x86/kvm/trace.h, 5.19 and later) gives a reason and the mask of
//! all reasons, by name since 6.10; up to 5.18 `kvm_apicv_update_request: deactivate bit=N` did.
//! What a number stands for depends on the kernel: the number is kept.
//!
//! Not parsed: reports by I/O port or MMIO address.

use super::Slice;
use super::cpu_time::hundredths;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Exits by reason.
pub const SLICE: Slice = Slice { name: "perf_kvm", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::output("perf-kvm*"),
    Want::output("perf_kvm*"),
    Want::output("perf-trace*"),
    Want::output("perf-script*"),
    Want::output("trace*"),
    Want::given("sys/kernel/debug/tracing/trace"),
    Want::given("sys/kernel/tracing/trace"),
];

const fn reason(name: &'static str, doc: &'static str) -> FactDef {
    FactDef::per(name, Kind::Int, "exit reason", doc, "perf kvm stat live -p PID")
}

const FACTS: &[FactDef] = &[
    reason("perfkvm.samples", "VM exits of a reason while perf looked"),
    reason("perfkvm.share", "Share of a reason among all VM exits, thousandths"),
    reason("perfkvm.mean_ns", "Mean time from an exit of a reason to the next entry, nanoseconds"),
    FactDef::new(
        "perfkvm.total_samples",
        Kind::Int,
        "VM exits while perf looked",
        "perf kvm stat live -p PID",
    ),
    FactDef::new(
        "perfkvm.total_us",
        Kind::Int,
        "Time from exits to entries, summed over vCPUs, microseconds",
        "perf kvm stat live -p PID",
    ),
    FactDef::new(
        "apicv.inhibited_by",
        Kind::Words,
        "Reasons for which KVM inhibits APIC virtualization, as the last trace line gives them",
        "trace-cmd record -e kvm:kvm_apicv_inhibit_changed",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    let mut inhibits: Option<(Vec<String>, Origin)> = None;
    let mut in_table = false;
    for (line, row) in lines(&text).filter(|(line, _)| piece.whole || *line < last) {
        let origin = || Origin::new(piece.path, Some(line), row);
        in_table |= row.trim_start().starts_with("VM-EXIT");
        if let Some(reasons) = inhibit(row) {
            inhibits = Some((reasons, origin()));
        } else if let Some((samples, us)) = totals(row) {
            out.fact("perfkvm.total_samples", Value::Int(samples), origin());
            out.fact("perfkvm.total_us", Value::Int(us), origin());
        } else if in_table && let Some(exit) = exit(row) {
            let name = exit.reason.to_ascii_lowercase();
            out.fact_of("perfkvm.samples", &name, Value::Int(exit.samples), origin());
            out.fact_of("perfkvm.share", &name, Value::Int(exit.share), origin());
            out.fact_of("perfkvm.mean_ns", &name, Value::Int(exit.mean_ns), origin());
        }
    }
    if let Some((reasons, origin)) = inhibits {
        out.fact("apicv.inhibited_by", Value::words(reasons), origin);
    }
}

struct Exit<'a> {
    reason: &'a str,
    samples: i64,
    share: i64,
    mean_ns: i64,
}

/// `hlt  40833  99.69%  98.26%  0.32us  19528.58us  29.19us ( +- 5.93% )`
fn exit(row: &str) -> Option<Exit<'_>> {
    let words: Vec<&str> = row.split_whitespace().collect();
    let at = words.iter().position(|w| w.ends_with('%'))?;
    let samples = words.get(at.checked_sub(1)?)?.parse().ok()?;
    let share = hundredths(words.get(at)?.strip_suffix('%')?)? / 10;
    let mut times = words.get(at..)?.iter().filter_map(|w| w.strip_suffix("us"));
    let mean = times.nth(2).or_else(|| words.last()?.strip_suffix("us"))?;
    let mean_ns = hundredths(mean)?.checked_mul(10)?;
    Some(Exit { reason: words.first()?, samples, share, mean_ns })
}

/// `Total Samples:40960, Total events handled time:1213240.92us.`
fn totals(row: &str) -> Option<(i64, i64)> {
    let rest = row.trim().strip_prefix("Total Samples:")?;
    let (samples, rest) = rest.split_once(',')?;
    let time = rest.rsplit_once(':')?.1.trim_end_matches('.').trim_end_matches("us");
    Some((samples.trim().parse().ok()?, hundredths(time)? / 100))
}

/// The reasons in force after a trace line.
fn inhibit(row: &str) -> Option<Vec<String>> {
    if let Some(at) = row.find("kvm_apicv_update_request") {
        let rest = row.get(at..)?;
        let bit = value(rest, "bit")?;
        return Some(if rest.contains("deactivate") { vec![bit.to_owned()] } else { Vec::new() });
    }
    let rest = row.get(row.find("kvm_apicv_inhibit_changed")?..)?;
    let mask = value(rest, "inhibits")?;
    let number = mask
        .strip_prefix("0x")
        .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        .or_else(|| mask.parse().ok())?;
    // Newer kernels print the names behind the mask: `inhibits=0x300 IRQWIN|PIT_REINJ`.
    let behind = rest.rsplit_once(mask).map_or("", |(_, names)| names.trim());
    let is_name = |w: &&str| {
        !w.is_empty()
            && w.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit())
    };
    let names: Vec<&str> = behind.split('|').map(str::trim).filter(is_name).collect();
    if !names.is_empty() && !names.iter().all(|n| n.parse::<u64>().is_ok()) {
        return Some(names.iter().map(|n| n.to_ascii_lowercase()).collect());
    }
    Some((0..64_u32).filter(|bit| number >> bit & 1 == 1).map(|bit| bit.to_string()).collect())
}

/// The word after `name=` or `name: `.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.get(text.find(name)? + name.len()..)?;
    let rest = rest.trim_start_matches(['=', ':', ' ']);
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    rest.get(..end).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn facts(path: &str, text: &str) -> Vec<String> {
        testing::shown(parse, path, text)
    }

    #[test]
    fn a_table_of_exits() {
        let text = "Analyze events for pid(s) 77, all VCPUs:\n\n   VM-EXIT  Samples  Samples%  \
            Time%  Min Time  Max Time  Avg time\n\n   HLT  5000  99.50%  98.00%  0.50us  900.00us  \
            30.25us ( +-   5.93% )\n\nTotal Samples:5025, Total events handled time:154000.50us.\n";
        let expected = [
            "perfkvm.samples[hlt]=5000",
            "perfkvm.share[hlt]=995",
            "perfkvm.mean_ns[hlt]=30250",
            "perfkvm.total_samples[]=5025",
            "perfkvm.total_us[]=154000",
        ];
        assert_eq!(facts("commands/perf-kvm-stat.txt", text), expected);
        assert_eq!(facts("commands/perf-kvm-stat.txt", "perf: not found\n"), [""; 0]);
    }

    #[test]
    fn why_apicv_is_inhibited() {
        for (line, reasons) in [
            ("q-1 [2] 1.0: kvm_apicv_inhibit_changed: set reason=8, inhibits=0x300", "8 9"),
            (
                "q-1 [2] 1.0: kvm_apicv_inhibit_changed: set reason=9, inhibits=0x300 IRQWIN|PIT_REINJ",
                "irqwin pit_reinj",
            ),
            ("0.1 q/1 kvm:kvm_apicv_inhibit_changed(reason: 9, set: 1, inhibits: 512)", "9"),
            ("q-1 [2] 1.0: kvm_apicv_update_request: deactivate bit=4", "4"),
            ("q-1 [2] 1.0: kvm_apicv_inhibit_changed: cleared reason=8, inhibits=0x0", ""),
        ] {
            let expected = format!("apicv.inhibited_by[]={reasons}");
            assert_eq!(facts("commands/trace-cmd.txt", line), [expected], "{line}");
        }
    }
}
