//! What `ping` measured: which sizes pass with the don't-fragment bit, which do not.
//!
//! Sizes are those of the whole IP packet, as ping prints them in brackets: `ping -M do -s 1422`
//! sends 1422 bytes of data, 1450 of packet. Read is iputils' ping; busybox prints the data only.
//! Whether DF was set is told by the command line, where a person kept it, or by the answers.

use super::{Line, believed};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Measurements with `ping` and `tracepath`.
pub const SLICE: Slice = Slice { name: "network/ping", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::output("ping*"),
    Want::output("tracepath*"),
    Want::output("stderr*"),
    Want::output("*-stderr"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "ping.passed",
        Kind::Int,
        "target",
        "Largest IP packet that was answered, bytes",
        "ping -M do -s SIZE TARGET",
    ),
    FactDef::per(
        "ping.lost",
        Kind::Int,
        "target",
        "Smallest IP packet that nobody answered or complained about, bytes",
        "ping -M do -s SIZE TARGET",
    ),
    FactDef::per(
        "ping.reported_mtu",
        Kind::Int,
        "target",
        "MTU that a router or the own kernel named, bytes",
        "ping -M do -s SIZE TARGET",
    ),
    FactDef::per(
        "tracepath.pmtu",
        Kind::Int,
        "target",
        "Path MTU that tracepath found, bytes",
        "tracepath TARGET",
    ),
];

/// The ping that is being read.
#[derive(Default)]
struct Run {
    target: String,
    size: i64,
    complained: bool,
}

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut run = Run::default();
    let mut best: Vec<(String, i64, bool)> = Vec::new();
    for (number, text) in believed(&text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        if let Some(next) = opens(text) {
            run = next;
        } else if run.target.is_empty() {
            tracepath(line);
        } else if let Some(mtu) = reported(text) {
            run.complained = true;
            line.of("ping.reported_mtu", &run.target, Value::Int(mtu));
        } else if text.contains("nreachable") || text.contains("too long") {
            run.complained = true;
        } else if let Some(received) = received(text) {
            let lost = received == 0;
            let silent = lost && !run.complained;
            let seen = best.iter().any(|(t, s, l)| {
                *t == run.target && *l == lost && if lost { *s <= run.size } else { *s >= run.size }
            });
            if (silent || !lost) && !seen {
                best.retain(|(t, _, l)| *t != run.target || *l != lost);
                best.push((run.target.clone(), run.size, lost));
                let name = if lost { "ping.lost" } else { "ping.passed" };
                line.out.facts.retain(|f| {
                    f.name != name || f.instance.as_deref() != Some(run.target.as_str())
                });
                line.of(name, &run.target, Value::Int(run.size));
            }
        }
    }
}

/// `PING 192.0.2.7 (192.0.2.7) 1422(1450) bytes of data.`
fn opens(text: &str) -> Option<Run> {
    let rest = text.trim().strip_prefix("PING ")?;
    let target = rest.split_whitespace().next()?.to_owned();
    let sizes = rest.split_whitespace().find(|w| {
        w.ends_with(')') && w.starts_with(|c: char| c.is_ascii_digit()) && w.contains('(')
    })?;
    let size = sizes.split('(').nth(1)?.trim_end_matches(')').parse().ok()?;
    Some(Run { target, size, complained: false })
}

/// `Frag needed and DF set (mtu = 1400)`, `local error: message too long, mtu=1450`,
/// `Packet too big: mtu=1400`.
fn reported(text: &str) -> Option<i64> {
    let at = text.find("mtu")?;
    let about = ["Frag needed", "too long", "too big"].iter().any(|w| text.contains(w));
    let digits = text.get(at + 3..)?.trim_start_matches([' ', '=', ':']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).filter(|_| about)?.parse().ok()
}

/// Answers of `4 packets transmitted, 0 received, 100% packet loss`.
fn received(text: &str) -> Option<i64> {
    let rest = text.split_once("packets transmitted, ")?.1;
    rest.split_whitespace().next()?.parse().ok()
}

/// ` 1:  gateway  0.3ms pmtu 1450`, `     Resume: pmtu 1400 hops 3 back 3`.
fn tracepath(line: &mut Line<'_, '_, '_>) {
    let Some((_, rest)) = line.text.split_once("Resume: pmtu ") else { return };
    if let Some(pmtu) = rest.split_whitespace().next().and_then(|w| w.parse().ok()) {
        line.fact("tracepath.pmtu", Value::Int(pmtu));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn the_edge_between_what_passes_and_what_is_lost() {
        let text = "PING 192.0.2.7 (192.0.2.7) 1272(1300) bytes of data.\n1280 bytes from 192.0.2.7: icmp_seq=1 ttl=64 time=0.5 ms\n\n--- 192.0.2.7 ping statistics ---\n3 packets transmitted, 3 received, 0% packet loss, time 2ms\nPING 192.0.2.7 (192.0.2.7) 1472(1500) bytes of data.\n\n--- 192.0.2.7 ping statistics ---\n3 packets transmitted, 0 received, 100% packet loss, time 2049ms\nPING 192.0.2.7 (192.0.2.7) 1400(1428) bytes of data.\n\n--- 192.0.2.7 ping statistics ---\n3 packets transmitted, 0 received, 100% packet loss, time 2049ms\n";
        let out = testing::read(parse, "commands/ping.txt", text);
        assert_eq!(testing::show(&out, "ping.passed"), Some("1300".into()));
        assert_eq!(testing::show(&out, "ping.lost"), Some("1428".into()));
    }

    #[test]
    fn a_complaint_is_no_silence() {
        let text = "PING 192.0.2.7 (192.0.2.7) 1472(1500) bytes of data.\nFrom 192.0.2.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)\nping: local error: message too long, mtu=1450\n\n3 packets transmitted, 0 received, +2 errors, 100% packet loss, time 9ms\n";
        let out = testing::read(parse, "commands/ping-l2.txt", text);
        assert_eq!(testing::show(&out, "ping.reported_mtu"), Some("1400".into()));
        assert_eq!(testing::show(&out, "ping.lost"), None);
    }

    #[test]
    fn tracepath_and_nonsense() {
        let out = testing::read(
            parse,
            "commands/tracepath.txt",
            " 1?: [LOCALHOST]  pmtu 1500\n     Resume: pmtu 1400 hops 3 back 3\n",
        );
        assert_eq!(testing::show(&out, "tracepath.pmtu"), Some("1400".into()));
        assert!(
            testing::read(
                parse,
                "commands/ping.txt",
                "PING\nPING x ()\n mtu\n0 packets transmitted, "
            )
            .facts
            .is_empty()
        );
    }
}
