//! Every kind of input through the whole program: what a plain directory tells, the same evidence
//! tells in any packing and in the layout of any tool, with the file and the line where it stands.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rawzip::CompressionMethod;
use serde_json::Value as Json;

use crate::support::{
    bundle, bzip2, causes, files, gzip, nestdoctor, report, stderr, stdout, tar, tree, xz, zstd,
};

/// A fixture: a tool's output as it lies on disk.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/inputs").join(name)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(&path, bytes).expect("a file");
    path
}

/// A tar archive of files.
fn tar_of(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in members {
        write(folder.path(), name, bytes);
    }
    tar(folder.path(), "")
}

/// A zip archive of files, compressed by `method`.
fn zip_of(members: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut out);
    for (name, bytes) in members {
        let (mut entry, config) =
            archive.new_file(name).compression_method(method).start().expect("memory");
        let packed = match method {
            CompressionMethod::DEFLATE => {
                let level = flate2::Compression::fast();
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(bytes).expect("memory");
                encoder.finish().expect("memory")
            }
            CompressionMethod::BZIP2 => bzip2(bytes),
            CompressionMethod::XZ => xz(bytes),
            CompressionMethod::ZSTD => zstd(bytes),
            _ => bytes.clone(),
        };
        // The checksum and size are of the content, the bytes those of the compression.
        let mut summed = config.wrap(std::io::sink());
        summed.write_all(bytes).expect("memory");
        let (_, descriptor) = summed.finish().expect("memory");
        entry.write_all(&packed).expect("memory");
        entry.finish(descriptor).expect("memory");
    }
    archive.finish().expect("memory");
    out
}

/// A folder's files below a top folder.
fn members(folder: &Path, top: &str) -> Vec<(String, Vec<u8>)> {
    let name = |path: &Path| {
        let inside = path.strip_prefix(folder).expect("inside").to_string_lossy().into_owned();
        format!("{top}{inside}")
    };
    files(folder).iter().map(|p| (name(p), fs::read(p).expect("a file"))).collect()
}

/// Where a cause's evidence stands.
fn places<'r>(report: &'r Json, cause: &str) -> Vec<(&'r str, u64)> {
    let all = report["causes"].as_array().expect("a list").iter();
    let found = all.filter(|c| c["id"] == cause);
    let evidence = found.flat_map(|c| c["evidence"].as_array().expect("a list"));
    evidence.filter_map(|e| Some((e["source"].as_str()?, e["line"].as_u64()?))).collect()
}

/// Whether the evidence of a cause stands in a file that is called so, at this line.
fn stands(report: &Json, cause: &str, file: &str, line: u64) {
    let places = places(report, cause);
    let found = places.iter().any(|(source, at)| source.ends_with(file) && *at == line);
    assert!(found, "{file}:{line} is not in {places:?}: {report:#}");
}

fn hosts(report: &Json) -> Vec<(&str, &str)> {
    let hosts = report["hosts"].as_array().expect("a list").iter();
    hosts.map(|h| (h["layer"].as_str().expect("text"), h["name"].as_str().expect("text"))).collect()
}

fn problems(report: &Json) -> Vec<String> {
    let problems = report["problems"].as_array().expect("a list").iter();
    problems.map(|p| format!("{}: {}", p["source"], p["what"])).collect()
}

/// Runs the program with bytes on its standard input.
fn piped(arguments: &[&str], bytes: &[u8]) -> std::process::Output {
    let mut command = nestdoctor();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().expect("it ends");
    // It may end before it has read all.
    let _ = writer.join().expect("the writer ends");
    output
}

const NESTED: &str = "nested-disabled-on-l0";

#[test]
fn supportconfig_is_cut_into_commands_and_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = tar(&fixture("supportconfig"), "");
    let inputs = [
        fixture("supportconfig"),
        write(folder.path(), "scc_sles-l0_240501_1200.txz", &xz(&plain)),
        write(folder.path(), "nts_sles-l0.tbz", &bzip2(&plain)),
    ];
    for input in inputs {
        let report = report(&input);
        assert_eq!(causes(&report), [NESTED], "{}", input.display());
        assert_eq!(hosts(&report), [("L0", "sles-l0")]);
        stands(&report, NESTED, "scc_sles-l0_240501_1200/modules.txt", 18);
        stands(&report, NESTED, "scc_sles-l0_240501_1200/messages.txt", 5);
        assert_eq!(problems(&report), [""; 0]);
    }
}

