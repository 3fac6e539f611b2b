//! The newest installed update that fits the processor.

use super::super::derived;
use super::baseline;
use super::processor::{Maker, Processor};
use crate::model::{Fact, Host, Value};

/// An installed update that fits.
struct Update<'h> {
    revision: u32,
    fact: &'h Fact,
}

pub(super) fn facts(host: &Host, processor: &Processor, running: u32) -> Vec<Fact> {
    let Some(newest) = newest(host, processor, running) else { return Vec::new() };
    let (revision, origin) = (newest.revision, &newest.fact.origin);
    let fact = |name, value| derived(name, value, origin);
    let mut facts = vec![
        fact("microcode.installed_revision", Value::text(format!("{revision:#x}"))),
        fact("microcode.installed_newer", Value::Bool(revision > running)),
    ];
    if !newest.fact.value.to_string().is_empty() {
        facts.push(fact("microcode.installed_date", newest.fact.value.clone()));
    }
    let known = baseline::regression(processor.signature.0, revision);
    facts.push(fact("microcode.installed_is_regression", Value::Bool(known.is_some())));
    facts.extend(known.map(|known| fact("microcode.installed_regression", Value::text(known))));
    facts
}

fn newest<'h>(host: &'h Host, processor: &Processor, running: u32) -> Option<Update<'h>> {
    let mut fitting: Vec<Update<'h>> = Vec::new();
    let mut unsure: Vec<u32> = Vec::new();
    for fact in host.facts.all("microcode.installed") {
        let Some((signature, platforms, revision)) = fact.instance.as_deref().and_then(parts)
        else {
            continue;
        };
        if signature != processor.signature.0 || !loadable(host, processor, fact, running) {
            continue;
        }
        match processor.is_on(platforms) {
            Some(true) => fitting.push(Update { revision, fact }),
            Some(false) => {}
            None => {
                unsure.push(revision);
                fitting.push(Update { revision, fact });
            }
        }
    }
    // Without the platform nobody can tell which of several fits.
    if unsure.iter().any(|r| Some(r) != unsure.first()) {
        return None;
    }
    fitting.into_iter().max_by_key(|u| u.revision)
}

/// `SIGNATURE/PLATFORMS/REVISION`
fn parts(instance: &str) -> Option<(u32, u32, u32)> {
    let mut parts = instance.split('/');
    let mut next = || parts.next();
    let (signature, platforms, revision) = (next()?, next()?, next()?);
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let platforms = if platforms.is_empty() { 0 } else { hex(platforms)? };
    Some((hex(signature)?, platforms, hex(revision)?))
}

/// A processor of AMD refuses what asks for a newer revision under it.
fn loadable(host: &Host, processor: &Processor, fact: &Fact, running: u32) -> bool {
    let instance = fact.instance.as_deref().unwrap_or_default();
    let minimum = host.facts.of("microcode.installed_minimum", instance).map(|f| &f.value);
    match minimum {
        Some(Value::Int(minimum)) if processor.maker == Maker::Amd => {
            i64::from(running) >= *minimum
        }
        _ => true,
    }
}
