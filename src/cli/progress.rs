//! Progress on standard error: what is being collected, on a terminal only.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

/// One line that is written over.
pub(super) struct Progress {
    terminal: bool,
    done: AtomicUsize,
}

impl Progress {
    /// Silent unless standard error is a terminal.
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), done: AtomicUsize::new(0) }
    }

    /// Something was collected.
    pub(super) fn step(&self, what: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.terminal {
            let what: String = what.chars().filter(|c| !c.is_control()).take(60).collect();
            drop(write!(io::stderr(), "\r\x1b[Kcollecting {done}: {what}"));
        }
    }

    /// Clears the line.
    pub(super) fn finish(&self) {
        if self.terminal {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}
