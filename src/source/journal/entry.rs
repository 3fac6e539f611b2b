//! Entries: the fields of a journal's entry that a log line is made of.
//!
//! The line is that of journalctl's short formats (`output_short` of systemd's
//! src/shared/logs-show.c): time, host, identifier with the process in brackets, message.
//!
//! * Time is `_SOURCE_REALTIME_TIMESTAMP`, when the sender took it, and else the entry's own, when
//!   journald wrote it: so does journalctl, and so the lines are the same as those of a text log.
//!   `_SOURCE_MONOTONIC_TIMESTAMP` of kernel messages counts with suspend and is not used.
//! * The identifier is `SYSLOG_IDENTIFIER`, else `_COMM`. journald names the kernel and audit in
//!   the first; where an export left it out, `_TRANSPORT` tells them.
//!
//! Unlike journalctl's, each line of a message has the prefix, and text that a terminal could not
//! show is not replaced by its length.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::Offset;

/// Characters that end a tag in a log line.
const NOT_IN_TAGS: &str = ":[]=\"{";
/// Characters that a host's name has not.
const NOT_IN_HOSTS: &str = "[/:";

/// A field that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Message,
    Transport,
    Identifier,
    Comm,
    Pid,
    SyslogPid,
    Host,
    SourceRealtime,
    Realtime,
}

impl Field {
    /// The field of that name; `None` for all others.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"MESSAGE" => Self::Message,
            b"_TRANSPORT" => Self::Transport,
            b"SYSLOG_IDENTIFIER" => Self::Identifier,
            b"_COMM" => Self::Comm,
            b"_PID" => Self::Pid,
            b"SYSLOG_PID" => Self::SyslogPid,
            b"_HOSTNAME" => Self::Host,
            b"_SOURCE_REALTIME_TIMESTAMP" => Self::SourceRealtime,
            b"__REALTIME_TIMESTAMP" => Self::Realtime,
            _ => return None,
        })
    }

    /// A field as it is stored, `NAME=value`.
    pub(super) fn split(stored: &[u8]) -> Option<(Self, &[u8])> {
        const LONGEST: usize = "_SOURCE_REALTIME_TIMESTAMP=".len();
        let equals = memchr::memchr(b'=', stored.get(..LONGEST).unwrap_or(stored))?;
        let (name, value) = stored.split_at_checked(equals)?;
        Some((Self::named(name)?, value.get(1..)?))
    }
}

/// An entry. It is filled again and again, so that its memory is reused.
#[derive(Debug, Default)]
pub(super) struct Entry {
    values: [Vec<u8>; 9],
    message: bool,
    /// When journald wrote it, in microseconds since the epoch.
    pub(super) realtime: Option<u64>,
}

impl Entry {
    pub(super) fn clear(&mut self) {
        self.values.iter_mut().for_each(Vec::clear);
        self.message = false;
        self.realtime = None;
    }

    /// Sets a field. Of several values the last counts, as in journalctl.
    pub(super) fn set(&mut self, field: Field, value: &[u8]) {
        match field {
            Field::Message => self.message = true,
            Field::Realtime => self.realtime = number(value),
            _ => {}
        }
        if let Some(stored) = self.values.get_mut(field as usize) {
            stored.clear();
            stored.extend_from_slice(value);
        }
    }

    /// Whether there is a message: an entry may have none (a coredump's fields, say).
    pub(super) fn has_message(&self) -> bool {
        self.message
    }

    /// The time of the line, in microseconds since the epoch.
    pub(super) fn time(&self) -> Option<u64> {
        // systemd's VALID_REALTIME: to the year 3111.
        let valid = |t: &u64| (1..1 << 55).contains(t);
        let source = number(self.get(Field::SourceRealtime)).filter(valid);
        source.or_else(|| self.realtime.filter(valid))
    }

    /// Appends the lines; none where message or time is missing.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if !self.message {
            return;
        }
        let Some(prefix) = self.prefix() else { return };
        let message = without_escapes(self.get(Field::Message));
        let end = message.iter().rposition(|b| *b != b'\n').map_or(0, |last| last + 1);
        for line in message.get(..end).unwrap_or_default().split(|b| *b == b'\n') {
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(line);
            out.push(b'\n');
        }
    }

    fn get(&self, field: Field) -> &[u8] {
        self.values.get(field as usize).map_or(&[], Vec::as_slice)
    }

    /// `2025-01-12T07:30:41.123456+00:00 host name[1]: `.
    fn prefix(&self) -> Option<String> {
        let time = Timestamp::from_microsecond(i64::try_from(self.time()?).ok()?).ok()?;
        let time = Offset::UTC.to_datetime(time);
        let mut prefix = format!("{time:.6}+00:00 ").into_bytes();
        let host = word(self.get(Field::Host), 255, NOT_IN_HOSTS);
        let host = if host.is_empty() { "-" } else { &host };
        let name = self.name();
        let pid = [Field::Pid, Field::SyslogPid].map(|f| self.get(f));
        match pid.into_iter().find(|p| number(p).is_some()) {
            Some(pid) => write!(prefix, "{host} {name}[{}]: ", String::from_utf8_lossy(pid)),
            None => write!(prefix, "{host} {name}: "),
        }
        .ok()?;
        String::from_utf8(prefix).ok()
    }

    fn name(&self) -> String {
        let tags = [Field::Identifier, Field::Comm].map(|f| word(self.get(f), 64, NOT_IN_TAGS));
        let transport = match self.get(Field::Transport) {
            b"kernel" => "kernel",
            b"audit" => "audit",
            _ => "unknown",
        };
        tags.into_iter().find(|tag| !tag.is_empty()).unwrap_or_else(|| transport.to_owned())
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Text as one word: what would end it early becomes `_`.
fn word(text: &[u8], longest: usize, forbidden: &str) -> String {
    let ends = |c: char| c.is_whitespace() || c.is_control() || forbidden.contains(c);
    let text = String::from_utf8_lossy(text.get(..longest * 4).unwrap_or(text));
    text.trim().chars().take(longest).map(|c| if ends(c) { '_' } else { c }).collect()
}

/// Takes off colours and other escape sequences of terminals, as journalctl does.
fn without_escapes(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    const ESCAPE: u8 = 0x1b;
    let Some(first) = memchr::memchr(ESCAPE, text) else { return text.into() };
    let (plain, mut rest) = text.split_at(first);
    let mut out = plain.to_vec();
    while let [byte, after @ ..] = rest {
        let length = match (*byte, after) {
            (ESCAPE, [b'[', sequence @ ..]) => {
                sequence.iter().position(|b| (0x40..0x7f).contains(b)).map(|end| end + 3)
            }
            // A link or a title: it ends with BEL or ESC and a backslash.
            (ESCAPE, [b']', sequence @ ..]) => memchr::memchr2(0x07, ESCAPE, sequence)
                .map(|end| end + 3 + usize::from(sequence.get(end) == Some(&ESCAPE))),
            _ => None,
        };
        if length.is_none() {
            out.push(*byte);
        }
        rest = rest.get(length.unwrap_or(1)..).unwrap_or_default();
    }
    out.into()
}
