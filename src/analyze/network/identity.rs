//! Machines that cannot be told apart: clones that share a machine id, a MAC address or a DHCP
//! client identifier, and servers that gave one address to two.

use std::collections::BTreeMap;

use super::{Analyzer, instances, is_uplink, links, text, value};
use crate::analyze::{Run, derived, derived_of};
use crate::model::{Event, Fact, FactDef, Host, Kind, Stack, Value};

/// Clones.
pub const ANALYZER: Analyzer =
    Analyzer { name: "network/identity", facts: FACTS, run: Run::Stack(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "identity.same_machine_id",
        Kind::Text,
        "Another collected machine with the same machine id",
        "cat /etc/machine-id",
    ),
    FactDef::new(
        "identity.same_mac",
        Kind::Text,
        "Another collected machine with an uplink of the same MAC address",
        "ip link",
    ),
    FactDef::new(
        "identity.same_address",
        Kind::Text,
        "Another collected machine of the same layer with the same IP address on an uplink",
        "ip addr",
    ),
    FactDef::per(
        "identity.shared_client_id",
        Kind::Text,
        "client identifier",
        "Two MAC addresses that ask a DHCP server under one client identifier",
        "virsh net-dhcp-leases NETWORK",
    ),
    FactDef::per(
        "identity.shared_address",
        Kind::Text,
        "IP address",
        "Two MAC addresses that a DHCP server gave one address within a minute or two",
        "journalctl -u dhcpd -u dnsmasq",
    ),
];

/// Two machines do not swap an address within this time, microseconds.
const NEAR: i64 = 120_000_000;

fn run(stack: &Stack) -> Vec<(usize, Fact)> {
    let mut facts = Vec::new();
    for (index, host) in stack.hosts.iter().enumerate().filter(|(_, h)| h.collected()) {
        for other in stack.hosts.iter().filter(|o| o.collected() && !std::ptr::eq(*o, host)) {
            facts.extend(twins(host, other).into_iter().map(|f| (index, f)));
        }
        facts.extend(clients(host).into_iter().map(|f| (index, f)));
        facts.extend(acknowledged(host).into_iter().map(|f| (index, f)));
    }
    facts
}

/// What two machines have in common that only one may have.
fn twins(host: &Host, other: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    // Two collections of one machine have all in common.
    let uuid = |h: &Host| h.facts.text("dmi.product_uuid").map(str::to_ascii_lowercase);
    if uuid(host).is_some() && uuid(host) == uuid(other)
        || host.name() == other.name() && !host.name().is_empty() && macs(host) == macs(other)
    {
        return facts;
    }
    if let (Some(id), Some(same)) =
        (host.facts.first("host.machine_id"), other.facts.first("host.machine_id"))
        && id.value == same.value
    {
        facts.push(derived("identity.same_machine_id", Value::text(&*other.id), &id.origin));
    }
    let common = macs(host).into_iter().find(|(mac, _)| macs(other).iter().any(|(m, _)| m == mac));
    if let Some((_, link)) = common {
        let origin = super::place(host, "link.mac", link);
        facts.push(derived("identity.same_mac", Value::text(&*other.id), &origin));
    }
    // Behind NAT every layer may use the same addresses; beside each other nobody may.
    if host.layer == other.layer
        && let Some((address, link)) =
            ips(host).into_iter().find(|(a, _)| ips(other).iter().any(|(b, _)| a == b))
    {
        let said = Value::text(format!("{} ({address})", other.id));
        facts.push(derived(
            "identity.same_address",
            said,
            &super::place(host, "link.addresses", link),
        ));
    }
    facts
}

/// Addresses of the uplinks of a machine.
fn ips(host: &Host) -> Vec<(&str, &str)> {
    let uplinks = links(host).into_iter().filter(|l| is_uplink(host, l));
    uplinks.flat_map(|l| super::addresses(host, l).into_iter().map(move |(a, _)| (a, l))).collect()
}

/// MAC addresses of the uplinks of a machine.
fn macs(host: &Host) -> Vec<(&str, &str)> {
    let uplinks = links(host).into_iter().filter(|l| is_uplink(host, l) && !l.contains(['.', '@']));
    uplinks.filter_map(|l| Some((text(host, "link.mac", l)?, l))).collect()
}

