//! `nestdoctor rules list|lint|test`

use std::fmt::Write as _;

use rayon::prelude::*;

use crate::cli::args::{Common, RulesCommand};
use crate::cli::exit::Exit;
use crate::cli::{output, settings};
use crate::rules::{Care, RuleSet};
use crate::trial;

/// Runs the subcommand.
pub(super) fn run(common: &Common, command: &RulesCommand) -> anyhow::Result<Exit> {
    match command {
        RulesCommand::List => {
            output::write(&list(&settings::doctor(common)?.rules), None)?;
            Ok(Exit::Healthy)
        }
        RulesCommand::Lint => lint(common),
        RulesCommand::Test { ids } => test(common, ids),
    }
}

fn list(rules: &RuleSet) -> String {
    let causes = rules.causes.values().map(|c| ("cause", &c.id, &c.title));
    let symptoms = rules.symptoms.values().map(|s| ("symptom", &s.id, &s.title));
    let advice = rules.advice.values().map(|a| (a.kind.word(), &a.id, &a.title));
    let mut text = String::new();
    for (kind, id, title) in causes.chain(symptoms).chain(advice) {
        let _ = writeln!(text, "{kind:8} {id:44} {title}");
    }
    text
}

fn lint(common: &Common) -> anyhow::Result<Exit> {
    match settings::load(common, Care::Thorough)? {
        Ok(doctor) => {
            let RuleSet { causes, symptoms, advice, .. } = &doctor.rules;
            let (causes, symptoms, advice) = (causes.len(), symptoms.len(), advice.len());
            let text =
                format!("{causes} causes, {symptoms} symptoms, {advice} advice: no mistake\n");
            output::write(&text, None)?;
            Ok(Exit::Healthy)
        }
        Err(mistakes) => {
            let mut text = String::new();
            for mistake in &mistakes {
                let _ = writeln!(text, "{mistake}");
            }
            let _ = writeln!(text, "{} mistakes", mistakes.len());
            output::write(&text, None)?;
            Ok(Exit::Found)
        }
    }
}

fn test(common: &Common, ids: &[String]) -> anyhow::Result<Exit> {
    let doctor = settings::doctor(common)?;
    let trials: Vec<_> = trial::trials(&doctor)
        .into_iter()
        .filter(|t| ids.is_empty() || ids.iter().any(|id| id == t.rule))
        .collect();
    anyhow::ensure!(!trials.is_empty(), "no rule with this id has a test");
    let results: Vec<_> = trials.par_iter().map(|t| t.run(&doctor)).collect();
    let mut text = String::new();
    let mut failed = 0;
    for (trial, result) in trials.iter().zip(&results) {
        if let Err(what) = result {
            failed += 1;
            let _ = writeln!(
                text,
                "{}:{}: {}: {what}",
                trial.file, trial.case.at.line, trial.case.name
            );
        }
    }
    let _ = writeln!(text, "{} tests, {failed} failed", trials.len());
    output::write(&text, None)?;
    Ok(if failed == 0 { Exit::Healthy } else { Exit::Found })
}
