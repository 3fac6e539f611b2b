//! Tests of what Windows prints.

use super::*;

fn run(path: &str, text: &str) -> Vec<String> {
    let mut out = Out::default();
    parse(Piece { path, bytes: text.as_bytes(), whole: true }, &mut out);
    assert_eq!(out.problems, []);
    let show = |f: &crate::model::Fact| match &f.instance {
        Some(of) => format!("{}[{of}]={}", f.name, f.value),
        None => format!("{}={}", f.name, f.value),
    };
    out.facts.iter().map(show).collect()
}

#[test]
fn systeminfo_in_a_vm() {
    let text = "Host Name:                 LAB\n\
        OS Name:                   Microsoft Windows 11 Pro\n\
        OS Version:                10.0.22631 N/A Build 22631\n\
        System Manufacturer:       Red Hat\n\
        System Model:              KVM\n\
        BIOS Version:              EDK II 10, 5/24/2023\n\
        Hyper-V Requirements:      A hypervisor has been detected. Features will not be displayed.\n";
    let expected = [
        "windows.os_name=Microsoft Windows 11 Pro",
        "windows.version=10.0.22631",
        "windows.build=22631",
        "windows.manufacturer=Red Hat",
        "windows.model=KVM",
        "windows.hypervisor_present=true",
    ];
    assert_eq!(run("commands/systeminfo.txt", text), expected);
}

#[test]
fn systeminfo_on_metal_and_in_french() {
    let text = "Hyper-V Requirements:      VM Monitor Mode Extensions: Yes\n\
        \x20                          Virtualization Enabled In Firmware: No\n\
        \x20                          Second Level Address Translation: Yes\n";
    let expected = [
        "windows.vmx_exposed=true",
        "windows.hypervisor_present=false",
        "windows.firmware_virt=false",
        "windows.slat=true",
    ];
    assert_eq!(run("commands/systeminfo.txt", text), expected);
    let text = "Version du système:                    10.0.19045 N/A version 19045\n";
    let expected = ["windows.version=10.0.19045", "windows.build=19045"];
    assert_eq!(run("commands/systeminfo.txt", text), expected);
}

#[test]
fn ver() {
    let expected = ["windows.version=10.0.26100.3476", "windows.build=26100"];
    let path = "commands/windows-ver.txt";
    assert_eq!(run(path, "\nMicrosoft Windows [Version 10.0.26100.3476]\n"), expected);
    assert_eq!(run(path, "Microsoft Windows [versão 10.0.26100.3476]\n"), expected);
    assert_eq!(run(path, "[1.2.3]"), Vec::<String>::new());
}

#[test]
fn cim_classes_share_property_names() {
    let text = "\nName                          : Intel(R) Core(TM) i7\nManufacturer : GenuineIntel\n\
        NumberOfCores : 8\nSecondLevelAddressTranslationExtensions : True\n\
        VMMonitorModeExtensions : True\nVirtualizationFirmwareEnabled : False\n";
    let expected = [
        "windows.cpu_name=Intel(R) Core(TM) i7",
        "windows.slat=true",
        "windows.vmx_exposed=true",
        "windows.firmware_virt=false",
    ];
    assert_eq!(run("commands/windows-cim-processor.txt", text), expected);
    let text =
        "Manufacturer : Dell Inc.\nModel : OptiPlex 7040\nName : LAB\nHypervisorPresent : True\n";
    let expected = [
        "windows.manufacturer=Dell Inc.",
        "windows.model=OptiPlex 7040",
        "windows.hypervisor_present=true",
    ];
    assert_eq!(run("commands/windows-cim-computersystem.txt", text), expected);
    let text = "VirtualizationBasedSecurityStatus : 2\n";
    assert_eq!(run("commands/get-ciminstance-deviceguard.txt", text), ["windows.vbs_running=true"]);
}

#[test]
fn wmic_table() {
    let text = "Name                                    NumberOfCores\r\n\
                Intel(R) Core(TM)2 Quad CPU  Q9400      4\r\n\r\n";
    let expected = ["windows.cpu_name=Intel(R) Core(TM)2 Quad CPU  Q9400"];
    assert_eq!(run("commands/wmic-cpu.txt", text), expected);
}

#[test]
fn hyper_v_machines() {
    let text = "Name     State   Status             Version\n\
                ----     -----   ------             -------\n\
                my vm    Off     Operating normally 8.0\n\
                web01    Running Operating normally 9.3\n";
    let expected = ["hyperv.vm_version[my vm]=8.0", "hyperv.vm_version[web01]=9.3"];
    assert_eq!(run("commands/get-vm.txt", text), expected);
    let text = "VMName                         : lab\nExposeVirtualizationExtensions : True\n\n\
                VMName                         : web\nExposeVirtualizationExtensions : False\n";
    let expected = ["hyperv.expose_virt[lab]=true", "hyperv.expose_virt[web]=false"];
    assert_eq!(run("commands/get-vmprocessor.txt", text), expected);
}

#[test]
fn optional_features() {
    let path = "commands/get-windowsoptionalfeature.txt";
    let text = "FeatureName State\n----------- -----\nMicrosoft-Hyper-V-Tools-All Enabled\n\
                VirtualMachinePlatform Disabled\n";
    assert_eq!(run(path, text), ["windows.hyperv_feature=false"]);
    let text = "FeatureName : VirtualMachinePlatform\nState : Enabled\n";
    assert_eq!(run(path, text), ["windows.hyperv_feature=true"]);
    assert_eq!(run(path, "FeatureName State\n"), Vec::<String>::new());
}

#[test]
fn installed_hypervisors() {
    let text = "DisplayName\nDocker for Windows 17.06\nOracle VM VirtualBox 5.1.26\nPuTTY\n";
    assert_eq!(
        run("commands/windows-installed-programs.txt", text),
        ["windows.installed=docker virtualbox"]
    );
}

#[test]
fn broken_text_gives_nothing() {
    for text in ["", "é", ":::", "Name\né", " a  b\nx", "[", "Requirements: : "] {
        for file in [
            "systeminfo",
            "windows-ver",
            "windows-cim-x",
            "get-vm",
            "wmic",
            "windows-installed-programs",
        ] {
            assert_eq!(run(&format!("commands/{file}.txt"), text), Vec::<String>::new(), "{text}");
        }
    }
}

#[test]
fn memory_and_processors_of_machines() {
    let text = "\nVMName               : lab\nDynamicMemoryEnabled : True\n\
                \nVMName               : web\nDynamicMemoryEnabled : False\n";
    let mut out = Out::default();
    let bytes = text.as_bytes();
    parse(Piece { path: "commands/get-vmmemory.txt", bytes, whole: true }, &mut out);
    let table = b"Name State ProcessorCount\n---- ----- --------------\nlab  Off   4\n";
    parse(Piece { path: "commands/get-vm.txt", bytes: table, whole: true }, &mut out);
    let seen: Vec<_> = out
        .facts
        .iter()
        .map(|f| format!("{}[{}]={}", f.name, f.instance.as_deref().unwrap_or(""), f.value))
        .collect();
    let expected = [
        "hyperv.dynamic_memory[lab]=true",
        "hyperv.dynamic_memory[web]=false",
        "hyperv.vcpus[lab]=4",
    ];
    assert_eq!(seen, expected);
}
