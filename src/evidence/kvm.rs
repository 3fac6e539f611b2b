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

const fn param(name: &'static str, doc: &'static str, command: &'static str) -> FactDef {
    FactDef { name, kind: Kind::Bool, per: "", doc, command }
}

const FACTS: &[FactDef] = &[
    FactDef {
        name: "kvm.vendor_module",
        kind: Kind::Text,
        per: "",
        doc: "KVM module whose parameters exist: kvm_intel or kvm_amd",
        command: "ls -d /sys/module/kvm_*",
    },
    param(
        "kvm.nested",
        "Guests may be hypervisors themselves (kvm_intel or kvm_amd)",
        "cat /sys/module/kvm_*/parameters/nested",
    ),
    param(
        "kvm.ept",
        "Extended page tables are used (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/ept",
    ),
    param(
        "kvm.npt",
        "Nested page tables are used (kvm_amd)",
        "cat /sys/module/kvm_amd/parameters/npt",
    ),
    param(
        "kvm.unrestricted_guest",
        "Guests may run real mode in hardware (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/unrestricted_guest",
    ),
    param(
        "kvm.enlightened_vmcs",
        "Enlightened VMCS is used under Hyper-V (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/enlightened_vmcs",
    ),
    param(
        "kvm.apicv",
        "APIC virtualization is used (kvm_intel, enable_apicv)",
        "cat /sys/module/kvm_intel/parameters/enable_apicv",
    ),
    param(
        "kvm.avic",
        "AMD's APIC virtualization is used (kvm_amd)",
        "cat /sys/module/kvm_amd/parameters/avic",
    ),
    param(
        "kvm.ignore_msrs",
        "Accesses of guests to unknown MSRs are ignored instead of refused (kvm)",
        "cat /sys/module/kvm/parameters/ignore_msrs",
    ),
    param(
        "kvm.enable_virt_at_load",
        "VMX or SVM is switched on when the module loads, not with the first guest (kvm, 6.12 on)",
        "cat /sys/module/kvm/parameters/enable_virt_at_load",
    ),
    param(
        "kvm.emulate_invalid_guest_state",
        "Guest states that hardware refuses are emulated (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/emulate_invalid_guest_state",
    ),
    param(
        "kvm.vls",
        "Virtual VMLOAD and VMSAVE are used (kvm_amd)",
        "cat /sys/module/kvm_amd/parameters/vls",
    ),
    param(
        "kvm.vgif",
        "Virtual global interrupt flag is used (kvm_amd)",
        "cat /sys/module/kvm_amd/parameters/vgif",
    ),
    param(
        "kvm.vpid",
        "Virtual processor ids are used (kvm_intel)",
        "cat /sys/module/kvm_intel/parameters/vpid",
    ),
    param(
        "kvm.shadow_vmcs",
        "VMCS shadowing is used for nested guests (kvm_intel, enable_shadow_vmcs)",
        "cat /sys/module/kvm_intel/parameters/enable_shadow_vmcs",
    ),
    param(
        "kvm.tdp_mmu",
        "The two-dimensional paging MMU is used (kvm)",
        "cat /sys/module/kvm/parameters/tdp_mmu",
    ),
    param(
        "kvm.dump_invalid",
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
