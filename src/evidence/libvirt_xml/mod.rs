//! libvirt's XML: domain definitions, the state of running domains, and what libvirt believes
//! the host can do.
//!
//! Read are /etc/libvirt/qemu/NAME.xml (which a comment precedes), /run/libvirt/qemu/NAME.xml (a
//! `<domstatus>` around the live domain), `virsh dumpxml` and `virsh capabilities`
//! (<https://libvirt.org/formatdomain.html>, <https://libvirt.org/formatcaps.html>). XML with any
//! other root is something else and gives nothing.
//!
//! * `cpu.rs`: the guest's CPU, and whether it sees VMX or SVM
//! * `devices.rs`: emulator, disks, assigned devices
//! * `display.rs`: screens and USB
//! * `host.rs`: capabilities of the host
//! * `memory.rs`: the guest's RAM and what backs it
//!
//! Each file has its facts and a function on `Reader`. Not parsed: networks, pools, snapshots.

mod cpu;
mod devices;
mod display;
mod host;
mod memory;
#[cfg(test)]
mod tests;

use roxmltree::Node;

use super::{Slice, count, joined};
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::libvirt;
use crate::parse::xml::{self, Lines, child, descend};

/// libvirt's XML.
pub const SLICE: Slice = Slice { name: "libvirt_xml", wants: WANTS, facts: FACTS, parse };

/// Where definitions of domains are, for all slices that read them.
pub(super) const DOMAINS: &[Want] = &[
    Want::file("etc/libvirt/qemu/*.xml"),
    Want::file("run/libvirt/qemu/*.xml"),
    Want::given("var/run/libvirt/qemu/*.xml"),
    Want::command("virsh-dumpxml*", &[], &["sos_commands/virsh/virsh_-r_dumpxml_*"]),
    Want::given("commands/*.xml"),
    Want::given("*.xml"),
];

const WANTED: &[&[Want]] = &[
    DOMAINS,
    &[Want::command(
        "virsh-capabilities",
        &["virsh", "-r", "capabilities"],
        &["sos_commands/virsh/virsh_-r_capabilities"],
    )],
];
const WANTS: &[Want] = &joined::<_, { count(WANTED) }>(WANTED);

const fn domain(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "domain", doc, "virsh dumpxml NAME")
}

const DEFINITION: &[FactDef] = &[
    domain("domain.type", Kind::Text, "How the guest is run: kvm, qemu (emulation), xen, hvf"),
    domain("domain.asks_tcg", Kind::Bool, "Whether the definition asks for emulation: type='qemu'"),
    domain("domain.arch", Kind::Text, "Architecture of the guest, e.g. x86_64"),
    domain("domain.machine", Kind::Text, "Machine type, e.g. pc-q35-8.2"),
    domain("domain.uuid", Kind::Text, "UUID, which the guest sees in DMI"),
    domain("domain.vcpus", Kind::Int, "Largest number of virtual CPUs"),
];

/// The facts of all files of this folder.
const PARTS: &[&[FactDef]] =
    &[DEFINITION, cpu::FACTS, devices::FACTS, display::FACTS, host::FACTS, memory::FACTS];
const FACTS: &[FactDef] = &joined::<_, { count(PARTS) }>(PARTS);

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
    if let Some(domain) = libvirt::domain(root) {
        reader.domain(domain);
    } else if root.has_tag_name("capabilities") {
        reader.capabilities(root);
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
        self.lines.origin(self.piece.path, node)
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
        libvirt::name(domain, self.piece.file_name()).clone_into(&mut self.name);
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
        self.memory(domain);
        self.vcpus(domain);
        self.devices(domain);
        self.display(domain);
        self.cpu(domain);
    }

    fn vcpus(&mut self, domain: Node<'_, '_>) {
        if let Some(vcpu) = child(domain, "vcpu") {
            match xml::text(vcpu).and_then(|t| t.parse().ok()) {
                Some(count) => self.fact("domain.vcpus", Value::Int(count), vcpu),
                None => self.broken(vcpu, "the number of vCPUs is not understood"),
            }
        }
    }

    fn broken(&mut self, node: Node<'_, '_>, what: &str) {
        let (line, _) = self.lines.of(node);
        self.out.problem(self.piece.path, Some(line), what);
    }
}
