//! Processors as lscpu(1) sums them up, on the machine itself and in a guest above it.
//!
//! Labels are translated in some locales; the few values that stand for themselves (`VT-x`, a list
//! of flags) are recognised under any label.
//!
//! Not parsed: `lscpu -J` and `lscpu -e`, caches, NUMA, vulnerabilities.

use super::Slice;
use super::cpuinfo::vendor;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Summary of the processors, of this machine or of a guest.
pub const SLICE: Slice = Slice { name: "lscpu", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::command("lscpu", &["lscpu"], &["sos_commands/processor/lscpu"]),
    Want::output("lscpu-guest*"),
];

const fn fact(name: &'static str, kind: Kind, doc: &'static str) -> FactDef {
    FactDef::new(name, kind, doc, "lscpu")
}

const FACTS: &[FactDef] = &[
    fact("lscpu.virtualization", Kind::Text, "Hardware extension that is shown: VT-x or AMD-V"),
    fact("lscpu.hypervisor_vendor", Kind::Text, "Hypervisor below, in lower case, e.g. kvm"),
    fact("lscpu.virt_type", Kind::Text, "full, para or container"),
    fact("lscpu.model_name", Kind::Text, "Model for people"),
    fact("lscpu.arch", Kind::Text, "Architecture, e.g. x86_64"),
    fact("lscpu.vendor", Kind::Text, "Maker, in the words of cpu.vendor"),
    fact("lscpu.flags", Kind::Words, "Features, where lscpu lists them"),
    fact("lscpu.virt", Kind::Bool, "vmx or svm is shown; unknown where no line tells"),
    fact("lscpu.cpus", Kind::Int, "Processors, online and offline"),
    FactDef::per(
        "guest.cpu_model_name",
        Kind::Text,
        "guest",
        "Model name that a guest of this machine sees; guest as the file's name has it",
        "lscpu (in the guest)",
    ),
];

/// Values of `Virtualization:` (util-linux, sys-utils/lscpu.c); nothing else prints them.
const EXTENSIONS: &[&str] = &["VT-x", "AMD-V"];

/// A line that means something to us.
struct Field<'a> {
    fact: &'static str,
    value: &'a str,
    number: u32,
    line: &'a str,
}

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    // A cut list of flags would make features look absent.
    let end = if piece.whole { Some(text.len()) } else { text.rfind('\n') };
    let text = end.and_then(|end| text.get(..end)).unwrap_or_default();
    let fields = fields(text);
    if fields.is_empty() && !text.trim().is_empty() {
        out.problem(piece.path, None, "not an answer of lscpu");
        return;
    }
    match piece.file_name().strip_prefix("lscpu-guest") {
        Some(rest) => of_guest(piece, rest, &fields, out),
        None => of_host(piece, &fields, out),
    }
}

fn fields(text: &str) -> Vec<Field<'_>> {
    (1u32..)
        .zip(text.lines())
        .filter_map(|(number, line)| {
            let (label, value) = line.split_once(':')?;
            let value = value.trim();
            let fact = meaning(label.trim(), value).filter(|_| !value.is_empty())?;
            Some(Field { fact, value, number, line })
        })
        .collect()
}

/// The fact that a line makes; labels are util-linux's, values serve where they are translated.
fn meaning(label: &str, value: &str) -> Option<&'static str> {
    match label {
        "Architecture" => return Some("lscpu.arch"),
        "CPU(s)" => return Some("lscpu.cpus"),
        "Vendor ID" => return Some("lscpu.vendor"),
        "Model name" => return Some("lscpu.model_name"),
        "Flags" => return Some("lscpu.flags"),
        "Virtualization type" => return Some("lscpu.virt_type"),
        _ => {}
    }
    let lower = label.to_lowercase();
    if EXTENSIONS.contains(&value) {
        Some("lscpu.virtualization")
    } else if value.starts_with("fpu ") {
        Some("lscpu.flags")
    } else if lower.contains("hypervis") || lower.contains("hipervis") {
        Some("lscpu.hypervisor_vendor")
    } else {
        None
    }
}

fn of_host(piece: Piece<'_>, fields: &[Field<'_>], out: &mut Out) {
    let arm = fields.iter().any(|f| {
        f.fact == "lscpu.arch" && (f.value.starts_with("aarch64") || f.value.starts_with("arm"))
    });
    for field in fields {
        let origin = Origin::new(piece.path, Some(field.number), field.line);
        let value = match field.fact {
            "lscpu.flags" => Value::words(field.value.split_whitespace()),
            "lscpu.vendor" if arm => Value::text("arm"),
            "lscpu.vendor" => Value::text(vendor(field.value)),
            "lscpu.hypervisor_vendor" => Value::text(field.value.to_lowercase()),
            "lscpu.cpus" => {
                let Ok(cpus) = field.value.parse() else {
                    out.problem(piece.path, Some(field.number), "`CPU(s)` is not a number");
                    continue;
                };
                Value::Int(cpus)
            }
            _ => Value::text(field.value),
        };
        out.fact(field.fact, value, origin);
    }
    // ARM lists features as well, of which none says that guests can run.
    if !arm && let Some((shown, field)) = shows_extension(fields) {
        let origin = Origin::new(piece.path, Some(field.number), field.line);
        out.fact("lscpu.virt", Value::Bool(shown), origin);
    }
}

