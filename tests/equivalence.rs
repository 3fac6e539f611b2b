//! One patient, one report: whatever it is packed in, and however many threads read it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::support::{bundle, bzip2, causes, gzip, report, run, tar, xz, zstd};

const BUNDLE: &str = "nested-off";

/// A report without what legitimately differs: statistics and the input's own path.
fn comparable(mut report: Json) -> String {
    report["stats"] = Json::Null;
    for host in report["hosts"].as_array_mut().expect("a list") {
        host["source"] = Json::Null;
    }
    serde_json::to_string_pretty(&report).expect("JSON")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

#[test]
fn directory_and_archives_give_the_same_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let direct = report(&bundle(BUNDLE));
    assert!(!causes(&direct).is_empty(), "the bundle has a cause to compare");
    let wanted = comparable(direct);
    for top in ["", "sosreport-host-2026"] {
        let plain = tar(&bundle(BUNDLE), top);
        for (name, bytes) in [
            ("a.tar", plain.clone()),
            ("a.tar.gz", gzip(&plain)),
            ("a.tar.xz", xz(&plain)),
            ("a.tar.zst", zstd(&plain)),
            ("a.tar.bz2", bzip2(&plain)),
            ("misleading-name.txt", gzip(&plain)),
        ] {
            let path = write(folder.path(), name, &bytes);
            assert_eq!(comparable(report(&path)), wanted, "{name} below {top:?}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let input = bundle(BUNDLE);
    let input = input.to_str().expect("UTF-8");
    let with = |threads| {
        let output = run(["analyze", input, "--format", "json", "--threads", threads]);
        comparable(serde_json::from_slice(&output.stdout).expect("JSON"))
    };
    assert_eq!(with("1"), with("8"));
}

#[test]
fn a_large_log_gives_the_same_events_in_any_packing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = String::new();
    for second in 0..300_000 {
        let _ = writeln!(
            log,
            "Jan 12 07:30:41 node kernel: [{second}.000000] eth0: link is up, nothing to see"
        );
        if second % 100_000 == 50_000 {
            let _ = writeln!(
                log,
                "Jan 12 07:30:41 node kernel: [{second}.500000] kvm: disabled by bios"
            );
        }
    }
    let tree = folder.path().join("tree");
    crate::support::tree(&tree, &[("var/log/syslog", &log), ("etc/hostname", "node\n")]);
    let packed = write(folder.path(), "a.tar.xz", &xz(&tar(&tree, "")));
    let direct = report(&tree);
    assert_eq!(direct["stats"]["lines"], 300_003);
    assert_eq!(direct["stats"]["events"], 3);
    assert_eq!(report(&packed)["stats"]["events"], 3);
    assert_eq!(comparable(report(&packed)), comparable(direct));
}
