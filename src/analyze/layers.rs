//! Layers: which host runs on which, and which layers must exist though nobody collected them.
//!
//! A guest is recognised on its host by what both of them see: its UUID (DMI against the domain's
//! XML or QEMU's command line), the MAC addresses of its network interfaces, or, where neither can
//! be compared, its name.

use std::collections::BTreeSet;

use crate::model::{Host, Layer, Stack, Value};

/// Orders hosts into a stack. A layer that the user named wins over what is detected; a guest has
/// a host, so the layers below the lowest one are added as hosts of which nothing is known.
pub fn stack(mut hosts: Vec<Host>, given: &[Option<Layer>]) -> Stack {
    let carriers: Vec<Option<usize>> =
        (0..hosts.len()).map(|i| carrier(&hosts, given, i)).collect();
    let layers: Vec<Layer> =
        (0..hosts.len()).map(|i| layer(&hosts, given, &carriers, i, 0)).collect();
    for (host, layer) in hosts.iter_mut().zip(layers) {
        host.layer = layer;
    }
    let mut placed: Vec<(Host, Option<usize>, usize)> =
        hosts.into_iter().zip(carriers).enumerate().map(|(i, (h, c))| (h, c, i)).collect();
    placed.extend(uncollected(&placed).into_iter().map(|h| (h, None, usize::MAX)));
    placed.sort_by(|(a, ..), (b, ..)| (a.layer, &a.source).cmp(&(b.layer, &b.source)));
    let order: Vec<usize> = placed.iter().map(|(_, _, index)| *index).collect();
    let mut hosts: Vec<Host> = placed
        .into_iter()
        .map(|(host, carrier, _)| {
            let place = carrier.and_then(|c| order.iter().position(|p| *p == c));
            Host { carrier: place, ..host }
        })
        .collect();
    name(&mut hosts);
    Stack { hosts, ..Stack::default() }
}

/// The host that a guest runs on, where one shows it most clearly. What the user said is not
/// contradicted: a host that was named does not run on one of its own layer or above it.
fn carrier(hosts: &[Host], given: &[Option<Layer>], guest: usize) -> Option<usize> {
    let said = |index: usize| given.get(index).copied().flatten();
    let possible = |other: usize| match (said(other), said(guest)) {
        (Some(below), Some(above)) => above.below() == Some(below),
        (None, Some(above)) => above != Layer::L0,
        (Some(below), None) => below <= Layer::L1,
        (None, None) => true,
    };
    if hosts[guest].facts.bool("platform.is_guest") == Some(false) {
        return None;
    }
    let others = (0..hosts.len()).filter(|other| *other != guest && possible(*other));
    let known = others.filter_map(|other| Some((likeness(&hosts[other], &hosts[guest])?, other)));
    let (_, best) = known.max_by_key(|(likeness, other)| (*likeness, std::cmp::Reverse(*other)))?;
    Some(best)
}

/// How a guest is recognised, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    Name,
    Mac,
    Uuid,
}

fn likeness(host: &Host, guest: &Host) -> Option<Likeness> {
    let uuids = texts(host, &["domain.uuid", "qemu.uuid"]);
    let own = guest.facts.text("dmi.product_uuid").map(str::to_ascii_lowercase);
    if own.as_ref().is_some_and(|own| uuids.contains(own) || uuids.contains(&swapped(own))) {
        return Some(Likeness::Uuid);
    }
    let macs = texts(host, &["domain.macs", "qemu.macs"]);
    if texts(guest, &["link.mac"]).iter().any(|mac| macs.contains(mac)) {
        return Some(Likeness::Mac);
    }
    let name = guest.name().split('.').next().unwrap_or("");
    let named = !name.is_empty() && host.facts.of("domain.type", name).is_some();
    // A domain of that name with another UUID is another machine.
    let other = host.facts.of("domain.uuid", name).is_some() && own.is_some();
    (named && !other).then_some(Likeness::Name)
}

