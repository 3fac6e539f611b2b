//! Inputs: what a path, or standard input, is by its content, and the sources it makes.

#![expect(clippy::disallowed_methods, reason = "source/ is the only reader of the outside")]

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::codec::{self, Codec};
use super::limits::{self, Limits};
use super::nest::Format;
use super::stream::Store;
use super::survey::{Survey, Unit};
use super::{LayerSource, Source, SourceError, archive, dir, file, untar, unzip};

/// What standard input is called.
const STDIN: &str = "-";

/// Opens an input as one source: of several machines the first. See [`open_all`].
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    let mut sources = open_hosts(path)?;
    // Every input makes a source, or is an error.
    Ok(sources.swap_remove(0))
}

/// Opens an input as one source per machine, whatever folders per layer it holds.
pub fn open_hosts(path: &Path) -> Result<Vec<Box<dyn Source>>, SourceError> {
    Ok(sources(path, false)?.into_iter().map(|(_, source)| source).collect())
}

/// Opens an input as one source per layer and machine: where it holds folders `l0`, `l1`, `l2` (at
/// its top or in a single folder), each is a source of its own, and so is each machine's tree where
/// there are several. What lies beside them is another, with no layer. `-` is standard input.
pub fn open_all(path: &Path) -> Result<Vec<LayerSource>, SourceError> {
    sources(path, true)
}

fn sources(path: &Path, layered: bool) -> Result<Vec<LayerSource>, SourceError> {
    let limits = Limits::DEFAULT;
    let name = path.to_string_lossy().into_owned();
    let kind = if name == STDIN { standard_input(limits)? } else { detect(path)? };
    let units = match &kind {
        Kind::Directory => dir::survey(path, limits, Survey::new(layered, false)).units(),
        Kind::Archive(store, format) => {
            archive::survey(store, *format, limits, Survey::new(layered, true)).units()
        }
        Kind::File(..) => Survey::new(false, false).units(),
    };
    Ok(units.into_iter().map(|unit| (unit.layer, kind.source(path, &name, unit))).collect())
}

/// What an input is.
enum Kind {
    Directory,
    Archive(Store, Format),
    File(Store, Codec),
}

impl Kind {
    fn source(&self, path: &Path, name: &str, unit: Unit) -> Box<dyn Source> {
        let limits = Limits::DEFAULT;
        let under = unit.scope.under.trim_end_matches('/');
        let full = if under.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{under}", name.trim_end_matches('/'))
        };
        match self {
            Self::Directory => Box::new(dir::Directory::new(path, full, unit, limits)),
            Self::Archive(store, format) => {
                Box::new(archive::Archive::new(store.clone(), *format, full, unit, limits))
            }
            Self::File(store, codec) => {
                Box::new(file::Single::new(store.clone(), full, *codec, limits))
            }
        }
    }
}

/// A plain text is read as it comes. An archive is read twice: which machines it holds is asked
/// first; so it is kept in a file without a name.
fn standard_input(limits: Limits) -> Result<Kind, SourceError> {
    let path = Path::new(STDIN);
    // Where a file was redirected, it can be read again.
    let file = PathBuf::from("/dev/stdin");
    if std::fs::metadata(&file).is_ok_and(|meta| meta.is_file()) {
        return detect(&file).map_err(|error| error.of_input(path));
    }
    let of = |cause| SourceError::of(path, cause);
    let head = head(&mut io::stdin()).map_err(|(_, cause)| of(cause))?;
    if head.is_empty() {
        return Err(SourceError::EmptyFile(path.to_owned()));
    }
    let plain = codec::decoder(&head) == Codec::Plain
        && !unzip::is_zip(&head)
        && !untar::is_tar(&head)
        && file::foreign(&head).is_none();
    let mut stream = io::Cursor::new(head).chain(io::stdin());
    if plain {
        return Ok(Kind::File(Store::once(Box::new(stream)), Codec::Plain));
    }
    let (store, _) = Store::spool(&mut stream, limits.total).map_err(of)?;
    content(path, store)
}

fn detect(path: &Path) -> Result<Kind, SourceError> {
    let of = |cause| SourceError::of(path, cause);
    let meta = std::fs::metadata(path).map_err(of)?;
    if meta.is_dir() {
        return match std::fs::read_dir(path).map_err(of)?.next() {
            None => Err(SourceError::EmptyDirectory(path.to_owned())),
            Some(_) => Ok(Kind::Directory),
        };
    }
    if !meta.is_file() {
        return Err(SourceError::Special(path.to_owned()));
    }
    File::open(path).map_err(of)?;
    content(path, Store::Path(path.to_owned()))
}

/// What a file is, by its first bytes.
fn content(path: &Path, store: Store) -> Result<Kind, SourceError> {
    let of = |cause| SourceError::of(path, cause);
    let head = head(&mut store.reader().map_err(of)?).map_err(|(_, cause)| of(cause))?;
    if head.is_empty() {
        return Err(SourceError::EmptyFile(path.to_owned()));
    }
    if unzip::is_zip(&head) {
        return Ok(Kind::Archive(store, Format::Zip));
    }
    let codec = codec::decoder(&head);
    let content = if codec == Codec::Plain { head } else { unpacked_head(path, &store, codec)? };
    if untar::is_tar(&content) {
        return Ok(Kind::Archive(store, Format::Tar(codec)));
    }
    match file::foreign(&content) {
        Some(what) => Err(SourceError::Unrecognised { path: path.to_owned(), what }),
        None => Ok(Kind::File(store, codec)),
    }
}

fn unpacked_head(path: &Path, store: &Store, codec: Codec) -> Result<Vec<u8>, SourceError> {
    let file = store.reader().map_err(|cause| SourceError::of(path, cause))?;
    match head(&mut codec.decode(io::BufReader::new(file))) {
        Ok(head) if head.is_empty() => Err(SourceError::EmptyFile(path.to_owned())),
        Ok(head) => Ok(head),
        // Enough to tell what it was, and to read that much.
        Err((head, _)) if head.len() >= untar::BLOCK => Ok(head),
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
