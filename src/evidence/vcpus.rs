//! vCPUs of guests: which guests run (`virsh list`, `qm list`), how many vCPUs Proxmox VE gives
//! (qm.conf(5)), and on how many CPUs a vCPU may run (`virsh vcpuinfo`, `virsh vcpupin`).
//!
//! The words of states are libvirt's English ones; others are left out, not guessed.
//!
//! Not parsed: NUMA placement, the emulator's threads, times of vCPUs.

use super::Slice;
use super::cpu_time::count;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// vCPUs of guests.
pub const SLICE: Slice = Slice { name: "vcpus", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command(
        "virsh-list",
        &["virsh", "-r", "list", "--all"],
        &["sos_commands/virsh/virsh_-r_list_--all"],
    ),
    Want::output("virsh-list*"),
    Want::output("virsh-vcpuinfo-*"),
    Want::output("virsh-vcpupin-*"),
    Want::command("qm-list", &["qm", "list"], &[]),
    Want::given("etc/pve/qemu-server/*.conf"),
    Want::given("etc/pve/nodes/*/qemu-server/*.conf"),
    Want::output("qm-config-*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "domain.running",
        Kind::Bool,
        "domain",
        "Whether libvirt lists the domain as running",
        "virsh list --all",
    ),
    FactDef::per(
        "pve.running",
        Kind::Bool,
        "VM id",
        "Whether Proxmox VE lists the guest as running",
        "qm list",
    ),
    FactDef::per(
        "pve.vcpus",
        Kind::Int,
        "VM id",
        "vCPUs of a guest of Proxmox VE: sockets times cores, or vcpus",
        "qm config ID",
    ),
    FactDef::per(
        "vcpus.affinity",
        Kind::Int,
        "domain",
        "CPUs that a vCPU of the domain may run on, of the vCPU with the most",
        "virsh vcpupin NAME",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let name = piece.file_name().trim_end_matches(".txt");
    if name.starts_with("virsh-list") {
        virsh_list(piece, &text, out);
    } else if name == "qm-list" {
        qm_list(piece, &text, out);
    } else if let Some(domain) = name.strip_prefix("virsh-vcpuinfo-") {
        affinity(piece, &text, domain, out);
    } else if let Some(domain) = name.strip_prefix("virsh-vcpupin-") {
        affinity(piece, &text, domain, out);
    } else {
        proxmox(piece, &text, out);
    }
}

/// Whether a row at the end of a cut file: it may have lost characters.
fn is_cut(piece: Piece<'_>, text: &str, line: u32) -> bool {
    !piece.whole && u32::try_from(text.lines().count()).is_ok_and(|last| line >= last)
}

/// ` 1     web1     running`, ` -   old    shut off`.
fn virsh_list(piece: Piece<'_>, text: &str, out: &mut Out) {
    const STATES: &[(&str, bool)] = &[
        ("running", true),
        ("idle", true),
        ("paused", false),
        ("shut off", false),
        ("in shutdown", true),
        ("crashed", false),
        ("pmsuspended", false),
    ];
    for (line, row) in lines(text).filter(|(line, _)| !is_cut(piece, text, *line)) {
        let row = row.trim();
        let Some((id, rest)) = row.split_once(char::is_whitespace) else { continue };
        let state = STATES.iter().find_map(|(word, runs)| {
            let name = rest.trim().strip_suffix(word)?;
            Some((name.ends_with(char::is_whitespace).then(|| name.trim())?, *runs))
        });
        let is_id = id == "-" || id.parse::<u32>().is_ok();
        if let Some((name, runs)) = state.filter(|(name, _)| is_id && !name.is_empty()) {
            let origin = Origin::new(piece.path, Some(line), row);
            out.fact_of("domain.running", name, Value::Bool(runs), origin);
        }
    }
}

/// `      131 mail-test            running    4096               32.00 4711`
fn qm_list(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (line, row) in lines(text).filter(|(line, _)| !is_cut(piece, text, *line)) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let Some(id) = words.first().filter(|w| w.parse::<u32>().is_ok()) else { continue };
        let runs = words.iter().find_map(|w| match *w {
            "running" => Some(true),
            "stopped" | "paused" | "suspended" => Some(false),
            _ => None,
        });
        if let Some(runs) = runs {
            let origin = Origin::new(piece.path, Some(line), row);
            out.fact_of("pve.running", id, Value::Bool(runs), origin);
        }
    }
}

