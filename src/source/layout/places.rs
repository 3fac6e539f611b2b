//! Places of other tools: files that they keep under names of their own, by the last folders of
//! their paths.
//!
//! | tool | layout |
//! |---|---|
//! | OpenShift must-gather, `oc adm inspect` | `namespaces/NS/pods/POD/C/C/logs/current.log`, `namespaces/NS/core/events.yaml`, `cluster-scoped-resources/core/nodes/NODE.yaml`, `host_service_logs/ROLE/UNIT_service.log` |
//! | KubeVirt must-gather | besides: `nodes/NODE/dmesg`, `proc_cmdline`, `lspci`, `audit.log`, `dev_vfio`, `ip.txt`; `namespaces/NS/vms/VM/POD.dumpxml.xml` and QEMU's logs |
//! | Troubleshoot (support-bundle) | `cluster-resources/pods/logs/NS/POD/C.log`, `cluster-resources/events/NS.json`, `cluster-resources/nodes.json`, `host-collectors/run-host/NAME.txt` |
//! | ESXi `vm-support` | `commands/PROGRAM_ARGUMENTS.txt` |
//!
//! Everything else of theirs lies where it lies on the machine, or is known by its name.

use super::super::sections::command;
use super::super::wanted::Wanted;

/// The canonical path of a file that is kept under another name; `None` where it is not known or
/// nobody wants it.
pub(super) fn elsewhere(wanted: &Wanted, relative: &str) -> Option<String> {
    let plain = super::super::codec::without_suffix(relative).unwrap_or(relative);
    let parts: Vec<&str> = plain.split('/').collect();
    let found = node(&parts)
        .or_else(|| namespace(&parts))
        .or_else(|| cluster(&parts))
        .or_else(|| command_file(&parts))?;
    match found {
        Place::File(path) => wanted.canonical(&path),
        Place::Command(line) => command::canonical(wanted, &line),
    }
}

/// What a file is.
enum Place {
    /// A file of the machine, or a command's output by its canonical path.
    File(String),
    /// Output of a command line.
    Command(String),
}

fn file(path: impl Into<String>) -> Place {
    Place::File(path.into())
}

fn line(line: impl Into<String>) -> Place {
    Place::Command(line.into())
}

/// What KubeVirt's must-gather takes from a node.
fn node(parts: &[&str]) -> Option<Place> {
    let [.., "nodes", _, name] = parts else { return None };
    Some(match *name {
        "dmesg" => file("commands/dmesg.txt"),
        "proc_cmdline" => file("proc/cmdline"),
        "audit.log" => file("var/log/audit/audit.log"),
        "lspci" => line("lspci -vv"),
        "dev_vfio" => line("ls -al /dev/vfio"),
        "ip.txt" => line("ip a"),
        name => file(format!("commands/journalctl-{}.txt", name.split_once("_logs_")?.1)),
    })
}

/// What `oc adm inspect` and KubeVirt's must-gather take from a namespace.
fn namespace(parts: &[&str]) -> Option<Place> {
    let at = parts.iter().rposition(|p| *p == "namespaces")?;
    Some(match parts.get(at + 1..)? {
        [space, "pods", pod, container, .., "logs", log] => {
            file(format!("var/log/pods/{space}_{pod}/{container}/{log}"))
        }
        [_, "core", "events.yaml" | "events.json"] => file("commands/oc-get-events.txt"),
        [space, "vms", name, kept] => machine(space, name, kept)?,
        [_, .., "virtualmachineinstances", kept] => {
            let name = kept.rsplit_once('.').map_or(*kept, |(name, _)| name);
            file(format!("commands/oc-get-vmi-{name}.txt"))
        }
        _ => return None,
    })
}

/// What is kept of a virtual machine: virsh's answers by the pod's name, QEMU's log by libvirt's.
fn machine(space: &str, name: &str, kept: &str) -> Option<Place> {
    Some(match kept.split_once('.').map_or("", |(_, what)| what) {
        "dumpxml.xml" => file(format!("commands/virsh-dumpxml-{space}_{name}.txt")),
        "domcapabilities.xml" => line("virsh domcapabilities"),
        "capabilities.xml" => file("commands/virsh-capabilities.txt"),
        "log" => file(format!("var/log/libvirt/qemu/{kept}")),
        _ => return None,
    })
}

