//! RAM of guests from where neither libvirt's XML nor a QEMU command line tells it.
//!
//! * Proxmox VE's configurations: `memory`, `balloon`, `hugepages` (qm.conf(5))
//! * Incus and LXD: `limits.memory`, `limits.memory.hugepages` of `incus config show`
//! * `virsh dominfo`: `Max memory`, `State`
//! * command lines of Cloud Hypervisor, in `ps` or above what it printed:
//!   `--memory size=4G,hugepages=on,hugepage_size=2M` (docs/memory.md)
//!
//! Not parsed: memory zones, hot-plugged memory, percentages of Incus.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::{lines, shell};

/// RAM of guests.
pub const SLICE: Slice = Slice { name: "guest_memory", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("etc/pve/qemu-server/*.conf"),
    Want::given("etc/pve/nodes/*/qemu-server/*.conf"),
    Want::output("qm-config*"),
    Want::output("incus-config-show*"),
    Want::output("lxc-config-show*"),
    Want::command("virsh-dominfo*", &[], &["sos_commands/virsh/virsh_-r_dominfo_*"]),
    Want::command("ps", &["ps", "auxww"], &["ps", "sos_commands/process/ps_*"]),
    Want::output("ps-*"),
    Want::output("cloud-hypervisor*"),
    Want::output("stderr*"),
];

const fn guest(
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    command: &'static str,
) -> FactDef {
    FactDef::per(name, kind, "guest", doc, command)
}

const SHOW: &str = "qm config ID; incus config show NAME; virsh dominfo NAME";

const FACTS: &[FactDef] = &[
    guest("guest.memory_kib", Kind::Int, "RAM of a guest as its manager has it, KiB", SHOW),
    guest("guest.balloon_kib", Kind::Int, "Least RAM that the balloon may leave, KiB", SHOW),
    guest("guest.hugepages", Kind::Bool, "Whether the guest's RAM is to lie in huge pages", SHOW),
    guest("guest.hugepage_kib", Kind::Int, "Size of these huge pages, KiB", SHOW),
    guest("guest.running", Kind::Bool, "Whether its manager or `ps` shows it running", SHOW),
];

/// Where facts of one guest go.
struct Writer<'a, 'o> {
    piece: Piece<'a>,
    guest: String,
    out: &'o mut Out,
}

impl Writer<'_, '_> {
    fn add(&mut self, name: &'static str, value: Value, line: u32, text: &str) {
        let origin = Origin::new(self.piece.path, Some(line), text);
        self.out.fact_of(name, &self.guest, value, origin);
    }

    fn size(&mut self, name: &'static str, kib: Option<i64>, line: u32, text: &str) {
        match kib {
            Some(kib) => self.add(name, Value::Int(kib), line, text),
            None => self.out.problem(self.piece.path, Some(line), "the size is not understood"),
        }
    }
}

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let file = piece.file_name();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let name = ["qm-config-", "incus-config-show-", "lxc-config-show-", "virsh-dominfo-"]
        .iter()
        .find_map(|prefix| stem.strip_prefix(prefix))
        .unwrap_or(stem);
    let mut writer = Writer { piece, guest: name.to_owned(), out };
    if stem.starts_with("ps") {
        processes(&text, &mut writer);
    } else if stem.starts_with("cloud-hypervisor") || stem.starts_with("stderr") {
        // What was typed, perhaps over several lines; nobody knows whether it runs.
        processes(&text.replace("\\\n", " "), &mut writer);
    } else if stem.starts_with("virsh-dominfo") {
        dominfo(&text, &mut writer);
    } else if stem.starts_with("incus") || stem.starts_with("lxc") {
        incus(&text, &mut writer);
    } else {
        proxmox(&text, &mut writer);
    }
}

/// Sizes of Proxmox VE are MiB.
fn proxmox(text: &str, writer: &mut Writer<'_, '_>) {
    let mib = |value: &str| value.parse::<i64>().ok()?.checked_mul(1024);
    for (number, line) in lines(text) {
        // What follows belongs to snapshots and to changes that are not applied yet.
        if line.starts_with('[') {
            break;
        }
        let Some((key, value)) = line.split_once(':').map(|(k, v)| (k, v.trim())) else { continue };
        match key {
            "memory" => {
                let value = value.strip_prefix("current=").unwrap_or(value);
                writer.size("guest.memory_kib", mib(value), number, line);
            }
            "balloon" => writer.size("guest.balloon_kib", mib(value), number, line),
            "hugepages" => {
                writer.add("guest.hugepages", Value::Bool(true), number, line);
                if let Some(kib) = mib(value) {
                    writer.add("guest.hugepage_kib", Value::Int(kib), number, line);
                }
            }
            _ => {}
        }
    }
}

/// YAML, of which only two flat keys matter.
fn incus(text: &str, writer: &mut Writer<'_, '_>) {
    for (number, line) in lines(text) {
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        match key {
            "limits.memory" if !value.ends_with('%') => {
                writer.size("guest.memory_kib", size(value), number, line);
            }
            "limits.memory.hugepages" => {
                let on = matches!(value, "true" | "1" | "yes" | "on");
                writer.add("guest.hugepages", Value::Bool(on), number, line);
            }
            _ => {}
        }
    }
}

