//! Log lines: what stands before the message, and who wrote it.
//!
//! Covered are printk (`[    1.234567] `, with caller, with `<6>`, `dmesg -T`, `/dev/kmsg`),
//! RFC 3164 in any locale, RFC 5424, ISO stamps (rsyslog, journald's short-iso, containers),
//! journald's other short forms, and the logs of libvirt, QEMU, Firecracker, Cloud Hypervisor,
//! VMware, VirtualBox and Kubernetes; also what nix, docker compose and terminals put before a
//! program's output. JSON log lines stay as they are: their text is matched inside.
//!
//! [`split`] is called for every line that may be an event: it looks at the prefix only once,
//! allocates nothing and takes any input.

use nom::branch::alt;
use nom::bytes::complete::{tag as literal, take_until, take_while, take_while_m_n, take_while1};
use nom::character::complete::{char, one_of, space0, space1};
use nom::combinator::{map, opt, recognize, value, verify};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use super::{prompt, tag, time};
use crate::model::{Prefix, Stamp, Writer};

/// Takes the prefix off a log line.
///
/// `default` is the writer of lines whose prefix names none: that of the file. A syslog tag
/// decides otherwise, and a line that was typed at a prompt is nobody's ([`Writer::Other`]).
pub fn split(default: Writer, line: &str) -> Prefix<'_> {
    /// Forms of a prefix; the first that fits is taken.
    const FORMS: &[fn(Writer, &str) -> Option<Prefix<'_>>] = &[
        boot, ctime, iso, syslog, rfc5424, short_full, short_unix, klog, kmsg, elapsed, audit, dpdk,
    ];
    let line = line.trim_end_matches(['\r', '\n']);
    if prompt::is_typed(line) {
        return Prefix { stamp: None, writer: Writer::Other, message: line };
    }
    let line = priority(unwrap(default, line));
    FORMS.iter().find_map(|form| form(default, line)).unwrap_or(Prefix {
        stamp: None,
        writer: default,
        message: line,
    })
}

/// Takes off what a runner puts before each line of its child: `name.drv> ` (nix), `name-1  | `
/// (docker compose).
fn unwrap(default: Writer, line: &str) -> &str {
    let runner = |input| {
        let name = take_while_m_n(1, 80, |c: char| c.is_alphanumeric() || "._+-".contains(c));
        let ends = alt((literal("> "), recognize((space1, literal("| ")))));
        terminated(name, ends).parse(input) as IResult<&str, &str>
    };
    let runs_others = matches!(
        default,
        Writer::Stderr | Writer::Tool | Writer::Container | Writer::Vmm | Writer::Qemu
    );
    match runner(line) {
        Ok((rest, _)) if runs_others => rest,
        _ => line,
    }
}

/// Takes off `<6>`, which raw kernel logs and syslog datagrams begin with.
fn priority(line: &str) -> &str {
    let digits = delimited(char('<'), time::number(1, 3), char('>'));
    let mut parser = verify(digits, |p| *p < 192);
    let parsed: IResult<&str, i64> = parser.parse(line);
    parsed.map_or(line, |(rest, _)| rest)
}

/// `[    1.234567] `, `[    1.234567][ T123] ` or, with deltas, `[  +0.000012] `.
fn boot_stamp(input: &str) -> IResult<&str, Option<Stamp>> {
    // A shell prints jobs as `[1] 4711 aborted`: only with a fraction is it a time.
    let time = || recognize((time::number(1, 12), char('.'), time::number(1, 9)));
    let since_boot = map(time().and_then(time::seconds), |micros| Some(Stamp::Boot(micros)));
    let delta = value(None, (char('+'), time()));
    let (rest, stamp) =
        delimited((char('['), space0), alt((delta, since_boot)), char(']')).parse(input)?;
    let id = (space0, one_of("TC"), time::number(1, 10));
    let (rest, _) = opt((space0, delimited(char('['), id, char(']')))).parse(rest)?;
    let (rest, _) = opt(char(' ')).parse(rest)?;
    Ok((rest, stamp))
}

/// Lines of the kernel's ring buffer, and of journals with monotonic time.
fn boot(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let (rest, stamp) = boot_stamp(line).ok()?;
    let journal = host_and_tag(rest).ok().map(|(message, name)| (tag::writer(name), message));
    Some(match (default, journal) {
        (Writer::Kernel | Writer::Other, Some((Writer::Kernel, message))) => kernel(stamp, message),
        (Writer::Other, Some((writer, message))) if writer != Writer::Other => {
            Prefix { stamp, writer, message }
        }
        (Writer::Kernel | Writer::Other, _) => kernel(stamp, rest),
        // A console log of a guest looks the same: only of files that may hold this kernel's
        // own messages is it said that the kernel wrote the line.
        _ => Prefix { stamp, writer: default, message: rest },
    })
}

