//! Layout: what a path of an input is for us, once it is known where machines' trees begin.
//!
//! [`survey`](super::survey) finds the trees; here paths become canonical: relative to the
//! machine's root, or by their name where there is no tree, or by the places where tools keep
//! things under other names ([`places`]).

mod places;

use super::nest::boundary;
use super::survey::Root;
use super::wanted::Wanted;
use crate::model::Layer;

/// Names that only the top of a machine's tree, or of a report about it, has.
pub(super) const TELLING: &[&str] = &[
    "proc",
    "sys",
    "etc",
    "var",
    "usr",
    "commands",
    "sos_commands",
    "installed-rpms",
    "installed-debs",
];

/// Names that a root has and other folders may have too: at the input's top they mean that
/// nothing is stripped, further down nothing at all.
pub(super) const COMMON: &[&str] = &[
    "boot",
    "lib",
    "lib64",
    "run",
    "dev",
    "root",
    "home",
    "mnt",
    "opt",
    "srv",
    "tmp",
    "app",
    "captures",
    ".dockerenv",
];

/// Files that only the top of a report has whose files hold many sections each (supportconfig).
pub(super) const TELLING_FILES: &[&str] =
    &["basic-environment.txt", "basic-health-check.txt", "supportconfig.txt"];

/// Which part of an input a source looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Only what is under this prefix, which ends in `/` or is empty.
    pub(super) under: String,
    /// Nothing under these prefixes of the input.
    pub(super) except: Vec<String>,
}

impl Scope {
    /// The path inside the scope; `None` where it is outside.
    pub(super) fn inside<'p>(&self, path: &'p str) -> Option<&'p str> {
        let excepted = self.except.iter().any(|p| path.starts_with(p.as_str()));
        path.strip_prefix(self.under.as_str()).filter(|_| !excepted)
    }

    /// Whether anything in an archive at this path can be inside.
    pub(super) fn reaches(&self, archive: &str) -> bool {
        let folder = format!("{archive}/");
        let excepted = self.except.iter().any(|p| folder.starts_with(p.as_str()));
        !excepted && (folder.starts_with(&self.under) || self.under.starts_with(&folder))
    }

    /// The part of the scope under a prefix inside it.
    pub(super) fn narrowed(&self, prefix: &str) -> Self {
        Self { under: format!("{}{prefix}", self.under), except: self.except.clone() }
    }
}

/// What a path of the input is for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Evidence, with its canonical path.
    Evidence(String),
    /// Perhaps a log; its canonical path is its own.
    Unknown(String),
    /// A file of many sections, each of which may be evidence.
    Sections,
    /// The bundle's manifest.
    Manifest,
    /// Nobody wants it.
    Other,
}

/// Where the machine's tree lies; its logs may lie beside it in trees of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Prefixes that are taken off, with their `/`, the longest first; none where there is no tree,
    /// only files.
    roots: Vec<(String, Root)>,
}

impl Layout {
    /// A single file, or files without a tree.
    pub(super) const LOOSE: Self = Self { roots: Vec::new() };

    /// Trees with these roots.
    pub(super) fn of(mut roots: Vec<(String, Root)>) -> Self {
        roots.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { roots }
    }

    /// The prefixes that are taken off.
    #[cfg(test)]
    pub(super) fn strips(&self) -> Vec<String> {
        self.roots.iter().map(|(prefix, _)| prefix.clone()).collect()
    }

    fn root(&self, path: &str) -> Option<&(String, Root)> {
        self.roots.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()))
    }

    /// Whether the path lies in a machine's tree.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.root(path).is_some()
    }

    /// The path relative to the machine's root.
    pub(super) fn relative<'p>(&self, path: &'p str) -> &'p str {
        self.root(path).and_then(|(prefix, _)| path.strip_prefix(prefix.as_str())).unwrap_or(path)
    }

    /// What a path of the input is for us.
    pub(super) fn role(&self, wanted: &Wanted, path: &str) -> Role {
        let root = self.root(path);
        let relative = self.relative(path);
        if relative == "manifest.json" {
            return Role::Manifest;
        }
        if root.is_some_and(|(_, what)| what.sectioned) && is_sectioned(relative) {
            return Role::Sections;
        }
        // In a nested archive beside a tree only the names can tell.
        let nested = boundary(relative) > 0;
        let canonical = if root.is_none() && (self.roots.is_empty() || nested) {
            wanted.canonical_loose(relative)
        } else if relative.contains('/') {
            wanted.canonical(relative).or_else(|| canonical_nested(wanted, relative))
        } else {
            wanted.canonical_beside(relative)
        };
        let canonical = canonical.or_else(|| places::elsewhere(wanted, relative));
        match canonical {
            Some(canonical) => Role::Evidence(canonical),
            None if wanted.unknown_logs() && self.may_be_log(relative) => {
                let plain = super::codec::without_suffix(relative).unwrap_or(relative);
                Role::Unknown(plain.to_owned())
            }
            None => Role::Other,
        }
    }

    fn may_be_log(&self, relative: &str) -> bool {
        let hidden = relative.split('/').any(|c| c.starts_with('.'));
        let plain = super::codec::without_suffix(relative).unwrap_or(relative);
        let top_log = !relative.contains('/') && super::wanted::has_suffix(plain, "log");
        !hidden && (self.roots.is_empty() || top_log)
    }
}

