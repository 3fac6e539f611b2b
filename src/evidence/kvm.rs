//! Parameters of the loaded KVM modules: `/sys/module/{kvm,kvm_intel,kvm_amd}/parameters/`.
//!
//! Meanings: Documentation/admin-guide/kernel-parameters.txt, arch/x86/kvm/{x86,vmx/vmx,svm/svm}.c.
//! A bool prints `Y` or `N`; some were ints in some releases (`nested` of kvm_amd was, `avic` is
//! -1 for "automatic"), and there every value but 0 is on.
//!
//! A folder exists also where the vendor's module is built in but idle, so both vendors can be
//! present on one machine: compare with `cpu.vendor`.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Parameters of the KVM modules.
pub const SLICE: Slice = Slice { name: "kvm", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/module/kvm/parameters/*"),
    Want::file("sys/module/kvm_intel/parameters/*"),
    Want::file("sys/module/kvm_amd/parameters/*"),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "kvm.vendor_module",
        Kind::Text,
        "KVM module whose parameters exist: kvm_intel or kvm_amd",
        "ls -d /sys/module/kvm_*",
    ),
    FactDef::new(
        "kvm.nested",
        Kind::Bool,
        "Guests may be hypervisors themselves (kvm_intel or kvm_amd)",
        "cat /sys/module/kvm_*/parameters/nested",
    ),
    FactDef::new(
        "kvm.ept",
        Kind::Bool,
        "Extended page tables are used (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/ept",
    ),
    FactDef::new(
        "kvm.npt",
        Kind::Bool,
        "Nested page tables are used (kvm_amd)",
        "cat /sys/module/kvm_amd/parameters/npt",
    ),
    FactDef::new(
        "kvm.unrestricted_guest",
        Kind::Bool,
        "Guests may run real mode in hardware (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/unrestricted_guest",
    ),
    FactDef::new(
        "kvm.enlightened_vmcs",
        Kind::Bool,
        "Enlightened VMCS is used under Hyper-V (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/enlightened_vmcs",
    ),
    FactDef::new(
        "kvm.apicv",
        Kind::Bool,
        "APIC virtualization is used (kvm_intel, enable_apicv)",
        "cat /sys/module/kvm_intel/parameters/enable_apicv",
    ),
    FactDef::new(
        "kvm.avic",
        Kind::Bool,
        "AMD's APIC virtualization is used (kvm_amd)",
        "cat /sys/module/kvm_amd/parameters/avic",
    ),
    FactDef::new(
        "kvm.ignore_msrs",
        Kind::Bool,
        "Accesses of guests to unknown MSRs are ignored instead of refused (kvm)",
        "cat /sys/module/kvm/parameters/ignore_msrs",
    ),
    FactDef::new(
        "kvm.enable_virt_at_load",
        Kind::Bool,
        "VMX or SVM is switched on when the module loads, not with the first guest (kvm, 6.12 on)",
        "cat /sys/module/kvm/parameters/enable_virt_at_load",
    ),
    FactDef::new(
        "kvm.emulate_invalid_guest_state",
        Kind::Bool,
        "Guest states that hardware refuses are emulated (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/emulate_invalid_guest_state",
    ),
    FactDef::new(
        "kvm.vls",
        Kind::Bool,
        "Virtual VMLOAD and VMSAVE are used (kvm_amd)",
        "cat /sys/module/kvm_amd/parameters/vls",
    ),
    FactDef::new(
        "kvm.vgif",
        Kind::Bool,
        "Virtual global interrupt flag is used (kvm_amd)",
        "cat /sys/module/kvm_amd/parameters/vgif",
    ),
    FactDef::new(
        "kvm.vpid",
        Kind::Bool,
        "Virtual processor ids are used (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/vpid",
    ),
    FactDef::new(
        "kvm.shadow_vmcs",
        Kind::Bool,
        "VMCS shadowing is used for nested guests (kvm_intel, enable_shadow_vmcs)",
        "cat /sys/module/kvm_intel/parameters/enable_shadow_vmcs",
    ),
    FactDef::new(
        "kvm.tdp_mmu",
        Kind::Bool,
        "The two-dimensional paging MMU is used (kvm)",
        "cat /sys/module/kvm/parameters/tdp_mmu",
    ),
    FactDef::new(
        "kvm.dump_invalid",
        Kind::Bool,
        "A refused VMCS or VMCB is dumped to the kernel log (dump_invalid_vmcs, dump_invalid_vmcb)",
        "cat /sys/module/kvm_*/parameters/dump_invalid_vmc?",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let Some((module, parameter)) = place(piece.path) else { return };
    let text = piece.text();
    let line = text.lines().next().unwrap_or_default();
    let origin = Origin::new(piece.path, Some(1), line);
    if module != "kvm" {
        out.fact("kvm.vendor_module", Value::text(module), origin.clone());
    }
    let Some(name) = fact_name(module, parameter) else { return };
    match on(line.trim()) {
        Some(value) => out.fact(name, Value::Bool(value), origin),
        None if text.trim().is_empty() => out.problem(piece.path, None, "empty: no value was read"),
        None => out.problem(piece.path, Some(1), "expected Y, N or a number"),
    }
}

