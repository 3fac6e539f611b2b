//! A cause, weighed on one host.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::model::{Host, Layer, Stack, Weight};
use crate::rules::eval::{Answer, Evaluator, Missing, Proof};
use crate::rules::rule::{CauseRule, Seat, Target};
use crate::rules::{RuleSet, Scope};

/// Decibans of each symptom after the strongest, and of all of them at most.
const FURTHER: i32 = 2;
const MOST_FURTHER: i32 = 6;

/// A symptom as seen on a host: what explaining away works on.
pub(crate) type Seen = (String, usize);

/// A piece of evidence that holds.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) weight: Weight,
    pub(crate) says: String,
    pub(crate) proofs: Vec<Proof>,
}

/// A symptom that is seen and that the cause explains.
#[derive(Debug, Clone)]
pub(crate) struct Symptom {
    pub(crate) seen: Seen,
    pub(crate) weight: Weight,
    pub(crate) proofs: Vec<Proof>,
    discounted: bool,
}

/// Evidence that cannot be told, with the weight it could have had.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) weight: i32,
    pub(crate) what: Asked,
    pub(crate) missing: BTreeSet<Missing>,
}

/// What cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Whether it is a cause at all.
    Needs,
    /// A piece of evidence.
    Evidence,
    /// Whether a further symptom shows: nobody has to go looking for symptoms.
    Symptom,
}

/// Whether what a cause needs is there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Needs {
    Met,
    Unknown,
    /// No condition of its own: it needs a symptom that nothing else explains.
    Symptom,
}

/// A cause on a host.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'r> {
    pub(crate) rule: &'r CauseRule,
    pub(crate) focus: usize,
    pub(crate) layer: Layer,
    pub(crate) held: Vec<Held>,
    pub(crate) symptoms: Vec<Symptom>,
    pub(crate) open: Vec<Open>,
    needs: Needs,
}

/// Every cause with every host it can sit on.
pub(crate) fn seats<'r>(stack: &Stack, set: &'r RuleSet) -> Vec<(&'r CauseRule, usize)> {
    let mut seats = Vec::new();
    for rule in set.causes.values() {
        let hosts = stack.hosts.iter().enumerate().filter(|(_, host)| sits(rule.seat, host));
        let take = if rule.seat == Seat::Network { 1 } else { usize::MAX };
        seats.extend(hosts.take(take).map(|(index, _)| (rule, index)));
    }
    seats
}

/// A layer that was not collected can hold only causes that are said to sit there.
pub(crate) fn sits(seat: Seat, host: &Host) -> bool {
    match seat {
        Seat::L0 => matches!(host.layer, Layer::L0 | Layer::Unknown),
        Seat::Provider => host.collected() || host.layer == Layer::L0,
        Seat::L1 => host.layer == Layer::L1 && host.collected(),
        Seat::L2 => host.layer == Layer::L2 && host.collected(),
        Seat::Any | Seat::Network => host.collected(),
    }
}

impl<'r> Candidate<'r> {
    /// Weighs a cause on a host; `None` where it is excluded, or nothing speaks for it.
    pub(crate) fn weigh(
        evaluator: &Evaluator<'_>,
        rule: &'r CauseRule,
        focus: usize,
    ) -> Option<Self> {
        let host = evaluator.stack.hosts.get(focus)?;
        let layer = if rule.seat == Seat::Network { Layer::Network } else { host.layer };
        let mut open = Vec::new();
        let needs = match rule.needs.as_ref().map(|c| evaluator.condition(c, focus)) {
            None => Needs::Symptom,
            Some(Answer::Yes(_)) => Needs::Met,
            Some(Answer::No(_)) => return None,
            Some(Answer::Unknown(missing)) => {
                open.push(Open { weight: 0, what: Asked::Needs, missing });
                Needs::Unknown
            }
        };
        let mut held = Vec::new();
        for evidence in &rule.evidence {
            match evaluator.condition(&evidence.when, focus) {
                Answer::Yes(_) if evidence.weight == Weight::Excludes => return None,
                Answer::Yes(proofs) => {
                    held.push(Held {
                        weight: evidence.weight,
                        says: evidence.says.clone(),
                        proofs,
                    });
                }
                Answer::No(_) => {}
                Answer::Unknown(missing) => {
                    let weight = evidence.weight.decibans().unwrap_or(-30);
                    open.push(Open { weight, what: Asked::Evidence, missing });
                }
            }
        }
        let symptoms = symptoms(evaluator, rule, focus, &mut open);
        let candidate = Self { rule, focus, layer, held, symptoms, open, needs };
        candidate.is_open().then_some(candidate)
    }

    /// Whether anything speaks for it.
    pub(crate) fn is_open(&self) -> bool {
        let for_it = self.held.iter().any(|h| h.weight.decibans().is_some_and(|d| d > 0));
        match self.needs {
            Needs::Symptom => self.symptoms.iter().any(|s| !s.discounted),
            Needs::Met | Needs::Unknown => {
                for_it || self.symptoms.iter().any(|s| !s.discounted) || self.needs == Needs::Met
            }
        }
    }

