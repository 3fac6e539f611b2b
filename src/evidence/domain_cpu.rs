//! What a libvirt domain says about its vCPUs and its interrupt controller: how many run at start,
//! where they are pinned, and what keeps AVIC from being used
//! (<https://libvirt.org/formatdomain.html>: CPU Tuning, Time keeping, Hypervisor features).
//!
//! The PIT's tick policy is `delay` unless it says otherwise, which is KVM's re-inject mode; a guest
//! with `pit present='no'` has none.
//!
//! Not parsed: cputune's shares, quotas and scheduler classes, and pins of the emulator.

use roxmltree::Node;

use super::{Slice, libvirt_xml};
use crate::model::{FactDef, Kind, Out, Piece, Value};
use crate::parse::libvirt;
use crate::parse::xml::{self, Lines, child, descend};

/// vCPUs of libvirt domains.
pub const SLICE: Slice =
    Slice { name: "domain_cpu", wants: libvirt_xml::DOMAINS, facts: FACTS, parse };

const fn domain(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::per(name, kind, "domain", doc, "virsh dumpxml NAME")
}

const FACTS: &[FactDef] = &[
    domain("domain.vcpus_now", Kind::Int, "vCPUs at start: current of <vcpu>, or all"),
    domain("domain.vcpus_pinned", Kind::Int, "vCPUs that <cputune> pins to less than all CPUs"),
    domain(
        "domain.pit_reinjects",
        Kind::Bool,
        "Whether the PIT re-injects missed ticks (policy delay)",
    ),
    domain("domain.hyperv", Kind::Words, "Hyper-V enlightenments that are on"),
    domain("domain.live", Kind::Bool, "Whether the XML is of a domain that runs: it has an id"),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    if !text.contains("<dom") {
        return;
    }
    let fixed = xml::document(&text, piece.whole);
    // What is broken is reported by the slice that reads the whole definition.
    let Ok(document) = xml::parse(&fixed) else { return };
    let root = document.root_element();
    let Some(domain) = libvirt::domain(root) else { return };
    let name = libvirt::name(domain, piece.file_name()).to_owned();
    Reader { piece, lines: Lines::new(&fixed), name, out }.domain(root, domain);
}

struct Reader<'a, 'o> {
    piece: Piece<'a>,
    lines: Lines<'a>,
    name: String,
    out: &'o mut Out,
}

impl Reader<'_, '_> {
    fn fact(&mut self, name: &'static str, value: Value, node: Node<'_, '_>) {
        let origin = self.lines.origin(self.piece.path, node);
        self.out.fact_of(name, &self.name, value, origin);
    }

    fn domain(&mut self, root: Node<'_, '_>, domain: Node<'_, '_>) {
        let live = domain.attribute("id").is_some() || root.attribute("state") == Some("running");
        if live {
            self.fact("domain.live", Value::Bool(true), domain);
        }
        if let Some(vcpu) = child(domain, "vcpu") {
            let now = vcpu.attribute("current").or_else(|| xml::text(vcpu));
            if let Some(now) = now.and_then(|n| n.trim().parse().ok()) {
                self.fact("domain.vcpus_now", Value::Int(now), vcpu);
            }
        }
        // A cut definition says nothing about what would follow.
        if self.piece.whole {
            self.pins(domain);
        }
        self.pit(domain);
        self.hyperv(domain);
    }

    fn pins(&mut self, domain: Node<'_, '_>) {
        let whole = child(domain, "vcpu");
        let tune = child(domain, "cputune");
        let pins: Vec<Node<'_, '_>> = tune
            .iter()
            .flat_map(Node::children)
            .filter(|n| n.has_tag_name("vcpupin") && n.attribute("cpuset").is_some())
            .collect();
        let cpuset = whole.filter(|v| v.attribute("cpuset").is_some());
        let number = match (pins.len(), cpuset.and_then(xml::text)) {
            (0, Some(all)) => all.parse().unwrap_or(0),
            (pinned, _) => i64::try_from(pinned).unwrap_or(i64::MAX),
        };
        if let Some(place) = pins.first().copied().or(cpuset).or(whole) {
            self.fact("domain.vcpus_pinned", Value::Int(number), place);
        }
    }

    fn pit(&mut self, domain: Node<'_, '_>) {
        let Some(clock) = child(domain, "clock") else { return };
        let pit = clock
            .children()
            .find(|n| n.has_tag_name("timer") && n.attribute("name") == Some("pit"));
        let Some(pit) = pit else { return };
        let absent = pit.attribute("present") == Some("no");
        let delay = matches!(pit.attribute("tickpolicy"), None | Some("delay"));
        self.fact("domain.pit_reinjects", Value::Bool(!absent && delay), pit);
    }

    fn hyperv(&mut self, domain: Node<'_, '_>) {
        let Some(hyperv) = descend(domain, &["features", "hyperv"]) else { return };
        let mut on: Vec<&str> = hyperv
            .children()
            .filter(|n| n.is_element() && n.attribute("state") == Some("on"))
            .map(|n| n.tag_name().name())
            .collect();
        if matches!(hyperv.attribute("mode"), Some("passthrough")) {
            on.push("passthrough");
        }
        self.fact("domain.hyperv", Value::words(on), hyperv);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show};

    #[test]
    fn pins_timers_and_enlightenments() {
        let text = "<domain type='kvm' id='3'><name>w</name>\n<vcpu placement='static' current='2'>4</vcpu>\n\
            <cputune><vcpupin vcpu='0' cpuset='2'/><vcpupin vcpu='1' cpuset='3-4'/></cputune>\n\
            <features><hyperv mode='custom'><synic state='on'/><avic state='off'/></hyperv></features>\n\
            <clock offset='utc'><timer name='pit' tickpolicy='delay'/></clock></domain>";
        let out = testing::read(parse, "etc/libvirt/qemu/w.xml", text);
        for (name, value) in [
            ("domain.live", "true"),
            ("domain.vcpus_now", "2"),
            ("domain.vcpus_pinned", "2"),
            ("domain.hyperv", "synic"),
            ("domain.pit_reinjects", "true"),
        ] {
            assert_eq!(show(&out, name).as_deref(), Some(value), "{name}");
        }
        assert!(out.facts.iter().all(|f| f.instance.as_deref() == Some("w")));
    }

    #[test]
    fn nothing_is_made_up() {
        let text = "<domain type='kvm'><name>w</name><vcpu>4</vcpu>\
            <clock><timer name='pit' present='no'/></clock></domain>";
        let out = testing::read(parse, "etc/libvirt/qemu/w.xml", text);
        assert_eq!(show(&out, "domain.vcpus_now").unwrap(), "4");
        assert_eq!(show(&out, "domain.vcpus_pinned").unwrap(), "0");
        assert_eq!(show(&out, "domain.pit_reinjects").unwrap(), "false");
        assert_eq!(show(&out, "domain.hyperv"), None);
        assert_eq!(show(&out, "domain.live"), None);
        let cut = "<domain type='kvm'><name>w</name><vcpu>4</vcpu><os><ty";
        let out = testing::read_part(parse, "etc/libvirt/qemu/w.xml", cut, false);
        assert_eq!(show(&out, "domain.vcpus_pinned"), None);
        let other = testing::read(parse, "commands/net.xml", "<network/>");
        assert!(other.facts.is_empty() && other.problems.is_empty());
    }
}
