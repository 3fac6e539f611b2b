//! Journals that systemd's own tools wrote, whole and damaged. tests/journal/make.sh remakes them.
//!
//! The truth is `expected.txt`: what `journalctl -o short-iso-precise --utc` printed of them, where
//! messages of several lines, escape sequences and odd identifiers were written by hand.

use super::*;
use crate::source::codec;

const BINARY: [&str; 6] =
    ["regular-none", "regular-xz", "regular-lz4", "compact-lz4", "compact-zstd", "sealed"];

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/testdata/journal/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let mut out = Vec::new();
    codec::decoder(&bytes).decode(&bytes[..]).read_to_end(&mut out).unwrap();
    out
}

fn journal(name: &str) -> Vec<u8> {
    fixture(&format!("{name}.journal.zst"))
}

/// The lines of a journal, and what was lost of it.
fn read(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let (mut reader, mut text) = (bytes, Vec::new());
    let mut lines = Lines::new(kind(bytes).expect("a journal"), &mut reader);
    let result = lines.read_to_end(&mut text);
    let lost = lines.lost().map(str::to_owned);
    assert_eq!(result.err().map(|e| e.to_string()), lost);
    (text, lost)
}

/// A line of the expected ones, and the entry it is of.
fn expected() -> Vec<(usize, Vec<u8>)> {
    let export = fixture("entries.export");
    let text = fixture("expected.txt");
    let mut lines = text.split(|b| *b == b'\n').map(<[u8]>::to_vec);
    let mut all = Vec::new();
    for (entry, message) in messages(&export).into_iter().enumerate() {
        let Some(message) = message else { continue };
        let count = String::from_utf8_lossy(&message).trim_end_matches('\n').split('\n').count();
        all.extend(lines.by_ref().take(count).map(|line| (entry, line)));
    }
    assert_eq!(lines.next().as_deref(), Some(&b""[..]), "all lines belong to an entry");
    all
}

/// The messages of the entries of an export, by a parser of its own.
fn messages(mut rest: &[u8]) -> Vec<Option<Vec<u8>>> {
    let (mut all, mut message) = (Vec::new(), None);
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            all.push(message.take());
        } else if let Some(text) = line.strip_prefix(b"MESSAGE=") {
            message = Some(text.to_vec());
        } else if !line.contains(&b'=') {
            let size = number(rest, 0, 8);
            if line == b"MESSAGE" {
                message = Some(rest[8..8 + size].to_vec());
            }
            rest = &rest[8 + size + 1..];
        }
    }
    all
}

fn number(bytes: &[u8], at: usize, width: usize) -> usize {
    bytes[at..at + width].iter().rev().fold(0, |n, b| n << 8 | usize::from(*b))
}

/// Begins and ends of the objects of a whole journal, with their types.
fn objects(bytes: &[u8]) -> Vec<(usize, usize, u8)> {
    let (mut at, tail) = (number(bytes, 88, 8), number(bytes, 136, 8));
    let mut all = Vec::new();
    while at <= tail {
        let end = at + number(bytes, at + 8, 8);
        all.push((at, end, bytes[at]));
        at = end.div_ceil(8) * 8;
    }
    all
}

/// A journal without the space after its last object.
fn trimmed(name: &str) -> Vec<u8> {
    let mut bytes = journal(name);
    bytes.truncate(objects(&bytes).last().unwrap().1);
    bytes
}

/// A small deterministic generator: a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn every_format_gives_the_lines_that_journalctl_prints() {
    let expected = fixture("expected.txt");
    let binary = BINARY.map(|name| format!("{name}.journal.zst"));
    let json = ["json", "json-pretty", "json-seq", "json-sse"].map(|f| format!("entries.{f}.zst"));
    for name in binary.iter().chain(&json).map(String::as_str).chain(["entries.export"]) {
        let (text, lost) = read(&fixture(name));
        assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(&expected), "{name}");
        assert_eq!(text, expected, "{name}: bytes that are no text");
        assert_eq!(lost, None, "{name}");
    }
}

