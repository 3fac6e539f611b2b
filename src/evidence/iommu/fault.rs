//! Faults that the IOMMU reports: requests of devices that it refused, and commands that devices
//! did not confirm.
//!
//! Intel: `dmar_fault_do_one` of drivers/iommu/intel/dmar.c; the numbers are those of the
//! Virtualization Technology for Directed I/O specification, 7.1.3 (legacy mode) and 7.1.3
//! (scalable mode, from 30h), interrupt faults in 5.1.4.1. AMD: `iommu_print_event` and
//! `amd_iommu_report_page_fault` of drivers/iommu/amd/iommu.c; the flags are those of the I/O
//! Virtualization Technology specification (48882), 2.5.3. Arm: drivers/iommu/arm/arm-smmu-v3.
//!
//! Kernels before 4.1 split a fault over two lines: such a half makes a record without the other's
//! fields.

use std::collections::BTreeMap;

use crate::model::{Record, RecordParser, Writer};
use crate::parse::pci;

/// Faults of the IOMMU.
pub const FAULT: RecordParser = RecordParser {
    kind: "iommu-fault",
    doc: "A fault that the IOMMU reports: `vendor` intel, amd or arm; `type` read, write, interrupt \
          or the name of AMD's event; `reason` Intel's number in hexadecimal; `meaning` in the words \
          of the manual; `class` is permission (mapped otherwise), unmapped, no-domain (the device \
          has no translation), interrupt, table (broken tables), timeout (the device or the IOMMU \
          does not answer) or other; `driver` where the line names it",
    fields: &[
        "vendor", "type", "device", "address", "reason", "meaning", "class", "pasid", "domain",
        "flags", "driver",
    ],
    literals: &[
        "request device [",
        "fault reason ",
        "event logged [",
        "io_page_fault",
        "iotlb_inv_timeout",
        "completion-wait loop timed out",
        "queued_iotlb_inv",
        "invalidation time-out error",
    ],
    writers: &[Writer::Kernel],
    parse: fault,
};

type Fields = BTreeMap<String, String>;

fn fault(message: &str) -> Option<Record> {
    let fields = intel(message).or_else(|| amd(message)).or_else(|| waits(message))?;
    Some(Record { fields, key: None })
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let filled = pairs.iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// What stands between two texts.
fn between<'m>(message: &'m str, from: &str, to: &str) -> Option<&'m str> {
    let rest = message.split_once(from)?.1;
    Some(rest.split_once(to).map_or(rest, |(inside, _)| inside).trim())
}

fn word_after<'m>(message: &'m str, key: &str) -> &'m str {
    let rest = message.split_once(key).map_or("", |(_, rest)| rest);
    rest.split(|c: char| c.is_whitespace() || c == ']' || c == ',').next().unwrap_or("")
}

/// Intel's forms: `DMAR: [DMA Read NO_PASID] Request device [00:02.0] fault addr 0x0 [fault reason
/// 0x06] PTE Read access is not set`, and those before it.
fn intel(message: &str) -> Option<Fields> {
    let has_request = message.contains("Request device [");
    if !has_request && !message.contains("[fault reason ") {
        return None;
    }
    // 5.14 printed `[0x00:0x02.0]`, very old kernels `[[00:02.0]`.
    let device = between(message, "Request device [", "]").unwrap_or("");
    let device = pci::address(&device.trim_start_matches('[').replace("0x", ""));
    if has_request && device.is_none() {
        return None;
    }
    let kind = match message {
        m if m.contains("INTR-REMAP") => "interrupt",
        m if m.contains("[DMA Read") => "read",
        m if m.contains("[DMA Write") => "write",
        _ => "",
    };
    let number = between(message, "[fault reason ", "]").and_then(number);
    let (class, meaning) = number.map_or(("", ""), reason);
    let pasid = match between(message, " PASID 0x", "]").filter(|_| message.contains("[DMA ")) {
        Some(pasid) => pasid,
        None => word_after(message, "] PASID "),
    };
    let address = word_after(message, "fault addr ");
    Some(fields(&[
        ("vendor", "intel"),
        ("type", kind),
        ("device", device.as_deref().unwrap_or("")),
        ("address", address.trim_start_matches("0x")),
        ("reason", &number.map(|n| format!("{n:02x}")).unwrap_or_default()),
        ("meaning", meaning),
        ("class", class),
        ("pasid", pasid.trim_start_matches("0x")),
    ]))
}

