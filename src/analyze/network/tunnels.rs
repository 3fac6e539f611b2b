//! What encapsulation costs, and whether a tunnel's MTU leaves room for it.
//!
//! Overhead is what is taken from the MTU of the link that carries the tunnel: the outer IP header,
//! the encapsulation's own, and, where Ethernet frames are carried, the inner Ethernet header.
//!
//! | encapsulation | over IPv4 | over IPv6 | source |
//! |---|---|---|---|
//! | VXLAN | 20 + 8 + 8 + 14 = 50 | 70 | RFC 7348 |
//! | GENEVE without options | 20 + 8 + 8 + 14 = 50 | 70 | RFC 8926 |
//! | GRE | 20 + 4 = 24, key + 4 | 44 | RFC 2784, 2890 |
//! | GRE with Ethernet | 20 + 4 + 14 = 38, key + 4 | 58 | RFC 2784, 2890 |
//! | IPIP, SIT | 20 | | RFC 2003, 4213 |
//! | ip6tnl | | 40 | RFC 2473, without the encapsulation limit option |
//! | WireGuard | 20 + 8 + 16 + 16 = 60 | 80 | whitepaper, section 5.4 |
//!
//! Where the outer family or an option is not known the smaller number counts: a tunnel is said to
//! have no room only where it cannot have any. IPsec depends on cipher and padding and is left out.

use super::{Analyzer, default_link, instances, int, is, link_with, place, route, text, value};
use crate::analyze::{Run, derived_of};
use crate::model::{Fact, FactDef, Host, Kind, Value};

/// Tunnels.
pub const ANALYZER: Analyzer =
    Analyzer { name: "network/tunnels", facts: FACTS, run: Run::Host(run) };

const fn tunnel(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "link", doc, "ip -d link; ip route get REMOTE")
}

const FACTS: &[FactDef] = &[
    tunnel(
        "tunnel.overhead",
        Kind::Int,
        "Bytes that the encapsulation takes from the carrying link's MTU",
    ),
    tunnel("tunnel.carrier", Kind::Text, "Link that carries the outer packets"),
    tunnel(
        "tunnel.carrier_mtu",
        Kind::Int,
        "MTU of the link that carries the outer packets, bytes",
    ),
    tunnel(
        "tunnel.room",
        Kind::Int,
        "Largest MTU that fits: the carrying link's less the overhead, bytes",
    ),
    tunnel(
        "tunnel.no_room",
        Kind::Bool,
        "Whether the tunnel's MTU leaves no room for its own encapsulation",
    ),
    tunnel("tunnel.excess", Kind::Int, "Bytes by which the tunnel's MTU is too large"),
    tunnel(
        "tunnel.misfit",
        Kind::Text,
        "A tunnel that leaves no room for its own encapsulation, in words",
    ),
    tunnel(
        "ovs.room",
        Kind::Int,
        "Largest MTU of a port whose frames fit into the Open vSwitch tunnel, bytes",
    ),
    FactDef::new(
        "ovs.no_room",
        Kind::Bool,
        "Whether no guest's port of the Open vSwitch host fits into its tunnels",
        "ovs-vsctl show; ip link",
    ),
    FactDef::new(
        "overlay.no_room",
        Kind::Bool,
        "Whether any tunnel's MTU leaves no room for its own encapsulation",
        "ip -d link",
    ),
    FactDef::new(
        "overlay.kinds",
        Kind::Words,
        "Encapsulations that this machine sends",
        "ip -d link; ovs-vsctl show",
    ),
];

