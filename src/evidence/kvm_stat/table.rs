//! What kvm_stat(1) and `perf stat` print.
//!
//! kvm_stat has three forms. Batch (`-1`, `--once`, `--batch`): `NAME TOTAL CURRENT`, one second
//! apart. Screen, as people copy it: `Event Total %Total CurAvg/s` (older `Current`), where an event
//! that did not happen has no last column. Log (`-l`, `-L FILE`, with `-c` as CSV): a row of names,
//! then rows of numbers, each what happened since the row before, one second by default; newer ones
//! begin with a time.

use super::super::cpu_time::hundredths;
use crate::model::{Origin, Out, Piece, Value};
use crate::parse::lines;

/// Output of kvm_stat in any of its forms.
pub(super) fn kvm_stat(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut log: Option<Log<'_>> = None;
    let mut percents = false;
    let mut understood = text.trim().is_empty();
    let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    for (line, row) in lines(text).filter(|(line, _)| piece.whole || *line < last) {
        let words: Vec<&str> =
            row.split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty()).collect();
        percents |= row.contains("%Total");
        if let Some(names) = names(&words) {
            // The banner is repeated every twenty rows.
            log.get_or_insert(Log { names, sums: Vec::new(), rows: 0, last: (line, row) });
        } else if let Some(log) = &mut log {
            understood |= log.add(&words, line, row);
        } else if let Some((name, total, rate)) = event(&words, percents) {
            let origin = Origin::new(piece.path, Some(line), row);
            if let Some(total) = total {
                out.fact_of("kvmcount.total", name, Value::Int(total), origin.clone());
            }
            out.fact_of("kvmcount.rate", name, Value::Int(rate), origin);
            understood = true;
        }
    }
    if let Some(log) = log {
        log.facts(piece, out);
    }
    if !understood {
        out.problem(piece.path, None, "no counters of KVM in it");
    }
}

/// A row of names only: the banner of a log.
fn names<'a>(words: &[&'a str]) -> Option<Vec<&'a str>> {
    let is_name = |w: &&str| w.starts_with(|c: char| c.is_ascii_lowercase()) && !w.contains('%');
    let names: Vec<&str> = words.iter().copied().filter(|w| *w != "timestamp").collect();
    (names.len() >= 6 && names.iter().all(is_name)).then_some(names)
}

/// The numbers of a log, summed up.
struct Log<'a> {
    names: Vec<&'a str>,
    sums: Vec<i64>,
    rows: i64,
    last: (u32, &'a str),
}

impl<'a> Log<'a> {
    /// Adds a row; whether it was one.
    fn add(&mut self, words: &[&str], line: u32, text: &'a str) -> bool {
        // A time may stand before the numbers: `2024-05-01 10:00:00`.
        let stamp = words.iter().take_while(|w| w.contains(['-', ':'])).count();
        let values: Vec<i64> = words.iter().skip(stamp).map_while(|w| w.parse().ok()).collect();
        if values.len() != self.names.len() || words.len() != stamp + values.len() {
            return false;
        }
        self.sums.resize(values.len(), 0);
        for (sum, value) in self.sums.iter_mut().zip(&values) {
            *sum = sum.saturating_add(*value);
        }
        self.rows += 1;
        self.last = (line, text);
        true
    }

    fn facts(&self, piece: Piece<'_>, out: &mut Out) {
        let origin = Origin::new(piece.path, Some(self.last.0), self.last.1);
        for (name, sum) in self.names.iter().zip(&self.sums) {
            let mean = sum / self.rows.max(1);
            out.fact_of("kvmcount.rate", name, Value::Int(mean), origin.clone());
        }
    }
}

/// A row of batch or screen: name, total if there is one, and rate.
fn event<'a>(words: &[&'a str], percents: bool) -> Option<(&'a str, Option<i64>, i64)> {
    let (name, numbers) = words.split_first()?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-()".contains(&b));
    if !is_name || matches!(*name, "Total" | "Event") {
        return None;
    }
    match numbers {
        // The screen leaves the rate of what did not happen empty.
        [total, share] if percents && share.contains('.') => Some((name, total.parse().ok(), 0)),
        [total, share, rate] if percents && share.contains('.') => {
            Some((name, Some(total.parse().ok()?), whole(rate)?))
        }
        [total, rate] if !percents => Some((name, Some(total.parse().ok()?), whole(rate)?)),
        _ => None,
    }
}

