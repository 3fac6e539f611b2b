//! Links: MTU, address, bridge membership, tunnel parameters, SR-IOV virtual functions.
//!
//! Read are `ip [-d] [-s] link`, `ip addr`, `ip -o` (one line per address), `ip -j` (JSON),
//! ifconfig of net-tools in its old and new form, and /sys/class/net/LINK/{mtu,address,operstate,
//! speed} (Documentation/ABI/testing/sysfs-class-net). The words of the detail lines are those of
//! iproute2's ip/ipaddress.c and ip/iplink_*.c.
//!
//! Not parsed: statistics, queues, offload sizes.

mod ifconfig;
mod json;
#[cfg(test)]
mod tests;

use super::{Line, after, believed, is_output, mac, tunnel};
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
    FactDef::per(name, kind, "link", doc, SHOW)
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
    FactDef::per(
        "link.addresses",
        Kind::Words,
        "link",
        "IP addresses with prefix length",
        "ip addr",
    ),
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
    FactDef::per(
        "vf.mac",
        Kind::Text,
        "link and VF",
        "Address of an SR-IOV virtual function",
        "ip link",
    ),
    FactDef::per(
        "vf.spoof_check",
        Kind::Bool,
        "link and VF",
        "Whether the NIC drops frames with other source addresses",
        "ip link",
    ),
    FactDef::per(
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
        json::json(piece, &text, out);
    } else if is_output(piece, &["ifconfig"]) {
        ifconfig::ifconfig(piece, &text, out);
    } else {
        iproute(piece, &text, out);
    }
}

fn sysfs(piece: Piece<'_>, rest: &str, text: &str, out: &mut Out) {
    let Some((link, attribute)) = rest.split_once('/') else { return };
    let value = text.trim();
    let row = &mut Line { piece, number: 1, text: value, out };
    match (attribute, value.parse::<i64>()) {
        ("mtu", Ok(mtu)) => row.of("link.mtu", link, Value::Int(mtu)),
        ("mtu", Err(_)) => row.problem("expected a number of bytes"),
        // -1 and reading errors stand for a speed that is not known.
        ("speed", Ok(speed)) if speed > 0 => row.of("link.speed_mbps", link, Value::Int(speed)),
        ("address", _) => {
            if let Some(mac) = mac(value) {
                row.of("link.mac", link, Value::text(mac));
            }
        }
        ("operstate", _) if !value.is_empty() => row.of("link.state", link, Value::text(value)),
        _ => {}
    }
}