/// Hexadecimal with `0x`; older kernels print it in decimal.
fn number(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("0x").map(|t| u8::from_str_radix(t, 16).ok());
    hex.unwrap_or_else(|| text.parse().ok())
}

/// Class and meaning of Intel's fault reasons.
fn reason(number: u8) -> (&'static str, &'static str) {
    match number {
        0x01 => ("no-domain", "the root entry of the device's bus is not present"),
        0x02 => ("no-domain", "the context entry of the device is not present"),
        0x03 => ("table", "the context entry is invalid"),
        0x04 => ("other", "the address is beyond the width the IOMMU translates"),
        0x05 | 0x85 => ("permission", "a write to an address that is not mapped for writing"),
        0x06 | 0x86 => ("permission", "a read of an address that is not mapped for reading"),
        0x07..=0x09 => ("table", "a pointer to a root, context or page table is invalid"),
        0x0a..=0x0c => ("table", "reserved bits are set in a table"),
        0x0d => ("other", "translation requests (ATS) are blocked for this device"),
        0x20 => ("interrupt", "reserved bits are set in a remappable interrupt request"),
        0x21 => ("interrupt", "the index is beyond the interrupt remapping table"),
        0x22 => ("interrupt", "the entry of the interrupt remapping table is not present"),
        0x23 | 0x24 => ("interrupt", "the interrupt remapping table cannot be used"),
        0x25 => ("interrupt", "an interrupt in compatibility format was blocked"),
        0x26 => ("interrupt", "an interrupt of another device than the entry allows was blocked"),
        0x30..=0x3a => ("no-domain", "the root table has no usable entry for the device's bus"),
        0x40..=0x48 => ("no-domain", "the context table has no usable entry for the device"),
        0x50..=0x5f => ("no-domain", "the PASID tables have no usable entry for the request"),
        0x71 => ("unmapped", "the address is not mapped (first-level tables)"),
        0x79 => ("unmapped", "the address is not mapped (second-level tables)"),
        0x70..=0x7f => ("table", "a page table cannot be used"),
        0x80 | 0x83 | 0x84 => ("other", "the address is beyond the width that is translated"),
        0x87 => ("interrupt", "an interrupt address that is not valid"),
        _ => ("other", "a reason of which the manual gives no other name"),
    }
}

/// AMD's forms: `AMD-Vi: Event logged [IO_PAGE_FAULT device=01:00.0 domain=0x000d ...]`, the same
/// after a line break, and with the device in front: `nvme 0000:01:00.0: AMD-Vi: Event logged [...]`.
fn amd(message: &str) -> Option<Fields> {
    let event =
        message.split_once("Event logged [").map_or(message, |(_, event)| event).trim_start();
    let kind = event.split([' ', ']']).next().filter(|k| is_event(k))?;
    let before = message.split_once(": AMD-Vi:").map(|(before, _)| before);
    let mut named = before.into_iter().flat_map(|b| b.rsplit(' '));
    let of_prefix = named.next().and_then(pci::address);
    let inside = word_after(event, "device=");
    let device = pci::address(inside).or(of_prefix.clone());
    let driver = of_prefix.and(named.next()).filter(|d| !matches!(*d, "pci" | "iommu"));
    let flags = word_after(event, "flags=");
    let bits = flags.strip_prefix("0x").and_then(|f| u16::from_str_radix(f, 16).ok());
    let (class, meaning) = match (kind, bits) {
        ("IO_PAGE_FAULT", Some(bits)) => page_fault(bits),
        ("IO_PAGE_FAULT", None) => ("", ""),
        _ => of_event(kind),
    };
    Some(fields(&[
        ("vendor", "amd"),
        ("type", kind),
        ("device", device.as_deref().unwrap_or("")),
        ("address", word_after(event, "address=").trim_start_matches("0x")),
        ("domain", word_after(event, "domain=")),
        ("pasid", word_after(event, "pasid=").trim_start_matches("0x")),
        ("flags", flags),
        ("class", class),
        ("meaning", meaning),
        ("driver", driver.unwrap_or("")),
    ]))
}

