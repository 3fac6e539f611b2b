//! CPU features across layers: what the host has, and what its guest was shown.

use std::collections::BTreeSet;

use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Stack, Value};

/// CPU features across layers.
pub const ANALYZER: Analyzer = Analyzer { name: "features", facts: FACTS, run: Run::Stack(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "below.lost_flags",
        Kind::Words,
        "CPU flags that the host of this guest has and the guest does not see",
        "grep -m1 flags /proc/cpuinfo",
    ),
    FactDef::new(
        "below.extra_flags",
        Kind::Words,
        "CPU flags that this guest sees and its host does not have, beyond those a hypervisor adds",
        "grep -m1 flags /proc/cpuinfo",
    ),
    FactDef::new(
        "below.virt_lost",
        Kind::Bool,
        "whether the host of this guest has VMX or SVM and the guest does not see it",
        "grep -cwE 'vmx|svm' /proc/cpuinfo",
    ),
    FactDef::new(
        "below.same_cpu_vendor",
        Kind::Bool,
        "whether this guest sees a CPU of the vendor that its host has",
        "grep -m1 vendor_id /proc/cpuinfo",
    ),
    FactDef::new(
        "below.kernel_older",
        Kind::Bool,
        "whether the kernel of this guest's host is of an older release than the guest's own",
        "uname -r",
    ),
    FactDef::new(
        "below.has_kvm",
        Kind::Bool,
        "whether KVM is loaded on the host of this guest",
        "lsmod | grep kvm",
    ),
    FactDef::new(
        "guest.emulated",
        Kind::Bool,
        "whether this guest's CPU is emulated by TCG, from what it sees itself",
        "systemd-detect-virt; grep -m1 'model name' /proc/cpuinfo",
    ),
];

/// Flags that only a guest has, or that a hypervisor makes up.
const MADE_UP: &[&str] = &["hypervisor", "tsc_known_freq", "tsc_deadline_timer", "x2apic", "cpuid"];

fn run(stack: &Stack) -> Vec<(usize, Fact)> {
    let mut facts = Vec::new();
    for (index, guest) in stack.hosts.iter().enumerate() {
        let emulated = emulated(guest).map(|fact| (index, fact));
        facts.extend(emulated);
        // With several possible hosts, nothing is compared.
        let [below] = stack.below(index)[..] else { continue };
        let host = &stack.hosts[below];
        let compared = [virt_lost(host, guest), vendor(host, guest), older(host, guest), kvm(host)];
        let compared = compared.into_iter().flatten().chain(flags(host, guest));
        facts.extend(compared.map(|fact| (index, fact)));
    }
    facts
}

fn flags(host: &Host, guest: &Host) -> Vec<Fact> {
    let (Some(has), Some(sees)) = (host.facts.words("cpu.flags"), guest.facts.words("cpu.flags"))
    else {
        return Vec::new();
    };
    let Some(fact) = guest.facts.first("cpu.flags") else { return Vec::new() };
    let lost: BTreeSet<String> = has.difference(sees).cloned().collect();
    let extra: BTreeSet<String> =
        sees.difference(has).filter(|flag| !MADE_UP.contains(&flag.as_str())).cloned().collect();
    vec![
        derived("below.lost_flags", Value::Words(lost), &fact.origin),
        derived("below.extra_flags", Value::Words(extra), &fact.origin),
    ]
}

fn virt_lost(host: &Host, guest: &Host) -> Option<Fact> {
    let sees = guest.facts.first("virt.flag")?;
    let lost = host.facts.bool("virt.flag")? && sees.value == Value::Bool(false);
    Some(derived("below.virt_lost", Value::Bool(lost), &sees.origin))
}

fn vendor(host: &Host, guest: &Host) -> Option<Fact> {
    let sees = guest.facts.first("virt.vendor")?;
    let same = host.facts.first("virt.vendor")?.value == sees.value;
    Some(derived("below.same_cpu_vendor", Value::Bool(same), &sees.origin))
}

/// By major and minor number: stable updates and distributions' patches say nothing about age.
fn older(host: &Host, guest: &Host) -> Option<Fact> {
    let fact = host.facts.first("kernel.version")?;
    let below = host.facts.version("kernel.version")?.series();
    let own = guest.facts.version("kernel.version")?.series();
    Some(derived("below.kernel_older", Value::Bool(below < own), &fact.origin))
}

fn kvm(host: &Host) -> Option<Fact> {
    let fact = host.facts.first("kvm.loaded")?;
    Some(derived("below.has_kvm", fact.value.clone(), &fact.origin))
}

/// TCG shows in the names that QEMU gives its own CPU models, and in systemd-detect-virt, which
/// says `qemu` where no hypervisor signature stands behind QEMU's DMI strings.
fn emulated(guest: &Host) -> Option<Fact> {
    let detected = guest.facts.first("host.detect_virt");
    if let Some(fact) = detected.filter(|f| matches!(f.value.to_string().as_str(), "qemu" | "kvm"))
    {
        let tcg = fact.value == Value::text("qemu");
        return Some(derived("guest.emulated", Value::Bool(tcg), &fact.origin));
    }
    let model = guest.facts.first("cpu.model_name")?;
    let tcg = model.value.to_string().starts_with("QEMU TCG CPU");
    tcg.then(|| derived("guest.emulated", Value::Bool(true), &model.origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Layer, Origin, Version};

    fn host(layer: Layer, flags: &[&str], kernel: &str, detected: &str) -> Host {
        let mut host = Host::new("x", layer, "x");
        let virt = flags.contains(&"vmx");
        for (name, value) in [
            ("cpu.flags", Value::words(flags.iter().copied())),
            ("virt.flag", Value::Bool(virt)),
            ("kernel.version", Value::Version(Version::parse(kernel).unwrap())),
            ("host.detect_virt", Value::text(detected)),
        ] {
            host.facts.add(Fact { name, instance: None, value, origin: Origin::default() });
        }
        host
    }

    fn of(hosts: Vec<Host>, name: &str) -> Option<Value> {
        let stack = Stack { hosts, ..Stack::default() };
        run(&stack).into_iter().find(|(i, f)| *i == 1 && f.name == name).map(|(_, f)| f.value)
    }

    #[test]
    fn what_the_host_has_and_the_guest_does_not_see() {
        let hosts = || {
            vec![
                host(Layer::L0, &["fpu", "vmx", "avx512f"], "5.15", "none"),
                host(Layer::L1, &["fpu", "hypervisor", "sse4a"], "6.8.4", "kvm"),
            ]
        };
        assert_eq!(of(hosts(), "below.lost_flags"), Some(Value::words(["avx512f", "vmx"])));
        assert_eq!(of(hosts(), "below.extra_flags"), Some(Value::words(["sse4a"])));
        assert_eq!(of(hosts(), "below.virt_lost"), Some(Value::Bool(true)));
        assert_eq!(of(hosts(), "below.kernel_older"), Some(Value::Bool(true)));
        assert_eq!(of(hosts(), "guest.emulated"), Some(Value::Bool(false)));
    }

    #[test]
    fn nothing_is_compared_with_a_host_that_may_be_another_ones() {
        let l0 = || host(Layer::L0, &["vmx"], "5.15", "none");
        let l1 = host(Layer::L1, &["fpu"], "5.15", "qemu");
        let hosts = vec![l0(), l1, l0()];
        assert_eq!(of(hosts.clone(), "below.virt_lost"), None);
        assert_eq!(of(hosts, "guest.emulated"), Some(Value::Bool(true)));
    }
}
