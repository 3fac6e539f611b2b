//! Several inputs, one patient: hosts find each other without being named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::support::{bundle, causes, run, tree};

/// The JSON report of several inputs, in this order.
fn joined(inputs: &[&Path]) -> Json {
    let inputs = inputs.iter().map(|p| p.as_os_str().to_owned());
    let arguments = [OsString::from("analyze"), OsString::from("--format=json")];
    let output = run(arguments.into_iter().chain(inputs));
    serde_json::from_slice(&output.stdout).expect("a report")
}

/// Every order of three inputs.
fn orders(inputs: [&Path; 3]) -> Vec<[&Path; 3]> {
    let [a, b, c] = inputs;
    vec![[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]]
}

/// Id and source of each host.
fn hosts(report: &Json) -> Vec<(String, String)> {
    let text = |v: &Json| v.as_str().expect("text").to_owned();
    let hosts = report["hosts"].as_array().expect("a list").iter();
    hosts.map(|h| (text(&h["id"]), text(&h["source"]))).collect()
}

#[test]
fn a_guest_is_joined_to_its_own_host_in_any_order_and_the_cause_needs_both() {
    let below = bundle("nested-off").join("l0");
    let above = bundle("nested-off").join("l1");
    let bystander = bundle("l0-healthy");
    for order in orders([&below, &above, &bystander]) {
        let report = joined(&order);
        assert_eq!(causes(&report), ["nested-disabled-on-l0"], "{order:?}");
        let place = report["causes"][0]["host"].as_str().expect("a host");
        let source = hosts(&report).into_iter().find(|(id, _)| id == place).expect("listed").1;
        assert_eq!(PathBuf::from(source), below, "the guest's own host, not the other one");
        assert!(report["causes"][0]["confidence"].as_f64().expect("a number") > 0.95);
    }
    // With the wrong host alone, nothing can be said of the right one.
    let wrong = joined(&[&bystander, &above]);
    let named = wrong["causes"].as_array().expect("a list").iter();
    assert!(
        named
            .filter(|c| c["id"] == "nested-disabled-on-l0")
            .all(|c| c["confidence"].as_f64() < Some(0.95))
    );
}

#[test]
fn logs_of_two_layers_fall_into_one_time_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let uuid = "0f6a0c5e-6c1d-4b51-9a3e-0d6a6c1d4b51";
    let (l0, l1) = (folder.path().join("a"), folder.path().join("b"));
    let xml = format!("<domain type='kvm'><name>lab</name><uuid>{uuid}</uuid></domain>\n");
    tree(
        &l0,
        &[
            ("commands/systemd-detect-virt.txt", "none\n"),
            ("etc/libvirt/qemu/lab.xml", &xml),
            // The guest's clock is five minutes ahead: it booted at 10:05:04 by its own.
            (
                "var/log/libvirt/qemu/lab.log",
                "2026-03-01 10:00:01.000+0000: starting up libvirt version: 10.0.0, qemu version: 8.2.2\n",
            ),
            (
                "var/log/kern.log",
                "2026-03-01T10:00:30.500000+00:00 metal kernel: [  10.0] kvm: disabled by bios\n",
            ),
        ],
    );
    tree(
        &l1,
        &[
            ("commands/systemd-detect-virt.txt", "kvm\n"),
            ("sys/class/dmi/id/product_uuid", &uuid.to_uppercase()),
            // 2026-03-01T10:05:04Z
            ("proc/stat", "cpu  1 0 0 0 0 0 0 0 0 0\nbtime 1772359504\n"),
            ("proc/uptime", "100.00 90.00\n"),
            (
                "var/log/syslog",
                "Mar  1 10:05:31 lab libvirtd[7]: Could not access KVM kernel module: No such file or directory\n",
            ),
            (
                "commands/stderr.txt",
                "Could not access KVM kernel module: No such file or directory\nqemu-system-x86_64: failed to initialize kvm: No such file or directory\n",
            ),
        ],
    );
    let report = joined(&[&l1, &l0]);
    let facts = run(["facts", &l0.to_string_lossy(), &l1.to_string_lossy()]);
    let facts = String::from_utf8_lossy(&facts.stdout).into_owned();
    let skew = facts.lines().find(|l| l.contains("clock.skew_seconds")).expect("estimated");
    assert!(skew.contains("= 300 "), "{skew}");
    let entries = report["analyses"]["timeline"].as_array().expect("a list");
    let at: Vec<_> = entries
        .iter()
        .map(|e| (e["host"].as_str().unwrap(), &e["time"].as_str().unwrap()[11..19]))
        .collect();
    assert!(at.contains(&("l1", "10:00:31")), "on L0's clock: {at:?}");
    assert!(at.contains(&("l0", "10:00:30")) || at.contains(&("l0", "10:00:01")), "{at:?}");
    assert!(entries.windows(2).all(|w| w[0]["time"].as_str() <= w[1]["time"].as_str()));
}

