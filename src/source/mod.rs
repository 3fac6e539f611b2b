//! Sources: the only reader of the outside.
//!
//! A source is a visitor, not a file system: a `tar.xz` can only be read forward, so it is asked
//! once, with the union of all wants ([`Wanted`]), and calls back for each hit ([`Sink`]). Nothing
//! is unpacked to disk; what comes only once and is read twice is kept in a file without a name.
//! What an input is is decided by its content, never by its name.
//!
//! | input | read by |
//! |---|---|
//! | a directory | `dir.rs` |
//! | an archive: tar (plain, gzip, xz, Zstandard, bzip2), zip | `archive.rs` by `untar.rs`, `unzip.rs` |
//! | archives in archives and in directories, up to three deep | `nest.rs` |
//! | a single log, plain or compressed; a packet capture; standard input (`-`) | `file.rs`, `input.rs` |
//! | systemd journals: binary, export form, JSON | `journal/`, as text |
//! | files that are in memory already | `memory.rs` |
//! | the host the program runs on | [`live`] |
//!
//! | written by | what is known of it |
//! |---|---|
//! | [`bundle`], sosreport | a machine's tree, by the wants themselves |
//! | `sos collect`: sosreports of several hosts in one archive | a source per host (`survey.rs`) |
//! | supportconfig: many commands and files in one text, `scc_*.txz` | `sections/` |
//! | Proxmox `pvereport` | `sections/` |
//! | `vm-support`, OpenShift's and KubeVirt's must-gather, Troubleshoot | `layout/places.rs` |
//! | PowerShell and `cmd` (UTF-16) | decoded in `deliver.rs` |
//!
//! Shared by them: `survey.rs` (where machines' trees begin), `wanted.rs` and `layout/` (canonical
//! paths), `deliver.rs` (text or binary, limits), `codec.rs` and `stream.rs` (decompression),
//! `limits.rs`, [`manifest`] (read here, never evidence). [`bundle`] writes what [`live`] has
//! collected.
//!
//! A [`SourceError`] is only for inputs of which nothing can be read. All else is a problem or a
//! gap, and the rest is delivered.

#![cfg_attr(
    test,
    expect(clippy::disallowed_methods, reason = "source/ touches the outside, and its tests")
)]

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::model::{Gap, Layer, Problem};

mod archive;
pub mod bundle;
mod codec;
mod deliver;
mod dir;
mod file;
mod input;
mod journal;
mod layout;
mod limits;
pub mod live;
pub mod manifest;
mod member;
mod memory;
mod nest;
mod sections;
mod stream;
mod survey;
#[cfg(test)]
mod tests;
mod untar;
mod unzip;
mod wanted;

pub use input::{open, open_all, open_hosts};
pub use live::{Collected, LiveOptions, collect};
pub use manifest::{Manifest, ManifestEntry};
pub use memory::Memory;
pub use wanted::{Wanted, without_variant};

/// Where in the input a piece of content was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Path in the input.
    pub path: &'a str,
    /// Number of the line of that file in which the content begins; 1 but for a section of a file.
    pub first_line: u32,
    /// The content is the target of a symbolic link: only those who want links want it.
    pub link: bool,
}

impl<'a> Found<'a> {
    /// A file as a whole.
    pub fn file(path: &'a str) -> Self {
        Self { path, first_line: 1, link: false }
    }
}

/// Takes what a source finds.
pub trait Sink {
    /// A wanted file. `path` is canonical (`proc/cpuinfo`, `commands/lsmod.txt`), `found` its place
    /// in the input. `reader` ends where the content ends. An error from it means that the content
    /// is not whole; what was read before counts. The source itself reports the gap and the
    /// problem, after this returns.
    fn file(&mut self, path: &str, found: Found<'_>, reader: &mut dyn Read);
    /// Something that is missing.
    fn gap(&mut self, gap: Gap);
    /// Something that went wrong.
    fn problem(&mut self, problem: Problem);
}

/// An input.
pub trait Source {
    /// Hands every wanted file to the sink, once.
    fn visit(&mut self, wanted: &Wanted, sink: &mut dyn Sink) -> Stats;
    /// What the input is called, for people: its path.
    fn name(&self) -> &str;
    /// The manifest, if the input is a bundle of ours. Known after [`Source::visit`].
    fn manifest(&self) -> Option<&Manifest>;
    /// Sources of machines that were met on the visit and are none of this source's. They are not
    /// known earlier where an archive would have to be read to its end to know them.
    fn others(&mut self) -> Vec<LayerSource> {
        Vec::new()
    }
}

/// What a visit handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Files.
    pub files: u64,
    /// Bytes, decompressed, that the sink read.
    pub bytes: u64,
}

/// Nothing can be read from an input.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such path.
    #[error("{}: does not exist", .0.display())]
    Missing(PathBuf),
    /// Reading is refused.
    #[error("{}: not permitted to read it", .0.display())]
    NotPermitted(PathBuf),
    /// A directory without any entry.
    #[error("{}: the directory is empty", .0.display())]
    EmptyDirectory(PathBuf),
    /// A file without any content.
    #[error("{}: the file is empty", .0.display())]
    EmptyFile(PathBuf),
    /// A device, a socket or a pipe.
    #[error("{}: neither a file nor a directory", .0.display())]
    Special(PathBuf),
    /// Binary data of no kind that is read.
    #[error("{}: not recognised: {what}", path.display())]
    Unrecognised {
        /// The input.
        path: PathBuf,
        /// What it seems to be.
        what: &'static str,
    },
    /// Damaged from the start.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The input.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl SourceError {
    /// The same of another path.
    fn of_input(mut self, input: &Path) -> Self {
        match &mut self {
            Self::Missing(path)
            | Self::NotPermitted(path)
            | Self::EmptyDirectory(path)
            | Self::EmptyFile(path)
            | Self::Special(path)
            | Self::Unrecognised { path, .. }
            | Self::Unreadable { path, .. } => input.clone_into(path),
        }
        self
    }

    fn of(path: &Path, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.to_owned()),
            io::ErrorKind::PermissionDenied => Self::NotPermitted(path.to_owned()),
            _ => Self::Unreadable { path: path.to_owned(), cause },
        }
    }
}

/// A source, with the layer that the input says it is of.
pub type LayerSource = (Option<Layer>, Box<dyn Source>);

/// Files that are in memory: for tests, and for what was collected from a live host.
pub fn memory(name: &str, files: BTreeMap<String, Vec<u8>>) -> impl Source + use<> {
    Memory::new(name, files)
}
