//! A single file that is no archive: a log, plain or compressed, a journal, or a packet capture.
//!
//! Its name tells what it holds: `dmesg.txt` is `commands/dmesg.txt`, `syslog` is
//! `var/log/syslog`, a capture is `captures/NAME`. Any other text keeps its own name and is
//! perhaps a log.

use std::path::Path;

use super::codec::{Codec, without_suffix};
use super::deliver::{Delivery, Utf16};
use super::layout::{Layout, Role};
use super::limits::Limits;
use super::manifest::Manifest;
use super::stream::{self, Store};
use super::{Sink, Source, Stats, Wanted, journal};
use crate::model::GapReason;

/// A single file.
pub(super) struct Single {
    store: Store,
    name: String,
    codec: Codec,
    limits: Limits,
}

impl Single {
    pub(super) fn new(store: Store, name: String, codec: Codec, limits: Limits) -> Self {
        Self { store, name, codec, limits }
    }

    fn role(wanted: &Wanted, found: &str) -> Role {
        match Layout::LOOSE.role(wanted, found) {
            // A file that was named on the command line may be hidden, or called manifest.json.
            Role::Other | Role::Manifest if wanted.unknown_logs() => {
                Role::Unknown(without_suffix(found).unwrap_or(found).to_owned())
            }
            role => role,
        }
    }
}

impl Source for Single {
    fn visit(&mut self, wanted: &Wanted, sink: &mut dyn Sink) -> Stats {
        let found = Path::new(&self.name)
            .file_name()
            .map_or_else(|| self.name.clone(), |n| n.to_string_lossy().into_owned());
        let mut delivery = Delivery::new(wanted, sink, self.limits);
        let role = Self::role(wanted, &found);
        match stream::open(&self.store, self.codec, self.limits) {
            Ok(mut reader) => {
                let packed = self.codec != Codec::Plain;
                if let Some(fault) = delivery.file(role, &found, packed, &mut reader) {
                    delivery.problem(&found, format!("the rest is not read: {fault}"));
                }
            }
            Err(error) => {
                delivery.problem(&found, format!("cannot be read: {error}"));
                delivery.gap(&found, GapReason::NotPermitted);
            }
        }
        delivery.stats
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self) -> Option<&Manifest> {
        None
    }
}

/// What a file is that begins so, where it is none that is read.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    const KINDS: &[(&[u8], &str)] = &[
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it and name the directory"),
        (b"Rar!", "a rar archive; unpack it and name the directory"),
        (b"ElfFile\0", "a binary Windows event log; export it as text"),
        (b"\x7fELF", "a program (ELF)"),
        (b"QFI\xfb", "a disk image (qcow2)"),
        (b"KDUMP   ", "a kernel crash dump"),
    ];
    if journal::kind(head).is_some() {
        return None;
    }
    if let Some((_, what)) = KINDS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    (head.contains(&0) && Utf16::order(head).is_none() && !is_capture(head))
        .then_some("binary data; a directory, a tar archive, a text log or a capture is expected")
}

/// pcap in either byte order and time resolution, or pcapng.
fn is_capture(head: &[u8]) -> bool {
    matches!(
        head,
        [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0x0a, 0x0d, 0x0d, 0x0a, ..]
    )
}
