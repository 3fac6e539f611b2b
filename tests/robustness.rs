//! No parser panics, whatever a stranger's file holds: every slice gets its own files cut, flipped
//! and replaced, and the files of all others.

use nestdoctor::evidence;
use nestdoctor::model::{Out, Piece, Writer};
use nestdoctor::parse::logline;
use nestdoctor::pipeline::Doctor;
use nestdoctor::rules::Care;

/// A small deterministic generator (Knuth's MMIX constants): a failure can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits")
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() % limit.max(1)
    }
}

/// Files of the test machines, as they are and damaged.
fn inputs() -> Vec<Vec<u8>> {
    let doctor = Doctor::new(&[], Care::Quick).expect("the rules load");
    let files = doctor.rules.machines.values().flat_map(|m| m.files.values().flatten());
    let mut random = Random(7);
    let mut inputs: Vec<Vec<u8>> =
        vec![Vec::new(), vec![0xff; 64], b"=\n:\n \n\t\n\"\n<\n{\n[\n".to_vec()];
    for text in files {
        let bytes = text.as_bytes();
        inputs.push(bytes[..random.below(bytes.len())].to_vec());
        let mut flipped = bytes.to_vec();
        for _ in 0..8 {
            let at = random.below(flipped.len());
            if let Some(byte) = flipped.get_mut(at) {
                *byte = u8::try_from(random.below(256)).expect("a byte");
            }
        }
        inputs.push(flipped);
    }
    inputs
}

#[test]
fn no_slice_panics_on_foreign_or_damaged_files() {
    let inputs = inputs();
    assert!(inputs.len() > 200, "{}", inputs.len());
    for slice in evidence::ALL {
        for want in slice.wants {
            let path = want.glob().replace("**/", "a/").replace('*', "x");
            for bytes in &inputs {
                for whole in [true, false] {
                    let mut out = Out::default();
                    (slice.parse)(Piece { path: &path, bytes, whole }, &mut out);
                    let known = |name| slice.facts.iter().any(|d| d.name == name);
                    for fact in &out.facts {
                        assert!(
                            known(fact.name),
                            "{} makes {} and does not declare it",
                            slice.name,
                            fact.name
                        );
                        let def = slice.facts.iter().find(|d| d.name == fact.name).expect("known");
                        assert_eq!(def.kind, fact.value.kind(), "{}", fact.name);
                    }
                }
            }
        }
    }
}

#[test]
fn no_log_line_panics() {
    for bytes in inputs() {
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            for (writer, _, _) in Writer::ALL {
                let prefix = logline::split(*writer, line);
                assert!(line.contains(prefix.message), "the message is part of the line");
                for record in evidence::RECORDS {
                    (record.parse)(prefix.message);
                }
            }
        }
    }
}