/// All words of some facts, in lower case.
fn texts(host: &Host, names: &[&str]) -> BTreeSet<String> {
    let facts = names.iter().flat_map(|name| host.facts.all(name));
    facts
        .flat_map(|fact| match &fact.value {
            Value::Words(words) => words.iter().map(|w| w.to_ascii_lowercase()).collect(),
            other => vec![other.to_string().to_ascii_lowercase()],
        })
        .collect()
}

/// A UUID with its first three parts in the other byte order, as SMBIOS before 2.6 stored it and
/// some programs still print it.
fn swapped(uuid: &str) -> String {
    let turned = |part: &str| -> String {
        let bytes: Vec<&str> =
            (0..part.len() / 2).filter_map(|i| part.get(i * 2..i * 2 + 2)).collect();
        bytes.into_iter().rev().collect()
    };
    let parts: Vec<String> = uuid
        .split('-')
        .enumerate()
        .map(|(i, part)| if i < 3 { turned(part) } else { part.to_owned() })
        .collect();
    parts.join("-")
}

/// The layer of a host: as the user named it, one above its carrier, or as far as it tells itself.
/// A guest is L1 until something shows that its host is a guest too.
fn layer(
    hosts: &[Host],
    given: &[Option<Layer>],
    carriers: &[Option<usize>],
    index: usize,
    depth: usize,
) -> Layer {
    if let Some(layer) = given.get(index).copied().flatten() {
        return layer;
    }
    // Two hosts that seem to run on each other: no chain is longer than there are hosts.
    if let Some(carrier) = carriers[index].filter(|_| depth < hosts.len()) {
        return match layer(hosts, given, carriers, carrier, depth + 1) {
            Layer::L0 => Layer::L1,
            Layer::L1 | Layer::L2 => Layer::L2,
            other => other,
        };
    }
    match hosts[index].facts.bool("platform.is_guest") {
        Some(true) => Layer::L1,
        Some(false) => Layer::L0,
        // Whoever runs one of the others is a host; nothing says that it is a guest itself.
        None if carriers.contains(&Some(index)) => Layer::L0,
        None => Layer::Unknown,
    }
}

fn uncollected(hosts: &[(Host, Option<usize>, usize)]) -> Vec<Host> {
    let lowest = hosts.iter().map(|(h, ..)| h.layer).filter(|l| *l <= Layer::L2).min();
    let below = std::iter::successors(lowest.and_then(Layer::below), |layer| layer.below());
    below.map(|layer| Host::new("", layer, "")).collect()
}

