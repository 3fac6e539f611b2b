//! One QEMU command line: which guest it is of, and what its options say of the accelerator, the
//! machine, the CPU and the size.

use super::{Program, arch, program, searches};
use crate::model::{Origin, Out, Value};

/// A QEMU command line.
pub(super) struct Command<'a> {
    pub(super) binary: &'a str,
    pub(super) arguments: &'a [String],
    /// Name of the guest.
    pub(super) guest: String,
}

impl<'a> Command<'a> {
    /// The command among words that an environment or `sudo` may precede; `None` where it is not
    /// QEMU. `fallback` names a guest without `-name`.
    pub(super) fn of(words: &'a [String], fallback: &str) -> Option<Self> {
        let at = words
            .iter()
            .take(64)
            .position(|w| program(w) == Some(Program::Qemu) && !w.contains('=') || w == "kvm")?;
        let arguments = words.get(at + 1..)?;
        if searches(words[..at].iter().map(String::as_str))
            || !arguments.iter().any(|a| a.starts_with('-'))
        {
            return None;
        }
        let mut command = Self { binary: &words[at], arguments, guest: String::new() };
        let name = command.option("-name").map(|n| {
            let first = n.split(',').next().unwrap_or(n);
            let guest = n.split(',').find_map(|p| p.strip_prefix("guest="));
            guest.unwrap_or_else(|| first.trim_start_matches("guest=")).to_owned()
        });
        let stem = fallback.trim_end_matches(".txt");
        command.guest = name.filter(|n| !n.is_empty()).unwrap_or_else(|| stem.to_owned());
        Some(command)
    }

