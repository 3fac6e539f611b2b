//! Reports: one public, versioned view, and one renderer per format.
//!
//! To add a format: write `src/report/<format>.rs` with a `render(&Report) -> String` and its entry
//! in [`FORMATS`].

pub mod analyses;
pub mod json;
pub mod table;
pub mod view;

pub use view::Report;

/// How a report is to look.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Columns of the terminal or file.
    pub width: u16,
    /// Whether to colour.
    pub colour: bool,
}

/// A format.
#[derive(Clone, Copy)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// Report to text.
    pub render: fn(&Report, Style) -> String,
}

/// All formats.
pub const FORMATS: &[Format] = &[
    Format { name: "table", render: table::render },
    Format { name: "json", render: json::render },
];
