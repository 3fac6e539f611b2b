//! The MTU down the layers: a guest's NIC, the host's end of it, the bridge, and what carries that.
//!
//! A guest's NIC and the host's port are joined by the MAC address in the host's definition of the
//! guest (the target of libvirt's `<interface>`), or by libvirt's habit to give the tap the guest's
//! address with `fe` in front. Where neither tells and there is one guest and one port, they belong
//! together. A limit of a layer that was not collected is not known and limits nothing: what comes
//! out is the largest packet that the *known* part of the path carries.

use super::{
    Analyzer, bridges, default_link, instances, int, is_guest_port, is_uplink, links, place,
    ports_of, text, tunnels,
};
use crate::analyze::{Run, derived, derived_of};
use crate::model::{Fact, FactDef, Host, Kind, Layer, Stack, Value};

/// The MTU down the layers.
pub const ANALYZER: Analyzer =
    Analyzer { name: "network/path", facts: FACTS, run: Run::Stack(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "network.safe_mtu_l1",
        Kind::Int,
        "largest IP packet of L1 that the known part of the path carries, bytes",
        "ip -d link (on every layer)",
    ),
    FactDef::new(
        "network.safe_mtu_l2",
        Kind::Int,
        "largest IP packet of L2 that the known part of the path carries, bytes",
        "ip -d link (on every layer)",
    ),
    FactDef::per(
        "path.port",
        Kind::Text,
        "link",
        "Port of the layer below that this link of a guest ends in",
        "virsh domiflist NAME",
    ),
    FactDef::per(
        "path.larger_than_below",
        Kind::Bool,
        "link",
        "Whether the guest's link has a larger MTU than its port or bridge on the layer below",
        "ip link (on both layers)",
    ),
    FactDef::per(
        "path.mtu_below",
        Kind::Int,
        "link",
        "MTU of the port and bridge of the layer below that a guest's link ends in, bytes",
        "ip link (on the layer below)",
    ),
];

fn run(stack: &Stack) -> Vec<(usize, Fact)> {
    let mut facts = Vec::new();
    let l1 = collected(stack, Layer::L1);
    let l2 = collected(stack, Layer::L2);
    let l0 = collected(stack, Layer::L0);
    let mut safe_l1 = None;
    if let Some((index, guest)) = l1 {
        let below = l0.map(|(_, host)| host);
        safe_l1 = safe(guest, below, None, index, &mut facts);
        add(&mut facts, index, guest, "network.safe_mtu_l1", safe_l1);
    }
    match (l1, l2) {
        (Some((_, host)), Some((index, guest))) => {
            let safe_l2 = safe(guest, Some(host), safe_l1, index, &mut facts);
            add(&mut facts, index, guest, "network.safe_mtu_l2", safe_l2);
        }
        // Without L2 the bridge that has its ports tells what it can be given.
        (Some((index, host)), None) => {
            let bridge = bridges::bridges(host)
                .into_iter()
                .find(|b| ports_of(host, b).iter().any(|p| is_guest_port(host, p)));
            let safe_l2 =
                bridge.and_then(|b| smallest([int(host, "link.mtu", b), egress(host, b, safe_l1)]));
            add(&mut facts, index, host, "network.safe_mtu_l2", safe_l2);
        }
        _ => {}
    }
    facts
}

/// The collected host of a layer, if there is one only.
fn collected(stack: &Stack, layer: Layer) -> Option<(usize, &Host)> {
    let mut hosts =
        stack.hosts.iter().enumerate().filter(|(_, h)| h.layer == layer && h.collected());
    let first = hosts.next()?;
    hosts.next().is_none().then_some(first)
}

fn add(
    facts: &mut Vec<(usize, Fact)>,
    index: usize,
    host: &Host,
    name: &'static str,
    mtu: Option<i64>,
) {
    let Some(mtu) = mtu else { return };
    let link = default_link(host).unwrap_or_default();
    facts.push((index, derived(name, Value::Int(mtu), &place(host, "link.mtu", link))));
}

