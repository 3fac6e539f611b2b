//! Tests of the slice: logs, process lists, options in their spellings.

use super::command::smp;
use super::*;

fn run(path: &str, text: &str) -> Vec<(String, String, String)> {
    let mut out = Out::default();
    parse(Piece { path, bytes: text.as_bytes(), whole: true }, &mut out);
    assert_eq!(out.problems, []);
    let fact = |f: crate::model::Fact| {
        (f.name.to_owned(), f.instance.unwrap_or_default(), f.value.to_string())
    };
    out.facts.into_iter().map(fact).collect()
}

#[track_caller]
fn has(facts: &[(String, String, String)], name: &str, guest: &str, value: &str) {
    let wanted = (name.to_owned(), guest.to_owned(), value.to_owned());
    assert!(facts.contains(&wanted), "{wanted:?} is not in {facts:#?}");
}

const LOG: &str = "2025-01-12 07:30:41.000+0000: starting up libvirt version: 10.0.0\n\
    LC_ALL=C \\\nHOME=/var/lib/libvirt/qemu/domain-1-web \\\n/usr/bin/qemu-system-x86_64 \\\n\
    -name guest=web,debug-threads=on \\\n-machine pc-q35-8.2,usb=off \\\n-accel tcg \\\n\
    -cpu qemu64 \\\n-m 512 \\\n-smp 1 \\\n-msg timestamp=on\n\
    2025-01-12T07:31:00.0Z qemu-system-x86_64: terminating on signal 15\n\
    2025-01-12 07:35:41.000+0000: starting up libvirt version: 10.0.0\n\
    LC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=web,debug-threads=on \\\n\
    -object '{\"a\":\"b c\"}' \\\n-machine pc-q35-8.2,usb=off \\\n-accel kvm \\\n\
    -cpu host,migratable=on \\\n-m size=4194304k \\\n-smp 2,sockets=2,cores=1,threads=1\n\
    char device redirected to /dev/pts/1 (label charserial0)\n";

#[test]
fn the_last_start_of_a_log_counts() {
    let facts = run("var/log/libvirt/qemu/web.log", LOG);
    has(&facts, "qemu.accel", "web", "kvm");
    has(&facts, "qemu.cpu", "web", "host,migratable=on");
    has(&facts, "qemu.machine", "web", "pc-q35-8.2");
    has(&facts, "qemu.memory_mib", "web", "4096");
    has(&facts, "qemu.vcpus", "web", "2");
    has(&facts, "qemu.emulator_arch", "web", "x86_64");
    assert!(!facts.iter().any(|f| f.0 == "qemu.running" || f.2 == "tcg"), "{facts:?}");
}

#[test]
fn rows_of_ps() {
    let text = "UID  PID PPID C STIME TTY TIME CMD\n\
        libvirt+ 4335 1 9 May19 ? 09:58:23 /usr/bin/qemu-system-x86_64 -name guest=a,debug-threads=on -object {\"x\":1, \"y\":2} -accel kvm -accel tcg -cpu max -smp 4 -m 8192\n\
        root 1211 1 0 May19 ? 00:00:04 /usr/sbin/libvirtd --timeout 120\n\
        lee 1212 1 0 May19 ? 00:00:04 vi /usr/sbin/libvirtd-notes\n\
        root 55121 1 14 05:12 ? 00:36:10 /usr/bin/kvm -id 131 -name b,debug-threads=on -cpu kvm64 -m 32768\n\
        lee 5210 1 11 07:41 ? 00:18 /usr/lib/virtualbox/VBoxHeadless --startvm x\n\
        lee 5211 1 11 07:41 ? 00:18 /usr/lib/virtualbox/VBoxSVC --auto-shutdown\n\
        lee 5212 1 11 07:41 ? 00:18 grep qemu-system-x86_64 -name\n";
    let facts = run("commands/ps.txt", text);
    has(&facts, "qemu.accel", "a", "kvm");
    has(&facts, "qemu.accel_fallback", "a", "true");
    has(&facts, "qemu.running", "a", "true");
    has(&facts, "qemu.cpu", "b", "kvm64");
    has(&facts, "qemu.user", "a", "libvirt+");
    has(&facts, "qemu.user", "b", "root");
    has(&facts, "libvirt.daemon_user", "", "root");
    has(&facts, "vbox.running", "", "1");
    has(&facts, "vmware.running", "", "0");
    assert!(!facts.iter().any(|f| f.0 == "qemu.accel" && f.1 == "b"), "{facts:?}");
    assert_eq!(facts.iter().filter(|f| f.0 == "qemu.running").count(), 2);
}

#[test]
fn a_list_of_qemu_only_says_nothing_of_others() {
    let facts = run("commands/ps-qemu.txt", "UID PID CMD\n");
    assert_eq!(facts, []);
}

