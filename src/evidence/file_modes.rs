//! Who may read the definitions of domains: listings of `/etc/libvirt/qemu` by ls(1).
//!
//! Read are long listings (`ls -l`, `-la`, `-lZ`, `-laZ`) of the folder, and its block in a
//! recursive one (`ls -lR`, where a line `/etc/libvirt/qemu:` heads it). libvirt writes definitions
//! with mode 0600 into a folder of mode 0700; a copy that an administrator made has the mode of his
//! umask. Names in an `ls -l` of single files may have a path.
//!
//! Not parsed: access control lists (`+` behind the mode), networks and autostart links.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Modes of files.
pub const SLICE: Slice = Slice { name: "file_modes", wants: WANTS, facts: FACTS, parse };

const FOLDER: &str = "/etc/libvirt/qemu";

const WANTS: &[Want] = &[
    Want::command("ls-etc-libvirt-qemu", &["ls", "-la", FOLDER], &[]),
    Want::output("ls-*libvirt-qemu*"),
    Want::output("ls-lR*"),
    Want::output("ls-lZ*"),
    Want::output("ls-laZ*"),
];

const SHOW: &str = "sudo ls -la /etc/libvirt/qemu";

const FACTS: &[FactDef] = &[
    FactDef::per(
        "domain.xml_mode",
        Kind::Text,
        "domain",
        "Mode of the domain's definition in /etc/libvirt/qemu, four octal digits",
        SHOW,
    ),
    FactDef::per(
        "domain.xml_world_readable",
        Kind::Bool,
        "domain",
        "Whether every user may read the definition: by its mode, and by that of the folder \
              where the listing shows it",
        SHOW,
    ),
    FactDef::new(
        "libvirt.definitions_mode",
        Kind::Text,
        "Mode of the folder /etc/libvirt/qemu, four octal digits",
        SHOW,
    ),
];

/// A line of a long listing.
struct Row<'a> {
    mode: &'a str,
    name: &'a str,
}

