//! `virsh nodedev-dumpxml`: one or several `<device>` documents
//! (<https://libvirt.org/formatnode.html>). A group lists all of its members, so one device tells
//! who stands beside it. A device without `<driver>` has none (src/node_device,
//! `udevGetDeviceDetails`).

use roxmltree::Node;

use super::{Device, id};
use crate::model::{Origin, Out, Piece, Value};
use crate::parse::xml::{self, child, descend};
use crate::parse::{libvirt, pci};

pub(super) fn parse(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut rest = text;
    let mut before = 0_u32;
    while let Some(start) = rest.find("<device>") {
        let end = rest[start..].find("</device>").map(|e| start + e + "</device>".len());
        let whole = end.is_some() || piece.whole;
        let document = &rest[start..end.unwrap_or(rest.len())];
        before = before.saturating_add(newlines(&rest[..start]));
        one(piece, document, before, whole, out);
        before = before.saturating_add(newlines(document));
        rest = end.map_or("", |end| &rest[end..]);
    }
}

fn newlines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|b| *b == b'\n').count()).unwrap_or(u32::MAX)
}

fn one(piece: Piece<'_>, text: &str, before: u32, whole: bool, out: &mut Out) {
    let fixed = xml::document(text, whole);
    let document = match xml::parse(&fixed) {
        Ok(document) => document,
        Err(error) => {
            out.problem(piece.path, Some(before + 1), format!("the XML is broken: {error}"));
            return;
        }
    };
    let root = document.root_element();
    let is_pci =
        |c: &Node<'_, '_>| c.has_tag_name("capability") && c.attribute("type") == Some("pci");
    let Some(capability) = root.children().find(is_pci) else { return };
    let name = child(root, "name").and_then(xml::text).unwrap_or_default();
    let Some(address) = named(name).or_else(|| numbered(capability)) else { return };
    let lines = xml::Lines::new(&fixed);
    let origin = |node: Node<'_, '_>| {
        let (line, text) = lines.of(node);
        Origin::new(piece.path, Some(before.saturating_add(line)), text)
    };
    let mut device = Device { out, address, origin: origin(root) };
    facts(root, capability, whole, &origin, &mut device);
    group(capability, &origin, &mut device);
}

fn facts(
    root: Node<'_, '_>,
    capability: Node<'_, '_>,
    whole: bool,
    origin: &dyn Fn(Node<'_, '_>) -> Origin,
    device: &mut Device<'_>,
) {
    let driver = descend(root, &["driver", "name"]);
    if let Some((node, name)) = driver.and_then(|d| Some((d, xml::text(d)?))) {
        device.origin = origin(node);
        device.text("pci.driver", name);
    } else if whole {
        device.text("pci.driver", "none");
    }
    let parent = child(root, "parent").and_then(|p| Some((p, xml::text(p)?)));
    if let Some((node, name)) = parent {
        device.origin = origin(node);
        device.text("pci.parent", named(name).unwrap_or_else(|| "root".to_owned()));
    }
    let class = child(capability, "class").and_then(|c| Some((c, id(xml::text(c)?.get(..6)?)?)));
    if let Some((node, class)) = class {
        device.origin = origin(node);
        device.text("pci.class", class);
    }
    for (element, fact) in [("vendor", "pci.vendor"), ("product", "pci.device")] {
        let Some(node) = child(capability, element) else { continue };
        device.origin = origin(node);
        if let Some(value) = node.attribute("id").and_then(id) {
            device.text(fact, value);
        }
        if element == "product"
            && let Some(name) = xml::text(node)
        {
            device.text("pci.name", name);
        }
    }
    for inner in capability.children().filter(|c| c.has_tag_name("capability")) {
        let Some(address) = child(inner, "address").and_then(libvirt::pci_address) else {
            continue;
        };
        device.origin = origin(inner);
        match inner.attribute("type") {
            Some("phys_function") => device.text("pci.physfn", address),
            Some("virt_functions") => {
                let count = inner.children().filter(|c| c.has_tag_name("address")).count();
                device.put("pci.sriov_vfs", Value::Int(i64::try_from(count).unwrap_or(i64::MAX)));
            }
            _ => {}
        }
    }
}

