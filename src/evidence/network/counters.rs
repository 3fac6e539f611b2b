//! Counters of the protocols: fragmentation, reassembly, checksums, lost UDP datagrams.
//!
//! Read are /proc/net/snmp (two lines per protocol: names, values), /proc/net/snmp6 and
//! /proc/net/netstat, `nstat -az` and the prose of `netstat -s`. Names are those of RFC 4293 as the
//! kernel spells them (net/ipv4/proc.c, net/ipv6/proc.c). All count since boot: only a reader who
//! knows two values of one counter knows a rate.

use super::{Line, believed};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Protocol counters.
pub const SLICE: Slice = Slice { name: "network/counters", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("proc/net/snmp"),
    Want::file("proc/net/snmp6"),
    Want::command("nstat", &[], &["sos_commands/networking/nstat_-zas"]),
    Want::output("nstat*"),
    Want::command("netstat-s", &[], &["sos_commands/networking/netstat_-s"]),
    Want::output("netstat-s*"),
];

const fn counter(name: &'static str, doc: &'static str) -> FactDef {
    FactDef::new(name, Kind::Int, doc, "nstat -az")
}

const FACTS: &[FactDef] = &[
    counter(
        "counters.frag_fails",
        "IPv4 packets that had to be fragmented and were not allowed to (FragFails)",
    ),
    counter("counters.frag_creates", "IPv4 fragments made here (FragCreates)"),
    counter("counters.reasm_fails", "IPv4 reassemblies that failed (ReasmFails)"),
    counter(
        "counters.udp_checksum_errors",
        "UDP datagrams that were dropped for a wrong checksum (InCsumErrors)",
    ),
    counter(
        "counters.tcp_checksum_errors",
        "TCP segments that were dropped for a wrong checksum (InCsumErrors)",
    ),
    counter("counters.icmp_unreachable_in", "ICMP destination-unreachable messages received"),
    counter("counters.icmp_unreachable_out", "ICMP destination-unreachable messages sent"),
    counter(
        "counters.ip6_too_big_fails",
        "IPv6 packets that were too big to be forwarded (Ip6InTooBigErrors)",
    ),
    counter("counters.icmp6_too_big_in", "ICMPv6 packet-too-big messages received"),
    counter("counters.icmp6_too_big_out", "ICMPv6 packet-too-big messages sent"),
];

/// Names in /proc/net/snmp, snmp6 and nstat: protocol and counter joined.
const NAMES: &[(&str, &str)] = &[
    ("IpFragFails", "counters.frag_fails"),
    ("IpFragCreates", "counters.frag_creates"),
    ("IpReasmFails", "counters.reasm_fails"),
    ("UdpInCsumErrors", "counters.udp_checksum_errors"),
    ("TcpInCsumErrors", "counters.tcp_checksum_errors"),
    ("IcmpInDestUnreachs", "counters.icmp_unreachable_in"),
    ("IcmpOutDestUnreachs", "counters.icmp_unreachable_out"),
    ("Ip6InTooBigErrors", "counters.ip6_too_big_fails"),
    ("Icmp6InPktTooBigs", "counters.icmp6_too_big_in"),
    ("Icmp6OutPktTooBigs", "counters.icmp6_too_big_out"),
];

/// Sentences of `netstat -s` (net-tools' statistics.c), by the section they stand in.
const SENTENCES: &[(&str, &str, &str)] = &[
    ("Ip", "fragments failed", "counters.frag_fails"),
    ("Ip", "fragments created", "counters.frag_creates"),
    ("Ip", "packet reassembles failed", "counters.reasm_fails"),
    ("Ip", "packet reassemblies failed", "counters.reasm_fails"),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let lines = believed(&text, piece.whole);
    let mut names: Option<&str> = None;
    let mut section = "";
    for (number, text) in lines {
        let line = &mut Line { piece, number, text, out };
        if !text.starts_with(char::is_whitespace) && text.trim_end().ends_with(':') {
            section = text.trim_end().trim_end_matches(':');
            continue;
        }
        if let (Some(head), Some((protocol, _))) = (names, text.split_once(": "))
            && head.starts_with(&format!("{protocol}: "))
        {
            columns(line, protocol, head);
            names = None;
            continue;
        }
        let is_head = |t: &&str| {
            t.split_once(": ")
                .is_some_and(|(_, r)| r.starts_with(|c: char| c.is_ascii_alphabetic()))
        };
        names = Some(text).filter(is_head);
        single(line, section);
    }
}

