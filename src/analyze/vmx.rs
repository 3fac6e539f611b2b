//! Decoding tables of VM-entry failures and VM exits.
//!
//! Intel: SDM volume 3, "VM-Instruction Error Numbers" (31.4 in edition 084) and appendix C "VMX
//! Basic Exit Reasons". AMD: APM volume 2, appendix C "SVM Intercept Exit Codes". Where KVM takes
//! the number from: `vmx_handle_exit` in arch/x86/kvm/vmx/vmx.c, `svm_handle_exit` in
//! arch/x86/kvm/svm/svm.c.

/// VM-instruction error numbers.
const INSTRUCTION_ERRORS: &[(u64, &str)] = &[
    (1, "VMCALL executed in VMX root operation"),
    (2, "VMCLEAR with invalid physical address"),
    (3, "VMCLEAR with VMXON pointer"),
    (4, "VMLAUNCH with non-clear VMCS"),
    (5, "VMRESUME with non-launched VMCS"),
    (6, "VMRESUME after VMXOFF"),
    (7, "VM entry with invalid control field(s)"),
    (8, "VM entry with invalid host-state field(s)"),
    (9, "VMPTRLD with invalid physical address"),
    (10, "VMPTRLD with VMXON pointer"),
    (11, "VMPTRLD with incorrect VMCS revision identifier"),
    (12, "VMREAD/VMWRITE from/to unsupported VMCS component"),
    (13, "VMWRITE to read-only VMCS component"),
    (15, "VMXON executed in VMX root operation"),
    (16, "VM entry with invalid executive-VMCS pointer"),
    (17, "VM entry with non-launched executive VMCS"),
    (18, "VM entry with executive-VMCS pointer not VMXON pointer"),
    (19, "VMCALL with non-clear VMCS"),
    (20, "VMCALL with invalid VM-exit control fields"),
    (22, "VMCALL with incorrect MSEG revision identifier"),
    (23, "VMXOFF under dual-monitor treatment of SMIs and SMM"),
    (24, "VMCALL with invalid SMM-monitor features"),
    (25, "VM entry with invalid VM-execution control fields in executive VMCS"),
    (26, "VM entry with events blocked by MOV SS"),
    (28, "invalid operand to INVEPT/INVVPID"),
];

/// Basic exit reasons that a report may have to name.
const EXIT_REASONS: &[(u64, &str)] = &[
    (0, "exception or NMI"),
    (1, "external interrupt"),
    (2, "triple fault"),
    (3, "INIT signal"),
    (4, "start-up IPI (SIPI)"),
    (5, "I/O system-management interrupt (SMI)"),
    (6, "other SMI"),
    (7, "interrupt window"),
    (8, "NMI window"),
    (9, "task switch"),
    (10, "CPUID"),
    (11, "GETSEC"),
    (12, "HLT"),
    (13, "INVD"),
    (14, "INVLPG"),
    (15, "RDPMC"),
    (16, "RDTSC"),
    (17, "RSM"),
    (18, "VMCALL"),
    (19, "VMCLEAR"),
    (20, "VMLAUNCH"),
    (21, "VMPTRLD"),
    (22, "VMPTRST"),
    (23, "VMREAD"),
    (24, "VMRESUME"),
    (25, "VMWRITE"),
    (26, "VMXOFF"),
    (27, "VMXON"),
    (28, "control-register access"),
    (29, "MOV DR"),
    (30, "I/O instruction"),
    (31, "RDMSR"),
    (32, "WRMSR"),
    (33, "VM-entry failure due to invalid guest state"),
    (34, "VM-entry failure due to MSR loading"),
    (36, "MWAIT"),
    (37, "monitor trap flag"),
    (39, "MONITOR"),
    (40, "PAUSE"),
    (41, "VM-entry failure due to machine-check event"),
    (43, "TPR below threshold"),
    (44, "APIC access"),
    (45, "virtualized EOI"),
    (46, "access to GDTR or IDTR"),
    (47, "access to LDTR or TR"),
    (48, "EPT violation"),
    (49, "EPT misconfiguration"),
    (50, "INVEPT"),
    (51, "RDTSCP"),
    (52, "VMX-preemption timer expired"),
    (53, "INVVPID"),
    (54, "WBINVD or WBNOINVD"),
    (55, "XSETBV"),
    (56, "APIC write"),
    (57, "RDRAND"),
    (58, "INVPCID"),
    (59, "VMFUNC"),
    (60, "ENCLS"),
    (61, "RDSEED"),
    (62, "page-modification log full"),
    (63, "XSAVES"),
    (64, "XRSTORS"),
    (66, "SPP-related event"),
    (67, "UMWAIT"),
    (68, "TPAUSE"),
    (69, "LOADIWKEY"),
    (72, "ENQCMD PASID translation"),
    (74, "bus lock"),
    (75, "notify VM exit"),
];

