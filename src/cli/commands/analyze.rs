//! `nestdoctor analyze INPUT...`

use anyhow::bail;

use crate::cli::args::{Analyze, Common};
use crate::cli::exit::Exit;
use crate::cli::{output, settings};

/// Reads the inputs as one stack and prints the report.
pub(super) fn run(common: &Common, args: &Analyze) -> anyhow::Result<Exit> {
    let doctor = settings::doctor(common)?;
    let examination = doctor.examine(settings::inputs(&args.inputs)?);
    if !examination.recognised() {
        for problem in &examination.problems {
            output::message(&format!("{}: {}", problem.source, problem.what));
        }
        bail!("{}: nothing in it was recognised as evidence", args.inputs.join(", "));
    }
    super::print(common, &args.output, &doctor.diagnose(examination))
}
