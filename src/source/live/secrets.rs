//! Secrets do not travel: a bundle goes to strangers, and no diagnosis needs a password.
//!
//! What is masked in configuration and in the output of commands is the value of a setting whose
//! name speaks of a secret (`vnc_password = "..."` of qemu.conf, `passwd='...'` of a domain,
//! `wpa-psk ...`), and the password in a URL (`mysql://nova:...@db`). Lines stay lines.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

const MASK: &[u8] = b"********";

/// `NAME = VALUE`, `NAME: VALUE`; ini, YAML, shell and JSON alike.
static SETTING: LazyLock<Regex> = LazyLock::new(|| of_names(r#"["']?\s*[=:]\s*"#));
/// `NAME=VALUE` in arguments and attributes; lists of packages hold `NAME:ARCH`.
static ARGUMENT: LazyLock<Regex> = LazyLock::new(|| of_names("="));
/// `wpa-psk VALUE` of interfaces(5).
static WORD: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)(?<name>\b(?:wpa-psk|wireless-key)[ \t]+)(?<value>[^\s]+)"));
static URL: LazyLock<Regex> = LazyLock::new(|| regex(r"(?<name>://[^/\s:@]+:)(?<value>[^@\s/]+)@"));

fn of_names(between: &str) -> Regex {
    regex(&format!(
        r#"(?i)(?<name>[\w.-]*(?:passw(?:or)?d|passphrase|secret|[-_]psk|token|private[-_]?key|api[-_]?key){between})(?:"(?<double>[^"\r\n]*)"|'(?<single>[^'\r\n]*)'|(?<value>[^\s#,;<>&"']+))"#
    ))
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern, which the tests compile")
}

/// The content without its secrets.
pub(super) fn masked<'b>(path: &str, bytes: &'b [u8]) -> Cow<'b, [u8]> {
    let patterns: &[&LazyLock<Regex>] = if path.starts_with("etc/") || path.starts_with("run/") {
        &[&SETTING, &WORD, &URL]
    } else if path.starts_with("commands/") {
        &[&ARGUMENT, &URL]
    } else {
        return Cow::Borrowed(bytes);
    };
    let mut content = Cow::Borrowed(bytes);
    for pattern in patterns {
        if pattern.is_match(&content) {
            content = Cow::Owned(pattern.replace_all(&content, mask).into_owned());
        }
    }
    content
}

fn mask(found: &Captures<'_>) -> Vec<u8> {
    let whole = &found[0];
    let value = ["double", "single", "value"].iter().find_map(|n| found.name(n));
    let Some(value) = value.filter(|v| !v.is_empty()) else { return whole.to_vec() };
    let start = found.get(0).map_or(0, |m| m.start());
    let (before, after) = (value.start() - start, value.end() - start);
    [&whole[..before], MASK, &whole[after..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, text: &str) -> String {
        String::from_utf8(masked(path, text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn passwords_of_configuration_and_domains() {
        let nova = "connection = mysql+pymysql://nova:s3cr3t@db/nova\nadmin_password=hunter2 # old\nhost = a\n";
        assert_eq!(
            of("etc/nova/nova.conf", nova),
            "connection = mysql+pymysql://nova:********@db/nova\nadmin_password=******** # old\nhost = a\n"
        );
        let qemu = "#vnc_password = \"XYZ 1\"\nspice_password=''\nuser = \"root\"\n";
        assert_eq!(
            of("etc/libvirt/qemu.conf", qemu),
            "#vnc_password = \"********\"\nspice_password=''\nuser = \"root\"\n"
        );
        let xml = "<graphics type='vnc' port='-1' passwd='abc'/>\n";
        let hidden = "<graphics type='vnc' port='-1' passwd='********'/>\n";
        assert_eq!(of("etc/libvirt/qemu/a.xml", xml), hidden);
        assert_eq!(of("commands/virsh-dumpxml-a.txt", xml), hidden);
        assert_eq!(of("etc/netplan/01.yaml", "password: \"x y\"\n"), "password: \"********\"\n");
        assert_eq!(of("etc/network/interfaces", "  wpa-psk abcdef\n"), "  wpa-psk ********\n");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for (path, text) in [
            ("commands/dpkg-l.txt", "ii  libsecret-tools:amd64  0.20\nii  passwd:amd64 1:4.13\n"),
            ("proc/cmdline", "root=/dev/sda1 token=1\n"),
            ("etc/nova/nova.conf", "transport_url = rabbit://host:5672/\n[keystone_authtoken]\n"),
            ("etc/group", "kvm:x:36:qemu\n"),
        ] {
            assert_eq!(of(path, text), text);
        }
    }
}
