//! Ports and security groups of clouds: OpenStack's tables, AWS's JSON, and JSON of Kubernetes.

use super::super::{Line, believed, mac};
use super::{lines, switch};
use crate::model::{Out, Piece, Value};

/// Tables of OpenStack's clients: `| field | value |`, or one row per rule.
pub(super) fn tables(piece: Piece<'_>, text: &str, out: &mut Out) {
    if text.trim_start().starts_with(['{', '[']) {
        return json(piece, text, out);
    }
    let mut heads: Vec<String> = Vec::new();
    let mut protocols: Vec<String> = Vec::new();
    let mut first = None;
    let port = piece.file_name().trim_end_matches(".txt").to_owned();
    for (number, text) in believed(text, piece.whole) {
        let cells: Vec<&str> = text.trim().trim_matches('|').split('|').map(str::trim).collect();
        if !text.trim_start().starts_with('|') {
            continue;
        }
        let line = &mut Line { piece, number, text, out };
        match cells.as_slice() {
            [field, value] => port_field(line, &port, field, value),
            row if heads.is_empty() => heads = row.iter().map(|h| h.to_ascii_lowercase()).collect(),
            row => {
                if let Some(protocol) = group_rule(&heads, row) {
                    first.get_or_insert((number, text));
                    protocols.push(protocol);
                }
            }
        }
    }
    if let Some((number, text)) = first {
        Line { piece, number, text, out }.of("secgroup.protocols", &port, Value::words(protocols));
    }
}

fn port_field(line: &mut Line<'_, '_, '_>, port: &str, field: &str, value: &str) {
    match (field, switch(value)) {
        ("port_security_enabled", Some(on)) => line.of("port.filters_mac", port, Value::Bool(on)),
        ("mac_address", _) => {
            if let Some(mac) = mac(value) {
                line.of("port.mac", port, Value::text(mac));
            }
        }
        ("allowed_address_pairs", _) => {
            let any = !matches!(value, "" | "[]" | "None");
            line.of("port.address_pairs", port, Value::Bool(any));
        }
        _ => {}
    }
}

/// A rule's protocol and port: columns `IP Protocol`, `Port Range`, and `Direction` where shown.
fn group_rule(heads: &[String], row: &[&str]) -> Option<String> {
    let cell =
        |name: &str| heads.iter().position(|h| h.contains(name)).and_then(|i| row.get(i)).copied();
    let protocol = cell("protocol")?.to_ascii_lowercase();
    if cell("direction").is_some_and(|d| d == "egress") {
        return None;
    }
    let protocol =
        if matches!(protocol.as_str(), "" | "none" | "any") { "all".to_owned() } else { protocol };
    Some(with_ports(&protocol, cell("port").unwrap_or_default()))
}

/// `udp/4789` of `udp` and `4789:4789`; `udp` where all ports, or several, are let in.
fn with_ports(protocol: &str, range: &str) -> String {
    match range.split_once([':', '-']) {
        Some((low, high)) if low == high && !low.is_empty() => format!("{protocol}/{low}"),
        Some((low, high))
            if !low.is_empty()
                && (low, high) != ("1", "65535")
                && (low, high) != ("0", "65535") =>
        {
            format!("{protocol}/{low}-{high}")
        }
        _ => protocol.to_owned(),
    }
}

/// AWS and other JSON: keys anywhere in the tree.
pub(super) fn json(piece: Piece<'_>, text: &str, out: &mut Out) {
    let Ok(tree) = serde_json::from_str::<serde_json::Value>(text) else {
        // What is no JSON may still be lines of `key: value`.
        return lines(piece, text, out);
    };
    let stem = piece.file_name().trim_end_matches(".txt").to_owned();
    let mut protocols: Vec<String> = Vec::new();
    let mut waiting = vec![&tree];
    // The tree is walked without recursion; serde_json bounds its depth, the file its size.
    while let Some(node) = waiting.pop() {
        match node {
            serde_json::Value::Array(items) => waiting.extend(items),
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    let shown = format!("\"{key}\": {value}");
                    let line = &mut Line { piece, number: place(text, key), text: &shown, out };
                    match (key.as_str(), value) {
                        ("SourceDestCheck", serde_json::Value::Bool(on)) => {
                            line.fact("cloud.source_dest_check", Value::Bool(*on));
                        }
                        ("port_security_enabled" | "macspoofchk", serde_json::Value::Bool(on)) => {
                            line.of("port.filters_mac", &stem, Value::Bool(*on));
                        }
                        ("config", serde_json::Value::String(inner)) => {
                            if inner.replace(' ', "").contains("\"macspoofchk\":true") {
                                line.of("port.filters_mac", &stem, Value::Bool(true));
                            }
                        }
                        ("IpPermissions", serde_json::Value::Array(rules)) => {
                            protocols.extend(rules.iter().filter_map(permission));
                        }
                        _ => waiting.push(value),
                    }
                }
            }
            _ => {}
        }
    }
    if !protocols.is_empty() {
        let number = place(text, "IpPermissions");
        let line = &mut Line { piece, number, text: "IpPermissions", out };
        line.of("secgroup.protocols", &stem, Value::words(protocols));
    }
}

fn place(text: &str, key: &str) -> u32 {
    let quoted = format!("\"{key}\"");
    crate::parse::lines(text).find(|(_, l)| l.contains(&quoted)).map_or(1, |(n, _)| n)
}

fn permission(rule: &serde_json::Value) -> Option<String> {
    let protocol = rule.get("IpProtocol")?.as_str()?;
    let port = |key: &str| rule.get(key).and_then(serde_json::Value::as_i64);
    Some(match (protocol, port("FromPort"), port("ToPort")) {
        ("-1", _, _) => "all".to_owned(),
        (protocol, Some(low), Some(high)) => with_ports(protocol, &format!("{low}:{high}")),
        (protocol, _, _) => protocol.to_owned(),
    })
}
