//! The Journal Export Format: `journalctl -o export`, systemd-journal-gatewayd.
//!
//! An entry is a block of fields that ends with an empty line. A field is `NAME=value`, or, where
//! the value is no plain line of text, `NAME`, a line end, 64 bits of size, the value and a line
//! end. See <https://systemd.io/JOURNAL_EXPORT_FORMATS/>.

use std::io::{self, BufRead, Read};

use super::entry::{Entry, Field};
use super::{Entries, FIELD};

/// Bytes of a name: journald takes no longer ones.
const NAME: usize = 64;
/// Bytes of a value; systemd's own limit.
const VALUE: u64 = 768 << 20;

/// A journal in export format.
pub(super) struct Export<R> {
    reader: R,
    line: Vec<u8>,
    /// Entries that are broken or cut off.
    broken: u64,
    /// The first line of the next entry was read already.
    begun: bool,
}

/// What a line of an entry is.
enum Line {
    Field,
    Empty,
    /// The first field of another entry.
    Begin,
    Broken,
    End,
}

impl<R: BufRead> Export<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: Vec::new(), broken: 0, begun: false }
    }

    /// Reads a line, without its end; what is beyond the limit is left away. False where there is
    /// no whole line.
    fn line(&mut self) -> io::Result<bool> {
        self.line.clear();
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            let end = memchr::memchr(b'\n', bytes);
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            let room = (FIELD + NAME).saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// Reads a field into the entry.
    fn field(&mut self, entry: &mut Entry, within: bool) -> io::Result<Line> {
        if !self.begun && !self.line()? {
            return Ok(if self.line.is_empty() { Line::End } else { Line::Broken });
        }
        if self.line.is_empty() {
            return Ok(Line::Empty);
        }
        if within && !self.begun && self.line.starts_with(b"__CURSOR=") {
            self.begun = true;
            return Ok(Line::Begin);
        }
        self.begun = false;
        let name = self.line.split(|b| *b == b'=').next().unwrap_or_default();
        let is_name = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
        if name.is_empty() || name.len() > NAME || !name.iter().all(is_name) {
            return Ok(Line::Broken);
        }
        if name.len() < self.line.len() {
            if let Some((field, value)) = Field::split(&self.line) {
                entry.set(field, value);
            }
            return Ok(Line::Field);
        }
        let field = Field::named(name);
        self.binary(field, entry)
    }

    fn binary(&mut self, field: Option<Field>, entry: &mut Entry) -> io::Result<Line> {
        let mut size = Vec::new();
        self.reader.by_ref().take(8).read_to_end(&mut size)?;
        let size = <[u8; 8]>::try_from(size).map(u64::from_le_bytes);
        let Some(size) = size.ok().filter(|size| *size <= VALUE) else { return Ok(Line::Broken) };
        let mut value = Vec::new();
        let keep = field.map_or(0, |_| size.min(FIELD as u64));
        let kept = self.reader.by_ref().take(keep).read_to_end(&mut value)? as u64;
        let rest = size.saturating_sub(kept);
        let skipped = io::copy(&mut self.reader.by_ref().take(rest), &mut io::sink())?;
        let mut end = Vec::new();
        self.reader.by_ref().take(1).read_to_end(&mut end)?;
        if skipped < rest || end != b"\n" {
            return Ok(Line::Broken);
        }
        if let Some(field) = field {
            entry.set(field, &value);
        }
        Ok(Line::Field)
    }

    /// Goes on to the next line that begins an entry.
    fn skip(&mut self) -> io::Result<()> {
        while self.line()? {
            if self.line.starts_with(b"__CURSOR=") {
                self.begun = true;
                break;
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Entries for Export<R> {
    fn next(&mut self, entry: &mut Entry) -> io::Result<bool> {
        let mut within = false;
        loop {
            match self.field(entry, within)? {
                Line::Field => within = true,
                Line::Empty if within => return Ok(true),
                Line::Empty => {}
                // The end of an entry is an empty line: without it fields may be missing.
                Line::End => {
                    self.broken += u64::from(within);
                    return Ok(false);
                }
                Line::Begin => {
                    self.broken += 1;
                    entry.clear();
                    within = false;
                }
                Line::Broken => {
                    self.broken += 1;
                    entry.clear();
                    within = false;
                    self.skip()?;
                }
            }
        }
    }

    fn lost(&self) -> Option<String> {
        super::json::broken(self.broken)
    }
}
