//! Evidence: one file or folder per kind, each with all that belongs to the kind.
//!
//! A [`Slice`] says what it wants (and where other tools keep it), which facts it makes and what
//! they mean, and holds a pure function from bytes to facts. It does no I/O, reads no clock and
//! never fails: what it cannot understand becomes a [`Problem`](crate::model::Problem), and the
//! rest is used. Logs are different only in that their lines are matched by rules: see [`logs`].
//!
//! A folder is one slice whose facts are declared in several files (`libvirt_xml`, `pci`,
//! `services`: `joined` makes one table of them), or a subject with a slice per file (`network`).
//! Lines of logs that carry more than words are made into records with fields: see [`RECORDS`].
//! Text that several kinds are written in is read by [`parse`](crate::parse).
//!
//! To add a kind: write `src/evidence/<kind>.rs`, then its `mod` line and its entry in [`ALL`].

use crate::model::{FactDef, Out, Piece, RecordParser, Want};

pub mod audit;
pub mod block;
pub mod boots;
pub mod cgroup;
pub mod clock;
pub mod clocksource;
pub mod container;
pub mod cpu_time;
pub mod cpu_tools;
pub mod cpu_tuning;
pub mod cpuinfo;
pub mod dev_kvm;
pub mod dmi;
pub mod domain_cpu;
pub mod file_modes;
pub mod groups;
pub mod guest_memory;
pub mod host;
pub mod hostdev;
pub mod hugepages;
pub mod iommu;
pub mod kernel;
pub mod kernel_trust;
pub mod kvm;
pub mod kvm_stat;
pub mod libvirt_xml;
pub mod logs;
pub mod lscpu;
pub mod meminfo;
pub mod microcode;
pub mod modprobe;
pub mod modules;
pub mod network;
pub mod numa;
pub mod oom;
pub mod packages;
pub mod pci;
pub mod perf_kvm;
pub mod qemu_cmdline;
pub mod security;
pub mod services;
#[cfg(test)]
mod testing;
pub mod thermal;
pub mod vcpus;
pub mod virtualbox;
pub mod vm_sysctls;
pub mod vmx_file;
pub mod windows;
pub mod wsl;

/// One kind of evidence.
#[derive(Clone, Copy)]
pub struct Slice {
    /// Its name: that of the file it is written in.
    pub name: &'static str,
    /// The files and commands it is read from.
    pub wants: &'static [Want],
    /// The facts it makes.
    pub facts: &'static [FactDef],
    /// Bytes to facts.
    pub parse: fn(Piece<'_>, &mut Out),
}

/// How many wants or facts the parts of a slice declare.
const fn count<T>(parts: &[&[T]]) -> usize {
    let (mut part, mut count) = (0, 0);
    while part < parts.len() {
        count += parts[part].len();
        part += 1;
    }
    count
}

/// The wants or facts of several parts, the first of which is not empty:
/// `joined::<_, { count(PARTS) }>(PARTS)`.
const fn joined<T: Copy, const N: usize>(parts: &[&[T]]) -> [T; N] {
    let mut all = [parts[0][0]; N];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            all[at] = parts[part][index];
            index += 1;
            at += 1;
        }
        part += 1;
    }
    all
}

/// All kinds of evidence.
pub const ALL: &[Slice] = &[
    cgroup::SLICE,
    clock::SLICE,
    block::SLICE,
    clocksource::SLICE,
    boots::SLICE,
    container::SLICE,
    cpu_time::SLICE,
    cpu_tools::SLICE,
    cpu_tuning::SLICE,
    cpuinfo::SLICE,
    dev_kvm::SLICE,
    dmi::SLICE,
    domain_cpu::SLICE,
    file_modes::SLICE,
    groups::SLICE,
    guest_memory::SLICE,
    host::SLICE,
    hugepages::SLICE,
    hostdev::SLICE,
    iommu::SLICE,
    kernel::SLICE,
    kernel_trust::SLICE,
    kvm::SLICE,
    kvm_stat::SLICE,
    libvirt_xml::SLICE,
    lscpu::SLICE,
    meminfo::SLICE,
    microcode::SLICE,
    modprobe::SLICE,
    modules::SLICE,
    numa::SLICE,
    network::capture_text::SLICE,
    network::config::SLICE,
    network::counters::SLICE,
    network::dhcp::SLICE,
    network::firewall::SLICE,
    network::links::SLICE,
    network::neighbours::SLICE,
    network::nics::SLICE,
    network::offload::SLICE,
    network::ovs::SLICE,
    network::ping::SLICE,
    network::ports::SLICE,
    network::routes::SLICE,
    network::sysctl::SLICE,
    network::virtnet::SLICE,
    packages::SLICE,
    perf_kvm::SLICE,
    pci::SLICE,
    qemu_cmdline::SLICE,
    security::SLICE,
    services::SLICE,
    thermal::SLICE,
    vcpus::SLICE,
    virtualbox::SLICE,
    vm_sysctls::SLICE,
    vmx_file::SLICE,
    windows::SLICE,
    wsl::SLICE,
];

/// Structured log records that rules can ask for by field.
pub const RECORDS: &[RecordParser] = &[
    audit::APPARMOR,
    audit::SELINUX,
    audit::BOOT,
    iommu::BOOT,
    iommu::FAULT,
    microcode::kernel_log::MICROCODE,
    oom::OOM,
    oom::GUEST_RAM,
];
