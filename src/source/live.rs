//! The host the program runs on: its files, and the output of read-only commands.
//!
//! Everything that was asked for gets an entry in the manifest, with the reason where it is
//! missing. Nothing here can hang the program: files are regular ones only, commands have a time
//! limit and are killed with their children.
//!
//! `commands/kvm-probe.txt` is written by the program itself, since no command tells whether
//! `/dev/kvm` can be opened: `open=ok`, or `open=errno N TEXT`. The version of the KVM API is not
//! asked for: that takes an ioctl, hence unsafe code; it has been 12 since Linux 2.6.22.

#![expect(clippy::disallowed_methods, reason = "source/ is the only reader of the outside")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kvm_ioctls::Kvm;
use sha2::{Digest, Sha256};

use super::limits;
use super::manifest::{Manifest, ManifestEntry, Tool, VERSION, is_folder};
use super::memory::Memory;
use crate::model::{Gap, Layer, Want};

mod command;
mod files;
mod processor;
mod secrets;

use command::Outcome;

/// Path of the probe's output.
const PROBE: &str = "commands/kvm-probe.txt";
/// Path of what a failing program printed; see [`Collected::add_stderr`].
const STDERR: &str = "commands/stderr.txt";
/// Commands that run at once: they mostly wait.
const THREADS: usize = 8;
/// How the paths of second samples end: their commands run when all others have answered.
const SECOND_SAMPLE: &str = ".2.txt";
/// Least time from the first commands to the second samples.
const SAMPLE_GAP: Duration = Duration::from_secs(1);

/// How to collect.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// Root of the machine's tree. Commands are only run where it is `/`.
    pub root: PathBuf,
    /// Whether commands are run.
    pub commands: bool,
    /// Time limit of one command.
    pub timeout: Duration,
    /// Time limit of all commands together.
    pub deadline: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            commands: true,
            timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
        }
    }
}

/// What was collected from a live host.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Content by canonical path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Targets of symbolic links by canonical path.
    pub links: BTreeMap<String, String>,
    /// All that was asked for, by path.
    pub manifest: Vec<ManifestEntry>,
    /// What is missing: the same that the manifest says.
    pub gaps: Vec<Gap>,
    /// When, in seconds since the Unix epoch.
    pub taken: u64,
    /// The layer of the host, where the caller knows it; goes into the manifest.
    pub layer: Option<Layer>,
}

impl Collected {
    /// `manifest.json`.
    pub fn manifest_json(&self, host: &str, time: &str) -> Vec<u8> {
        let manifest = Manifest {
            manifest_version: VERSION,
            tool: Tool {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            host: host.to_owned(),
            layer: self.layer.map(|l| l.to_string().to_ascii_lowercase()),
            time: time.to_owned(),
            files: self.manifest.clone(),
        };
        let mut json = serde_json::to_vec_pretty(&manifest).expect("strings and numbers only");
        json.push(b'\n');
        json
    }

    /// A source that equals the bundle that [`bundle::write`](super::bundle::write) would write.
    pub fn source(&self, host: &str, time: &str) -> Memory {
        let mut files = self.files.clone();
        files.insert("manifest.json".to_owned(), self.manifest_json(host, time));
        Memory::new(host, files).with_links(self.stored_links())
    }

    /// Adds what a failing program printed: `commands/stderr.txt`, `commands/stderr-2.txt`, ...
    pub fn add_stderr(&mut self, printed: Printed) {
        let taken = |path: &String| self.manifest.iter().any(|e| e.path == *path);
        let numbered = (2..).map(|n: u32| format!("commands/stderr-{n}.txt"));
        let mut paths = std::iter::once(STDERR.to_owned()).chain(numbered);
        let path = paths.find(|p| !taken(p)).expect("the numbers do not end");
        self.add(Item::of(path, printed.source, printed.outcome));
        self.manifest.sort_by(|a, b| a.path.cmp(&b.path));
        self.gaps.sort();
    }

    /// Links that a tree can hold beside the files: those with files below stand in the manifest.
    pub(super) fn stored_links(&self) -> BTreeMap<String, String> {
        let paths: BTreeSet<&str> =
            self.files.keys().chain(self.links.keys()).map(String::as_str).collect();
        let stored = self.links.iter().filter(|(path, _)| !is_folder(path, &paths));
        stored.map(|(path, target)| (path.clone(), target.clone())).collect()
    }

    fn add(&mut self, mut item: Item) {
        let total: usize = self.files.values().map(Vec::len).sum();
        if let Some(bytes) = item.bytes.take_if(|b| total + b.len() > limits::LIVE_TOTAL) {
            item.entry.truncated = true;
            let what = format!("cut off: {} bytes more than are kept", bytes.len());
            item.entry.missing.get_or_insert(what);
        }
        if let Some(bytes) = item.bytes {
            let bytes = secrets::masked(&item.entry.path, &bytes).into_owned();
            item.entry.size = bytes.len() as u64;
            item.entry.sha256 = hex(&Sha256::digest(&bytes));
            let path = item.entry.path.clone();
            match &item.entry.link {
                Some(target) => _ = self.links.insert(path, target.clone()),
                None => _ = self.files.insert(path, bytes),
            }
        }
        self.gaps.extend(item.entry.gap());
        self.manifest.push(item.entry);
    }
}

/// What a failing program printed, read from the file it was kept in.
#[derive(Debug)]
pub struct Printed {
    source: String,
    outcome: Outcome,
}

impl Printed {
    /// Reads the file; of a long one the end, where a program says what it died of.
    ///
    /// # Errors
    /// Whatever keeps the file from being read.
    pub fn read(file: &Path) -> io::Result<Self> {
        let (bytes, truncated) = files::content(file, true)?;
        let outcome = Outcome { bytes: Some(bytes), truncated, ..Outcome::default() };
        Ok(Self { source: file.display().to_string(), outcome })
    }
}

/// One thing that was asked for.
#[derive(Debug, Default)]
struct Item {
    entry: ManifestEntry,
    bytes: Option<Vec<u8>>,
}

impl Item {
    fn missing(path: &str, source: &str, why: impl Into<String>) -> Self {
        Self {
            entry: ManifestEntry {
                path: path.to_owned(),
                source: source.to_owned(),
                missing: Some(why.into()),
                ..ManifestEntry::default()
            },
            bytes: None,
        }
    }

