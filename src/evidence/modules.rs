//! Loaded kernel modules: lsmod(8), `/proc/modules` (proc_modules(5)); and those built in:
//! `modules.builtin` of kmod.
//!
//! One reader serves both forms, since lsmod prints the first four columns of `/proc/modules`.
//! `procfs::KernelModules` would lose the whole file to one broken line.
//!
//! Not parsed: sizes, states, addresses, and the list of users (lsmod's fourth column).

use std::collections::BTreeSet;

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Loaded and built-in kernel modules.
pub const SLICE: Slice = Slice { name: "modules", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("lsmod", &["lsmod"], &["lsmod", "sos_commands/kernel/lsmod"]),
    Want::file("proc/modules"),
    Want::file("lib/modules/*/modules.builtin"),
    Want::file("usr/lib/modules/*/modules.builtin"),
];

const FACTS: &[FactDef] = &[
    FactDef::new(
        "modules.loaded",
        Kind::Words,
        "Names of all loaded modules; built-in ones are not among them",
        "lsmod",
    ),
    FactDef::per(
        "modules.users",
        Kind::Int,
        "module",
        "Use count of kvm, kvm_intel, kvm_amd, kvm_pvm, vboxdrv and vmmon, where loaded",
        "lsmod | grep -E 'kvm|vboxdrv|vmmon'",
    ),
    FactDef::per(
        "modules.builtin",
        Kind::Words,
        "kernel release",
        "Names of all modules that are built into the kernel, with underscores",
        "cat /lib/modules/$(uname -r)/modules.builtin",
    ),
];

/// What lsmod(8) prints instead of a list where `/proc/modules` does not exist: a kernel without
/// `CONFIG_MODULES`, a container that hides it. What is built in is not known by that.
const NO_LIST: &[&str] = &["could not open /proc/modules", "could not get list of modules"];

/// Modules whose use count tells whether guests run.
const COUNTED: &[&str] = &["kvm", "kvm_intel", "kvm_amd", "kvm_pvm", "vboxdrv", "vmmon"];

fn parse(piece: Piece<'_>, out: &mut Out) {
    if piece.file_name() == "modules.builtin" {
        builtin(piece, out);
    } else {
        loaded(piece, out);
    }
}

fn loaded(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut names = BTreeSet::new();
    // lsmod's header alone is an answer; without it the list is what somebody picked from it.
    let in_kernel_form = piece.path == "proc/modules";
    let mut origin = in_kernel_form.then(|| Origin::new(piece.path, None, ""));
    let mut foreign: Option<u32> = None;
    let mut understood = false;
    for (number, line) in (1u32..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Module", "Size", ..] => origin = Some(Origin::new(piece.path, Some(number), line)),
            [name, size, users, ..] if size.parse::<u64>().is_ok() => {
                if names.is_empty() && in_kernel_form {
                    origin = Some(Origin::new(piece.path, Some(number), line));
                }
                names.insert((*name).to_owned());
                understood = true;
                count(piece.path, (number, line), name, users, out);
            }
            [] => {}
            // libkmod, where the kernel has no modules at all or the root none of its files: told
            // nothing, and no broken list.
            _ if NO_LIST.iter().any(|said| line.contains(said)) => {}
            // A shell prompt, or what lsmod complained about.
            _ => foreign = foreign.or(Some(number)),
        }
    }
    if let Some(number) = foreign.filter(|_| !understood && (origin.is_none() || in_kernel_form)) {
        out.problem(piece.path, Some(number), "not a list of modules");
    } else if let Some(origin) = origin.filter(|_| piece.whole) {
        // Of a cut list, absence cannot be told.
        out.fact("modules.loaded", Value::Words(names), origin);
    }
}

fn count(path: &str, (number, line): (u32, &str), name: &str, users: &str, out: &mut Out) {
    if !COUNTED.contains(&name) {
        return;
    }
    match users.parse() {
        Ok(users) => {
            let origin = Origin::new(path, Some(number), line);
            out.fact_of("modules.users", name, Value::Int(users), origin);
        }
        Err(_) => out.problem(path, Some(number), "the use count is not a number"),
    }
}