/// Whether a file at the top of a report holds sections.
fn is_sectioned(relative: &str) -> bool {
    !relative.contains('/') && super::wanted::has_suffix(relative, "txt")
}

/// The canonical path of a file in an archive that lies in a machine's tree: it keeps paths of the
/// machine, or lies where the archive does.
fn canonical_nested(wanted: &Wanted, relative: &str) -> Option<String> {
    let (archive, inner) = relative.split_at_checked(boundary(relative))?;
    let folder = archive.trim_end_matches('/').rsplit_once('/')?.0;
    let name = inner.rsplit('/').next()?;
    let paths = [inner.to_owned(), format!("{folder}/{inner}"), format!("{folder}/{name}")];
    paths.iter().find_map(|path| wanted.canonical(path))
}

/// The layer whose folder is the first or second component of the path.
pub(super) fn layer_of(path: &str) -> Option<(Layer, &str)> {
    let mut end = 0;
    for part in path.split('/').take(2) {
        end += part.len() + 1;
        if let Some(layer) = Layer::named(part).filter(|l| *l != Layer::Network) {
            // Without the `/` the component is a file, no folder.
            return path.get(..end).map(|prefix| (layer, prefix));
        }
        if TELLING.contains(&part) || COMMON.contains(&part) {
            return None;
        }
    }
    None
}

/// A path of an archive in normal form: no leading `/`, no `.`; an error for `..`, which has no
/// business there.
pub(super) fn normal(path: &str) -> Result<String, &'static str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("its path contains '..'"),
            part if part.contains('\0') => return Err("its path contains a NUL byte"),
            part => parts.push(part),
        }
    }
    if parts.len() > super::limits::DEPTH {
        Err("its path is too deep")
    } else {
        Ok(parts.join("/"))
    }
}

/// Where a link at `path` leads, both relative to the machine's root; `None` where it leads
/// outside. An absolute target is meant from that root.
pub(super) fn link_target(path: &str, target: &str) -> Option<String> {
    let folder =
        if target.starts_with('/') { "" } else { path.rsplit_once('/').map_or("", |p| p.0) };
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Want;

    #[test]
    fn archives_in_a_tree_hold_its_files() {
        let layout = Layout::of(vec![("s/".to_owned(), Root { strong: true, sectioned: false })]);
        let wanted = Wanted::new([Want::given("var/log/messages*")].into_iter());
        for path in [
            "s/var/log/messages-1.xz",
            "s/var/log/old.tgz/var/log/messages-1",
            "s/var/log/old.tar.gz/messages-1",
            "s/var/log/old.tar.gz/old/messages-1",
        ] {
            let role = layout.role(&wanted, path);
            assert_eq!(role, Role::Evidence("var/log/messages-1".to_owned()), "{path}");
        }
        assert_eq!(layout.role(&wanted, "s/home/messages-1"), Role::Other);
    }

    #[test]
    fn links_stay_in_the_tree() {
        assert_eq!(
            link_target("etc/os-release", "../usr/lib/os-release").as_deref(),
            Some("usr/lib/os-release")
        );
        assert_eq!(link_target("a/b", "/proc/cpuinfo").as_deref(), Some("proc/cpuinfo"));
        assert_eq!(link_target("a/b", "../../etc/shadow"), None);
        assert_eq!(normal("/./a//b").as_deref(), Ok("a/b"));
        assert!(normal("a/../../b").is_err());
    }
}
