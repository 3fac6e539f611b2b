//! Output of lspci(8), and what scripts print around it: a paragraph per device, in every
//! verbosity (`-n`, `-nn`, `-k`, `-v` to `-vvv`, `-D`).
//!
//! A device of which nothing is printed after the first line has no driver only if the program was
//! asked for drivers, which shows at other devices. Capabilities are listed for root only
//! (`Capabilities: <access denied>`); their absence is believed where others of the same space are
//! listed.

use super::{Device, config, id};
use crate::model::{Origin, Out, Piece, Value};
use crate::parse::{lines, pci};

pub(super) fn parse(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut reader = Reader::new(piece, text, out);
    for (line, text) in lines(text) {
        reader.line(line, text);
    }
    reader.finish();
}

/// Reads paragraphs; the lists of groups, which hold such paragraphs, use it too.
pub(super) struct Reader<'a, 'o> {
    piece: Piece<'a>,
    out: &'o mut Out,
    current: Option<Paragraph>,
    /// Whether the program was asked for drivers.
    drivers: bool,
    /// How many devices there were.
    pub(super) devices: usize,
}

/// A device that is being read.
struct Paragraph {
    address: String,
    origin: Origin,
    seen: Vec<Seen>,
}

/// What was printed of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Driver,
    Capability,
    /// A capability of the extended space, which only root sees.
    Extended,
    Express,
    Acs,
}

impl<'a, 'o> Reader<'a, 'o> {
    pub(super) fn new(piece: Piece<'a>, text: &str, out: &'o mut Out) -> Self {
        let drivers = text.contains("Kernel driver in use:") || text.contains("Kernel modules:");
        Self { piece, out, current: None, drivers, devices: 0 }
    }

    /// Takes a line of a file of lspci: one that begins with an address begins a device.
    pub(super) fn line(&mut self, number: u32, text: &str) {
        let body = text.trim();
        if body.starts_with(|c: char| c.is_ascii_hexdigit()) && self.device(number, body, None) {
            return;
        }
        self.detail(number, body);
    }

    /// Begins a device: `01:00.0 VGA compatible controller [0300]: NVIDIA ... [10de:13c2] (rev a1)`.
    pub(super) fn device(&mut self, number: u32, text: &str, group: Option<i64>) -> bool {
        let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let Some(address) = pci::address(first) else { return false };
        self.end(true);
        self.devices += 1;
        let origin = Origin::new(self.piece.path, Some(number), text);
        let mut device = Device { out: self.out, address: address.clone(), origin: origin.clone() };
        if let Some(group) = group {
            device.put("pci.iommu_group", Value::Int(group));
        }
        headline(rest.trim(), &mut device);
        self.current = Some(Paragraph { address, origin, seen: Vec::new() });
        true
    }

    /// Takes a line of a device's paragraph.
    pub(super) fn detail(&mut self, number: u32, text: &str) {
        let Some(current) = &mut self.current else { return };
        let origin = Origin::new(self.piece.path, Some(number), text);
        let address = current.address.clone();
        let mut device = Device { out: self.out, address, origin };
        let (key, value) = text.split_once(':').map_or((text, ""), |(k, v)| (k, v.trim()));
        match key {
            "Kernel driver in use" if !value.is_empty() => {
                current.seen.push(Seen::Driver);
                device.text("pci.driver", value);
            }
            "IOMMU group" => {
                if let Ok(group) = value.parse() {
                    device.put("pci.iommu_group", Value::Int(group));
                }
            }
            "Bus" => {
                let bus = value.split(", ").find_map(|p| p.strip_prefix("secondary="));
                if let Some(bus) = bus.and_then(|b| i64::from_str_radix(b, 16).ok()) {
                    device.put("pci.secondary", Value::Int(bus));
                }
            }
            "Capabilities" => current.capability(value, &mut device),
            "ACSCtl" => device.text("pci.acs", config::state(control(value))),
            _ => {}
        }
    }

    /// Ends the paragraph; `whole` where something follows it.
    fn end(&mut self, whole: bool) {
        let Some(current) = self.current.take() else { return };
        if !whole {
            return;
        }
        let Paragraph { address, origin, seen } = current;
        let seen = |what| seen.contains(&what);
        let mut device = Device { out: self.out, address, origin };
        if self.drivers && !seen(Seen::Driver) {
            device.text("pci.driver", "none");
        }
        if seen(Seen::Capability) && !seen(Seen::Express) {
            device.text("pci.express", "conventional");
        }
        if seen(Seen::Extended) && !seen(Seen::Acs) {
            device.text("pci.acs", "absent");
        }
    }

    pub(super) fn finish(mut self) {
        self.end(self.piece.whole);
    }
}

