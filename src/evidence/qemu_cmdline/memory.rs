//! What backs guest RAM: `-object memory-backend-{ram,file,memfd}` (qapi/qom.json), the older
//! `-mem-path` and `-mem-prealloc`, and whether it is locked (`-overcommit mem-lock=on`, before
//! QEMU 3.0 `-realtime mlock=on`). The other half of `-overcommit`, `cpu-pm`, is read here too.
//!
//! libvirt writes objects as JSON from 6.0 on, others as `key=value`. A backend file lies on
//! hugetlbfs if its path says so: libvirt mounts /dev/hugepages, /dev/hugepages1G and the like,
//! Proxmox VE /run/hugepages/kvm/SIZEkB.

use std::collections::BTreeMap;

use super::{Command, guest};
use crate::model::{FactDef, Kind, Origin, Out, Value};

pub(super) const FACTS: &[FactDef] = &[
    guest("qemu.hugepages", Kind::Bool, "Whether guest RAM lies in huge pages of a pool"),
    guest(
        "qemu.hugepage_kib",
        Kind::Int,
        "Size of these huge pages, KiB; none where the command line leaves it to the mount",
    ),
    guest("qemu.prealloc", Kind::Bool, "Whether all guest RAM is taken at start"),
    guest("qemu.mem_lock", Kind::Bool, "Whether guest RAM is locked in memory"),
    guest("qemu.cpu_pm", Kind::Bool, "Whether HLT, PAUSE and MWAIT stay in the guest: cpu-pm=on"),
    guest("qemu.mem_path", Kind::Text, "Folder or file that backs guest RAM"),
    FactDef::per(
        "qemu.node_ram_kib",
        Kind::Int,
        "guest/NUMA nodes",
        "Guest RAM that is bound to these NUMA nodes of the host (policy=bind), KiB",
        "ps -ww -o args= -C qemu-system-x86_64",
    ),
];

/// A backend of guest RAM.
struct Backend {
    size_kib: Option<i64>,
    huge: bool,
    page_kib: Option<i64>,
    path: Option<String>,
    prealloc: bool,
    /// `0` or `0,1`; empty if it is bound to none.
    nodes: String,
}

impl Command<'_> {
    /// Adds what backs the guest's RAM.
    pub(super) fn backing(&self, origin: &Origin, out: &mut Out) {
        let backends: Vec<Backend> = self.options("-object").filter_map(backend).collect();
        let old_path = self.option("-mem-path").map(str::to_owned);
        let paths = backends.iter().filter_map(|b| b.path.clone()).chain(old_path);
        let path = paths.min_by_key(|p| !is_huge(p));
        let mut add = |name, value| out.fact_of(name, &self.guest, value, origin.clone());
        let huge = backends.iter().any(|b| b.huge) || path.as_deref().is_some_and(is_huge);
        // In `ps -o comm` and in cut lines the options are missing, not absent.
        if huge || self.arguments.len() > 3 {
            add("qemu.hugepages", Value::Bool(huge));
        }
        let page = backends.iter().filter(|b| b.huge).find_map(|b| b.page_kib);
        if let Some(kib) = page.or_else(|| path.as_deref().and_then(page_of)) {
            add("qemu.hugepage_kib", Value::Int(kib));
        }
        if let Some(path) = path {
            add("qemu.mem_path", Value::text(path));
        }
        let flag = |f: &str| self.arguments.iter().any(|a| a.trim_start_matches('-') == f);
        if backends.iter().any(|b| b.prealloc) || flag("mem-prealloc") {
            add("qemu.prealloc", Value::Bool(true));
        }
        let overcommit = self.options("-overcommit").find_map(|o| value_of(o, "mem-lock"));
        let realtime = self.options("-realtime").find_map(|o| value_of(o, "mlock"));
        if let Some(on) = overcommit.or(realtime) {
            add("qemu.mem_lock", Value::Bool(on != "off"));
        }
        if let Some(on) = self.options("-overcommit").find_map(|o| value_of(o, "cpu-pm")) {
            add("qemu.cpu_pm", Value::Bool(on != "off"));
        }
        self.nodes(&backends, origin, out);
    }

    fn nodes(&self, backends: &[Backend], origin: &Origin, out: &mut Out) {
        let mut bound: BTreeMap<&str, i64> = BTreeMap::new();
        for backend in backends.iter().filter(|b| !b.nodes.is_empty()) {
            let Some(kib) = backend.size_kib else { continue };
            let sum = bound.entry(&backend.nodes).or_default();
            *sum = sum.saturating_add(kib);
        }
        for (nodes, kib) in bound {
            let instance = format!("{}/{nodes}", self.guest);
            out.fact_of("qemu.node_ram_kib", &instance, Value::Int(kib), origin.clone());
        }
    }
}

fn value_of<'a>(option: &'a str, key: &str) -> Option<&'a str> {
    option.split(',').find_map(|p| p.strip_prefix(key)?.strip_prefix('='))
}

/// Whether a path lies on hugetlbfs.
fn is_huge(path: &str) -> bool {
    path.contains("huge")
}

/// The size of pages that a mount's name gives, KiB: `1048576kB`, `hugepages1G`, `hugepages-2M`.
fn page_of(path: &str) -> Option<i64> {
    path.split('/').find_map(|part| {
        if let Some(kib) = part.strip_suffix("kB") {
            return kib.parse().ok();
        }
        let size = part.strip_prefix("hugepages")?.trim_start_matches(['-', '_']);
        let size = size.trim_end_matches(['B', 'b']).trim_end_matches('i');
        match size.split_at_checked(size.len().checked_sub(1)?)? {
            (number, "G" | "g") => number.parse::<i64>().ok()?.checked_mul(1 << 20),
            (number, "M" | "m") => number.parse::<i64>().ok()?.checked_mul(1 << 10),
            _ => None,
        }
    })
}

