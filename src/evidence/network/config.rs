//! Configured MTUs and encapsulations: netplan, ifcfg, NetworkManager, Docker, CNI plugins, Calico's
//! address pools, OpenStack networks.
//!
//! A setting is kept under the file's name and what it is for, so that a report shows where to
//! change it. What is not set makes no fact.

use super::{Line, believed};
use crate::evidence::Slice;
use crate::model::{FactDef, Kind, Out, Piece, Value, Want};

/// Configured MTUs.
pub const SLICE: Slice = Slice { name: "network/config", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("etc/netplan/*.yaml"),
    Want::file("etc/sysconfig/network-scripts/ifcfg-*"),
    Want::file("etc/sysconfig/network/ifcfg-*"),
    Want::file("etc/docker/daemon.json"),
    Want::file("etc/cni/net.d/*"),
    Want::file("run/flannel/subnet.env"),
    Want::given("**/net-conf.json"),
    Want::file("etc/network/interfaces"),
    Want::output("openstack-network-show*"),
    Want::output("calicoctl-get-ippool*"),
    Want::output("kubectl-get-ippool*"),
    Want::output("docker-network-inspect*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "config.mtu",
        Kind::Int,
        "file and name",
        "MTU that a configuration sets, bytes",
        "grep -ri mtu /etc/netplan /etc/docker /etc/cni/net.d",
    ),
    FactDef::per(
        "overlay.encapsulation",
        Kind::Text,
        "pool",
        "Encapsulation that a pod network is configured for: ipip, vxlan",
        "calicoctl get ippool -o wide",
    ),
    FactDef::new(
        "docker.mtu",
        Kind::Int,
        "MTU that Docker gives its default bridge, bytes",
        "cat /etc/docker/daemon.json",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let file = piece.file_name();
    if file.contains("ippool") {
        return pools(piece, &text, out);
    }
    let mut section = String::new();
    for (number, text) in believed(&text, piece.whole) {
        let line = &mut Line { piece, number, text, out };
        let trimmed = text.trim().trim_end_matches(',');
        if let Some(name) = trimmed.strip_prefix("iface ") {
            name.split_whitespace().next().unwrap_or_default().clone_into(&mut section);
        }
        if super::extension(file) == "yaml" && trimmed.ends_with(':') {
            trimmed.trim_end_matches(':').clone_into(&mut section);
        }
        let Some(mtu) = mtu(trimmed) else { continue };
        let what = if section.is_empty() { file.to_owned() } else { format!("{file} {section}") };
        line.of("config.mtu", &what, Value::Int(mtu));
        if file == "daemon.json" {
            line.fact("docker.mtu", Value::Int(mtu));
        }
    }
}

/// `mtu: 1450`, `"mtu": 1450`, `MTU=1450`, `FLANNEL_MTU=1450`, `mtu 1450`, `| mtu | 1450 |`.
fn mtu(text: &str) -> Option<i64> {
    let words: Vec<&str> = text
        .split(|c: char| {
            c.is_whitespace() || matches!(c, ':' | '=' | '"' | '\'' | '|' | ',' | '{' | '}')
        })
        .filter(|w| !w.is_empty())
        .collect();
    let at = words.iter().position(|w| {
        let w = w.to_ascii_lowercase();
        w == "mtu" || w.ends_with("_mtu") || super::extension(&w) == "mtu"
    })?;
    words.get(at + 1)?.parse().ok().filter(|m| *m > 0)
}

/// Columns IPIPMODE and VXLANMODE of `calicoctl get ippool -o wide`.
fn pools(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut heads: Vec<&str> = Vec::new();
    for (number, text) in believed(text, piece.whole) {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.first() == Some(&"NAME") {
            heads = words;
            continue;
        }
        let line = &mut Line { piece, number, text, out };
        let Some(name) = words.first() else { continue };
        for (head, kind) in [("IPIPMODE", "ipip"), ("VXLANMODE", "vxlan")] {
            let cell = heads.iter().position(|h| *h == head).and_then(|at| words.get(at));
            if cell.is_some_and(|c| matches!(*c, "Always" | "CrossSubnet")) {
                line.of("overlay.encapsulation", name, Value::text(kind));
            }
        }
        // The YAML form has one setting per line.
        let pair = text.trim().split_once(':').map(|(k, v)| (k, v.trim()));
        if let Some((key @ ("ipipMode" | "vxlanMode"), "Always" | "CrossSubnet")) = pair {
            let kind = if key == "ipipMode" { "ipip" } else { "vxlan" };
            line.of("overlay.encapsulation", "pool", Value::text(kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    #[test]
    fn settings_of_many_files() {
        let value = |path, text| testing::show(&testing::read(parse, path, text), "config.mtu");
        assert_eq!(value("etc/docker/daemon.json", "{\n  \"mtu\": 1450\n}\n"), Some("1450".into()));
        assert_eq!(
            value("etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\nMTU=9000\n"),
            Some("9000".into())
        );
        assert_eq!(value("run/flannel/subnet.env", "FLANNEL_MTU=1450\n"), Some("1450".into()));
        assert_eq!(
            value("commands/openstack-network-show.txt", "| mtu   | 1442   |\n"),
            Some("1442".into())
        );
        let netplan = "network:\n  ethernets:\n    eth0:\n      mtu: 1500\n";
        let out = testing::read(parse, "etc/netplan/01.yaml", netplan);
        assert_eq!(out.facts[0].instance.as_deref(), Some("01.yaml eth0"));
        assert_eq!(value("etc/docker/daemon.json", "{ \"mtu\": \"big\" }"), None);
    }

    #[test]
    fn pools_of_calico() {
        let text = "NAME   CIDR   NAT    IPIPMODE   VXLANMODE   DISABLED\npool1  192.0.2.0/24   true   Never   CrossSubnet   false\n";
        let out = testing::read(parse, "commands/calicoctl-get-ippool.txt", text);
        assert_eq!(testing::show(&out, "overlay.encapsulation"), Some("vxlan".into()));
        assert_eq!(out.facts.len(), 1);
    }
}
