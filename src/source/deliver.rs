//! Delivery: a file of the input on its way to the sink, whatever the input is.
//!
//! Here a compressed log is decompressed, UTF-16 becomes UTF-8 (PowerShell's `>` writes it with a
//! byte order mark, `wsl.exe` without), sections of a text are cut out, binary data is told from
//! text, and limits are kept.

use std::collections::HashSet;
use std::io::{self, Cursor, Read};

use super::codec::{self, Codec};
use super::journal;
use super::layout::{Layout, Role};
use super::limits::{self, Limits, size};
use super::manifest::Manifest;
use super::sections::{self, Sections, Style, Title, command};
use super::wanted::{Wanted, is_log, variant};
use super::{Found, Sink, Stats};
use crate::model::{Gap, GapReason, Problem};

/// One visit of a source.
pub(super) struct Delivery<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) sink: &'a mut dyn Sink,
    pub(super) stats: Stats,
    pub(super) manifest: Option<Manifest>,
    limits: Limits,
    /// Limit of the file that is being handed on.
    cap: u64,
    taken: HashSet<String>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(wanted: &'a Wanted, sink: &'a mut dyn Sink, limits: Limits) -> Self {
        let stats = Stats::default();
        Self {
            wanted,
            sink,
            stats,
            manifest: None,
            limits,
            cap: limits.plain,
            taken: HashSet::new(),
        }
    }

    /// Reports what went wrong with a file of the input.
    pub(super) fn problem(&mut self, source: &str, what: impl Into<String>) {
        self.sink.problem(Problem { source: source.to_owned(), what: what.into() });
    }

    /// Reports that evidence is missing.
    pub(super) fn gap(&mut self, source: &str, reason: GapReason) {
        self.sink.gap(Gap { source: source.to_owned(), reason });
    }

    /// What the path is for us.
    pub(super) fn role(&self, layout: &Layout, path: &str) -> Role {
        layout.role(self.wanted, path)
    }

    /// Hands a file on. Errors of `reader` are answered, for the caller to report: it knows
    /// whether they are the file's or those of the archive around it.
    pub(super) fn file(
        &mut self,
        role: Role,
        found: &str,
        packed: bool,
        reader: &mut dyn Read,
    ) -> Option<String> {
        match role {
            Role::Other => None,
            Role::Manifest => self.manifest(found, reader),
            Role::Evidence(path) => self.evidence(&path, found, false, packed, reader),
            Role::Unknown(path) => self.evidence(&path, found, true, packed, reader),
            Role::Sections => {
                self.cap = self.limits.plain;
                let mut head = Head::read(reader);
                let style = sections::style(&head.bytes)?;
                self.sections(style, found, &mut head)
            }
        }
    }

    /// Hands on the sections of a text that somebody wants.
    fn sections(&mut self, style: Style, found: &str, reader: &mut dyn Read) -> Option<String> {
        let mut guard = Guard { inner: reader, left: self.cap, read: 0, fault: None };
        let mut sections = Sections::new(style, &mut guard);
        while let Ok(Some((title, first_line))) = sections.advance() {
            let (path, value) = match title {
                Title::Command(line) => (command::canonical(self.wanted, &line), None),
                Title::File(path) => (self.wanted.canonical(&path), None),
                Title::Value(path, value) => (self.wanted.canonical(&path), Some(value)),
                Title::Other => (None, None),
            };
            let Some(path) = path else { continue };
            let place = Found { path: found, first_line, link: false };
            if let Some(value) = value {
                self.pass_on(&path, place, &mut value.as_bytes());
            } else if sections.begins_with("ERROR: Command not found").unwrap_or(false) {
                self.gap(&path, GapReason::NoSuchCommand);
            } else {
                self.pass_on(&path, place, &mut sections);
            }
        }
        guard.fault
    }

    /// Hands the target of a symbolic link on, if anybody wants it. Answers what the file that it
    /// leads to is for us under the link's path.
    pub(super) fn link(&mut self, layout: &Layout, found: &str, target: &str) -> Role {
        let path = layout.relative(found);
        if !self.wanted.wants_link(path) {
            return self.role(layout, found);
        }
        self.target(path, found, target);
        if self.wanted.wants_file(path) { self.role(layout, found) } else { Role::Other }
    }

    fn target(&mut self, path: &str, found: &str, target: &str) {
        if !self.wanted.wants_link(path) {
            return;
        }
        let place = Found { link: true, ..Found::file(found) };
        self.sink.file(path, place, &mut target.as_bytes());
        self.stats.files += 1;
        self.stats.bytes = self.stats.bytes.saturating_add(target.len() as u64);
    }

    fn manifest(&mut self, found: &str, reader: &mut dyn Read) -> Option<String> {
        let mut bytes = Vec::new();
        if let Err(error) = reader.take(limits::MANIFEST).read_to_end(&mut bytes) {
            return Some(error.to_string());
        }
        match Manifest::parse(&bytes) {
            Ok(manifest) => {
                manifest.gaps().for_each(|gap| self.sink.gap(gap));
                for (path, target) in manifest.links_over_files() {
                    self.target(path, found, target);
                }
                self.manifest = Some(manifest);
            }
            Err(what) => self.problem(found, what),
        }
        None
    }

    fn evidence(
        &mut self,
        path: &str,
        found: &str,
        unknown: bool,
        packed: bool,
        reader: &mut dyn Read,
    ) -> Option<String> {
        let mut head = Head::read(reader);
        let codec = codec::decoder(&head.bytes);
        if packed || codec::without_suffix(found).is_none() || codec == Codec::Plain {
            // A single file was decompressed already; what is not called so is not unpacked.
            self.cap = self.limits.plain;
            return self.text(path, found, unknown, &mut head);
        }
        self.cap = self.limits.entry;
        let mut decoder = codec.decode(io::BufReader::new(head));
        let mut head = Head::read(&mut decoder);
        self.text(path, found, unknown, &mut head)
    }

    /// Tells text from binary data, then hands on.
    fn text(&mut self, path: &str, found: &str, unknown: bool, head: &mut Head) -> Option<String> {
        if let Some(kind) = journal::kind(&head.bytes) {
            return self.journal(path, found, unknown, kind, head);
        }
        let texts = unknown || is_log(path) || path.starts_with("commands/");
        if texts && let Some(order) = Utf16::order(&head.bytes) {
            return self.hand_on(path, found, &mut Utf16::new(head, order));
        }
        if (unknown || is_log(path)) && head.bytes.contains(&0) {
            let what = if unknown {
                "binary file, not a log"
            } else {
                self.gap(path, GapReason::Unparseable);
                "binary data where a text log was expected"
            };
            self.problem(found, what);
            return None;
        }
        if unknown && let Some(style) = sections::style(&head.bytes) {
            return self.sections(style, found, head);
        }
        self.hand_on(path, found, head)
    }

    /// Hands a journal on, as lines.
    fn journal(
        &mut self,
        path: &str,
        found: &str,
        unknown: bool,
        kind: journal::Kind,
        head: &mut Head,
    ) -> Option<String> {
        // Whatever it is called, it is what journalctl knows.
        let known = unknown.then(|| variant("commands/journalctl.txt", &path.replace('/', "_")));
        self.cap = self.cap.min(self.limits.entry);
        let mut lines = journal::Lines::new(kind, head);
        let fault = self.hand_on(known.as_deref().unwrap_or(path), found, &mut lines);
        let lost = lines.lost().map(str::to_owned);
        if let Some(lost) = &lost {
            self.problem(found, lost.as_str());
        }
        fault.filter(|fault| lost.as_ref() != Some(fault))
    }

    fn hand_on(&mut self, path: &str, found: &str, reader: &mut dyn Read) -> Option<String> {
        self.pass_on(path, Found::file(found), reader)
    }

    fn pass_on(&mut self, path: &str, found: Found<'_>, reader: &mut dyn Read) -> Option<String> {
        let path = self.unique(path, found.path);
        let mut guard = Guard { inner: reader, left: self.cap, read: 0, fault: None };
        self.sink.file(&path, found, &mut guard);
        let (read, fault) = (guard.read, guard.fault);
        self.stats.files += 1;
        self.stats.bytes = self.stats.bytes.saturating_add(read);
        if fault.is_some() {
            self.gap(&path, GapReason::CutOff);
        }
        fault
    }

    /// A canonical path that was not handed on yet.
    fn unique(&mut self, path: &str, found: &str) -> String {
        let tag = found.replace('/', "_");
        let numbered = (2u64..).map(|n| format!("{tag}-{n}"));
        let tags = std::iter::once(tag.clone()).chain(numbered);
        let path = std::iter::once(path.to_owned())
            .chain(tags.map(|tag| variant(path, &tag)))
            .find(|p| !self.taken.contains(p))
            .unwrap_or_else(|| path.to_owned());
        self.taken.insert(path.clone());
        path
    }
}

