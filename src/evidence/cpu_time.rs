//! Where the CPUs' time goes, by the kernel's own counters: `/proc/stat`, `/proc/loadavg`, and which
//! CPUs there are (`/sys/devices/system/cpu`).
//!
//! The columns of `/proc/stat` are ticks of 1/100 s since boot, summed over all CPUs (proc_stat(5)):
//! user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice; user holds guest. Several
//! samples may be in an input, as `proc/stat.1`, `proc/stat.2` or `commands/proc-stat*.txt`; a sample
//! is an instance, named by its file. Which of two is the later one is not known here.
//!
//! A counter that ran below zero is printed as an unsigned number of 64 bits, which does not fit a
//! fact: it is kept as the largest number there is.
//!
//! Not parsed: interrupts per line, the columns of single CPUs.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// CPU time and CPUs.
pub const SLICE: Slice = Slice { name: "cpu_time", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("proc/stat"),
    Want::given("proc/stat.*"),
    // The second sample of a live collection, and of others who took several.
    Want::command("proc-stat.2", &["cat", "/proc/stat"], &[]),
    Want::output("proc-stat*"),
    Want::file("proc/loadavg"),
    Want::command("uptime", &["uptime"], &["uptime", "sos_commands/host/uptime"]),
    Want::file("sys/devices/system/cpu/online"),
    Want::file("sys/devices/system/cpu/isolated"),
    Want::file("sys/devices/system/cpu/smt/active"),
];

const fn ticks(name: &'static str, doc: &'static str) -> FactDef {
    FactDef::per(name, Kind::Int, "sample", doc, "cat /proc/stat")
}

const FACTS: &[FactDef] = &[
    ticks("procstat.user", "Ticks of 1/100 s in user mode since boot, guests included"),
    ticks("procstat.nice", "Ticks in user mode at low priority, guests included"),
    ticks("procstat.system", "Ticks in the kernel"),
    ticks("procstat.idle", "Ticks idle"),
    ticks("procstat.iowait", "Ticks idle while a task waited for a disk"),
    ticks("procstat.irq", "Ticks in interrupts"),
    ticks("procstat.softirq", "Ticks in soft interrupts"),
    ticks("procstat.steal", "Ticks in which the hypervisor below ran something else"),
    ticks("procstat.guest", "Ticks in which vCPUs of guests ran, low priority included"),
    ticks("procstat.cpus", "CPUs that the sample lists: those that are online"),
    ticks("procstat.running", "Tasks that run or want to"),
    FactDef::new(
        "load.avg1",
        Kind::Int,
        "Load average of one minute, in hundredths: tasks that run, want to, or wait for a disk",
        "cat /proc/loadavg",
    ),
    FactDef::new(
        "load.avg5",
        Kind::Int,
        "Load average of five minutes, in hundredths",
        "cat /proc/loadavg",
    ),
    FactDef::new(
        "load.avg15",
        Kind::Int,
        "Load average of fifteen minutes, in hundredths",
        "cat /proc/loadavg",
    ),
    FactDef::new("load.text", Kind::Text, "The three load averages, as printed", "uptime"),
    FactDef::new(
        "cpu.online",
        Kind::Int,
        "CPUs that are online",
        "cat /sys/devices/system/cpu/online",
    ),
    FactDef::new(
        "cpu.isolated",
        Kind::Int,
        "CPUs kept out of the scheduler by isolcpus",
        "cat /sys/devices/system/cpu/isolated",
    ),
    FactDef::new(
        "cpu.smt_active",
        Kind::Bool,
        "Whether several threads share a core",
        "cat /sys/devices/system/cpu/smt/active",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let path = piece.path;
    match path {
        "sys/devices/system/cpu/online" => cpus("cpu.online", piece, &text, out),
        "sys/devices/system/cpu/isolated" => cpus("cpu.isolated", piece, &text, out),
        "sys/devices/system/cpu/smt/active" => match text.trim() {
            on @ ("0" | "1") => {
                out.fact("cpu.smt_active", Value::Bool(on == "1"), Origin::new(path, Some(1), on));
            }
            _ => out.problem(path, Some(1), "expected 0 or 1"),
        },
        "proc/loadavg" => loadavg(piece, &text, out),
        "commands/uptime.txt" => uptime(piece, &text, out),
        _ => stat(piece, &text, out),
    }
}

/// Name of the sample that a file holds: `stat`, `stat.2`, `proc-stat.2`.
fn sample(piece: &Piece<'_>) -> String {
    piece.file_name().trim_end_matches(".txt").to_owned()
}

fn stat(piece: Piece<'_>, text: &str, out: &mut Out) {
    let sample = sample(&piece);
    let mut listed = 0;
    let mut total = None;
    for (line, row) in lines(text) {
        if row.starts_with("cpu ") {
            total = Some((line, row));
        } else if row
            .strip_prefix("cpu")
            .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))
        {
            listed += 1;
        } else if let Some(running) = row.strip_prefix("procs_running ") {
            let origin = Origin::new(piece.path, Some(line), row);
            match running.trim().parse() {
                Ok(n) => out.fact_of("procstat.running", &sample, Value::Int(n), origin),
                Err(_) => out.problem(piece.path, Some(line), "procs_running is no number"),
            }
        }
    }
    let Some((line, row)) = total else {
        if !text.trim().is_empty() {
            out.problem(piece.path, None, "no line `cpu`: not an answer of /proc/stat");
        }
        return;
    };
    // A cut last line may have lost columns or digits.
    if !piece.whole && text.lines().count() < 2 {
        return;
    }
    let origin = Origin::new(piece.path, Some(line), row);
    columns(row, &origin, &sample, piece, out);
    if listed > 0 && piece.whole {
        out.fact_of("procstat.cpus", &sample, Value::Int(listed), origin);
    }
}