/// A message of the kernel's ring buffer. Early user space writes there too: `systemd[1]: `.
fn kernel(stamp: Option<Stamp>, message: &str) -> Prefix<'_> {
    if let Ok((rest, name)) = program(message)
        && message[name.len()..].starts_with('[')
        && let writer @ (Writer::Systemd | Writer::Udev | Writer::Modprobe) = tag::writer(name)
    {
        return Prefix { stamp, writer, message: rest };
    }
    Prefix { stamp, writer: Writer::Kernel, message }
}

/// `dmesg -T`: `[Mon Jan 12 07:30:41 2025] `.
fn ctime(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let inside = |input| {
        let (rest, (_, _, month)) = (word, space1, word).parse(input)?;
        let (rest, day) = preceded(space1, time::number(1, 2)).parse(rest)?;
        let (rest, (micros, _)) = preceded(space1, time::clock).parse(rest)?;
        let (rest, year) = preceded(space1, time::number(4, 4)).parse(rest)?;
        let date = time::month(month).and_then(|m| time::date(year, m, day));
        IResult::<&str, _>::Ok((rest, date.and_then(|d| time::wall(d, micros))))
    };
    let (rest, micros) =
        delimited(char('['), inside, (char(']'), opt(char(' ')))).parse(line).ok()?;
    let stamp = micros.map(Stamp::Wall);
    Some(match default {
        Writer::Kernel | Writer::Other => kernel(stamp, rest),
        _ => Prefix { stamp, writer: default, message: rest },
    })
}

/// Lines that begin with an ISO stamp; what follows it tells whose they are.
fn iso(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let (rest, at) = time::iso(line).ok()?;
    let stamp = at.micros.map(Stamp::Wall);
    let own = |writer, message| Some(Prefix { stamp, writer, message });
    if let Ok((message, ())) = libvirt(rest) {
        return own(Writer::Libvirt, message);
    }
    if let Ok((message, ())) = vmware(rest) {
        return own(Writer::Vmware, message);
    }
    if let Ok((message, ())) = firecracker(rest) {
        return own(if default == Writer::Other { Writer::Vmm } else { default }, message);
    }
    if let Ok((message, _)) = cri(rest) {
        return own(default, message);
    }
    let dmesg = default == Writer::Kernel && at.tee && at.comma;
    if let Ok((message, name)) = qemu(rest) {
        return own(tag::writer(name), message);
    }
    if let (false, Ok((message, name))) = (dmesg, host_and_tag(rest)) {
        return Some(tagged(stamp, name, message));
    }
    let message = rest.strip_prefix(": ").or_else(|| rest.strip_prefix(' ')).unwrap_or(rest);
    if dmesg { Some(kernel(stamp, message)) } else { own(default, message) }
}

/// libvirt after its stamp: `: 1234: error : virFoo:123 : `.
fn libvirt(input: &str) -> IResult<&str, ()> {
    let level = alt((literal("error"), literal("warning"), literal("info"), literal("debug")));
    let place = (take_while1(|c: char| c.is_alphanumeric() || c == '_'), char(':'));
    value(
        (),
        (
            literal(": "),
            time::number(1, 10),
            literal(": "),
            level,
            literal(" : "),
            opt((place, time::number(1, 6), literal(" : "))),
        ),
    )
    .parse(input)
}

/// VMware after its stamp: `| vmx| I125: `, ` In(05) vmx - ` or ` In(182) vmkernel: `.
fn vmware(input: &str) -> IResult<&str, ()> {
    let thread = || take_while_m_n(1, 40, |c: char| !c.is_whitespace() && c != '|');
    let level = (one_of("IWEVT"), time::number(3, 3), one_of(":+"));
    let old = (literal("| "), thread(), literal("| "), level);
    let level = (
        alt((
            literal("In"),
            literal("Wa"),
            literal("Er"),
            literal("No"),
            literal("Db"),
            literal("Al"),
        )),
        delimited(char('('), time::number(1, 3), char(')')),
        opt(char('+')),
    );
    let new = (char(' '), level, char(' '), thread(), opt(literal(" -")));
    let cpu = opt((literal(" cpu"), time::number(1, 5), char(':'), time::number(1, 12), char(')')));
    value((), (alt((value((), old), value((), (new, cpu)))), opt(char(' ')))).parse(input)
}

/// Firecracker after its stamp: ` [id:LEVEL:file:line] `, which no other has without a blank.
fn firecracker(input: &str) -> IResult<&str, ()> {
    let inside = verify(take_while(|c: char| c != ']' && c != '['), |s: &str| s.contains(':'));
    value((), delimited(literal(" ["), inside, literal("] "))).parse(input)
}

