//! The machine's clock: when it booted, when the evidence was taken, how far local time is from
//! UTC. Without these the logs of two machines cannot be laid side by side.
//!
//! `/proc/stat` has the time of boot as `btime`, in seconds since the Unix epoch (proc_stat(5));
//! `timedatectl` prints the zone as `Time zone: Europe/Berlin (CEST, +0200)`; `date` prints
//! `Sat Nov 22 20:18:44 UTC 2025` in the C locale. Other locales' dates are not parsed.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::{lines, time};

/// The machine's clock.
pub const SLICE: Slice = Slice { name: "clock", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("proc/stat"),
    Want::command(
        "timedatectl",
        &["timedatectl", "status"],
        &["sos_commands/systemd/timedatectl", "sos_commands/date/timedatectl"],
    ),
    Want::command("date", &["date"], &["date", "sos_commands/date/date"]),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "clock.boot_time",
        Kind::Int,
        "when the machine booted, in seconds since the Unix epoch, btime of /proc/stat",
        "grep btime /proc/stat",
    ),
    FactDef::new(
        "clock.taken",
        Kind::Int,
        "when the evidence was taken, in seconds since the Unix epoch",
        "date",
    ),
    FactDef::new(
        "clock.utc_offset_minutes",
        Kind::Int,
        "how far local time is ahead of UTC, in minutes",
        "timedatectl",
    ),
    FactDef::new(
        "clock.synchronized",
        Kind::Bool,
        "whether the clock is kept in step by NTP or PTP",
        "timedatectl",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    match piece.path {
        "proc/stat" => stat(piece, &text, out),
        path if path.contains("timedatectl") => timedatectl(piece, &text, out),
        _ => date(piece, &text, out),
    }
}

fn stat(piece: Piece<'_>, text: &str, out: &mut Out) {
    let Some((number, line)) = lines(text).find(|(_, l)| l.starts_with("btime ")) else { return };
    // A cut file may have lost digits of its last line.
    if !piece.whole && text.lines().last() == Some(line) {
        return;
    }
    let origin = Origin::new(piece.path, Some(number), line);
    match line["btime ".len()..].trim().parse() {
        Ok(seconds) => out.fact("clock.boot_time", Value::Int(seconds), origin),
        Err(error) => out.problem(piece.path, Some(number), format!("btime: {error}")),
    }
}

fn timedatectl(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (number, line) in lines(text) {
        let Some((key, value)) = line.split_once(": ") else { continue };
        let origin = Origin::new(piece.path, Some(number), line);
        match key.trim() {
            // Timezone: before systemd 217.
            "Time zone" | "Timezone" => {
                let offset = value.rsplit([' ', '(']).next().map(|w| w.trim_end_matches(')'));
                if let Some((_, micros)) = offset.and_then(|o| time::zone(o).ok()) {
                    out.fact("clock.utc_offset_minutes", minutes(micros), origin);
                }
            }
            "System clock synchronized" | "NTP synchronized" => {
                out.fact("clock.synchronized", Value::Bool(value.trim() == "yes"), origin);
            }
            _ => {}
        }
    }
}

fn minutes(micros: i64) -> Value {
    Value::Int(micros / time::SECOND / 60)
}

/// `Sat Nov 22 20:18:44 UTC 2025`, and the `Sat 22 Nov 2025 08:18:44 PM UTC` of newer coreutils.
fn date(piece: Piece<'_>, text: &str, out: &mut Out) {
    let Some((number, line)) = lines(text).find(|(_, l)| !l.trim().is_empty()) else { return };
    let Some((micros, offset)) = moment(line) else { return };
    let origin = Origin::new(piece.path, Some(number), line);
    out.fact("clock.utc_offset_minutes", minutes(offset), origin.clone());
    out.fact("clock.taken", Value::Int((micros - offset) / time::SECOND), origin);
}

/// Local microseconds since the Unix epoch, and the zone's offset in microseconds.
fn moment(line: &str) -> Option<(i64, i64)> {
    const MONTHS: &[&str] =
        &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = line.split_whitespace().collect();
    let month = words.iter().find_map(|w| MONTHS.iter().position(|m| m == w))? + 1;
    let number = |digits: usize| {
        let mut numbers = words.iter().filter(|w| (1..=digits).contains(&w.len()));
        numbers.find_map(|w| w.parse::<i64>().ok().filter(|_| digits == 2 || w.len() == 4))
    };
    let date = time::date(number(4)?, i64::try_from(month).ok()?, number(2)?)?;
    let (mut clock, _) = words.iter().find_map(|w| time::clock(w).ok().map(|(_, c)| c))?;
    let hours = clock / time::SECOND / 3600;
    match () {
        () if words.contains(&"PM") && hours < 12 => clock += 12 * 3600 * time::SECOND,
        () if words.contains(&"AM") && hours == 12 => clock -= 12 * 3600 * time::SECOND,
        () => {}
    }
    let zone = words.iter().find_map(|w| zone(w))?;
    Some((time::wall(date, clock)?, zone))
}

/// A zone by its abbreviation or offset; a year is none.
fn zone(word: &str) -> Option<i64> {
    let looks = word.starts_with(['+', '-']) || word.bytes().all(|b| b.is_ascii_uppercase());
    time::zone_named(word).filter(|_| looks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn int(path: &str, text: &str, name: &str) -> Option<i64> {
        testing::read(parse, path, text).facts.into_iter().find(|f| f.name == name).and_then(|f| {
            match f.value {
                Value::Int(i) => Some(i),
                _ => None,
            }
        })
    }

    #[test]
    fn boot_time() {
        let text = "cpu  1 2 3 4\nctxt 5\nbtime 1700000000\nprocesses 6\n";
        assert_eq!(int("proc/stat", text, "clock.boot_time"), Some(1_700_000_000));
        let mut out = Out::default();
        let cut = Piece { path: "proc/stat", bytes: b"cpu 1\nbtime 17000", whole: false };
        parse(cut, &mut out);
        assert!(out.facts.is_empty(), "digits may be lost");
    }

    #[test]
    fn zones_of_timedatectl() {
        let text = "      Local time: Sat 2025-11-22 21:18:44 CET\n       Time zone: Europe/Berlin (CET, +0100)\nSystem clock synchronized: no\n";
        let path = "commands/timedatectl.txt";
        assert_eq!(int(path, text, "clock.utc_offset_minutes"), Some(60));
        let old = "        Timezone: Asia/Kolkata (IST, +0530)\n NTP synchronized: yes\n";
        assert_eq!(int(path, old, "clock.utc_offset_minutes"), Some(330));
    }

    #[test]
    fn dates_of_the_c_locale_and_of_newer_coreutils() {
        let path = "commands/date.txt";
        let taken = |text| int(path, text, "clock.taken");
        // 2025-11-22T20:18:44Z
        assert_eq!(taken("Sat Nov 22 20:18:44 UTC 2025\n"), Some(1_763_842_724));
        assert_eq!(taken("Sat 22 Nov 2025 08:18:44 PM UTC\n"), Some(1_763_842_724));
        assert_eq!(taken("Sat Nov 22 21:18:44 CET 2025\n"), Some(1_763_842_724));
        assert_eq!(
            int(path, "Sat Nov 22 21:18:44 CET 2025\n", "clock.utc_offset_minutes"),
            Some(60)
        );
        assert_eq!(taken("Sa 22. Nov 21:18:44 CET 2025\n"), None, "another locale is not guessed");
        assert_eq!(taken("date: not found\n"), None);
    }
}
