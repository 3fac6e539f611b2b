//! Known bugs of the running kernel: its upstream version against `rules/tables/kernel-bugs.tsv`.
//!
//! A version number tells which fixes a kernel has only where nobody backports fixes without
//! changing it. Debian, Fedora, Arch and those who build kernel.org's releases follow the stable
//! series, and Ubuntu says in `/proc/version_signature` which stable release its kernel is based
//! on. A kernel of RHEL, SUSE, a cloud or Android carries fixes of its own: by its number a bug is
//! only possible.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::{Analyzer, Run, derived};
use crate::model::{Fact, FactDef, Host, Kind, Value, Version};

/// Known bugs of the running kernel.
pub const ANALYZER: Analyzer = Analyzer { name: "kernel_bugs", facts: FACTS, run: Run::Host(run) };

const FACTS: &[FactDef] = &[
    FactDef::new(
        "kernel.upstream",
        Kind::Version,
        "upstream release that the running kernel is, or is based on, where that can be told",
        "uname -rv; cat /proc/version_signature",
    ),
    FactDef::new(
        "kernel.bugs",
        Kind::Words,
        "known bugs of KVM in this upstream release, by their ids in rules/tables/kernel-bugs.tsv",
        "uname -rv; cat /proc/version_signature",
    ),
    FactDef::new(
        "kernel.bugs_possible",
        Kind::Words,
        "the same by the number of a kernel whose distributor backports fixes: it may have the fix",
        "uname -rv",
    ),
];

const TABLE: &str = include_str!("../../rules/tables/kernel-bugs.tsv");

/// A row of the table.
#[derive(Debug)]
struct Bug {
    id: &'static str,
    cpu: &'static str,
    introduced: Vec<Version>,
    fixed: Vec<Version>,
}

impl Bug {
    fn read(line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let mut next = || columns.next().map(str::trim);
        let (id, cpu) = (next()?, next()?);
        let versions = |list: &str| list.split(',').filter_map(Version::parse).collect();
        let (introduced, fixed) = (versions(next()?), versions(next()?));
        Some(Self { id, cpu, introduced, fixed })
    }

    /// Whether a release has the bug: after what brought it, before what fixed it, in mainline or
    /// in its own stable series.
    fn affects(&self, release: &Version) -> bool {
        let has = |versions: &[Version]| {
            let Some((mainline, stable)) = versions.split_first() else { return false };
            let own = stable.iter().find(|s| s.series() == release.series());
            let first = own.unwrap_or(mainline);
            release.compare(first).is_ge() || release.compare(mainline).is_ge()
        };
        (self.introduced.is_empty() || has(&self.introduced)) && !has(&self.fixed)
    }
}

fn table() -> &'static [Bug] {
    static BUGS: OnceLock<Vec<Bug>> = OnceLock::new();
    BUGS.get_or_init(|| {
        let rows = TABLE.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
        rows.skip(1).filter_map(Bug::read).collect()
    })
}

fn run(host: &Host) -> Vec<Fact> {
    let Some(version) = host.facts.first("kernel.version") else { return Vec::new() };
    let mut facts = Vec::new();
    let upstream = upstream(host);
    if let Some(fact) = &upstream {
        facts.push(fact.clone());
    }
    let (name, fact) = match &upstream {
        Some(upstream) => ("kernel.bugs", upstream),
        None => ("kernel.bugs_possible", version),
    };
    let (Value::Version(release), Some(cpu)) = (&fact.value, host.facts.text("virt.vendor")) else {
        return facts;
    };
    let on_cpu =
        |bug: &&Bug| bug.cpu == "any" || bug.cpu == cpu || (bug.cpu == "amd" && cpu == "hygon");
    let bugs = table().iter().filter(on_cpu).filter(|bug| bug.affects(release));
    let bugs: BTreeSet<String> = bugs.map(|bug| bug.id.to_owned()).collect();
    facts.push(derived(name, Value::Words(bugs), &fact.origin));
    facts
}

fn upstream(host: &Host) -> Option<Fact> {
    if let Some(fact) = host.facts.first("kernel.base") {
        return Some(derived("kernel.upstream", fact.value.clone(), &fact.origin));
    }
    let fact = host.facts.first("kernel.version")?;
    let release = host.facts.text("kernel.release")?;
    let Value::Version(version) = &fact.value else { return None };
    follows_stable(release)
        .then(|| derived("kernel.upstream", Value::Version(version.clone()), &fact.origin))
}

