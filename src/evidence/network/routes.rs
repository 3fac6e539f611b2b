//! Routes: `ip route` of both families, the cache with learned path MTUs, `route -n`, `netstat -rn`.
//!
//! `ip route get ADDRESS` and `ip route show cache` show what path MTU discovery learned as
//! `... cache expires 580sec mtu 1400` (iproute2's ip/iproute.c); an `mtu` without `expires` is one
//! that somebody configured. The table `local` is left out: it repeats the addresses.

use super::{Line, after, believed};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Routes.
pub const SLICE: Slice = Slice { name: "network/routes", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command(
        "ip-route",
        &["ip", "route", "show", "table", "all"],
        &["sos_commands/networking/ip_route_show_table_all"],
    ),
    Want::command(
        "ip-6-route",
        &["ip", "-6", "route", "show", "table", "all"],
        &["sos_commands/networking/ip_-6_route_show_table_all"],
    ),
    Want::command(
        "ip-route-show-cache",
        &["ip", "route", "show", "cache"],
        &[
            "sos_commands/networking/ip_-d_route_show_cache",
            "sos_commands/networking/ip_-d_-6_route_show_cache",
        ],
    ),
    Want::output("ip-*route*"),
    Want::output("ip_*route*"),
    Want::output("route*"),
    Want::output("netstat-*r*"),
];

const fn route(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "destination", doc, "ip route show table all")
}

const FACTS: &[FactDef] = &[
    route("route.dev", Kind::Text, "Link that a destination is reached over"),
    route("route.gateway", Kind::Text, "Next hop"),
    route("route.mtu", Kind::Int, "MTU that somebody set for a destination, bytes"),
    route("route.advmss", Kind::Int, "Segment size that is announced to a destination, bytes"),
    FactDef::per(
        "route.learned_pmtu",
        Kind::Int,
        "destination",
        "Path MTU that the kernel learned from ICMP, bytes",
        "ip route show cache",
    ),
];

/// Types of routes that `ip route` begins a line with and that lead nowhere, or to ourselves.
const PASSED: &[&str] = &[
    "local",
    "broadcast",
    "multicast",
    "anycast",
    "unreachable",
    "blackhole",
    "prohibit",
    "throw",
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut last = String::new();
    for (number, text) in believed(&text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        let words: Vec<&str> = text.split_whitespace().collect();
        let indented = text.starts_with(char::is_whitespace);
        match words.as_slice() {
            // The second line of `ip route get`: `    cache expires 580sec mtu 1400`.
            ["cache", ..] if indented => learned(line, &last, &words),
            ["nexthop", ..] if indented => hop(line, &last, &words),
            [first, ..] if !PASSED.contains(first) => {
                if let Some(destination) = destination(first) {
                    last = destination;
                    hop(line, &last, &words);
                    learned(line, &last, &words);
                } else {
                    classic(line, &words);
                }
            }
            _ => {}
        }
    }
}

/// A destination in the form that facts have: `default`, a prefix, or an address.
fn destination(word: &str) -> Option<String> {
    let address = word.split('/').next().unwrap_or(word);
    (word == "default" || address.parse::<std::net::IpAddr>().is_ok()).then(|| word.to_owned())
}

fn hop(line: &mut Line<'_, '_, '_>, destination: &str, words: &[&str]) {
    // `route -n` begins with an address too, and has no `dev`.
    let Some(dev) = after(words, "dev") else { return classic(line, words) };
    line.of("route.dev", destination, Value::text(dev));
    if let Some(via) = after(words, "via").filter(|v| v.parse::<std::net::IpAddr>().is_ok()) {
        line.of("route.gateway", destination, Value::text(via));
    }
    if !words.contains(&"cache") && !words.contains(&"expires") {
        if let Some(mtu) = mtu(words) {
            line.of("route.mtu", destination, Value::Int(mtu));
        }
        if let Some(mss) = after(words, "advmss").and_then(|m| m.parse().ok()) {
            line.of("route.advmss", destination, Value::Int(mss));
        }
    }
}

/// `mtu 1400` or `mtu lock 1400`.
fn mtu(words: &[&str]) -> Option<i64> {
    let after_mtu = after(words, "mtu")?;
    let number = if after_mtu == "lock" { after(words, "lock")? } else { after_mtu };
    number.parse().ok()
}

