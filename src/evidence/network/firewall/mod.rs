//! Packet filters: `iptables-save`, `iptables -L [-v] [-n]`, their IPv6 twins, `nft list ruleset`.
//!
//! Only what decides about encapsulated packets, about ICMP that path MTU discovery lives on, and
//! about forwarding between guests is taken out. A chain is read from its top: what follows a rule
//! that accepts related packets no longer drops an ICMP error about a known connection. Jumps are
//! not followed, and matches beyond protocol, port and ICMP type are taken as narrowing: a rule with
//! source, destination or interface still counts, with its line as proof.

use std::collections::BTreeMap;

mod rule;
#[cfg(test)]
mod tests;

use rule::{ICMP_WORDS, Rule, Verdict, listed, nft_verdict, verdict};

use super::{Line, believed};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Packet filters.
pub const SLICE: Slice = Slice { name: "network/firewall", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    // Each asks the kernel, which would load its module for that.
    Want::command_where(
        "sys/module/nf_tables",
        "nft-list-ruleset",
        &["nft", "list", "ruleset"],
        &["sos_commands/firewall_tables/nft_list_ruleset"],
    ),
    Want::output("nft*"),
    Want::command_where(
        "sys/module/ip_tables",
        "iptables",
        &["iptables-save", "-c"],
        &["sos_commands/firewall_tables/iptables_*", "sos_commands/networking/iptables_*"],
    ),
    Want::output("iptables*"),
    Want::command_where(
        "sys/module/ip6_tables",
        "ip6tables",
        &["ip6tables-save", "-c"],
        &["sos_commands/firewall_tables/ip6tables_*"],
    ),
    Want::output("ip6tables*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "firewall.drops_frag_needed",
        Kind::Text,
        "chain",
        "Rule that drops ICMP fragmentation-needed or ICMPv6 packet-too-big",
        "nft list ruleset; iptables-save -c",
    ),
    FactDef::new(
        "firewall.drops_errors",
        Kind::Bool,
        "Whether any rule drops ICMP errors that path MTU discovery needs",
        "nft list ruleset; iptables-save -c",
    ),
    FactDef::per(
        "firewall.frag_needed_dropped",
        Kind::Int,
        "chain",
        "Packets that such a rule has dropped",
        "nft list ruleset; iptables-save -c",
    ),
    FactDef::per(
        "firewall.drops_tunnel",
        Kind::Text,
        "encapsulation",
        "Rule that drops an encapsulation: vxlan, geneve, gre, ipip, ipsec, wireguard",
        "nft list ruleset; iptables-save -c",
    ),
    FactDef::new(
        "firewall.protocol_94_packets",
        Kind::Int,
        "Packets that passed a rule for IP protocol 94, the one that /etc/protocols calls ipip; \
         -1 where it has no counter",
        "iptables -nvL",
    ),
    FactDef::new(
        "firewall.allows_ipip",
        Kind::Bool,
        "Whether a rule passes IP protocol 4, in which Linux sends IP-in-IP",
        "iptables -nvL",
    ),
    FactDef::per(
        "firewall.fallback_dropped",
        Kind::Int,
        "chain",
        "Packets that a chain's last rule dropped because none before it matched",
        "iptables -nvL",
    ),
    FactDef::per(
        "firewall.forward_policy",
        Kind::Text,
        "family",
        "What happens to forwarded packets that no rule matches: accept, drop",
        "iptables -S FORWARD; nft list ruleset",
    ),
    FactDef::new(
        "firewall.forward_filters",
        Kind::Bool,
        "Whether anything at all refuses forwarded packets",
        "iptables -S FORWARD; nft list ruleset",
    ),
    FactDef::new(
        "firewall.clamps_mss",
        Kind::Bool,
        "Whether a rule lowers the segment size of TCP to what the path carries (TCPMSS, maxseg)",
        "iptables-save -c; nft list ruleset",
    ),
];

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
                } else if matches!(rule.protocol.as_str(), "" | "all")
                    && !line.text.contains("INVALID")
                    && let Some(packets) = rule.packets.filter(|p| *p > 0)
                {
                    line.of("firewall.fallback_dropped", &self.chain, Value::Int(packets));
                }
            }
            Verdict::Other => {}
        }
    }
}
