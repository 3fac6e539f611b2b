//! The network of a stack: what encapsulation costs, which MTU carries which, what collides.
//!
//! * [`tunnels`]: each tunnel's MTU against the link that carries it
//! * [`bridges`]: bridges and their ports against the uplink
//! * [`capture`]: packets that reached the machine itself
//! * [`path`]: the MTU down the layers
//! * [`subnets`]: networks that are used twice
//! * [`filters`]: what the layer below refuses of what a guest sends
//! * [`identity`]: machines that cannot be told apart

use std::net::IpAddr;

use super::{Analyzer, derived};
use crate::model::{Fact, Host, Origin, Value};

pub mod bridges;
pub mod capture;
pub mod filters;
pub mod identity;
pub mod path;
pub mod subnets;
pub mod tunnels;

/// An IP network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    address: IpAddr,
    length: u32,
}

impl Prefix {
    /// `192.0.2.7/24`, or an address by itself.
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Some(longest), |l| l.parse().ok())?;
        (length <= longest).then_some(Self { address, length })
    }

    /// Whether the address lies in the network.
    fn holds(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - self.length;
                shift == 32 || u32::from(a) >> shift == u32::from(b) >> shift
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - self.length;
                shift == 128 || u128::from(a) >> shift == u128::from(b) >> shift
            }
            _ => false,
        }
    }

    /// Whether the two networks share addresses.
    fn overlaps(self, other: Self) -> bool {
        self.holds(other.address) || other.holds(self.address)
    }

    /// Whether it is more than one address.
    fn is_network(self) -> bool {
        self.length < if self.address.is_ipv4() { 31 } else { 127 }
    }
}

/// The number of an instance of a fact.
fn int(host: &Host, name: &str, instance: &str) -> Option<i64> {
    match host.facts.of(name, instance)?.value {
        Value::Int(n) => Some(n),
        _ => None,
    }
}

/// The text of an instance of a fact.
fn text<'h>(host: &'h Host, name: &str, instance: &str) -> Option<&'h str> {
    match &host.facts.of(name, instance)?.value {
        Value::Text(t) => Some(t),
        _ => None,
    }
}

/// Whether an instance of a fact is true.
fn is(host: &Host, name: &str, instance: &str) -> Option<bool> {
    match host.facts.of(name, instance)?.value {
        Value::Bool(b) => Some(b),
        _ => None,
    }
}

/// Instances of a fact, with the fact.
fn instances<'h>(host: &'h Host, name: &str) -> impl Iterator<Item = (&'h str, &'h Fact)> {
    host.facts.all(name).iter().filter_map(|f| Some((f.instance.as_deref()?, f)))
}

/// Addresses of a link with their networks.
fn addresses<'h>(host: &'h Host, link: &str) -> Vec<(&'h str, Prefix)> {
    match host.facts.of("link.addresses", link).map(|f| &f.value) {
        Some(Value::Words(words)) => {
            words.iter().filter_map(|w| Some((w.as_str(), Prefix::parse(w)?))).collect()
        }
        _ => Vec::new(),
    }
}

