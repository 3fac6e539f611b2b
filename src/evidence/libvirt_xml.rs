//! libvirt's XML: domain definitions, the state of running domains, and what libvirt believes
//! the host can do.
//!
//! Read are /etc/libvirt/qemu/NAME.xml (which a comment precedes), /run/libvirt/qemu/NAME.xml (a
//! `<domstatus>` around the live domain), `virsh dumpxml` and `virsh capabilities`
//! (<https://libvirt.org/formatdomain.html>, <https://libvirt.org/formatcaps.html>). XML with any
//! other root is something else and gives nothing.
//!
//! Whether a guest sees VMX or SVM follows from its `<cpu>`. No Intel model of libvirt's CPU map
//! (src/cpu_map) holds `vmx`; the AMD models hold `svm`, but QEMU switches it off for every named
//! model under KVM (`kvm_default_props`, target/i386/kvm/kvm-cpu.c) unless it is asked for by
//! name, and libvirt does not ask for what a model holds already. So a named model shows neither
//! without `<feature policy='require'>`. What remains of the map is the other side: a model that
//! holds `svm` cannot be used where the host has none (libvirt's error 91).
//!
//! Not parsed: networks, pools, snapshots; NUMA and pinning.

use std::ops::ControlFlow;

use roxmltree::Node;

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::xml::{self, Lines, child, descend};

/// libvirt's XML.
pub const SLICE: Slice = Slice { name: "libvirt_xml", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("etc/libvirt/qemu/*.xml"),
    Want::file("run/libvirt/qemu/*.xml"),
    Want::given("var/run/libvirt/qemu/*.xml"),
    Want::command("virsh-dumpxml*", &[], &["sos_commands/virsh/virsh_-r_dumpxml_*"]),
    Want::command(
        "virsh-capabilities",
        &["virsh", "-r", "capabilities"],
        &["sos_commands/virsh/virsh_-r_capabilities"],
    ),
    Want::given("commands/*.xml"),
    Want::given("*.xml"),
];

const fn domain(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef { name, kind, per: "domain", doc, command: "virsh dumpxml NAME" }
}

const FACTS: &[FactDef] = &[
    domain("domain.type", Kind::Text, "How the guest is run: kvm, qemu (emulation), xen, hvf"),
    domain("domain.asks_tcg", Kind::Bool, "Whether the definition asks for emulation: type='qemu'"),
    domain("domain.arch", Kind::Text, "Architecture of the guest, e.g. x86_64"),
    domain("domain.machine", Kind::Text, "Machine type, e.g. pc-q35-8.2"),
    domain("domain.uuid", Kind::Text, "UUID, which the guest sees in DMI"),
    domain("domain.emulator", Kind::Text, "Path of the QEMU binary"),
    domain(
        "domain.cpu_mode",
        Kind::Text,
        "CPU mode: host-passthrough, host-model, maximum or custom",
    ),
    domain("domain.cpu_model", Kind::Text, "CPU model of mode custom"),
    domain(
        "domain.cpu_require",
        Kind::Words,
        "CPU features with policy require, force or optional",
    ),
    domain("domain.cpu_disable", Kind::Words, "CPU features with policy disable or forbid"),
    domain(
        "domain.model_virt",
        Kind::Text,
        "svm if libvirt's CPU map has it in the CPU model: a host without svm cannot start it",
    ),
    domain(
        "domain.asks_virt",
        Kind::Bool,
        "Whether the CPU definition means to show VMX or SVM to the guest (x86)",
    ),
    domain(
        "domain.hides_virt",
        Kind::Bool,
        "Whether the CPU definition cannot show VMX or SVM to the guest (x86)",
    ),
    domain("domain.memory_kib", Kind::Int, "Largest memory of the guest, KiB"),
    domain("domain.vcpus", Kind::Int, "Largest number of virtual CPUs"),
    domain("domain.hugepages", Kind::Bool, "Whether guest RAM is backed by huge pages"),
    domain("domain.disks", Kind::Words, "Files and devices that back the disks"),
    domain("domain.hostdevs", Kind::Int, "Number of assigned host devices"),
    FactDef {
        name: "libvirt.domain_types",
        kind: Kind::Words,
        per: "architecture",
        doc: "Domain types that libvirt offers for guests of an architecture, e.g. kvm qemu",
        command: "virsh capabilities",
    },
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if !text.contains("<dom") && !text.contains("<capabilities") {
        return;
    }
    let fixed = xml::document(&text, piece.whole);
    let document = match xml::parse(&fixed) {
        Ok(document) => document,
        Err(error) => {
            out.problem(piece.path, None, format!("the XML is broken: {error}"));
            return;
        }
    };
    let mut reader = Reader { piece, lines: Lines::new(&fixed), name: String::new(), out };
    let root = document.root_element();
    match root.tag_name().name() {
        "domain" => reader.domain(root),
        "domstatus" => {
            if let Some(domain) = child(root, "domain") {
                reader.domain(domain);
            }
        }
        "capabilities" => reader.capabilities(root),
        _ => {}
    }
}

