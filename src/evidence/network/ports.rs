//! What the layer below lets a virtual machine's port send and receive: MAC filters, promiscuous
//! mode, security groups.
//!
//! | platform | read | meaning |
//! |---|---|---|
//! | VMware ESXi | `esxcli network vswitch standard [portgroup] policy security get` | promiscuous mode, forged transmits |
//! | Hyper-V | `Get-VMNetworkAdapter` with `MacAddressSpoofing`, as list or table | |
//! | VirtualBox | `VBoxManage showvminfo` | `Promisc Policy` of a NIC |
//! | OpenStack | `openstack port show`, `openstack security group rule list` | port security, protocols |
//! | AWS | `describe-network-interfaces`, `describe-instances`, `describe-security-groups` | source/destination check, protocols |
//! | KubeVirt, Multus | NetworkAttachmentDefinition | `macspoofchk` |
//! | nft, ebtables | rules of a bridge | a source address other than the guest's |
//! | Incus, LXD | `config show` | `security.mac_filtering` |
//!
//! Whether a filter is a fault depends on what the guest does with its port: an analyzer joins them.

use super::{Line, believed, def, mac};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Filters of virtual switches and clouds.
pub const SLICE: Slice = Slice { name: "network/ports", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::output("esxcli*"),
    Want::output("powercli*"),
    Want::output("ebtables*"),
    Want::output("nft*"),
    Want::output("get-vmnetworkadapter*"),
    Want::output("Get-VMNetworkAdapter*"),
    Want::output("get-vm-network*"),
    Want::output("hyperv*"),
    Want::output("powershell*"),
    Want::output("vboxmanage-showvminfo*"),
    Want::output("VBoxManage-showvminfo*"),
    Want::output("openstack-*"),
    Want::output("neutron-*"),
    Want::output("nova-*"),
    Want::output("aws*"),
    Want::output("kubectl-get-*"),
    Want::output("oc-get-*"),
    Want::output("incus-config-show*"),
    Want::output("lxc-config-show*"),
    Want::given("**/*net-attach-def*.yaml"),
    Want::given("**/nad*.yaml"),
    Want::given("*.yaml"),
    Want::given("etc/cni/net.d/*"),
];