/// Whether a release's number is that of the stable release it is built from: nothing follows the
/// three numbers (kernel.org, NixOS), or the mark of a distribution that adds no fixes of its own.
fn follows_stable(release: &str) -> bool {
    const MARKS: &[&str] = &["-arch", ".fc", "-zen", "-gentoo", "-coreos", ".native", "-void"];
    let numbers = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    let (numbers, rest) = release.split_at(numbers);
    // `5.4.0` of a distribution is no stable release; kernel.org calls it 5.4.
    let stable =
        numbers.split('.').filter(|p| !p.is_empty()).count() >= 2 && !numbers.ends_with(".0");
    stable && (rest.is_empty() || rest.starts_with("-rc") || MARKS.iter().any(|m| rest.contains(m)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Layer, Origin};

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn a_stable_update_has_the_fix_before_mainline() {
        let bug = Bug::read("x\tany\t4.13\t5.14,5.13.12,5.10.60\twhat\tsource").unwrap();
        for (release, affected) in [
            ("4.12.14", false),
            ("4.13", true),
            ("5.10.59", true),
            ("5.10.60", false),
            ("5.11.22", true),
            ("5.13.11", true),
            ("5.13.12", false),
            ("5.14.0", false),
            ("6.1.1", false),
        ] {
            assert_eq!(bug.affects(&version(release)), affected, "{release}");
        }
    }

    #[test]
    fn a_stable_update_can_bring_a_bug() {
        let bug = Bug::read("x\tany\t6.7,6.6.14\t6.8,6.7.3,6.6.20\twhat\tsource").unwrap();
        for (release, affected) in [
            ("6.6.13", false),
            ("6.6.14", true),
            ("6.6.20", false),
            ("6.7.1", true),
            ("6.1.99", false),
        ] {
            assert_eq!(bug.affects(&version(release)), affected, "{release}");
        }
        let old = Bug::read("x\tany\t-\t4.11\twhat\tsource").unwrap();
        assert!(old.affects(&version("2.6.32")) && !old.affects(&version("4.11")));
    }

    #[test]
    fn only_those_who_follow_stable_are_judged_by_their_number() {
        for release in
            ["6.12.4", "6.4.7-200.fc38.x86_64", "6.6.1-arch1-1", "6.13-rc2", "4.19.53-783.native"]
        {
            assert!(follows_stable(release), "{release}");
        }
        for release in [
            "5.15.0-94-generic",
            "4.18.0-372.26.1.el8_6.x86_64",
            "5.3.18-150300.59.87-default",
            "6.8.4-2-pve",
            "6.1.155-176.282.amzn2023.x86_64",
            "5.15.150.1-microsoft-standard-WSL2",
            "6.1.0-18-amd64",
        ] {
            assert!(!follows_stable(release), "{release}");
        }
    }

    #[test]
    fn the_vendor_of_the_cpu_decides_which_bugs_count() {
        let facts = |cpu: &str| {
            let mut host = Host::new("x", Layer::L0, "x");
            for (name, value) in [
                ("kernel.release", Value::text("5.10.59")),
                ("kernel.version", Value::Version(version("5.10.59"))),
                ("virt.vendor", Value::text(cpu)),
            ] {
                host.facts.add(Fact { name, instance: None, value, origin: Origin::default() });
            }
            run(&host)
        };
        let has = |cpu| match &facts(cpu).last().unwrap().value {
            Value::Words(words) => words.contains("cve-2021-3656"),
            other => panic!("{other:?}"),
        };
        assert!(has("amd") && !has("intel"));
    }

    #[test]
    fn the_table_is_whole() {
        let rows = TABLE.lines().filter(|l| !l.starts_with('#')).skip(1);
        for row in rows {
            let columns: Vec<&str> = row.split('\t').collect();
            assert_eq!(columns.len(), 6, "{row}");
            assert!(["intel", "amd", "any"].contains(&columns[1]), "{row}");
            assert!(columns[5].starts_with("https://"), "{row}");
            let versions = columns[2..4].iter().flat_map(|c| c.split(','));
            assert!(versions.filter(|v| *v != "-").all(|v| Version::parse(v).is_some()), "{row}");
        }
        let ids: BTreeSet<_> = table().iter().map(|b| b.id).collect();
        assert_eq!(ids.len(), table().len(), "an id stands for one bug");
    }
}
