//! AMD's microcode containers: a table of equivalent processors, then patches; several containers
//! may follow each other.
//!
//! Layout: arch/x86/kernel/cpu/microcode/amd.c and internal.h. From family 17h on the number of a
//! patch itself encodes the processor, so the table is not needed there (`union zen_patch_rev` of
//! Linux 6.14). Where the header's checksum is not 0 in these families it is the lowest revision on
//! which the loader in the processor accepts the patch, as linux-firmware's amd-ucode/README has
//! it ("Minimum base ucode version for loading"): firmware without the fix for AMD-SB-7033 cannot
//! load the patches that are signed anew.
//!
//! Not read: the patches themselves, which carry their own signature; the headers have no checksum
//! that could be verified.

use super::container::{Contents, MOST, Update, date, word};

const MAGIC: &[u8] = b"DMA\0";
const CONTAINER: usize = 12;
const ENTRY: usize = 16;
const SECTION: usize = 8;
const PATCH_HEADER: usize = 64;
/// Type of the section with the table.
const TABLE: u32 = 0;
/// Type of a section with a patch.
const PATCH: u32 = 1;
/// From this family on the number of a patch encodes the processor.
const ZEN: u32 = 0x17;

/// Whether a container of AMD begins here.
pub(super) fn is_container(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads all containers of a file.
pub(super) fn read(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut at = 0;
    while bytes.get(at..).is_some_and(is_container) {
        match container(bytes, at, &mut contents) {
            Some(end) => at = end,
            None => return contents,
        }
    }
    if bytes.get(at..).is_some_and(|rest| rest.iter().any(|b| *b != 0)) {
        contents.fault(at, "neither a patch nor another container");
    }
    contents
}

/// Reads one container; answers where it ends, or `None` where that cannot be told.
fn container(bytes: &[u8], at: usize, contents: &mut Contents) -> Option<usize> {
    let (kind, length) = (word(bytes, at + 4), length(bytes, at + 8));
    let (Some(kind), Some(length)) = (kind, length) else {
        contents.fault(at, "cut off inside the header of the container");
        return None;
    };
    if kind != TABLE {
        contents.fault(at, "the container does not begin with a table of equivalent processors");
        return None;
    }
    let start = at + CONTAINER;
    let Some(table) = start.checked_add(length).and_then(|end| bytes.get(start..end)) else {
        contents.fault(at, "cut off inside the table of equivalent processors");
        return None;
    };
    let mut at = start + length;
    while word(bytes, at) == Some(PATCH) {
        if contents.updates.len() >= MOST {
            contents.fault(at, "more patches than any real file has: the rest is not read");
            return None;
        }
        let start = at + SECTION;
        let patch = self::length(bytes, at + 4).and_then(|length| {
            let end = start.checked_add(length)?;
            Some((bytes.get(start..end)?, end))
        });
        let Some((patch, end)) = patch else {
            contents.fault(at, "cut off: the patch is longer than the file");
            return None;
        };
        add(patch, table, at, contents);
        at = end;
    }
    Some(at)
}

fn length(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(word(bytes, at)?).ok()
}

fn add(patch: &[u8], table: &[u8], at: usize, contents: &mut Contents) {
    if patch.len() < PATCH_HEADER {
        contents.fault(at, "the patch is shorter than its header");
        return;
    }
    let field = |at: usize| word(patch, at).unwrap_or(0);
    let (revision, equivalent) = (field(4), field(24) & 0xffff);
    let mut signatures: Vec<u32> = Vec::new();
    for entry in table.chunks_exact(ENTRY) {
        let installed = word(entry, 0).unwrap_or(0);
        let stands_for = word(entry, 12).unwrap_or(0) & 0xffff;
        if installed != 0 && stands_for == equivalent && !signatures.contains(&installed) {
            signatures.push(installed);
        }
    }
    if signatures.is_empty() {
        signatures.extend(encoded(revision));
    }
    if signatures.is_empty() {
        contents.fault(at, "no processor is named that the patch is for");
    }
    for signature in signatures {
        let zen = super::container::family_model_stepping(signature).0 >= ZEN;
        contents.updates.push(Update {
            signature,
            platforms: None,
            revision,
            date: date(field(0)),
            minimum: if zen { field(12) } else { 0 },
            size: u32::try_from(patch.len()).unwrap_or(u32::MAX),
        });
    }
}

/// The processor that the number of a patch encodes: extended family in bits 31 to 24, extended
/// model 23 to 20, model 15 to 12, stepping 11 to 8. `None` below family 17h.
fn encoded(revision: u32) -> Option<u32> {
    let part = |shift: u32, mask: u32| (revision >> shift) & mask;
    let extended_family = part(24, 0xff);
    let (extended_model, model, stepping) = (part(20, 0xf), part(12, 0xf), part(8, 0xf));
    let signature = extended_family << 20 | extended_model << 16 | 0xf << 8 | model << 4 | stepping;
    (0xf + extended_family >= ZEN).then_some(signature)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn patch(bcd: u32, id: u32, equivalent: u32, checksum: u32) -> Vec<u8> {
        let mut section = words(&[1, 72, bcd, id, 0x8004, checksum, 0, 0, equivalent, 0]);
        section.resize(8 + 72, 0xaa);
        section
    }

    /// A container with the entries (processor, number) and sections that follow.
    pub(crate) fn file(entries: &[(u32, u32)], patches: &[Vec<u8>]) -> Vec<u8> {
        let length = u32::try_from(16 * (entries.len() + 1)).unwrap();
        let mut file = b"DMA\0".to_vec();
        file.extend(words(&[0, length]));
        for (processor, number) in entries {
            file.extend(words(&[*processor, 0, 0, *number]));
        }
        file.extend(words(&[0; 4]));
        file.extend(patches.concat());
        file
    }

    /// A container with one patch for Milan B1.
    pub(crate) fn milan(id: u32, minimum: u32) -> Vec<u8> {
        file(&[(0x00a0_0f11, 0xa011)], &[patch(0x0418_2025, id, 0xa011, minimum)])
    }

    fn seen(contents: &Contents) -> Vec<(u32, u32, u32)> {
        contents.updates.iter().map(|u| (u.signature, u.revision, u.minimum)).collect()
    }

    #[test]
    fn one_patch_may_fit_several_processors_and_one_processor_several_patches() {
        let entries = [(0x00a0_0f11, 0xa011), (0x0010_0f43, 0x1043), (0x0010_0f63, 0x1043)];
        let contents = read(&file(
            &entries,
            &[
                patch(0x0223_2024, 0x0a00_11d5, 0xa011, 0),
                patch(0x0418_2025, 0x0a00_11de, 0xa011, 0x0a00_11d9),
                patch(0x0311_2010, 0x0100_00c8, 0x1043, 0xef77_996a),
            ],
        ));
        assert_eq!(contents.faults, []);
        assert_eq!(
            seen(&contents),
            [
                (0x00a0_0f11, 0x0a00_11d5, 0),
                (0x00a0_0f11, 0x0a00_11de, 0x0a00_11d9),
                (0x0010_0f43, 0x0100_00c8, 0),
                (0x0010_0f63, 0x0100_00c8, 0),
            ]
        );
        assert_eq!(contents.updates[0].date, "2024-02-23");
        assert_eq!(contents.updates[0].platforms, None);
    }

    #[test]
    fn the_number_of_a_patch_stands_in_for_the_table() {
        let contents = read(&file(&[], &[patch(0x1218_2023, 0x0830_107c, 0x8310, 0)]));
        assert_eq!(seen(&contents), [(0x0083_0f10, 0x0830_107c, 0)]);
        let old = read(&file(&[], &[patch(0x0206_2018, 0x0600_0852, 0x6020, 0)]));
        assert_eq!(seen(&old), []);
        assert_eq!(old.faults.len(), 1);
    }

    #[test]
    fn containers_follow_each_other() {
        let mut both = milan(0x0a00_11d5, 0);
        let second = both.len();
        both.extend(file(&[(0x0083_0f10, 0x8310)], &[patch(0, 0x0830_107c, 0x8310, 0)]));
        assert_eq!(read(&both).updates.len(), 2);
        assert_eq!(read(&both).updates[1].date, "");
        both.truncate(second);
        both.extend(b"garbage");
        assert_eq!(read(&both).faults, [(second, "neither a patch nor another container")]);
    }

    #[test]
    fn cut_at_every_byte() {
        let one = patch(0x0418_2025, 0x0a00_11de, 0xa011, 0);
        let whole = file(&[(0x00a0_0f11, 0xa011)], &[one.clone(), one]);
        for end in 4..whole.len() {
            let contents = read(&whole[..end]);
            // The table ends at 44, each section is 80 bytes long.
            let expected = usize::from(end >= 124);
            assert_eq!(contents.updates.len(), expected, "{end}");
            let border = end == 44 || end == 124;
            assert_eq!(contents.faults.is_empty(), border, "{end}");
        }
        assert_eq!(read(&whole).updates.len(), 2);
    }

    #[test]
    fn absurd_sizes_and_types() {
        for (at, value) in [(4, 2), (8, u32::MAX), (8, 1 << 30), (48, u32::MAX), (48, 20)] {
            let mut broken = milan(0x0a00_11d5, 0);
            broken[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
            let contents = read(&broken);
            assert_eq!(contents.updates, [], "{at} {value:#x}");
            assert!(!contents.faults.is_empty(), "{at} {value:#x}");
        }
    }
}