fn is_event(kind: &str) -> bool {
    matches!(
        kind,
        "IO_PAGE_FAULT"
            | "ILLEGAL_DEV_TABLE_ENTRY"
            | "DEV_TAB_HARDWARE_ERROR"
            | "PAGE_TAB_HARDWARE_ERROR"
            | "ILLEGAL_COMMAND_ERROR"
            | "COMMAND_HARDWARE_ERROR"
            | "IOTLB_INV_TIMEOUT"
            | "INVALID_DEVICE_REQUEST"
            | "INVALID_PPR_REQUEST"
            | "RMP_HW_ERROR"
            | "RMP_PAGE_FAULT"
    )
}

fn of_event(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "ILLEGAL_DEV_TABLE_ENTRY" => ("no-domain", "the device table entry is not usable"),
        "DEV_TAB_HARDWARE_ERROR" => ("table", "the device table could not be read"),
        "PAGE_TAB_HARDWARE_ERROR" => ("table", "a page table could not be read"),
        "ILLEGAL_COMMAND_ERROR" => ("table", "the IOMMU does not know a command"),
        "COMMAND_HARDWARE_ERROR" => ("table", "the command buffer could not be read"),
        "IOTLB_INV_TIMEOUT" => {
            ("timeout", "the device did not confirm that it dropped cached translations (ATS)")
        }
        "INVALID_DEVICE_REQUEST" => ("other", "a request of a kind that is not allowed"),
        _ => ("other", ""),
    }
}

/// Bits of the flags: 3 interrupt, 4 present, 5 write, 6 permission, 7 reserved bits set.
fn page_fault(flags: u16) -> (&'static str, &'static str) {
    let bit = |n: u16| flags >> n & 1 == 1;
    match (bit(3), bit(4), bit(5)) {
        (true, ..) => ("interrupt", "an interrupt that the remapping table does not allow"),
        _ if bit(7) => ("table", "reserved bits are set in a table"),
        (_, true, true) => ("permission", "a write to an address that is mapped without the right"),
        (_, true, false) => ("permission", "a read of an address that is mapped without the right"),
        (_, false, true) => ("unmapped", "a write to an address that is not mapped"),
        (_, false, false) => ("unmapped", "a read of an address that is not mapped"),
    }
}

