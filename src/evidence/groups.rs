//! The collecting user and the groups that open `/dev/kvm`: id(1), groups(1), group(5).
//!
//! id translates its labels (`Gruppen=`), so the first two lists are told by place, not by name.
//!
//! Not parsed: passwords of groups, members of groups other than kvm and libvirt.

use std::collections::BTreeSet;

use nom::bytes::complete::{take_till, take_till1, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::opt;
use nom::multi::separated_list1;
use nom::sequence::{delimited, separated_pair};
use nom::{IResult, Parser};

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// The collecting user, and members of the groups kvm and libvirt.
pub const SLICE: Slice = Slice { name: "groups", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("id", &["id"], &[]),
    Want::output("groups"),
    Want::file("etc/group"),
    Want::command("getent-group", &["getent", "group"], &[]),
];

const GROUP: &str = "getent group kvm libvirt";

const FACTS: &[FactDef] = &[
    FactDef::new("user.name", Kind::Text, "User who collected, or for whom id was asked", "id -un"),
    FactDef::new("user.uid", Kind::Int, "That user's number", "id -u"),
    FactDef::new(
        "user.groups",
        Kind::Words,
        "Names of that user's groups in this session",
        "id -Gn",
    ),
    FactDef::new(
        "user.gids",
        Kind::Words,
        "Numbers of that user's groups in this session",
        "id -G",
    ),
    FactDef::new(
        "user.selinux_context",
        Kind::Text,
        "SELinux context of that user's shell",
        "id -Z",
    ),
    FactDef::new("group.kvm_exists", Kind::Bool, "There is a group kvm", GROUP),
    FactDef::new("group.kvm_gid", Kind::Int, "Number of the group kvm", GROUP),
    FactDef::new("group.kvm_members", Kind::Words, "Users listed in the group kvm", GROUP),
    FactDef::new(
        "group.libvirt_members",
        Kind::Words,
        "Users listed in libvirt or libvirtd",
        GROUP,
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    match piece.path {
        "commands/id.txt" => of_id(piece.path, &text, out),
        "commands/groups.txt" => of_groups(piece.path, &text, out),
        _ => of_group_file(piece, &text, out),
    }
}

/// `1000(ann)`, or `1000` where the number has no name.
type Entry<'a> = (&'a str, Option<&'a str>);

fn entry(input: &str) -> IResult<&str, Entry<'_>> {
    // Names from directory services may hold blanks.
    (digit1, opt(delimited(char('('), take_till(|c| c == ')'), char(')')))).parse(input)
}

fn entries(input: &str) -> IResult<&str, (&str, Vec<Entry<'_>>)> {
    let label = take_while1(|c: char| c != '=' && !c.is_whitespace());
    separated_pair(label, char('='), separated_list1(char(','), entry)).parse(input)
}

/// `context=system_u:system_r:container_t:s0`
fn labelled_word(input: &str) -> IResult<&str, (&str, &str)> {
    let label = take_while1(|c: char| c != '=' && !c.is_whitespace());
    separated_pair(label, char('='), take_till1(char::is_whitespace)).parse(input)
}

fn of_id(path: &str, text: &str, out: &mut Out) {
    let line = (1u32..).zip(text.lines()).find_map(|(number, line)| {
        let (rest, first) = entries(line.trim()).ok()?;
        Some((number, line, rest, first))
    });
    let Some((number, line, rest, (_, user))) = line else {
        if !text.trim().is_empty() {
            out.problem(path, None, "not an answer of id");
        }
        return;
    };
    let origin = Origin::new(path, Some(number), line);
    if let Some((uid, name)) = user.first() {
        match uid.parse() {
            Ok(uid) => out.fact("user.uid", Value::Int(uid), origin.clone()),
            Err(_) => out.problem(path, Some(number), "the user's number is too large"),
        }
        if let Some(name) = name {
            out.fact("user.name", Value::text(*name), origin.clone());
        }
    }
    let Some(member_of) = lists(rest, &origin, out) else {
        out.problem(path, Some(number), "the list of groups is broken");
        return;
    };
    if !member_of.is_empty() {
        let names = member_of.iter().filter_map(|(_, name)| *name);
        out.fact("user.groups", Value::words(names), origin.clone());
        out.fact("user.gids", Value::words(member_of.iter().map(|(gid, _)| *gid)), origin);
    }
}

/// The groups behind the user: the primary one stands in a list of its own and in the next, if
/// there is one. `None` where something else stands there.
fn lists<'a>(mut rest: &'a str, origin: &Origin, out: &mut Out) -> Option<Vec<Entry<'a>>> {
    let mut member_of = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(member_of);
        }
        rest = if let Ok((after, (label, list))) = entries(rest) {
            if !matches!(label, "euid" | "egid") {
                member_of.extend(list);
            }
            after
        } else {
            let (after, (label, word)) = labelled_word(rest).ok()?;
            // Other labels are not ours, but a list of groups that is cut looks like a word too.
            if label != "context" {
                return None;
            }
            out.fact("user.selinux_context", Value::text(word), origin.clone());
            after
        };
    }
}

