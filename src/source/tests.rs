//! Sources from outside: the same tree in every form, and hostile inputs.

#![expect(clippy::disallowed_methods, reason = "source/ touches the outside, and its tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::LazyLock;

use tempfile::TempDir;

use super::codec::decoder;
use super::limits::Limits;
use super::nest::Format;
use super::stream::Store;
use super::survey::Survey;
use super::*;
use crate::model::{GapReason, Want};

mod links;
mod live;

/// Keeps everything.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    files: Vec<(String, Vec<u8>)>,
    found: Vec<String>,
    gaps: Vec<(String, GapReason)>,
    problems: Vec<String>,
    errors: usize,
}

impl Kept {
    fn paths(&self) -> Vec<&str> {
        self.files.iter().map(|(p, _)| p.as_str()).collect()
    }

    fn text(&self, path: &str) -> &str {
        let file = self.files.iter().find(|(p, _)| p == path);
        std::str::from_utf8(&file.unwrap_or_else(|| panic!("no {path}")).1).unwrap()
    }
}

impl Sink for Kept {
    fn file(&mut self, path: &str, found: Found<'_>, reader: &mut dyn Read) {
        let mut bytes = Vec::new();
        self.errors += usize::from(reader.read_to_end(&mut bytes).is_err());
        self.files.push((path.to_owned(), bytes));
        self.found.push(found.path.to_owned());
    }

    fn gap(&mut self, gap: Gap) {
        self.gaps.push((gap.source, gap.reason));
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(format!("{}: {}", problem.source, problem.what));
    }
}

const WANTS: &[Want] = &[
    Want::file("proc/cpuinfo"),
    Want::file("etc/os-release"),
    Want::file("etc/hostname"),
    Want::file("sys/module/*/parameters/*"),
    Want::file("var/log/syslog*"),
    Want::file("var/log/messages*"),
    Want::command("lsmod", &[], &["sos_commands/kernel/lsmod"]),
    Want::command("dmidecode", &[], &["sos_commands/hardware/dmidecode"]),
    Want::command("journalctl", &[], &["sos_commands/logs/journalctl_*"]),
    Want::output("dmesg"),
    Want::output("systeminfo"),
    Want::given("captures/*"),
];

fn wanted() -> &'static Wanted {
    static WANTED: LazyLock<Wanted> =
        LazyLock::new(|| Wanted::new(WANTS.iter().copied()).want_unknown_logs(true));
    &WANTED
}

fn visit(source: &mut dyn Source) -> Kept {
    let mut kept = Kept::default();
    source.visit(wanted(), &mut kept);
    kept
}

fn read(path: &Path) -> Kept {
    visit(open(path).unwrap().as_mut())
}

