//! When a package brought other microcode: the logs of dpkg, pacman, zypper, dnf and yum.
//!
//! ```text
//! 2020-06-10 07:04:52 upgrade intel-microcode:amd64 3.2019.1 3.2020.1                  dpkg.log
//! [2020-06-10T07:04:52+0200] [ALPM] upgraded intel-ucode (20200520-1 -> 20200609-1)    pacman.log
//! 2020-06-10 07:04:52|install|ucode-intel|20200602-1|x86_64||repo|sum|                 zypp/history
//! 2020-06-10T07:04:52+0200 SUBDEBUG Upgrade: microcode_ctl-20200602-2.el8.x86_64       dnf.rpm.log
//! Jun 10 07:04:52 Updated: 2:microcode_ctl-2.1-61.6.el7_8.x86_64                        yum.log
//! Start-Date: 2020-06-10  07:04:51                                                     apt/history.log
//! Upgrade: jq:amd64 (1.5, 1.6), intel-microcode:amd64 (3.2019.1, 3.2020.1)
//! ```
//!
//! Times are local ones, in the form `2020-06-10 07:04:52`; yum.log leaves the year out.
//!
//! Not parsed: removals.

use crate::model::{Origin, Out, Piece, Value};
use crate::parse::time::month;

/// Packages that hold microcode. linux-firmware is changed for other reasons too often.
pub(super) const PACKAGES: &[&str] = &[
    "intel-microcode",
    "amd64-microcode",
    "microcode_ctl",
    "ucode-intel",
    "ucode-amd",
    "intel-ucode",
    "amd-ucode",
    "amd-ucode-firmware",
];

pub(super) fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let mut started = None;
    for (number, line) in (1u32..).zip(text.lines()) {
        if let Some(time) = line.strip_prefix("Start-Date: ") {
            started = iso(&time.replace("  ", " "));
        }
        if !line.contains("code") {
            continue;
        }
        let change = of_dpkg(line)
            .or_else(|| of_pacman(line))
            .or_else(|| of_zypper(line))
            .or_else(|| of_dnf(line))
            .or_else(|| of_yum(line))
            .or_else(|| of_apt(line, started.as_deref()));
        if let Some((time, package, version)) = change {
            let origin = Origin::new(piece.path, Some(number), line);
            let value = Value::text(format!("{package} {version}"));
            out.fact_of("microcode.package_change", &time, value, origin);
        }
    }
}

type Change<'a> = (String, &'a str, &'a str);

fn known(name: &str) -> Option<&str> {
    let name = name.split(':').next().unwrap_or(name);
    PACKAGES.contains(&name).then_some(name)
}

/// `2020-06-10T07:04:52...` or with a blank, to seconds.
fn iso(text: &str) -> Option<String> {
    let time = text.get(..19)?.replace('T', " ");
    let shaped = time.bytes().zip(b"dddd-dd-dd dd:dd:dd".iter());
    let good = shaped.clone().all(|(b, s)| if *s == b'd' { b.is_ascii_digit() } else { b == *s });
    good.then_some(time)
}

fn of_dpkg(line: &str) -> Option<Change<'_>> {
    let time = iso(line)?;
    let mut words = line.get(20..)?.split(' ');
    let action = words.next()?;
    let package = known(words.next()?)?;
    let (old, new) = (words.next()?, words.next()?);
    (matches!(action, "upgrade" | "install") && old != new).then_some((time, package, new))
}

fn of_pacman(line: &str) -> Option<Change<'_>> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let rest = rest.strip_prefix("[ALPM] ")?;
    let mut words = rest.split(' ');
    let action = words.next()?;
    let package = known(words.next()?)?;
    let version = words.next_back()?.trim_matches(['(', ')']);
    let other = matches!(action, "upgraded" | "installed" | "downgraded");
    other.then_some((iso(time).or_else(|| iso(&format!("{time}:00")))?, package, version))
}

fn of_zypper(line: &str) -> Option<Change<'_>> {
    let mut fields = line.split('|');
    let time = iso(fields.next()?)?;
    let install = fields.next()? == "install";
    let package = known(fields.next()?)?;
    install.then_some((time, package, fields.next()?))
}

fn of_dnf(line: &str) -> Option<Change<'_>> {
    let time = iso(line)?;
    let (_, rest) = line.split_once(" SUBDEBUG ")?;
    let (action, package) = rest.split_once(": ")?;
    let (package, version) = of_rpm(package.trim())?;
    matches!(action, "Upgrade" | "Installed" | "Downgrade").then_some((time, package, version))
}

