//! journald's binary files: `system.journal`, `system@....journal`, `....journal~`.
//!
//! Regular and compact files, keyed hashes and seals, data packed with XZ, LZ4 or Zstandard. The
//! format is that of <https://systemd.io/JOURNAL_FILE_FORMAT/>.
//!
//! Entries are found as journalctl finds them, by the chain of entry arrays. Where that gives fewer
//! than the header counts (a cut or damaged file, one copied while journald wrote), the objects are
//! also walked one after the other, and a broken one is stepped over. Both orders are that of
//! writing, which is that of sequence numbers.
//!
//! An entry needs objects from all over the file, so the file is held in memory.

use std::collections::HashSet;
use std::io::{self, Read};

use nom::number::complete::{le_u32, le_u64};
use nom::{IResult, Parser, bytes::complete::take};

use super::Entries;
use super::entry::{Entry, Field};
use super::object::{self, DATA, ENTRY, Object, Unpacker};
use crate::source::limits::{GIB, MIB, size};

/// What a file begins with.
pub(super) const SIGNATURE: &[u8] = b"LPKSHHRH";

/// Bytes that are read. journald begins a new file at 128 MiB, unless told otherwise.
const LIMIT: u64 = 256 * MIB;
/// The header's size before systemd 187, and a bound on what it may grow to.
const HEADER_SIZES: std::ops::RangeInclusive<u64> = 208..=4096;
/// Incompatible features: packed with XZ, LZ4, Zstandard; keyed hash; compact.
const FEATURES: u32 = 0b1_1111;
const COMPACT: u32 = 0b1_0000;
/// Bytes of the smallest entry.
const LEAST: usize = 64;
/// Bytes of fields that are looked at, and what a look counts for at least.
const WORK: u64 = 4 * GIB;
const LOOK: u64 = 16;
/// Objects that are remembered because nothing in them matters.
const REMEMBERED: usize = 1 << 20;

/// A binary journal, read when its first entry is asked for.
pub(super) struct Journal<'r> {
    reader: Option<&'r mut dyn Read>,
    /// What went wrong while it was read; it is due after the last entry.
    fault: Option<io::Error>,
    walk: Walk,
}

impl<'r> Journal<'r> {
    pub(super) fn new(reader: &'r mut dyn Read) -> Self {
        Self { reader: Some(reader), fault: None, walk: Walk::new(Vec::new()) }
    }
}

impl Entries for Journal<'_> {
    fn next(&mut self, entry: &mut Entry) -> io::Result<bool> {
        if let Some(reader) = self.reader.take() {
            let mut bytes = Vec::new();
            self.fault = reader.take(LIMIT + 1).read_to_end(&mut bytes).err();
            if bytes.len() as u64 > LIMIT && self.fault.is_none() {
                bytes.pop();
                self.fault = Some(io::Error::other(format!("longer than {}", size(LIMIT))));
            }
            self.walk = Walk::new(bytes);
        }
        if self.walk.next(entry) {
            return Ok(true);
        }
        self.fault.take().map_or(Ok(false), Err)
    }

    fn lost(&self) -> Option<String> {
        self.walk.lost()
    }
}

/// What the header says.
#[derive(Debug, Clone, Copy)]
struct Header {
    incompatible: u32,
    /// Where the objects begin.
    objects: u64,
    /// Where the last object begins.
    tail: u64,
    entries: u64,
    /// The first array of entries.
    array: u64,
}

fn header(bytes: &[u8]) -> Option<Header> {
    // Left out: state and four ids, hash tables, sequence numbers, all after the arrays.
    let parse = |i| -> IResult<&[u8], _> {
        let flags = (take(12usize), le_u32, take(72usize));
        let sizes = (le_u64, take(40usize), le_u64, take(8usize), le_u64, take(16usize), le_u64);
        (flags, sizes).parse(i)
    };
    let (_, ((_, incompatible, _), (objects, _, tail, _, entries, _, array))) =
        parse(bytes).ok()?;
    Some(Header { incompatible, objects, tail, entries, array })
}

/// A walk over the entries of a journal.
struct Walk {
    bytes: Vec<u8>,
    compact: bool,
    /// Offsets of the entries that are to come.
    entries: std::vec::IntoIter<u64>,
    /// Entries that there should be.
    claimed: Option<u64>,
    /// Entries of which enough could be read.
    read: u64,
    unreadable: u64,
    /// Bytes of fields that may still be looked at: those of damaged entries may overlap.
    work: u64,
    unpacker: Unpacker,
    /// Packed fields that do not matter: to know that, they have to be unpacked.
    ignored: HashSet<u64>,
    refused: Option<String>,
}

impl Walk {
    fn new(bytes: Vec<u8>) -> Self {
        let header = header(&bytes);
        let mut refused = None;
        let mut entries = Vec::new();
        match header {
            Some(h) if h.incompatible & !FEATURES != 0 => {
                refused = Some(format!(
                    "a journal with features that are not known (flags {:#x}): export it with \
                     `journalctl --file=FILE -o export`",
                    h.incompatible & !FEATURES
                ));
            }
            Some(h) => entries = find(&bytes, h),
            None => {}
        }
        // More than fit into the file, as long as it was, were never written.
        let length = header.map_or(0, |h| h.tail).max(bytes.len() as u64);
        let fit = |n: &u64| *n <= length / LEAST as u64;
        Self {
            compact: header.is_some_and(|h| h.incompatible & COMPACT != 0),
            claimed: header.map(|h| h.entries).filter(fit),
            entries: entries.into_iter(),
            read: 0,
            unreadable: 0,
            work: WORK,
            unpacker: Unpacker::new(),
            ignored: HashSet::new(),
            refused,
            bytes,
        }
    }