fn limited(path: &Path, limits: Limits) -> Kept {
    let (store, format) =
        (Store::Path(path.to_owned()), Format::Tar(decoder(&fs::read(path).unwrap())));
    let units = archive::survey(&store, format, limits, Survey::new(true, true)).units();
    let unit = units.into_iter().next().unwrap();
    visit(&mut archive::Archive::new(store, format, "x".to_owned(), unit, limits))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut out = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A member: path and content, or path and target of a link.
type Members = Vec<(String, Result<Vec<u8>, String>)>;

fn members() -> Members {
    let long = "x".repeat(150);
    let file = |path: &str, bytes: &[u8]| (path.to_owned(), Ok(bytes.to_vec()));
    let link = |path: &str, target: &str| (path.to_owned(), Err(target.to_owned()));
    vec![
        link("dmidecode", "sos_commands/hardware/dmidecode"),
        file("etc/hostname", b"node7\n"),
        link("etc/os-release", "../usr/lib/os-release"),
        file("proc/cpuinfo", b"flags : vmx\n"),
        file("sos_commands/hardware/dmidecode", b"Manufacturer: QEMU\n"),
        file("sos_commands/kernel/lsmod", b"kvm_intel 1 0\n"),
        file("sos_commands/logs/journalctl_--boot", b"a\n"),
        file(&format!("sys/module/kvm/parameters/{long}"), b"Y\n"),
        file("usr/lib/os-release", b"ID=debian\n"),
        file("usr/share/doc/nobody-wants-it", b"-\n"),
        file("var/log/syslog", &b"Jan  1 00:00:00 h kernel: x\n".repeat(5000)),
        file("var/log/syslog.1.gz", &gzip(b"one\n")),
        file("var/log/syslog.2.xz", &xz(b"two\n")),
    ]
}

fn tar(members: &Members, top: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        let path = format!("{top}{path}");
        match content {
            Ok(bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, &bytes[..]).unwrap();
            }
            Err(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn tree(members: &Members, top: &Path) {
    for (path, content) in members {
        let path = top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content {
            Ok(bytes) => fs::write(path, bytes).unwrap(),
            Err(target) => symlink(target, path).unwrap(),
        }
    }
}

/// A file in a directory of its own, which must outlive it.
fn put(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn a_tree_reads_the_same_in_every_form() {
    for top in ["", "sosreport-node7-2024/", "case-1/sosreport-node7/"] {
        let dir = tempfile::tempdir().unwrap();
        tree(&members(), &dir.path().join(top));
        let mut expected = read(dir.path());
        assert_eq!(
            expected.paths().iter().map(|p| p.chars().take(34).collect()).collect::<Vec<String>>(),
            [
                "etc/hostname",
                "etc/os-release",
                "proc/cpuinfo",
                "commands/dmidecode.txt",
                "commands/lsmod.txt",
                "commands/journalctl@journalctl_--b",
                "sys/module/kvm/parameters/xxxxxxxx",
                "var/log/syslog",
                "var/log/syslog.1",
                "var/log/syslog.2",
            ]
        );
        assert_eq!(expected.text("var/log/syslog.1"), "one\n");
        assert_eq!(expected.text("etc/os-release"), "ID=debian\n");
        assert_eq!((&expected.gaps[..], &expected.problems[..]), (&[][..], &[][..]));
        expected.files.sort();
        expected.found.clear();
        let tar = tar(&members(), top);
        for packed in [tar.clone(), gzip(&tar), xz(&tar), zstd(&tar), bzip2(&tar)] {
            // The name says nothing.
            let (_dir, path) = put("input.dat", &packed);
            let mut kept = read(&path);
            kept.files.sort();
            kept.found.clear();
            assert_eq!(kept, expected);
        }
    }
}

#[test]
fn a_link_is_followed_to_a_file_that_came_before_it() {
    let mut members = members();
    members.reverse();
    let (_dir, path) = put("a", &tar(&members, "top/"));
    assert_eq!(read(&path).text("etc/os-release"), "ID=debian\n");
}

#[test]
fn a_cut_off_archive_gives_what_came_before_and_one_problem() {
    let whole = tar(&members(), "");
    for (name, packed) in [
        ("plain", whole.clone()),
        ("gz", gzip(&whole)),
        ("xz", xz(&whole)),
        ("zst", zstd(&whole)),
        ("bz2", bzip2(&whole)),
    ] {
        for percent in [60, 90, 99] {
            let (_dir, path) = put("a", &packed[..packed.len() * percent / 100]);
            // bzip2 and xz blocks hold this little archive in one piece: nothing comes out.
            let Ok(mut source) = open(&path) else { continue };
            let kept = visit(source.as_mut());
            assert_eq!(kept.problems.len(), 1, "{name} {percent}: {:?}", kept.problems);
            assert!(kept.problems[0].contains("archive is cut off after "), "{:?}", kept.problems);
            assert!(kept.problems[0].ends_with("): the rest is not analyzed"));
            assert_eq!(kept.gaps.len(), kept.errors, "a file that is not whole is a gap");
        }
    }
    // At every block of the plain form, on a member's boundary too.
    for end in (1..whole.len() / 512).step_by(17) {
        let (_dir, path) = put("a", &whole[..end * 512]);
        let kept = read(&path);
        assert_eq!(
            kept.problems.len(),
            usize::from(end * 512 + 1024 > whole.len()).max(1),
            "{end}"
        );
    }
    let (_dir, path) = put("a", &whole[..512 * 20]);
    assert_eq!(read(&path).text("etc/hostname"), "node7\n");
}

#[test]
fn a_damaged_archive_says_so() {
    let mut bytes = tar(&members(), "");
    bytes[512 * 4 + 20] ^= 0x55;
    let (_dir, path) = put("a", &bytes);
    let kept = read(&path);
    assert_eq!(kept.problems.len(), 1);
    assert!(kept.problems[0].contains("archive is damaged after"), "{:?}", kept.problems);
}

#[test]
fn members_that_lead_outside_are_refused_and_absolute_ones_are_taken() {
    let mut builder = tar::Builder::new(Vec::new());
    for path in ["../../etc/hostname", "a/../proc/cpuinfo", "/etc/hostname", "./proc/cpuinfo"] {
        let mut header = tar::Header::new_gnu();
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(2);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, &b"x\n"[..]).unwrap();
    }
    let (_dir, path) = put("a", &builder.into_inner().unwrap());
    let kept = read(&path);
    assert_eq!(kept.paths(), ["etc/hostname", "proc/cpuinfo"]);
    assert_eq!(
        kept.problems,
        [
            "../../etc/hostname: its path contains '..': the member is not analyzed",
            "a/../proc/cpuinfo: its path contains '..': the member is not analyzed",
        ]
    );
}

#[test]
fn no_archive_expands_without_limit() {
    let small = Limits { entries: 5, total: 1 << 20, entry: 4096, ..Limits::DEFAULT };
    let file = |path: &str, n: usize| (path.to_owned(), Ok(b"log line\n".repeat(n)));
    let members = vec![
        file("etc/hostname", 1),
        file("var/log/syslog", 10_000),
        ("var/log/syslog.1.gz".to_owned(), Ok(gzip(&vec![b'a'; 1 << 20]))),
        file("proc/cpuinfo", 1),
    ];
    let (_dir, path) = put("a", &gzip(&tar(&members, "")));
    let kept = limited(&path, small);
    assert_eq!(
        kept.paths(),
        ["etc/hostname", "var/log/syslog", "var/log/syslog.1", "proc/cpuinfo"]
    );
    assert_eq!(kept.files[1].1.len(), 4096);
    assert_eq!(kept.files[2].1.len(), 4096);
    assert_eq!(kept.gaps.iter().map(|g| g.1).collect::<Vec<_>>(), [GapReason::CutOff; 2]);
    assert_eq!(kept.problems.len(), 2);
    assert!(kept.problems[0].contains("longer than 4096 bytes"), "{:?}", kept.problems);

    let kept = limited(&path, Limits { total: 8192, entry: 1 << 20, ..small });
    assert_eq!(
        kept.problems,
        ["x: archive is read no further after 1 entries (it expands to more than 8192 bytes): \
          the rest is not analyzed"]
    );
    let kept = limited(&path, Limits { entries: 2, ..small });
    assert!(kept.problems.last().unwrap().contains("no further after 2 entries"));

    let zeros = vec![("usr/x".to_owned(), Ok(vec![0; 4 << 20])), file("etc/hostname", 1)];
    let (_dir, path) = put("a", &gzip(&tar(&zeros, "")));
    let kept = limited(&path, Limits { ratio: 500, ratio_from: 1 << 20, ..Limits::DEFAULT });
    assert!(kept.problems[0].contains("it expands more than 500 times"), "{:?}", kept.problems);
}

#[test]
fn a_long_name_without_end_is_not_held_in_memory() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(64 << 20);
    header.set_path("././@LongLink").unwrap();
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(vec![b'a'; 64 << 20]);
    let (_dir, path) = put("a", &gzip(&bytes));
    let kept = read(&path);
    assert!(kept.problems[0].contains("member names of more than 2 MiB"), "{:?}", kept.problems);
}

#[test]
fn a_directory_is_never_left_and_nothing_special_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (_outside, secret) = put("secret", b"secret\n");
    let top = dir.path();
    for folder in ["etc", "proc", "var/log", "usr/lib", "sys/module/kvm/parameters"] {
        fs::create_dir_all(top.join(folder)).unwrap();
    }
    symlink("../../../../../../../../etc/passwd", top.join("etc/hostname")).unwrap();
    symlink(secret.parent().unwrap(), top.join("evil")).unwrap();
    symlink("../evil/secret", top.join("etc/os-release")).unwrap();
    symlink("syslog.2", top.join("var/log/syslog.1")).unwrap();
    symlink("syslog.1", top.join("var/log/syslog.2")).unwrap();
    symlink("/usr/lib/cpu", top.join("proc/cpuinfo")).unwrap();
    fs::write(top.join("usr/lib/cpu"), "flags : svm\n").unwrap();
    for fifo in ["var/log/syslog", "sys/module/kvm/parameters/nested"] {
        let made = std::process::Command::new("mkfifo").arg(top.join(fifo)).status().unwrap();
        assert!(made.success());
    }
    let kept = read(top);
    assert_eq!(kept.files, [("proc/cpuinfo".to_owned(), b"flags : svm\n".to_vec())]);
    assert_eq!(kept.problems, [""; 0]);
}

#[test]
fn a_file_that_may_not_be_read_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    tree(&members(), dir.path());
    let file = dir.path().join("proc/cpuinfo");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&file).is_ok() {
        return; // root reads everything
    }
    let kept = read(dir.path());
    assert_eq!(kept.gaps, [("proc/cpuinfo".to_owned(), GapReason::NotPermitted)]);
    assert_eq!(kept.text("etc/hostname"), "node7\n");
}

