//! Where the CPUs' time goes, as programs print it: vmstat(8), top(1) in batch mode, mpstat(1) and
//! sar(1) of sysstat, in all their versions.
//!
//! Shares are kept in thousandths, one value per program: the mean of its rows. The first row of
//! vmstat is the mean since boot and is left out where others follow; `Average:` of sysstat is left
//! out where the rows it sums up are there. sar's day has the largest steal of its rows too.
//!
//! Columns are found by their names: `us sy id wa st gu` (vmstat, procps 4 added `gu`),
//! `us, sy, ni, id, wa, hi, si, st` (top, also as `%us`), `%usr %sys %steal %guest %idle` (mpstat)
//! and `%user %system %steal %idle` (sar). Decimal commas are understood.
//!
//! Not parsed: single CPUs, and the processes of top.

use super::Slice;
use super::cpu_time::{after_load, hundredths, load};
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Shares of CPU time.
pub const SLICE: Slice = Slice { name: "cpu_tools", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("vmstat", &["vmstat", "1", "2"], &["sos_commands/process/vmstat*"]),
    Want::output("vmstat*"),
    Want::output("top*"),
    Want::output("mpstat*"),
    Want::output("sar*"),
    Want::command("sar-u", &[], &["sos_commands/sar/sar*"]),
    Want::given("var/log/sa/sar*"),
    Want::given("var/log/sysstat/sar*"),
];

const fn share(name: &'static str, doc: &'static str) -> FactDef {
    FactDef::per(name, Kind::Int, "program", doc, "vmstat 1 5; mpstat 1 5")
}

const FACTS: &[FactDef] = &[
    share("util.user", "Share of user mode, thousandths of all CPU time"),
    share("util.system", "Share of the kernel, thousandths"),
    share("util.idle", "Share of idling, thousandths"),
    share("util.iowait", "Share of waiting for disks, thousandths"),
    share("util.irq", "Share of interrupts, thousandths"),
    share("util.softirq", "Share of soft interrupts, thousandths"),
    share("util.steal", "Share that the hypervisor below gave to others, thousandths"),
    share("util.steal_most", "Largest share of steal in one row, thousandths"),
    share("util.guest", "Share in which vCPUs of guests ran, thousandths"),
    share("util.run_queue", "Tasks that run or want to, hundredths (r of vmstat, runq-sz of sar)"),
    share("util.blocked", "Tasks that wait for a disk, hundredths (b of vmstat)"),
];

/// A column that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    User,
    System,
    Idle,
    Iowait,
    Irq,
    Softirq,
    Steal,
    Guest,
    RunQueue,
    Blocked,
}

impl Column {
    const ALL: [Self; 10] = [
        Self::User,
        Self::System,
        Self::Idle,
        Self::Iowait,
        Self::Irq,
        Self::Softirq,
        Self::Steal,
        Self::Guest,
        Self::RunQueue,
        Self::Blocked,
    ];

    /// The column of a header's word.
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "us" | "%usr" | "%user" => Self::User,
            "sy" | "%sys" | "%system" => Self::System,
            "id" | "%idle" => Self::Idle,
            "wa" | "%iowait" => Self::Iowait,
            "hi" | "%irq" => Self::Irq,
            "si" | "%soft" => Self::Softirq,
            "st" | "%steal" => Self::Steal,
            "gu" | "%guest" => Self::Guest,
            "r" | "runq-sz" => Self::RunQueue,
            "b" => Self::Blocked,
            _ => return None,
        })
    }

    fn fact(self) -> &'static str {
        match self {
            Self::User => "util.user",
            Self::System => "util.system",
            Self::Idle => "util.idle",
            Self::Iowait => "util.iowait",
            Self::Irq => "util.irq",
            Self::Softirq => "util.softirq",
            Self::Steal => "util.steal",
            Self::Guest => "util.guest",
            Self::RunQueue => "util.run_queue",
            Self::Blocked => "util.blocked",
        }
    }

    /// Whether values are counts, which are kept in hundredths.
    fn is_count(self) -> bool {
        matches!(self, Self::RunQueue | Self::Blocked)
    }
}

