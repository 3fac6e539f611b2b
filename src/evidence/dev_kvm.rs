//! The device node `/dev/kvm`: whether it is there, and who may open it.
//!
//! ls(1) of coreutils and busybox, stat(1), getfacl(1), a listing of `/dev`, and what this
//! program's own collector wrote when it tried to open the node (`open=`, `api_version=`; errno
//! numbers of Linux). The node is character device 10, 232 (include/linux/miscdevice.h).
//!
//! ls translates its refusals. A refusal is read as "not there" unless it speaks of permission.
//!
//! Not parsed: listings whose columns were rearranged (`ls -o`, `exa`).

use std::collections::BTreeSet;

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Existence and access rights of `/dev/kvm`.
pub const SLICE: Slice = Slice { name: "dev_kvm", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("ls-dev-kvm", &["ls", "-l", "/dev/kvm"], &[]),
    Want::command("ls-Z-dev-kvm", &["ls", "-lZ", "/dev/kvm"], &[]),
    Want::output("ls-dev-kvm-*"),
    Want::output("ls-lZ*"),
    Want::output("ls-Z*"),
    Want::output("stat-dev-kvm"),
    Want::command("ls-dev", &[], &["sos_commands/block/ls_-*R_.dev"]),
    Want::command("getfacl-dev-kvm", &["getfacl", "--absolute-names", "/dev/kvm"], &[]),
    Want::output("getfacl"),
    Want::output("kvm-probe"),
];

const LS: &str = "ls -lZ /dev/kvm";
const ACL: &str = "getfacl /dev/kvm";

const FACTS: &[FactDef] = &[
    FactDef::new("devkvm.exists", Kind::Bool, "The name /dev/kvm exists", LS),
    FactDef::new("devkvm.type", Kind::Text, "What it is: device, directory, file or link", LS),
    FactDef::new("devkvm.mode", Kind::Text, "Mode as four octal digits, e.g. 0660", LS),
    FactDef::new("devkvm.owner", Kind::Text, "Owner, a name or a number", LS),
    FactDef::new("devkvm.group", Kind::Text, "Group, a name or a number", LS),
    FactDef::new("devkvm.acl", Kind::Bool, "An access control list adds to the mode (`+`)", LS),
    FactDef::new("devkvm.world_writable", Kind::Bool, "Everybody may open it for writing", LS),
    FactDef::per(
        "devkvm.selinux_context",
        Kind::Text,
        "view",
        "SELinux context of the node; per view for others than the machine's own",
        LS,
    ),
    FactDef::new("devkvm.acl_users", Kind::Words, "Users whom the list lets read and write", ACL),
    FactDef::new("devkvm.acl_groups", Kind::Words, "Groups whom the list lets read and write", ACL),
    FactDef::new(
        "devkvm.opens",
        Kind::Bool,
        "The collecting user could open it",
        "test -w /dev/kvm",
    ),
    FactDef::new("devkvm.open_errno", Kind::Int, "Linux errno of the refusal", "head -c0 /dev/kvm"),
    FactDef::new(
        "devkvm.api_version",
        Kind::Int,
        "KVM_GET_API_VERSION; 12 since 2.6.22",
        "nestdoctor collect",
    ),
];

/// How "permission denied" and "operation not permitted" begin in coreutils' translations.
const REFUSALS: &[&str] = &[
    "permission denied",
    "not permitted",
    "keine berechtigung",
    "nicht erlaubt",
    "non accordée",
    "permission refusée",
    "non permise",
    "permiso denegado",
    "no permitida",
    "permissão negada",
    "permissão recusada",
    "não permitida",
    "permesso negato",
    "non consentita",
    "отказано",
    "не позволена",
    "权限不够",
    "不允许",
    "許可がありません",
    "許可されていません",
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    match piece.file_name() {
        "kvm-probe.txt" => probe(piece.path, &text, out),
        "getfacl.txt" | "getfacl-dev-kvm.txt" => acl(piece, &text, out),
        "stat-dev-kvm.txt" => stat(piece.path, &text, out),
        name if name.starts_with("ls-dev") || name.contains("dev-kvm") => {
            listing(piece, &text, out);
        }
        // Views of other folders and of containers: what they show is not this machine's node.
        name => {
            let view = name.strip_suffix(".txt").unwrap_or(name);
            if let Some((number, line, node)) = node_in(&text)
                && let Some(context) = node.context
            {
                let origin = Origin::new(piece.path, Some(number), line);
                out.fact_of("devkvm.selinux_context", view, Value::text(context), origin);
            }
        }
    }
}

