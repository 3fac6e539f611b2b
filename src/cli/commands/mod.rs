//! One file per command.

mod analyze;
mod collect;
mod explain;
mod facts;
mod microcode;
mod rules;

use super::args::{Args, Command, Common, Output};
use super::exit::Exit;
use super::{output, settings};
use crate::report::{FORMATS, Report};

/// Runs a command.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let common = &args.common;
    settings::threads(common)?;
    match args.command {
        Command::Collect(collect) => collect::run(common, &collect),
        Command::Analyze(analyze) => analyze::run(common, &analyze),
        Command::Explain { id } => explain::run(common, &id),
        Command::Rules { command } => rules::run(common, &command),
        Command::Facts(facts) => facts::run(common, &facts),
        Command::Microcode(microcode) => microcode::run(common, &microcode),
    }
}

/// Writes a report; the exit status says whether it names a cause.
fn print(common: &Common, to: &Output, report: &Report) -> anyhow::Result<Exit> {
    let style = output::style(common.color, to.output.is_some());
    let format = FORMATS.iter().find(|f| f.name == to.format).unwrap_or(&FORMATS[0]);
    output::write(&(format.render)(report, style), to.output.as_deref())?;
    Ok(if report.causes.is_empty() { Exit::Healthy } else { Exit::Found })
}
