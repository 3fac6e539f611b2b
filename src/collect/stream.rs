//! Streams a log through the scanner, in windows that end at a line end.

use std::io::{self, Read};

use rayon::prelude::*;

use crate::model::{Event, LineScanner, Stream, Writer};
use crate::parse::logline;
use crate::source::Found;

/// Bytes that are held at a time. Memory stays at a few windows, whatever the log's size.
const WINDOW: usize = 8 << 20;
/// Bytes that one task scans: small enough to keep all cores busy, large enough to be worth it.
const CHUNK: usize = 512 << 10;

/// What a log gave.
pub(super) struct Scanned {
    pub(super) events: Vec<Event>,
    pub(super) lines: u64,
    /// The last window.
    pub(super) tail: Vec<u8>,
}

/// Scans everything that `reader` gives.
pub(super) fn scan(
    scanner: &dyn LineScanner,
    found: Found<'_>,
    writer: Writer,
    reader: &mut dyn Read,
) -> Scanned {
    // Evidence is shown with the path a person can open; rules and gaps use the canonical one.
    let stream = Stream { source: found.path, writer, split: logline::split };
    let mut result = Scanned { events: Vec::new(), lines: 0, tail: Vec::new() };
    let mut window = Vec::new();
    // Most logs are small: the window grows with the log.
    let mut size = CHUNK / 8;
    loop {
        let old = window.len();
        size = (size * 2).min(WINDOW);
        window.resize(old + size, 0);
        let read = read_full(reader, &mut window[old..]);
        let end_reached = old + read < window.len();
        window.truncate(old + read);
        // A line longer than a window is cut: it is no line that a program wrote for people.
        let cut = match memchr::memrchr(b'\n', &window) {
            Some(newline) if !end_reached => newline + 1,
            _ => window.len(),
        };
        let first = u64::from(found.first_line) + result.lines;
        scan_window(scanner, &window[..cut], first, stream, &mut result);
        if end_reached {
            result.tail = window;
            return result;
        }
        window.drain(..cut);
    }
}

/// `first` is the number of the window's first line.
fn scan_window(
    scanner: &dyn LineScanner,
    window: &[u8],
    mut first: u64,
    stream: Stream<'_>,
    result: &mut Scanned,
) {
    let chunks = chunks(window);
    let counts: Vec<u64> =
        chunks.par_iter().map(|c| memchr::memchr_iter(b'\n', c).count() as u64).collect();
    let firsts: Vec<u64> = counts
        .iter()
        .map(|count| {
            let this = first;
            first += count;
            this
        })
        .collect();
    let events: Vec<Vec<Event>> = chunks
        .par_iter()
        .zip(firsts)
        .map(|(chunk, first)| scanner.scan(chunk, u32::try_from(first).unwrap_or(u32::MAX), stream))
        .collect();
    result.events.extend(events.into_iter().flatten());
    let unfinished = u64::from(!window.is_empty() && !window.ends_with(b"\n"));
    result.lines += counts.iter().sum::<u64>() + unfinished;
}

/// Cuts a window into chunks that end at line ends.
fn chunks(mut window: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    while window.len() > CHUNK {
        let end = memchr::memchr(b'\n', &window[CHUNK..]).map_or(window.len(), |i| CHUNK + i + 1);
        let (chunk, rest) = window.split_at(end);
        chunks.push(chunk);
        window = rest;
    }
    if !window.is_empty() {
        chunks.push(window);
    }
    chunks
}

/// Reads until the buffer is full, the end is reached or an error comes. What was read before an
/// error counts; the source reports the error.
pub(super) fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(n) if n > 0 => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => break,
        }
    }
    filled
}