/// A reader of which the first bytes are known.
pub(super) struct Head<'r> {
    pub(super) bytes: Vec<u8>,
    at: usize,
    /// An error that came while they were read; it is due when they are consumed.
    error: Option<io::Error>,
    rest: &'r mut dyn Read,
}

impl<'r> Head<'r> {
    pub(super) fn read(rest: &'r mut dyn Read) -> Self {
        let mut bytes = Vec::new();
        let error = rest.take(limits::HEAD as u64).read_to_end(&mut bytes).err();
        Self { bytes, at: 0, error, rest }
    }
}

impl Read for Head<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let known = self.bytes.get(self.at..).unwrap_or_default();
        if !known.is_empty() {
            let read = Cursor::new(known).read(buf)?;
            self.at += read;
            return Ok(read);
        }
        self.error.take().map_or_else(|| self.rest.read(buf), Err)
    }
}

/// Keeps the entry limit, and remembers what went wrong.
struct Guard<'r> {
    inner: &'r mut dyn Read,
    left: u64,
    read: u64,
    fault: Option<String>,
}

impl Read for Guard<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let result = if most == 0 && !buf.is_empty() {
            // At the limit it matters whether there is more.
            self.inner.read(&mut [0]).and_then(|n| {
                let what = || format!("longer than {}", size(self.read));
                if n == 0 { Ok(0) } else { Err(io::Error::other(what())) }
            })
        } else {
            self.inner.read(buf.get_mut(..most).unwrap_or_default())
        };
        match result {
            Ok(n) => {
                self.left = self.left.saturating_sub(n as u64);
                self.read = self.read.saturating_add(n as u64);
                Ok(n)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.fault.get_or_insert_with(|| error.to_string());
                }
                Err(error)
            }
        }
    }
}

