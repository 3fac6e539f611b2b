//! What firmware says the machine is: SMBIOS strings, or the device tree's model.
//!
//! `/sys/class/dmi/id/*` (drivers/firmware/dmi-id.c), dmidecode(8) after the SMBIOS specification
//! (DSP0134), `/sys/firmware/devicetree/base/model`.
//!
//! A string that is empty or that dmidecode shows as `Not Specified` makes no fact; a maker's
//! filler such as `To Be Filled By O.E.M.` is what the firmware says, and stays.
//!
//! Not parsed: serial numbers, memory modules, slots.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Identity of the machine from its firmware.
pub const SLICE: Slice = Slice { name: "dmi", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/class/dmi/id/*_vendor"),
    Want::file("sys/class/dmi/id/product_name"),
    Want::file("sys/class/dmi/id/product_version"),
    Want::file("sys/class/dmi/id/product_uuid"),
    Want::file("sys/class/dmi/id/board_name"),
    Want::file("sys/class/dmi/id/*_asset_tag"),
    Want::file("sys/class/dmi/id/bios_version"),
    // sosreport keeps the folder that the class link leads to.
    Want::given("sys/devices/virtual/dmi/id/*"),
    Want::command(
        "dmidecode",
        &["dmidecode", "-t", "bios,system,baseboard,chassis"],
        &["dmidecode", "sos_commands/hardware/dmidecode"],
    ),
    Want::file("sys/firmware/devicetree/base/model"),
    Want::given("proc/device-tree/model"),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "dmi.sys_vendor",
        Kind::Text,
        "Maker of the system",
        "cat /sys/class/dmi/id/sys_vendor",
    ),
    FactDef::new(
        "dmi.product_name",
        Kind::Text,
        "Product name of the system",
        "cat /sys/class/dmi/id/product_name",
    ),
    FactDef::new(
        "dmi.product_version",
        Kind::Text,
        "Version of the system",
        "cat /sys/class/dmi/id/product_version",
    ),
    FactDef::new(
        "dmi.product_uuid",
        Kind::Text,
        "UUID of the system, in lower case; of a guest its domain's",
        "sudo cat /sys/class/dmi/id/product_uuid",
    ),
    FactDef::new(
        "dmi.board_vendor",
        Kind::Text,
        "Maker of the board",
        "cat /sys/class/dmi/id/board_vendor",
    ),
    FactDef::new(
        "dmi.board_name",
        Kind::Text,
        "Name of the board",
        "cat /sys/class/dmi/id/board_name",
    ),
    FactDef::new(
        "dmi.board_asset_tag",
        Kind::Text,
        "Asset tag of the board; on EC2 the instance",
        "cat /sys/class/dmi/id/board_asset_tag",
    ),
    FactDef::new(
        "dmi.bios_vendor",
        Kind::Text,
        "Maker of the firmware",
        "cat /sys/class/dmi/id/bios_vendor",
    ),
    FactDef::new(
        "dmi.bios_version",
        Kind::Text,
        "Version of the firmware",
        "cat /sys/class/dmi/id/bios_version",
    ),
    FactDef::new(
        "dmi.chassis_asset_tag",
        Kind::Text,
        "Asset tag of the chassis; clouds put their mark here",
        "cat /sys/class/dmi/id/chassis_asset_tag",
    ),
    FactDef::new(
        "dmi.chassis_vendor",
        Kind::Text,
        "Maker of the chassis",
        "cat /sys/class/dmi/id/chassis_vendor",
    ),
    FactDef::new(
        "dmi.device_tree_model",
        Kind::Text,
        "Model of a machine without SMBIOS",
        "cat /sys/firmware/devicetree/base/model",
    ),
];

/// dmidecode's section and field, the file of sysfs, and the fact.
const STRINGS: &[(&str, &str, &str, &str)] = &[
    ("System Information", "Manufacturer", "sys_vendor", "dmi.sys_vendor"),
    ("System Information", "Product Name", "product_name", "dmi.product_name"),
    ("System Information", "Version", "product_version", "dmi.product_version"),
    ("System Information", "UUID", "product_uuid", "dmi.product_uuid"),
    ("Base Board Information", "Manufacturer", "board_vendor", "dmi.board_vendor"),
    ("Base Board Information", "Product Name", "board_name", "dmi.board_name"),
    ("Base Board Information", "Asset Tag", "board_asset_tag", "dmi.board_asset_tag"),
    ("BIOS Information", "Vendor", "bios_vendor", "dmi.bios_vendor"),
    ("BIOS Information", "Version", "bios_version", "dmi.bios_version"),
    ("Chassis Information", "Asset Tag", "chassis_asset_tag", "dmi.chassis_asset_tag"),
    ("Chassis Information", "Manufacturer", "chassis_vendor", "dmi.chassis_vendor"),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    if piece.path.starts_with("commands/") {
        return dmidecode(piece, out);
    }
    // Device tree strings end with a NUL.
    let text = piece.text();
    let line = text.lines().next().unwrap_or_default();
    let name = match piece.file_name() {
        "model" => Some("dmi.device_tree_model"),
        file => STRINGS.iter().find(|(.., f, _)| *f == file).map(|(.., name)| *name),
    };
    if let Some(name) = name {
        add(name, line, Origin::new(piece.path, Some(1), line.trim_matches('\0')), out);
    }
}

fn add(name: &'static str, value: &str, origin: Origin, out: &mut Out) {
    let value = value.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    if value.is_empty() {
        return;
    }
    let value = if name == "dmi.product_uuid" {
        // dmidecode and old kernels print capitals, libvirt does not.
        value.to_ascii_lowercase()
    } else {
        value.to_owned()
    };
    out.fact(name, Value::Text(value), origin);
}

/// Sections have no indentation, their fields have one tab. The first section of a kind counts: a
/// blade lists its neighbours' boards after its own.
fn dmidecode(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut section = "";
    let mut done: Vec<&str> = Vec::new();
    let mut understood = false;
    for (number, line) in (1u32..).zip(text.lines()) {
        if !line.starts_with(char::is_whitespace) {
            section = line.trim();
            understood |= STRINGS.iter().any(|(s, ..)| *s == section);
            continue;
        }
        let Some((field, value)) = line.split_once(':') else { continue };
        let found = STRINGS.iter().find(|(s, f, ..)| *s == section && *f == field.trim());
        let Some((.., name)) = found.filter(|(.., name)| !done.contains(name)) else { continue };
        done.push(name);
        if value.trim() != "Not Specified" {
            add(name, value, Origin::new(piece.path, Some(number), line), out);
        }
    }
    if understood || text.trim().is_empty() {
        return;
    }
    let refused = text.contains("Permission denied") || text.contains("Operation not permitted");
    let what =
        if refused { "dmidecode was refused: it needs root" } else { "no section was found" };
    out.problem(piece.path, None, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> Vec<(&'static str, String)> {
        let mut out = Out::default();
        parse(Piece { path, bytes: text.as_bytes(), whole: true }, &mut out);
        assert!(out.problems.is_empty());
        out.facts.iter().map(|f| (f.name, f.value.to_string())).collect()
    }

    #[test]
    fn files_of_both_places() {
        let vendor = |path| read(path, "Microsoft Corporation\n");
        let expected = [("dmi.sys_vendor", "Microsoft Corporation".to_owned())];
        assert_eq!(vendor("sys/class/dmi/id/sys_vendor"), expected);
        assert_eq!(vendor("sys/devices/virtual/dmi/id/sys_vendor"), expected);
        assert_eq!(read("sys/class/dmi/id/chassis_asset_tag", "  \n"), []);
        assert_eq!(read("sys/devices/virtual/dmi/id/uevent", "MODALIAS=x\n"), []);
        assert_eq!(
            read("sys/firmware/devicetree/base/model", "Some Board 5\0"),
            [("dmi.device_tree_model", "Some Board 5".to_owned())]
        );
    }

    #[test]
    fn dmidecode_takes_the_first_section_of_a_kind() {
        let text = "# dmidecode 3.3\nHandle 0x0100, DMI type 1, 27 bytes\nSystem Information\n\
                    \tManufacturer: QEMU\n\tVersion: Not Specified\n\tUUID: ABCD1234-0000-0000-0000-000000000001\n\n\
                    Handle 0x0200, DMI type 2\nBase Board Information\n\tManufacturer: One\n\n\
                    Base Board Information\n\tManufacturer: Two\n";
        assert_eq!(
            read("commands/dmidecode.txt", text),
            [
                ("dmi.sys_vendor", "QEMU".to_owned()),
                ("dmi.product_uuid", "abcd1234-0000-0000-0000-000000000001".to_owned()),
                ("dmi.board_vendor", "One".to_owned()),
            ]
        );
    }

    #[test]
    fn a_refusal_is_a_problem_and_no_machine() {
        let mut out = Out::default();
        let bytes = b"/dev/mem: Permission denied\n";
        parse(Piece { path: "commands/dmidecode.txt", bytes, whole: true }, &mut out);
        assert!(out.facts.is_empty());
        assert!(out.problems[0].what.contains("root"));
    }
}
