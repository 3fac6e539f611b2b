//! Writes our bundle: `nestdoctor-HOST-TIME.tar.zst`.
//!
//! A root-like tree: `manifest.json` first, then `proc/cpuinfo`, `commands/lsmod.txt` and so on,
//! sorted, then the symbolic links that were asked for, as links; a link below which there are files
//! stands in the manifest alone. It holds a machine's logs and addresses, so that nobody but its owner
//! may ever read it: mode 0600 from its creation on. It appears under its name only when it is complete.

#![expect(clippy::disallowed_methods, reason = "source/ is the only part that touches the outside")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::live::Collected;

/// Writes what was collected.
///
/// `time` stands in the manifest as it is given, and in the file's name with all but letters,
/// digits, `-` and `.` left away. `dir_or_file` is a directory, or the file to write.
pub fn write(
    collected: &Collected,
    host: &str,
    time: &str,
    dir_or_file: &Path,
) -> io::Result<PathBuf> {
    let path = if dir_or_file.is_dir() {
        dir_or_file.join(format!("nestdoctor-{}-{}.tar.zst", plain(host), plain(time)))
    } else {
        dir_or_file.to_owned()
    };
    let packed = compress_to_vec(&pack(collected, host, time)?[..], CompressionLevel::Fastest);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let (partial, mut file) = create(&folder, &path)?;
    let written = file
        .write_all(&packed)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&partial, &path));
    if let Err(error) = written {
        // The first error is the one to tell.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    // So that the name, too, outlasts a crash. Some file systems cannot do this for a folder.
    let _ = File::open(&folder).and_then(|f| f.sync_all());
    Ok(path)
}

/// Only what is safe in a file name.
fn plain(text: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let text: String = text.chars().filter(kept).take(64).collect();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

/// A new file beside the target, readable by its owner only.
fn create(folder: &Path, target: &Path) -> io::Result<(PathBuf, File)> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for n in 0..16 {
        let partial = folder.join(format!(".{name}.{}-{n}.partial", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial) {
            Ok(file) => return Ok((partial, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn pack(collected: &Collected, host: &str, time: &str) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let manifest = collected.manifest_json(host, time);
    append(&mut builder, "manifest.json", &manifest, collected.taken)?;
    for (path, bytes) in &collected.files {
        append(&mut builder, path, bytes, collected.taken)?;
    }
    for (path, target) in collected.stored_links() {
        let mut header = header(tar::EntryType::Symlink, 0, collected.taken);
        builder.append_link(&mut header, path, target)?;
    }
    builder.into_inner()
}

fn append(
    builder: &mut tar::Builder<Vec<u8>>,
    path: &str,
    bytes: &[u8],
    taken: u64,
) -> io::Result<()> {
    let mut header = header(tar::EntryType::Regular, bytes.len() as u64, taken);
    builder.append_data(&mut header, path, bytes)
}

fn header(kind: tar::EntryType, size: u64, taken: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o600);
    header.set_mtime(taken);
    header.set_size(size);
    header
}
