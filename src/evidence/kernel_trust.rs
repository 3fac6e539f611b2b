//! Whom the kernel trusts with its own code: signatures of modules, the switch that ends module
//! loading, the taint flags, the keys that the owner of the machine enrolled.
//!
//! `modinfo NAME` prints `signer:` and `sig_key:` of a signed module (kmod; `sig_id` is the format);
//! `/proc/sys/kernel/modules_disabled` (1 cannot be taken back before the next boot);
//! `/proc/sys/kernel/tainted`, a sum of bits
//! (Documentation/admin-guide/tainted-kernels.rst); `mokutil --list-enrolled`.
//!
//! Lockdown and Secure Boot are read by the slice `security`. Not parsed: contents of certificates
//! beyond the subject's common name.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Signatures, taint and keys.
pub const SLICE: Slice = Slice { name: "kernel_trust", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("modinfo-kvm_intel", &["modinfo", "kvm_intel"], &[]),
    Want::command("modinfo-kvm_amd", &["modinfo", "kvm_amd"], &[]),
    Want::command("modinfo-vboxdrv", &["modinfo", "vboxdrv"], &[]),
    Want::command("modinfo", &[], &["sos_commands/kernel/modinfo_*"]),
    Want::output("modinfo-*"),
    Want::file("proc/sys/kernel/modules_disabled"),
    Want::file("proc/sys/kernel/tainted"),
    Want::output("mokutil--list-enrolled*"),
    Want::output("mokutil-list-enrolled*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "module.signer",
        Kind::Text,
        "module",
        "Who signed the file of a module",
        "modinfo -F signer kvm_intel",
    ),
    FactDef::per(
        "module.signed",
        Kind::Bool,
        "module",
        "Whether the file of a module has a signature",
        "modinfo kvm_intel",
    ),
    FactDef::new(
        "kernel.modules_disabled",
        Kind::Bool,
        "Whether no module can be loaded any more until the next boot",
        "cat /proc/sys/kernel/modules_disabled",
    ),
    FactDef::new(
        "kernel.taints",
        Kind::Words,
        "Letters of the kernel's taint flags, e.g. P (proprietary module), O (module from outside \
         the tree), E (unsigned module); none where it is untainted",
        "cat /proc/sys/kernel/tainted",
    ),
    FactDef::new(
        "secureboot.enrolled",
        Kind::Words,
        "Common names of the keys that the owner enrolled (MOK)",
        "mokutil --list-enrolled",
    ),
];

/// Letter of each bit of `tainted`, from bit 0 on.
const TAINTS: &str = "PFSRMBUDAWCIOELKXTNJ";

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let line = text.lines().next().unwrap_or_default();
    let origin = Origin::new(piece.path, Some(1), line);
    match piece.file_name() {
        "modules_disabled" => match line.trim() {
            "0" | "1" => {
                let disabled = Value::Bool(line.trim() == "1");
                out.fact("kernel.modules_disabled", disabled, origin);
            }
            "" => {}
            _ => out.problem(piece.path, Some(1), "expected 0 or 1"),
        },
        "tainted" => match line.trim().parse::<u64>() {
            Ok(bits) => out.fact("kernel.taints", letters(bits), origin),
            Err(_) if line.trim().is_empty() => {}
            Err(_) => out.problem(piece.path, Some(1), "not a sum of taint flags"),
        },
        name if name.starts_with("mokutil") => enrolled(piece, &text, out),
        name => modules(piece, &text, name, out),
    }
}

fn letters(bits: u64) -> Value {
    let set = (0..64_u32).filter(|bit| bits >> bit & 1 == 1);
    Value::words(set.map(|bit| {
        let letter = TAINTS.chars().nth(usize::try_from(bit).unwrap_or(usize::MAX));
        letter.map_or_else(|| format!("bit{bit}"), String::from)
    }))
}

/// `Subject: CN=my key` or, with a full name, `Subject: O=lab, CN = my key`.
fn enrolled(piece: Piece<'_>, text: &str, out: &mut Out) {
    let mut first = None;
    let names: Vec<String> = lines(text)
        .filter_map(|(number, line)| {
            let (_, subject) = line.split_once("Subject:")?;
            let name = subject.split(',').find_map(|part| {
                let (key, value) = part.split_once('=')?;
                (key.trim().rsplit('/').next() == Some("CN")).then(|| value.trim().to_owned())
            })?;
            first.get_or_insert_with(|| Origin::new(piece.path, Some(number), line));
            Some(name)
        })
        .collect();
    if let Some(origin) = first.filter(|_| piece.whole) {
        out.fact("secureboot.enrolled", Value::words(names), origin);
    }
}