/// Module and parameter of `sys/module/MODULE/parameters/PARAMETER`.
fn place(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("sys/module/")?.split_once("/parameters/")
}

fn fact_name(module: &str, parameter: &str) -> Option<&'static str> {
    let name = match (module, parameter) {
        ("kvm_intel" | "kvm_amd", "nested") => "kvm.nested",
        ("kvm_intel", "ept") => "kvm.ept",
        ("kvm_amd", "npt") => "kvm.npt",
        ("kvm_intel", "unrestricted_guest") => "kvm.unrestricted_guest",
        ("kvm_intel", "enlightened_vmcs") => "kvm.enlightened_vmcs",
        ("kvm_intel", "enable_apicv") => "kvm.apicv",
        ("kvm_amd", "avic") => "kvm.avic",
        ("kvm", "ignore_msrs") => "kvm.ignore_msrs",
        ("kvm", "enable_virt_at_load") => "kvm.enable_virt_at_load",
        ("kvm_intel", "emulate_invalid_guest_state") => "kvm.emulate_invalid_guest_state",
        ("kvm_amd", "vls") => "kvm.vls",
        ("kvm_amd", "vgif") => "kvm.vgif",
        ("kvm_intel", "vpid") => "kvm.vpid",
        ("kvm_intel", "enable_shadow_vmcs") => "kvm.shadow_vmcs",
        ("kvm", "tdp_mmu") => "kvm.tdp_mmu",
        ("kvm_intel", "dump_invalid_vmcs") | ("kvm_amd", "dump_invalid_vmcb") => "kvm.dump_invalid",
        _ => return None,
    };
    Some(name)
}

fn on(value: &str) -> Option<bool> {
    match value {
        "Y" | "y" => Some(true),
        "N" | "n" => Some(false),
        number => number.parse::<i64>().ok().map(|n| n != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn read(path: &str, text: &str) -> Out {
        testing::read(parse, path, text)
    }

    fn bool_of(path: &str, text: &str, name: &str) -> Option<Value> {
        read(path, text).facts.into_iter().find(|f| f.name == name).map(|f| f.value)
    }

    #[test]
    fn letters_and_numbers_of_all_releases() {
        let nested = |text| bool_of("sys/module/kvm_amd/parameters/nested", text, "kvm.nested");
        assert_eq!(nested("1\n"), Some(Value::Bool(true)));
        assert_eq!(nested("0\n"), Some(Value::Bool(false)));
        assert_eq!(nested("Y\n"), Some(Value::Bool(true)));
        assert_eq!(nested("N"), Some(Value::Bool(false)));
        let avic = bool_of("sys/module/kvm_amd/parameters/avic", "-1\n", "kvm.avic");
        assert_eq!(avic, Some(Value::Bool(true)));
    }

    #[test]
    fn the_vendor_module_is_known_from_any_parameter() {
        let module = |path| bool_of(path, "7\n", "kvm.vendor_module");
        assert_eq!(
            module("sys/module/kvm_intel/parameters/ple_gap"),
            Some(Value::text("kvm_intel"))
        );
        assert_eq!(module("sys/module/kvm/parameters/halt_poll_ns"), None);
    }

    #[test]
    fn neither_an_empty_nor_a_foreign_value_is_a_no() {
        for text in ["", "\n", "cat: permission denied\n"] {
            let out = read("sys/module/kvm_intel/parameters/ept", text);
            assert!(!out.facts.iter().any(|f| f.name == "kvm.ept"));
            assert_eq!(out.problems.len(), 1);
        }
    }
}
