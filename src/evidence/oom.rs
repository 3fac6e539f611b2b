//! Memory that could not be had: what the kernel's OOM killer says, and QEMU's refusals.
//!
//! The killer writes several lines for one kill (mm/oom_kill.c, mm/memcontrol.c), whose forms
//! changed: who asked (`X invoked oom-killer:`), the cgroup's limit (`memory: usage 1kB, limit
//! 1kB`), from 4.19 on one line of keys (`oom-kill:constraint=...`), and the victim: `Out of
//! memory: Killed process 1 (x) ...`, before 5.1 `Out of memory: Kill process 1 (x) score 9 or
//! sacrifice child` and then `Killed process 1 (x) ...`; `Memory cgroup out of memory:` in front
//! where a cgroup's limit was hit. Each line makes a record of its own; `step` tells which.
//!
//! QEMU names the memory it did not get (`file_ram_alloc` and `ram_block_add` in system/physmem.c,
//! `qemu_prealloc_mem` in util/oslib-posix.c) and, before it, the option that asked for it.
//!
//! Not parsed: the table of tasks but for VMMs, and the statistics of memory.

use std::collections::BTreeMap;

use crate::model::{Record, RecordParser, Writer};

/// The kernel's OOM killer.
pub const OOM: RecordParser = RecordParser {
    kind: "oom",
    doc: "A line of the kernel's OOM killer; `step` is invoked, limit, constraint, chosen, killed \
          or task; `scope` is global, memcg, cpuset or mempolicy and empty where the line does not \
          say; `vmm` is yes where the task is a VMM; sizes are KiB (mm/oom_kill.c)",
    fields: &[
        "step",
        "scope",
        "task",
        "pid",
        "vmm",
        "cgroup",
        "limit_cgroup",
        "total_vm_kib",
        "anon_rss_kib",
        "file_rss_kib",
        "shmem_rss_kib",
        "usage_kib",
        "limit_kib",
    ],
    literals: &[
        "invoked oom-killer",
        "oom-kill:",
        "Out of memory",
        "Memory cgroup out of memory",
        "Killed process ",
        "memory: usage ",
        "killed as a result of limit of ",
        "] qemu",
        " qemu-",
        " kvm",
        " cloud-hyperviso",
        " firecracker",
    ],
    writers: &[Writer::Kernel],
    parse: oom,
};

/// QEMU's refusals to start for want of guest RAM.
pub const GUEST_RAM: RecordParser = RecordParser {
    kind: "guest_ram",
    doc: "Guest RAM that QEMU did not get; `step` is map (the backing file cannot be mapped), \
          prealloc (pages run out while it is filled) or anonymous; sizes are KiB, `nodes` and \
          `policy` are of the option that the message names (system/physmem.c)",
    fields: &["step", "error", "id", "size_kib", "page_kib", "path", "nodes", "policy", "huge"],
    literals: &[
        "unable to map backing store for",
        "Insufficient free host memory pages available",
        "preallocating memory failed",
        "cannot set up guest memory",
        "file_ram_alloc: can't mmap RAM pages",
        "Failed to allocate memory: Cannot allocate memory",
    ],
    writers: &[
        Writer::Qemu,
        Writer::Stderr,
        Writer::Libvirt,
        Writer::Vmm,
        Writer::Kubevirt,
        Writer::Openstack,
        Writer::Proxmox,
        Writer::Container,
        Writer::Systemd,
    ],
    parse: guest_ram,
};

type Fields = BTreeMap<String, String>;

fn set(fields: &mut Fields, name: &str, value: &str) {
    if !value.is_empty() {
        fields.insert(name.to_owned(), value.to_owned());
    }
}

fn record(fields: Fields, key: &[&str]) -> Record {
    let values: Vec<&str> = key.iter().map(|k| fields.get(*k).map_or("", String::as_str)).collect();
    Record { key: Some(values.join("\u{1f}")), fields }
}

/// Whether a task's name is a VMM's; the kernel keeps 15 characters, and QEMU names its threads.
fn is_vmm(task: &str) -> bool {
    const BEGINS: &[&str] =
        &["qemu-system-", "qemu-kvm", "cloud-hyperviso", "firecracker", "crosvm", "VBoxHeadless"];
    let whole = matches!(task, "kvm" | "qemu" | "VirtualBoxVM" | "vmware-vmx" | "virt-launcher");
    let vcpu = task.starts_with("CPU ") && task.contains("KVM");
    whole || vcpu || BEGINS.iter().any(|b| task.starts_with(b))
}

fn task(fields: &mut Fields, name: &str, pid: &str) {
    set(fields, "task", name);
    set(fields, "pid", pid);
    set(fields, "vmm", if is_vmm(name) { "yes" } else { "no" });
}

