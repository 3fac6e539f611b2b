//! Links as the tools print them.

use super::*;
use crate::evidence::testing;

fn read(path: &str, text: &str) -> Vec<(String, String)> {
    let out = testing::read(parse, path, text);
    let show = |f: crate::model::Fact| {
        (format!("{} {}", f.name, f.instance.unwrap_or_default()), f.value.to_string())
    };
    out.facts.into_iter().map(show).collect()
}

fn has(facts: &[(String, String)], name: &str, value: &str) -> bool {
    facts.iter().any(|(n, v)| n == name && v == value)
}

#[test]
fn details_of_a_vxlan_port_of_a_bridge() {
    let facts = read(
        "commands/ip-link.txt",
        "7: vx9@eth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc noqueue master br9 state UNKNOWN mode DEFAULT group default\n    link/ether 1E:E2:c0:5b:76:4d brd ff:ff:ff:ff:ff:ff promiscuity 1\n    vxlan id 9 remote 192.0.2.2 local 192.0.2.1 dev eth1 srcport 0 0 dstport 8472 ttl auto df set ageing 300\n",
    );
    for (name, value) in [
        ("link.mtu vx9", "1400"),
        ("link.mac vx9", "1e:e2:c0:5b:76:4d"),
        ("link.master vx9", "br9"),
        ("link.parent vx9", "eth1"),
        ("link.state vx9", "unknown"),
        ("tunnel.kind vx9", "vxlan"),
        ("tunnel.id vx9", "9"),
        ("tunnel.remote vx9", "192.0.2.2"),
        ("tunnel.port vx9", "8472"),
        ("tunnel.dev vx9", "eth1"),
        ("tunnel.df vx9", "set"),
    ] {
        assert!(has(&facts, name, value), "{name} {value} in {facts:?}");
    }
}

#[test]
fn addresses_of_all_forms() {
    let ip = "2: eth0: <UP> mtu 1500 qdisc mq state UP\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\n    inet6 fe80::1/64 scope link\n    inet6 2001:db8::7/64 scope global\n";
    assert!(has(
        &read("commands/ip-addr.txt", ip),
        "link.addresses eth0",
        "192.0.2.7/24 2001:db8::7/64"
    ));
    let oneline = "2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever\n";
    assert!(has(&read("commands/ip-addr.txt", oneline), "link.addresses eth0", "192.0.2.7/24"));
    let old = "eth0      Link encap:Ethernet  HWaddr 02:00:00:00:00:01\n          inet addr:192.0.2.7  Bcast:192.0.2.255  Mask:255.255.255.0\n          UP BROADCAST RUNNING MULTICAST  MTU:9000  Metric:1\n";
    let facts = read("commands/ifconfig-a.txt", old);
    assert!(has(&facts, "link.addresses eth0", "192.0.2.7/24"), "{facts:?}");
    assert!(has(&facts, "link.mtu eth0", "9000"));
    let json = r#"[{"ifname":"eth0","mtu":1500,"address":"02:00:00:00:00:01","addr_info":[{"local":"192.0.2.7","prefixlen":24}]}]"#;
    assert!(has(&read("commands/ip-j-addr.txt", json), "link.addresses eth0", "192.0.2.7/24"));
}

#[test]
fn virtual_functions_of_both_forms() {
    let facts = read(
        "commands/ip-link.txt",
        "3: ens1f0: <UP> mtu 1500\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    vf 0     link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff, spoof checking on, link-state auto, trust off\n    vf 1 MAC 52:54:00:00:00:02, spoof checking off, link-state auto\n",
    );
    assert!(has(&facts, "vf.spoof_check ens1f0 vf 0", "true"), "{facts:?}");
    assert!(has(&facts, "vf.mac ens1f0 vf 1", "52:54:00:00:00:02"));
    assert!(has(&facts, "vf.spoof_check ens1f0 vf 1", "false"));
}

#[test]
fn the_name_tells_a_tunnel_where_no_details_are_shown() {
    let facts = read(
        "commands/ip-link.txt",
        "5: flannel.1: <UP> mtu 1450 qdisc noqueue\n6: wgdata: <UP> mtu 1500\n",
    );
    assert!(has(&facts, "tunnel.kind flannel.1", "vxlan"));
    assert!(!facts.iter().any(|(n, _)| n == "tunnel.kind wgdata"));
}

#[test]
fn broken_lines_cost_only_themselves() {
    let text = "2: eth0: <UP> mtu many state UP\n3: eth1: <UP> mtu 1500\n: \n    vf\n99999999999: x: mtu\n";
    let out = testing::read(parse, "commands/ip-link.txt", text);
    assert_eq!(out.problems.len(), 1);
    assert!(out.facts.iter().any(|f| f.name == "link.mtu"));
    let cut = testing::read_part(
        parse,
        "commands/ip-link.txt",
        "2: a: <UP> mtu 1500\n3: b: <UP> mtu 15",
        false,
    );
    assert!(!cut.facts.iter().any(|f| f.instance.as_deref() == Some("b")));
}
