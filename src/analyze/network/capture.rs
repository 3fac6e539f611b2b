//! Packets of a capture that reached the machine itself: only a receiver sees a wrong checksum that
//! was really on the wire. At a sender it is what the device has yet to fill in.

use super::{Analyzer, instances, link_with, links};
use crate::analyze::{Run, derived, derived_of};
use crate::model::{Fact, FactDef, Host, Kind, Value};

/// Captured packets.
pub const ANALYZER: Analyzer =
    Analyzer { name: "network/capture", facts: FACTS, run: Run::Host(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "capture.received_bad_checksums",
        Kind::Int,
        "tunnel packets to this machine whose outer UDP checksum is wrong",
        "tcpdump -vvneni LINK udp port 4789 or udp port 8472",
    ),
    FactDef::new(
        "path.too_large",
        Kind::Bool,
        "whether pings or a capture show packets that are too large for their path",
        "ping -M do -s SIZE TARGET",
    ),
    FactDef::per(
        "ping.black_hole",
        Kind::Bool,
        "target",
        "Whether larger packets to a target vanish without a word while smaller ones are answered",
        "ping -M do -s SIZE TARGET",
    ),
];

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (destination, fact) in instances(host, "capture.bad_tunnel_checksums") {
        let own = match destination.parse() {
            Ok(address) => link_with(host, address).is_some(),
            Err(_) => is_named(host, destination),
        };
        if own {
            facts.push(derived("capture.received_bad_checksums", fact.value.clone(), &fact.origin));
        }
    }
    for (target, lost) in instances(host, "ping.lost") {
        if let (Value::Int(lost_size), Some(passed)) =
            (&lost.value, super::int(host, "ping.passed", target))
        {
            let hole = Value::Bool(passed < *lost_size);
            facts.push(derived_of("ping.black_hole", target, hole, &lost.origin));
        }
    }
    facts.extend(too_large(host, &facts));
    facts
}

/// Yes by any sign of it; no where a ping was answered and there is none.
fn too_large(host: &Host, facts: &[Fact]) -> Option<Fact> {
    let hole = facts.iter().find(|f| f.name == "ping.black_hole" && f.value == Value::Bool(true));
    let told = host.facts.first("capture.need_frag_mtu").or(host.facts.first("ping.reported_mtu"));
    if let Some(sign) = hole.or(told) {
        return Some(derived("path.too_large", Value::Bool(true), &sign.origin));
    }
    let answered = host.facts.first("ping.passed")?;
    Some(derived("path.too_large", Value::Bool(false), &answered.origin))
}

/// tcpdump prints names where it may: this machine's own, or one that its kernel printed.
fn is_named(host: &Host, destination: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let names = host.facts.all("host.name").iter().filter_map(|f| match &f.value {
        Value::Text(name) => Some(short(name)),
        _ => None,
    });
    !links(host).is_empty() && names.into_iter().any(|n| n == short(destination))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{host, of};
    use super::*;

    #[test]
    fn only_the_receiver_counts() {
        let at = |own: &str| {
            run(&host(&[
                ("capture.bad_tunnel_checksums", "192.0.2.7", Value::Int(3)),
                ("link.addresses", "eth0", Value::words([own])),
            ]))
        };
        assert_eq!(of(&at("192.0.2.7/24"), "capture.received_bad_checksums", ""), Some("3".into()));
        assert!(at("192.0.2.8/24").is_empty());
    }

    #[test]
    fn sizes_that_vanish() {
        let with = |lost| {
            let mut facts = vec![("ping.passed", "192.0.2.9", Value::Int(1400))];
            facts.extend(lost);
            run(&host(&facts))
        };
        let hole = with(Some(("ping.lost", "192.0.2.9", Value::Int(1450))));
        assert_eq!(of(&hole, "ping.black_hole", "192.0.2.9"), Some("true".into()));
        assert_eq!(of(&hole, "path.too_large", ""), Some("true".into()));
        assert_eq!(of(&with(None), "path.too_large", ""), Some("false".into()));
    }
}
