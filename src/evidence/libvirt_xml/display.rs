//! Screens and USB of a guest: what a server without a console does not need.
//!
//! `<video>` names the emulated graphics card (`none` takes it away), `<graphics>` how it is shown,
//! `<controller type='usb'>` the host controller (`none` likewise), `<input bus='usb'>` a tablet,
//! mouse or keyboard.

use roxmltree::Node;

use super::{Reader, domain};
use crate::model::{FactDef, Kind, Value};
use crate::parse::xml::child;

pub(super) const FACTS: &[FactDef] = &[
    domain("domain.video", Kind::Words, "Models of the emulated graphics cards, e.g. qxl, none"),
    domain("domain.graphics", Kind::Words, "How the screen is shown: vnc, spice, sdl, ..."),
    domain(
        "domain.usb_controllers",
        Kind::Words,
        "Models of USB controllers, e.g. qemu-xhci, ich9-ehci1, none",
    ),
    domain("domain.usb_inputs", Kind::Words, "Input devices on USB: tablet, mouse, keyboard"),
];

impl Reader<'_, '_> {
    pub(super) fn display(&mut self, domain: Node<'_, '_>) {
        let Some(devices) = child(domain, "devices") else { return };
        let elements = |name| devices.children().filter(move |c| c.has_tag_name(name));
        let model = |video| child(video, "model").and_then(|m: Node<'_, '_>| m.attribute("type"));
        let on_usb = |n: &Node<'_, '_>| n.attribute("bus") == Some("usb");
        let usb = |n: &Node<'_, '_>| n.attribute("type") == Some("usb");
        let found = [
            ("domain.video", elements("video").filter_map(|v| Some((v, model(v)?))).collect()),
            (
                "domain.graphics",
                elements("graphics").filter_map(|g| Some((g, g.attribute("type")?))).collect(),
            ),
            (
                "domain.usb_controllers",
                elements("controller")
                    .filter(usb)
                    .map(|c| (c, c.attribute("model").unwrap_or("default")))
                    .collect(),
            ),
            (
                "domain.usb_inputs",
                elements("input")
                    .filter(on_usb)
                    .filter_map(|i| Some((i, i.attribute("type")?)))
                    .collect::<Vec<_>>(),
            ),
        ];
        for (name, words) in found {
            if let Some((first, _)) = words.first() {
                self.fact(name, Value::words(words.iter().map(|(_, word)| *word)), *first);
            }
        }
    }
}
