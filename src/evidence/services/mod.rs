//! Configurations and descriptions in which somebody decided about virtualization.
//!
//! * `libvirt.rs`: qemu.conf and libvirtd.conf: as whom QEMU runs, who may connect
//! * `kubevirt.rs`: KubeVirt's objects
//! * `openstack.rs`: nova.conf
//! * `emulation.rs`: settings that ask for software emulation, in many formats
//! * `proxmox.rs`: Proxmox VE's guest configurations
//! * `cloud.rs`: descriptions of cloud instances
//! * `desktop.rs`: UTM, the Windows Host Compute Service, Incus
//!
//! Defaults are never filled in: what a file does not say is not a fact. The one exception is
//! marked at `pve.cpu`.

mod cloud;
mod desktop;
mod emulation;
mod kubevirt;
mod libvirt;
mod openstack;
mod proxmox;

use super::{Slice, count, joined};
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Configurations and descriptions.
pub const SLICE: Slice = Slice { name: "services", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("etc/libvirt/qemu.conf"),
    Want::file("etc/libvirt/libvirtd.conf"),
    Want::file("etc/libvirt/virtqemud.conf"),
    Want::file("etc/nova/**/*.conf"),
    Want::given("**/nova*.conf"),
    Want::file("etc/pve/qemu-server/*.conf"),
    Want::given("etc/pve/nodes/*/qemu-server/*.conf"),
    Want::file("etc/pve/virtual-guest/cpu-models.conf"),
    Want::output("qm-config*"),
    Want::file("etc/kolla/globals.yml"),
    Want::given("**/local.conf"),
    Want::given("**/Vagrantfile"),
    Want::given("*.yaml"),
    Want::given("*.yml"),
    Want::given("**/*kubevirt*.yaml"),
    Want::given("**/docker-compose*.yml"),
    Want::output("env*"),
    Want::output("kubectl-get-*"),
    Want::output("oc-get-*"),
    Want::output("gcloud*"),
    Want::output("aws*"),
    Want::output("az*"),
    Want::output("cloud-id*"),
    Want::file("run/cloud-init/cloud-id"),
    Want::given("config.plist"),
    Want::given("**/*.utm/config.plist"),
    Want::output("sw_vers"),
    Want::given("**/hcs-*.json"),
    Want::output("incus-config-show*"),
    Want::output("lxc-config-show*"),
];

const NOVA_LIBVIRT: &str = "sudo grep -A20 '^\\[libvirt\\]' /etc/nova/nova.conf";
const NOVA_RATIO: &str = "sudo grep -E 'allocation_ratio|reserved_host' /etc/nova/nova.conf";

const PARTS: &[&[FactDef]] = &[SETTINGS, kubevirt::FACTS];
const FACTS: &[FactDef] = &joined::<_, { count(PARTS) }>(PARTS);

