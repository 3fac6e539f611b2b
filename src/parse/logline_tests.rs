//! Tests of the prefixes: each line is one as its program prints it.

use super::*;

/// 12 January 2025, 07:30:41 UTC.
const NOON: i64 = 1_736_667_041_000_000;
/// The same day and time in a year that is not known.
const JAN_12: i64 = (11 * 86_400 + 7 * 3600 + 30 * 60 + 41) * 1_000_000;

#[track_caller]
fn check(default: Writer, line: &str, stamp: Option<Stamp>, writer: Writer, message: &str) {
    assert_eq!(split(default, line), Prefix { stamp, writer, message }, "{line}");
}

#[test]
fn printk_in_its_forms() {
    let k = Writer::Kernel;
    let at = Some(Stamp::Boot(1_234_567));
    check(k, "[    1.234567] kvm: disabled by bios", at, k, "kvm: disabled by bios");
    check(k, "[    1.234567][  T123] kvm: disabled by bios", at, k, "kvm: disabled by bios");
    check(k, "<6>[    1.234567] kvm: disabled by bios\r\n", at, k, "kvm: disabled by bios");
    check(k, "6,339,1234567,-;kvm: disabled by bios", at, k, "kvm: disabled by bios");
    check(k, "[  +0.000012] kvm: disabled by bios", None, k, "kvm: disabled by bios");
    check(k, "kvm: disabled by bios", None, k, "kvm: disabled by bios");
    check(k, "[    1.234567]  <TASK>", at, k, " <TASK>");
    let wall = Some(Stamp::Wall(NOON));
    check(k, "[Sun Jan 12 07:30:41 2025] kvm [1]: x", wall, k, "kvm [1]: x");
    check(k, "[dom gen 12 07:30:41 2025] kvm [1]: x", wall, k, "kvm [1]: x");
    check(
        k,
        "2025-01-12T07:30:41,000000+00:00 CPU features: detected: x",
        wall,
        k,
        "CPU features: detected: x",
    );
}

#[test]
fn user_space_in_the_ring_buffer_is_not_the_kernel() {
    let at = Some(Stamp::Boot(8_000_000));
    let line = "[    8.000000] systemd-udevd[400]: Specified group 'kvm' unknown";
    check(Writer::Kernel, line, at, Writer::Udev, "Specified group 'kvm' unknown");
    let line = "[    8.000000] qemu-system-x86[9]: segfault at 0 ip 00007f";
    check(Writer::Kernel, line, at, Writer::Kernel, "qemu-system-x86[9]: segfault at 0 ip 00007f");
}

#[test]
fn rfc_3164_in_several_locales() {
    let at = Some(Stamp::Yearless(JAN_12));
    for date in ["Jan 12 07:30:41", "gen 12 07:30:41", "janv. 12 07:30:41", " 1月 12 07:30:41"] {
        let line = format!("{} host kernel: [   24.1] kvm: no hardware support", date.trim_start());
        check(Writer::Other, &line, at, Writer::Kernel, "kvm: no hardware support");
    }
    let line = "Jan  2 07:30:41 host libvirtd[1410]: internal error: x: y";
    let at = Some(Stamp::Yearless(JAN_12 - 10 * 86_400 * 1_000_000));
    check(Writer::Kernel, line, at, Writer::Libvirt, "internal error: x: y");
    check(Writer::Other, "led 12 07:30:41 host modprobe: x", None, Writer::Modprobe, "x");
    let line = "Jan 12 07:30:41 host user.info kernel: x";
    check(Writer::Other, line, Some(Stamp::Yearless(JAN_12)), Writer::Kernel, "x");
}

#[test]
fn the_tag_names_the_writer_and_unknown_tags_are_other() {
    let at = Some(Stamp::Yearless(JAN_12));
    for (tag, writer) in [
        ("audit[26033]", Writer::Audit),
        ("qemu-system-x86_64[77]", Writer::Qemu),
        ("virtqemud[5]", Writer::Libvirt),
        ("nova-compute[3011]", Writer::Openstack),
        ("(udev-worker)[412]", Writer::Udev),
        ("bash", Writer::Other),
        ("python3[1203]", Writer::Other),
    ] {
        let line = format!("Jan 12 07:30:41 host {tag}: said: a thing");
        check(Writer::Kernel, &line, at, writer, "said: a thing");
    }
}