    fn of(path: String, source: String, outcome: Outcome) -> Self {
        Self {
            entry: ManifestEntry {
                path,
                source,
                exit_status: outcome.status,
                missing: outcome.missing,
                truncated: outcome.truncated,
                ..ManifestEntry::default()
            },
            bytes: outcome.bytes,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, b| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// Collects what the wants ask for. `progress` is told each name as it is begun.
pub fn collect(
    wants: &[Want],
    options: &LiveOptions,
    progress: &(dyn Fn(&str) + Sync),
) -> Collected {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mut collected = Collected { taken: now, ..Collected::default() };
    let mut seen = BTreeSet::new();
    let processor = processor::Processor::of(&options.root);
    for (glob, links) in globs(wants) {
        let Some(glob) = processor.fitting(glob) else { continue };
        progress(&glob);
        for item in files::read(&options.root, &glob, links) {
            if seen.insert((item.entry.path.clone(), links)) {
                collected.add(item);
            }
        }
    }
    if seen.insert((PROBE.to_owned(), false)) {
        collected.add(probe(options));
    }
    for item in run_all(wants, options, progress) {
        if seen.insert((item.entry.path.clone(), false)) {
            collected.add(item);
        }
    }
    collected.manifest.sort_by(|a, b| a.path.cmp(&b.path));
    collected.gaps.sort();
    collected
}

/// Globs of files and, with true, of links. sysfs is full of cycles: links are taken by globs of
/// a known depth only.
fn globs(wants: &[Want]) -> BTreeSet<(&'static str, bool)> {
    wants
        .iter()
        .filter_map(|want| match want {
            Want::File { glob, live: true } => Some((*glob, false)),
            Want::Link { glob } if !glob.contains("**") => Some((*glob, true)),
            _ => None,
        })
        .collect()
}

/// Whether `/dev/kvm` can be opened, as the user that runs the program.
fn probe(options: &LiveOptions) -> Item {
    let device = options.root.join("dev/kvm");
    let source = format!("open {}", device.display());
    let text = match OpenOptions::new().read(true).write(true).open(&device) {
        Ok(_) => format!("open=ok\n{}", api_version(&device)),
        // A tree that is not the running system's has no devices, whatever the machine has.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && options.root.as_os_str() != "/" =>
        {
            return Item::missing(PROBE, &source, "not collected: no devices under this root");
        }
        Err(error) => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            format!("open=errno {} {text}\n", error.raw_os_error().unwrap_or(0))
        }
    };
    let outcome = Outcome { bytes: Some(text.into_bytes()), ..Outcome::default() };
    Item::of(PROBE.to_owned(), source, outcome)
}

/// What KVM answers. The node exists without any driver behind it (udev's static nodes), and KVM
/// works without a CPU flag (pagetable-based back ends): only its own answer settles that it works.
fn api_version(device: &Path) -> String {
    let path = CString::new(device.as_os_str().as_bytes()).ok();
    let version = path.and_then(|p| Kvm::new_with_path(p).ok()).map(|kvm| kvm.get_api_version());
    version.filter(|v| *v > 0).map_or(String::new(), |v| format!("api_version={v}\n"))
}

/// A command to run.
struct Job {
    path: String,
    argv: Vec<String>,
    /// What has to be there before, below the root; empty: nothing.
    needs: &'static str,
}

impl Job {
    fn new(name: &str, argv: &[&str]) -> Self {
        let argv = argv.iter().map(|a| (*a).to_owned()).collect();
        Self { path: format!("commands/{name}.txt"), argv, needs: "" }
    }

    fn line(&self) -> String {
        self.argv.join(" ")
    }
}

fn run_all(wants: &[Want], options: &LiveOptions, progress: &(dyn Fn(&str) + Sync)) -> Vec<Item> {
    let mut by_name = BTreeMap::new();
    for want in wants {
        if let Want::Command { name, argv, needs, .. } = want
            && !argv.is_empty()
            && !name.contains('*')
        {
            by_name.entry(*name).or_insert((*argv, *needs));
        }
    }
    let jobs = by_name.into_iter();
    let jobs: Vec<Job> =
        jobs.map(|(name, (argv, needs))| Job { needs, ..Job::new(name, argv) }).collect();
    let why = if !options.commands {
        Some("not collected: running commands was not asked for")
    } else if options.root.as_os_str() != "/" {
        Some("not collected: commands are only run where the root is /")
    } else {
        None
    };
    if let Some(why) = why {
        return jobs.iter().map(|j| Item::missing(&j.path, &j.line(), why)).collect();
    }
    let started = Instant::now();
    let until = started + options.deadline;
    // A counter's second sample is worth something only some time after its first.
    let (later, jobs): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|j| j.path.ends_with(SECOND_SAMPLE));
    let mut items = run_jobs(&jobs, options, until, progress);
    std::thread::sleep(SAMPLE_GAP.saturating_sub(started.elapsed()));
    items.extend(run_jobs(&later, options, until, progress));
    let domains = domains(wants, options, until, &mut items);
    items.extend(run_jobs(&domains, options, until, progress));
    items
}

fn run_jobs(
    jobs: &[Job],
    options: &LiveOptions,
    until: Instant,
    progress: &(dyn Fn(&str) + Sync),
) -> Vec<Item> {
    let (next, items) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(jobs.len()) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    progress(&job.line());
                    let item = run(job, options, until);
                    items.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(item);
                }
            });
        }
    });
    items.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn run(job: &Job, options: &LiveOptions, until: Instant) -> Item {
    let left = until.saturating_duration_since(Instant::now());
    if !job.needs.is_empty() && !options.root.join(job.needs).exists() {
        let why = format!("not collected: /{} is not there, and asking would load it", job.needs);
        return Item::missing(&job.path, &job.line(), why);
    }
    let name = job.path.rsplit('/').next().unwrap_or_default();
    let keep_end = name.starts_with("dmesg") || name.starts_with("journalctl");
    let outcome = if left.is_zero() {
        Outcome {
            missing: Some("timed out: no time was left for it".to_owned()),
            ..Outcome::default()
        }
    } else {
        command::run(&job.argv, options.timeout.min(left), keep_end)
    };
    Item::of(job.path.clone(), job.line(), outcome)
}

