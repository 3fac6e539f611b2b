//! Files of microcode, wherever they lie: a folder, an archive, a single file.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use anyhow::Context as _;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::evidence::microcode::container::{self, Contents};
use crate::model::{Gap, Problem, Want};
use crate::source::{self, Found, Sink, SourceError, Wanted};

/// Longest container that is read: all of Intel's in one file have some 25 MB.
const LONGEST: u64 = 64 << 20;

/// What was found in an input.
#[derive(Default)]
pub(super) struct Firmware {
    /// Containers by their path in the input.
    pub(super) containers: Vec<(String, Contents)>,
    /// The release that Intel's notes name first, e.g. `microcode-20251111`.
    pub(super) release: Option<String>,
}

impl Sink for Firmware {
    fn file(&mut self, _: &str, found: Found<'_>, reader: &mut dyn Read) {
        let path = found.path;
        let mut bytes = Vec::new();
        // Only the beginning tells: most files of a firmware tree are something else.
        if reader.take(64).read_to_end(&mut bytes).is_err() {
            return;
        }
        let notes = path.rsplit('/').next() == Some("releasenote.md");
        if !notes && container::read(&bytes).is_none() {
            return;
        }
        if let Err(e) = reader.take(LONGEST).read_to_end(&mut bytes) {
            output::message(&format!("{path}: {e}"));
        }
        if notes {
            let release = release(&String::from_utf8_lossy(&bytes));
            // Of several checkouts the newest release counts.
            self.release = self.release.take().max(release);
        } else if let Some(contents) = container::read(&bytes) {
            self.containers.push((path.to_owned(), contents));
        }
    }

    fn gap(&mut self, _: Gap) {}

    fn problem(&mut self, problem: Problem) {
        output::message(&format!("{}: {}", problem.source, problem.what));
    }
}

/// `## [microcode-20251111](https://...)`: the newest release stands first.
fn release(notes: &str) -> Option<String> {
    let (_, rest) = notes.split_once("[microcode-")?;
    let (name, _) = rest.split_once(']')?;
    (name.len() < 20).then(|| format!("microcode-{name}"))
}

/// Reads an input.
pub(super) fn read(path: &str, found: &mut Firmware) -> anyhow::Result<()> {
    let wanted = Wanted::new(std::iter::once(Want::given("**/*")));
    match source::open(Path::new(path)) {
        Ok(mut source) => {
            source.visit(&wanted, found);
        }
        // A single container is binary data, which no other input is.
        Err(SourceError::Unrecognised { .. }) => {
            let mut file = open(Path::new(path)).with_context(|| format!("cannot read {path}"))?;
            found.file(path, Found::file(path), &mut file);
        }
        Err(e) => return Err(e.into()),
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "cli/ reads the file it was asked to")]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// Prints the updates as `iucode_tool -l` does.
pub(super) fn list(inputs: &[String]) -> anyhow::Result<Exit> {
    let mut found = Firmware::default();
    for input in inputs {
        read(input, &mut found)?;
    }
    anyhow::ensure!(!found.containers.is_empty(), "no microcode in {}", inputs.join(", "));
    found.containers.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = String::new();
    for (bundle, (path, contents)) in (1..).zip(&found.containers) {
        let path: String = path.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(text, "microcode bundle {bundle}: {path}");
        let mut number = 0;
        for update in &contents.updates {
            // A further signature of the update before has no size of its own.
            if update.size > 0 {
                number += 1;
                let _ = writeln!(text, "  {bundle:03}/{number:03}: {update}");
            } else {
                let _ = writeln!(text, "           {update}");
            }
        }
        for (at, what) in &contents.faults {
            output::message(&format!("{path}: {what} (byte {at})"));
        }
    }
    output::write(&text, None)?;
    Ok(Exit::Healthy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_of_the_notes() {
        let notes = "# Release Notes\n## [microcode-20260210](https://x)\n\n## [microcode-20251111](https://y)\n";
        assert_eq!(release(notes).as_deref(), Some("microcode-20260210"));
        assert_eq!(release("# Notes"), None);
    }
}