#[test]
fn journald_forms() {
    let wall = Some(Stamp::Wall(NOON));
    let o = Writer::Other;
    for line in [
        "2025-01-12T07:30:41+00:00 host kernel: SVM: x",
        "2025-01-12T08:30:41.000000+0100 host kernel: SVM: x",
        "Sun 2025-01-12 07:30:41 UTC host kernel: SVM: x",
        "dim. 2025-01-12 08:30:41 CET host kernel: SVM: x",
        "1736667041.000000 host kernel: SVM: x",
        "<6>1 2025-01-12T07:30:41Z host kernel - - - SVM: x",
        "<6>1 2025-01-12T07:30:41Z host kernel 1 ID [a b=\"c]\"] SVM: x",
    ] {
        check(o, line, wall, Writer::Kernel, "SVM: x");
    }
    let line = "Sun 2025-01-12 07:30:41 CST host kernel: SVM: x";
    check(o, line, None, Writer::Kernel, "SVM: x");
    let boot = Some(Stamp::Boot(5_000_000));
    check(o, "[    5.000000] host kernel: SVM: x", boot, Writer::Kernel, "SVM: x");
    check(o, "[    5.000000] host libvirtd[1]: x", boot, Writer::Libvirt, "x");
    check(
        o,
        "[    5.000000] CPU features: detected: x",
        boot,
        Writer::Kernel,
        "CPU features: detected: x",
    );
}

#[test]
fn libvirt_and_qemu() {
    let at = Some(Stamp::Wall(NOON));
    let line = "2025-01-12 07:30:41.000+0000: 1234: error : virFoo:123 : internal error: x";
    check(Writer::Libvirt, line, at, Writer::Libvirt, "internal error: x");
    check(Writer::Qemu, line, at, Writer::Libvirt, "internal error: x");
    let line = "2025-01-12 07:30:41.000+0000: starting up libvirt version: 10.0.0";
    check(Writer::Qemu, line, at, Writer::Qemu, "starting up libvirt version: 10.0.0");
    let line = "2025-01-12T07:30:41.000000Z qemu-system-x86_64: falling back to tcg";
    check(Writer::Qemu, line, at, Writer::Qemu, "falling back to tcg");
    check(Writer::Qemu, "KVM: entry failed", None, Writer::Qemu, "KVM: entry failed");
}

#[test]
fn other_hypervisors() {
    let at = Some(Stamp::Wall(NOON));
    let line = "2025-01-12T07:30:41.000000000 [anonymous:ERROR:src/main.rs:52] Error(13)";
    check(Writer::Stderr, line, at, Writer::Stderr, "Error(13)");
    check(Writer::Other, line, at, Writer::Vmm, "Error(13)");
    let line = "cloud-hypervisor: 9.318s: <vcpu0> ERROR:vmm/src/cpu.rs:1 -- FailEntry(7, 0)";
    check(Writer::Stderr, line, None, Writer::Stderr, "FailEntry(7, 0)");
    let vmware = Writer::Vmware;
    let line = "2025-01-12T08:30:41.000+01:00| vmx| I125: Module 'HV' power on failed.";
    check(vmware, line, at, vmware, "Module 'HV' power on failed.");
    let line = "2025-01-12T08:30:41.000+01:00| vmx| I125+ Continue?";
    check(vmware, line, at, vmware, "Continue?");
    let line = "2025-01-12T07:30:41.000Z In(05) vmx - Module 'HV' power on failed.";
    check(vmware, line, at, vmware, "Module 'HV' power on failed.");
    let line = "2025-01-12T07:30:41.000Z In(182) vmkernel: cpu3:2101880)Net: 2414: x";
    check(vmware, line, at, vmware, "Net: 2414: x");
    let line = "00:00:00.626265 HM: HMR3Init: VT-x";
    check(Writer::Virtualbox, line, None, Writer::Virtualbox, "HM: HMR3Init: VT-x");
}