/// The domains whose XML is dumped, if anybody wants it.
fn domains(
    wants: &[Want],
    options: &LiveOptions,
    until: Instant,
    items: &mut Vec<Item>,
) -> Vec<Job> {
    const LIST: &[&str] = &["virsh", "-r", "list", "--all", "--name"];
    let wanted =
        |w: &Want| matches!(w, Want::Command { name, .. } if name.starts_with("virsh-dumpxml"));
    if !wants.iter().any(wanted) {
        return Vec::new();
    }
    let list = run(&Job::new("virsh-dumpxml", LIST), options, until);
    if list.entry.missing.is_some() {
        items.push(Item { bytes: None, ..list });
        return Vec::new();
    }
    let text = String::from_utf8_lossy(list.bytes.as_deref().unwrap_or_default()).into_owned();
    let names = || text.lines().map(str::trim).filter(|n| !n.is_empty());
    let good = list.entry.exit_status == Some(0);
    if good && names().count() > limits::DOMAINS {
        let why = format!("cut off: only the first {} domains are dumped", limits::DOMAINS);
        items.push(Item::missing("commands/virsh-dumpxml.txt", &LIST.join(" "), why));
    }
    let job = |name: &str| {
        let file = name.replace(['/', '\0'], "_");
        let argv = ["virsh", "-r", "dumpxml", "--domain", name];
        Job::new(&format!("virsh-dumpxml-{file}"), &argv)
    };
    names().filter(|_| good).take(limits::DOMAINS).map(job).collect()
}
