//! Logs: which files hold them, and who writes the lines that name nobody.
//!
//! No fact comes from here: the lines are matched by rules, and a rule matches only what its
//! writers said. So the table below is as much about what is *no* log. Shell histories, package
//! histories, change logs, manuals and notes hold the same words, and are not listed; [`NEVER`]
//! names them for loose files. Applications' own logs are not listed either.
//!
//! The places of sosreport were checked against its plugins kernel, logs, systemd, libvirt,
//! auditd, selinux, virsh, openstack_nova and lxd.

use crate::model::{Stamp, Want, Writer};
use crate::parse::logline;

/// A log.
#[derive(Debug, Clone, Copy)]
pub struct LogSource {
    /// The files or the command's output.
    pub want: Want,
    /// Who wrote a line whose prefix names nobody.
    pub writer: Writer,
}

/// A log file that `collect` takes from a live host too.
const fn live(glob: &'static str, writer: Writer) -> LogSource {
    LogSource { want: Want::file(glob), writer }
}

/// A log file that is read where an input has it.
const fn file(glob: &'static str, writer: Writer) -> LogSource {
    LogSource { want: Want::given(glob), writer }
}

/// A command's output that is read where an input has it.
const fn output(name: &'static str, writer: Writer) -> LogSource {
    LogSource { want: Want::output(name), writer }
}

/// A command whose output is kept by others too, or that `collect` runs.
const fn command(
    name: &'static str,
    argv: &'static [&'static str],
    sos: &'static [&'static str],
    writer: Writer,
) -> LogSource {
    LogSource { want: Want::command(name, argv, sos), writer }
}

