//! A tar archive, plain or compressed: read forward, never unpacked.
//!
//! POSIX ustar and pax, GNU (long names, sparse files) and v7 headers, by the `tar` crate. A member
//! that is a link to a file is passed over where that file is wanted itself; otherwise the file is
//! delivered under the link's name. Where the file came before its link, the archive is read once
//! more for it.
//!
//! An archive that is cut off gives all that came before.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tar::EntryType;

use super::codec::Codec;
use super::deliver::Delivery;
use super::layout::{Decider, Layout, Role, Scope, link_target, normal};
use super::limits::Limits;
use super::manifest::Manifest;
use super::stream::{self, Meter};
use super::{Sink, Source, Stats, Wanted};
use crate::model::GapReason;

/// Bytes of a tar header, and the unit of a tar archive.
pub(super) const BLOCK: usize = 512;

/// A tar archive.
pub(super) struct Archive {
    path: PathBuf,
    name: String,
    codec: Codec,
    scope: Scope,
    limits: Limits,
    manifest: Option<Manifest>,
}

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

/// A member of the archive.
struct Member {
    /// Its path in normal form, relative to the archive's top.
    path: String,
    kind: MemberKind,
}

enum MemberKind {
    File,
    /// A symbolic or hard link, with its target as it stands.
    Link {
        target: String,
        hard: bool,
    },
    /// A member that is passed over, with the reason.
    Refused(&'static str),
}

/// How reading an archive ended, where it did not end well.
struct Fault {
    what: String,
    /// Members read before.
    after: u64,
}

impl Fault {
    fn of(error: &io::Error, meter: &Meter, after: u64) -> Self {
        let detail = error.to_string();
        let lower = detail.to_ascii_lowercase();
        let ended = error.kind() == io::ErrorKind::UnexpectedEof
            || ["eof", "unexpected end", "entire block", "fill whole buffer"]
                .iter()
                .any(|t| lower.contains(t));
        let how = match meter.breach() {
            Some(_) => "is read no further",
            None if ended => "is cut off",
            None => "is damaged",
        };
        let detail = meter.breach().unwrap_or(detail);
        Self { what: format!("archive {how} after {after} entries ({detail})"), after }
    }

