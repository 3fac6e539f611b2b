//! Overcommit over several layers: a vCPU of L2 waits for a vCPU of L1, which waits for a CPU of L0.

use super::cpu::number;
use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Layer, Stack, Value};

/// Overcommit over several layers.
pub const ANALYZER: Analyzer = Analyzer { name: "cpu_stack", facts: FACTS, run: Run::Stack(run) };

const FACTS: &[FactDef] = &[FactDef::new(
    "guests.stacked_overcommit",
    Kind::Int,
    "vCPUs of this layer's guests for 100 CPUs of L0, where every layer below is overcommitted by what is known of it",
    "virsh list; nproc   # on this layer and those below",
)];

/// Only where a layer has one host: with several nobody can tell which of them carries which.
fn run(stack: &Stack) -> Vec<(usize, Fact)> {
    let only = |layer: Layer| -> Option<&Host> {
        let mut hosts = stack.hosts.iter().filter(|h| h.layer == layer);
        hosts.next().filter(|_| hosts.next().is_none())
    };
    let own = |host: &Host| number(host.facts.first("guests.overcommit")?);
    let with_place = |(index, host): (usize, &Host)| {
        let fact = host.facts.first("guests.overcommit")?;
        let below = own(only(host.layer.below()?)?)?;
        // A layer with room to spare gives its guests whole CPUs.
        let stacked = own(host)?.checked_mul(below.max(100))? / 100;
        let fact = derived("guests.stacked_overcommit", Value::Int(stacked), &fact.origin);
        Some((index, fact))
    };
    stack.hosts.iter().enumerate().filter_map(with_place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::testing::host;

    fn layer(layer: Layer, overcommit: i64) -> Host {
        let mut host = host(&[("guests.overcommit", "", Value::Int(overcommit))]);
        host.layer = layer;
        host
    }

    #[test]
    fn waiting_multiplies() {
        let of = |l0, l1| {
            let stack = Stack {
                hosts: vec![layer(Layer::L0, l0), layer(Layer::L1, l1)],
                ..Stack::default()
            };
            run(&stack).into_iter().map(|(i, f)| (i, f.value)).collect::<Vec<_>>()
        };
        assert_eq!(of(375, 33), [(1, Value::Int(123))]);
        assert_eq!(of(50, 150), [(1, Value::Int(150))]);
    }

    #[test]
    fn several_hosts_of_a_layer_cannot_be_told_apart() {
        let hosts = vec![layer(Layer::L0, 375), layer(Layer::L0, 100), layer(Layer::L1, 33)];
        assert!(run(&Stack { hosts, ..Stack::default() }).is_empty());
    }
}
