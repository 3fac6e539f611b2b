//! Packets as `tcpdump` printed them: wrong checksums of tunnel packets, ICMP that names an MTU,
//! and questions that nobody answers.
//!
//! Whether a wrong checksum is a fault depends on who looked: a sender that leaves checksums to its
//! device sees its own packets without them. So the packets are counted by their destination, and an
//! analyzer asks whether that is the machine itself. Not parsed: everything else.

use std::collections::BTreeMap;

use super::{Line, believed};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Packets in tcpdump's words.
pub const SLICE: Slice = Slice { name: "network/capture_text", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[Want::output("tcpdump*")];

const fn capture(name: &'static str, per: &'static str, doc: &'static str) -> FactDef {
    FactDef::per(name, Kind::Int, per, doc, "tcpdump -vvneni LINK")
}

const FACTS: &[FactDef] = &[
    capture(
        "capture.bad_tunnel_checksums",
        "destination",
        "VXLAN and GENEVE packets to a destination whose outer UDP checksum is wrong",
    ),
    capture(
        "capture.need_frag_mtu",
        "sender of the message",
        "MTU in an ICMP fragmentation-needed or packet-too-big message, bytes",
    ),
    capture(
        "capture.resent_after_need_frag",
        "",
        "Full-size TCP segments that were sent again unchanged after such a message",
    ),
    capture(
        "capture.unanswered",
        "question",
        "Repeated ARP or DHCP requests to which the capture holds no answer",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut bad: BTreeMap<&str, (i64, Origin)> = BTreeMap::new();
    let mut segments: BTreeMap<&str, bool> = BTreeMap::new();
    let mut resent: Option<(i64, Origin)> = None;
    let mut told = false;
    let mut questions = Questions::default();
    for (number, text) in believed(&text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        questions.take(line);
        let Some((_, to, what)) = packet(text) else { continue };
        if what.contains("[bad udp cksum") && is_tunnel(to, what) {
            let place = line.origin();
            bad.entry(address(to)).or_insert((0, place)).0 += 1;
        } else if let Some(mtu) = named_mtu(what) {
            told = true;
            let sender = packet(text).map_or("", |(from, _, _)| from);
            line.of("capture.need_frag_mtu", sender, Value::Int(mtu));
        } else if let Some(segment) = full_segment(text) {
            // Sent before a router complained, and once more after it did.
            if told && segments.get(segment) == Some(&true) {
                let place = line.origin();
                resent.get_or_insert((0, place)).0 += 1;
            }
            segments.insert(segment, true);
        }
    }
    for (destination, (count, origin)) in bad {
        out.fact_of("capture.bad_tunnel_checksums", destination, Value::Int(count), origin);
    }
    for (question, (count, origin)) in questions.open() {
        out.fact_of("capture.unanswered", &question, Value::Int(count), origin);
    }
    if let Some((count, origin)) = resent {
        out.fact("capture.resent_after_need_frag", Value::Int(count), origin);
    }
}

/// Requests that are asked again and again.
const REPEATED: i64 = 3;

/// ARP and DHCP requests, and who was answered.
#[derive(Default)]
struct Questions {
    asked: BTreeMap<String, (i64, Origin)>,
    answered: Vec<String>,
}

impl Questions {
    fn take(&mut self, line: &Line<'_, '_, '_>) {
        let text = line.text;
        let rest = |key: &str| text.split_once(key).map(|(_, r)| r);
        let word = |r: &str| r.split([' ', ',']).next().unwrap_or_default().to_owned();
        let question =
            if let Some(target) = rest("ARP, Request who-has ").or_else(|| rest("arp who-has ")) {
                Some(format!("ARP {}", word(target)))
            } else {
                rest("BOOTP/DHCP, Request from ").map(|mac| format!("DHCP {}", word(mac)))
            };
        if let Some(question) = question {
            let place = line.origin();
            self.asked.entry(question).or_insert((0, place)).0 += 1;
        } else if let Some(target) = rest("ARP, Reply ").or_else(|| rest("arp reply ")) {
            self.answered.push(format!("ARP {}", word(target)));
        } else if text.contains("BOOTP/DHCP, Reply") {
            self.answered.push("DHCP".to_owned());
        }
    }

    fn open(self) -> impl Iterator<Item = (String, (i64, Origin))> {
        let Self { asked, answered } = self;
        asked.into_iter().filter(move |(question, (count, _))| {
            *count >= REPEATED && !answered.iter().any(|a| question.starts_with(a.as_str()))
        })
    }
}

/// `FROM > TO: WHAT`.
fn packet(text: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = text.split_once(" > ")?;
    let (to, what) = after.split_once(": ")?;
    let from = before.rsplit(char::is_whitespace).next()?;
    (!to.contains(' ')).then_some((from, to, what))
}

/// An end without its port. A port may be printed by its name.
fn address(end: &str) -> &str {
    end.rsplit_once('.').map_or(end, |(address, _)| address)
}

fn is_tunnel(to: &str, what: &str) -> bool {
    let port = to.rsplit('.').next().unwrap_or_default();
    let by_port = matches!(port, "4789" | "8472" | "6081" | "vxlan" | "otv" | "geneve");
    by_port || what.contains("VXLAN") || what.contains("OTV") || what.contains("Geneve")
}

/// `ICMP 198.51.100.7 unreachable - need to frag (mtu 1420)`, `ICMP6, packet too big, mtu 1400`.
fn named_mtu(what: &str) -> Option<i64> {
    let rest =
        what.split_once("need to frag (mtu ").or_else(|| what.split_once("too big, mtu "))?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Ends and sequence numbers of a TCP segment with at least 1000 bytes: what identifies it.
fn full_segment(text: &str) -> Option<&str> {
    let length: u32 = text.rsplit_once("length ")?.1.split([':', ' ']).next()?.parse().ok()?;
    let start = text.find("IP ").filter(|_| length >= 1000)?;
    let seq = text.find(", seq ")?;
    let end = text.get(seq + 6..)?.find(',')? + seq + 6;
    text.get(start..end).filter(|t| t.contains("Flags ["))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn wrong_checksums_are_counted_by_destination() {
        let text = "09:00:00.1 IP (tos 0x0, ttl 64, proto UDP (17), length 110)\n    192.0.2.8.7719 > 192.0.2.7.4789: [bad udp cksum 0x71d0 -> 0xc4a9!] VXLAN, flags [I] (0x08), vni 9\n    192.0.2.8.7720 > 192.0.2.7.8472: [bad udp cksum 0x71d0 -> 0xc4a9!] OTV, flags [I]\n    192.0.2.7.53 > 192.0.2.8.5353: [bad udp cksum 0x0001 -> 0x0002!] 7 1/0/0\n    192.0.2.8.9 > 192.0.2.7.4789: [udp sum ok] VXLAN\n";
        let out = testing::read(parse, "commands/tcpdump.txt", text);
        assert_eq!(out.facts.len(), 1);
        assert_eq!(out.facts[0].instance.as_deref(), Some("192.0.2.7"));
        assert_eq!(out.facts[0].value, Value::Int(2));
    }

    #[test]
    fn segments_that_come_again_after_a_router_complained() {
        let segment = "10:00:00.2 IP 198.51.100.7.443 > 192.0.2.9.40218: Flags [.], seq 1:1449, ack 518, win 235, length 1448\n";
        let icmp = "10:00:00.3 IP 192.0.2.9 > 198.51.100.7: ICMP 192.0.2.9 unreachable - need to frag (mtu 1420), length 556\n";
        let out = testing::read(
            parse,
            "commands/tcpdump.txt",
            &format!("{segment}{icmp}{segment}{segment}"),
        );
        assert_eq!(testing::show(&out, "capture.resent_after_need_frag"), Some("2".into()));
        assert_eq!(testing::show(&out, "capture.need_frag_mtu"), Some("1420".into()));
        let heeded = testing::read(parse, "commands/tcpdump.txt", &format!("{segment}{icmp}"));
        assert_eq!(testing::show(&heeded, "capture.resent_after_need_frag"), None);
    }

    #[test]
    fn questions_that_nobody_answers() {
        let ask = "10:00:01.1 ARP, Request who-has 192.0.2.1 tell 192.0.2.50, length 28\n";
        let out = testing::read(parse, "commands/tcpdump.txt", &ask.repeat(3));
        assert_eq!(testing::show(&out, "capture.unanswered"), Some("3".into()));
        let reply = "10:00:01.2 ARP, Reply 192.0.2.1 is-at 02:00:00:00:00:01, length 28\n";
        let out =
            testing::read(parse, "commands/tcpdump.txt", &format!("{}{reply}", ask.repeat(3)));
        assert_eq!(testing::show(&out, "capture.unanswered"), None);
        let dhcp = "10:00:01.1 IP 0.0.0.0.68 > 255.255.255.255.67: BOOTP/DHCP, Request from 52:54:00:00:00:09, length 300\n";
        let out = testing::read(parse, "commands/tcpdump.txt", &dhcp.repeat(4));
        assert_eq!(testing::show(&out, "capture.unanswered"), Some("4".into()));
    }

    #[test]
    fn nonsense() {
        assert!(
            testing::read(
                parse,
                "commands/tcpdump.txt",
                " > : \n a > b\nlength \n, seq \nIP , seq ,length 9999\n"
            )
            .facts
            .is_empty()
        );
    }
}
