//! Guests' network interfaces, by their MAC address, as the host defines them: libvirt's
//! `<interface>` (<https://libvirt.org/formatdomain.html#network-interfaces>) and QEMU's `-device`.
//!
//! The MAC address is what joins a guest's link to the host's port, so it names the interface.
//! Not parsed: `-nic` and `-net` of QEMU without a MAC address, QoS, virtual ports.

use roxmltree::Node;

use super::mac;
use crate::evidence::{Slice, count, joined, libvirt_xml};
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::xml::{self, Lines, child, descend};
use crate::parse::{libvirt, lines};

/// Guests' network interfaces.
pub const SLICE: Slice = Slice { name: "network/nics", wants: WANTS, facts: FACTS, parse };

const OTHERS: &[Want] = &[
    Want::file("var/log/libvirt/qemu/*.log"),
    Want::output("ps-*"),
    Want::command("ps", &[], &[]),
    Want::output("qemu-cmdline*"),
    Want::file("etc/pve/qemu-server/*.conf"),
    Want::output("qm-config*"),
];

const WANTED: &[&[Want]] = &[libvirt_xml::DOMAINS, OTHERS];
const WANTS: &[Want] = &joined::<_, { count(WANTED) }>(WANTED);

const fn nic(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "MAC address", doc, "virsh dumpxml NAME")
}

const FACTS: &[FactDef] = &[
    nic("nic.domain", Kind::Text, "Guest that has the interface"),
    nic("nic.source", Kind::Text, "Bridge, network or link that it is connected to"),
    nic(
        "nic.type",
        Kind::Text,
        "How it is connected: network, bridge, direct (macvtap), user, hostdev",
    ),
    nic("nic.mode", Kind::Text, "Mode of a direct interface: vepa, bridge, private, passthrough"),
    nic("nic.target", Kind::Text, "Tap or macvtap of the host, e.g. vnet0"),
    nic("nic.model", Kind::Text, "Model of the device: virtio, e1000e, rtl8139"),
    nic("nic.mtu", Kind::Int, "MTU that the device tells the guest, bytes"),
    nic(
        "nic.trust_rx_filters",
        Kind::Bool,
        "Whether the guest may set its receive filters (macvtap)",
    ),
    nic(
        "nic.isolated",
        Kind::Bool,
        "Whether the port may not talk to other isolated ports of its bridge, where it is said",
    ),
    nic(
        "nic.filter",
        Kind::Text,
        "Network filter on the interface, e.g. clean-traffic, no-mac-spoofing",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if super::extension(piece.path) == "xml" || piece.file_name().starts_with("virsh-dumpxml") {
        definition(piece, &text, out);
    } else if piece.path.contains("/qemu-server/") || piece.file_name().starts_with("qm-config") {
        proxmox(piece, &text, out);
    } else {
        command_lines(piece, &text, out);
    }
}

fn definition(piece: Piece<'_>, text: &str, out: &mut Out) {
    if !text.contains("<interface") {
        return;
    }
    let fixed = xml::document(text, piece.whole);
    // A broken document is the domain slice's to report.
    let Ok(document) = xml::parse(&fixed) else { return };
    let lines = Lines::new(&fixed);
    let Some(domain) = libvirt::domain(document.root_element()) else { return };
    let name = child(domain, "name").and_then(xml::text).unwrap_or_default();
    let devices = child(domain, "devices").into_iter().flat_map(|d| d.children());
    for node in devices.filter(|c| c.has_tag_name("interface")) {
        interface(piece, &lines, name, node, out);
    }
}

fn interface(piece: Piece<'_>, lines: &Lines<'_>, domain: &str, node: Node<'_, '_>, out: &mut Out) {
    let address = child(node, "mac").and_then(|m| m.attribute("address")).and_then(mac);
    let Some(address) = address else { return };
    let mut add = |name, value: Option<Value>, at: Node<'_, '_>| {
        if let Some(value) = value {
            out.fact_of(name, &address, value, lines.origin(piece.path, at));
        }
    };
    let text = |node: Node<'_, '_>, key: &str| node.attribute(key).map(Value::text);
    add("nic.domain", Some(Value::text(domain)).filter(|_| !domain.is_empty()), node);
    add("nic.type", text(node, "type"), node);
    let trust = node.attribute("trustGuestRxFilters").map(|t| Value::Bool(t == "yes"));
    add("nic.trust_rx_filters", trust, node);
    if let Some(source) = child(node, "source") {
        let keys = ["bridge", "network", "dev"];
        add("nic.source", keys.iter().find_map(|k| text(source, k)), source);
        add("nic.mode", text(source, "mode"), source);
    }
    for (name, element, key) in [
        ("nic.target", "target", "dev"),
        ("nic.model", "model", "type"),
        ("nic.filter", "filterref", "filter"),
    ] {
        if let Some(child) = descend(node, &[element]) {
            add(name, text(child, key), child);
        }
    }
    if let Some(port) = child(node, "port") {
        add("nic.isolated", port.attribute("isolated").map(|i| Value::Bool(i == "yes")), port);
    }
    if let Some(mtu) = child(node, "mtu") {
        add("nic.mtu", mtu.attribute("size").and_then(|s| s.parse().ok()).map(Value::Int), mtu);
    }
}

/// QEMU's `-device virtio-net-pci,netdev=...,mac=...,host_mtu=...`, or the same as JSON.
fn command_lines(piece: Piece<'_>, text: &str, out: &mut Out) {
    // A log holds every start since it was rotated: the last one counts.
    let start = text.rfind("starting up libvirt version").unwrap_or(0);
    let skipped = text.get(..start).map_or(0, |t| t.matches('\n').count());
    for (number, line) in lines(text).skip(skipped) {
        for word in line.split_whitespace() {
            if let Some((address, mtu, driver)) = device(word) {
                let origin = Origin::new(piece.path, Some(number), word);
                out.fact_of("nic.model", &address, Value::text(driver), origin.clone());
                if let Some(mtu) = mtu {
                    out.fact_of("nic.mtu", &address, Value::Int(mtu), origin);
                }
            }
        }
    }
}

/// MAC address, MTU and driver of a device argument.
fn device(word: &str) -> Option<(String, Option<i64>, String)> {
    let word = word.trim_matches(['\'', '"']);
    if !word.contains("mac") {
        return None;
    }
    if word.starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(word).ok()?;
        let mac = mac(value.get("mac")?.as_str()?)?;
        let driver = value.get("driver")?.as_str()?.to_owned();
        return Some((mac, value.get("host_mtu").and_then(serde_json::Value::as_i64), driver));
    }
    let mut parts = word.split(',');
    let driver = parts.next()?.to_owned();
    let value = |key: &str| word.split(',').find_map(|p| p.strip_prefix(key)?.strip_prefix('='));
    Some((mac(value("mac")?)?, value("host_mtu").and_then(|m| m.parse().ok()), driver))
}

