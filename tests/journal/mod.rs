//! Journals on their way through the program: they tell what the same text log tells.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::support::{bundle, causes, report, tar, tree};

const MACHINE_ID: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/journal").join(name)
}

fn unpacked(name: &str) -> Vec<u8> {
    let bytes = fs::read(fixture(name)).expect("a fixture");
    let mut out = Vec::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(&bytes[..]).expect("zstd");
    std::io::Read::read_to_end(&mut decoder, &mut out).expect("zstd");
    out
}

/// The bundle without its own words on the failure, and with a log at a place.
fn with_log(folder: &Path, place: &str, log: &[u8]) {
    for file in crate::support::files(&bundle("kvm-permission")) {
        let path = file.strip_prefix(bundle("kvm-permission")).expect("inside");
        if !path.ends_with("stderr.txt") {
            let text = fs::read_to_string(&file).expect("text");
            tree(folder, &[(path.to_str().expect("UTF-8"), &text)]);
        }
    }
    let path = folder.join(place);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, log).expect("a file");
}

fn problems(report: &Json) -> Vec<&str> {
    let problems = report["problems"].as_array().expect("a list");
    problems.iter().filter_map(|p| p["what"].as_str()).collect()
}

#[test]
fn a_journal_in_any_form_and_place_gives_the_cause_of_the_text_log() {
    let text = fs::read(fixture("expected.txt")).expect("a fixture");
    let binary = unpacked("compact-zstd.journal.zst");
    let regular = unpacked("regular-xz.journal.zst");
    let export = fs::read(fixture("entries.export")).expect("a fixture");
    let json = unpacked("entries.json.zst");
    let here = format!("var/log/journal/{MACHINE_ID}/system.journal");
    let rotated = format!("run/log/journal/{MACHINE_ID}/system@70d12c91-0001.journal");
    let unclean = format!("var/log/journal/{MACHINE_ID}/system@0006-ab.journal~");
    let places: [(&str, &[u8]); 9] = [
        ("commands/journalctl.txt", &text),
        (&here, &binary),
        (&rotated, &regular),
        (&unclean, &binary),
        ("sos_commands/logs/journalctl_-o_export", &export),
        ("commands/journalctl-b.export", &export),
        ("commands/journalctl.json", &json),
        ("commands/journalctl.txt", &json),
        ("root/saved.journal", &regular),
    ];
    let mut first = None;
    for (place, log) in places {
        let folder = tempfile::tempdir().expect("a folder");
        with_log(folder.path(), place, log);
        let report = report(folder.path());
        assert!(problems(&report).is_empty(), "{place}: {:?}", problems(&report));
        let found: Vec<String> = causes(&report).into_iter().map(str::to_owned).collect();
        assert!(found.contains(&"dev-kvm-permission".to_owned()), "{place}: {found:?}");
        assert_eq!(*first.get_or_insert(found.clone()), found, "{place}");
    }
}

#[test]
fn the_evidence_names_the_file_the_line_and_the_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = format!("var/log/journal/{MACHINE_ID}/system.journal");
    with_log(folder.path(), &place, &unpacked("sealed.journal.zst"));
    let archive = folder.path().join("sos.tar");
    fs::write(&archive, tar(folder.path(), "sosreport-l1")).expect("a file");
    let report = report(&archive).to_string();
    assert!(report.contains(&format!("{place}\"")), "{report}");
    let line = "2025-03-06T10:00:00.050000+00:00 l1-guest qemu-system-x86[812]: \
                Could not access KVM kernel module: Permission denied";
    assert!(report.contains(line), "{report}");
}

#[test]
fn a_single_journal_is_an_input_whatever_it_is_called() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, from) in [
        ("system.journal", "regular-lz4.journal.zst"),
        ("saved", "compact-lz4.journal.zst"),
        ("x.export", "entries.export"),
        ("host.json", "entries.json-pretty.zst"),
    ] {
        let path = folder.path().join(name);
        let packed = Path::new(from).extension().is_some_and(|e| e == "zst");
        let bytes = if packed { unpacked(from) } else { fs::read(fixture(from)).expect("a file") };
        fs::write(&path, bytes).expect("a file");
        let report = report(&path);
        assert!(report.to_string().contains("Could not access KVM kernel module"), "{name}");
        assert_eq!(report["stats"]["lines"], 65, "{name}: {}", report["stats"]);
    }
    // Packed, as a person sends it.
    let report = report(&fixture("compact-zstd.journal.zst"));
    assert_eq!(report["stats"]["lines"], 65);
}