const SETTINGS: &[FactDef] = &[
    FactDef::new(
        "libvirt.qemu_user",
        Kind::Text,
        "User that libvirt runs QEMU as, from qemu.conf",
        "sudo grep -E '^ *user' /etc/libvirt/qemu.conf",
    ),
    FactDef::new(
        "libvirt.qemu_group",
        Kind::Text,
        "Group that libvirt runs QEMU as, from qemu.conf",
        "sudo grep -E '^ *group' /etc/libvirt/qemu.conf",
    ),
    FactDef::new(
        "libvirt.dynamic_ownership",
        Kind::Bool,
        "Whether libvirt gives the files of a guest to QEMU's user when it starts, from qemu.conf",
        "sudo grep -E '^ *dynamic_ownership' /etc/libvirt/qemu.conf",
    ),
    FactDef::new(
        "libvirt.security_driver",
        Kind::Text,
        "What confines QEMU: selinux, apparmor, none, from qemu.conf",
        "sudo grep -E '^ *security_driver' /etc/libvirt/qemu.conf",
    ),
    FactDef::new(
        "libvirt.sock_group",
        Kind::Text,
        "Group that may use libvirt's socket (unix_sock_group)",
        "sudo grep -E '^ *unix_sock' /etc/libvirt/*d.conf",
    ),
    FactDef::new(
        "libvirt.sock_rw_perms",
        Kind::Text,
        "Mode of libvirt's socket for full access (unix_sock_rw_perms)",
        "sudo grep -E '^ *unix_sock' /etc/libvirt/*d.conf",
    ),
    FactDef::new(
        "libvirt.auth_rw",
        Kind::Text,
        "How users of libvirt's socket are authorised (auth_unix_rw): none, polkit, sasl",
        "sudo grep -E '^ *auth_unix_rw' /etc/libvirt/*d.conf",
    ),
    FactDef::new(
        "libvirt.auth_tcp",
        Kind::Text,
        "How TCP connections are authorised (auth_tcp): none, sasl",
        "sudo grep -E '^ *auth_tcp' /etc/libvirt/*d.conf",
    ),
    FactDef::new(
        "libvirt.cgroup_device_acl",
        Kind::Words,
        "Devices that the device cgroup of QEMU allows, from qemu.conf",
        "sudo sed -n '/^cgroup_device_acl/,/]/p' /etc/libvirt/qemu.conf",
    ),
    FactDef::new(
        "nova.virt_type",
        Kind::Text,
        "OpenStack's [libvirt] virt_type: kvm, or qemu for emulation",
        "sudo grep -A20 '^\\[libvirt\\]' /etc/nova/nova.conf",
    ),
    FactDef::new(
        "nova.cpu_mode",
        Kind::Text,
        "OpenStack's [libvirt] cpu_mode: host-passthrough, host-model, custom or none",
        "sudo grep -A20 '^\\[libvirt\\]' /etc/nova/nova.conf",
    ),
    FactDef::new(
        "nova.cpu_models",
        Kind::Text,
        "OpenStack's [libvirt] cpu_models (once cpu_model) of cpu_mode custom",
        "sudo grep -A20 '^\\[libvirt\\]' /etc/nova/nova.conf",
    ),
    FactDef::new(
        "nova.cpu_extra_flags",
        Kind::Words,
        "CPU flags that OpenStack adds to the model (cpu_model_extra_flags)",
        NOVA_LIBVIRT,
    ),
    FactDef::new(
        "nova.hw_machine_type",
        Kind::Text,
        "OpenStack's default machine types, e.g. x86_64=q35",
        NOVA_LIBVIRT,
    ),
    FactDef::new(
        "nova.cpu_dedicated_set",
        Kind::Text,
        "CPUs that OpenStack pins vCPUs to ([compute] cpu_dedicated_set)",
        "sudo grep -A20 '^\\[compute\\]' /etc/nova/nova.conf",
    ),
    FactDef::new(
        "nova.cpu_ratio_percent",
        Kind::Int,
        "vCPUs that OpenStack places on 100 CPUs (cpu_allocation_ratio)",
        NOVA_RATIO,
    ),
    FactDef::new(
        "nova.ram_ratio_percent",
        Kind::Int,
        "Guest RAM that OpenStack places on a host, percent of its memory (ram_allocation_ratio)",
        NOVA_RATIO,
    ),
    FactDef::new(
        "nova.reserved_host_memory_mib",
        Kind::Int,
        "Memory that OpenStack leaves to the host, MiB (reserved_host_memory_mb)",
        NOVA_RATIO,
    ),
    FactDef::per(
        "emulation.asked",
        Kind::Text,
        "file",
        "A setting that asks for software emulation, as it is written",
        "kubectl get kubevirt -A -o yaml",
    ),
    FactDef::per(
        "pve.cpu",
        Kind::Text,
        "VM id",
        "CPU type in Proxmox VE's configuration, e.g. host, kvm64, custom-NAME; `default` where \
         the configuration has none",
        "qm config ID",
    ),
    FactDef::per(
        "pve.cpu_flags",
        Kind::Words,
        "VM id",
        "Flags after the CPU type, e.g. +pcid",
        "qm config ID",
    ),
    FactDef::per(
        "pve.kvm",
        Kind::Bool,
        "VM id",
        "Whether the guest uses KVM, if it is said",
        "qm config ID",
    ),
    FactDef::per(
        "pve.args",
        Kind::Text,
        "VM id",
        "Arguments that are added to QEMU's own",
        "qm config ID",
    ),
    FactDef::per(
        "pve.affinity",
        Kind::Text,
        "VM id",
        "CPUs that the guest may run on",
        "qm config ID",
    ),
    FactDef::per("pve.machine", Kind::Text, "VM id", "Machine type, e.g. q35", "qm config ID"),
    FactDef::per(
        "pve.vga",
        Kind::Text,
        "VM id",
        "Emulated graphics card, if it is said",
        "qm config ID",
    ),
    FactDef::per(
        "pve.tablet",
        Kind::Bool,
        "VM id",
        "Whether it has a USB tablet, if said",
        "qm config ID",
    ),
    FactDef::per("pve.name", Kind::Text, "VM id", "Name of the guest", "qm config ID"),
    FactDef::per(
        "pve.model_flags",
        Kind::Words,
        "CPU model",
        "Flags of a custom CPU model of Proxmox VE, e.g. +vmx",
        "cat /etc/pve/virtual-guest/cpu-models.conf",
    ),
    FactDef::per(
        "pve.model_reported",
        Kind::Text,
        "CPU model",
        "CPU that a custom CPU model of Proxmox VE reports",
        "cat /etc/pve/virtual-guest/cpu-models.conf",
    ),
    FactDef::new(
        "cloud.machine_type",
        Kind::Text,
        "Machine type, instance type or VM size, e.g. n2-standard-4",
        "gcloud compute instances describe NAME",
    ),
    FactDef::new(
        "cloud.nested_requested",
        Kind::Bool,
        "Whether nested virtualization was asked for when the instance was made",
        "gcloud compute instances describe NAME",
    ),
    FactDef::new(
        "cloud.security_type",
        Kind::Text,
        "Security type of the instance: Standard, TrustedLaunch, ConfidentialVM",
        "az vm show -g GROUP -n NAME",
    ),
    FactDef::new(
        "cloud.id",
        Kind::Text,
        "Platform as cloud-init found it, e.g. gce, aws",
        "cloud-id",
    ),
    FactDef::new(
        "utm.backend",
        Kind::Text,
        "UTM's back end: QEMU or Apple",
        "plutil -p config.plist",
    ),
    FactDef::new("macos.version", Kind::Version, "Version of macOS", "sw_vers"),
    FactDef::new(
        "hcs.nested_requested",
        Kind::Bool,
        "Whether Windows was asked to show virtualization to the VM (ExposeVirtualizationExtensions)",
        "hcsdiag list",
    ),
    FactDef::new(
        "hcs.pmu_requested",
        Kind::Bool,
        "Whether Windows was asked to give the VM a performance monitoring unit (EnablePerfmonPmu)",
        "hcsdiag list",
    ),
    FactDef::per(
        "incus.hugepages",
        Kind::Bool,
        "instance",
        "Whether an Incus or LXD VM wants huge pages (limits.memory.hugepages)",
        "incus config show NAME",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = crate::parse::decoded(piece.bytes);
    let reader = &mut Reader { piece, out };
    let file = piece.file_name();
    match piece.path {
        "etc/libvirt/qemu.conf" => libvirt::parse(&text, reader),
        "etc/libvirt/libvirtd.conf" | "etc/libvirt/virtqemud.conf" => {
            libvirt::daemon(&text, reader);
        }
        "commands/sw_vers.txt" => desktop::macos(&text, reader),
        path if path.ends_with("virtual-guest/cpu-models.conf") => proxmox::models(&text, reader),
        path if path.contains("/qemu-server/") || file.starts_with("qm-config") => {
            proxmox::guest(&text, reader);
        }
        _ if file.starts_with("nova") || piece.path.starts_with("etc/nova/") => {
            openstack::parse(&text, reader);
        }
        _ if file == "config.plist" => desktop::utm(&text, reader),
        _ if file.starts_with("hcs-") => desktop::hcs(&text, reader),
        _ if file.contains("-config-show") => desktop::incus(&text, reader),
        _ if file.starts_with("cloud-id") => cloud::id(&text, reader),
        _ if ["gcloud", "aws", "az"].iter().any(|c| file.starts_with(c)) => {
            cloud::instance(&text, reader);
        }
        _ => {
            emulation::parse(&text, reader);
            cloud::node_labels(&text, reader);
            kubevirt::parse(&text, reader);
        }
    }
}

/// The file that is read, and where facts go.
struct Reader<'a, 'o> {
    piece: Piece<'a>,
    out: &'o mut Out,
}

impl Reader<'_, '_> {
    fn add(&mut self, name: &'static str, value: Value, line: u32, text: &str) {
        self.out.fact(name, value, Origin::new(self.piece.path, Some(line), text));
    }

    fn add_of(&mut self, name: &'static str, of: &str, value: Value, line: u32, text: &str) {
        self.out.fact_of(name, of, value, Origin::new(self.piece.path, Some(line), text));
    }

    fn problem(&mut self, line: u32, what: impl Into<String>) {
        self.out.problem(self.piece.path, Some(line), what);
    }
}

/// Runs the slice over a file and gives `name[instance]=value` lines; the tests of all parts use
/// it.
#[cfg(test)]
fn facts_of(path: &str, text: &str) -> Vec<String> {
    let mut out = Out::default();
    parse(Piece { path, bytes: text.as_bytes(), whole: true }, &mut out);
    let show = |f: &crate::model::Fact| match &f.instance {
        Some(of) => format!("{}[{of}]={}", f.name, f.value),
        None => format!("{}={}", f.name, f.value),
    };
    let problems = out.problems.iter().map(|p| format!("{}: {}", p.source, p.what));
    out.facts.iter().map(show).chain(problems).collect()
}
