//! Intel's microcode updates: several, back to back, each with a header of 48 bytes.
//!
//! Layout and checks: Intel SDM volume 3A, "Microcode Update Facilities" (tables of the header and of
//! the extended signature table); arch/x86/kernel/cpu/microcode/intel.c and
//! arch/x86/include/asm/microcode.h, where the first reserved word is the lowest revision that late
//! loading accepts.
//!
//! Not read: the data itself, which is encrypted.

use super::container::{Contents, MOST, Update, date, sum, word};

const HEADER: usize = 48;
/// Size of the data where the header says 0.
const DATA: u32 = 2000;
const TABLE_HEADER: usize = 20;
const TABLE_ENTRY: usize = 12;

/// Whether an update of Intel begins here: versions of header and loader are both 1.
pub(super) fn is_container(bytes: &[u8]) -> bool {
    word(bytes, 0) == Some(1) && word(bytes, 20) == Some(1)
}

/// Reads all updates. What cannot be trusted to give the place of the next one ends the file.
pub(super) fn read(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        // Files are padded to what a loader reads at once.
        if rest.iter().all(|b| *b == 0) {
            break;
        }
        if contents.updates.len() >= MOST {
            contents.fault(at, "more updates than any real file has: the rest is not read");
            break;
        }
        match Header::read(rest) {
            Ok(header) => {
                let update = rest.get(..header.total).unwrap_or_default();
                header.updates(update, at, &mut contents);
                at = at.saturating_add(header.total);
            }
            Err(what) => {
                contents.fault(at, what);
                break;
            }
        }
    }
    contents
}