#[test]
fn the_fixtures_are_of_the_formats_they_are_called() {
    // compatible and incompatible flags of the header
    for (name, compatible, incompatible) in [
        ("regular-none", 2, 0),
        ("regular-xz", 2, 1),
        ("regular-lz4", 2, 6),
        ("compact-lz4", 2, 0x16),
        ("compact-zstd", 2, 0x1c),
        ("sealed", 1, 0x1c),
    ] {
        let bytes = journal(name);
        assert_eq!((number(&bytes, 8, 4), number(&bytes, 12, 4)), (compatible, incompatible));
        let packed = objects(&bytes).iter().filter(|(at, ..)| bytes[at + 1] != 0).count();
        assert_eq!(packed > 0, name != "regular-none", "{name}");
    }
}

#[test]
fn of_a_cut_file_every_entry_before_the_cut_is_kept() {
    let expected = expected();
    let mut random = Random(11);
    for name in BINARY {
        let bytes = trimmed(name);
        let objects = objects(&bytes);
        let first = objects.iter().find(|o| o.2 == 1).unwrap().0;
        let ends: Vec<usize> = objects.iter().filter(|o| o.2 == 3).map(|o| o.1).collect();
        let random = (0..60).map(|_| first + random.below(bytes.len() - first));
        // Where an entry just ends, and just does not.
        let edges = [ends[0], ends[0] - 1, ends[20], ends[20] + 1, ends[61], ends[62] - 1];
        for cut in random.chain(edges) {
            let entries = ends.iter().filter(|end| **end <= cut).count();
            let (text, lost) = read(&bytes[..cut]);
            let lines: Vec<&[u8]> =
                expected.iter().filter(|(e, _)| *e < entries).map(|(_, l)| &l[..]).collect();
            let got: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
            assert_eq!(got[..got.len() - 1], lines[..], "{name} cut at {cut}");
            let said = format!("cut off or damaged: {entries} of its 63 entries can be read");
            assert_eq!(lost, (entries < 63).then_some(said), "{name} cut at {cut}");
        }
    }
}

#[test]
fn a_flipped_byte_costs_only_the_entries_it_belongs_to() {
    let expected = expected();
    let mut random = Random(23);
    for name in BINARY {
        let bytes = trimmed(name);
        let compact = bytes[12] & 0x10 != 0;
        let objects = objects(&bytes);
        let size = |at: usize| number(&bytes, at + 8, 8);
        // Where each entry's own bytes are: the entry's object and its data.
        let entries: Vec<Vec<(usize, usize)>> = objects
            .iter()
            .filter(|o| o.2 == 3)
            .map(|(at, end, _)| {
                let (step, width) = if compact { (4, 4) } else { (16, 8) };
                let data = (at + 64..*end).step_by(step).map(|i| number(&bytes, i, width));
                std::iter::once((*at, *end)).chain(data.map(|d| (d, d + size(d)))).collect()
            })
            .collect();
        assert_eq!(entries.len(), 63);
        let first = objects.iter().find(|o| o.2 == 1).unwrap().0;
        for _ in 0..100 {
            let at = first + random.below(bytes.len() - first);
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << random.below(8);
            let (text, _) = read(&damaged);
            let mut got = text.split(|b| *b == b'\n');
            let hit = |e: usize| entries[e].iter().any(|(from, to)| (*from..*to).contains(&at));
            for (_, line) in expected.iter().filter(|(e, _)| !hit(*e)) {
                let line = String::from_utf8_lossy(line);
                assert!(
                    got.any(|l| String::from_utf8_lossy(l) == line),
                    "{name}, byte {at}: {line} is lost"
                );
            }
        }
    }
}

#[test]
fn an_entry_keeps_what_is_readable_of_it() {
    let mut bytes = trimmed("regular-none");
    let find = |text: &[u8]| memchr::memmem::find(&bytes, text).unwrap() - 64;
    let (comm, message) = (find(b"_COMM=conmon"), find(b"MESSAGE=nobody is named"));
    // Neither is a data object any more.
    bytes[comm] = 2;
    bytes[message] = 2;
    let (text, lost) = read(&bytes);
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains(" l1-guest unknown[900]: no identifier, only a command\n"));
    assert!(!text.contains("nobody is named"));
    assert_eq!(lost.unwrap(), "cut off or damaged: 62 of its 63 entries can be read");
}

