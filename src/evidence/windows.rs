//! Windows: what `systeminfo`, `ver`, CIM queries and Hyper-V's cmdlets say.
//!
//! Read are `Key : Value` lists (`Format-List`, `systeminfo`) and tables (`Format-Table`, wmic),
//! in UTF-8 or UTF-16. `systeminfo` and `ver` speak the language of Windows: there the version
//! is known by its form. Property names are those of Win32_Processor, Win32_ComputerSystem,
//! Win32_OperatingSystem and Win32_DeviceGuard.
//!
//! A trap: while a hypervisor runs, Windows cannot see the CPU's own features, and reports
//! VMMonitorModeExtensions and VirtualizationFirmwareEnabled as false whatever they are.
//!
//! Event logs and dialogs are matched by rules.

use std::sync::LazyLock;

use regex::Regex;

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Version, Want};
use crate::parse::{kv, lines};

/// Windows.
pub const SLICE: Slice = Slice { name: "windows", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::output("systeminfo*"),
    Want::output("windows-ver*"),
    Want::output("windows-cim-*"),
    Want::output("windows-installed-programs*"),
    Want::output("wmic*"),
    Want::output("get-vm*"),
    Want::output("get-windowsoptionalfeature*"),
    Want::output("get-ciminstance*"),
];

const CPU: &str = "Get-CimInstance Win32_Processor | Format-List *Virtual*,VMMonitor*,SecondLevel*";
const SYSTEM: &str = "Get-CimInstance Win32_ComputerSystem | Format-List *";

const FACTS: &[FactDef] = &[
    FactDef::new("windows.build", Kind::Int, "Build of Windows, e.g. 22631", "cmd /c ver"),
    FactDef::new(
        "windows.version",
        Kind::Version,
        "Version of Windows, e.g. 10.0.22631.4317",
        "cmd /c ver",
    ),
    FactDef::new("windows.os_name", Kind::Text, "Name and edition of Windows", "systeminfo"),
    FactDef::new("windows.manufacturer", Kind::Text, "Manufacturer of the machine", SYSTEM),
    FactDef::new("windows.model", Kind::Text, "Model of the machine", SYSTEM),
    FactDef::new("windows.cpu_name", Kind::Text, "Marketing name of the CPU", CPU),
    FactDef::new(
        "windows.hypervisor_present",
        Kind::Bool,
        "Whether Windows runs on a hypervisor: its own or that of the layer below",
        SYSTEM,
    ),
    FactDef::new(
        "windows.vmx_exposed",
        Kind::Bool,
        "Whether Windows sees VT-x or AMD-V (VMMonitorModeExtensions); false too where its own \
         hypervisor runs",
        CPU,
    ),
    FactDef::new(
        "windows.firmware_virt",
        Kind::Bool,
        "Whether the firmware enabled virtualization; false too where a hypervisor runs",
        CPU,
    ),
    FactDef::new("windows.slat", Kind::Bool, "Whether the CPU has EPT or NPT", CPU),
    FactDef::new(
        "windows.hyperv_feature",
        Kind::Bool,
        "Whether Hyper-V, the Hypervisor Platform or the Virtual Machine Platform is enabled",
        "Get-WindowsOptionalFeature -Online | Where FeatureName -match 'Hyper|VirtualMachine'",
    ),
    FactDef::new(
        "windows.vbs_running",
        Kind::Bool,
        "Whether virtualization-based security runs",
        "Get-CimInstance -Namespace root\\Microsoft\\Windows\\DeviceGuard Win32_DeviceGuard",
    ),
    FactDef::new(
        "windows.installed",
        Kind::Words,
        "Hypervisors among the installed programs: docker, hyper-v, virtualbox, vmware",
        "Get-Package | Format-Table Name,Version",
    ),
    FactDef::per(
        "hyperv.expose_virt",
        Kind::Bool,
        "VM",
        "Whether Hyper-V shows VT-x or AMD-V to the VM",
        "Get-VMProcessor * | Format-List VMName,ExposeVirtualizationExtensions",
    ),
    FactDef::per(
        "hyperv.dynamic_memory",
        Kind::Bool,
        "VM",
        "Whether Hyper-V changes the VM's memory while it runs, which a VM with nesting on \
              does not take part in",
        "Get-VMMemory * | Format-List VMName,DynamicMemoryEnabled",
    ),
    FactDef::per(
        "hyperv.vcpus",
        Kind::Int,
        "VM",
        "Virtual processors of the VM",
        "Get-VM | Format-Table Name,ProcessorCount",
    ),
    FactDef::per(
        "hyperv.vm_version",
        Kind::Version,
        "VM",
        "Configuration version of the VM; nesting needs 8.0 on Intel, 9.3 on AMD",
        "Get-VM | Format-Table Name,Version",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = crate::parse::decoded(piece.bytes);
    let reader = &mut Reader { piece, out };
    match piece.file_name() {
        name if name.starts_with("systeminfo") => reader.systeminfo(&text),
        name if name.starts_with("windows-ver") => reader.version(&text),
        name if name.starts_with("windows-installed") => reader.installed(&text),
        name if name.starts_with("get-windowsoptionalfeature") => reader.features(&text),
        name if name.starts_with("get-vm") => reader.machines(&text),
        _ => reader.properties(&text),
    }
}

/// A version of Windows: `10.0.22631` with or without a revision.
static WINDOWS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:6\.[0-3]|10\.0)\.(\d{4,5})(?:\.\d+)?\b").expect("a constant pattern")
});

