//! What the layer below refuses of what a guest sends: frames with foreign MAC addresses, and
//! encapsulations that no security group lets in.
//!
//! A filter is set on the host and felt in the guest, so the two are joined by the MAC address of the
//! guest's uplink. Where the description of the port names no address, it counts for the only guest
//! there is.

use std::collections::BTreeSet;

use super::{
    Analyzer, bridges, instances, is, is_guest_port, is_uplink, links, ports_of, text, value,
};
use crate::analyze::{Run, derived, derived_of};
use crate::model::{Fact, FactDef, Host, Kind, Layer, Origin, Stack, Value};

/// Filters below.
pub const ANALYZER: Analyzer =
    Analyzer { name: "network/filters", facts: FACTS, run: Run::Stack(run) };

const FACTS: &[FactDef] = &[
    FactDef::per(
        "filter.below",
        Kind::Text,
        "link",
        "What drops frames with other MAC addresses on the layer below this uplink",
        "virsh dumpxml NAME; ip link; Get-VMNetworkAdapter; openstack port show PORT",
    ),
    FactDef::new(
        "filter.drops",
        Kind::Bool,
        "Whether the layer below drops frames with other MAC addresses, where it was described",
        "virsh dumpxml NAME; ip link; Get-VMNetworkAdapter; openstack port show PORT",
    ),
    FactDef::new(
        "filter.platform_default",
        Kind::Text,
        "Platform whose ports filter MAC addresses unless told otherwise, where nobody described the port",
        "systemd-detect-virt",
    ),
    FactDef::new(
        "filter.bridged_link",
        Kind::Text,
        "Uplink that guests of this machine share by their own MAC addresses (bridge, macvlan)",
        "ip -d link",
    ),
    FactDef::new(
        "secgroup.lacks",
        Kind::Words,
        "Encapsulations that are in use, and that no security group lets in",
        "openstack security group rule list GROUP",
    ),
];

/// Platforms whose virtual ports pass only the machine's own MAC address by default.
const FILTERING: &[&str] = &["hyperv", "azure", "vmware", "virtualbox", "openstack", "aws", "gcp"];

fn run(stack: &Stack) -> Vec<(usize, Fact)> {
    let mut facts = Vec::new();
    for (index, host) in stack.hosts.iter().enumerate().filter(|(_, h)| h.collected()) {
        if let Some((link, origin)) = shared_uplink(host) {
            let said = Value::text(link);
            facts.push((index, derived("filter.bridged_link", said, &origin)));
        }
        let below = filters_below(stack, index);
        if let Some((_, _, origin)) = below.first() {
            facts.push((index, derived("filter.drops", Value::Bool(true), origin)));
        } else if let Some(open) = described(stack, host) {
            facts.push((index, derived("filter.drops", Value::Bool(false), &open)));
        } else if let Some(vendor) = host.facts.first("platform.vendor")
            && FILTERING.iter().any(|p| value(vendor) == Some(p))
        {
            facts.push((
                index,
                derived("filter.platform_default", vendor.value.clone(), &vendor.origin),
            ));
        }
        for (link, what, origin) in below {
            facts.push((index, derived_of("filter.below", &link, Value::text(what), &origin)));
        }
        facts.extend(lacks(stack, host).map(|fact| (index, fact)));
    }
    facts
}

/// The uplink that a bridge with guests' ports, or a macvlan, is built on.
fn shared_uplink(host: &Host) -> Option<(String, Origin)> {
    for bridge in bridges::bridges(host) {
        let ports = ports_of(host, bridge);
        let uplink =
            ports.iter().find(|p| is_uplink(host, p) && host.facts.of("tunnel.kind", p).is_none());
        let shared = ports.iter().any(|p| is_guest_port(host, p));
        if let (Some(uplink), true) = (uplink, shared) {
            return Some(((*uplink).to_owned(), super::place(host, "link.master", uplink)));
        }
    }
    let (link, fact) = instances(host, "link.kind")
        .find(|(_, f)| matches!(value(f), Some("macvlan" | "macvtap")))?;
    Some((text(host, "link.parent", link)?.to_owned(), fact.origin.clone()))
}

