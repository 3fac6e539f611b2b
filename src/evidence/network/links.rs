//! Links: MTU, address, bridge membership, tunnel parameters, SR-IOV virtual functions.
//!
//! Read are `ip [-d] [-s] link`, `ip addr`, `ip -o` (one line per address), `ip -j` (JSON),
//! ifconfig of net-tools in its old and new form, and /sys/class/net/LINK/{mtu,address,operstate,
//! speed} (Documentation/ABI/testing/sysfs-class-net). The words of the detail lines are those of
//! iproute2's ip/ipaddress.c and ip/iplink_*.c.
//!
//! Not parsed: statistics, queues, offload sizes.

use super::{Line, after, believed, def, is_output, mac, tunnel};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Links and their addresses.
pub const SLICE: Slice = Slice { name: "network/links", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command(
        "ip-link",
        &["ip", "-d", "-s", "link"],
        &["sos_commands/networking/ip_-s_-d_link", "sos_commands/networking/ip_-s_link"],
    ),
    Want::command(
        "ip-addr",
        &["ip", "addr"],
        &["sos_commands/networking/ip_-d_address", "sos_commands/networking/ip_-o_addr"],
    ),
    Want::output("ip-*"),
    Want::output("ip_*"),
    Want::command(
        "bridge-link",
        &["bridge", "link"],
        &["sos_commands/networking/bridge_-s_-s_-d_link_show"],
    ),
    Want::output("bridge-link*"),
    Want::output("ifconfig*"),
    Want::file("sys/class/net/*/mtu"),
    Want::file("sys/class/net/*/address"),
    Want::file("sys/class/net/*/operstate"),
    Want::file("sys/class/net/*/speed"),
];

const SHOW: &str = "ip -d link";

const fn link(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    def(name, kind, "link", doc, SHOW)
}

