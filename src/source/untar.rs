//! A tar archive as a stream: read forward, never unpacked.
//!
//! POSIX ustar and pax, GNU (long names, sparse files) and v7 headers, by the `tar` crate. An
//! archive that is cut off gives all that came before.

use std::io::{self, Read};
use std::rc::Rc;

use tar::EntryType;

use super::layout::normal;
use super::limits::{Bounds, Limits};
use super::member::{Fault, Go, Member, MemberKind, Visit};
use super::stream::{Meter, Metered};

/// Bytes of a tar header, and the unit of a tar archive.
pub(super) const BLOCK: usize = 512;

/// Whether a file that starts with `head` is a tar archive: its first header's checksum is right.
pub(super) fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..BLOCK) else { return false };
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(block);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(i, b)| if (148..156).contains(&i) { u32::from(b' ') } else { u32::from(*b) })
        .sum();
    block.first().is_some_and(|b| *b != 0) && header.cksum().is_ok_and(|said| said == sum)
}

/// Reads an archive's members in order, until its end or until the callback says so.
pub(super) fn members(
    stream: Metered<'_>,
    bounds: &Bounds,
    visit: &mut Visit<'_>,
) -> Result<Go, Fault> {
    let limits = bounds.limits;
    let meter = stream.meter();
    let mut archive = tar::Archive::new(stream);
    let mut after = 0;
    let fault = |error: &io::Error, after| Fault::of(error, &meter, after);
    let entries = archive.entries().map_err(|e| fault(&e, 0))?;
    // What the crate reads between members is names; it holds them in memory.
    meter.budget(Some(limits.header));
    for entry in entries {
        let mut entry = entry.map_err(|e| fault(&e, after))?;
        if bounds.entries.get() >= limits.entries {
            return Err(Fault::crowd(after));
        }
        bounds.entries.set(bounds.entries.get() + 1);
        meter.budget(None);
        let mut content = Content::of(&mut entry);
        let go = content.member().map_or(Go::On, |member| visit(member, &mut content));
        match go {
            Go::On => {}
            Go::Leave => return Ok(Go::On),
            Go::Stop => return Ok(Go::Stop),
        }
        let skipped = content.skip(limits).map_err(|e| fault(&e, after))?;
        meter.budget(Some(limits.header + skipped));
        after += 1;
    }
    let mut stream = archive.into_inner();
    finish(&mut stream, &meter).map_err(|e| fault(&e, after))?;
    Ok(Go::On)
}

/// Reads what follows the last member: padding, and the trailer of the compression.
fn finish(stream: &mut dyn Read, meter: &Rc<Meter>) -> io::Result<()> {
    if meter.zeros() < BLOCK as u64 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it ends without an end-of-archive mark",
        ));
    }
    meter.budget(None);
    match io::copy(stream, &mut io::sink()) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(error),
        // Whatever else follows an archive that is complete is no matter.
        _ => Ok(()),
    }
}

/// A member's content, with its size known: an end before that is an error.
struct Content<'e, 'a, R: Read> {
    entry: &'e mut tar::Entry<'a, R>,
    left: u64,
    failed: Option<io::Error>,
}

impl<'e, 'a, R: Read> Content<'e, 'a, R> {
    fn of(entry: &'e mut tar::Entry<'a, R>) -> Self {
        let left = entry.size();
        Self { entry, left, failed: None }
    }

    /// What the member is; `None` for folders, devices and pipes.
    fn member(&self) -> Option<Member> {
        let kind = self.entry.header().entry_type();
        let hard = kind == EntryType::Link;
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                MemberKind::File { apart: false }
            }
            EntryType::Link | EntryType::Symlink => {
                let target = self.entry.link_name_bytes()?;
                let target = String::from_utf8_lossy(&target).into_owned();
                MemberKind::Link { target, hard }
            }
            _ => return None,
        };
        let path = String::from_utf8_lossy(&self.entry.path_bytes()).into_owned();
        // A v7 header marks a folder by its last slash.
        if path.ends_with('/') {
            return None;
        }
        Some(match normal(&path) {
            Ok(path) => Member { path, kind },
            Err(why) => Member { path, kind: MemberKind::Refused(why.to_owned()) },
        })
    }

    /// Passes over what was not read. Answers how many stored bytes the crate will still skip.
    fn skip(mut self, limits: Limits) -> io::Result<u64> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.entry.header().entry_type() != EntryType::GNUSparse {
            io::copy(&mut self, &mut io::sink())?;
            return Ok(0);
        }
        // A hole may be endless: what is stored is skipped by the crate. Up to this many bytes
        // of the next member's name could then be held in memory, hence the bound.
        let stored = self.entry.header().entry_size()?;
        Ok(stored.min(limits.header.saturating_mul(32)))
    }
}

impl<R: Read> Read for Content<'_, '_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.entry.read(buf) {
            Ok(0) if self.left > 0 && !buf.is_empty() => {
                let error =
                    || io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected end of file");
                self.failed.get_or_insert_with(error);
                Err(error())
            }
            Ok(n) => {
                self.left = self.left.saturating_sub(n as u64);
                Ok(n)
            }
            Err(error) => {
                let (kind, text) = (error.kind(), error.to_string());
                self.failed.get_or_insert_with(|| io::Error::new(kind, text));
                Err(error)
            }
        }
    }
}