/// A line of `ls -l`.
struct Node<'a> {
    mode: &'a str,
    owner: &'a str,
    group: &'a str,
    context: Option<&'a str>,
}

fn node_in(text: &str) -> Option<(u32, &str, Node<'_>)> {
    (1u32..).zip(text.lines()).find_map(|(number, line)| Some((number, line, node(line)?)))
}

/// `crw-rw----+ 1 root kvm [context] 10, 232 Oct 28 09:14 /dev/kvm`; the old `ls -Z` leaves count,
/// numbers and date out.
fn node(line: &str) -> Option<Node<'_>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (mode, rest) = words.split_first()?;
    if !is_mode(mode) {
        return None;
    }
    // A link's name stands before the arrow.
    let names =
        rest.iter().position(|w| *w == "->").and_then(|end| rest.get(..end)).unwrap_or(rest);
    let name = *names.last()?;
    let numbered = rest.windows(2).any(|pair| pair == ["10,", "232"]);
    if name != "/dev/kvm" && name != "dev/kvm" && !(name == "kvm" && numbered) {
        return None;
    }
    let has_links = rest.first()?.bytes().all(|b| b.is_ascii_digit()) && rest.len() > 4;
    let mut rest = rest.iter().copied().skip(usize::from(has_links));
    let (owner, group) = (rest.next()?, rest.next()?);
    let context = rest.next().filter(|word| word.matches(':').count() >= 2);
    Some(Node { mode, owner, group, context })
}

/// Type, nine permission letters, and perhaps a mark for more (`.` context, `+` list, `@` macOS).
fn is_mode(word: &str) -> bool {
    let mut letters = word.chars();
    let kind = letters.next().is_some_and(|c| "cdlb-ps".contains(c));
    let bits = letters.by_ref().take(9).filter(|c| "rwxsStT-".contains(*c)).count();
    kind && bits == 9 && letters.all(|c| "+.@".contains(c))
}

/// `crw-rw----` to `0660`.
fn octal(mode: &str) -> String {
    let mut value = 0u32;
    let mut special = 0u32;
    for (place, letter) in mode.chars().skip(1).take(9).enumerate() {
        let bit = 8u32.saturating_sub(u32::try_from(place).unwrap_or(8));
        if "rwxst".contains(letter) {
            value |= 1 << bit;
        }
        if "sStT".contains(letter) {
            special |= 1 << (bit / 3);
        }
    }
    format!("{special:o}{value:03o}")
}

fn listing(piece: Piece<'_>, text: &str, out: &mut Out) {
    if let Some((number, line, node)) = node_in(text) {
        return of_node(&node, &Origin::new(piece.path, Some(number), line), out);
    }
    if let Some((number, line)) = refusal(text) {
        let origin = Origin::new(piece.path, Some(number), line);
        return out.fact("devkvm.exists", Value::Bool(false), origin);
    }
    // A complete listing of /dev without the node: `null` and `zero` show that it is one.
    let lines = || (1u32..).zip(text.lines());
    let device = |numbers: [&str; 2], name: &str| {
        lines().find(|(_, line)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.last() == Some(&name) && words.windows(2).any(|pair| pair == numbers)
        })
    };
    if piece.whole
        && let Some((number, line)) = device(["1,", "3"], "null")
        && device(["1,", "5"], "zero").is_some()
    {
        let origin = Origin::new(piece.path, Some(number), line);
        out.fact("devkvm.exists", Value::Bool(false), origin);
    } else if let Some((number, _)) = lines().find(|(_, line)| line.contains("/dev/kvm")) {
        out.problem(piece.path, Some(number), "does not tell whether /dev/kvm exists");
    }
}