#[test]
fn containers_and_runners() {
    let at = Some(Stamp::Wall(NOON));
    let line = "2025-01-12T07:30:41.000000000Z stderr F {\"level\":\"error\"}";
    check(Writer::Kubevirt, line, at, Writer::Kubevirt, "{\"level\":\"error\"}");
    let json = "{\"component\":\"virt-handler\",\"msg\":\"a: b\"}";
    check(Writer::Kubevirt, json, None, Writer::Kubevirt, json);
    let stderr = Writer::Stderr;
    check(stderr, "disk.qcow2> Could not access KVM", None, stderr, "Could not access KVM");
    check(stderr, "qemu-1  | Could not access KVM", None, stderr, "Could not access KVM");
    let line = "E0112 07:30:41.000000   20977 start.go:355] Error creating the VM";
    check(
        Writer::Container,
        line,
        Some(Stamp::Yearless(JAN_12)),
        Writer::Container,
        "Error creating the VM",
    );
}

#[test]
fn what_was_typed_is_no_output() {
    let line = "user@host:~$ dmesg | grep \"KVM: entry failed\"";
    check(Writer::Stderr, line, None, Writer::Other, line);
    for line in ["Could not access KVM kernel module: Permission denied", "[1]  77 abort  ./fc"] {
        check(Writer::Stderr, line, None, Writer::Stderr, line);
    }
}

#[test]
fn a_guests_console_is_not_this_machines_kernel() {
    let line = "[    1.000000] watchdog: BUG: soft lockup";
    let at = Some(Stamp::Boot(1_000_000));
    check(Writer::Qemu, line, at, Writer::Qemu, "watchdog: BUG: soft lockup");
}

#[test]
fn audit_records_stay_whole() {
    let line = "type=AVC msg=audit(1736667041.000:553): avc:  denied  { read } for  pid=1";
    check(Writer::Audit, line, Some(Stamp::Wall(NOON)), Writer::Audit, line);
    let interpreted = "type=AVC msg=audit(02/06/2025 12:31:15.483:1776) : avc:  denied  { read }";
    check(Writer::Audit, interpreted, None, Writer::Audit, interpreted);
}

#[test]
fn any_input_is_taken() {
    let nasty = [
        "",
        "[",
        "[]",
        "[ ",
        "<",
        "<999>x",
        "é",
        "[é 1 00:00:00 2025] x",
        "Jan",
        "Jan 12 07:30:41",
        "Jan 12 07:30:41 host",
        "2025-01-12T07:30:41",
        "2025-13-45 99:99:99 x",
        "\u{0}\u{0}",
        "type=",
        "audit(",
        "99999999999999999999.9 h p: x",
        "[99999999999999.9] x",
        "1月",
        "PS é:\\>",
        "6,1,1,;",
        "[123456789012.999999] host é[: x",
    ];
    for line in nasty {
        for (writer, _, _) in Writer::ALL {
            assert!(line.ends_with(split(*writer, line).message), "{line}");
        }
    }
}

#[test]
fn a_vmm_behind_the_tag_of_its_starter_is_heard() {
    let line = "Mar  3 09:14:02 ci runner[8120]: qemu-system-x86_64: failed to initialize kvm: Permission denied";
    let prefix = split(Writer::Other, line);
    assert_eq!(prefix.writer, Writer::Qemu);
    let quoted =
        "Mar  3 09:14:02 ci notes[1]: see also qemu-system-x86_64: failed to initialize kvm";
    assert_eq!(split(Writer::Other, quoted).writer, Writer::Other);
}

#[test]
fn a_containers_own_bullets_are_no_prompt() {
    let line = "❯ ERROR: KVM acceleration is not available";
    assert_eq!(split(Writer::Container, line).writer, Writer::Container);
    assert_eq!(split(Writer::Stderr, line).writer, Writer::Stderr);
    assert_eq!(split(Writer::Stderr, "❯ docker run --rm vm").writer, Writer::Other);
}
