//! `nestdoctor facts INPUT...`: what was seen, before any rule.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::cli::args::{Common, Facts};
use crate::cli::exit::Exit;
use crate::cli::{output, settings};
use crate::model::{Fact, Host, Value};
use crate::pipeline::Examination;

/// Prints facts.
pub(super) fn run(common: &Common, args: &Facts) -> anyhow::Result<Exit> {
    let doctor = settings::doctor(common)?;
    let examination = doctor.examine(settings::inputs(&args.inputs)?);
    let text =
        if args.output.format == "json" { as_json(&examination)? } else { as_table(&examination) };
    output::write(&text, args.output.output.as_deref())?;
    for problem in &examination.problems {
        output::message(&format!("{}: {}", problem.source, problem.what));
    }
    Ok(Exit::Healthy)
}

fn as_table(examination: &Examination) -> String {
    let mut text = String::new();
    let width =
        examination.facts().map(|(_, f)| name(f).chars().count()).max().unwrap_or(0).min(48);
    for (host, fact) in examination.facts() {
        let line = fact.origin.line.map_or(String::new(), |l| format!(":{l}"));
        let place = format!("{}{line}", fact.origin.source);
        let value: String = fact.value.to_string().chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(text, "{:8} {:width$} = {value}  [{place}]", host.id, name(fact));
    }
    text
}

fn name(fact: &Fact) -> String {
    match &fact.instance {
        Some(instance) => format!("{}[{instance}]", fact.name),
        None => fact.name.to_owned(),
    }
}

fn as_json(examination: &Examination) -> anyhow::Result<String> {
    let facts: Vec<Json> = examination.facts().map(|(host, fact)| one(host, fact)).collect();
    let gaps: Vec<Json> = examination
        .stack
        .hosts
        .iter()
        .flat_map(|h| {
            h.gaps.iter().map(move |g| {
        json!({ "host": h.id, "source": g.source, "reason": g.reason.to_string() })
    })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(
        &json!({ "schema_version": 1, "facts": facts, "gaps": gaps }),
    )?;
    text.push('\n');
    Ok(text)
}

fn one(host: &Host, fact: &Fact) -> Json {
    let value = match &fact.value {
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::Text(t) => json!(t),
        Value::Words(w) => json!(w),
        Value::Version(v) => json!(v.to_string()),
    };
    json!({
        "host": host.id,
        "layer": host.layer.to_string(),
        "name": fact.name,
        "instance": fact.instance,
        "kind": fact.value.kind().to_string(),
        "value": value,
        "source": fact.origin.source,
        "line": fact.origin.line,
        "text": fact.origin.text,
    })
}