#[test]
fn pvereport_is_cut_into_commands_and_files_from_a_pipe_too() {
    let path = fixture("pvereport/pve1-report.txt");
    let text = fs::read(&path).expect("the fixture");
    let path = path.to_str().expect("UTF-8");
    let direct = stdout(&nestdoctor().args(["facts", path]).output().expect("it runs"));
    let from_pipe = stdout(&piped(&["facts", "-"], &text));
    for (fact, line) in [
        ("host.name", 5),
        ("kernel.cmdline", 11),
        ("lscpu.virtualization", 32),
        ("pve.cpu[100]", 53),
        ("dmi.bios_vendor", 68),
    ] {
        let at = format!(":{line}]");
        for text in [&direct, &from_pipe] {
            let found = text.lines().any(|l| l.contains(fact) && l.ends_with(&at));
            assert!(found, "{fact} at {line}: {text}");
        }
    }
}

#[test]
fn must_gather_and_support_bundles_are_known_by_their_places() {
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, file, line) in [
        ("must-gather", "nodes/worker-1/dmesg", 5),
        ("troubleshoot", "host-collectors/run-host/dmesg.txt", 4),
    ] {
        let packed = write(folder.path(), kind, &gzip(&tar(&fixture(kind), "")));
        for input in [fixture(kind), packed] {
            let report = report(&input);
            assert_eq!(causes(&report), ["firmware-virt-disabled"], "{}", input.display());
            stands(&report, "firmware-virt-disabled", file, line);
        }
    }
    // With a second node each is a host, and what is the cluster's is another.
    let second = folder.path().join("two");
    for (name, bytes) in members(&fixture("must-gather"), "") {
        write(&second, &name, &bytes);
        write(&second, &name.replace("nodes/worker-1", "nodes/worker-2"), &bytes);
    }
    let packed = write(folder.path(), "two.tgz", &gzip(&tar(&second, "")));
    for input in [second, packed] {
        assert_eq!(report(&input)["hosts"].as_array().expect("a list").len(), 3);
    }
}

#[test]
fn vm_support_gives_the_host_and_its_machines() {
    let folder = tempfile::tempdir().expect("a folder");
    let packed = write(folder.path(), "esx.tgz", &gzip(&tar(&fixture("vm-support"), "")));
    let packed = packed.to_str().expect("UTF-8");
    let facts = stdout(&nestdoctor().args(["facts", packed]).output().expect("it runs"));
    for (fact, value, place) in [
        ("vmware.version", "8.0.2", "commands/vmware_-vl.txt:1]"),
        ("vmware.hv_support", "3", "commands/localcli_hardware-cpu-global-get.txt:7]"),
        ("vmx.vhv_enable[lab-l1]", "false", "lab-l1/lab-l1.vmx:8]"),
        ("host.name", "esx1", "commands/uname_-a.txt:1]"),
    ] {
        let line = facts.lines().find(|l| l.contains(fact)).unwrap_or_else(|| panic!("{facts}"));
        assert!(line.contains(&format!("= {value} ")) && line.ends_with(place), "{line}");
    }
}

