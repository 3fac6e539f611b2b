//! Open vSwitch: `ovs-vsctl show`, and `ovs-vsctl list interface` for MTUs.
//!
//! A tunnel port of Open vSwitch has no MTU of its own: the kernel device behind it carries all
//! sizes, and what matters is the MTU of the ports that send into it. Keys and columns are those of
//! ovs-vswitchd.conf.db(5).

use super::{Line, believed, tunnel};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Open vSwitch.
pub const SLICE: Slice = Slice { name: "network/ovs", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command(
        "ovs-vsctl-show",
        &["ovs-vsctl", "-t", "5", "show"],
        &[
            "sos_commands/openvswitch/ovs-vsctl_-t_5_show",
            "sos_commands/openvswitch/ovs-vsctl_show",
        ],
    ),
    Want::output("ovs-vsctl-show*"),
    Want::command(
        "ovs-vsctl-list-interface",
        &[],
        &["sos_commands/openvswitch/ovs-vsctl_-t_5_list_interface"],
    ),
    Want::output("ovs-vsctl-list-interface*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "ovs.bridge",
        Kind::Text,
        "interface",
        "Bridge that an interface is a port of",
        "ovs-vsctl show",
    ),
    FactDef::per(
        "ovs.datapath",
        Kind::Text,
        "bridge",
        "Datapath: netdev is the one in user space",
        "ovs-vsctl show",
    ),
    FactDef::per(
        "ovs.tunnel",
        Kind::Text,
        "interface",
        "Encapsulation of a tunnel port",
        "ovs-vsctl show",
    ),
    FactDef::per(
        "ovs.remote",
        Kind::Text,
        "interface",
        "Other end of a tunnel port",
        "ovs-vsctl show",
    ),
    FactDef::per(
        "ovs.local",
        Kind::Text,
        "interface",
        "Own address of a tunnel port",
        "ovs-vsctl show",
    ),
    FactDef::per(
        "ovs.csum",
        Kind::Bool,
        "interface",
        "Whether outer UDP checksums are made",
        "ovs-vsctl show",
    ),
    FactDef::per(
        "ovs.mtu",
        Kind::Int,
        "interface",
        "MTU of an interface, bytes",
        "ovs-vsctl list interface",
    ),
    FactDef::per(
        "ovs.mtu_request",
        Kind::Int,
        "interface",
        "MTU that somebody asked for, bytes",
        "ovs-vsctl list interface",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if piece.file_name().contains("list-interface") {
        return columns(piece, &text, out);
    }
    let (mut bridge, mut interface) = (String::new(), String::new());
    for (number, text) in believed(&text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        let text = text.trim();
        if let Some(name) = text.strip_prefix("Bridge ") {
            unquoted(name).clone_into(&mut bridge);
            interface.clear();
        } else if let Some(name) = text.strip_prefix("Interface ") {
            unquoted(name).clone_into(&mut interface);
            if !bridge.is_empty() {
                line.of("ovs.bridge", &interface, Value::text(&*bridge));
            }
        } else if let Some(kind) = text.strip_prefix("datapath_type: ") {
            line.of("ovs.datapath", &bridge, Value::text(unquoted(kind)));
        } else if let Some(kind) = text.strip_prefix("type: ") {
            // Open vSwitch's `gre` carries Ethernet frames, like the kernel's gretap.
            let kind = if unquoted(kind) == "gre" { "gretap" } else { unquoted(kind) };
            if let Some(kind) = tunnel::by_detail(kind) {
                line.of("ovs.tunnel", &interface, Value::text(kind));
            }
        } else if let Some(options) = text.strip_prefix("options: ") {
            self::options(line, &interface, options);
        }
    }
}

fn unquoted(word: &str) -> &str {
    word.trim().trim_matches('"')
}

/// `{in_key=flow, local_ip="192.0.2.1", remote_ip="192.0.2.2"}`.
fn options(line: &mut Line<'_, '_, '_>, interface: &str, options: &str) {
    let pairs = options.trim_matches(['{', '}']).split(',').filter_map(|p| p.split_once('='));
    for (key, value) in pairs {
        let value = unquoted(value);
        match key.trim() {
            "remote_ip" | "local_ip" if value.parse::<std::net::IpAddr>().is_ok() => {
                let name = if key.trim() == "remote_ip" { "ovs.remote" } else { "ovs.local" };
                line.of(name, interface, Value::text(value));
            }
            "csum" => line.of("ovs.csum", interface, Value::Bool(value == "true")),
            _ => {}
        }
    }
}

/// Records of `ovs-vsctl list interface`: one column per line, in the order of the alphabet, so
/// that the name comes after the MTU.
fn columns(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut found: Vec<(&'static str, i64, u32, &str)> = Vec::new();
    for (number, text) in believed(text, piece.whole) {
        let Some((key, value)) = text.split_once(':') else {
            found.clear();
            continue;
        };
        let value = unquoted(value);
        match (key.trim(), value.parse()) {
            ("mtu", Ok(mtu)) => found.push(("ovs.mtu", mtu, number, text)),
            ("mtu_request", Ok(mtu)) => found.push(("ovs.mtu_request", mtu, number, text)),
            ("name", _) => {
                for (name, mtu, number, text) in found.drain(..) {
                    Line { piece, number, text, out }.of(name, value, Value::Int(mtu));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn bridges_and_tunnel_ports() {
        let text = "9c1b\n    Bridge br-tun\n        datapath_type: netdev\n        Port \"vxlan-1\"\n            Interface \"vxlan-1\"\n                type: vxlan\n                options: {in_key=flow, local_ip=\"192.0.2.1\", remote_ip=\"192.0.2.2\", csum=\"true\"}\n        Port patch-int\n            Interface patch-int\n                type: patch\n    ovs_version: \"3.1\"\n";
        let out = testing::read(parse, "commands/ovs-vsctl-show.txt", text);
        assert_eq!(testing::show(&out, "ovs.tunnel"), Some("vxlan".into()));
        assert_eq!(testing::show(&out, "ovs.remote"), Some("192.0.2.2".into()));
        assert_eq!(testing::show(&out, "ovs.bridge"), Some("br-tun".into()));
        assert_eq!(testing::show(&out, "ovs.datapath"), Some("netdev".into()));
        assert_eq!(out.facts.iter().filter(|f| f.name == "ovs.tunnel").count(), 1);
    }

    #[test]
    fn mtus_of_the_list() {
        let text = "_uuid               : 1\nmtu                 : 9000\nmtu_request         : []\nname                : tap1\n\n_uuid : 2\nmtu : 1500\n";
        let out = testing::read(parse, "commands/ovs-vsctl-list-interface.txt", text);
        assert_eq!(out.facts.len(), 1);
        assert_eq!(
            (out.facts[0].name, out.facts[0].instance.as_deref()),
            ("ovs.mtu", Some("tap1"))
        );
    }
}
