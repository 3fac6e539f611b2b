//! Configuration space, as `/sys/bus/pci/devices/*/config` holds it: 64 bytes for anybody, 256 or
//! 4096 for root.
//!
//! PCI Express Base Specification 6.0, 7.5.1 (header), 7.5.3 (Express capability), 7.7.11 (Access
//! Control Services); the bits are named in include/uapi/linux/pci_regs.h. A capability can only be
//! called absent where the part of the space that lists it was read.

use super::Device;
use crate::model::{Piece, Value};

const HEADER_TYPE: usize = 0x0e;
const SECONDARY_BUS: usize = 0x19;
const STATUS: usize = 0x06;
const FIRST_CAPABILITY: usize = 0x34;
/// The extended capabilities begin here.
const EXTENDED: usize = 0x100;
const EXPRESS: u8 = 0x10;
const ACS: u16 = 0x0d;
/// Source validation, request redirect, completion redirect, upstream forwarding.
pub(super) const ISOLATING: u16 = 0x1d;

pub(super) fn parse(piece: Piece<'_>, device: &mut Device<'_>) {
    let space = Space(piece.bytes);
    let Some(header) = space.byte(HEADER_TYPE) else { return };
    if space.word(0) == Some(0xffff) {
        let what = "the device does not answer: its configuration space reads as ones";
        device.out.problem(piece.path, None, what);
        return;
    }
    device.put("pci.multifunction", Value::Bool(header & 0x80 != 0));
    if header & 0x7f == 1
        && let Some(bus) = space.byte(SECONDARY_BUS)
    {
        device.put("pci.secondary", Value::Int(bus.into()));
    }
    let express = space.capability(EXPRESS);
    match express {
        Found::At(at) => {
            if let Some(name) = space.word(at + 2).and_then(|flags| express_type(flags >> 4 & 0xf))
            {
                device.text("pci.express", name);
            }
        }
        Found::Absent => device.text("pci.express", "conventional"),
        Found::NotRead => {}
    }
    if let Found::At(_) = express
        && let Some(acs) = space.acs()
    {
        device.text("pci.acs", acs);
    }
}

fn express_type(number: u16) -> Option<&'static str> {
    Some(match number {
        0 => "endpoint",
        1 => "legacy-endpoint",
        4 => "root-port",
        5 => "upstream-port",
        6 => "downstream-port",
        7 => "pci-bridge",
        8 => "pcie-bridge",
        9 => "integrated-endpoint",
        10 => "event-collector",
        _ => return None,
    })
}

/// What a search for a capability gave.
#[derive(Debug, Clone, Copy)]
enum Found {
    At(usize),
    Absent,
    /// The list was not read to its end.
    NotRead,
}

struct Space<'a>(&'a [u8]);

impl Space<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn word(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte(at)?, self.byte(at.checked_add(1)?)?]))
    }

    fn long(&self, at: usize) -> Option<u32> {
        Some(u32::from(self.word(at)?) | u32::from(self.word(at.checked_add(2)?)?) << 16)
    }

    fn capability(&self, wanted: u8) -> Found {
        self.walk(wanted).unwrap_or(Found::NotRead)
    }

    fn walk(&self, wanted: u8) -> Option<Found> {
        if self.word(STATUS)? & 0x10 == 0 {
            return Some(Found::Absent);
        }
        let mut at = usize::from(self.byte(FIRST_CAPABILITY)? & 0xfc);
        // A list that runs in a circle has an end here.
        for _ in 0..48 {
            if at < 0x40 {
                return Some(Found::Absent);
            }
            if self.byte(at)? == wanted {
                return Some(Found::At(at));
            }
            at = usize::from(self.byte(at + 1)? & 0xfc);
        }
        None
    }

    fn acs(&self) -> Option<&'static str> {
        let mut at = EXTENDED;
        for _ in 0..64 {
            let header = self.long(at)?;
            if header == 0 || header == u32::MAX {
                return Some("absent");
            }
            if header & 0xffff == u32::from(ACS) {
                return Some(state(self.word(at + 6)?));
            }
            at = usize::try_from(header >> 20 & 0xffc).ok()?;
            if at < EXTENDED {
                return Some("absent");
            }
        }
        None
    }
}

/// What the bits that are switched on amount to.
pub(super) fn state(control: u16) -> &'static str {
    if control & ISOLATING == ISOLATING { "isolating" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing::show;
    use crate::model::{Out, Piece};

    fn read(bytes: &[u8]) -> Out {
        let mut out = Out::default();
        let path = "sys/bus/pci/devices/0000:00:1c.0/config";
        parse(Piece { path, bytes, whole: true }, &mut out);
        out
    }

    /// A root port, multi-function, secondary bus 3, with ACS at 0x148.
    fn port(control: u16, length: usize) -> Vec<u8> {
        let mut space = vec![0_u8; 4096];
        space[0..2].copy_from_slice(&[0x86, 0x80]);
        space[6] = 0x10;
        space[0x0e] = 0x81;
        space[0x19] = 3;
        space[0x34] = 0x40;
        // Power management, then Express.
        space[0x40..0x42].copy_from_slice(&[0x01, 0x50]);
        space[0x50..0x54].copy_from_slice(&[0x10, 0x00, 0x42, 0x01]);
        space[0x100..0x104].copy_from_slice(&0x1481_0001_u32.to_le_bytes());
        space[0x148..0x14c].copy_from_slice(&0x0001_000d_u32.to_le_bytes());
        space[0x14e..0x150].copy_from_slice(&control.to_le_bytes());
        space.truncate(length);
        space
    }

    #[test]
    fn a_root_port_with_and_without_isolation() {
        let out = read(&port(0x001d, 4096));
        assert_eq!(show(&out, "pci.multifunction").as_deref(), Some("true"));
        assert_eq!(show(&out, "pci.secondary").as_deref(), Some("3"));
        assert_eq!(show(&out, "pci.express").as_deref(), Some("root-port"));
        assert_eq!(show(&out, "pci.acs").as_deref(), Some("isolating"));
        assert_eq!(show(&read(&port(0x0001, 4096)), "pci.acs").as_deref(), Some("off"));
    }

    #[test]
    fn what_was_not_read_is_not_absent() {
        let out = read(&port(0x1d, 256));
        assert_eq!(show(&out, "pci.express").as_deref(), Some("root-port"));
        assert_eq!(show(&out, "pci.acs"), None);
        let out = read(&port(0x1d, 64));
        assert_eq!(show(&out, "pci.express"), None);
        assert_eq!(show(&out, "pci.multifunction").as_deref(), Some("true"));
    }

    #[test]
    fn broken_spaces() {
        assert!(read(&[]).facts.is_empty());
        assert_eq!(read(&[0xff; 64]).problems.len(), 1);
        let mut circle = port(0x1d, 4096);
        circle[0x41] = 0x40;
        assert_eq!(show(&read(&circle), "pci.express"), None);
        let mut far = port(0x1d, 4096);
        far[0x103] = 0xff;
        assert_eq!(show(&read(&far), "pci.acs"), Some("absent".into()));
    }
}