/// Filters for the uplinks of a guest: uplink, what it is, where it is said.
fn filters_below(stack: &Stack, index: usize) -> Vec<(String, String, Origin)> {
    let Some(guest) = stack.hosts.get(index) else { return Vec::new() };
    let mut found = Vec::new();
    for link in links(guest).into_iter().filter(|l| is_uplink(guest, l)) {
        let mac = text(guest, "link.mac", link).unwrap_or_default();
        // A description of the port may lie beside the guest's own files.
        let sources =
            stack.hosts.iter().filter(|h| h.layer.lt(&guest.layer) || std::ptr::eq(*h, guest));
        for host in sources {
            let own = std::ptr::eq(host, guest);
            found.extend(
                filter_for(host, mac, own).map(|(what, origin)| (link.to_owned(), what, origin)),
            );
        }
    }
    found
}

/// Where the port of a guest is described at all.
fn described(stack: &Stack, guest: &Host) -> Option<Origin> {
    let sources =
        || stack.hosts.iter().filter(|h| h.layer < guest.layer || std::ptr::eq(*h, guest));
    let port = sources().find_map(|h| h.facts.first("port.filters_mac"));
    let macs = || links(guest).into_iter().filter_map(|l| text(guest, "link.mac", l));
    let nic = || {
        let below = sources().filter(|h| !std::ptr::eq(*h, guest));
        below.flat_map(|h| macs().map(move |m| (h, m))).find_map(|(h, m)| h.facts.of("nic.type", m))
    };
    port.or_else(nic).map(|f| f.origin.clone())
}

/// What a host says about the port of a MAC address.
fn filter_for(host: &Host, mac: &str, own: bool) -> Option<(String, Origin)> {
    // Names without an address are only those of platforms' descriptions.
    let described = instances(host, "port.filters_mac").find(|(port, fact)| {
        let other = text(host, "port.mac", port).is_some_and(|m| !mac.is_empty() && m != mac);
        let pairs = is(host, "port.address_pairs", port) == Some(true);
        fact.value == Value::Bool(true) && !other && !pairs
    });
    if let Some((port, fact)) = described {
        return Some((
            format!("the virtual switch filters MAC addresses on {port}"),
            fact.origin.clone(),
        ));
    }
    if own || mac.is_empty() {
        return None;
    }
    if let Some(fact) = host.facts.of("nic.filter", mac) {
        let strict = value(fact).filter(|f| {
            ["clean-traffic", "no-mac-spoofing", "allow-"].iter().any(|n| f.contains(n))
                || f.contains("mac")
        });
        return strict.map(|f| (format!("libvirt's network filter {f}"), fact.origin.clone()));
    }
    let (function, _) = instances(host, "vf.mac").find(|(_, f)| value(f) == Some(mac)).unzip();
    if let Some(function) = function
        && is(host, "vf.spoof_check", function) == Some(true)
    {
        let origin = super::place(host, "vf.spoof_check", function);
        return Some((format!("spoof checking of {function}"), origin));
    }
    let direct = text(host, "nic.type", mac) == Some("direct")
        && text(host, "nic.mode", mac) != Some("passthrough")
        && is(host, "nic.trust_rx_filters", mac) != Some(true);
    direct.then(|| {
        (
            "macvtap hands over only the guest's own MAC address".to_owned(),
            super::place(host, "nic.type", mac),
        )
    })
}

/// Encapsulations of this machine that the security groups of the input do not let in.
fn lacks(stack: &Stack, host: &Host) -> Option<Fact> {
    let kinds = host.facts.words("overlay.kinds")?;
    let mut allowed: BTreeSet<&str> = BTreeSet::new();
    let mut origin = None;
    for source in stack.hosts.iter().filter(|h| h.layer <= host.layer || h.layer == Layer::Unknown)
    {
        for (_, fact) in instances(source, "secgroup.protocols") {
            if let Value::Words(words) = &fact.value {
                allowed.extend(words.iter().map(String::as_str));
                origin.get_or_insert(&fact.origin);
            }
        }
    }
    let ports: Vec<String> =
        instances(host, "tunnel.port").map(|(_, f)| f.value.to_string()).collect();
    let missing: Vec<&str> =
        kinds.iter().map(String::as_str).filter(|k| !lets_in(&allowed, k, &ports)).collect();
    (!missing.is_empty()).then_some(())?;
    Some(derived("secgroup.lacks", Value::words(missing), origin?))
}

