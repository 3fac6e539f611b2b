//! Texts of many sections: each is the output of a command or the content of a file.
//!
//! SUSE's supportconfig (`supportutils`, functions `log_cmd`, `conf_files` and `log_files`) writes a
//! frame before each section, and the command line or the path below it. Comments and empty lines
//! of configuration files are left out by it. `modules.txt` holds a module's parameters as
//! `/sys/module/MODULE/parameters/NAME=VALUE`:
//!
//! ```text
//! #==[ Command ]======================================#
//! # /usr/bin/lscpu
//! Architecture:  x86_64
//!
//! #==[ Log File ]=====================================#
//! # /var/log/messages - Last 5000 Lines
//! ```
//!
//! Proxmox VE's `pvereport` (`PVE/Report.pm`) writes the command line alone, below an empty line:
//!
//! ```text
//! ==== general system info ====
//!
//! # hostname
//! pve1
//!
//! # cat /etc/hosts
//! ```
//!
//! A comment in a file that is shown looks alike, so only programs that the report runs count.
//!
//! A section's content is read forward, as a stream. Its lines are those of the whole text.

use std::io::{self, BufRead, BufReader, Read};

pub(super) mod command;

/// Bytes of one line; longer ones are read in parts.
const LINE: u64 = 64 << 10;

/// Who wrote a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Supportconfig,
    Pvereport,
}

/// What a section holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Title {
    /// Output of a command line.
    Command(String),
    /// A file, by its path without the leading slash.
    File(String),
    /// A file of which only the value is shown, in the line itself.
    Value(String, String),
    /// Nothing that is known.
    Other,
}

/// Who wrote a text that starts with `head`; `None` where it has no sections.
pub(super) fn style(head: &[u8]) -> Option<Style> {
    let text = String::from_utf8_lossy(head);
    let frame = |line: &str| line.starts_with("#==[ ") && line.trim_end().ends_with("]=#");
    let frame = |line: &str| frame(line) || line.starts_with("#==[ ") && line.contains(" ]==");
    if text.lines().take(40).any(frame) {
        return Some(Style::Supportconfig);
    }
    let mut lines = text.lines().map(str::trim_end).filter(|l| !l.is_empty());
    let first = lines.next()?;
    let report = first.starts_with("==== ") && first.ends_with(" ====");
    (report && lines.next().is_some_and(|l| pve_command(l).is_some())).then_some(Style::Pvereport)
}

/// The command line of a heading of pvereport.
fn pve_command(line: &str) -> Option<&str> {
    const PROGRAMS: &[&str] = &[
        "apt-cache",
        "apt-mark",
        "cat",
        "ceph",
        "date",
        "df",
        "dmidecode",
        "ethtool",
        "findmnt",
        "ha-manager",
        "head",
        "hostname",
        "ip",
        "iptables-save",
        "iscsiadm",
        "ls",
        "lsblk",
        "lscpu",
        "lspci",
        "lvs",
        "multipath",
        "output",
        "pct",
        "proxmox-boot-tool",
        "pvecm",
        "pveceph",
        "pvesh",
        "pvesm",
        "pvesubscription",
        "pveversion",
        "pvs",
        "qm",
        "top",
        "vgs",
        "zarcstat",
        "zfs",
        "zpool",
    ];
    let line = line.strip_prefix("# ")?;
    let program = line.split_whitespace().next()?;
    PROGRAMS.contains(&program).then_some(line)
}

/// A text, section by section. As a reader it gives the content of the section it is in.
pub(super) struct Sections<'r> {
    style: Style,
    inner: BufReader<&'r mut dyn Read>,
    /// The line that is looked at.
    line: Vec<u8>,
    /// How much of it was given away; all of it, where another must be read.
    at: usize,
    /// Its number.
    number: u32,
    /// The line before it was empty, or it is the first.
    after_gap: bool,
    ended: bool,
}

impl<'r> Sections<'r> {
    pub(super) fn new(style: Style, reader: &'r mut dyn Read) -> Self {
        Self {
            style,
            inner: BufReader::with_capacity(64 << 10, reader),
            line: Vec::new(),
            at: 0,
            number: 0,
            after_gap: true,
            ended: false,
        }
    }

