//! Whether the kernel could load microcode, whether it did, and what it misses.

use super::super::derived;
use super::baseline;
use super::processor::{Maker, Processor, said};
use crate::model::{Event, Fact, Host, Origin, Value};

pub(super) fn facts(host: &Host, processor: &Processor) -> Vec<Fact> {
    let mut facts = Vec::new();
    facts.extend(loaded_early(host));
    let before = said(host, "previous", "from").or_else(|| said(host, "early", "from"));
    if let Some((revision, origin)) = before {
        let text = Value::text(format!("{revision:#x}"));
        facts.push(derived("microcode.before_loading", text, &origin));
    }
    facts.extend(disabled(host));
    facts.extend(absent(host, processor));
    facts.extend(package(host, processor));
    facts.extend(unpatched(host));
    facts.extend(old(host, processor));
    facts
}

fn lines<'h>(host: &'h Host, what: &'h str) -> impl Iterator<Item = &'h Event> {
    let events = host.events.of("microcode").iter();
    events.filter(move |e| e.fields.get("what").is_some_and(|w| w == what))
}

/// Silence says no only where the loader speaks at all and the log has the kernel's first line.
fn loaded_early(host: &Host) -> Option<Fact> {
    let loaded = lines(host, "early").chain(lines(host, "previous")).next();
    let fact =
        |yes, event: &Event| derived("microcode.loaded_early", Value::Bool(yes), &event.origin);
    if let Some(event) = loaded {
        return Some(fact(true, event));
    }
    host.boot_line("version")?;
    Some(fact(false, lines(host, "current").next()?))
}

/// Documentation/admin-guide/kernel-parameters.txt: `dis_ucode_ldr`, since 6.18 also
/// `microcode=dis_ucode_ldr`.
fn disabled(host: &Host) -> Option<Fact> {
    let cmdline = host.facts.first("kernel.cmdline")?;
    let off = host.facts.words("kernel.cmdline")?.iter().any(|word| {
        let options = word.strip_prefix("microcode=").unwrap_or(word);
        options.split(',').any(|option| option == "dis_ucode_ldr")
    });
    Some(derived("microcode.loader_disabled", Value::Bool(off), &cmdline.origin))
}

fn absent(host: &Host, processor: &Processor) -> Option<Fact> {
    let release = host.facts.text("kernel.release");
    let configs = host.facts.all("kernel.microcode_config");
    let config = configs
        .iter()
        .find(|f| f.instance.is_some() && f.instance.as_deref() == release)
        .or_else(|| configs.iter().find(|f| f.instance.is_none()))?;
    let Value::Words(words) = &config.value else { return None };
    let vendor = match processor.maker {
        Maker::Intel => "CONFIG_MICROCODE_INTEL=n",
        Maker::Amd => "CONFIG_MICROCODE_AMD=n",
    };
    let off = words.contains("CONFIG_MICROCODE=n") || words.contains(vendor);
    let known = off || words.contains("CONFIG_MICROCODE=y") || words.contains("CONFIG_MICROCODE=m");
    known.then(|| derived("microcode.loader_absent", Value::Bool(off), &config.origin))
}

/// Packages by maker, over the distributions.
fn packages(maker: Maker) -> &'static [&'static str] {
    match maker {
        Maker::Intel => &["intel-microcode", "microcode_ctl", "ucode-intel", "intel-ucode"],
        Maker::Amd => &[
            "amd64-microcode",
            "ucode-amd",
            "amd-ucode",
            "amd-ucode-firmware",
            "linux-firmware",
            "kernel-firmware-all",
        ],
    }
}

fn package(host: &Host, processor: &Processor) -> Option<Fact> {
    let list = host.facts.first("packages.installed")?;
    let names = host.facts.words("packages.installed")?;
    let installed = packages(processor.maker).iter().any(|p| names.contains(*p));
    let known = installed || host.facts.bool("packages.complete") == Some(true);
    known.then(|| derived("microcode.package_installed", Value::Bool(installed), &list.origin))
}

