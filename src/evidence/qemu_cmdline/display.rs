//! Screens and USB on a command line: `-vga`, `-display`, `-device VGA`, `-device usb-tablet`,
//! `-usbdevice`.
//!
//! Without `-vga`, `-nodefaults` or `-nographic` QEMU adds a card of its own; that default depends
//! on the machine and is not filled in.

use super::{Command, guest};
use crate::model::{FactDef, Kind, Origin, Out, Value};

pub(super) const FACTS: &[FactDef] = &[
    guest("qemu.video", Kind::Words, "Emulated graphics cards: -vga and graphics cards of -device"),
    guest("qemu.usb", Kind::Words, "USB controllers and devices: -device usb-tablet, qemu-xhci"),
];

const CARDS: &[&str] = &[
    "VGA",
    "secondary-vga",
    "cirrus-vga",
    "qxl",
    "qxl-vga",
    "bochs-display",
    "vmware-svga",
    "virtio-vga",
    "virtio-vga-gl",
    "virtio-gpu-pci",
];

const CONTROLLERS: &[&str] =
    &["qemu-xhci", "nec-usb-xhci", "usb-ehci", "piix3-usb-uhci", "piix4-usb-uhci", "pci-ohci"];

impl<'a> Command<'a> {
    pub(super) fn display(&self, origin: &Origin, out: &mut Out) {
        let drivers: Vec<&'a str> = self.options("-device").filter_map(driver).collect();
        let cards = drivers.iter().copied().filter(|d| CARDS.contains(d));
        let video: Vec<&str> = self.options("-vga").chain(cards).collect();
        let is_usb = |d: &&str| {
            d.starts_with("usb-") || d.starts_with("ich9-usb-") || CONTROLLERS.contains(d)
        };
        let of_devices = drivers.iter().copied().filter(is_usb);
        let usb: Vec<&str> = of_devices.chain(self.options("-usbdevice")).collect();
        for (name, words) in [("qemu.video", video), ("qemu.usb", usb)] {
            if !words.is_empty() {
                out.fact_of(name, &self.guest, Value::words(words), origin.clone());
            }
        }
    }
}

/// `usb-tablet,id=input0`, `driver=VGA`, or libvirt's JSON `{"driver":"usb-tablet","id":"input0"}`.
fn driver(argument: &str) -> Option<&str> {
    if let Some(json) = argument.strip_prefix('{') {
        let (_, value) = json.split_once("driver")?;
        // `ps` shows the quotes, the shell's words have none.
        let value = value.trim_start_matches(['"', '\'', ':', ' ']);
        return value.split(['"', '\'', ',', '}']).next();
    }
    let first = argument.split(',').next()?;
    Some(first.strip_prefix("driver=").unwrap_or(first))
}
