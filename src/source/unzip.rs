//! A zip archive: read by its central directory, never unpacked.
//!
//! Zip64 included; the directory is read by the `rawzip` crate, the members are decompressed by
//! the decoders of all other inputs: stored, deflate, bzip2, LZMA, Zstandard and xz. Sizes and
//! checksums are checked. Members that are encrypted, and other methods of compression, are named
//! and passed over. An archive without its directory (cut off) cannot be read: what its members
//! are stands there only.

use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;

use rawzip::{CompressionMethod, FileReader, ZipArchive, ZipFileHeaderRecord};

use super::codec::Codec;
use super::layout::normal;
use super::limits::Bounds;
use super::member::{Fault, Go, Member, MemberKind, Visit};
use super::stream;

/// Bytes of a symbolic link's target, at most.
const TARGET: u64 = 4096;
/// KiB of memory for an LZMA dictionary.
const LZMA_KIB: u32 = super::limits::XZ_MEMORY_KIB;

/// Whether a file that starts with `head` is a zip archive, or an empty one.
pub(super) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// Reads an archive's members in the order of its directory, until its end or until the callback
/// says so.
pub(super) fn members(file: File, bounds: &Rc<Bounds>, visit: &mut Visit<'_>) -> Result<Go, Fault> {
    let length = file.metadata().map_err(|e| Fault::none(&e))?.len();
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(|e| broken(&e, 0))?;
    let mut after = 0;
    // A record may be longer than the recommended buffer: names and extra fields of 64 KiB each.
    let mut buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let mut entries = archive.entries(&mut buffer);
    while let Some(record) = entries.next_entry().map_err(|e| broken(&e, after))? {
        if bounds.entries.get() >= bounds.limits.entries {
            return Err(Fault::crowd(after));
        }
        bounds.entries.set(bounds.entries.get() + 1);
        after += 1;
        if record.is_dir() {
            continue;
        }
        match one(&archive, &record, length, bounds, visit) {
            Go::On => {}
            Go::Leave => return Ok(Go::On),
            Go::Stop => return Ok(Go::Stop),
        }
    }
    if after < archive.entries_hint() {
        let what = format!("archive is cut off after {after} entries (its directory has fewer)");
        return Err(Fault { what, after });
    }
    Ok(Go::On)
}

fn broken(error: &rawzip::Error, after: u64) -> Fault {
    let what = if after == 0 {
        format!("archive is damaged, its central directory cannot be read ({error})")
    } else {
        format!("archive is damaged after {after} entries ({error})")
    };
    Fault { what, after }
}

fn one(
    archive: &ZipArchive<FileReader>,
    record: &ZipFileHeaderRecord<'_>,
    length: u64,
    bounds: &Rc<Bounds>,
    visit: &mut Visit<'_>,
) -> Go {
    // Old Windows programs write backslashes.
    let name = String::from_utf8_lossy(record.file_path().as_bytes()).replace('\\', "/");
    let refused = |path: String, why: &str, visit: &mut Visit<'_>| {
        visit(Member { path, kind: MemberKind::Refused(why.to_owned()) }, &mut io::empty())
    };
    let path = match normal(&name) {
        Ok(path) => path,
        Err(why) => return refused(name, why, visit),
    };
    if record.flags().is_encrypted() || record.compression_method() == CompressionMethod::AES {
        return refused(path, "it is encrypted", visit);
    }
    // Offsets that lie outside are not even computed with.
    let stored = record.compressed_size_hint();
    if record.local_header_offset() >= length || stored > length {
        return refused(path, "it lies outside of the archive", visit);
    }
    let method = record.compression_method();
    let Some(decode) = decoder(method, record.uncompressed_size_hint()) else {
        return refused(path, &format!("its compression ({method}) is not supported"), visit);
    };
    let entry = match archive.get_entry(record.wayfinder()) {
        Ok(entry) => entry,
        Err(error) => return refused(path, &format!("it is damaged ({error})"), visit),
    };
    let mut raw = entry.reader();
    let stream = stream::nested(&mut raw, bounds, decode);
    let mut content = entry.verifying_reader(stream);
    if record.mode().is_symlink() {
        let mut target = Vec::new();
        return match content.take(TARGET).read_to_end(&mut target) {
            Ok(_) => {
                let target = String::from_utf8_lossy(&target).into_owned();
                let kind = MemberKind::Link { target, hard: false };
                visit(Member { path, kind }, &mut io::empty())
            }
            Err(error) => refused(path, &format!("it is damaged ({error})"), visit),
        };
    }
    visit(Member { path, kind: MemberKind::File { apart: true } }, &mut content)
}

type Decode = for<'r> fn(Box<dyn Read + 'r>, u64) -> Box<dyn Read + 'r>;

/// What undoes a method of compression; `None` for those that nobody uses any more.
fn decoder<'r>(
    method: CompressionMethod,
    size: u64,
) -> Option<impl FnOnce(Box<dyn Read + 'r>) -> Box<dyn Read + 'r>> {
    let decode: Decode = match method {
        CompressionMethod::STORE => |r, _| r,
        CompressionMethod::DEFLATE => |r, _| Box::new(flate2::read::DeflateDecoder::new(r)),
        CompressionMethod::BZIP2 => |r, _| Box::new(Codec::Bzip2.decode(r)),
        CompressionMethod::ZSTD | CompressionMethod::ZSTD_DEPRECATED => {
            |r, _| Box::new(Codec::Zstd.decode(io::BufReader::new(r)))
        }
        CompressionMethod::XZ => |r, _| Box::new(Codec::Xz.decode(io::BufReader::new(r))),
        CompressionMethod::LZMA => |r, size| Box::new(Lzma::new(r, size)),
        _ => return None,
    };
    Some(move |reader| decode(reader, size))
}

/// LZMA as zip keeps it: a version (2 bytes), the length of the properties (2 bytes), the
/// properties (5 bytes), then the bare stream.
enum Lzma<'r> {
    Unread(Option<Box<dyn Read + 'r>>, u64),
    Open(Box<lzma_rust2::LzmaReader<Box<dyn Read + 'r>>>),
}

impl<'r> Lzma<'r> {
    fn new(reader: Box<dyn Read + 'r>, size: u64) -> Self {
        Self::Unread(Some(reader), size)
    }
}

impl Read for Lzma<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Self::Unread(reader, size) = self {
            let size = *size;
            let Some(mut reader) = reader.take() else { return Err(bad_lzma()) };
            let mut head = [0; 9];
            reader.read_exact(&mut head)?;
            let [_, _, 5, 0, properties, dictionary @ ..] = head else { return Err(bad_lzma()) };
            let dictionary = u32::from_le_bytes(dictionary);
            if dictionary / 1024 > LZMA_KIB {
                return Err(io::Error::other("its LZMA dictionary is too large"));
            }
            let open =
                lzma_rust2::LzmaReader::new_with_props(reader, size, properties, dictionary, None)?;
            *self = Self::Open(Box::new(open));
        }
        match self {
            Self::Open(open) => open.read(buf),
            Self::Unread(..) => Err(bad_lzma()),
        }
    }
}

fn bad_lzma() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no LZMA stream")
}
