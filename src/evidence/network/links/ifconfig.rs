//! ifconfig of net-tools, in its old and its new form.

use super::super::{Line, after, believed, mac, tunnel};
use super::flush;
use crate::model::{Origin, Out, Piece, Value};

/// `eth0: flags=4163<UP,...>  mtu 1500`, or `eth0      Link encap:Ethernet  HWaddr ...`.
pub(super) fn ifconfig(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut link = String::new();
    let mut addresses: Vec<String> = Vec::new();
    let mut place = Origin::default();
    for (number, text) in believed(text, piece.whole) {
        let row = &mut Line { piece, number, text, out };
        let words: Vec<&str> = text.split_whitespace().collect();
        let opens = !text.starts_with(char::is_whitespace)
            && (text.contains(": flags=") || text.contains("Link encap:"));
        if opens && let Some(first) = words.first() {
            flush(&link, &mut addresses, &place, row.out);
            first.trim_end_matches(':').clone_into(&mut link);
            place = row.origin();
            if let Some(kind) = tunnel::by_name(&link) {
                row.of("tunnel.kind", &link, Value::text(kind));
            }
        }
        if link.is_empty() {
            continue;
        }
        let mtu =
            after(&words, "mtu").or_else(|| words.iter().find_map(|w| w.strip_prefix("MTU:")));
        if let Some(mtu) = mtu.and_then(|m| m.parse().ok()) {
            row.of("link.mtu", &link, Value::Int(mtu));
        }
        if let Some(mac) = after(&words, "ether").or_else(|| after(&words, "HWaddr")).and_then(mac)
        {
            row.of("link.mac", &link, Value::text(mac));
        }
        addresses.extend(ifconfig_address(&words));
    }
    flush(&link, &mut addresses, &place, out);
}

fn ifconfig_address(words: &[&str]) -> Option<String> {
    let colon = |key: &str| words.iter().find_map(|w| w.strip_prefix(key));
    let address = after(words, "inet").map(|a| a.trim_start_matches("addr:"))?;
    let mask = after(words, "netmask").or_else(|| colon("Mask:"))?;
    let mask: std::net::Ipv4Addr = mask.parse().ok()?;
    Some(format!("{address}/{}", u32::from(mask).count_ones()))
}
