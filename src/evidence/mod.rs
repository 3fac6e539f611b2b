//! Evidence: one file or folder per kind, each with all that belongs to the kind.
//!
//! A [`Slice`] says what it wants (and where other tools keep it), which facts it makes and what
//! they mean, and holds a pure function from bytes to facts. It does no I/O, reads no clock and
//! never fails: what it cannot understand becomes a [`Problem`](crate::model::Problem), and the
//! rest is used. Logs are different only in that their lines are matched by rules: see [`logs`].
//!
//! To add a kind: write `src/evidence/<kind>.rs`, then its `mod` line and its entry in [`ALL`].

use crate::model::{FactDef, Out, Piece, RecordParser, Want};

pub mod audit;
pub mod container;
pub mod cpuinfo;
pub mod dev_kvm;
pub mod dmi;
pub mod groups;
pub mod host;
pub mod hostdev;
pub mod iommu;
pub mod kernel;
pub mod kvm;
pub mod libvirt_xml;
pub mod logs;
pub mod lscpu;
pub mod meminfo;
pub mod modprobe;
pub mod modules;
pub mod packages;
pub mod pci;
pub mod qemu_cmdline;
pub mod security;
pub mod services;
#[cfg(test)]
mod testing;
pub mod virtualbox;
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

/// All kinds of evidence.
pub const ALL: &[Slice] = &[
    container::SLICE,
    cpuinfo::SLICE,
    dev_kvm::SLICE,
    dmi::SLICE,
    groups::SLICE,
    host::SLICE,
    hostdev::SLICE,
    iommu::SLICE,
    kernel::SLICE,
    kvm::SLICE,
    libvirt_xml::SLICE,
    lscpu::SLICE,
    meminfo::SLICE,
    modprobe::SLICE,
    modules::SLICE,
    packages::SLICE,
    pci::SLICE,
    qemu_cmdline::SLICE,
    security::SLICE,
    services::SLICE,
    virtualbox::SLICE,
    vmx_file::SLICE,
    windows::SLICE,
    wsl::SLICE,
];

/// Structured log records that rules can ask for by field.
pub const RECORDS: &[RecordParser] =
    &[audit::APPARMOR, audit::SELINUX, audit::BOOT, iommu::BOOT, iommu::FAULT];