/// All logs. Where several entries fit a file, the first decides.
pub const LOGS: &[LogSource] = &[
    // The kernel.
    command(
        "dmesg",
        &["dmesg"],
        &[
            "sos_commands/kernel/dmesg",
            "sos_commands/kernel/dmesg_-T",
            "sos_commands/general/dmesg",
        ],
        Writer::Kernel,
    ),
    output("dmesg*", Writer::Kernel),
    file("var/log/dmesg*", Writer::Kernel),
    file("var/log/kern.log*", Writer::Kernel),
    file("sys/fs/pstore/dmesg-*", Writer::Kernel),
    file("var/lib/systemd/pstore/**/dmesg*", Writer::Kernel),
    // Journals and syslog: the tag tells who wrote a line.
    command(
        "journalctl",
        &["journalctl", "--no-pager", "--boot", "--output=short-iso-precise"],
        &["sos_commands/logs/journalctl_*", "sos_commands/docker/journalctl_*"],
        Writer::Other,
    ),
    output("journalctl*", Writer::Other),
    // The same as binary files (in /var/log/journal and /run/log/journal, where sosreport keeps
    // them with --all-logs), export or JSON; sources make text of them.
    file("**/*.journal", Writer::Other),
    file("**/*.journal~", Writer::Other),
    file("commands/journalctl*.json", Writer::Other),
    file("commands/journalctl*.export", Writer::Other),
    output("systemctl-status*", Writer::Other),
    file("var/log/messages*", Writer::Other),
    file("var/log/syslog*", Writer::Other),
    file("var/log/daemon.log*", Writer::Other),
    file("var/log/auth.log*", Writer::Other),
    file("var/log/secure*", Writer::Other),
    // Audit.
    live("var/log/audit/audit.log", Writer::Audit),
    file("var/log/audit/audit.log.*", Writer::Audit),
    command(
        "ausearch",
        &[],
        &["sos_commands/auditd/ausearch_*", "sos_commands/selinux/ausearch_*"],
        Writer::Audit,
    ),
    output("ausearch*", Writer::Audit),
    // QEMU and libvirt.
    live("var/log/libvirt/qemu/*.log", Writer::Qemu),
    file("var/log/libvirt/qemu/*.log.*", Writer::Qemu),
    file("var/log/containers/libvirt/qemu/*.log*", Writer::Qemu),
    file("var/log/containers/qemu/*.log", Writer::Qemu),
    file("home/*/.cache/libvirt/qemu/log/*.log", Writer::Qemu),
    file("root/.cache/libvirt/qemu/log/*.log", Writer::Qemu),
    file("var/log/incus/*/qemu*.log", Writer::Qemu),
    file("var/log/lxd/*/qemu*.log", Writer::Qemu),
    file("var/snap/lxd/common/lxd/logs/*/qemu*.log", Writer::Qemu),
    live("var/log/libvirt/*.log", Writer::Libvirt),
    file("var/log/libvirt/libxl/*.log", Writer::Libvirt),
    file("var/log/containers/libvirt/*.log", Writer::Libvirt),
    file("home/*/.cache/virt-manager/*.log", Writer::Libvirt),
    file("root/.cache/virt-manager/*.log", Writer::Libvirt),
    // What failing programs printed.
    output("stderr*", Writer::Stderr),
    output("*-stderr", Writer::Stderr),
    output("ping*", Writer::Stderr),
    output("tracepath*", Writer::Stderr),
    output("dhclient*", Writer::Network),
    file("var/log/NetworkManager*", Writer::Network),
    file("var/log/dnsmasq*.log", Writer::Network),
    // The same, kept under the name of what was started.
    output("virsh-start*", Writer::Stderr),
    output("virsh-create*", Writer::Stderr),
    output("virsh-define*", Writer::Stderr),
    output("virt-install*", Writer::Stderr),
    output("virt-manager*", Writer::Stderr),
    output("vagrant-up*", Writer::Stderr),
    output("vboxmanage-start*", Writer::Stderr),
    output("vboxconfig*", Writer::Stderr),
    output("start-vm*", Writer::Stderr),
    output("docker-run*", Writer::Stderr),
    output("podman-run*", Writer::Stderr),
    output("firecracker*", Writer::Stderr),
    output("cloud-hypervisor*", Writer::Stderr),
    output("crosvm*", Writer::Stderr),
    output("krunvm-start*", Writer::Stderr),
    output("qemu-system*", Writer::Stderr),
    output("qemu-stderr*", Writer::Stderr),
    output("openvmm*", Writer::Stderr),
    output("emulator*", Writer::Stderr),
    output("minikube-start*", Writer::Stderr),
    output("multipass*", Writer::Stderr),
    output("limactl*", Writer::Stderr),
    output("colima*", Writer::Stderr),
    output("crc-*", Writer::Stderr),
    output("haxm*", Writer::Stderr),
    output("*checktool*", Writer::Stderr),
    output("kubectl-get-vmi*", Writer::Kubevirt),
    output("virtctl*", Writer::Kubevirt),
    output("openstack-server-show*", Writer::Openstack),
    output("hyperv*", Writer::Windows),
    // Checking tools.
    // Not run live: kvm-ok loads the module msr.
    output("kvm-ok*", Writer::Tool),
    command("virt-host-validate", &["virt-host-validate"], &[], Writer::Tool),
    output("virt-host-validate*", Writer::Tool),
    // Modules. DKMS tells what it built and for which kernel.
    output("modprobe*", Writer::Modprobe),
    output("insmod*", Writer::Modprobe),
    command(
        "dkms-status",
        &["dkms", "status"],
        &["sos_commands/kernel/dkms_status"],
        Writer::Modprobe,
    ),
    output("dkms*", Writer::Modprobe),
    // Other VMMs.
    file("var/log/kata/*", Writer::Vmm),
    file("var/log/kata-containers/*", Writer::Vmm),
    output("kata-runtime*", Writer::Vmm),
    output("kata-check*", Writer::Vmm),
    file("var/log/firecracker/*", Writer::Vmm),
    file("**/firecracker*.log", Writer::Vmm),
    file("**/cloud-hypervisor*.log", Writer::Vmm),
    // VirtualBox and VMware.
    live("home/*/VirtualBox VMs/*/Logs/VBox.log", Writer::Virtualbox),
    file("**/VBox.log*", Writer::Virtualbox),
    file("**/VBoxHardening.log", Writer::Virtualbox),
    output("vbox-dialog*", Writer::Virtualbox),
    file("**/vmware.log", Writer::Vmware),
    file("**/vmware-*.log", Writer::Vmware),
    file("**/vmkernel.log", Writer::Vmware),
    file("**/vmkwarning.log", Writer::Vmware),
    output("vmware-dialog*", Writer::Vmware),
    // Kubernetes: the parts of KubeVirt by name, the rest as containers.
    file("**/virt-handler*.log", Writer::Kubevirt),
    file("**/virt-launcher*.log", Writer::Kubevirt),
    file("var/log/pods/*virt-handler*/**/*.log", Writer::Kubevirt),
    file("var/log/pods/*virt-launcher*/**/*.log", Writer::Kubevirt),
    file("var/log/pods/*/compute/*.log", Writer::Kubevirt),
    file("var/log/pods/**/*.log", Writer::Container),
    output("kubectl-logs-virt-*", Writer::Kubevirt),
    output("kubectl-logs*", Writer::Container),
    output("kubectl-get-events*", Writer::Kubevirt),
    output("kubectl-describe*", Writer::Kubevirt),
    output("oc-logs*", Writer::Kubevirt),
    output("oc-get-events*", Writer::Kubevirt),
    output("oc-describe*", Writer::Kubevirt),
    output("minikube-logs*", Writer::Container),
    output("docker-logs*", Writer::Container),
    output("podman-logs*", Writer::Container),
    // OpenStack and Proxmox VE.
    file("var/log/nova/*.log", Writer::Openstack),
    file("var/log/containers/nova/*.log", Writer::Openstack),
    file("var/log/kolla/nova/*.log", Writer::Openstack),
    file("var/log/pve/**/*", Writer::Proxmox),
    output("qm-start*", Writer::Proxmox),
    // The user-space switch runs DPDK, which reports VFIO's refusals.
    file("var/log/openvswitch/ovs-vswitchd.log*", Writer::Stderr),
    // Programs on DPDK report VFIO's refusals in logs of their own; only DPDK's lines are heard.
    file("var/log/*/*.log", Writer::Other),
    // Windows and the clouds' command lines.
    output("windows-eventlog*", Writer::Windows),
    output("windows-features*", Writer::Windows),
    output("systeminfo*", Writer::Windows),
    output("wsl*", Writer::Windows),
    output("gcloud*", Writer::Cloud),
    output("aws-*", Writer::Cloud),
    output("az-*", Writer::Cloud),
];