/// The columns of the line `cpu`; kernels before 2.6.33 have fewer.
fn columns(row: &str, origin: &Origin, sample: &str, piece: Piece<'_>, out: &mut Out) {
    const NAMES: [&str; 8] = [
        "procstat.user",
        "procstat.nice",
        "procstat.system",
        "procstat.idle",
        "procstat.iowait",
        "procstat.irq",
        "procstat.softirq",
        "procstat.steal",
    ];
    let values: Vec<Option<i64>> = row.split_whitespace().skip(1).map(ticks_of).collect();
    if values.iter().any(Option::is_none) {
        out.problem(piece.path, origin.line, "a column is no number");
    }
    for (name, value) in NAMES.iter().zip(&values) {
        if let Some(value) = value {
            out.fact_of(name, sample, Value::Int(*value), origin.clone());
        }
    }
    if let [Some(guest), Some(nice), ..] = values.get(8..).unwrap_or_default() {
        let both = Value::Int(guest.saturating_add(*nice));
        out.fact_of("procstat.guest", sample, both, origin.clone());
    }
}

/// A counter; beyond the range of facts it is the largest number.
fn ticks_of(word: &str) -> Option<i64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(word.parse().unwrap_or(i64::MAX))
}

/// `0.42 0.40 0.38 1/240 4711`
fn loadavg(piece: Piece<'_>, text: &str, out: &mut Out) {
    let Some(row) = text.lines().next() else { return };
    let values: Vec<&str> = row.split_whitespace().take(3).collect();
    load(&values, &Origin::new(piece.path, Some(1), row), piece, out);
}

/// ` 10:11:12 up 1 day,  2:03,  1 user,  load average: 0.42, 0.40, 0.38`, also at the head of `top`.
fn uptime(piece: Piece<'_>, text: &str, out: &mut Out) {
    let found = lines(text).find_map(|(line, row)| Some((line, row, after_load(row)?)));
    match found {
        Some((line, row, values)) => {
            load(&values, &Origin::new(piece.path, Some(line), row), piece, out);
        }
        None if text.trim().is_empty() => {}
        None => out.problem(piece.path, None, "no load average in it"),
    }
}

/// The three words after `load average:`; decimal commas of other locales are understood.
pub(super) fn after_load(row: &str) -> Option<Vec<&str>> {
    let at = row.find("load average")?;
    let (_, rest) = row.get(at..)?.split_once(':')?;
    let words = rest.split_whitespace().take(3).map(|w| w.trim_end_matches(','));
    Some(words.collect())
}

/// Makes the facts of three load averages.
pub(super) fn load(values: &[&str], origin: &Origin, piece: Piece<'_>, out: &mut Out) {
    let parsed: Vec<i64> = values.iter().filter_map(|w| hundredths(w)).collect();
    let [one, five, fifteen] = parsed[..] else {
        out.problem(piece.path, origin.line, "expected three load averages");
        return;
    };
    out.fact("load.avg1", Value::Int(one), origin.clone());
    out.fact("load.avg5", Value::Int(five), origin.clone());
    out.fact("load.avg15", Value::Int(fifteen), origin.clone());
    out.fact("load.text", Value::text(values.join(" ")), origin.clone());
}