/// Links of `ip link` and `ip addr`: a head at the margin, details indented.
fn iproute(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut link = String::new();
    let mut addresses: Vec<String> = Vec::new();
    let mut place = Origin::default();
    for (number, text) in believed(text, piece.whole) {
        let row = &mut Line { piece, number, text, out };
        if let Some(name) = head(row) {
            flush(&link, &mut addresses, &place, row.out);
            place = row.origin();
            link = name;
        } else if text.starts_with(char::is_whitespace) && !link.is_empty() {
            for part in text.split('\\') {
                details(row, &link, &part.split_whitespace().collect::<Vec<_>>());
            }
        } else if text.starts_with("## ") || text.starts_with("# ") {
            flush(&link, &mut addresses, &place, row.out);
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
fn head(row: &mut Line<'_, '_, '_>) -> Option<String> {
    let (index, rest) = row.text.split_once(": ")?;
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
            Some(index) => row.of("link.peer_index", name, Value::Int(index)),
            None => row.of("link.parent", name, Value::text(peer)),
        }
    }
    let flags = words.get(1).copied().unwrap_or_default();
    if flags.starts_with('<') {
        let up = flags.trim_matches(['<', '>']).split(',').any(|f| f == "UP");
        row.of("link.up", name, Value::Bool(up));
    }
    common(row, name, &words);
    // `-o` puts the details on the same line.
    for part in row.text.split('\\').skip(1) {
        details(row, name, &part.split_whitespace().collect::<Vec<_>>());
    }
    Some(name.to_owned())
}

/// `mtu`, `state`, `master` of a head line (`bridge link` has them too).
fn common(row: &mut Line<'_, '_, '_>, name: &str, words: &[&str]) {
    match after(words, "mtu").map(str::parse) {
        Some(Ok(mtu)) => row.of("link.mtu", name, Value::Int(mtu)),
        Some(Err(_)) => row.problem("the MTU is no number"),
        None => {}
    }
    if let Some(state) = after(words, "state").filter(|s| s.bytes().all(|b| b.is_ascii_uppercase()))
    {
        row.of("link.state", name, Value::text(state.to_ascii_lowercase()));
    }
    if let Some(master) = after(words, "master") {
        row.of("link.master", name, Value::text(master));
    }
    if let Some(kind) = tunnel::by_name(name) {
        row.of("tunnel.kind", name, Value::text(kind));
    }
}

/// A detail line: `link/ether ...`, `vf 0 ...`, or one that begins with the link's kind.
fn details(row: &mut Line<'_, '_, '_>, link: &str, words: &[&str]) {
    let Some(first) = words.first().copied() else { return };
    if let Some(kind) = first.strip_prefix("link/") {
        if let Some(mac) = words.get(1).and_then(|w| mac(w)) {
            row.of("link.mac", link, Value::text(mac));
        }
        if let Some(kind) = tunnel::by_link_type(kind) {
            row.of("tunnel.kind", link, Value::text(kind));
            ends(row, link, words.get(1).copied(), after(words, "peer"));
        }
    } else if first == "vf" {
        function(row, link, words);
    } else if let Some(kind) = tunnel::by_detail(first) {
        row.of("tunnel.kind", link, Value::text(kind));
        row.of("link.kind", link, Value::text(kind));
        encapsulation(row, link, words);
    } else if KINDS.contains(&first) {
        row.of("link.kind", link, Value::text(first));
        if let Some(on) = after(words, "vlan_filtering") {
            row.of("link.vlan_filtering", link, Value::Bool(on == "1"));
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
fn ends(row: &mut Line<'_, '_, '_>, link: &str, local: Option<&str>, remote: Option<&str>) {
    let known = |a: &&str| a.parse::<std::net::IpAddr>().is_ok_and(|a| !a.is_unspecified());
    for (name, end) in [("tunnel.local", local), ("tunnel.remote", remote)] {
        if let Some(end) = end.filter(known) {
            row.of(name, link, Value::text(end));
        }
    }
}

fn encapsulation(row: &mut Line<'_, '_, '_>, link: &str, words: &[&str]) {
    let remote = after(words, "remote").or_else(|| after(words, "group"));
    ends(row, link, after(words, "local"), remote);
    for (name, key) in [("tunnel.id", "id"), ("tunnel.port", "dstport")] {
        if let Some(number) = after(words, key).and_then(|n| n.parse().ok()) {
            row.of(name, link, Value::Int(number));
        }
    }
    for (name, key) in [("tunnel.dev", "dev"), ("tunnel.df", "df")] {
        if let Some(word) = after(words, key) {
            row.of(name, link, Value::text(word));
        }
    }
    // GRE over IPv4 has `nopmtudisc` where the bit is not set.
    if words.contains(&"nopmtudisc") {
        row.of("tunnel.df", link, Value::text("unset"));
    }
    if words.iter().any(|w| matches!(*w, "key" | "ikey" | "okey")) {
        row.of("tunnel.keyed", link, Value::Bool(true));
    }
    if words.contains(&"external") {
        row.of("tunnel.external", link, Value::Bool(true));
    }
}

/// `vf 0     link/ether 52:54:00:00:00:01 brd ..., spoof checking on, link-state auto, trust off`;
/// older releases print `MAC` instead of `link/ether`.
fn function(row: &mut Line<'_, '_, '_>, link: &str, words: &[&str]) {
    let Some(number) = words.get(1) else { return };
    let instance = format!("{link} vf {}", number.trim_end_matches(','));
    let address = after(words, "link/ether").or_else(|| after(words, "MAC"));
    if let Some(mac) = address.and_then(|a| mac(a.trim_end_matches(','))) {
        row.of("vf.mac", &instance, Value::text(mac));
    }
    for (name, key) in [("vf.spoof_check", "checking"), ("vf.trust", "trust")] {
        match after(words, key).map(|w| w.trim_end_matches(',')) {
            Some("on") => row.of(name, &instance, Value::Bool(true)),
            Some("off") => row.of(name, &instance, Value::Bool(false)),
            _ => {}
        }
    }
}