const FACTS: &[FactDef] = &[
    link("link.mtu", Kind::Int, "MTU of the link, bytes of an IP packet"),
    link("link.mac", Kind::Text, "Link-layer address, lower case with colons"),
    link("link.state", Kind::Text, "Operational state in lower case: up, down, unknown"),
    link("link.up", Kind::Bool, "Whether the link is switched on (flag UP)"),
    link(
        "link.kind",
        Kind::Text,
        "Driver kind of a virtual link: bridge, veth, tun, bond, vlan, macvtap, vxlan, ...",
    ),
    link("link.master", Kind::Text, "Bridge, bond or virtual switch that the link is a port of"),
    link("link.parent", Kind::Text, "Link that this one is built on, where it is one of this host"),
    link("link.peer_index", Kind::Int, "Number of the link at the other end (NAME@ifN)"),
    def("link.addresses", Kind::Words, "link", "IP addresses with prefix length", "ip addr"),
    link("link.speed_mbps", Kind::Int, "Speed of the link, Mbit/s"),
    link("link.vlan_filtering", Kind::Bool, "Whether a bridge filters by VLAN"),
    link(
        "tunnel.kind",
        Kind::Text,
        "Encapsulation: vxlan, geneve, gre, gretap, ipip, wireguard, ...",
    ),
    link("tunnel.id", Kind::Int, "Network identifier of a VXLAN or GENEVE tunnel"),
    link("tunnel.remote", Kind::Text, "Address of the other end"),
    link("tunnel.local", Kind::Text, "Own address, the source of outer packets"),
    link("tunnel.port", Kind::Int, "UDP port of the outer packets"),
    link("tunnel.dev", Kind::Text, "Link that carries the tunnel"),
    link("tunnel.df", Kind::Text, "Don't-fragment bit of outer packets: set, unset, inherit"),
    link("tunnel.keyed", Kind::Bool, "Whether a GRE tunnel carries a key"),
    link("tunnel.external", Kind::Bool, "Whether flows or a controller choose the outer header"),
    def("vf.mac", Kind::Text, "link and VF", "Address of an SR-IOV virtual function", "ip link"),
    def(
        "vf.spoof_check",
        Kind::Bool,
        "link and VF",
        "Whether the NIC drops frames with other source addresses",
        "ip link",
    ),
    def(
        "vf.trust",
        Kind::Bool,
        "link and VF",
        "Whether the virtual function may change its filters",
        "ip link",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if let Some(rest) = piece.path.strip_prefix("sys/class/net/") {
        sysfs(piece, rest, &text, out);
    } else if text.trim_start().starts_with('[') {
        json(piece, &text, out);
    } else if is_output(piece, &["ifconfig"]) {
        ifconfig(piece, &text, out);
    } else {
        iproute(piece, &text, out);
    }
}

fn sysfs(piece: Piece<'_>, rest: &str, text: &str, out: &mut Out) {
    let Some((link, attribute)) = rest.split_once('/') else { return };
    let value = text.trim();
    let line = &mut Line { piece, number: 1, text: value, out };
    match (attribute, value.parse::<i64>()) {
        ("mtu", Ok(mtu)) => line.of("link.mtu", link, Value::Int(mtu)),
        ("mtu", Err(_)) => line.problem("expected a number of bytes"),
        // -1 and reading errors stand for a speed that is not known.
        ("speed", Ok(speed)) if speed > 0 => line.of("link.speed_mbps", link, Value::Int(speed)),
        ("address", _) => {
            if let Some(mac) = mac(value) {
                line.of("link.mac", link, Value::text(mac));
            }
        }
        ("operstate", _) if !value.is_empty() => line.of("link.state", link, Value::text(value)),
        _ => {}
    }
}

/// Links of `ip link` and `ip addr`: a head at the margin, details indented.
fn iproute(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut link = String::new();
    let mut addresses: Vec<String> = Vec::new();
    let mut place = Origin::default();
    for (number, text) in believed(text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        if let Some(name) = head(line) {
            flush(&link, &mut addresses, &place, line.out);
            place = line.origin();
            link = name;
        } else if text.starts_with(char::is_whitespace) && !link.is_empty() {
            for part in text.split('\\') {
                details(line, &link, &part.split_whitespace().collect::<Vec<_>>());
            }
        } else if text.starts_with("## ") || text.starts_with("# ") {
            flush(&link, &mut addresses, &place, line.out);
            link.clear();
        }
        if !link.is_empty() {
            addresses.extend(address(text));
        }
    }
    flush(&link, &mut addresses, &place, out);
}

/// All addresses of a link, at the line that opens it.
fn flush(link: &str, addresses: &mut Vec<String>, place: &Origin, out: &mut Out) {
    if !addresses.is_empty() {
        out.fact_of("link.addresses", link, Value::words(addresses.drain(..)), place.clone());
    }
}

/// The address of an `inet` or `inet6` line; link-local ones are everywhere the same network.
fn address(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|w| matches!(*w, "inet" | "inet6"))?;
    let local = words.get(at + 1)?;
    // `inet 10.0.0.1 peer 10.0.0.2/32`: the prefix length stands with the peer.
    let local = match after(&words, "peer") {
        Some(peer) if !local.contains('/') => {
            format!("{local}/{}", peer.split_once('/').map_or("32", |(_, l)| l))
        }
        _ => (*local).to_owned(),
    };
    (local.contains('/') && !local.starts_with("fe80:")).then_some(local)
}

