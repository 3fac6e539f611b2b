//! Packet filters: `iptables-save`, `iptables -L [-v] [-n]`, their IPv6 twins, `nft list ruleset`.
//!
//! Only what decides about encapsulated packets, about ICMP that path MTU discovery lives on, and
//! about forwarding between guests is taken out. A chain is read from its top: what follows a rule
//! that accepts related packets no longer drops an ICMP error about a known connection. Jumps are
//! not followed, and matches beyond protocol, port and ICMP type are taken as narrowing: a rule with
//! source, destination or interface still counts, with its line as proof.

use std::collections::BTreeMap;

use super::{Line, believed, def};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Packet filters.
pub const SLICE: Slice = Slice { name: "network/firewall", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command(
        "nft-list-ruleset",
        &["nft", "list", "ruleset"],
        &["sos_commands/firewall_tables/nft_list_ruleset"],
    ),
    Want::output("nft*"),
    Want::command(
        "iptables",
        &["iptables-save", "-c"],
        &["sos_commands/firewall_tables/iptables_*", "sos_commands/networking/iptables_*"],
    ),
    Want::output("iptables*"),
    Want::command(
        "ip6tables",
        &["ip6tables-save", "-c"],
        &["sos_commands/firewall_tables/ip6tables_*"],
    ),
    Want::output("ip6tables*"),
];

const FACTS: &[FactDef] = &[
    def(
        "firewall.drops_frag_needed",
        Kind::Text,
        "chain",
        "Rule that drops ICMP fragmentation-needed or ICMPv6 packet-too-big",
        "nft list ruleset; iptables-save -c",
    ),
    def(
        "firewall.drops_errors",
        Kind::Bool,
        "",
        "Whether any rule drops ICMP errors that path MTU discovery needs",
        "nft list ruleset; iptables-save -c",
    ),
    def(
        "firewall.frag_needed_dropped",
        Kind::Int,
        "chain",
        "Packets that such a rule has dropped",
        "nft list ruleset; iptables-save -c",
    ),
    def(
        "firewall.drops_tunnel",
        Kind::Text,
        "encapsulation",
        "Rule that drops an encapsulation: vxlan, geneve, gre, ipip, ipsec, wireguard",
        "nft list ruleset; iptables-save -c",
    ),
    def(
        "firewall.protocol_94_packets",
        Kind::Int,
        "",
        "Packets that passed a rule for IP protocol 94, the one that /etc/protocols calls ipip; \
         -1 where it has no counter",
        "iptables -nvL",
    ),
    def(
        "firewall.allows_ipip",
        Kind::Bool,
        "",
        "Whether a rule passes IP protocol 4, in which Linux sends IP-in-IP",
        "iptables -nvL",
    ),
    def(
        "firewall.fallback_dropped",
        Kind::Int,
        "chain",
        "Packets that a chain's last rule dropped because none before it matched",
        "iptables -nvL",
    ),
    def(
        "firewall.forward_policy",
        Kind::Text,
        "family",
        "What happens to forwarded packets that no rule matches: accept, drop",
        "iptables -S FORWARD; nft list ruleset",
    ),
    def(
        "firewall.forward_filters",
        Kind::Bool,
        "",
        "Whether anything at all refuses forwarded packets",
        "iptables -S FORWARD; nft list ruleset",
    ),
    def(
        "firewall.clamps_mss",
        Kind::Bool,
        "",
        "Whether a rule lowers the segment size of TCP to what the path carries (TCPMSS, maxseg)",
        "iptables-save -c; nft list ruleset",
    ),
];

/// A rule, whatever tool printed it.
#[derive(Debug, Default, Clone)]
struct Rule {
    /// icmp, icmpv6, udp, a number, ...; empty for all.
    protocol: String,
    /// UDP ports that it names.
    ports: Vec<String>,
    /// ICMP type and code in words or numbers; empty for all of them.
    icmp: String,
    /// accept, drop, reject, tcpmss, jump.
    verdict: Verdict,
    /// Whether it is for packets related to a known connection.
    related: bool,
    /// Whether it has any match at all.
    bare: bool,
    packets: Option<i64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accept,
    Refuse,
    Clamp,
    #[default]
    Other,
}

/// What was seen of a chain so far.
#[derive(Debug, Default)]
struct Chain {
    passes_errors: bool,
    rules: usize,
}