/// Every link that is known by anything.
fn links(host: &Host) -> Vec<&str> {
    let mut names: Vec<&str> = ["link.mtu", "link.addresses"]
        .iter()
        .flat_map(|name| instances(host, name).map(|(link, _)| link))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The link that holds an address.
fn link_with(host: &Host, address: IpAddr) -> Option<&str> {
    links(host).into_iter().find(|l| addresses(host, l).iter().any(|(_, p)| p.address == address))
}

/// The link over which an address is reached: the longest prefix wins.
fn route(host: &Host, address: IpAddr) -> Option<&str> {
    let best = instances(host, "route.dev")
        .filter_map(|(destination, fact)| Some((Prefix::parse(destination)?, fact)))
        .filter(|(prefix, _)| prefix.holds(address))
        .max_by_key(|(prefix, _)| prefix.length);
    match best {
        Some((_, fact)) => value(fact),
        None => default_link(host),
    }
}

/// The link of the default route; without routes, the only link that could be it.
fn default_link(host: &Host) -> Option<&str> {
    if let Some((_, fact)) = instances(host, "route.dev").find(|(d, _)| *d == "default") {
        return value(fact);
    }
    let mut uplinks = links(host).into_iter().filter(|l| is_uplink(host, l));
    match (uplinks.next(), uplinks.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn value(fact: &Fact) -> Option<&str> {
    match &fact.value {
        Value::Text(t) => Some(t),
        _ => None,
    }
}

/// Beginnings of names that hypervisors and container engines give to the host's end of a guest's
/// link.
const GUEST_PORTS: &[&str] = &[
    "vnet", "tap", "veth", "vif", "fwpr", "fwln", "cali", "lxc", "macvtap", "qvo", "qvb", "vhost",
];

/// Beginnings of names of bridges that belong to virtual networks.
const VIRTUAL_BRIDGES: &[&str] = &[
    "virbr",
    "docker",
    "br-",
    "cni",
    "lxdbr",
    "incusbr",
    "podman",
    "vboxnet",
    "vmnet",
    "lxcbr",
    "mpqemubr",
    "cbr",
    "flannel",
    "kube-bridge",
    "crc",
];

/// Whether a link leads to a guest or container of this host. The other end of a container's link,
/// inside of it, is a veth too: it is named like a NIC and is no port of anything.
fn is_guest_port(host: &Host, link: &str) -> bool {
    let kind = text(host, "link.kind", link);
    let inside = ["eth", "en"].iter().any(|start| link.starts_with(start))
        && host.facts.of("link.master", link).is_none();
    matches!(kind, Some("tun" | "macvtap"))
        || kind == Some("veth") && !inside
        || GUEST_PORTS.iter().any(|start| link.starts_with(start))
}

fn is_virtual_bridge(link: &str) -> bool {
    VIRTUAL_BRIDGES.iter().any(|start| link.starts_with(start))
}

/// Whether a link may lead out of this host: a NIC, a bond, a VLAN of one.
fn is_uplink(host: &Host, link: &str) -> bool {
    let kind = text(host, "link.kind", link);
    let virtual_kind = matches!(kind, Some("bridge" | "dummy" | "vrf" | "openvswitch"));
    link != "lo"
        && link != "ovs-system"
        && !virtual_kind
        && !is_guest_port(host, link)
        && !is_virtual_bridge(link)
        && host.facts.of("tunnel.kind", link).is_none()
        && is(host, "link.up", link) != Some(false)
        && !instances(host, "link.master").any(|(_, f)| value(f) == Some(link))
        // Made by Open vSwitch and by the kernel, never a way out.
        && !["ovs-netdev", "dummy", "ifb", "nodelocaldns", "kube-ipvs"].iter().any(|n| link.starts_with(n))
}

/// Links whose master is this one.
fn ports_of<'h>(host: &'h Host, master: &str) -> Vec<&'h str> {
    instances(host, "link.master")
        .filter(|(_, f)| value(f) == Some(master))
        .map(|(l, _)| l)
        .collect()
}

/// The place a fact of a link was read from; of the host, where there is none.
fn place(host: &Host, name: &str, link: &str) -> Origin {
    host.facts.of(name, link).map(|f| f.origin.clone()).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::model::Layer;

    /// A host with facts of instances.
    pub(in crate::analyze) fn host(facts: &[(&'static str, &str, Value)]) -> Host {
        let mut host = Host::new("", Layer::Unknown, "x");
        for (name, instance, value) in facts {
            let instance = Some((*instance).to_owned()).filter(|i| !i.is_empty());
            host.facts.add(Fact {
                name,
                instance,
                value: value.clone(),
                origin: Origin::default(),
            });
        }
        host
    }

    /// A value of a derived fact.
    pub(in crate::analyze) fn of(facts: &[Fact], name: &str, instance: &str) -> Option<String> {
        let found = facts.iter().find(|f| {
            f.name == name && (f.instance.as_deref() == Some(instance) || instance.is_empty())
        });
        found.map(|f| f.value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let p = |t| Prefix::parse(t).unwrap();
        assert!(p("192.0.2.7/24").holds("192.0.2.255".parse().unwrap()));
        assert!(!p("192.0.2.7/24").holds("192.0.3.1".parse().unwrap()));
        assert!(p("10.0.0.0/8").overlaps(p("10.9.0.1/24")));
        assert!(p("10.9.0.1/24").overlaps(p("10.0.0.0/8")));
        assert!(p("0.0.0.0/0").holds("203.0.113.1".parse().unwrap()));
        assert!(p("::/0").holds("2001:db8::1".parse().unwrap()));
        assert!(!p("::/0").holds("203.0.113.1".parse().unwrap()));
        assert_eq!(Prefix::parse("10.0.0.0/33"), None);
        assert_eq!(Prefix::parse("10.0.0.0/-1"), None);
        assert!(!p("10.0.0.1/32").is_network());
    }
}
