//! Exit status.

use std::process::ExitCode;

/// What the exit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: nothing was found to be the cause of a failure, or the command did what it was asked.
    Healthy,
    /// 1: at least one cause was found, or a rule or its test is wrong.
    Found,
    /// 2: wrong usage, or no input could be read.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Healthy => Self::from(0),
            Exit::Found => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}
