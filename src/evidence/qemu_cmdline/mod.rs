//! QEMU command lines, and the processes of other hypervisors.
//!
//! Read from libvirt's per-domain logs (/var/log/libvirt/qemu/NAME.log: the last start in it),
//! `ps`, /proc/PID/cmdline, and command lines that people kept. What the options mean is QEMU's
//! invocation manual: the first `-accel` wins, a list `kvm:tcg` falls back silently, and without
//! any, `qemu-system-*` emulates (TCG), while `qemu-kvm` and `kvm` are distributions' wrappers
//! with a default of their own.
//!
//! `ps` shows threads as rows of their own, and its quoting is lost. Not parsed: drives, and
//! devices but for those that the slice `hostdev` looks for.
//!
//! * `command.rs`: one command line, its guest, accelerator, machine and size
//! * `display.rs`: screens and USB
//! * `memory.rs`: what backs the guest's RAM
//! * `users.rs`: whose processes they are

mod command;
mod display;
mod memory;
#[cfg(test)]
mod tests;
mod users;

use command::Command;

use super::{Slice, count, joined};
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::{lines, shell};

/// QEMU command lines.
pub const SLICE: Slice = Slice { name: "qemu_cmdline", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("var/log/libvirt/qemu/*.log"),
    Want::command("ps", &["ps", "auxww"], &["ps", "sos_commands/process/ps_*"]),
    Want::output("ps-*"),
    Want::output("qemu-cmdline*"),
    Want::given("proc/*/cmdline"),
];

const fn guest(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "guest", doc, "ps -ww -o args= -C qemu-system-x86_64")
}

const PARTS: &[&[FactDef]] = &[GENERAL, display::FACTS, memory::FACTS, users::FACTS];
const FACTS: &[FactDef] = &joined::<_, { count(PARTS) }>(PARTS);

const GENERAL: &[FactDef] = &[
    guest("qemu.accel", Kind::Text, "First accelerator: kvm, tcg, hvf, whpx, xen"),
    guest("qemu.accel_fallback", Kind::Bool, "Whether another accelerator may follow: kvm:tcg"),
    guest("qemu.cpu", Kind::Text, "Argument of -cpu"),
    guest("qemu.binary", Kind::Text, "The program, as it was called"),
    guest("qemu.emulator_arch", Kind::Text, "Architecture that the binary emulates, e.g. x86_64"),
    guest("qemu.machine", Kind::Text, "Machine type"),
    guest("qemu.memory_mib", Kind::Int, "Guest RAM at start, MiB"),
    guest("qemu.vcpus", Kind::Int, "Virtual CPUs at start"),
    guest("qemu.uuid", Kind::Text, "UUID that the guest sees in DMI, where one is given"),
    guest("qemu.macs", Kind::Words, "MAC addresses that are given to the guest's network cards"),
    guest("qemu.running", Kind::Bool, "Whether a process of the guest was listed"),
    FactDef::new(
        "vbox.running",
        Kind::Int,
        "VirtualBox machines that run: VBoxHeadless and VirtualBoxVM processes",
        "pgrep -c 'VBoxHeadless|VirtualBoxVM'",
    ),
    FactDef::new(
        "vmware.running",
        Kind::Int,
        "VMware machines that run: vmware-vmx processes",
        "pgrep -c vmware-vmx",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if piece.path.starts_with("proc/") {
        let words: Vec<String> =
            text.split('\0').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let pid = piece.path.split('/').nth(1).unwrap_or_default();
        if let Some(command) = Command::of(&words, pid) {
            command.facts(&Origin::new(piece.path, Some(1), &words.join(" ")), true, out);
        }
    } else if piece.path.starts_with("var/log/") {
        log(piece, &text, out);
    } else if piece.file_name().starts_with("ps") {
        processes(piece, &text, out);
    } else {
        for (line, text) in logical_lines(&text) {
            if let Some(command) = Command::of(&shell::words(&text), piece.file_name()) {
                command.facts(&Origin::new(piece.path, Some(line), &text), false, out);
            }
        }
    }
}

/// Lines with their continuations (`\` at the end) joined, under the number of the first.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut joined: Vec<(u32, String)> = Vec::new();
    let mut continues = false;
    for (number, line) in lines(text) {
        let body = line.trim_end();
        let (body, more) = body.strip_suffix('\\').map_or((body, false), |b| (b, true));
        match joined.last_mut() {
            Some((_, last)) if continues => last.push_str(body),
            _ => joined.push((number, body.to_owned())),
        }
        if more && let Some((_, last)) = joined.last_mut() {
            last.push(' ');
        }
        continues = more;
    }
    joined
}

