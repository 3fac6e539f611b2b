//! QEMU's answer to `query-stats` (qapi/stats.json): statistics per vCPU, as KVM gives them.
//!
//! `{"return": [{"provider": "kvm", "qom-path": "...", "stats": [{"name": "exits", "value": 7}]}]}`;
//! the list alone is understood too. Counters are summed over vCPUs; lists are histograms.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::model::{Origin, Out, Piece, Value};

/// `qemu-query-stats-NAME.txt` is of the guest NAME.
pub(super) fn parse(piece: Piece<'_>, text: &str, out: &mut Out) {
    let file = piece.file_name();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let guest = stem.strip_prefix("qemu-query-stats").unwrap_or(stem).trim_start_matches('-');
    let guest = if guest.is_empty() { "vm" } else { guest };
    let Ok(json) = serde_json::from_str::<Json>(text.trim()) else {
        out.problem(piece.path, None, "not JSON, or cut off");
        return;
    };
    let answers = json.get("return").unwrap_or(&json);
    let Some(answers) = answers.as_array() else {
        out.problem(piece.path, None, "not an answer of query-stats");
        return;
    };
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    let mut vcpus = 0;
    for answer in answers {
        let Some(stats) = answer.get("stats").and_then(Json::as_array) else { continue };
        // Statistics of the whole VM have no path.
        vcpus += i64::from(answer.get("qom-path").is_some_and(Json::is_string));
        for stat in stats {
            let name = stat.get("name").and_then(Json::as_str);
            let value = stat.get("value").and_then(Json::as_i64);
            if let (Some(name), Some(value)) = (name, value) {
                let sum = sums.entry(name).or_default();
                *sum = sum.saturating_add(value);
            }
        }
    }
    let origin = Origin::new(piece.path, Some(1), text.lines().next().unwrap_or_default());
    for (name, sum) in sums {
        let instance = format!("{guest}/{name}");
        out.fact_of("kvmcount.total", &instance, Value::Int(sum), origin.clone());
    }
    if vcpus > 0 {
        out.fact_of("kvmcount.vcpus", guest, Value::Int(vcpus), origin);
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing;

    #[test]
    fn vcpus_are_summed_up() {
        let text = r#"{"return": [
            {"provider": "kvm", "stats": [{"name": "nx_lpage_splits", "value": 3}]},
            {"provider": "kvm", "qom-path": "/machine/cpu[0]", "stats": [
              {"name": "exits", "value": 40}, {"name": "halt_wait_hist", "value": [0, 1]}]},
            {"provider": "kvm", "qom-path": "/machine/cpu[1]", "stats": [{"name": "exits", "value": 2}]}]}"#;
        let out = testing::read(parse, "commands/qemu-query-stats-web.txt", text);
        let shown: Vec<String> = out
            .facts
            .iter()
            .map(|f| format!("{}[{}]={}", f.name, f.instance.as_deref().unwrap_or(""), f.value))
            .collect();
        let expected = [
            "kvmcount.total[web/exits]=42",
            "kvmcount.total[web/nx_lpage_splits]=3",
            "kvmcount.vcpus[web]=2",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn other_text() {
        for text in ["", "{\"error\": {}}", "{\"return\": [{\"stats\": [{\"na"] {
            let out = testing::read(parse, "commands/qemu-query-stats.json", text);
            assert_eq!((out.facts.len(), out.problems.len()), (0, 1), "{text}");
        }
    }
}
