//! The state of KVM on a host, from the several places that show it.

use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Value};

/// State of KVM.
pub const ANALYZER: Analyzer = Analyzer { name: "kvm_state", facts: FACTS, run: Run::Host(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "virt.flag",
        Kind::Bool,
        "whether the CPU shows vmx or svm to this machine's operating system",
        "grep -cwE 'vmx|svm' /proc/cpuinfo",
    ),
    FactDef::new("virt.vendor", Kind::Text, "CPU vendor: intel, amd, hygon, arm, ...", "lscpu"),
    FactDef::new(
        "virt.module",
        Kind::Text,
        "the vendor module that fits this CPU: kvm_intel or kvm_amd",
        "lscpu",
    ),
    FactDef::new(
        "kvm.loaded",
        Kind::Bool,
        "whether a vendor module (or another KVM back end) is loaded or built in",
        "lsmod | grep kvm",
    ),
    FactDef::new(
        "kvm.core_only",
        Kind::Bool,
        "kvm is loaded and no vendor module is: the vendor module refused or was never asked",
        "lsmod | grep kvm",
    ),
    FactDef::new(
        "kvm.in_use",
        Kind::Bool,
        "whether KVM runs guests right now (use count, running QEMU with KVM)",
        "lsmod | grep kvm; ps -ef | grep qemu",
    ),
    FactDef::new(
        "kvm.built_in",
        Kind::Text,
        "how the running kernel has KVM: builtin, module, absent",
        "grep KVM /boot/config-$(uname -r)",
    ),
    FactDef::new(
        "vbox.loaded",
        Kind::Bool,
        "whether VirtualBox's kernel module is loaded",
        "lsmod | grep vboxdrv",
    ),
    FactDef::new(
        "vmware.loaded",
        Kind::Bool,
        "whether VMware's kernel module is loaded",
        "lsmod | grep vmmon",
    ),
    FactDef::new(
        "modprobe.nested_off",
        Kind::Bool,
        "whether a modprobe.d file sets nested=0 for the vendor module of this CPU",
        "grep -r nested /etc/modprobe.d",
    ),
    FactDef::new(
        "modprobe.nested_set",
        Kind::Bool,
        "whether modprobe.d or the kernel's command line says what nested of this CPU's vendor module is to be",
        "grep -r nested /etc/modprobe.d /proc/cmdline",
    ),
];

const BACK_ENDS: &[&str] = &["kvm_intel", "kvm_amd", "kvm_pvm", "kvm_hv", "kvm_pr"];

fn run(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    facts.extend(first(host, "virt.flag", &["cpu.virt", "lscpu.virt", "windows.vmx_exposed"]));
    let vendor = first(host, "virt.vendor", &["cpu.vendor", "lscpu.vendor"]);
    facts.extend(vendor.as_ref().and_then(module));
    facts.extend(vendor);
    facts.extend(built_in(host));
    facts.extend(modules(host));
    facts.extend(in_use(host));
    facts.extend(nested_off(host));
    facts.extend(nested_set(host));
    facts
}

/// The first of several facts, under a common name.
fn first(host: &Host, name: &'static str, sources: &[&str]) -> Option<Fact> {
    let fact = sources.iter().find_map(|s| host.facts.first(s))?;
    Some(derived(name, fact.value.clone(), &fact.origin))
}

fn module(vendor: &Fact) -> Option<Fact> {
    let module = match vendor.value.to_string().as_str() {
        "intel" | "zhaoxin" => "kvm_intel",
        "amd" | "hygon" => "kvm_amd",
        _ => return None,
    };
    Some(derived("virt.module", Value::text(module), &vendor.origin))
}

/// A machine has several kernels' configurations; only the running one's counts.
fn built_in(host: &Host) -> Option<Fact> {
    let release = host.facts.text("kernel.release");
    let configs = host.facts.all("kernel.kvm_config");
    let fact = configs
        .iter()
        .find(|f| f.instance.is_some() && f.instance.as_deref() == release)
        .or_else(|| configs.iter().find(|f| f.instance.is_none()))
        .or_else(|| configs.first().filter(|_| configs.len() == 1 && release.is_none()))?;
    Some(derived("kvm.built_in", fact.value.clone(), &fact.origin))
}

