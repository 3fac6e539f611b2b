//! Survey: which machines an input holds, and where the tree of each begins.
//!
//! A machine's tree is told by names that only its top has, at the input's top or one or two
//! folders down, in a nested archive the same. One tree makes one source of the whole input, with
//! whatever lies beside the tree; several make a source each (`sos collect` packs a sosreport of
//! every node), and what lies beside them another. A folder `l0`, `l1` or `l2` holds a layer of its
//! own. Trees of which only `var` or `usr` is there are logs of a machine, not a machine.
//!
//! Of an archive the first tree that tells ends the survey: it need not be read to its end twice.
//! Should a second one follow it, the visit meets it and says so.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{COMMON, Layout, Scope, TELLING, TELLING_FILES, layer_of};
use super::member::Go;
use super::nest::boundary;
use crate::model::Layer;

/// Folders between the top and the machine's root, at most.
const DEEPEST: usize = 2;
/// Of [`TELLING`], what logs alone have too.
const WEAK: &[&str] = &["var", "usr"];

/// What is known of a machine's root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Root {
    /// It is a machine, more than its logs.
    pub(super) strong: bool,
    /// Its files hold many sections each.
    pub(super) sectioned: bool,
}

/// A part of an input that is a source of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) layer: Option<Layer>,
    pub(super) scope: Scope,
    pub(super) layout: Layout,
}

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Folders per layer are looked for.
    layered: bool,
    /// The first tree ends it.
    hasty: bool,
    layers: BTreeMap<Layer, String>,
    /// There are files outside of the layers' folders.
    others: bool,
    /// Prefixes with their `/`.
    roots: BTreeMap<String, Root>,
    /// Prefixes below which no root may lie: they are one themselves.
    tops: BTreeSet<String>,
}

impl Survey {
    pub(super) fn new(layered: bool, hasty: bool) -> Self {
        Self { layered, hasty, ..Self::default() }
    }

    /// The layout of files that are one machine's.
    pub(super) fn layout<'p>(paths: impl Iterator<Item = &'p str>) -> Layout {
        let mut survey = Self::new(false, false);
        for path in paths {
            survey.offer(path);
        }
        survey.prune();
        Layout::of(survey.roots.into_iter().collect())
    }

    /// Takes the path of a file.
    pub(super) fn offer(&mut self, path: &str) -> Go {
        let mut start = boundary(path);
        let nested = start > 0;
        match layer_of(path).filter(|_| self.layered) {
            Some((layer, prefix)) => {
                let known = self.layers.entry(layer).or_insert_with(|| prefix.to_owned());
                self.others |= !path.starts_with(known.as_str());
                start = start.max(prefix.len());
            }
            None => self.others = true,
        }
        let Some((root, what)) = self.root_of(path, start) else { return Go::On };
        let known = self.roots.entry(root.to_owned()).or_default();
        known.strong |= what.strong;
        known.sectioned |= what.sectioned;
        match nested {
            true if what.strong => Go::Leave,
            false if self.hasty && self.layers.is_empty() => Go::Stop,
            _ => Go::On,
        }
    }

    /// Whether a path lies in a machine's tree that is known.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.roots.iter().any(|(root, what)| what.strong && path.starts_with(root.as_str()))
    }

    fn root_of<'p>(&mut self, path: &'p str, start: usize) -> Option<(&'p str, Root)> {
        let (above, below) = path.split_at_checked(start)?;
        if COMMON.contains(&below.split('/').next()?) {
            self.tops.insert(above.to_owned());
        }
        let deepest = if self.tops.contains(above) { 0 } else { DEEPEST };
        root_of(path, start, deepest)
    }

    /// A root in a root is a part of it; logs around a machine are no machine.
    fn prune(&mut self) {
        let all = self.roots.clone();
        self.roots.retain(|root, what| {
            !all.iter().any(|(other, its)| match other == root {
                true => false,
                false if root.starts_with(other.as_str()) => its.strong || !what.strong,
                false => other.starts_with(root.as_str()) && its.strong && !what.strong,
            })
        });
    }

    /// The sources that the input makes.
    pub(super) fn units(mut self) -> Vec<Unit> {
        self.prune();
        let mut units = Vec::new();
        let folders: Vec<String> = self.layers.values().cloned().collect();
        for (layer, folder) in &self.layers {
            let scope = Scope { under: folder.clone(), except: Vec::new() };
            self.group(Some(*layer), scope, &mut units);
        }
        if units.is_empty() || self.others {
            self.group(None, Scope { under: String::new(), except: folders }, &mut units);
        }
        units
    }

    /// The sources of one part of the input.
    fn group(&self, layer: Option<Layer>, scope: Scope, units: &mut Vec<Unit>) {
        let roots: Vec<(&str, Root)> = self
            .roots
            .iter()
            .filter_map(|(root, what)| scope.inside(root).map(|inside| (inside, *what)))
            .collect();
        let strong = || roots.iter().filter(|(_, what)| what.strong);
        if strong().count() < 2 {
            let roots = roots.iter().map(|(root, what)| ((*root).to_owned(), *what)).collect();
            units.push(Unit { layer, scope, layout: Layout::of(roots) });
            return;
        }
        let mut rest = scope.clone();
        for (root, what) in strong() {
            let scope = scope.narrowed(root);
            rest.except.push(scope.under.clone());
            units.push(Unit { layer, scope, layout: Layout::of(vec![(String::new(), *what)]) });
        }
        let weak = roots.iter().filter(|(_, what)| !what.strong);
        let weak = weak.map(|(root, what)| ((*root).to_owned(), *what)).collect();
        units.push(Unit { layer, scope: rest, layout: Layout::of(weak) });
    }
}

