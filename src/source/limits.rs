//! Limits: how far a hostile input can push the program before it is cut short.
//!
//! Bundles come from strangers. Each limit is far above what real support bundles need, and each
//! breach is a problem in the report, with the rest of the input still analyzed where the format
//! allows it.

use std::cell::Cell;
use std::rc::Rc;

/// One mebibyte.
pub(super) const MIB: u64 = 1 << 20;
/// One gibibyte.
pub(super) const GIB: u64 = 1 << 30;

/// How much of an input is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Files of one directory or members of one archive. A sosreport has some 50,000.
    pub(super) entries: u64,
    /// Bytes that one archive or compressed file may expand to.
    pub(super) total: u64,
    /// Bytes that one member, or one compressed file of a tree, may expand to.
    pub(super) entry: u64,
    /// Bytes of one file that is read as it lies on disk: a sparse file costs its owner nothing.
    pub(super) plain: u64,
    /// Expansion ratio; deflate cannot exceed 1032, so only runs of one byte reach this.
    pub(super) ratio: u64,
    /// Expanded bytes from which on the ratio counts.
    pub(super) ratio_from: u64,
    /// Bytes of tar headers (long names, PAX records) before one member. The `tar` crate holds
    /// them in memory.
    pub(super) header: u64,
}

impl Limits {
    /// What the program runs with.
    pub(super) const DEFAULT: Self = Self {
        entries: 500_000,
        total: 16 * GIB,
        entry: 4 * GIB,
        plain: 64 * GIB,
        ratio: 1000,
        ratio_from: 256 * MIB,
        header: 2 * MIB,
    };
}

/// What has been read of an input with all archives in it, against the limits.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) limits: Limits,
    /// Members of all archives.
    pub(super) entries: Cell<u64>,
    /// Bytes that nested archives and members of zip archives expanded to.
    pub(super) expanded: Cell<u64>,
}

impl Bounds {
    pub(super) fn new(limits: Limits) -> Rc<Self> {
        Rc::new(Self { limits, entries: Cell::new(0), expanded: Cell::new(0) })
    }
}

/// Archives in archives.
pub(super) const NESTING: usize = 3;
/// Folders below the input's top.
pub(super) const DEPTH: usize = 64;
/// Bytes of a manifest.
pub(super) const MANIFEST: u64 = 64 * MIB;
/// Bytes at the start of a file by which text is told from binary data.
pub(super) const HEAD: usize = 8 << 10;
/// KiB of memory for an xz dictionary: `xz -9` needs 64 MiB.
pub(super) const XZ_MEMORY_KIB: u32 = 192 << 10;
/// Symbolic links that are followed one after the other.
pub(super) const LINKS: usize = 8;

/// Bytes of one file or of one command's output on a live host.
pub(super) const LIVE_ITEM: usize = 16 << 20;
/// Bytes of all that is taken from a live host: it is held in memory.
pub(super) const LIVE_TOTAL: usize = 512 << 20;
/// Files that one glob takes from a live host.
pub(super) const LIVE_MATCHES: usize = 4096;
/// Folders that `**` descends into on a live host.
pub(super) const LIVE_DEPTH: usize = 16;
/// Domains whose XML is dumped on a live host.
pub(super) const DOMAINS: usize = 64;

/// A number of bytes for a person.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        b if b >= GIB && b.is_multiple_of(GIB) => format!("{} GiB", b / GIB),
        b if b >= MIB && b.is_multiple_of(MIB) => format!("{} MiB", b / MIB),
        b => format!("{b} bytes"),
    }
}