/// A row: its line, and the values of its columns in hundredths.
struct Row<'a> {
    line: u32,
    text: &'a str,
    values: Vec<(Column, i64)>,
}

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let name = piece.file_name();
    let mut rows: Vec<Row<'_>>;
    if name.starts_with("top") {
        rows = top(&text);
        let head = lines(&text).find_map(|(line, row)| {
            row.trim_start().starts_with("top -").then(|| Some((line, row, after_load(row)?)))?
        });
        if let Some((line, row, values)) = head {
            load(&values, &Origin::new(piece.path, Some(line), row), piece, out);
        }
    } else {
        rows = table(&text);
        if name.starts_with("vmstat") && rows.len() > 1 {
            rows.remove(0);
        }
    }
    // What is cut at its end has lost digits or columns.
    if !piece.whole {
        let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
        rows.retain(|r| r.line < last);
    }
    if rows.is_empty() && !text.trim().is_empty() && !name.starts_with("sar") {
        out.problem(piece.path, None, "no shares of CPU time in it");
    }
    facts(&rows, piece, out);
}

/// `%Cpu(s): 11.8 us,  0.6 sy, ...`; older `Cpu(s): 11.8%us,  0.6%sy, ...`.
fn top(text: &str) -> Vec<Row<'_>> {
    let summary = |row: &str| {
        let (label, rest) = row.split_once(':')?;
        let label = label.trim().trim_start_matches('%');
        // One line per CPU (key 1) is `%Cpu0`.
        (label == "Cpu(s)").then(|| {
            // Before 100 no blank is left: `0.0 si,100.0 st`. After a digit a comma is a decimal one.
            let mut last = ' ';
            let spaced: String = rest
                .chars()
                .map(|c| {
                    let separates = c == '%' || c == ',' && last.is_ascii_alphabetic();
                    last = c;
                    if separates { ' ' } else { c }
                })
                .collect();
            let words: Vec<&str> = spaced.split_whitespace().map(|w| w.trim_matches(',')).collect();
            words
                .windows(2)
                .filter_map(|pair| Some((Column::named(pair[1])?, hundredths(pair[0])?)))
                .collect::<Vec<_>>()
        })
    };
    lines(text)
        .filter_map(|(line, text)| Some(Row { line, text, values: summary(text)? }))
        .filter(|row| !row.values.is_empty())
        .collect()
}

/// Rows under a header that names columns; several headers may follow each other.
fn table(text: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut averages = Vec::new();
    let mut header: Vec<&str> = Vec::new();
    for (line, text) in lines(text) {
        let words: Vec<&str> = text.split_whitespace().collect();
        if names_columns(&words) {
            header = words;
            continue;
        }
        // sysstat's rows begin with a time, which 12-hour locales write as two words; the header
        // begins the same way.
        if header.is_empty() || words.len() != header.len() || of_one_cpu(&header, &words) {
            continue;
        }
        // In vmstat `si` is what was swapped in, in top it is soft interrupts.
        let vmstat = header.contains(&"so");
        let values: Vec<(Column, i64)> = header
            .iter()
            .zip(&words)
            .filter(|(name, _)| !(vmstat && **name == "si"))
            .filter_map(|(name, value)| Some((Column::named(name)?, hundredths(value)?)))
            .collect();
        if values.is_empty() {
            continue;
        }
        let row = Row { line, text, values };
        if words.first().is_some_and(|w| w.ends_with(':')) {
            averages.push(row);
        } else {
            rows.push(row);
        }
    }
    if rows.is_empty() { averages } else { rows }
}

fn names_columns(words: &[&str]) -> bool {
    let known = words.iter().filter_map(|w| Column::named(w)).count();
    known >= 3 || words.contains(&"runq-sz")
}

/// Whether a row of mpstat or sar is of a single CPU.
fn of_one_cpu(header: &[&str], words: &[&str]) -> bool {
    let at = header.iter().position(|h| *h == "CPU");
    at.and_then(|at| words.get(at)).is_some_and(|cpu| *cpu != "all")
}

