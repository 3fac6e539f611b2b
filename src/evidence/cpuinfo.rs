//! Processors as the kernel lists them: `/proc/cpuinfo` (proc_cpuinfo(5)).
//!
//! x86: arch/x86/kernel/cpu/proc.c; ARM: arch/arm64/kernel/cpuinfo.c. `vmx flags` is there from
//! Linux 5.9 on; before, and for old tools after, the main ones stand in `flags` as well.
//!
//! Not parsed: caches, topology, `bugs`, and what boards append after the last processor.

use std::collections::BTreeSet;

use procfs::{CpuInfo, FromBufRead};

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Processors: identity, features and microcode.
pub const SLICE: Slice = Slice { name: "cpuinfo", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[Want::file("proc/cpuinfo")];

const FLAGS: &str = "grep -m1 -E 'flags|Features' /proc/cpuinfo";
const MICROCODE: &str = "grep microcode /proc/cpuinfo | sort | uniq -c";

const FACTS: &[FactDef] = &[
    FactDef::new(
        "cpu.vendor",
        Kind::Text,
        "Maker: intel, amd, hygon, zhaoxin, arm, power, s390 or other",
        "grep -m1 -E 'vendor_id|implementer' /proc/cpuinfo",
    ),
    FactDef::new(
        "cpu.family",
        Kind::Int,
        "x86 family, decimal",
        "grep -m1 'cpu family' /proc/cpuinfo",
    ),
    FactDef::new("cpu.model", Kind::Int, "x86 model, decimal", "grep -m1 -w model /proc/cpuinfo"),
    FactDef::new(
        "cpu.stepping",
        Kind::Int,
        "x86 stepping, decimal",
        "grep -m1 stepping /proc/cpuinfo",
    ),
    FactDef::new(
        "cpu.model_name",
        Kind::Text,
        "Model for people; a guest sees what its CPU definition says",
        "grep -m1 'model name' /proc/cpuinfo",
    ),
    FactDef::new("cpu.flags", Kind::Words, "Features that every listed processor has", FLAGS),
    FactDef::new(
        "cpu.vmx_flags",
        Kind::Words,
        "VMX features that every listed processor has, `vmx flags` (5.9 on)",
        "grep -m1 'vmx flags' /proc/cpuinfo",
    ),
    FactDef::new(
        "cpu.flags_differ",
        Kind::Bool,
        "Not all listed processors have the same features",
        "grep -E '^(flags|Features)' /proc/cpuinfo | sort | uniq -c",
    ),
    FactDef::new(
        "cpu.count",
        Kind::Int,
        "Processors that are listed, which are those online",
        "grep -c ^processor /proc/cpuinfo",
    ),
    FactDef::new(
        "cpu.hypervisor",
        Kind::Bool,
        "The processor says that a hypervisor is below (x86 only)",
        "grep -cw hypervisor /proc/cpuinfo",
    ),
    FactDef::new(
        "cpu.virt",
        Kind::Bool,
        "vmx or svm is shown on every listed processor (x86 only)",
        "grep -cwE 'vmx|svm' /proc/cpuinfo",
    ),
    FactDef::new(
        "cpu.virt_ext",
        Kind::Text,
        "Which one it is, vmx or svm, where it is shown",
        "grep -m1 -owE 'vmx|svm' /proc/cpuinfo",
    ),
    FactDef::new(
        "cpu.slat",
        Kind::Bool,
        "Where cpu.virt holds: second level address translation, ept or npt, is there too",
        "grep -cwE 'ept|npt' /proc/cpuinfo",
    ),
    FactDef::new(
        "microcode.revision",
        Kind::Int,
        "Lowest microcode revision of all processors",
        MICROCODE,
    ),
    FactDef::new(
        "microcode.revisions",
        Kind::Words,
        "Microcode revisions of all processors, as printed",
        MICROCODE,
    ),
    FactDef::new("microcode.mixed", Kind::Bool, "Processors run different microcode", MICROCODE),
];

/// Word for a vendor string of CPUID or of lscpu.
pub(super) fn vendor(id: &str) -> &'static str {
    match id.trim() {
        "GenuineIntel" => "intel",
        "AuthenticAMD" => "amd",
        "HygonGenuine" => "hygon",
        "CentaurHauls" | "Shanghai" => "zhaoxin",
        "ARM" | "Apple" => "arm",
        "IBM/S390" => "s390",
        "IBM" => "power",
        _ => "other",
    }
}