/// Commands that are not confirmed.
fn waits(message: &str) -> Option<Fields> {
    let amd = message.contains("AMD-Vi: Completion-Wait loop timed out");
    let intel = message.contains("Invalidation Time-out Error");
    let (vendor, kind) = match (amd, intel) {
        (true, _) => ("amd", "completion-wait"),
        (_, true) => ("intel", "invalidation-timeout"),
        _ => return None,
    };
    Some(fields(&[
        ("vendor", vendor),
        ("type", kind),
        ("class", "timeout"),
        ("meaning", "the IOMMU waits for an invalidation that is not confirmed"),
    ]))
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let record = fault(line).unwrap_or_default();
        let names = ["type", "device", "address", "reason", "class", "pasid", "flags", "driver"];
        let field = |n: &str| record.fields.get(n).map(|v| format!("{n}={v}"));
        let found: Vec<String> = names.iter().filter_map(|n| field(n)).collect();
        assert_eq!(found.join(" "), expected, "{line}");
    }

    #[test]
    fn intel_over_the_releases() {
        for (line, expected) in [
            (
                "DMAR: [DMA Read] Request device [06:00.0] fault addr ff8a1000 [fault reason 06] PTE Read access is not set",
                "type=read device=0000:06:00.0 address=ff8a1000 reason=06 class=permission",
            ),
            (
                "DMAR: [DMA Write] Request device [03:00.1] PASID ffffffff fault addr 7bad0000 [fault reason 05] PTE Write access is not set",
                "type=write device=0000:03:00.1 address=7bad0000 reason=05 class=permission pasid=ffffffff",
            ),
            (
                "DMAR: [DMA Write NO_PASID] Request device [0x81:0x00.0] fault addr 0xe000 [fault reason 0x02] Present bit in context entry is clear",
                "type=write device=0000:81:00.0 address=e000 reason=02 class=no-domain",
            ),
            (
                "DMAR: [DMA Read PASID 0x12] Request device [00:02.0] fault addr 0x0 [fault reason 0x79] SM: Present bit in second-level paging entry is clear",
                "type=read device=0000:00:02.0 address=0 reason=79 class=unmapped pasid=12",
            ),
            (
                "DMAR: [INTR-REMAP] Request device [f0:1f.7] fault index 8 [fault reason 37] Blocked a compatibility format interrupt request",
                "type=interrupt device=0000:f0:1f.7 reason=25 class=interrupt",
            ),
            (
                "DMAR:[DMA Write] Request device [02:00.0] fault addr bf7f5000 ",
                "type=write device=0000:02:00.0 address=bf7f5000",
            ),
            ("DMAR:[fault reason 05] PTE Write access is not set", "reason=05 class=permission"),
        ] {
            check(line, expected);
        }
    }

    #[test]
    fn amd_in_its_three_forms() {
        for (line, expected) in [
            (
                "IO_PAGE_FAULT device=00:14.0 domain=0x000a address=0x0000000000000180 flags=0x0020]",
                "type=IO_PAGE_FAULT device=0000:00:14.0 address=0000000000000180 class=unmapped flags=0x0020",
            ),
            (
                "AMD-Vi: Event logged [IO_PAGE_FAULT device=01:00.0 domain=0x000d address=0xf8000000 flags=0x0070]",
                "type=IO_PAGE_FAULT device=0000:01:00.0 address=f8000000 class=permission flags=0x0070",
            ),
            (
                "nvme 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000b address=0xb6674000 flags=0x0000]",
                "type=IO_PAGE_FAULT device=0000:01:00.0 address=b6674000 class=unmapped flags=0x0000 driver=nvme",
            ),
            (
                "AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0055 address=0xfffffffdf8000000 flags=0x0008]",
                "type=IO_PAGE_FAULT address=fffffffdf8000000 class=interrupt flags=0x0008",
            ),
            (
                "iommu ivhd0: AMD-Vi: Event logged [IOTLB_INV_TIMEOUT device=0000:0b:00.0 address=0x1003c1c40]",
                "type=IOTLB_INV_TIMEOUT device=0000:0b:00.0 address=1003c1c40 class=timeout",
            ),
            (
                "pci 0000:00:00.2: AMD-Vi: Event logged [ILLEGAL_DEV_TABLE_ENTRY device=10:00.0 pasid=0x00000 address=0xfffffffdf8000000 flags=0x0080]",
                "type=ILLEGAL_DEV_TABLE_ENTRY device=0000:10:00.0 address=fffffffdf8000000 class=no-domain pasid=00000 flags=0x0080",
            ),
            ("AMD-Vi: Completion-Wait loop timed out", "type=completion-wait class=timeout"),
        ] {
            check(line, expected);
        }
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "AMD-Vi: Event logged [",
            "DMAR: DRHD: handling fault status reg 3",
            "DMAR: [DMA Read] Request device [zz:00.0] fault addr 0 [fault reason 06] x",
            "dmar_fault: 12 callbacks suppressed",
            "amdgpu: IO_PAGE_FAULTS are counted",
            "",
        ] {
            check(line, "");
        }
    }
}
