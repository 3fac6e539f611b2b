//! Rule sets as the tools print them.

use super::*;
use crate::evidence::testing;

fn read(path: &str, text: &str) -> Out {
    testing::read(parse, path, text)
}

fn drops(path: &str, text: &str) -> bool {
    testing::show(&read(path, text), "firewall.drops_frag_needed").is_some()
}

#[test]
fn rules_that_drop_what_path_mtu_discovery_needs() {
    let save = "commands/iptables-save.txt";
    assert!(drops(save, "*filter\n[5:300] -A FORWARD -p icmp -m icmp --icmp-type 3/4 -j DROP\n"));
    assert!(drops(save, "-A INPUT -p icmp -j DROP\n"));
    assert!(!drops(save, "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP\n"));
    let related =
        "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p icmp -j DROP\n";
    assert!(!drops(save, related));
    let list = "commands/iptables-nvL.txt";
    assert!(drops(
        list,
        "Chain INPUT (policy ACCEPT 1 packets, 2 bytes)\n   12   900 DROP       icmp --  *      *       0.0.0.0/0            0.0.0.0/0            icmptype 3 code 4\n"
    ));
    assert!(!drops(
        list,
        "Chain INPUT (policy ACCEPT 1 packets, 2 bytes)\n   12   900 DROP       icmp --  *      *       0.0.0.0/0            0.0.0.0/0            icmptype 8\n"
    ));
    assert!(drops(
        "commands/iptables-L.txt",
        "Chain FORWARD (policy ACCEPT)\ntarget     prot opt source               destination\nDROP       icmp --  anywhere             anywhere             icmp fragmentation-needed\n"
    ));
    let nft = "commands/nft-list-ruleset.txt";
    assert!(drops(
        nft,
        "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\ticmp type { echo-request, destination-unreachable } counter packets 3 bytes 9 drop\n\t}\n}\n"
    ));
    assert!(drops(
        nft,
        "table ip6 f {\n\tchain i {\n\t\ticmpv6 type packet-too-big drop\n\t}\n}\n"
    ));
    assert!(!drops(
        nft,
        "table inet filter {\n\tchain input {\n\t\tct state established,related accept\n\t\tmeta l4proto icmp drop\n\t}\n}\n"
    ));
    assert!(!drops(
        nft,
        "table inet filter {\n\tchain input {\n\t\ticmp type echo-request drop\n\t}\n}\n"
    ));
}

#[test]
fn counters_and_protocols_of_tunnels() {
    let out = read(
        "commands/iptables-L-v-n.txt",
        "Chain sg (1 references)\n       0     0 RETURN     94   --  *      *       0.0.0.0/0            0.0.0.0/0            match-set X src\n   58K 5293K DROP       all  --  *      *       0.0.0.0/0            0.0.0.0/0            /* Default drop rule */\n",
    );
    assert_eq!(testing::show(&out, "firewall.protocol_94_packets"), Some("0".into()));
    assert_eq!(testing::show(&out, "firewall.fallback_dropped"), Some("58000".into()));
    let out = read(
        "commands/iptables-save.txt",
        "-A INPUT -p udp -m udp --dport 4789 -j DROP\n-A INPUT -p ipencap -j ACCEPT\n",
    );
    assert_eq!(
        out.facts.iter().find(|f| f.name == "firewall.drops_tunnel").unwrap().instance.as_deref(),
        Some("vxlan")
    );
    assert_eq!(testing::show(&out, "firewall.allows_ipip"), Some("true".into()));
    let out = read(
        "commands/nft.txt",
        "table inet f {\n\tchain i {\n\t\tudp dport { 6081, 22 } drop\n\t}\n}\n",
    );
    assert_eq!(
        out.facts.iter().find(|f| f.name == "firewall.drops_tunnel").unwrap().instance.as_deref(),
        Some("geneve")
    );
}

#[test]
fn forwarding() {
    let filters = |path, text| testing::show(&read(path, text), "firewall.forward_filters");
    assert_eq!(
        filters(
            "commands/iptables-save.txt",
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
        ),
        Some("false".into())
    );
    assert_eq!(filters("commands/iptables-save.txt", ":FORWARD DROP [0:0]\n"), Some("true".into()));
    assert_eq!(
        filters("commands/iptables-save.txt", "*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n"),
        None
    );
    assert_eq!(
        filters(
            "commands/nft.txt",
            "table inet f {\n\tchain fwd {\n\t\ttype filter hook forward priority filter; policy accept;\n\t\tiifname \"virbr0\" drop\n\t}\n}\n"
        ),
        Some("true".into())
    );
    let clamp = read(
        "commands/iptables-save.txt",
        "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu\n",
    );
    assert_eq!(testing::show(&clamp, "firewall.clamps_mss"), Some("true".into()));
}

#[test]
fn foreign_text_makes_no_fact() {
    let out = read(
        "commands/iptables.txt",
        "iptables: Permission denied (you must be root)\n-A\n[ -A x\nChain\n9\n",
    );
    assert!(out.facts.is_empty(), "{:?}", out.facts);
}
