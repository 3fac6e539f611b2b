//! Members of archives: what all archive formats have in common.

use std::io::{self, Read};

use super::stream::Meter;

/// A member of an archive.
pub(super) struct Member {
    /// Its path in normal form, relative to the archive's top; inside a nested archive that
    /// archive's path stands before it, like a folder.
    pub(super) path: String,
    pub(super) kind: MemberKind,
}

/// What a member is.
pub(super) enum MemberKind {
    File {
        /// An error of its reader is its own and leaves the rest of the archive readable.
        apart: bool,
    },
    /// A symbolic or hard link, with its target as it stands.
    Link { target: String, hard: bool },
    /// A member that is passed over, with the reason.
    Refused(String),
    /// A nested archive that could not be read to its end.
    Broken(Fault),
}

/// How to go on after a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    /// With the next.
    On,
    /// With what follows the innermost archive.
    Leave,
    /// Not at all.
    Stop,
}

/// Takes members.
pub(super) type Visit<'v> = dyn FnMut(Member, &mut dyn Read) -> Go + 'v;

/// How reading an archive ended, where it did not end well.
pub(super) struct Fault {
    /// What happened.
    pub(super) what: String,
    /// Members read before.
    pub(super) after: u64,
}

impl Fault {
    /// The archive cannot even be opened.
    pub(super) fn none(cause: &dyn std::fmt::Display) -> Self {
        Self { what: format!("archive cannot be opened ({cause})"), after: 0 }
    }

    /// An error while members were read.
    pub(super) fn of(error: &io::Error, meter: &Meter, after: u64) -> Self {
        let detail = error.to_string();
        let lower = detail.to_ascii_lowercase();
        let ended = error.kind() == io::ErrorKind::UnexpectedEof
            || ["eof", "unexpected end", "entire block", "fill whole buffer"]
                .iter()
                .any(|t| lower.contains(t));
        let how = match meter.breach() {
            Some(_) => "is read no further",
            None if ended => "is cut off",
            None => "is damaged",
        };
        let detail = meter.breach().unwrap_or(detail);
        Self { what: format!("archive {how} after {after} entries ({detail})"), after }
    }

    /// Too many members.
    pub(super) fn crowd(after: u64) -> Self {
        let what = format!("archive is read no further after {after} entries (that is the limit)");
        Self { what, after }
    }

    /// For a person.
    pub(super) fn what(&self) -> String {
        format!("{}: the rest is not analyzed", self.what)
    }
}
