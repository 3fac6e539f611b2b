//! A directory: walked in sorted order, never left.
//!
//! Only regular files are opened. A symbolic link to a file is followed where it stays in the tree;
//! an absolute target is meant from the machine's root (sosreport has such). If the file it leads
//! to is wanted itself, the link is passed over: the file is delivered once, under its own name.

#![expect(clippy::disallowed_methods, reason = "source/ is the only reader of the outside")]

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::archive::Pass;
use super::deliver::Delivery;
use super::layout::{Layout, Role, Scope, link_target};
use super::limits::{self, Bounds, Limits};
use super::manifest::Manifest;
use super::member::{Go, MemberKind};
use super::nest;
use super::stream::Store;
use super::survey::{Survey, Unit};
use super::{Sink, Source, Stats, Wanted};
use crate::model::GapReason;

/// A directory.
pub(super) struct Directory {
    path: PathBuf,
    name: String,
    scope: Scope,
    layout: Layout,
    limits: Limits,
    manifest: Option<Manifest>,
}

impl Directory {
    pub(super) fn new(path: &Path, name: String, unit: Unit, limits: Limits) -> Self {
        let Unit { scope, layout, .. } = unit;
        Self { path: path.to_owned(), name, scope, layout, limits, manifest: None }
    }
}

/// An entry of the tree: its path with `/`, relative to the input's top.
struct Entry {
    path: String,
    on_disk: PathBuf,
    link: bool,
}

/// What can be said of a tree before any file is read.
#[derive(Default)]
struct Tree {
    /// Files and links.
    entries: Vec<Entry>,
    /// Folders that could not be listed.
    closed: Vec<(String, io::Error)>,
    too_many: bool,
    too_deep: bool,
}

impl Tree {
    fn of(top: &Path, limits: Limits) -> Self {
        let mut tree = Self::default();
        tree.walk(top, "", 0, limits);
        tree
    }

    fn walk(&mut self, folder: &Path, prefix: &str, depth: usize, limits: Limits) {
        if depth > limits::DEPTH {
            self.too_deep = true;
            return;
        }
        let mut listed =
            match std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
                Ok(listed) => listed,
                Err(error) => {
                    return self.closed.push((prefix.trim_end_matches('/').to_owned(), error));
                }
            };
        listed.sort_by_key(std::fs::DirEntry::file_name);
        for entry in listed {
            let Ok(kind) = entry.file_type() else { continue };
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if kind.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"), depth + 1, limits);
            } else if kind.is_file() || kind.is_symlink() {
                if self.entries.len() as u64 >= limits.entries {
                    self.too_many = true;
                    return;
                }
                self.entries.push(Entry { path, on_disk: entry.path(), link: kind.is_symlink() });
            }
        }
    }
}

/// Looks through a directory for machines.
pub(super) fn survey(top: &Path, limits: Limits, survey: Survey) -> Survey {
    let survey = std::cell::RefCell::new(survey);
    let bounds = Bounds::new(limits);
    let enter = |path: &str| !survey.borrow().covers(path);
    let tree = Tree::of(top, limits);
    for entry in &tree.entries {
        survey.borrow_mut().offer(&entry.path);
    }
    for entry in tree.entries.iter().filter(|e| !e.link && nest::named(&e.path)) {
        if !enter(&entry.path) {
            continue;
        }
        let store = Store::Path(entry.on_disk.clone());
        nest::walk_file(&store, &entry.path, &bounds, &enter, &mut |member, _| match member.kind {
            MemberKind::Refused(_) | MemberKind::Broken(_) => Go::On,
            _ => survey.borrow_mut().offer(&member.path),
        });
    }
    survey.into_inner()
}