    /// Fills in the next entry that has a message.
    fn next(&mut self, entry: &mut Entry) -> bool {
        while let Some(offset) = self.entries.next() {
            entry.clear();
            let whole = self.fill(offset, entry);
            let usable = entry.has_message() && entry.time().is_some();
            if usable || whole {
                self.read += 1;
            } else {
                self.unreadable += 1;
            }
            if usable {
                return true;
            }
        }
        false
    }

    /// Fills in what is readable of an entry; whether all of it was.
    fn fill(&mut self, offset: u64, entry: &mut Entry) -> bool {
        // Borrowed apart from the unpacker and the memory of what to ignore.
        let Self { bytes, unpacker, ignored, compact, work, .. } = self;
        let Some(object) = object::object(bytes, offset) else { return false };
        entry.realtime = object.realtime();
        let mut whole = entry.time().is_some();
        for (offset, hash) in object.items(*compact) {
            let Some(left) = work.checked_sub(LOOK) else { return false };
            *work = left;
            if ignored.contains(&offset) {
                continue;
            }
            let Some(data) = data(bytes, offset, hash) else {
                whole = false;
                continue;
            };
            let Some(field) = unpacker.field(&data, *compact) else {
                whole = false;
                continue;
            };
            match Field::split(&field) {
                Some((field, value)) => {
                    *work = work.saturating_sub(value.len() as u64);
                    entry.set(field, value);
                }
                None if data.is_packed() && ignored.len() < REMEMBERED => {
                    ignored.insert(offset);
                }
                None => {}
            }
        }
        whole
    }

    fn lost(&self) -> Option<String> {
        if let Some(refused) = &self.refused {
            return Some(refused.clone());
        }
        let read = self.read;
        match self.claimed {
            Some(claimed) if self.unreadable == 0 && read >= claimed => None,
            Some(claimed) if read < claimed => {
                Some(format!("cut off or damaged: {read} of its {claimed} entries can be read"))
            }
            Some(_) | None => {
                Some(format!("cut off or damaged: {read} of its entries can be read"))
            }
        }
    }
}

/// The data object at an offset. Regular files note its hash in the entry too, which tells an
/// offset that leads to another field.
fn data(bytes: &[u8], offset: u64, hash: Option<u64>) -> Option<Object<'_>> {
    object::object(bytes, offset)
        .filter(|o| o.kind == DATA && hash.is_none_or(|hash| o.hash() == Some(hash)))
}

/// Offsets of all entries that can be found, in the order of writing.
fn find(bytes: &[u8], header: Header) -> Vec<u64> {
    let mut entries = chain(bytes, header);
    entries.sort_unstable();
    entries.dedup();
    if (entries.len() as u64) < header.entries {
        let walked = walk(bytes, header, &entries);
        entries.extend(walked);
        entries.sort_unstable();
        entries.dedup();
    }
    entries
}

fn is_entry(bytes: &[u8], offset: u64) -> bool {
    object::object(bytes, offset).is_some_and(|o| o.kind == ENTRY)
}

/// Entries that the arrays name.
fn chain(bytes: &[u8], header: Header) -> Vec<u64> {
    let compact = header.incompatible & COMPACT != 0;
    let mut entries = Vec::new();
    let (mut at, mut before, mut length) = (header.array, 0, 0);
    // Arrays are only appended: one that lies before the last would be a loop. Damaged ones may
    // overlap, whole ones are no longer than the file, nor name more than fits into it.
    while at > before && length < bytes.len() && entries.len() < bytes.len() / LEAST {
        let Some(array) = object::array(bytes, at, compact) else { break };
        let left = bytes.len() / LEAST - entries.len();
        entries.extend(array.entries().filter(|offset| is_entry(bytes, *offset)).take(left));
        length += array.len().max(8);
        (before, at) = (at, array.next);
    }
    entries
}

/// Entries that are met when all objects are gone through. Where one is broken, the walk goes on at
/// the next that looks like one, or that is known to be one.
fn walk(bytes: &[u8], header: Header, known: &[u64]) -> Vec<u64> {
    let begins = HEADER_SIZES.contains(&header.objects) && header.objects.is_multiple_of(8);
    let mut at = if begins { header.objects } else { *HEADER_SIZES.start() };
    let mut entries = Vec::new();
    let mut trusted = begins;
    while at < bytes.len() as u64 {
        match object::object(bytes, at) {
            Some(object) if trusted || known.contains_sorted(at) || follows(bytes, at, &object) => {
                if object.kind == ENTRY {
                    entries.push(at);
                }
                at = object.end;
                trusted = true;
            }
            // Space that is not used yet.
            None if trusted && at > header.tail && is_zero(bytes, at) => break,
            _ => {
                trusted = false;
                at += 8;
            }
        }
    }
    entries
}

/// Whether what looks like an object is followed by another, or by nothing.
fn follows(bytes: &[u8], at: u64, object: &Object<'_>) -> bool {
    let reserved = usize::try_from(at).ok().and_then(|at| bytes.get(at + 1..at + 8));
    let plain = object.kind == DATA || reserved.is_some_and(|r| r.iter().all(|b| *b == 0));
    let last = object.end >= bytes.len() as u64 || is_zero(bytes, object.end);
    plain && (last || object::object(bytes, object.end).is_some())
}

/// Whether there are sixteen zeros, which no object begins with.
fn is_zero(bytes: &[u8], at: u64) -> bool {
    let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    rest.iter().take(16).all(|b| *b == 0)
}

/// Looking up in a sorted list.
trait ContainsSorted {
    fn contains_sorted(&self, offset: u64) -> bool;
}

impl ContainsSorted for [u64] {
    fn contains_sorted(&self, offset: u64) -> bool {
        self.binary_search(&offset).is_ok()
    }
}
