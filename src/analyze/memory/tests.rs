//! Facts and events in, derived facts out.

use super::*;
use crate::model::{Event, Writer};

const GIB: i64 = 1 << 20;

fn host(facts: &[(&'static str, &str, Value)], events: &[(&str, &[(&str, &str)])]) -> Host {
    let mut host = Host::new("", Layer::Unknown, "x");
    for (name, instance, value) in facts {
        let instance = (!instance.is_empty()).then(|| (*instance).to_owned());
        host.facts.add(Fact { name, instance, value: value.clone(), origin: Origin::default() });
    }
    for (kind, fields) in events {
        host.events.add(Event {
            kind: (*kind).to_owned(),
            origin: Origin::default(),
            stamp: None,
            writer: Writer::Kernel,
            fields: fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            key: None,
        });
    }
    for fact in run(&host) {
        host.facts.add(fact);
    }
    host
}

fn of(host: &Host, name: &str, instance: &str) -> Option<Value> {
    host.facts.of(name, instance).map(|f| f.value.clone())
}

#[test]
fn running_guests_are_held_against_what_the_pools_leave() {
    let host = host(
        &[
            ("memory.total_kib", "", Value::Int(64 * GIB)),
            ("memory.hugetlb_kib", "", Value::Int(32 * GIB)),
            ("qemu.memory_mib", "a", Value::Int(24 * 1024)),
            ("qemu.running", "a", Value::Bool(true)),
            ("qemu.memory_mib", "b", Value::Int(16 * 1024)),
            ("qemu.running", "b", Value::Bool(true)),
            ("qemu.memory_mib", "huge", Value::Int(32 * 1024)),
            ("qemu.running", "huge", Value::Bool(true)),
            ("qemu.hugepages", "huge", Value::Bool(true)),
            ("domain.memory_kib", "idle", Value::Int(8 * GIB)),
        ],
        &[],
    );
    assert_eq!(host.facts.int("memory.for_guests_kib"), Some(32 * GIB));
    assert_eq!(host.facts.int("guests.running_ram_kib"), Some(40 * GIB));
    assert_eq!(host.facts.int("guests.running_huge_kib"), Some(32 * GIB));
    assert_eq!(host.facts.int("guests.ram_percent"), Some(125));
    assert_eq!(host.facts.int("guests.next_start_percent"), Some(150));
    assert_eq!(of(&host, "guest.ram_percent", "idle"), Some(Value::Int(25)));
    assert_eq!(of(&host, "guest.ram_percent", "huge"), None);
}

#[test]
fn one_guest_under_two_names_counts_once() {
    let host = host(
        &[
            ("memory.total_kib", "", Value::Int(64 * GIB)),
            ("guest.memory_kib", "101", Value::Int(16 * GIB)),
            ("pve.running", "101", Value::Bool(true)),
            ("qemu.memory_mib", "mail", Value::Int(16 * 1024)),
            ("qemu.running", "mail", Value::Bool(true)),
        ],
        &[],
    );
    assert_eq!(host.facts.int("guests.ram_percent"), Some(25));
}

#[test]
fn a_pool_is_short_by_what_is_reserved_already() {
    let facts = |reserved| {
        vec![
            ("hugepages.free", "2048", Value::Int(1024)),
            ("hugepages.reserved", "2048", Value::Int(reserved)),
            ("domain.memory_kib", "a", Value::Int(2 * GIB)),
            ("domain.hugepages", "a", Value::Bool(true)),
            ("domain.hugepage_kib", "a", Value::Int(2048)),
        ]
    };
    let enough = host(&facts(0), &[]);
    assert_eq!(of(&enough, "hugepages.short", "a"), Some(Value::Bool(false)));
    let short = host(&facts(1), &[]);
    assert_eq!(of(&short, "hugepages.short", "a"), Some(Value::Bool(true)));
    assert_eq!(of(&short, "hugepages.available", "a"), Some(Value::Int(1023)));
}

#[test]
fn a_node_is_short_only_if_the_total_is_not() {
    let facts = |total| {
        vec![
            ("memory.hugepage_size_kib", "", Value::Int(2048)),
            ("memory.hugepages_free", "", Value::Int(total)),
            ("numa.hugepages_free", "0", Value::Int(total - 300)),
            ("numa.hugepages_free", "1", Value::Int(300)),
            ("qemu.memory_mib", "a", Value::Int(1024)),
            ("qemu.hugepages", "a", Value::Bool(true)),
            ("qemu.node_ram_kib", "a/1", Value::Int(GIB)),
        ]
    };
    let bound = host(&facts(2048), &[]);
    assert_eq!(of(&bound, "hugepages.short", "a"), Some(Value::Bool(false)));
    assert_eq!(of(&bound, "hugepages.node_short", "a"), Some(Value::Bool(true)));
    assert_eq!(of(&bound, "hugepages.node_needed", "a"), Some(Value::Int(512)));
    let all = host(&facts(400), &[]);
    assert_eq!(of(&all, "hugepages.short", "a"), Some(Value::Bool(true)));
    assert_eq!(of(&all, "hugepages.node_short", "a"), Some(Value::Bool(false)));
}

#[test]
fn a_size_without_a_pool_has_no_pages() {
    let host = host(
        &[
            ("hugepages.free", "2048", Value::Int(9000)),
            ("hugepages.total", "2048", Value::Int(9000)),
            ("guest.memory_kib", "a", Value::Int(GIB)),
            ("guest.hugepages", "a", Value::Bool(true)),
            ("guest.hugepage_kib", "a", Value::Int(GIB)),
        ],
        &[],
    );
    assert_eq!(of(&host, "hugepages.short", "a"), Some(Value::Bool(true)));
    assert_eq!(host.facts.bool("hugepages.none"), Some(false));
}

#[test]
fn qemus_own_words_are_a_guest_too() {
    let host = host(
        &[
            ("hugepages.free", "2048", Value::Int(2048)),
            ("hugepages.node_free", "1/2048", Value::Int(726)),
        ],
        &[(
            "guest_ram",
            &[
                ("huge", "yes"),
                ("error", "no memory"),
                ("id", "ram-node0"),
                ("size_kib", "2097152"),
                ("page_kib", "2048"),
                ("nodes", "1"),
                ("policy", "bind"),
            ],
        )],
    );
    assert_eq!(of(&host, "hugepages.node_short", "ram-node0"), Some(Value::Bool(true)));
}

#[test]
fn the_limit_that_killed_a_guest() {
    let host = host(
        &[
            ("memory.total_kib", "", Value::Int(64 * GIB)),
            ("domain.memory_kib", "big", Value::Int(32 * GIB)),
            ("domain.memory_kib", "a-b", Value::Int(2 * GIB)),
        ],
        &[
            ("oom", &[("step", "limit"), ("scope", "memcg"), ("limit_kib", "2202010")]),
            (
                "oom",
                &[
                    ("step", "constraint"),
                    ("scope", "memcg"),
                    ("vmm", "yes"),
                    ("pid", "7"),
                    ("task", "qemu-kvm"),
                    ("cgroup", "/machine.slice/machine-qemu\\x2d3\\x2da\\x2db.scope/libvirt"),
                    ("limit_cgroup", "/machine.slice"),
                ],
            ),
            (
                "oom",
                &[
                    ("step", "killed"),
                    ("scope", "memcg"),
                    ("vmm", "yes"),
                    ("pid", "7"),
                    ("anon_rss_kib", "2097152"),
                ],
            ),
        ],
    );
    assert_eq!(host.facts.int("oom.limit_percent"), Some(105));
    assert_eq!(host.facts.text("oom.cgroup"), Some("/machine.slice"));
    assert_eq!(host.facts.int("oom.vmm_percent"), Some(3));
}

#[test]
fn another_programs_limit_is_not_a_guests() {
    let host = host(
        &[("domain.memory_kib", "a", Value::Int(2 * GIB))],
        &[
            ("oom", &[("step", "limit"), ("scope", "memcg"), ("limit_kib", "2202010")]),
            ("oom", &[("step", "killed"), ("scope", "memcg"), ("vmm", "no"), ("pid", "9")]),
        ],
    );
    assert_eq!(host.facts.int("oom.limit_percent"), None);
}

#[test]
fn a_killed_guest_counts_beside_those_that_run() {
    let killed = [
        ("step", "killed"),
        ("scope", "global"),
        ("vmm", "yes"),
        ("pid", "7"),
        ("anon_rss_kib", "20971520"),
        ("shmem_rss_kib", "10485760"),
    ];
    let mut facts = vec![("memory.total_kib", "", Value::Int(60 * GIB))];
    let alone = host(&facts, &[("oom", &killed)]);
    assert_eq!(alone.facts.int("oom.guests_percent"), None);
    facts.push(("qemu.memory_mib", "a", Value::Int(36 * 1024)));
    facts.push(("qemu.running", "a", Value::Bool(true)));
    let beside = host(&facts, &[("oom", &killed)]);
    assert_eq!(beside.facts.int("oom.guests_percent"), Some(110));
}

#[test]
fn the_tightest_limit_around_a_guest() {
    let host = host(
        &[
            ("domain.memory_kib", "web", Value::Int(4 * GIB)),
            (
                "cgroup.memory_max_kib",
                "/machine.slice/machine-qemu\\x2d4\\x2dweb.scope",
                Value::Int(5 * GIB),
            ),
            ("cgroup.memory_max_kib", "/system.slice/a.service", Value::Int(GIB)),
            ("cgroup.memory_max_kib", "/kubepods/pod1", Value::Int(4 * GIB)),
            ("cgroup.oom_kills", "/kubepods/pod1", Value::Int(3)),
        ],
        &[],
    );
    assert_eq!(host.facts.int("cgroup.tightest_percent"), Some(100));
    assert_eq!(of(&host, "cgroup.guest_oom_kills", "web"), Some(Value::Int(3)));
}

#[test]
fn pressure_needs_both_memory_and_swap() {
    let pressed = |available, swap_free| {
        host(
            &[
                ("memory.total_kib", "", Value::Int(1000)),
                ("memory.available_kib", "", Value::Int(available)),
                ("memory.swap_total_kib", "", Value::Int(1000)),
                ("memory.swap_free_kib", "", Value::Int(swap_free)),
            ],
            &[],
        )
        .facts
        .bool("memory.pressure")
    };
    assert_eq!(pressed(49, 199), Some(true));
    assert_eq!(pressed(50, 199), Some(false));
    assert_eq!(pressed(49, 200), Some(false));
}

#[test]
fn a_guest_learns_what_its_host_gives() {
    let mut l0 = host(
        &[
            ("domain.memory_kib", "hv1", Value::Int(8 * GIB)),
            ("domain.current_memory_kib", "hv1", Value::Int(6 * GIB)),
            ("domain.uuid", "hv1", Value::text("26c920bd-1da2-42f2-99e9-8d59ba29de54")),
        ],
        &[],
    );
    l0.layer = Layer::L0;
    let uuid = Value::text("26C920BD-1DA2-42F2-99E9-8D59BA29DE54");
    let mut l1 = host(&[("dmi.product_uuid", "", uuid)], &[]);
    l1.layer = Layer::L1;
    let facts = run_stack(&Stack { hosts: vec![l0, l1], ..Stack::default() });
    let shown: Vec<_> = facts.iter().map(|(i, f)| (*i, f.name, f.value.to_string())).collect();
    assert_eq!(
        shown,
        [(1, "memory.given_kib", "8388608".to_owned()), (1, "memory.ballooned", "true".to_owned())]
    );
}

#[test]
fn extreme_numbers_do_not_overflow() {
    let host = host(
        &[
            ("memory.total_kib", "", Value::Int(i64::MAX)),
            ("domain.memory_kib", "a", Value::Int(i64::MAX)),
            ("domain.hugepages", "a", Value::Bool(true)),
            ("domain.hugepage_kib", "a", Value::Int(1)),
            ("hugepages.free", "1", Value::Int(i64::MIN)),
            ("hugepages.reserved", "1", Value::Int(i64::MAX)),
            ("domain.node_ram_kib", "a/0-4000000000", Value::Int(i64::MAX)),
        ],
        &[],
    );
    assert_eq!(of(&host, "hugepages.short", "a"), Some(Value::Bool(true)));
}
