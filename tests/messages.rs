//! Bad input gets the message that a user needs, and what is readable is still analyzed.

use std::fs;

use crate::support::{bundle, causes, gzip, report, run, stderr, stdout, tar, tree};

fn problems(report: &serde_json::Value) -> String {
    let problems = report["problems"].as_array().expect("a list");
    let lines: Vec<_> =
        problems.iter().map(|p| format!("{}: {}", p["source"], p["what"])).collect();
    lines.join("\n")
}

#[test]
fn a_missing_path_is_named_with_status_2() {
    let output = run(["analyze", "/no/such/bundle"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/no/such/bundle"), "{}", stderr(&output));
    assert!(stdout(&output).is_empty());
}

#[test]
fn an_empty_directory_is_no_healthy_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(["analyze", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("empty"), "{}", stderr(&output));
}

#[test]
fn what_holds_no_evidence_is_no_healthy_machine_either() {
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path(), &[("notes.txt", "buy milk\n")]);
    let output = run(["analyze", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("recognised"), "{}", stderr(&output));
}

#[test]
fn a_truncated_archive_gives_what_is_readable_and_one_problem() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = gzip(&tar(&bundle("kvm-permission"), "top"));
    let path = folder.path().join("cut.tar.gz");
    fs::write(&path, &whole[..whole.len() * 9 / 10]).expect("a file");
    let report = report(&path);
    let problems = problems(&report);
    assert_eq!(problems.matches("cut off").count(), 1, "{problems}");
    assert!(!report["hosts"].as_array().expect("a list").is_empty());
}

#[test]
fn a_binary_file_named_syslog_is_a_problem_and_no_log() {
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path(), &[("etc/hostname", "node\n")]);
    fs::create_dir_all(folder.path().join("var/log")).expect("a folder");
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0".to_vec();
    bytes.extend(b"kernel: kvm: disabled by bios\n".repeat(100));
    fs::write(folder.path().join("var/log/syslog"), bytes).expect("a file");
    let report = report(folder.path());
    assert!(problems(&report).contains("var/log/syslog"), "{}", problems(&report));
    assert_eq!(report["stats"]["events"], 0);
}

#[test]
fn an_unreadable_input_does_not_lose_the_readable_one() {
    let input = bundle("nested-off");
    let output =
        run(["analyze", "/no/such/file", input.to_str().expect("UTF-8"), "--format", "json"]);
    assert!(stderr(&output).contains("/no/such/file"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_broken_line_costs_that_line_only() {
    let folder = tempfile::tempdir().expect("a folder");
    tree(
        folder.path(),
        &[
            ("sys/module/kvm_intel/parameters/nested", "perhaps\n"),
            ("sys/module/kvm_intel/parameters/ept", "Y\n"),
            ("proc/meminfo", "MemTotal:       x kB\nMemFree:  12 kB\n"),
        ],
    );
    let output = run(["facts", folder.path().to_str().expect("UTF-8")]);
    let (facts, messages) = (stdout(&output), stderr(&output));
    assert!(facts.contains("kvm.ept"), "{facts}");
    assert!(!facts.contains("kvm.nested "), "{facts}");
    assert!(messages.contains("sys/module/kvm_intel/parameters/nested"), "{messages}");
}

#[test]
fn all_mistakes_of_a_rule_file_are_shown_with_positions() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = "id: my-rule\nkind: cause\nsince: \"1\"\ntitle: a title\nlayer: l9\nseverity: error\nprior: common\n\
                needs: { fact: kvm.nestd, is: true }\nevidence:\n  - { when: { fact: kvm.nested, is: maybe }, weight: strng, says: x }\n\
                why: w\nremedy: [{ text: t }]\nreferences: [\"https://example.org\"]\ntests: []\nremark: x\n";
    tree(folder.path(), &[("my-rule.yaml", rule)]);
    let dir = folder.path().to_str().expect("UTF-8");
    let output = run(["rules", "lint", "--rules", dir]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    for expected in [
        "my-rule.yaml:5:8: unknown layer `l9`",
        "my-rule.yaml:8:16: unknown fact `kvm.nestd`; did you mean `kvm.nested`?",
        "unknown weight `strng`; did you mean `strong`?",
        "`kvm.nested` is bool, this is text",
        "my-rule.yaml:15:1: unknown key `remark`",
        "no test with `expect: fires`",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let analyze = run(["analyze", dir, "--rules", dir]);
    assert_eq!(analyze.status.code(), Some(2), "broken rules are wrong usage");
}

#[test]
fn yaml_that_is_none_has_a_position() {
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path(), &[("x.yaml", "id: x\nkind: [cause\n")]);
    let output = run(["rules", "lint", "--rules", folder.path().to_str().expect("UTF-8")]);
    assert!(stdout(&output).contains("x.yaml:"), "{}", stdout(&output));
}

#[test]
fn control_characters_of_a_log_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    tree(
        folder.path(),
        &[
            (
                "commands/stderr.txt",
                "\x1b]0;owned\x07qemu-system-x86_64: Could not access KVM kernel module: Permission denied\n",
            ),
            ("commands/ls-dev-kvm.txt", "crw------- 1 root root 10, 232 May 11 05:52 /dev/kvm\n"),
            ("commands/id.txt", "uid=1000(dev) gid=1000(dev) groups=1000(dev)\n"),
        ],
    );
    let output = run(["analyze", folder.path().to_str().expect("UTF-8"), "--color", "never"]);
    assert!(!causes(&report(folder.path())).is_empty());
    assert!(!output.stdout.contains(&0x1b) && !output.stdout.contains(&0x07));
}