    /// Whether what it needs is there, so that it may be reported.
    pub(crate) fn holds(&self) -> bool {
        match self.needs {
            Needs::Met => true,
            Needs::Unknown => false,
            Needs::Symptom => self.symptoms.iter().any(|s| !s.discounted),
        }
    }

    /// Decibans.
    pub(crate) fn score(&self) -> i32 {
        let held = self.held.iter().filter_map(|h| h.weight.decibans()).sum::<i32>();
        let symptoms = self.symptoms.iter().filter(|s| !s.discounted);
        self.rule.prior + held + together(symptoms.filter_map(|s| s.weight.decibans()))
    }

    /// Decibans if all that cannot be told spoke for it.
    pub(crate) fn potential(&self) -> i32 {
        self.score() + self.open.iter().map(|o| o.weight.max(0)).sum::<i32>()
    }

    /// Whether it explains something that `cause` explains too, and would be ahead of it if all
    /// evidence that cannot be told spoke for it.
    pub(crate) fn could_overtake(&self, cause: &Self) -> bool {
        let shared = self.seen().any(|s| cause.seen().any(|other| s == other));
        let discounted = self.symptoms.iter().filter(|s| s.discounted);
        let regained = together(discounted.filter_map(|s| s.weight.decibans()));
        let evidence = self.open.iter().filter(|o| o.what == Asked::Evidence);
        let gain = evidence.map(|o| o.weight.max(0)).sum::<i32>();
        shared && self.score() + regained + gain > cause.score()
    }

    /// Symptoms it explains.
    pub(crate) fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.symptoms.iter().map(|s| &s.seen)
    }

    /// Discounts symptoms that a better cause explains.
    pub(crate) fn discount(&mut self, explained: &BTreeSet<Seen>) {
        for symptom in &mut self.symptoms {
            symptom.discounted = explained.contains(&symptom.seen);
        }
    }

    /// Whether its rule says that it explains the other cause.
    pub(crate) fn explains_cause(&self, other: &Self) -> bool {
        self.rule.explains.iter().any(|e| e.target == Target::Cause(other.rule.id.clone()))
    }

    /// Best first; ties by layer, id and host.
    pub(crate) fn order(&self) -> (Reverse<i32>, Layer, String, usize) {
        (Reverse(self.score()), self.layer, self.rule.id.clone(), self.focus)
    }
}

/// What several symptoms of one failure say together. They are not independent: whoever misses
/// /dev/kvm says so in every log. The strongest counts whole, each further one confirms it a
/// little, up to a limit.
fn together(weights: impl Iterator<Item = i32>) -> i32 {
    let weights: Vec<i32> = weights.collect();
    let strongest = weights.iter().copied().max().unwrap_or(0);
    let further = i32::try_from(weights.len().saturating_sub(1)).unwrap_or(i32::MAX);
    strongest + further.saturating_mul(FURTHER).min(MOST_FURTHER)
}

/// The symptoms of a rule that are seen on its host or on those it carries.
fn symptoms(
    evaluator: &Evaluator<'_>,
    rule: &CauseRule,
    focus: usize,
    open: &mut Vec<Open>,
) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    for explains in &rule.explains {
        let Target::Symptom(id) = &explains.target else { continue };
        let mut unknown = BTreeSet::new();
        let before = symptoms.len();
        for host in carried(evaluator.stack, rule.seat, explains.scope, focus) {
            match evaluator.symptom(id, &explains.filter, host) {
                Answer::Yes(proofs) => symptoms.push(Symptom {
                    seen: (id.clone(), host),
                    weight: explains.weight,
                    proofs,
                    discounted: false,
                }),
                Answer::No(_) => {}
                Answer::Unknown(missing) => unknown.extend(missing),
            }
        }
        if symptoms.len() == before && !unknown.is_empty() {
            let weight = explains.weight.decibans().unwrap_or(0);
            open.push(Open { weight, what: Asked::Symptom, missing: unknown });
        }
    }
    symptoms
}

/// A host and, where the rule says in which layer its cause sits, the hosts above it: a cause below
/// shows in what it carries. A cause that can sit anywhere is looked for where it shows.
fn carried(stack: &Stack, seat: Seat, scope: Option<Scope>, focus: usize) -> Vec<usize> {
    if seat == Seat::Any {
        return vec![focus];
    }
    let here = [focus].into_iter().filter(|_| scope != Some(Scope::Above));
    let above = stack.above(focus);
    let further = above.iter().flat_map(|host| stack.above(*host));
    let above = above.iter().copied().chain(further).filter(|_| scope != Some(Scope::Here));
    here.chain(above).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::together;

    #[test]
    fn symptoms_of_one_failure_are_not_counted_as_if_they_were_independent() {
        assert_eq!(together([].into_iter()), 0);
        assert_eq!(together([6].into_iter()), 6);
        assert_eq!(together([6, 13, 6].into_iter()), 17);
        assert_eq!(together([6; 20].into_iter()), 12);
    }
}