fn of_node(node: &Node<'_>, origin: &Origin, out: &mut Out) {
    let kind = match node.mode.chars().next() {
        Some('c') => "device",
        Some('d') => "directory",
        Some('l') => "link",
        _ => "file",
    };
    let mut put = |name, value| out.fact(name, value, origin.clone());
    put("devkvm.exists", Value::Bool(true));
    put("devkvm.type", Value::text(kind));
    if kind == "device" {
        put("devkvm.mode", Value::text(octal(node.mode)));
        put("devkvm.owner", Value::text(node.owner));
        put("devkvm.group", Value::text(node.group));
        put("devkvm.acl", Value::Bool(node.mode.contains('+')));
        put("devkvm.world_writable", Value::Bool(node.mode.chars().nth(8) == Some('w')));
    }
    if let Some(context) = node.context {
        put("devkvm.selinux_context", Value::text(context));
    }
}

/// The line by which ls or stat says that there is no such file.
fn refusal(text: &str) -> Option<(u32, &str)> {
    (1u32..).zip(text.lines()).find(|(_, line)| {
        let Some((program, message)) = line.split_once(':') else { return false };
        let program = program.trim().rsplit('/').next().unwrap_or_default();
        if !["ls", "gls", "stat"].contains(&program) || !message.contains("/dev/kvm") {
            return false;
        }
        let message = message.to_lowercase();
        let english = message.contains("cannot ") || message.contains("no such");
        let absent = !english || message.contains("no such");
        absent && !REFUSALS.iter().any(|words| message.contains(words))
    })
}

/// `Access: (0660/crw-rw----)  Uid: (    0/    root)   Gid: (  108/     kvm)`
fn stat(path: &str, text: &str, out: &mut Out) {
    for (number, line) in (1u32..).zip(text.lines()) {
        let mut groups =
            line.split('(').skip(1).filter_map(|g| g.split(')').next()?.split_once('/'));
        let (Some((_, mode)), Some((_, owner)), Some((_, group))) =
            (groups.next(), groups.next(), groups.next())
        else {
            continue;
        };
        if is_mode(mode.trim()) {
            let context = text
                .lines()
                .find_map(|l| l.split(": ").nth(1)?.split_whitespace().next())
                .filter(|word| word.matches(':').count() >= 2);
            let node =
                Node { mode: mode.trim(), owner: owner.trim(), group: group.trim(), context };
            // stat shows no `+`: whether there is a list stays unknown.
            let mut seen = Out::default();
            of_node(&node, &Origin::new(path, Some(number), line), &mut seen);
            out.facts.extend(seen.facts.into_iter().filter(|f| f.name != "devkvm.acl"));
            return;
        }
    }
    if let Some((number, line)) = refusal(text) {
        out.fact("devkvm.exists", Value::Bool(false), Origin::new(path, Some(number), line));
    } else if !text.trim().is_empty() {
        out.problem(path, None, "not an answer of stat");
    }
}