/// What is kept of the cluster as a whole.
fn cluster(parts: &[&str]) -> Option<Place> {
    Some(match parts {
        [.., "cluster-scoped-resources", "core", "nodes", kept] => {
            let name = kept.rsplit_once('.').map_or(*kept, |(name, _)| name);
            file(format!("commands/oc-get-node-{name}.txt"))
        }
        [.., "host_service_logs", role, log] => {
            let unit = log.strip_suffix("_service.log")?;
            file(format!("commands/journalctl-{role}-{unit}.txt"))
        }
        [.., "cluster-resources", "pods", "logs", space, pod, log] => {
            let container = log.strip_suffix(".log")?;
            file(format!("var/log/pods/{space}_{pod}/{container}/0.log"))
        }
        [.., "cluster-resources", "events", kept] => {
            let space = kept.rsplit_once('.').map_or(*kept, |(space, _)| space);
            file(format!("commands/kubectl-get-events-{space}.txt"))
        }
        [.., "cluster-resources", "nodes.json"] => file("commands/kubectl-get-nodes.txt"),
        [.., "host-collectors", "run-host", kept] => {
            let name = kept.strip_suffix(".txt")?;
            file(format!("commands/{name}.txt"))
        }
        [.., "host-collectors", "journald", kept] => {
            let name = kept.strip_suffix(".txt")?;
            file(format!("commands/journalctl-{name}.txt"))
        }
        _ => return None,
    })
}

/// ESXi's `vm-support` names files by their command lines: `vmware_-vl.txt`,
/// `localcli_hardware-cpu-global-get.txt`.
fn command_file(parts: &[&str]) -> Option<Place> {
    let [.., "commands", kept] = parts else { return None };
    let (program, rest) = kept.strip_suffix(".txt")?.split_once('_')?;
    Some(match program {
        // localcli is esxcli without the daemon; its words are joined by dashes.
        "localcli" | "esxcli" => file(format!("commands/esxcli-{}.txt", rest.replace('_', "-"))),
        _ => line(format!("{program} {}", rest.replace('_', " "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Want;

    #[test]
    fn files_of_other_tools_are_found_under_their_names() {
        let wants = [
            Want::output("dmesg"),
            Want::output("esxcli-hardware-cpu-global-get"),
            Want::output("kubectl-get-events*"),
            Want::output("oc-get-node*"),
            Want::output("journalctl*"),
            Want::output("virt-host-validate"),
            Want::command("uname", &["uname", "-a"], &[]),
            Want::command("virsh-dumpxml-*", &[], &[]),
            Want::given("var/log/pods/*virt-launcher*/**/*.log"),
            Want::given("var/log/libvirt/qemu/*.log"),
        ];
        let wanted = Wanted::new(wants.into_iter());
        for (found, canonical) in [
            ("m/nodes/w1/dmesg", "commands/dmesg.txt"),
            ("m/nodes/w1/w1_logs_kubelet", "commands/journalctl-kubelet.txt"),
            (
                "m/namespaces/ns/pods/virt-launcher-vm-x/compute/compute/logs/current.log",
                "var/log/pods/ns_virt-launcher-vm-x/compute/current.log",
            ),
            ("m/namespaces/ns/vms/vm/p.dumpxml.xml", "commands/virsh-dumpxml-ns_vm.txt"),
            ("m/namespaces/ns/vms/vm/ns_vm.log", "var/log/libvirt/qemu/ns_vm.log"),
            ("m/cluster-scoped-resources/core/nodes/w1.yaml", "commands/oc-get-node-w1.txt"),
            (
                "m/host_service_logs/masters/kubelet_service.log",
                "commands/journalctl-masters-kubelet.txt",
            ),
            (
                "b/cluster-resources/pods/logs/ns/virt-launcher-a/compute.log",
                "var/log/pods/ns_virt-launcher-a/compute/0.log",
            ),
            ("b/cluster-resources/events/ns.json", "commands/kubectl-get-events-ns.txt"),
            (
                "b/host-collectors/run-host/virt-host-validate.txt",
                "commands/virt-host-validate.txt",
            ),
            ("commands/uname_-a.txt", "commands/uname.txt"),
            (
                "commands/localcli_hardware-cpu-global-get.txt",
                "commands/esxcli-hardware-cpu-global-get.txt",
            ),
        ] {
            assert_eq!(elsewhere(&wanted, found).as_deref(), Some(canonical), "{found}");
        }
        assert_eq!(elsewhere(&wanted, "m/nodes/w1/vlan"), None);
    }
}
