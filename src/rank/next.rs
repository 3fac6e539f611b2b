//! What to collect next: the gaps, ordered by how much they could move the ranking.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::{Asked, Candidate};
use super::{REPORTED, SURE, Taken, reportable};
use crate::model::{Host, Layer, NextEvidence, Stack};

/// Longest list that is still a help.
const MOST: usize = 6;

/// Whether a cause that is not reported could be, if its gaps were closed.
pub(super) fn undecided(candidate: &Candidate<'_>) -> bool {
    let telling = candidate.open.iter().any(|o| !o.missing.is_empty());
    telling && !reportable(candidate) && candidate.potential() >= REPORTED
}

/// Commands, most telling first. Evidence can take a reported cause down and others up.
pub(super) fn next_evidence(stack: &Stack, taken: &Taken<'_>) -> Vec<NextEvidence> {
    let mut agenda = Agenda::default();
    for (cause, _) in taken.causes.iter().filter(|(cause, _)| cause.score() < SURE) {
        agenda.add(stack, cause, i32::abs);
    }
    for candidate in taken.rest.iter().filter(|c| undecided(c)).chain(&taken.rivals) {
        agenda.add(stack, candidate, |weight| weight.max(0));
    }
    let several = stack.hosts.len() > 1;
    let mut commands: Vec<_> = agenda.by_command.into_iter().collect();
    commands.sort_by(|a, b| (b.1.0, &a.0).cmp(&(a.1.0, &b.0)));
    commands
        .into_iter()
        .filter(|(_, (weight, _))| *weight > 0)
        .take(MOST)
        .map(|((layer, command), (_, ids))| NextEvidence {
            command: if several { format!("{command}  # on {layer}") } else { command },
            would_decide: ids.into_iter().collect(),
        })
        .collect()
}

/// What only exists on some platforms: nobody is sent to Windows from a stack of Linux machines.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("windows", &["hyperv", "wsl"]),
    ("hyperv", &["hyperv"]),
    ("hcs", &["hyperv", "wsl"]),
    ("wsl", &["wsl"]),
    ("vbox", &["virtualbox"]),
    ("virtualbox", &["virtualbox"]),
    ("vmx", &["vmware"]),
    ("vmware", &["vmware"]),
    ("utm", &["utm"]),
    ("pve", &["proxmox"]),
];

/// Whether a missing fact, or log, can exist in this stack.
fn fits(stack: &Stack, what: &str) -> bool {
    let family = what.strip_prefix("log of ").or(what.split('.').next()).unwrap_or(what);
    let Some((_, vendors)) = ELSEWHERE.iter().find(|(name, _)| *name == family) else {
        return true;
    };
    let on = |host: &Host| {
        let vendor = host.facts.text("platform.vendor");
        vendor.is_some_and(|v| vendors.contains(&v))
            || host.facts.first("windows.version").is_some()
    };
    stack.hosts.iter().any(on)
}

/// What each command could move, and for which causes.
#[derive(Default)]
struct Agenda {
    by_command: BTreeMap<(Layer, String), (i32, BTreeSet<String>)>,
}

impl Agenda {
    fn add(&mut self, stack: &Stack, candidate: &Candidate<'_>, moves: fn(i32) -> i32) {
        for open in &candidate.open {
            let weight = match open.what {
                // What decides whether it is a cause at all outweighs any piece of evidence.
                Asked::Needs => 30,
                Asked::Evidence => moves(open.weight),
                Asked::Symptom => 1,
            };
            let asked = open.missing.iter().filter(|m| weight > 0 && !m.command.is_empty());
            for missing in asked.filter(|m| fits(stack, &m.what)) {
                let key = (missing.layer, missing.command.clone());
                let entry = self.by_command.entry(key).or_default();
                entry.0 += weight;
                entry.1.insert(candidate.rule.id.clone());
            }
        }
    }
}