struct Reader<'a, 'o> {
    piece: Piece<'a>,
    out: &'o mut Out,
}

impl Reader<'_, '_> {
    fn add(&mut self, name: &'static str, value: Value, (line, text): (u32, &str)) {
        self.out.fact(name, value, Origin::new(self.piece.path, Some(line), text));
    }

    fn add_of(&mut self, name: &'static str, of: &str, value: Value, (line, text): (u32, &str)) {
        self.out.fact_of(name, of, value, Origin::new(self.piece.path, Some(line), text));
    }

    /// `Yes` and `No`, `True` and `False`; words of other languages give nothing.
    fn flag(&mut self, name: &'static str, value: &str, place: (u32, &str)) {
        if let Some(on) = kv::boolean(value) {
            self.add(name, Value::Bool(on), place);
        }
    }

    fn found_version(&mut self, text: &str, place: (u32, &str)) -> bool {
        let Some(found) = WINDOWS.captures(text) else { return false };
        if let Some(version) = Version::parse(&found[0]) {
            self.add("windows.version", Value::Version(version), place);
        }
        if let Ok(build) = found[1].parse() {
            self.add("windows.build", Value::Int(build), place);
        }
        true
    }

    /// `Microsoft Windows [Version 10.0.26100.3476]`, the word in any language.
    fn version(&mut self, text: &str) {
        for place in lines(text) {
            let inside = place.1.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            if inside.is_some_and(|(inside, _)| self.found_version(inside, place)) {
                return;
            }
        }
    }

    fn systeminfo(&mut self, text: &str) {
        let mut versioned = false;
        for place @ (_, text) in lines(text) {
            let Some((key, value)) = text.split_once(':').map(|(k, v)| (k.trim(), v.trim())) else {
                continue;
            };
            // The only line whose value begins with such a number, in every language.
            if !versioned && WINDOWS.find(value).is_some_and(|m| m.start() == 0) {
                versioned = self.found_version(value, place);
            }
            if text.contains("A hypervisor has been detected") {
                self.add("windows.hypervisor_present", Value::Bool(true), place);
            }
            // The first of the four requirements stands behind another label.
            let (key, value) = match value.split_once(": ") {
                Some((inner, value)) if key == "Hyper-V Requirements" => (inner, value.trim()),
                _ => (key, value),
            };
            match key {
                "OS Name" => self.add("windows.os_name", Value::text(value), place),
                "System Manufacturer" => {
                    self.add("windows.manufacturer", Value::text(value), place);
                }
                "System Model" => self.add("windows.model", Value::text(value), place),
                "VM Monitor Mode Extensions" => {
                    self.flag("windows.vmx_exposed", value, place);
                    // Requirements are only shown where no hypervisor hides them.
                    self.add("windows.hypervisor_present", Value::Bool(false), place);
                }
                "Virtualization Enabled In Firmware" => {
                    self.flag("windows.firmware_virt", value, place);
                }
                "Second Level Address Translation" => self.flag("windows.slat", value, place),
                "Virtualization-based security" if value.contains("Running") => {
                    self.add("windows.vbs_running", Value::Bool(true), place);
                }
                _ => {}
            }
        }
    }

    /// Properties of CIM classes, as a list or, by wmic, as a table.
    fn properties(&mut self, text: &str) {
        let mut pairs = list(text);
        if pairs.is_empty() {
            pairs = table(text).into_iter().flatten().collect();
        }
        let has = |key: &str| pairs.iter().any(|(_, k, _)| *k == key);
        let of_system = has("Model");
        let of_system_os = has("Caption") && has("BuildNumber");
        let of_processor = has("NumberOfCores") || has("VMMonitorModeExtensions");
        for (place, key, value) in pairs {
            match key {
                "Manufacturer" if of_system => {
                    self.add("windows.manufacturer", Value::text(value), place);
                }
                "Model" => self.add("windows.model", Value::text(value), place),
                "Name" if of_processor && !of_system => {
                    self.add("windows.cpu_name", Value::text(value), place);
                }
                "HypervisorPresent" => self.flag("windows.hypervisor_present", value, place),
                "VMMonitorModeExtensions" => self.flag("windows.vmx_exposed", value, place),
                "VirtualizationFirmwareEnabled" => self.flag("windows.firmware_virt", value, place),
                "SecondLevelAddressTranslationExtensions" => {
                    self.flag("windows.slat", value, place);
                }
                "Caption" if of_system_os => {
                    self.add("windows.os_name", Value::text(value), place);
                }
                "Version" if of_system_os => {
                    self.found_version(value, place);
                }
                // 0 off, 1 enabled but not running, 2 running.
                "VirtualizationBasedSecurityStatus" => {
                    self.add("windows.vbs_running", Value::Bool(value == "2"), place);
                }
                _ => {}
            }
        }
    }

