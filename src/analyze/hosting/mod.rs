//! What a machine does for others: which guests it runs, which of them may be hypervisors, and what
//! could be better about how they are run.
//!
//! A guest counts as running where a process, libvirt or Proxmox VE says so; those that software
//! alone emulates are left out. It may be a hypervisor
//! where its CPU definition shows it VMX or SVM. Nesting is in play where such a guest runs on a host
//! that lets guests nest, where a guest runs guests of its own, and where the layer above is known.
//! Nothing is said of a machine on which no running guest was seen.

use std::collections::BTreeMap;

use super::{Analyzer, Run, cpu, derived};
use crate::model::{Fact, FactDef, Host, Kind, Origin, Stack, Value};

#[cfg(test)]
mod tests;

/// What a machine does for others.
pub const ANALYZER: Analyzer = Analyzer { name: "hosting", facts: FACTS, run: Run::Stack(run) };

const LIST: &str = "virsh list; ps -eo user:32,args | grep qemu";

const FACTS: &[FactDef] = &[
    FactDef::new(
        "hosting.guests",
        Kind::Words,
        "guests that run on this machine, without those that are emulated by software alone",
        LIST,
    ),
    FactDef::new(
        "hosting.hypervisors",
        Kind::Words,
        "running guests that are shown VMX or SVM, so that they may be hypervisors",
        "virsh dumpxml NAME | grep -A5 '<cpu'",
    ),
    FactDef::new(
        "hosting.nested",
        Kind::Bool,
        "whether nesting is in play: a guest that may be a hypervisor runs here, or this guest runs \
         guests",
        LIST,
    ),
    FactDef::new(
        "hosting.ordinary_pages",
        Kind::Words,
        "running guests whose RAM is known not to lie in huge pages",
        "virsh dumpxml NAME | grep -A3 memoryBacking",
    ),
    FactDef::new(
        "hosting.large_ordinary_pages",
        Kind::Words,
        "those of them with 8 GiB and more",
        "virsh dumpxml NAME | grep -A3 memoryBacking",
    ),
    FactDef::new(
        "hosting.unpinned",
        Kind::Words,
        "running guests with four vCPUs and more that may be hypervisors, none of whose vCPUs is pinned",
        "virsh vcpupin NAME",
    ),
    FactDef::new(
        "hosting.desktop_devices",
        Kind::Words,
        "running guests with an emulated graphics card and a USB input device",
        "virsh dumpxml NAME | grep -E '<video|<input|<controller'",
    ),
    FactDef::new(
        "hosting.as_root",
        Kind::Words,
        "running guests of libvirt whose QEMU runs as root",
        "ps -eo user:32,args | grep qemu",
    ),
    FactDef::new(
        "hosting.unfiltered",
        Kind::Words,
        "running guests that may be hypervisors and share a bridge or network, none with a network filter or an isolated port",
        "virsh dumpxml NAME | grep -A8 '<interface'",
    ),
];

/// RAM from which on a guest is large, KiB: 8 GiB.
const LARGE_KIB: i64 = 8 << 20;

/// vCPUs from which on it is worth to pin them.
const MANY_VCPUS: i64 = 4;

fn run(stack: &Stack) -> Vec<(usize, Fact)> {
    let mut facts = Vec::new();
    for (index, host) in stack.hosts.iter().enumerate().filter(|(_, h)| h.collected()) {
        let mut guests = cpu::running(host);
        guests.retain(|guest, _| !is_emulated(host, guest));
        let Some(origin) = guests.values().next().copied() else { continue };
        let hosting = Hosting { host, guests: &guests, origin };
        let above = stack.above(index).iter().any(|i| stack.hosts[*i].collected());
        facts.extend(hosting.facts(above).into_iter().map(|fact| (index, fact)));
    }
    facts
}

/// Whether a guest is run by software alone, which no layer below has to help with.
fn is_emulated(host: &Host, guest: &str) -> bool {
    let is = |name, value: &Value| host.facts.of(name, guest).is_some_and(|f| f.value == *value);
    match host.facts.of("qemu.accel", guest) {
        Some(accel) => accel.value == Value::text("tcg"),
        None => is("domain.asks_tcg", &Value::Bool(true)),
    }
}