/// Bytes of an encapsulation.
pub(super) fn overhead(kind: &str, six: bool, keyed: bool) -> Option<i64> {
    let outer = if six { 40 } else { 20 };
    let key = if keyed { 4 } else { 0 };
    Some(match kind {
        "vxlan" | "geneve" => outer + 8 + 8 + 14,
        "gre" => outer + 4 + key,
        "gretap" => outer + 4 + 14 + key,
        "erspan" => outer + 4 + 8 + 14,
        "ip6gre" => 40 + 4 + key,
        "ip6gretap" => 40 + 4 + 14 + key,
        "ipip" | "sit" => 20,
        "ip6tnl" => 40,
        "wireguard" => outer + 8 + 16 + 16,
        _ => return None,
    })
}

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut kinds: Vec<String> = Vec::new();
    let mut proof = None;
    for (link, fact) in instances(host, "tunnel.kind") {
        let Some(kind) = value(fact) else { continue };
        // The module makes a fallback device in every namespace; it is down until it is used.
        if is(host, "link.up", link) == Some(false) {
            continue;
        }
        kinds.push(kind.to_owned());
        proof.get_or_insert(&fact.origin);
        measure(host, link, kind, &mut facts);
    }
    for (interface, fact) in instances(host, "ovs.tunnel") {
        kinds.extend(value(fact).map(str::to_owned));
        proof.get_or_insert(&fact.origin);
        facts.extend(ovs_room(host, interface, fact));
    }
    for (_, fact) in instances(host, "overlay.encapsulation") {
        kinds.extend(value(fact).map(str::to_owned));
        proof.get_or_insert(&fact.origin);
    }
    if let Some(origin) = proof {
        facts.push(super::derived("overlay.kinds", Value::words(kinds), origin));
    }
    facts.extend(ovs_no_room(host, &facts));
    let no_room = |f: &&Fact| f.name == "tunnel.no_room" && f.value == Value::Bool(true);
    let decided = facts.iter().find(no_room).or(host.facts.first("link.mtu"));
    if let Some(origin) = decided.map(|f| f.origin.clone()) {
        let any = facts.iter().any(|f| no_room(&f));
        facts.push(super::derived("overlay.no_room", Value::Bool(any), &origin));
    }
    facts
}

/// The link that carries a tunnel's outer packets.
pub(super) fn carrier<'h>(host: &'h Host, link: &'h str) -> Option<&'h str> {
    let named = text(host, "tunnel.dev", link).or_else(|| text(host, "link.parent", link));
    let by_local = || link_with(host, text(host, "tunnel.local", link)?.parse().ok()?);
    let by_route = || route(host, text(host, "tunnel.remote", link)?.parse().ok()?);
    named
        .or_else(by_local)
        .or_else(by_route)
        .or_else(|| default_link(host))
        .filter(|carrier| *carrier != link && *carrier != "lo")
}

fn measure(host: &Host, link: &str, kind: &str, facts: &mut Vec<Fact>) {
    let origin = &place(host, "link.mtu", link);
    let ends = ["tunnel.remote", "tunnel.local"];
    let six = ends.iter().any(|e| text(host, e, link).is_some_and(|a| a.contains(':')));
    let keyed = is(host, "tunnel.keyed", link) == Some(true);
    let Some(overhead) = overhead(kind, six, keyed) else { return };
    let mut add = |name, value| facts.push(derived_of(name, link, value, origin));
    add("tunnel.overhead", Value::Int(overhead));
    let Some(carrier) = carrier(host, link) else { return };
    add("tunnel.carrier", Value::text(carrier));
    let Some(carrier_mtu) = int(host, "link.mtu", carrier) else { return };
    let room = carrier_mtu.saturating_sub(overhead);
    add("tunnel.carrier_mtu", Value::Int(carrier_mtu));
    add("tunnel.room", Value::Int(room));
    let Some(mtu) = int(host, "link.mtu", link).filter(|_| !sized_elsewhere(host, link)) else {
        return;
    };
    add("tunnel.no_room", Value::Bool(mtu > room));
    if mtu > room {
        add("tunnel.excess", Value::Int(mtu.saturating_sub(room)));
        let said = format!(
            "{link} has MTU {mtu} over {carrier} with {carrier_mtu}: {kind} needs {overhead} bytes, {room} fits"
        );
        add("tunnel.misfit", Value::text(said));
    }
}

/// Devices of Open vSwitch and Cilium take all sizes: their users know the limit.
fn sized_elsewhere(host: &Host, link: &str) -> bool {
    is(host, "tunnel.external", link) == Some(true)
        || link.starts_with("cilium_")
        || link.contains("_sys")
}

fn ovs_room(host: &Host, interface: &str, tunnel: &Fact) -> Option<Fact> {
    let end = |name| text(host, name, interface)?.parse::<std::net::IpAddr>().ok();
    let local = end("ovs.local").and_then(|a| link_with(host, a));
    let carrier = local.or_else(|| route(host, end("ovs.remote")?))?;
    let six = end("ovs.remote").is_some_and(|a| a.is_ipv6());
    let overhead = overhead(value(tunnel)?, six, false)?;
    let room = int(host, "link.mtu", carrier)?.saturating_sub(overhead);
    Some(derived_of("ovs.room", interface, Value::Int(room), &tunnel.origin))
}

