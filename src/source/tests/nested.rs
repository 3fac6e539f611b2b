//! Archives in archives, zip, and what strangers make of them.

use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::*;

fn file(path: &str, bytes: &[u8]) -> (String, Result<Vec<u8>, String>) {
    (path.to_owned(), Ok(bytes.to_vec()))
}

/// A zip archive of stored and deflated members in turn.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut out);
    for (i, (name, bytes)) in members.iter().enumerate() {
        let method = if i % 2 == 0 { CompressionMethod::STORE } else { CompressionMethod::DEFLATE };
        let (mut entry, config) =
            archive.new_file(name).compression_method(method).start().unwrap();
        let mut summed = config.wrap(io::sink());
        summed.write_all(bytes).unwrap();
        let (_, descriptor) = summed.finish().unwrap();
        if i % 2 == 0 {
            entry.write_all(bytes).unwrap();
        } else {
            let level = flate2::Compression::best();
            let mut encoder = flate2::write::DeflateEncoder::new(&mut entry, level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        }
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    out
}

/// Reads an archive within limits.
fn limited(bytes: &[u8], format: Format, limits: Limits) -> Kept {
    let (_dir, path) = put("a", bytes);
    let store = Store::Path(path);
    let units = archive::survey(&store, format, limits, Survey::new(true, true)).units();
    let unit = units.into_iter().next().unwrap();
    visit(&mut archive::Archive::new(store, format, "x".to_owned(), unit, limits))
}

#[test]
fn nesting_ends_at_a_depth_and_says_so() {
    let mut bytes = tar(&vec![file("proc/cpuinfo", b"flags : vmx\n")], "");
    for depth in 1..=4 {
        bytes = tar(&vec![file("deeper/inner.tar", &bytes)], "");
        let (_dir, path) = put("a", &bytes);
        let kept = read(&path);
        if depth <= 3 {
            assert_eq!(kept.paths(), ["proc/cpuinfo"], "{depth}");
            assert_eq!(kept.problems, [""; 0]);
        } else {
            assert_eq!(kept.paths(), [""; 0]);
            assert_eq!(kept.problems.len(), 1, "{:?}", kept.problems);
            assert!(kept.problems[0].contains("nested more than 3 deep"), "{:?}", kept.problems);
        }
    }
}

#[test]
fn nested_bombs_are_cut_short_over_all_archives_together() {
    let limits = Limits { total: 1 << 20, entry: 1 << 20, ..Limits::DEFAULT };
    let zeros = vec![0; 700 << 10];
    let bomb = gzip(&tar(&vec![file("usr/x", &zeros), file("etc/hostname", b"h\n")], ""));
    let names = ["a.tgz", "b.tgz", "c.tgz", "d.tgz"];
    let all: Members = names.iter().map(|n| file(n, &bomb)).collect();
    let kept = limited(&tar(&all, ""), Format::Tar(codec::Codec::Plain), limits);
    assert!(kept.problems.iter().all(|p| p.contains("expand")), "{:?}", kept.problems);
    assert!(!kept.problems.is_empty() && kept.problems.len() <= names.len());

    let flat = vec![b'x'; 700 << 10];
    let logs: Vec<(&str, &[u8])> =
        ["1", "var/log/syslog", "2", "var/log/messages", "3", "etc/hostname"]
            .iter()
            .map(|n| (*n, &flat[..]))
            .collect();
    let kept = limited(&zip(&logs), Format::Zip, limits);
    let total: usize = kept.files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(total <= (1 << 20) + (64 << 10), "{total}");
    assert!(kept.problems[0].contains("expand to more than 1 MiB"), "{:?}", kept.problems);

    let ratio = Limits { ratio: 200, ratio_from: 64 << 10, ..Limits::DEFAULT };
    let kept = limited(&zip(&logs), Format::Zip, ratio);
    assert!(kept.problems[0].contains("more than 200 times"), "{:?}", kept.problems);

    let crowd: Members = (0..50).map(|n| file(&format!("m{n}"), b"")).collect();
    let crowd = tar(&crowd, "");
    let all: Members = names.iter().map(|n| file(&n.replace("tgz", "tar"), &crowd)).collect();
    let few = Limits { entries: 120, ..Limits::DEFAULT };
    let kept = limited(&tar(&all, ""), Format::Tar(codec::Codec::Plain), few);
    assert!(kept.problems.iter().any(|p| p.contains("that is the limit")), "{:?}", kept.problems);
}

#[test]
fn names_in_a_zip_archive_do_not_lead_out_of_it() {
    // The writer makes names proper; the reader must not rely on that.
    let mut bytes = zip(&[
        ("UP/UP/etc/hostname", b"out\n"),
        ("a+UP+etc+hostname", b"out\n"),
        ("+etc+hostname", b"in\n"),
        ("-+proc+cpuinfo", b"flags : vmx\n"),
    ]);
    for (mark, with) in [(&b"UP"[..], &b".."[..]), (b"+", b"\\"), (b"-\\proc", b".\\proc")] {
        while let Some(at) = bytes.windows(mark.len()).position(|w| w == mark) {
            bytes[at..at + mark.len()].copy_from_slice(with);
        }
    }
    let (_dir, path) = put("a", &bytes);
    let kept = read(&path);
    assert_eq!(kept.paths(), ["etc/hostname", "proc/cpuinfo"]);
    assert_eq!(kept.text("etc/hostname"), "in\n");
    assert_eq!(kept.problems.len(), 2);
    assert!(kept.problems.iter().all(|p| p.contains("its path contains '..'")));
}

#[test]
fn links_in_a_zip_archive_are_links() {
    let mut out = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut out);
    for (name, text, mode) in [
        ("etc/os-release", "../usr/lib/os-release", 0o120_777),
        ("usr/lib/os-release", "ID=debian\n", 0o100_644),
        ("etc/hostname", "../../../etc/shadow", 0o120_777),
    ] {
        let (mut entry, config) = archive.new_file(name).unix_permissions(mode).start().unwrap();
        let mut summed = config.wrap(&mut entry);
        summed.write_all(text.as_bytes()).unwrap();
        let (_, descriptor) = summed.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    let (_dir, path) = put("a", &out);
    let kept = read(&path);
    assert_eq!(kept.paths(), ["etc/os-release"]);
    assert_eq!(kept.text("etc/os-release"), "ID=debian\n");
}

#[test]
fn no_damage_to_nested_archives_makes_it_panic_or_hang() {
    let inner = xz(&tar(&members(), "sosreport-a/"));
    let zipped = zip(&[
        ("case/a.tar.xz", &inner),
        ("case/b.tgz", &gzip(&tar(&members(), "b/"))),
        ("case/notes.txt", b"#==[ Command ]===#\n# /bin/uname -a\nLinux\n"),
    ]);
    let outer = tar(&vec![file("case.zip", &zipped), file("c.tar.zst", &zstd(&inner))], "");
    let mut random = Random(0x5bd1_e995_2f6c_dd1d);
    for whole in [&zipped, &outer, &inner, &gzip(&outer)] {
        for _ in 0..80 {
            let mut bytes = whole.clone();
            if random.below(2) == 0 {
                bytes.truncate(1 + random.below(whole.len()));
            }
            for _ in 0..random.below(5) {
                // The directory of a zip archive is at its end.
                let near = if random.below(2) == 0 { bytes.len().min(600) } else { bytes.len() };
                let at = bytes.len() - 1 - random.below(near);
                bytes[at] = u8::try_from(random.below(256)).unwrap();
            }
            let (_dir, path) = put("a.zip", &bytes);
            for (_, mut source) in open_all(&path).unwrap_or_default() {
                let problems = visit(source.as_mut()).problems;
                assert!(problems.len() <= 24, "{problems:?}");
                for (_, mut other) in source.others() {
                    visit(other.as_mut());
                }
            }
        }
    }
}

/// The xorshift of Marsaglia: a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % below.max(1)
    }
}
