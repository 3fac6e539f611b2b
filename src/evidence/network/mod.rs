//! Network state: links, tunnels, routes, virtual switches, firewalls, filters, counters.
//!
//! One file per kind, each a slice of its own. All of them look at the machine's own network
//! namespace: what a collection keeps of other namespaces (sosreport's `namespaces/`) is not read,
//! because two namespaces may use one name for two links.

use crate::model::{Origin, Out, Piece, Value};

pub mod capture_text;
pub mod config;
pub mod counters;
pub mod dhcp;
pub mod firewall;
pub mod links;
pub mod neighbours;
pub mod nics;
pub mod offload;
pub mod ovs;
pub mod ping;
pub mod ports;
pub mod routes;
pub mod sysctl;
mod tunnel;
pub mod virtnet;

/// The line that is read, and where facts go.
struct Line<'p, 't, 'o> {
    piece: Piece<'p>,
    number: u32,
    text: &'t str,
    out: &'o mut Out,
}

impl Line<'_, '_, '_> {
    fn origin(&self) -> Origin {
        Origin::new(self.piece.path, Some(self.number), self.text.trim())
    }

    fn fact(&mut self, name: &'static str, value: Value) {
        let origin = self.origin();
        self.out.fact(name, value, origin);
    }

    fn of(&mut self, name: &'static str, instance: &str, value: Value) {
        let origin = self.origin();
        self.out.fact_of(name, instance, value, origin);
    }

    fn problem(&mut self, what: &str) {
        self.out.problem(self.piece.path, Some(self.number), what);
    }
}

/// The lines that can be believed: of a file that was cut off, the last one cannot.
fn believed(text: &str, whole: bool) -> Vec<(u32, &str)> {
    let mut lines: Vec<(u32, &str)> = crate::parse::lines(text).collect();
    if !whole {
        lines.pop();
    }
    lines
}

/// The word after `key` among `words`.
fn after<'t>(words: &[&'t str], key: &str) -> Option<&'t str> {
    words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied()
}

/// A link-layer address in lower case; `None` for what is none, and for the all-zero one.
fn mac(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase().replace('-', ":");
    let parts: Vec<&str> = text.split(':').collect();
    let two = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
    (parts.len() == 6 && parts.iter().all(two) && text != "00:00:00:00:00:00").then_some(text)
}

/// What follows the last dot of a file's name.
fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether a path is a command's output whose name begins with one of `names`.
fn is_output(piece: Piece<'_>, names: &[&str]) -> bool {
    piece.path.starts_with("commands/") && names.iter().any(|n| piece.file_name().starts_with(n))
}
