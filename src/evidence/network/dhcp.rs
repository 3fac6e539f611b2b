//! DHCP: leases as servers keep them, and by what a client names itself.
//!
//! RFC 2131: a server knows a client by its client identifier where it sends one, and by its MAC
//! address only otherwise. systemd-networkd derives the identifier from /etc/machine-id, so clones
//! of a machine that was booted before ask under one name. Read are dnsmasq's leases (`EXPIRY MAC IP
//! NAME CLIENT-ID`), libvirt's BRIDGE.status (JSON), `virsh net-dhcp-leases`, ISC dhcpd.leases, and
//! the clients' settings in netplan and networkd.

use super::{Line, believed, mac};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// DHCP leases and identifiers.
pub const SLICE: Slice = Slice { name: "network/dhcp", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("var/lib/libvirt/dnsmasq/*.status"),
    Want::file("var/lib/misc/dnsmasq*.leases"),
    Want::given("**/dnsmasq*.leases"),
    Want::given("var/lib/dhcp*/**/dhcpd*.leases"),
    Want::given("**/dhcpd.leases"),
    Want::command(
        "virsh-net-dhcp-leases*",
        &[],
        &["sos_commands/virsh/virsh_-r_net-dhcp-leases_*"],
    ),
    Want::file("etc/netplan/*.yaml"),
    Want::file("etc/systemd/network/*.network"),
    Want::given("run/systemd/network/*.network"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "dhcp.client_id",
        Kind::Text,
        "MAC address",
        "Client identifier or DUID by which a DHCP server knows a client",
        "virsh net-dhcp-leases NETWORK",
    ),
    FactDef::per(
        "dhcp.lease",
        Kind::Text,
        "MAC address",
        "IP address that was leased",
        "virsh net-dhcp-leases NETWORK",
    ),
    FactDef::per(
        "dhcp.identifier",
        Kind::Text,
        "file",
        "By what the client names itself: mac, duid, duid-only",
        "grep -r dhcp-identifier /etc/netplan; grep -r ClientIdentifier /etc/systemd/network",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let file = piece.file_name();
    if matches!(super::extension(file), "yaml" | "network") {
        return identifier(piece, &text, out);
    }
    if super::extension(file) == "status" {
        return status(piece, &text, out);
    }
    if text.contains("lease ") && text.contains('{') {
        return isc(piece, &text, out);
    }
    for (number, text) in believed(&text, piece.whole) {
        let words: Vec<&str> = text.split_whitespace().collect();
        // virsh: date, time, MAC, protocol, IP/prefix, host name, identifier.
        let (address, ip, id) = match words.as_slice() {
            [_, _, address, "ipv4" | "ipv6", ip, _, id, ..] => (*address, *ip, *id),
            [expiry, address, ip, _, id] if expiry.parse::<u64>().is_ok() => (*address, *ip, *id),
            _ => continue,
        };
        if let Some(address) = mac(address) {
            lease(&mut Line { piece, number, text, out }, &address, ip, id);
        }
    }
}

fn lease(line: &mut Line<'_, '_, '_>, address: &str, ip: &str, id: &str) {
    let ip = ip.split('/').next().unwrap_or(ip);
    if ip.parse::<std::net::IpAddr>().is_ok() {
        line.of("dhcp.lease", address, Value::text(ip));
    }
    if !matches!(id, "*" | "-" | "") {
        line.of("dhcp.client_id", address, Value::text(id.to_ascii_lowercase()));
    }
}

fn status(piece: Piece<'_>, text: &str, out: &mut Out) {
    if text.trim().is_empty() {
        return;
    }
    let Ok(leases) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        out.problem(piece.path, None, "the JSON is broken");
        return;
    };
    for entry in leases {
        let value = |key: &str| entry.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        if let Some(address) = mac(value("mac-address")) {
            let shown = format!("{} {}", value("ip-address"), value("client-id"));
            let line = &mut Line { piece, number: 1, text: &shown, out };
            lease(line, &address, value("ip-address"), value("client-id"));
        }
    }
}

