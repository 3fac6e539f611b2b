//! Files of a live host: globs are expanded folder by folder.

#![expect(clippy::disallowed_methods, reason = "source/ is the only reader of the outside")]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::super::limits::{self, LIVE_ITEM};
use super::super::wanted::{component, is_log};
use super::Item;
use super::command::Outcome;

/// Regular files that never end: reading them waits for the kernel's next message.
const ENDLESS: &[&str] = &["kmsg", "trace_pipe"];

/// Reads the files that a glob names, or the targets of the links.
pub(super) fn read(root: &Path, glob: &str, links: bool) -> Vec<Item> {
    let mut found = Vec::new();
    let parts: Vec<&str> = glob.split('/').collect();
    expand(root, String::new(), &parts, 0, &mut found);
    found.sort();
    found.dedup();
    let cut = found.len() >= limits::LIVE_MATCHES;
    let literal = !is_pattern(glob);
    let one = |path: &String| {
        if links { link(root, path, literal) } else { item(root, path, literal) }
    };
    let mut items: Vec<Item> = found.iter().filter_map(one).collect();
    if cut {
        let why = format!("cut off: only {} files of one kind are taken", limits::LIVE_MATCHES);
        items.push(Item::missing(glob, glob, why));
    }
    items
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '[', '{'])
}

/// Adds the paths, relative to the root, that the rest of a glob leads to.
fn expand(root: &Path, at: String, parts: &[&str], depth: usize, found: &mut Vec<String>) {
    if found.len() >= limits::LIVE_MATCHES {
        return;
    }
    let Some((part, rest)) = parts.split_first() else {
        found.push(at);
        return;
    };
    let join = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") };
    if *part == "**" {
        if depth < limits::LIVE_DEPTH {
            // Links are not followed here: a tree with loops would have no end.
            for name in names(root, &at, |kind| kind.is_dir()) {
                expand(root, join(&name), parts, depth + 1, found);
            }
        }
        if !rest.is_empty() {
            expand(root, at.clone(), rest, depth, found);
        } else if depth > 0 || !at.is_empty() {
            found.extend(names(root, &at, |kind| !kind.is_dir()).iter().map(|n| join(n)));
        }
    } else if is_pattern(part) {
        let matcher = component(part);
        // The program itself is no evidence.
        let own = |name: &str| at == "proc" && matches!(name, "self" | "thread-self");
        for name in names(root, &at, |_| true) {
            if matcher.is_match(&name) && !own(&name) {
                expand(root, join(&name), rest, depth, found);
            }
        }
    } else {
        expand(root, join(part), rest, depth, found);
    }
}

fn names(root: &Path, at: &str, keep: impl Fn(std::fs::FileType) -> bool) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join(at)) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(&keep))
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Reads one file. What a pattern found and is no file is nothing that was asked for.
fn item(root: &Path, path: &str, literal: bool) -> Option<Item> {
    let source = format!("/{path}");
    let full = root.join(path);
    let missing = |why: String| Some(Item::missing(path, &source, why));
    match regular(root, &full) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return missing("not permitted".to_owned());
        }
        Err(_) if !literal => return None,
        Err(_) => return missing("does not exist".to_owned()),
    }
    // A compressed log has no lines to cut at; its end is nothing without its start.
    let keep_end = is_log(path) && super::super::codec::without_suffix(path).is_none();
    match content(&full, keep_end) {
        Ok((bytes, truncated)) => {
            let outcome = Outcome { bytes: Some(bytes), truncated, ..Outcome::default() };
            Some(Item::of(path.to_owned(), source, outcome))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            missing("not permitted".to_owned())
        }
        Err(error) => missing(format!("cannot be read: {error}")),
    }
}

/// Reads the target of one link. What is no link is nothing that was asked for.
fn link(root: &Path, path: &str, literal: bool) -> Option<Item> {
    let source = format!("/{path}");
    let full = root.join(path);
    match full.symlink_metadata() {
        Ok(meta) if !meta.is_symlink() => return None,
        Ok(_) if !full.parent().is_some_and(|p| inside(root, p).unwrap_or(false)) => return None,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Some(Item::missing(path, &source, "not permitted"));
        }
        Err(_) => return literal.then(|| Item::missing(path, &source, "does not exist")),
    }
    let target = match std::fs::read_link(&full) {
        Ok(target) => target.to_string_lossy().into_owned(),
        Err(error) => {
            return Some(Item::missing(path, &source, format!("cannot be read: {error}")));
        }
    };
    let bytes = Some(target.clone().into_bytes());
    let mut item = Item::of(path.to_owned(), source, Outcome { bytes, ..Outcome::default() });
    item.entry.link = Some(target);
    Some(item)
}

/// Whether a path leads to a place inside the root.
fn inside(root: &Path, full: &Path) -> io::Result<bool> {
    // On the live host itself links lead where they should.
    if root == Path::new("/") {
        return Ok(true);
    }
    let root: PathBuf = root.canonicalize()?;
    Ok(full.canonicalize()?.starts_with(root))
}

/// Whether it is a regular file inside the root.
fn regular(root: &Path, full: &Path) -> io::Result<bool> {
    let endless = full.file_name().and_then(|n| n.to_str()).is_some_and(|n| ENDLESS.contains(&n));
    let file = std::fs::metadata(full)?.is_file();
    Ok(file && !endless && inside(root, full)?)
}

/// Up to [`LIVE_ITEM`] bytes: the first or (`keep_end`) the last, beginning with a whole line. Files
/// of /proc and /sys say nothing of their size.
pub(super) fn content(full: &Path, keep_end: bool) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(full)?;
    let long = file.metadata()?.len().checked_sub(LIVE_ITEM as u64).filter(|n| *n > 0);
    let from_end = long.filter(|_| keep_end);
    if let Some(skip) = from_end {
        file.seek(SeekFrom::Start(skip))?;
    }
    let mut bytes = Vec::new();
    let result = file.take(LIVE_ITEM as u64 + 1).read_to_end(&mut bytes);
    match result {
        // Some files of /sys fail after they have given all they have.
        Err(error) if bytes.is_empty() => return Err(error),
        _ => {}
    }
    if from_end.is_some() {
        let start = bytes.iter().position(|b| *b == b'\n').map_or(0, |i| i + 1);
        bytes.drain(..start);
    }
    let truncated = from_end.is_some() || bytes.len() > LIVE_ITEM || result.is_err();
    bytes.truncate(LIVE_ITEM);
    Ok((bytes, truncated))
}
