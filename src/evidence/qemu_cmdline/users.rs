//! As whom processes run: the first column of `ps aux` and `ps -ef`, where the second is the
//! process id.

use super::{Program, guest, program};
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value};

pub(super) const FACTS: &[FactDef] = &[
    guest(
        "qemu.user",
        Kind::Text,
        "User that the guest's QEMU runs as, as `ps` prints it: long names end in a `+`",
    ),
    FactDef::new(
        "libvirt.daemon_user",
        Kind::Text,
        "User that libvirtd or virtqemud runs as",
        "ps -eo user:32,args | grep -E 'libvirtd|virtqemud'",
    ),
];

/// The user of a row. A number is one that has no name on this machine; 0 is root.
pub(super) fn of<'a>(columns: &[&'a str]) -> Option<&'a str> {
    let (user, pid) = (columns.first()?, columns.get(1)?);
    let is_number = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    let named = !is_number(user) || (*user == "0" && columns.get(2).is_some_and(|c| is_number(c)));
    (named && is_number(pid)).then_some(if *user == "0" { "root" } else { user })
}

/// A row of libvirt's daemon.
pub(super) fn daemon(piece: Piece<'_>, line: u32, text: &str, columns: &[&str], out: &mut Out) {
    let is_daemon = |word: &&str| {
        let name = word.rsplit('/').next().unwrap_or(word);
        matches!(name, "libvirtd" | "virtqemud")
    };
    // The command is the first word after the columns that has a path.
    let command = columns.iter().skip(2).find(|w| w.starts_with('/'));
    if let Some(user) = of(columns).filter(|_| command.is_some_and(is_daemon)) {
        let origin = Origin::new(piece.path, Some(line), text);
        out.fact("libvirt.daemon_user", Value::text(user), origin);
    }
}

/// A row of QEMU.
pub(super) fn emulator(guest: &str, columns: &[&str], origin: &Origin, out: &mut Out) {
    let is_qemu = columns.iter().any(|c| program(c) == Some(Program::Qemu));
    if let Some(user) = of(columns).filter(|_| is_qemu) {
        out.fact_of("qemu.user", guest, Value::text(user), origin.clone());
    }
}
