//! Bridges: their own and their ports' MTU against the uplink that carries the frames.
//!
//! A Linux bridge forwards a frame only if it fits the port's MTU (`is_skb_forwardable`,
//! net/core/dev.c) and drops it otherwise without a word: bridges send no ICMP. Where a bridge has
//! no uplink among its ports, packets are routed, and the sender is told; that only fails where
//! ICMP or the guest does not play along, so it is another fact.

use super::{
    Analyzer, default_link, instances, int, is_guest_port, is_virtual_bridge, place, ports_of,
    text, value,
};
use crate::analyze::{Run, derived, derived_of};
use crate::model::{Fact, FactDef, Host, Kind, Value};

/// Bridges.
pub const ANALYZER: Analyzer =
    Analyzer { name: "network/bridges", facts: FACTS, run: Run::Host(run) };

const fn bridge(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "bridge", doc, "ip -d link")
}

const FACTS: &[FactDef] = &[
    bridge("bridge.uplink", Kind::Text, "Port that leads out of the host, the smallest if several"),
    bridge("bridge.uplink_mtu", Kind::Int, "MTU of the uplink, bytes"),
    bridge(
        "bridge.largest_mtu",
        Kind::Int,
        "Largest MTU of the bridge and its guests' ports, bytes",
    ),
    bridge(
        "bridge.larger_than_uplink",
        Kind::Bool,
        "Whether frames that guests may send do not fit the uplink port",
    ),
    bridge(
        "bridge.routed_mtu",
        Kind::Int,
        "MTU of the link over which a bridge without uplink is routed, bytes",
    ),
    bridge(
        "bridge.larger_than_route",
        Kind::Bool,
        "Whether a routed virtual network has a larger MTU than the way out",
    ),
    bridge(
        "bridge.bridges_guests",
        Kind::Bool,
        "Whether guests share the host's own uplink by a bridge",
    ),
    bridge(
        "bridge.misfit",
        Kind::Text,
        "A port that is larger than the uplink of its bridge, in words",
    ),
    FactDef::new(
        "bridge.misfits",
        Kind::Bool,
        "Whether any bridge has a port that is larger than its uplink",
        "ip -d link",
    ),
    FactDef::per(
        "ovs.small_port_mtu",
        Kind::Int,
        "link",
        "MTU of a port for which Open vSwitch dropped packets as too big, bytes",
        "ip link",
    ),
    FactDef::new(
        "ovs.mtu_differs",
        Kind::Bool,
        "Whether other ports of the switch, or the network, have a larger MTU than that port",
        "ip link; ovs-vsctl list interface",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    for bridge in bridges(host) {
        switched(host, bridge, &mut facts);
    }
    too_big(host, &mut facts);
    let decided = facts.iter().find(|f| f.name == "bridge.misfit").or(host.facts.first("link.mtu"));
    if let Some(origin) = decided.map(|f| f.origin.clone()) {
        let any = facts.iter().any(|f| f.name == "bridge.misfit");
        facts.push(derived("bridge.misfits", Value::Bool(any), &origin));
    }
    facts
}

/// Linux bridges: links of that kind, and masters that are neither bonds nor Open vSwitch.
pub(super) fn bridges(host: &Host) -> Vec<&str> {
    let by_kind = instances(host, "link.kind").filter(|(_, f)| value(f) == Some("bridge"));
    let masters = instances(host, "link.master").filter_map(|(_, f)| value(f)).filter(|master| {
        let kind = text(host, "link.kind", master);
        !matches!(kind, Some("bond" | "team" | "vrf"))
            && !["bond", "team", "ovs-"].iter().any(|n| master.starts_with(n))
    });
    let named = instances(host, "link.mtu")
        .map(|(l, _)| l)
        .filter(|l| (l.starts_with("virbr") && !l.ends_with("-nic")) || *l == "docker0");
    let mut all: Vec<&str> = by_kind.map(|(l, _)| l).chain(masters).chain(named).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn switched(host: &Host, bridge: &str, facts: &mut Vec<Fact>) {
    let (guests, others): (Vec<&str>, Vec<&str>) =
        ports_of(host, bridge).into_iter().partition(|p| is_guest_port(host, p));
    let mtu = |link: &str| int(host, "link.mtu", link);
    let with_mtu = |link| Some((mtu(link)?, link));
    let Some(largest) = guests.iter().copied().chain([bridge]).filter_map(with_mtu).max() else {
        return;
    };
    let origin = &place(host, "link.mtu", largest.1);
    let mut add = |name, value| facts.push(derived_of(name, bridge, value, origin));
    add("bridge.largest_mtu", Value::Int(largest.0));
    // libvirt gave its bridges a port of their own to hold a MAC address.
    let uplinks = others.iter().filter(|l| !l.ends_with("-nic"));
    if let Some((uplink_mtu, uplink)) = uplinks.copied().filter_map(with_mtu).min() {
        if largest.0 > uplink_mtu {
            let (mtu, link) = largest;
            let said =
                format!("{link} on {bridge} has MTU {mtu}, the uplink {uplink} {uplink_mtu}");
            add("bridge.misfit", Value::text(said));
        }
        add("bridge.uplink", Value::text(uplink));
        add("bridge.uplink_mtu", Value::Int(uplink_mtu));
        add("bridge.larger_than_uplink", Value::Bool(largest.0 > uplink_mtu));
        let shares = !guests.is_empty() && host.facts.of("tunnel.kind", uplink).is_none();
        add("bridge.bridges_guests", Value::Bool(shares));
    } else if (!guests.is_empty() || is_virtual_bridge(bridge))
        && let Some(out) = default_link(host).filter(|l| *l != bridge)
        && let Some(out_mtu) = int(host, "link.mtu", out)
    {
        add("bridge.routed_mtu", Value::Int(out_mtu));
        add("bridge.larger_than_route", Value::Bool(largest.0 > out_mtu));
    }
}

/// The user-space datapath of Open vSwitch says which port a packet was too big for.
fn too_big(host: &Host, facts: &mut Vec<Fact>) {
    let mut smallest: Option<(i64, &crate::model::Event)> = None;
    for event in host.events.of("ovs-packet-too-big") {
        let Some(link) = event.fields.get("link") else { continue };
        let mtu = int(host, "link.mtu", link).or_else(|| int(host, "ovs.mtu", link));
        if let Some(mtu) = mtu {
            facts.push(derived_of("ovs.small_port_mtu", link, Value::Int(mtu), &event.origin));
            smallest = smallest.filter(|(m, _)| *m <= mtu).or(Some((mtu, event)));
        }
    }
    let Some((mtu, event)) = smallest else { return };
    // Linux's own limit of a virtual link (65535 and near) is nobody's choice.
    let sizes = ["link.mtu", "ovs.mtu", "config.mtu"].iter().flat_map(|n| instances(host, n));
    let larger = sizes
        .filter(|(link, _)| *link != "lo")
        .any(|(_, f)| matches!(f.value, Value::Int(n) if n > mtu && n < 16_384));
    facts.push(derived("ovs.mtu_differs", Value::Bool(larger), &event.origin));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{host, of};
    use super::*;

    #[test]
    fn a_tap_larger_than_the_uplink_of_its_bridge() {
        let with = |tap, uplink| {
            run(&host(&[
                ("link.mtu", "br0", Value::Int(1500)),
                ("link.mtu", "vnet0", Value::Int(tap)),
                ("link.mtu", "eno1", Value::Int(uplink)),
                ("link.master", "vnet0", Value::text("br0")),
                ("link.master", "eno1", Value::text("br0")),
            ]))
        };
        assert_eq!(of(&with(9000, 1500), "bridge.larger_than_uplink", "br0"), Some("true".into()));
        assert_eq!(of(&with(1500, 1450), "bridge.larger_than_uplink", "br0"), Some("true".into()));
        assert_eq!(of(&with(1500, 9000), "bridge.larger_than_uplink", "br0"), Some("false".into()));
        assert_eq!(of(&with(1500, 1500), "bridge.bridges_guests", "br0"), Some("true".into()));
    }

    #[test]
    fn a_routed_network_is_told_apart() {
        let facts = run(&host(&[
            ("link.mtu", "docker0", Value::Int(1500)),
            ("link.mtu", "eth0", Value::Int(1450)),
            ("route.dev", "default", Value::text("eth0")),
        ]));
        assert_eq!(of(&facts, "bridge.larger_than_uplink", ""), None);
        assert_eq!(of(&facts, "bridge.larger_than_route", "docker0"), Some("true".into()));
    }

    #[test]
    fn a_bond_is_no_bridge() {
        let facts = run(&host(&[
            ("link.mtu", "bond0", Value::Int(9000)),
            ("link.mtu", "eno1", Value::Int(1500)),
            ("link.master", "eno1", Value::text("bond0")),
        ]));
        assert_eq!(facts.len(), 1);
        assert_eq!(of(&facts, "bridge.misfits", ""), Some("false".into()));
    }
}