#[test]
fn an_offset_that_leads_to_another_message_is_not_believed() {
    let mut bytes = trimmed("regular-none");
    let find = |text: &[u8]| memchr::memmem::find(&bytes, text).unwrap() - 64;
    let right = find(b"MESSAGE=session 5 opened").to_le_bytes();
    let wrong = find(b"MESSAGE=kvm: no hardware").to_le_bytes();
    let entries = objects(&bytes).into_iter().filter(|o| o.2 == 3);
    let mut items = entries.flat_map(|(at, end, _)| (at + 64..end).step_by(16));
    let item = items.find(|i| bytes[*i..i + 8] == right).unwrap();
    bytes[item..item + 8].copy_from_slice(&wrong);
    let (text, lost) = read(&bytes);
    assert_eq!(String::from_utf8_lossy(&text).matches("kvm: no hardware").count(), 1);
    assert_eq!(lost.unwrap(), "cut off or damaged: 62 of its 63 entries can be read");
}

#[test]
fn behind_a_broken_object_that_no_array_leads_past_the_walk_goes_on() {
    for name in BINARY {
        let mut bytes = trimmed(name);
        let all = objects(&bytes);
        let broken = all.iter().filter(|o| o.2 == 3).nth(30).unwrap().0;
        bytes[broken + 8..broken + 16].fill(0); // the size of the 31st entry
        bytes[176..184].fill(0); // the first array
        let (text, lost) = read(&bytes);
        let lines: Vec<_> = expected().into_iter().filter(|(e, _)| *e != 30).collect();
        let lines: Vec<u8> =
            lines.into_iter().flat_map(|(_, l)| [l, b"\n".to_vec()].concat()).collect();
        assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(&lines), "{name}");
        assert_eq!(lost.unwrap(), "cut off or damaged: 62 of its 63 entries can be read");
    }
}

#[test]
fn a_journal_that_is_being_written_is_whole() {
    let mut bytes = journal("compact-zstd");
    bytes[16] = 1; // online
    bytes[152] = 60; // the header is behind: 60 entries
    assert_eq!(read(&bytes), (fixture("expected.txt"), None));
}

#[test]
fn a_file_of_a_newer_systemd_is_refused_and_not_guessed_at() {
    let mut bytes = journal("compact-zstd");
    bytes[12] |= 0x40;
    let (text, lost) = read(&bytes);
    assert!(text.is_empty());
    assert!(lost.unwrap().starts_with("a journal with features that are not known (flags 0x40)"));
}

#[test]
fn chains_that_run_in_circles_end() {
    let whole = trimmed("regular-none");
    let objects = objects(&whole);
    let arrays: Vec<usize> = objects.iter().filter(|o| o.2 == 6).map(|o| o.0).collect();
    let head = number(&whole, 176, 8);
    for array in arrays {
        // next: itself, the head
        for next in [array, head] {
            let mut bytes = whole.clone();
            bytes[array + 16..array + 24].copy_from_slice(&(next as u64).to_le_bytes());
            assert_eq!(read(&bytes).0, fixture("expected.txt"));
        }
    }
}

#[test]
fn nonsense_ends_quickly() {
    let header = &journal("compact-zstd")[..272];
    for bytes in [
        b"LPKSHHRH".to_vec(),
        header.to_vec(),
        [header, &[0xff; 4096]].concat(),
        [header, &[3; 4096]].concat(),
        [header, &vec![0; 1 << 20]].concat(),
    ] {
        let (text, lost) = read(&bytes);
        assert!(text.is_empty() && lost.is_some_and(|l| l.contains("0 of its")));
    }
}

#[test]
fn no_header_panics_or_goes_on_forever() {
    let whole = trimmed("compact-zstd");
    for at in 8..272 {
        for value in [0, 1, 0x10, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let lines = memchr::memchr_iter(b'\n', &read(&bytes).0).count();
            // Flags say how all else is to be read.
            assert!(lines == 65 || (12..16).contains(&at), "byte {at} {value}: {lines} lines");
        }
    }
}

