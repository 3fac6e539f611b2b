//! `ip -j`.

use super::super::{Line, mac, tunnel};
use super::ends;
use crate::model::{Out, Piece, Value};

/// `ip -j [-d] link` and `ip -j addr`: an array of objects.
pub(super) fn json(piece: Piece<'_>, text: &str, out: &mut Out) {
    let links: Vec<serde_json::Value> = match serde_json::from_str(text) {
        Ok(links) => links,
        Err(error) => {
            let at = u32::try_from(error.line()).ok();
            out.problem(piece.path, at, "the JSON is broken");
            return;
        }
    };
    for link in &links {
        let Some(name) = link.get("ifname").and_then(|n| n.as_str()) else { continue };
        let number = crate::parse::lines(text)
            .find(|(_, l)| l.contains(&format!("\"{name}\"")))
            .map_or(1, |(n, _)| n);
        let shown = format!("\"ifname\":\"{name}\"");
        json_link(&mut Line { piece, number, text: &shown, out }, name, link);
    }
}

fn json_link(row: &mut Line<'_, '_, '_>, name: &str, link: &serde_json::Value) {
    let text = |key: &str| link.get(key).and_then(|v| v.as_str());
    if let Some(mtu) = link.get("mtu").and_then(serde_json::Value::as_i64) {
        row.of("link.mtu", name, Value::Int(mtu));
    }
    if let Some(mac) = text("address").and_then(mac) {
        row.of("link.mac", name, Value::text(mac));
    }
    for (fact, key) in [("link.master", "master"), ("link.parent", "link")] {
        if let Some(word) = text(key) {
            row.of(fact, name, Value::text(word));
        }
    }
    if let Some(state) = text("operstate") {
        row.of("link.state", name, Value::text(state.to_ascii_lowercase()));
    }
    if let Some(flags) = link.get("flags").and_then(|f| f.as_array()) {
        row.of("link.up", name, Value::Bool(flags.iter().any(|f| f.as_str() == Some("UP"))));
    }
    let info = link.get("linkinfo");
    let kind = info.and_then(|i| i.get("info_kind")).and_then(|k| k.as_str());
    if let Some(kind) = kind {
        row.of("link.kind", name, Value::text(kind));
    }
    if let Some(kind) = kind.and_then(tunnel::by_detail).or_else(|| tunnel::by_name(name)) {
        row.of("tunnel.kind", name, Value::text(kind));
        json_tunnel(row, name, info.and_then(|i| i.get("info_data")));
    }
    let addresses = link.get("addr_info").and_then(|a| a.as_array()).into_iter().flatten();
    let addresses: Vec<String> = addresses
        .filter_map(|a| Some((a.get("local")?.as_str()?, a.get("prefixlen")?.as_i64()?)))
        .filter(|(local, _)| !local.starts_with("fe80:"))
        .map(|(local, length)| format!("{local}/{length}"))
        .collect();
    if !addresses.is_empty() {
        row.of("link.addresses", name, Value::words(addresses));
    }
}

fn json_tunnel(row: &mut Line<'_, '_, '_>, name: &str, data: Option<&serde_json::Value>) {
    let Some(data) = data else { return };
    let text = |keys: &[&str]| keys.iter().find_map(|k| data.get(*k)?.as_str());
    ends(row, name, text(&["local", "local6"]), text(&["remote", "remote6", "group", "group6"]));
    for (fact, key) in [("tunnel.id", "id"), ("tunnel.port", "port")] {
        if let Some(number) = data.get(key).and_then(serde_json::Value::as_i64) {
            row.of(fact, name, Value::Int(number));
        }
    }
    if let Some(dev) = text(&["link"]) {
        row.of("tunnel.dev", name, Value::text(dev));
    }
    if let Some(df) = text(&["df"]) {
        row.of("tunnel.df", name, Value::text(df));
    }
    if data.get("external").is_some() {
        row.of("tunnel.external", name, Value::Bool(true));
    }
}