/// The two machines of a bundle, each as sosreport packs it.
fn sosreports() -> [(&'static str, Vec<u8>); 2] {
    let pack = |layer: &str, top: &str| tar(&bundle("nested-off").join(layer), top);
    [
        ("sosreport-metal-a-2024.tar.xz", xz(&pack("l0", "sosreport-metal-a-2024"))),
        ("sosreport-ci-runner-2024.tar.gz", gzip(&pack("l1", "sosreport-ci-runner-2024"))),
    ]
}

#[test]
fn several_machines_in_one_archive_are_several_hosts() {
    let folder = tempfile::tempdir().expect("a folder");
    let [l0, l1] = sosreports();
    let log = b"2024-03-03 09:20:00 INFO: collecting\n".to_vec();
    let collector = tar_of(&[
        (&format!("sos-collector-1/{}", l0.0), l0.1.clone()),
        (&format!("sos-collector-1/{}", l1.0), l1.1.clone()),
        ("sos-collector-1/sos_logs/ui.log", log.clone()),
        ("sos-collector-1/sos_reports/manifest.json", b"{}".to_vec()),
    ]);
    let both = tempfile::tempdir().expect("a folder");
    for (layer, top) in [("l0", "host-a/"), ("l1", "host-b/")] {
        for (name, bytes) in members(&bundle("nested-off").join(layer), top) {
            write(both.path(), &name, &bytes);
        }
    }
    let loose = folder.path().join("case");
    write(&loose, l0.0, &l0.1);
    write(&loose, l1.0, &l1.1);
    let zipped = [("case/sos-collector-1.tar".to_owned(), collector.clone())];
    let in_zip = zip_of(&zipped, CompressionMethod::DEFLATE);
    let inputs = [
        write(folder.path(), "sos-collector-1.tar", &collector),
        write(folder.path(), "sos-collector-1.tar.xz", &xz(&collector)),
        write(folder.path(), "case.zip", &in_zip),
        write(folder.path(), "zip-in-a.tar", &tar_of(&[("b.zip", in_zip.clone())])),
        loose,
        both.path().to_owned(),
        write(folder.path(), "trees.tgz", &gzip(&tar(both.path(), ""))),
    ];
    for input in inputs {
        let report = report(&input);
        let shown = input.display();
        assert_eq!(hosts(&report), [("L0", "metal-a"), ("L1", "ci-runner")], "{shown}");
        assert_eq!(causes(&report), [NESTED], "{shown}");
        stands(&report, NESTED, "sys/module/kvm_intel/parameters/nested", 1);
        assert_eq!(problems(&report), [""; 0], "{shown}");
    }
    // Whoever names the layer names it for all of them.
    let argument = format!("l1={}", folder.path().join("sos-collector-1.tar").display());
    let output = nestdoctor().args(["analyze", &argument, "--format", "json"]).output();
    let named: Json = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
    assert!(
        hosts(&named).contains(&("L1", "metal-a")) && hosts(&named).contains(&("L1", "ci-runner"))
    );
}

#[test]
fn a_folder_per_layer_may_hold_an_archive_and_logs_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let [l0, l1] = sosreports();
    let log = "2024-03-03T09:15:00Z qemu-system-x86_64: warning: host doesn't support requested \
               feature: CPUID.01H:ECX.vmx [bit 5]\n";
    write(folder.path(), &format!("l0/{}", l0.0), &l0.1);
    write(folder.path(), "l0/qemu.log", log.as_bytes());
    write(folder.path(), &format!("l1/{}", l1.0), &l1.1);
    let packed = tempfile::tempdir().expect("a folder");
    let packed = write(packed.path(), "case.tar.gz", &gzip(&tar(folder.path(), "case")));
    for input in [folder.path(), &packed] {
        let report = report(input);
        assert_eq!(hosts(&report), [("L0", "metal-a"), ("L1", "ci-runner")]);
        assert_eq!(causes(&report), [NESTED]);
        stands(&report, NESTED, "sys/module/kvm_intel/parameters/nested", 1);
        stands(&report, NESTED, "qemu.log", 1);
    }
}

/// A report without what legitimately differs.
fn comparable(mut report: Json) -> String {
    report["stats"] = Json::Null;
    for host in report["hosts"].as_array_mut().expect("a list") {
        host["source"] = Json::Null;
    }
    serde_json::to_string_pretty(&report).expect("JSON")
}

#[test]
fn a_zip_archive_reads_like_the_directory_in_every_compression() {
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = comparable(report(&bundle("nested-off")));
    for method in [
        CompressionMethod::STORE,
        CompressionMethod::DEFLATE,
        CompressionMethod::BZIP2,
        CompressionMethod::XZ,
        CompressionMethod::ZSTD,
    ] {
        for top in ["", "case\\"] {
            let bytes = zip_of(&members(&bundle("nested-off"), top), method);
            let path = write(folder.path(), "a.zip", &bytes);
            assert_eq!(comparable(report(&path)), wanted, "{method} {top}");
        }
    }
    let from_pipe = zip_of(&members(&bundle("nested-off"), ""), CompressionMethod::DEFLATE);
    let output = piped(&["analyze", "-", "--format", "json"], &from_pipe);
    assert_eq!(comparable(serde_json::from_slice(&output.stdout).expect("JSON")), wanted);
}