#[test]
fn accelerators_in_all_their_spellings() {
    for (line, accel, fallback) in [
        ("qemu-system-x86_64 -enable-kvm -cpu host -m 1G", "kvm", "false"),
        ("sudo qemu-system-x86_64 -machine q35,accel=kvm:tcg -m 1G", "kvm", "true"),
        ("qemu-system-aarch64 -M virt,accel=hvf -cpu host -m 1G", "hvf", "false"),
        ("/opt/bin/qemu-system-x86_64 --accel whpx,kernel-irqchip=off -m 1G", "whpx", "false"),
        ("qemu-system-x86_64 -m 2G -smp 2 -hda disk.img", "tcg", "false"),
    ] {
        let facts = run("commands/qemu-cmdline.txt", line);
        has(&facts, "qemu.accel", "qemu-cmdline", accel);
        has(&facts, "qemu.accel_fallback", "qemu-cmdline", fallback);
    }
    let facts = run("commands/qemu-cmdline.txt", "/usr/libexec/qemu-kvm -m 2G -smp 2 -hda a");
    assert!(!facts.iter().any(|f| f.0 == "qemu.accel"), "the wrapper's default is its own");
}

#[test]
fn screens_and_usb() {
    let facts = run(
        "commands/qemu-cmdline.txt",
        "qemu-system-x86_64 -vga std -device usb-tablet,id=t -device \
         '{\"driver\":\"ich9-usb-ehci1\",\"id\":\"usb\"}' -device virtio-net-pci -m 1G",
    );
    has(&facts, "qemu.video", "qemu-cmdline", "std");
    has(&facts, "qemu.usb", "qemu-cmdline", "ich9-usb-ehci1 usb-tablet");
    let facts = run("commands/qemu-cmdline.txt", "qemu-system-x86_64 -m 1G -nographic -smp 2");
    assert!(!facts.iter().any(|f| f.0 == "qemu.video" || f.0 == "qemu.usb"), "{facts:?}");
}

#[test]
fn proc_cmdline_and_sizes() {
    let facts = run(
        "proc/77/cmdline",
        "qemu-system-x86_64\0-accel\0kvm\0-m\x001T\0-smp\0cores=2,threads=2\0",
    );
    has(&facts, "qemu.memory_mib", "77", "1048576");
    has(&facts, "qemu.vcpus", "77", "4");
    has(&facts, "qemu.running", "77", "true");
    assert_eq!(run("proc/1/cmdline", "/sbin/init\0splash\0"), []);
}

#[test]
fn by_what_a_guest_is_known_elsewhere() {
    let uuid = "0b8f2c4e-93a1-4d1f-8f0e-6a5d1f2b7c90";
    let line = |rest: &str| format!("qemu-system-x86_64 -name a -accel kvm {rest}");
    let facts = run(
        "commands/qemu-cmdline.txt",
        &line(&format!(
            "-uuid {uuid} -device virtio-net-pci,netdev=n,mac=52:54:00:AA:00:01 \
             -device '{{\"driver\":\"e1000e\",\"mac\":\"52:54:00:aa:00:02\",\"bus\":\"pci.1\"}}' \
             -net nic,macaddr=52:54:00:aa:00:03"
        )),
    );
    has(&facts, "qemu.uuid", "a", uuid);
    let macs = "52:54:00:aa:00:01 52:54:00:aa:00:02 52:54:00:aa:00:03";
    has(&facts, "qemu.macs", "a", macs);
    let smbios = format!("-smbios type=0,vendor=x -smbios type=1,product=y,uuid={uuid}");
    has(&run("commands/qemu-cmdline.txt", &line(&smbios)), "qemu.uuid", "a", uuid);
    let facts = run("commands/qemu-cmdline.txt", &line("-device e1000,netdev=n"));
    assert!(!facts.iter().any(|f| f.0 == "qemu.macs" || f.0 == "qemu.uuid"), "{facts:?}");
}

#[test]
fn vcpus_in_all_their_spellings() {
    for (argument, vcpus) in [
        ("8", Some(8)),
        ("8,sockets=2,cores=2,threads=2,maxcpus=16", Some(8)),
        ("cpus=3,maxcpus=16", Some(3)),
        ("sockets=2,dies=1,clusters=2,cores=4,threads=2", Some(32)),
        ("threads=2", Some(2)),
        ("maxcpus=6", Some(6)),
        ("many", None),
    ] {
        assert_eq!(smp(argument), vcpus, "{argument}");
    }
}

#[test]
fn what_is_no_command_line_gives_nothing() {
    for text in ["", "qemu-system-x86_64: failed to initialize kvm\n", "\\\n\\\n", "-name x"] {
        assert_eq!(run("commands/qemu-cmdline.txt", text), []);
        assert_eq!(run("var/log/libvirt/qemu/a.log", text), []);
    }
}