fn group(
    capability: Node<'_, '_>,
    origin: &dyn Fn(Node<'_, '_>) -> Origin,
    device: &mut Device<'_>,
) {
    let Some(group) = child(capability, "iommuGroup") else { return };
    let Some(number) = group.attribute("number").and_then(|n| n.parse().ok()) else { return };
    device.origin = origin(group);
    device.put("pci.iommu_group", Value::Int(number));
    for member in group.children().filter(|c| c.has_tag_name("address")) {
        let Some(address) = libvirt::pci_address(member) else { continue };
        let origin = origin(member);
        device.out.fact_of("pci.iommu_group", &address, Value::Int(number), origin);
    }
}

/// `pci_0000_01_00_0`.
fn named(name: &str) -> Option<String> {
    let mut parts = name.strip_prefix("pci_")?.split('_');
    let mut next = || parts.next().and_then(|p| u32::from_str_radix(p, 16).ok());
    pci::from_numbers(next()?, next()?, next()?, next()?)
}

/// `<bus>1</bus>`, in decimal.
fn numbered(capability: Node<'_, '_>) -> Option<String> {
    let number = |name| child(capability, name).and_then(xml::text)?.parse().ok();
    pci::from_numbers(number("domain")?, number("bus")?, number("slot")?, number("function")?)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing::read;

    const DEVICE: &str = "<device>\n  <name>pci_0000_82_00_1</name>\n\
        \x20 <path>/sys/devices/pci0000:80/0000:80:02.0/0000:82:00.1</path>\n\
        \x20 <parent>pci_0000_80_02_0</parent>\n  <driver>\n    <name>ixgbe</name>\n  </driver>\n\
        \x20 <capability type='pci'>\n    <class>0x020000</class>\n    <domain>0</domain>\n\
        \x20   <bus>130</bus>\n    <slot>0</slot>\n    <function>1</function>\n\
        \x20   <product id='0x1528'>Ethernet Controller X540</product>\n\
        \x20   <vendor id='0x8086'>Intel Corporation</vendor>\n\
        \x20   <capability type='virt_functions' maxCount='63'>\n\
        \x20     <address domain='0x0000' bus='0x82' slot='0x10' function='0x1'/>\n    </capability>\n\
        \x20   <iommuGroup number='41'>\n\
        \x20     <address domain='0x0000' bus='0x82' slot='0x00' function='0x0'/>\n\
        \x20     <address domain='0x0000' bus='0x82' slot='0x00' function='0x1'/>\n\
        \x20   </iommuGroup>\n  </capability>\n</device>\n";

    #[test]
    fn a_device_with_its_group() {
        let two = format!(
            "{DEVICE}\n<device><name>pci_0000_82_00_0</name><capability type='pci'><class>0x020000</class></capability></device>"
        );
        let out = read(parse, "commands/virsh-nodedev-dumpxml.txt", &two);
        let facts: Vec<String> = out
            .facts
            .iter()
            .map(|f| format!("{} {}={}", f.instance.clone().unwrap(), f.name, f.value))
            .collect();
        for expected in [
            "0000:82:00.1 pci.driver=ixgbe",
            "0000:82:00.1 pci.parent=0000:80:02.0",
            "0000:82:00.1 pci.class=0200",
            "0000:82:00.1 pci.device=1528",
            "0000:82:00.1 pci.sriov_vfs=1",
            "0000:82:00.1 pci.iommu_group=41",
            "0000:82:00.0 pci.iommu_group=41",
            "0000:82:00.0 pci.driver=none",
        ] {
            assert!(facts.iter().any(|f| f == expected), "{expected} is not in {facts:#?}");
        }
        let group = out.facts.iter().find(|f| f.name == "pci.iommu_group").unwrap();
        assert_eq!(group.origin.line, Some(19));
    }

    #[test]
    fn other_devices_and_broken_documents() {
        for text in [
            "<device><name>net_eth0</name><capability type='net'/></device>",
            "<device></device>",
            "pci_0000_00_00_0\npci_0000_00_01_0\n",
        ] {
            let out = read(parse, "commands/virsh-nodedev-list.txt", text);
            assert_eq!((out.facts.len(), out.problems.len()), (0, 0), "{text}");
        }
        let out = read(parse, "commands/virsh-nodedev-dumpxml.txt", "<device><name></device>");
        assert_eq!(out.problems.len(), 1);
    }
}
