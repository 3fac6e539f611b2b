//! Heat of the CPUs: throttling in numbers a rule can judge, and the temperature now.
//!
//! Every CPU of a package counts the package's events, and the log has a line for each CPU: the
//! largest count is the number of events. Lines of the log are events of the symptom
//! `cpu-throttled`; those within a minute are one episode. A count only grows while a machine runs:
//! lines whose counts go up and down are no record of one machine, and nothing is made of them.

use std::collections::BTreeMap;

use super::cpu::number;
use super::{Analyzer, Run, derived};
use crate::model::{Event, Fact, FactDef, Host, Kind, Stamp, Value};

/// Heat.
pub const ANALYZER: Analyzer = Analyzer { name: "heat", facts: FACTS, run: Run::Host(run) };

const COUNTS: &str = "grep . /sys/devices/system/cpu/cpu*/thermal_throttle/*_count";

const FACTS: &[FactDef] = &[
    FactDef::new(
        "heat.events",
        Kind::Int,
        "times that the hottest core or package was slowed down by heat, as far as is known",
        COUNTS,
    ),
    FactDef::new("heat.events_per_day", Kind::Int, "the same, per day since boot", COUNTS),
    FactDef::new(
        "heat.throttled_permille",
        Kind::Int,
        "time for which the hottest core or package was slowed down, thousandths of the uptime",
        "grep . /sys/devices/system/cpu/cpu*/thermal_throttle/*_total_time_ms",
    ),
    FactDef::new(
        "heat.episodes",
        Kind::Int,
        "times at which the kernel logged throttling, a minute or more apart",
        "dmesg | grep -i throttled",
    ),
    FactDef::new("heat.celsius", Kind::Int, "temperature of the hottest CPU sensor now", "sensors"),
];

/// Drivers of sensors inside CPUs.
const CPU_CHIPS: &[&str] =
    &["coretemp", "k10temp", "k8temp", "fam15h_power", "zenpower", "x86_pkg_temp", "cpu_thermal"];

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    let logged = host.events.of("cpu-throttled");
    let logged = if grows(logged) { logged } else { &[] };
    let said = logged.iter().filter_map(|e| Some((count(e)?, &e.origin)));
    let counted = host.facts.all("throttle.count").iter();
    let counted = counted.filter_map(|f| Some((number(f)?, &f.origin)));
    let uptime = host.facts.int("host.uptime_seconds").or_else(|| since_boot(logged));
    let uptime = uptime.filter(|s| *s > 0);
    if let Some((events, origin)) = said.chain(counted).max_by_key(|(n, _)| *n) {
        facts.push(derived("heat.events", Value::Int(events), origin));
        if let Some(uptime) = uptime {
            let per_day = events.saturating_mul(86_400) / uptime;
            facts.push(derived("heat.events_per_day", Value::Int(per_day), origin));
        }
    }
    let total = host.facts.all("throttle.total_ms").iter();
    let total = total.filter_map(|f| Some((number(f)?, &f.origin))).max_by_key(|(ms, _)| *ms);
    if let (Some((ms, origin)), Some(uptime)) = (total, uptime) {
        facts.push(derived("heat.throttled_permille", Value::Int(ms / uptime), origin));
    }
    if let Some(first) = logged.first() {
        let stamps: Vec<Stamp> = logged.iter().filter_map(|e| e.stamp).collect();
        facts.push(derived("heat.episodes", Value::Int(episodes(stamps)), &first.origin));
    }
    facts.extend(celsius(host));
    facts
}

fn count(event: &Event) -> Option<i64> {
    event.fields.get("events")?.parse().ok()
}

/// Seconds from boot to the last line that says so: what dmesg alone tells of the uptime.
fn since_boot(logged: &[Event]) -> Option<i64> {
    let stamps = logged.iter().filter_map(|e| match e.stamp {
        Some(Stamp::Boot(us)) => Some(us / 1_000_000),
        _ => None,
    });
    stamps.max()
}

/// Whether the counts of each CPU grow along each log, but for the falls of a few boots.
fn grows(logged: &[Event]) -> bool {
    let mut logs: BTreeMap<_, Vec<(Stamp, i64)>> = BTreeMap::new();
    for event in logged {
        let (Some(stamp), Some(count)) = (event.stamp, count(event)) else { continue };
        let counter = (&event.origin.source, event.fields.get("cpu"), event.fields.get("unit"));
        logs.entry(counter).or_default().push((stamp, count));
    }
    let (mut rises, mut falls) = (0_usize, 0_usize);
    for counts in logs.values_mut() {
        counts.sort();
        for pair in counts.windows(2) {
            rises += usize::from(pair[1].1 > pair[0].1);
            falls += usize::from(pair[1].1 < pair[0].1);
        }
    }
    falls == 0 || falls.saturating_mul(3) < rises
}