/// What is being read.
struct Reader<'a, 'o> {
    piece: Piece<'a>,
    lines: Lines<'a>,
    /// Of the domain.
    name: String,
    out: &'o mut Out,
}

impl Reader<'_, '_> {
    fn origin(&self, node: Node<'_, '_>) -> Origin {
        let (line, text) = self.lines.of(node);
        Origin::new(self.piece.path, Some(line), text)
    }

    fn fact(&mut self, name: &'static str, value: Value, node: Node<'_, '_>) {
        let origin = self.origin(node);
        self.out.fact_of(name, &self.name, value, origin);
    }

    fn text(&mut self, name: &'static str, text: Option<&str>, node: Node<'_, '_>) {
        if let Some(text) = text.map(str::trim).filter(|t| !t.is_empty()) {
            self.fact(name, Value::text(text), node);
        }
    }

    fn domain(&mut self, domain: Node<'_, '_>) {
        let stem = self.piece.file_name().trim_end_matches(".xml").trim_end_matches(".txt");
        self.name = child(domain, "name").and_then(xml::text).unwrap_or(stem).to_owned();
        let kind = domain.attribute("type");
        self.text("domain.type", kind, domain);
        if let Some(kind) = kind {
            self.fact("domain.asks_tcg", Value::Bool(kind == "qemu"), domain);
        }
        if let Some(uuid) = child(domain, "uuid") {
            self.text("domain.uuid", uuid.text(), uuid);
        }
        if let Some(os) = descend(domain, &["os", "type"]) {
            self.text("domain.arch", os.attribute("arch"), os);
            self.text("domain.machine", os.attribute("machine"), os);
        }
        self.resources(domain);
        self.devices(domain);
        self.cpu(domain);
    }

    fn resources(&mut self, domain: Node<'_, '_>) {
        if let Some(memory) = child(domain, "memory") {
            match kib(memory) {
                Some(kib) => self.fact("domain.memory_kib", Value::Int(kib), memory),
                None => self.broken(memory, "the memory size is not understood"),
            }
        }
        if let Some(vcpu) = child(domain, "vcpu") {
            match xml::text(vcpu).and_then(|t| t.parse().ok()) {
                Some(count) => self.fact("domain.vcpus", Value::Int(count), vcpu),
                None => self.broken(vcpu, "the number of vCPUs is not understood"),
            }
        }
        match descend(domain, &["memoryBacking", "hugepages"]) {
            Some(pages) => self.fact("domain.hugepages", Value::Bool(true), pages),
            None if self.piece.whole => self.fact("domain.hugepages", Value::Bool(false), domain),
            None => {}
        }
    }

    fn devices(&mut self, domain: Node<'_, '_>) {
        let Some(devices) = child(domain, "devices") else { return };
        if let Some(emulator) = child(devices, "emulator") {
            self.text("domain.emulator", emulator.text(), emulator);
        }
        let elements = |name| devices.children().filter(move |c| c.has_tag_name(name));
        let source = |disk| {
            let source: Node<'_, '_> = child(disk, "source")?;
            source.attribute("file").or_else(|| source.attribute("dev"))
        };
        let disks: Vec<&str> = elements("disk").filter_map(source).collect();
        if let Some(first) = elements("disk").find(|d| source(*d).is_some()) {
            self.fact("domain.disks", Value::words(disks), first);
        }
        let assigned = elements("hostdev").count();
        let first = elements("hostdev").next();
        if self.piece.whole || assigned > 0 {
            let count = i64::try_from(assigned).unwrap_or(i64::MAX);
            self.fact("domain.hostdevs", Value::Int(count), first.unwrap_or(devices));
        }
    }

