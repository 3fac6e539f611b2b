//! What all readers of libvirt's XML share: where the domain stands, what it is called, how a PCI
//! address is written.
//!
//! A domain is defined by `<domain>` (/etc/libvirt/qemu/NAME.xml, `virsh dumpxml`); the state of a
//! running one (/run/libvirt/qemu/NAME.xml) wraps it in `<domstatus>`
//! (<https://libvirt.org/formatdomain.html>).

use roxmltree::Node;

use super::pci;
use super::xml::{self, child};

/// The domain of a document; `None` where it is about something else.
pub fn domain<'a, 'i>(root: Node<'a, 'i>) -> Option<Node<'a, 'i>> {
    match root.tag_name().name() {
        "domain" => Some(root),
        "domstatus" => child(root, "domain"),
        _ => None,
    }
}

/// The name of a domain, or that of the file where the part with the name is missing.
pub fn name<'a>(domain: Node<'a, '_>, file_name: &'a str) -> &'a str {
    let stem = file_name.trim_end_matches(".xml").trim_end_matches(".txt");
    child(domain, "name").and_then(xml::text).unwrap_or(stem)
}

/// `<address domain='0x0000' bus='0x82' slot='0x00' function='0x1'/>`. Domain and function are 0
/// where they are left away.
pub fn pci_address(node: Node<'_, '_>) -> Option<String> {
    let number = |name| {
        let text = node.attribute(name)?;
        text.strip_prefix("0x")
            .map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
    };
    pci::from_numbers(
        number("domain").unwrap_or(0),
        number("bus")?,
        number("slot")?,
        number("function").unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_by_itself_or_in_its_state() {
        for (text, expected) in [
            ("<domain><name> a </name></domain>", Some("a")),
            ("<domstatus><domain><name>a</name></domain></domstatus>", Some("a")),
            ("<domain/>", Some("web")),
            ("<network><domain name='lan'/></network>", None),
        ] {
            let document = xml::parse(text).unwrap();
            let name = domain(document.root_element()).map(|d| name(d, "web.xml"));
            assert_eq!(name, expected, "{text}");
        }
    }

    #[test]
    fn addresses_in_both_bases() {
        let of = |text| pci_address(xml::parse(text).unwrap().root_element());
        let hexadecimal = of("<address domain='0x0001' bus='0x82' slot='0x1f' function='0x1'/>");
        assert_eq!(hexadecimal.as_deref(), Some("0001:82:1f.1"));
        assert_eq!(of("<address bus='10' slot='0'/>").as_deref(), Some("0000:0a:00.0"));
        assert_eq!(of("<address type='isa'/>"), None);
    }
}
