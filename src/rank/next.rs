//! What to collect next: the gaps, ordered by how much they could move the ranking.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::Candidate;
use super::{REPORTED, Taken};
use crate::model::{Layer, NextEvidence, Stack};

/// Longest list that is still a help.
const MOST: usize = 8;
/// A cause as sure as this (confidence 0.95) needs no more evidence.
const SURE: i32 = 13;

/// Whether a cause that is not reported could be, if its gaps were closed.
pub(super) fn undecided(candidate: &Candidate<'_>) -> bool {
    let telling = candidate.open.iter().any(|o| !o.missing.is_empty());
    telling
        && candidate.score() < REPORTED.max(i32::from(!candidate.holds()) * SURE)
        && candidate.potential() >= REPORTED
}

/// Commands, most telling first.
pub(super) fn next_evidence(stack: &Stack, taken: &Taken<'_>) -> Vec<NextEvidence> {
    let unsure = taken.causes.iter().map(|(c, _)| c).filter(|c| c.score() < SURE);
    let undecided = taken.rest.iter().filter(|c| undecided(c));
    let mut by_command: BTreeMap<(Layer, &str), (i32, BTreeSet<&str>)> = BTreeMap::new();
    for candidate in unsure.chain(undecided) {
        for open in &candidate.open {
            // What decides whether it is a cause at all outweighs any single piece of evidence.
            let weight = if open.weight == 0 { 30 } else { open.weight.abs() };
            for missing in open.missing.iter().filter(|m| !m.command.is_empty()) {
                let entry = by_command.entry((missing.layer, &missing.command)).or_default();
                entry.0 += weight;
                entry.1.insert(&candidate.rule.id);
            }
        }
    }
    let mut commands: Vec<_> = by_command.into_iter().collect();
    commands.sort_by(|a, b| (b.1.0, a.0).cmp(&(a.1.0, b.0)));
    let several = stack.hosts.len() > 1;
    commands
        .into_iter()
        .take(MOST)
        .map(|((layer, command), (_, ids))| NextEvidence {
            command: if several { format!("{command}  # on {layer}") } else { command.to_owned() },
            would_decide: ids.into_iter().map(str::to_owned).collect(),
        })
        .collect()
}