/// The root of the machine that a path tells of, in the folders from `start` on.
pub(super) fn root_of(path: &str, start: usize, deepest: usize) -> Option<(&str, Root)> {
    let mut end = start;
    for part in path.get(start..)?.split_inclusive('/').take(deepest + 1) {
        let name = part.strip_suffix('/').unwrap_or(part);
        let folder = part.len() > name.len();
        let root = path.get(..end)?;
        if TELLING.contains(&name) {
            return Some((root, Root { strong: !WEAK.contains(&name), sectioned: false }));
        }
        if !folder && TELLING_FILES.contains(&name) {
            return Some((root, Root { strong: true, sectioned: true }));
        }
        end += part.len();
    }
    None
}

/// The root of another machine's tree, if a path that is in none of ours tells of one.
pub(super) fn stranger(path: &str) -> Option<&str> {
    let start = boundary(path);
    let first = path.get(start..)?.split('/').next()?;
    let deepest = if COMMON.contains(&first) { 0 } else { DEEPEST };
    root_of(path, start, deepest).filter(|(_, what)| what.strong).map(|(root, _)| root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(paths: &[&str]) -> Vec<(Option<Layer>, String, Vec<String>)> {
        let mut survey = Survey::new(true, false);
        for path in paths {
            survey.offer(path);
        }
        let units = survey.units().into_iter();
        units.map(|u| (u.layer, u.scope.under, u.layout.strips())).collect()
    }

    fn unit(
        layer: Option<Layer>,
        under: &str,
        strips: &[&str],
    ) -> (Option<Layer>, String, Vec<String>) {
        (layer, under.to_owned(), strips.iter().map(|s| (*s).to_owned()).collect())
    }

    #[test]
    fn the_machines_root_is_found_up_to_two_folders_down() {
        for (paths, root) in [
            (&["proc/cpuinfo"][..], Some("")),
            (&["sosreport-a/version.txt", "sosreport-a/etc/x"], Some("sosreport-a/")),
            (&["case/sosreport-a/etc/x"], Some("case/sosreport-a/")),
            (&["a.tar/case/sosreport-a/etc/x"], Some("a.tar/case/sosreport-a/")),
            (&["scc_h_1/boot.txt", "scc_h_1/supportconfig.txt"], Some("scc_h_1/")),
            (&["a/b/c/etc/x"], None),
            (&["home/me/etc/x", "proc/cpuinfo"], Some("")),
            (&["mnt/etc/fstab", "root/x"], None),
            (&["logs/dev/dmesg.txt", "logs/run/a.log"], None),
        ] {
            let roots: Vec<&str> = root.into_iter().collect();
            assert_eq!(units(paths), [unit(None, "", &roots)], "{paths:?}");
        }
    }

    #[test]
    fn several_machines_are_several_sources_and_logs_are_no_machine() {
        let two = units(&["c/a.tar.xz/s/etc/x", "c/b.tar.xz/s/proc/x", "c/logs/ui.log"]);
        let expected = [
            unit(None, "c/a.tar.xz/s/", &[""]),
            unit(None, "c/b.tar.xz/s/", &[""]),
            unit(None, "", &[]),
        ];
        assert_eq!(two, expected);
        let logs = units(&["s/etc/x", "s/x/etc/y", "more.tgz/var/log/messages"]);
        assert_eq!(logs, [unit(None, "", &["more.tgz/", "s/"])]);
        assert_eq!(units(&["b/var/log/x", "etc/x"]), [unit(None, "", &[""])]);
    }

    #[test]
    fn a_folder_per_layer_is_found_with_what_is_beside() {
        let found = units(&["README", "case/l0/h.tar.xz/s/etc/x", "case/L1/dmesg.txt"]);
        let expected = [
            unit(Some(Layer::L0), "case/l0/", &["h.tar.xz/s/"]),
            unit(Some(Layer::L1), "case/L1/", &[]),
            unit(None, "", &[]),
        ];
        assert_eq!(found, expected);
        assert_eq!(units(&["l0"]), [unit(None, "", &[])], "a file, no folder");
        assert_eq!(units(&["etc/l0/x/y"]), [unit(None, "", &[""])], "a folder in a tree");
    }

    #[test]
    fn a_stranger_is_told_in_a_folder_or_an_archive_of_its_own() {
        assert_eq!(stranger("b/proc/cpuinfo"), Some("b/"));
        assert_eq!(stranger("b.tgz/s/etc/x"), Some("b.tgz/s/"));
        assert_eq!(stranger("b/var/log/x"), None);
    }
}