/// One or several modules, each beginning with `filename:`; the module's own `name:` counts, and
/// the file's name where an old kmod does not print one.
fn modules(piece: Piece<'_>, text: &str, file: &str, out: &mut Out) {
    let rows: Vec<(u32, &str)> = lines(text).collect();
    let starts: Vec<usize> = rows
        .iter()
        .enumerate()
        .filter_map(|(at, (_, l))| l.starts_with("filename:").then_some(at))
        .collect();
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(rows.len());
        let whole = piece.whole || end < rows.len();
        let Some(rows) = rows.get(*start..end) else { continue };
        let field = |key: &str| {
            rows.iter().find_map(|(number, line)| {
                let value = line.strip_prefix(key)?.strip_prefix(':')?.trim();
                (!value.is_empty()).then_some((*number, *line, value))
            })
        };
        let Some((number, line, path)) = field("filename") else { continue };
        let stem = path.rsplit('/').next().and_then(|f| f.split(".ko").next());
        let stem = stem.filter(|_| path != "(builtin)");
        let from_file = file.strip_prefix("modinfo-").map(|f| f.trim_end_matches(".txt"));
        let Some(name) = field("name").map(|(_, _, name)| name).or(stem).or(from_file) else {
            continue;
        };
        let name = name.replace('-', "_");
        let origin = Origin::new(piece.path, Some(number), line);
        let signed = field("sig_id").or(field("sig_key")).or(field("signer"));
        if let Some((number, line, signer)) = field("signer") {
            let origin = Origin::new(piece.path, Some(number), line);
            out.fact_of("module.signer", &name, Value::text(signer), origin);
        }
        // What is built in is part of the signed kernel; a cut text may have lost the signature.
        if path != "(builtin)" && (signed.is_some() || whole) {
            out.fact_of("module.signed", &name, Value::Bool(signed.is_some()), origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn facts(path: &str, text: &str) -> Vec<String> {
        testing::shown(parse, path, text)
    }

    const SIGNED: &str = "filename:       /lib/modules/6.8.0-51-generic/kernel/arch/x86/kvm/kvm-intel.ko.zst\n\
        license:        GPL\nname:           kvm_intel\nsig_id:         PKCS#7\n\
        signer:         Build time autogenerated kernel key\nsig_key:        2C:09\n";

    #[test]
    fn signed_unsigned_and_built_in_modules() {
        let expected = [
            "module.signer[kvm_intel]=Build time autogenerated kernel key",
            "module.signed[kvm_intel]=true",
        ];
        assert_eq!(facts("commands/modinfo-kvm_intel.txt", SIGNED), expected);
        let text =
            format!("{SIGNED}filename: /lib/modules/6.8/updates/dkms/vboxdrv.ko\nlicense: GPL\n");
        let found = facts("commands/modinfo.txt", &text);
        assert!(found.contains(&"module.signed[vboxdrv]=false".to_owned()), "{found:?}");
        let cut = testing::read_part(parse, "commands/modinfo.txt", &text, false);
        assert!(cut.facts.iter().all(|f| f.instance.as_deref() != Some("vboxdrv")));
        assert_eq!(facts("commands/modinfo-kvm.txt", "name: kvm\nfilename: (builtin)\n"), [""; 0]);
        let missing = "modinfo: ERROR: Module vboxdrv not found.\n";
        assert_eq!(facts("commands/modinfo-vboxdrv.txt", missing), [""; 0]);
    }

    #[test]
    fn switches_and_taint() {
        let tainted = |text| facts("proc/sys/kernel/tainted", text);
        assert_eq!(tainted("0\n"), ["kernel.taints[]="]);
        assert_eq!(tainted("12289\n"), ["kernel.taints[]=E O P"]);
        assert_eq!(tainted("4194304\n"), ["kernel.taints[]=bit22"]);
        assert_eq!(tainted("none\n"), ["not a sum of taint flags"]);
        let disabled = |text| facts("proc/sys/kernel/modules_disabled", text);
        assert_eq!(disabled("1\n"), ["kernel.modules_disabled[]=true"]);
        assert_eq!(disabled("maybe\n"), ["expected 0 or 1"]);
    }

    #[test]
    fn keys_of_the_owner() {
        let text = "[key 1]\nSHA1 Fingerprint: 00:11\n        Issuer: CN=a\n        Subject: CN=lab Secure Boot Module Signature key\n\
                    [key 2]\n        Subject: O=x, CN = second\n";
        assert_eq!(
            facts("commands/mokutil-list-enrolled.txt", text),
            ["secureboot.enrolled[]=lab Secure Boot Module Signature key second"]
        );
        assert_eq!(facts("commands/mokutil-list-enrolled.txt", "MokListRT is empty\n"), [""; 0]);
    }
}