/// Distributions number microcode by the date of the vendor's release (3.20250812.1, 20250812-1). A
/// release follows the date inside an update by half a year at most; a year is taken to be sure.
pub(super) fn package_newer(host: &Host, processor: &Processor, facts: &[Fact]) -> Option<Fact> {
    let of = |name: &str| facts.iter().find(|f| f.name == name);
    let says = |name: &str, yes| of(name).filter(|f| f.value == Value::Bool(yes));
    let fact =
        |yes, from: &Fact| derived("microcode.package_newer", Value::Bool(yes), &from.origin);
    let never = says("microcode.below_baseline", false)
        .or_else(|| says("microcode.needs_firmware", true))
        .or_else(|| says("microcode.package_installed", false));
    if let Some(because) = never {
        return Some(fact(false, because));
    }
    let baseline = of("microcode.baseline_date")?.value.to_string().replace('-', "");
    let enough = number(&baseline)? + 10_000;
    let mut versions = host.facts.all("packages.version").iter();
    let package = versions.find(|f| {
        let ours = f.instance.as_deref().is_some_and(|p| packages(processor.maker).contains(&p));
        let version = f.value.to_string();
        let date = version.split(|c: char| !c.is_ascii_digit()).find_map(number);
        ours && date.is_some_and(|date| date >= enough)
    });
    Some(fact(true, package?))
}

/// A date as `20250812`.
fn number(text: &str) -> Option<u32> {
    let date = text.parse().ok().filter(|_| text.len() == 8)?;
    (19_900_000..21_000_000).contains(&date).then_some(date)
}

/// `Vulnerable: No microcode`, `Vulnerable: Clear CPU buffers attempted, no microcode; SMT ...`
fn unpatched(host: &Host) -> Option<Fact> {
    let lacking = |text: &str| text.starts_with("Vulnerable") && text.contains("o microcode");
    let states = host.facts.all("cpu.vulnerability").iter();
    let from_facts: Vec<(String, &Origin)> = states
        .filter(|f| lacking(&f.value.to_string()))
        .filter_map(|f| Some((f.instance.clone()?, &f.origin)))
        .collect();
    let from_log =
        lines(host, "unpatched").filter_map(|e| Some((e.fields.get("name")?.clone(), &e.origin)));
    // The log abbreviates the names: only where the kernel's own list was not collected.
    let found = if host.facts.first("cpu.vulnerability").is_some() {
        from_facts
    } else {
        from_log.collect()
    };
    // Who saw the kernel's list, or its log from the first line on, and found none: there are none.
    let list = host.facts.first("cpu.vulnerability").map(|f| &f.origin);
    let log = || host.boot_line("version").map(|e| &e.origin);
    let origin = found.first().map(|(_, o)| *o).or(list).or_else(log)?;
    let words = Value::words(found.iter().map(|(name, _)| name.clone()));
    Some(derived("microcode.unpatched", words, origin))
}

/// arch/x86/kernel/cpu/microcode/intel-ucode-defs.h has one revision per family, model and stepping.
/// Where platforms that share them number their revisions differently, the kernel compares with
/// another platform's and its word counts for nothing.
fn old(host: &Host, processor: &Processor) -> Option<Fact> {
    if baseline::depends_on_platform(processor) {
        return None;
    }
    let said = host.facts.of("cpu.vulnerability", "old_microcode").and_then(|fact| {
        let old = match fact.value.to_string().as_str() {
            "Vulnerable" => true,
            "Not affected" => false,
            _ => return None,
        };
        Some((old, &fact.origin))
    });
    let logged = || lines(host, "old").next().map(|e| (true, &e.origin));
    // Older kernels compare with no list, and say nothing either.
    let silent = || host.boot_line("version").map(|e| (false, &e.origin));
    let (old, origin) = said.or_else(logged).or_else(silent)?;
    Some(derived("microcode.kernel_says_old", Value::Bool(old), origin))
}