/// The listed processors, with the text to find lines in again.
struct Cpus<'a> {
    path: &'a str,
    text: &'a str,
    info: CpuInfo,
}

impl<'a> Cpus<'a> {
    fn read(path: &'a str, text: &'a str) -> Option<Self> {
        let mut info = CpuInfo::from_buf_read(text.as_bytes()).ok()?;
        if !(0..info.num_cores()).any(|cpu| info.get_field(cpu, "processor").is_some()) {
            // An extract, or a machine such as s390 that lists all in one block.
            let one = format!("processor : 0\n{}", text.replace("\n\n", "\n"));
            info = CpuInfo::from_buf_read(one.as_bytes()).ok()?;
        }
        Some(Self { path, text, info })
    }

    /// A field of every processor that has it.
    fn each(&self, key: &str) -> Vec<&str> {
        (0..self.info.num_cores()).filter_map(|cpu| self.info.get_field(cpu, key)).collect()
    }

    /// Place and text of the nth line of a key.
    fn line(&self, key: &str, nth: usize) -> Option<(u32, &'a str)> {
        (1u32..)
            .zip(self.text.lines())
            .filter(|(_, line)| line.split(':').next().is_some_and(|k| k.trim() == key))
            .nth(nth)
    }

    fn origin(&self, key: &str, nth: usize) -> Origin {
        match self.line(key, nth) {
            Some((number, line)) => Origin::new(self.path, Some(number), line),
            None => Origin::new(self.path, None, ""),
        }
    }
}

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let text = complete(&text, piece.whole);
    if text.trim().is_empty() {
        return;
    }
    let Some(cpus) = Cpus::read(piece.path, text).filter(|_| text.contains(':')) else {
        out.problem(piece.path, None, "not a list of processors");
        return;
    };
    identity(&cpus, out);
    if piece.whole {
        count(&cpus, out);
    }
    features(&cpus, out);
    microcode(&cpus, out);
}

/// Leaves a last line out that may be cut: half a line of flags would look like lost features.
fn complete(text: &str, whole: bool) -> &str {
    let several = text.matches("processor").count() > 1;
    if text.ends_with('\n') || (whole && !several) {
        return text;
    }
    text.rfind('\n').and_then(|end| text.get(..=end)).unwrap_or("")
}

fn identity(cpus: &Cpus<'_>, out: &mut Out) {
    let vendor_key = ["vendor_id", "CPU implementer", "cpu"].into_iter().find_map(|key| {
        let first = *cpus.each(key).first()?;
        let word = match key {
            "vendor_id" => vendor(first),
            "CPU implementer" => "arm",
            _ if first.starts_with("POWER") => "power",
            _ => "other",
        };
        Some((key, word))
    });
    if let Some((key, word)) = vendor_key {
        out.fact("cpu.vendor", Value::text(word), cpus.origin(key, 0));
    }
    for (key, name) in
        [("cpu family", "cpu.family"), ("model", "cpu.model"), ("stepping", "cpu.stepping")]
    {
        let Some(first) = cpus.each(key).first().copied() else { continue };
        match first.parse() {
            Ok(number) => out.fact(name, Value::Int(number), cpus.origin(key, 0)),
            // POWER and MIPS use the same keys for text.
            Err(_) if !cpus.each("flags").is_empty() && first != "unknown" => {
                let line = cpus.line(key, 0).map(|(number, _)| number);
                out.problem(cpus.path, line, format!("`{key}` is not a number"));
            }
            Err(_) => {}
        }
    }
    // From the line itself: a colon in the name would end the field for procfs.
    let name = cpus.line("model name", 0).and_then(|(_, line)| line.split_once(':'));
    if let Some((_, name)) = name
        && !name.trim().is_empty()
    {
        out.fact("cpu.model_name", Value::text(name.trim()), cpus.origin("model name", 0));
    }
}

fn count(cpus: &Cpus<'_>, out: &mut Out) {
    if let Some(total) = cpus.each("# processors").first().and_then(|n| n.parse().ok()) {
        out.fact("cpu.count", Value::Int(total), cpus.origin("# processors", 0));
        return;
    }
    if let (Some(_), Ok(listed)) =
        (cpus.line("processor", 0), i64::try_from(cpus.each("processor").len()))
    {
        out.fact("cpu.count", Value::Int(listed), cpus.origin("processor", 0));
    }
}

