//! What kind of tunnel a link is: told by `ip -d link`, by its link type, or by its name.

/// Names of tunnel kinds as the kernel's drivers register them (`rtnl_link_ops.kind`).
const KINDS: &[&str] = &[
    "vxlan",
    "geneve",
    "gre",
    "gretap",
    "erspan",
    "ip6gre",
    "ip6gretap",
    "ip6erspan",
    "ipip",
    "sit",
    "ip6tnl",
    "wireguard",
    "vti",
    "vti6",
    "xfrm",
];

/// Link types (`link/ipip ...`) of tunnel devices: `ll_type_n2a` of iproute2.
const LINK_TYPES: &[(&str, &str)] =
    &[("ipip", "ipip"), ("sit", "sit"), ("gre", "gre"), ("gre6", "ip6gre"), ("tunnel6", "ip6tnl")];

/// Beginnings of names that network software gives to the one kind of device it makes.
const NAMES: &[(&str, &str)] = &[
    ("vxlan", "vxlan"),
    ("flannel-v6.", "vxlan"),
    ("flannel-wg", "wireguard"),
    ("flannel.", "vxlan"),
    ("cilium_vxlan", "vxlan"),
    ("cilium_geneve", "geneve"),
    ("genev_sys", "geneve"),
    ("wireguard", "wireguard"),
    ("wg", "wireguard"),
    ("tunl0", "ipip"),
    ("gretap", "gretap"),
];

/// The kind among the words of a detail line: only the first word names it.
pub(super) fn by_detail(first: &str) -> Option<&'static str> {
    KINDS.iter().find(|k| **k == first).copied()
}

/// The kind by the word after `link/`.
pub(super) fn by_link_type(word: &str) -> Option<&'static str> {
    LINK_TYPES.iter().find(|(w, _)| *w == word).map(|(_, kind)| *kind)
}

/// The kind by the link's name, where software gives it by itself. `wg` needs a number: a person
/// may call anything so.
pub(super) fn by_name(name: &str) -> Option<&'static str> {
    let (start, kind) = NAMES.iter().find(|(start, _)| name.starts_with(start))?;
    let rest = &name[start.len()..];
    let numbered = rest.bytes().all(|b| b.is_ascii_digit());
    (*start != "wg" || numbered).then_some(*kind)
}