const FACTS: &[FactDef] = &[
    def(
        "port.filters_mac",
        Kind::Bool,
        "port",
        "Whether frames with other than the port's own MAC address are dropped",
        "Get-VMNetworkAdapter -VMName VM | Select Name, MacAddressSpoofing",
    ),
    def("port.mac", Kind::Text, "port", "MAC address of the port", "openstack port show PORT"),
    def(
        "port.address_pairs",
        Kind::Bool,
        "port",
        "Whether further addresses are allowed on a port with port security",
        "openstack port show PORT -c allowed_address_pairs",
    ),
    def(
        "vswitch.promiscuous",
        Kind::Bool,
        "switch or port group",
        "Whether ports may see all frames",
        "esxcli network vswitch standard policy security get -v vSwitch0",
    ),
    def(
        "vswitch.uplinks",
        Kind::Int,
        "switch",
        "Physical NICs of a virtual switch",
        "esxcli network vswitch standard list",
    ),
    def(
        "vswitch.reverse_check",
        Kind::Bool,
        "",
        "Whether ESXi drops copies of a port's own frames in promiscuous mode",
        "esxcli system settings advanced list -o /Net/ReversePathFwdCheckPromisc",
    ),
    def(
        "secgroup.protocols",
        Kind::Words,
        "file",
        "What security groups let in: all, tcp, udp, icmp, ipip, a number, or protocol/port",
        "openstack security group rule list GROUP",
    ),
    def(
        "cloud.source_dest_check",
        Kind::Bool,
        "",
        "Whether the cloud drops packets that are not from or to the instance's own address",
        "aws ec2 describe-network-interfaces",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = crate::parse::decoded(piece.bytes);
    let file = piece.file_name().to_ascii_lowercase();
    let reader = match () {
        () if file.starts_with("aws") || text.trim_start().starts_with('{') => json,
        () if file.starts_with("openstack")
            || file.starts_with("neutron")
            || file.starts_with("nova") =>
        {
            tables
        }
        () => lines,
    };
    reader(piece, &text, out);
}

/// `Key: value` and `Key : value` of esxcli, PowerShell, VBoxManage, YAML.
fn lines(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut port = piece.file_name().trim_end_matches(".txt").to_owned();
    let mut columns: Option<usize> = None;
    for (number, text) in believed(text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        if let Some(at) = columns {
            if let Some(on) =
                text.get(at..).and_then(|t| t.split_whitespace().next()).and_then(switch)
            {
                let name = text.split_whitespace().next().unwrap_or_default().to_owned();
                line.of("port.filters_mac", &name, Value::Bool(!on));
            }
            continue;
        }
        if !text.contains(':')
            && let Some(at) = text.find("MacAddressSpoofing")
        {
            columns = Some(at);
            continue;
        }
        if let Some(mac) = other_sources(text) {
            line.of("port.mac", &mac, Value::text(&*mac));
            line.of("port.filters_mac", &mac, Value::Bool(true));
            continue;
        }
        if text.trim_start().starts_with("NIC ") {
            virtualbox(line);
            continue;
        }
        let Some((key, value)) = text.split_once(':') else { continue };
        let key = key.trim().trim_matches(['"', '\'']).trim_start_matches("- ");
        let value = value.trim().trim_matches(['"', '\'', ',', ' ']);
        if matches!(key, "Name" | "VMName") && !value.is_empty() {
            value.clone_into(&mut port);
        }
        setting(line, &port, key, value);
    }
}

fn setting(line: &mut Line<'_, '_, '_>, port: &str, key: &str, value: &str) {
    let on = switch(value);
    match (key, on) {
        ("MacAddressSpoofing", Some(on)) => line.of("port.filters_mac", port, Value::Bool(!on)),
        ("MacAddress", _) => {
            if let Some(mac) = plain_mac(value) {
                line.of("port.mac", port, Value::text(mac));
            }
        }
        ("Allow Forged Transmits" | "ForgedTransmits", Some(on)) => {
            line.of("port.filters_mac", port, Value::Bool(!on))
        }
        ("Allow Promiscuous" | "AllowPromiscuous", Some(on)) => {
            line.of("vswitch.promiscuous", port, Value::Bool(on));
            // A standard switch learns no addresses: without it a port gets only its own frames.
            if !on {
                line.of("port.filters_mac", port, Value::Bool(true));
            }
        }
        ("Uplinks", _) => {
            let count = value.split(',').filter(|u| !u.trim().is_empty()).count();
            line.of("vswitch.uplinks", port, Value::Int(i64::try_from(count).unwrap_or(i64::MAX)));
        }
        ("Int Value", _) if line.piece.path.to_ascii_lowercase().contains("reversepath") => {
            line.fact("vswitch.reverse_check", Value::Bool(value != "0"));
        }
        ("macspoofchk", Some(on)) => line.of("port.filters_mac", port, Value::Bool(on)),
        ("security.mac_filtering", Some(on)) => line.of("port.filters_mac", port, Value::Bool(on)),
        _ => {}
    }
}

fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// The address of a rule that drops frames with any other source: `ether saddr != MAC drop` of nft,
/// `-s ! MAC -j DROP` of ebtables. KubeVirt, Proxmox VE and libvirt make such rules.
fn other_sources(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let drops = words.iter().any(|w| matches!(*w, "drop" | "DROP"));
    let at = words.windows(2).position(|w| matches!(w, ["saddr", "!="] | ["-s", "!"]))?;
    words.get(at + 2).filter(|_| drops).and_then(|w| mac(w))
}

/// `NIC 1:  MAC: 080027000001, Attachment: Bridged Interface 'eth0', ..., Promisc Policy: deny`.
fn virtualbox(line: &mut Line<'_, '_, '_>) {
    let text = line.text.trim();
    let value =
        |key: &str| text.split_once(key).map(|(_, r)| r.split(',').next().unwrap_or(r).trim());
    let Some(policy) = value("Promisc Policy:") else { return };
    // NAT needs no filter: the guest's frames end in VirtualBox itself.
    let shared = ["Bridged", "Host-only", "Internal", "NAT Network"];
    if !value("Attachment:").is_some_and(|a| shared.iter().any(|s| a.starts_with(s))) {
        return;
    }
    let port = text.split(':').next().unwrap_or("NIC").to_owned();
    line.of("port.filters_mac", &port, Value::Bool(policy == "deny"));
    if let Some(mac) = value("MAC:").and_then(plain_mac) {
        line.of("port.mac", &port, Value::text(mac));
    }
}

/// A MAC address without separators, as Windows and VirtualBox print it.
fn plain_mac(text: &str) -> Option<String> {
    let hex = text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex {
        return mac(text);
    }
    let pairs: Vec<&str> = (0..6).filter_map(|i| text.get(2 * i..2 * i + 2)).collect();
    mac(&pairs.join(":"))
}

/// Tables of OpenStack's clients: `| field | value |`, or one row per rule.
fn tables(piece: Piece<'_>, text: &str, out: &mut Out) {
    if text.trim_start().starts_with(['{', '[']) {
        return json(piece, text, out);
    }
    let mut heads: Vec<String> = Vec::new();
    let mut protocols: Vec<String> = Vec::new();
    let mut first = None;
    let port = piece.file_name().trim_end_matches(".txt").to_owned();
    for (number, text) in believed(text, piece.whole) {
        let cells: Vec<&str> = text.trim().trim_matches('|').split('|').map(str::trim).collect();
        if !text.trim_start().starts_with('|') {
            continue;
        }
        let line = &mut Line { piece, number, text, out };
        match cells.as_slice() {
            [field, value] => port_field(line, &port, field, value),
            row if heads.is_empty() => heads = row.iter().map(|h| h.to_ascii_lowercase()).collect(),
            row => {
                if let Some(protocol) = group_rule(&heads, row) {
                    first.get_or_insert((number, text));
                    protocols.push(protocol);
                }
            }
        }
    }
    if let Some((number, text)) = first {
        Line { piece, number, text, out }.of("secgroup.protocols", &port, Value::words(protocols));
    }
}

fn port_field(line: &mut Line<'_, '_, '_>, port: &str, field: &str, value: &str) {
    match (field, switch(value)) {
        ("port_security_enabled", Some(on)) => line.of("port.filters_mac", port, Value::Bool(on)),
        ("mac_address", _) => {
            if let Some(mac) = mac(value) {
                line.of("port.mac", port, Value::text(mac));
            }
        }
        ("allowed_address_pairs", _) => {
            let any = !matches!(value, "" | "[]" | "None");
            line.of("port.address_pairs", port, Value::Bool(any));
        }
        _ => {}
    }
}

/// A rule's protocol and port: columns `IP Protocol`, `Port Range`, and `Direction` where shown.
fn group_rule(heads: &[String], row: &[&str]) -> Option<String> {
    let cell =
        |name: &str| heads.iter().position(|h| h.contains(name)).and_then(|i| row.get(i)).copied();
    let protocol = cell("protocol")?.to_ascii_lowercase();
    if cell("direction").is_some_and(|d| d == "egress") {
        return None;
    }
    let protocol =
        if matches!(protocol.as_str(), "" | "none" | "any") { "all".to_owned() } else { protocol };
    Some(with_ports(&protocol, cell("port").unwrap_or_default()))
}

/// `udp/4789` of `udp` and `4789:4789`; `udp` where all ports, or several, are let in.
fn with_ports(protocol: &str, range: &str) -> String {
    match range.split_once([':', '-']) {
        Some((low, high)) if low == high && !low.is_empty() => format!("{protocol}/{low}"),
        Some((low, high))
            if !low.is_empty()
                && (low, high) != ("1", "65535")
                && (low, high) != ("0", "65535") =>
        {
            format!("{protocol}/{low}-{high}")
        }
        _ => protocol.to_owned(),
    }
}

/// AWS and other JSON: keys anywhere in the tree.
fn json(piece: Piece<'_>, text: &str, out: &mut Out) {
    let Ok(tree) = serde_json::from_str::<serde_json::Value>(text) else {
        // What is no JSON may still be lines of `key: value`.
        return lines(piece, text, out);
    };
    let stem = piece.file_name().trim_end_matches(".txt").to_owned();
    let mut protocols: Vec<String> = Vec::new();
    let mut waiting = vec![&tree];
    // The tree is walked without recursion; serde_json bounds its depth, the file its size.
    while let Some(node) = waiting.pop() {
        match node {
            serde_json::Value::Array(items) => waiting.extend(items),
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    let shown = format!("\"{key}\": {value}");
                    let line = &mut Line { piece, number: place(text, key), text: &shown, out };
                    match (key.as_str(), value) {
                        ("SourceDestCheck", serde_json::Value::Bool(on)) => {
                            line.fact("cloud.source_dest_check", Value::Bool(*on));
                        }
                        ("port_security_enabled" | "macspoofchk", serde_json::Value::Bool(on)) => {
                            line.of("port.filters_mac", &stem, Value::Bool(*on));
                        }
                        ("config", serde_json::Value::String(inner)) => {
                            if inner.replace(' ', "").contains("\"macspoofchk\":true") {
                                line.of("port.filters_mac", &stem, Value::Bool(true));
                            }
                        }
                        ("IpPermissions", serde_json::Value::Array(rules)) => {
                            protocols.extend(rules.iter().filter_map(permission));
                        }
                        _ => waiting.push(value),
                    }
                }
            }
            _ => {}
        }
    }
    if !protocols.is_empty() {
        let number = place(text, "IpPermissions");
        let line = &mut Line { piece, number, text: "IpPermissions", out };
        line.of("secgroup.protocols", &stem, Value::words(protocols));
    }
}