/// `2: eth0@if3: <UP> mtu 1500 ...`: the name; facts of the head line are added. `ip -o addr` has
/// no colon after the name.
fn head(line: &mut Line<'_, '_, '_>) -> Option<String> {
    let (index, rest) = line.text.split_once(": ")?;
    index.trim().parse::<u32>().ok()?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let name = words.first()?;
    if matches!(words.get(1).copied(), Some("inet" | "inet6")) {
        return Some((*name).to_owned());
    }
    let name = name.strip_suffix(':')?;
    let (name, peer) = name.split_once('@').map_or((name, None), |(n, p)| (n, Some(p)));
    if let Some(peer) = peer.filter(|p| *p != "NONE") {
        match peer.strip_prefix("if").and_then(|n| n.parse().ok()) {
            Some(index) => line.of("link.peer_index", name, Value::Int(index)),
            None => line.of("link.parent", name, Value::text(peer)),
        }
    }
    let flags = words.get(1).copied().unwrap_or_default();
    if flags.starts_with('<') {
        let up = flags.trim_matches(['<', '>']).split(',').any(|f| f == "UP");
        line.of("link.up", name, Value::Bool(up));
    }
    common(line, name, &words);
    // `-o` puts the details on the same line.
    for part in line.text.split('\\').skip(1) {
        details(line, name, &part.split_whitespace().collect::<Vec<_>>());
    }
    Some(name.to_owned())
}

/// `mtu`, `state`, `master` of a head line (`bridge link` has them too).
fn common(line: &mut Line<'_, '_, '_>, name: &str, words: &[&str]) {
    match after(words, "mtu").map(str::parse) {
        Some(Ok(mtu)) => line.of("link.mtu", name, Value::Int(mtu)),
        Some(Err(_)) => line.problem("the MTU is no number"),
        None => {}
    }
    if let Some(state) = after(words, "state").filter(|s| s.bytes().all(|b| b.is_ascii_uppercase()))
    {
        line.of("link.state", name, Value::text(state.to_ascii_lowercase()));
    }
    if let Some(master) = after(words, "master") {
        line.of("link.master", name, Value::text(master));
    }
    if let Some(kind) = tunnel::by_name(name) {
        line.of("tunnel.kind", name, Value::text(kind));
    }
}

/// A detail line: `link/ether ...`, `vf 0 ...`, or one that begins with the link's kind.
fn details(line: &mut Line<'_, '_, '_>, link: &str, words: &[&str]) {
    let Some(first) = words.first().copied() else { return };
    if let Some(kind) = first.strip_prefix("link/") {
        if let Some(mac) = words.get(1).and_then(|w| mac(w)) {
            line.of("link.mac", link, Value::text(mac));
        }
        if let Some(kind) = tunnel::by_link_type(kind) {
            line.of("tunnel.kind", link, Value::text(kind));
            ends(line, link, words.get(1).copied(), after(words, "peer"));
        }
    } else if first == "vf" {
        function(line, link, words);
    } else if let Some(kind) = tunnel::by_detail(first) {
        line.of("tunnel.kind", link, Value::text(kind));
        line.of("link.kind", link, Value::text(kind));
        encapsulation(line, link, words);
    } else if KINDS.contains(&first) {
        line.of("link.kind", link, Value::text(first));
        if let Some(on) = after(words, "vlan_filtering") {
            line.of("link.vlan_filtering", link, Value::Bool(on == "1"));
        }
    }
}

/// Kinds of virtual links that are no tunnels.
const KINDS: &[&str] = &[
    "bridge",
    "veth",
    "tun",
    "bond",
    "team",
    "vlan",
    "macvlan",
    "macvtap",
    "ipvlan",
    "ipvtap",
    "dummy",
    "vrf",
    "openvswitch",
];

/// Ends of a tunnel; `any` and the unspecified address say nothing.
fn ends(line: &mut Line<'_, '_, '_>, link: &str, local: Option<&str>, remote: Option<&str>) {
    let known = |a: &&str| a.parse::<std::net::IpAddr>().is_ok_and(|a| !a.is_unspecified());
    for (name, end) in [("tunnel.local", local), ("tunnel.remote", remote)] {
        if let Some(end) = end.filter(known) {
            line.of(name, link, Value::text(end));
        }
    }
}

