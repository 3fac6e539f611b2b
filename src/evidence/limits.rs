//! How much memory processes may lock, RLIMIT_MEMLOCK: getrlimit(2).
//!
//! From /proc/PID/limits (proc_pid_limits(5)), `prlimit`, and `ulimit -l` or `ulimit -a` of a
//! shell. A live host gives the limits of the collecting session only, which a guest started by
//! hand from it inherits: there is no read-only way to name just the VMMs' processes. Those of
//! libvirt's services come with the control groups.
//!
//! Not parsed: the other limits.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Limits of processes.
pub const SLICE: Slice = Slice { name: "limits", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("proc/self/limits"),
    Want::given("proc/*/limits"),
    Want::output("prlimit*"),
    Want::output("ulimit*"),
];

const fn process(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    let per = "process id, self or shell";
    FactDef { name, kind, per, doc, command: "prlimit --memlock --pid PID; ulimit -l" }
}

const FACTS: &[FactDef] = &[
    process("process.memlock_kib", Kind::Int, "Memory that a process may lock, KiB (soft limit)"),
    process("process.memlock_unlimited", Kind::Bool, "Whether a process may lock all memory"),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let instance = match piece.path.strip_prefix("proc/") {
        Some(rest) => rest.split('/').next().unwrap_or_default().to_owned(),
        None => {
            let name = piece.file_name().trim_end_matches(".txt");
            let id = name.strip_prefix("prlimit-").filter(|id| !id.is_empty());
            id.map_or_else(|| "shell".to_owned(), str::to_owned)
        }
    };
    let count = text.lines().count();
    for (number, line) in lines(&text) {
        let Some((value, in_kib)) = soft_limit(line, count == 1) else { continue };
        let origin = Origin::new(piece.path, Some(number), line);
        let unlimited = matches!(value, "unlimited" | "infinity");
        match value.parse::<u64>() {
            Ok(amount) => {
                let kib = if in_kib { amount } else { amount >> 10 };
                let kib = Value::Int(i64::try_from(kib).unwrap_or(i64::MAX));
                let no = Value::Bool(false);
                out.fact_of("process.memlock_unlimited", &instance, no, origin.clone());
                out.fact_of("process.memlock_kib", &instance, kib, origin);
            }
            Err(_) if unlimited => {
                let yes = Value::Bool(true);
                out.fact_of("process.memlock_unlimited", &instance, yes, origin);
            }
            Err(_) => out.problem(piece.path, Some(number), "the limit is no number"),
        }
    }
}

/// The soft limit of a line about locked memory, and whether it is in KiB.
fn soft_limit(line: &str, alone: bool) -> Option<(&str, bool)> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("Max locked memory") {
        return Some((rest.split_whitespace().next()?, false));
    }
    if let Some(rest) = line.strip_prefix("MEMLOCK") {
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("max locked-in-memory address space").unwrap_or(rest);
        return Some((rest.split_whitespace().next()?, false));
    }
    if line.starts_with("max locked memory") {
        return Some((line.split_whitespace().next_back()?, true));
    }
    // The only line of `ulimit -l`.
    let only = alone && !line.is_empty() && !line.contains(char::is_whitespace);
    only.then_some((line, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{read, show};

    #[test]
    fn every_tool_shows_the_same_limit() {
        for (path, text) in [
            (
                "proc/4711/limits",
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max locked memory         8388608              16777216             bytes     \n",
            ),
            (
                "commands/prlimit-4711.txt",
                "RESOURCE DESCRIPTION                        SOFT     HARD UNITS\n\
                 MEMLOCK  max locked-in-memory address space 8388608 16777216 bytes\n",
            ),
            ("commands/ulimit-a.txt", "max locked memory       (kbytes, -l) 8192\nstack 1\n"),
            ("commands/ulimit-l.txt", "8192\n"),
        ] {
            let out = read(parse, path, text);
            assert_eq!(show(&out, "process.memlock_kib").as_deref(), Some("8192"), "{path}");
            assert_eq!(show(&out, "process.memlock_unlimited").as_deref(), Some("false"));
        }
        let out = read(parse, "commands/ulimit-l.txt", "unlimited\n");
        assert_eq!(show(&out, "process.memlock_unlimited").as_deref(), Some("true"));
        assert_eq!(show(&out, "process.memlock_kib"), None);
    }

    #[test]
    fn a_broken_limit_is_a_problem() {
        let out = read(parse, "proc/1/limits", "Max locked memory         lots  lots bytes\n");
        assert_eq!((out.facts.len(), out.problems.len()), (0, 1));
    }
}
