//! `nestdoctor microcode` on files that are made here, byte by byte, from the vendors' manuals.

use std::fs;
use std::path::Path;

use crate::support::{run, stderr, stdout};

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// An update of Intel: header of 12 words, 4 words of data, and a checksum that makes the sum 0.
fn intel(signature: u32, platforms: u32, revision: u32, date: u32) -> Vec<u8> {
    let mut update =
        vec![1, revision, date, signature, 0, 1, platforms, 16, 64, 0, 0, 0, 1, 2, 3, 4];
    update[4] = update.iter().fold(0u32, |sum, w| sum.wrapping_add(*w)).wrapping_neg();
    words(&update)
}

/// A container of AMD with one patch.
fn amd(signature: u32, equivalent: u32, revision: u32, date: u32, minimum: u32) -> Vec<u8> {
    let mut file = b"DMA\0".to_vec();
    file.extend(words(&[0, 32, signature, 0, 0, equivalent, 0, 0, 0, 0]));
    file.extend(words(&[1, 64, date, revision, 0x8004, minimum, 0, 0, equivalent]));
    file.extend([0; 36]);
    file
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, bytes).expect("writable");
}

fn firmware(root: &Path) {
    let mut both = intel(0x506e3, 0x36, 0xd6, 0x1003_2019);
    both.extend(intel(0x506e3, 0x36, 0xf0, 0x1112_2021));
    put(root, "intel-ucode/06-5e-03", &both);
    put(root, "intel-ucode/LICENSE", b"not a container\n");
    put(root, "releasenote.md", b"# Release Notes\n## [microcode-20220510](https://x)\n");
    let patch = amd(0x00a0_0f11, 0xa011, 0x0a00_11de, 0x0418_2025, 0x0a00_11d9);
    put(root, "amd-ucode/microcode_amd_fam19h.bin", &patch);
}

fn arg(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_listing_of_all_that_a_folder_holds() {
    let dir = tempfile::tempdir().expect("a folder");
    firmware(dir.path());
    let output = run(["microcode", "--list", arg(dir.path())]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "microcode bundle 1: amd-ucode/microcode_amd_fam19h.bin\n\
         \x20 001/001: sig 0x00a00f11, 2025-04-18, rev 0xa0011de, size 64\n\
         microcode bundle 2: intel-ucode/06-5e-03\n\
         \x20 002/001: sig 0x000506e3, pf_mask 0x36, 2019-10-03, rev 0x00d6, size 64\n\
         \x20 002/002: sig 0x000506e3, pf_mask 0x36, 2021-11-12, rev 0x00f0, size 64\n"
    );
    let file = dir.path().join("intel-ucode/06-5e-03");
    let output = run(["microcode", "--list", arg(&file)]);
    assert!(stdout(&output).contains("001/002: sig 0x000506e3"), "{}", stdout(&output));
    let other = dir.path().join("intel-ucode/LICENSE");
    assert_eq!(run(["microcode", "--list", arg(&other)]).status.code(), Some(2));
}

#[test]
fn tables_are_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    firmware(dir.path());
    let out = tempfile::tempdir().expect("a folder");
    let output = run(["microcode", "--update", arg(dir.path()), "-o", arg(out.path())]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let read = |name: &str| fs::read_to_string(out.path().join(name)).expect("written");
    let intel = read("microcode-intel.tsv");
    assert!(intel.starts_with("# source: Intel microcode-20220510\n"), "{intel}");
    assert!(intel.ends_with("\n000506e3\t36\t000000f0\t2021-11-12\t00000000\n"), "{intel}");
    let amd = read("microcode-amd.tsv");
    assert!(amd.ends_with("\n19\t01\t01\t0a0011de\t2025-04-18\t0a0011d9\n"), "{amd}");
}

#[test]
fn a_damaged_file_makes_no_table() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut broken = intel(0x506e3, 0x36, 0xf0, 0x1112_2021);
    broken[60] ^= 1;
    put(dir.path(), "intel-ucode/06-5e-03", &broken);
    put(dir.path(), "intel-ucode/06-5e-04", &intel(0x506e4, 0x36, 0xf0, 0x1112_2021));
    let output = run(["microcode", "--update", arg(dir.path()), "-o", arg(dir.path())]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the checksum of the update is wrong"), "{}", stderr(&output));
    assert!(!dir.path().join("microcode-intel.tsv").exists());
}

#[test]
fn what_runs_is_compared_with_what_is_installed_and_released() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path();
    firmware(&root.join("lib/firmware"));
    put(
        root,
        "proc/cpuinfo",
        b"processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 94\nstepping\t: 3\n\
          microcode\t: 0xcc\nflags\t\t: fpu vmx\n",
    );
    put(root, "sys/devices/system/cpu/cpu0/microcode/processor_flags", b"0x2\n");
    let output = run(["microcode", arg(root)]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = text.lines().nth(1).expect("a host");
    let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
    assert_eq!(
        cells[1..],
        ["000506e3", "0x2", "0xcc", "0xf0 (2021-11-12)", "0xf0 (2021-11-12)", "below the baseline"]
    );
    assert!(text.contains("baseline: Intel microcode-"), "{text}");
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
}
