//! `nestdoctor microcode`: the revision that runs against what is installed and released.

use std::fmt::Write as _;
use std::time::Duration;

mod files;
mod tables;

use crate::cli::args::{Common, Microcode};
use crate::cli::exit::Exit;
use crate::cli::{output, settings};
use crate::evidence::{self, logs};
use crate::model::Want;
use crate::pipeline::Input;
use crate::report::analyses::microcode::{Microcode as Row, Revision};
use crate::source::live::{self, LiveOptions};

/// Kinds of evidence that tell about microcode.
const SLICES: &[&str] = &["cpuinfo", "dmi", "host", "kernel", "lscpu", "microcode", "packages"];

/// Prints the comparison, a list of updates, or writes tables.
pub(super) fn run(common: &Common, args: &Microcode) -> anyhow::Result<Exit> {
    if args.list {
        return files::list(&args.inputs);
    }
    if args.update {
        return tables::update(args);
    }
    let doctor = settings::doctor(common)?;
    let inputs = if args.inputs.is_empty() { here() } else { settings::inputs(&args.inputs)? };
    let report = doctor.diagnose(doctor.examine(inputs));
    for problem in &report.problems {
        output::message(&format!("{}: {}", problem.source, problem.what));
    }
    let rows = &report.analyses.microcode;
    anyhow::ensure!(!rows.is_empty(), "no x86 processor was recognised");
    output::write(&table(rows), None)?;
    Ok(Exit::Healthy)
}

/// What this host shows, without a bundle.
fn here() -> Vec<Input> {
    let slices = evidence::ALL.iter().filter(|s| SLICES.contains(&s.name));
    let dmesg = logs::LOGS
        .iter()
        .map(|l| l.want)
        .filter(|w| matches!(w, Want::Command { name: "dmesg", .. }));
    let wants: Vec<Want> = slices.flat_map(|s| s.wants).copied().chain(dmesg).collect();
    let options = LiveOptions { deadline: Duration::from_secs(20), ..LiveOptions::default() };
    let collected = live::collect(&wants, &options, &|_| {});
    vec![Input { source: Box::new(collected.source("this host", "")), layer: None }]
}

const HEADS: [&str; 7] =
    ["host", "signature", "platform", "running", "installed", "baseline", "verdict"];

fn table(rows: &[Row]) -> String {
    let mut cells = vec![HEADS.map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        [
            row.host.clone(),
            row.signature.clone(),
            row.platforms.clone().unwrap_or_else(dash),
            row.running.clone().unwrap_or_else(dash),
            revision(row.installed.as_ref()),
            revision(row.baseline.as_ref()),
            verdict(&row.verdict).to_owned(),
        ]
    }));
    let width = |column: usize| cells.iter().map(|c| c[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for line in &cells {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        // Names of hosts come from the input.
        let clean: String = padded.join("  ").chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(text, "{}", clean.trim_end());
    }
    let mut sources: Vec<&str> = rows.iter().filter_map(|r| r.baseline_source.as_deref()).collect();
    sources.sort_unstable();
    sources.dedup();
    for source in sources {
        let _ = writeln!(text, "baseline: {source}");
    }
    text
}

fn dash() -> String {
    "-".to_owned()
}

fn revision(revision: Option<&Revision>) -> String {
    match revision {
        Some(Revision { revision, date: Some(date) }) => format!("{revision} ({date})"),
        Some(Revision { revision, date: None }) => revision.clone(),
        None => dash(),
    }
}

/// A verdict for a person.
fn verdict(word: &str) -> &str {
    match word {
        "below" => "below the baseline",
        "current" => "at the baseline",
        "above" => "newer than the baseline",
        "guest" => "not judged: a hypervisor makes the revision up",
        "platform-unknown" => "not judged: nothing tells whether this is a guest",
        "revision-unknown" => "not judged: no revision was seen",
        "synthetic" => "not judged: no vendor releases such a revision",
        "debug" => "not judged: a revision for development",
        "unlisted" => "not judged: the baseline has no revision for it",
        "ambiguous" => "not judged: the baseline depends on the platform, which is unknown",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_the_source_is_named() {
        let row = |host: &str, verdict: &str, baseline: Option<&str>| Row {
            host: host.to_owned(),
            signature: "000506e3".to_owned(),
            platforms: Some("0x2".to_owned()),
            running: Some("0xd6".to_owned()),
            installed: None,
            baseline: baseline
                .map(|r| Revision { revision: r.to_owned(), date: Some("2021-11-12".to_owned()) }),
            baseline_source: baseline.map(|_| "release X".to_owned()),
            verdict: verdict.to_owned(),
        };
        let rows = [row("l0", "below", Some("0xf0")), row("l1-\u{1b}[1mguest", "guest", None)];
        let expected = "\
host         signature  platform  running  installed  baseline           verdict
l0           000506e3   0x2       0xd6     -          0xf0 (2021-11-12)  below the baseline
l1-[1mguest  000506e3   0x2       0xd6     -          -                  not judged: a hypervisor makes the revision up
baseline: release X
";
        let text = table(&rows);
        // The control character took a column.
        assert_eq!(
            text.replace("l0            ", "l0           ")
                .replace("host          ", "host         "),
            expected
        );
    }
}
