//! Virtual networks of libvirt: /etc/libvirt/qemu/networks/NAME.xml and `virsh net-dumpxml`
//! (<https://libvirt.org/formatnetwork.html>), their state by `virsh net-list`.
//!
//! A definition may exist without being active: `autostart/` holds links to those that start with
//! the daemon, and only `virsh net-list` tells what runs. Not parsed: DNS, port groups, QoS.

use roxmltree::Node;

use super::{Line, believed, is_output};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};
use crate::parse::xml::{self, Lines, child, descend};

/// Virtual networks.
pub const SLICE: Slice = Slice { name: "network/virtnet", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("etc/libvirt/qemu/networks/*.xml"),
    Want::given("run/libvirt/network/*.xml"),
    Want::given("var/run/libvirt/network/*.xml"),
    Want::command("virsh-net-dumpxml*", &[], &["sos_commands/virsh/virsh_-r_net-dumpxml_*"]),
    Want::command(
        "virsh-net-list",
        &["virsh", "-r", "net-list", "--all"],
        &["sos_commands/virsh/virsh_-r_net-list_--all", "sos_commands/virsh/virsh_-r_net-list"],
    ),
    Want::output("virsh-net-list*"),
];

const fn network(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "virtual network", doc, "virsh net-dumpxml NAME")
}

const FACTS: &[FactDef] = &[
    network("virtnet.bridge", Kind::Text, "Bridge of the network"),
    network("virtnet.mtu", Kind::Int, "MTU that the network sets for its bridge and ports, bytes"),
    network(
        "virtnet.forward",
        Kind::Text,
        "How it reaches the outside: nat, route, bridge, open, none",
    ),
    network("virtnet.subnets", Kind::Words, "IP networks with the bridge's own address"),
    network("virtnet.trust_rx_filters", Kind::Bool, "Whether guests may set their receive filters"),
    FactDef::per(
        "virtnet.active",
        Kind::Bool,
        "virtual network",
        "Whether the network runs",
        "virsh net-list --all",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if is_output(piece, &["virsh-net-list"]) {
        return list(piece, &text, out);
    }
    if !text.contains("<network") {
        return;
    }
    let fixed = xml::document(&text, piece.whole);
    match xml::parse(&fixed) {
        Ok(document) => {
            let lines = Lines::new(&fixed);
            let root = document.root_element();
            let network = Some(root).filter(|r| r.has_tag_name("network"));
            // The state file of an active network wraps the definition.
            if let Some(network) = network.or_else(|| child(root, "network")) {
                read(piece, &lines, network, out);
            }
        }
        Err(error) => out.problem(piece.path, None, format!("the XML is broken: {error}")),
    }
}

fn read(piece: Piece<'_>, lines: &Lines<'_>, network: Node<'_, '_>, out: &mut Out) {
    let Some(name) = child(network, "name").and_then(xml::text) else { return };
    let origin = |node: Node<'_, '_>| lines.origin(piece.path, node);
    if let Some(bridge) = child(network, "bridge")
        && let Some(link) = bridge.attribute("name")
    {
        out.fact_of("virtnet.bridge", name, Value::text(link), origin(bridge));
    }
    if let Some(mtu) = child(network, "mtu") {
        match mtu.attribute("size").and_then(|s| s.parse().ok()) {
            Some(size) => out.fact_of("virtnet.mtu", name, Value::Int(size), origin(mtu)),
            None => out.problem(piece.path, Some(lines.of(mtu).0), "the MTU is no number"),
        }
    }
    if let Some(forward) = child(network, "forward") {
        let mode = forward.attribute("mode").unwrap_or("nat");
        out.fact_of("virtnet.forward", name, Value::text(mode), origin(forward));
    }
    if let Some(trust) = network.attribute("trustGuestRxFilters") {
        let trust = Value::Bool(trust == "yes");
        out.fact_of("virtnet.trust_rx_filters", name, trust, origin(network));
    }
    let subnets: Vec<String> =
        network.children().filter(|c| c.has_tag_name("ip")).filter_map(subnet).collect();
    if let Some(ip) = descend(network, &["ip"]).filter(|_| !subnets.is_empty()) {
        out.fact_of("virtnet.subnets", name, Value::words(subnets), origin(ip));
    }
}

/// `<ip address='192.168.122.1' netmask='255.255.255.0'>`, or with `prefix='24'`.
fn subnet(ip: Node<'_, '_>) -> Option<String> {
    let address = ip.attribute("address")?;
    let length = match (ip.attribute("prefix"), ip.attribute("netmask")) {
        (Some(prefix), _) => prefix.parse().ok()?,
        (None, Some(mask)) => u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?).count_ones(),
        // Neither: the class of the address decides, which nobody means.
        (None, None) => return None,
    };
    Some(format!("{address}/{length}"))
}

fn list(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (number, text) in believed(text, piece.whole) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [name, state, rest @ ..] = words.as_slice() else { continue };
        if rest.len() < 2 || !matches!(*state, "active" | "inactive") {
            continue;
        }
        let line = &mut Line { piece, number, text, out };
        line.of("virtnet.active", name, Value::Bool(*state == "active"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn a_definition_and_its_state() {
        let text = "<!-- do not edit -->\n<network>\n  <name>lab</name>\n  <forward mode='nat'/>\n  <bridge name='virbr3' stp='on' delay='0'/>\n  <mtu size='1450'/>\n  <ip address='192.0.2.1' netmask='255.255.255.128'>\n    <dhcp><range start='192.0.2.2' end='192.0.2.99'/></dhcp>\n  </ip>\n  <ip family='ipv6' address='2001:db8::1' prefix='64'/>\n</network>\n";
        let out = testing::read(parse, "etc/libvirt/qemu/networks/lab.xml", text);
        assert_eq!(testing::show(&out, "virtnet.bridge"), Some("virbr3".into()));
        assert_eq!(testing::show(&out, "virtnet.mtu"), Some("1450".into()));
        assert_eq!(
            testing::show(&out, "virtnet.subnets"),
            Some("192.0.2.1/25 2001:db8::1/64".into())
        );
        let list = " Name      State    Autostart   Persistent\n----\n lab   inactive   no   yes\n";
        let out = testing::read(parse, "commands/virsh-net-list.txt", list);
        assert_eq!(testing::show(&out, "virtnet.active"), Some("false".into()));
    }

    #[test]
    fn broken_and_foreign_xml() {
        let broken =
            testing::read(parse, "etc/libvirt/qemu/networks/a.xml", "<network><name>a</name>");
        assert_eq!((broken.facts.len(), broken.problems.len()), (0, 1));
        let pool =
            testing::read(parse, "etc/libvirt/qemu/networks/a.xml", "<pool><name>a</name></pool>");
        assert_eq!((pool.facts.len(), pool.problems.len()), (0, 0));
    }
}