    /// Goes to the next section: what it holds, and its first line.
    pub(super) fn advance(&mut self) -> io::Result<Option<(Title, u32)>> {
        loop {
            if self.at >= self.line.len() && !self.next_line()? {
                return Ok(None);
            }
            if let Some(mut title) = self.heading() {
                let number = self.number;
                self.at = self.line.len();
                if title == Title::Other && self.style == Style::Supportconfig {
                    title = self.label()?;
                }
                let first = if matches!(title, Title::Value(..)) {
                    number
                } else {
                    self.number.saturating_add(1)
                };
                return Ok(Some((title, first)));
            }
            self.at = self.line.len();
        }
    }

    /// Whether the content begins with this text.
    pub(super) fn begins_with(&mut self, text: &str) -> io::Result<bool> {
        let more = self.at < self.line.len() || self.next_line()?;
        Ok(more && self.line.get(self.at..).is_some_and(|l| l.starts_with(text.as_bytes())))
    }

    /// Reads the next line; false at the end.
    fn next_line(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let part = self.line.last().is_some_and(|b| *b != b'\n');
        self.after_gap = self.number == 0 || self.line.iter().all(u8::is_ascii_whitespace);
        self.line.clear();
        self.at = 0;
        let read = (&mut self.inner).take(LINE).read_until(b'\n', &mut self.line)?;
        self.ended = read == 0;
        if !part && read > 0 {
            self.number = self.number.saturating_add(1);
        }
        Ok(read > 0)
    }

    /// What the line at hand is the heading of, if it is one. Supportconfig's frames say only
    /// that a section begins.
    fn heading(&self) -> Option<Title> {
        if self.at > 0 {
            return None;
        }
        match self.style {
            Style::Supportconfig if self.line.starts_with(b"#==[ ") => Some(Title::Other),
            Style::Supportconfig if self.line.starts_with(b"/sys/module/") => {
                let line = String::from_utf8_lossy(&self.line);
                let (path, value) = line.trim_end().split_once('=')?;
                path.contains("/parameters/").then(|| {
                    Title::Value(path.trim_start_matches('/').to_owned(), format!("{value}\n"))
                })
            }
            Style::Pvereport if self.after_gap && self.line.starts_with(b"# ") => {
                let line = String::from_utf8_lossy(&self.line);
                let command = pve_command(line.trim_end())?;
                Some(title_of_command(command))
            }
            Style::Pvereport if self.line.starts_with(b"==== ") => Some(Title::Other),
            _ => None,
        }
    }

    /// What stands below a frame.
    fn label(&mut self) -> io::Result<Title> {
        let frame = String::from_utf8_lossy(&self.line).into_owned();
        if !self.next_line()? {
            return Ok(Title::Other);
        }
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        let Some(label) = line.strip_prefix("# ") else { return Ok(Title::Other) };
        self.at = self.line.len();
        Ok(if frame.contains("[ Command ]") {
            title_of_command(label)
        } else if frame.contains("[ Configuration File ]") || frame.contains("[ Log File ]") {
            title_of_file(label)
        } else {
            Title::Other
        })
    }
}

/// `/var/log/messages - Last 500 Lines`.
fn title_of_file(label: &str) -> Title {
    let (path, note) = label.split_once(" - ").unwrap_or((label, ""));
    match path.strip_prefix('/') {
        Some(path) if !note.contains("not found") => Title::File(path.to_owned()),
        _ => Title::Other,
    }
}

/// A file that is shown by `cat` is that file.
fn title_of_command(line: &str) -> Title {
    let shown = line.strip_prefix("cat /").or_else(|| line.strip_prefix("/bin/cat /"));
    match shown.map(|path| path.trim_end_matches(" 2>/dev/null")) {
        Some(path) if !path.contains([' ', '*', '|']) => Title::File(path.to_owned()),
        _ => Title::Command(line.to_owned()),
    }
}

