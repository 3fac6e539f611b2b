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

mod display;
mod memory;
mod users;

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
const FACTS: &[FactDef] = &joined::<{ count(PARTS) }>(PARTS);

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

/// A QEMU command line.
struct Command<'a> {
    binary: &'a str,
    arguments: &'a [String],
    /// Name of the guest.
    guest: String,
}

impl<'a> Command<'a> {
    /// The command among words that an environment or `sudo` may precede; `None` where it is not
    /// QEMU. `fallback` names a guest without `-name`.
    fn of(words: &'a [String], fallback: &str) -> Option<Self> {
        let at = words
            .iter()
            .take(64)
            .position(|w| program(w) == Some(Program::Qemu) && !w.contains('=') || w == "kvm")?;
        let arguments = words.get(at + 1..)?;
        if searches(words[..at].iter().map(String::as_str))
            || !arguments.iter().any(|a| a.starts_with('-'))
        {
            return None;
        }
        let mut command = Self { binary: &words[at], arguments, guest: String::new() };
        let name = command.option("-name").map(|n| {
            let first = n.split(',').next().unwrap_or(n);
            let guest = n.split(',').find_map(|p| p.strip_prefix("guest="));
            guest.unwrap_or_else(|| first.trim_start_matches("guest=")).to_owned()
        });
        let stem = fallback.trim_end_matches(".txt");
        command.guest = name.filter(|n| !n.is_empty()).unwrap_or_else(|| stem.to_owned());
        Some(command)
    }

    /// Arguments of an option, in order; QEMU takes `--name` for `-name`.
    fn options(&self, option: &str) -> impl Iterator<Item = &'a str> {
        self.arguments
            .windows(2)
            .filter(move |pair| pair[0] == option || pair[0].strip_prefix('-') == Some(option))
            .map(|pair| pair[1].as_str())
    }

    fn option(&self, option: &str) -> Option<&'a str> {
        self.options(option).last()
    }

    fn facts(&self, origin: &Origin, running: bool, out: &mut Out) {
        let mut add = |name, value| out.fact_of(name, &self.guest, value, origin.clone());
        add("qemu.binary", Value::text(self.binary));
        let name = self.binary.rsplit('/').next().unwrap_or(self.binary);
        if let Some(arch) = arch(name) {
            add("qemu.emulator_arch", Value::text(arch));
        }
        if let Some((accel, fallback)) = self.accel() {
            add("qemu.accel", Value::text(accel));
            add("qemu.accel_fallback", Value::Bool(fallback));
        }
        if let Some(cpu) = self.option("-cpu") {
            add("qemu.cpu", Value::text(cpu));
        }
        if let Some(machine) = self.machine() {
            add("qemu.machine", Value::text(machine));
        }
        if let Some(mib) = self.option("-m").and_then(memory) {
            add("qemu.memory_mib", Value::Int(mib));
        }
        if let Some(vcpus) = self.option("-smp").and_then(smp) {
            add("qemu.vcpus", Value::Int(vcpus));
        }
        if let Some(uuid) = self.uuid() {
            add("qemu.uuid", Value::text(uuid));
        }
        if let Some(macs) = Some(self.macs()).filter(|macs| !macs.is_empty()) {
            add("qemu.macs", Value::Words(macs));
        }
        if running {
            add("qemu.running", Value::Bool(true));
        }
        self.backing(origin, out);
        self.display(origin, out);
        super::hostdev::arguments(&self.guest, self.arguments, origin, out);
    }

    fn machines(&self) -> impl Iterator<Item = &'a str> {
        self.options("-machine").chain(self.options("-M"))
    }

    fn machine(&self) -> Option<&'a str> {
        self.machines()
            .filter_map(|m| {
                let first = m.split(',').next()?;
                let named = m.split(',').find_map(|p| p.strip_prefix("type="));
                named.or_else(|| (!first.contains('=')).then_some(first))
            })
            .last()
            .filter(|m| !m.is_empty())
    }

    /// The first accelerator, and whether another is named after it.
    fn accel(&self) -> Option<(&'a str, bool)> {
        let mut listed: Vec<&'a str> = self.options("-accel").collect();
        if listed.is_empty() {
            let of_machine = self.machines().flat_map(|m| m.split(','));
            let list = of_machine.filter_map(|p| p.strip_prefix("accel=")).last();
            listed.extend(list.into_iter().flat_map(|l| l.split(':')));
        }
        if listed.is_empty() {
            let flag = |f: &str| self.arguments.iter().any(|a| a.trim_start_matches('-') == f);
            if flag("enable-kvm") {
                listed.push("kvm");
            } else if flag("no-kvm") {
                listed.push("tcg");
            }
        }
        let Some(first) = listed.first() else {
            let upstream = self.binary.rsplit('/').next().is_some_and(|n| arch(n).is_some());
            // In `ps -o comm` and in cut lines the options are missing, not absent.
            return (upstream && self.arguments.len() > 3).then_some(("tcg", false));
        };
        let name = first.split(',').next().unwrap_or(first);
        Some((name.trim_start_matches("accel="), listed.len() > 1))
    }

    /// `-uuid`, or Proxmox VE's `-smbios type=1,uuid=...`; what is given to `-smbios` wins in QEMU.
    fn uuid(&self) -> Option<&'a str> {
        let tables = self.options("-smbios").filter(|s| s.split(',').any(|p| p == "type=1"));
        let of_table = tables.flat_map(|s| s.split(',')).filter_map(|p| p.strip_prefix("uuid="));
        of_table.last().or_else(|| self.option("-uuid"))
    }

    /// As `mac=` or `macaddr=` of a card, or in libvirt's JSON. Without any, QEMU gives the same
    /// address to the first card of every guest, which tells no guest from another.
    fn macs(&self) -> std::collections::BTreeSet<String> {
        let cards = ["-device", "-nic", "-net"].into_iter().flat_map(|o| self.options(o));
        let keys = cards.flat_map(|c| c.split([',', '{', '}'])).filter_map(|part| {
            let (key, value) = part.split_once(['=', ':'])?;
            let known = matches!(key.trim_matches('"'), "mac" | "macaddr");
            known.then(|| value.trim_matches('"').replace('-', ":").to_ascii_lowercase())
        });
        keys.filter(|mac| mac.split(':').count() == 6).collect()
    }
}

