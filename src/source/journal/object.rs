//! Objects: the pieces that a binary journal consists of, and what is packed in them.
//!
//! All numbers are little-endian, all objects begin at a multiple of eight. The layouts are those
//! of <https://systemd.io/JOURNAL_FILE_FORMAT/> and systemd's journal-def.h. In the compact format
//! (systemd 252) offsets of entries and arrays have 32 bits.

use std::borrow::Cow;
use std::io::Read;

use lzma_rust2::XzReader;
use nom::number::complete::{le_u8, le_u32, le_u64};
use nom::{IResult, Parser, bytes::complete::take};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::FIELD;

/// Type numbers of objects.
pub(super) const DATA: u8 = 1;
pub(super) const ENTRY: u8 = 3;
pub(super) const ENTRY_ARRAY: u8 = 6;
const TAG: u8 = 7;

/// Bytes of an object's header.
const OBJECT_HEADER: usize = 16;
/// Fields of an entry, at most: journald refuses more.
const FIELDS: usize = 1024;
/// KiB for an xz dictionary: journald uses 1 MiB.
const XZ_MEMORY_KIB: u32 = 16 << 10;
/// Bytes that all compressed fields of a file may expand to.
const UNPACKED: u64 = 4 << 30;
/// What unpacking counts for at least.
const ATTEMPT: u64 = 1 << 10;

/// An object, whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'b> {
    pub(super) kind: u8,
    flags: u8,
    /// Where the next object begins.
    pub(super) end: u64,
    /// All after the header.
    body: &'b [u8],
}

/// The object at `offset`; `None` where there is none, or not all of it.
pub(super) fn object(file: &[u8], offset: u64) -> Option<Object<'_>> {
    let header = |i| -> IResult<&[u8], _> { (le_u8, le_u8, take(6usize), le_u64).parse(i) };
    let at = usize::try_from(offset).ok().filter(|_| offset > 0 && offset.is_multiple_of(8))?;
    let (rest, (kind, flags, _, size)) = header(file.get(at..)?).ok()?;
    let least = match kind {
        DATA | ENTRY | TAG => 64,
        2 => 40,
        4 | 5 => 16,
        ENTRY_ARRAY => 24,
        _ => return None,
    };
    let body = usize::try_from(size).ok().filter(|s| *s >= least)? - OBJECT_HEADER;
    let end = offset.checked_add(size)?.checked_next_multiple_of(8)?;
    Some(Object { kind, flags, end, body: rest.get(..body)? })
}

/// An array of entries, as far as the file has it.
pub(super) struct Array<'b> {
    /// Offset of the next array; 0 for none.
    pub(super) next: u64,
    items: &'b [u8],
    compact: bool,
}

/// The array of entries at `offset`. Unlike other objects it may be cut off.
pub(super) fn array(file: &[u8], offset: u64, compact: bool) -> Option<Array<'_>> {
    let head =
        |i| -> IResult<&[u8], _> { (le_u8, take(7usize), le_u64, le_u64).parse(i) };
    let at = usize::try_from(offset).ok().filter(|_| offset > 0 && offset.is_multiple_of(8))?;
    let (rest, (kind, _, size, next)) = head(file.get(at..)?).ok()?;
    let length = usize::try_from(size).ok().filter(|_| kind == ENTRY_ARRAY)?.checked_sub(24)?;
    Some(Array { next, items: rest.get(..length).unwrap_or(rest), compact })
}

impl Array<'_> {
    /// Bytes of offsets.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Offsets of entries, up to the first that is not filled in yet.
    pub(super) fn entries(&self) -> impl Iterator<Item = u64> {
        let (width, compact) = (if self.compact { 4 } else { 8 }, self.compact);
        self.items.chunks_exact(width).map(move |c| offset(c, compact)).take_while(|o| *o != 0)
    }
}