/// SVM exit codes that KVM may not expect.
const SVM_EXIT_CODES: &[(u64, &str)] = &[
    (0x60, "physical interrupt (INTR)"),
    (0x61, "physical NMI"),
    (0x62, "SMI"),
    (0x63, "physical INIT"),
    (0x64, "virtual interrupt"),
    (0x65, "selective CR0 write"),
    (0x7f, "shutdown (triple fault)"),
    (0x80, "VMRUN"),
    (0x81, "VMMCALL"),
    (0x82, "VMLOAD"),
    (0x83, "VMSAVE"),
    (0x84, "STGI"),
    (0x85, "CLGI"),
    (0x86, "SKINIT"),
    (0x8a, "MONITOR"),
    (0x8b, "MWAIT"),
    (0x8d, "XSETBV"),
    (0x8f, "EFER write trap"),
    (0xa3, "MCOMMIT"),
    (0xa4, "TLBSYNC"),
    (0xa5, "bus lock"),
    (0x400, "nested page fault"),
    (0x401, "AVIC incomplete IPI"),
    (0x402, "AVIC access not accelerated"),
    (0x403, "VMGEXIT"),
];

/// Bit 31 of the exit reason: the exit is a failed VM entry.
const ENTRY_FAILURE: u64 = 1 << 31;

fn named(table: &[(u64, &'static str)], number: u64) -> Option<&'static str> {
    table.iter().find(|(n, _)| *n == number).map(|(_, name)| *name)
}

/// Vendor, kind and meaning of the number in "entry failed, hardware error N".
pub(super) fn entry_error(number: u64) -> (&'static str, &'static str, String) {
    if matches!(number, 0xffff_ffff | u64::MAX) {
        return (
            "amd",
            "vmexit-invalid",
            "VMEXIT_INVALID: VMRUN refused the VMCB (guest state or controls)".into(),
        );
    }
    if number & ENTRY_FAILURE != 0 {
        let reason = number & 0xffff;
        let kind = match reason {
            33 => "guest-state",
            34 => "msr-load",
            41 => "machine-check",
            _ => "other",
        };
        let name = named(EXIT_REASONS, reason).unwrap_or("reserved exit reason");
        return ("intel", kind, format!("{name} (exit reason {reason})"));
    }
    let kind = match number {
        0 => "no-error-number",
        7 => "controls",
        8 => "host-state",
        _ => "other",
    };
    let name = if number == 0 {
        "the VM-instruction error field is 0: the hypervisor below failed the instruction"
    } else {
        named(INSTRUCTION_ERRORS, number).unwrap_or("reserved VM-instruction error number")
    };
    ("intel", kind, format!("{name} (VM-instruction error {number})"))
}

/// Name of a VMX exit reason.
pub(super) fn exit_reason(number: u64) -> &'static str {
    named(EXIT_REASONS, number & 0xffff).unwrap_or("reserved exit reason")
}

/// Name of an SVM exit code.
pub(super) fn svm_exit_code(number: u64) -> &'static str {
    if matches!(number, 0xffff_ffff | u64::MAX) {
        return "VMEXIT_INVALID";
    }
    named(SVM_EXIT_CODES, number).unwrap_or("SVM exit code that is not in the table")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_the_numbers_that_qemu_prints() {
        let (vendor, kind, meaning) = entry_error(0x8000_0021);
        assert_eq!((vendor, kind), ("intel", "guest-state"));
        assert_eq!(meaning, "VM-entry failure due to invalid guest state (exit reason 33)");
        assert_eq!(entry_error(7).1, "controls");
        assert_eq!(entry_error(8).1, "host-state");
        assert_eq!(entry_error(0xffff_ffff).0, "amd");
        assert_eq!(entry_error(u64::MAX).0, "amd");
        assert_eq!(entry_error(0x8000_0029).1, "machine-check");
        assert_eq!(exit_reason(3), "INIT signal");
        assert_eq!(svm_exit_code(0x400), "nested page fault");
    }
}
