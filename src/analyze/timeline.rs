//! One time line for all layers.
//!
//! Logs give the time in three ways: since boot (dmesg), as a date without a year in local time
//! (RFC 3164), and in full. Each is brought to microseconds since the Unix epoch by what is known
//! of its host's clock; a stamp that cannot be placed is left out, never guessed. A guest's clock
//! can be off: how much is estimated from the one thing both sides log, the guest's start.

use super::{Analyzer, Run, derived};
use crate::model::{Event, Fact, FactDef, Host, Kind, Moment, Stack, Stamp, Value};

/// The skew between the clocks of a guest and its host.
pub const ANALYZER: Analyzer = Analyzer { name: "timeline", facts: FACTS, run: Run::Stack(skews) };

const FACTS: &[FactDef] = &[FactDef::new(
    "clock.skew_seconds",
    Kind::Int,
    "how many seconds this guest's clock is ahead of its host's, estimated from its start; 0 where they agree within the time a start takes",
    "date; ssh HOST date",
)];

const SECOND: i64 = 1_000_000;
/// From the start of QEMU to the guest's kernel: firmware, boot loader and their menus.
const START: std::ops::RangeInclusive<i64> = 0..=90;
/// What such a start takes at the least, in seconds, where the clocks disagree.
const USUAL_START: i64 = 3;
/// Beyond this many seconds the start in the log and the boot of the guest are not the same event.
const SAME_START: i64 = 600;
/// Stamps that may lie after the newest thing known of a host, in microseconds: clocks are set back.
const LATER: i64 = 86_400 * SECOND;

/// All events of all hosts that can be placed, in the order they happened.
pub fn timeline(stack: &Stack) -> Vec<Moment> {
    let mut moments = Vec::new();
    for (index, host) in stack.hosts.iter().enumerate() {
        let clock = Clock::of(stack, index);
        let events = host.events.iter().filter(|e| e.kind != "boot");
        moments.extend(events.filter_map(|event| {
            let at = clock.place(event.stamp?)?;
            let (kind, origin) = (event.kind.clone(), event.origin.clone());
            Some(Moment { at, host: index, kind, origin })
        }));
    }
    moments.sort_by(|a, b| (a.at, a.host, &a.origin).cmp(&(b.at, b.host, &b.origin)));
    moments
}

/// What is known of a host's clock; all in microseconds.
struct Clock {
    boot: Option<i64>,
    /// The newest moment that is known of the host.
    newest: Option<i64>,
    /// Local time is ahead of UTC by this.
    offset: i64,
    /// Ahead of the clock of the lowest host by this.
    skew: i64,
}

impl Clock {
    fn of(stack: &Stack, index: usize) -> Self {
        let host = &stack.hosts[index];
        let seconds = |name| host.facts.int(name).and_then(|s| s.checked_mul(SECOND));
        let boot = seconds("clock.boot_time");
        let uptime = seconds("host.uptime_seconds");
        let logged = host.events.iter().filter_map(|e| match e.stamp {
            Some(Stamp::Wall(at)) => Some(at),
            _ => None,
        });
        let taken = boot.zip(uptime).and_then(|(b, u)| b.checked_add(u));
        let newest = seconds("clock.taken").or(taken).or_else(|| logged.max());
        let offset = host.facts.int("clock.utc_offset_minutes");
        let offset = offset.and_then(|m| m.checked_mul(60 * SECOND)).unwrap_or(0);
        Self { boot, newest, offset, skew: skew(stack, index, 0) }
    }

    fn place(&self, stamp: Stamp) -> Option<i64> {
        let at = match stamp {
            Stamp::Wall(at) => at,
            Stamp::Boot(since) => self.boot?.checked_add(since)?,
            Stamp::Yearless(since) => {
                in_year(since, self.newest?.checked_add(self.offset)?)?.checked_sub(self.offset)?
            }
        };
        at.checked_sub(self.skew)
    }
}

/// The skews of a guest and of all below it.
fn skew(stack: &Stack, index: usize, depth: usize) -> i64 {
    let Some(host) = stack.hosts.get(index).filter(|_| depth < stack.hosts.len()) else { return 0 };
    let own = host.facts.int("clock.skew_seconds").unwrap_or(0).saturating_mul(SECOND);
    own.saturating_add(host.carrier.map_or(0, |below| skew(stack, below, depth + 1)))
}

/// The latest day of that month and day that is not after `newest`; both in local time.
fn in_year(since: i64, newest: i64) -> Option<i64> {
    const LEAP_START: i64 = 946_684_800 * SECOND; // 2000-01-01, whose calendar `since` is in
    let place = jiff::Timestamp::from_microsecond(LEAP_START.checked_add(since)?).ok()?;
    let place = jiff::tz::Offset::UTC.to_datetime(place);
    let newest_day = jiff::Timestamp::from_microsecond(newest).ok()?;
    let year = jiff::tz::Offset::UTC.to_datetime(newest_day).year();
    let in_year = |year: i16| {
        let date = jiff::civil::Date::new(year, place.month(), place.day()).ok()?;
        let moment = jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(place.time())).ok()?;
        Some(moment.as_microsecond())
    };
    [year + 1, year, year - 1].into_iter().filter_map(in_year).find(|at| *at <= newest + LATER)
}

fn skews(stack: &Stack) -> Vec<(usize, Fact)> {
    (0..stack.hosts.len())
        .filter_map(|guest| {
            let host = stack.hosts.get(stack.hosts[guest].carrier?)?;
            Some((guest, skew_of(host, &stack.hosts[guest])?))
        })
        .collect()
}