struct Header {
    main: Update,
    checksum: u32,
    data: usize,
    total: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() < HEADER {
            return Err("cut off inside the header of an update");
        }
        if !is_container(bytes) {
            return Err("no header of an Intel microcode update");
        }
        let field = |index: usize| word(bytes, index * 4).unwrap_or(0);
        let (data, total) = match (field(7), field(8)) {
            (0, _) => (DATA, DATA.saturating_add(48)),
            sizes => sizes,
        };
        if !data.is_multiple_of(4) || !total.is_multiple_of(4) {
            return Err("the sizes in the header are no multiple of four");
        }
        let size = total;
        let (Ok(data), Ok(total)) = (usize::try_from(data), usize::try_from(total)) else {
            return Err("the sizes in the header are absurd");
        };
        if data.checked_add(HEADER).is_none_or(|needed| needed > total) {
            return Err("the header says that the data is larger than the update");
        }
        if total > bytes.len() {
            return Err("cut off: the update is longer than the file");
        }
        let main = Update {
            signature: field(3),
            platforms: Some(field(6)),
            revision: field(1),
            date: date(field(2)),
            minimum: field(9),
            size,
        };
        Ok(Self { main, checksum: field(4), data, total })
    }

    /// Adds what the checksums vouch for.
    fn updates(&self, bytes: &[u8], at: usize, contents: &mut Contents) {
        let (body, table) = bytes.split_at_checked(HEADER + self.data).unwrap_or((bytes, &[]));
        if sum(body) != 0 {
            contents.fault(at, "the checksum of the update is wrong");
            return;
        }
        contents.updates.push(self.main.clone());
        if !table.is_empty() {
            self.extended(table, at + body.len(), contents);
        }
    }

    /// The table of further signatures: the same update fits them too.
    fn extended(&self, table: &[u8], at: usize, contents: &mut Contents) {
        let count = word(table, 0).and_then(|n| usize::try_from(n).ok());
        let size = count
            .and_then(|n| n.checked_mul(TABLE_ENTRY))
            .and_then(|n| n.checked_add(TABLE_HEADER));
        if size != Some(table.len()) {
            contents.fault(at, "the extended signature table has another size than it says");
            return;
        }
        if sum(table) != 0 {
            contents.fault(at, "the checksum of the extended signature table is wrong");
            return;
        }
        let whole = |signature: u32, platforms: u32, checksum: u32| {
            signature.wrapping_add(platforms).wrapping_add(checksum)
        };
        let own = whole(self.main.signature, self.main.platforms.unwrap_or(0), self.checksum);
        let entries = table.get(TABLE_HEADER..).unwrap_or_default().chunks_exact(TABLE_ENTRY);
        for (index, entry) in entries.take(MOST).enumerate() {
            let field = |index: usize| word(entry, index * 4).unwrap_or(0);
            let (signature, platforms) = (field(0), field(1));
            if whole(signature, platforms, field(2)) != own {
                let place = at + TABLE_HEADER + index * TABLE_ENTRY;
                contents.fault(place, "the checksum of an extended signature is wrong");
            } else if (signature, Some(platforms)) != (self.main.signature, self.main.platforms) {
                let platforms = Some(platforms);
                contents.updates.push(Update {
                    signature,
                    platforms,
                    size: 0,
                    ..self.main.clone()
                });
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    /// The number that makes the sum of all words 0.
    fn balance(words: &[u32]) -> u32 {
        words.iter().fold(0u32, |sum, w| sum.wrapping_add(*w)).wrapping_neg()
    }

    /// An update of 48 + 16 bytes, written down from the manual's table.
    pub(crate) fn update(signature: u32, mask: u32, revision: u32, bcd: u32) -> Vec<u8> {
        let mut words = vec![1, revision, bcd, signature, 0, 1, mask, 16, 64, 0, 0, 0];
        words.extend([0xdead_beef, 0, 7, 0xffff_fff0]);
        words[4] = balance(&words);
        bytes(&words)
    }

    /// The same with a table of further signatures.
    fn extended(entries: &[(u32, u32)]) -> Vec<u8> {
        let table = u32::try_from(20 + 12 * entries.len()).unwrap();
        let mut words =
            vec![1, 0x430, 0x0501_2024, 0x90672, 0, 1, 7, 16, 64 + table, 0x41c, 0, 0, 1, 2, 3, 4];
        words[4] = balance(&words);
        let own = words[3].wrapping_add(words[6]).wrapping_add(words[4]);
        let mut table = vec![u32::try_from(entries.len()).unwrap(), 0, 0, 0, 0];
        for (signature, mask) in entries {
            table.extend([*signature, *mask, own.wrapping_sub(*signature).wrapping_sub(*mask)]);
        }
        table[1] = balance(&table);
        words.extend(table);
        bytes(&words)
    }

    fn seen(contents: &Contents) -> Vec<(u32, Option<u32>, u32)> {
        contents.updates.iter().map(|u| (u.signature, u.platforms, u.revision)).collect()
    }

    #[test]
    fn updates_back_to_back() {
        let mut file = update(0xf4a, 0x5d, 2, 0x0610_2005);
        file.extend(update(0xf4a, 0x5c, 4, 0x1214_2005));
        let contents = read(&file);
        assert_eq!(contents.faults, []);
        assert_eq!(seen(&contents), [(0xf4a, Some(0x5d), 2), (0xf4a, Some(0x5c), 4)]);
        assert_eq!(contents.updates[1].date, "2005-12-14");
        assert_eq!(contents.updates[1].size, 64);
    }

    #[test]
    fn old_updates_say_0_for_their_size() {
        let mut words = vec![1, 0x45, 0x0525_1999, 0x650, 0, 1, 8, 0, 0, 0, 0, 0];
        words.extend(vec![0x0101_0101; 500]);
        words[4] = balance(&words);
        let contents = read(&bytes(&words));
        assert_eq!(contents.faults, []);
        assert_eq!(seen(&contents), [(0x650, Some(8), 0x45)]);
        assert_eq!(contents.updates[0].size, 2048);
    }

    #[test]
    fn an_extended_table_names_more_processors() {
        let contents = read(&extended(&[(0x90672, 7), (0x90675, 7), (0xb06f2, 7)]));
        assert_eq!(contents.faults, []);
        let found = [0x90672, 0x90675, 0xb06f2].map(|s| (s, Some(7), 0x430));
        assert_eq!(seen(&contents), found);
        assert_eq!(contents.updates[2].minimum, 0x41c);
    }

    #[test]
    fn a_wrong_checksum_costs_that_update_only() {
        let mut file = update(0x506e3, 0x36, 0xd6, 0x1003_2019);
        file[50] ^= 1;
        file.extend(update(0x506e3, 0x36, 0xf0, 0x1112_2021));
        let contents = read(&file);
        assert_eq!(contents.faults, [(0, "the checksum of the update is wrong")]);
        assert_eq!(seen(&contents), [(0x506e3, Some(0x36), 0xf0)]);
    }

    #[test]
    fn each_part_of_an_extended_table_is_checked() {
        let good = extended(&[(0x90672, 7), (0x90675, 7)]);
        let flipped = |at: usize| {
            let mut file = good.clone();
            file[at] ^= 1;
            read(&file)
        };
        let whole = (64, "the checksum of the extended signature table is wrong");
        assert_eq!(flipped(76).faults, [whole]);
        let size = (64, "the extended signature table has another size than it says");
        assert_eq!(flipped(64).faults, [size]);
        // Two errors that balance each other are found at the entry.
        let mut file = good.clone();
        file[84 + 12] ^= 1;
        file[84 + 12] &= 0xfe;
        let lost = u32::from(good[84 + 12]) - u32::from(file[84 + 12]);
        let reserved = 64 + 8;
        file[reserved..reserved + 4].copy_from_slice(&lost.to_le_bytes());
        let entry = (96, "the checksum of an extended signature is wrong");
        assert_eq!(read(&file).faults, [entry]);
        assert_eq!(seen(&read(&file)), [(0x90672, Some(7), 0x430)]);
    }

    #[test]
    fn cut_at_every_byte() {
        let mut file = extended(&[(0x90672, 7), (0x90675, 7)]);
        let first = file.len();
        file.extend(update(0x506e3, 0x36, 0xf0, 0x1112_2021));
        for end in 0..file.len() {
            let contents = read(&file[..end]);
            let expected = if end < first { 0 } else { 2 };
            assert_eq!(contents.updates.len(), expected, "{end}");
            assert_eq!(contents.faults.is_empty(), end == 0 || end == first, "{end}");
        }
        assert_eq!(read(&file).updates.len(), 3);
    }

    #[test]
    fn absurd_sizes_end_the_file() {
        let good = update(0x506e3, 0x36, 0xf0, 0x1112_2021);
        for (data, total) in [
            (u32::MAX, 64),
            (16, u32::MAX),
            (u32::MAX - 47, u32::MAX),
            (16, 0),
            (16, 60),
            (16, 63),
            (18, 66),
        ] {
            let mut file = good.clone();
            file[28..32].copy_from_slice(&u32::to_le_bytes(data));
            file[32..36].copy_from_slice(&u32::to_le_bytes(total));
            let contents = read(&file);
            assert_eq!((contents.updates.len(), contents.faults.len()), (0, 1), "{data} {total}");
        }
    }

    #[test]
    fn padding_is_no_update() {
        let mut file = update(0x506e3, 0x36, 0xf0, 0x1112_2021);
        file.extend([0; 960]);
        assert_eq!(read(&file).faults, []);
        assert_eq!(read(&file).updates.len(), 1);
    }
}
