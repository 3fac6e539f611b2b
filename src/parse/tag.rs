//! Syslog tags: which [`Writer`] a program's name stands for.
//!
//! The kernel keeps 15 characters of a task's name, so `qemu-system-x86_64` may be logged as
//! `qemu-system-x86` and `cloud-hypervisor` as `cloud-hyperviso`.

use crate::model::Writer;

/// Names that must be met in full.
const EXACT: &[(&str, Writer)] = &[
    ("kernel", Writer::Kernel),
    ("audit", Writer::Audit),
    ("auditd", Writer::Audit),
    ("audispd", Writer::Audit),
    ("kvm", Writer::Qemu),
    ("qemu", Writer::Qemu),
    ("qemu-kvm", Writer::Qemu),
    ("libvirtd", Writer::Libvirt),
    ("virsh", Writer::Libvirt),
    ("virt-aa-helper", Writer::Libvirt),
    ("jailer", Writer::Vmm),
    ("vmkernel", Writer::Vmware),
    ("vmx", Writer::Vmware),
    ("docker", Writer::Container),
    ("dockerd", Writer::Container),
    ("kubelet", Writer::Container),
    ("conmon", Writer::Container),
    ("crun", Writer::Container),
    ("runc", Writer::Container),
    ("k3s", Writer::Container),
    ("rke2", Writer::Container),
    ("lxd", Writer::Container),
    ("incusd", Writer::Container),
    ("qm", Writer::Proxmox),
    ("qmeventd", Writer::Proxmox),
    ("udevd", Writer::Udev),
    ("(udev-worker)", Writer::Udev),
    ("systemd-udevd", Writer::Udev),
    ("systemd-modules-load", Writer::Modprobe),
    ("modprobe", Writer::Modprobe),
    ("insmod", Writer::Modprobe),
    ("dkms", Writer::Modprobe),
    ("systemd", Writer::Systemd),
    ("dhcpd", Writer::Network),
    ("dhcpcd", Writer::Network),
    ("dhclient", Writer::Network),
    ("dnsmasq", Writer::Network),
    ("dnsmasq-dhcp", Writer::Network),
    ("kea-dhcp4", Writer::Network),
    ("kea-dhcp6", Writer::Network),
    ("wickedd", Writer::Network),
    ("wickedd-dhcp4", Writer::Network),
    ("NetworkManager", Writer::Network),
    ("nm-dispatcher", Writer::Network),
    ("systemd-networkd", Writer::Network),
    ("avahi-daemon", Writer::Network),
    ("arpwatch", Writer::Network),
    ("ovs-vswitchd", Writer::Network),
    ("ovn-controller", Writer::Network),
    ("kvm-ok", Writer::Tool),
    ("virt-host-validate", Writer::Tool),
];

/// Beginnings of names, tried in this order after [`EXACT`].
const BEGINS: &[(&str, Writer)] = &[
    ("qemu-system-", Writer::Qemu),
    ("firecracker", Writer::Vmm),
    ("cloud-hyperviso", Writer::Vmm),
    ("crosvm", Writer::Vmm),
    ("krun", Writer::Vmm),
    ("kata", Writer::Vmm),
    ("containerd-shim-kata", Writer::Vmm),
    ("VBox", Writer::Virtualbox),
    ("VirtualBox", Writer::Virtualbox),
    ("vmware", Writer::Vmware),
    // Programs that start VMMs and pass on what those print.
    ("ovs-vswitchd", Writer::Vmm),
    ("testpmd", Writer::Vmm),
    ("dpdk", Writer::Vmm),
    ("spdk", Writer::Vmm),
    ("gns3", Writer::Vmm),
    ("emulator", Writer::Vmm),
    ("gitlab-runner", Writer::Vmm),
    ("vagrant", Writer::Vmm),
    ("minikube", Writer::Vmm),
    ("multipass", Writer::Vmm),
    ("launch_cvd", Writer::Vmm),
    ("quickemu", Writer::Vmm),
    ("qemu_wrapper", Writer::Qemu),
    ("containerd", Writer::Container),
    ("crio", Writer::Container),
    ("podman", Writer::Container),
    ("virt-handler", Writer::Kubevirt),
    ("virt-launcher", Writer::Kubevirt),
    ("virt-controller", Writer::Kubevirt),
    ("virt-api", Writer::Kubevirt),
    ("nova-", Writer::Openstack),
    ("pve", Writer::Proxmox),
    ("systemd-", Writer::Systemd),
];

/// The writer that a program's name stands for; [`Writer::Other`] for all that no rule knows.
pub fn writer(name: &str) -> Writer {
    let name = name.rsplit('/').next().unwrap_or(name);
    if let Some((_, writer)) = EXACT.iter().find(|(n, _)| *n == name) {
        return *writer;
    }
    // virtqemud, virtlogd, virtnetworkd ...: the modular daemons of libvirt.
    if name.starts_with("virt") && name.ends_with('d') && !name.contains('-') {
        return Writer::Libvirt;
    }
    BEGINS.iter().find(|(b, _)| name.starts_with(b)).map_or(Writer::Other, |(_, writer)| *writer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_kernel_cuts_them_and_as_programs_print_them() {
        for (name, expected) in [
            ("qemu-system-x86", Writer::Qemu),
            ("/usr/bin/qemu-system-aarch64", Writer::Qemu),
            ("cloud-hyperviso", Writer::Vmm),
            ("virtqemud", Writer::Libvirt),
            ("systemd-udevd", Writer::Udev),
            ("systemd-modules-load", Writer::Modprobe),
            ("systemd-logind", Writer::Systemd),
            ("containerd-shim-kata-v2", Writer::Vmm),
            ("containerd-shim-runc-v2", Writer::Container),
            ("gns3server", Writer::Vmm),
            ("vmware-vmx", Writer::Vmware),
        ] {
            assert_eq!(writer(name), expected, "{name}");
        }
    }

    #[test]
    fn agents_inside_a_guest_are_no_hypervisor() {
        for name in ["qemu-ga", "vmtoolsd", "CRON", "bash", "kerneloops", "virt-who", ""] {
            assert_eq!(writer(name), Writer::Other, "{name}");
        }
    }
}