/// A host with a domain of this UUID, and a guest that has it.
fn pair(folder: &Path, below: &[(&str, &str)], above: &[(&str, &str)]) -> (PathBuf, PathBuf) {
    let uuid = "5b1f0e3c-2a7d-4c55-8f11-90aa41c2d7e6";
    let (host, guest) = (folder.join("one"), folder.join("two"));
    let xml = format!(
        "<domain type='kvm'><name>lab</name><uuid>{uuid}</uuid><devices><interface type='bridge'><mac address='52:54:00:3e:11:70'/><source bridge='br0'/><target dev='vnet3'/></interface></devices></domain>\n"
    );
    tree(
        &host,
        &[("commands/systemd-detect-virt.txt", "none\n"), ("etc/libvirt/qemu/lab.xml", &xml)],
    );
    tree(&host, below);
    tree(
        &guest,
        &[("commands/systemd-detect-virt.txt", "kvm\n"), ("sys/class/dmi/id/product_uuid", uuid)],
    );
    tree(&guest, above);
    (host, guest)
}

/// The causes of both inputs in both orders, and of each alone.
fn needs_both(host: &Path, guest: &Path, cause: &str) {
    for inputs in [[host, guest], [guest, host]] {
        assert_eq!(causes(&joined(&inputs)).first(), Some(&cause), "{inputs:?}");
    }
    for alone in [host, guest] {
        let report = joined(&[alone]);
        assert!(!causes(&report).contains(&cause), "{} alone does not show it", alone.display());
    }
}

#[test]
fn overcommit_shows_where_the_guest_waits_and_the_host_has_the_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let domains = ["a", "b", "c", "d", "e", "f"]
        .map(|name| {
            format!(
                "Domain: '{name}'
  state.state=1
  vcpu.current=4
"
            )
        })
        .concat();
    let below = [
        ("sys/devices/system/cpu/online", "0-7\n"),
        ("commands/virsh-domstats.txt", domains.as_str()),
    ];
    let above = [(
        "commands/vmstat.txt",
        " r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st\n 5  0      0 136864  21252  425804    0    0    16    82 2176 2278 24 5 16 0 55\n",
    )];
    let (host, guest) = pair(folder.path(), &below, &above);
    needs_both(&host, &guest, "cpu-overcommit");
}

#[test]
fn a_guests_mtu_is_too_large_only_for_the_tap_of_its_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = [(
        "commands/ip-link.txt",
        "2: eno1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq master br0 state UP mode DEFAULT group default qlen 1000\n    link/ether 3c:ec:ef:01:02:03 brd ff:ff:ff:ff:ff:ff\n3: br0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\n    link/ether 3c:ec:ef:01:02:03 brd ff:ff:ff:ff:ff:ff\n9: vnet3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master br0 state UNKNOWN mode DEFAULT group default qlen 1000\n    link/ether fe:54:00:3e:11:70 brd ff:ff:ff:ff:ff:ff\n",
    )];
    let above = [(
        "commands/ip-link.txt",
        "2: enp1s0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9000 qdisc mq state UP mode DEFAULT group default qlen 1000\n    link/ether 52:54:00:3e:11:70 brd ff:ff:ff:ff:ff:ff\n",
    )];
    let (host, guest) = pair(folder.path(), &below, &above);
    needs_both(&host, &guest, "bridge-mtu-larger-than-uplink");
}