fn smallest(mtus: impl IntoIterator<Item = Option<i64>>) -> Option<i64> {
    mtus.into_iter().flatten().min()
}

/// The largest packet of a guest that gets out of the host below. `limit` is what that host's own
/// uplink can be given by the layers further down.
fn safe(
    guest: &Host,
    below: Option<&Host>,
    limit: Option<i64>,
    index: usize,
    facts: &mut Vec<(usize, Fact)>,
) -> Option<i64> {
    let nic = default_link(guest)
        .filter(|l| is_uplink(guest, l))
        .or_else(|| links(guest).into_iter().find(|l| is_uplink(guest, l)))?;
    let mtu = int(guest, "link.mtu", nic);
    let Some((host, port)) = below.and_then(|h| Some((h, port_of(guest, nic, h)?))) else {
        return mtu;
    };
    let origin = &place(guest, "link.mtu", nic);
    facts.push((index, derived_of("path.port", nic, Value::text(port), origin)));
    let bridge = text(host, "link.master", port).filter(|m| *m != "ovs-system");
    let switched = bridge.and_then(|b| int(host, "link.mtu", b));
    let carried = bridge.map_or_else(|| ovs_egress(host), |b| egress(host, b, limit));
    let under = smallest([int(host, "link.mtu", port), switched, carried]);
    // What tunnels further on take is their fault, not that of the two ends of this link.
    let other_end = smallest([int(host, "link.mtu", port), switched]);
    if let (Some(mtu), Some(under)) = (mtu, other_end) {
        facts.push((index, derived_of("path.mtu_below", nic, Value::Int(under), origin)));
        facts.push((
            index,
            derived_of("path.larger_than_below", nic, Value::Bool(mtu > under), origin),
        ));
    }
    smallest([mtu, under])
}

/// The host's end of a guest's NIC.
fn port_of<'h>(guest: &Host, nic: &str, host: &'h Host) -> Option<&'h str> {
    let mac = text(guest, "link.mac", nic);
    let ports: Vec<&str> = links(host).into_iter().filter(|l| is_guest_port(host, l)).collect();
    if let Some(mac) = mac {
        if let Some(target) = text(host, "nic.target", mac) {
            return Some(target);
        }
        let tail = mac.get(2..)?;
        let twin = |l: &&&str| {
            text(host, "link.mac", l)
                .is_some_and(|m| m.starts_with("fe") && m.get(2..) == Some(tail))
        };
        if let Some(port) = ports.iter().find(twin) {
            return Some(port);
        }
    }
    let [only] = ports.as_slice() else { return None };
    Some(only)
}

/// The largest packet that gets out of a bridge.
fn egress(host: &Host, bridge: &str, limit: Option<i64>) -> Option<i64> {
    let uplinks: Vec<&str> = ports_of(host, bridge)
        .into_iter()
        .filter(|p| !is_guest_port(host, p) && !p.ends_with("-nic"))
        .collect();
    if uplinks.is_empty() {
        // Routed: the way out is the host's own.
        let out = default_link(host).filter(|l| *l != bridge)?;
        return smallest([int(host, "link.mtu", out), limit]);
    }
    smallest(uplinks.into_iter().map(|port| carried(host, port, limit)))
}

/// The largest packet that an uplink port carries.
fn carried(host: &Host, port: &str, limit: Option<i64>) -> Option<i64> {
    let own = int(host, "link.mtu", port);
    let Some(kind) = text(host, "tunnel.kind", port) else { return smallest([own, limit]) };
    let six = text(host, "tunnel.remote", port).is_some_and(|a| a.contains(':'));
    let overhead = tunnels::overhead(kind, six, false)?;
    let under = tunnels::carrier(host, port).and_then(|c| int(host, "link.mtu", c));
    let room = smallest([under, limit]).map(|m| m.saturating_sub(overhead));
    smallest([own, room])
}

/// Open vSwitch with tunnels: the smallest room of them.
fn ovs_egress(host: &Host) -> Option<i64> {
    let rooms = instances(host, "ovs.room");
    rooms.filter_map(|(_, f)| if let Value::Int(n) = f.value { Some(n) } else { None }).min()
}

