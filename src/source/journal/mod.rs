//! systemd journals, as the text that `journalctl -o short-iso-precise --utc` makes of them.
//!
//! Three forms are read: journald's binary files (`file.rs`, `object.rs`), `journalctl -o export`
//! (`export.rs`), and `journalctl -o json` with its relatives json-pretty, json-seq and json-sse
//! (`json.rs`). Each gives entries; `entry.rs` makes lines of them, which go the way of all logs.
//!
//! The number of a line is that of the emitted text. A person finds the entry again by the time
//! that the line begins with: `journalctl --file=FILE --utc -o short-iso-precise`.
//!
//! Not checked are the seal (FSS) and the hashes of the payloads, and entries of several files are
//! not merged: each file is a log of its own.
//!
//! No crate is used: those that need no libsystemd (`sdjournal`, `systemd-journal-sdk`) open paths
//! through `mmap`, where an archive has none, and give up a damaged file where much of it is left.

use std::io::{self, BufReader, Read};

mod entry;
mod export;
mod file;
mod json;
mod object;
#[cfg(test)]
mod tests;

use entry::Entry;

/// Bytes of text that are made at once.
const BATCH: usize = 64 << 10;
/// Bytes of a field that are kept. Text of this length is no message for people.
const FIELD: usize = 1 << 20;

/// A form of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// journald's own file.
    Binary,
    /// The Journal Export Format.
    Export,
    /// The Journal JSON Format.
    Json,
}

/// The form of a journal that begins so; `None` where it is no journal.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    const STAMPS: [&[u8]; 3] =
        [b"\"__CURSOR\"", b"\"__REALTIME_TIMESTAMP\"", b"\"__MONOTONIC_TIMESTAMP\""];
    if head.starts_with(file::SIGNATURE) {
        return Some(Kind::Binary);
    }
    if head.starts_with(b"__CURSOR=") || head.starts_with(b"__REALTIME_TIMESTAMP=") {
        return Some(Kind::Export);
    }
    let json = [&b"{"[..], b"\x1e{", b"data: {"].iter().any(|begin| head.starts_with(begin));
    let is_key = |end: usize| {
        head.get(end..).and_then(|h| h.iter().find(|b| **b != b' ')).is_some_and(|b| *b == b':')
    };
    let stamped = STAMPS
        .iter()
        .any(|stamp| memchr::memmem::find_iter(head, stamp).any(|at| is_key(at + stamp.len())));
    (json && stamped).then_some(Kind::Json)
}

/// Whether a file is called as journald's are.
pub(super) fn is_named_so(name: &str) -> bool {
    // What was not closed properly gets a tilde.
    super::wanted::has_suffix(name.strip_suffix('~').unwrap_or(name), "journal")
}

/// What a form of a journal gives.
trait Entries {
    /// Fills in the next entry; false after the last one.
    fn next(&mut self, entry: &mut Entry) -> io::Result<bool>;
    /// What of the journal could not be read. Known after the last entry.
    fn lost(&self) -> Option<String>;
}

/// The lines of a journal. Where some of it is damaged, the rest comes first and an error last.
pub(super) struct Lines<'r> {
    entries: Box<dyn Entries + 'r>,
    entry: Entry,
    text: Vec<u8>,
    at: usize,
    /// How it ended; the error is due once, after the text.
    end: Option<io::Result<()>>,
    lost: Option<String>,
}

impl<'r> Lines<'r> {
    pub(super) fn new(kind: Kind, reader: &'r mut dyn Read) -> Self {
        let entries: Box<dyn Entries + 'r> = match kind {
            Kind::Binary => Box::new(file::Journal::new(reader)),
            Kind::Export => Box::new(export::Export::new(BufReader::with_capacity(BATCH, reader))),
            Kind::Json => Box::new(json::Json::new(BufReader::with_capacity(BATCH, reader))),
        };
        let (entry, text) = (Entry::default(), Vec::new());
        Self { entries, entry, text, at: 0, end: None, lost: None }
    }

    /// What of the journal could not be read; known when all lines were.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    fn refill(&mut self) {
        self.text.clear();
        self.at = 0;
        while self.text.len() < BATCH && self.end.is_none() {
            self.entry.clear();
            match self.entries.next(&mut self.entry) {
                Ok(true) => self.entry.write(&mut self.text),
                Ok(false) => {
                    self.lost = self.entries.lost();
                    self.end = Some(self.lost.clone().map_or(Ok(()), |l| Err(io::Error::other(l))));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.lost = self.entries.lost();
                    self.end = Some(Err(error));
                }
            }
        }
    }
}

impl Read for Lines<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() && self.end.is_none() {
            self.refill();
        }
        let read = self.text.get(self.at..).unwrap_or_default().read(buf)?;
        self.at += read;
        if read == 0 && !buf.is_empty() {
            self.end.replace(Ok(())).unwrap_or(Ok(()))?;
        }
        Ok(read)
    }
}