/// Stamps that are a minute apart from the one before. The same lines stand in dmesg and in the
/// journal, with clocks of their own: the clock with the most episodes counts.
fn episodes(mut stamps: Vec<Stamp>) -> i64 {
    const MINUTE: i64 = 60_000_000;
    stamps.sort();
    let (mut most, mut count) = (1, 1);
    for pair in stamps.windows(2) {
        count = match pair[1].since(pair[0]) {
            None => 1,
            Some(gap) if gap >= MINUTE => count + 1,
            Some(_) => count,
        };
        most = most.max(count);
    }
    most
}

fn celsius(host: &Host) -> Option<Fact> {
    let is_cpu = |chip: &str| {
        matches!(host.facts.of("hwmon.name", chip).map(|f| &f.value),
            Some(Value::Text(name)) if CPU_CHIPS.contains(&name.as_str()))
    };
    let chips = host.facts.all("hwmon.celsius").iter();
    let chips = chips.filter(|f| f.instance.as_deref().is_some_and(is_cpu));
    let sensors = host.facts.all("sensors.celsius").iter();
    // Sensors that are not there report nonsense such as 127 or -128.
    let sane = |n: &i64| (1..=125).contains(n);
    let (most, origin) = chips
        .chain(sensors)
        .filter_map(|f| Some((number(f).filter(sane)?, &f.origin)))
        .max_by_key(|(n, _)| *n)?;
    Some(derived("heat.celsius", Value::Int(most), origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::testing::{host, value};

    #[test]
    fn the_largest_count_is_the_number_of_events() {
        let host = host(&[
            ("throttle.count", "cpu0/package", Value::Int(300)),
            ("throttle.count", "cpu1/package", Value::Int(300)),
            ("throttle.count", "cpu1/core", Value::Int(20)),
            ("throttle.total_ms", "cpu0/package", Value::Int(8_640_000)),
            ("host.uptime_seconds", "", Value::Int(86_400)),
        ]);
        let facts = run(&host);
        assert_eq!(value(&facts, "heat.events").unwrap(), "300");
        assert_eq!(value(&facts, "heat.events_per_day").unwrap(), "300");
        assert_eq!(value(&facts, "heat.throttled_permille").unwrap(), "100");
    }

    #[test]
    fn sensors_of_cpus_only() {
        let host = host(&[
            ("hwmon.name", "hwmon0", Value::text("nvme")),
            ("hwmon.celsius", "hwmon0", Value::Int(90)),
            ("hwmon.name", "hwmon1", Value::text("k10temp")),
            ("hwmon.celsius", "hwmon1", Value::Int(71)),
            ("sensors.celsius", "Tctl", Value::Int(127)),
        ]);
        assert_eq!(value(&run(&host), "heat.celsius").unwrap(), "71");
    }

    #[test]
    fn lines_of_one_minute_are_one_episode() {
        let seconds = |s: &[i64]| s.iter().map(|s| Stamp::Boot(s * 1_000_000)).collect::<Vec<_>>();
        assert_eq!(episodes(seconds(&[10, 10, 11, 400, 401, 900])), 3);
        let mut both = seconds(&[10, 400]);
        both.extend([Stamp::Wall(5), Stamp::Wall(400_000_000)]);
        assert_eq!(episodes(both), 2);
    }

    #[test]
    fn counts_of_one_machine_grow() {
        let log = |counts: &[i64]| -> Vec<Event> {
            let line = |(n, count): (i64, &i64)| Event {
                kind: "cpu-throttled".into(),
                origin: crate::model::Origin::new("commands/dmesg.txt", None, ""),
                stamp: Some(Stamp::Boot(n * 400_000_000)),
                writer: crate::model::Writer::Kernel,
                fields: [("events".to_owned(), count.to_string())].into(),
                key: None,
            };
            (1..).zip(counts).map(line).collect()
        };
        assert!(grows(&log(&[3, 90, 4000, 9000])));
        assert!(grows(&log(&[700, 900, 1200, 5, 40, 800, 1000])), "a boot between");
        assert!(!grows(&log(&[57_000, 8_000, 17_000])));
        assert_eq!(since_boot(&log(&[1, 2])), Some(800));
    }
}
