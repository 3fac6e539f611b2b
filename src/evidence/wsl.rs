//! WSL 2: `wsl --version`, .wslconfig and wsl.conf.
//!
//! `wsl --version` prints labels in the language of Windows, in UTF-16 where it is redirected, so
//! lines are told apart by their numbers. `.wslconfig` of the Windows user holds what concerns
//! the VM (section `[wsl2]`); /etc/wsl.conf concerns the distribution, and WSL ignores the VM's
//! keys there (<https://learn.microsoft.com/windows/wsl/wsl-config>).

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Version, Want};
use crate::parse::{kv, lines};

/// WSL 2.
pub const SLICE: Slice = Slice { name: "wsl", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::output("wsl-version*"),
    Want::file("mnt/c/Users/*/.wslconfig"),
    Want::given("**/.wslconfig"),
    Want::file("etc/wsl.conf"),
];

const FACTS: &[FactDef] = &[
    FactDef::new("wsl.version", Kind::Version, "Version of WSL itself", "wsl.exe --version"),
    FactDef::new(
        "wsl.windows_build",
        Kind::Int,
        "Build of the Windows that WSL runs on; nesting needs 22000 (Windows 11)",
        "wsl.exe --version",
    ),
    FactDef::new(
        "wsl.nested_setting",
        Kind::Bool,
        "nestedVirtualization in section [wsl2] of the Windows user's .wslconfig",
        "cat /mnt/c/Users/*/.wslconfig",
    ),
    FactDef::new(
        "wsl.systemd",
        Kind::Bool,
        "Whether the distribution starts systemd, from /etc/wsl.conf",
        "cat /etc/wsl.conf",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = crate::parse::decoded(piece.bytes);
    match piece.file_name() {
        ".wslconfig" => {
            setting(piece, &text, ("wsl2", "nestedVirtualization"), "wsl.nested_setting", out);
        }
        "wsl.conf" => setting(piece, &text, ("boot", "systemd"), "wsl.systemd", out),
        _ => versions(piece, &text, out),
    }
}

/// A yes or no; section and key compare without case, as in Windows.
fn setting(
    piece: Piece<'_>,
    text: &str,
    (section, key): (&str, &str),
    fact: &'static str,
    out: &mut Out,
) {
    let wanted = |s: &kv::Setting<'_>| {
        s.section.eq_ignore_ascii_case(section) && s.key.eq_ignore_ascii_case(key)
    };
    for setting in kv::ini(text).filter(wanted) {
        let (line, text) = (setting.line, setting.text);
        if let Some(on) = kv::boolean(setting.value) {
            out.fact(fact, Value::Bool(on), Origin::new(piece.path, Some(line), text));
        } else {
            let what = format!("{key} is neither true nor false: WSL ignores it");
            out.problem(piece.path, Some(line), what);
        }
    }
}

fn versions(piece: Piece<'_>, text: &str, out: &mut Out) {
    // The number at the end of a line; the label before it may be in any language.
    let number = |l: &str| {
        let word = l.trim().rsplit(|c: char| c.is_whitespace() || c == ':' || c == '：').next()?;
        word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.to_owned())
    };
    let wsl = lines(text).find(|(_, l)| l.contains("WSL") && !l.contains("WSLg"));
    if let Some((line, text)) = wsl
        && let Some(version) = number(text).as_deref().and_then(Version::parse)
    {
        let origin = Origin::new(piece.path, Some(line), text);
        out.fact("wsl.version", Value::Version(version), origin);
    }
    let build = |l: &str| {
        let number = number(l)?;
        let parts: Vec<i64> = number.split('.').map_while(|p| p.parse().ok()).collect();
        match parts.as_slice() {
            [10, 0, build, _] if number.split('.').count() == 4 => Some(*build),
            _ => None,
        }
    };
    let windows = lines(text).filter_map(|(n, l)| Some((build(l)?, n, l))).last();
    if let Some((build, line, text)) = windows {
        let origin = Origin::new(piece.path, Some(line), text);
        out.fact("wsl.windows_build", Value::Int(build), origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, bytes: &[u8]) -> Vec<String> {
        let mut out = Out::default();
        parse(Piece { path, bytes, whole: true }, &mut out);
        let problems = out.problems.iter().map(|p| p.source.clone());
        out.facts.iter().map(|f| format!("{}={}", f.name, f.value)).chain(problems).collect()
    }

    #[test]
    fn versions_in_two_languages_and_in_utf_16() {
        let expected = ["wsl.version=2.5.9.0", "wsl.windows_build=26100"];
        let english = "WSL version: 2.5.9.0\nKernel version: 6.6.87.2-1\nWSLg version: 1.0.66\n\
            DXCore version: 10.0.25131.1002-220531-1700.rs-onecore-base2-hyp\n\
            Windows version: 10.0.26100.4770\n";
        assert_eq!(run("commands/wsl-version.txt", english.as_bytes()), expected);
        let chinese = "WSL 版本： 2.5.9.0\n内核版本： 6.6.87.2-1\nWindows 版本： 10.0.26100.4770\n";
        assert_eq!(run("commands/wsl-version.txt", chinese.as_bytes()), expected);
        let wide: Vec<u8> = english.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(run("commands/wsl-version.txt", &wide), expected);
    }

    #[test]
    fn settings_count_in_their_own_file_only() {
        let text = b"[wsl2]\nmemory=8GB\nNestedVirtualization=false\n";
        assert_eq!(run("mnt/c/Users/a/.wslconfig", text), ["wsl.nested_setting=false"]);
        assert_eq!(run("etc/wsl.conf", text), Vec::<String>::new());
        assert_eq!(run("etc/wsl.conf", b"[boot]\nsystemd=true\n"), ["wsl.systemd=true"]);
        let text =
            b"[experimental]\nnestedVirtualization=true\n[wsl2]\nnestedVirtualization=maybe\n";
        assert_eq!(run(".wslconfig", text), [".wslconfig:4"]);
    }
}