    /// `Get-WindowsOptionalFeature`, as a table or a list.
    fn features(&mut self, text: &str) {
        const HYPERVISORS: &[&str] = &[
            "Microsoft-Hyper-V",
            "Microsoft-Hyper-V-All",
            "Microsoft-Hyper-V-Hypervisor",
            "Microsoft-Hyper-V-Online",
            "HypervisorPlatform",
            "VirtualMachinePlatform",
        ];
        let mut listed = None;
        let mut feature = String::new();
        for place @ (_, text) in lines(text) {
            let (name, state) = match text.split_once(" : ").map(|(k, v)| (k.trim(), v.trim())) {
                Some(("FeatureName", name)) => {
                    name.clone_into(&mut feature);
                    continue;
                }
                Some(("State", state)) => (feature.as_str(), state),
                Some(_) => continue,
                None => {
                    let mut words = text.split_whitespace();
                    (words.next().unwrap_or(""), words.next().unwrap_or(""))
                }
            };
            if HYPERVISORS.contains(&name) {
                if state.starts_with("Enable") {
                    self.add("windows.hyperv_feature", Value::Bool(true), place);
                    return;
                }
                listed.get_or_insert(place);
            }
        }
        if let Some(place) = listed.filter(|_| self.piece.whole) {
            self.add("windows.hyperv_feature", Value::Bool(false), place);
        }
    }

    /// `Get-VM`, `Get-VMProcessor` and `Get-VMMemory`.
    fn machines(&mut self, text: &str) {
        let mut rows: Vec<Vec<Pair<'_>>> = table(text);
        rows.push(list(text));
        for row in rows {
            let mut vm = None;
            for (place, key, value) in row {
                match key {
                    "Name" | "VMName" => vm = Some(value),
                    "Version" => {
                        if let (Some(vm), Some(version)) = (vm, Version::parse(value)) {
                            self.add_of("hyperv.vm_version", vm, Value::Version(version), place);
                        }
                    }
                    "ExposeVirtualizationExtensions" | "DynamicMemoryEnabled" => {
                        let fact = match key {
                            "DynamicMemoryEnabled" => "hyperv.dynamic_memory",
                            _ => "hyperv.expose_virt",
                        };
                        if let Some(on) = kv::boolean(value) {
                            self.add_of(fact, vm.unwrap_or(""), Value::Bool(on), place);
                        }
                    }
                    "ProcessorCount" => {
                        if let (Some(vm), Ok(count)) = (vm, value.parse()) {
                            self.add_of("hyperv.vcpus", vm, Value::Int(count), place);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn installed(&mut self, text: &str) {
        const KNOWN: &[&str] = &["docker", "hyper-v", "virtualbox", "vmware"];
        let mut found = Vec::new();
        let mut first = None;
        for place @ (_, text) in lines(text) {
            let lower = text.to_lowercase();
            for name in KNOWN.iter().filter(|name| lower.contains(**name)) {
                first.get_or_insert(place);
                found.push(*name);
            }
        }
        if let Some(place) = first {
            self.add("windows.installed", Value::words(found), place);
        }
    }
}

/// A property with its place.
type Pair<'a> = ((u32, &'a str), &'a str, &'a str);

/// `Key : Value` lines, and wmic's `Key=Value`.
fn list(text: &str) -> Vec<Pair<'_>> {
    let pair = |place: (u32, &'_ str)| -> Option<usize> {
        let at = place.1.find([':', '='])?;
        let key = place.1[..at].trim();
        (!key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric())).then_some(at)
    };
    lines(text)
        .filter_map(|place| {
            let at = pair(place)?;
            let value = place.1[at + 1..].trim();
            (!value.is_empty()).then(|| (place, place.1[..at].trim(), value))
        })
        .collect()
}

/// A table whose first line names the columns; a value stands below its column's name.
fn table(text: &str) -> Vec<Vec<Pair<'_>>> {
    let mut rows = lines(text).skip_while(|(_, l)| l.trim().is_empty() || l.contains(':'));
    let Some((_, header)) = rows.next() else { return Vec::new() };
    let mut columns: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    for word in header.split_inclusive(' ') {
        let name = word.trim();
        if !name.is_empty() {
            columns.push((at, name));
        }
        at += word.len();
    }
    let is_row = |(_, l): &(u32, &str)| !l.trim().is_empty() && !l.starts_with("---");
    rows.filter(is_row).map(|place| cells(place, &columns)).collect()
}

fn cells<'a>(place: (u32, &'a str), columns: &[(usize, &'a str)]) -> Vec<Pair<'a>> {
    let mut cells = Vec::new();
    for (index, (start, name)) in columns.iter().enumerate() {
        let end = columns.get(index + 1).map_or(place.1.len(), |(next, _)| *next);
        // A cell with letters of several bytes may shift the row: then it gives nothing.
        let cell = place.1.get(*start..end.min(place.1.len())).map_or("", str::trim);
        if !cell.is_empty() {
            cells.push((place, *name, cell));
        }
    }
    cells
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
