//! Commands as a user types them.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{bundle, causes, report, run, stderr, stdout};

#[test]
fn a_healthy_host_has_no_cause_and_status_0() {
    let input = bundle("l0-healthy");
    let output = run(["analyze", input.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).starts_with("No cause of failure found"), "{}", stdout(&output));
}

#[test]
fn the_answer_stands_first_and_the_remedy_fits() {
    let input = bundle("nested-off");
    let output = run(["analyze", input.to_str().expect("UTF-8")]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.lines().next().is_some_and(|l| l.contains("nested virtualization is switched off")),
        "{text}"
    );
    assert!(text.contains("options kvm_intel nested=1"), "{text}");
    assert!(!text.contains('\x1b'), "no colour outside a terminal");
}

#[test]
fn layers_that_are_named_win() {
    let l0 = format!("l0={}", bundle("nested-off/l0").display());
    let l1 = format!("l1={}", bundle("nested-off/l1").display());
    let output = run(["analyze", &l1, &l0, "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let layers: Vec<_> = report["hosts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|h| h["layer"].as_str().unwrap_or("").to_owned())
        .collect();
    assert_eq!(layers, ["L0", "L1"]);
}

#[test]
fn explain_knows_causes_symptoms_and_facts() {
    for (id, word) in [
        ("nested-disabled-on-l0", "What to do"),
        ("kvm-access-denied", "Seen in lines of"),
        ("kvm.nested", "(fact, bool)"),
    ] {
        let output = run(["explain", id]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains(word), "{}", stdout(&output));
    }
    let output = run(["explain", "nested-disabled-on-10"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("did you mean `nested-disabled-on-l0`?"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_report_keeps_the_published_shape() {
    let report = report(&bundle("nested-off"));
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().expect("a map").keys().cloned().collect()
    };
    assert_eq!(report["schema_version"], 1);
    assert_eq!(
        keys(&report),
        [
            "advice",
            "analyses",
            "causes",
            "hosts",
            "next_evidence",
            "problems",
            "schema_version",
            "stats",
            "suspected",
            "tool",
            "undetermined"
        ]
    );
    assert_eq!(
        keys(&report["causes"][0]),
        [
            "confidence",
            "evidence",
            "explains",
            "host",
            "id",
            "layer",
            "rank",
            "references",
            "remedy",
            "severity",
            "title",
            "why"
        ]
    );
    assert_eq!(
        keys(&report["causes"][0]["evidence"][0]),
        ["host", "line", "says", "source", "text", "weight"]
    );
    assert_eq!(
        keys(&report["hosts"][0]["platform"]),
        ["hypervisor", "nesting", "product", "vendor"]
    );
    assert!(!causes(&report).is_empty());
}

#[test]
fn collecting_another_root_runs_no_command_and_bundles_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = bundle("kvm-permission");
    let out = folder.path().to_str().expect("UTF-8");
    let output = run([
        "collect",
        "--root",
        root.to_str().expect("UTF-8"),
        "--bundle",
        out,
        "--format",
        "json",
    ]);
    let live: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e} {}", stderr(&output)));
    let files = crate::support::files(folder.path());
    assert_eq!(files.len(), 1, "{files:?}");
    let mode = std::fs::metadata(&files[0]).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let later = report(&files[0]);
    for key in ["causes", "suspected", "undetermined", "next_evidence", "problems", "analyses"] {
        assert_eq!(live[key], later[key], "{key}");
    }
}

#[test]
fn what_a_program_printed_becomes_part_of_the_bundle() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = folder.path().join("qemu.txt");
    let refused = "qemu-system-x86_64: failed to initialize kvm: Permission denied\n";
    std::fs::write(&said, refused).expect("written");
    let said = said.to_str().expect("UTF-8");
    let bundles = folder.path().join("out");
    std::fs::create_dir(&bundles).expect("a folder");
    let (root, out) = (bundle("l0-healthy"), bundles.to_str().expect("UTF-8"));
    let collect = ["collect", "--root", root.to_str().expect("UTF-8"), "--bundle", out];
    let output = run(collect.into_iter().chain(["--stderr", said, "--stderr", said]));
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    let later = report(&crate::support::files(&bundles)[0]);
    let shown = later["causes"][0]["evidence"].to_string();
    assert!(shown.contains("commands/stderr.txt"), "{shown}");
    assert!(shown.contains("commands/stderr-2.txt"), "{shown}");
    let output = run(collect.into_iter().chain(["--stderr", "no/such/file"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot read no/such/file"), "{}", stderr(&output));
}
