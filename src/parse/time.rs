//! Times as logs print them.
//!
//! Forms: ISO 8601 with its many looser relatives (libvirt, QEMU, rsyslog, journald), the month,
//! day and clock of RFC 3164, seconds since boot (printk) and since the epoch (audit). Fractions
//! below a microsecond are dropped. A civil time without a zone counts as UTC: such times are
//! compared with each other only.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use nom::branch::alt;
use nom::bytes::complete::{take_while, take_while_m_n};
use nom::character::complete::{char, one_of};
use nom::combinator::{map, map_opt, opt, verify};
use nom::sequence::preceded;
use nom::{IResult, Parser};

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;

/// A date with a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iso {
    /// Microseconds since the Unix epoch; `None` where the calendar has no such day.
    pub micros: Option<i64>,
    /// Whether `T` stood between date and time; otherwise it was a blank.
    pub tee: bool,
    /// Whether a comma led the fraction, as `dmesg --time-format iso` and Python print it.
    pub comma: bool,
}

/// A number of `min` to `max` digits.
pub fn number<'a>(
    min: usize,
    max: usize,
) -> impl Parser<&'a str, Output = i64, Error = nom::error::Error<&'a str>> {
    map_opt(take_while_m_n(min, max, |c: char| c.is_ascii_digit()), |d: &str| d.parse().ok())
}

/// Digits after a decimal point, in microseconds.
fn fraction(input: &str) -> IResult<&str, i64> {
    let (rest, digits) = take_while(|c: char| c.is_ascii_digit()).parse(input)?;
    let micros = digits
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(6)
        .fold(0, |sum, d| sum * 10 + i64::from(d - b'0'));
    Ok((rest, micros))
}

/// Seconds with an optional fraction, e.g. `1663767472.418`, in microseconds.
pub fn seconds(input: &str) -> IResult<&str, i64> {
    let (rest, whole) = number(1, 12).parse(input)?;
    let (rest, part) = opt(preceded(char('.'), fraction)).parse(rest)?;
    Ok((rest, whole * SECOND + part.unwrap_or(0)))
}

/// `07:30:41`, `07:30:41.123456` or `07:30:41,123`: microseconds since midnight, and whether the
/// fraction was led by a comma.
pub fn clock(input: &str) -> IResult<&str, (i64, bool)> {
    let (rest, hour) = verify(number(1, 2), |h| *h < 24).parse(input)?;
    let (rest, minute) = preceded(char(':'), verify(number(2, 2), |m| *m < 60)).parse(rest)?;
    let (rest, second) = preceded(char(':'), verify(number(2, 2), |s| *s <= 60)).parse(rest)?;
    let (rest, part) = opt((one_of(".,"), fraction)).parse(rest)?;
    // Some programs print the fraction twice: `05:36:40.020.929924Z`.
    let (rest, _) = opt((char('.'), number(1, 9))).parse(rest)?;
    let (separator, micros) = part.unwrap_or(('.', 0));
    Ok((rest, (((hour * 60 + minute) * 60 + second) * SECOND + micros, separator == ',')))
}

/// `2025-11-24T06:55:11.192646+00:00` and the like. The zone may be missing.
pub fn iso(input: &str) -> IResult<&str, Iso> {
    let (rest, date) = iso_date(input)?;
    let (rest, separator) = one_of("T ").parse(rest)?;
    let (rest, (micros, comma)) = clock(rest)?;
    let (rest, offset) = opt(zone).parse(rest)?;
    let micros = date.and_then(|d| wall(d, micros)).map(|m| m - offset.unwrap_or(0));
    Ok((rest, Iso { micros, tee: separator == 'T', comma }))
}

/// `2025-11-24`; the date is `None` where the calendar has no such day.
pub fn iso_date(input: &str) -> IResult<&str, Option<Date>> {
    let dash = |n| preceded(char('-'), number(n, n));
    map((number(4, 4), dash(2), dash(2)), |(y, m, d)| date(y, m, d)).parse(input)
}

/// `Z`, `+0000`, `+00:00` or `-03`: the offset from UTC in microseconds.
pub fn zone(input: &str) -> IResult<&str, i64> {
    let numeric = map(
        (one_of("+-"), number(2, 2), opt(preceded(opt(char(':')), number(2, 2)))),
        |(sign, hours, minutes)| {
            let offset = (hours * 60 + minutes.unwrap_or(0)) * 60 * SECOND;
            if sign == '-' { -offset } else { offset }
        },
    );
    alt((map(char('Z'), |_| 0), numeric)).parse(input)
}