fn learned(line: &mut Line<'_, '_, '_>, destination: &str, words: &[&str]) {
    // IPv6 shows learned routes with `expires` and without `cache`, and every route learned from
    // router advertisements too: those have `proto ra`.
    let cached = words.contains(&"cache") || words.contains(&"expires") && !words.contains(&"ra");
    if cached
        && words.contains(&"expires")
        && let Some(mtu) = mtu(words)
    {
        line.of("route.learned_pmtu", destination, Value::Int(mtu));
    }
}

/// A row of `route -n` or `netstat -rn`: destination, gateway, mask, flags, ..., link.
fn classic(line: &mut Line<'_, '_, '_>, words: &[&str]) {
    let [destination, gateway, mask, flags, .., dev] = words else { return };
    let parsed = (destination.parse::<std::net::Ipv4Addr>(), mask.parse::<std::net::Ipv4Addr>());
    let (Ok(address), Ok(mask)) = parsed else { return };
    if !flags.contains('U') {
        return;
    }
    let length = u32::from(mask).count_ones();
    let name = if length == 0 { "default".to_owned() } else { format!("{address}/{length}") };
    line.of("route.dev", &name, Value::text(*dev));
    if gateway.parse::<std::net::Ipv4Addr>().is_ok_and(|g| !g.is_unspecified()) {
        line.of("route.gateway", &name, Value::text(*gateway));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show_of as of};

    #[test]
    fn routes_of_ip_and_of_net_tools() {
        let ip = "default via 192.0.2.1 dev eth0 proto dhcp metric 100\n192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.7\n198.51.100.0/24 via 192.0.2.9 dev eth0 mtu lock 1400 advmss 1360\nlocal 192.0.2.7 dev eth0 table local proto kernel\n";
        let out = testing::read(parse, "commands/ip-route.txt", ip);
        assert_eq!(of(&out, "route.dev", "default"), Some("eth0".into()));
        assert_eq!(of(&out, "route.gateway", "default"), Some("192.0.2.1".into()));
        assert_eq!(of(&out, "route.mtu", "198.51.100.0/24"), Some("1400".into()));
        assert_eq!(of(&out, "route.advmss", "198.51.100.0/24"), Some("1360".into()));
        assert_eq!(of(&out, "route.dev", "192.0.2.7"), None);
        let old = "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n0.0.0.0         192.0.2.1       0.0.0.0         UG    100    0        0 eth0\n192.0.2.0       0.0.0.0         255.255.255.0   U     100    0        0 eth0\n";
        let out = testing::read(parse, "commands/route-n.txt", old);
        assert_eq!(of(&out, "route.gateway", "default"), Some("192.0.2.1".into()));
        assert_eq!(of(&out, "route.dev", "192.0.2.0/24"), Some("eth0".into()));
    }

    #[test]
    fn a_learned_mtu_is_not_a_configured_one() {
        let text = "198.51.100.9 via 192.0.2.1 dev eth0 src 192.0.2.7 uid 0\n    cache expires 593sec mtu 1400\n";
        let out = testing::read(parse, "commands/ip-route-get.txt", text);
        assert_eq!(of(&out, "route.learned_pmtu", "198.51.100.9"), Some("1400".into()));
        assert_eq!(of(&out, "route.mtu", "198.51.100.9"), None);
        let set = "198.51.100.9 dev eth0 src 192.0.2.7 mtu 1300\n";
        let out = testing::read(parse, "commands/ip-route.txt", set);
        assert_eq!(of(&out, "route.learned_pmtu", "198.51.100.9"), None);
        let ra =
            "2001:db8::/64 dev eth0 proto ra metric 100 expires 86000sec mtu 1480 pref medium\n";
        let out = testing::read(parse, "commands/ip-6-route.txt", ra);
        assert_eq!(of(&out, "route.learned_pmtu", "2001:db8::/64"), None);
    }

    #[test]
    fn what_is_no_route_makes_no_fact() {
        let out = testing::read(
            parse,
            "commands/route.txt",
            "route: command not found\n\u{0}\n1 2 3 4\n",
        );
        assert!(out.facts.is_empty());
    }
}