impl Read for Sections<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.line.len() && !self.next_line()? {
            return Ok(0);
        }
        if self.heading().is_some() {
            return Ok(0);
        }
        let rest = self.line.get(self.at..).unwrap_or_default();
        let read = io::Cursor::new(rest).read(buf)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(Title, u32, String)> {
        let mut bytes = text.as_bytes();
        let mut sections = Sections::new(style(bytes).unwrap(), &mut bytes);
        let mut found = Vec::new();
        while let Some((title, first)) = sections.advance().unwrap() {
            let mut content = String::new();
            sections.read_to_string(&mut content).unwrap();
            found.push((title, first, content));
        }
        found
    }

    fn command(line: &str) -> Title {
        Title::Command(line.to_owned())
    }

    fn file(path: &str) -> Title {
        Title::File(path.to_owned())
    }

    #[test]
    fn supportconfig_gives_commands_files_logs_and_parameters() {
        let text = "\
=============================================================================
                     Support Utilities - Supportconfig
=============================================================================

#==[ Command ]======================================#
# /usr/bin/uname -a
Linux sles 5.14.21 x86_64

#==[ Configuration File ]===========================#
# /proc/cmdline
BOOT_IMAGE=/boot/vmlinuz quiet

#==[ Configuration File ]===========================#
# /etc/nothing - File not found

#==[ Log File ]=====================================#
# /var/log/messages - Last 500 Lines
a
b

#==[ Verification ]=================================#
# rpm -V audit-3.0
# Verification Status: Passed

#==[ Command ]======================================#
# /sbin/modinfo kvm_intel
license: GPL

# Known Module Parameter Values
/sys/module/kvm_intel/parameters/ept=Y
/sys/module/kvm_intel/parameters/nested=N
";
        assert_eq!(
            all(text),
            [
                (command("/usr/bin/uname -a"), 7, "Linux sles 5.14.21 x86_64\n\n".to_owned()),
                (file("proc/cmdline"), 11, "BOOT_IMAGE=/boot/vmlinuz quiet\n\n".to_owned()),
                (Title::Other, 15, "\n".to_owned()),
                (file("var/log/messages"), 18, "a\nb\n\n".to_owned()),
                (Title::Other, 23, "# Verification Status: Passed\n\n".to_owned()),
                (
                    command("/sbin/modinfo kvm_intel"),
                    27,
                    "license: GPL\n\n# Known Module Parameter Values\n".to_owned()
                ),
                (
                    Title::Value(
                        "sys/module/kvm_intel/parameters/ept".to_owned(),
                        "Y\n".to_owned()
                    ),
                    30,
                    String::new()
                ),
                (
                    Title::Value(
                        "sys/module/kvm_intel/parameters/nested".to_owned(),
                        "N\n".to_owned()
                    ),
                    31,
                    String::new()
                ),
            ]
        );
    }

    #[test]
    fn pvereport_gives_commands_and_files_and_keeps_their_comments() {
        let text = "\n==== general system info ====\n\n# hostname\npve1\n\n# cat /etc/hosts\n\
                    127.0.0.1 localhost\n\n# The following lines are for IPv6\n::1 localhost\n\n\
                    # output '/etc/pve/qemu-server/\\d+\\.conf' file(s)\n\n\
                    # cat /etc/pve/qemu-server/100.conf\ncpu: host\n\n\n==== info about storage ====\n";
        assert_eq!(
            all(text),
            [
                (Title::Other, 3, "\n".to_owned()),
                (command("hostname"), 5, "pve1\n\n".to_owned()),
                (
                    file("etc/hosts"),
                    8,
                    "127.0.0.1 localhost\n\n# The following lines are for IPv6\n::1 localhost\n\n"
                        .to_owned()
                ),
                (command("output '/etc/pve/qemu-server/\\d+\\.conf' file(s)"), 14, "\n".to_owned()),
                (file("etc/pve/qemu-server/100.conf"), 16, "cpu: host\n\n\n".to_owned()),
                (Title::Other, 20, String::new()),
            ]
        );
    }

    #[test]
    fn other_texts_have_no_sections() {
        for text in ["", "# hostname\nx\n", "==== Results ====\nok\n", "#!/bin/sh\n"] {
            assert_eq!(style(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_read_in_parts_and_is_one_line() {
        let long = "x".repeat(200_000);
        let text = format!("#==[ Command ]===#\n# a\n{long}\n#==[ Command ]===#\n# b\n");
        let found = all(&text);
        assert_eq!(found[0].2.len(), 200_001);
        assert_eq!((&found[1].0, found[1].1), (&command("b"), 6));
    }
}
