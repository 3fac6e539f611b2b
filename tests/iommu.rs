//! IOMMU groups: whatever shows them, the report says the same.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::support::{causes, report, tree};

/// One of two network cards behind a port without ACS is to be assigned; the other one works for
/// the host.
const REFUSED: (&str, &str) = (
    "commands/stderr.txt",
    "qemu-system-x86_64: -device vfio-pci,host=0000:02:00.0: vfio 0000:02:00.0: group 7 is not viable\n",
);

/// Address, path below the root bus, class, ids, driver.
const DEVICES: &[(&str, &str, &str, &str, &str)] = &[
    ("0000:00:05.0", "0000:00:05.0", "0604", "1b36:000c", "pcieport"),
    ("0000:00:05.1", "0000:00:05.1", "0604", "1b36:000c", "pcieport"),
    ("0000:01:00.0", "0000:00:05.0/0000:01:00.0", "0200", "8086:10d3", "e1000e"),
    ("0000:02:00.0", "0000:00:05.1/0000:02:00.0", "0200", "8086:10d3", "vfio-pci"),
];

fn sysfs(root: &Path) {
    let link = |target: String, at: String| {
        let at = root.join(at);
        fs::create_dir_all(at.parent().expect("a parent")).expect("a folder");
        std::os::unix::fs::symlink(target, at).expect("a link");
    };
    for (address, path, class, ids, driver) in DEVICES {
        let folder = format!("sys/devices/pci0000:00/{path}");
        let (vendor, device) = ids.split_once(':').expect("ids");
        tree(
            root,
            &[
                (&format!("{folder}/class"), &format!("0x{class}00\n")),
                (&format!("{folder}/vendor"), &format!("0x{vendor}\n")),
                (&format!("{folder}/device"), &format!("0x{device}\n")),
            ],
        );
        link(format!("../../../../bus/pci/drivers/{driver}"), format!("{folder}/driver"));
        link(
            format!("../../../../devices/pci0000:00/{path}"),
            format!("sys/kernel/iommu_groups/7/devices/{address}"),
        );
    }
}

fn lspci(root: &Path) {
    let (mut text, mut groups) = (Vec::new(), Vec::new());
    for (address, _, class, ids, driver) in DEVICES {
        let name = if *class == "0604" { "PCI bridge" } else { "Ethernet controller" };
        text.push(format!("{address} {name} [{class}]: [{ids}]"));
        text.push(format!("\tKernel driver in use: {driver}"));
        groups.push(format!("IOMMU Group 7 {} {name}", &address[5..]));
    }
    let (text, groups) = (text.join("\n"), groups.join("\n"));
    tree(root, &[("commands/lspci-nnk.txt", &text), ("commands/iommu-groups.txt", &groups)]);
}

fn nodedev(root: &Path) {
    let member = |address: &str| {
        let (bus, slot, function) = (&address[5..7], &address[8..10], &address[11..]);
        format!("<address domain='0x0000' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/>")
    };
    let members = DEVICES.iter().map(|(a, ..)| member(a)).collect::<Vec<_>>().join("\n");
    let name = |address: &str| format!("pci_{}", address.replace([':', '.'], "_"));
    let device = |(address, path, class, ids, driver): &(&str, &str, &str, &str, &str)| {
        let parent =
            path.split_once('/').map_or("pci_0000_00".to_owned(), |(above, _)| name(above));
        let (vendor, product) = ids.split_once(':').expect("ids");
        format!(
            "<device><name>{}</name><parent>{parent}</parent><driver><name>{driver}</name></driver>\
             <capability type='pci'><class>0x{class}00</class><product id='0x{product}'/>\
             <vendor id='0x{vendor}'/><iommuGroup number='7'>{members}</iommuGroup></capability></device>",
            name(address)
        )
    };
    let text = DEVICES.iter().map(device).collect::<Vec<_>>().join("\n");
    tree(root, &[("commands/virsh-nodedev-dumpxml.txt", &text)]);
}

/// The group, without what only some of the sources name.
fn group(report: &Json) -> Json {
    let groups = report["analyses"]["iommu"].as_array().expect("a list");
    let mut group = groups.iter().find(|g| g["group"] == 7).expect("group 7").clone();
    for device in group["devices"].as_array_mut().expect("a list") {
        device["name"] = Json::Null;
    }
    group
}

#[test]
fn sysfs_lspci_and_libvirt_show_the_same_group() {
    let mut groups = Vec::new();
    for write in [sysfs, lspci, nodedev] as [fn(&Path); 3] {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path());
        tree(folder.path(), &[REFUSED]);
        let report = report(folder.path());
        assert_eq!(causes(&report), ["iommu-group-not-viable", "acs-missing"]);
        groups.push(group(&report));
    }
    let expected = serde_json::json!({
        "host": groups[0]["host"],
        "group": 7,
        "devices": [
            {"address": "0000:00:05.0", "class": "0604", "name": null, "driver": "pcieport", "wanted": null},
            {"address": "0000:00:05.1", "class": "0604", "name": null, "driver": "pcieport", "wanted": null},
            {"address": "0000:01:00.0", "class": "0200", "name": null, "driver": "e1000e", "wanted": null},
            {"address": "0000:02:00.0", "class": "0200", "name": null, "driver": "vfio-pci", "wanted": "tried"},
        ],
        "viable": false,
        "reason": groups[0]["reason"],
        "shared_by": "root-port",
    });
    assert_eq!(groups, [expected.clone(), expected.clone(), expected]);
    let reason = groups[0]["reason"].as_str().expect("a text");
    assert!(reason.contains("0000:01:00.0") && reason.contains("e1000e"), "{reason}");
}
