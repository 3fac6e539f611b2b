//! What happened around a failure, in all layers.

use serde::Serialize;

use crate::model::{Cause, Diagnosis, Moment, Stack};

/// Microseconds before and after a decisive line that belong to it.
const AROUND: i64 = 60_000_000;
/// Longest list: what led to a failure, not the whole log.
const MOST: usize = 200;

/// Something that a host logged.
#[derive(Debug, Clone, Serialize)]
pub struct TimelineEntry {
    /// When, RFC 3339 in UTC, on the clock of the lowest host.
    pub time: String,
    /// Id of the host that logged it.
    pub host: String,
    /// That host's layer.
    pub layer: String,
    /// Id of the symptom, or name of the record kind.
    pub event: String,
    /// Whether a reported cause rests on it.
    pub decisive: bool,
    /// File.
    pub source: String,
    /// Line.
    pub line: Option<u32>,
    /// The line itself.
    pub text: String,
}

/// The events within a minute of those that reported causes rest on.
pub(super) fn of(stack: &Stack, diagnosis: &Diagnosis) -> Vec<TimelineEntry> {
    let decisive = |moment: &Moment| diagnosis.causes.iter().any(|c| rests_on(c, stack, moment));
    let decided: Vec<bool> = stack.timeline.iter().map(decisive).collect();
    let times: Vec<i64> =
        stack.timeline.iter().zip(&decided).filter(|(_, d)| **d).map(|(m, _)| m.at).collect();
    let near = |at: i64| times.iter().any(|t| t.saturating_sub(at).abs() <= AROUND);
    let moments = stack.timeline.iter().zip(decided).filter(|(moment, _)| near(moment.at));
    moments.take(MOST).filter_map(|(moment, decisive)| entry(stack, moment, decisive)).collect()
}

fn rests_on(cause: &Cause, stack: &Stack, moment: &Moment) -> bool {
    let host = stack.hosts.get(moment.host).map(|h| h.id.as_str());
    cause.evidence.iter().any(|e| {
        Some(e.host.as_str()) == host
            && e.origin.source == moment.origin.source
            && e.origin.line == moment.origin.line
    })
}

fn entry(stack: &Stack, moment: &Moment, decisive: bool) -> Option<TimelineEntry> {
    let host = stack.hosts.get(moment.host)?;
    Some(TimelineEntry {
        time: jiff::Timestamp::from_microsecond(moment.at).ok()?.to_string(),
        host: host.id.clone(),
        layer: host.layer.to_string(),
        event: moment.kind.clone(),
        decisive,
        source: moment.origin.source.clone(),
        line: moment.origin.line,
        text: moment.origin.text.clone(),
    })
}