fn backend(object: &str) -> Option<Backend> {
    let keys = if object.starts_with('{') { json(object)? } else { pairs(object) };
    let kind = keys.get("qom-type")?;
    if !kind.starts_with("memory-backend-") {
        return None;
    }
    let on = |key| keys.get(key).is_some_and(|v| matches!(v.as_str(), "on" | "yes" | "true"));
    let path = keys.get("mem-path").cloned();
    let bound = keys.get("policy").is_some_and(|p| p == "bind");
    Some(Backend {
        size_kib: keys.get("size").and_then(|s| kib(s)),
        huge: on("hugetlb") || path.as_deref().is_some_and(is_huge),
        page_kib: keys.get("hugetlbsize").and_then(|s| kib(s)),
        path,
        prealloc: on("prealloc"),
        nodes: keys.get("host-nodes").filter(|_| bound).cloned().unwrap_or_default(),
    })
}

/// `memory-backend-memfd,id=ram,size=4G`; a key given several times keeps all its values.
fn pairs(object: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for (index, part) in object.split(',').enumerate() {
        let (key, value) = match part.split_once('=') {
            Some(pair) => pair,
            None if index == 0 => ("qom-type", part),
            None => (part, "on"),
        };
        keys.entry(key.to_owned())
            .and_modify(|v: &mut String| {
                v.push(',');
                v.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    keys
}

/// The same as a JSON object; a list becomes its values with commas.
fn json(object: &str) -> Option<BTreeMap<String, String>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(object).ok()?;
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let flat = object.into_iter().map(|(key, value)| match value {
        serde_json::Value::Array(list) => {
            (key, list.iter().map(word).collect::<Vec<_>>().join(","))
        }
        value => (key, word(&value)),
    });
    Some(flat.collect())
}

/// A size of QEMU's, bytes where no unit is given, in KiB.
fn kib(size: &str) -> Option<i64> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: i64 = digits.parse().ok()?;
    match size.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" | "b" => Some(number >> 10),
        "k" => Some(number),
        "m" => number.checked_mul(1 << 10),
        "g" => number.checked_mul(1 << 20),
        "t" => number.checked_mul(1 << 30),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::qemu_cmdline::SLICE;
    use crate::evidence::testing::read;

    fn of(line: &str) -> Vec<String> {
        let out = read(SLICE.parse, "commands/qemu-cmdline.txt", line);
        let shown = |f: &crate::model::Fact| {
            format!("{} {} {}", f.name, f.instance.clone().unwrap_or_default(), f.value)
        };
        out.facts.iter().map(shown).collect()
    }

    #[track_caller]
    fn has(line: &str, wanted: &[&str]) {
        let facts = of(line);
        for fact in wanted {
            assert!(facts.iter().any(|f| f == fact), "{fact} is not in {facts:#?}");
        }
    }

    #[test]
    fn backends_as_json_and_as_keys() {
        has(
            "qemu-kvm -name guest=a -m size=8388608k -object '{\"qom-type\":\"memory-backend-file\",\"id\":\"ram-node0\",\"mem-path\":\"/dev/hugepages1G/libvirt/qemu/1-a\",\"prealloc\":true,\"size\":8589934592,\"host-nodes\":[1],\"policy\":\"bind\"}' -overcommit mem-lock=on",
            &[
                "qemu.hugepages a true",
                "qemu.hugepage_kib a 1048576",
                "qemu.prealloc a true",
                "qemu.mem_lock a true",
                "qemu.node_ram_kib a/1 8388608",
            ],
        );
        has(
            "qemu-kvm -name b -m 4G -object memory-backend-memfd,id=r0,size=2G,hugetlb=on,hugetlbsize=2M,host-nodes=0,policy=bind -object memory-backend-memfd,id=r1,size=2G,hugetlb=on,hugetlbsize=2M,host-nodes=0,policy=bind -realtime mlock=off",
            &[
                "qemu.hugepages b true",
                "qemu.hugepage_kib b 2048",
                "qemu.node_ram_kib b/0 4194304",
                "qemu.mem_lock b false",
            ],
        );
    }

    #[test]
    fn old_options_and_plain_memory() {
        has(
            "qemu-system-x86_64 -name c -m 4096 -mem-path /run/hugepages/kvm/2048kB -mem-prealloc",
            &["qemu.hugepages c true", "qemu.hugepage_kib c 2048", "qemu.prealloc c true"],
        );
        has("qemu-system-x86_64 -name d -m 4096 -smp 2", &["qemu.hugepages d false"]);
        has("qemu-system-x86_64 -name f -overcommit cpu-pm=on", &["qemu.cpu_pm f true"]);
        let shared = of(
            "qemu-system-x86_64 -name e -m 1G -object memory-backend-file,id=m,size=1G,mem-path=/dev/shm,share=on -object memory-backend-ram,id=x,size=1G,host-nodes=0,policy=preferred",
        );
        assert!(shared.contains(&"qemu.hugepages e false".to_owned()));
        assert!(!shared.iter().any(|f| f.starts_with("qemu.node_ram_kib")), "{shared:?}");
    }

    #[test]
    fn broken_objects_cost_only_themselves() {
        for object in ["'{\"qom-type\":'", "memory-backend-ram,size=many", "é", ","] {
            let facts = of(&format!("qemu-system-x86_64 -name a -m 4096 -object {object}"));
            assert!(facts.contains(&"qemu.memory_mib a 4096".to_owned()), "{object}");
        }
        assert_eq!(page_of("/dev/hugepages"), None);
        assert_eq!(page_of("/dev/hugepages-é"), None);
    }
}
