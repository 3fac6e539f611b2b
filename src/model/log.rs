//! Log streams: who writes a line, how its prefix is taken off, and the scanner's interface.

use std::fmt;

use super::event::Event;

macro_rules! writers {
    ($($variant:ident $name:literal $doc:literal),* $(,)?) => {
        /// Who wrote a line. A signature names its writers; the same words from anybody else
        /// (a shell history, a changelog, a wiki page) are no event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Writer { $(#[doc = $doc] $variant),* }

        impl Writer {
            /// All writers, with the name that rules use and what it covers.
            pub const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$variant, $name, $doc)),*];

            /// The writer of a name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|(_, n, _)| *n == name).map(|(w, _, _)| *w)
            }

            /// The name that rules use.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

writers! {
    Kernel "kernel" "the kernel: dmesg, kern.log, journal lines tagged kernel",
    Audit "audit" "audit records: audit.log, ausearch, journal lines tagged audit",
    Qemu "qemu" "QEMU: per-domain libvirt logs, qemu processes in syslog",
    Libvirt "libvirt" "libvirt daemons and what they answer to their clients",
    Vmm "vmm" "other KVM VMMs: Firecracker, Cloud Hypervisor, crosvm, libkrun, Kata",
    Virtualbox "virtualbox" "VirtualBox: VBox.log, VBoxManage, VBoxHeadless",
    Vmware "vmware" "VMware: vmware.log, vmkernel.log, Workstation's dialogs",
    Container "container" "container engines: docker, podman, containerd, CRI-O, kubelet",
    Kubevirt "kubevirt" "KubeVirt: virt-handler, virt-launcher, pod and VMI events",
    Openstack "openstack" "OpenStack services: nova-compute and friends",
    Proxmox "proxmox" "Proxmox VE: pvedaemon, qmeventd, task logs",
    Systemd "systemd" "systemd and its helpers (modules-load, logind)",
    Udev "udev" "systemd-udevd",
    Network "network" "network services: DHCP servers and clients, NetworkManager, Open vSwitch",
    Modprobe "modprobe" "modprobe, insmod and dkms output",
    Tool "tool" "checking tools: kvm-ok, virt-host-validate, lscpu, nested checks",
    Windows "windows" "Windows: event logs, systeminfo, CIM queries, WSL",
    Cloud "cloud" "cloud control planes: gcloud, aws, az",
    Stderr "stderr" "what a failing program printed, as the user captured it",
    Other "other" "any other program: nothing is matched in its lines",
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A time as the log gives it. Only stamps of one clock and one host can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stamp {
    /// Microseconds since boot (dmesg).
    Boot(i64),
    /// Microseconds since the Unix epoch.
    Wall(i64),
    /// Microseconds since the start of an unknown year (RFC 3164 syslog).
    Yearless(i64),
}

impl Stamp {
    /// Microseconds from `earlier` to this; `None` where the clocks differ.
    pub fn since(self, earlier: Self) -> Option<i64> {
        match (self, earlier) {
            (Self::Boot(a), Self::Boot(b))
            | (Self::Wall(a), Self::Wall(b))
            | (Self::Yearless(a), Self::Yearless(b)) => a.checked_sub(b),
            _ => None,
        }
    }
}

/// A line, its prefix taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix<'a> {
    /// When it was written.
    pub stamp: Option<Stamp>,
    /// Who wrote it.
    pub writer: Writer,
    /// What is left: the message.
    pub message: &'a str,
}

/// A stream of log lines.
#[derive(Clone, Copy)]
pub struct Stream<'a> {
    /// Canonical path of the file.
    pub source: &'a str,
    /// Writer of lines whose prefix names none.
    pub writer: Writer,
    /// Takes the prefix off a line.
    pub split: for<'l> fn(Writer, &'l str) -> Prefix<'l>,
}

/// Finds events in text; the rule engine implements it, the collector calls it.
pub trait LineScanner: Sync {
    /// Scans whole lines. `first` is the 1-based number of the first line of `block`.
    fn scan(&self, block: &[u8], first: u32, stream: Stream<'_>) -> Vec<Event>;
}