/// Whether protocols of security groups let an encapsulation in. `ipip` in a rule is protocol 94
/// (/etc/protocols), in which nobody sends.
fn lets_in(allowed: &BTreeSet<&str>, kind: &str, ports: &[String]) -> bool {
    let any = |words: &[&str]| words.iter().any(|w| allowed.contains(w));
    if any(&["all", "any", "-1"]) {
        return true;
    }
    let udp = |usual: &[&str]| {
        any(&["udp", "17"])
            || allowed.iter().filter_map(|w| w.strip_prefix("udp/")).any(|range| {
                usual
                    .iter()
                    .copied()
                    .chain(ports.iter().map(String::as_str))
                    .any(|p| in_range(range, p))
            })
    };
    match kind {
        "ipip" => any(&["4", "ipencap", "ip-in-ip"]),
        "gre" | "gretap" | "erspan" => any(&["47", "gre"]),
        "sit" => any(&["41", "ipv6"]),
        "vxlan" => udp(&["4789", "8472"]),
        "geneve" => udp(&["6081"]),
        "wireguard" => udp(&["51820", "51821"]),
        _ => true,
    }
}

fn in_range(range: &str, port: &str) -> bool {
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    match (low.parse::<u16>(), high.parse::<u16>(), port.parse::<u16>()) {
        (Ok(low), Ok(high), Ok(port)) => (low..=high).contains(&port),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::host;
    use super::*;

    const MAC: &str = "52:54:00:00:00:01";

    fn guest(layer: Layer) -> Host {
        let mut guest = host(&[
            ("link.mtu", "br0", Value::Int(1500)),
            ("link.mtu", "eth0", Value::Int(1500)),
            ("link.mac", "eth0", Value::text(MAC)),
            ("link.mtu", "vnet0", Value::Int(1500)),
            ("link.master", "eth0", Value::text("br0")),
            ("link.master", "vnet0", Value::text("br0")),
        ]);
        guest.layer = layer;
        guest
    }

    fn below(facts: &[(&'static str, &str, Value)]) -> Option<String> {
        let mut l0 = host(facts);
        l0.layer = Layer::L0;
        let stack = Stack { hosts: vec![l0, guest(Layer::L1)], ..Stack::default() };
        let found = run(&stack).into_iter().find(|(_, f)| f.name == "filter.below");
        found.map(|(index, fact)| {
            assert_eq!(index, 1);
            fact.value.to_string()
        })
    }

    #[test]
    fn filters_are_joined_by_the_mac_address() {
        let vf = |mac, on| {
            below(&[
                ("vf.mac", "ens1 vf 3", Value::text(mac)),
                ("vf.spoof_check", "ens1 vf 3", Value::Bool(on)),
            ])
        };
        assert_eq!(vf(MAC, true), Some("spoof checking of ens1 vf 3".into()));
        assert_eq!(vf(MAC, false), None);
        assert_eq!(vf("52:54:00:00:00:02", true), None);
        assert!(below(&[("nic.filter", MAC, Value::text("clean-traffic"))]).is_some());
        assert!(below(&[("nic.type", MAC, Value::text("direct"))]).is_some());
        assert!(below(&[("nic.type", MAC, Value::text("bridge"))]).is_none());
        assert!(below(&[("port.filters_mac", "p", Value::Bool(true))]).is_some());
        let paired = [
            ("port.filters_mac", "p", Value::Bool(true)),
            ("port.address_pairs", "p", Value::Bool(true)),
        ];
        assert!(below(&paired).is_none());
        let other = [
            ("port.filters_mac", "p", Value::Bool(true)),
            ("port.mac", "p", Value::text("52:54:00:00:00:09")),
        ];
        assert!(below(&other).is_none());
    }

    #[test]
    fn an_uplink_that_guests_share() {
        let stack = Stack { hosts: vec![guest(Layer::L1)], ..Stack::default() };
        let shared = run(&stack).into_iter().find(|(_, f)| f.name == "filter.bridged_link");
        assert_eq!(shared.map(|(_, f)| f.value), Some(Value::text("eth0")));
    }

    #[test]
    fn security_groups_and_encapsulations() {
        let lacking = |kind: &str, protocols: &[&str]| {
            let host = host(&[
                ("overlay.kinds", "", Value::words([kind])),
                ("secgroup.protocols", "g", Value::words(protocols.iter().copied())),
            ]);
            run(&Stack { hosts: vec![host], ..Stack::default() })
                .iter()
                .any(|(_, f)| f.name == "secgroup.lacks")
        };
        assert!(lacking("ipip", &["tcp/22", "ipip"]));
        assert!(!lacking("ipip", &["4"]));
        assert!(lacking("vxlan", &["tcp", "udp/53"]));
        assert!(!lacking("vxlan", &["udp/4000-5000"]));
        assert!(!lacking("geneve", &["all"]));
    }
}