/// A machine with running guests.
struct Hosting<'h> {
    host: &'h Host,
    guests: &'h BTreeMap<&'h str, &'h Origin>,
    /// Where the first of them is shown.
    origin: &'h Origin,
}

impl<'h> Hosting<'h> {
    fn facts(&self, above: bool) -> Vec<Fact> {
        let names: Vec<&str> = self.guests.keys().copied().collect();
        let mut facts = vec![derived("hosting.guests", Value::words(names), self.origin)];
        let hypervisors = self.those(|g| self.may_nest(g));
        let nested = self.host.facts.bool("kvm.nested") == Some(true) && !hypervisors.is_empty()
            || self.host.facts.bool("platform.is_guest") == Some(true)
            || above;
        facts.push(derived("hosting.nested", Value::Bool(nested), self.origin));
        let ordinary = self.those(|g| {
            self.bool(&["qemu.hugepages", "domain.hugepages", "guest.hugepages"], g)
                .filter(|(huge, _)| !huge)
                .map(|(_, origin)| origin)
        });
        let large = |g: &str| self.ram_kib(g).is_some_and(|kib| kib >= LARGE_KIB);
        let large: Vec<_> = ordinary.iter().copied().filter(|(g, _)| large(g)).collect();
        let unpinned = self.those(|g| self.unpinned(g, &hypervisors));
        let desktop = self.those(|g| self.desktop(g));
        let root = self.those(|g| self.as_root(g));
        let unfiltered = self.unfiltered(&hypervisors);
        for (name, guests) in [
            ("hosting.hypervisors", hypervisors),
            ("hosting.ordinary_pages", ordinary),
            ("hosting.large_ordinary_pages", large),
            ("hosting.unpinned", unpinned),
            ("hosting.desktop_devices", desktop),
            ("hosting.as_root", root),
            ("hosting.unfiltered", unfiltered),
        ] {
            let first = guests.first().map(|(_, origin)| *origin);
            if let Some(origin) = first {
                let names = guests.iter().map(|(name, _)| *name);
                facts.push(derived(name, Value::words(names), origin));
            }
        }
        facts
    }

    /// Running guests of which something is shown, with the place that shows it.
    fn those(&self, show: impl Fn(&'h str) -> Option<&'h Origin>) -> Vec<(&'h str, &'h Origin)> {
        self.guests.keys().filter_map(|guest| Some((*guest, show(guest)?))).collect()
    }

    /// The first of several facts that is known of a guest. Proxmox VE's have its number.
    fn fact(&self, names: &[&str], guest: &str) -> Option<&'h Fact> {
        let by_name = self.host.facts.all("pve.name").iter();
        let id = by_name
            .filter(|f| f.value == Value::text(guest))
            .find_map(|f| f.instance.as_deref())
            .unwrap_or(guest);
        let of = |name: &&str| self.host.facts.of(name, guest).or(self.host.facts.of(name, id));
        names.iter().find_map(of)
    }

    fn bool(&self, names: &[&str], guest: &str) -> Option<(bool, &'h Origin)> {
        let fact = self.fact(names, guest)?;
        match fact.value {
            Value::Bool(value) => Some((value, &fact.origin)),
            _ => None,
        }
    }

    fn ram_kib(&self, guest: &str) -> Option<i64> {
        let names = [("qemu.memory_mib", 1024), ("domain.memory_kib", 1), ("guest.memory_kib", 1)];
        names.iter().find_map(|(name, factor)| {
            let fact = self.fact(&[name], guest)?;
            cpu::number(fact)?.checked_mul(*factor)
        })
    }