/// `ann sudo kvm`, or `ann : ann sudo kvm` when a user was named.
fn of_groups(path: &str, text: &str, out: &mut Out) {
    let found = (1u32..)
        .zip(text.lines())
        .find(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with(['#', '$']));
    let Some((number, line)) = found else { return };
    let groups = line.split_once(" : ").map_or(line, |(_, groups)| groups);
    if groups.contains(':') {
        out.problem(path, Some(number), "not an answer of groups");
        return;
    }
    let groups = Value::words(groups.split_whitespace());
    out.fact("user.groups", groups, Origin::new(path, Some(number), line));
}

/// `name:password:gid:members`
fn of_group_file(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut kvm = false;
    let mut root: Option<Origin> = None;
    let mut libvirt: Option<(BTreeSet<String>, Origin)> = None;
    for (number, line) in (1u32..).zip(text.lines()) {
        let mut fields = line.trim().splitn(4, ':');
        let name = fields.next().unwrap_or_default();
        let (Some(gid), members) = (fields.nth(1), fields.next().unwrap_or_default()) else {
            continue;
        };
        let origin = Origin::new(piece.path, Some(number), line);
        let members = members.split(',').map(str::trim).filter(|m| !m.is_empty());
        match name {
            "root" => root = Some(origin),
            "kvm" => {
                kvm = true;
                out.fact("group.kvm_exists", Value::Bool(true), origin.clone());
                match gid.parse() {
                    Ok(gid) => out.fact("group.kvm_gid", Value::Int(gid), origin.clone()),
                    Err(_) => out.problem(piece.path, Some(number), "the number is no number"),
                }
                out.fact("group.kvm_members", Value::words(members), origin);
            }
            "libvirt" | "libvirtd" => {
                let (all, _) = libvirt.get_or_insert_with(|| (BTreeSet::new(), origin));
                all.extend(members.map(str::to_owned));
            }
            _ => {}
        }
    }
    if let Some((members, origin)) = libvirt {
        out.fact("group.libvirt_members", Value::Words(members), origin);
    }
    // Without root's line it is an extract, of which nothing is absent.
    if let Some(origin) = root.filter(|_| !kvm && piece.whole) {
        out.fact("group.kvm_exists", Value::Bool(false), origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show};

    fn read(path: &str, text: &str) -> Out {
        testing::read(parse, path, text)
    }

    #[test]
    fn id_in_two_languages() {
        for label in ["groups", "Gruppen"] {
            let text =
                format!("$ id\nuid=1000(ann) gid=1000(ann) {label}=1000(ann),27(sudo),108(kvm)\n");
            let out = read("commands/id.txt", &text);
            assert_eq!(show(&out, "user.name").unwrap(), "ann");
            assert_eq!(show(&out, "user.uid").unwrap(), "1000");
            assert_eq!(show(&out, "user.groups").unwrap(), "ann kvm sudo");
            assert_eq!(show(&out, "user.gids").unwrap(), "1000 108 27");
            assert!(out.problems.is_empty());
        }
    }

    #[test]
    fn id_with_context_and_nameless_numbers() {
        let out = read(
            "commands/id.txt",
            "# in the pod\nuid=107 gid=107(qemu) groups=107(qemu),36,20513(domain users) context=system_u:system_r:container_t:s0:c1,c2\n",
        );
        assert_eq!(show(&out, "user.name"), None);
        assert_eq!(show(&out, "user.gids").unwrap(), "107 20513 36");
        assert_eq!(show(&out, "user.groups").unwrap(), "domain users qemu");
        assert_eq!(
            show(&out, "user.selinux_context").unwrap(),
            "system_u:system_r:container_t:s0:c1,c2"
        );
    }

    #[test]
    fn a_cut_id_names_no_groups() {
        let out = read("commands/id.txt", "uid=1000(ann) gid=1000(ann) groups=1000(ann),27(su");
        assert_eq!(show(&out, "user.name").unwrap(), "ann");
        assert_eq!(show(&out, "user.groups"), None);
        assert_eq!(out.problems.len(), 1);
        assert_eq!(read("commands/id.txt", "id: no such user\n").problems.len(), 1);
    }

    #[test]
    fn groups_with_and_without_the_users_name() {
        for text in ["ann kvm\n", "ann : ann kvm\n"] {
            assert_eq!(show(&read("commands/groups.txt", text), "user.groups").unwrap(), "ann kvm");
        }
    }

    #[test]
    fn group_file() {
        let out =
            read("etc/group", "root:x:0:\nkvm:x:108:ann,bob\nlibvirt:x:109:\nlibvirtd:x:110:ann\n");
        assert_eq!(show(&out, "group.kvm_gid").unwrap(), "108");
        assert_eq!(show(&out, "group.kvm_members").unwrap(), "ann bob");
        assert_eq!(show(&out, "group.libvirt_members").unwrap(), "ann");
        assert_eq!(show(&read("etc/group", "root:x:0:\n"), "group.kvm_exists").unwrap(), "false");
        assert_eq!(show(&read("etc/group", "video:x:44:ann\n"), "group.kvm_exists"), None);
    }
}
