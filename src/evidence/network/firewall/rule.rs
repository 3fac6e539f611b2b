//! A rule of a packet filter, whatever tool printed it.

use super::super::{Line, after};
use crate::model::Value;

/// A rule, whatever tool printed it.
#[derive(Debug, Default, Clone)]
pub(super) struct Rule {
    /// icmp, icmpv6, udp, a number, ...; empty for all.
    pub(super) protocol: String,
    /// UDP ports that it names.
    pub(super) ports: Vec<String>,
    /// ICMP type and code in words or numbers; empty for all of them.
    pub(super) icmp: String,
    /// accept, drop, reject, tcpmss, jump.
    pub(super) verdict: Verdict,
    /// Whether it is for packets related to a known connection.
    pub(super) related: bool,
    /// Whether it has any match at all.
    pub(super) bare: bool,
    pub(super) packets: Option<i64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Refuse,
    Clamp,
    #[default]
    Other,
}

/// ICMP types and codes of nft that path MTU discovery needs.
pub(super) const ICMP_WORDS: &[&str] =
    &["destination-unreachable", "frag-needed", "packet-too-big", "3", "4", "2"];

impl Rule {
    /// Whether it is about ICMP errors that path MTU discovery needs.
    pub(super) fn is_error(&self) -> bool {
        match self.protocol.as_str() {
            "icmp" | "1" => {
                matches!(
                    self.icmp.as_str(),
                    "" | "3"
                        | "3/4"
                        | "fragmentation-needed"
                        | "destination-unreachable"
                        | "frag-needed"
                        | "destination-unreachable frag-needed"
                ) || self.icmp.contains("destination-unreachable")
            }
            "icmpv6" | "ipv6-icmp" | "58" => {
                matches!(self.icmp.as_str(), "" | "2" | "2/0" | "packet-too-big")
                    || self.icmp.contains("packet-too-big")
            }
            _ => false,
        }
    }

    /// The encapsulation that it names, by protocol or port.
    pub(super) fn encapsulation(&self) -> Option<&'static str> {
        let port = |p: &str| self.ports.iter().any(|own| own == p);
        match self.protocol.as_str() {
            "4" | "ipencap" => Some("ipip"),
            "47" | "gre" => Some("gre"),
            "50" | "esp" => Some("ipsec"),
            "udp" | "17" if port("4789") || port("8472") => Some("vxlan"),
            "udp" | "17" if port("6081") => Some("geneve"),
            "udp" | "17" if port("51820") || port("51821") => Some("wireguard"),
            "udp" | "17" if port("4754") => Some("gre"),
            _ => None,
        }
    }

    pub(super) fn passes(&self, line: &mut Line<'_, '_, '_>) {
        match self.protocol.as_str() {
            "94" | "ipip" => {
                line.fact("firewall.protocol_94_packets", Value::Int(self.packets.unwrap_or(-1)));
            }
            "4" | "ipencap" => line.fact("firewall.allows_ipip", Value::Bool(true)),
            _ => {}
        }
    }
}

pub(super) fn verdict(target: &str) -> Verdict {
    match target {
        // Neutron's and Calico's chains let a packet go on by RETURN.
        "ACCEPT" | "RETURN" => Verdict::Accept,
        "DROP" | "REJECT" => Verdict::Refuse,
        "TCPMSS" => Verdict::Clamp,
        _ => Verdict::Other,
    }
}

pub(super) fn nft_verdict(words: &[&str]) -> Option<Verdict> {
    if words.contains(&"maxseg") {
        return Some(Verdict::Clamp);
    }
    words.iter().find_map(|w| match *w {
        "accept" | "return" => Some(Verdict::Accept),
        "drop" | "reject" => Some(Verdict::Refuse),
        _ => None,
    })
}

/// A row of `iptables -L`: with counters (`-v`) or without.
pub(super) fn listed(words: &[&str]) -> Option<Rule> {
    let counted = words.first().is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    let (packets, rest) = if counted { (count(words[0]), words.get(2..)?) } else { (None, words) };
    let [target, protocol, ..] = rest else { return None };
    let verdict = verdict(target);
    if verdict == Verdict::Other {
        return None;
    }
    let text = rest.join(" ");
    let ports = rest
        .iter()
        .filter_map(|w| w.strip_prefix("dpt:"))
        .chain(after(rest, "dports").into_iter().flat_map(|p| p.split(',')))
        .map(str::to_owned)
        .collect();
    let icmp = match (after(rest, "icmptype"), after(rest, "code")) {
        (Some(kind), Some(code)) => format!("{kind}/{code}"),
        (Some("255"), None) => String::new(),
        (Some(kind), None) => kind.to_owned(),
        _ => named_icmp(rest),
    };
    // Without a match beyond the addresses: target, prot, opt, (in, out,) source, destination.
    let bare = rest.len() <= if counted { 7 } else { 5 } && matches!(*protocol, "all" | "0");
    Some(Rule {
        protocol: (*protocol).to_owned(),
        ports,
        icmp,
        verdict,
        related: text.contains("RELATED"),
        bare,
        packets,
    })
}

/// `icmp fragmentation-needed` after the addresses, where numbers were not asked for.
fn named_icmp(rest: &[&str]) -> String {
    let named = rest.iter().skip(4).position(|w| matches!(*w, "icmp" | "ipv6-icmp"));
    named
        .and_then(|at| rest.get(at + 5))
        .filter(|w| **w != "any")
        .map_or(String::new(), |w| (*w).to_owned())
}

/// `310K` of iptables: K, M, G, T are powers of 1000.
fn count(word: &str) -> Option<i64> {
    let split = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at(split);
    let factor: i64 = match unit {
        "" => 1,
        "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}
