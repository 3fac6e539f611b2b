//! Runs one read-only command, for a bounded time and with bounded output.

#![expect(clippy::disallowed_methods, reason = "source/live.rs runs programs")]

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::limits::LIVE_ITEM;

/// How often a running command is looked at.
const TICK: Duration = Duration::from_millis(5);
/// How long output is waited for once the command has ended: a child of it may hold the pipe.
const GRACE: Duration = Duration::from_millis(300);

/// What came of a command or of a file.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Content; `None` where there is none.
    pub(super) bytes: Option<Vec<u8>>,
    /// Exit status.
    pub(super) status: Option<i32>,
    /// Why it is missing or not whole.
    pub(super) missing: Option<String>,
    /// Whether a part was left out.
    pub(super) truncated: bool,
}

impl Outcome {
    fn missing(why: impl Into<String>) -> Self {
        Self { missing: Some(why.into()), ..Self::default() }
    }
}

/// Runs a command; its output is what it printed to stdout, then what it printed to stderr.
/// `keep_end`: of output that is too long, the end is kept.
pub(super) fn run(argv: &[String], timeout: Duration, keep_end: bool) -> Outcome {
    let Some((program, rest)) = argv.split_first() else { return Outcome::missing("no command") };
    let spawned = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .envs([("LC_ALL", "C"), ("SYSTEMD_COLORS", "0"), ("SYSTEMD_PAGER", ""), ("PAGER", "cat")])
        .env("PATH", search_path())
        .current_dir("/")
        // A group of its own, so that its children can be ended with it.
        .process_group(0)
        .spawn();
    match spawned {
        Ok(child) => wait(child, timeout, keep_end),
        Err(error) => match error.kind() {
            io::ErrorKind::PermissionDenied if installed(program) => {
                Outcome::missing("not permitted to run it")
            }
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                Outcome::missing("not installed")
            }
            _ => Outcome::missing(format!("cannot be run: {error}")),
        },
    }
}

/// Administration tools are not in a user's path everywhere.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    let own = own.split(':').filter(|p| p.starts_with('/'));
    let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    own.chain(usual).collect::<Vec<_>>().join(":")
}

/// Whether the program is there. The kernel says "permission denied" of a program that is not, too,
/// where a folder of the search path is closed to the user.
fn installed(program: &str) -> bool {
    search_path().split(':').any(|folder| Path::new(folder).join(program).is_file())
}

fn wait(mut child: Child, timeout: Duration, keep_end: bool) -> Outcome {
    let until = Instant::now() + timeout;
    let (done, ends) = channel();
    let out = child.stdout.take().map(|p| Kept::start(p, keep_end, done.clone()));
    let err = child.stderr.take().map(|p| Kept::start(p, keep_end, done));
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < until => thread::sleep(TICK),
            _ => break None,
        }
    };
    if status.is_none() {
        kill(&mut child);
    }
    let patience = Instant::now() + GRACE;
    let streams = usize::from(out.is_some()) + usize::from(err.is_some());
    let ended = (0..streams)
        .take_while(|_| {
            ends.recv_timeout(patience.saturating_duration_since(Instant::now())).is_ok()
        })
        .count();
    if status.is_some() && ended < streams {
        kill(&mut child);
    }
    outcome(status, timeout, [out, err])
}

/// Kills the command and all of its process group.
fn kill(child: &mut Child) {
    // The standard library signals one process only; `kill` knows groups.
    let group = format!("-{}", child.id());
    let _ = Command::new("kill")
        .args(["-KILL", "--", &group])
        .env("PATH", search_path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = child.kill();
    let _ = child.wait();
}

fn outcome(
    status: Option<ExitStatus>,
    timeout: Duration,
    streams: [Option<Arc<Mutex<Kept>>>; 2],
) -> Outcome {
    let [out, err] = streams.map(|s| {
        s.map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).take()).unwrap_or_default()
    });
    let refused = out.0.is_empty() && !status.is_some_and(|s| s.success()) && refusal(&err.0);
    let mut bytes = out.0;
    if !err.0.is_empty() {
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        bytes.extend(err.0);
    }
    let missing = match status {
        None => Some(format!("timed out after {} s", timeout.as_secs_f32())),
        Some(_) if refused => Some("not permitted".to_owned()),
        Some(_) => None,
    };
    let nothing = bytes.is_empty() && missing.is_some();
    Outcome {
        truncated: out.1 || err.1 || status.is_none(),
        status: status.and_then(|s| s.code()),
        missing,
        bytes: (!nothing).then_some(bytes),
    }
}

/// Whether the command printed nothing but that it may not.
fn refusal(stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    ["Permission denied", "Operation not permitted"].iter().any(|t| text.contains(t))
}

/// What is kept of a stream.
struct Kept {
    bytes: Vec<u8>,
    cut: bool,
    keep_end: bool,
}

impl Kept {
    fn start(
        mut pipe: impl Read + Send + 'static,
        keep_end: bool,
        done: Sender<()>,
    ) -> Arc<Mutex<Self>> {
        let kept = Arc::new(Mutex::new(Self { bytes: Vec::new(), cut: false, keep_end }));
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            let mut buf = vec![0; 64 << 10];
            loop {
                match pipe.read(&mut buf) {
                    Ok(n) if n > 0 => shared
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add(buf.get(..n).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
            // Nobody listens any more where the command was given up.
            let _ = done.send(());
        });
        kept
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.keep_end {
            self.bytes.extend(bytes);
            if self.bytes.len() > 2 * LIVE_ITEM {
                self.trim();
            }
        } else {
            let room = LIVE_ITEM.saturating_sub(self.bytes.len());
            self.cut |= bytes.len() > room;
            self.bytes.extend(bytes.iter().take(room));
        }
    }

    /// Leaves the last bytes, from the start of a line.
    fn trim(&mut self) {
        let Some(from) = self.bytes.len().checked_sub(LIVE_ITEM).filter(|n| *n > 0) else { return };
        let line = self.bytes.iter().skip(from).position(|b| *b == b'\n').map_or(0, |i| i + 1);
        self.bytes.drain(..from + line);
        self.cut = true;
    }

    /// What there is so far, and whether it was cut.
    fn take(&mut self) -> (Vec<u8>, bool) {
        self.trim();
        (std::mem::take(&mut self.bytes), self.cut)
    }
}
