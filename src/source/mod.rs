//! Sources: the only reader of the outside.
//!
//! A source is a visitor, not a file system: a `tar.xz` can only be read forward, so it is asked
//! once, with the union of all wants ([`Wanted`]), and calls back for each hit ([`Sink`]). Nothing
//! is ever unpacked to disk. What an input is is decided by its content, never by its name.
//!
//! | file | what it reads |
//! |---|---|
//! | `dir.rs` | a directory |
//! | `archive.rs` | a tar archive, plain or compressed |
//! | `file.rs` | a single log, plain or compressed, or a packet capture |
//! | `memory.rs` | files that are in memory already |
//! | [`live`] | the host the program runs on |
//!
//! Shared by them: `wanted.rs` (canonical paths), `layout.rs` (where the machine's tree begins),
//! `deliver.rs` (text or binary, limits), `codec.rs` and `stream.rs` (decompression), `limits.rs`,
//! [`manifest`] (read here, never evidence). [`bundle`] writes what [`live`] has collected.
//!
//! A [`SourceError`] is only for inputs of which nothing can be read. All else is a problem or a
//! gap, and the rest is delivered.

#![expect(clippy::disallowed_methods, reason = "source/ is the only reader of the outside")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::model::{Gap, Layer, Problem};

mod archive;
pub mod bundle;
mod codec;
mod deliver;
mod dir;
mod file;
mod layout;
mod limits;
pub mod live;
pub mod manifest;
mod memory;
mod stream;
#[cfg(test)]
mod tests;
mod wanted;

pub use live::{Collected, LiveOptions, collect};
pub use manifest::{Manifest, ManifestEntry};
pub use memory::Memory;
pub use wanted::{Wanted, without_variant};

use codec::Codec;
use layout::{Layers, Scope};
use limits::Limits;

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

/// Opens an input as one source. An input that holds a folder per layer is better opened with
/// [`open_all`].
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    Ok(detect(path)?.source(Scope::All, name_of(path)))
}

/// Opens an input as one source per layer: where it holds folders `l0`, `l1`, `l2` (at its top or
/// in a single folder), each is a source of its own, and what lies beside them another, with no
/// layer. All other inputs are one source with no layer.
pub fn open_all(path: &Path) -> Result<Vec<LayerSource>, SourceError> {
    let kind = detect(path)?;
    let name = name_of(path);
    let mut layers = Layers::default();
    kind.paths(&mut |path| layers.offer(path));
    if layers.found.is_empty() {
        return Ok(vec![(None, kind.source(Scope::All, name))]);
    }
    let mut sources: Vec<LayerSource> = Vec::new();
    for (layer, prefix) in &layers.found {
        let name = format!("{}/{}", name.trim_end_matches('/'), prefix.trim_end_matches('/'));
        sources.push((Some(*layer), kind.source(Scope::Under(prefix.clone()), name)));
    }
    if layers.others {
        let outside = Scope::Outside(layers.found.into_values().collect());
        sources.push((None, kind.source(outside, name)));
    }
    Ok(sources)
}

/// Files that are in memory: for tests, and for what was collected from a live host.
pub fn memory(name: &str, files: BTreeMap<String, Vec<u8>>) -> impl Source + use<> {
    Memory::new(name, files)
}

fn name_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What an input is, by its content.
enum Kind {
    Directory(PathBuf),
    Archive(PathBuf, Codec),
    File(PathBuf, Codec),
}

impl Kind {
    fn source(&self, scope: Scope, name: String) -> Box<dyn Source> {
        let limits = Limits::DEFAULT;
        match self {
            Self::Directory(path) => Box::new(dir::Directory::new(path, name, scope, limits)),
            Self::Archive(path, codec) => {
                Box::new(archive::Archive::new(path, name, *codec, scope, limits))
            }
            Self::File(path, codec) => Box::new(file::Single::new(path, name, *codec, limits)),
        }
    }

    /// Calls back for every file's path until it answers false.
    fn paths(&self, visit: &mut dyn FnMut(&str) -> bool) {
        let limits = Limits::DEFAULT;
        match self {
            Self::Directory(path) => dir::paths(path, limits, visit),
            Self::Archive(path, codec) => archive::paths(path, *codec, limits, visit),
            Self::File(..) => {}
        }
    }
}

fn detect(path: &Path) -> Result<Kind, SourceError> {
    let of = |cause| SourceError::of(path, cause);
    let meta = std::fs::metadata(path).map_err(of)?;
    if meta.is_dir() {
        return match std::fs::read_dir(path).map_err(of)?.next() {
            None => Err(SourceError::EmptyDirectory(path.to_owned())),
            Some(_) => Ok(Kind::Directory(path.to_owned())),
        };
    }
    if !meta.is_file() {
        return Err(SourceError::Special(path.to_owned()));
    }
    let head = head(&mut File::open(path).map_err(of)?).map_err(|(_, cause)| of(cause))?;
    if head.is_empty() {
        return Err(SourceError::EmptyFile(path.to_owned()));
    }
    let codec = codec::decoder(&head);
    let content = if codec == Codec::Plain { head } else { unpacked_head(path, codec)? };
    if archive::is_tar(&content) {
        return Ok(Kind::Archive(path.to_owned(), codec));
    }
    match file::foreign(&content) {
        Some(what) => Err(SourceError::Unrecognised { path: path.to_owned(), what }),
        None => Ok(Kind::File(path.to_owned(), codec)),
    }
}

fn unpacked_head(path: &Path, codec: Codec) -> Result<Vec<u8>, SourceError> {
    let file = File::open(path).map_err(|cause| SourceError::of(path, cause))?;
    match head(&mut codec.decode(io::BufReader::new(file))) {
        Ok(head) if head.is_empty() => Err(SourceError::EmptyFile(path.to_owned())),
        Ok(head) => Ok(head),
        // Enough to tell what it was, and to read that much.
        Err((head, _)) if head.len() >= archive::BLOCK => Ok(head),
        Err((head, _)) if !head.is_empty() && !head.contains(&0) => Ok(head),
        Err((_, cause)) => Err(SourceError::Unreadable { path: path.to_owned(), cause }),
    }
}

/// The first bytes; with the error, what came before it.
fn head(reader: &mut dyn Read) -> Result<Vec<u8>, (Vec<u8>, io::Error)> {
    let mut bytes = Vec::new();
    match reader.take(limits::HEAD as u64).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err((bytes, error)),
    }
}
