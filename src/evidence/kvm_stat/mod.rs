//! KVM's counters: how often guests left guest mode, and why.
//!
//! Read are the files of debugfs (`/sys/kernel/debug/kvm/NAME` holds sums over living VMs,
//! `PID-FD/NAME` those of one VM; virt/kvm/kvm_main.c, arch/x86/kvm/x86.c), what kvm_stat(1) prints
//! (tools/kvm/kvm_stat), `perf stat -e 'kvm:*'`, QEMU's `query-stats`, and `virsh domstats`, which
//! asks for it: the same numbers per vCPU (Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD).
//!
//! A counter only grows, so it says little by itself: what counts is its rate. kvm_stat prints one;
//! two samples of debugfs with the uptime of the host beside them give one; of a single sample only
//! its mean over the VM's life is known. A counter is an instance, `NAME` for sums and `VM/NAME` for
//! one VM; kvm_stat's tracepoints are counters too (`kvm_exit`, `kvm_exit(HLT)`).
//!
//! Not parsed: histograms, and settings that debugfs keeps beside the counters.

mod domstats;
mod query;
mod table;

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// KVM's counters.
pub const SLICE: Slice = Slice { name: "kvm_stat", wants: WANTS, facts: FACTS, parse };

/// Counters by name, with the host's uptime before them. Only cheap ones are read: others in the
/// same folder walk all memory of a guest under a lock.
const COUNTERS: &[&str] = &[
    "grep",
    "-rHs",
    "--include=uptime",
    "--include=exits",
    "--include=*_exits",
    "--include=nested_run",
    "--include=guest_mode",
    "--include=irq_injections",
    "--include=insn_emulation",
    "--include=hypercalls",
    "--include=halt_wakeup",
    "--include=halt_wait_ns",
    "--include=halt_poll_*_ns",
    "--include=pf_fixed",
    "--include=pf_taken",
    "--include=tlb_flush",
    "",
    "/proc/uptime",
    "/sys/kernel/debug/kvm",
];

const WANTS: &[Want] = &[
    Want::command("kvm-counters", COUNTERS, &[]),
    Want::command("kvm-counters.2", COUNTERS, &[]),
    Want::output("kvm-counters*"),
    Want::output("kvm-debugfs*"),
    // Where grep knows no --include (BusyBox) there is one sample only.
    Want::file("sys/kernel/debug/kvm/exits"),
    Want::file("sys/kernel/debug/kvm/nested_run"),
    Want::file("sys/kernel/debug/kvm/*/exits"),
    Want::file("sys/kernel/debug/kvm/*/*_exits"),
    Want::file("sys/kernel/debug/kvm/*/nested_run"),
    Want::file("sys/kernel/debug/kvm/*/vcpu*/guest_mode"),
    Want::given("sys/kernel/debug/kvm/*"),
    Want::given("sys/kernel/debug/kvm/*/*"),
    Want::command("kvm_stat", &["kvm_stat", "--once"], &["sos_commands/kvm/kvm_stat*"]),
    Want::output("kvm_stat*"),
    Want::output("kvm-stat*"),
    Want::output("kvmstat*"),
    Want::output("perf-stat*"),
    Want::output("qemu-query-stats*"),
    Want::given("commands/qemu-query-stats*.json"),
    Want::command("virsh-domstats", &["virsh", "-r", "domstats"], &[]),
    Want::command("virsh-domstats.2", &["virsh", "-r", "domstats"], &[]),
    Want::command("virsh-domstats*", &[], &["sos_commands/virsh/virsh_-r_domstats*"]),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "kvmcount.total",
        Kind::Int,
        "counter",
        "A counter of KVM since its VMs started (sums are over living VMs)",
        "kvm_stat --once",
    ),
    FactDef::per(
        "kvmcount.rate",
        Kind::Int,
        "counter",
        "Events per second, as kvm_stat or perf measured them",
        "kvm_stat --once",
    ),
    FactDef::per(
        "kvmcount.uptime_ms",
        Kind::Int,
        "sample",
        "Uptime of the host when counters were read, milliseconds",
        "cat /proc/uptime",
    ),
    FactDef::per(
        "kvmcount.vcpus",
        Kind::Int,
        "VM",
        "vCPUs of a VM, from its folders in debugfs",
        "ls /sys/kernel/debug/kvm/*/",
    ),
    FactDef::per(
        "domstats.state",
        Kind::Text,
        "domain",
        "State of a domain: running, paused, shutoff, ...",
        "virsh domstats --state",
    ),
    FactDef::per(
        "domstats.vcpus",
        Kind::Int,
        "domain",
        "vCPUs that a domain has now",
        "virsh domstats --vcpu",
    ),
    FactDef::per(
        "domstats.time_ms",
        Kind::Int,
        "domain",
        "CPU time of all vCPUs of a domain, milliseconds",
        "virsh domstats --vcpu",
    ),
    FactDef::per(
        "domstats.delay_ms",
        Kind::Int,
        "domain",
        "Time in which vCPUs of a domain wanted to run and waited for a CPU, milliseconds",
        "virsh domstats --vcpu",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let name = piece.file_name();
    if let Some(place) = piece.path.strip_prefix("sys/kernel/debug/kvm/") {
        let origin = Origin::new(piece.path, Some(1), text.trim());
        counter(place, text.trim(), &origin, out);
    } else if name.starts_with("virsh-domstats") {
        domstats::parse(piece, &text, out);
    } else if name.starts_with("kvm-counters") || name.starts_with("kvm-debugfs") {
        grep(piece, &text, out);
    } else if name.starts_with("qemu-query-stats") {
        query::parse(piece, &text, out);
    } else if name.starts_with("perf-stat") {
        table::perf(piece, &text, out);
    } else {
        table::kvm_stat(piece, &text, out);
    }
}

