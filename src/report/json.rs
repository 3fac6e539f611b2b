//! JSON: the view as it is, one document, indented.

use super::{Report, Style};

/// Renders JSON, with a final newline.
pub fn render(report: &Report, _: Style) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("the view has only string keys");
    text.push('\n');
    text
}