fn of_yum(line: &str) -> Option<Change<'_>> {
    let (month_name, rest) = line.split_at_checked(3)?;
    let (day, clock) = (rest.get(..3)?.trim(), rest.get(4..12)?);
    let time = format!("{:02}-{:0>2} {clock}", month(month_name)?, day);
    let (action, package) = rest.get(13..)?.split_once(": ")?;
    let package = package.split_once(':').map_or(package, |(_, rest)| rest);
    let (package, version) = of_rpm(package.trim())?;
    matches!(action, "Updated" | "Installed").then_some((time, package, version))
}

/// Packages of one run stand in one line.
fn of_apt<'a>(line: &'a str, started: Option<&str>) -> Option<Change<'a>> {
    let (action, packages) = line.split_once(": ")?;
    if !matches!(action, "Upgrade" | "Install" | "Downgrade") {
        return None;
    }
    // `name:arch (old, new)`: the comma inside the brackets is no border.
    packages.split("), ").find_map(|one| {
        let (name, versions) = one.split_once(" (")?;
        let versions = versions.trim_end_matches(')');
        let new = versions.split(", ").find(|v| *v != "automatic" && !versions.starts_with(*v));
        let new = new.or_else(|| versions.split(", ").next())?;
        Some((started?.to_owned(), known(name)?, new))
    })
}

/// `name-version-release.arch`
fn of_rpm(text: &str) -> Option<(&str, &str)> {
    let package = *PACKAGES.iter().find(|p| {
        let rest = text.strip_prefix(**p).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })?;
    Some((package, text.get(package.len() + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn changes(path: &str, text: &str) -> Vec<(String, String)> {
        let out = testing::read(parse, path, text);
        let all = out.facts.iter().map(|f| (f.instance.clone().unwrap(), f.value.to_string()));
        all.collect()
    }

    #[test]
    fn all_package_managers() {
        for (path, text, time, change) in [
            (
                "var/log/dpkg.log",
                "2021-02-03 04:05:06 status installed intel-microcode:amd64 3.2021.1\n\
                 2021-02-03 04:05:07 upgrade intel-microcode:amd64 3.2020.1 3.2021.1\n\
                 2021-02-03 04:05:08 upgrade vscode:amd64 1 2\n",
                "2021-02-03 04:05:07",
                "intel-microcode 3.2021.1",
            ),
            (
                "var/log/pacman.log",
                "[2021-02-03T04:05:07+0100] [ALPM] upgraded amd-ucode (20210101-1 -> 20210202-1)\n",
                "2021-02-03 04:05:07",
                "amd-ucode 20210202-1",
            ),
            (
                "var/log/zypp/history",
                "2021-02-03 04:05:07|install|ucode-intel|20201110-1.1|x86_64||repo|abc|\n\
                 2021-02-03 04:05:09|remove |ucode-intel|20200602-1.1|x86_64||\n",
                "2021-02-03 04:05:07",
                "ucode-intel 20201110-1.1",
            ),
            (
                "var/log/dnf.rpm.log",
                "2021-02-03T04:05:07+0000 SUBDEBUG Upgrade: microcode_ctl-4:20200609-2.el8.x86_64\n\
                 2021-02-03T04:05:07+0000 SUBDEBUG Upgraded: microcode_ctl-4:20191115-4.el8.x86_64\n",
                "2021-02-03 04:05:07",
                "microcode_ctl 4:20200609-2.el8.x86_64",
            ),
            (
                "var/log/apt/history.log",
                "Start-Date: 2021-02-03  04:05:07\nCommandline: apt upgrade\n\
                 Upgrade: jq:amd64 (1.5, 1.6), intel-microcode:amd64 (3.2020.1, 3.2021.1), vim:amd64 (1, 2)\n",
                "2021-02-03 04:05:07",
                "intel-microcode 3.2021.1",
            ),
            (
                "var/log/apt/history.log",
                "Start-Date: 2021-02-03  04:05:07\nInstall: amd64-microcode:amd64 (3.2020.1, automatic)\n",
                "2021-02-03 04:05:07",
                "amd64-microcode 3.2020.1",
            ),
            (
                "var/log/yum.log",
                "Feb 03 04:05:07 Updated: 2:microcode_ctl-2.1-61.6.el7_8.x86_64\n",
                "02-03 04:05:07",
                "microcode_ctl 2.1-61.6.el7_8.x86_64",
            ),
        ] {
            assert_eq!(changes(path, text), [(time.to_owned(), change.to_owned())], "{path}");
        }
    }

    #[test]
    fn broken_lines_are_left_out() {
        let text = "2021-02-03 upgrade intel-microcode\n[x] [ALPM] upgraded amd-ucode\nÄÖÜ Updated: code\n\
                    2021-02-03 04:05:07 upgrade intel-microcode:amd64\n||ucode-intel|\n";
        assert_eq!(changes("var/log/dpkg.log", text), []);
    }
}
