//! Wanted: the asks of all evidence, joined, and how a path of the input becomes canonical.
//!
//! Canonical paths are those of our own bundle: `proc/cpuinfo` for a file of the machine,
//! `commands/lsmod.txt` for a command's output. sosreport keeps command output under
//! `sos_commands/`; each [`Want::Command`] says where. When its pattern has a wildcard, several
//! files may match one command, and their canonical paths must differ:
//!
//! * a command name with `*` takes what the pattern's last wildcard matched:
//!   `virsh-dumpxml-*` and `sos_commands/virsh/*_dumpxml_*` make `commands/virsh-dumpxml-vm1.txt`;
//! * a file that is called like the command gets the plain name: `commands/lscpu.txt`;
//! * every other file's name is appended after `@`:
//!   `commands/journalctl@journalctl_--no-pager_--boot.txt`.
//!
//! The same form keeps two files apart that would otherwise share a canonical path
//! (`host1/dmesg.txt` and `host2/dmesg.txt` of a loose folder). [`Wanted::matches`] knows it.

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::codec::without_suffix;
use crate::model::Want;

/// Asks of all evidence, joined: which canonical paths are wanted.
pub struct Wanted {
    /// Globs over canonical paths of files and command outputs.
    files: Globs,
    /// Globs over the paths of symbolic links.
    links: Globs,
    /// Commands that `collect` runs: their arguments and names.
    commands: Vec<(&'static [&'static str], &'static str)>,
    foreign: GlobSet,
    /// What the patterns of `foreign` stand for, in the same order.
    places: Vec<Place>,
    unknown_logs: bool,
}

/// Globs, each with the index of its want.
#[derive(Default)]
struct Globs {
    set: GlobSet,
    wants: Vec<usize>,
}

impl Globs {
    fn new(globs: &[(usize, String)]) -> Self {
        let mut set = GlobSetBuilder::new();
        for (_, pattern) in globs {
            set.add(glob(pattern));
        }
        let wants = globs.iter().map(|(index, _)| *index).collect();
        Self { set: set.build().unwrap_or_default(), wants }
    }

    fn matches(&self, path: &str) -> impl Iterator<Item = usize> {
        self.set.matches(path).into_iter().filter_map(|i| self.wants.get(i).copied())
    }
}

/// A place where another tool keeps a command's output.
struct Place {
    command: &'static str,
    pattern: &'static str,
}

impl Wanted {
    /// Joins the wants. [`Wanted::matches`] answers with indices into them, in this order.
    pub fn new(wants: impl Iterator<Item = Want>) -> Self {
        let (mut files, mut links, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let (mut foreign, mut commands) = (GlobSetBuilder::new(), Vec::new());
        for (index, want) in wants.enumerate() {
            let to = if matches!(want, Want::Link { .. }) { &mut links } else { &mut files };
            to.push((index, want.glob()));
            let Want::Command { name, argv, sos, .. } = want else { continue };
            if !argv.is_empty() {
                commands.push((argv, name));
            }
            for pattern in sos {
                places.push(Place { command: name, pattern });
                foreign.add(glob(pattern));
            }
        }
        Self {
            files: Globs::new(&files),
            links: Globs::new(&links),
            commands,
            foreign: foreign.build().unwrap_or_default(),
            places,
            unknown_logs: false,
        }
    }

    /// Whether files that no evidence names are delivered too, under their own path, where they
    /// may be logs: all of a loose folder, a single file, and `*.log` at the top of a tree.
    #[must_use]
    pub fn want_unknown_logs(mut self, yes: bool) -> Self {
        self.unknown_logs = yes;
        self
    }

    /// Whether unknown files are wanted where they may be logs.
    pub(super) fn unknown_logs(&self) -> bool {
        self.unknown_logs
    }

    /// The canonical path of a file found at `found`, a path relative to the machine's root;
    /// `None` where nobody wants it. A compression suffix is left away, unless the file is only
    /// wanted with it (`proc/config.gz`).
    pub fn canonical(&self, found: &str) -> Option<String> {
        let plain = without_suffix(found);
        let own = plain.into_iter().chain([found]).find(|p| self.files.set.is_match(p));
        own.map(str::to_owned)
            .or_else(|| self.foreign(plain.unwrap_or(found)))
            .or_else(|| self.wants_link(found).then(|| found.to_owned()))
    }

    /// Whether the target of a symbolic link at this path, relative to the machine's root, is
    /// wanted.
    pub fn wants_link(&self, found: &str) -> bool {
        self.links.set.is_match(found)
    }

    /// Like [`Wanted::canonical`], for a file that lies in no machine's tree: its base name is
    /// tried in the places where such files belong.
    pub(super) fn canonical_loose(&self, found: &str) -> Option<String> {
        self.canonical(found).or_else(|| {
            let found = without_suffix(found).unwrap_or(found);
            let name = found.rsplit('/').next().unwrap_or(found);
            let stem = name.strip_suffix(".log").unwrap_or(name);
            let capture = [".pcap", ".pcapng", ".cap"].iter().any(|s| name.ends_with(s));
            [
                format!("commands/{name}"),
                format!("commands/{name}.txt"),
                format!("commands/{stem}.txt"),
                format!("var/log/{name}"),
                name.to_owned(),
                format!("proc/{name}"),
                format!("etc/{name}"),
            ]
            .into_iter()
            .chain(capture.then(|| format!("captures/{name}")))
            .find(|p| self.files.set.is_match(p))
        })
    }

    /// Like [`Wanted::canonical`], for a file beside a machine's tree (`etc`, `dmesg.txt`): it may
    /// be a command's output under the command's name.
    pub(super) fn canonical_beside(&self, found: &str) -> Option<String> {
        self.canonical(found).or_else(|| {
            let name = without_suffix(found).unwrap_or(found);
            [format!("commands/{name}"), format!("commands/{name}.txt")]
                .into_iter()
                .find(|p| self.files.set.is_match(p))
        })
    }

    /// Indices of the wants that a file of this canonical path answers, variants with `@`
    /// included.
    pub fn matches(&self, path: &str) -> Vec<usize> {
        let of = |path: &str| {
            let mut found: Vec<usize> =
                self.files.matches(path).chain(self.links.matches(path)).collect();
            found.sort_unstable();
            found
        };
        let direct = of(path);
        match without_variant(path) {
            Some(plain) if direct.is_empty() => of(&plain),
            _ => direct,
        }
    }

    /// Indices of the wants that the target of a link at this canonical path answers.
    pub fn matches_link(&self, path: &str) -> Vec<usize> {
        self.links.matches(path).collect()
    }

    /// Whether anybody wants a file by this very path.
    pub(super) fn wants_file(&self, path: &str) -> bool {
        self.files.set.is_match(path)
    }

    /// The plain name of the output of a command with these arguments.
    pub(super) fn command(&self, argv: &[&str]) -> Option<&'static str> {
        self.commands.iter().find(|(wanted, _)| *wanted == argv).map(|(_, name)| *name)
    }