/// UTF-16 as UTF-8.
pub(super) struct Utf16<'r> {
    inner: &'r mut dyn Read,
    big_endian: bool,
    /// Input that is not decoded yet: half a unit, or the first of a surrogate pair.
    pending: Vec<u8>,
    out: Cursor<Vec<u8>>,
}

impl<'r> Utf16<'r> {
    /// Whether text that begins so is big-endian UTF-16; `None` where it is no UTF-16.
    pub(super) fn order(head: &[u8]) -> Option<bool> {
        match head {
            // FF FE 00 00 would be UTF-32.
            [0xff, 0xfe, a, b, ..] if (*a, *b) != (0, 0) => Some(false),
            [0xfe, 0xff, ..] => Some(true),
            _ => Self::bare(head).then_some(false),
        }
    }

    /// Whether it begins like little-endian text of ASCII characters without a mark.
    fn bare(head: &[u8]) -> bool {
        let pairs = head.as_chunks::<2>().0;
        let text = |[low, high]: &[u8; 2]| {
            *high == 0 && (low.is_ascii_graphic() || low.is_ascii_whitespace())
        };
        pairs.len() >= 4 && pairs.iter().take(16).all(text)
    }

    fn new(inner: &'r mut dyn Read, big_endian: bool) -> Self {
        Self { inner, big_endian, pending: Vec::new(), out: Cursor::default() }
    }

    /// Decodes the next part of the input; false at its end.
    fn refill(&mut self) -> io::Result<bool> {
        let before = self.pending.len();
        self.inner.take(8192).read_to_end(&mut self.pending)?;
        let ended = self.pending.len() == before;
        let mut units: Vec<u16> = self
            .pending
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| {
                if self.big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) }
            })
            .collect();
        if !ended && units.last().is_some_and(|u| (0xd800..0xdc00).contains(u)) {
            units.pop();
        }
        self.pending.drain(..if ended { self.pending.len() } else { units.len() * 2 });
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .filter(|c| *c != '\u{feff}')
            .collect();
        self.out = Cursor::new(text.into_bytes());
        Ok(!ended)
    }
}

impl Read for Utf16<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.out.read(buf)?;
            if read > 0 || buf.is_empty() {
                return Ok(read);
            }
            if !self.refill()? {
                return self.out.read(buf);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_text_becomes_utf8_across_reads() {
        let text = "Hyper-V: \u{1f5a5} läuft\r\n".repeat(2000);
        for big in [false, true] {
            let mut bytes = if big { vec![0xfe, 0xff] } else { vec![0xff, 0xfe] };
            for unit in text.encode_utf16() {
                bytes.extend(if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            }
            assert_eq!(Utf16::order(&bytes), Some(big));
            bytes.push(0x41); // half a unit at the end is dropped
            let mut out = String::new();
            Utf16::new(&mut &bytes[..], big).read_to_string(&mut out).unwrap();
            assert_eq!(out, text);
        }
        assert_eq!(Utf16::order(b"\xff\xfe\0\0"), None);
        assert_eq!(Utf16::order(b"W\0S\0L\0 \0v\0"), Some(false));
        assert_eq!(Utf16::order(b"W\0\x01\0\0\0\0\0"), None);
    }
}
