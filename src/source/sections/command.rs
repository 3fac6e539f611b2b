//! Command lines, as people and tools write them, and the outputs that evidence knows.
//!
//! A want's own arguments come first: `/usr/bin/uname -a` is what `uname -a` printed, wherever the
//! program lies. Then a table of other spellings, then the name that the line would have as a
//! file: `systemctl status kvm.service` is `commands/systemctl-status-kvm.service.txt`.

use super::super::wanted::Wanted;

/// Other spellings, by their beginning, and the plain name of what they print.
const SPELLINGS: &[(&str, &str)] = &[
    ("journalctl --no-pager --list-boot", ""),
    ("journalctl --boot=0 --no-pager --disk-usage", ""),
    ("dmidecode -t bios", "dmidecode"),
    ("rpm -qa --last", "rpm-qa"),
    ("rpm -qa --queryformat", ""),
    ("vmware -vl", "vmware-v"),
    ("virsh -r dumpxml ", "virsh-dumpxml-*"),
    ("virsh dumpxml ", "virsh-dumpxml-*"),
    ("virsh capabilities", "virsh-capabilities"),
    ("lspci -vv", "lspci"),
    ("ip addr", "ip-addr"),
    ("ip a", "ip-addr"),
];

/// Programs at the end of a pipe that leave lines as they are.
const HARMLESS: &[&str] = &["sort", "tail", "head", "cat", "column"];

/// The canonical path of what a command line prints; `None` where nobody wants it.
pub(in super::super) fn canonical(wanted: &Wanted, line: &str) -> Option<String> {
    let words = words(line)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(name) = wanted.command(&words) {
        return Some(format!("commands/{name}.txt"));
    }
    let plain = words.join(" ");
    if let Some((spelling, name)) = SPELLINGS.iter().find(|(s, _)| plain.starts_with(s)) {
        let last = words.last().filter(|_| plain.len() > spelling.len());
        let name = name.replace('*', last.copied().unwrap_or_default());
        return wanted.output(&name);
    }
    let args = || words.iter().skip(1);
    let all: Vec<&str> = args().map(|a| a.trim_start_matches('-')).collect();
    let bare: Vec<&str> = args().copied().filter(|a| !a.starts_with('-')).collect();
    let program = words.first()?;
    [all, bare].iter().find_map(|args| {
        let mut name = (*program).to_owned();
        for arg in args {
            name = format!("{name}-{}", arg.replace('/', "_"));
        }
        wanted.output(&name)
    })
}

/// The words of a command line: the program without its folder, its arguments, and nothing of a
/// pipe that changes no line. `None` where something else came of the output.
fn words(line: &str) -> Option<Vec<String>> {
    let mut parts = line.split(" | ");
    let first = parts.next()?;
    let harmless =
        |part: &str| part.split_whitespace().next().is_some_and(|p| HARMLESS.contains(&p));
    if !parts.all(harmless) {
        return None;
    }
    let mut words = first
        .split_whitespace()
        .filter(|w| !matches!(*w, "2>/dev/null" | "2>&1"))
        .map(|w| w.trim_matches(['\'', '"']).to_owned());
    let program = words.next()?;
    let program = program.rsplit('/').next().unwrap_or(&program).to_owned();
    (!program.is_empty()).then(|| std::iter::once(program).chain(words).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Want;

    #[test]
    fn a_command_line_is_known_wherever_its_program_lies() {
        let wants = [
            Want::command("uname", &["uname", "-a"], &[]),
            Want::command("lsmod", &["lsmod"], &[]),
            Want::command("rpm-qa", &["rpm", "-qa"], &[]),
            Want::command("virsh-dumpxml-*", &[], &[]),
            Want::output("dmesg*"),
            Want::output("systemctl-status*"),
            Want::output("journalctl*"),
        ];
        let wanted = Wanted::new(wants.into_iter());
        for (line, name) in [
            ("/usr/bin/uname -a", Some("uname")),
            ("/sbin/lsmod | sort", Some("lsmod")),
            ("lsmod | grep kvm", None),
            ("/bin/dmesg -T", Some("dmesg-T")),
            ("rpm -qa --last", Some("rpm-qa")),
            ("virsh -r dumpxml vm1", Some("virsh-dumpxml-vm1")),
            ("/usr/bin/systemctl status kvm.service", Some("systemctl-status-kvm.service")),
            (
                "/usr/bin/journalctl --boot=0 --no-pager --output=short-iso | tail -n 1000",
                Some("journalctl-boot=0-no-pager-output=short-iso"),
            ),
            ("journalctl --no-pager --list-boot", None),
            ("modinfo kvm", None),
            ("", None),
        ] {
            let expected = name.map(|n| format!("commands/{n}.txt"));
            assert_eq!(canonical(&wanted, line), expected, "{line}");
        }
    }
}