#[test]
fn binary_data_in_place_of_a_log_is_named() {
    let files = BTreeMap::from([
        ("var/log/syslog".to_owned(), b"\x7fELF\x02\x01\x01\0\0".to_vec()),
        ("var/log/messages".to_owned(), b"fine\n".to_vec()),
        ("proc/cpuinfo".to_owned(), b"a\0b".to_vec()),
    ]);
    let kept = visit(&mut memory("m", files));
    assert_eq!(kept.paths(), ["proc/cpuinfo", "var/log/messages"]);
    assert_eq!(kept.problems, ["var/log/syslog: binary data where a text log was expected"]);
    assert_eq!(kept.gaps, [("var/log/syslog".to_owned(), GapReason::Unparseable)]);
}

#[test]
fn a_rotated_log_that_is_cut_costs_its_end_only() {
    let text = (0..20_000).fold(String::new(), |t, i| t + &format!("{} line\n", i * 7919));
    let packed = gzip(text.as_bytes());
    let members = vec![
        ("var/log/syslog.1.gz".to_owned(), Ok(packed[..packed.len() / 2].to_vec())),
        ("proc/cpuinfo".to_owned(), Ok(b"x\n".to_vec())),
    ];
    let (_dir, path) = put("a", &tar(&members, ""));
    let kept = read(&path);
    assert_eq!(kept.paths(), ["var/log/syslog.1", "proc/cpuinfo"]);
    assert!(text.starts_with(kept.text("var/log/syslog.1")));
    assert!(!kept.files[0].1.is_empty());
    assert_eq!(kept.gaps, [("var/log/syslog.1".to_owned(), GapReason::CutOff)]);
    assert_eq!(kept.problems.len(), 1);
    assert!(kept.problems[0].starts_with("var/log/syslog.1.gz: the rest is not read"));
}

