//! What the network card does for the kernel: `ethtool -k`, `ethtool -i`, `ethtool LINK`, and the
//! counters of `ethtool -S` that tell of dropped or filtered frames.
//!
//! Feature names are those of net/ethtool/common.c. `ethtool -k` names the link in its first line;
//! `ethtool -i` and `-S` do not, so the link is taken from the file's name
//! (`ethtool-i-eth0.txt`, sosreport's `ethtool_-i_eth0`), and without it nothing is believed.

use super::{Line, believed};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Offloads, drivers and drop counters.
pub const SLICE: Slice = Slice { name: "network/offload", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("ethtool-k-*", &[], &["sos_commands/networking/ethtool_-k_*"]),
    Want::command("ethtool-i-*", &[], &["sos_commands/networking/ethtool_-i_*"]),
    Want::command("ethtool-S-*", &[], &["sos_commands/networking/ethtool_-S_*"]),
    Want::output("ethtool*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "offload.tx_checksum",
        Kind::Bool,
        "link",
        "Whether checksums of sent packets are left to the device",
        "ethtool -k LINK",
    ),
    FactDef::per(
        "offload.tx_tunnel",
        Kind::Bool,
        "link",
        "Whether segmentation of UDP tunnels is left to the device (tx-udp_tnl-segmentation)",
        "ethtool -k LINK",
    ),
    FactDef::per("link.driver", Kind::Text, "link", "Driver of the device", "ethtool -i LINK"),
    FactDef::per(
        "link.drops",
        Kind::Int,
        "counter",
        "Frames that a device dropped or filtered",
        "ethtool -S LINK",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut link = link_of(piece.file_name()).to_owned();
    for (number, text) in believed(&text, piece.whole) {
        let row = &mut Line { piece, number, text, out };
        if let Some(name) =
            text.strip_prefix("Features for ").or(text.strip_prefix("Settings for "))
        {
            name.trim().trim_end_matches(':').clone_into(&mut link);
            continue;
        }
        let Some((key, value)) = text.split_once(':') else { continue };
        if link.is_empty() {
            continue;
        }
        let (key, value) = (key.trim(), value.split_whitespace().next().unwrap_or_default());
        let switch = match value {
            "on" => Some(Value::Bool(true)),
            "off" => Some(Value::Bool(false)),
            _ => None,
        };
        match (key, switch) {
            ("tx-checksumming", Some(on)) => row.of("offload.tx_checksum", &link, on),
            ("tx-udp_tnl-segmentation", Some(on)) => row.of("offload.tx_tunnel", &link, on),
            ("driver", _) if !value.is_empty() => row.of("link.driver", &link, Value::text(value)),
            ("Speed", _) => {
                if let Some(speed) = value.strip_suffix("Mb/s").and_then(|s| s.parse().ok()) {
                    row.of("link.speed_mbps", &link, Value::Int(speed));
                }
            }
            _ => drops(row, &link, key, value),
        }
    }
}

fn drops(row: &mut Line<'_, '_, '_>, link: &str, key: &str, value: &str) {
    let lower = key.to_ascii_lowercase();
    let dropped = ["drop", "discard", "spoof", "filter"].iter().any(|w| lower.contains(w));
    if let Some(count) = value.parse::<i64>().ok().filter(|n| dropped && *n > 0) {
        row.of("link.drops", &format!("{link} {key}"), Value::Int(count));
    }
}

/// The link in `ethtool-k-eth0.txt`; empty where the name has none.
fn link_of(file: &str) -> &str {
    let stem = file.trim_end_matches(".txt").trim_start_matches("ethtool");
    let stem = stem.trim_start_matches(['-', '_']);
    let rest = stem.strip_prefix(['k', 'i', 'S']).unwrap_or("");
    rest.strip_prefix(['-', '_']).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn features_driver_and_counters() {
        let text = "Features for ens192:\nrx-checksumming: on\ntx-checksumming: on\ntx-udp_tnl-segmentation: off [fixed]\n";
        let out = testing::read(parse, "commands/ethtool-k.txt", text);
        assert_eq!(testing::show(&out, "offload.tx_checksum"), Some("true".into()));
        assert_eq!(testing::show(&out, "offload.tx_tunnel"), Some("false".into()));
        let out = testing::read(
            parse,
            "commands/ethtool-i-ens192.txt",
            "driver: vmxnet3\nversion: 1.7\n",
        );
        assert_eq!(out.facts[0].instance.as_deref(), Some("ens192"));
        let out = testing::read(
            parse,
            "commands/ethtool-S-eth0.txt",
            "NIC statistics:\n     tx_spoofed: 17\n     rx_packets: 9\n     rx_dropped: 0\n",
        );
        assert_eq!(out.facts.len(), 1);
        assert_eq!(out.facts[0].instance.as_deref(), Some("eth0 tx_spoofed"));
    }

    #[test]
    fn a_driver_of_nobody_is_not_believed() {
        assert!(testing::read(parse, "commands/ethtool.txt", "driver: vmxnet3\n").facts.is_empty());
    }
}