    /// The canonical path of a command's output by a plain name, if anybody wants it.
    pub(super) fn output(&self, name: &str) -> Option<String> {
        let path = format!("commands/{name}.txt");
        self.files.set.is_match(&path).then_some(path)
    }

    fn foreign(&self, found: &str) -> Option<String> {
        let place = self.foreign.matches(found).into_iter().find_map(|i| self.places.get(i))?;
        let name = found.rsplit('/').next().unwrap_or(found);
        let name_stem = name.strip_suffix(".txt").unwrap_or(name);
        let command = place.command;
        if command.contains('*') {
            let part = matched_part(place, found).unwrap_or(name_stem);
            return Some(format!("commands/{}.txt", command.replacen('*', part, 1)));
        }
        let plain = !place.pattern.contains(['*', '?', '[', '{'])
            || name_stem.replace('_', "-") == command.replace('_', "-");
        Some(if plain {
            format!("commands/{command}.txt")
        } else {
            variant(&format!("commands/{command}.txt"), name)
        })
    }
}

/// `path` with a tag by which it differs: `commands/dmesg@TAG.txt`, `var/log/syslog@TAG`.
pub(super) fn variant(path: &str, tag: &str) -> String {
    match path.strip_suffix(".txt") {
        Some(stem) if path.starts_with("commands/") => {
            format!("{stem}@{}.txt", tag.strip_suffix(".txt").unwrap_or(tag))
        }
        _ => format!("{path}@{tag}"),
    }
}

/// The path that a variant was made of: `commands/dmesg.txt` for `commands/dmesg@b.txt`; `None`
/// where the path has no tag.
///
/// For evidence that goes by exact names, where [`Wanted::matches`] has said that the path
/// answers its want.
pub fn without_variant(path: &str) -> Option<String> {
    let start = path.rfind('/').map_or(0, |i| i + 1);
    let at = start + path.get(start..)?.find('@')?;
    let stem = path.get(..at)?;
    Some(if path.starts_with("commands/") { format!("{stem}.txt") } else { stem.to_owned() })
}

/// What the last `*` of the place's pattern stands for in `found`.
fn matched_part<'f>(place: &Place, found: &'f str) -> Option<&'f str> {
    let (head, tail) = place.pattern.rsplit_once('*')?;
    let body = found.strip_suffix(tail)?;
    let head = glob(head).compile_matcher();
    // The shortest head that matches leaves the most to the wildcard.
    body.char_indices().map(|(i, _)| i).filter(|i| *i > 0).find_map(|i| {
        let (before, part) = body.split_at_checked(i)?;
        (head.is_match(before) && !part.contains('/')).then_some(part)
    })
}

/// A glob in which `*` stops at `/`. Patterns are constants of ours; one that is no glob is taken
/// literally.
fn glob(pattern: &str) -> Glob {
    let build = |p: &str| GlobBuilder::new(p).literal_separator(true).build();
    build(pattern)
        .or_else(|_| build(&globset::escape(pattern)))
        .expect("an escaped pattern is a valid glob")
}

