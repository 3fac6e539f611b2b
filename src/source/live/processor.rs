//! The processor of a live host, for wants that name files by it: firmware for all processors is
//! too much to take along.

#![expect(clippy::disallowed_methods, reason = "source/ is the only reader of the outside")]

use std::path::Path;

/// Family, model and stepping as files are named by them; `None` where the host does not say.
pub(super) struct Processor(Option<(u32, u32, u32)>);

impl Processor {
    /// The first processor that `/proc/cpuinfo` lists.
    pub(super) fn of(root: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
            pairs.find(|(key, _)| key.trim() == name)?.1.trim().parse().ok()
        };
        let all = || Some((field("cpu family")?, field("model")?, field("stepping")?));
        Self(all())
    }

    /// The glob with the processor's numbers in place of `{cpu}` and `{family}`; `None` where it
    /// has them and they are not known.
    pub(super) fn fitting(&self, glob: &str) -> Option<String> {
        if !glob.contains("{cpu}") && !glob.contains("{family}") {
            return Some(glob.to_owned());
        }
        let (family, model, stepping) = self.0?;
        let cpu = format!("{family:02x}-{model:02x}-{stepping:02x}");
        Some(glob.replace("{cpu}", &cpu).replace("{family}", &format!("{family:02x}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_in_hexadecimal() {
        let text =
            "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 94\nmodel name\t: X 1\nstepping\t: 3\n";
        let skylake = Processor::parse(text);
        assert_eq!(skylake.fitting("lib/a/{cpu}*").unwrap(), "lib/a/06-5e-03*");
        let zen3 = Processor::parse("cpu family : 25\nmodel : 1\nstepping : 1\n");
        assert_eq!(zen3.fitting("lib/a_fam{family}h.bin").unwrap(), "lib/a_fam19h.bin");
    }

    #[test]
    fn a_processor_without_numbers_has_no_such_files() {
        let arm = Processor::parse("processor : 0\nCPU implementer : 0x41\n");
        assert_eq!(arm.fitting("lib/a/{cpu}*"), None);
        assert_eq!(arm.fitting("proc/cpuinfo").unwrap(), "proc/cpuinfo");
    }
}
