//! PCI addresses, `domain:bus:device.function` in hexadecimal.
//!
//! The domain is left away by lspci where there is only domain 0; Intel's Volume Management Device
//! makes domains of five digits (10000). Everything here answers in the kernel's form:
//! `0000:01:00.0`, small letters.

/// An address, in the kernel's form; `None` where the text is something else.
pub fn address(text: &str) -> Option<String> {
    let (domain, bus, device, function) = parts(text)?;
    let function = function.filter(|f| *f < 8)?;
    Some(format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
}

/// A slot, i.e. an address without a function: `0000:0c:00` for `0c:00` and `0000:0c:00`.
pub fn slot(text: &str) -> Option<String> {
    let (domain, bus, device, function) = parts(text)?;
    function.is_none().then(|| format!("{domain:04x}:{bus:02x}:{device:02x}"))
}

/// An address from its numbers; `None` where one is too large.
pub fn from_numbers(domain: u32, bus: u32, device: u32, function: u32) -> Option<String> {
    (bus < 256 && device < 32 && function < 8)
        .then(|| format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
}

/// The slot of an address in the kernel's form.
pub fn slot_of(address: &str) -> &str {
    address.rsplit_once('.').map_or(address, |(slot, _)| slot)
}

/// The last component of a path, where it is an address: `0000:01:00.0` of a link's target.
pub fn in_path(path: &str) -> Option<String> {
    address(path.trim_end_matches('/').rsplit('/').next()?)
}

fn parts(text: &str) -> Option<(u32, u32, u32, Option<u32>)> {
    let (slot, function) = match text.split_once('.') {
        Some((slot, function)) if function.len() == 1 => (slot, Some(hex(function, 1, 1)?)),
        Some(_) => return None,
        None => (text, None),
    };
    let mut fields = slot.rsplit(':');
    let device = hex(fields.next()?, 2, 2)?;
    let bus = hex(fields.next()?, 2, 2)?;
    let domain = fields.next().map_or(Some(0), |d| hex(d, 4, 8))?;
    (fields.next().is_none() && device < 32).then_some((domain, bus, device, function))
}

fn hex(digits: &str, least: usize, most: usize) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = (least..=most).contains(&digits.len());
    (plain && fits).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_forms_of_tools() {
        for (text, expected) in [
            ("01:00.0", Some("0000:01:00.0")),
            ("0000:0C:00.7", Some("0000:0c:00.7")),
            ("10000:e1:00.0", Some("10000:e1:00.0")),
            ("00:1f.8", None),
            ("00:20.0", None),
            ("1:00.0", None),
            ("01:00", None),
            ("12:34:56", None),
            ("1.5", None),
            ("", None),
            ("zz:00.0", None),
            ("0000:00:01:00.0", None),
        ] {
            assert_eq!(address(text).as_deref(), expected, "{text}");
        }
        assert_eq!(slot("0c:00").as_deref(), Some("0000:0c:00"));
        assert_eq!(slot("0c:00.0"), None);
        assert_eq!(slot_of("0000:0c:00.1"), "0000:0c:00");
        let link = "../../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0\n";
        assert_eq!(in_path(link.trim()).as_deref(), Some("0000:01:00.0"));
        assert_eq!(from_numbers(0, 0x82, 0, 1).as_deref(), Some("0000:82:00.1"));
        assert_eq!(from_numbers(0, 256, 0, 1), None);
    }
}
