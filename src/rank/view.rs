//! From candidates to the diagnosis: texts filled in, evidence with its lines.

use std::collections::BTreeSet;

use super::candidate::{Candidate, Held, sits};
use super::{REPORTED, SUSPECTED, Taken, next};
use crate::model::{
    Advice, Cause, Diagnosis, Evidence, Explained, Host, Remedy, Stack, Undetermined,
};
use crate::rules::eval::{Evaluator, Proof};
use crate::rules::rule::{AdviceRule, RemedyRule};
use crate::rules::{Answer, RuleSet, text};

/// The conclusion.
pub(super) fn diagnosis(evaluator: Evaluator<'_>, set: &RuleSet, taken: &Taken<'_>) -> Diagnosis {
    let stack = evaluator.stack;
    let view = View { stack, set, evaluator };
    let causes = taken.causes.iter().map(|(c, consequences)| view.cause(c, consequences)).collect();
    let suspected: Vec<_> = taken
        .rest
        .iter()
        .filter(|c| c.holds() && (SUSPECTED..REPORTED).contains(&c.score()))
        .map(|c| view.cause(c, &[]))
        .collect();
    let mut named = BTreeSet::new();
    let undetermined = taken
        .rest
        .iter()
        .filter(|c| next::undecided(c) && named.insert(c.rule.id.as_str()))
        .map(undetermined)
        .collect();
    let next_evidence = next::next_evidence(stack, taken);
    let advice = view.advice();
    Diagnosis { causes, suspected, advice, undetermined, next_evidence }
}

fn undetermined(candidate: &Candidate<'_>) -> Undetermined {
    let missing: BTreeSet<_> = candidate.open.iter().flat_map(|o| &o.missing).collect();
    let reasons: BTreeSet<_> =
        missing.iter().map(|m| format!("{} ({}): {}", m.what, m.layer, m.reason)).collect();
    Undetermined {
        id: candidate.rule.id.clone(),
        missing: missing
            .iter()
            .map(|m| m.what.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        why: reasons.into_iter().collect::<Vec<_>>().join("; "),
    }
}

struct View<'v> {
    stack: &'v Stack,
    set: &'v RuleSet,
    evaluator: Evaluator<'v>,
}

impl View<'_> {
    fn cause(&self, candidate: &Candidate<'_>, consequences: &[Candidate<'_>]) -> Cause {
        let rule = candidate.rule;
        let hosts = self.readers(candidate.focus);
        let fill = |t: &str| text::fill(t, &hosts);
        let mut evidence: Vec<Evidence> =
            candidate.held.iter().flat_map(|h| self.evidence(h, &hosts)).collect();
        for symptom in &candidate.symptoms {
            let says = self.set.title(&symptom.seen.0).to_owned();
            let held = Held { weight: symptom.weight, says, proofs: symptom.proofs.clone() };
            evidence.extend(self.evidence(&held, &hosts));
        }
        evidence.sort_by_key(|e| e.weight);
        let symptoms = candidate.symptoms.iter().map(|s| self.explained(&s.seen.0, s.seen.1));
        let further = consequences.iter().map(|c| self.explained(&c.rule.id, c.focus));
        Cause {
            id: rule.id.clone(),
            title: rule.title.clone(),
            layer: candidate.layer,
            host: self.collected(candidate.focus).map(|h| h.id.clone()).unwrap_or_default(),
            severity: rule.severity,
            score: candidate.score(),
            evidence,
            explains: symptoms.chain(further).collect(),
            why: fill(&rule.why),
            remedy: self.remedies(&rule.remedies, candidate.focus, &hosts),
            references: rule.references.clone(),
        }
    }

    fn remedies(&self, rules: &[RemedyRule], focus: usize, hosts: &[&Host]) -> Vec<Remedy> {
        let apply = rules.iter().filter(|r| self.applies(r, focus));
        apply
            .map(|r| Remedy {
                text: text::fill(&r.text, hosts),
                commands: r.commands.iter().map(|c| text::fill_command(c, hosts)).collect(),
                risk: r.risk.clone(),
            })
            .collect()
    }

    /// Risks first, then by layer and id.
    fn advice(&self) -> Vec<Advice> {
        let mut advice: Vec<Advice> = Vec::new();
        for rule in self.set.advice.values() {
            let hosts = self.stack.hosts.iter().enumerate();
            let asked = hosts.filter(|(_, h)| h.collected() && sits(rule.seat, h));
            advice.extend(asked.filter_map(|(index, host)| self.advise(rule, index, host)));
        }
        advice.sort_by(|a, b| (a.kind, a.layer, &a.id).cmp(&(b.kind, b.layer, &b.id)));
        advice
    }

    fn advise(&self, rule: &AdviceRule, focus: usize, host: &Host) -> Option<Advice> {
        let Answer::Yes(proofs) = self.evaluator.condition(&rule.when, focus) else { return None };
        let hosts = self.readers(focus);
        let seen: BTreeSet<&Proof> = proofs.iter().collect();
        Some(Advice {
            id: rule.id.clone(),
            kind: rule.kind,
            title: rule.title.clone(),
            host: host.id.clone(),
            layer: host.layer,
            seen: seen.into_iter().map(|p| p.origin.clone()).collect(),
            why: text::fill(&rule.why, &hosts),
            costs: text::fill(&rule.costs, &hosts),
            remedy: self.remedies(&rule.remedies, focus, &hosts),
            references: rule.references.clone(),
        })
    }

    fn collected(&self, index: usize) -> Option<&Host> {
        self.stack.hosts.get(index).filter(|h| h.collected())
    }

    /// Hosts whose facts a text may name: the focus, then its neighbours, nearest first.
    fn readers(&self, focus: usize) -> Vec<&Host> {
        let mut hosts: Vec<_> = self.stack.hosts.iter().enumerate().collect();
        hosts.sort_by_key(|(i, _)| i.abs_diff(focus));
        hosts.into_iter().map(|(_, h)| h).collect()
    }

    /// One entry per line that proves it, at least one.
    /// Values in its text are those of the host that proves it.
    fn evidence(&self, held: &Held, hosts: &[&Host]) -> Vec<Evidence> {
        let prover = held.proofs.first().and_then(|p| self.stack.hosts.get(p.host));
        let hosts: Vec<&Host> = prover.into_iter().chain(hosts.iter().copied()).collect();
        let says = text::fill(&held.says, &hosts);
        let unique: BTreeSet<&Proof> = held.proofs.iter().collect();
        unique
            .into_iter()
            .take(3)
            .map(|proof| Evidence {
                host: self.stack.hosts.get(proof.host).map(|h| h.id.clone()).unwrap_or_default(),
                origin: proof.origin.clone(),
                weight: held.weight,
                says: says.clone(),
            })
            .collect()
    }

    fn explained(&self, id: &str, host: usize) -> Explained {
        let host = self.stack.hosts.get(host);
        Explained {
            id: id.to_owned(),
            title: self.set.title(id).to_owned(),
            host: host.filter(|h| h.collected()).map(|h| h.id.clone()).unwrap_or_default(),
            layer: host.map_or(crate::model::Layer::Unknown, |h| h.layer),
        }
    }

    /// A remedy for a platform is shown where the platform is known to be that one.
    fn applies(&self, remedy: &RemedyRule, focus: usize) -> bool {
        remedy
            .when
            .as_ref()
            .is_none_or(|c| matches!(self.evaluator.condition(c, focus), Answer::Yes(_)))
    }
}
