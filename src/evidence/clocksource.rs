//! The clock the kernel reads time from: `/sys/devices/system/clocksource/clocksource0`
//! (Documentation/timers/timekeeping.rst). What the kernel says about clocks that fail is matched
//! in its log by rules.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Clock source.
pub const SLICE: Slice = Slice { name: "clocksource", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/devices/system/clocksource/clocksource0/current_clocksource"),
    Want::file("sys/devices/system/clocksource/clocksource0/available_clocksource"),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "clock.source",
        Kind::Text,
        "Clock source in use: tsc, kvm-clock, hyperv_clocksource_tsc_page, hpet, acpi_pm, ...",
        "cat /sys/devices/system/clocksource/clocksource0/current_clocksource",
    ),
    FactDef::new(
        "clock.available",
        Kind::Words,
        "Clock sources that could be used; an unstable TSC is not among them",
        "cat /sys/devices/system/clocksource/clocksource0/available_clocksource",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let row = text.lines().next().unwrap_or_default();
    let words: Vec<&str> = row.split_whitespace().collect();
    let is_name = |w: &&str| w.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if words.is_empty() || !words.iter().all(is_name) {
        out.problem(piece.path, Some(1), "not a list of clock sources");
        return;
    }
    let origin = Origin::new(piece.path, Some(1), row);
    if piece.file_name() == "available_clocksource" {
        out.fact("clock.available", Value::words(words), origin);
    } else if let [name] = words[..] {
        out.fact("clock.source", Value::text(name), origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show};

    #[test]
    fn current_and_available() {
        let folder = "sys/devices/system/clocksource/clocksource0";
        let read = |file: &str, text| testing::read(parse, &format!("{folder}/{file}"), text);
        let out = read("current_clocksource", "kvm-clock\n");
        assert_eq!(show(&out, "clock.source").unwrap(), "kvm-clock");
        let out = read("available_clocksource", "hpet acpi_pm \n");
        assert_eq!(show(&out, "clock.available").unwrap(), "acpi_pm hpet");
        assert_eq!(read("current_clocksource", "cat: no such file\n").problems.len(), 1);
        assert_eq!(read("current_clocksource", "").problems.len(), 1);
    }
}