fn modules(host: &Host) -> Vec<Fact> {
    let mut facts = Vec::new();
    let loaded = host.facts.first("modules.loaded");
    let has = |name: &str| host.facts.words("modules.loaded").is_some_and(|w| w.contains(name));
    // A parameter directory exists only while the module does, loaded or built in.
    let parameters = host.facts.first("kvm.vendor_module");
    let built_in =
        host.facts.all("kernel.kvm_config").iter().find(|f| f.value == Value::text("builtin"));
    let back_end = BACK_ENDS.iter().any(|m| has(m));
    if let Some(fact) = parameters.or(built_in).or(loaded.filter(|_| back_end)) {
        facts.push(derived("kvm.loaded", Value::Bool(true), &fact.origin));
    } else if let Some(fact) = loaded.filter(|_| !on_arm(host)) {
        facts.push(derived("kvm.loaded", Value::Bool(false), &fact.origin));
        facts.push(derived("kvm.core_only", Value::Bool(has("kvm")), &fact.origin));
    }
    if let Some(fact) = loaded {
        facts.push(derived("vbox.loaded", Value::Bool(has("vboxdrv")), &fact.origin));
        facts.push(derived("vmware.loaded", Value::Bool(has("vmmon")), &fact.origin));
    }
    facts
}

/// KVM is no module of its own on ARM: the list of modules says nothing.
fn on_arm(host: &Host) -> bool {
    ["cpu.vendor", "lscpu.vendor"].iter().any(|n| host.facts.text(n) == Some("arm"))
}

fn in_use(host: &Host) -> Option<Fact> {
    let users = ["kvm_intel", "kvm_amd", "kvm_pvm"].iter();
    let used = users
        .filter_map(|m| host.facts.of("modules.users", m))
        .find(|f| matches!(f.value, Value::Int(n) if n > 0));
    if let Some(fact) = used {
        return Some(derived("kvm.in_use", Value::Bool(true), &fact.origin));
    }
    let running = host.facts.all("qemu.running").iter().filter(|f| f.value == Value::Bool(true));
    let with_kvm = running
        .filter_map(|f| host.facts.of("qemu.accel", f.instance.as_deref()?))
        .find(|f| f.value == Value::text("kvm"));
    if let Some(fact) = with_kvm {
        return Some(derived("kvm.in_use", Value::Bool(true), &fact.origin));
    }
    // A built-in module has no use count: then nobody can tell.
    let mut users = ["kvm_intel", "kvm_amd", "kvm_pvm"].iter();
    let idle = users.find_map(|m| host.facts.of("modules.users", m))?;
    Some(derived("kvm.in_use", Value::Bool(false), &idle.origin))
}

fn vendor_module(host: &Host) -> &str {
    host.facts.text("kvm.vendor_module").unwrap_or_else(|| match host.facts.text("cpu.vendor") {
        Some("amd" | "hygon") => "kvm_amd",
        _ => "kvm_intel",
    })
}

/// Whether the value of `nested` outlives a boot. Only where files of modprobe.d were read and none
/// speaks of it, it is known that nothing is said.
fn nested_set(host: &Host) -> Option<Fact> {
    let module = vendor_module(host);
    if let Some(fact) = host.facts.of("modprobe.nested", module) {
        return Some(derived("modprobe.nested_set", Value::Bool(true), &fact.origin));
    }
    let cmdline = host.facts.first("kernel.cmdline")?;
    let parameter = format!("{module}.nested=");
    if host
        .facts
        .words("kernel.cmdline")?
        .iter()
        .any(|w| w.replace('-', "_").starts_with(&parameter))
    {
        return Some(derived("modprobe.nested_set", Value::Bool(true), &cmdline.origin));
    }
    let read = ["modprobe.options", "modprobe.blacklist"].iter().flat_map(|n| host.facts.all(n));
    let read =
        read.filter(|f| f.origin.source.contains("etc/modprobe.d/")).min_by_key(|f| &f.origin)?;
    Some(derived("modprobe.nested_set", Value::Bool(false), &read.origin))
}