/// The matcher of one path component.
pub(super) fn component(pattern: &str) -> GlobMatcher {
    glob(pattern).compile_matcher()
}

/// Whether a path ends in `.SUFFIX`, in either case.
pub(super) fn has_suffix(path: &str, suffix: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, s)| s.eq_ignore_ascii_case(suffix))
}

/// Whether a canonical path is that of a text log, which binary data cannot be.
pub(super) fn is_log(path: &str) -> bool {
    const LOGS: &[&str] = &["syslog", "messages", "dmesg", "journalctl", "kern"];
    const BINARY: &[&str] = &["wtmp", "btmp", "lastlog", "faillog", "tallylog"];
    let name = path.rsplit('/').next().unwrap_or(path);
    if has_suffix(name, "log") || name.contains(".log.") || super::journal::is_named_so(name) {
        return true;
    }
    let word = name.split(['.', '-', '@', '_']).next().unwrap_or(name);
    LOGS.contains(&word)
        || path.starts_with("var/log/")
            && !BINARY.contains(&word)
            && ![".pcap", ".xml"].iter().any(|s| name.ends_with(s))
            && !path.starts_with("var/log/sa/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted::new(
            [
                Want::file("proc/cpuinfo"),
                Want::file("proc/config.gz"),
                Want::file("var/log/syslog*"),
                Want::command("lsmod", &["lsmod"], &["sos_commands/kernel/lsmod"]),
                Want::command("journalctl", &[], &["sos_commands/logs/journalctl_*"]),
                Want::command("virsh-dumpxml-*", &[], &["sos_commands/virsh/*_dumpxml_*"]),
                Want::command("lscpu", &[], &["sos_commands/*/lscpu*"]),
                Want::given("**/VBox.log"),
            ]
            .into_iter(),
        )
    }

    #[test]
    fn places_of_sosreport_become_commands_that_their_wants_know_again() {
        let w = wanted();
        let cases = [
            ("sos_commands/kernel/lsmod", "commands/lsmod.txt", 3),
            (
                "sos_commands/logs/journalctl_--no-pager_--boot",
                "commands/journalctl@journalctl_--no-pager_--boot.txt",
                4,
            ),
            ("sos_commands/virsh/virsh_-r_dumpxml_vm1", "commands/virsh-dumpxml-vm1.txt", 5),
            ("sos_commands/processor/lscpu", "commands/lscpu.txt", 6),
            ("sos_commands/processor/lscpu_-e", "commands/lscpu@lscpu_-e.txt", 6),
            ("home/me/VirtualBox VMs/x/VBox.log", "home/me/VirtualBox VMs/x/VBox.log", 7),
        ];
        for (found, canonical, want) in cases {
            assert_eq!(w.canonical(found).as_deref(), Some(canonical));
            assert_eq!(w.matches(canonical), [want], "{canonical}");
        }
        assert_eq!(w.canonical("sos_commands/kernel/lsmod.d/x"), None);
        assert_eq!(w.canonical("proc/cpuinfo/x"), None);
    }

    #[test]
    fn compression_suffixes_are_left_away_unless_they_are_asked_for() {
        let w = wanted();
        assert_eq!(w.canonical("var/log/syslog.2.gz").as_deref(), Some("var/log/syslog.2"));
        assert_eq!(w.canonical("proc/config.gz").as_deref(), Some("proc/config.gz"));
        assert_eq!(w.canonical("proc/cpuinfo.xz").as_deref(), Some("proc/cpuinfo"));
    }

    #[test]
    fn loose_files_go_by_their_base_name() {
        let w = wanted();
        for (found, canonical) in [
            ("logs/host1/lsmod.txt", "commands/lsmod.txt"),
            ("lsmod", "commands/lsmod.txt"),
            ("host1/syslog.1.gz", "var/log/syslog.1"),
            ("cpuinfo", "proc/cpuinfo"),
            ("x/VBox.log", "x/VBox.log"),
        ] {
            assert_eq!(w.canonical_loose(found).as_deref(), Some(canonical), "{found}");
        }
        assert_eq!(w.canonical_loose("notes.md"), None);
    }

    #[test]
    fn a_variant_answers_its_want() {
        let w = wanted();
        assert_eq!(w.matches(&variant("commands/lsmod.txt", "b_lsmod.txt")), [3]);
        assert_eq!(without_variant("commands/lsmod@b.txt").as_deref(), Some("commands/lsmod.txt"));
        assert_eq!(w.matches(&variant("proc/cpuinfo", "b_cpuinfo")), [0]);
        assert!(w.matches("commands/other@lsmod.txt").is_empty());
    }

    #[test]
    fn logs_are_told_from_other_files() {
        for log in ["var/log/syslog.1", "commands/dmesg.txt", "x/vm.log", "var/log/kern.log.2"] {
            assert!(is_log(log), "{log}");
        }
        for other in ["proc/self/cmdline", "var/log/wtmp", "captures/a.pcap", "commands/id.txt"] {
            assert!(!is_log(other), "{other}");
        }
    }
}