fn encapsulation(line: &mut Line<'_, '_, '_>, link: &str, words: &[&str]) {
    let remote = after(words, "remote").or_else(|| after(words, "group"));
    ends(line, link, after(words, "local"), remote);
    for (name, key) in [("tunnel.id", "id"), ("tunnel.port", "dstport")] {
        if let Some(number) = after(words, key).and_then(|n| n.parse().ok()) {
            line.of(name, link, Value::Int(number));
        }
    }
    for (name, key) in [("tunnel.dev", "dev"), ("tunnel.df", "df")] {
        if let Some(word) = after(words, key) {
            line.of(name, link, Value::text(word));
        }
    }
    // GRE over IPv4 has `nopmtudisc` where the bit is not set.
    if words.contains(&"nopmtudisc") {
        line.of("tunnel.df", link, Value::text("unset"));
    }
    if words.iter().any(|w| matches!(*w, "key" | "ikey" | "okey")) {
        line.of("tunnel.keyed", link, Value::Bool(true));
    }
    if words.contains(&"external") {
        line.of("tunnel.external", link, Value::Bool(true));
    }
}

/// `vf 0     link/ether 52:54:00:00:00:01 brd ..., spoof checking on, link-state auto, trust off`;
/// older releases print `MAC` instead of `link/ether`.
fn function(line: &mut Line<'_, '_, '_>, link: &str, words: &[&str]) {
    let Some(number) = words.get(1) else { return };
    let instance = format!("{link} vf {}", number.trim_end_matches(','));
    let address = after(words, "link/ether").or_else(|| after(words, "MAC"));
    if let Some(mac) = address.and_then(|a| mac(a.trim_end_matches(','))) {
        line.of("vf.mac", &instance, Value::text(mac));
    }
    for (name, key) in [("vf.spoof_check", "checking"), ("vf.trust", "trust")] {
        match after(words, key).map(|w| w.trim_end_matches(',')) {
            Some("on") => line.of(name, &instance, Value::Bool(true)),
            Some("off") => line.of(name, &instance, Value::Bool(false)),
            _ => {}
        }
    }
}

/// `eth0: flags=4163<UP,...>  mtu 1500`, or `eth0      Link encap:Ethernet  HWaddr ...`.
fn ifconfig(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut link = String::new();
    let mut addresses: Vec<String> = Vec::new();
    let mut place = Origin::default();
    for (number, text) in believed(text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        let words: Vec<&str> = text.split_whitespace().collect();
        let opens = !text.starts_with(char::is_whitespace)
            && (text.contains(": flags=") || text.contains("Link encap:"));
        if opens && let Some(first) = words.first() {
            flush(&link, &mut addresses, &place, line.out);
            first.trim_end_matches(':').clone_into(&mut link);
            place = line.origin();
            if let Some(kind) = tunnel::by_name(&link) {
                line.of("tunnel.kind", &link, Value::text(kind));
            }
        }
        if link.is_empty() {
            continue;
        }
        let mtu =
            after(&words, "mtu").or_else(|| words.iter().find_map(|w| w.strip_prefix("MTU:")));
        if let Some(mtu) = mtu.and_then(|m| m.parse().ok()) {
            line.of("link.mtu", &link, Value::Int(mtu));
        }
        if let Some(mac) = after(&words, "ether").or_else(|| after(&words, "HWaddr")).and_then(mac)
        {
            line.of("link.mac", &link, Value::text(mac));
        }
        addresses.extend(ifconfig_address(&words));
    }
    flush(&link, &mut addresses, &place, out);
}

fn ifconfig_address(words: &[&str]) -> Option<String> {
    let colon = |key: &str| words.iter().find_map(|w| w.strip_prefix(key));
    let address = after(words, "inet").map(|a| a.trim_start_matches("addr:"))?;
    let mask = after(words, "netmask").or_else(|| colon("Mask:"))?;
    let mask: std::net::Ipv4Addr = mask.parse().ok()?;
    Some(format!("{address}/{}", u32::from(mask).count_ones()))
}

