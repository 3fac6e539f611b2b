//! Layers: which host is L0, L1, L2, and which layers must exist though nobody collected them.

use crate::model::{Host, Layer, Stack, Value};

/// Orders hosts into a stack. A layer that the user named wins over what is detected; a guest has
/// a host, so the layers below the lowest one are added as hosts of which nothing is known.
pub fn stack(mut hosts: Vec<Host>, given: &[Option<Layer>]) -> Stack {
    for (index, host) in hosts.iter_mut().enumerate() {
        host.layer = given.get(index).copied().flatten().unwrap_or_else(|| detect(host));
    }
    raise(&mut hosts, given);
    add_uncollected(&mut hosts);
    hosts.sort_by(|a, b| (a.layer, &a.source).cmp(&(b.layer, &b.source)));
    name(&mut hosts);
    Stack { hosts }
}

/// A guest is L1 until something shows that its host is a guest too.
fn detect(host: &Host) -> Layer {
    match host.facts.bool("platform.is_guest") {
        Some(true) => Layer::L1,
        Some(false) => Layer::L0,
        None => Layer::Unknown,
    }
}

/// A guest whose UUID, or name, is that of a domain on another guest is L2.
fn raise(hosts: &mut [Host], given: &[Option<Layer>]) {
    let guests: Vec<usize> = (0..hosts.len())
        .filter(|i| hosts[*i].layer == Layer::L1 && given.get(*i).copied().flatten().is_none())
        .collect();
    for &guest in &guests {
        let carried = (0..hosts.len()).any(|other| {
            other != guest
                && hosts[other].layer == Layer::L1
                && carries(&hosts[other], &hosts[guest])
        });
        if carried {
            hosts[guest].layer = Layer::L2;
        }
    }
}

fn carries(host: &Host, guest: &Host) -> bool {
    let uuid = guest.facts.text("dmi.product_uuid").map(str::to_ascii_lowercase);
    let by_uuid = uuid.is_some_and(|uuid| {
        host.facts.all("domain.uuid").iter().any(|f| f.value == Value::text(uuid.as_str()))
    });
    let name = guest.name().split('.').next().unwrap_or("");
    by_uuid || (!name.is_empty() && host.facts.of("domain.type", name).is_some())
}

fn add_uncollected(hosts: &mut Vec<Host>) {
    let Some(lowest) = hosts.iter().map(|h| h.layer).filter(|l| *l <= Layer::L2).min() else {
        return;
    };
    let mut layer = lowest;
    while let Some(below) = layer.below() {
        hosts.push(Host::new("", below, ""));
        layer = below;
    }
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

    fn host(
        source: &str,
        guest: Option<bool>,
        facts: &[(&'static str, Option<&str>, &str)],
    ) -> Host {
        let mut host = Host::new("", Layer::Unknown, source);
        if let Some(guest) = guest {
            let fact = Fact {
                name: "platform.is_guest",
                instance: None,
                value: Value::Bool(guest),
                origin: Origin::default(),
            };
            host.facts.add(fact);
        }
        for (name, instance, value) in facts {
            let instance = instance.map(str::to_owned);
            host.facts.add(Fact {
                name,
                instance,
                value: Value::text(*value),
                origin: Origin::default(),
            });
        }
        host
    }

    fn layers(stack: &Stack) -> Vec<(String, Layer, bool)> {
        stack.hosts.iter().map(|h| (h.source.clone(), h.layer, h.collected())).collect()
    }

    #[test]
    fn a_guest_alone_has_a_host_that_was_not_collected() {
        let stack = stack(vec![host("a", Some(true), &[])], &[None]);
        assert_eq!(
            layers(&stack),
            [(String::new(), Layer::L0, false), ("a".into(), Layer::L1, true)]
        );
    }

    #[test]
    fn a_guest_of_a_guest_is_found_by_uuid() {
        let uuid = "26c920bd-1da2-42f2-99e9-8d59ba29de54";
        let l1 = host("l1", Some(true), &[("domain.uuid", Some("vm"), uuid)]);
        let l2 = host("l2", Some(true), &[("dmi.product_uuid", None, &uuid.to_uppercase())]);
        let l0 = host("l0", Some(false), &[]);
        let stack = stack(vec![l2, l1, l0], &[None, None, None]);
        let found: Vec<_> = layers(&stack).into_iter().map(|(s, l, _)| (s, l)).collect();
        assert_eq!(
            found,
            [("l0".into(), Layer::L0), ("l1".into(), Layer::L1), ("l2".into(), Layer::L2)]
        );
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
}