/// Container runtimes after their stamp: ` stderr F `.
fn cri(input: &str) -> IResult<&str, &str> {
    let stream = alt((literal(" stdout"), literal(" stderr")));
    recognize((stream, alt((literal(" F "), literal(" P "))))).parse(input)
}

/// QEMU after its stamp: ` qemu-system-x86_64: `, without a host between.
fn qemu(input: &str) -> IResult<&str, &str> {
    let (rest, name) = preceded(char(' '), program).parse(input)?;
    verify(nom::combinator::success(name), |n: &str| tag::writer(n) == Writer::Qemu).parse(rest)
}

/// RFC 3164 and journald's short form: `Jan 12 07:30:41 host prog[1]: `.
fn syslog(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let date = |input| {
        let (rest, month) = verify(word, |w: &str| !w.ends_with(']')).parse(input)?;
        let (rest, day) = delimited(space1, time::number(1, 2), opt(char('.'))).parse(rest)?;
        let (rest, year) = opt(preceded(space1, time::number(4, 4))).parse(rest)?;
        let (rest, (micros, _)) = preceded(space1, time::clock).parse(rest)?;
        IResult::<&str, _>::Ok((rest, (month, day, year, micros)))
    };
    let (rest, (month, day, year, micros)) = date(line).ok()?;
    let stamp = time::month(month).and_then(|month| match year {
        Some(year) => time::wall(time::date(year, month, day)?, micros).map(Stamp::Wall),
        None => time::yearless(month, day, micros).map(Stamp::Yearless),
    });
    Some(match host_and_tag(rest) {
        Ok((message, name)) => tagged(stamp, name, message),
        Err(_) => Prefix { stamp, writer: default, message: rest.trim_start() },
    })
}

/// `1 2025-01-12T07:30:41.5Z host prog 123 ID [data] message`.
fn rfc5424(_: Writer, line: &str) -> Option<Prefix<'_>> {
    let field = || terminated(take_while_m_n(1, 255, |c: char| c.is_ascii_graphic()), char(' '));
    let block = delimited(char('['), take_until("] "), literal("] "));
    let data = alt((value((), literal("- ")), value((), block)));
    let head = (literal("1 "), time::iso, char(' '), field(), field(), field(), field());
    let (rest, ((_, at, _, _, name, _, _), ())) = (head, data).parse(line).ok()?;
    let message = rest.strip_prefix('\u{feff}').unwrap_or(rest);
    Some(tagged(at.micros.map(Stamp::Wall), name, message))
}

/// journald's short-full form: `Mon 2025-01-12 07:30:41 UTC host prog[1]: `.
fn short_full(_: Writer, line: &str) -> Option<Prefix<'_>> {
    let zone = take_while_m_n(1, 6, |c: char| c.is_ascii_alphanumeric() || "+-:".contains(c));
    let mut head = (word, char(' '), time::iso, char(' '), zone);
    let (rest, (_, _, at, _, zone)) = head.parse(line).ok()?;
    let (message, name) = host_and_tag(rest).ok()?;
    let micros = at.micros.and_then(|m| time::zone_named(zone).map(|offset| m - offset));
    Some(tagged(micros.map(Stamp::Wall), name, message))
}

/// journald's short-unix form: `1736667041.500000 host prog[1]: `.
fn short_unix(_: Writer, line: &str) -> Option<Prefix<'_>> {
    let (rest, micros) =
        verify(time::seconds, |m| *m > 100_000_000 * time::SECOND).parse(line).ok()?;
    let (message, name) = host_and_tag(rest).ok()?;
    Some(tagged(Some(Stamp::Wall(micros)), name, message))
}

/// klog, the log of Kubernetes programs: `E0427 08:12:45.202744   20977 network.go:215] `.
fn klog(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let date = (one_of("IWEF"), time::number(2, 2), time::number(2, 2), char(' '));
    let place = take_while_m_n(1, 120, |c: char| !c.is_whitespace() && c != ']');
    let mut head =
        (date, time::clock, space1, time::number(1, 10), char(' '), place, literal("] "));
    let (message, ((_, month, day, _), (micros, _), ..)) = head.parse(line).ok()?;
    let stamp = time::yearless(month, day, micros).map(Stamp::Yearless);
    Some(Prefix { stamp, writer: default, message })
}

/// `/dev/kmsg` as it is read: `6,339,5140900,-;message`.
fn kmsg(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let comma = || char(',');
    let head =
        (time::number(1, 4), comma(), time::number(1, 12), comma(), time::number(1, 16), comma());
    let flags = take_while_m_n(1, 40, |c: char| c.is_ascii_graphic() && c != ';');
    let (message, ((_, _, _, _, micros, _), ..)) = (head, flags, char(';')).parse(line).ok()?;
    (default == Writer::Kernel).then(|| kernel(Some(Stamp::Boot(micros)), message))
}