/// `ip -j [-d] link` and `ip -j addr`: an array of objects.
fn json(piece: Piece<'_>, text: &str, out: &mut Out) {
    let links: Vec<serde_json::Value> = match serde_json::from_str(text) {
        Ok(links) => links,
        Err(error) => {
            let line = u32::try_from(error.line()).ok();
            out.problem(piece.path, line, "the JSON is broken");
            return;
        }
    };
    for link in &links {
        let Some(name) = link.get("ifname").and_then(|n| n.as_str()) else { continue };
        let number = crate::parse::lines(text)
            .find(|(_, l)| l.contains(&format!("\"{name}\"")))
            .map_or(1, |(n, _)| n);
        let shown = format!("\"ifname\":\"{name}\"");
        json_link(&mut Line { piece, number, text: &shown, out }, name, link);
    }
}

fn json_link(line: &mut Line<'_, '_, '_>, name: &str, link: &serde_json::Value) {
    let text = |key: &str| link.get(key).and_then(|v| v.as_str());
    if let Some(mtu) = link.get("mtu").and_then(serde_json::Value::as_i64) {
        line.of("link.mtu", name, Value::Int(mtu));
    }
    if let Some(mac) = text("address").and_then(mac) {
        line.of("link.mac", name, Value::text(mac));
    }
    for (fact, key) in [("link.master", "master"), ("link.parent", "link")] {
        if let Some(word) = text(key) {
            line.of(fact, name, Value::text(word));
        }
    }
    if let Some(state) = text("operstate") {
        line.of("link.state", name, Value::text(state.to_ascii_lowercase()));
    }
    if let Some(flags) = link.get("flags").and_then(|f| f.as_array()) {
        line.of("link.up", name, Value::Bool(flags.iter().any(|f| f.as_str() == Some("UP"))));
    }
    let info = link.get("linkinfo");
    let kind = info.and_then(|i| i.get("info_kind")).and_then(|k| k.as_str());
    if let Some(kind) = kind {
        line.of("link.kind", name, Value::text(kind));
    }
    if let Some(kind) = kind.and_then(tunnel::by_detail).or_else(|| tunnel::by_name(name)) {
        line.of("tunnel.kind", name, Value::text(kind));
        json_tunnel(line, name, info.and_then(|i| i.get("info_data")));
    }
    let addresses = link.get("addr_info").and_then(|a| a.as_array()).into_iter().flatten();
    let addresses: Vec<String> = addresses
        .filter_map(|a| Some((a.get("local")?.as_str()?, a.get("prefixlen")?.as_i64()?)))
        .filter(|(local, _)| !local.starts_with("fe80:"))
        .map(|(local, length)| format!("{local}/{length}"))
        .collect();
    if !addresses.is_empty() {
        line.of("link.addresses", name, Value::words(addresses));
    }
}

fn json_tunnel(line: &mut Line<'_, '_, '_>, name: &str, data: Option<&serde_json::Value>) {
    let Some(data) = data else { return };
    let text = |keys: &[&str]| keys.iter().find_map(|k| data.get(*k)?.as_str());
    ends(line, name, text(&["local", "local6"]), text(&["remote", "remote6", "group", "group6"]));
    for (fact, key) in [("tunnel.id", "id"), ("tunnel.port", "port")] {
        if let Some(number) = data.get(key).and_then(serde_json::Value::as_i64) {
            line.of(fact, name, Value::Int(number));
        }
    }
    if let Some(dev) = text(&["link"]) {
        line.of("tunnel.dev", name, Value::text(dev));
    }
    if let Some(df) = text(&["df"]) {
        line.of("tunnel.df", name, Value::text(df));
    }
    if data.get("external").is_some() {
        line.of("tunnel.external", name, Value::Bool(true));
    }
}

#[cfg(test)]
mod tests {
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
}
