//! From what was typed to what is used: rules loaded, inputs opened.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::args::Common;
use super::output;
use crate::model::Layer;
use crate::pipeline::{Doctor, Input};
use crate::rules::{Care, Mistake};
use crate::source::{self, SourceError};

/// Sets the number of threads.
pub(super) fn threads(common: &Common) -> anyhow::Result<()> {
    let Some(threads) = common.threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().context("cannot start the threads")
}

/// Loads the rules; mistakes are printed, all of them.
pub(super) fn doctor(common: &Common) -> anyhow::Result<Doctor> {
    let care = if common.rules.is_empty() { Care::Quick } else { Care::Thorough };
    match load(common, care)? {
        Ok(doctor) => Ok(doctor),
        Err(mistakes) => {
            for mistake in &mistakes {
                output::message(&mistake.to_string());
            }
            bail!("the rules have {} mistakes", mistakes.len())
        }
    }
}

/// Loads the rules; the inner result holds their mistakes.
pub(super) fn load(common: &Common, care: Care) -> anyhow::Result<Result<Doctor, Vec<Mistake>>> {
    let mut files = Vec::new();
    for dir in &common.rules {
        read_rules(dir, &mut files)?;
    }
    Ok(Doctor::new(&files, care))
}

#[expect(clippy::disallowed_methods, reason = "cli/ reads the user's rule files")]
fn read_rules(path: &Path, files: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let shown = path.display();
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {shown}"))?;
        let mut paths =
            entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<PathBuf>, _>>()?;
        paths.sort();
        let wanted = |p: &Path| p.is_dir() || p.extension().is_some_and(|e| e == "yaml");
        return paths.iter().filter(|p| wanted(p)).try_for_each(|p| read_rules(p, files));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    files.push((shown.to_string(), text));
    Ok(())
}

/// Opens the inputs. One that cannot be read is named and left out; none readable is an error.
pub(super) fn inputs(arguments: &[String]) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for argument in arguments {
        let (layer, path) = layer_and_path(argument);
        match open(path, layer) {
            Ok(opened) => inputs.extend(opened),
            Err(e) => output::message(&e.to_string()),
        }
    }
    if inputs.is_empty() {
        bail!("no input could be read");
    }
    Ok(inputs)
}

/// Opens an input. One that holds several machines is several, and so is one with a folder per
/// layer, unless the user says that it is one layer.
fn open(path: &Path, layer: Option<Layer>) -> Result<Vec<Input>, SourceError> {
    if layer.is_some() {
        let hosts = source::open_hosts(path)?;
        return Ok(hosts.into_iter().map(|source| Input { source, layer }).collect());
    }
    let sources = source::open_all(path)?;
    Ok(sources.into_iter().map(|(layer, source)| Input { source, layer }).collect())
}

fn layer_and_path(argument: &str) -> (Option<Layer>, &Path) {
    let named = argument.split_once('=');
    let layer = named.and_then(|(name, path)| Some((Layer::named(name)?, path)));
    match layer {
        Some((layer @ (Layer::L0 | Layer::L1 | Layer::L2), path)) => (Some(layer), Path::new(path)),
        _ => (None, Path::new(argument)),
    }
}
