//! The tables of released revisions, made from the vendors' files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::files::{self, Firmware};
use crate::cli::args::Microcode;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::evidence::microcode::container::Update;

/// Intel marks revisions for development so.
const DEBUG: u32 = 1 << 31;

/// Writes the table of each vendor that was found.
pub(super) fn update(args: &Microcode) -> anyhow::Result<Exit> {
    let mut found = Firmware::default();
    for input in &args.inputs {
        files::read(input, &mut found)?;
    }
    let faults: usize = found.containers.iter().map(|(_, c)| c.faults.len()).sum();
    for (path, contents) in &found.containers {
        for (at, what) in &contents.faults {
            output::message(&format!("{path}: {what} (byte {at})"));
        }
    }
    // A table with holes would call an old revision the newest.
    anyhow::ensure!(faults == 0, "{faults} faults in the files: nothing was written");
    let updates = || found.containers.iter().flat_map(|(_, c)| c.updates.iter());
    let intel = newest(updates().filter(|u| u.platforms.is_some()));
    let amd = newest(updates().filter(|u| u.platforms.is_none()));
    anyhow::ensure!(!intel.is_empty() || !amd.is_empty(), "no microcode in the input");
    let given = args.release.as_deref();
    anyhow::ensure!(
        given.is_none() || intel.is_empty() || amd.is_empty(),
        "--release names a release of one vendor, and the input has microcode of both"
    );
    let release = given.or(found.release.as_deref());
    let release = release.map_or_else(|| dated("Intel", &intel), |r| with_vendor("Intel", r));
    write(args, "microcode-intel.tsv", &intel_table(&intel, &release), intel.len())?;
    let release = given.map_or_else(|| dated("AMD", &amd), |r| with_vendor("AMD", r));
    write(args, "microcode-amd.tsv", &amd_table(&amd, &release), amd.len())?;
    Ok(Exit::Healthy)
}

/// The newest update for each processor: of Intel per platforms, of AMD with and without a lowest
/// revision under it.
fn newest<'u>(updates: impl Iterator<Item = &'u Update>) -> Vec<&'u Update> {
    let mut newest: BTreeMap<(u32, Option<u32>, bool), &Update> = BTreeMap::new();
    for update in updates.filter(|u| u.revision & DEBUG == 0) {
        let bound = update.platforms.is_none() && update.minimum > 0;
        let kept = newest.entry((update.signature, update.platforms, bound)).or_insert(update);
        if update.revision > kept.revision {
            *kept = update;
        }
    }
    newest.into_values().collect()
}

/// Where no release is named, the newest update dates the table.
fn dated(vendor: &str, updates: &[&Update]) -> String {
    let newest = updates.iter().map(|u| u.date.as_str()).max().unwrap_or_default();
    format!("{vendor}, updates up to {newest}")
}

fn with_vendor(vendor: &str, release: &str) -> String {
    if release.contains(vendor) { release.to_owned() } else { format!("{vendor} {release}") }
}

fn intel_table(updates: &[&Update], release: &str) -> String {
    let mut text = format!(
        "# source: {release}\n# signature\tplatforms\trevision\tdate\tminimum (late loading)\n"
    );
    for u in updates {
        let platforms = u.platforms.unwrap_or(0);
        let (signature, revision, minimum) = (u.signature, u.revision, u.minimum);
        let _ = writeln!(
            text,
            "{signature:08x}\t{platforms:02x}\t{revision:08x}\t{}\t{minimum:08x}",
            u.date
        );
    }
    text
}

fn amd_table(updates: &[&Update], release: &str) -> String {
    let mut text =
        format!("# source: {release}\n# family\tmodel\tstepping\trevision\tdate\tminimum\n");
    for u in updates {
        let (family, model, stepping) = u.family_model_stepping();
        let (revision, minimum) = (u.revision, u.minimum);
        let _ = writeln!(
            text,
            "{family:02x}\t{model:02x}\t{stepping:02x}\t{revision:08x}\t{}\t{minimum:08x}",
            u.date
        );
    }
    text
}

fn write(args: &Microcode, name: &str, text: &str, rows: usize) -> anyhow::Result<()> {
    if rows == 0 {
        return Ok(());
    }
    let path = args.output.join(Path::new(name));
    output::write(text, Some(&path))?;
    output::message(&format!("{rows} revisions written to {}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(signature: u32, platforms: Option<u32>, revision: u32, minimum: u32) -> Update {
        Update { signature, platforms, revision, date: "2024-02-29".into(), minimum, size: 64 }
    }

    #[test]
    fn the_newest_per_platforms_and_per_what_it_asks_of_the_firmware() {
        let all = [
            update(0x506e3, Some(0x36), 0xd6, 0),
            update(0x506e3, Some(0x36), 0xf0, 0),
            update(0x506e3, Some(0x36), 0x8000_0001, 0),
            update(0x506e3, Some(0x01), 0x10, 0),
        ];
        assert_eq!(
            intel_table(&newest(all.iter()), "R"),
            "# source: R\n# signature\tplatforms\trevision\tdate\tminimum (late loading)\n\
             000506e3\t01\t00000010\t2024-02-29\t00000000\n\
             000506e3\t36\t000000f0\t2024-02-29\t00000000\n"
        );
        let all = [
            update(0x00a0_0f11, None, 0x0a00_11d5, 0),
            update(0x00a0_0f11, None, 0x0a00_11d0, 0),
            update(0x00a0_0f11, None, 0x0a00_11de, 0x0a00_11d9),
        ];
        assert_eq!(
            amd_table(&newest(all.iter()), "R"),
            "# source: R\n# family\tmodel\tstepping\trevision\tdate\tminimum\n\
             19\t01\t01\t0a0011d5\t2024-02-29\t00000000\n\
             19\t01\t01\t0a0011de\t2024-02-29\t0a0011d9\n"
        );
    }
}