    fn cpu(&mut self, domain: Node<'_, '_>) {
        let cpu = child(domain, "cpu");
        let model = cpu.and_then(|c| child(c, "model")).and_then(xml::text);
        let mode = cpu.and_then(|c| c.attribute("mode").or(model.map(|_| "custom")));
        let mut require: Vec<&str> = Vec::new();
        let mut disable: Vec<&str> = Vec::new();
        for feature in cpu.iter().flat_map(Node::children).filter(|c| c.has_tag_name("feature")) {
            match (feature.attribute("policy").unwrap_or("require"), feature.attribute("name")) {
                ("require" | "force" | "optional", Some(name)) => require.push(name),
                (_, Some(name)) => disable.push(name),
                _ => {}
            }
        }
        let place = cpu.unwrap_or(domain);
        self.text("domain.cpu_mode", mode, place);
        self.text("domain.cpu_model", model, place);
        let held = model.filter(|m| holds_svm(m) && !disable.contains(&"svm"));
        self.text("domain.model_virt", held.and(Some("svm")), place);
        let whole = self.piece.whole;
        let shows = match shows_virt(domain, mode, &require, &disable) {
            ControlFlow::Break(shows) => shows,
            // A <cpu> that was cut off may say more than what is left of it.
            ControlFlow::Continue(()) if whole || mode == Some("custom") => Some(false),
            ControlFlow::Continue(()) => None,
        };
        for (name, features) in [("domain.cpu_require", require), ("domain.cpu_disable", disable)] {
            if !features.is_empty() {
                self.fact(name, Value::words(features), place);
            }
        }
        if let Some(shows) = shows {
            self.fact("domain.asks_virt", Value::Bool(shows), place);
            self.fact("domain.hides_virt", Value::Bool(!shows), place);
        }
    }

    fn capabilities(&mut self, root: Node<'_, '_>) {
        for guest in root.children().filter(|c| c.has_tag_name("guest")) {
            let Some(arch) = child(guest, "arch") else { continue };
            let Some(name) = arch.attribute("name") else { continue };
            let types = arch.children().filter(|c| c.has_tag_name("domain"));
            let types: Vec<&str> = types.filter_map(|d| d.attribute("type")).collect();
            if !types.is_empty() {
                let origin = self.origin(arch);
                self.out.fact_of("libvirt.domain_types", name, Value::words(types), origin);
            }
        }
    }

    fn broken(&mut self, node: Node<'_, '_>, what: &str) {
        let (line, _) = self.lines.of(node);
        self.out.problem(self.piece.path, Some(line), what);
    }
}

/// Whether the CPU definition shows VMX or SVM: decided, undecidable (`Break(None)`), or left to
/// the default, which does not.
fn shows_virt(
    domain: Node<'_, '_>,
    mode: Option<&str>,
    require: &[&str],
    disable: &[&str],
) -> ControlFlow<Option<bool>> {
    let arch = descend(domain, &["os", "type"]).and_then(|t| t.attribute("arch"));
    let overridden = domain
        .descendants()
        .any(|n| n.tag_name().name() == "arg" && n.attribute("value") == Some("-cpu"));
    if !matches!(arch, Some("x86_64" | "i686")) || overridden {
        return ControlFlow::Break(None);
    }
    let asked = |features: &[&str]| features.contains(&"vmx") || features.contains(&"svm");
    match mode {
        _ if asked(require) => ControlFlow::Break(Some(true)),
        _ if domain.attribute("type") != Some("kvm") => ControlFlow::Break(None),
        _ if asked(disable) => ControlFlow::Break(Some(false)),
        Some("host-passthrough" | "host-model" | "maximum") => ControlFlow::Break(Some(true)),
        _ => ControlFlow::Continue(()),
    }
}