/// `CPU Affinity:   yyyy----` of vcpuinfo, ` 0      0-15` of vcpupin.
fn affinity(piece: Piece<'_>, text: &str, domain: &str, out: &mut Out) {
    let mut most: Option<(i64, Origin)> = None;
    for (line, row) in lines(text).filter(|(line, _)| !is_cut(piece, text, *line)) {
        let cpus = match row.split_once("CPU Affinity:") {
            Some((_, mask)) => {
                let mask = mask.trim();
                let letters = mask.bytes().all(|b| b == b'y' || b == b'-') && !mask.is_empty();
                letters.then(|| i64::try_from(mask.matches('y').count()).unwrap_or(i64::MAX))
            }
            None => match row.split_whitespace().collect::<Vec<_>>()[..] {
                [vcpu, list] if vcpu.trim_end_matches(':').parse::<u32>().is_ok() => count(list),
                _ => None,
            },
        };
        if let Some(cpus) = cpus
            && most.as_ref().is_none_or(|(n, _)| cpus > *n)
        {
            most = Some((cpus, Origin::new(piece.path, Some(line), row)));
        }
    }
    if let Some((cpus, origin)) = most {
        out.fact_of("vcpus.affinity", domain, Value::Int(cpus), origin);
    }
}

/// `cores`, `sockets` and `vcpus` of a guest; what follows the first section are snapshots.
fn proxmox(piece: Piece<'_>, text: &str, out: &mut Out) {
    let stem = piece.file_name();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let id = stem.strip_prefix("qm-config-").unwrap_or(stem);
    let (mut cores, mut sockets, mut vcpus) = (1_i64, 1_i64, None);
    let mut origin: Option<Origin> = None;
    for (line, row) in lines(text).take_while(|(_, row)| !row.starts_with('[')) {
        let Some((key, value)) = row.split_once(':') else { continue };
        let key = key.trim();
        if !matches!(key, "cores" | "sockets" | "vcpus") || is_cut(piece, text, line) {
            continue;
        }
        let Some(number) = value.trim().parse::<i64>().ok().filter(|n| (1..=8192).contains(n))
        else {
            out.problem(piece.path, Some(line), format!("{key} is no number of CPUs"));
            return;
        };
        match key {
            "cores" => cores = number,
            "sockets" => sockets = number,
            _ => vcpus = Some(number),
        }
        origin.get_or_insert_with(|| Origin::new(piece.path, Some(line), row));
    }
    // Without any of them a guest has one vCPU, which says nothing that matters here.
    if let Some(origin) = origin.filter(|_| piece.whole) {
        let number = vcpus.unwrap_or(cores * sockets);
        out.fact_of("pve.vcpus", id, Value::Int(number), origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn facts(path: &str, text: &str) -> Vec<String> {
        testing::shown(parse, path, text)
    }

    #[test]
    fn who_runs() {
        let text = " Id   Name        State\n----------------------------\n 1    web one     running\n \
                    -    old         shut off\n 7    hold        paused\n";
        let expected = [
            "domain.running[web one]=true",
            "domain.running[old]=false",
            "domain.running[hold]=false",
        ];
        assert_eq!(facts("commands/virsh-list.txt", text), expected);
        let text = "      VMID NAME   STATUS     MEM(MB)    BOOTDISK(GB) PID\n       131 mail   \
                    running    4096  32.00 4711\n       132 x      stopped    4096  32.00 0\n";
        let expected = ["pve.running[131]=true", "pve.running[132]=false"];
        assert_eq!(facts("commands/qm-list.txt", text), expected);
    }

    #[test]
    fn vcpus_of_proxmox_without_snapshots() {
        let text = "cores: 4\nsockets: 2\nname: x\n[snap]\ncores: 64\n";
        assert_eq!(facts("etc/pve/qemu-server/7.conf", text), ["pve.vcpus[7]=8"]);
        let text = "cores: 4\nsockets: 2\nvcpus: 3\n";
        assert_eq!(facts("commands/qm-config-7.txt", text), ["pve.vcpus[7]=3"]);
        assert_eq!(facts("etc/pve/qemu-server/7.conf", "name: x\n"), [""; 0]);
        let broken = facts("etc/pve/qemu-server/7.conf", "cores: 99999999999\n");
        assert_eq!(broken, ["cores is no number of CPUs"]);
    }

    #[test]
    fn where_vcpus_may_run() {
        let text = "VCPU:           0\nCPU:            3\nCPU Affinity:   yy------\n\nVCPU:           1\n\
                    CPU Affinity:   yyyy----\n";
        assert_eq!(facts("commands/virsh-vcpuinfo-a.txt", text), ["vcpus.affinity[a]=4"]);
        let text = " VCPU   CPU Affinity\n----------------------\n 0      0-15\n 1      3\n";
        assert_eq!(facts("commands/virsh-vcpupin-a.txt", text), ["vcpus.affinity[a]=16"]);
    }
}
