//! The command line: arguments, commands, output and exit status.

pub mod args;
mod commands;
mod exit;
mod output;
mod progress;
mod settings;

use clap::Parser as _;

pub use exit::Exit;

/// Parses the arguments and runs the command.
pub fn main() -> Exit {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            let exit = if e.use_stderr() { Exit::Usage } else { Exit::Healthy };
            // Nothing is left to be done if even this cannot be printed.
            drop(e.print());
            return exit;
        }
    };
    match commands::run(args) {
        Ok(exit) => exit,
        Err(e) if output::is_broken_pipe(&e) => Exit::Healthy,
        Err(e) => {
            output::error(&e);
            Exit::Usage
        }
    }
}