/// A rate, with or without decimals.
fn whole(word: &str) -> Option<i64> {
    Some(hundredths(word)? / 100)
}

/// `perf stat -e 'kvm:*'`: counts, and the time they took at the end.
pub(super) fn perf(piece: Piece<'_>, text: &str, out: &mut Out) {
    let elapsed = text.lines().find_map(|row| {
        let seconds = row.trim().strip_suffix("seconds time elapsed")?.trim();
        hundredths(&seconds.replace(',', "."))
    });
    for (line, row) in lines(text) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [count, event, ..] = words[..] else { continue };
        let Some(name) = event.strip_prefix("kvm:") else { continue };
        let digits = count.replace([',', '.', '\u{202f}', '\u{a0}'], "");
        let (Ok(count), Some(elapsed)) = (digits.parse::<i64>(), elapsed.filter(|e| *e > 0)) else {
            continue;
        };
        let rate = count.saturating_mul(100) / elapsed;
        let origin = Origin::new(piece.path, Some(line), row);
        out.fact_of("kvmcount.rate", name, Value::Int(rate), origin);
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing;

    fn rates(path: &str, text: &str) -> Vec<String> {
        let out = testing::read(parse, path, text);
        let rate = out.facts.iter().filter(|f| f.name == "kvmcount.rate");
        let shown = rate.map(|f| format!("{}={}", f.instance.as_deref().unwrap_or(""), f.value));
        shown.chain(out.problems.iter().map(|p| p.what.clone())).collect()
    }

    #[test]
    fn batch_with_names_of_tracepoints() {
        let text = "exits                                    7930671     21100\n\
                    halt_exits                                 10900        12\n\
                    kvm_exit(HLT)                              10900        12\n";
        let expected = ["exits=21100", "halt_exits=12", "kvm_exit(HLT)=12"];
        assert_eq!(rates("commands/kvm_stat.txt", text), expected);
    }

    #[test]
    fn the_screen_with_an_idle_event() {
        let text = "kvm statistics - summary\n\n Event                Total %Total CurAvg/s\n \
                    kvm_exit           7930671   49.0     9211\n kvm_hypercall           12    0.0\n \
                    Total             16184384           18000\n";
        assert_eq!(rates("commands/kvm_stat.txt", text), ["kvm_exit=9211", "kvm_hypercall=0"]);
    }

    #[test]
    fn logs_with_and_without_times() {
        let text = "exits fpu_reload halt_exits host_state_reload io_exits irq_exits\n \
                    100 1 10 4 5 6\n 300 1 30 4 5 6\n\
                    exits fpu_reload halt_exits host_state_reload io_exits irq_exits\n 200 1 20 4 5 6\n";
        let found = rates("commands/kvm_stat-l.txt", text);
        assert_eq!(found[0], "exits=200");
        assert_eq!(found[2], "halt_exits=20");
        let csv = "timestamp,exits,fpu_reload,halt_exits,host_state_reload,io_exits,irq_exits\n\
                   2024-05-01 10:00:00,100,1,10,4,5,6\n";
        assert_eq!(rates("commands/kvm_stat-csv.txt", csv)[0], "exits=100");
    }

    #[test]
    fn counts_of_perf_and_other_text() {
        let text = " Performance counter stats for 'system wide':\n\n\
                    \x20  1,200,000      kvm:kvm_exit\n         600      kvm:kvm_pio   (33.1%)\n\n\
                    \x20     2.000512 seconds time elapsed\n";
        let expected = ["kvm_exit=600000", "kvm_pio=300"];
        assert_eq!(rates("commands/perf-stat.txt", text), expected);
        let refused = "Please mount debugfs ('mount -t debugfs debugfs /sys/kernel/debug')\n";
        assert_eq!(rates("commands/kvm_stat.txt", refused), ["no counters of KVM in it"]);
    }
}
