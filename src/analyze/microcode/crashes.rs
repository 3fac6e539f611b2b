//! Whether crashes began with a change of microcode.
//!
//! A machine whose runs all ended in order before a package brought other microcode, and crash
//! since, has a suspect. Two crashes are needed: one can be anything.

use super::super::derived;
use crate::model::{Fact, Host, Value};

/// Runs in order that are needed before the change, and crashes after it.
const ENOUGH: usize = 2;

/// A run of the machine: years before the newest boot, start as `MM-DD HH:MM`.
struct Run<'h> {
    at: (i32, &'h str),
    crashed: bool,
}

pub(super) fn facts(host: &Host) -> Vec<Fact> {
    let (runs, newest_year) = runs(host);
    let Some(newest) = runs.first() else { return Vec::new() };
    let changes = host.facts.all("microcode.package_change");
    let Some(any) = changes.first() else { return Vec::new() };
    let suspects = changes.iter().filter_map(|change| {
        let at = time(change.instance.as_deref()?, newest, newest_year)?;
        let (after, before): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|r| r.at > at);
        let crashed = |runs: &[&Run]| runs.iter().filter(|r| r.crashed).count();
        let began = crashed(&after) >= ENOUGH && crashed(&before) == 0 && before.len() >= ENOUGH;
        began.then(|| (at, crashed(&after), change))
    });
    let began = |yes, fact: &Fact| {
        derived("microcode.crashes_began_with_change", Value::Bool(yes), &fact.origin)
    };
    let Some((_, crashes, change)) = suspects.max_by_key(|(at, ..)| *at) else {
        return vec![began(false, any)];
    };
    let when = change.instance.as_deref().unwrap_or_default();
    let text = Value::text(format!("{} at {when}", change.value));
    let crashes = Value::Int(i64::try_from(crashes).unwrap_or(i64::MAX));
    vec![
        began(true, change),
        derived("microcode.suspect_change", text, &change.origin),
        derived("microcode.crashes_after_change", crashes, &change.origin),
    ]
}

/// Runs, the newest first, and the year of the newest where it is known. Without years a start
/// that is later in the year than that of the run after it was in the year before.
fn runs(host: &Host) -> (Vec<Run<'_>>, Option<i32>) {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut newest_year = None;
    for fact in host.facts.all("boots.run") {
        let Some((_, start)) = fact.instance.as_deref().and_then(|i| i.split_once(' ')) else {
            continue;
        };
        let (year, at) = with_year(start);
        if runs.is_empty() {
            newest_year = year;
        }
        let (last_year, last) = runs.last().map_or((0, at), |run| run.at);
        let years = match (year, newest_year) {
            (Some(year), Some(newest)) => year - newest,
            _ if at > last => last_year - 1,
            _ => last_year,
        };
        runs.push(Run { at: (years, at), crashed: fact.value == Value::text("crash") });
    }
    (runs, newest_year)
}

/// The year, where the time begins with one, and month, day, hour and minute.
fn with_year(time: &str) -> (Option<i32>, &str) {
    match time.split_at_checked(5) {
        Some((year, rest)) if year.ends_with('-') => (year[..4].parse().ok(), rest),
        _ => (None, time),
    }
}

fn time<'f>(text: &'f str, newest: &Run<'_>, newest_year: Option<i32>) -> Option<(i32, &'f str)> {
    let (year, rest) = with_year(text);
    let at = rest.get(..11)?;
    let years = match (year, newest_year) {
        (Some(year), Some(newest)) => year.checked_sub(newest)?,
        _ if at > newest.at.1 => -1,
        _ => 0,
    };
    Some((years, at))
}
