//! Lines of kernels 3.10 to 6.12 and of QEMU 2 to 9.

use super::*;

#[track_caller]
fn has(record: &Record, wanted: &[(&str, &str)]) {
    for (name, value) in wanted {
        assert_eq!(record.fields.get(*name).map(String::as_str), Some(*value), "{name}");
    }
}

#[test]
fn victims_in_all_forms() {
    for (line, step, scope, name, pid) in [
        (
            "Out of memory: Killed process 901 (qemu-system-x86) total-vm:5000kB, anon-rss:4000kB, file-rss:8kB, shmem-rss:4kB, UID:107 pgtables:60kB oom_score_adj:0",
            "killed",
            "global",
            "qemu-system-x86",
            "901",
        ),
        (
            "Memory cgroup out of memory: Killed process 77 (CPU 0/KVM) total-vm:5000kB, anon-rss:4000kB",
            "killed",
            "memcg",
            "CPU 0/KVM",
            "77",
        ),
        (
            "Out of memory: Kill process 5 (qemu-kvm) score 811 or sacrifice child",
            "chosen",
            "global",
            "qemu-kvm",
            "5",
        ),
        (
            "Killed process 5, UID 107, (qemu-kvm) total-vm:9kB, anon-rss:8kB, file-rss:1kB",
            "killed",
            "",
            "qemu-kvm",
            "5",
        ),
        (
            "Memory cgroup out of memory: Kill process 8 (kvm) score 1966 or sacrifice child",
            "chosen",
            "memcg",
            "kvm",
            "8",
        ),
    ] {
        let record = oom(line).unwrap_or_else(|| panic!("{line}"));
        has(&record, &[("step", step), ("task", name), ("pid", pid), ("vmm", "yes")]);
        assert_eq!(record.fields.get("scope").map_or("", String::as_str), scope, "{line}");
    }
    let record = oom("Out of memory: Killed process 9 (java) total-vm:7kB, anon-rss:6kB").unwrap();
    has(&record, &[("vmm", "no"), ("total_vm_kib", "7"), ("anon_rss_kib", "6")]);
}

#[test]
fn the_cgroup_and_its_limit() {
    let record = oom(
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=emulator,mems_allowed=0-1,\
         oom_memcg=/machine.slice,task_memcg=/machine.slice/machine-qemu\\x2d3\\x2da.scope,\
         task=kvm,pid=2016,uid=0",
    )
    .unwrap();
    has(
        &record,
        &[
            ("step", "constraint"),
            ("scope", "memcg"),
            ("limit_cgroup", "/machine.slice"),
            ("cgroup", "/machine.slice/machine-qemu\\x2d3\\x2da.scope"),
            ("task", "kvm"),
            ("pid", "2016"),
        ],
    );
    let record = oom(
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
         task_memcg=/user.slice,task=java,pid=7,uid=0",
    )
    .unwrap();
    has(&record, &[("scope", "global"), ("cgroup", "/user.slice"), ("vmm", "no")]);
    let record = oom("memory: usage 2048kB, limit 4096kB, failcnt 11").unwrap();
    has(&record, &[("step", "limit"), ("usage_kib", "2048"), ("limit_kib", "4096")]);
    assert_eq!(oom("memory: usage 2048kB, limit 9007199254740988kB, failcnt 0"), None);
    let old = oom("Task in /docker/ab killed as a result of limit of /docker/ab").unwrap();
    has(&old, &[("scope", "memcg"), ("limit_cgroup", "/docker/ab")]);
}

#[test]
fn vmms_in_the_table_of_tasks() {
    let new =
        oom("[ 187900] 107 187900 812311 2048 1000 1048 0 49152 0 0 qemu-system-x86").unwrap();
    has(&new, &[("step", "task"), ("pid", "187900"), ("anon_rss_kib", "8192")]);
    let old =
        oom("[ 4711]   107  4711   812311   100     20        0             0 qemu-kvm").unwrap();
    has(&old, &[("anon_rss_kib", "400")]);
    for line in ["[ 4711] 0 4711 1 2 3 4 5 bash", "[qemu-kvm] x", "kvm: x", "[1] 2 3 qemu-kvm"] {
        assert_eq!(oom(line), None, "{line}");
    }
}

#[test]
fn qemu_names_what_it_did_not_get() {
    let record = guest_ram(
        "internal error: qemu unexpectedly closed the monitor: 2022-01-12T11:41:06.220941Z qemu-kvm: \
         -object memory-backend-memfd,id=ram-node0,hugetlb=yes,hugetlbsize=2097152,prealloc=yes,\
         size=2147483648,host-nodes=1,policy=bind: os_mem_prealloc: Insufficient free host memory \
         pages available to allocate guest RAM",
    )
    .unwrap();
    has(
        &record,
        &[
            ("step", "prealloc"),
            ("size_kib", "2097152"),
            ("page_kib", "2048"),
            ("nodes", "1"),
            ("policy", "bind"),
            ("huge", "yes"),
        ],
    );
    let json = guest_ram(
        "qemu-kvm: -object {\"qom-type\":\"memory-backend-file\",\"id\":\"pc.ram\",\
         \"mem-path\":\"/dev/hugepages/libvirt/qemu/1-a\",\"size\":1073741824,\
         \"host-nodes\":[0,1],\"policy\":\"bind\"}: unable to map backing store for guest RAM: \
         Cannot allocate memory",
    )
    .unwrap();
    has(&json, &[("step", "map"), ("size_kib", "1048576"), ("nodes", "0,1"), ("huge", "yes")]);
    let plain = "cannot set up guest memory 'pc.ram': Cannot allocate memory";
    has(&guest_ram(plain).unwrap(), &[("step", "anonymous"), ("error", "no memory")]);
    let other = guest_ram("unable to map backing store for guest RAM: Permission denied").unwrap();
    has(&other, &[("error", "other")]);
}

#[test]
fn copies_of_a_line_have_one_key() {
    let line = "2026-05-04T08:12:21.004411Z qemu-system-x86_64: os_mem_prealloc: Insufficient \
                free host memory pages available to allocate guest RAM";
    let copy = format!("error: internal error: qemu unexpectedly closed the monitor: {line}");
    assert_eq!(guest_ram(line).unwrap().key, guest_ram(&copy).unwrap().key);
    assert!(guest_ram(line).unwrap().key.is_some());
}

#[test]
fn broken_lines_are_no_records() {
    for line in [
        "oom-kill:",
        "oom-kill:constraint",
        "Killed process",
        "Killed process (x)",
        "Out of memory: Kill process x (y)",
        "memory: usage",
        "Task in é",
        "[ é",
        "Killed process 1 (",
    ] {
        assert_eq!(oom(line), None, "{line}");
    }
    assert!(guest_ram("memory-backend-é cannot set up guest memory").is_some());
}
