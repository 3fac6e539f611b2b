//! Ranking: the fewest root causes that explain what is seen, best first.
//!
//! A cause is weighed per host it can sit on. Its score, in decibans, is its prior, plus the
//! weights of the evidence that holds, plus the weights of the symptoms it explains that are seen.
//! The highest is taken, what it explains counts as explained, and the rest is scored again with
//! those symptoms discounted (`explain_away`); a cause that a taken one explains becomes its
//! consequence. Order is by score, then layer, then id: the same for any number of threads.

mod candidate;
mod next;
mod view;

use std::collections::BTreeSet;

use rayon::prelude::*;

use candidate::{Candidate, Seen};

use crate::model::{Diagnosis, Stack};
use crate::rules::eval::Evaluator;
use crate::rules::{RuleSet, Vocabulary};

/// From this score on (confidence 0.5) a cause is reported.
const REPORTED: i32 = 0;
/// A cause as sure as this (confidence 0.95) needs no more evidence.
const SURE: i32 = 13;
/// A cause that is less certain by more than this does not swallow what it would explain.
const MARGIN: i32 = 10;
/// From this score on (confidence 0.2) it is suspected.
const SUSPECTED: i32 = -6;

/// Ranks the causes of a stack.
pub fn rank(stack: &Stack, set: &RuleSet, vocabulary: &Vocabulary) -> Diagnosis {
    let evaluator = Evaluator::new(stack, set, vocabulary);
    let seats = candidate::seats(stack, set);
    let candidates: Vec<Candidate<'_>> = seats
        .into_par_iter()
        .filter_map(|(rule, focus)| Candidate::weigh(&evaluator, rule, focus))
        .collect();
    let taken = explain_away(candidates);
    view::diagnosis(evaluator, set, &taken)
}

/// Candidates in three piles, each in its final order.
pub(crate) struct Taken<'r> {
    /// Reported, with the ids of the causes that became consequences of each.
    pub(crate) causes: Vec<(Candidate<'r>, Vec<Candidate<'r>>)>,
    /// Not reported: suspected, undetermined or neither.
    pub(crate) rest: Vec<Candidate<'r>>,
    /// Explain only what a reported cause explains better, and could overtake it with evidence that
    /// was not collected.
    pub(crate) rivals: Vec<Candidate<'r>>,
}

/// Takes the best, discounts what it explains, and goes on. A cause goes before those it explains,
/// whatever their scores: they are its consequences and stand under it.
fn explain_away(mut open: Vec<Candidate<'_>>) -> Taken<'_> {
    let mut explained: BTreeSet<Seen> = BTreeSet::new();
    let mut causes: Vec<(Candidate<'_>, Vec<Candidate<'_>>)> = Vec::new();
    loop {
        for candidate in &mut open {
            candidate.discount(&explained);
        }
        open.sort_by_key(Candidate::order);
        let Some(index) = open.iter().position(reportable) else { break };
        let root = open.remove(root_of(&open, index));
        let (consequences, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|c| reportable(c) && root.explains_cause(c));
        open = others;
        for cause in consequences.iter().chain([&root]) {
            explained.extend(cause.seen().cloned());
        }
        match causes.iter().position(|(cause, _)| cause.explains_cause(&root)) {
            Some(parent) => causes[parent].1.extend([vec![root], consequences].concat()),
            None => causes.push((root, consequences)),
        }
    }
    causes.sort_by_key(|(cause, _)| cause.order());
    let (rest, beaten): (Vec<_>, Vec<_>) = open.into_iter().partition(Candidate::is_open);
    let overtakes = |rival: &Candidate<'_>| {
        causes.iter().any(|(cause, _)| cause.score() < SURE && rival.could_overtake(cause))
    };
    let rivals = beaten.into_iter().filter(overtakes).collect();
    Taken { causes, rest, rivals }
}

fn reportable(candidate: &Candidate<'_>) -> bool {
    candidate.holds() && candidate.score() >= REPORTED
}

/// From the best candidate down to the one at the root of it. The rules' checks see to it that
/// nothing explains itself.
fn root_of(open: &[Candidate<'_>], best: usize) -> usize {
    let mut root = best;
    for _ in 0..open.len() {
        let surface = &open[root];
        let below = |c: &Candidate<'_>| {
            reportable(c) && c.explains_cause(surface) && c.score() + MARGIN >= surface.score()
        };
        let deeper = open.iter().position(below);
        match deeper {
            Some(deeper) if deeper != root => root = deeper,
            _ => break,
        }
    }
    root
}
