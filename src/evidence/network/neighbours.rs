//! Neighbours: `ip neigh`, `arp -an`. Two link-layer addresses for one IP address, or one address
//! behind many, tell of clones and of filters.
//!
//! Not parsed: states, and entries that have not been resolved.

use super::{Line, after, believed, mac};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Neighbour tables.
pub const SLICE: Slice = Slice { name: "network/neighbours", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("ip-neigh", &["ip", "neigh"], &["sos_commands/networking/ip_-s_-s_neigh_show"]),
    Want::output("ip-neigh*"),
    Want::output("arp*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "neighbour.mac",
        Kind::Text,
        "IP address",
        "Link-layer address of a neighbour",
        "ip neigh",
    ),
    FactDef::per(
        "neighbour.failed",
        Kind::Words,
        "link",
        "Neighbours of a link that did not answer ARP or neighbour discovery",
        "ip neigh",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    for (number, text) in believed(&text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        let words: Vec<&str> = text.split_whitespace().collect();
        // `arp -an`: `? (192.0.2.9) at 02:00:00:00:00:09 [ether] on eth0`.
        let classic = words.get(1).and_then(|w| w.strip_prefix('(')?.strip_suffix(')'));
        let Some(ip) = classic.or(words.first().copied()) else { continue };
        if ip.parse::<std::net::IpAddr>().is_err() {
            continue;
        }
        let address = after(&words, "lladdr").or_else(|| after(&words, "at")).and_then(mac);
        if let Some(address) = address {
            line.of("neighbour.mac", ip, Value::text(address));
        } else if words.last() == Some(&"FAILED")
            && let Some(dev) = after(&words, "dev")
        {
            line.of("neighbour.failed", dev, Value::words([ip]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn both_tools() {
        let text = "192.0.2.9 dev eth0 lladdr 02:00:00:00:00:09 STALE\n192.0.2.8 dev eth0 FAILED\n";
        let out = testing::read(parse, "commands/ip-neigh.txt", text);
        assert_eq!(testing::show(&out, "neighbour.mac"), Some("02:00:00:00:00:09".into()));
        assert_eq!(testing::show(&out, "neighbour.failed"), Some("192.0.2.8".into()));
        let text = "? (192.0.2.9) at 02:00:00:00:00:09 [ether] on eth0\n? (192.0.2.8) at <incomplete> on eth0\n";
        let out = testing::read(parse, "commands/arp-an.txt", text);
        assert_eq!(out.facts.len(), 1);
    }
}