/// Reader of a rule set.
#[derive(Default)]
struct Reader {
    chains: BTreeMap<String, Chain>,
    chain: String,
    forward_filters: Option<bool>,
    forward: bool,
    six: bool,
}

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut reader = Reader { six: piece.file_name().starts_with("ip6"), ..Reader::default() };
    let nft = text.lines().any(|l| l.starts_with("table "));
    let mut last = None;
    for (number, text) in believed(&text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        let rule = if nft { reader.nft(line) } else { reader.iptables(line) };
        if let Some(rule) = rule {
            reader.rule(line, &rule);
        }
        last = Some(number);
    }
    let rules = out.facts.iter().find(|f| f.name == "firewall.drops_frag_needed");
    let drops = rules.map(|f| f.origin.clone());
    let is_rules = !reader.chains.is_empty() || reader.forward_filters.is_some();
    if drops.is_some() || is_rules && piece.whole {
        let first =
            crate::model::Origin::new(piece.path, Some(1), text.lines().next().unwrap_or(""));
        let value = Value::Bool(drops.is_some());
        out.fact("firewall.drops_errors", value, drops.unwrap_or(first));
    }
    let named = |name: &str| out.facts.iter().find(|f| f.name == name).map(|f| f.origin.clone());
    if let (Some(origin), None, true) =
        (named("firewall.protocol_94_packets"), named("firewall.allows_ipip"), piece.whole)
    {
        out.fact("firewall.allows_ipip", Value::Bool(false), origin);
    }
    // Only a whole rule set tells that nothing refuses.
    let filters = reader.forward_filters.filter(|f| *f || piece.whole);
    if let (Some(filters), Some(_)) = (filters, last) {
        let line = &mut Line { piece, number: 1, text: text.lines().next().unwrap_or(""), out };
        line.fact("firewall.forward_filters", Value::Bool(filters));
    }
}

impl Reader {
    fn policy(&mut self, line: &mut Line<'_, '_, '_>, policy: &str) {
        let policy = policy.to_ascii_lowercase();
        let family = if self.six { "ipv6" } else { "ipv4" };
        let filters = self.forward_filters.get_or_insert(false);
        *filters |= policy == "drop";
        line.of("firewall.forward_policy", family, Value::text(policy));
    }

    /// `iptables-save`: `:FORWARD DROP [0:0]`, `[12:900] -A INPUT -p icmp -j DROP`; `iptables -L`:
    /// `Chain FORWARD (policy DROP ...)`, then rows.
    fn iptables(&mut self, line: &mut Line<'_, '_, '_>) -> Option<Rule> {
        let text = line.text.trim();
        let words: Vec<&str> = text.split_whitespace().collect();
        if let Some(head) = text.strip_prefix("Chain ") {
            let name = head.split_whitespace().next()?;
            name.clone_into(&mut self.chain);
            self.forward = name == "FORWARD";
            if let Some(policy) = super::after(&words, "(policy").filter(|_| self.forward) {
                self.policy(line, policy.trim_end_matches(')'));
            }
            return None;
        }
        if let Some(rest) = text.strip_prefix(":FORWARD ") {
            let policy = rest.split_whitespace().next()?;
            self.policy(line, policy);
            return None;
        }
        if text.starts_with("-A ") || text.contains("] -A ") || text.starts_with("-P ") {
            return self.saved(line, &words);
        }
        listed(&words)
    }

    fn saved(&mut self, line: &mut Line<'_, '_, '_>, words: &[&str]) -> Option<Rule> {
        if words.first() == Some(&"-P") {
            if words.get(1) == Some(&"FORWARD") {
                self.policy(line, words.get(2)?);
            }
            return None;
        }
        super::after(words, "-A")?.clone_into(&mut self.chain);
        self.forward = self.chain == "FORWARD";
        let value = |keys: &[&str]| keys.iter().find_map(|k| super::after(words, k));
        let negated = words.contains(&"!");
        let states = value(&["--state", "--ctstate"]).unwrap_or_default();
        let packets =
            words.first().and_then(|w| w.strip_prefix('[')?.split(':').next()?.parse().ok());
        Some(Rule {
            protocol: value(&["-p", "--protocol"]).unwrap_or_default().to_owned(),
            ports: value(&["--dport", "--dports", "--destination-port"])
                .map(|p| p.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            icmp: value(&["--icmp-type", "--icmpv6-type"])
                .filter(|t| *t != "any")
                .map(|t| if negated { "other".to_owned() } else { t.to_owned() })
                .unwrap_or_default(),
            verdict: verdict(value(&["-j", "-g"]).unwrap_or_default()),
            related: states.contains("RELATED"),
            bare: words.iter().filter(|w| w.starts_with('-')).count() <= 2,
            packets,
        })
    }

    /// A line of `nft list ruleset`.
    fn nft(&mut self, line: &mut Line<'_, '_, '_>) -> Option<Rule> {
        let text = line.text.trim();
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}'))
            .filter(|w| !w.is_empty())
            .collect();
        match words.as_slice() {
            ["table", family, ..] => {
                self.six = *family == "ip6";
                return None;
            }
            ["chain", name, ..] => {
                (*name).clone_into(&mut self.chain);
                self.forward = *name == "FORWARD";
                return None;
            }
            ["type", "filter", "hook", hook, ..] => {
                self.forward = *hook == "forward";
                let policy = super::after(&words, "policy").unwrap_or("accept");
                if self.forward {
                    self.policy(line, policy.trim_end_matches(';'));
                }
                return None;
            }
            [] => return None,
            _ => {}
        }
        let verdict = nft_verdict(&words)?;
        let has = |w: &str| words.contains(&w);
        let value = |key: &str| super::after(&words, key);
        let protocol = if has("icmpv6") || has("ipv6-icmp") {
            "icmpv6".to_owned()
        } else if has("icmp") {
            "icmp".to_owned()
        } else if has("udp") {
            "udp".to_owned()
        } else {
            value("protocol")
                .or_else(|| value("l4proto"))
                .or_else(|| value("nexthdr"))
                .unwrap_or_default()
                .to_owned()
        };
        let icmp: Vec<&str> = if has("type") || has("code") {
            words.iter().copied().filter(|w| ICMP_WORDS.contains(w)).collect()
        } else {
            Vec::new()
        };
        let icmp = if icmp.is_empty() && (has("type") || has("code")) {
            "other".to_owned()
        } else {
            icmp.join(" ")
        };
        Some(Rule {
            protocol,
            ports: words
                .iter()
                .skip_while(|w| **w != "dport")
                .skip(1)
                .take_while(|w| w.bytes().all(|b| b.is_ascii_digit()))
                .map(|w| (*w).to_owned())
                .collect(),
            icmp,
            verdict,
            related: has("related"),
            bare: matches!(words.first(), Some(&("counter" | "drop" | "accept" | "reject"))),
            packets: value("packets").and_then(|p| p.parse().ok()),
        })
    }