/// Whether a file is a journal that others sent to this machine (systemd-journal-remote): what it
/// tells happened elsewhere.
pub fn is_from_elsewhere(path: &str) -> bool {
    path.contains("log/journal/remote/")
}

/// Whether a file is a journal with lines of some programs only: a user's own
/// (`user-1000.journal`), or that of a namespace, whose folder is `MACHINE-ID.NAMESPACE`.
pub fn is_of_few(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or(path);
    let folder = parts.next().unwrap_or_default();
    let in_namespace = path.contains("log/journal/") && folder.contains('.');
    name.contains(".journal") && (name.starts_with("user-") || in_namespace)
}

/// Files that hold the words of failures and are no logs of them, whatever they look like.
pub const NEVER: &[&str] = &[
    "**/.*history",
    "**/history",
    "**/*_history",
    "**/*history*.txt",
    "**/*changelog*",
    "**/*.md",
    "**/*.rst",
    "**/*.adoc",
    "**/*.html",
    "**/*.wiki",
    "**/*.tex",
    "**/usr/share/doc/**",
    "**/usr/share/man/**",
    "**/var/log/zypp/**",
    "**/var/log/apt/**",
    "**/dpkg.log*",
    "**/yum.log*",
    "**/dnf*.log*",
    "**/pacman.log*",
    "**/commands/rpm-*",
    "**/commands/grep*",
    "**/commands/egrep*",
];

