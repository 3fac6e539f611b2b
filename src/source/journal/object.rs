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
/// Bytes that one field may expand to. It is no message then, but has to be unpacked to be known.
const LONGEST: usize = 16 << 20;

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
    let head = |i| -> IResult<&[u8], _> { (le_u8, take(7usize), le_u64, le_u64).parse(i) };
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
    pub(super) fn items(
        &self,
        compact: bool,
    ) -> impl Iterator<Item = (u64, Option<u64>)> + use<'b> {
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
        unpacked.map(|mut field| {
            field.truncate(FIELD);
            field.into()
        })
    }

    fn zstd(&mut self, mut packed: &[u8]) -> Option<Vec<u8>> {
        self.zstd.reset(&mut packed).ok()?;
        let blocks = BlockDecodingStrategy::UptoBytes(LONGEST);
        // Until the frame is at its end the decoder keeps back what later blocks may refer to.
        let whole = self.zstd.decode_blocks(&mut packed, blocks).ok()?;
        whole.then(|| self.zstd.collect())?
    }
}

fn xz(packed: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = XzReader::new_mem_limit(packed, false, XZ_MEMORY_KIB).take(LONGEST as u64);
    reader.read_to_end(&mut out).ok().map(|_| out)
}

/// A block with its unpacked size before it.
fn lz4(packed: &[u8]) -> Option<Vec<u8>> {
    /// LZ4 cannot do better: a byte of a length stands for 255.
    const RATIO: usize = 255;
    let (size, block) = packed.split_at_checked(8)?;
    let size = usize::try_from(offset(size, false)).ok()?;
    if size > LONGEST.min(block.len().saturating_mul(RATIO)) {
        return None;
    }
    let mut out = vec![0; size];
    let written = lz4_flex::block::decompress_into(block, &mut out).ok()?;
    (written == size).then_some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A data object of a regular file, and something before it.
    fn file(flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 8 + 64];
        (bytes[8], bytes[9]) = (DATA, flags);
        bytes[16..24].copy_from_slice(&(64 + payload.len() as u64).to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    fn unpack(flags: u8, payload: &[u8]) -> Option<Vec<u8>> {
        let file = file(flags, payload);
        let data = object(&file, 8).expect("an object");
        Unpacker::new().field(&data, false).map(Cow::into_owned)
    }

    #[test]
    fn of_a_field_of_megabytes_the_beginning_is_kept() {
        let text = [b"MESSAGE=".to_vec(), b"kvm ".repeat(1 << 20)].concat();
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1))
            .expect("an encoder");
        xz.write_all(&text).expect("memory");
        let xz = xz.finish().expect("memory");
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let zstd = ruzstd::encoding::compress_to_vec(&text[..], level);
        for (flags, payload) in [(0, &text), (1, &xz), (4, &zstd)] {
            assert_eq!(unpack(flags, payload).as_deref(), text.get(..FIELD), "{flags}");
        }
    }

    #[test]
    fn what_cannot_be_unpacked_is_nothing() {
        let size = |n: u64| n.to_le_bytes().to_vec();
        for (what, flags, payload) in [
            (
                "lz4: a size that its bytes cannot give",
                2,
                [size(1 << 20), b"@abcd".to_vec()].concat(),
            ),
            ("lz4: less than its size", 2, [size(9), b"@abcd".to_vec()].concat()),
            ("lz4: no size", 2, b"abc".to_vec()),
            ("xz: cut", 1, b"\xfd7zXZ\0\0".to_vec()),
            ("zstd: no frame", 4, b"MESSAGE=x".to_vec()),
            ("two codecs", 3, b"MESSAGE=x".to_vec()),
        ] {
            assert_eq!(unpack(flags, &payload), None, "{what}");
        }
        assert_eq!(
            unpack(2, &[size(4), b"@abcd".to_vec()].concat()).as_deref(),
            Some(&b"abcd"[..])
        );
    }
}