fn nested_off(host: &Host) -> Option<Fact> {
    let module = vendor_module(host);
    let options = host.facts.all("modprobe.nested").iter();
    let options = options.filter(|f| f.instance.as_deref() == Some(module));
    // modprobe reads files in the order of their base names, whatever folder they are in
    // (modprobe.d(5)), and the kernel takes the last value of a parameter.
    let fact = options.max_by_key(|f| (base_name(&f.origin.source).to_owned(), f.origin.line))?;
    Some(derived(
        "modprobe.nested_off",
        Value::Bool(fact.value == Value::Bool(false)),
        &fact.origin,
    ))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Layer, Origin};

    fn host(facts: &[(&'static str, Option<&str>, Value)]) -> Host {
        let mut host = Host::new("", Layer::Unknown, "x");
        for (name, instance, value) in facts {
            let (instance, value) = (instance.map(str::to_owned), value.clone());
            host.facts.add(Fact { name, instance, value, origin: Origin::default() });
        }
        for fact in run(&host) {
            host.facts.add(fact);
        }
        host
    }

    #[test]
    fn the_core_without_a_vendor_module_is_not_loaded() {
        let host = host(&[("modules.loaded", None, Value::words(["kvm", "irqbypass"]))]);
        assert_eq!(host.facts.bool("kvm.loaded"), Some(false));
        assert_eq!(host.facts.bool("kvm.core_only"), Some(true));
    }

    #[test]
    fn a_built_in_kvm_is_not_missing_from_lsmod() {
        let host = host(&[
            ("modules.loaded", None, Value::words(["ext4"])),
            ("kernel.kvm_config", Some("6.1.0"), Value::text("builtin")),
            ("kernel.release", None, Value::text("6.1.0")),
        ]);
        assert_eq!(host.facts.bool("kvm.loaded"), Some(true));
        assert_eq!(host.facts.text("kvm.built_in"), Some("builtin"));
    }

    #[test]
    fn without_a_list_of_modules_nothing_is_claimed() {
        let host = host(&[("cpu.virt", None, Value::Bool(true))]);
        assert_eq!(host.facts.bool("kvm.loaded"), None);
        assert_eq!(host.facts.bool("virt.flag"), Some(true));
    }

    #[test]
    fn the_last_modprobe_file_wins() {
        let mut host = host(&[("kvm.vendor_module", None, Value::text("kvm_intel"))]);
        let files =
            [("etc/modprobe.d/10-kvm.conf", false), ("usr/lib/modprobe.d/50-kvm.conf", true)];
        for (file, nested) in files {
            host.facts.add(Fact {
                name: "modprobe.nested",
                instance: Some("kvm_intel".into()),
                value: Value::Bool(nested),
                origin: Origin::new(file, Some(1), ""),
            });
        }
        assert_eq!(nested_off(&host).map(|f| f.value), Some(Value::Bool(false)));
    }

    #[test]
    fn nothing_is_said_of_nested_only_where_the_folder_was_read() {
        let module = ("kvm.vendor_module", None, Value::text("kvm_intel"));
        let cmdline = |w: &str| ("kernel.cmdline", None, Value::words([w]));
        let quiet = host(&[module.clone(), cmdline("quiet")]);
        assert_eq!(quiet.facts.bool("modprobe.nested_set"), None);
        let given = host(&[module.clone(), cmdline("kvm-intel.nested=1")]);
        assert_eq!(given.facts.bool("modprobe.nested_set"), Some(true));
        let mut read = Host::new("", Layer::Unknown, "x");
        for (name, value) in [
            ("kvm.vendor_module", Value::text("kvm_intel")),
            ("kernel.cmdline", Value::words(["quiet"])),
            ("modprobe.blacklist", Value::words(["pcspkr"])),
        ] {
            let origin = Origin::new("etc/modprobe.d/blacklist.conf", Some(1), "");
            read.facts.add(Fact { name, instance: None, value, origin });
        }
        assert_eq!(nested_set(&read).map(|f| f.value), Some(Value::Bool(false)));
    }

    #[test]
    fn another_vendors_option_does_not_count() {
        let host = host(&[
            ("kvm.vendor_module", None, Value::text("kvm_intel")),
            ("modprobe.nested", Some("kvm_amd"), Value::Bool(false)),
        ]);
        assert_eq!(host.facts.bool("modprobe.nested_off"), None);
    }
}