fn oom(message: &str) -> Option<Record> {
    let message = message.trim();
    if let Some((name, _)) = message.split_once(" invoked oom-killer") {
        let mut fields = Fields::new();
        set(&mut fields, "step", "invoked");
        task(&mut fields, name, "");
        // The same task may ask again: such records are no copies of each other.
        return Some(Record { fields, key: None });
    }
    constraint(message)
        .or_else(|| limit(message))
        .or_else(|| limit_of(message))
        .or_else(|| victim(message))
        .or_else(|| listed(message))
}

/// `oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/a,task_memcg=/a/b,task=x,pid=1,uid=0`.
fn constraint(message: &str) -> Option<Record> {
    let keys = message.split_once("oom-kill:")?.1.trim_start();
    let value = |key: &str| {
        let start = if keys.starts_with(key) {
            key.len()
        } else {
            keys.find(&format!(",{key}"))?.checked_add(key.len() + 1)?
        };
        keys.get(start..)?.split(',').next()
    };
    let constraint = value("constraint=")?;
    let mut fields = Fields::new();
    set(&mut fields, "step", "constraint");
    let scope = match constraint {
        "CONSTRAINT_MEMCG" => "memcg",
        "CONSTRAINT_NONE" => "global",
        "CONSTRAINT_CPUSET" => "cpuset",
        "CONSTRAINT_MEMORY_POLICY" => "mempolicy",
        _ => "",
    };
    set(&mut fields, "scope", scope);
    set(&mut fields, "cgroup", value("task_memcg=").unwrap_or_default());
    set(&mut fields, "limit_cgroup", value("oom_memcg=").unwrap_or_default());
    task(&mut fields, value("task=").unwrap_or_default(), value("pid=").unwrap_or_default());
    Some(record(fields, &["step", "scope", "task", "pid"]))
}

/// `memory: usage 2326528kB, limit 2326528kB, failcnt 390112`: the cgroup that is full.
fn limit(message: &str) -> Option<Record> {
    let rest = message.strip_prefix("memory: usage ")?;
    let mut parts = rest.split(", ");
    let usage = parts.next()?.strip_suffix("kB")?;
    let limit = parts.next()?.strip_prefix("limit ")?.strip_suffix("kB")?;
    usage.parse::<u64>().ok()?;
    // Version 1 prints 2^53 - 4 KiB or so for none.
    let limit = limit.parse::<u64>().ok().filter(|l| *l < 1 << 52)?.to_string();
    let mut fields = Fields::new();
    set(&mut fields, "step", "limit");
    set(&mut fields, "scope", "memcg");
    set(&mut fields, "usage_kib", usage);
    set(&mut fields, "limit_kib", &limit);
    set(&mut fields, "failcnt", parts.next().unwrap_or_default());
    let mut made = record(fields, &["step", "usage_kib", "limit_kib", "failcnt"]);
    made.fields.remove("failcnt");
    Some(made)
}

/// `Task in /a/b killed as a result of limit of /a`: kernels before 4.19.
fn limit_of(message: &str) -> Option<Record> {
    let (task, limit) = message.strip_prefix("Task in ")?.split_once(" killed as a result of ")?;
    let mut fields = Fields::new();
    set(&mut fields, "step", "constraint");
    set(&mut fields, "scope", "memcg");
    set(&mut fields, "cgroup", task);
    set(&mut fields, "limit_cgroup", limit.strip_prefix("limit of ")?);
    Some(Record { fields, key: None })
}

