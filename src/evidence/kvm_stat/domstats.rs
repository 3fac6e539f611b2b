//! `virsh domstats`: groups of `key=value` under `Domain: 'NAME'` (virsh(1), libvirt-domain.h).
//!
//! `vcpu.N.time` and `vcpu.N.delay` are nanoseconds; since libvirt 8.10 QEMU's statistics follow as
//! `vcpu.N.exits.sum` and so on, counters since the VM's start. They are summed over vCPUs here.

use std::collections::BTreeMap;

use crate::model::{Origin, Out, Piece, Value};
use crate::parse::lines;

/// One domain's answers.
struct Domain<'a> {
    name: &'a str,
    sums: BTreeMap<&'a str, (i64, Origin)>,
}

pub(super) fn parse(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut domain: Option<Domain<'_>> = None;
    let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    for (line, row) in lines(text).filter(|(line, _)| piece.whole || *line < last) {
        if let Some(name) = row.trim().strip_prefix("Domain:") {
            close(
                domain.replace(Domain {
                    name: name.trim().trim_matches('\''),
                    sums: BTreeMap::new(),
                }),
                out,
            );
            continue;
        }
        let (Some(domain), Some((key, value))) = (&mut domain, row.trim().split_once('=')) else {
            continue;
        };
        add(domain, key, value, &Origin::new(piece.path, Some(line), row), out);
    }
    if domain.is_none() && !text.trim().is_empty() {
        out.problem(piece.path, None, "not an answer of virsh domstats");
    }
    close(domain, out);
}

fn add<'a>(domain: &mut Domain<'a>, key: &'a str, value: &str, origin: &Origin, out: &mut Out) {
    let Ok(number) = value.trim().parse::<i64>() else { return };
    match key {
        "state.state" => {
            if let Some(state) = state(number) {
                out.fact_of("domstats.state", domain.name, Value::text(state), origin.clone());
            }
        }
        "vcpu.current" => {
            out.fact_of("domstats.vcpus", domain.name, Value::Int(number), origin.clone());
        }
        _ => {
            let Some((_, rest)) = key.strip_prefix("vcpu.").and_then(|r| r.split_once('.')) else {
                return;
            };
            let name = rest.strip_suffix(".sum").unwrap_or(rest);
            let counts = rest.ends_with(".sum") || matches!(name, "time" | "delay");
            if counts {
                let sum = domain.sums.entry(name).or_insert((0, origin.clone()));
                sum.0 = sum.0.saturating_add(number);
            }
        }
    }
}

/// virDomainState.
fn state(number: i64) -> Option<&'static str> {
    let names = [
        "no state",
        "running",
        "blocked",
        "paused",
        "shutdown",
        "shutoff",
        "crashed",
        "pmsuspended",
    ];
    names.get(usize::try_from(number).ok()?).copied()
}

fn close(domain: Option<Domain<'_>>, out: &mut Out) {
    const NS_PER_MS: i64 = 1_000_000;
    let Some(domain) = domain else { return };
    for (name, (sum, origin)) in domain.sums {
        match name {
            "time" => {
                out.fact_of("domstats.time_ms", domain.name, Value::Int(sum / NS_PER_MS), origin);
            }
            "delay" => {
                out.fact_of("domstats.delay_ms", domain.name, Value::Int(sum / NS_PER_MS), origin);
            }
            _ => {
                let instance = format!("{}/{name}", domain.name);
                out.fact_of("kvmcount.total", &instance, Value::Int(sum), origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing;

    #[test]
    fn vcpus_are_summed_up() {
        let text = "Domain: 'a'\n  state.state=1\n  vcpu.current=2\n  vcpu.0.state=1\n  \
            vcpu.0.time=5000000\n  vcpu.0.delay=2000000\n  vcpu.1.time=7000000\n  \
            vcpu.1.delay=1000000\n  vcpu.0.exits.sum=100\n  vcpu.1.exits.sum=50\n  \
            vcpu.0.guest_mode.cur=0\n\nDomain: 'b'\n  state.state=5\n";
        let out = testing::read(parse, "commands/virsh-domstats.txt", text);
        let mut shown: Vec<String> = out
            .facts
            .iter()
            .map(|f| format!("{}[{}]={}", f.name, f.instance.as_deref().unwrap_or(""), f.value))
            .collect();
        shown.sort();
        let expected = [
            "domstats.delay_ms[a]=3",
            "domstats.state[a]=running",
            "domstats.state[b]=shutoff",
            "domstats.time_ms[a]=12",
            "domstats.vcpus[a]=2",
            "kvmcount.total[a/exits]=150",
        ];
        assert_eq!(shown, expected);
        let out = testing::read(parse, "commands/virsh-domstats.txt", "error: no connection\n");
        assert_eq!((out.facts.len(), out.problems.len()), (0, 1));
    }
}