/// Two lines of /proc/net/snmp: names, then values.
fn columns(line: &mut Line<'_, '_, '_>, protocol: &str, names: &str) {
    let values: Vec<&str> = line.text.split_whitespace().skip(1).collect();
    for (name, value) in names.split_whitespace().skip(1).zip(values) {
        let full = format!("{protocol}{name}");
        let Some((_, fact)) = NAMES.iter().find(|(n, _)| *n == full) else { continue };
        match value.parse() {
            Ok(value) => line.fact(fact, Value::Int(value)),
            Err(_) => line.problem("expected a number"),
        }
    }
}

/// `IpFragFails    12    0.0` of nstat and snmp6, or a sentence of `netstat -s`.
fn single(line: &mut Line<'_, '_, '_>, section: &str) {
    let words: Vec<&str> = line.text.split_whitespace().collect();
    let (Some(first), Some(second)) = (words.first(), words.get(1)) else { return };
    let named = NAMES.iter().find(|(n, _)| n == first).map(|(_, fact)| *fact);
    if let (Some(fact), Ok(value)) = (named, second.parse()) {
        line.fact(fact, Value::Int(value));
    } else if let Ok(value) = first.trim_end_matches(':').parse() {
        let rest = words[1..].join(" ");
        let said = SENTENCES.iter().find(|(s, text, _)| *s == section && *text == rest);
        if let Some((_, _, fact)) = said {
            line.fact(fact, Value::Int(value));
        }
    } else if *first == "InCsumErrors:"
        && let Ok(value) = second.parse()
    {
        match section {
            "Udp" => line.fact("counters.udp_checksum_errors", Value::Int(value)),
            "Tcp" => line.fact("counters.tcp_checksum_errors", Value::Int(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn the_same_counters_of_all_three() {
        let snmp = "Ip: Forwarding DefaultTTL FragOKs FragFails FragCreates\nIp: 1 64 7 70 14\nUdp: InDatagrams NoPorts InErrors InCsumErrors\nUdp: 9 1 3 3\n";
        let out = testing::read(parse, "proc/net/snmp", snmp);
        assert_eq!(testing::show(&out, "counters.frag_fails"), Some("70".into()));
        assert_eq!(testing::show(&out, "counters.frag_creates"), Some("14".into()));
        assert_eq!(testing::show(&out, "counters.udp_checksum_errors"), Some("3".into()));
        let nstat = "#kernel\nIpFragFails                     70                 0.0\nIcmp6InPktTooBigs 2 0.0\n";
        let out = testing::read(parse, "commands/nstat-az.txt", nstat);
        assert_eq!(testing::show(&out, "counters.frag_fails"), Some("70".into()));
        assert_eq!(testing::show(&out, "counters.icmp6_too_big_in"), Some("2".into()));
        let prose = "Ip:\n    Forwarding: 1\n    70 fragments failed\n    14 fragments created\nUdp:\n    9 packets received\n    InCsumErrors: 3\n";
        let out = testing::read(parse, "commands/netstat-s.txt", prose);
        assert_eq!(testing::show(&out, "counters.frag_fails"), Some("70".into()));
        assert_eq!(testing::show(&out, "counters.udp_checksum_errors"), Some("3".into()));
    }

    #[test]
    fn values_without_names_and_cut_files_are_not_believed() {
        let out = testing::read(parse, "proc/net/snmp", "Ip: 1 64 7 70 14\n");
        assert!(out.facts.is_empty());
        let cut = "Udp: InDatagrams NoPorts InErrors InCsumErrors\nUdp: 9 1 3 3";
        assert!(testing::read_part(parse, "proc/net/snmp", cut, false).facts.is_empty());
    }
}