fn dominfo(text: &str, writer: &mut Writer<'_, '_>) {
    for (number, line) in lines(text) {
        let Some((key, value)) = line.split_once(':').map(|(k, v)| (k.trim(), v.trim())) else {
            continue;
        };
        match key {
            "Name" if !value.is_empty() => value.clone_into(&mut writer.guest),
            "State" => {
                let running = matches!(value, "running" | "paused" | "idle");
                writer.add("guest.running", Value::Bool(running), number, line);
            }
            "Max memory" => {
                let kib = value.strip_suffix("KiB").and_then(|v| v.trim().parse().ok());
                writer.size("guest.memory_kib", kib, number, line);
            }
            _ => {}
        }
    }
}

/// Processes of Cloud Hypervisor, each under its process id.
fn processes(text: &str, writer: &mut Writer<'_, '_>) {
    for (number, line) in lines(text) {
        if !line.contains("cloud-hypervisor") {
            continue;
        }
        let words = shell::plain_words(line);
        let is_program = |w: &String| w.rsplit('/').next() == Some("cloud-hypervisor");
        let Some(at) = words.iter().position(is_program) else { continue };
        let is_list = writer.piece.file_name().starts_with("ps");
        let pid = words[..at].iter().find(|w| is_list && w.parse::<u32>().is_ok());
        if words[..at].iter().any(|w| w.ends_with("grep")) {
            continue;
        }
        let option = words[at..].windows(2).find(|pair| pair[0] == "--memory");
        let Some(option) = option.map(|pair| pair[1].as_str()) else { continue };
        writer.guest = pid.map_or_else(|| "cloud-hypervisor".to_owned(), Clone::clone);
        let value =
            |key: &str| option.split(',').find_map(|p| p.strip_prefix(key)?.strip_prefix('='));
        if pid.is_some() {
            writer.add("guest.running", Value::Bool(true), number, line);
        }
        if let Some(kib) = value("size").and_then(size).filter(|kib| *kib > 0) {
            writer.add("guest.memory_kib", Value::Int(kib), number, line);
        }
        let huge = value("hugepages").is_some_and(|v| v == "on");
        writer.add("guest.hugepages", Value::Bool(huge), number, line);
        if let Some(kib) = value("hugepage_size").and_then(size) {
            writer.add("guest.hugepage_kib", Value::Int(kib), number, line);
        }
    }
}

/// `16GiB`, `12GB`, `4096M`, `2G`, or bytes, in KiB. Cloud Hypervisor's letters are powers of two.
fn size(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: i64 = number.parse().ok()?;
    let bytes: i64 = match unit.trim() {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(bytes).map(|b| b >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::read;

    fn of(path: &str, text: &str) -> Vec<String> {
        let out = read(parse, path, text);
        let shown = |f: &crate::model::Fact| {
            format!("{} {} {}", f.name, f.instance.clone().unwrap_or_default(), f.value)
        };
        out.facts.iter().map(shown).collect()
    }

    #[test]
    fn proxmox_without_its_snapshots() {
        let text = "memory: 4096\nballoon: 0\nhugepages: 1024\nnuma: 1\n[old]\nmemory: 1\n";
        assert_eq!(
            of("etc/pve/qemu-server/101.conf", text),
            [
                "guest.memory_kib 101 4194304",
                "guest.balloon_kib 101 0",
                "guest.hugepages 101 true",
                "guest.hugepage_kib 101 1048576",
            ]
        );
        assert_eq!(of("commands/qm-config-7.txt", "memory: current=1\nhugepages: any\n").len(), 2);
    }

    #[test]
    fn incus_and_dominfo() {
        let text = "config:\n  limits.memory: 16GiB\n  limits.memory.hugepages: \"true\"\n";
        assert_eq!(
            of("commands/incus-config-show-b.txt", text),
            ["guest.memory_kib b 16777216", "guest.hugepages b true"]
        );
        let text = "Id:             2\nName:           web\nState:          running\n\
                    Max memory:     4194304 KiB\nUsed memory:    2097152 KiB\n";
        assert_eq!(
            of("commands/virsh-dominfo-x.txt", text),
            ["guest.running web true", "guest.memory_kib web 4194304"]
        );
    }

    #[test]
    fn cloud_hypervisor_in_ps() {
        let text = "USER PID %CPU COMMAND\n\
            root 77 1.0 /usr/bin/cloud-hypervisor --kernel k --memory size=4096M,hugepages=on,hugepage_size=2M --cpus boot=4\n\
            root 78 0.0 grep cloud-hypervisor --memory size=1G\n";
        assert_eq!(
            of("commands/ps.txt", text),
            [
                "guest.running 77 true",
                "guest.memory_kib 77 4194304",
                "guest.hugepages 77 true",
                "guest.hugepage_kib 77 2048",
            ]
        );
    }

    #[test]
    fn cloud_hypervisor_as_it_was_typed() {
        let text =
            "$ sudo cloud-hypervisor \\\n  --kernel k \\\n  --memory size=1G,hugepages=on\nError\n";
        assert_eq!(
            of("commands/cloud-hypervisor.txt", text),
            ["guest.memory_kib cloud-hypervisor 1048576", "guest.hugepages cloud-hypervisor true"]
        );
    }

    #[test]
    fn broken_sizes_are_problems() {
        let out = read(parse, "etc/pve/qemu-server/1.conf", "memory: lots\nballoon: é\n");
        assert_eq!((out.facts.len(), out.problems.len()), (0, 2));
        assert_eq!(size("9223372036854775807G"), None);
    }
}
