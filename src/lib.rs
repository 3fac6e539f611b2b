#![doc = include_str!("../README.md")]
//!
//! # Architecture
//!
//! ```text
//!  source ──bytes──▶ collect ──facts, events, gaps──▶ analyze ──derived facts──▶ rules ──▶ rank ──▶ report
//! ```
//!
//! Data flows one way. [`model`] is the vocabulary that every stage imports; it imports none of
//! them. [`pipeline`] tells the story from source to report, [`cli`] is the only user of all.
//!
//! | module | holds | may import |
//! |---|---|---|
//! | [`model`] | facts, events, layers, provenance, gaps, causes | nothing of ours |
//! | [`parse`] | shared pieces of text: log prefixes, time, key=value, command lines, PCI addresses, XML with positions, libvirt's domains | model |
//! | [`evidence`] | one file or folder per kind of evidence: wants, facts, a pure parser | model, parse |
//! | [`source`] | the only reader of the outside: directories, archives inside archives, journals, other tools' layouts, live hosts | model |
//! | [`mod@collect`] | joins wants, sources and parsers; streams logs through the scanner | model, parse, evidence, source |
//! | [`mod@analyze`] | derived facts by subject, tables of known revisions and bugs, layers, the timeline | model |
//! | [`rules`] | rule format, checks, multi-pattern scanner, three-valued evaluation | model |
//! | [`rank`] | score, explaining away, what to collect next | model, rules |
//! | [`report`] | one versioned view, a renderer per format | model |
//! | [`pipeline`] | the story | all but cli |
//! | [`trial`] | the tests inside rule files, run through the pipeline | all but cli |
//! | [`cli`] | arguments, commands, output, exit status | all |
//!
//! `tests/architecture.rs` holds this table. What must never be broken:
//!
//! * Rules, rank and report never learn where bytes came from; evidence never learns which rules
//!   exist. So a live host, a directory and an archive give the same report.
//! * YAML never computes, Rust never concludes. Decoding, comparing and correlating make derived
//!   facts in [`mod@analyze`]; that something is a cause is said in a rule file only.
//! * Evidence that was not seen is never taken for absent: a condition answers yes, no, or cannot
//!   tell, and a missing fact is a gap with its reason.
//! * A source is a visitor, not a file system: an archive is read once, forward, with the union of
//!   all wants. Nothing is ever unpacked to disk.
//! * Everything is ordered. One thread or sixteen: the same bytes.

pub mod analyze;
pub mod cli;
pub mod collect;
pub mod evidence;
pub mod model;
pub mod parse;
pub mod pipeline;
pub mod rank;
pub mod report;
pub mod rules;
pub mod source;
pub mod trial;
