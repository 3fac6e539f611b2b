//! Shell prompts: lines of a captured terminal that a person typed.
//!
//! `user@host:~$ dmesg | grep "KVM: entry failed"` holds the words of a failure, and is none.
//! Known are the usual prompts of bash, zsh, fish, PowerShell and cmd.exe, and what `sh -x`
//! prints before it runs a command.

use nom::bytes::complete::{take_while_m_n, take_while1};
use nom::character::complete::{char, one_of, space0};
use nom::combinator::{opt, recognize};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

/// Longest prompt that is looked for, in bytes.
const LONGEST: usize = 160;

/// Whether the line is a prompt with what was typed after it.
pub fn is_typed(line: &str) -> bool {
    const SIGNS: &[&str] = &["$ ", "# ", "% ", "+ ", "++ ", "❯ ", "➜ "];
    let sign = SIGNS.iter().find_map(|s| line.strip_prefix(s));
    sign.is_some_and(|rest| !labelled(rest)) || windows(line) || unix(line).is_ok()
}

/// `❯ ERROR: ...`, `❯ CPU: ...`: some programs set their own output behind a prompt's sign; nobody
/// types a command in capitals with a colon.
fn labelled(rest: &str) -> bool {
    let label = rest.split_once(':').map_or("", |(label, _)| label);
    label.len() >= 2 && label.bytes().all(|b| b.is_ascii_uppercase())
}

/// `PS C:\Users\dev> Get-VM`, `C:\>ver`.
fn windows(line: &str) -> bool {
    let (powershell, path) = line.strip_prefix("PS ").map_or((false, line), |path| (true, path));
    let bytes = path.as_bytes();
    let drive = bytes.first().is_some_and(u8::is_ascii_alphabetic) && path[1..].starts_with(":\\");
    let rooted = powershell && (drive || path.starts_with(['/', '\\']));
    let end = path.bytes().take(LONGEST).position(|b| b == b'>');
    (rooted || drive) && end.is_some()
}

/// `user@host:~/dir$ `, `[user@host dir]# `, `core@node ~ $ `, each perhaps behind a `(venv) `.
fn unix(line: &str) -> IResult<&str, &str> {
    let venv = delimited(char('('), name, (char(')'), space0));
    let (line, _) = opt(venv).parse(line)?;
    let (rest, _) = nom::branch::alt((bracketed, plain)).parse(line)?;
    recognize((space0, one_of("$#%"), char(' '))).parse(rest)
}

/// Letters of user, host and environment names.
fn name(input: &str) -> IResult<&str, &str> {
    take_while_m_n(1, 64, |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
        .parse(input)
}

fn path(input: &str) -> IResult<&str, &str> {
    recognize((
        one_of("~/"),
        take_while_m_n(0, LONGEST, |c: char| !c.is_whitespace() && c != '$' && c != '#'),
    ))
    .parse(input)
}

fn bracketed(input: &str) -> IResult<&str, &str> {
    let inside = (name, char('@'), take_while1(|c: char| c != ']' && c != '['));
    recognize(delimited(char('['), inside, char(']'))).parse(input)
}

fn plain(input: &str) -> IResult<&str, &str> {
    let place = preceded(opt(one_of(": ")), path);
    recognize((name, char('@'), name, opt(place))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::is_typed;

    #[test]
    fn prompts_of_the_usual_shells() {
        for line in [
            "$ qemu-system-x86_64 -enable-kvm",
            "# modprobe vboxdrv",
            "+ sudo modprobe kvm_intel",
            "user@host:~$ dmesg | grep \"KVM: entry failed\"",
            "root@host:/etc/libvirt# virsh start web",
            "[root@node1 qemu]# virsh start web",
            "core@node ~ $ ./run.sh",
            "(lab) dev@box:~/x$ make",
            "PS C:\\Users\\dev> wsl --version",
            "C:\\>ver",
        ] {
            assert!(is_typed(line), "{line}");
        }
    }

    #[test]
    fn output_is_not_taken_for_a_prompt() {
        for line in [
            "[    1.234567] kvm: disabled by bios",
            "[+] vmd: failed to start machine",
            "Could not access KVM kernel module: Permission denied",
            "#1 0xffff in kvm_init",
            "mail user@host failed # twice",
            "C:\\Windows\\System32\\wsl.exe is missing",
            "PS",
            "",
        ] {
            assert!(!is_typed(line), "{line}");
        }
    }
}
