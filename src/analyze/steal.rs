//! Steal: the time in which the layer below ran something else although a vCPU wanted to run
//! (proc_stat(5)), and whether its counter can be believed.
//!
//! Some kernels count wrongly: after a live migration the clock that steal is taken from jumps, and
//! the unsigned counter runs below zero, backwards, or far ahead of the time there was. What gives it
//! away is arithmetic: no CPU can lose more time than there was, no counter falls, and nobody can
//! steal from tasks that do not want to run.

use super::cpu::{cpus, number};
use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Origin, Value};

/// Steal.
pub const ANALYZER: Analyzer = Analyzer { name: "steal", facts: FACTS, run: Run::Host(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "steal.permille",
        Kind::Int,
        "share of CPU time that the layer below gave to others, thousandths; absent where the counter is wrong",
        "vmstat 1 5",
    ),
    FactDef::new(
        "steal.text",
        Kind::Text,
        "that share in percent, and what it was measured from",
        "vmstat 1 5",
    ),
    FactDef::new(
        "steal.counter_fault",
        Kind::Text,
        "what is impossible about the steal counter: backwards, underflow, beyond-uptime, beyond-100, unwanted",
        "cat /proc/stat /proc/uptime; sleep 5; cat /proc/stat",
    ),
];

/// One sample of /proc/stat.
struct Sample<'h> {
    steal: i64,
    /// All columns but steal: it only grows, so that samples can be ordered by it.
    others: i64,
    origin: &'h Origin,
}

fn run(host: &Host) -> Vec<Fact> {
    let samples = samples(host);
    if let Some((fault, origin)) = fault(host, &samples) {
        return vec![derived("steal.counter_fault", Value::text(fault), &origin)];
    }
    let Some((permille, from, origin)) = share(host, &samples) else { return Vec::new() };
    let text = format!("{}.{} % {from}", permille / 10, permille % 10);
    vec![
        derived("steal.permille", Value::Int(permille), &origin),
        derived("steal.text", Value::text(text), &origin),
    ]
}

/// The samples of /proc/stat, oldest first.
fn samples(host: &Host) -> Vec<Sample<'_>> {
    let names = ["user", "nice", "system", "idle", "iowait", "irq", "softirq"];
    let of = |instance: &str| {
        names.iter().try_fold(0_i64, |sum, name| {
            let fact = host.facts.of(&format!("procstat.{name}"), instance)?;
            sum.checked_add(number(fact)?)
        })
    };
    let mut samples: Vec<Sample<'_>> = host
        .facts
        .all("procstat.steal")
        .iter()
        .filter_map(|f| {
            let others = of(f.instance.as_deref()?)?;
            Some(Sample { steal: number(f)?, others, origin: &f.origin })
        })
        .collect();
    samples.sort_by_key(|s| s.others);
    // The last of several samples is often kept under the file's own name, too.
    samples.dedup_by_key(|s| (s.others, s.steal));
    samples
}