#[test]
fn standard_input_may_be_a_log_an_archive_or_a_file() {
    let log = b"Could not access KVM kernel module: Permission denied\n\
                qemu-system-x86_64: failed to initialize kvm: Permission denied\n";
    let archive = gzip(&tar(&bundle("kvm-permission"), "host"));
    for bytes in [&log[..], &gzip(log), &archive] {
        let output = piped(&["analyze", "-", "--format=json"], bytes);
        let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(causes(&report), ["dev-kvm-permission"]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "a.tgz", &archive);
    let mut command = nestdoctor();
    command.args(["analyze", "-", "--format=json"]).stdin(fs::File::open(path).expect("a file"));
    let output = command.output().expect("it runs");
    let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(causes(&report), ["dev-kvm-permission"]);
    let nothing = piped(&["analyze", "-"], b"");
    assert_eq!(nothing.status.code(), Some(2));
    assert!(stderr(&nothing).contains("-: the file is empty"), "{}", stderr(&nothing));
}

#[test]
fn rotated_and_packed_logs_are_all_read() {
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path(), &[("etc/hostname", "node\n"), ("proc/cmdline", "quiet\n")]);
    let line =
        |n: u32| format!("Jan 12 07:3{n}:41 node kernel: [   1{n}.000000] kvm: disabled by bios\n");
    write(folder.path(), "var/log/syslog", line(1).as_bytes());
    write(folder.path(), "var/log/syslog.1", line(2).as_bytes());
    write(folder.path(), "var/log/syslog.2.gz", &gzip(line(3).as_bytes()));
    write(folder.path(), "var/log/messages-20250101.xz", &xz(line(4).as_bytes()));
    write(folder.path(), "var/log/kern.log.3.zst", &zstd(line(5).as_bytes()));
    write(folder.path(), "var/log/kern.log.4.bz2", &bzip2(line(6).as_bytes()));
    let older = tar_of(&[("messages-20241201", line(7).into_bytes())]);
    write(folder.path(), "var/log/older.tar.gz", &gzip(&older));
    let direct = report(folder.path());
    assert_eq!(direct["stats"]["events"], 7, "{direct:#}");
    let packed = tempfile::tempdir().expect("a folder");
    let packed = write(packed.path(), "a.tar", &tar(folder.path(), "sosreport-node"));
    assert_eq!(report(&packed)["stats"]["events"], 7);
}

#[test]
fn utf16_logs_of_windows_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "11/2/2025 8:10:10 AM   12 Information   The operating system started.\r\n\
                11/2/2025 8:10:11 AM   41 Error   Hypervisor launch failed; Either VMX not \
                present or not enabled in BIOS.\r\n";
    let utf16: Vec<u8> =
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let kept = |folder_name: &str, bytes: &[u8]| {
        let name = format!("{folder_name}/windows-eventlog-system.txt");
        report(&write(folder.path(), &name, bytes))
    };
    let plain = kept("a", text.as_bytes());
    assert_eq!(plain["stats"]["events"], 1, "{plain:#}");
    // With a byte order mark and, as some programs write it, without.
    assert_eq!(comparable(kept("b", &utf16)), comparable(plain.clone()));
    assert_eq!(comparable(kept("c", &utf16[2..])), comparable(plain));
}

#[test]
fn damage_is_named_and_the_rest_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = zip_of(&members(&bundle("kvm-permission"), ""), CompressionMethod::STORE);
    let at = |text: &[u8]| whole.windows(text.len()).position(|w| w == text).expect("stored");
    // The content no longer has its checksum.
    let mut wrong = whole.clone();
    wrong[at(b"Could not access KVM") + 1] ^= 0x20;
    let said = problems(&report(&write(folder.path(), "wrong.zip", &wrong)));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("commands/stderr.txt") && said[0].contains("checksum"), "{said:?}");
    // Without its directory nothing of it can be read.
    let cut = write(folder.path(), "cut.zip", &whole[..whole.len() / 2]);
    let output = nestdoctor().arg("analyze").arg(&cut).output().expect("it runs");
    let all = format!("{}{}", stdout(&output), stderr(&output));
    assert!(all.contains("central directory"), "{all}");
    // Encrypted members: bit 0 of the flags, in both headers.
    let mut locked = whole.clone();
    for (mark, offset) in [(&b"PK\x03\x04"[..], 6), (b"PK\x01\x02", 8)] {
        let found: Vec<usize> =
            (0..locked.len() - 4).filter(|i| locked[*i..].starts_with(mark)).collect();
        for at in found {
            locked[at + offset] |= 1;
        }
    }
    let path = write(folder.path(), "locked.zip", &locked);
    let output = nestdoctor().arg("analyze").arg(&path).output().expect("it runs");
    let all = format!("{}{}", stdout(&output), stderr(&output));
    assert!(all.contains("it is encrypted"), "{all}");
    // A nested archive that is cut off gives what came before, and one problem.
    let inner = tar(&bundle("kvm-permission"), "host");
    let outer = tar_of(&[("a/inner.tar", inner[..inner.len() - 2000].to_vec())]);
    let one = report(&write(folder.path(), "outer.tar", &outer));
    assert_eq!(causes(&one), ["dev-kvm-permission"]);
    assert_eq!(problems(&one).len(), 1, "{:?}", problems(&one));
    assert!(problems(&one)[0].contains("cut off"), "{:?}", problems(&one));
    // Of several machines, too, the one whose archive is cut off is named once.
    let [l0, l1] = sosreports();
    let half = l1.1[..l1.1.len() * 9 / 10].to_vec();
    let all = tar_of(&[(l0.0, l0.1), (l1.0, half)]);
    let said = problems(&report(&write(folder.path(), "two.tar", &all)));
    assert!(said.len() == 1 && said[0].contains("sosreport-ci-runner"), "{said:?}");
}
