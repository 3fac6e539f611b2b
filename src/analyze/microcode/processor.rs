//! Which processor runs which revision, from the first place that tells.

use super::super::derived;
use crate::model::{Fact, Host, Origin, Value};

/// Who made the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Intel,
    Amd,
}

type Number = (u32, Origin);

/// The processor.
#[derive(Debug)]
pub(super) struct Processor {
    pub(super) maker: Maker,
    pub(super) signature: Number,
    /// Intel's platform, as a mask.
    pub(super) platforms: Option<Number>,
    /// The lowest revision that runs.
    pub(super) revision: Option<Number>,
    /// Whether all processors run the same revision.
    differs: Option<(bool, Origin)>,
}

/// Revisions that hypervisors make up: QEMU's and KVM's default for Intel and for AMD
/// (arch/x86/kvm/x86.c, svm/svm.c), Hyper-V's, and what a processor without any update shows.
const SYNTHETIC: &[u32] = &[0, 1, 0x0100_0065, u32::MAX];

/// Intel marks revisions for development so.
const DEBUG: u32 = 1 << 31;

impl Processor {
    pub(super) fn of(host: &Host) -> Option<Self> {
        let signature = signature(host)?;
        let maker = match host.facts.text("virt.vendor") {
            Some("intel") => Maker::Intel,
            Some("amd") => Maker::Amd,
            None if (signature.0 >> 8) & 0xf == 6 => Maker::Intel,
            None if (6..=11).contains(&(signature.0 >> 20)) => Maker::Amd,
            _ => return None,
        };
        let platforms = platforms(host).filter(|_| maker == Maker::Intel);
        Some(Self { maker, signature, platforms, revision: revision(host), differs: differs(host) })
    }

    /// The place that is shown for a statement about the processor.
    pub(super) fn origin(&self) -> &Origin {
        self.revision.as_ref().map_or(&self.signature.1, |(_, origin)| origin)
    }

    /// Whether the revision can be one that a vendor released.
    pub(super) fn judgeable(&self) -> Result<(), &'static str> {
        match &self.revision {
            None => Err("revision-unknown"),
            Some((revision, _)) if SYNTHETIC.contains(revision) => Err("synthetic"),
            Some((revision, _)) if revision & DEBUG != 0 => Err("debug"),
            Some(_) => Ok(()),
        }
    }

    /// Whether an update for these platforms fits; `None` where the platform is not known.
    pub(super) fn is_on(&self, platforms: u32) -> Option<bool> {
        if self.maker == Maker::Amd || platforms == 0 {
            return Some(true);
        }
        self.platforms.as_ref().map(|(own, _)| own & platforms != 0)
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let text = |name, text: String, origin| derived(name, Value::text(text), origin);
        let (signature, origin) = &self.signature;
        let mut facts = vec![text("microcode.signature", format!("{signature:08x}"), origin)];
        if let Some((platforms, origin)) = &self.platforms {
            facts.push(text("microcode.platforms", format!("{platforms:#x}"), origin));
        }
        if let Some((revision, origin)) = &self.revision {
            facts.push(text("microcode.running", format!("{revision:#x}"), origin));
        }
        if let Some((differs, origin)) = &self.differs {
            facts.push(derived("microcode.differs_across_cores", Value::Bool(*differs), origin));
        }
        facts
    }
}

fn signature(host: &Host) -> Option<Number> {
    let part = |name| host.facts.int(name).and_then(|n| u32::try_from(n).ok());
    let parts = (part("cpu.family"), part("cpu.model"), part("cpu.stepping"));
    if let (Some(family), Some(model), Some(stepping)) = parts
        && family <= 0xf + 0xff
        && model <= 0xff
        && stepping <= 0xf
    {
        let origin = host.facts.first("cpu.family").map(|f| f.origin.clone()).unwrap_or_default();
        let signature = family.saturating_sub(0xf) << 20
            | (model >> 4) << 16
            | family.min(0xf) << 8
            | (model & 0xf) << 4
            | stepping;
        return Some((signature, origin));
    }
    ["current", "cpu", "mce"].iter().find_map(|what| said(host, what, "signature"))
}

fn platforms(host: &Host) -> Option<Number> {
    let all = host.facts.all("microcode.sysfs_platforms");
    match all {
        // Sockets of different platforms in one machine: then none stands for all.
        [_, _, ..] => None,
        [one] => Some((number(&one.value)?, one.origin.clone())),
        [] => said(host, "current", "platforms"),
    }
}

fn revision(host: &Host) -> Option<Number> {
    let lowest = |name: &str| {
        let all = host.facts.all(name).iter();
        all.filter_map(|f| Some((number(&f.value)?, f.origin.clone()))).min_by_key(|(n, _)| *n)
    };
    lowest("microcode.revision").or_else(|| lowest("microcode.sysfs_revision")).or_else(|| {
        ["late", "current", "early", "mce"].iter().find_map(|what| said(host, what, "revision"))
    })
}

fn differs(host: &Host) -> Option<(bool, Origin)> {
    let sysfs = host.facts.all("microcode.sysfs_revision");
    match (host.facts.first("microcode.mixed"), sysfs) {
        (Some(mixed), _) => Some((mixed.value == Value::Bool(true), mixed.origin.clone())),
        (None, []) => None,
        (None, [first, rest @ ..]) => Some((!rest.is_empty(), first.origin.clone())),
    }
}

fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Int(number) => u32::try_from(*number).ok(),
        _ => None,
    }
}

/// A hexadecimal field of the last line in which the kernel says a thing about microcode.
pub(super) fn said(host: &Host, what: &str, field: &str) -> Option<Number> {
    let events = host.events.of("microcode").iter().rev();
    let mut said = events.filter(|e| e.fields.get("what").is_some_and(|w| w == what));
    said.find_map(|e| Some((u32::from_str_radix(e.fields.get(field)?, 16).ok()?, e.origin.clone())))
}