/// Whether libvirt's CPU map gives the model `svm` (src/cpu_map/x86_*.xml, version 11).
fn holds_svm(model: &str) -> bool {
    matches!(model, "phenom" | "qemu64" | "Opteron_G2" | "Opteron_G3" | "Opteron_G4" | "Opteron_G5")
        || model.starts_with("EPYC")
        || model.starts_with("Dhyana")
}

/// A size with its unit, in KiB. Units as in libvirt's documentation: KiB where none is given.
fn kib(node: Node<'_, '_>) -> Option<i64> {
    let size: i64 = xml::text(node)?.parse().ok()?;
    let bytes: i64 = match node.attribute("unit").unwrap_or("KiB") {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "k" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "G" | "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    size.checked_mul(bytes).map(|b| b >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, text: &str, whole: bool) -> Out {
        let mut out = Out::default();
        parse(Piece { path, bytes: text.as_bytes(), whole }, &mut out);
        out
    }

    fn value(out: &Out, name: &str) -> Option<Value> {
        out.facts.iter().find(|f| f.name == name).map(|f| f.value.clone())
    }

    fn shows(cpu: &str) -> (Option<Value>, Option<Value>) {
        let text = format!(
            "<domain type='kvm'><name>a</name><os><type arch='x86_64'>hvm</type></os>{cpu}</domain>"
        );
        let out = run("etc/libvirt/qemu/a.xml", &text, true);
        (value(&out, "domain.asks_virt"), value(&out, "domain.hides_virt"))
    }

    const DOMAIN: &str = "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n\n\
        <domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n\
        <name>l1</name>\n\
        <uuid>6a0e2a0e-0000-4000-8000-000000000001</uuid>\n\
        <memory unit='GiB'>16</memory>\n\
        <memoryBacking><hugepages/></memoryBacking>\n\
        <vcpu placement='static' current='2'>8</vcpu>\n\
        <os><type arch='x86_64' machine='pc-q35-8.2'>hvm</type></os>\n\
        <cpu mode='custom' match='exact'>\n\
        <model fallback='allow'>Skylake-Client</model>\n\
        <feature policy='require' name='vmx'/>\n\
        <feature policy='disable' name='mpx'/>\n\
        </cpu>\n\
        <devices>\n\
        <emulator>/usr/bin/qemu-system-x86_64</emulator>\n\
        <disk type='file' device='disk'><source file='/srv/l1.qcow2'/></disk>\n\
        <disk type='block' device='disk'><source dev='/dev/vg/l1'/></disk>\n\
        <disk type='file' device='cdrom'/>\n\
        <hostdev mode='subsystem' type='pci'/>\n\
        </devices>\n\
        </domain>\n";

    #[test]
    fn a_domain_with_its_lines() {
        let out = run("etc/libvirt/qemu/l1.xml", DOMAIN, true);
        assert_eq!(out.problems, []);
        for (name, expected) in [
            ("domain.type", Value::text("kvm")),
            ("domain.asks_tcg", Value::Bool(false)),
            ("domain.machine", Value::text("pc-q35-8.2")),
            ("domain.memory_kib", Value::Int(16_777_216)),
            ("domain.vcpus", Value::Int(8)),
            ("domain.hugepages", Value::Bool(true)),
            ("domain.disks", Value::words(["/srv/l1.qcow2", "/dev/vg/l1"])),
            ("domain.hostdevs", Value::Int(1)),
            ("domain.cpu_mode", Value::text("custom")),
            ("domain.cpu_model", Value::text("Skylake-Client")),
            ("domain.cpu_require", Value::words(["vmx"])),
            ("domain.cpu_disable", Value::words(["mpx"])),
            ("domain.asks_virt", Value::Bool(true)),
            ("domain.hides_virt", Value::Bool(false)),
        ] {
            assert_eq!(value(&out, name), Some(expected), "{name}");
        }
        let memory = out.facts.iter().find(|f| f.name == "domain.memory_kib").unwrap();
        assert_eq!(memory.origin.line, Some(8));
        assert_eq!(memory.instance.as_deref(), Some("l1"));
    }

    #[test]
    fn which_cpus_show_virtualization() {
        let (yes, no) = (Some(Value::Bool(true)), Some(Value::Bool(false)));
        for cpu in [
            "<cpu mode='host-passthrough'/>",
            "<cpu mode='host-model'/>",
            "<cpu mode='maximum'/>",
            "<cpu mode='custom'><model>EPYC</model><feature policy='require' name='svm'/></cpu>",
            "<cpu><model>Penryn</model><feature policy='optional' name='vmx'/></cpu>",
        ] {
            assert_eq!(shows(cpu), (yes.clone(), no.clone()), "{cpu}");
        }
        for cpu in [
            "",
            "<cpu mode='host-passthrough'><feature policy='disable' name='vmx'/></cpu>",
            "<cpu mode='host-model'><feature policy='disable' name='svm'/></cpu>",
            "<cpu mode='custom'><model>kvm64</model></cpu>",
            "<cpu mode='custom'><model>EPYC-Rome</model></cpu>",
            "<cpu><topology sockets='1' cores='2' threads='1'/></cpu>",
        ] {
            assert_eq!(shows(cpu), (no.clone(), yes.clone()), "{cpu}");
        }
    }

    #[test]
    fn what_qemu_is_told_directly_is_not_guessed() {
        let cpu = "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>\
                   <q:arg value='-cpu'/><q:arg value='host'/></q:commandline>";
        assert_eq!(shows(cpu), (None, None));
    }

    #[test]
    fn emulation_and_models_that_hold_svm() {
        let text = "<domstatus state='running'><domain type='qemu'><name>b</name>\
            <os><type arch='x86_64'>hvm</type></os>\
            <cpu mode='custom'><model>Opteron_G2</model></cpu></domain></domstatus>";
        let out = run("run/libvirt/qemu/b.xml", text, true);
        assert_eq!(value(&out, "domain.asks_tcg"), Some(Value::Bool(true)));
        assert_eq!(value(&out, "domain.model_virt"), Some(Value::text("svm")));
        assert_eq!(value(&out, "domain.asks_virt"), None);
    }

    #[test]
    fn a_cut_file_keeps_what_is_there_and_claims_no_absence() {
        let cut = &DOMAIN[..DOMAIN.find("<vcpu").unwrap() + 9];
        let out = run("etc/libvirt/qemu/l1.xml", cut, false);
        assert_eq!(value(&out, "domain.memory_kib"), Some(Value::Int(16_777_216)));
        for name in ["domain.hides_virt", "domain.vcpus", "domain.hostdevs"] {
            assert_eq!(value(&out, name), None, "{name}");
        }
        let out = run("etc/libvirt/qemu/l1.xml", cut, true);
        assert_eq!(out.facts, []);
        assert_eq!(out.problems.len(), 1);
    }

    #[test]
    fn broken_numbers_cost_only_themselves() {
        let text = "<domain type='kvm'><name>a</name>\n<memory unit='parsec'>1</memory>\n\
                    <vcpu>many</vcpu></domain>";
        let out = run("etc/libvirt/qemu/a.xml", text, true);
        let at: Vec<&str> = out.problems.iter().map(|p| p.source.as_str()).collect();
        assert_eq!(at, ["etc/libvirt/qemu/a.xml:2", "etc/libvirt/qemu/a.xml:3"]);
        assert_eq!(value(&out, "domain.type"), Some(Value::text("kvm")));
    }

    #[test]
    fn other_xml_is_something_else() {
        for text in ["<network><name>x</name></network>", "<domainsnapshot/>", "hello", ""] {
            let out = run("commands/net.xml", text, true);
            assert!(out.facts.is_empty() && out.problems.is_empty(), "{text}");
        }
    }

    #[test]
    fn capabilities_by_architecture() {
        let text = "<capabilities><host/><guest><os_type>hvm</os_type><arch name='x86_64'>\
            <domain type='qemu'/><domain type='kvm'/></arch></guest><guest><arch name='s390x'>\
            <domain type='qemu'/></arch></guest></capabilities>";
        let out = run("commands/virsh-capabilities.txt", text, true);
        let found: Vec<_> =
            out.facts.iter().map(|f| (f.instance.as_deref(), f.value.to_string())).collect();
        assert_eq!(
            found,
            [(Some("x86_64"), "kvm qemu".to_owned()), (Some("s390x"), "qemu".to_owned())]
        );
    }
}
