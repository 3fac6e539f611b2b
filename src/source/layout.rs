//! Layout: where in an input the machine's own tree begins.
//!
//! A tree may lie at the input's top or one or two folders down
//! (`sosreport-HOST-.../etc/os-release`). The first path, in the input's order, that tells decides,
//! so an archive need not be read to its end; a directory is walked in the order in which its
//! archive would be packed, and so decides alike. An input that never tells is a loose folder of
//! logs. A folder `l0`, `l1` or `l2` holds a layer of its own.

use std::collections::BTreeMap;

use super::wanted::Wanted;
use crate::model::Layer;

/// Names that only the top of a machine's tree, or of a report about it, has.
const TELLING: &[&str] = &[
    "proc",
    "sys",
    "etc",
    "var",
    "usr",
    "commands",
    "sos_commands",
    "sos_reports",
    "sos_strings",
    "installed-rpms",
    "installed-debs",
];

/// Names that a root has and other folders may have too: at the input's top they mean that
/// nothing is stripped, further down nothing at all.
const COMMON: &[&str] = &[
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

/// Folders between the input's top and the machine's root, at most.
const DEEPEST: usize = 2;

/// Which part of an input a source looks at.
#[derive(Debug, Clone, Default)]
pub(super) enum Scope {
    /// All.
    #[default]
    All,
    /// Only what is under this prefix, which ends in `/`.
    Under(String),
    /// All but what is under these prefixes.
    Outside(Vec<String>),
}

impl Scope {
    /// The path inside the scope; `None` where it is outside.
    pub(super) fn inside<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self {
            Self::All => Some(path),
            Self::Under(prefix) => path.strip_prefix(prefix.as_str()),
            Self::Outside(prefixes) => {
                (!prefixes.iter().any(|p| path.starts_with(p.as_str()))).then_some(path)
            }
        }
    }
}

/// What a path of the input is for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Evidence, with its canonical path.
    Evidence(String),
    /// Perhaps a log; its canonical path is its own.
    Unknown(String),
    /// The bundle's manifest.
    Manifest,
    /// Nobody wants it.
    Other,
}

/// Where the machine's tree lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Prefix that is taken off, with its `/`; empty for none.
    strip: String,
    /// Whether there is no tree, only files.
    loose: bool,
}

impl Layout {
    /// A single file, or files without a tree.
    pub(super) const LOOSE: Self = Self { strip: String::new(), loose: true };

    /// The path relative to the machine's root.
    pub(super) fn relative<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(self.strip.as_str()).unwrap_or(path)
    }

    /// A path relative to the machine's root, as one of the input.
    pub(super) fn absolute(&self, relative: &str) -> String {
        format!("{}{relative}", self.strip)
    }

    /// What a path of the input is for us.
    pub(super) fn role(&self, wanted: &Wanted, path: &str) -> Role {
        let relative = self.relative(path);
        if relative == "manifest.json" {
            return Role::Manifest;
        }
        let canonical = if self.loose {
            wanted.canonical_loose(relative)
        } else if relative.contains('/') {
            wanted.canonical(relative)
        } else {
            wanted.canonical_beside(relative)
        };
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
        !hidden && (self.loose || top_log)
    }
}

/// Decides on the layout, path by path.
#[derive(Debug, Default)]
pub(super) struct Decider {
    /// The input's top is the machine's root.
    at_top: bool,
}

impl Decider {
    /// Takes the path of a file; the layout as soon as it is clear.
    pub(super) fn offer(&mut self, path: &str) -> Option<Layout> {
        let mut parts = path.split('/');
        let first = parts.next()?;
        if TELLING.contains(&first) {
            return Some(Layout { strip: String::new(), loose: false });
        }
        self.at_top |= COMMON.contains(&first);
        if self.at_top {
            return None;
        }
        let mut end = first.len() + 1;
        for part in parts.take(DEEPEST) {
            if TELLING.contains(&part) {
                return Some(Layout { strip: path.get(..end)?.to_owned(), loose: false });
            }
            end += part.len() + 1;
        }
        None
    }

    /// The layout of an input of `paths`.
    pub(super) fn decide<'p>(paths: impl Iterator<Item = &'p str>) -> Layout {
        let mut decider = Self::default();
        for path in paths {
            if let Some(layout) = decider.offer(path) {
                return layout;
            }
        }
        Layout::LOOSE
    }
}

/// The folders of an input that hold a layer each.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Prefixes with their `/`.
    pub(super) found: BTreeMap<Layer, String>,
    /// There are files outside of them.
    pub(super) others: bool,
    decider: Decider,
}

impl Layers {
    /// Takes the path of a file. False as soon as no layers are to be expected: a machine's tree
    /// begins before any layer's folder was seen.
    pub(super) fn offer(&mut self, path: &str) -> bool {
        if let Some((layer, prefix)) = layer_of(path) {
            let prefix = self.found.entry(layer).or_insert_with(|| prefix.to_owned());
            self.others |= !path.starts_with(prefix.as_str());
            return true;
        }
        self.others = true;
        !self.found.is_empty() || self.decider.offer(path).is_none()
    }
}

/// The layer whose folder is the first or second component of the path.
fn layer_of(path: &str) -> Option<(Layer, &str)> {
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

    fn strip(paths: &[&str]) -> Option<String> {
        let layout = Decider::decide(paths.iter().copied());
        (!layout.loose).then_some(layout.strip)
    }

    #[test]
    fn the_machines_root_is_found_up_to_two_folders_down() {
        assert_eq!(strip(&["proc/cpuinfo"]).as_deref(), Some(""));
        assert_eq!(
            strip(&["sosreport-a/version.txt", "sosreport-a/etc/x"]).as_deref(),
            Some("sosreport-a/")
        );
        assert_eq!(strip(&["case/sosreport-a/etc/x"]).as_deref(), Some("case/sosreport-a/"));
        assert_eq!(strip(&["a/b/c/etc/x"]), None);
    }

    #[test]
    fn a_root_at_the_top_is_not_mistaken_for_a_folder_around_one() {
        assert_eq!(strip(&["home/me/etc/x", "proc/cpuinfo"]).as_deref(), Some(""));
        assert_eq!(strip(&["mnt/etc/fstab", "root/x"]), None, "nothing tells: loose");
        assert_eq!(strip(&["logs/dev/dmesg.txt", "logs/run/a.log"]), None);
    }

    #[test]
    fn a_folder_per_layer_is_found_with_what_is_beside() {
        let mut layers = Layers::default();
        assert!(layers.offer("README"));
        assert!(layers.offer("case/l0/etc/x") && layers.offer("case/L1/dmesg.txt"));
        assert_eq!(layers.found.get(&Layer::L1).map(String::as_str), Some("case/L1/"));
        assert!(layers.others);
        assert!(!Layers::default().offer("etc/l0/x/y"), "a folder of that name in a tree");
        let mut file = Layers::default();
        file.offer("l0");
        assert!(file.found.is_empty(), "a file, no folder");
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