/// What a loose file is the log of, told from its first 4 KiB; `None` where it is none.
pub fn sniff(head: &str) -> Option<Writer> {
    by_banner(head).or_else(|| by_prefixes(head)).or_else(|| by_words(head))
}

/// Logs that say at their beginning what they are.
fn by_banner(head: &str) -> Option<Writer> {
    let first = |n: usize| head.lines().filter(|l| !l.trim().is_empty()).take(n);
    let begins = |n: usize, text: &str| first(n).any(|l| l.starts_with(text));
    let holds = |n: usize, text: &str| first(n).any(|l| l.contains(text));
    if begins(1, "type=") && holds(1, "msg=audit(") {
        return Some(Writer::Audit);
    }
    // ausearch puts a rule and a time before each event.
    if begins(3, "type=") && holds(3, "msg=audit(") && begins(1, "----") {
        return Some(Writer::Audit);
    }
    if holds(8, ": starting up libvirt version: ") {
        return Some(Writer::Qemu);
    }
    if holds(4, "VirtualBox VM ") && holds(4, " release log") {
        return Some(Writer::Virtualbox);
    }
    if holds(4, " Log for VMware ") || holds(4, "| vmx| ") || holds(4, ") vmkernel: cpu") {
        return Some(Writer::Vmware);
    }
    if begins(4, "{\"component\":\"virt-") {
        return Some(Writer::Kubevirt);
    }
    None
}

/// Logs whose lines have a prefix: most of the first lines must have it.
fn by_prefixes(head: &str) -> Option<Writer> {
    const LOOKED_AT: usize = 40;
    let lines = head.lines().filter(|l| !l.trim().is_empty()).take(LOOKED_AT);
    let mut all = 0;
    let mut stamped = 0;
    let mut kernel = 0;
    let mut known = 0;
    let mut vmm = 0;
    let mut syslog = 0;
    for line in lines {
        let prefix = logline::split(Writer::Other, line);
        all += 1;
        stamped += usize::from(prefix.stamp.is_some());
        known += usize::from(prefix.writer != Writer::Other);
        vmm += usize::from(prefix.writer == Writer::Vmm);
        // RFC 3164: behind a stamp without a year stand host and tag, whoever that is.
        let tagged = prefix.message.len() + "Mar  1 10:00:00 h t: ".len() <= line.len();
        syslog += usize::from(tagged && matches!(prefix.stamp, Some(Stamp::Yearless(_))));
        let bare = prefix.writer == Writer::Kernel && line.starts_with(['[', '<']);
        kernel +=
            usize::from(bare && matches!(prefix.stamp, Some(Stamp::Boot(_) | Stamp::Wall(_))));
    }
    match all {
        0 => None,
        n if kernel * 2 > n => Some(Writer::Kernel),
        n if vmm * 2 > n => Some(Writer::Vmm),
        n if stamped * 2 > n && known > 0 => Some(Writer::Other),
        n if syslog * 2 > n => Some(Writer::Other),
        _ => None,
    }
}