#[test]
fn a_cut_journal_says_in_one_problem_how_much_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = unpacked("compact-zstd.journal.zst");
    let cut = memchr::memmem::find(&bytes, b"MESSAGE=session 3 opened").expect("the message");
    bytes.truncate(cut);
    let place = format!("var/log/journal/{MACHINE_ID}/system.journal");
    with_log(folder.path(), &place, &bytes);
    let report = report(folder.path());
    // 22 of the kernel, 15 between, 3 sessions.
    assert_eq!(problems(&report), ["cut off or damaged: 40 of its 63 entries can be read"]);
    assert!(causes(&report).contains(&"dev-kvm-permission"));
}

#[test]
fn a_journal_that_another_host_sent_tells_nothing_of_this_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = "var/log/journal/remote/remote-l1-guest.journal";
    with_log(folder.path(), place, &unpacked("compact-zstd.journal.zst"));
    let told = report(folder.path()).to_string();
    assert!(!told.contains("Could not access KVM kernel module"), "{told}");
}

#[test]
fn something_else_called_journal_is_named_and_proves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = format!("var/log/journal/{MACHINE_ID}/system.journal");
    with_log(folder.path(), &place, &[0; 4096]);
    let report = report(folder.path());
    assert_eq!(problems(&report), ["binary data where a text log was expected"]);
}

/// Keeps the text that a source makes of a journal.
#[derive(Default)]
struct Text(Vec<u8>);

impl nestdoctor::source::Sink for Text {
    fn file(&mut self, _: &str, _: nestdoctor::source::Found<'_>, reader: &mut dyn std::io::Read) {
        reader.read_to_end(&mut self.0).expect("a whole journal");
    }
    fn gap(&mut self, _: nestdoctor::model::Gap) {}
    fn problem(&mut self, _: nestdoctor::model::Problem) {}
}

fn text(path: &Path) -> String {
    let wants = [nestdoctor::model::Want::given("**/*")];
    let wanted = nestdoctor::source::Wanted::new(wants.into_iter());
    let mut text = Text::default();
    nestdoctor::source::open(path).expect("a journal").visit(&wanted, &mut text);
    String::from_utf8_lossy(&text.0).into_owned()
}

/// For a person who has journals and journalctl:
/// `JOURNAL=/var/log/journal/.../system.journal cargo test compared -- --ignored`
#[test]
#[ignore = "needs journalctl, and a journal in $JOURNAL that is not written to"]
fn compared_with_the_journalctl_of_this_machine() {
    let journal = PathBuf::from(std::env::var_os("JOURNAL").expect("$JOURNAL"));
    let folder = tempfile::tempdir().expect("a folder");
    let journalctl = |form: &str| {
        let file = format!("--file={}", journal.display());
        let arguments = [&file, "--quiet", "--all", "--utc", "--output", form];
        let output = std::process::Command::new("journalctl").args(arguments).output();
        output.expect("journalctl runs").stdout
    };
    let ours = text(&journal);
    for form in ["export", "json", "json-seq"] {
        let path = folder.path().join(form);
        fs::write(&path, journalctl(form)).expect("a file");
        assert!(text(&path) == ours, "{form} differs");
    }
    let short = String::from_utf8_lossy(&journalctl("short-iso-precise")).into_owned();
    let mut lines = ours.lines();
    let mut compared = 0;
    for line in short.lines() {
        // Lines that go on, and names that are missing or no single word, differ on purpose.
        let head = line.split_once(": ").map_or("", |(head, _)| head);
        if head.ends_with(" unknown")
            || head.split(' ').count() != 3
            || !line.starts_with("20")
            || line.contains('\u{1b}')
        {
            continue;
        }
        let wanted = line.replacen("+0000 ", "+00:00 ", 1);
        assert!(lines.any(|l| l.trim_end() == wanted.trim_end()), "{line}");
        compared += 1;
    }
    assert!(compared > 0, "{}", journal.display());
}
