//! What modprobe is told to do with modules: modprobe.d(5), and modules-load.d(5).
//!
//! `options`, `blacklist` and `install MODULE /bin/false` are read; names are compared with
//! underscores, as the kernel does. A later file of the same name in `/etc` hides one in
//! `/usr/lib`; that is not resolved here, each file's facts carry its name.
//!
//! Not parsed: `alias`, `softdep`, `remove` (they are known, and passed over), conditions inside
//! `install` commands, and module parameters on the kernel command line (`kernel.cmdline`).

use std::collections::BTreeSet;

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Options, blacklists and boot-time loading of modules.
pub const SLICE: Slice = Slice { name: "modprobe", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("etc/modprobe.d/*.conf"),
    Want::file("usr/lib/modprobe.d/*.conf"),
    Want::file("usr/local/lib/modprobe.d/*.conf"),
    Want::file("lib/modprobe.d/*.conf"),
    Want::file("run/modprobe.d/*.conf"),
    Want::given("etc/modprobe.conf"),
    Want::file("etc/modules-load.d/*.conf"),
    Want::file("etc/modules"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "modprobe.nested",
        Kind::Bool,
        "module",
        "The nested option that kvm_intel or kvm_amd is to be loaded with",
        "grep -r nested /etc/modprobe.d",
    ),
    FactDef::new(
        "modprobe.virt_at_load",
        Kind::Bool,
        "The enable_virt_at_load option that kvm is to be loaded with",
        "grep -r enable_virt_at_load /etc/modprobe.d",
    ),
    FactDef::per(
        "modprobe.blacklist",
        Kind::Words,
        "file",
        "Of kvm, kvm_intel, kvm_amd, kvm_pvm, irqbypass, vboxdrv and vmmon: those kept from loading",
        "grep -rE 'blacklist|install' /etc/modprobe.d",
    ),
    FactDef::per(
        "modprobe.options",
        Kind::Words,
        "file",
        "All module options as module.parameter=value, with underscores",
        "grep -r options /etc/modprobe.d",
    ),
    FactDef::per(
        "modprobe.load_at_boot",
        Kind::Words,
        "file",
        "Modules that are to be loaded at boot, with underscores",
        "cat /etc/modules /etc/modules-load.d/*.conf",
    ),
];

/// Modules without which, or with which, no guest starts.
const GUARDED: &[&str] =
    &["kvm", "kvm_intel", "kvm_amd", "kvm_pvm", "irqbypass", "vboxdrv", "vmmon"];

fn parse(piece: Piece<'_>, out: &mut Out) {
    if piece.path.starts_with("etc/modules") {
        load_at_boot(piece, out);
    } else {
        directives(piece, out);
    }
}

/// Words of one file, with the place of the first.
#[derive(Default)]
struct Collected {
    words: BTreeSet<String>,
    origin: Option<Origin>,
}

impl Collected {
    fn add(&mut self, word: String, origin: &Origin) {
        self.words.insert(word);
        self.origin.get_or_insert_with(|| origin.clone());
    }

    fn emit(self, name: &'static str, path: &str, out: &mut Out) {
        if let Some(origin) = self.origin {
            out.fact_of(name, path, Value::Words(self.words), origin);
        }
    }
}

fn directives(piece: Piece<'_>, out: &mut Out) {
    let mut options = Collected::default();
    let mut blacklist = Collected::default();
    for (number, line) in logical_lines(&piece.text()) {
        let origin = Origin::new(piece.path, Some(number), &line);
        // A blank before `#` ends the values as people mean them, though not for modprobe.
        let words: Vec<&str> =
            line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        match words.as_slice() {
            ["options", module, rest @ ..] => {
                let module = module.replace('-', "_");
                for option in rest {
                    add_option(piece.path, &module, option, &origin, &mut options, out);
                }
            }
            ["blacklist", module, ..] => guard(module, &origin, &mut blacklist),
            ["install", module, command, ..] if is_refusal(command) => {
                guard(module, &origin, &mut blacklist);
            }
            []
            | ["install" | "alias" | "softdep" | "weakdep" | "remove" | "include" | "config", ..] =>
                {}
            [word, ..] => out.problem(
                piece.path,
                Some(number),
                format!("modprobe does not know `{word}` and passes the line over"),
            ),
        }
    }
    options.emit("modprobe.options", piece.path, out);
    blacklist.emit("modprobe.blacklist", piece.path, out);
}

/// Comments taken out and continued lines joined, each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut joined: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1u32..).zip(text.lines()) {
        if !open && line.trim_start().starts_with('#') {
            continue;
        }
        let part = line.strip_suffix('\\').unwrap_or(line);
        match joined.last_mut().filter(|_| open) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(part.trim());
            }
            None => joined.push((number, part.trim().to_owned())),
        }
        open = line.ends_with('\\');
    }
    joined
}