    fn what(&self) -> String {
        format!("{}: the rest is not analyzed", self.what)
    }
}

/// Reads an archive's members in order, until its end or until the callback breaks.
fn members(
    path: &Path,
    codec: Codec,
    limits: Limits,
    visit: &mut dyn FnMut(Member, &mut dyn Read) -> ControlFlow<()>,
) -> Result<(), Fault> {
    let none =
        |error: io::Error| Fault { what: format!("archive cannot be opened ({error})"), after: 0 };
    let stream = stream::open(path, codec, limits).map_err(none)?;
    let meter = stream.meter();
    let mut archive = tar::Archive::new(stream);
    let mut after = 0;
    let fault = |error: &io::Error, after| Fault::of(error, &meter, after);
    let entries = archive.entries().map_err(|e| fault(&e, 0))?;
    // What the crate reads between members is names; it holds them in memory.
    meter.budget(Some(limits.header));
    for entry in entries {
        let mut entry = entry.map_err(|e| fault(&e, after))?;
        if after >= limits.entries {
            let what =
                format!("archive is read no further after {after} entries (that is the limit)");
            return Err(Fault { what, after });
        }
        meter.budget(None);
        let mut content = Content::of(&mut entry);
        if let Some(member) = content.member()
            && visit(member, &mut content).is_break()
        {
            return Ok(());
        }
        let skipped = content.skip(limits).map_err(|e| fault(&e, after))?;
        meter.budget(Some(limits.header + skipped));
        after += 1;
    }
    let mut stream = archive.into_inner();
    finish(&mut stream, &meter).map_err(|e| fault(&e, after))
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
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => MemberKind::File,
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
            Err(why) => Member { path, kind: MemberKind::Refused(why) },
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

/// Calls back for every file's path until it answers false.
pub(super) fn paths(
    path: &Path,
    codec: Codec,
    limits: Limits,
    visit: &mut dyn FnMut(&str) -> bool,
) {
    // A fault is reported by the visit that follows.
    let _ = members(path, codec, limits, &mut |member, _| match member.kind {
        MemberKind::Refused(_) => ControlFlow::Continue(()),
        _ if visit(&member.path) => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
}

impl Archive {
    pub(super) fn new(
        path: &Path,
        name: String,
        codec: Codec,
        scope: Scope,
        limits: Limits,
    ) -> Self {
        Self { path: path.to_owned(), name, codec, scope, limits, manifest: None }
    }

    fn layout(&self) -> Layout {
        let mut decider = Decider::default();
        let mut layout = None;
        paths(&self.path, self.codec, self.limits, &mut |path| {
            layout = self.scope.inside(path).and_then(|p| decider.offer(p));
            layout.is_none()
        });
        layout.unwrap_or(Layout::LOOSE)
    }
}

/// One pass over the archive.
struct Pass<'d, 'a> {
    layout: &'d Layout,
    delivery: &'d mut Delivery<'a>,
    /// Targets of wanted links that were not met yet, and the links that lead there.
    links: BTreeMap<String, String>,
    /// Hashes of the paths of all files met.
    met: HashSet<u64>,
}

impl Pass<'_, '_> {
    fn member(&mut self, found: &str, member: Member, reader: &mut dyn Read) {
        match member.kind {
            MemberKind::Refused(why) => {
                self.delivery.problem(found, format!("{why}: the member is not analyzed"));
            }
            MemberKind::Link { target, hard } => self.link(found, &target, hard),
            MemberKind::File => {
                self.met.insert(hash(found));
                let role = match self.delivery.role(self.layout, found) {
                    Role::Other => match self.links.remove(found) {
                        Some(link) => self.delivery.role(self.layout, &link),
                        None => return,
                    },
                    role => role,
                };
                self.file(found, role, reader);
            }
        }
    }

    fn file(&mut self, found: &str, role: Role, reader: &mut dyn Read) {
        let mut noted = Noted { inner: reader, failed: false };
        let fault = self.delivery.file(role, found, false, &mut noted);
        // If the archive itself failed, that is reported once, for the whole.
        if let Some(fault) = fault.filter(|_| !noted.failed) {
            self.delivery.problem(found, format!("the rest is not read: {fault}"));
        }
    }

    /// Notes a link if somebody wants it, or a wanted link leads to it.
    fn link(&mut self, found: &str, target: &str, hard: bool) {
        let wanted = if hard {
            self.delivery.role(self.layout, found) != Role::Other
        } else {
            self.delivery.link(self.layout, found, target) != Role::Other
        };
        let origin = if wanted { Some(found.to_owned()) } else { self.links.remove(found) };
        let Some(origin) = origin else { return };
        // A hard link's target is a path of the archive, a symbolic link's one of the machine.
        let target = if hard {
            normal(target).ok()
        } else {
            link_target(self.layout.relative(found), target).map(|t| self.layout.absolute(&t))
        };
        if let Some(target) = target
            && self.delivery.role(self.layout, &target) == Role::Other
        {
            self.links.entry(target).or_insert(origin);
        }
    }

    /// Whether files have passed to which links lead.
    fn missed(&self) -> bool {
        self.links.keys().any(|target| self.met.contains(&hash(target)))
    }
}

/// Remembers whether the reader failed.
struct Noted<'r> {
    inner: &'r mut dyn Read,
    failed: bool,
}

impl Read for Noted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buf);
        self.failed |= result.is_err();
        result
    }
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

impl Source for Archive {
    fn visit(&mut self, wanted: &Wanted, sink: &mut dyn Sink) -> Stats {
        let layout = self.layout();
        // Members are limited alike, compressed once more or not.
        let limits = Limits { plain: self.limits.entry, ..self.limits };
        let mut delivery = Delivery::new(wanted, sink, limits);
        let (links, met) = (BTreeMap::new(), HashSet::new());
        let mut pass = Pass { layout: &layout, delivery: &mut delivery, links, met };
        let scope = &self.scope;
        let end = members(&self.path, self.codec, self.limits, &mut |member, reader| {
            if let Some(found) = scope.inside(&member.path).map(str::to_owned) {
                pass.member(&found, member, reader);
            }
            ControlFlow::Continue(())
        });
        if end.is_ok() && pass.missed() {
            let mut links = std::mem::take(&mut pass.links);
            // The first pass has read the archive to its end: there is nothing new to report.
            let _ = members(&self.path, self.codec, self.limits, &mut |member, reader| {
                if let (MemberKind::File, Some(found)) = (&member.kind, scope.inside(&member.path))
                    && let Some(link) = links.remove(found)
                {
                    let role = pass.delivery.role(&layout, &link);
                    pass.file(found, role, reader);
                }
                if links.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        if let Err(fault) = end {
            delivery.problem(&self.name, fault.what());
            if fault.after == 0 && delivery.stats.files == 0 {
                delivery.gap(&self.name, GapReason::CutOff);
            }
        }
        self.manifest = delivery.manifest;
        delivery.stats
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }
}