/// Words that all lists have, and which list is the first to differ from the first one.
fn common<'a>(lists: &[&'a str]) -> (BTreeSet<&'a str>, Option<usize>) {
    let words = |list: &'a str| list.split_whitespace().collect::<BTreeSet<_>>();
    let mut shared = lists.first().map(|first| words(first)).unwrap_or_default();
    let reference = shared.clone();
    let mut differing = None;
    for (nth, list) in lists.iter().enumerate().skip(1) {
        if lists.first() == Some(list) {
            continue;
        }
        let here = words(list);
        if here != reference {
            differing = differing.or(Some(nth));
            shared.retain(|word| here.contains(word));
        }
    }
    (shared, differing)
}

fn features(cpus: &Cpus<'_>, out: &mut Out) {
    let Some((key, lists)) = ["flags", "Features", "features", "isa"]
        .into_iter()
        .map(|key| (key, cpus.each(key)))
        .find(|(_, lists)| !lists.is_empty())
    else {
        return;
    };
    let (shared, differing) = common(&lists);
    let place = cpus.origin(key, differing.unwrap_or(0));
    let flags = Value::words(shared.iter().copied());
    out.fact("cpu.flags", flags, cpus.origin(key, 0));
    out.fact("cpu.flags_differ", Value::Bool(differing.is_some()), place.clone());
    let vmx_lists = cpus.each("vmx flags");
    let (vmx, _) = common(&vmx_lists);
    if !vmx_lists.is_empty() {
        let words = Value::words(vmx.iter().copied());
        out.fact("cpu.vmx_flags", words, cpus.origin("vmx flags", 0));
    }
    if key == "flags" {
        x86_features(&shared, &vmx, &place, out);
    }
}

fn x86_features(flags: &BTreeSet<&str>, vmx: &BTreeSet<&str>, place: &Origin, out: &mut Out) {
    out.fact("cpu.hypervisor", Value::Bool(flags.contains("hypervisor")), place.clone());
    let extension = ["vmx", "svm"].into_iter().find(|word| flags.contains(word));
    out.fact("cpu.virt", Value::Bool(extension.is_some()), place.clone());
    if let Some(word) = extension {
        out.fact("cpu.virt_ext", Value::text(word), place.clone());
        let slat = flags.contains("ept") || flags.contains("npt") || vmx.contains("ept");
        out.fact("cpu.slat", Value::Bool(slat), place.clone());
    }
}