fn add_option(
    path: &str,
    module: &str,
    option: &str,
    origin: &Origin,
    options: &mut Collected,
    out: &mut Out,
) {
    // A bare bool parameter is switched on by its name (kernel/params.c, param_set_bool).
    let (parameter, value) = option.split_once('=').unwrap_or((option, "1"));
    let parameter = parameter.replace('-', "_");
    options.add(format!("{module}.{parameter}={value}"), origin);
    let instance = match (module, parameter.as_str()) {
        ("kvm_intel" | "kvm_amd", "nested") => Some(module),
        ("kvm", "enable_virt_at_load") => None,
        _ => return,
    };
    let Some(on) = boolean(value) else {
        let what = format!("`{value}` is no value for {module}.{parameter}");
        out.problem(path, origin.line, what);
        return;
    };
    match instance {
        Some(module) => out.fact_of("modprobe.nested", module, Value::Bool(on), origin.clone()),
        None => out.fact("modprobe.virt_at_load", Value::Bool(on), origin.clone()),
    }
}

/// What the kernel takes for a bool (lib/kstrtox.c, kstrtobool).
fn boolean(value: &str) -> Option<bool> {
    match value.trim_matches('"').to_ascii_lowercase().as_str() {
        "1" | "y" | "yes" | "on" | "t" | "true" => Some(true),
        "0" | "n" | "no" | "off" | "f" | "false" => Some(false),
        _ => None,
    }
}

fn guard(module: &str, origin: &Origin, blacklist: &mut Collected) {
    let module = module.replace('-', "_");
    if GUARDED.contains(&module.as_str()) {
        blacklist.add(module, origin);
    }
}

/// `install MODULE /bin/false` and its variants keep a module out.
fn is_refusal(command: &str) -> bool {
    matches!(command.rsplit('/').next(), Some("true" | "false" | "nologin" | ":"))
}

/// One module a line, comments with `#` or `;`.
fn load_at_boot(piece: Piece<'_>, out: &mut Out) {
    let mut modules = Collected::default();
    for (number, line) in (1u32..).zip(piece.text().lines()) {
        let Some(module) = line.split_whitespace().next() else { continue };
        if !module.starts_with(['#', ';']) {
            modules.add(module.replace('-', "_"), &Origin::new(piece.path, Some(number), line));
        }
    }
    modules.emit("modprobe.load_at_boot", piece.path, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn read(path: &str, text: &str) -> Out {
        testing::read(parse, path, text)
    }

    fn values(out: &Out, name: &str) -> Vec<(Option<String>, String)> {
        let of_name = out.facts.iter().filter(|f| f.name == name);
        of_name.map(|f| (f.instance.clone(), f.value.to_string())).collect()
    }

    const CONF: &str = "etc/modprobe.d/kvm.conf";

    #[test]
    fn options_in_all_spellings() {
        let out = read(
            CONF,
            "# options kvm_intel nested=1\noptions kvm-intel \\\n   nested=0 ept=1\noptions kvm_amd nested # here\n\
             options kvm enable_virt_at_load=N\n",
        );
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(
            values(&out, "modprobe.nested"),
            [(some("kvm_intel"), "false".into()), (some("kvm_amd"), "true".into())]
        );
        assert_eq!(values(&out, "modprobe.virt_at_load"), [(None, "false".into())]);
        assert_eq!(
            values(&out, "modprobe.options"),
            [(
                some(CONF),
                "kvm.enable_virt_at_load=N kvm_amd.nested=1 kvm_intel.ept=1 kvm_intel.nested=0"
                    .into()
            )]
        );
        assert_eq!(out.facts[0].origin.line, Some(2));
        assert!(out.problems.is_empty());
    }

    #[test]
    fn modules_that_are_kept_out() {
        let out = read(
            CONF,
            "blacklist pcspkr\nblacklist kvm-amd\ninstall kvm /bin/true\ninstall vboxdrv /sbin/modprobe x\n",
        );
        assert_eq!(values(&out, "modprobe.blacklist"), [(Some(CONF.into()), "kvm kvm_amd".into())]);
        assert!(read(CONF, "blacklist pcspkr\n").facts.is_empty());
    }

    #[test]
    fn a_misspelt_directive_is_reported_with_its_line() {
        let out = read(CONF, "\noption kvm_intel nested=1\noptions kvm_intel nested=maybe\n");
        assert!(values(&out, "modprobe.nested").is_empty());
        let places: Vec<_> = out.problems.iter().map(|p| p.source.as_str()).collect();
        assert_eq!(places, ["etc/modprobe.d/kvm.conf:2", "etc/modprobe.d/kvm.conf:3"]);
    }

    #[test]
    fn modules_loaded_at_boot() {
        let out =
            read("etc/modules-load.d/virt.conf", "# comment\n\nkvm-intel\n; other\nvhost_net\n");
        assert_eq!(values(&out, "modprobe.load_at_boot")[0].1, "kvm_intel vhost_net");
        assert!(read("etc/modules", "# nothing\n").facts.is_empty());
    }
}
