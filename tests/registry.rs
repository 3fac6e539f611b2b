//! What must hold of all facts, all evidence and all rules.

use std::collections::BTreeSet;
use std::path::Path;

use nestdoctor::pipeline::{Doctor, vocabulary};
use nestdoctor::rules::Care;
use nestdoctor::{analyze, evidence};

#[test]
fn fact_names_are_unique_dotted_and_documented() {
    let read = evidence::ALL.iter().flat_map(|s| s.facts);
    let mut seen = BTreeSet::new();
    for def in read.chain(analyze::ALL.iter().flat_map(|a| a.facts)) {
        assert!(seen.insert(def.name), "{} is declared twice", def.name);
        assert!(def.name.contains('.'), "{} has no dot", def.name);
        let proper =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_');
        assert!(def.name.bytes().all(proper), "{} is not snake_case", def.name);
        assert!(
            !def.doc.is_empty() && !def.command.is_empty(),
            "{} lacks doc or command",
            def.name
        );
    }
    assert_eq!(seen.len(), vocabulary().facts().count());
}

#[test]
fn every_kind_of_evidence_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/evidence");
    let known: BTreeSet<_> = evidence::ALL.iter().map(|s| s.name).collect();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let stem = name.trim_end_matches(".rs");
        // Logs and audit records are matched by rules: they have tables of their own.
        if !matches!(stem, "mod" | "logs" | "audit" | "oom" | "testing")
            && !stem.ends_with("_tests")
        {
            // A folder may hold several kinds: `network/links`.
            let inside = format!("{stem}/");
            let found = known.contains(stem) || known.iter().any(|k| k.starts_with(&inside));
            assert!(found, "src/evidence/{name} is not in evidence::ALL");
        }
    }
}

#[test]
fn every_rule_has_its_proof() {
    let doctor = Doctor::new(&[], Care::Thorough).unwrap_or_else(|m| {
        panic!("{}", m.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    assert!(doctor.rules.causes.len() >= 41, "the first set has 41 causes");
    for cause in doctor.rules.causes.values() {
        assert!(
            cause.references.iter().all(|r| r.starts_with("https://")),
            "{}: a reference is no link",
            cause.id
        );
    }
}