/// The line that names the victim, in all its forms.
fn victim(message: &str) -> Option<Record> {
    let (scope, rest) = match message.split_once("Memory cgroup out of memory") {
        Some((_, rest)) => ("memcg", rest),
        None => match message.split_once("Out of memory") {
            Some((_, rest)) => ("global", rest),
            None => ("", message),
        },
    };
    let (step, rest) = match rest.split_once("Killed process ") {
        Some((_, rest)) => ("killed", rest),
        None => ("chosen", rest.split_once("Kill process ")?.1),
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (pid, rest) = rest.split_at(digits);
    let (name, rest) = rest.split_once('(')?.1.split_once(')')?;
    if pid.is_empty() {
        return None;
    }
    let mut fields = Fields::new();
    set(&mut fields, "step", step);
    set(&mut fields, "scope", scope);
    task(&mut fields, name, pid);
    for (key, field) in [
        ("total-vm:", "total_vm_kib"),
        ("anon-rss:", "anon_rss_kib"),
        ("file-rss:", "file_rss_kib"),
        ("shmem-rss:", "shmem_rss_kib"),
    ] {
        let size = rest.split_once(key).and_then(|(_, rest)| rest.split_once("kB"));
        if let Some((size, _)) = size.filter(|(s, _)| s.parse::<u64>().is_ok()) {
            set(&mut fields, field, size);
        }
    }
    Some(record(fields, &["step", "task", "pid"]))
}

/// A VMM in the table of tasks: `[ 4711]   107  4711  2400100  1048576 ... qemu-system-x86`. The
/// columns are pid, uid, tgid, total_vm and rss, in pages of 4 KiB, then others, then the name.
fn listed(message: &str) -> Option<Record> {
    let (pid, rest) = message.strip_prefix('[')?.split_once(']')?;
    let pid = pid.trim();
    pid.parse::<u32>().ok()?;
    let columns: Vec<&str> = rest.split_whitespace().collect();
    let numbers = columns.iter().take_while(|c| c.parse::<i64>().is_ok()).count();
    let name = columns.get(numbers..).filter(|n| !n.is_empty() && numbers >= 7)?.join(" ");
    let name = name.trim_matches(['(', ')']);
    if !is_vmm(name) {
        return None;
    }
    let pages: u64 = columns.get(3)?.parse().ok()?;
    let mut fields = Fields::new();
    set(&mut fields, "step", "task");
    task(&mut fields, name, pid);
    set(&mut fields, "anon_rss_kib", &pages.checked_mul(4)?.to_string());
    Some(record(fields, &["step", "task", "pid", "anon_rss_kib"]))
}

fn guest_ram(message: &str) -> Option<Record> {
    const STEPS: &[(&str, &str)] = &[
        ("unable to map backing store for", "map"),
        ("file_ram_alloc: can't mmap ram pages", "map"),
        ("insufficient free host memory pages available", "prealloc"),
        ("preallocating memory failed", "prealloc"),
        ("cannot set up guest memory", "anonymous"),
        ("failed to allocate memory: cannot allocate memory", "anonymous"),
    ];
    let lower = message.to_ascii_lowercase();
    let (_, step) = STEPS.iter().find(|(words, _)| lower.contains(words))?;
    let mut fields = Fields::new();
    set(&mut fields, "step", step);
    let out_of_memory = *step == "prealloc"
        || lower.contains("cannot allocate memory")
        || lower.contains("no space left")
        || lower.contains("bad address");
    set(&mut fields, "error", if out_of_memory { "no memory" } else { "other" });
    option(message, &mut fields);
    let error = fields.get("error").cloned().unwrap_or_default();
    let id = fields.get("id").cloned().unwrap_or_default();
    // QEMU's line is repeated by libvirt, by its client and by whatever started that.
    let stamp = qemu_stamp(message).unwrap_or_default();
    let key = (!stamp.is_empty()).then(|| format!("{step}\u{1f}{error}\u{1f}{id}\u{1f}{stamp}"));
    Some(Record { fields, key })
}

/// QEMU's own time stamp (`-msg timestamp=on`), which stays the same in all copies of its line.
fn qemu_stamp(message: &str) -> Option<&str> {
    let end = message.find("Z qemu").or_else(|| message.find("Z /usr"))?;
    let start = message[..end].rfind(|c: char| !matches!(c, '0'..='9' | '-' | ':' | '.' | 'T'));
    message.get(start.map_or(0, |s| s + 1)..end)
}

/// The `-object memory-backend-...` that a message names, as keys or as JSON.
fn option(message: &str, fields: &mut Fields) {
    let Some(start) = message.find("memory-backend-") else { return };
    let object = message.get(start..).unwrap_or_default();
    let value = |key: &str| -> Option<String> {
        let plain = object.split([',', ' ']).find_map(|p| p.strip_prefix(key)?.strip_prefix('='));
        let plain = plain.map(|p| p.trim_end_matches(':').to_owned());
        plain.or_else(|| {
            let rest = object.split_once(&format!("\"{key}\":"))?.1;
            let end = if rest.starts_with('[') { rest.find(']')? } else { rest.find([',', '}'])? };
            Some(rest.get(..end)?.trim_matches(['[', '"', ' ']).to_owned())
        })
    };
    let kib = |key| value(key).and_then(|v| v.parse::<u64>().ok()).map(|b| (b >> 10).to_string());
    for (field, found) in [
        ("id", value("id")),
        ("size_kib", kib("size")),
        ("page_kib", kib("hugetlbsize")),
        ("path", value("mem-path")),
        ("nodes", value("host-nodes")),
        ("policy", value("policy")),
    ] {
        set(fields, field, &found.unwrap_or_default());
    }
    let huge = value("hugetlb").is_some_and(|v| matches!(v.as_str(), "yes" | "on" | "true"))
        || value("mem-path").is_some_and(|p| p.contains("huge"));
    set(fields, "huge", if huge { "yes" } else { "no" });
}

#[cfg(test)]
#[path = "oom_tests.rs"]
mod tests;
