//! The newest released revisions, and those that are known to break something: tables that are
//! built into the program.
//!
//! `nestdoctor microcode --update` rebuilds the first two from the vendors' files; a test holds
//! that the tables are well-formed. A line that begins with `#` is a comment; the first names the
//! source as `# source: TEXT`.

use std::sync::OnceLock;

use super::processor::{Maker, Processor};

const INTEL: &str = include_str!("../../../rules/tables/microcode-intel.tsv");
const AMD: &str = include_str!("../../../rules/tables/microcode-amd.tsv");
const REGRESSIONS: &str = include_str!("../../../rules/tables/microcode-regressions.tsv");

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) signature: u32,
    /// Intel's platforms; 0 for AMD.
    pub(super) platforms: u32,
    pub(super) revision: u32,
    pub(super) date: String,
    /// Lowest revision under it; of AMD only.
    pub(super) minimum: u32,
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) source: String,
    pub(super) rows: Vec<Row>,
}

/// The newest revision for a processor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) revision: u32,
    pub(super) date: String,
    pub(super) source: &'static str,
    /// It is newer, and nothing newer than what runs can be loaded onto what runs.
    pub(super) needs_firmware: bool,
}

/// What a table says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    One(Newest),
    /// There is no judgement: `unlisted` or `ambiguous`.
    Nothing(&'static str),
}

pub(super) fn intel() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::read(INTEL, of_intel))
}

pub(super) fn amd() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::read(AMD, of_amd))
}

impl Table {
    fn read(text: &str, row: fn(&[&str]) -> Option<Row>) -> Self {
        let source = text.lines().find_map(|l| l.strip_prefix("# source: "));
        let lines = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
        let rows = lines.filter_map(|line| row(&line.split('\t').collect::<Vec<_>>())).collect();
        Self { source: source.unwrap_or_default().to_owned(), rows }
    }
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// `signature platforms revision date minimum`
fn of_intel(fields: &[&str]) -> Option<Row> {
    let [signature, platforms, revision, date, _late] = fields else { return None };
    Some(Row {
        signature: hex(signature)?,
        platforms: hex(platforms)?,
        revision: hex(revision)?,
        date: (*date).to_owned(),
        // Intel's minimum is for late loading; at boot any revision can be replaced.
        minimum: 0,
    })
}

/// `family model stepping revision date minimum`
fn of_amd(fields: &[&str]) -> Option<Row> {
    let [family, model, stepping, revision, date, minimum] = fields else { return None };
    let (family, model, stepping) = (hex(family)?, hex(model)?, hex(stepping)?);
    let signature = family.checked_sub(0xf)? << 20
        | (model >> 4) << 16
        | 0xf << 8
        | (model & 0xf) << 4
        | stepping;
    Some(Row {
        signature,
        platforms: 0,
        revision: hex(revision)?,
        date: (*date).to_owned(),
        minimum: hex(minimum)?,
    })
}

/// The newest revision that was released for a processor which runs `running`.
pub(super) fn newest(processor: &Processor, running: u32) -> Found {
    let table = match processor.maker {
        Maker::Intel => intel(),
        Maker::Amd => amd(),
    };
    let signature = processor.signature.0;
    let rows: Vec<&Row> = table.rows.iter().filter(|r| r.signature == signature).collect();
    let fitting: Vec<&Row> = match rows.iter().map(|r| processor.is_on(r.platforms)).collect() {
        Some(fits) => {
            let fits: Vec<bool> = fits;
            rows.iter().zip(fits).filter(|(_, fits)| *fits).map(|(row, _)| *row).collect()
        }
        None if rows.windows(2).any(|w| w[0].revision != w[1].revision) => {
            return Found::Nothing("ambiguous");
        }
        None => rows,
    };
    let Some(newest) = fitting.iter().max_by_key(|r| r.revision) else {
        return Found::Nothing("unlisted");
    };
    let loadable = fitting.iter().any(|r| r.minimum <= running && r.revision > running);
    Found::One(Newest {
        revision: newest.revision,
        date: newest.date.clone(),
        source: &table.source,
        needs_firmware: newest.revision > running && !loadable,
    })
}

/// Whether platforms that share the processor's signature have different revisions.
pub(super) fn depends_on_platform(processor: &Processor) -> bool {
    let rows = || intel().rows.iter().filter(|r| r.signature == processor.signature.0);
    let first = rows().next().map(|r| r.revision);
    processor.maker == Maker::Intel && rows().any(|r| Some(r.revision) != first)
}

/// What a revision is known to break, with where that is said.
pub(super) fn regression(signature: u32, revision: u32) -> Option<String> {
    let lines = REGRESSIONS.lines().filter(|l| !l.starts_with('#'));
    lines.into_iter().find_map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [of, bad, what, reference] = fields.as_slice() else { return None };
        (hex(of)? == signature && hex(bad)? == revision).then(|| format!("{what} ({reference})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_understood() {
        let lines =
            |text: &str| text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).count();
        assert_eq!(intel().rows.len(), lines(INTEL));
        assert_eq!(amd().rows.len(), lines(AMD));
        assert!(lines(INTEL) >= 227 && lines(AMD) >= 39, "the tables are not cut");
        assert!(intel().source.contains("20") && amd().source.contains("20"), "dated");
        for row in intel().rows.iter().chain(&amd().rows) {
            // One patch of family 12h has a date that is none.
            let dated = row.date.len() == 10 || row.signature == 0x0030_0f10;
            assert!(row.revision > 0 && dated, "{row:?}");
        }
        for line in REGRESSIONS.lines().filter(|l| !l.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(fields.len(), 4, "{line}");
            assert!(hex(fields[0]).is_some() && hex(fields[1]).is_some(), "{line}");
            assert!(fields[3].starts_with("https://"), "{line}");
        }
    }

    #[test]
    fn revisions_that_hang() {
        assert!(regression(0x0004_06e3, 0xdc).is_some_and(|r| r.contains("hang")));
        assert_eq!(regression(0x0004_06e3, 0xd6), None);
    }
}