/// `net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,mtu=1450` of Proxmox VE (qm.conf(5)).
fn proxmox(piece: Piece<'_>, text: &str, out: &mut Out) {
    let stem = piece.file_name().trim_end_matches(".conf").trim_end_matches(".txt");
    for (number, line) in lines(text) {
        // What follows a section's head is an old state of the guest.
        if line.starts_with('[') {
            return;
        }
        let Some((key, value)) = line.split_once(": ") else { continue };
        if key.strip_prefix("net").is_none_or(|n| n.parse::<u8>().is_err()) {
            continue;
        }
        let parts: Vec<(&str, &str)> = value.split(',').filter_map(|p| p.split_once('=')).collect();
        let found = parts.iter().find_map(|(k, v)| Some((*k, mac(v)?)));
        let Some((model, address)) = found else { continue };
        let origin = Origin::new(piece.path, Some(number), line);
        let id = stem.rsplit(['-', '_']).next().unwrap_or(stem);
        out.fact_of("nic.domain", &address, Value::text(id), origin.clone());
        out.fact_of("nic.model", &address, Value::text(model), origin.clone());
        for (key, value) in &parts {
            match (*key, value.parse()) {
                // 1 means: as the bridge.
                ("mtu", Ok(mtu)) if mtu > 1 => {
                    out.fact_of("nic.mtu", &address, Value::Int(mtu), origin.clone());
                }
                ("bridge", _) => {
                    out.fact_of("nic.source", &address, Value::text(*value), origin.clone());
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    const MAC: &str = "52:54:00:0a:0b:0c";

    fn of(out: &Out, name: &str) -> Option<String> {
        let fact = out.facts.iter().find(|f| f.name == name)?;
        assert_eq!(fact.instance.as_deref(), Some(MAC));
        Some(fact.value.to_string())
    }

    #[test]
    fn an_interface_of_a_domain() {
        let text = "<domain type='kvm'><name>n1</name><devices>\n<interface type='direct' trustGuestRxFilters='yes'>\n<mac address='52:54:00:0A:0B:0C'/>\n<source dev='eno1' mode='bridge'/>\n<target dev='macvtap0'/><model type='virtio'/><mtu size='9000'/><filterref filter='clean-traffic'/></interface></devices></domain>";
        let out = testing::read(parse, "etc/libvirt/qemu/n1.xml", text);
        for (name, value) in [
            ("nic.domain", "n1"),
            ("nic.source", "eno1"),
            ("nic.mode", "bridge"),
            ("nic.mtu", "9000"),
            ("nic.filter", "clean-traffic"),
            ("nic.trust_rx_filters", "true"),
        ] {
            assert_eq!(of(&out, name), Some(value.to_owned()), "{name}");
        }
    }

    #[test]
    fn devices_of_qemu_in_both_forms_and_only_of_the_last_start() {
        let plain = "-device virtio-net-pci,host_mtu=1450,netdev=h,id=net0,mac=52:54:00:0a:0b:0c,bus=pci.1 \\\n";
        let json = "-device '{\"driver\":\"virtio-net-pci\",\"host_mtu\":9000,\"mac\":\"52:54:00:0a:0b:0c\"}' \\\n";
        let log = format!(
            "2025-01-01: starting up libvirt version: 9\n{plain}2025-01-02: starting up libvirt version: 9\n{json}"
        );
        let out = testing::read(parse, "var/log/libvirt/qemu/a.log", &log);
        assert_eq!(of(&out, "nic.mtu"), Some("9000".into()));
        let out = testing::read(parse, "commands/qemu-cmdline.txt", plain);
        assert_eq!(of(&out, "nic.mtu"), Some("1450".into()));
        assert_eq!(of(&out, "nic.model"), Some("virtio-net-pci".into()));
    }

    #[test]
    fn a_guest_of_proxmox() {
        let text = "name: a\nnet0: virtio=52:54:00:0A:0B:0C,bridge=vmbr1,firewall=1,mtu=1400\n[old]\nnet1: virtio=52:54:00:0A:0B:0D,bridge=vmbr2\n";
        let out = testing::read(parse, "etc/pve/qemu-server/100.conf", text);
        assert_eq!(of(&out, "nic.source"), Some("vmbr1".into()));
        assert_eq!(of(&out, "nic.mtu"), Some("1400".into()));
    }
}
