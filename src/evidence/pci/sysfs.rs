//! A device's folder in sysfs, reached as `sys/bus/pci/devices/ADDRESS` or as the folder itself,
//! `sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0`, whose path names the bridges above.
//!
//! `driver`, `iommu_group`, `physfn` and the entries of `/sys/bus/pci/devices` are symbolic links:
//! their bytes are the target. A folder without a `driver` link has no driver, but an absent file
//! makes no fact here: the analyzer says so where other devices' links are there.

use super::{Device, config, id};
use crate::model::{Origin, Out, Piece, Value};
use crate::parse::pci;

pub(super) fn parse(piece: Piece<'_>, out: &mut Out) {
    let Some((folder, attribute)) = piece.path.rsplit_once('/') else { return };
    let text = piece.text();
    let text = text.trim();
    if folder == "sys/bus/pci/devices" {
        // The link to a device's folder shows what is above it.
        let Some(address) = pci::address(attribute) else { return };
        parent(piece, &address, text, out);
        return;
    }
    let Some(address) = pci::in_path(folder) else { return };
    let origin = if attribute == "config" {
        Origin::new(piece.path, None, "")
    } else {
        Origin::new(piece.path, Some(1), text)
    };
    if folder.starts_with("sys/devices/") && attribute == "class" {
        parent(piece, &address, folder, out);
    }
    let mut device = Device { out, address, origin };
    if attribute == "config" {
        config::parse(piece, &mut device);
    } else {
        value(piece, attribute, text, &mut device);
    }
}

fn value(piece: Piece<'_>, attribute: &str, text: &str, device: &mut Device<'_>) {
    let last = text.rsplit('/').next().unwrap_or(text);
    let made = match attribute {
        "vendor" => id(text).map(|v| ("pci.vendor", Value::text(v))),
        "device" => id(text).map(|v| ("pci.device", Value::text(v))),
        // Class, subclass and programming interface: the last is left away.
        "class" => text
            .strip_prefix("0x")
            .filter(|t| t.len() == 6)
            .and_then(|t| t.get(..4))
            .and_then(id)
            .map(|v| ("pci.class", Value::text(v))),
        "driver" if !last.is_empty() => Some(("pci.driver", Value::text(last))),
        "iommu_group" => last.parse().ok().map(|n| ("pci.iommu_group", Value::Int(n))),
        "physfn" => pci::address(last).map(|a| ("pci.physfn", Value::text(a))),
        "sriov_numvfs" => text.parse().ok().map(|n| ("pci.sriov_vfs", Value::Int(n))),
        "reset_method" => Some(("pci.reset_method", Value::words(text.split_whitespace()))),
        _ => return,
    };
    match made {
        Some((name, value)) => device.put(name, value),
        None if text.is_empty() => {}
        None => device.out.problem(piece.path, Some(1), format!("not a {attribute} of a device")),
    }
}

/// The bridge above, from a path through the tree of devices.
fn parent(piece: Piece<'_>, address: &str, path: &str, out: &mut Out) {
    let Some((above, _)) = path.trim_end_matches('/').rsplit_once('/') else { return };
    let above = above.rsplit('/').next().unwrap_or(above);
    let parent = pci::address(above);
    // Devices below a bridge of the Volume Management Device stand on a bus of their own domain.
    let root = above.starts_with("pci") || above.starts_with("vmd");
    let Some(parent) = parent.or(root.then(|| "root".to_owned())) else { return };
    let origin = Origin::new(piece.path, None, path);
    out.fact_of("pci.parent", address, Value::text(parent), origin);
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing::{read, show};

    const FOLDER: &str = "sys/devices/pci0000:00/0000:00:01.1/0000:02:00.0";

    #[test]
    fn files_and_links_of_a_device() {
        for (file, text, fact, expected) in [
            ("vendor", "0x10DE\n", "pci.vendor", "10de"),
            ("class", "0x030000\n", "pci.class", "0300"),
            ("driver", "../../../../bus/pci/drivers/vfio-pci", "pci.driver", "vfio-pci"),
            ("iommu_group", "../../../../kernel/iommu_groups/14", "pci.iommu_group", "14"),
            ("physfn", "../0000:02:00.0", "pci.physfn", "0000:02:00.0"),
            ("sriov_numvfs", "4\n", "pci.sriov_vfs", "4"),
            ("reset_method", "flr bus\n", "pci.reset_method", "bus flr"),
        ] {
            let out = read(parse, &format!("{FOLDER}/{file}"), text);
            assert_eq!(show(&out, fact).as_deref(), Some(expected), "{file}");
            let fact = out.facts.iter().find(|f| f.name == fact).unwrap();
            assert_eq!(fact.instance.as_deref(), Some("0000:02:00.0"));
            assert_eq!(out.problems, []);
        }
    }

    #[test]
    fn the_bridge_above_is_in_the_path_and_in_the_link() {
        let out = read(parse, &format!("{FOLDER}/class"), "0x020000\n");
        assert_eq!(show(&out, "pci.parent").as_deref(), Some("0000:00:01.1"));
        let link = "../../../devices/pci0000:00/0000:00:1f.3";
        let out = read(parse, "sys/bus/pci/devices/0000:00:1f.3", link);
        assert_eq!(show(&out, "pci.parent").as_deref(), Some("root"));
    }

    #[test]
    fn other_files_and_broken_ones() {
        assert!(
            read(parse, "sys/devices/pci0000:00/0000:00:1f.2/ata1/class", "0x1\n").facts.is_empty()
        );
        let out = read(parse, &format!("{FOLDER}/vendor"), "cat: error\n");
        assert_eq!((out.facts.len(), out.problems.len()), (0, 1));
        assert!(read(parse, &format!("{FOLDER}/driver"), "").facts.is_empty());
    }
}