/// Logs that count from their own start: VBox.log's `00:00:01.234567 ` and Cloud Hypervisor's
/// `cloud-hypervisor: 9.318220s: <vmm> INFO:vmm/src/lib.rs:1 -- `. No other clock knows that
/// start, so there is no stamp.
fn elapsed(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let own = |writer, message| Some(Prefix { stamp: None, writer, message });
    if default == Writer::Virtualbox {
        let (rest, _) = terminated(time::clock, char(' ')).parse(line).ok()?;
        return own(default, rest);
    }
    let thread = delimited(literal("s: <"), take_until("> "), literal("> "));
    let place = take_while_m_n(1, 160, |c: char| !c.is_whitespace());
    let mut head = (literal("cloud-hypervisor: "), time::seconds, thread, place, literal(" -- "));
    let (rest, _) = head.parse(line).ok()?;
    own(if default == Writer::Other { Writer::Vmm } else { default }, rest)
}

/// Audit records carry their time inside; the whole line stays the message.
fn audit(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let is_record = line.starts_with("type=") || line.starts_with("node=");
    let writer = match default {
        Writer::Audit => default,
        Writer::Other if is_record => Writer::Audit,
        _ => return None,
    };
    let at = line.find("audit(")?;
    let (_, micros) = time::seconds(&line[at + "audit(".len()..]).ok()?;
    let stamp = (micros > 100_000_000 * time::SECOND).then_some(Stamp::Wall(micros));
    Some(Prefix { stamp, writer, message: line })
}

/// What DPDK's environment abstraction layer says in the log of a program that uses it, in plain
/// text or inside JSON: `dpdk  EAL: Failed to open VFIO group 7`.
fn dpdk(default: Writer, line: &str) -> Option<Prefix<'_>> {
    let (before, _) = line.split_once("EAL: ")?;
    let parts = before.is_empty() || before.ends_with([' ', '"', '|', '\t']);
    (default == Writer::Other && parts && before.len() < 160).then_some(Prefix {
        stamp: None,
        writer: Writer::Vmm,
        message: line,
    })
}

/// A line with a syslog tag. The kernel's often keep their own stamp.
fn tagged<'a>(stamp: Option<Stamp>, name: &str, message: &'a str) -> Prefix<'a> {
    match tag::writer(name) {
        Writer::Kernel => {
            let message = boot_stamp(message).map_or(message, |(rest, _)| rest);
            kernel(stamp, message)
        }
        Writer::Other => Prefix { stamp, writer: passed_on(message), message },
        writer => Prefix { stamp, writer, message },
    }
}

/// What a VMM printed, passed on by whatever started it: `runner[8120]: qemu-system-x86_64: ...`.
fn passed_on(message: &str) -> Writer {
    let name = message.split_once(": ").map_or("", |(name, _)| name);
    match tag::writer(name) {
        writer @ (Writer::Qemu | Writer::Vmm) if !name.contains(' ') => writer,
        _ => Writer::Other,
    }
}

/// ` host prog[1]: `, where busybox has ` host user.info prog[1]: `: the program.
fn host_and_tag(input: &str) -> IResult<&str, &str> {
    let host = take_while_m_n(1, 255, |c: char| !c.is_whitespace() && c != '[' && c != '/');
    let host = verify(host, |h: &str| !h.ends_with(':'));
    let lower = || take_while_m_n(2, 10, |c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let facility = (lower(), char('.'), lower(), char(' '));
    preceded((space0, host, space1, opt(facility)), program).parse(input)
}

/// `prog[1]: ` or `prog: `: the program.
fn program(input: &str) -> IResult<&str, &str> {
    let name = take_while_m_n(1, 64, |c: char| !c.is_whitespace() && !":[]=\"{".contains(c));
    let pid = delimited(char('['), take_while_m_n(1, 20, |c: char| c != ']'), char(']'));
    let (rest, name) = terminated(name, (opt(pid), char(':'))).parse(input)?;
    match rest.strip_prefix(' ') {
        Some(message) => Ok((message, name)),
        None if rest.is_empty() => Ok((rest, name)),
        None => Err(nom::Err::Error(nom::error::Error::new(rest, nom::error::ErrorKind::Space))),
    }
}

/// A word of a date: a weekday or a month in any language, `mar.` and `1月` too.
fn word(input: &str) -> IResult<&str, &str> {
    let part = take_while_m_n(1, 12, |c: char| c.is_alphanumeric() || c == '.');
    verify(part, |w: &str| w.chars().any(char::is_alphabetic)).parse(input)
}

#[cfg(test)]
#[path = "logline_tests.rs"]
mod tests;