fn microcode(cpus: &Cpus<'_>, out: &mut Out) {
    let printed = cpus.each("microcode");
    let mut lowest: Option<(i64, usize)> = None;
    for (nth, text) in printed.iter().enumerate() {
        let hex = text.strip_prefix("0x").unwrap_or(text);
        match i64::from_str_radix(hex, 16) {
            Ok(revision) if lowest.is_none_or(|(low, _)| revision < low) => {
                lowest = Some((revision, nth));
            }
            Ok(_) => {}
            Err(_) => {
                let line = cpus.line("microcode", nth).map(|(number, _)| number);
                out.problem(cpus.path, line, "the microcode revision is not hexadecimal");
                return;
            }
        }
    }
    let Some((revision, nth)) = lowest else { return };
    let differing = printed.iter().position(|text| Some(text) != printed.first());
    let place = cpus.origin("microcode", differing.unwrap_or(0));
    out.fact("microcode.revision", Value::Int(revision), cpus.origin("microcode", nth));
    out.fact("microcode.revisions", Value::words(printed.iter().copied()), place.clone());
    out.fact("microcode.mixed", Value::Bool(differing.is_some()), place);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::show;

    fn read_part(text: &str, whole: bool) -> Out {
        let mut out = Out::default();
        parse(Piece { path: "proc/cpuinfo", bytes: text.as_bytes(), whole }, &mut out);
        out
    }

    fn read(text: &str) -> Out {
        read_part(text, true)
    }

    fn cpu(number: u32, flags: &str, microcode: &str) -> String {
        format!(
            "processor\t: {number}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
             model name\t: Xeon: the big one\nstepping\t: 7\nmicrocode\t: {microcode}\n\
             flags\t\t: {flags}\npower management:\n\n"
        )
    }

    #[test]
    fn two_equal_processors() {
        let flags = "fpu vmx ept hypervisor";
        let out = read(&(cpu(0, flags, "0x5003707") + &cpu(1, flags, "0x5003707")));
        assert_eq!(show(&out, "cpu.vendor").unwrap(), "intel");
        assert_eq!(show(&out, "cpu.model").unwrap(), "85");
        assert_eq!(show(&out, "cpu.model_name").unwrap(), "Xeon: the big one");
        assert_eq!(show(&out, "cpu.count").unwrap(), "2");
        assert_eq!(show(&out, "cpu.virt_ext").unwrap(), "vmx");
        assert_eq!(show(&out, "cpu.slat").unwrap(), "true");
        assert_eq!(show(&out, "cpu.hypervisor").unwrap(), "true");
        assert_eq!(show(&out, "cpu.flags_differ").unwrap(), "false");
        assert_eq!(show(&out, "microcode.revision").unwrap(), 0x0500_3707.to_string());
        assert_eq!(show(&out, "microcode.mixed").unwrap(), "false");
        assert!(out.problems.is_empty());
    }

    #[test]
    fn a_differing_processor_is_pointed_at() {
        let out = read(&(cpu(0, "fpu vmx", "0x20") + &cpu(1, "fpu", "0x1f")));
        assert_eq!(show(&out, "cpu.flags").unwrap(), "fpu");
        assert_eq!(show(&out, "cpu.virt").unwrap(), "false");
        assert_eq!(show(&out, "cpu.slat"), None);
        let virt = out.facts.iter().find(|f| f.name == "cpu.virt").unwrap();
        assert_eq!(virt.origin.line, Some(18), "the flags line of the second processor");
        assert_eq!(show(&out, "microcode.revision").unwrap(), "31");
        assert_eq!(show(&out, "microcode.revisions").unwrap(), "0x1f 0x20");
        assert_eq!(show(&out, "microcode.mixed").unwrap(), "true");
    }

    #[test]
    fn a_cut_list_loses_no_features() {
        let text = cpu(0, "fpu vmx ept", "0x20") + &cpu(1, "fpu vmx ept", "0x20");
        let cut = &text[..text.rfind(" ept").unwrap()];
        for whole in [true, false] {
            let out = read_part(cut, whole);
            assert_eq!(show(&out, "cpu.flags").unwrap(), "ept fpu vmx");
        }
        assert_eq!(show(&read_part(cut, false), "cpu.count"), None);
    }

    #[test]
    fn ept_in_the_vmx_line_counts() {
        let text =
            "processor : 0\nvendor_id : GenuineIntel\nflags : fpu vmx\nvmx flags : vnmi ept vpid\n";
        let out = read(text);
        assert_eq!(show(&out, "cpu.slat").unwrap(), "true");
        assert_eq!(show(&out, "cpu.vmx_flags").unwrap(), "ept vnmi vpid");
    }

    #[test]
    fn arm_has_features_and_no_x86_answers() {
        let out = read(
            "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n\
             Hardware\t: BCM2835\nModel\t\t: Some Board Rev 1.4\n",
        );
        assert_eq!(show(&out, "cpu.vendor").unwrap(), "arm");
        assert_eq!(show(&out, "cpu.flags").unwrap(), "asimd fp");
        assert_eq!(show(&out, "cpu.count").unwrap(), "1");
        assert_eq!(show(&out, "cpu.virt"), None);
        assert_eq!(show(&out, "cpu.model"), None);
        assert!(out.problems.is_empty());
    }

    #[test]
    fn s390_lists_all_in_one_block() {
        let out = read(
            "vendor_id       : IBM/S390\n# processors    : 4\nfeatures\t: esan3 zarch sie\n\nprocessor 0: version = FF\n",
        );
        assert_eq!(show(&out, "cpu.vendor").unwrap(), "s390");
        assert_eq!(show(&out, "cpu.count").unwrap(), "4");
        assert_eq!(show(&out, "cpu.virt"), None);
    }

    #[test]
    fn an_extract_tells_what_it_tells() {
        let out = read("flags : fpu svm npt");
        assert_eq!(show(&out, "cpu.virt_ext").unwrap(), "svm");
        assert_eq!(show(&out, "cpu.count"), None);
        assert_eq!(show(&out, "cpu.vendor"), None);
    }

    #[test]
    fn broken_input_gives_problems() {
        assert!(read("").facts.is_empty());
        assert_eq!(read("no such file\n").problems.len(), 1);
        let out = read("processor : 0\nmicrocode : zz\nmodel : x\nflags : fpu\n");
        assert_eq!(out.problems.len(), 2);
        assert_eq!(show(&out, "microcode.revision"), None);
    }
}
