//! The `nestdoctor` program: see the library's documentation for how it works.

use std::process::ExitCode;

fn main() -> ExitCode {
    nestdoctor::cli::main().into()
}