impl Paragraph {
    /// `[80] Express (v2) Root Port (Slot+), MSI 00`, `[220 v1] Access Control Services`.
    fn capability(&mut self, value: &str, device: &mut Device<'_>) {
        let Some((place, name)) = value.strip_prefix('[').and_then(|v| v.split_once("] ")) else {
            return;
        };
        self.seen.push(Seen::Capability);
        if place.split(' ').next().unwrap_or(place).len() > 2 {
            self.seen.push(Seen::Extended);
        }
        if name.starts_with("Access Control Services") {
            self.seen.push(Seen::Acs);
        }
        let Some(express) = name.strip_prefix("Express (v").and_then(|n| n.split_once(") ")) else {
            return;
        };
        self.seen.push(Seen::Express);
        if let Some(kind) = express_type(express.1) {
            device.text("pci.express", kind);
        }
    }
}

/// In the words of pciutils (ls-caps.c).
fn express_type(text: &str) -> Option<&'static str> {
    const TYPES: &[(&str, &str)] = &[
        ("Endpoint", "endpoint"),
        ("Legacy Endpoint", "legacy-endpoint"),
        ("Root Port", "root-port"),
        ("Upstream Port", "upstream-port"),
        ("Downstream Port", "downstream-port"),
        ("PCI-Express to PCI", "pci-bridge"),
        ("PCI/PCI-X to PCI-Express", "pcie-bridge"),
        ("Root Complex Integrated Endpoint", "integrated-endpoint"),
        ("Root Complex Event Collector", "event-collector"),
    ];
    TYPES.iter().find(|(words, _)| text.starts_with(words)).map(|(_, kind)| *kind)
}

/// The register, from `SrcValid+ TransBlk- ReqRedir+ ...`.
fn control(text: &str) -> u16 {
    let names = ["SrcValid+", "TransBlk+", "ReqRedir+", "CmpltRedir+", "UpstreamFwd+"];
    (0_u16..).zip(names).filter(|(_, n)| text.contains(n)).map(|(bit, _)| 1 << bit).sum()
}

/// Class, name and ids of a device's first line, with or without numbers.
pub(super) fn headline(text: &str, device: &mut Device<'_>) {
    // `-n` prints `0300: 10de:13c2 (rev a1)`.
    let (class, name) = text.split_once(": ").unwrap_or((text, ""));
    let number = class.rsplit_once('[').and_then(|(_, c)| id(c.trim_end_matches(']')));
    let number = number.or_else(|| id(class)).or_else(|| class_named(class).map(str::to_owned));
    if let Some(number) = number {
        device.text("pci.class", number);
    }
    if name.is_empty() {
        return;
    }
    let mut ids = None;
    // The last brackets hold the ids; a name may have brackets of its own.
    for part in name.split(['[', ']', ' ']) {
        let pair = part.split_once(':').and_then(|(v, d)| Some((id(v)?, id(d)?)));
        ids = pair.or(ids);
    }
    if let Some((vendor, model)) = ids {
        let tag = format!("[{vendor}:{model}]");
        let words = name.split(" (rev ").next().unwrap_or(name).to_owned();
        device.text("pci.vendor", vendor);
        device.text("pci.device", model);
        let words = words.replace(&tag, "");
        if id(words.split(':').next().unwrap_or("")).is_none() && !words.trim().is_empty() {
            device.text("pci.name", words.trim());
        }
    } else {
        device.text("pci.name", name.split(" (rev ").next().unwrap_or(name).trim());
    }
}

