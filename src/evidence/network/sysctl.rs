//! Kernel settings that decide about path MTU discovery, forwarding and bridged packets.
//!
//! Meanings: Documentation/networking/ip-sysctl.rst. Read are the files of /proc/sys and
//! `sysctl -a`. Settings per interface are left out but for `rp_filter`, which filters where it is
//! on for `all`.

use super::{Line, believed};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Network settings of the kernel.
pub const SLICE: Slice = Slice { name: "network/sysctl", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("proc/sys/net/ipv4/ip_no_pmtu_disc"),
    Want::file("proc/sys/net/ipv4/tcp_mtu_probing"),
    Want::file("proc/sys/net/ipv4/ip_forward"),
    Want::file("proc/sys/net/ipv4/conf/all/rp_filter"),
    Want::file("proc/sys/net/ipv6/conf/all/forwarding"),
    Want::file("proc/sys/net/bridge/bridge-nf-call-iptables"),
    Want::command("sysctl", &[], &["sos_commands/kernel/sysctl_-a"]),
    Want::output("sysctl*"),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "net.no_pmtu_disc",
        Kind::Int,
        "1, 2: large packets are sent without DF; 3: unverified frag-needed is ignored",
        "sysctl net.ipv4.ip_no_pmtu_disc",
    ),
    FactDef::new(
        "net.tcp_mtu_probing",
        Kind::Int,
        "1: TCP finds a black hole by itself after timeouts; 2: TCP always probes",
        "sysctl net.ipv4.tcp_mtu_probing",
    ),
    FactDef::new(
        "net.ip_forward",
        Kind::Int,
        "Whether IPv4 packets are forwarded",
        "sysctl net.ipv4.ip_forward",
    ),
    FactDef::new(
        "net.ip6_forward",
        Kind::Int,
        "Whether IPv6 packets are forwarded",
        "sysctl net.ipv6.conf.all.forwarding",
    ),
    FactDef::new(
        "net.rp_filter",
        Kind::Int,
        "Reverse path filter of all links: 0 off, 1 strict, 2 loose",
        "sysctl net.ipv4.conf.all.rp_filter",
    ),
    FactDef::new(
        "net.bridge_nf_call_iptables",
        Kind::Int,
        "Whether bridged packets go through iptables",
        "sysctl net.bridge.bridge-nf-call-iptables",
    ),
];

/// Names as sysctl prints them.
const NAMES: &[(&str, &str)] = &[
    ("net.ipv4.ip_no_pmtu_disc", "net.no_pmtu_disc"),
    ("net.ipv4.tcp_mtu_probing", "net.tcp_mtu_probing"),
    ("net.ipv4.ip_forward", "net.ip_forward"),
    ("net.ipv6.conf.all.forwarding", "net.ip6_forward"),
    ("net.ipv4.conf.all.rp_filter", "net.rp_filter"),
    ("net.bridge.bridge-nf-call-iptables", "net.bridge_nf_call_iptables"),
];

fn fact_name(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(n, _)| *n == name).map(|(_, fact)| *fact)
}

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if let Some(path) = piece.path.strip_prefix("proc/sys/") {
        let Some(name) = fact_name(&path.replace('/', ".")) else { return };
        let line = &mut Line { piece, number: 1, text: text.trim(), out };
        match text.trim().parse() {
            Ok(value) => line.fact(name, Value::Int(value)),
            Err(_) => line.problem("expected a number"),
        }
        return;
    }
    for (number, text) in believed(&text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        let Some((name, value)) = text.split_once('=') else { continue };
        let Some(name) = fact_name(name.trim()) else { continue };
        match value.trim().parse() {
            Ok(value) => line.fact(name, Value::Int(value)),
            Err(_) => line.problem("expected a number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn files_and_the_list() {
        let out = testing::read(parse, "proc/sys/net/ipv4/conf/all/rp_filter", "2\n");
        assert_eq!(testing::show(&out, "net.rp_filter"), Some("2".into()));
        let list = "net.ipv4.ip_forward = 1\nnet.ipv4.tcp_mtu_probing = 0\nnet.ipv4.conf.eth0.rp_filter = 1\n";
        let out = testing::read(parse, "commands/sysctl-a.txt", list);
        assert_eq!(testing::show(&out, "net.ip_forward"), Some("1".into()));
        assert_eq!(testing::show(&out, "net.tcp_mtu_probing"), Some("0".into()));
        assert_eq!(out.facts.len(), 2);
        let broken = testing::read(parse, "proc/sys/net/ipv4/ip_forward", "");
        assert_eq!((broken.facts.len(), broken.problems.len()), (0, 1));
    }
}