/// The last start in a domain's log: environment and arguments, one per line.
fn log(piece: Piece<'_>, text: &str, out: &mut Out) {
    let stem = piece.file_name().trim_end_matches(".log");
    let is_start = |(_, text): &(u32, String)| {
        // The log holds QEMU's own output too, but only libvirt gives names to guests.
        text.contains(" -name ") && Command::of(&shell::words(text), stem).is_some()
    };
    let Some((line, text)) = logical_lines(text).into_iter().rfind(is_start) else { return };
    let words = shell::words(&text);
    if let Some(command) = Command::of(&words, stem) {
        // The environment before the program is of no interest.
        let start = text.find(command.binary).unwrap_or(0);
        command.facts(&Origin::new(piece.path, Some(line), &text[start..]), false, out);
    }
}

/// Rows of `ps`: the command is what follows the other columns.
fn processes(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut vbox: Vec<(u32, &str)> = Vec::new();
    let mut vmware: Vec<(u32, &str)> = Vec::new();
    let mut is_list = false;
    for (line, text) in lines(text) {
        let columns: Vec<&str> = text.split_whitespace().collect();
        is_list |= columns.contains(&"PID");
        users::daemon(piece, line, text, &columns, out);
        let Some(at) = columns.iter().take(20).position(|c| program(c).is_some()) else { continue };
        // The number before the command's other columns is the process's.
        let pid = columns[..at].iter().find(|c| c.parse::<u32>().is_ok()).copied();
        let Some(pid) = pid.filter(|_| !searches(columns[..at].iter().copied())) else { continue };
        match program(columns[at]) {
            Some(Program::Vbox) => vbox.push((line, text)),
            Some(Program::Vmware) => vmware.push((line, text)),
            _ => {
                let words = shell::plain_words(text);
                let words = words.iter().position(|w| *w == columns[at]).map(|at| &words[at..]);
                if let Some(command) = words.and_then(|w| Command::of(w, pid)) {
                    let origin = Origin::new(piece.path, Some(line), text);
                    command.facts(&origin, true, out);
                    users::emulator(&command.guest, &columns, &origin, out);
                }
            }
        }
    }
    // A list of QEMU processes only does not tell that there are no others.
    let complete = is_list && piece.whole && matches!(piece.file_name(), "ps.txt" | "ps");
    for (name, found) in [("vbox.running", vbox), ("vmware.running", vmware)] {
        let (line, text) = found.first().copied().unwrap_or((1, text.lines().next().unwrap_or("")));
        if complete || !found.is_empty() {
            let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
            out.fact(name, Value::Int(count), Origin::new(piece.path, Some(line), text));
        }
    }
}

/// A hypervisor's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Qemu,
    Vbox,
    Vmware,
}

/// Which hypervisor's program a path is.
fn program(path: &str) -> Option<Program> {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    match name {
        "qemu-kvm" => Some(Program::Qemu),
        // Proxmox VE and Debian call it so; without a path it is a word like others.
        "kvm" if path.contains('/') => Some(Program::Qemu),
        "VBoxHeadless" | "VirtualBoxVM" => Some(Program::Vbox),
        "vmware-vmx" | "vmware-vmx-debug" => Some(Program::Vmware),
        _ => arch(name).map(|_| Program::Qemu),
    }
}

/// The architecture in `qemu-system-x86_64`, also where something is appended to the name.
fn arch(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("qemu-system-")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0 && !name.ends_with(':')).then(|| &rest[..end])
}

/// Whether a program among these words only looks for QEMU.
fn searches<'a>(mut words: impl Iterator<Item = &'a str>) -> bool {
    words.any(|w| matches!(w, "grep" | "egrep" | "pgrep" | "pkill" | "journalctl"))
}