/// The offset of a zone abbreviation that means one zone everywhere, in microseconds.
pub fn zone_named(name: &str) -> Option<i64> {
    let hours = match name {
        "UTC" | "GMT" | "WET" | "Z" => 0,
        "CET" | "BST" | "WEST" => 1,
        "CEST" | "EET" | "SAST" => 2,
        "EEST" | "MSK" => 3,
        "JST" | "KST" => 9,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "MDT" => -6,
        "PDT" | "MST" => -7,
        "PST" => -8,
        _ => return zone(name).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, o)| o),
    };
    Some(hours * 3600 * SECOND)
}

/// A date, if the calendar has it.
pub fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    let small = |n: i64| i8::try_from(n).ok();
    Date::new(i16::try_from(year).ok()?, small(month)?, small(day)?).ok()
}

/// Microseconds since the Unix epoch of a time of day, in UTC.
pub fn wall(date: Date, micros: i64) -> Option<i64> {
    let midnight = Offset::UTC.to_timestamp(date.to_datetime(Time::midnight())).ok()?;
    midnight.as_microsecond().checked_add(micros)
}

/// Microseconds since the start of an unknown year. Every day has its place, 29 February too.
pub fn yearless(month: i64, day: i64, micros: i64) -> Option<i64> {
    const LEAP: i64 = 2000;
    let start = wall(date(LEAP, 1, 1)?, 0)?;
    wall(date(LEAP, month, day)?, micros)?.checked_sub(start)
}

/// Beginnings of month names that `strftime("%b")` gives in the locales that servers run in.
/// Each beginning names one month in all of them.
const MONTHS: &[(i64, &[&str])] = &[
    (1, &["jan", "ene", "gen", "sty", "янв", "oca"]),
    (2, &["feb", "fév", "fev", "lut", "фев", "şub", "Şub"]),
    (3, &["mar", "mär", "mrt", "мар"]),
    (4, &["apr", "avr", "abr", "kwi", "апр", "nis"]),
    (5, &["may", "mai", "mag", "maj", "mei", "май", "мая"]),
    (6, &["jun", "juin", "giu", "cze", "июн", "haz"]),
    (7, &["jul", "juil", "lug", "lip", "июл", "tem"]),
    (8, &["aug", "aoû", "aou", "ago", "sie", "авг", "ağu"]),
    (9, &["sep", "set", "wrz", "сен", "eyl"]),
    (10, &["oct", "okt", "ott", "out", "paź", "окт", "eki"]),
    (11, &["nov", "lis", "ноя", "kas"]),
    (12, &["dec", "déc", "dez", "dic", "des", "gru", "дек", "ara"]),
];

/// The number of a month, whatever locale printed it; `None` for other words.
pub fn month(name: &str) -> Option<i64> {
    if let Some(number) = name.strip_suffix('月') {
        return number.parse().ok().filter(|m| (1..=12).contains(m));
    }
    let begins = |known: &str| {
        name.get(..known.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(known))
    };
    MONTHS.iter().find(|(_, names)| names.iter().any(|n| begins(n))).map(|(m, _)| *m)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<i64> {
        let (rest, iso) = iso(text).unwrap();
        assert_eq!(rest, "");
        iso.micros
    }

    #[test]
    fn forms_of_iso_8601_agree() {
        let expected = Some(1_736_667_041_500_000);
        for text in [
            "2025-01-12T07:30:41.5Z",
            "2025-01-12 07:30:41.500+0000",
            "2025-01-12T08:30:41,500000+01:00",
            "2025-01-12T04:30:41.500000000-03",
            "2025-01-12 07:30:41.500",
            "2025-01-12T07:30:41.500.123Z",
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
    }

    #[test]
    fn a_day_that_does_not_exist_has_no_stamp() {
        assert_eq!(micros("2025-02-30 07:30:41"), None);
        assert!(iso("2025-02-30 27:30:41").is_err());
        assert_eq!(yearless(13, 1, 0), None);
    }

    #[test]
    fn months_of_other_locales() {
        for (name, number) in
            [("Jan", 1), ("set", 9), ("mar.", 3), ("août", 8), ("juil.", 7), ("12月", 12)]
        {
            assert_eq!(month(name), Some(number), "{name}");
        }
        assert_eq!(month("kernel"), None);
        assert_eq!(month("13月"), None);
    }

    #[test]
    fn the_unknown_year_has_a_29th_of_february() {
        assert_eq!(yearless(2, 29, 0), Some(59 * 86_400 * SECOND));
        assert_eq!(yearless(3, 1, 1), Some(60 * 86_400 * SECOND + 1));
    }
}
