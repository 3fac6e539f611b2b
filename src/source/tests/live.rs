//! A live host, and the bundle of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::model::{GapReason, Want};

fn fake_root() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    tree(&members(), dir.path());
    symlink("/etc/passwd", dir.path().join("sys/module/kvm/parameters/out")).unwrap();
    dir
}

#[test]
fn a_live_root_is_read_by_globs_and_not_left() {
    let root = fake_root();
    let options = LiveOptions { root: root.path().to_owned(), ..LiveOptions::default() };
    let mut wants = WANTS.to_vec();
    wants.push(Want::file("usr/**/os-release"));
    wants.push(Want::file("etc/machine-id"));
    wants.push(Want::command("true", &["true"], &[]));
    let collected = collect(&wants, &options, &|_| ());
    assert_eq!(collected.files["etc/os-release"], b"ID=debian\n");
    assert_eq!(collected.files["usr/lib/os-release"], b"ID=debian\n");
    assert!(collected.files.contains_key("var/log/syslog.1.gz"));
    assert!(!collected.files.contains_key("sys/module/kvm/parameters/out"));
    let missing = |path: &str| {
        let entry = collected.manifest.iter().find(|e| e.path == path).unwrap();
        entry.missing.clone().unwrap()
    };
    assert_eq!(missing("etc/machine-id"), "does not exist");
    assert!(missing("commands/kvm-probe.txt").starts_with("not collected"));
    assert!(missing("commands/true.txt").starts_with("not collected: commands are only run"));
    let entry = collected.manifest.iter().find(|e| e.path == "etc/hostname").unwrap();
    assert_eq!((entry.source.as_str(), entry.size), ("/etc/hostname", 6));
    assert_eq!(entry.sha256.len(), 64);
}

#[test]
fn commands_are_bounded_in_time_and_all_their_output_is_kept() {
    const SLOW: &[&str] = &["sh", "-c", "echo begun; sleep 60"];
    const HELD: &[&str] = &["sh", "-c", "echo done; sleep 60 &"];
    const BOTH: &[&str] = &["sh", "-c", "echo wrong >&2; printf out; exit 3"];
    let wants = [
        Want::command("slow", SLOW, &[]),
        Want::command("held", HELD, &[]),
        Want::command("both", BOTH, &[]),
        Want::command("no", &["nestdoctor-no-such-program"], &[]),
    ];
    let options = LiveOptions { timeout: Duration::from_secs(1), ..LiveOptions::default() };
    let begun = Instant::now();
    let collected = collect(&wants, &options, &|_| ());
    assert!(begun.elapsed() < Duration::from_secs(10));
    let entry = |name: &str| {
        collected.manifest.iter().find(|e| e.path == format!("commands/{name}.txt")).unwrap()
    };
    assert_eq!(collected.files["commands/both.txt"], b"out\nwrong\n");
    assert_eq!(entry("both").exit_status, Some(3));
    assert_eq!(collected.files["commands/held.txt"], b"done\n");
    assert_eq!(collected.files["commands/slow.txt"], b"begun\n");
    assert_eq!(entry("slow").missing.as_deref(), Some("timed out after 1 s"));
    assert!(entry("slow").truncated && !entry("held").truncated);
    assert_eq!(entry("no").missing.as_deref(), Some("not installed"));
    assert_eq!(
        collected.gaps.iter().map(|g| (g.source.as_str(), g.reason)).collect::<Vec<_>>(),
        [("commands/no.txt", GapReason::NoSuchCommand), ("commands/slow.txt", GapReason::TimedOut),]
    );
}

#[test]
fn a_command_that_would_load_a_module_is_not_run() {
    let wants = [
        Want::command_where("sys/module/no-such-module", "asked", &["echo", "loaded"], &[]),
        Want::command_where("proc", "there", &["echo", "there"], &[]),
    ];
    let collected = collect(&wants, &LiveOptions::default(), &|_| ());
    assert_eq!(collected.files["commands/there.txt"], b"there\n");
    let asked = collected.manifest.iter().find(|e| e.path == "commands/asked.txt").unwrap();
    let why = asked.missing.as_deref().unwrap();
    assert!(why.contains("/sys/module/no-such-module is not there"), "{why}");
}

#[test]
fn a_long_log_is_kept_from_its_end_at_a_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("var/log")).unwrap();
    let text = "0123456789abcdef-this-is-a-line\n".repeat(600_000);
    fs::write(dir.path().join("var/log/syslog"), text).unwrap();
    let options = LiveOptions { root: dir.path().to_owned(), ..LiveOptions::default() };
    let collected = collect(&[Want::file("var/log/syslog")], &options, &|_| ());
    let log = &collected.files["var/log/syslog"];
    assert!(log.starts_with(b"0123456789") && log.ends_with(b"a-line\n"));
    assert!(log.len() <= limits::LIVE_ITEM && log.len() > limits::LIVE_ITEM - 64);
    let gap = Gap { source: "var/log/syslog".to_owned(), reason: GapReason::CutOff };
    assert!(collected.gaps.contains(&gap));
}

#[test]
fn a_bundle_reads_back_as_what_was_collected() {
    let root = fake_root();
    let options = LiveOptions { root: root.path().to_owned(), ..LiveOptions::default() };
    let mut wants = WANTS.to_vec();
    wants.push(Want::file("etc/machine-id"));
    let mut collected = collect(&wants, &options, &|_| ());
    collected.layer = Some(Layer::L1);
    let dir = tempfile::tempdir().unwrap();
    let path = bundle::write(&collected, "node/7", "2024-06-01T10:00:00Z", dir.path()).unwrap();
    assert_eq!(path, dir.path().join("nestdoctor-node7-2024-06-01T100000Z.tar.zst"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");

    let mut source = open(&path).unwrap();
    let bundle = visit(source.as_mut());
    let manifest = source.manifest().unwrap();
    assert_eq!((manifest.host.as_str(), manifest.layer()), ("node/7", Some(Layer::L1)));
    assert!(bundle.gaps.contains(&("etc/machine-id".to_owned(), GapReason::NotCollected)));
    assert_eq!(bundle, visit(&mut collected.source("node/7", "2024-06-01T10:00:00Z")));

    // As a directory, and packed again with a folder around it.
    let unpacked = tempfile::tempdir().unwrap();
    let mut all: Members = collected.files.into_iter().map(|(p, b)| (p, Ok(b))).collect();
    let json = serde_json::to_vec(manifest).unwrap();
    all.insert(0, ("manifest.json".to_owned(), Ok(json)));
    tree(&all, &unpacked.path().join("b"));
    let (_dir, repacked) = put("a", &tar(&all, "nestdoctor-node7/"));
    for input in [unpacked.path(), &repacked] {
        let mut kept = read(input);
        kept.found.clone_from(&bundle.found);
        assert_eq!(kept, bundle);
    }
}

#[test]
fn the_probe_says_whether_dev_kvm_opens() {
    let root = tempfile::tempdir().unwrap();
    let options = LiveOptions { root: root.path().to_owned(), ..LiveOptions::default() };
    fs::create_dir(root.path().join("dev")).unwrap();
    fs::create_dir(root.path().join("dev/kvm")).unwrap();
    let probe = || collect(&[], &options, &|_| ()).files["commands/kvm-probe.txt"].clone();
    assert_eq!(probe(), b"open=errno 21 Is a directory\n");
    fs::remove_dir(root.path().join("dev/kvm")).unwrap();
    fs::write(root.path().join("dev/kvm"), "").unwrap();
    assert_eq!(probe(), b"open=ok\n");
}