#[test]
fn a_broken_entry_of_an_export_costs_only_itself() {
    let entry = |n: u32, tail: &str| {
        format!(
            "__CURSOR=c{n}\n__REALTIME_TIMESTAMP=1736667041000000\n_HOSTNAME=h\n\
             SYSLOG_IDENTIFIER=a\nMESSAGE=m{n}\n{tail}"
        )
    };
    let line = |n: u32| format!("2025-01-12T07:30:41.000000+00:00 h a: m{n}\n");
    let all = |parts: &[String]| parts.concat();
    for (what, text, kept, broken) in [
        ("an entry without its end", all(&[entry(1, ""), entry(2, "\n")]), vec![2], 1),
        ("a size beyond the file", all(&[entry(1, "\n"), entry(2, "X\n\u{1}\0\0")]), vec![1], 1),
        ("no field", all(&[entry(1, "what?\n\n"), entry(2, "\n")]), vec![2], 1),
        ("the end is missing", all(&[entry(1, "\n"), entry(2, "")]), vec![1], 1),
        ("cut in a line", all(&[entry(1, "\n"), "__CURSOR=c2\nMESS".to_owned()]), vec![1], 1),
        ("more empty lines", all(&[entry(1, "\n\n\n"), entry(2, "\n\n")]), vec![1, 2], 0),
    ] {
        let (got, lost) = read(text.as_bytes());
        let lines: String = kept.into_iter().map(line).collect();
        assert_eq!(String::from_utf8_lossy(&got), lines, "{what}");
        assert_eq!(lost.is_some(), broken > 0, "{what}");
    }
}

#[test]
fn a_broken_object_of_json_costs_only_itself() {
    let object = |n: u32| {
        format!(
            "{{ \"__CURSOR\" : \"c\", \"__REALTIME_TIMESTAMP\" : \"1736667041000000\", \
             \"_HOSTNAME\":\"h\", \"SYSLOG_IDENTIFIER\":[\"z\",\"a\"], \"X\":null, \
             \"MESSAGE\":\"m{n}\\n}}\" }}\n"
        )
    };
    let line = |n: u32| {
        let prefix = "2025-01-12T07:30:41.000000+00:00 h a: ";
        format!("{prefix}m{n}\n{prefix}}}\n")
    };
    let cut = |n: u32, at: usize| object(n)[..at].to_owned();
    for (what, parts, kept, broken) in [
        ("cut in a string", [object(1), cut(2, 20) + "\n", object(3)], vec![1, 3], 1),
        ("cut after a string", [object(1), cut(2, 12) + "\n", object(3)], vec![1, 3], 1),
        ("cut at the end", [object(1), object(2), cut(3, 90)], vec![1, 2], 1),
        ("no JSON", [object(1), "{,}\n".to_owned(), object(3)], vec![1, 3], 1),
        ("words between", [object(1), "-- No entries --\n".to_owned(), object(3)], vec![1, 3], 0),
    ] {
        let (got, lost) = read(parts.concat().as_bytes());
        let lines: String = kept.into_iter().map(line).collect();
        assert_eq!(String::from_utf8_lossy(&got), lines, "{what}");
        assert_eq!(lost.is_some(), broken > 0, "{what}");
    }
}

#[test]
fn damaged_exports_and_json_never_panic() {
    let mut random = Random(5);
    for name in ["entries.export", "entries.json.zst", "entries.json-pretty.zst"] {
        let whole = fixture(name);
        for _ in 0..100 {
            let mut bytes = whole.clone();
            let at = 64 + random.below(bytes.len() - 64);
            bytes[at] = u8::try_from(random.below(256)).unwrap();
            bytes.truncate(bytes.len() - random.below(bytes.len() / 4));
            let lines = memchr::memchr_iter(b'\n', &read(&bytes).0).count();
            // The cut takes a quarter and the byte an entry, of 65 lines.
            assert!(lines >= 30, "{name}: {lines}");
        }
    }
}

#[test]
fn what_is_no_journal_is_not_taken_for_one() {
    for head in [
        "",
        "{\"component\":\"virt-handler\",\"msg\":\"__CURSOR\"}\n",
        "the cursor is __CURSOR=x\n",
        "[{\"__CURSOR\":\"x\"}]",
        "Jan 12 07:30:41 host kernel: LPKSHHRH\n",
    ] {
        assert_eq!(kind(head.as_bytes()), None, "{head}");
    }
    assert!(is_named_so("system@0005.journal~") && is_named_so("a.journal"));
    assert!(!is_named_so("journal") && !is_named_so("a.journal.txt"));
}