/// The guest's time of boot against the start of its QEMU that is nearest to it.
fn skew_of(host: &Host, guest: &Host) -> Option<Fact> {
    let boot = guest.facts.int("clock.boot_time")?;
    let domain = domain_of(host, guest)?;
    let log = format!("/{domain}.log");
    let starts = host.events.of("libvirt-domain-started").iter().filter_map(|event| {
        let Some(Stamp::Wall(at)) = event.stamp else { return None };
        Some((boot - at / SECOND, event)).filter(|(_, e)| e.origin.source.ends_with(&log))
    });
    let (late, event): (i64, &Event) = starts.min_by_key(|(late, _)| late.abs())?;
    if late.abs() > SAME_START {
        return None;
    }
    let skew = if START.contains(&late) { 0 } else { late - USUAL_START };
    Some(derived("clock.skew_seconds", Value::Int(skew), &event.origin))
}

/// The name under which a guest runs on its host.
fn domain_of(host: &Host, guest: &Host) -> Option<String> {
    let uuid = guest.facts.text("dmi.product_uuid").map(str::to_ascii_lowercase);
    let uuids = host.facts.all("domain.uuid").iter();
    let by_uuid = uuids
        .filter(|f| uuid.as_ref().is_some_and(|u| f.value.to_string().to_ascii_lowercase() == *u))
        .find_map(|f| f.instance.clone());
    by_uuid.or_else(|| {
        let name = guest.name().split('.').next().unwrap_or("");
        host.facts.of("domain.type", name).map(|_| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Layer, Origin, Writer};

    fn host(layer: Layer, facts: &[(&'static str, i64)]) -> Host {
        let mut host = Host::new("x", layer, "x");
        for (name, value) in facts {
            let (instance, origin) = (None, Origin::default());
            host.facts.add(Fact { name, instance, value: Value::Int(*value), origin });
        }
        host
    }

    fn logs(host: &mut Host, kind: &str, source: &str, stamp: Stamp) {
        host.events.add(Event {
            kind: kind.to_owned(),
            origin: Origin::new(source, Some(1), ""),
            stamp: Some(stamp),
            writer: Writer::Kernel,
            fields: BTreeMap::new(),
            key: None,
        });
    }

    /// 2026-01-02T03:04:05Z
    const NOW: i64 = 1_767_323_045;
    const DAY: i64 = 86_400;

    #[test]
    fn stamps_of_three_clocks_fall_into_one_order() {
        let facts = [
            ("clock.boot_time", NOW - 100),
            ("host.uptime_seconds", 100),
            ("clock.utc_offset_minutes", 60),
        ];
        let mut machine = host(Layer::L0, &facts);
        logs(&mut machine, "third", "dmesg", Stamp::Boot(90 * SECOND));
        logs(&mut machine, "second", "audit", Stamp::Wall((NOW - 20) * SECOND));
        // 31 December of the year before, 23:00 in local time: 22:00 UTC.
        logs(&mut machine, "first", "syslog", Stamp::Yearless((365 * DAY + 23 * 3600) * SECOND));
        let stack = Stack { hosts: vec![machine], ..Stack::default() };
        let moments: Vec<_> =
            timeline(&stack).into_iter().map(|m| (m.kind, m.at / SECOND)).collect();
        let new_year = NOW - DAY - 3 * 3600 - 4 * 60 - 5;
        assert_eq!(
            moments,
            [
                ("first".to_owned(), new_year - 2 * 3600),
                ("second".to_owned(), NOW - 20),
                ("third".to_owned(), NOW - 10)
            ]
        );
    }

    #[test]
    fn what_cannot_be_placed_is_left_out() {
        let mut machine = host(Layer::L0, &[]);
        logs(&mut machine, "a", "dmesg", Stamp::Boot(5));
        logs(&mut machine, "b", "syslog", Stamp::Yearless(5));
        let stack = Stack { hosts: vec![machine], ..Stack::default() };
        assert!(timeline(&stack).is_empty());
    }

    /// A guest whose kernel came up `late` seconds after its QEMU, by its own clock.
    fn started(late: i64) -> Option<i64> {
        let mut below = host(Layer::L0, &[]);
        let kind = Value::text("kvm");
        let instance = Some("vm".to_owned());
        below.facts.add(Fact {
            name: "domain.type",
            instance,
            value: kind,
            origin: Origin::default(),
        });
        logs(
            &mut below,
            "libvirt-domain-started",
            "var/log/libvirt/qemu/vm.log",
            Stamp::Wall(NOW * SECOND),
        );
        logs(
            &mut below,
            "libvirt-domain-started",
            "var/log/libvirt/qemu/other.log",
            Stamp::Wall((NOW + late) * SECOND),
        );
        let mut guest = host(Layer::L1, &[("clock.boot_time", NOW + late)]);
        let name = Value::text("vm.example");
        guest.facts.add(Fact {
            name: "host.name",
            instance: None,
            value: name,
            origin: Origin::default(),
        });
        guest.carrier = Some(0);
        let stack = Stack { hosts: vec![below, guest], ..Stack::default() };
        let facts = skews(&stack);
        facts.first().map(|(index, fact)| match (index, &fact.value) {
            (1, Value::Int(skew)) => *skew,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_guests_start_shows_the_skew_of_its_clock() {
        assert_eq!(started(12), Some(0), "that is how long firmware takes");
        assert_eq!(started(-120), Some(-123));
        assert_eq!(started(240), Some(237));
        assert_eq!(
            started(7200),
            None,
            "the guest was rebooted since, or the clock is worse than this can tell"
        );
    }
}