/// What debugfs holds beside counters of events: settings, sizes, and histograms.
const OTHERS: &[&str] =
    &["tsc-offset", "tsc-scaling-ratio", "tsc-scaling-ratio-frac-bits", "pid", "mmu_rmaps_stat"];

/// One file of debugfs: `NAME`, `PID-FD/NAME` or `PID-FD/vcpuN/NAME`.
fn counter(place: &str, value: &str, origin: &Origin, out: &mut Out) {
    let parts: Vec<&str> = place.split('/').collect();
    let instance = match parts[..] {
        [name] if !OTHERS.contains(&name) => name.to_owned(),
        [vm, name] if is_vm(vm) && !OTHERS.contains(&name) => format!("{vm}/{name}"),
        [vm, vcpu, "guest_mode"] if is_vm(vm) => format!("{vm}/{vcpu}/guest_mode"),
        _ => return,
    };
    if let Ok(value) = value.parse::<i64>() {
        out.fact_of("kvmcount.total", &instance, Value::Int(value), origin.clone());
    }
}

/// `4335-12`: a process and its file descriptor of the VM.
fn is_vm(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.split_once('-').is_some_and(|(pid, fd)| number(pid) && number(fd))
}

/// `PATH:VALUE` rows, as `grep -r "" /sys/kernel/debug/kvm` prints them.
fn grep(piece: Piece<'_>, text: &str, out: &mut Out) {
    let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    let mut vcpus: std::collections::BTreeMap<&str, (i64, Origin)> =
        std::collections::BTreeMap::new();
    let mut understood = text.trim().is_empty();
    for (line, row) in lines(text).filter(|(line, _)| piece.whole || *line < last) {
        let Some((path, value)) = row.split_once(':') else { continue };
        let origin = Origin::new(piece.path, Some(line), row);
        let place = path.split_once("kvm/").map(|(_, place)| place);
        if path.ends_with("proc/uptime") {
            if let Some(ms) = value.split_whitespace().next().and_then(milliseconds) {
                let sample = piece.file_name().trim_end_matches(".txt");
                out.fact_of("kvmcount.uptime_ms", sample, Value::Int(ms), origin);
            }
            understood = true;
        } else if let Some(place) = place {
            counter(place, value.trim(), &origin, out);
            understood = true;
            if let Some((vm, rest)) = place.split_once('/')
                && is_vm(vm)
                && rest.starts_with("vcpu")
                && rest.ends_with("/guest_mode")
            {
                vcpus.entry(vm).or_insert((0, origin)).0 += 1;
            }
        }
    }
    for (vm, (count, origin)) in vcpus {
        out.fact_of("kvmcount.vcpus", vm, Value::Int(count), origin);
    }
    if !understood {
        out.problem(piece.path, None, "no counters of KVM in it");
    }
}

/// `18366600.37` seconds in milliseconds.
fn milliseconds(seconds: &str) -> Option<i64> {
    super::cpu_time::hundredths(seconds)?.checked_mul(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn facts(path: &str, text: &str) -> Vec<String> {
        testing::shown(parse, path, text)
    }

    #[test]
    fn files_of_debugfs() {
        let one = |path: &str, text| facts(&format!("sys/kernel/debug/kvm/{path}"), text);
        assert_eq!(one("exits", "189449\n"), ["kvmcount.total[exits]=189449"]);
        assert_eq!(one("195-8/nested_run", "7\n"), ["kvmcount.total[195-8/nested_run]=7"]);
        let vcpu = one("195-8/vcpu0/guest_mode", "1\n");
        assert_eq!(vcpu, ["kvmcount.total[195-8/vcpu0/guest_mode]=1"]);
        for (path, text) in [
            ("195-8/halt_wait_hist", "0 0 1 2\n"),
            ("195-8/vcpu0/pid", "196\n"),
            ("arch/exits", "1\n"),
            ("exits", ""),
        ] {
            assert_eq!(one(path, text), [""; 0], "{path}");
        }
    }

    #[test]
    fn a_sample_with_its_time() {
        let text = "/proc/uptime:27.33 3.00\n/sys/kernel/debug/kvm/exits:44805\n\
            /sys/kernel/debug/kvm/195-8/exits:44805\n\
            /sys/kernel/debug/kvm/195-8/vcpu0/guest_mode:0\n\
            /sys/kernel/debug/kvm/195-8/vcpu1/guest_mode:1\n";
        let expected = [
            "kvmcount.uptime_ms[kvm-counters.2]=27330",
            "kvmcount.total[exits]=44805",
            "kvmcount.total[195-8/exits]=44805",
            "kvmcount.total[195-8/vcpu0/guest_mode]=0",
            "kvmcount.total[195-8/vcpu1/guest_mode]=1",
            "kvmcount.vcpus[195-8]=2",
        ];
        assert_eq!(facts("commands/kvm-counters.2.txt", text), expected);
        let refused = "grep: /sys/kernel/debug/kvm: Permission denied\n";
        assert_eq!(facts("commands/kvm-counters.txt", refused), ["no counters of KVM in it"]);
    }
}