/// `lease 192.0.2.9 { ... hardware ethernet 52:...; uid "\377..."; }`; the last one of an address
/// is the valid one, and its lines are the proof.
fn isc(piece: Piece<'_>, text: &str, out: &mut Out) {
    let (mut ip, mut address, mut id) = (String::new(), None, String::new());
    for (number, text) in believed(text, piece.whole) {
        let trimmed = text.trim();
        if let Some(rest) = trimmed.strip_prefix("lease ") {
            rest.split_whitespace().next().unwrap_or_default().clone_into(&mut ip);
            (address, id) = (None, String::new());
        } else if let Some(rest) = trimmed.strip_prefix("hardware ethernet ") {
            address = mac(rest.trim_end_matches(';'));
        } else if let Some(rest) = trimmed.strip_prefix("uid ") {
            rest.trim_end_matches(';').trim_matches('"').clone_into(&mut id);
        } else if trimmed == "}"
            && let Some(address) = address.take()
        {
            lease(
                &mut Line { piece, number, text: &format!("{ip} {id}"), out },
                &address,
                &ip,
                &id,
            );
        }
    }
}

fn identifier(piece: Piece<'_>, text: &str, out: &mut Out) {
    for (number, text) in believed(text, piece.whole) {
        let trimmed = text.trim();
        let value = trimmed
            .strip_prefix("dhcp-identifier:")
            .or_else(|| trimmed.strip_prefix("ClientIdentifier="));
        if let Some(value) =
            value.map(|v| v.trim().trim_matches(['"', '\''])).filter(|v| !v.is_empty())
        {
            let line = &mut Line { piece, number, text, out };
            line.of("dhcp.identifier", piece.file_name(), Value::text(value.to_ascii_lowercase()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    const ID: &str = "ff:b5:5e:67:ff:00:02:00:00:ab:11:01:02";

    fn check(path: &str, text: &str) {
        let out = testing::read(parse, path, text);
        assert_eq!(testing::show(&out, "dhcp.lease"), Some("192.0.2.9".into()), "{path}");
        assert_eq!(testing::show(&out, "dhcp.client_id"), Some(ID.into()), "{path}");
        assert_eq!(out.facts[0].instance.as_deref(), Some("52:54:00:00:00:09"));
    }

    #[test]
    fn leases_of_all_servers() {
        check(
            "var/lib/misc/dnsmasq.leases",
            &format!("1700000000 52:54:00:00:00:09 192.0.2.9 web {ID}\n"),
        );
        check(
            "commands/virsh-net-dhcp-leases-default.txt",
            &format!(
                " Expiry Time           MAC address         Protocol   IP address     Hostname   Client ID or DUID\n---\n 2025-01-01 10:00:00   52:54:00:00:00:09   ipv4       192.0.2.9/24   web        {ID}\n"
            ),
        );
        check(
            "var/lib/libvirt/dnsmasq/virbr0.status",
            &format!(
                "[{{\"ip-address\":\"192.0.2.9\",\"mac-address\":\"52:54:00:00:00:09\",\"client-id\":\"{ID}\"}}]"
            ),
        );
        check(
            "var/lib/dhcpd/dhcpd.leases",
            &format!(
                "lease 192.0.2.9 {{\n  hardware ethernet 52:54:00:00:00:09;\n  uid \"{ID}\";\n}}\n"
            ),
        );
    }

    #[test]
    fn by_what_a_client_names_itself() {
        let out = testing::read(
            parse,
            "etc/netplan/50.yaml",
            "network:\n  ethernets:\n    eth0:\n      dhcp4: true\n      dhcp-identifier: mac\n",
        );
        assert_eq!(testing::show(&out, "dhcp.identifier"), Some("mac".into()));
        assert!(
            testing::read(parse, "var/lib/misc/dnsmasq.leases", "duid 00:01\nx y z\n")
                .facts
                .is_empty()
        );
    }
}