    fn rule(&mut self, line: &mut Line<'_, '_, '_>, rule: &Rule) {
        let key = format!("{} {}", if self.six { "ipv6" } else { "ipv4" }, self.chain);
        let chain = self.chains.entry(key).or_default();
        chain.rules += 1;
        if self.forward && rule.verdict == Verdict::Refuse {
            self.forward_filters = Some(true);
        }
        match rule.verdict {
            Verdict::Clamp => line.fact("firewall.clamps_mss", Value::Bool(true)),
            Verdict::Accept => {
                chain.passes_errors |= rule.related || rule.bare || rule.is_error();
                rule.passes(line);
            }
            Verdict::Refuse if rule.is_error() && !chain.passes_errors => {
                line.of("firewall.drops_frag_needed", &self.chain, Value::text(line.text.trim()));
                if let Some(packets) = rule.packets {
                    line.of("firewall.frag_needed_dropped", &self.chain, Value::Int(packets));
                }
            }
            Verdict::Refuse => {
                if let Some(kind) = rule.encapsulation() {
                    line.of("firewall.drops_tunnel", kind, Value::text(line.text.trim()));
                } else if rule.protocol.is_empty() || rule.protocol == "all" {
                    if let Some(packets) =
                        rule.packets.filter(|p| *p > 0 && !line.text.contains("INVALID"))
                    {
                        line.of("firewall.fallback_dropped", &self.chain, Value::Int(packets));
                    }
                }
            }
            Verdict::Other => {}
        }
    }
}

/// ICMP types and codes of nft that path MTU discovery needs.
const ICMP_WORDS: &[&str] =
    &["destination-unreachable", "frag-needed", "packet-too-big", "3", "4", "2"];

impl Rule {
    /// Whether it is about ICMP errors that path MTU discovery needs.
    fn is_error(&self) -> bool {
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
    fn encapsulation(&self) -> Option<&'static str> {
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

    fn passes(&self, line: &mut Line<'_, '_, '_>) {
        match self.protocol.as_str() {
            "94" | "ipip" => {
                line.fact("firewall.protocol_94_packets", Value::Int(self.packets.unwrap_or(-1)));
            }
            "4" | "ipencap" => line.fact("firewall.allows_ipip", Value::Bool(true)),
            _ => {}
        }
    }
}

fn verdict(target: &str) -> Verdict {
    match target {
        // Neutron's and Calico's chains let a packet go on by RETURN.
        "ACCEPT" | "RETURN" => Verdict::Accept,
        "DROP" | "REJECT" => Verdict::Refuse,
        "TCPMSS" => Verdict::Clamp,
        _ => Verdict::Other,
    }
}

fn nft_verdict(words: &[&str]) -> Option<Verdict> {
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
fn listed(words: &[&str]) -> Option<Rule> {
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
        .chain(super::after(rest, "dports").into_iter().flat_map(|p| p.split(',')))
        .map(str::to_owned)
        .collect();
    let icmp = match (super::after(rest, "icmptype"), super::after(rest, "code")) {
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

#[cfg(test)]
mod tests {
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
        assert!(drops(
            save,
            "*filter\n[5:300] -A FORWARD -p icmp -m icmp --icmp-type 3/4 -j DROP\n"
        ));
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
            out.facts
                .iter()
                .find(|f| f.name == "firewall.drops_tunnel")
                .unwrap()
                .instance
                .as_deref(),
            Some("vxlan")
        );
        assert_eq!(testing::show(&out, "firewall.allows_ipip"), Some("true".into()));
        let out = read(
            "commands/nft.txt",
            "table inet f {\n\tchain i {\n\t\tudp dport { 6081, 22 } drop\n\t}\n}\n",
        );
        assert_eq!(
            out.facts
                .iter()
                .find(|f| f.name == "firewall.drops_tunnel")
                .unwrap()
                .instance
                .as_deref(),
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
        assert_eq!(
            filters("commands/iptables-save.txt", ":FORWARD DROP [0:0]\n"),
            Some("true".into())
        );
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
}
