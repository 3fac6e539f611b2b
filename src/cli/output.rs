//! Output: standard output, a file, and messages to people on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::args::Colour;
use crate::report::Style;

/// Columns where the output is no terminal.
const WIDTH: u16 = 100;

/// How a report on standard output, or in a file, is to look.
#[expect(clippy::disallowed_methods, reason = "cli/ reads the environment")]
pub(super) fn style(colour: Colour, to_file: bool) -> Style {
    let terminal = io::stdout().is_terminal() && !to_file;
    let refused = std::env::var("NO_COLOR").is_ok_and(|v| !v.is_empty());
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => terminal && !refused,
    };
    let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    Style { width: columns.filter(|_| terminal).unwrap_or(WIDTH).max(40), colour }
}

/// Writes a text to a file, or to standard output.
#[expect(clippy::disallowed_methods, reason = "cli/ writes the report")]
pub(super) fn write(text: &str, file: Option<&Path>) -> anyhow::Result<()> {
    match file {
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
        }
        None => Ok(anstream::stdout().lock().write_all(text.as_bytes())?),
    }
}

/// A message to the person at the terminal.
pub(super) fn message(text: &str) {
    // A message that cannot be printed must not stop the work.
    drop(writeln!(anstream::stderr(), "nestdoctor: {text}"));
}

/// An error with its causes.
pub(super) fn error(error: &anyhow::Error) {
    message(&format!("{error:#}"));
}

/// Whether the reader of our output went away: that is no error.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|e| e.downcast_ref::<io::Error>());
    causes.into_iter().any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