fn place(text: &str, key: &str) -> u32 {
    let quoted = format!("\"{key}\"");
    crate::parse::lines(text).find(|(_, l)| l.contains(&quoted)).map_or(1, |(n, _)| n)
}

fn permission(rule: &serde_json::Value) -> Option<String> {
    let protocol = rule.get("IpProtocol")?.as_str()?;
    let port = |key: &str| rule.get(key).and_then(serde_json::Value::as_i64);
    Some(match (protocol, port("FromPort"), port("ToPort")) {
        ("-1", _, _) => "all".to_owned(),
        (protocol, Some(low), Some(high)) => with_ports(protocol, &format!("{low}:{high}")),
        (protocol, _, _) => protocol.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn filters(path: &str, text: &str) -> Option<String> {
        testing::show(&testing::read(parse, path, text), "port.filters_mac")
    }

    #[test]
    fn filters_of_all_platforms() {
        let yes = Some("true".to_owned());
        assert_eq!(
            filters(
                "commands/get-vmnetworkadapter.txt",
                "Name               : eth\nMacAddress         : 00155D000001\nMacAddressSpoofing : Off\n"
            ),
            yes
        );
        assert_eq!(
            filters(
                "commands/get-vmnetworkadapter.txt",
                "Name     VMName  MacAddressSpoofing\n----     ------  ------------------\nAdapter1 l1      Off\n"
            ),
            yes
        );
        assert_eq!(
            filters(
                "commands/esxcli-network-vswitch-policy.txt",
                "   Allow Promiscuous: false\n   Allow MAC Address Change: true\n   Allow Forged Transmits: false\n"
            ),
            yes
        );
        assert_eq!(
            filters(
                "commands/vboxmanage-showvminfo-l1.txt",
                "NIC 1:                       MAC: 080027000001, Attachment: Bridged Interface 'eth0', Cable connected: on, Promisc Policy: deny, Boot priority: 0\n"
            ),
            yes
        );
        assert_eq!(
            filters(
                "commands/vboxmanage-showvminfo-l1.txt",
                "NIC 1: MAC: 080027000001, Attachment: NAT, Promisc Policy: deny\n"
            ),
            None
        );
        assert_eq!(
            filters(
                "commands/openstack-port-show.txt",
                "| port_security_enabled | True |\n| allowed_address_pairs |      |\n"
            ),
            yes
        );
        assert_eq!(
            filters(
                "commands/kubectl-get-net-attach-def.txt",
                "  spec:\n    config: '{\"type\":\"bridge\",\n      \"macspoofchk\": true,\n"
            ),
            yes
        );
        assert_eq!(
            filters("commands/incus-config-show-l1.txt", "    security.mac_filtering: \"true\"\n"),
            yes
        );
        assert_eq!(
            filters("commands/get-vmnetworkadapter.txt", "MacAddressSpoofing : On\n"),
            Some("false".into())
        );
    }

    #[test]
    fn security_groups() {
        let table = "+----+-------------+-----------+----------+------------+\n| ID | IP Protocol | Ethertype | IP Range | Port Range |\n+----+-------------+-----------+----------+------------+\n| a  | tcp         | IPv4      | 0.0.0.0/0 | 22:22     |\n| b  | ipip        | IPv4      | 0.0.0.0/0 |           |\n+----+\n";
        let out = testing::read(parse, "commands/openstack-security-group-rule-list.txt", table);
        assert_eq!(testing::show(&out, "secgroup.protocols"), Some("ipip tcp/22".into()));
        let aws = r#"{"SecurityGroups":[{"IpPermissions":[{"IpProtocol":"udp","FromPort":8472,"ToPort":8472},{"IpProtocol":"tcp","FromPort":0,"ToPort":65535}]}]}"#;
        let out = testing::read(parse, "commands/aws-ec2-describe-security-groups.txt", aws);
        assert_eq!(testing::show(&out, "secgroup.protocols"), Some("tcp udp/8472".into()));
        let out =
            testing::read(parse, "commands/aws-ec2.txt", r#"{"a":[{"SourceDestCheck":true}]}"#);
        assert_eq!(testing::show(&out, "cloud.source_dest_check"), Some("true".into()));
    }

    #[test]
    fn nonsense() {
        for text in ["", "{", "|", "| a |", "NIC ", "MacAddressSpoofing", "Uplinks:"] {
            testing::read(parse, "commands/openstack-x.txt", text);
            testing::read(parse, "commands/esxcli.txt", text);
        }
    }
}