#[test]
fn a_loose_folder_goes_by_base_names_and_keeps_two_hosts_apart() {
    let file = |path: &str, text: &str| (path.to_owned(), Ok(text.as_bytes().to_vec()));
    let members = vec![
        file("logs/host1/dmesg.txt", "1\n"),
        file("logs/host2/dmesg.txt", "2\n"),
        file("logs/notes.md", "n\n"),
        file("logs/photo.png", "\u{0}PNG"),
        file("logs/syslog", "s\n"),
        file("logs/trace.pcap", "\u{0}"),
    ];
    let expected = [
        "commands/dmesg.txt",
        "commands/dmesg@logs_host2_dmesg.txt",
        "logs/notes.md",
        "var/log/syslog",
        "captures/trace.pcap",
    ];
    let dir = tempfile::tempdir().unwrap();
    tree(&members, dir.path());
    let kept = read(dir.path());
    assert_eq!(kept.paths(), expected);
    assert_eq!(kept.problems, ["logs/photo.png: binary file, not a log"]);
    let (_dir, path) = put("a", &tar(&members, ""));
    assert_eq!(read(&path), kept);
    assert_eq!(wanted().matches(expected[1]), wanted().matches(expected[0]));
}

#[test]
fn a_single_file_goes_by_its_name_and_anything_else_is_perhaps_a_log() {
    for (name, bytes, path) in [
        ("dmesg.txt", b"x\n".to_vec(), "commands/dmesg.txt"),
        ("syslog", b"x\n".to_vec(), "var/log/syslog"),
        ("vm1.log", b"x\n".to_vec(), "vm1.log"),
        ("vm1.log.gz", gzip(b"x\n"), "vm1.log"),
        ("vm1.log.xz", xz(b"x\n"), "vm1.log"),
        ("dmesg.zst", zstd(b"x\n"), "commands/dmesg.txt"),
        ("noname", bzip2(b"x\n"), "noname"),
        ("systeminfo.txt", b"\xff\xfex\0\n\0".to_vec(), "commands/systeminfo.txt"),
    ] {
        let (_dir, file) = put(name, &bytes);
        let kept = read(&file);
        assert_eq!(kept.files, [(path.to_owned(), b"x\n".to_vec())], "{name}");
        assert_eq!(kept.problems, [""; 0]);
    }
    let (_dir, file) = put("a.pcap", b"\xd4\xc3\xb2\xa1\x02\0\x04\0");
    assert_eq!(read(&file).paths(), ["captures/a.pcap"]);
}