fn offset(bytes: &[u8], compact: bool) -> u64 {
    let narrow = |i| -> IResult<&[u8], u32> { le_u32.parse(i) };
    let wide = |i| -> IResult<&[u8], u64> { le_u64.parse(i) };
    if compact {
        narrow(bytes).map_or(0, |(_, o)| o.into())
    } else {
        wide(bytes).map_or(0, |(_, o)| o)
    }
}

impl<'b> Object<'b> {
    /// When an entry was written, in microseconds since the epoch.
    pub(super) fn realtime(&self) -> Option<u64> {
        self.body.get(8..).map(|b| offset(b, false))
    }

    /// The data objects of an entry: their offsets, and their hashes where they are noted.
    pub(super) fn items(&self, compact: bool) -> impl Iterator<Item = (u64, Option<u64>)> + use<'b> {
        let width = if compact { 4 } else { 16 };
        let items = self.body.get(48..).unwrap_or_default().chunks_exact(width).take(FIELDS);
        items.map(move |item| {
            let hash = item.get(8..).map(|hash| offset(hash, false));
            (offset(item, compact), hash)
        })
    }

    /// The hash of a data object.
    pub(super) fn hash(&self) -> Option<u64> {
        self.body.get(..8).map(|b| offset(b, false))
    }

    /// What a data object holds, packed or not.
    fn payload(&self, compact: bool) -> &'b [u8] {
        self.body.get(if compact { 56 } else { 48 }..).unwrap_or_default()
    }

    /// Whether the payload has to be unpacked.
    pub(super) fn is_packed(&self) -> bool {
        self.flags & 0b111 != 0
    }
}

/// Undoes the compression of data objects.
pub(super) struct Unpacker {
    zstd: FrameDecoder,
    left: u64,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self { zstd: FrameDecoder::new(), left: UNPACKED }
    }

    /// The field that a data object holds, or its beginning where it is very long; `None` where it
    /// cannot be unpacked.
    pub(super) fn field<'b>(&mut self, data: &Object<'b>, compact: bool) -> Option<Cow<'b, [u8]>> {
        let packed = data.payload(compact);
        if !data.is_packed() {
            return Some(packed.get(..FIELD).unwrap_or(packed).into());
        }
        if self.left == 0 {
            return None;
        }
        let unpacked = match data.flags & 0b111 {
            1 => xz(packed),
            2 => lz4(packed),
            4 => self.zstd(packed),
            _ => None,
        };
        let length = unpacked.as_ref().map_or(0, |u| u.len() as u64);
        self.left = self.left.saturating_sub(length.max(ATTEMPT));
        unpacked.map(Cow::Owned)
    }

    fn zstd(&mut self, mut packed: &[u8]) -> Option<Vec<u8>> {
        self.zstd.reset(&mut packed).ok()?;
        let blocks = BlockDecodingStrategy::UptoBytes(FIELD);
        self.zstd.decode_blocks(&mut packed, blocks).ok()?;
        let mut out = Vec::new();
        (&mut self.zstd).take(FIELD as u64).read_to_end(&mut out).ok()?;
        Some(out)
    }
}

fn xz(packed: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = XzReader::new_mem_limit(packed, false, XZ_MEMORY_KIB).take(FIELD as u64);
    reader.read_to_end(&mut out).ok().map(|_| out)
}

/// A block with its unpacked size before it.
fn lz4(packed: &[u8]) -> Option<Vec<u8>> {
    /// LZ4 cannot do better: a byte of a length stands for 255.
    const RATIO: usize = 255;
    /// Blocks have to be unpacked at once; no field of this size is a message.
    const LONGEST: usize = 16 << 20;
    let (size, block) = packed.split_at_checked(8)?;
    let size = usize::try_from(offset(size, false)).ok()?;
    if size > LONGEST.min(block.len().saturating_mul(RATIO)) {
        return None;
    }
    let mut out = vec![0; size];
    let written = lz4_flex::block::decompress_into(block, &mut out).ok()?;
    out.truncate(written.min(FIELD));
    Some(out)
}
