//! The manifest of our own bundle: what was collected, how, and what could not be.
//!
//! It is read back wherever a bundle is read, so that an analysis elsewhere knows of the same gaps
//! as the one on the host itself. It is no evidence and never reaches a [`Sink`](super::Sink).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{Gap, GapReason, Layer};

/// Version of the manifest's format.
pub const VERSION: u32 = 1;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format: [`VERSION`].
    pub manifest_version: u32,
    /// What wrote it.
    #[serde(default)]
    pub tool: Tool,
    /// Name of the host.
    #[serde(default)]
    pub host: String,
    /// `l0`, `l1` or `l2` where whoever collected it said so.
    #[serde(default)]
    pub layer: Option<String>,
    /// When it was collected, as given to [`write`](super::bundle::write).
    #[serde(default)]
    pub time: String,
    /// What was asked for.
    #[serde(default)]
    pub files: Vec<ManifestEntry>,
}

/// The program that wrote a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ManifestEntry {
    /// Canonical path.
    pub path: String,
    /// The file it was read from, or the command line.
    pub source: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal; empty where nothing was collected.
    pub sha256: String,
    /// Target of a symbolic link that was kept as such; `size` and `sha256` are the text's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Exit status of the command.
    pub exit_status: Option<i32>,
    /// Why it is missing or not whole.
    pub missing: Option<String>,
    /// Whether a part was left out for its size or for the time it took.
    pub truncated: bool,
}

impl Manifest {
    /// The layer it names.
    pub fn layer(&self) -> Option<Layer> {
        self.layer.as_deref().and_then(Layer::named)
    }

    /// What it says is missing.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.files.iter().filter_map(ManifestEntry::gap)
    }

    /// Links below which the bundle has files: no tree can hold both, so that these links stand in
    /// the manifest alone. Path and target.
    pub(super) fn links_over_files(&self) -> impl Iterator<Item = (&str, &str)> {
        let kept = self.files.iter().filter(|f| !f.sha256.is_empty());
        let paths: BTreeSet<&str> = kept.map(|f| f.path.as_str()).collect();
        let links = self.files.iter().filter_map(|f| Some((f.path.as_str(), f.link.as_deref()?)));
        links.filter(move |(path, _)| is_folder(path, &paths))
    }

    /// Reads a manifest; an error for a person where it is none.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| format!("not a manifest of a bundle: {e}"))
    }
}

/// Whether one of the sorted paths lies below `path`.
pub(super) fn is_folder(path: &str, paths: &BTreeSet<&str>) -> bool {
    let folder = format!("{path}/");
    paths.range(folder.as_str()..).next().is_some_and(|next| next.starts_with(&folder))
}

impl ManifestEntry {
    /// What is missing of it, if anything.
    pub fn gap(&self) -> Option<Gap> {
        let gap = |reason| Some(Gap { source: self.path.clone(), reason });
        match &self.missing {
            Some(why) => gap(reason(why)),
            None if self.truncated => gap(GapReason::CutOff),
            None => None,
        }
    }
}

/// The reason that begins the text; what follows it is for people.
fn reason(why: &str) -> GapReason {
    const REASONS: &[(&str, GapReason)] = &[
        ("not permitted", GapReason::NotPermitted),
        ("timed out", GapReason::TimedOut),
        ("not installed", GapReason::NoSuchCommand),
        ("cut off", GapReason::CutOff),
        ("not understood", GapReason::Unparseable),
    ];
    REASONS.iter().find(|(text, _)| why.starts_with(text)).map_or(GapReason::NotCollected, |r| r.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_becomes_a_gap_with_its_reason() {
        let manifest = Manifest::parse(
            br#"{"manifest_version":1,"layer":"L1","files":[
                {"path":"proc/cpuinfo","size":3},
                {"path":"commands/dmesg.txt","missing":"not permitted: EPERM"},
                {"path":"commands/lspci.txt","missing":"timed out after 5 s"},
                {"path":"commands/virsh-list.txt","missing":"not installed"},
                {"path":"sys/x","missing":"does not exist"},
                {"path":"var/log/syslog","truncated":true}]}"#,
        )
        .unwrap();
        assert_eq!(manifest.layer(), Some(Layer::L1));
        let gaps: Vec<_> = manifest.gaps().map(|g| (g.source, g.reason)).collect();
        let expected = [
            ("commands/dmesg.txt", GapReason::NotPermitted),
            ("commands/lspci.txt", GapReason::TimedOut),
            ("commands/virsh-list.txt", GapReason::NoSuchCommand),
            ("sys/x", GapReason::NotCollected),
            ("var/log/syslog", GapReason::CutOff),
        ];
        assert_eq!(gaps, expected.map(|(p, r)| (p.to_owned(), r)));
    }

    #[test]
    fn a_manifest_of_something_else_is_refused_with_a_position() {
        let error = Manifest::parse(br#"{"name":"web-extension"}"#).unwrap_err();
        assert!(error.contains("manifest_version") && error.contains("line 1"), "{error}");
    }
}