#[test]
fn inputs_of_which_nothing_can_be_read_are_errors_with_path_and_cause() {
    let error = |path: &Path| open(path).err().map(|e| e.to_string()).unwrap_or_default();
    let dir = tempfile::tempdir().unwrap();
    assert!(error(dir.path()).ends_with(": the directory is empty"));
    assert!(error(&dir.path().join("no")).ends_with("/no: does not exist"));
    assert!(error(Path::new("/dev/null")).contains("neither a file nor a directory"));
    for (bytes, what) in [
        (&b""[..], "the file is empty"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\x7fELF\0", "a program (ELF)"),
        (b"\x01\0\x02", "binary data"),
        (&gzip(b""), "the file is empty"),
        (&gzip(b"\0\0")[..12], "cannot be read"),
        (b"\x28\xb5\x2f\xfdnonsense", "cannot be read"),
    ] {
        let (_dir, path) = put("input", bytes);
        let error = error(&path);
        assert!(error.contains(what) && error.contains("/input: "), "{error}");
    }
}

#[test]
fn a_folder_per_layer_is_a_source_per_layer() {
    let file = |path: &str, text: &str| (path.to_owned(), Ok(text.as_bytes().to_vec()));
    let layers = vec![
        file("case/captures/a.pcap", "c"),
        file("case/l0/proc/cpuinfo", "0"),
        file("case/l1/sosreport-x/proc/cpuinfo", "1"),
        file("case/l2/dmesg.txt", "2"),
    ];
    let dir = tempfile::tempdir().unwrap();
    tree(&layers, dir.path());
    let (_dir, archive) = put("a", &gzip(&tar(&layers, "")));
    for input in [dir.path(), &archive] {
        let mut sources = open_all(input).unwrap();
        let kept: Vec<_> = sources
            .iter_mut()
            .map(|(layer, s)| (*layer, visit(s.as_mut()).files, s.name().to_owned()))
            .collect();
        let one = |path: &str, text: &str| vec![(path.to_owned(), text.as_bytes().to_vec())];
        let name = |part: &str| format!("{}{part}", input.display());
        assert_eq!(
            kept,
            [
                (Some(Layer::L0), one("proc/cpuinfo", "0"), name("/case/l0")),
                (Some(Layer::L1), one("proc/cpuinfo", "1"), name("/case/l1")),
                (Some(Layer::L2), one("commands/dmesg.txt", "2"), name("/case/l2")),
                (None, one("captures/a.pcap", "c"), name("")),
            ]
        );
    }
    let plain = tempfile::tempdir().unwrap();
    tree(&members(), plain.path());
    assert_eq!(open_all(plain.path()).unwrap().len(), 1);
}

#[test]
fn no_damage_makes_it_panic_hang_or_run_over_with_problems() {
    let whole = tar(&members(), "top/");
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap() % below
    };
    for packed in [whole.clone(), gzip(&whole), xz(&whole), zstd(&whole), bzip2(&whole)] {
        for _ in 0..100 {
            let mut bytes = packed.clone();
            if random(2) == 0 {
                bytes.truncate(1 + random(packed.len()));
            }
            for _ in 0..random(4) {
                let at = random(bytes.len());
                bytes[at] = u8::try_from(random(256)).unwrap();
            }
            let (_dir, path) = put("a", &bytes);
            for (_, mut source) in open_all(&path).unwrap_or_default() {
                assert!(visit(source.as_mut()).problems.len() <= 8);
            }
        }
    }
}
