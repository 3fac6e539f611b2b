//! Conditions over time and the ranking of causes, in rules of one's own.

use std::path::Path;

use crate::support::{causes, run, tree};

/// A rule base of two symptoms and one cause with the given condition.
fn rules(folder: &Path, needs: &str) {
    let symptom = |id: &str, pattern: &str| {
        format!(
            "id: {id}\nkind: symptom\nsince: \"1\"\ntitle: {id}\nlog:\n  writers: [kernel]\n  any: ['{pattern}']\n\
             tests:\n  - {{ name: a, files: {{ commands/dmesg.txt: \"[    1.000000] {pattern}\\n\" }}, expect: fires }}\n\
             \x20 - {{ name: b, files: {{ commands/dmesg.txt: \"[    1.000000] x\\n\" }}, expect: silent }}\n"
        )
    };
    let cause = format!(
        "id: of-time\nkind: cause\nsince: \"1\"\ntitle: of time\nlayer: any\nseverity: error\nprior: common\nneeds: {needs}\n\
         evidence:\n  - {{ when: {{ symptom: first-thing }}, weight: proves, says: it was there }}\nwhy: w\n\
         remedy: [{{ text: t }}]\nreferences: [\"https://example.org\"]\n\
         tests:\n  - {{ name: a, files: {{ commands/dmesg.txt: \"[    1.000000] first thing\\n[    2.000000] first thing\\n[    3.000000] second thing\\n\" }}, expect: fires }}\n\
         \x20 - {{ name: b, files: {{ commands/dmesg.txt: \"x\\n\" }}, expect: silent }}\n"
    );
    tree(
        folder,
        &[
            ("first-thing.yaml", &symptom("first-thing", "first thing")),
            ("second-thing.yaml", &symptom("second-thing", "second thing")),
            ("of-time.yaml", &cause),
        ],
    );
}

/// Whether the cause is reported for a kernel log.
fn holds(needs: &str, log: &str) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let (own, input) = (folder.path().join("own"), folder.path().join("input"));
    rules(&own, needs);
    tree(&input, &[("commands/dmesg.txt", log)]);
    let paths = [&own, &input].map(|p| p.to_str().expect("UTF-8").to_owned());
    let output = run(["analyze", &paths[1], "--rules", &paths[0], "--format", "json"]);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    causes(&report).contains(&"of-time")
}

const CLOSE: &str =
    "[   10.000000] first thing\n[   12.000000] first thing\n[   14.000000] second thing\n";
const APART: &str =
    "[   10.000000] first thing\n[  912.000000] first thing\n[ 9914.000000] second thing\n";
const REVERSED: &str =
    "[   10.000000] second thing\n[   12.000000] first thing\n[   14.000000] first thing\n";

#[test]
fn events_are_counted_within_a_window() {
    let twice = "{ symptom: first-thing, at_least: 2 }";
    let quickly = "{ symptom: first-thing, at_least: 2, within: 30s }";
    assert!(holds(twice, CLOSE) && holds(twice, APART));
    assert!(holds(quickly, CLOSE) && !holds(quickly, APART));
    assert!(!holds("{ symptom: first-thing, at_least: 3 }", CLOSE));
}

#[test]
fn symptoms_near_each_other_hold_in_any_order_or_in_one() {
    let near = "{ temporal: [first-thing, second-thing], within: 10s }";
    let ordered = "{ temporal_ordered: [first-thing, second-thing], within: 10s }";
    assert!(holds(near, CLOSE) && holds(near, REVERSED) && !holds(near, APART));
    assert!(holds(ordered, CLOSE) && !holds(ordered, REVERSED) && !holds(ordered, APART));
}

#[test]
fn silence_of_a_log_that_was_read_is_a_no() {
    let alone = "{ all: [{ symptom: first-thing }, { not: { symptom: second-thing } }] }";
    assert!(!holds(alone, CLOSE));
    assert!(holds(alone, "[   10.000000] first thing\n"));
}

/// A cause that explains the first thing, and whatever else is said.
fn rival(id: &str, prior: &str, more: &str) -> String {
    format!(
        "id: {id}\nkind: cause\nsince: \"1\"\ntitle: {id}\nlayer: any\nseverity: error\nprior: {prior}\n\
         explains:\n  - {{ symptom: first-thing, weight: strong }}\n{more}why: w\n\
         remedy: [{{ text: t }}]\nreferences: [\"https://example.org\"]\n\
         tests:\n  - {{ name: a, files: {{ commands/dmesg.txt: \"x\\n\" }}, expect: silent }}\n\
         \x20 - {{ name: b, files: {{ commands/dmesg.txt: \"[    1.000000] first thing\\n\" }}, expect: fires }}\n"
    )
}

/// The report on a log with the first thing, with these causes added to the symptoms.
fn ranked(rivals: &[(&str, String)]) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("a folder");
    let (own, input) = (folder.path().join("own"), folder.path().join("input"));
    rules(&own, "{ symptom: second-thing }");
    for (id, text) in rivals {
        tree(&own, &[(&format!("{id}.yaml"), text)]);
    }
    tree(&input, &[("commands/dmesg.txt", "[    1.000000] first thing\n")]);
    let paths = [&own, &input].map(|p| p.to_str().expect("UTF-8").to_owned());
    let output = run(["analyze", &paths[1], "--rules", &paths[0], "--format", "json"]);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn what_a_better_cause_explains_no_longer_speaks_for_another() {
    let report = ranked(&[
        ("likely", rival("likely", "common", "")),
        ("unlikely", rival("unlikely", "uncommon", "")),
    ]);
    assert_eq!(causes(&report), ["likely"]);
    assert_eq!(report["causes"][0]["confidence"], 0.67, "-10 + 13 decibans");
    assert_eq!(report["suspected"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_cause_between_a_fifth_and_a_half_is_suspected() {
    let more = "evidence:\n  - { when: { symptom: first-thing }, weight: supports, says: s }\n";
    let report = ranked(&[("unlikely", rival("unlikely", "uncommon", more))]);
    assert!(causes(&report).is_empty());
    assert_eq!(report["suspected"][0]["id"], "unlikely");
    assert_eq!(report["suspected"][0]["confidence"], 0.44, "-20 + 13 + 6 decibans");
}

#[test]
fn a_consequence_stands_under_its_cause() {
    let proven = "evidence:\n  - { when: { symptom: first-thing }, weight: proves, says: s }\n";
    let root = "  - { cause: follows }\n".to_owned() + proven;
    let report = ranked(&[
        ("root-of-it", rival("root-of-it", "common", &root)),
        ("follows", rival("follows", "common", proven)),
    ]);
    assert_eq!(causes(&report), ["root-of-it"]);
    let explained = report["causes"][0]["explains"].as_array().expect("a list");
    assert!(explained.iter().any(|e| e["id"] == "follows"), "{explained:?}");
}
