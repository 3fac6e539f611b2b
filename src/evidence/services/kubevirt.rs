//! KubeVirt's objects, as `kubectl get -o yaml` or `-o json` prints them.
//!
//! * VirtualMachineInstance and VirtualMachine: `spec.domain.cpu`, `spec.domain.memory.hugepages`
//!   (below `template` in a VirtualMachine)
//! * KubeVirt: `configuration.developerConfiguration.featureGates`
//!
//! Both formats are read by their indentation, so a cut object gives what it has. Flow style
//! (`{a: b}`) and JSON on one line are not parsed; what asks for emulation is in `emulation.rs`,
//! and what nodes offer in the slice `container`.

use super::Reader;
use crate::model::{FactDef, Kind, Value};
use crate::parse::{kv, lines};

const VMI: &str = "kubectl get vmi NAME -o yaml";

pub(super) const FACTS: &[FactDef] = &[
    FactDef::per(
        "kubevirt.cpu_model",
        Kind::Text,
        "VMI",
        "CPU model of a VirtualMachineInstance, e.g. host-passthrough",
        VMI,
    ),
    FactDef::per(
        "kubevirt.cpu_require",
        Kind::Words,
        "VMI",
        "CPU features that a VMI is given (policy require, force or optional, or none), e.g. vmx",
        VMI,
    ),
    FactDef::per(
        "kubevirt.cpu_disable",
        Kind::Words,
        "VMI",
        "CPU features that a VMI is denied (policy disable or forbid)",
        VMI,
    ),
    FactDef::per(
        "kubevirt.dedicated_cpus",
        Kind::Bool,
        "VMI",
        "Whether vCPUs are pinned (dedicatedCpuPlacement)",
        VMI,
    ),
    FactDef::per("kubevirt.hugepages", Kind::Text, "VMI", "Size of huge pages, e.g. 2Mi, 1Gi", VMI),
    FactDef::new(
        "kubevirt.feature_gates",
        Kind::Words,
        "Feature gates of KubeVirt that are on",
        "kubectl get kubevirt -A -o yaml",
    ),
];

/// One line: where it stands, and what it says.
struct Entry<'a> {
    /// Keys above it, without those of lists.
    path: Vec<String>,
    key: &'a str,
    value: &'a str,
    line: u32,
    text: &'a str,
}

/// The entries of a document by indentation. An item of a list stands at its dash.
fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut found = Vec::new();
    for (line, text) in lines(text) {
        let mut body = text.trim_start();
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        if body.starts_with("---") {
            above.clear();
            continue;
        }
        let dash = body.starts_with("- ");
        let mut depth = text.len() - body.len();
        // A list may stand as deep as the key it belongs to.
        above.retain(|(d, _)| *d < depth || (dash && *d == depth));
        if dash {
            body = body[2..].trim_start();
            depth = text.len() - body.len();
        }
        let body = body.trim_end().trim_end_matches(',');
        let pair = body.split_once(": ").or_else(|| Some((body.strip_suffix(':')?, "")));
        let (key, value) = pair.unwrap_or(("", body));
        let (key, value) = (kv::unquote(key.trim()), kv::unquote(value.trim()));
        let path = above.iter().map(|(_, key)| key.clone()).collect();
        found.push(Entry { path, key, value, line, text });
        if pair.is_some() && matches!(value, "" | "{" | "[") {
            above.push((depth, key.to_owned()));
        }
    }
    found
}

/// Whether the path ends with these keys.
fn ends(path: &[String], keys: &[&str]) -> bool {
    path.len() >= keys.len() && path[path.len() - keys.len()..].iter().eq(keys.iter())
}

