//! How the machine's runs ended: `last -x` (last(1), wtmp(5)).
//!
//! ```text
//! reboot   system boot  5.4.0-37-generic Fri Jun 12 17:48 - crash (15:13)
//! reboot   system boot  5.4.0-37-generic Fri Jun 12 08:10:02 2020 - Fri Jun 12 17:40:11 2020  (09:30)
//! reboot   system boot  5.4.0-37-generic Sat Jun 13 09:02   still running
//! ```
//!
//! `crash` means that another boot followed without a shutdown in between: a panic, a reset, a hang
//! that somebody ended at the power button, a loss of power. The newest run stands first.
//!
//! Not parsed: logins, run levels, and times of which `last` printed nothing but the hour.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::time::month;

/// Runs of the machine, from boot to boot.
pub const SLICE: Slice = Slice { name: "boots", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command(
        "last-x",
        &["last", "-x", "-F", "-n", "200", "reboot", "shutdown"],
        &["sos_commands/login/last_-F_reboot", "sos_commands/login/last_-F", "last"],
    ),
    Want::output("last"),
    Want::output("last-*"),
];

const LAST: &str = "last -x -F reboot shutdown";

const FACTS: &[FactDef] = &[
    FactDef::per(
        "boots.run",
        Kind::Text,
        "boot",
        "How the run that began with this boot ended: crash, shutdown, running or unknown; the boot is NUMBER [YEAR-]MM-DD HH:MM, 0000 the newest",
        LAST,
    ),
    FactDef::new(
        "boots.crashed",
        Kind::Int,
        "Runs of the machine that ended without a shutdown, of those that last(1) lists",
        LAST,
    ),
];

/// Runs that are kept.
const MOST: usize = 400;

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let end = if piece.whole { Some(text.len()) } else { text.rfind('\n') };
    let text = end.and_then(|end| text.get(..end)).unwrap_or_default();
    let mut crashed: i64 = 0;
    let mut first: Option<Origin> = None;
    let mut kept = 0;
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((start, ended)) = run(line).filter(|_| kept < MOST) else { continue };
        let origin = Origin::new(piece.path, Some(number), line);
        if ended == "crash" {
            crashed += 1;
            first.get_or_insert_with(|| origin.clone());
        }
        let instance = format!("{kept:04} {start}");
        out.fact_of("boots.run", &instance, Value::text(ended), origin.clone());
        kept += 1;
        if kept == 1 && crashed == 0 {
            first.get_or_insert(origin);
        }
    }
    if let Some(origin) = first {
        out.fact("boots.crashed", Value::Int(crashed), origin);
    }
}

/// Start of a run as `MM-DD HH:MM`, with the year where it is printed, and how it ended.
fn run(line: &str) -> Option<(String, &'static str)> {
    let rest = line.strip_prefix("reboot")?.trim_start().strip_prefix("system boot")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let at = words.iter().position(|w| month(w).is_some())?;
    let (day, clock) = (words.get(at + 1)?, words.get(at + 2)?.get(..5)?);
    let day: u8 = day.parse().ok().filter(|d| (1..=31).contains(d))?;
    let clock_like = clock.bytes().zip(*b"dd:dd").all(|(b, s)| match s {
        b'd' => b.is_ascii_digit(),
        _ => b == s,
    });
    // `last -F` prints seconds and the year.
    let long = words.get(at + 2).is_some_and(|clock| clock.len() == 8);
    let year = words.get(at + 3).filter(|y| long && y.len() == 4 && y.parse::<u16>().is_ok());
    let end = words.get(at + 3..).unwrap_or_default();
    let ended = if end.contains(&"crash") {
        "crash"
    } else if end.contains(&"running") {
        "running"
    } else if end.contains(&"-") {
        "shutdown"
    } else {
        "unknown"
    };
    let month = words.get(at).and_then(|w| month(w))?;
    let year = year.map(|y| format!("{y}-")).unwrap_or_default();
    clock_like.then(|| (format!("{year}{month:02}-{day:02} {clock}"), ended))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show};

    fn runs(out: &Out) -> Vec<(String, String)> {
        let runs = out.facts.iter().filter(|f| f.name == "boots.run");
        runs.map(|f| (f.instance.clone().unwrap(), f.value.to_string())).collect()
    }

    #[test]
    fn how_runs_ended_with_and_without_a_year() {
        let out = testing::read(
            parse,
            "commands/last-x.txt",
            "reboot   system boot  6.1.0-9-amd64    Sat Jun  3 09:02   still running\n\
             reboot   system boot  6.1.0-9-amd64    Fri Jun  2 17:48 - crash (15:13)\n\
             shutdown system down  6.1.0-9-amd64    Fri Jun  2 17:00 - 17:48  (00:48)\n\
             reboot   system boot  6.1.0-9-amd64    Fri Jun  2 08:10:02 2023 - Fri Jun  2 17:00:11 2023  (08:50)\n\
             ops      pts/0        192.0.2.7        Fri Jun  2 08:11 - 16:00  (07:49)\n\n\
             wtmp begins Thu Jun  1 09:00:00 2023\n",
        );
        let expected = [
            ("0000 06-03 09:02", "running"),
            ("0001 06-02 17:48", "crash"),
            ("0002 2023-06-02 08:10", "shutdown"),
        ];
        assert_eq!(runs(&out), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(show(&out, "boots.crashed").unwrap(), "1");
    }

    #[test]
    fn a_list_without_boots_says_nothing_of_crashes() {
        for text in
            ["", "wtmp begins Thu Jun  1 09:00:00 2023\n", "reboot system boot x Jun 99 1:2\n"]
        {
            assert!(testing::read(parse, "commands/last.txt", text).facts.is_empty(), "{text}");
        }
        let cut = "reboot   system boot  6.1.0 Fri Jun  2 17:48 - cra";
        assert!(testing::read_part(parse, "commands/last-x.txt", cut, false).facts.is_empty());
    }
}
