//! Networks that are used twice: a virtual network over the addresses of another link.
//!
//! Two NICs of one machine in one subnet are nothing unusual; a virtual network's bridge that takes
//! the subnet of the machine's own uplink is: packets for the gateway then end in the machine
//! itself. That happens by itself where every layer runs libvirt's default network,
//! 192.168.122.0/24.

use super::{
    Analyzer, Prefix, addresses, instances, is, is_virtual_bridge, links, ports_of, text, value,
};
use crate::analyze::{Run, derived, derived_of};
use crate::model::{Fact, FactDef, Host, Kind, Value};

/// Networks that are used twice.
pub const ANALYZER: Analyzer =
    Analyzer { name: "network/subnets", facts: FACTS, run: Run::Host(run) };

const FACTS: &[FactDef] = &[
    FactDef::per(
        "subnet.overlap",
        Kind::Text,
        "bridge",
        "Another link that holds addresses of the virtual network on this bridge",
        "ip addr",
    ),
    FactDef::new(
        "subnet.overlaps",
        Kind::Bool,
        "Whether any virtual network runs over addresses of another link",
        "ip addr",
    ),
    FactDef::per(
        "subnet.defined_overlap",
        Kind::Text,
        "virtual network",
        "Link that holds addresses of a virtual network which is defined and does not run",
        "virsh net-dumpxml NAME; ip addr",
    ),
    FactDef::per(
        "subnet.wide",
        Kind::Text,
        "link",
        "Private network of /16 or wider on a link: it covers what tools choose from by default",
        "ip addr",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    for link in links(host).into_iter().filter(|l| is_virtual(host, l)) {
        for (_, own) in addresses(host, link).into_iter().filter(|(_, p)| p.is_network()) {
            if let Some((other, shown)) = holder(host, own, link) {
                let origin = super::place(host, "link.addresses", link);
                let said = Value::text(format!("{other} ({shown})"));
                facts.push(derived_of("subnet.overlap", link, said, &origin));
            }
        }
    }
    if let Some(seen) =
        facts.first().or(host.facts.first("link.addresses")).map(|f| f.origin.clone())
    {
        facts.push(derived("subnet.overlaps", Value::Bool(!facts.is_empty()), &seen));
    }
    for (network, fact) in instances(host, "virtnet.subnets") {
        let Value::Words(subnets) = &fact.value else { continue };
        let bridge = text(host, "virtnet.bridge", network).unwrap_or_default();
        let runs = is(host, "virtnet.active", network) == Some(true)
            || !addresses(host, bridge).is_empty();
        for own in subnets.iter().filter_map(|s| Prefix::parse(s)).filter(|_| !runs) {
            if let Some((other, shown)) = holder(host, own, bridge) {
                let said = Value::text(format!("{other} ({shown})"));
                facts.push(derived_of("subnet.defined_overlap", network, said, &fact.origin));
            }
        }
    }
    facts.extend(links(host).into_iter().filter_map(|link| wide(host, link)));
    facts
}

/// A bridge of a virtual network: by its name or its definition, and without an uplink of its own.
fn is_virtual(host: &Host, link: &str) -> bool {
    let defined = instances(host, "virtnet.bridge").any(|(_, f)| value(f) == Some(link));
    let uplink = ports_of(host, link).into_iter().any(|p| super::is_uplink(host, p));
    (defined || is_virtual_bridge(link)) && !uplink && !is_tunnel(host, link)
}

/// An overlay's device may hold the network of all nodes, of which a bridge has this node's part.
fn is_tunnel(host: &Host, link: &str) -> bool {
    host.facts.of("tunnel.kind", link).is_some()
}

/// Another link that holds addresses of a network, with the address it holds.
fn holder<'h>(host: &'h Host, own: Prefix, bridge: &str) -> Option<(&'h str, &'h str)> {
    let others = links(host).into_iter().filter(|l| *l != bridge && *l != "lo");
    let others = others.filter(|l| text(host, "link.master", l) != Some(bridge));
    let mut others = others.filter(|l| !is_tunnel(host, l));
    others.find_map(|link| {
        let overlapping = |(_, p): &(&str, Prefix)| p.is_network() && p.overlaps(own);
        let (shown, _) = addresses(host, link).into_iter().find(overlapping)?;
        Some((link, shown))
    })
}

fn wide(host: &Host, link: &str) -> Option<Fact> {
    // Docker's own bridges are /16 by default, and only those choose from 172.16.0.0/12.
    let inner = is_virtual(host, link) || is_tunnel(host, link) || super::is_guest_port(host, link);
    if link == "lo" || inner {
        return None;
    }
    let private = |p: &Prefix| match p.address {
        std::net::IpAddr::V4(a) => a.is_private() && p.length <= 16,
        std::net::IpAddr::V6(_) => false,
    };
    let (shown, _) = addresses(host, link).into_iter().find(|(_, p)| private(p))?;
    let origin = super::place(host, "link.addresses", link);
    Some(derived_of("subnet.wide", link, Value::text(shown), &origin))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{host, of};
    use super::*;

    #[test]
    fn the_default_network_inside_the_default_network() {
        let facts = run(&host(&[
            ("link.addresses", "enp1s0", Value::words(["192.168.122.47/24"])),
            ("link.addresses", "virbr0", Value::words(["192.168.122.1/24"])),
        ]));
        assert_eq!(
            of(&facts, "subnet.overlap", "virbr0"),
            Some("enp1s0 (192.168.122.47/24)".into())
        );
    }

    #[test]
    fn two_uplinks_in_one_network_and_ports_of_a_bridge_are_no_overlap() {
        let facts = run(&host(&[
            ("link.addresses", "eth0", Value::words(["192.0.2.7/24"])),
            ("link.addresses", "wlan0", Value::words(["192.0.2.8/24"])),
            ("link.addresses", "virbr0", Value::words(["192.168.122.1/24"])),
            ("link.addresses", "docker0", Value::words(["172.17.0.1/16"])),
            ("link.addresses", "cni0", Value::words(["10.244.1.1/24"])),
            ("link.addresses", "flannel.1", Value::words(["10.244.1.0/16"])),
            ("tunnel.kind", "flannel.1", Value::text("vxlan")),
            ("link.mtu", "br-ex", Value::Int(1500)),
            ("link.mtu", "eth1", Value::Int(1500)),
            ("link.addresses", "br-ex", Value::words(["198.51.100.3/24"])),
            ("link.addresses", "eth1", Value::words(["198.51.100.4/24"])),
            ("link.master", "eth1", Value::text("br-ex")),
        ]));
        assert!(facts.iter().all(|f| f.name != "subnet.overlap"), "{facts:?}");
        assert_eq!(of(&facts, "subnet.wide", ""), None);
    }

    #[test]
    fn a_network_that_is_defined_over_the_lan() {
        let facts = run(&host(&[
            ("link.addresses", "eth0", Value::words(["192.168.122.9/24"])),
            ("virtnet.bridge", "default", Value::text("virbr0")),
            ("virtnet.subnets", "default", Value::words(["192.168.122.1/24"])),
        ]));
        assert_eq!(
            of(&facts, "subnet.defined_overlap", "default"),
            Some("eth0 (192.168.122.9/24)".into())
        );
        let wide = run(&host(&[("link.addresses", "eth0", Value::words(["10.3.4.5/8"]))]));
        assert_eq!(of(&wide, "subnet.wide", "eth0"), Some("10.3.4.5/8".into()));
    }
}