/// Classes in the words of the ids database, as far as a diagnosis asks for them.
fn class_named(words: &str) -> Option<&'static str> {
    const CLASSES: &[(&str, &str)] = &[
        ("SCSI storage controller", "0100"),
        ("RAID bus controller", "0104"),
        ("SATA controller", "0106"),
        ("Serial Attached SCSI controller", "0107"),
        ("Non-Volatile memory controller", "0108"),
        ("Mass storage controller", "0180"),
        ("Ethernet controller", "0200"),
        ("Infiniband controller", "0207"),
        ("Network controller", "0280"),
        ("VGA compatible controller", "0300"),
        ("3D controller", "0302"),
        ("Display controller", "0380"),
        ("Multimedia audio controller", "0401"),
        ("Audio device", "0403"),
        ("Host bridge", "0600"),
        ("ISA bridge", "0601"),
        ("PCI bridge", "0604"),
        ("System peripheral", "0880"),
        ("USB controller", "0c03"),
        ("SMBus", "0c05"),
        ("Serial bus controller", "0c80"),
        ("Processing accelerators", "1200"),
    ];
    CLASSES.iter().find(|(name, _)| *name == words).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::evidence::testing::{read, read_part};
    use crate::model::Out;

    fn all(out: &Out) -> Vec<String> {
        let show = |f: &crate::model::Fact| {
            format!("{} {}={}", f.instance.clone().unwrap_or_default(), f.name, f.value)
        };
        out.facts.iter().map(show).collect()
    }

    #[track_caller]
    fn has(out: &Out, expected: &[&str]) {
        for line in expected {
            assert!(all(out).iter().any(|l| l == line), "{line} is not in {:#?}", all(out));
        }
    }

    const NNK: &str = "00:1c.0 PCI bridge [0604]: Intel Corporation Root Port #1 [8086:a110] (rev f1)\n\
        \tKernel driver in use: pcieport\n\
        02:00.0 Ethernet controller [0200]: Intel Corporation I350 Gigabit [1-port] [8086:1521] (rev 01)\n\
        \tSubsystem: Intel Corporation Ethernet Server Adapter [8086:00a1]\n\
        \tKernel modules: igb\n";

    #[test]
    fn drivers_and_their_absence() {
        let out = read(parse, "commands/lspci-nnk.txt", NNK);
        has(
            &out,
            &[
                "0000:00:1c.0 pci.class=0604",
                "0000:00:1c.0 pci.driver=pcieport",
                "0000:02:00.0 pci.driver=none",
                "0000:02:00.0 pci.vendor=8086",
                "0000:02:00.0 pci.device=1521",
                "0000:02:00.0 pci.name=Intel Corporation I350 Gigabit [1-port]",
            ],
        );
        let cut = read_part(parse, "commands/lspci-nnk.txt", NNK, false);
        assert!(!all(&cut).iter().any(|l| l.contains("02:00.0 pci.driver")), "not read to its end");
        let plain = "02:00.0 Ethernet controller: Intel Corporation I350 (rev 01)\n";
        let out = read(parse, "commands/lspci.txt", plain);
        has(&out, &["0000:02:00.0 pci.class=0200", "0000:02:00.0 pci.name=Intel Corporation I350"]);
        assert!(!all(&out).iter().any(|l| l.contains("driver")), "nobody asked for drivers");
    }

    #[test]
    fn capabilities_of_ports_and_devices() {
        let text = "0000:00:01.0 PCI bridge [0604]: Intel Corporation Port [8086:1901] (prog-if 00 [Normal decode])\n\
            \tBus: primary=00, secondary=0a, subordinate=0b, sec-latency=0\n\
            \tIOMMU group: 2\n\
            \tCapabilities: [a0] Express (v2) Root Port (Slot+), MSI 00\n\
            \tCapabilities: [140 v1] Root Complex Link\n\
            \tKernel driver in use: pcieport\n\n\
            0000:00:1d.0 PCI bridge [0604]: Intel Corporation Port [8086:a118]\n\
            \tCapabilities: [40] Express (v2) Root Port (Slot-), MSI 00\n\
            \tCapabilities: [220 v1] Access Control Services\n\
            \t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n\
            \t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n\n\
            0000:05:00.0 PCI bridge [0604]: ASMedia Bridge [1b21:1080]\n\
            \tCapabilities: [80] Express (v2) PCI-Express to PCI/PCI-X Bridge, IntMsgNum 0\n\
            0000:06:00.0 Ethernet controller [0200]: Realtek NIC [10ec:8139]\n\
            \tCapabilities: [50] Power Management version 2\n\
            0000:07:00.0 Ethernet controller [0200]: Realtek NIC [10ec:8168]\n\
            \tCapabilities: <access denied>\n";
        let out = read(parse, "commands/lspci-Dnnvvv.txt", text);
        has(
            &out,
            &[
                "0000:00:01.0 pci.secondary=10",
                "0000:00:01.0 pci.iommu_group=2",
                "0000:00:01.0 pci.express=root-port",
                "0000:00:01.0 pci.acs=absent",
                "0000:00:1d.0 pci.acs=isolating",
                "0000:05:00.0 pci.express=pci-bridge",
                "0000:06:00.0 pci.express=conventional",
            ],
        );
        assert!(!all(&out).iter().any(|l| l.contains("07:00.0 pci.express")));
        assert!(!all(&out).iter().any(|l| l.contains("06:00.0 pci.acs")));
    }

    #[test]
    fn numbers_only_and_other_programs() {
        let out = read(parse, "commands/lspci-n.txt", "01:00.0 0300: 10de:13c2 (rev a1)\n");
        has(&out, &["0000:01:00.0 pci.class=0300", "0000:01:00.0 pci.device=13c2"]);
        assert!(!all(&out).iter().any(|l| l.contains("pci.name")));
        for text in ["", "lspci: command not found\n", "-[0000:00]-+-00.0  Intel\n", "12:34:56 x\n"]
        {
            assert_eq!(
                all(&read(parse, "commands/lspci.txt", text)),
                Vec::<String>::new(),
                "{text}"
            );
        }
    }
}