/// `58.45` is 5845.
pub(super) fn hundredths(word: &str) -> Option<i64> {
    let (whole, part) = word.split_once(['.', ',']).unwrap_or((word, "0"));
    let digit =
        |at: usize| part.as_bytes().get(at).map_or(Some(0), |b| char::from(*b).to_digit(10));
    let whole: i64 = whole.parse().ok()?;
    let cents = i64::from(digit(0)? * 10 + digit(1)?);
    whole.checked_mul(100)?.checked_add(cents)
}

/// Number of CPUs in a list such as `0-7,16-23`; empty is none.
fn cpus(name: &'static str, piece: Piece<'_>, text: &str, out: &mut Out) {
    let row = text.trim();
    match count(row) {
        // An empty list of isolated CPUs is an answer, an empty list of online ones is not.
        Some(0) if name == "cpu.online" => {}
        Some(n) => out.fact(name, Value::Int(n), Origin::new(piece.path, Some(1), row)),
        None => out.problem(piece.path, Some(1), "not a list of CPUs"),
    }
}

/// How many CPUs a list names.
pub(super) fn count(list: &str) -> Option<i64> {
    let mut sum: i64 = 0;
    for part in list.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (i64, i64) = (from.parse().ok()?, to.parse().ok()?);
        let number = to.checked_sub(from)?.checked_add(1).filter(|n| *n > 0)?;
        sum = sum.checked_add(number)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show};

    fn read(path: &str, text: &str) -> Out {
        testing::read(parse, path, text)
    }

    #[test]
    fn the_columns_of_a_guest_with_steal() {
        let text = "cpu  10 2 30 400 5 6 7 80 9 1\ncpu0 5 1 15 200 2 3 3 40 4 0\n\
                    cpu1 5 1 15 200 3 3 4 40 5 1\nintr 1\nprocs_running 3\n";
        let out = read("proc/stat", text);
        for (name, value) in [
            ("procstat.user", "10"),
            ("procstat.idle", "400"),
            ("procstat.steal", "80"),
            ("procstat.guest", "10"),
            ("procstat.cpus", "2"),
            ("procstat.running", "3"),
        ] {
            assert_eq!(show(&out, name).as_deref(), Some(value), "{name}");
        }
        assert!(out.facts.iter().all(|f| f.instance.as_deref() == Some("stat")));
    }

    #[test]
    fn a_counter_below_zero_is_not_lost() {
        let out = read("proc/stat.2", "cpu  1 1 1 1 1 1 1 18446744073709551000 0 0\nctxt 1\n");
        assert_eq!(show(&out, "procstat.steal").unwrap(), i64::MAX.to_string());
        assert_eq!(out.facts[0].instance.as_deref(), Some("stat.2"));
    }

    #[test]
    fn load_in_its_places() {
        let out = read("proc/loadavg", "58.45 7.3 56 57/544 68193\n");
        assert_eq!(show(&out, "load.avg1").unwrap(), "5845");
        assert_eq!(show(&out, "load.avg5").unwrap(), "730");
        assert_eq!(show(&out, "load.avg15").unwrap(), "5600");
        let text = " 04:53:36 up 9 days, 23:13,  1 user,  load average: 9,60, 8,64, 7,68\n";
        assert_eq!(show(&read("commands/uptime.txt", text), "load.avg15").unwrap(), "768");
    }

    #[test]
    fn lists_of_cpus() {
        let online = |text| show(&read("sys/devices/system/cpu/online", text), "cpu.online");
        assert_eq!(online("0-15\n").as_deref(), Some("16"));
        assert_eq!(online("0,2-3,8\n").as_deref(), Some("4"));
        assert_eq!(online("\n"), None);
        let isolated = read("sys/devices/system/cpu/isolated", "\n");
        assert_eq!(show(&isolated, "cpu.isolated").unwrap(), "0");
    }

    #[test]
    fn what_is_broken_costs_only_itself() {
        for (path, text) in [
            ("proc/stat", "no such file\n"),
            ("proc/loadavg", "much\n"),
            ("sys/devices/system/cpu/online", "9-3\n"),
            ("commands/uptime.txt", "uptime: not found\n"),
        ] {
            let out = read(path, text);
            assert!(out.facts.is_empty() && out.problems.len() == 1, "{path}");
        }
        let out = read("proc/stat", "cpu  1 x 3 4\n");
        assert_eq!(show(&out, "procstat.system").unwrap(), "3");
        assert_eq!(out.problems.len(), 1);
    }
}