pub(super) fn parse(text: &str, reader: &mut Reader<'_, '_>) {
    if !["VirtualMachine", "KubeVirt"].iter().any(|word| text.contains(word)) {
        return;
    }
    let entries = entries(text);
    let mut gates: Vec<&Entry<'_>> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let path = entry.path.as_slice();
        let add = |reader: &mut Reader<'_, '_>, fact, value| {
            let name = name_of(&entries, at);
            reader.add_of(fact, &name, value, entry.line, entry.text);
        };
        if ends(path, &["domain", "cpu"]) && !entry.value.is_empty() {
            match entry.key {
                "model" => add(reader, "kubevirt.cpu_model", Value::text(entry.value)),
                "dedicatedCpuPlacement" => {
                    if let Some(on) = kv::boolean(entry.value) {
                        add(reader, "kubevirt.dedicated_cpus", Value::Bool(on));
                    }
                }
                _ => {}
            }
        } else if ends(path, &["memory", "hugepages"]) && entry.key == "pageSize" {
            add(reader, "kubevirt.hugepages", Value::text(entry.value));
        } else if ends(path, &["cpu", "features"]) && entry.key == "name" {
            let denied = policy(&entries, at).is_some_and(|p| matches!(p, "disable" | "forbid"));
            let fact = if denied { "kubevirt.cpu_disable" } else { "kubevirt.cpu_require" };
            add(reader, fact, Value::words([entry.value]));
        } else if ends(path, &["developerConfiguration", "featureGates"])
            && entry.key.is_empty()
            && !matches!(entry.value, "]" | "}")
        {
            gates.push(entry);
        }
    }
    if let Some(first) = gates.first() {
        let words = Value::words(gates.iter().map(|g| g.value));
        reader.add("kubevirt.feature_gates", words, first.line, first.text);
    }
}

/// The policy of the same feature: the line after its name or before it.
fn policy<'a>(entries: &[Entry<'a>], at: usize) -> Option<&'a str> {
    let feature = &entries[at];
    let starts = |e: &Entry<'_>| e.text.trim_start().starts_with("- ");
    let next = entries.get(at + 1).filter(|e| !starts(e));
    let previous = at.checked_sub(1).and_then(|b| entries.get(b)).filter(|_| !starts(feature));
    let is_policy = |e: &&Entry<'a>| e.key == "policy" && e.path == feature.path;
    next.filter(is_policy).or(previous.filter(is_policy)).map(|e| e.value)
}

/// `metadata.name` of the object that an entry belongs to: the nearest before it, which the
/// alphabet puts before `spec` and `status`; where the object has none before, the file's first.
fn name_of(entries: &[Entry<'_>], at: usize) -> String {
    let is_name = |e: &&Entry<'_>| {
        let inner = ends(&e.path, &["template", "metadata"]);
        e.key == "name" && ends(&e.path, &["metadata"]) && !inner
    };
    let before = entries.iter().take(at).rfind(is_name);
    before.or_else(|| entries.iter().find(is_name)).map_or("", |e| e.value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::facts_of;

    #[test]
    fn an_instance() {
        let text = "kind: VirtualMachineInstance\nmetadata:\n  name: test\n  labels:\n    x: y\n\
            spec:\n  domain:\n    cpu:\n      cores: 1\n      dedicatedCpuPlacement: true\n\
            \x20     features:\n      - name: vmx\n        policy: require\n      - name: svm\n        policy: disable\n\
            \x20     model: host-passthrough\n    devices:\n      interfaces:\n      - model: virtio\n        name: default\n\
            \x20   memory:\n      hugepages:\n        pageSize: 2Mi\n";
        let expected = [
            "kubevirt.dedicated_cpus[test]=true",
            "kubevirt.cpu_require[test]=vmx",
            "kubevirt.cpu_disable[test]=svm",
            "kubevirt.cpu_model[test]=host-passthrough",
            "kubevirt.hugepages[test]=2Mi",
        ];
        assert_eq!(facts_of("commands/kubectl-get-vmi.txt", text), expected);
    }

    #[test]
    fn a_machine_in_json() {
        let text = "{\n  \"kind\": \"VirtualMachine\",\n  \"metadata\": {\n    \"name\": \"a\"\n  },\n\
            \x20 \"spec\": {\n    \"template\": {\n      \"metadata\": {\n        \"name\": \"inner\"\n      },\n\
            \x20     \"spec\": {\n        \"domain\": {\n          \"cpu\": {\n            \"model\": \"Opteron_G2\",\n\
            \x20           \"cores\": 2\n          }\n        }\n      }\n    }\n  }\n}\n";
        assert_eq!(facts_of("commands/oc-get-vm.txt", text), ["kubevirt.cpu_model[a]=Opteron_G2"]);
    }

    #[test]
    fn gates_that_are_on() {
        let text = "kind: KubeVirt\nspec:\n  configuration:\n    developerConfiguration:\n\
            \x20     featureGates:\n      - CPUManager\n      - HostDevices\n    network: {}\n";
        let expected = ["kubevirt.feature_gates=CPUManager HostDevices"];
        assert_eq!(facts_of("kubevirt.yaml", text), expected);
    }
}
