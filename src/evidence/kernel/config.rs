//! The configuration a kernel was built with: what it says about KVM and the microcode loader
//! (`CONFIG_X=value`, or `# CONFIG_X is not set`; packed as `/proc/config.gz`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

use crate::model::{Origin, Out, Piece, Value};

/// Limit for an unpacked `/proc/config.gz`; real ones have about 300 KiB.
const CONFIG_LIMIT: u64 = 8 << 20;

/// The configuration as text, unpacked where it is packed.
pub(super) fn text(piece: Piece<'_>) -> std::io::Result<Cow<'_, str>> {
    if !piece.bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(String::from_utf8_lossy(piece.bytes));
    }
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(piece.bytes).take(CONFIG_LIMIT).read_to_end(&mut bytes)?;
    Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What the configuration says about KVM, and where.
#[derive(Default)]
struct Config {
    words: BTreeSet<String>,
    /// State of CONFIG_KVM and its place.
    kvm: Option<(char, Origin)>,
    /// CONFIG_VIRTUALIZATION=n, without which no KVM line is written at all.
    no_virtualization: Option<Origin>,
    /// States of the x86 parts: intel, amd, pvm.
    parts: Vec<char>,
    /// Options of the microcode loader.
    microcode: BTreeSet<String>,
    /// Place of the first of them.
    microcode_at: Option<Origin>,
}

/// Facts of a configuration; its path may name the release.
pub(super) fn parse(piece: Piece<'_>, text: &str, out: &mut Out) {
    let seen = read_config(piece.path, text);
    let release = release_in(piece.path);
    let mut put = |name, value, origin| match release {
        Some(release) => out.fact_of(name, release, value, origin),
        None => out.fact(name, value, origin),
    };
    if let Some(origin) = seen.microcode_at.clone().filter(|_| piece.whole) {
        put("kernel.microcode_config", Value::Words(seen.microcode.clone()), origin);
    }
    let place = seen.kvm.as_ref().map(|(_, o)| o).or(seen.no_virtualization.as_ref());
    let Some(origin) = place.cloned() else {
        if !text.contains("CONFIG_") {
            out.problem(piece.path, None, "not a kernel configuration");
        }
        return;
    };
    if let Some(state) = kvm_state(&seen) {
        put("kernel.kvm_config", Value::text(state), origin.clone());
    }
    if piece.whole {
        put("kernel.config", Value::Words(seen.words), origin);
    }
}

fn read_config(path: &str, text: &str) -> Config {
    let mut seen = Config::default();
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((name, value)) = option(line) else { continue };
        if name.starts_with("CONFIG_MICROCODE") {
            seen.microcode.insert(format!("{name}={value}"));
            seen.microcode_at.get_or_insert_with(|| Origin::new(path, Some(number), line));
        }
        if !name.contains("KVM") && name != "CONFIG_VIRTUALIZATION" {
            continue;
        }
        seen.words.insert(format!("{name}={value}"));
        let state = value.chars().next().unwrap_or('n');
        match name {
            "CONFIG_KVM" => seen.kvm = Some((state, Origin::new(path, Some(number), line))),
            "CONFIG_VIRTUALIZATION" if state == 'n' => {
                seen.no_virtualization = Some(Origin::new(path, Some(number), line));
            }
            "CONFIG_KVM_INTEL" | "CONFIG_KVM_AMD" | "CONFIG_KVM_PVM" => seen.parts.push(state),
            _ => {}
        }
    }
    seen
}

/// `CONFIG_X=value` or `# CONFIG_X is not set`.
fn option(line: &str) -> Option<(&str, &str)> {
    if let Some(comment) = line.strip_prefix("# ") {
        let name = comment.trim_end().strip_suffix(" is not set")?;
        return name.starts_with("CONFIG_").then_some((name, "n"));
    }
    let (name, value) = line.trim().split_once('=')?;
    name.starts_with("CONFIG_").then_some((name, value))
}

/// The core without any part for a vendor is of no use on x86; where no part is named (ARM, or an
/// extract) the core alone decides.
fn kvm_state(seen: &Config) -> Option<&'static str> {
    let core = match &seen.kvm {
        Some((state, _)) => *state,
        None => seen.no_virtualization.as_ref().map(|_| 'n')?,
    };
    if core == 'n' || (!seen.parts.is_empty() && seen.parts.iter().all(|s| *s == 'n')) {
        Some("absent")
    } else if core == 'm' || seen.parts.contains(&'m') {
        Some("module")
    } else {
        Some("builtin")
    }
}

/// The release in `boot/config-REL`, `usr/lib/kernel/config-REL` or `lib/modules/REL/config`.
pub(super) fn release_in(path: &str) -> Option<&str> {
    let (folder, file) = path.rsplit_once('/')?;
    if let Some(release) = file.strip_prefix("config-") {
        return Some(release);
    }
    folder.rsplit_once("lib/modules/").map(|(_, release)| release)
}