    /// Arguments of an option, in order; QEMU takes `--name` for `-name`.
    pub(super) fn options(&self, option: &str) -> impl Iterator<Item = &'a str> {
        self.arguments
            .windows(2)
            .filter(move |pair| pair[0] == option || pair[0].strip_prefix('-') == Some(option))
            .map(|pair| pair[1].as_str())
    }

    pub(super) fn option(&self, option: &str) -> Option<&'a str> {
        self.options(option).last()
    }

    pub(super) fn facts(&self, origin: &Origin, running: bool, out: &mut Out) {
        let mut add = |name, value| out.fact_of(name, &self.guest, value, origin.clone());
        add("qemu.binary", Value::text(self.binary));
        let name = self.binary.rsplit('/').next().unwrap_or(self.binary);
        if let Some(arch) = arch(name) {
            add("qemu.emulator_arch", Value::text(arch));
        }
        if let Some((accel, fallback)) = self.accel() {
            add("qemu.accel", Value::text(accel));
            add("qemu.accel_fallback", Value::Bool(fallback));
        }
        if let Some(cpu) = self.option("-cpu") {
            add("qemu.cpu", Value::text(cpu));
        }
        if let Some(machine) = self.machine() {
            add("qemu.machine", Value::text(machine));
        }
        if let Some(mib) = self.option("-m").and_then(memory) {
            add("qemu.memory_mib", Value::Int(mib));
        }
        if let Some(vcpus) = self.option("-smp").and_then(smp) {
            add("qemu.vcpus", Value::Int(vcpus));
        }
        if let Some(uuid) = self.uuid() {
            add("qemu.uuid", Value::text(uuid));
        }
        if let Some(macs) = Some(self.macs()).filter(|macs| !macs.is_empty()) {
            add("qemu.macs", Value::Words(macs));
        }
        if running {
            add("qemu.running", Value::Bool(true));
        }
        self.backing(origin, out);
        self.display(origin, out);
        super::super::hostdev::arguments(&self.guest, self.arguments, origin, out);
    }

    fn machines(&self) -> impl Iterator<Item = &'a str> {
        self.options("-machine").chain(self.options("-M"))
    }

    fn machine(&self) -> Option<&'a str> {
        self.machines()
            .filter_map(|m| {
                let first = m.split(',').next()?;
                let named = m.split(',').find_map(|p| p.strip_prefix("type="));
                named.or_else(|| (!first.contains('=')).then_some(first))
            })
            .last()
            .filter(|m| !m.is_empty())
    }

    /// The first accelerator, and whether another is named after it.
    fn accel(&self) -> Option<(&'a str, bool)> {
        let mut listed: Vec<&'a str> = self.options("-accel").collect();
        if listed.is_empty() {
            let of_machine = self.machines().flat_map(|m| m.split(','));
            let list = of_machine.filter_map(|p| p.strip_prefix("accel=")).last();
            listed.extend(list.into_iter().flat_map(|l| l.split(':')));
        }
        if listed.is_empty() {
            let flag = |f: &str| self.arguments.iter().any(|a| a.trim_start_matches('-') == f);
            if flag("enable-kvm") {
                listed.push("kvm");
            } else if flag("no-kvm") {
                listed.push("tcg");
            }
        }
        let Some(first) = listed.first() else {
            let upstream = self.binary.rsplit('/').next().is_some_and(|n| arch(n).is_some());
            // In `ps -o comm` and in cut lines the options are missing, not absent.
            return (upstream && self.arguments.len() > 3).then_some(("tcg", false));
        };
        let name = first.split(',').next().unwrap_or(first);
        Some((name.trim_start_matches("accel="), listed.len() > 1))
    }

    /// `-uuid`, or Proxmox VE's `-smbios type=1,uuid=...`; what is given to `-smbios` wins in QEMU.
    fn uuid(&self) -> Option<&'a str> {
        let tables = self.options("-smbios").filter(|s| s.split(',').any(|p| p == "type=1"));
        let of_table = tables.flat_map(|s| s.split(',')).filter_map(|p| p.strip_prefix("uuid="));
        of_table.last().or_else(|| self.option("-uuid"))
    }

    /// As `mac=` or `macaddr=` of a card, or in libvirt's JSON. Without any, QEMU gives the same
    /// address to the first card of every guest, which tells no guest from another.
    fn macs(&self) -> std::collections::BTreeSet<String> {
        let cards = ["-device", "-nic", "-net"].into_iter().flat_map(|o| self.options(o));
        let keys = cards.flat_map(|c| c.split([',', '{', '}'])).filter_map(|part| {
            let (key, value) = part.split_once(['=', ':'])?;
            let known = matches!(key.trim_matches('"'), "mac" | "macaddr");
            known.then(|| value.trim_matches('"').replace('-', ":").to_ascii_lowercase())
        });
        keys.filter(|mac| mac.split(':').count() == 6).collect()
    }
}

/// `-m`: `4096`, `4G`, `size=4194304k,slots=2`; MiB where no unit is given.
fn memory(argument: &str) -> Option<i64> {
    let size = argument.split(',').find_map(|p| p.strip_prefix("size="));
    let size = size.or_else(|| argument.split(',').next())?;
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: i64 = digits.parse().ok()?;
    match size[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "m" => Some(number),
        "b" => Some(number >> 20),
        "k" => Some(number >> 10),
        "g" => number.checked_mul(1 << 10),
        "t" => number.checked_mul(1 << 20),
        _ => None,
    }
}

/// `-smp`: `4`, `cpus=4,maxcpus=8`, or only a topology, of which QEMU takes the product
/// (hw/core/machine-smp.c). Without any it takes `maxcpus`.
pub(super) fn smp(argument: &str) -> Option<i64> {
    const LEVELS: [&str; 8] =
        ["drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads"];
    let value = |key: &str| {
        let mut parts = argument.split(',');
        parts.find_map(|p| p.strip_prefix(key)?.strip_prefix('=')?.parse::<i64>().ok())
    };
    let plain = argument.split(',').next().and_then(|first| first.parse().ok());
    let product = || {
        let levels: Vec<i64> = LEVELS.iter().filter_map(|level| value(level)).collect();
        let product = levels.iter().try_fold(1_i64, |all, n| all.checked_mul(*n))?;
        (!levels.is_empty()).then_some(product)
    };
    plain.or_else(|| value("cpus")).or_else(product).or_else(|| value("maxcpus"))
}
