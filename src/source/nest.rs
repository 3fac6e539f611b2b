//! Archives in archives: their members are visited as if the inner archive were a folder.
//!
//! Whether a member is looked into is told from its name, since all of an archive cannot be read
//! for it; what it is then, from its content. Inner tar archives are read as they pass by. An
//! inner zip archive has its directory at its end, so it is kept in a file without a name first.
//! Nesting, members and expanded bytes are bounded over all archives of an input together.

use std::io::{self, Read};
use std::rc::Rc;

use super::codec::{self, Codec};
use super::deliver::Head;
use super::limits::{self, Bounds};
use super::member::{Fault, Go, Member, MemberKind, Visit};
use super::stream::{self, Store};
use super::{untar, unzip};

/// What an archive is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// tar, perhaps compressed.
    Tar(Codec),
    /// zip.
    Zip,
}

/// Whether a file's name is that of an archive.
pub(super) fn named(path: &str) -> bool {
    const SUFFIXES: &[&str] = &[
        ".tar", ".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".tar.gz", ".tar.xz", ".tar.bz2",
        ".tar.zst", ".zip",
    ];
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    SUFFIXES.iter().any(|s| name.len() > s.len() && name.ends_with(s))
}

/// Where the innermost archive on the way to a member begins: the length of its path with the
/// `/`; 0 where there is none.
pub(super) fn boundary(path: &str) -> usize {
    let mut end = 0;
    let mut inside = 0;
    for part in path.split_inclusive('/') {
        end += part.len();
        if part.strip_suffix('/').is_some_and(named) {
            inside = end;
        }
    }
    inside
}

/// Visits all members of an archive. `enter` says whether a nested archive is looked into.
pub(super) fn walk(
    store: &Store,
    format: Format,
    bounds: &Rc<Bounds>,
    enter: &dyn Fn(&str) -> bool,
    visit: &mut Visit<'_>,
) -> Result<Go, Fault> {
    let mut nest = Nest { bounds, enter, visit, depth: 1 };
    match format {
        Format::Tar(codec) => {
            let stream = stream::open(store, codec, bounds.limits).map_err(|e| Fault::none(&e))?;
            untar::members(stream, bounds, &mut |member, reader| nest.member(member, reader))
        }
        Format::Zip => {
            let file = store.file().map_err(|e| Fault::none(&e))?;
            unzip::members(file, bounds, &mut |member, reader| nest.member(member, reader))
        }
    }
}

/// Visits all members of an archive that lies in a directory at `path`.
pub(super) fn walk_file(
    store: &Store,
    path: &str,
    bounds: &Rc<Bounds>,
    enter: &dyn Fn(&str) -> bool,
    visit: &mut Visit<'_>,
) -> Go {
    let mut nest = Nest { bounds, enter, visit, depth: 1 };
    let member = Member { path: path.to_owned(), kind: MemberKind::File { apart: true } };
    match store.reader() {
        Ok(mut reader) => nest.inside(member, store, &mut reader),
        Err(error) => nest.broken(path, Fault::none(&error)),
    }
}

struct Nest<'n, 'v> {
    bounds: &'n Rc<Bounds>,
    enter: &'n dyn Fn(&str) -> bool,
    visit: &'n mut Visit<'v>,
    /// Archives around the members.
    depth: usize,
}

impl Nest<'_, '_> {
    fn member(&mut self, member: Member, reader: &mut dyn Read) -> Go {
        let file = matches!(member.kind, MemberKind::File { .. });
        if !file || !named(&member.path) || !(self.enter)(&member.path) {
            return (self.visit)(member, reader);
        }
        if self.depth > limits::NESTING {
            let what = format!("archives nested more than {} deep are not read", limits::NESTING);
            let kind = MemberKind::Refused(what);
            return (self.visit)(Member { kind, ..member }, &mut io::empty());
        }
        let mut head = Head::read(reader);
        if unzip::is_zip(&head.bytes) {
            return match Store::spool(&mut head, self.bounds.limits.entry) {
                Ok((store, _)) => self.zip(&member.path, &store),
                Err(error) => self.broken(&member.path, Fault::none(&error)),
            };
        }
        self.tar(member, head)
    }

    /// The same, for a file that can be read again.
    fn inside(&mut self, member: Member, store: &Store, reader: &mut dyn Read) -> Go {
        let head = Head::read(reader);
        if unzip::is_zip(&head.bytes) {
            self.zip(&member.path, store)
        } else {
            self.tar(member, head)
        }
    }

    fn zip(&mut self, path: &str, store: &Store) -> Go {
        let end = match store.file() {
            Ok(file) => {
                let bounds = self.bounds;
                self.depth += 1;
                let end = unzip::members(file, bounds, &mut |m, r| self.inner(path, m, r));
                self.depth -= 1;
                end
            }
            Err(error) => Err(Fault::none(&error)),
        };
        end.unwrap_or_else(|fault| self.broken(path, fault))
    }

    fn tar(&mut self, member: Member, mut head: Head<'_>) -> Go {
        let codec = codec::decoder(&head.bytes);
        let mut stream = stream::nested(&mut head, self.bounds, |r| {
            Box::new(codec.decode(io::BufReader::new(r)))
        });
        let (content, failed) = stream.peek();
        if !untar::is_tar(content) {
            return match failed {
                Some(cause) => self.broken(&member.path, Fault::none(&cause)),
                None => (self.visit)(member, &mut stream),
            };
        }
        let bounds = self.bounds;
        self.depth += 1;
        let path = member.path;
        let end = untar::members(stream, bounds, &mut |m, r| self.inner(&path, m, r));
        self.depth -= 1;
        end.unwrap_or_else(|fault| self.broken(&path, fault))
    }

    /// A member of a nested archive.
    fn inner(&mut self, archive: &str, member: Member, reader: &mut dyn Read) -> Go {
        let Member { path, kind } = member;
        let kind = match kind {
            // A hard link's target is a path of the archive.
            MemberKind::Link { target, hard: true } => {
                MemberKind::Link { target: format!("{archive}/{target}"), hard: true }
            }
            kind => kind,
        };
        self.member(Member { path: format!("{archive}/{path}"), kind }, reader)
    }

    fn broken(&mut self, path: &str, fault: Fault) -> Go {
        let kind = MemberKind::Broken(fault);
        (self.visit)(Member { path: path.to_owned(), kind }, &mut io::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_by_name_and_their_members_by_the_path_through_them() {
        for name in ["a.tar", "x/sosreport-h.tar.xz", "scc_h_1.txz", "esx-h.TGZ", "b.zip"] {
            assert!(named(name), "{name}");
        }
        for name in ["syslog.2.gz", ".tar", "tar", "a.zip.txt", "kern.log.xz"] {
            assert!(!named(name), "{name}");
        }
        assert_eq!(boundary("c/a.tar/b.tgz/etc/x"), "c/a.tar/b.tgz/".len());
        assert_eq!(boundary("c/a.tar"), 0);
    }
}
