//! Tests of the slice: releases, command lines, configurations.

use super::config::release_in;
use super::*;
use crate::evidence::testing::show as value;

fn read(path: &str, bytes: &[u8]) -> Out {
    let mut out = Out::default();
    parse(Piece { path, bytes, whole: true }, &mut out);
    out
}

#[test]
fn the_stable_release_that_a_distribution_names() {
    let base = |path, text: &str| value(&read(path, text.as_bytes()), "kernel.base");
    let debian = "Linux h 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01) x86_64 GNU/Linux\n";
    assert_eq!(base("commands/uname.txt", debian).as_deref(), Some("6.1.76-1"));
    let ubuntu = "Ubuntu 5.15.0-94.104-generic 5.15.136\n";
    assert_eq!(base("proc/version_signature", ubuntu).as_deref(), Some("5.15.136"));
    let other =
        "Linux h 5.15.0-94-generic #104-Ubuntu SMP Tue Jan 9 15:25:40 UTC 2024 x86_64 GNU/Linux\n";
    assert_eq!(base("commands/uname.txt", other), None);
}

#[test]
fn uname_with_one_and_with_three_machine_words() {
    let out = read(
        "commands/uname.txt",
        b"Linux n1 5.15.0-84-generic #93-Ubuntu SMP Tue Sep 5 17:16:10 UTC 2023 x86_64 x86_64 x86_64 GNU/Linux\n",
    );
    assert_eq!(value(&out, "kernel.release").unwrap(), "5.15.0-84-generic");
    assert_eq!(value(&out, "kernel.arch").unwrap(), "x86_64");
    let out = read(
        "commands/uname.txt",
        b"Linux n2 6.1.21-v8+ #1642 SMP PREEMPT Mon aarch64 GNU/Linux\n",
    );
    assert_eq!(value(&out, "kernel.arch").unwrap(), "aarch64");
}

#[test]
fn a_vmkernel_number_is_no_linux_version() {
    let out = read(
        "commands/uname.txt",
        b"VMkernel esx1 7.0.1 #1 SMP Release build-1 Oct 1 2020 x86_64 x86_64 x86_64 ESXi\n",
    );
    assert_eq!(value(&out, "kernel.release").unwrap(), "7.0.1");
    assert_eq!(value(&out, "kernel.version"), None);
    assert_eq!(value(&out, "kernel.arch").unwrap(), "x86_64");
}

#[test]
fn command_line_keeps_quoted_blanks() {
    let out =
        read("proc/cmdline", b"root=/dev/sda1 dyndbg=\"file kvm.c +p\" kvm-intel.nested=0 quiet\n");
    let words = out.facts[0].value.clone();
    let Value::Words(words) = words else { panic!("words") };
    assert!(words.contains("dyndbg=\"file kvm.c +p\""));
    assert!(words.contains("kvm-intel.nested=0"));
    assert_eq!(words.len(), 4);
}

#[test]
fn configuration_tells_built_in_from_module_from_absent() {
    let state =
        |text: &str| value(&read("boot/config-6.1.0-9", text.as_bytes()), "kernel.kvm_config");
    assert_eq!(
        state("CONFIG_KVM=y\nCONFIG_KVM_INTEL=m\n# CONFIG_KVM_AMD is not set\n").unwrap(),
        "module"
    );
    assert_eq!(state("CONFIG_KVM=y\nCONFIG_KVM_INTEL=y\n").unwrap(), "builtin");
    assert_eq!(state("CONFIG_KVM=y\n").unwrap(), "builtin");
    assert_eq!(
        state("CONFIG_KVM_GUEST=y\n# CONFIG_VIRTUALIZATION is not set\n").unwrap(),
        "absent"
    );
    assert_eq!(state("# CONFIG_KVM is not set\n").unwrap(), "absent");
    let no_vendor = "CONFIG_KVM=m\n# CONFIG_KVM_INTEL is not set\n# CONFIG_KVM_AMD is not set\n";
    assert_eq!(state(no_vendor).unwrap(), "absent");
    assert_eq!(state("CONFIG_SMP=y\nCONFIG_KVM_GUEST=y\n"), None, "an extract proves nothing");
}

#[test]
fn a_kernel_may_be_built_without_the_microcode_loader() {
    let text = b"CONFIG_X86_MCE=y\n# CONFIG_MICROCODE is not set\nCONFIG_KVM=m\n";
    let out = read("boot/config-6.1.0-9", text);
    assert_eq!(value(&out, "kernel.microcode_config").unwrap(), "CONFIG_MICROCODE=n");
    let text = b"CONFIG_MICROCODE=y\nCONFIG_MICROCODE_INTEL=y\n";
    let out = read("boot/config-6.1.0-9", text);
    let expected = "CONFIG_MICROCODE=y CONFIG_MICROCODE_INTEL=y";
    assert_eq!(value(&out, "kernel.microcode_config").unwrap(), expected);
}

#[test]
fn the_path_names_the_release() {
    assert_eq!(release_in("boot/config-5.4.0-1-x"), Some("5.4.0-1-x"));
    assert_eq!(release_in("usr/lib/modules/6.9.1/config"), Some("6.9.1"));
    assert_eq!(release_in("proc/config"), None);
}

#[test]
fn packed_configuration_is_unpacked_and_a_broken_one_reported() {
    use std::io::Write;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(b"CONFIG_KVM=m\n").unwrap();
    let bytes = gz.finish().unwrap();
    assert_eq!(value(&read("proc/config.gz", &bytes), "kernel.kvm_config").unwrap(), "module");
    let broken = read("proc/config.gz", &bytes[..12]);
    assert!(broken.facts.is_empty());
    assert_eq!(broken.problems.len(), 1);
}