#[cfg(test)]
mod tests {
    use super::super::testing::host;
    use super::*;

    fn layer(layer: Layer, facts: &[(&'static str, &str, Value)]) -> Host {
        let mut host = host(facts);
        host.layer = layer;
        host
    }

    fn overlay<'a>(
        port: &'a str,
        bridge: &'a str,
        mtu: i64,
        uplink: i64,
    ) -> Vec<(&'static str, &'a str, Value)> {
        vec![
            ("link.mtu", "eth0", Value::Int(uplink)),
            ("link.mtu", port, Value::Int(mtu)),
            ("link.kind", port, Value::text("veth")),
            ("link.master", port, Value::text(bridge)),
            ("link.mtu", bridge, Value::Int(mtu)),
            ("link.mtu", "vx", Value::Int(mtu)),
            ("link.master", "vx", Value::text(bridge)),
            ("tunnel.kind", "vx", Value::text("vxlan")),
            ("tunnel.dev", "vx", Value::text("eth0")),
            ("route.dev", "default", Value::text("eth0")),
        ]
    }

    fn safe_mtus(
        l2: i64,
        inner: i64,
        l1: i64,
        outer: i64,
        l0: i64,
    ) -> (Option<Value>, Option<Value>) {
        let stack = Stack {
            hosts: vec![
                layer(Layer::L0, &overlay("tapL1", "brL1", outer, l0)),
                layer(Layer::L1, &overlay("tapL2", "brL2", inner, l1)),
                layer(Layer::L2, &[("link.mtu", "eth0", Value::Int(l2))]),
            ],
            ..Stack::default()
        };
        let facts = run(&stack);
        let of =
            |name: &str| facts.iter().find(|(_, f)| f.name == name).map(|(_, f)| f.value.clone());
        (of("network.safe_mtu_l1"), of("network.safe_mtu_l2"))
    }

    #[test]
    fn each_layer_costs_its_encapsulation() {
        let int = |n| Some(Value::Int(n));
        assert_eq!(safe_mtus(1400, 1400, 1450, 1450, 1500), (int(1450), int(1400)));
        assert_eq!(safe_mtus(1500, 1500, 1500, 1500, 1500), (int(1450), int(1400)));
        assert_eq!(safe_mtus(8900, 8900, 8950, 8950, 9000), (int(8950), int(8900)));
    }

    #[test]
    fn a_guest_is_found_by_its_mac_address_among_many() {
        let l0 = layer(
            Layer::L0,
            &[
                ("link.mtu", "vnet0", Value::Int(9000)),
                ("link.mtu", "vnet1", Value::Int(1500)),
                ("link.mac", "vnet0", Value::text("fe:54:00:00:00:01")),
                ("link.mac", "vnet1", Value::text("fe:54:00:00:00:02")),
            ],
        );
        let l1 = layer(
            Layer::L1,
            &[
                ("link.mtu", "ens3", Value::Int(9000)),
                ("link.mac", "ens3", Value::text("52:54:00:00:00:02")),
            ],
        );
        let facts = run(&Stack { hosts: vec![l0, l1], ..Stack::default() });
        let of =
            |name: &str| facts.iter().find(|(_, f)| f.name == name).map(|(_, f)| f.value.clone());
        assert_eq!(of("path.port"), Some(Value::text("vnet1")));
        assert_eq!(of("path.larger_than_below"), Some(Value::Bool(true)));
        assert_eq!(of("network.safe_mtu_l1"), Some(Value::Int(1500)));
    }

    #[test]
    fn what_was_not_collected_limits_nothing() {
        let l1 = layer(Layer::L1, &[("link.mtu", "ens3", Value::Int(1450))]);
        let facts =
            run(&Stack { hosts: vec![Host::new("", Layer::L0, ""), l1], ..Stack::default() });
        assert_eq!(facts.len(), 1);
        assert_eq!(facts[0].1.value, Value::Int(1450));
    }
}