fn row(line: &str) -> Option<Row<'_>> {
    let mode = line.split_whitespace().next().filter(|m| is_mode(m))?;
    // Of a link the name stands before the arrow; a name with blanks is no domain's file.
    let name = line.split(" -> ").next()?.split_whitespace().last()?;
    Some(Row { mode, name })
}

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let of_folder = piece.file_name().contains("etc-libvirt-qemu");
    let mut inside = of_folder;
    let cut = if piece.whole { usize::MAX } else { text.lines().count().saturating_sub(1) };
    let mut open: Option<bool> = None;
    let mut files: Vec<(u32, &str, Row<'_>)> = Vec::new();
    for (number, line) in lines(&text).take(cut) {
        if let Some(folder) = line.strip_suffix(':').filter(|f| f.starts_with(['/', '.'])) {
            inside = folder.trim_end_matches('/') == FOLDER;
            continue;
        }
        let Some(row) = row(line) else { continue };
        let path = row.name.strip_prefix(FOLDER).map(|rest| rest.trim_start_matches('/'));
        let is_folder = path == Some("") || (inside && row.name == ".");
        if row.mode.starts_with('d') && is_folder {
            open = Some(row.mode.as_bytes().get(9).is_some_and(|x| matches!(x, b'x' | b't')));
            let origin = Origin::new(piece.path, Some(number), line);
            out.fact("libvirt.definitions_mode", Value::text(octal(row.mode)), origin);
        } else if row.mode.starts_with('-') {
            let name = path.or(inside.then_some(row.name));
            if let Some(name) = name.and_then(|n| n.strip_suffix(".xml")).filter(|n| is_plain(n)) {
                files.push((number, line, Row { mode: row.mode, name }));
            }
        }
    }
    for (number, line, file) in files {
        let origin = Origin::new(piece.path, Some(number), line);
        let readable = file.mode.as_bytes().get(7) == Some(&b'r') && open != Some(false);
        out.fact_of("domain.xml_mode", file.name, Value::text(octal(file.mode)), origin.clone());
        out.fact_of("domain.xml_world_readable", file.name, Value::Bool(readable), origin);
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

/// Type, nine letters, and perhaps a mark for more.
fn is_mode(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 10
        && b"-dlcbps".contains(&bytes[0])
        && bytes[1..10].iter().all(|b| b"rwxsStT-".contains(b))
        && bytes[10..].iter().all(|b| b"+.@".contains(b))
}

/// `-rw-r--r--` to `0644`.
fn octal(mode: &str) -> String {
    let (mut value, mut special) = (0_u32, 0_u32);
    for (bit, letter) in (0..9_u32).rev().zip(mode.bytes().skip(1)) {
        value |= u32::from(b"rwxst".contains(&letter)) << bit;
        special |= u32::from(b"sStT".contains(&letter)) << (bit / 3);
    }
    format!("{special:o}{value:03o}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn facts(path: &str, text: &str) -> Vec<String> {
        testing::shown(parse, path, text)
    }

    #[test]
    fn a_listing_of_the_folder() {
        let text = "total 24\ndrwxr-xr-x 3 root root 4096 Nov 3 10:00 .\n\
            drwxr-xr-x 7 root root 4096 Nov 3 10:00 ..\n\
            -rw-r--r--. 1 root root 5120 Nov 3 10:00 web.xml\n\
            -rw------- 1 root root 5120 Nov 3 10:00 db.xml\n\
            drwx------ 3 root root 4096 Nov 3 10:00 networks\n";
        let expected = [
            "libvirt.definitions_mode[]=0755",
            "domain.xml_mode[web]=0644",
            "domain.xml_world_readable[web]=true",
            "domain.xml_mode[db]=0600",
            "domain.xml_world_readable[db]=false",
        ];
        assert_eq!(facts("commands/ls-etc-libvirt-qemu.txt", text), expected);
    }

    #[test]
    fn a_closed_folder_hides_what_is_in_it() {
        let text = "drwx------ 3 root root 4096 Nov 3 10:00 .\n\
                    -rw-r--r-- 1 root root 5120 Nov 3 10:00 web.xml\n";
        let found = facts("commands/ls-la-etc-libvirt-qemu.txt", text);
        assert!(found.contains(&"domain.xml_world_readable[web]=false".to_owned()), "{found:?}");
    }

    #[test]
    fn only_its_block_of_a_recursive_listing() {
        let text = "/etc/libvirt:\ntotal 8\n-rw-r--r-- 1 root root 1 Nov 3 10:00 other.xml\n\n\
            /etc/libvirt/qemu:\n-rwsr-x--- 1 root root system_u:object_r:virt_etc_rw_t:s0 1 Nov 3 10:00 a.xml\n\n\
            /etc/libvirt/qemu/networks:\n-rw-r--r-- 1 root root 1 Nov 3 10:00 default.xml\n";
        let expected = ["domain.xml_mode[a]=4750", "domain.xml_world_readable[a]=false"];
        assert_eq!(facts("commands/ls-lR-etc-libvirt.txt", text), expected);
        let path = "-rw-r--r-- 1 root root 5 Nov 3 10:00 /etc/libvirt/qemu/b.xml\n";
        assert_eq!(
            facts("commands/ls-lZ-files.txt", path),
            ["domain.xml_mode[b]=0644", "domain.xml_world_readable[b]=true"]
        );
    }

    #[test]
    fn refusals_and_cut_lines_give_nothing() {
        let path = "commands/ls-etc-libvirt-qemu.txt";
        let refused = "ls: cannot open directory '/etc/libvirt/qemu': Permission denied\n";
        assert_eq!(facts(path, refused), [""; 0]);
        let cut = "-rw-r--r-- 1 root root 5 Nov 3 10:00 web.xm";
        assert!(testing::read_part(parse, path, cut, false).facts.is_empty());
    }
}