/// Lines such as `kernel/arch/x86/kvm/kvm-intel.ko`.
fn builtin(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let names: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.trim().rsplit('/').next()?.strip_suffix(".ko"))
        .map(|name| name.replace('-', "_"))
        .collect();
    let release = piece.path.strip_suffix("/modules.builtin").and_then(|p| p.rsplit('/').next());
    if let Some(release) = release.filter(|_| piece.whole && !names.is_empty()) {
        let kvm = (1u32..).zip(text.lines()).find(|(_, line)| line.contains("/kvm"));
        let (number, line) = kvm.or_else(|| (1u32..).zip(text.lines()).next()).unwrap_or((1, ""));
        let origin = Origin::new(piece.path, Some(number), line);
        out.fact_of("modules.builtin", release, Value::Words(names), origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_part(path: &str, text: &str, whole: bool) -> Out {
        let mut out = Out::default();
        parse(Piece { path, bytes: text.as_bytes(), whole }, &mut out);
        out
    }

    fn read(path: &str, text: &str) -> Out {
        read_part(path, text, true)
    }

    #[test]
    fn lsmod_and_proc_modules_say_the_same() {
        let lsmod = read(
            "commands/lsmod.txt",
            "Module                  Size  Used by\nkvm_intel             286720  3\nkvm  663552  1 kvm_intel\n",
        );
        let proc = read(
            "proc/modules",
            "kvm_intel 286720 3 - Live 0xffffffffc0a00000\nkvm 663552 1 kvm_intel, Live 0x0\n",
        );
        for out in [lsmod, proc] {
            let loaded = out.facts.iter().find(|f| f.name == "modules.loaded").unwrap();
            assert_eq!(loaded.value.to_string(), "kvm kvm_intel");
            let users: Vec<_> = out.facts.iter().filter(|f| f.name == "modules.users").collect();
            assert_eq!(users[0].instance.as_deref(), Some("kvm_intel"));
            assert_eq!(users[0].value, Value::Int(3));
        }
    }

    #[test]
    fn a_kernel_without_modules_is_no_broken_list() {
        let said = "libkmod: ERROR ../libkmod/libkmod-module.c:1725 kmod_module_new_from_loaded: \
                    could not open /proc/modules: No such file or directory\n\
                    Error: could not get list of modules: No such file or directory\n";
        let out = read("commands/lsmod.txt", said);
        assert!(out.facts.is_empty() && out.problems.is_empty(), "{out:?}");
    }

    #[test]
    fn the_header_alone_means_no_modules() {
        let out = read("commands/lsmod.txt", "Module                  Size  Used by\n");
        assert_eq!(out.facts[0].value, Value::Words(BTreeSet::new()));
        assert_eq!(read("proc/modules", "").facts.len(), 1);
        assert!(read("commands/lsmod.txt", "").facts.is_empty(), "the command did not answer");
    }

    #[test]
    fn a_cut_or_foreign_list_shows_no_absence() {
        let cut = read_part("proc/modules", "kvm 663552 0 - Live 0x0\nkvm_in", false);
        assert!(cut.facts.iter().all(|f| f.name == "modules.users"));
        let picked = read("commands/lsmod.txt", "kvm  663552  1 kvm_intel\n");
        assert!(picked.facts.iter().all(|f| f.name == "modules.users"));
        let foreign = read("commands/lsmod.txt", "sh: lsmod: not found\n");
        assert!(foreign.facts.is_empty());
        assert_eq!(foreign.problems.len(), 1);
    }

    #[test]
    fn built_in_modules_belong_to_a_release() {
        let text = "kernel/fs/ext4/ext4.ko\nkernel/arch/x86/kvm/kvm-amd.ko\n";
        let out = read("usr/lib/modules/6.1.2-x/modules.builtin", text);
        assert_eq!(out.facts[0].instance.as_deref(), Some("6.1.2-x"));
        assert_eq!(out.facts[0].value.to_string(), "ext4 kvm_amd");
        assert_eq!(out.facts[0].origin.line, Some(2));
    }
}