    /// Where it stands that a guest is shown VMX or SVM.
    fn may_nest(&self, guest: &str) -> Option<&'h Origin> {
        if let Some((asks, origin)) = self.bool(&["domain.asks_virt"], guest) {
            return asks.then_some(origin);
        }
        // `-cpu host` shows these functions on x86 only.
        let arch = self.fact(&["qemu.emulator_arch", "domain.arch"], guest).map(|f| &f.value);
        if arch.is_some_and(|a| !["x86_64", "i386", "i686"].map(Value::text).contains(a)) {
            return None;
        }
        let fact = self.fact(&["qemu.cpu", "pve.cpu"], guest)?;
        let Value::Text(cpu) = &fact.value else { return None };
        let mut parts = cpu.split(',');
        let model = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        let on = |flag: &str| {
            let plus = format!("+{flag}");
            parts.iter().any(|p| *p == plus || p.strip_prefix(flag).is_some_and(|v| v == "=on"))
        };
        let off = |flag: &str| {
            let minus = format!("-{flag}");
            parts.iter().any(|p| *p == minus || p.strip_prefix(flag).is_some_and(|v| v == "=off"))
        };
        let asked = on("vmx") || on("svm");
        let whole = matches!(model, "host" | "max") && !off("vmx") && !off("svm");
        (asked || whole).then_some(&fact.origin)
    }

    /// Pinning is a gain only where every vCPU can have a CPU of its own.
    fn unpinned(&self, guest: &str, hypervisors: &[(&'h str, &'h Origin)]) -> Option<&'h Origin> {
        let free = self.host.facts.first("guests.unpinned")?;
        let Value::Words(free) = &free.value else { return None };
        let fits = self.host.facts.int("guests.overcommit").is_some_and(|p| p <= 100);
        let many = cpu::vcpus(self.host, guest).is_some_and(|n| n >= MANY_VCPUS);
        let found = hypervisors.iter().find(|(name, _)| *name == guest && free.contains(*name));
        let pins = self.fact(&["domain.vcpus_pinned"], guest)?;
        found.filter(|_| fits && many).map(|_| &pins.origin)
    }

    /// An emulated card (paravirtual ones cost little) together with an input device on USB, which
    /// QEMU asks for news all the time.
    fn desktop(&self, guest: &str) -> Option<&'h Origin> {
        let has = |names: &[&str], fits: &dyn Fn(&str) -> bool| {
            let fact = self.fact(names, guest)?;
            match &fact.value {
                Value::Words(words) => words.iter().any(|w| fits(w)).then_some(&fact.origin),
                _ => None,
            }
        };
        let card = |w: &str| {
            let light = ["none", "virtio", "ramfb", "bochs-display", "egl-headless"];
            !light.iter().any(|l| w.starts_with(l))
        };
        let input = |w: &str| {
            ["tablet", "mouse", "kbd", "keyboard"]
                .iter()
                .any(|d| w.trim_start_matches("usb-") == *d)
        };
        let video = has(&["qemu.video", "domain.video"], &card)?;
        has(&["qemu.usb", "domain.usb_inputs"], &input).map(|_| video)
    }

    /// Proxmox VE runs all guests as root, by design: only guests of libvirt count.
    fn as_root(&self, guest: &str) -> Option<&'h Origin> {
        let of_libvirt = ["domain.uuid", "domain.type", "domain.running"];
        self.fact(&of_libvirt, guest)?;
        let user = self.fact(&["qemu.user"], guest)?;
        (user.value == Value::text("root")).then_some(&user.origin)
    }

    /// Guests that share a bridge or network with another of them, while none has a filter.
    fn unfiltered(&self, hypervisors: &[(&'h str, &'h Origin)]) -> Vec<(&'h str, &'h Origin)> {
        let facts = &self.host.facts;
        let text = |name: &str, mac: &str| match facts.of(name, mac).map(|f| &f.value) {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let mut shared: BTreeMap<&str, BTreeMap<&'h str, &'h Origin>> = BTreeMap::new();
        for nic in facts.all("nic.domain") {
            let (Some(mac), Value::Text(guest)) = (nic.instance.as_deref(), &nic.value) else {
                continue;
            };
            let Some((guest, _)) = hypervisors.iter().find(|(name, _)| name == guest) else {
                continue;
            };
            // What libvirt's definition does not say, a command line does not either.
            let defined = nic.origin.source.contains("xml");
            if let Some(source) = text("nic.source", mac).filter(|_| defined)
                && text("nic.filter", mac).is_none()
                && facts.of("nic.isolated", mac).is_none_or(|f| f.value != Value::Bool(true))
            {
                shared.entry(source).or_default().insert(*guest, &nic.origin);
            }
        }
        let crowded = shared.into_values().filter(|guests| guests.len() > 1);
        let guests: BTreeMap<&str, &Origin> = crowded.flatten().collect();
        guests.into_iter().collect()
    }
}