/// Output of a failing program: it begins a line with its name, or with words only KVM prints.
fn by_words(head: &str) -> Option<Writer> {
    const BEGINS: &[&str] = &[
        "qemu-system-",
        "qemu-kvm: ",
        "kvm: -",
        "Could not access KVM kernel module",
        "failed to initialize KVM",
        "failed to initialize kvm",
        "ioctl(KVM_",
        "KVM: entry failed",
        "KVM internal error",
        "VBoxManage: error: ",
        "VBoxManage.exe: error: ",
        "modprobe: ERROR: ",
        "modprobe: FATAL: ",
        "error: Failed to start domain",
        "TASK ERROR: ",
    ];
    // A command line is no output: the program's name must be followed by a colon.
    let speaks = |line: &str| match line.strip_prefix("qemu-system-") {
        Some(rest) => rest.split(char::is_whitespace).next().is_some_and(|w| w.ends_with(':')),
        None => BEGINS.iter().any(|b| line.starts_with(b)),
    };
    let printed = |line: &&str| {
        let prefix = logline::split(Writer::Stderr, line);
        prefix.writer != Writer::Other
    };
    let found = head
        .lines()
        .filter(printed)
        .any(|l| speaks(l.trim_start()) || speaks(logline::split(Writer::Stderr, l).message));
    found.then_some(Writer::Stderr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_known_by_their_beginning() {
        let qemu =
            "2025-01-12 07:30:41.000+0000: starting up libvirt version: 10.0.0\nLC_ALL=C \\\n";
        for (head, writer) in [
            ("[    0.000000] Linux version 6.8\n[    0.000000] Command line: x\n", Writer::Kernel),
            ("[Sun Jan 12 07:30:41 2025] Linux version 6.8\n", Writer::Kernel),
            (qemu, Writer::Qemu),
            ("type=AVC msg=audit(1.2:3): avc:  denied\n", Writer::Audit),
            ("----\ntime->Thu\ntype=AVC msg=audit(1.2:3): avc:  denied\n", Writer::Audit),
            ("00:00:01.1 VirtualBox VM 7.0.22 r1 linux.amd64 release log\n", Writer::Virtualbox),
            ("2025-01-12T07:30:41.000Z In(05) vmx - Log for VMware ESX pid=1\n", Writer::Vmware),
            ("Jan 12 07:30:41 host kernel: x\nJan 12 07:30:41 host cron[1]: y\n", Writer::Other),
            (
                "Jan 12 07:30:41 host shop[1]: order 1\nJan 12 07:30:42 host shop: 2\n",
                Writer::Other,
            ),
            ("{\"component\":\"virt-handler\",\"msg\":\"x\"}\n", Writer::Kubevirt),
            ("2025-01-12T07:30:41.000 [id:main] Running Firecracker v1.12.1\n", Writer::Vmm),
            ("\nqemu-system-x86_64: failed to initialize kvm\n", Writer::Stderr),
            ("$ ./run\nCould not access KVM kernel module: Permission denied\n", Writer::Stderr),
        ] {
            assert_eq!(sniff(head), Some(writer), "{head}");
        }
    }

    #[test]
    fn other_text_is_no_log() {
        for head in [
            "",
            "qemu-system-x86_64 -enable-kvm -cpu host\n",
            "$ qemu-system-x86_64: nothing\n",
            "2025-01-12T07:30:41Z error upstream said 0x80000021\n",
            "The text `KVM: entry failed` means that ...\n",
            "{\"a\": 1}\n",
        ] {
            assert_eq!(sniff(head), None, "{head}");
        }
    }

    #[test]
    fn journals_of_others_are_told_from_the_systems() {
        assert!(is_from_elsewhere("var/log/journal/remote/remote-host.journal"));
        assert!(!is_from_elsewhere("var/log/journal/0f1e/system.journal"));
        for (path, few) in [
            ("var/log/journal/0f1e/user-1000.journal", true),
            ("var/log/journal/0f1e/user-1000@70d1.journal~", true),
            ("var/log/journal/0f1e.noisy/system.journal", true),
            ("var/log/journal/0f1e/system@70d1.journal", false),
            ("system.journal", false),
        ] {
            assert_eq!(is_of_few(path), few, "{path}");
        }
    }

    #[test]
    fn no_two_logs_have_the_same_place() {
        let globs: Vec<String> = LOGS.iter().map(|l| l.want.glob()).collect();
        for (i, glob) in globs.iter().enumerate() {
            assert!(!globs[..i].contains(glob), "{glob}");
        }
    }
}
