//! `nestdoctor analyze INPUT...`

use crate::cli::args::{Analyze, Common};
use crate::cli::exit::Exit;
use crate::cli::settings;

/// Reads the inputs as one stack and prints the report.
pub(super) fn run(common: &Common, args: &Analyze) -> anyhow::Result<Exit> {
    let doctor = settings::doctor(common)?;
    let examination = doctor.examine(settings::inputs(&args.inputs)?);
    super::print(common, &args.output, &doctor.diagnose(examination))
}