fn facts(rows: &[Row<'_>], piece: Piece<'_>, out: &mut Out) {
    let program = piece.file_name().trim_end_matches(".txt");
    for column in Column::ALL {
        let found: Vec<(&Row<'_>, i64)> = rows
            .iter()
            .filter_map(|row| Some((row, row.values.iter().find(|(c, _)| *c == column)?.1)))
            .collect();
        let Some((last, _)) = found.last() else { continue };
        let number = i64::try_from(found.len()).unwrap_or(i64::MAX);
        let sum = found.iter().fold(0_i64, |sum, (_, value)| sum.saturating_add(*value));
        let mean = sum / number.max(1);
        let unit = |hundredths: i64| if column.is_count() { hundredths } else { hundredths / 10 };
        let origin = |row: &Row<'_>| Origin::new(piece.path, Some(row.line), row.text);
        out.fact_of(column.fact(), program, Value::Int(unit(mean)), origin(last));
        if column == Column::Steal
            && let Some((row, most)) = found.iter().max_by_key(|(_, value)| *value)
        {
            out.fact_of("util.steal_most", program, Value::Int(unit(*most)), origin(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show};

    fn read(path: &str, text: &str) -> Out {
        testing::read(parse, path, text)
    }

    fn value(out: &Out, name: &str) -> String {
        show(out, name).unwrap_or_default()
    }

    #[test]
    fn vmstat_without_its_first_row() {
        let text = "procs -----------memory---------- ---swap-- -----io---- -system-- -------cpu-------\n \
            r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st gu\n \
            1  0      0 38500  210  18100    0    0     9    40  100  200  1  1 98  0  0  0\n\
            40  2      0 38500  210  18100    0    0     9    40  100  200 10 40 12  0 30  8\n\
            42  0      0 38500  210  18100    0    0     9    40  100  200 12 40 10  0 28 10\n";
        let out = read("commands/vmstat.txt", text);
        assert_eq!(value(&out, "util.steal"), "290");
        assert_eq!(value(&out, "util.steal_most"), "300");
        assert_eq!(value(&out, "util.guest"), "90");
        assert_eq!(value(&out, "util.run_queue"), "4100");
        assert_eq!(value(&out, "util.blocked"), "100");
        assert_eq!(out.facts[0].instance.as_deref(), Some("vmstat"));
        assert_eq!(value(&out, "util.softirq"), "", "si is what was swapped in");
    }

    #[test]
    fn top_of_both_ages() {
        let new = "top - 05:06:20 up 5 min,  1 user,  load average: 3.41, 1.10, 0.42\n\
            %Cpu(s): 11.8 us,  0.6 sy,  0.0 ni,  2.9 id,  0.0 wa, 43.1 hi,  0.1 si, 41.5 st\n";
        let out = read("commands/top.txt", new);
        assert_eq!(value(&out, "util.steal"), "415");
        assert_eq!(value(&out, "util.irq"), "431");
        assert_eq!(value(&out, "load.avg1"), "341");
        let old =
            "Cpu(s):  1.0%us,  0.5%sy,  0.0%ni, 48.5%id,  0.0%wa,  0.0%hi,  0.0%si, 50.0%st\n";
        assert_eq!(value(&read("commands/top-b-n1.txt", old), "util.steal"), "500");
        let all =
            "%Cpu(s):  0,0 us,  0,0 sy,  0,0 ni,  0,0 id,  0,0 wa,  0,0 hi,  0,0 si,100,0 st\n";
        assert_eq!(value(&read("commands/top.txt", all), "util.steal"), "1000");
    }

    #[test]
    fn sysstat_with_and_without_its_rows() {
        let mpstat = "Linux 5.10.0 (h)  03/01/24  _x86_64_ (2 CPU)\n\n\
            10:00:01     CPU    %usr   %nice    %sys %iowait    %irq   %soft  %steal  %guest  %gnice   %idle\n\
            10:00:02     all   10,00    0,00    5,00    0,00    0,00    0,00   20,50    3,00    0,00   61,50\n\
            10:00:02       0   99,00    0,00    1,00    0,00    0,00    0,00    0,00    0,00    0,00    0,00\n\
            Average:     all   10,00    0,00    5,00    0,00    0,00    0,00   99,00    3,00    0,00   61,50\n";
        let out = read("commands/mpstat.txt", mpstat);
        assert_eq!(value(&out, "util.steal"), "205");
        assert_eq!(value(&out, "util.idle"), "615");
        let sar = "12:00:01 AM     CPU     %user     %nice   %system   %iowait    %steal     %idle\n\
            12:10:01 AM     all      1.00      0.00      1.00      0.00     10.00     88.00\n\
            12:20:01 AM     all      1.00      0.00      1.00      0.00     30.00     68.00\n\
            Average:        all      1.00      0.00      1.00      0.00     20.00     78.00\n";
        let out = read("commands/sar-u.txt", sar);
        assert_eq!(value(&out, "util.steal"), "200");
        assert_eq!(value(&out, "util.steal_most"), "300");
    }

    #[test]
    fn other_text_and_cut_rows() {
        assert_eq!(read("commands/top.txt", "top: command not found\n").problems.len(), 1);
        let text = " r  b us sy id wa st\n 1  0  1  1 90  0  8\n 1  0  1  1 90  0  9\n 1  0  1  1 90  0  8";
        let out = testing::read_part(parse, "commands/vmstat.txt", text, false);
        assert_eq!(value(&out, "util.steal"), "90");
    }
}
