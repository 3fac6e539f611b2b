//! `nestdoctor collect`: gather, bundle, report.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::args::{Collect, Common};
use crate::cli::exit::Exit;
use crate::cli::progress::Progress;
use crate::cli::{output, settings};
use crate::model::GapReason;
use crate::pipeline::Input;
use crate::source::live::{self, Collected, LiveOptions, Printed};
use crate::{collect, source};

/// Longest list of what was refused; the manifest in the bundle has all.
const MOST_NAMED: usize = 12;

/// Collects from this host.
pub(super) fn run(common: &Common, args: &Collect) -> anyhow::Result<Exit> {
    let doctor = settings::doctor(common)?;
    let printed = args.stderr.iter().map(|f| printed(f)).collect::<anyhow::Result<Vec<_>>>()?;
    let timeout = Duration::from_secs(args.timeout);
    let commands = args.root == Path::new("/");
    let options = LiveOptions {
        root: args.root.clone(),
        commands,
        timeout,
        deadline: timeout.saturating_mul(15),
    };
    let progress = Progress::new();
    let mut collected = live::collect(&collect::wants(), &options, &|what| progress.step(what));
    progress.finish();
    anyhow::ensure!(
        !collected.files.is_empty(),
        "nothing could be read below {}",
        args.root.display()
    );
    for said in printed {
        collected.add_stderr(said);
    }
    let (host, time) = (host_name(&collected), time(&collected));
    name_refused(&collected);
    if !args.no_bundle {
        let path = source::bundle::write(&collected, &host, &time, &args.bundle)
            .with_context(|| format!("cannot write the bundle to {}", args.bundle.display()))?;
        output::message(&format!("bundle written to {}", path.display()));
    }
    // The report is that of the bundle: what is analyzed elsewhere gives the same.
    let input = Input { source: Box::new(collected.source(&host, &time)), layer: None };
    let examination = doctor.examine(vec![input]);
    super::print(common, &args.output, &doctor.diagnose(examination))
}

/// Read before anything is collected: a name that was mistyped should not cost the wait.
fn printed(file: &Path) -> anyhow::Result<Printed> {
    Printed::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn host_name(collected: &Collected) -> String {
    let files = ["etc/hostname", "commands/hostname.txt"];
    let names = files.iter().filter_map(|f| collected.files.get(*f));
    let names = names.map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    names.into_iter().find(|n| !n.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

fn time(collected: &Collected) -> String {
    let seconds = i64::try_from(collected.taken).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Says what could not be read, and that root would have read it.
fn name_refused(collected: &Collected) {
    let of = |reason| {
        collected.gaps.iter().filter(move |g| g.reason == reason).map(|g| g.source.as_str())
    };
    let refused: Vec<_> = of(GapReason::NotPermitted).collect();
    if !refused.is_empty() {
        output::message(&format!("not permitted, root would add: {}", shortened(&refused)));
    }
    let late: Vec<_> = of(GapReason::TimedOut).collect();
    if !late.is_empty() {
        output::message(&format!("no answer in time: {}", shortened(&late)));
    }
}

fn shortened(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
