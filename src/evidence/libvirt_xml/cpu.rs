//! The guest's CPU.
//!
//! Whether a guest sees VMX or SVM follows from its `<cpu>`. No Intel model of libvirt's CPU map
//! (src/cpu_map) holds `vmx`; the AMD models hold `svm`, but QEMU switches it off for every named
//! model under KVM (`kvm_default_props`, target/i386/kvm/kvm-cpu.c) unless it is asked for by
//! name, and libvirt does not ask for what a model holds already. So a named model shows neither
//! without `<feature policy='require'>`. What remains of the map is the other side: a model that
//! holds `svm` cannot be used where the host has none (libvirt's error 91).

use std::ops::ControlFlow;

use roxmltree::Node;

use super::{Reader, domain};
use crate::model::{FactDef, Kind, Value};
use crate::parse::xml::{self, child, descend};

pub(super) const FACTS: &[FactDef] = &[
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
];

impl Reader<'_, '_> {
    pub(super) fn cpu(&mut self, domain: Node<'_, '_>) {
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
