//! The vocabulary of the program: every stage imports it, it imports no stage.
//!
//! * [`fact`]: typed values under dotted names, with provenance
//! * [`event`]: what a log line or an audit record said
//! * [`log`]: who wrote a line, and how a stream of lines is cut
//! * [`gap`]: what is missing, and why
//! * [`host`]: one machine of the stack, and its layer
//! * [`want`]: a file or command that some evidence asks for
//! * [`piece`]: bytes that were handed over, and whether they are whole
//! * [`diagnosis`]: what ranking concludes

pub mod diagnosis;
pub mod event;
pub mod fact;
pub mod gap;
pub mod host;
pub mod log;
pub mod piece;
pub mod suggest;
pub mod version;
pub mod want;

pub use diagnosis::{
    Advice, AdviceKind, Cause, Diagnosis, Evidence, Explained, NextEvidence, Remedy, Severity,
    Undetermined, Weight,
};
pub use event::{Event, Events, Record, RecordParser};
pub use fact::{Fact, FactDef, Facts, Kind, Origin, Value};
pub use gap::{Gap, GapReason};
pub use host::{Host, Layer, Moment, Stack};
pub use log::{LineScanner, Prefix, Stamp, Stream, Writer};
pub use piece::{Out, Piece, Problem};
pub use version::Version;
pub use want::Want;
