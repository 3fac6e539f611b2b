//! Listings of updates: `iucode_tool -l` and `-L` (iucode_tool(8)).
//!
//! ```text
//! iucode_tool: system has processor(s) with signature 0x000306d4
//! microcode bundle 1: /lib/firmware/intel-ucode/06-3d-04
//! selected microcodes:
//!   001/001: sig 0x000306d4, pf_mask 0xc0, 2019-06-13, rev 0x002f, size 19456
//!            sig 0x000306d5, pf_mask 0xc0, 2019-06-13, rev 0x002f
//! ```

use super::container::Update;
use super::{add, number};
use crate::model::{Origin, Out, Piece};

pub(super) fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    // A cut line could name half a revision.
    let end = if piece.whole { Some(text.len()) } else { text.rfind('\n') };
    let text = end.and_then(|end| text.get(..end)).unwrap_or_default();
    for (number, line) in (1u32..).zip(text.lines()) {
        if !line.contains("pf_mask") {
            continue;
        }
        match update(line) {
            Some(update) => add(&update, &Origin::new(piece.path, Some(number), line), out),
            None => out.problem(piece.path, Some(number), "not an update as iucode_tool lists it"),
        }
    }
}

/// The update in a line of a listing.
fn update(line: &str) -> Option<Update> {
    let start = line.find("sig 0x")?;
    let mut found = Update {
        signature: 0,
        platforms: None,
        revision: 0,
        date: String::new(),
        minimum: 0,
        size: 0,
    };
    let mut named = (false, false);
    for part in line.get(start..)?.split(',') {
        let part = part.trim();
        match part.split_once(' ') {
            Some(("sig", value)) => (found.signature, named.0) = (number(value)?, true),
            Some(("pf_mask", value)) => found.platforms = Some(number(value)?),
            Some(("rev", value)) => (found.revision, named.1) = (number(value)?, true),
            None if part.len() == 10 && part.starts_with(|c: char| c.is_ascii_digit()) => {
                part.clone_into(&mut found.date);
            }
            _ => {}
        }
    }
    (named == (true, true) && found.platforms.is_some()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn instances(out: &Out) -> Vec<String> {
        out.facts.iter().filter_map(|f| f.instance.clone()).collect()
    }

    #[test]
    fn updates_with_their_further_signatures() {
        let out = testing::read(
            parse,
            "commands/iucode_tool.txt",
            "iucode_tool: system has processor(s) with signature 0x000806f8\n\
             microcode bundle 1: /boot/initrd.img-6.1.0-9\nselected microcodes:\n\
             \x20 001/001: sig 0x000806f8, pf_mask 0x87, 2025-08-25, rev 0x2b000661, size 595968\n\
             \x20          sig 0x000806f7, pf_mask 0x87, 2025-08-25, rev 0x2b000661\n",
        );
        assert_eq!(instances(&out), ["000806f8/87/2b000661", "000806f7/87/2b000661"]);
        assert_eq!(out.facts[0].value.to_string(), "2025-08-25");
        assert_eq!(out.facts[1].origin.line, Some(5));
    }

    #[test]
    fn broken_and_cut_lines() {
        let text = "  001/001: sig 0xzz, pf_mask 0x87, 2025-08-25, rev 0x2b000661\n\
                    \x20 001/002: sig 0x000506e3, pf_mask 0x36, 2021-11-12, rev 0xf";
        let path = "commands/iucode_tool.txt";
        let out = testing::read(parse, path, text);
        assert_eq!((out.facts.len(), out.problems.len()), (1, 1));
        let cut = testing::read_part(parse, path, text, false);
        assert!(cut.facts.is_empty());
        let none = testing::read(parse, path, "bash: iucode_tool: command not found\n");
        assert!(none.facts.is_empty() && none.problems.is_empty());
    }
}