/// Flags tell yes and no. Without them the `Virtualization` line tells only yes: an extract may
/// have left it out.
fn shows_extension<'f, 'a>(fields: &'f [Field<'a>]) -> Option<(bool, &'f Field<'a>)> {
    let of = |fact: &str| fields.iter().find(|f| f.fact == fact);
    match of("lscpu.flags") {
        Some(flags) => {
            Some((flags.value.split_whitespace().any(|w| w == "vmx" || w == "svm"), flags))
        }
        None => of("lscpu.virtualization").map(|field| (true, field)),
    }
}

/// `lscpu-guest-NAME.txt` was taken inside the guest NAME.
fn of_guest(piece: Piece<'_>, rest: &str, fields: &[Field<'_>], out: &mut Out) {
    let guest = rest.strip_suffix(".txt").unwrap_or(rest).trim_matches(['-', '_']);
    for field in fields.iter().filter(|f| f.fact == "lscpu.model_name") {
        let origin = Origin::new(piece.path, Some(field.number), field.line);
        let value = Value::text(field.value);
        if guest.is_empty() {
            out.fact("guest.cpu_model_name", value, origin);
        } else {
            out.fact_of("guest.cpu_model_name", guest, value, origin);
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

    #[test]
    fn a_guest_that_may_nest() {
        let out = read(
            "commands/lscpu.txt",
            "Architecture:          x86_64\n  CPU op-mode(s):      32-bit, 64-bit\nCPU(s):                4\n\
             Vendor ID:             AuthenticAMD\n  Model name:          AMD EPYC-Rome Processor\n\
             Virtualization features: \n  Virtualization:      AMD-V\n  Hypervisor vendor:   KVM\n\
             \x20 Virtualization type: full\n",
        );
        assert_eq!(show(&out, "lscpu.virtualization").unwrap(), "AMD-V");
        assert_eq!(show(&out, "lscpu.virt").unwrap(), "true");
        assert_eq!(show(&out, "lscpu.hypervisor_vendor").unwrap(), "kvm");
        assert_eq!(show(&out, "lscpu.virt_type").unwrap(), "full");
        assert_eq!(show(&out, "lscpu.vendor").unwrap(), "amd");
        assert_eq!(show(&out, "lscpu.cpus").unwrap(), "4");
    }

    #[test]
    fn flags_can_say_no_and_an_extract_cannot() {
        let path = "commands/lscpu.txt";
        assert_eq!(
            show(&read(path, "CPU(s): 2\nFlags: fpu vme sse2\n"), "lscpu.virt").unwrap(),
            "false"
        );
        assert_eq!(show(&read(path, "CPU(s): 2\nModel name: X\n"), "lscpu.virt"), None);
    }

    #[test]
    fn translated_labels_with_telling_values() {
        let text = "Architektur:   x86_64\nVirtualisierung:   VT-x\nHypervisor-Anbieter:  KVM\nMarkierungen: fpu vme vmx\n";
        let out = read("commands/lscpu.txt", text);
        assert_eq!(show(&out, "lscpu.virtualization").unwrap(), "VT-x");
        assert_eq!(show(&out, "lscpu.hypervisor_vendor").unwrap(), "kvm");
        assert_eq!(show(&out, "lscpu.virt").unwrap(), "true");
    }

    #[test]
    fn a_view_from_a_guest_is_not_this_machine() {
        let out = read(
            "commands/lscpu-guest-web.txt",
            "CPU(s): 2\nModel name: QEMU Virtual CPU version 2.5+\n",
        );
        assert_eq!(out.facts.len(), 1);
        assert_eq!(out.facts[0].name, "guest.cpu_model_name");
        assert_eq!(out.facts[0].instance.as_deref(), Some("web"));
    }

    #[test]
    fn cut_and_foreign_input() {
        let mut out = Out::default();
        let bytes = b"CPU(s): 2\nFlags: fpu vme ss";
        parse(Piece { path: "commands/lscpu.txt", bytes, whole: false }, &mut out);
        assert_eq!(show(&out, "lscpu.virt"), None);
        assert_eq!(read("commands/lscpu.txt", "lscpu: command not found\n").problems.len(), 1);
        assert_eq!(read("commands/lscpu.txt", "CPU(s): many\n").problems.len(), 1);
    }
}
