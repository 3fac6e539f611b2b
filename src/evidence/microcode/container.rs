//! An update as both vendors' containers and listings give it.

use std::fmt;

/// One microcode update for one kind of processor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Update {
    /// Processor signature, EAX of CPUID leaf 1.
    pub signature: u32,
    /// Intel's platforms, bit n for platform id n; `None` in AMD's containers.
    pub platforms: Option<u32>,
    /// Revision.
    pub revision: u32,
    /// `2024-02-29`; empty where the header holds no date.
    pub date: String,
    /// Lowest revision this one may be loaded on: Intel for late loading only, AMD always. 0: any.
    pub minimum: u32,
    /// Bytes, with header; 0 for a signature in an extended table.
    pub size: u32,
}

/// As `iucode_tool -l` prints it.
impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sig 0x{:08x}", self.signature)?;
        if let Some(mask) = self.platforms {
            write!(f, ", pf_mask 0x{mask:02x}")?;
        }
        write!(f, ", {}, rev 0x{:04x}", self.date, self.revision)?;
        if self.size > 0 {
            write!(f, ", size {}", self.size)?;
        }
        Ok(())
    }
}

impl Update {
    /// Family, model and stepping that the signature encodes.
    pub fn family_model_stepping(&self) -> (u32, u32, u32) {
        family_model_stepping(self.signature)
    }
}

/// Family, model and stepping of a signature (Intel's manual volume 2A, CPUID, figure 3-6; AMD's
/// is the same). The extended model counts for family 6 and for 15 and above.
pub fn family_model_stepping(signature: u32) -> (u32, u32, u32) {
    let part = |shift: u32, mask: u32| (signature >> shift) & mask;
    let (base, model) = (part(8, 0xf), part(4, 0xf));
    let family = if base == 0xf { base + part(20, 0xff) } else { base };
    let extended = if base == 6 || base == 0xf { part(16, 0xf) << 4 } else { 0 };
    (family, model | extended, part(0, 0xf))
}

/// What a container holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Updates in the order of the file.
    pub updates: Vec<Update>,
    /// What is wrong, each with the byte it begins at.
    pub faults: Vec<(usize, &'static str)>,
}

impl Contents {
    pub(super) fn fault(&mut self, at: usize, what: &'static str) {
        self.faults.push((at, what));
    }
}

/// Most updates that are read from one file: the largest real one, all of Intel's in one, has some
/// 250.
pub(super) const MOST: usize = 4096;

/// Reads a container of either vendor; `None` where the bytes are no container at all.
pub fn read(bytes: &[u8]) -> Option<Contents> {
    if super::amd::is_container(bytes) {
        Some(super::amd::read(bytes))
    } else if super::intel::is_container(bytes) {
        Some(super::intel::read(bytes))
    } else {
        None
    }
}

/// A little-endian number of four bytes.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Sum of all words, modulo 2^32.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().fold(0, |sum, word| sum.wrapping_add(u32::from_le_bytes(*word)))
}

/// A date in binary-coded decimal, `mmddyyyy` in hexadecimal digits; empty where it is none.
pub(super) fn date(bcd: u32) -> String {
    let (month, day, year) = (bcd >> 24, (bcd >> 16) & 0xff, bcd & 0xffff);
    let decimal = format!("{bcd:08x}").bytes().all(|b| b.is_ascii_digit());
    if decimal && (1..=0x12).contains(&month) && (1..=0x31).contains(&day) && year > 0 {
        format!("{year:04x}-{month:02x}-{day:02x}")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_both_vendors() {
        assert_eq!(family_model_stepping(0x0005_06e3), (6, 0x5e, 3));
        assert_eq!(family_model_stepping(0x0000_0f4a), (15, 4, 10));
        assert_eq!(family_model_stepping(0x00a0_0f11), (0x19, 1, 1));
        assert_eq!(family_model_stepping(0x0083_0f10), (0x17, 0x31, 0));
        assert_eq!(family_model_stepping(0x00b0_0f21), (0x1a, 2, 1));
    }

    #[test]
    fn dates_are_binary_coded_decimal() {
        assert_eq!(date(0x0229_2024), "2024-02-29");
        for odd in [0, 0x1301_2020, 0x0132_2020, 0x0a01_2020, 0x0101_0000, u32::MAX] {
            assert_eq!(date(odd), "", "{odd:#x}");
        }
    }

    #[test]
    fn prints_like_the_tool_people_know() {
        let update = Update {
            signature: 0x506e3,
            platforms: Some(0x36),
            revision: 0xf0,
            date: "2021-11-12".into(),
            minimum: 0,
            size: 109_568,
        };
        assert_eq!(
            update.to_string(),
            "sig 0x000506e3, pf_mask 0x36, 2021-11-12, rev 0x00f0, size 109568"
        );
    }

    #[test]
    fn other_files_are_no_containers() {
        for bytes in [&b""[..], b"\x01", b"The microcode in this folder is ...", &[0; 4096]] {
            assert_eq!(read(bytes), None);
        }
    }
}