/// `l0`, `l1`, ..., and `l1-2` for the second of a layer.
fn name(hosts: &mut [Host]) {
    let mut seen = std::collections::BTreeMap::<Layer, u32>::new();
    for host in hosts {
        let count = seen.entry(host.layer).or_default();
        *count += 1;
        let layer = host.layer.to_string().to_ascii_lowercase();
        let layer = if host.layer == Layer::Unknown { "host".to_owned() } else { layer };
        host.id = if *count == 1 { layer } else { format!("{layer}-{count}") };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fact, Origin};

    const UUID: &str = "26c920bd-1da2-42f2-99e9-8d59ba29de54";

    fn host(
        source: &str,
        guest: Option<bool>,
        facts: &[(&'static str, Option<&str>, &str)],
    ) -> Host {
        let mut host = Host::new("", Layer::Unknown, source);
        let guest = guest.map(|g| ("platform.is_guest", None, Value::Bool(g)));
        let facts = facts.iter().map(|(n, i, v)| (*n, i.map(str::to_owned), Value::text(*v)));
        for (name, instance, value) in facts.chain(guest) {
            host.facts.add(Fact { name, instance, value, origin: Origin::default() });
        }
        host
    }

    /// Source, layer and the source of what it runs on.
    fn joined(stack: &Stack) -> Vec<(&str, Layer, &str)> {
        stack
            .hosts
            .iter()
            .map(|h| {
                let below = h.carrier.map_or("", |c| stack.hosts[c].source.as_str());
                (h.source.as_str(), h.layer, below)
            })
            .collect()
    }

    #[test]
    fn a_guest_alone_has_a_host_that_was_not_collected() {
        let stack = stack(vec![host("a", Some(true), &[])], &[None]);
        assert_eq!(joined(&stack), [("", Layer::L0, ""), ("a", Layer::L1, "")]);
        assert!(!stack.hosts[0].collected());
    }

    #[test]
    fn three_layers_are_joined_by_uuid_in_any_order() {
        let l0 = || host("l0", Some(false), &[("domain.uuid", Some("outer"), &swapped(UUID))]);
        let other = "11111111-2222-3333-4444-555555555555";
        let l1 = || {
            let own = ("dmi.product_uuid", None, UUID);
            host("l1", Some(true), &[own, ("domain.uuid", Some("vm"), other)])
        };
        let l2 = || host("l2", Some(true), &[("dmi.product_uuid", None, &other.to_uppercase())]);
        let wanted = [("l0", Layer::L0, ""), ("l1", Layer::L1, "l0"), ("l2", Layer::L2, "l1")];
        for hosts in [[l2(), l1(), l0()], [l0(), l2(), l1()], [l1(), l0(), l2()]] {
            assert_eq!(joined(&stack(hosts.to_vec(), &[None; 3])), wanted);
        }
    }

    #[test]
    fn each_guest_of_two_hosts_goes_to_its_own() {
        let on = |mac| [("domain.macs", Some("vm"), mac)];
        let with = |mac| [("link.mac", Some("eth0"), mac)];
        let stack = stack(
            vec![
                host("guest-b", Some(true), &with("52:54:00:00:00:0b")),
                host("guest-a", Some(true), &with("52:54:00:00:00:0A")),
                host("host-a", Some(false), &on("52:54:00:00:00:0a")),
                host("host-b", Some(false), &on("52:54:00:00:00:0b")),
            ],
            &[None; 4],
        );
        let above =
            |i| stack.above(i).iter().map(|j| stack.hosts[*j].source.as_str()).collect::<Vec<_>>();
        assert_eq!(above(0), ["guest-a"]);
        assert_eq!(above(1), ["guest-b"]);
        assert_eq!(stack.below(2), [0]);
    }

    #[test]
    fn a_name_joins_only_where_no_uuid_speaks_against_it() {
        let named = [("domain.type", Some("web"), "kvm")];
        let guest = |facts: &[_]| {
            host("guest", Some(true), &[&[("host.name", None, "web.example")], facts].concat())
        };
        let by_name = stack(vec![guest(&[]), host("host", Some(false), &named)], &[None; 2]);
        assert_eq!(by_name.hosts[1].carrier, Some(0));
        let another =
            [named[0], ("domain.uuid", Some("web"), "11111111-2222-3333-4444-555555555555")];
        let own = [("dmi.product_uuid", None, UUID)];
        let apart = stack(vec![guest(&own), host("host", Some(false), &another)], &[None; 2]);
        assert_eq!(apart.hosts[1].carrier, None);
    }

    #[test]
    fn a_named_layer_wins_and_an_unclear_one_stays_unknown() {
        let stack = stack(
            vec![host("a", Some(false), &[]), host("b", None, &[])],
            &[Some(Layer::L1), None],
        );
        assert_eq!(stack.hosts[1].layer, Layer::L1);
        assert_eq!(stack.hosts[2].layer, Layer::Unknown);
        assert!(!stack.hosts[0].collected(), "L1 has an L0");
    }

    #[test]
    fn hosts_that_seem_to_run_on_each_other_are_still_ordered() {
        let each = |own: &str, other: &str, name| {
            host(
                name,
                Some(true),
                &[("dmi.product_uuid", None, own), ("domain.uuid", Some("x"), other)],
            )
        };
        let other = "11111111-2222-3333-4444-555555555555";
        let stack = stack(vec![each(UUID, other, "a"), each(other, UUID, "b")], &[None; 2]);
        assert_eq!(stack.hosts.iter().filter(|h| h.collected()).count(), 2);
    }
}
