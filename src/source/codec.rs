//! Codecs: which compression a file is in, by its first bytes, and a reader that undoes it.
//!
//! All decoders take concatenated streams (`cat a.gz b.gz`, `pigz`, `pzstd`, `pbzip2`, `xz` with
//! stream padding), because rotated logs are made that way.

use std::io::{self, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::limits::XZ_MEMORY_KIB;

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// None that is known.
    Plain,
    /// RFC 1952.
    Gzip,
    /// The .xz file format 1.2.
    Xz,
    /// RFC 8878.
    Zstd,
    /// bzip2.
    Bzip2,
}

/// The codec of a file that starts with `head`; six bytes suffice.
pub(super) fn decoder(head: &[u8]) -> Codec {
    match head {
        [0x1f, 0x8b, ..] => Codec::Gzip,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
        // A frame, or one of the sixteen skippable frames that pzstd puts first.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Codec::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Codec::Bzip2,
        _ => Codec::Plain,
    }
}

/// The path without a compression suffix; `None` where it has none.
pub(super) fn without_suffix(path: &str) -> Option<&str> {
    [".gz", ".xz", ".zst", ".bz2"]
        .iter()
        .find_map(|s| path.strip_suffix(s))
        .filter(|p| !p.is_empty() && !p.ends_with('/'))
}

impl Codec {
    /// A reader of the decompressed bytes of `inner`.
    pub(super) fn decode<R: Read>(self, inner: R) -> Decoder<R> {
        match self {
            Self::Plain => Decoder::Plain(inner),
            Self::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(inner))),
            Self::Xz => Decoder::Xz(Box::new(XzReader::new_mem_limit(inner, true, XZ_MEMORY_KIB))),
            Self::Zstd => Decoder::Zstd(Box::new(Zstd::new(inner))),
            Self::Bzip2 => Decoder::Bzip2(Box::new(MultiBzDecoder::new(inner))),
        }
    }
}

/// A reader of decompressed bytes.
pub(super) enum Decoder<R: Read> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Xz(Box<XzReader<R>>),
    Zstd(Box<Zstd<R>>),
    Bzip2(Box<MultiBzDecoder<R>>),
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(r) => r.read(buf),
            Self::Gzip(r) => r.read(buf),
            Self::Xz(r) => r.read(buf),
            Self::Zstd(r) => r.read(buf),
            Self::Bzip2(r) => r.read(buf),
        }
    }
}

/// Zstandard frames one after the other, with their checksums checked.
///
/// `ruzstd` has a streaming reader of its own, for a single frame and without the check.
pub(super) struct Zstd<R> {
    source: Peeked<R>,
    frame: FrameDecoder,
    in_frame: bool,
    frames: u64,
}

impl<R: Read> Zstd<R> {
    fn new(inner: R) -> Self {
        let source = Peeked { inner, next: Next::Unknown };
        Self { source, frame: FrameDecoder::new(), in_frame: false, frames: 0 }
    }

    /// Begins the next frame; false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.frames > 0 && self.source.at_end()? {
                return Ok(false);
            }
            match self.frame.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    self.frames += 1;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.frames += 1;
                }
                Err(error) => return Err(self.source.blame(&error)),
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.in_frame = false;
        match (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum()) {
            (Some(said), Some(is)) if said != is => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "zstd checksum mismatch"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.begin()? {
                return Ok(0);
            }
            while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                self.frame
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| self.source.blame(&error))?;
            }
            let read = self.frame.read(buf)?;
            if read > 0 {
                return Ok(read);
            }
            self.end()?;
        }
    }
}

/// A reader that can be asked whether it is at its end, and remembers that it was.
struct Peeked<R> {
    inner: R,
    next: Next,
}

/// What is known of what comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Unknown,
    Byte(u8),
    End,
}

impl<R: Read> Peeked<R> {
    fn at_end(&mut self) -> io::Result<bool> {
        if self.next == Next::Unknown {
            let mut one = [0];
            let some = read_some(&mut self.inner, &mut one)?;
            self.next = if some { Next::Byte(one[0]) } else { Next::End };
        }
        Ok(self.next == Next::End)
    }

    /// The decoder's error; an end in the middle is told from damage.
    fn blame(&mut self, error: &FrameDecoderError) -> io::Error {
        let kind = match self.at_end() {
            Ok(true) => io::ErrorKind::UnexpectedEof,
            Ok(false) => io::ErrorKind::InvalidData,
            Err(error) => return error,
        };
        io::Error::new(kind, error.to_string())
    }
}

fn read_some(reader: &mut impl Read, one: &mut [u8; 1]) -> io::Result<bool> {
    loop {
        match reader.read(one) {
            Ok(n) => return Ok(n > 0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match (self.next, buf.first_mut()) {
            (_, None) | (Next::End, _) => Ok(0),
            (Next::Byte(byte), Some(first)) => {
                *first = byte;
                self.next = Next::Unknown;
                Ok(1)
            }
            (Next::Unknown, Some(_)) => self.inner.read(buf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zstd(data: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn all(mut reader: impl Read) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        reader.read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn magic_decides_and_names_do_not() {
        assert_eq!(decoder(b"\x1f\x8b\x08"), Codec::Gzip);
        assert_eq!(decoder(b"\xfd7zXZ\0\0"), Codec::Xz);
        assert_eq!(decoder(b"\x28\xb5\x2f\xfd"), Codec::Zstd);
        assert_eq!(decoder(b"BZh9"), Codec::Bzip2);
        assert_eq!(decoder(b"BZh"), Codec::Plain);
        assert_eq!(decoder(b""), Codec::Plain);
        assert_eq!(without_suffix("var/log/syslog.2.gz"), Some("var/log/syslog.2"));
        assert_eq!(without_suffix("a/.gz"), None);
    }

    #[test]
    fn zstd_frames_follow_each_other_and_skippable_ones_are_skipped() {
        let mut data = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        data.extend(zstd(b"first "));
        data.extend(zstd(b"second"));
        assert_eq!(all(Codec::Zstd.decode(&data[..])).unwrap(), b"first second");
    }

    #[test]
    fn a_zstd_frame_that_is_cut_or_altered_is_an_error() {
        let text = "kvm: nested\n".repeat(5000);
        let whole = zstd(text.as_bytes());
        let cut = all(Codec::Zstd.decode(&whole[..whole.len() / 2])).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(
            all(Codec::Zstd.decode(&altered[..])).unwrap_err().to_string(),
            "zstd checksum mismatch"
        );
    }
}