/// The entries of the block that begins with `# file: dev/kvm` and ends with a blank line.
fn acl(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut lines = (1u32..)
        .zip(text.lines())
        .skip_while(|(_, line)| !matches!(line.trim(), "# file: dev/kvm" | "# file: /dev/kvm"));
    let Some((number, line)) = lines.next() else { return };
    let origin = Origin::new(piece.path, Some(number), line);
    let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for (_, line) in lines.take_while(|(_, line)| !line.trim().is_empty()) {
        let mut parts = line.trim().splitn(3, ':');
        let (Some(kind), Some(name), Some(rights)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        // What the mask takes away is noted behind the rights.
        let rights = rights.split_once("#effective:").map_or(rights, |(_, effective)| effective);
        if name.is_empty() || !(rights.contains('r') && rights.contains('w')) {
            continue;
        }
        match kind {
            "user" => users.insert(name.to_owned()),
            "group" => groups.insert(name.to_owned()),
            _ => false,
        };
    }
    if piece.whole {
        out.fact("devkvm.acl_users", Value::Words(users), origin.clone());
        out.fact("devkvm.acl_groups", Value::Words(groups), origin);
    }
}

/// `open=ok`, `open=errno 13 Permission denied`, `api_version=12`.
fn probe(path: &str, text: &str, out: &mut Out) {
    for (number, line) in (1u32..).zip(text.lines()) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let origin = Origin::new(path, Some(number), line);
        let errno = || value.trim().strip_prefix("errno ")?.split_whitespace().next()?.parse().ok();
        match (key.trim(), value.trim()) {
            ("open", "ok") => {
                out.fact("devkvm.exists", Value::Bool(true), origin.clone());
                out.fact("devkvm.opens", Value::Bool(true), origin);
            }
            ("open", _) => match errno() {
                Some(errno) => {
                    if errno == 2 {
                        out.fact("devkvm.exists", Value::Bool(false), origin.clone());
                    }
                    out.fact("devkvm.opens", Value::Bool(false), origin.clone());
                    out.fact("devkvm.open_errno", Value::Int(errno), origin);
                }
                None => out.problem(path, Some(number), "expected `ok` or `errno NUMBER`"),
            },
            ("api_version", version) => match version.parse() {
                Ok(version) => out.fact("devkvm.api_version", Value::Int(version), origin),
                Err(_) => out.problem(path, Some(number), "the API version is not a number"),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show};

    fn read(path: &str, text: &str) -> Out {
        testing::read(parse, path, text)
    }

    const LS_FILE: &str = "commands/ls-dev-kvm.txt";

    #[test]
    fn a_usual_node() {
        let out = read(
            LS_FILE,
            "$ ls -l /dev/kvm\ncrw-rw----+ 1 root kvm 10, 232 Feb  3 10:11 /dev/kvm\n",
        );
        for (name, value) in [
            ("devkvm.exists", "true"),
            ("devkvm.type", "device"),
            ("devkvm.mode", "0660"),
            ("devkvm.owner", "root"),
            ("devkvm.group", "kvm"),
            ("devkvm.acl", "true"),
            ("devkvm.world_writable", "false"),
        ] {
            assert_eq!(show(&out, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(show(&out, "devkvm.selinux_context"), None);
        assert_eq!(out.facts[0].origin.line, Some(2));
    }

    #[test]
    fn contexts_of_new_and_old_ls() {
        let new =
            "crw-rw-rw-. 1 root 36 system_u:object_r:kvm_device_t:s0 10, 232 Aug 1 1:00 /dev/kvm\n";
        let out = read(LS_FILE, new);
        assert_eq!(show(&out, "devkvm.group").unwrap(), "36");
        assert_eq!(show(&out, "devkvm.mode").unwrap(), "0666");
        assert_eq!(
            show(&out, "devkvm.selinux_context").unwrap(),
            "system_u:object_r:kvm_device_t:s0"
        );
        let old = "crw-rw-rw-. root kvm system_u:object_r:kvm_device_t:s0 /dev/kvm\n";
        let out = read("commands/ls-Z-dev-kvm.txt", old);
        assert_eq!(show(&out, "devkvm.owner").unwrap(), "root");
        assert_eq!(show(&out, "devkvm.world_writable").unwrap(), "true");
    }

    #[test]
    fn a_containers_view_is_kept_apart() {
        let text = "# in the pod\ncrw-rw----. 1 root 36 system_u:object_r:container_file_t:s0:c1,c2 10, 232 May 2 1:00 /dev/kvm\n";
        let out = read("commands/ls-Z-pod.txt", text);
        assert_eq!(out.facts.len(), 1);
        assert_eq!(out.facts[0].instance.as_deref(), Some("ls-Z-pod"));
    }

    #[test]
    fn absence_in_several_languages_and_programs() {
        for text in [
            "ls: cannot access '/dev/kvm': No such file or directory\n",
            "ls: /dev/kvm: No such file or directory\n",
            "ls: Zugriff auf '/dev/kvm' nicht möglich: Datei oder Verzeichnis nicht gefunden\n",
            "ls: não foi possível acessar '/dev/kvm': Arquivo ou diretório inexistente\n",
            "/bin/ls: impossible d'accéder à '/dev/kvm': Aucun fichier ou dossier de ce type\n",
        ] {
            let out = read(LS_FILE, text);
            assert_eq!(show(&out, "devkvm.exists").as_deref(), Some("false"), "{text}");
        }
    }

    #[test]
    fn a_refusal_is_no_absence() {
        for text in [
            "ls: cannot access '/dev/kvm': Permission denied\n",
            "ls: Zugriff auf '/dev/kvm' nicht möglich: Keine Berechtigung\n",
            "ls: no se puede acceder a '/dev/kvm': Permiso denegado\n",
            "ls: cannot access '/dev/kvm': Input/output error\n",
        ] {
            let out = read(LS_FILE, text);
            assert!(out.facts.is_empty(), "{text}");
            assert_eq!(out.problems.len(), 1, "{text}");
        }
    }

    #[test]
    fn a_listing_of_dev_with_and_without_the_node() {
        let dev = "total 0\ncrw-rw-rw- 1 root root 1, 3 Dec 8 11:00 null\ncrw-rw-rw- 1 root root 1, 5 Dec 8 11:00 zero\n";
        assert_eq!(show(&read("commands/ls-dev.txt", dev), "devkvm.exists").unwrap(), "false");
        let with = format!("/dev:\n{dev}crw------- 1 root root 10, 232 Dec 8 11:00 kvm\n");
        let out = read("commands/ls-dev.txt", &with);
        assert_eq!(show(&out, "devkvm.mode").unwrap(), "0600");
        let mut cut = Out::default();
        parse(Piece { path: "commands/ls-dev.txt", bytes: dev.as_bytes(), whole: false }, &mut cut);
        assert!(cut.facts.is_empty());
    }

    #[test]
    fn a_folder_in_place_of_the_device() {
        let out = read(LS_FILE, "drwxr-xr-x 2 root root 40 May  1 09:00 /dev/kvm\n");
        assert_eq!(show(&out, "devkvm.type").unwrap(), "directory");
        assert_eq!(show(&out, "devkvm.mode"), None);
    }

    #[test]
    fn stat_and_access_list() {
        let stat = "  File: /dev/kvm\nDevice: 5h/5d\tInode: 404  Links: 1  Device type: a,e8\n\
                    Access: (0660/crw-rw----)  Uid: (    0/    root)   Gid: (  108/     kvm)\n";
        let out = read("commands/stat-dev-kvm.txt", stat);
        assert_eq!(show(&out, "devkvm.group").unwrap(), "kvm");
        assert_eq!(show(&out, "devkvm.acl"), None);
        let acl = "$ getfacl /dev/kvm\n# file: dev/kvm\n# owner: root\nuser::rw-\nuser:ann:rw-\n\
                   user:bob:rw-\t#effective:r--\ngroup::rw-\ngroup:lab:rw-\nother::---\n\nuser:eve:rw-\n";
        let out = read("commands/getfacl.txt", acl);
        assert_eq!(show(&out, "devkvm.acl_users").unwrap(), "ann");
        assert_eq!(show(&out, "devkvm.acl_groups").unwrap(), "lab");
        assert!(read("commands/getfacl.txt", "# file: srv/x\nuser:ann:rw-\n").facts.is_empty());
    }

    #[test]
    fn what_the_collector_found() {
        let out = read("commands/kvm-probe.txt", "open=ok\napi_version=12\n");
        assert_eq!(show(&out, "devkvm.opens").unwrap(), "true");
        assert_eq!(show(&out, "devkvm.api_version").unwrap(), "12");
        let out = read("commands/kvm-probe.txt", "open=errno 13 Permission denied\n");
        assert_eq!(show(&out, "devkvm.open_errno").unwrap(), "13");
        assert_eq!(show(&out, "devkvm.exists"), None);
        assert_eq!(read("commands/kvm-probe.txt", "open=perhaps\n").problems.len(), 1);
    }
}
