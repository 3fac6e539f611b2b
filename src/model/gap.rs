//! Gaps: what was not seen, and why. A gap is never read as "absent".

use std::fmt;

/// Why something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapReason {
    /// The input does not contain it.
    NotCollected,
    /// Present, but reading it was refused.
    NotPermitted,
    /// The input ended, or a limit was reached, before it was complete.
    CutOff,
    /// Present, but not in a form that the program understands.
    Unparseable,
    /// The command did not answer within its time limit.
    TimedOut,
    /// The command is not installed.
    NoSuchCommand,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCollected => "not collected",
            Self::NotPermitted => "not permitted",
            Self::CutOff => "cut off",
            Self::Unparseable => "not understood",
            Self::TimedOut => "timed out",
            Self::NoSuchCommand => "command not installed",
        })
    }
}

/// Something that is missing from the evidence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Canonical path of the file or command output.
    pub source: String,
    /// Why it is missing.
    pub reason: GapReason,
}
