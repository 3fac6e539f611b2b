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

mod cloud;

use super::{Line, believed, mac};
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
    FactDef::per(
        "port.filters_mac",
        Kind::Bool,
        "port",
        "Whether frames with other than the port's own MAC address are dropped",
        "Get-VMNetworkAdapter -VMName VM | Select Name, MacAddressSpoofing",
    ),
    FactDef::per(
        "port.mac",
        Kind::Text,
        "port",
        "MAC address of the port",
        "openstack port show PORT",
    ),
    FactDef::per(
        "port.address_pairs",
        Kind::Bool,
        "port",
        "Whether further addresses are allowed on a port with port security",
        "openstack port show PORT -c allowed_address_pairs",
    ),
    FactDef::per(
        "vswitch.promiscuous",
        Kind::Bool,
        "switch or port group",
        "Whether ports may see all frames",
        "esxcli network vswitch standard policy security get -v vSwitch0",
    ),
    FactDef::per(
        "vswitch.uplinks",
        Kind::Int,
        "switch",
        "Physical NICs of a virtual switch",
        "esxcli network vswitch standard list",
    ),
    FactDef::new(
        "vswitch.reverse_check",
        Kind::Bool,
        "Whether ESXi drops copies of a port's own frames in promiscuous mode",
        "esxcli system settings advanced list -o /Net/ReversePathFwdCheckPromisc",
    ),
    FactDef::per(
        "secgroup.protocols",
        Kind::Words,
        "file",
        "What security groups let in: all, tcp, udp, icmp, ipip, a number, or protocol/port",
        "openstack security group rule list GROUP",
    ),
    FactDef::new(
        "cloud.source_dest_check",
        Kind::Bool,
        "Whether the cloud drops packets that are not from or to the instance's own address",
        "aws ec2 describe-network-interfaces",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = crate::parse::decoded(piece.bytes);
    let file = piece.file_name().to_ascii_lowercase();
    let reader = match () {
        () if file.starts_with("aws") || text.trim_start().starts_with('{') => cloud::json,
        () if file.starts_with("openstack")
            || file.starts_with("neutron")
            || file.starts_with("nova") =>
        {
            cloud::tables
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
            line.of("port.filters_mac", port, Value::Bool(!on));
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
        ("macspoofchk" | "security.mac_filtering", Some(on)) => {
            line.of("port.filters_mac", port, Value::Bool(on));
        }
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