/// Ports of provider networks need no tunnel: only where no port at all fits is something said.
fn ovs_no_room(host: &Host, facts: &[Fact]) -> Option<Fact> {
    let rooms = facts.iter().filter(|f| f.name == "ovs.room");
    let room =
        rooms.filter_map(|f| if let Value::Int(n) = f.value { Some(n) } else { None }).min()?;
    let taps = instances(host, "link.mtu").filter(|(link, _)| {
        let switched = text(host, "link.master", link) == Some("ovs-system");
        (switched || host.facts.of("ovs.bridge", link).is_some())
            && super::is_guest_port(host, link)
    });
    let smallest = taps
        .filter_map(|(_, f)| if let Value::Int(n) = f.value { Some((n, &f.origin)) } else { None })
        .min_by_key(|(n, _)| *n)?;
    Some(super::derived("ovs.no_room", Value::Bool(smallest.0 > room), smallest.1))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{host, of};
    use super::*;

    #[test]
    fn overheads_of_the_rfcs() {
        for (kind, six, keyed, bytes) in [
            ("vxlan", false, false, 50),
            ("vxlan", true, false, 70),
            ("geneve", false, false, 50),
            ("gre", false, true, 28),
            ("gretap", false, false, 38),
            ("ipip", false, false, 20),
            ("wireguard", false, false, 60),
            ("wireguard", true, false, 80),
        ] {
            assert_eq!(overhead(kind, six, keyed), Some(bytes), "{kind}");
        }
        assert_eq!(overhead("xfrm", false, false), None);
    }

    fn over(mtu: i64, carrier: i64) -> Vec<Fact> {
        run(&host(&[
            ("tunnel.kind", "vx", Value::text("vxlan")),
            ("tunnel.remote", "vx", Value::text("192.0.2.2")),
            ("link.mtu", "vx", Value::Int(mtu)),
            ("link.mtu", "eth0", Value::Int(carrier)),
            ("link.mtu", "eth1", Value::Int(9000)),
            ("link.addresses", "eth0", Value::words(["192.0.2.1/24"])),
            ("route.dev", "192.0.2.0/24", Value::text("eth0")),
            ("route.dev", "default", Value::text("eth1")),
        ]))
    }

    #[test]
    fn a_tunnel_against_the_link_that_its_route_takes() {
        let facts = over(1500, 1500);
        assert_eq!(of(&facts, "tunnel.carrier", "vx"), Some("eth0".into()));
        assert_eq!(of(&facts, "tunnel.no_room", "vx"), Some("true".into()));
        assert_eq!(of(&facts, "tunnel.excess", "vx"), Some("50".into()));
        assert_eq!(of(&over(1450, 1500), "tunnel.no_room", "vx"), Some("false".into()));
        assert_eq!(of(&over(1400, 1442), "tunnel.no_room", "vx"), Some("true".into()));
    }

    #[test]
    fn devices_that_take_all_sizes_are_not_too_large() {
        let facts = run(&host(&[
            ("tunnel.kind", "vxlan_sys_4789", Value::text("vxlan")),
            ("link.mtu", "vxlan_sys_4789", Value::Int(65000)),
            ("link.mtu", "eth0", Value::Int(1500)),
            ("route.dev", "default", Value::text("eth0")),
        ]));
        assert_eq!(of(&facts, "tunnel.no_room", ""), None);
    }

    #[test]
    fn ports_of_a_switch_that_do_not_fit_its_tunnels() {
        let with = |tap| {
            run(&host(&[
                ("ovs.tunnel", "vx-1", Value::text("vxlan")),
                ("ovs.local", "vx-1", Value::text("192.0.2.1")),
                ("link.addresses", "eth0", Value::words(["192.0.2.1/24"])),
                ("link.mtu", "eth0", Value::Int(1500)),
                ("link.mtu", "tap1", Value::Int(tap)),
                ("link.master", "tap1", Value::text("ovs-system")),
            ]))
        };
        assert_eq!(of(&with(1500), "ovs.no_room", ""), Some("true".into()));
        assert_eq!(of(&with(1450), "ovs.no_room", ""), Some("false".into()));
        assert_eq!(of(&with(1450), "ovs.room", "vx-1"), Some("1450".into()));
    }
}