/// `-m`: `4096`, `4G`, `size=4194304k,slots=2`; MiB where no unit is given.
fn memory(argument: &str) -> Option<i64> {
    let size = argument.split(',').find_map(|p| p.strip_prefix("size="));
    let size = size.or_else(|| argument.split(',').next())?;
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: i64 = digits.parse().ok()?;
    match size[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "m" => Some(number),
        "b" => Some(number >> 20),
        "k" => Some(number >> 10),
        "g" => number.checked_mul(1 << 10),
        "t" => number.checked_mul(1 << 20),
        _ => None,
    }
}

/// `-smp`: `4`, `cpus=4,maxcpus=8`, or only a topology, of which QEMU takes the product
/// (hw/core/machine-smp.c). Without any it takes `maxcpus`.
fn smp(argument: &str) -> Option<i64> {
    const LEVELS: [&str; 8] =
        ["drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads"];
    let value = |key: &str| {
        let mut parts = argument.split(',');
        parts.find_map(|p| p.strip_prefix(key)?.strip_prefix('=')?.parse::<i64>().ok())
    };
    let plain = argument.split(',').next().and_then(|first| first.parse().ok());
    let product = || {
        let levels: Vec<i64> = LEVELS.iter().filter_map(|level| value(level)).collect();
        let product = levels.iter().try_fold(1_i64, |all, n| all.checked_mul(*n))?;
        (!levels.is_empty()).then_some(product)
    };
    plain.or_else(|| value("cpus")).or_else(product).or_else(|| value("maxcpus"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, text: &str) -> Vec<(String, String, String)> {
        let mut out = Out::default();
        parse(Piece { path, bytes: text.as_bytes(), whole: true }, &mut out);
        assert_eq!(out.problems, []);
        let fact = |f: crate::model::Fact| {
            (f.name.to_owned(), f.instance.unwrap_or_default(), f.value.to_string())
        };
        out.facts.into_iter().map(fact).collect()
    }

    #[track_caller]
    fn has(facts: &[(String, String, String)], name: &str, guest: &str, value: &str) {
        let wanted = (name.to_owned(), guest.to_owned(), value.to_owned());
        assert!(facts.contains(&wanted), "{wanted:?} is not in {facts:#?}");
    }

    const LOG: &str = "2025-01-12 07:30:41.000+0000: starting up libvirt version: 10.0.0\n\
        LC_ALL=C \\\nHOME=/var/lib/libvirt/qemu/domain-1-web \\\n/usr/bin/qemu-system-x86_64 \\\n\
        -name guest=web,debug-threads=on \\\n-machine pc-q35-8.2,usb=off \\\n-accel tcg \\\n\
        -cpu qemu64 \\\n-m 512 \\\n-smp 1 \\\n-msg timestamp=on\n\
        2025-01-12T07:31:00.0Z qemu-system-x86_64: terminating on signal 15\n\
        2025-01-12 07:35:41.000+0000: starting up libvirt version: 10.0.0\n\
        LC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=web,debug-threads=on \\\n\
        -object '{\"a\":\"b c\"}' \\\n-machine pc-q35-8.2,usb=off \\\n-accel kvm \\\n\
        -cpu host,migratable=on \\\n-m size=4194304k \\\n-smp 2,sockets=2,cores=1,threads=1\n\
        char device redirected to /dev/pts/1 (label charserial0)\n";

    #[test]
    fn the_last_start_of_a_log_counts() {
        let facts = run("var/log/libvirt/qemu/web.log", LOG);
        has(&facts, "qemu.accel", "web", "kvm");
        has(&facts, "qemu.cpu", "web", "host,migratable=on");
        has(&facts, "qemu.machine", "web", "pc-q35-8.2");
        has(&facts, "qemu.memory_mib", "web", "4096");
        has(&facts, "qemu.vcpus", "web", "2");
        has(&facts, "qemu.emulator_arch", "web", "x86_64");
        assert!(!facts.iter().any(|f| f.0 == "qemu.running" || f.2 == "tcg"), "{facts:?}");
    }

    #[test]
    fn rows_of_ps() {
        let text = "UID  PID PPID C STIME TTY TIME CMD\n\
            libvirt+ 4335 1 9 May19 ? 09:58:23 /usr/bin/qemu-system-x86_64 -name guest=a,debug-threads=on -object {\"x\":1, \"y\":2} -accel kvm -accel tcg -cpu max -smp 4 -m 8192\n\
            root 1211 1 0 May19 ? 00:00:04 /usr/sbin/libvirtd --timeout 120\n\
            lee 1212 1 0 May19 ? 00:00:04 vi /usr/sbin/libvirtd-notes\n\
            root 55121 1 14 05:12 ? 00:36:10 /usr/bin/kvm -id 131 -name b,debug-threads=on -cpu kvm64 -m 32768\n\
            lee 5210 1 11 07:41 ? 00:18 /usr/lib/virtualbox/VBoxHeadless --startvm x\n\
            lee 5211 1 11 07:41 ? 00:18 /usr/lib/virtualbox/VBoxSVC --auto-shutdown\n\
            lee 5212 1 11 07:41 ? 00:18 grep qemu-system-x86_64 -name\n";
        let facts = run("commands/ps.txt", text);
        has(&facts, "qemu.accel", "a", "kvm");
        has(&facts, "qemu.accel_fallback", "a", "true");
        has(&facts, "qemu.running", "a", "true");
        has(&facts, "qemu.cpu", "b", "kvm64");
        has(&facts, "qemu.user", "a", "libvirt+");
        has(&facts, "qemu.user", "b", "root");
        has(&facts, "libvirt.daemon_user", "", "root");
        has(&facts, "vbox.running", "", "1");
        has(&facts, "vmware.running", "", "0");
        assert!(!facts.iter().any(|f| f.0 == "qemu.accel" && f.1 == "b"), "{facts:?}");
        assert_eq!(facts.iter().filter(|f| f.0 == "qemu.running").count(), 2);
    }

    #[test]
    fn a_list_of_qemu_only_says_nothing_of_others() {
        let facts = run("commands/ps-qemu.txt", "UID PID CMD\n");
        assert_eq!(facts, []);
    }

    #[test]
    fn accelerators_in_all_their_spellings() {
        for (line, accel, fallback) in [
            ("qemu-system-x86_64 -enable-kvm -cpu host -m 1G", "kvm", "false"),
            ("sudo qemu-system-x86_64 -machine q35,accel=kvm:tcg -m 1G", "kvm", "true"),
            ("qemu-system-aarch64 -M virt,accel=hvf -cpu host -m 1G", "hvf", "false"),
            ("/opt/bin/qemu-system-x86_64 --accel whpx,kernel-irqchip=off -m 1G", "whpx", "false"),
            ("qemu-system-x86_64 -m 2G -smp 2 -hda disk.img", "tcg", "false"),
        ] {
            let facts = run("commands/qemu-cmdline.txt", line);
            has(&facts, "qemu.accel", "qemu-cmdline", accel);
            has(&facts, "qemu.accel_fallback", "qemu-cmdline", fallback);
        }
        let facts = run("commands/qemu-cmdline.txt", "/usr/libexec/qemu-kvm -m 2G -smp 2 -hda a");
        assert!(!facts.iter().any(|f| f.0 == "qemu.accel"), "the wrapper's default is its own");
    }

    #[test]
    fn screens_and_usb() {
        let facts = run(
            "commands/qemu-cmdline.txt",
            "qemu-system-x86_64 -vga std -device usb-tablet,id=t -device \
             '{\"driver\":\"ich9-usb-ehci1\",\"id\":\"usb\"}' -device virtio-net-pci -m 1G",
        );
        has(&facts, "qemu.video", "qemu-cmdline", "std");
        has(&facts, "qemu.usb", "qemu-cmdline", "ich9-usb-ehci1 usb-tablet");
        let facts = run("commands/qemu-cmdline.txt", "qemu-system-x86_64 -m 1G -nographic -smp 2");
        assert!(!facts.iter().any(|f| f.0 == "qemu.video" || f.0 == "qemu.usb"), "{facts:?}");
    }

    #[test]
    fn proc_cmdline_and_sizes() {
        let facts = run(
            "proc/77/cmdline",
            "qemu-system-x86_64\0-accel\0kvm\0-m\x001T\0-smp\0cores=2,threads=2\0",
        );
        has(&facts, "qemu.memory_mib", "77", "1048576");
        has(&facts, "qemu.vcpus", "77", "4");
        has(&facts, "qemu.running", "77", "true");
        assert_eq!(run("proc/1/cmdline", "/sbin/init\0splash\0"), []);
    }

    #[test]
    fn by_what_a_guest_is_known_elsewhere() {
        let uuid = "0b8f2c4e-93a1-4d1f-8f0e-6a5d1f2b7c90";
        let line = |rest: &str| format!("qemu-system-x86_64 -name a -accel kvm {rest}");
        let facts = run(
            "commands/qemu-cmdline.txt",
            &line(&format!(
                "-uuid {uuid} -device virtio-net-pci,netdev=n,mac=52:54:00:AA:00:01 \
                 -device '{{\"driver\":\"e1000e\",\"mac\":\"52:54:00:aa:00:02\",\"bus\":\"pci.1\"}}' \
                 -net nic,macaddr=52:54:00:aa:00:03"
            )),
        );
        has(&facts, "qemu.uuid", "a", uuid);
        let macs = "52:54:00:aa:00:01 52:54:00:aa:00:02 52:54:00:aa:00:03";
        has(&facts, "qemu.macs", "a", macs);
        let smbios = format!("-smbios type=0,vendor=x -smbios type=1,product=y,uuid={uuid}");
        has(&run("commands/qemu-cmdline.txt", &line(&smbios)), "qemu.uuid", "a", uuid);
        let facts = run("commands/qemu-cmdline.txt", &line("-device e1000,netdev=n"));
        assert!(!facts.iter().any(|f| f.0 == "qemu.macs" || f.0 == "qemu.uuid"), "{facts:?}");
    }

    #[test]
    fn vcpus_in_all_their_spellings() {
        for (argument, vcpus) in [
            ("8", Some(8)),
            ("8,sockets=2,cores=2,threads=2,maxcpus=16", Some(8)),
            ("cpus=3,maxcpus=16", Some(3)),
            ("sockets=2,dies=1,clusters=2,cores=4,threads=2", Some(32)),
            ("threads=2", Some(2)),
            ("maxcpus=6", Some(6)),
            ("many", None),
        ] {
            assert_eq!(smp(argument), vcpus, "{argument}");
        }
    }

    #[test]
    fn what_is_no_command_line_gives_nothing() {
        for text in ["", "qemu-system-x86_64: failed to initialize kvm\n", "\\\n\\\n", "-name x"] {
            assert_eq!(run("commands/qemu-cmdline.txt", text), []);
            assert_eq!(run("var/log/libvirt/qemu/a.log", text), []);
        }
    }
}
