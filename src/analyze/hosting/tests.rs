//! Facts in, facts out.

use super::*;
use crate::analyze::testing::{host, value};
use crate::model::Layer;

fn of(facts: &[(&'static str, &str, Value)]) -> Vec<Fact> {
    let stack = Stack { hosts: vec![host(facts)], ..Stack::default() };
    run(&stack).into_iter().map(|(_, fact)| fact).collect()
}

fn text(text: &str) -> Value {
    Value::text(text)
}

#[test]
fn a_machine_without_running_guests_is_left_alone() {
    let facts = [
        ("kvm.nested", "", Value::Bool(true)),
        ("domain.running", "a", Value::Bool(false)),
        ("domain.asks_virt", "a", Value::Bool(true)),
    ];
    assert_eq!(of(&facts), []);
}

#[test]
fn guests_that_may_be_hypervisors() {
    let facts = [
        ("kvm.nested", "", Value::Bool(true)),
        ("qemu.running", "a", Value::Bool(true)),
        ("qemu.cpu", "a", text("host,migratable=on")),
        ("qemu.running", "b", Value::Bool(true)),
        ("qemu.cpu", "b", text("Skylake-Server,vmx=on")),
        ("qemu.running", "c", Value::Bool(true)),
        ("qemu.cpu", "c", text("host,-vmx")),
        ("domain.running", "d", Value::Bool(true)),
        ("domain.asks_virt", "d", Value::Bool(false)),
        ("qemu.cpu", "d", text("host")),
        ("pve.running", "7", Value::Bool(true)),
        ("pve.name", "7", text("e")),
        ("pve.cpu", "7", text("host")),
    ];
    let found = of(&facts);
    assert_eq!(value(&found, "hosting.guests").unwrap(), "a b c d e");
    assert_eq!(value(&found, "hosting.hypervisors").unwrap(), "a b e");
    assert_eq!(value(&found, "hosting.nested").unwrap(), "true");
    assert_eq!(value(&of(&facts[1..]), "hosting.nested").unwrap(), "false");
}

#[test]
fn neither_emulation_nor_other_architectures_nest() {
    let facts = [
        ("kvm.nested", "", Value::Bool(true)),
        ("platform.is_guest", "", Value::Bool(true)),
        ("qemu.running", "slow", Value::Bool(true)),
        ("qemu.accel", "slow", text("tcg")),
        ("qemu.cpu", "slow", text("max")),
        ("domain.running", "emulated", Value::Bool(true)),
        ("domain.asks_tcg", "emulated", Value::Bool(true)),
    ];
    assert_eq!(of(&facts), []);
    let arm = [
        ("qemu.running", "arm", Value::Bool(true)),
        ("qemu.emulator_arch", "arm", text("aarch64")),
        ("qemu.cpu", "arm", text("host")),
    ];
    assert_eq!(value(&of(&arm), "hosting.hypervisors"), None);
}

#[test]
fn a_guest_with_guests_and_a_host_whose_guest_is_known_nest() {
    let running = [("qemu.running", "a", Value::Bool(true))];
    let guest = [running[0].clone(), ("platform.is_guest", "", Value::Bool(true))];
    assert_eq!(value(&of(&guest), "hosting.nested").unwrap(), "true");
    let (mut l0, mut l1) = (host(&running), host(&[]));
    (l0.layer, l1.layer) = (Layer::L0, Layer::L1);
    l1.facts.add(derived("host.name", text("a"), &Origin::default()));
    let stack = Stack { hosts: vec![l0, l1], ..Stack::default() };
    let found: Vec<Fact> = run(&stack).into_iter().map(|(_, f)| f).collect();
    assert_eq!(value(&found, "hosting.nested").unwrap(), "true");
}

#[test]
fn pages_of_guests() {
    let facts = [
        ("qemu.running", "small", Value::Bool(true)),
        ("qemu.memory_mib", "small", Value::Int(2048)),
        ("domain.hugepages", "small", Value::Bool(false)),
        ("qemu.running", "large", Value::Bool(true)),
        ("domain.memory_kib", "large", Value::Int(8 << 20)),
        ("domain.hugepages", "large", Value::Bool(false)),
        ("qemu.running", "huge", Value::Bool(true)),
        ("domain.memory_kib", "huge", Value::Int(64 << 20)),
        ("qemu.hugepages", "huge", Value::Bool(true)),
        ("domain.hugepages", "huge", Value::Bool(false)),
        ("qemu.running", "unknown", Value::Bool(true)),
        ("domain.memory_kib", "unknown", Value::Int(64 << 20)),
    ];
    let found = of(&facts);
    assert_eq!(value(&found, "hosting.ordinary_pages").unwrap(), "large small");
    assert_eq!(value(&found, "hosting.large_ordinary_pages").unwrap(), "large");
}

#[test]
fn pins_are_missed_only_where_they_would_fit() {
    let facts = |overcommit| {
        of(&[
            ("qemu.running", "a", Value::Bool(true)),
            ("domain.asks_virt", "a", Value::Bool(true)),
            ("domain.vcpus_pinned", "a", Value::Int(0)),
            ("domain.vcpus", "a", Value::Int(8)),
            ("qemu.running", "b", Value::Bool(true)),
            ("domain.asks_virt", "b", Value::Bool(false)),
            ("domain.vcpus_pinned", "b", Value::Int(0)),
            ("domain.vcpus", "b", Value::Int(8)),
            ("guests.unpinned", "", Value::words(["a", "b"])),
            ("guests.overcommit", "", Value::Int(overcommit)),
        ])
    };
    assert_eq!(value(&facts(80), "hosting.unpinned").unwrap(), "a");
    assert_eq!(value(&facts(200), "hosting.unpinned"), None);
}

#[test]
fn screens_users_and_filters() {
    let mut facts = vec![
        ("qemu.running", "a", Value::Bool(true)),
        ("domain.uuid", "a", text("0")),
        ("domain.asks_virt", "a", Value::Bool(true)),
        ("domain.video", "a", Value::words(["qxl"])),
        ("domain.usb_inputs", "a", Value::words(["tablet"])),
        ("qemu.user", "a", text("root")),
        ("qemu.running", "b", Value::Bool(true)),
        ("qemu.cpu", "b", text("host")),
        ("domain.video", "b", Value::words(["virtio"])),
        ("domain.usb_inputs", "b", Value::words(["tablet"])),
        ("qemu.user", "b", text("root")),
        ("nic.domain", "52:54:00:00:00:01", text("a")),
        ("nic.source", "52:54:00:00:00:01", text("br0")),
        ("nic.domain", "52:54:00:00:00:02", text("b")),
        ("nic.source", "52:54:00:00:00:02", text("br0")),
    ];
    let with_origin = |facts: &[(&'static str, &str, Value)]| {
        let mut machine = host(&[]);
        for (name, instance, value) in facts {
            let origin = Origin::new("etc/libvirt/qemu/a.xml", Some(1), "");
            machine.facts.add(super::super::derived_of(name, instance, value.clone(), &origin));
        }
        let stack = Stack { hosts: vec![machine], ..Stack::default() };
        run(&stack).into_iter().map(|(_, fact)| fact).collect::<Vec<_>>()
    };
    let found = with_origin(&facts);
    assert_eq!(value(&found, "hosting.desktop_devices").unwrap(), "a");
    assert_eq!(value(&found, "hosting.as_root").unwrap(), "a");
    assert_eq!(value(&found, "hosting.unfiltered").unwrap(), "a b");
    facts.push(("nic.filter", "52:54:00:00:00:02", text("clean-traffic")));
    assert_eq!(value(&with_origin(&facts), "hosting.unfiltered"), None);
}