/// What cannot be.
fn fault(host: &Host, samples: &[Sample<'_>]) -> Option<(&'static str, Origin)> {
    // 2^53 ticks are three million years.
    const IMPOSSIBLE: i64 = 1 << 53;
    if let Some(sample) = samples.iter().find(|s| s.steal >= IMPOSSIBLE || s.steal < 0) {
        return Some(("underflow", sample.origin.clone()));
    }
    let falls = |pair: &&[Sample<'_>]| {
        pair[1].others > pair[0].others && pair[1].steal < pair[0].steal.saturating_sub(1)
    };
    if let Some(pair) = samples.windows(2).find(falls) {
        return Some(("backwards", pair[1].origin.clone()));
    }
    let (cpus, _) = cpus(host)?;
    let uptime = host.facts.int("host.uptime_seconds");
    if let (Some(uptime), Some(last)) = (uptime, samples.last()) {
        // Ticks of all CPUs since boot, and a tenth for CPUs that were taken away.
        let there_was = uptime.saturating_mul(110).saturating_mul(cpus);
        if last.steal > there_was {
            return Some(("beyond-uptime", last.origin.clone()));
        }
    }
    beyond_100(host).or_else(|| unwanted(host, cpus))
}

/// Shares of one program that are more than there is.
fn beyond_100(host: &Host) -> Option<(&'static str, Origin)> {
    let names = ["user", "system", "idle", "iowait", "irq", "softirq", "steal"];
    host.facts.all("util.steal").iter().find_map(|f| {
        let program = f.instance.as_deref()?;
        let share = |name: &&str| {
            host.facts.of(&format!("util.{name}"), program).and_then(number).unwrap_or(0)
        };
        let sum = names.iter().map(share).fold(0_i64, i64::saturating_add);
        (number(f)? > 100 && sum > 1150).then(|| ("beyond-100", f.origin.clone()))
    })
}

/// Time is only stolen from tasks that want to run, and those are in the load average.
fn unwanted(host: &Host, cpus: i64) -> Option<(&'static str, Origin)> {
    let fact = host.facts.all("util.steal").iter().max_by_key(|f| number(f))?;
    let stolen_cpus = number(fact)?.checked_mul(cpus)? / 10;
    let loads = ["load.avg1", "load.avg5"].iter().flat_map(|name| host.facts.all(name));
    let wanted = loads.filter_map(number).max()?;
    (stolen_cpus > wanted.saturating_mul(2).saturating_add(60))
        .then(|| ("unwanted", fact.origin.clone()))
}

/// The share: between two samples, as a program measured it, or since boot.
fn share(host: &Host, samples: &[Sample<'_>]) -> Option<(i64, &'static str, Origin)> {
    if let [first, .., last] = samples {
        let steal = last.steal.checked_sub(first.steal)?.max(0);
        let all = steal.checked_add(last.others.checked_sub(first.others)?)?;
        // Less than half a second says nothing.
        if all >= 50 {
            let permille = steal.saturating_mul(1000) / all;
            return Some((permille, "between two samples of /proc/stat", last.origin.clone()));
        }
    }
    if let Some(fact) = host.facts.all("util.steal").iter().max_by_key(|f| number(f)) {
        return Some((number(fact)?, "as measured by a program", fact.origin.clone()));
    }
    let only = samples.last()?;
    let all = only.steal.checked_add(only.others)?;
    let permille = only.steal.saturating_mul(1000).checked_div(all)?;
    Some((permille, "of all time since boot", only.origin.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::testing::{host, value};

    fn stat(
        instance: &'static str,
        idle: i64,
        steal: i64,
    ) -> Vec<(&'static str, &'static str, Value)> {
        let zero = |name| (name, instance, Value::Int(0));
        vec![
            zero("procstat.user"),
            zero("procstat.nice"),
            zero("procstat.system"),
            ("procstat.idle", instance, Value::Int(idle)),
            zero("procstat.iowait"),
            zero("procstat.irq"),
            zero("procstat.softirq"),
            ("procstat.steal", instance, Value::Int(steal)),
        ]
    }

    fn facts(parts: &[Vec<(&'static str, &'static str, Value)>]) -> Vec<Fact> {
        run(&host(&parts.concat()))
    }

    #[test]
    fn a_share_between_samples_whatever_their_names() {
        let facts = facts(&[stat("stat", 1000, 100), stat("stat.1", 600, 0)]);
        assert_eq!(value(&facts, "steal.permille").unwrap(), "200");
        assert!(value(&facts, "steal.text").unwrap().starts_with("20.0 % between"));
    }

    #[test]
    fn since_boot_where_there_is_only_one() {
        let facts = facts(&[stat("stat", 900, 100)]);
        assert_eq!(value(&facts, "steal.permille").unwrap(), "100");
    }

    #[test]
    fn what_cannot_be() {
        let one_cpu = vec![("cpu.count", "", Value::Int(1))];
        let uptime = vec![("host.uptime_seconds", "", Value::Int(100))];
        let idle = |steal| {
            vec![
                ("util.steal", "top", Value::Int(steal)),
                ("util.idle", "top", Value::Int(0)),
                ("load.avg1", "", Value::Int(5)),
            ]
        };
        for (parts, fault) in [
            (vec![stat("stat.1", 10, 900), stat("stat.2", 20, 800)], "backwards"),
            (vec![stat("stat", 10, i64::MAX)], "underflow"),
            (vec![stat("stat", 10, 20_000), one_cpu.clone(), uptime.clone()], "beyond-uptime"),
            (vec![idle(1000), one_cpu.clone()], "unwanted"),
        ] {
            let facts = facts(&parts);
            assert_eq!(value(&facts, "steal.counter_fault").as_deref(), Some(fault));
            assert_eq!(value(&facts, "steal.permille"), None);
        }
        let busy = vec![("util.steal", "top", Value::Int(900)), ("load.avg1", "", Value::Int(250))];
        let facts = facts(&[busy, one_cpu]);
        assert_eq!(value(&facts, "steal.permille").unwrap(), "900");
    }
}
