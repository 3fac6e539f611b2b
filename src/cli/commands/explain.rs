//! `nestdoctor explain ID`: what a cause, symptom or fact is, from its one declaration.

use std::fmt::Write as _;

use anyhow::bail;

use crate::cli::args::Common;
use crate::cli::exit::Exit;
use crate::cli::{output, settings};
use crate::model::FactDef;
use crate::model::suggest::nearest;
use crate::pipeline::{Doctor, vocabulary};
use crate::rules::rule::{AdviceRule, CauseRule, RemedyRule, Symptom, SymptomTest, Target};

/// Prints the explanation.
pub(super) fn run(common: &Common, id: &str) -> anyhow::Result<Exit> {
    let doctor = settings::doctor(common)?;
    let rules = &doctor.rules;
    let text = if let Some(cause) = rules.causes.get(id) {
        explain_cause(&doctor, cause)
    } else if let Some(symptom) = rules.symptoms.get(id) {
        explain_symptom(symptom)
    } else if let Some(advice) = rules.advice.get(id) {
        explain_advice(advice)
    } else if let Some(fact) = vocabulary().fact(id) {
        explain_fact(fact)
    } else {
        let ids = rules.causes.keys().chain(rules.symptoms.keys()).chain(rules.advice.keys());
        let ids = ids.cloned();
        let names: Vec<String> = ids.chain(vocabulary().fact_names().map(str::to_owned)).collect();
        let hint = nearest(id, names.iter().map(String::as_str))
            .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        bail!("`{id}` is no cause, symptom, advice or fact{hint}");
    };
    output::write(&text, None)?;
    Ok(Exit::Healthy)
}

fn explain_cause(doctor: &Doctor, cause: &CauseRule) -> String {
    let mut text = format!(
        "{} (cause, {})\n{}\n\n{}\n",
        cause.id,
        cause.severity.word(),
        cause.title,
        cause.why.trim()
    );
    if !cause.evidence.is_empty() {
        text.push_str("\nEvidence\n");
    }
    for evidence in &cause.evidence {
        let _ = writeln!(text, "  {:9} {}", evidence.weight.word(), evidence.says);
    }
    if !cause.explains.is_empty() {
        text.push_str("\nExplains\n");
    }
    for explains in &cause.explains {
        let (Target::Symptom(id) | Target::Cause(id)) = &explains.target;
        let _ = writeln!(text, "  {id}: {}", doctor.rules.title(id));
    }
    explain_help(&mut text, &cause.remedies, &cause.references, &cause.file);
    text
}

fn explain_advice(advice: &AdviceRule) -> String {
    let mut text = format!(
        "{} (advice, {})\n{}\n\n{}\n\ncosts: {}\n",
        advice.id,
        advice.kind.word(),
        advice.title,
        advice.why.trim(),
        advice.costs.trim()
    );
    explain_help(&mut text, &advice.remedies, &advice.references, &advice.file);
    text
}

fn explain_help(text: &mut String, remedies: &[RemedyRule], references: &[String], file: &str) {
    text.push_str("\nWhat to do\n");
    for remedy in remedies {
        let _ = writeln!(text, "  {}", remedy.text.trim());
        for command in &remedy.commands {
            let _ = writeln!(text, "    $ {command}");
        }
        if !remedy.risk.is_empty() {
            let _ = writeln!(text, "    risk: {}", remedy.risk.trim());
        }
    }
    for reference in references {
        let _ = writeln!(text, "see {reference}");
    }
    let _ = writeln!(text, "rule {file}");
}

fn explain_symptom(symptom: &Symptom) -> String {
    let mut text = format!("{} (symptom)\n{}\n", symptom.id, symptom.title);
    match &symptom.test {
        SymptomTest::Log(signature) => {
            let writers: Vec<_> = signature.writers.iter().map(|w| w.name()).collect();
            let _ = writeln!(text, "\nSeen in lines of {}\n", writers.join(", "));
            for regex in &signature.any {
                let _ = writeln!(text, "  {regex}");
            }
        }
        SymptomTest::Record { kind, filter } => {
            let _ = writeln!(text, "\nSeen in records of kind {kind} with\n");
            for (field, regex) in &filter.0 {
                let _ = writeln!(text, "  {field} matching {regex}");
            }
        }
        SymptomTest::When(_) => text.push_str("\nSeen in facts: see the rule\n"),
    }
    let _ = writeln!(text, "\nrule {}", symptom.file);
    text
}

fn explain_fact(fact: &FactDef) -> String {
    let per = if fact.per.is_empty() { String::new() } else { format!(" per {}", fact.per) };
    format!("{} (fact, {}{per})\n{}\n\n$ {}\n", fact.name, fact.kind, fact.doc, fact.command)
}