impl Source for Directory {
    fn visit(&mut self, wanted: &Wanted, sink: &mut dyn Sink) -> Stats {
        let tree = Tree::of(&self.path, self.limits);
        let (scope, layout) = (&self.scope, &self.layout);
        let mut delivery = Delivery::new(wanted, sink, self.limits);
        report(&tree, &self.name, self.limits, layout, &mut delivery);
        let top = self.path.join(&scope.under);
        let bounds = Bounds::new(self.limits);
        let enter = |path: &str| Pass::enters(layout, scope, path);
        for entry in &tree.entries {
            if !entry.link && nest::named(&entry.path) && enter(&entry.path) {
                let store = Store::Path(entry.on_disk.clone());
                let mut pass = Pass::new(layout, scope, &mut delivery);
                nest::walk_file(&store, &entry.path, &bounds, &enter, &mut |member, reader| {
                    pass.member(member, reader)
                });
                if pass.missed() {
                    let bounds = Bounds::new(self.limits);
                    nest::walk_file(&store, &entry.path, &bounds, &enter, &mut |m, reader| {
                        pass.linked(&m, reader)
                    });
                }
                continue;
            }
            let Some(found) = scope.inside(&entry.path) else { continue };
            let target = entry.link.then(|| std::fs::read_link(&entry.on_disk).ok()).flatten();
            let role = match target {
                Some(target) => delivery.link(layout, found, &target.to_string_lossy()),
                None => delivery.role(layout, found),
            };
            if role == Role::Other {
                continue;
            }
            let on_disk = if entry.link {
                let Some(target) = follow(&top, layout, &delivery, found) else { continue };
                target
            } else {
                entry.on_disk.clone()
            };
            deliver(&on_disk, role, found, &mut delivery);
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

fn report(tree: &Tree, name: &str, limits: Limits, layout: &Layout, delivery: &mut Delivery<'_>) {
    for (folder, error) in &tree.closed {
        let source = if folder.is_empty() { name } else { folder };
        if error.kind() == io::ErrorKind::PermissionDenied {
            delivery.gap(layout.relative(source), GapReason::NotPermitted);
        }
        delivery.problem(source, format!("the folder cannot be listed: {error}"));
    }
    if tree.too_many {
        let what = format!("more than {} files: the rest is not analyzed", limits.entries);
        delivery.problem(name, what);
    }
    if tree.too_deep {
        let what = format!("folders nested more than {} deep are not analyzed", limits::DEPTH);
        delivery.problem(name, what);
    }
}

/// The file that a link leads to; `None` where it leads outside, to nothing, to a folder, or to a
/// file that is delivered anyway.
fn follow(top: &Path, layout: &Layout, delivery: &Delivery<'_>, found: &str) -> Option<PathBuf> {
    let mut at = layout.relative(found).to_owned();
    let strip = found.strip_suffix(at.as_str()).unwrap_or_default();
    for _ in 0..limits::LINKS {
        let on_disk = top.join(format!("{strip}{at}"));
        let meta =
            real_parent(&top.join(strip), &at).then(|| on_disk.symlink_metadata().ok())??;
        if meta.is_symlink() {
            let target = std::fs::read_link(&on_disk).ok()?;
            at = link_target(&at, &target.to_string_lossy())?;
            continue;
        }
        let itself = delivery.role(layout, &format!("{strip}{at}"));
        return (meta.is_file() && itself == Role::Other).then_some(on_disk);
    }
    None
}

/// Whether all folders on the way are real ones: a link among them could lead anywhere.
fn real_parent(root: &Path, relative: &str) -> bool {
    let mut at = root.to_owned();
    let parent = relative.rsplit_once('/').map_or("", |p| p.0);
    parent.split('/').filter(|p| !p.is_empty()).all(|part| {
        at.push(part);
        at.symlink_metadata().as_ref().is_ok_and(Metadata::is_dir)
    })
}

fn deliver(on_disk: &Path, role: Role, found: &str, delivery: &mut Delivery<'_>) {
    let path = match &role {
        Role::Evidence(path) | Role::Unknown(path) => path.clone(),
        Role::Manifest | Role::Sections | Role::Other => found.to_owned(),
    };
    // The walk saw a file; should it have become a pipe since, opening it would hang.
    let opened = on_disk.symlink_metadata().and_then(|meta| {
        if meta.is_file() { File::open(on_disk) } else { Err(io::Error::other("no regular file")) }
    });
    match opened {
        Ok(mut file) => {
            if let Some(fault) = delivery.file(role, found, false, &mut file) {
                delivery.problem(found, format!("the rest is not read: {fault}"));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            delivery.gap(&path, GapReason::NotPermitted);
        }
        Err(error) => delivery.problem(found, format!("cannot be read: {error}")),
    }
}