/// Clients of a DHCP server that share an identifier.
fn clients(host: &Host) -> Vec<Fact> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut facts = Vec::new();
    for (mac, fact) in instances(host, "dhcp.client_id") {
        let Some(id) = value(fact) else { continue };
        match seen.insert(id, mac) {
            Some(first) if first != mac => {
                let said = Value::text(format!("{first} and {mac}"));
                facts.push(derived_of("identity.shared_client_id", id, said, &fact.origin));
            }
            _ => {}
        }
    }
    facts
}

/// One address that was acknowledged to two clients shortly one after the other.
fn acknowledged(host: &Host) -> Vec<Fact> {
    let mut last: BTreeMap<&str, (&str, &Event)> = BTreeMap::new();
    let mut facts = Vec::new();
    for event in host.events.of("dhcp-acknowledged") {
        let field = |name: &str| event.fields.get(name).map(String::as_str);
        let (Some(ip), Some(mac)) = (field("ip"), field("mac")) else { continue };
        let before = last.insert(ip, (mac, event));
        let Some((first, earlier)) = before.filter(|(m, _)| *m != mac) else { continue };
        let gap = event.stamp.zip(earlier.stamp).and_then(|(b, a)| b.since(a));
        if gap.is_some_and(|g| g.abs() <= NEAR) {
            let said = Value::text(format!("{first} and {mac}"));
            facts.push(derived_of("identity.shared_address", ip, said, &event.origin));
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::super::testing::host;
    use super::*;
    use crate::model::{Origin, Stamp, Writer};

    fn found(hosts: Vec<Host>, name: &str) -> Option<String> {
        let facts = run(&Stack { hosts, ..Stack::default() });
        facts.iter().find(|(_, f)| f.name == name).map(|(_, f)| f.value.to_string())
    }

    fn machine(id: &str, uuid: &str, mac: &str) -> Host {
        let mut host = host(&[
            ("host.machine_id", "", Value::text(id)),
            ("dmi.product_uuid", "", Value::text(uuid)),
            ("link.mac", "eth0", Value::text(mac)),
            ("link.mtu", "eth0", Value::Int(1500)),
        ]);
        host.id = uuid.to_owned();
        host
    }

    #[test]
    fn clones_and_two_looks_at_one_machine() {
        let clone = || {
            vec![machine("a", "u1", "02:00:00:00:00:01"), machine("a", "u2", "02:00:00:00:00:02")]
        };
        assert_eq!(found(clone(), "identity.same_machine_id"), Some("u2".into()));
        assert_eq!(found(clone(), "identity.same_mac"), None);
        let twice =
            vec![machine("a", "u1", "02:00:00:00:00:01"), machine("a", "U1", "02:00:00:00:00:01")];
        assert_eq!(found(twice, "identity.same_machine_id"), None);
    }

    #[test]
    fn leases_under_one_identifier() {
        let server = host(&[
            ("dhcp.client_id", "02:00:00:00:00:01", Value::text("ff:01")),
            ("dhcp.client_id", "02:00:00:00:00:02", Value::text("ff:01")),
            ("dhcp.client_id", "02:00:00:00:00:03", Value::text("ff:02")),
        ]);
        let said = found(vec![server], "identity.shared_client_id");
        assert_eq!(said, Some("02:00:00:00:00:01 and 02:00:00:00:00:02".into()));
    }

    fn ack(host: &mut Host, second: i64, mac: &str) {
        host.events.add(Event {
            kind: "dhcp-acknowledged".into(),
            origin: Origin::default(),
            stamp: Some(Stamp::Wall(second * 1_000_000)),
            writer: Writer::Network,
            fields: [("ip".into(), "192.0.2.9".into()), ("mac".into(), mac.into())].into(),
            key: None,
        });
    }

    #[test]
    fn one_address_for_two_within_seconds_but_not_after_a_day() {
        let mut server = host(&[]);
        ack(&mut server, 10, "02:00:00:00:00:01");
        ack(&mut server, 25, "02:00:00:00:00:02");
        assert!(found(vec![server], "identity.shared_address").is_some());
        let mut server = host(&[]);
        ack(&mut server, 10, "02:00:00:00:00:01");
        ack(&mut server, 90_000, "02:00:00:00:00:02");
        assert!(found(vec![server], "identity.shared_address").is_none());
    }
}
