//! Shared pieces of text that several kinds of evidence are written in.
//!
//! * [`libvirt`]: domains in libvirt's XML
//! * [`logline`]: the prefix of a log line, whatever printed it
//! * [`tag`]: which writer a syslog tag stands for
//! * [`pci`]: PCI addresses
//! * [`prompt`]: lines that a person typed, in a captured terminal
//! * [`time`]: the forms in which logs give the time
//! * [`kv`]: `key=value` records and INI files
//! * [`shell`]: command lines, as a shell or a log quotes them
//! * [`xml`]: XML with line numbers
//!
//! All of it is total: no input makes a function here panic, and none needs more than one pass.

pub mod kv;
pub mod libvirt;
pub mod logline;
pub mod pci;
pub mod prompt;
pub mod shell;
pub mod tag;
pub mod time;
pub mod xml;

/// The lines of a text with their 1-based numbers.
pub fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(text.lines())
}

/// Text of a file: UTF-8, or the UTF-16 that Windows programs write, with or without a mark.
/// What cannot be decoded becomes U+FFFD.
pub fn decoded(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    let wide = |big: bool, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| match (big, pair) {
            (true, [a, b]) => u16::from_be_bytes([*a, *b]),
            (false, [a, b]) => u16::from_le_bytes([*a, *b]),
            _ => 0,
        });
        char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect::<String>()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(false, rest).into(),
        [0xfe, 0xff, rest @ ..] => wide(true, rest).into(),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        // wsl.exe writes no mark: every second byte of its first words is zero.
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 => wide(false, bytes).into(),
        _ => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn text_of_windows_programs() {
        assert_eq!(decoded(b"\xff\xfeW\0S\0L\0"), "WSL");
        assert_eq!(decoded(b"\xfe\xff\0W\0S"), "WS");
        assert_eq!(decoded(b"W\0S\0L\0"), "WSL");
        assert_eq!(decoded(b"\xef\xbb\xbfWSL"), "WSL");
        assert_eq!(decoded(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(decoded(b""), "");
    }
}
