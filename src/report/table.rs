//! The report for people: the answer first, then why, then what to type next.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

use super::Style;
use super::view::{CauseView, EvidenceView, Report};

/// Most evidence lines shown of one cause; JSON has all.
const MOST_EVIDENCE: usize = 6;

/// Longest time line.
const MOST_MOMENTS: usize = 15;
/// Characters of a log line that are shown; JSON has more.
const LONGEST_QUOTE: usize = 200;

/// Renders text for a terminal or a file.
pub fn render(report: &Report, style: Style) -> String {
    let mut page = Page { out: String::new(), style };
    page.answer(report);
    page.hosts(report);
    for cause in &report.causes {
        page.cause(cause);
    }
    page.timeline(report);
    page.suspected(report);
    page.undetermined(report);
    page.next(report);
    page.advice(report);
    page.problems(report);
    page.footer(report);
    page.out
}

struct Page {
    out: String,
    style: Style,
}

/// ANSI styles; empty where the output is no terminal.
#[derive(Clone, Copy)]
enum Paint {
    Bold,
    Red,
    Yellow,
    Green,
    Dim,
}

impl Page {
    fn paint(&self, paint: Paint, text: &str) -> String {
        let text = clean(text);
        if !self.style.colour {
            return text;
        }
        let code = match paint {
            Paint::Bold => "1",
            Paint::Red => "1;31",
            Paint::Yellow => "33",
            Paint::Green => "32",
            Paint::Dim => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// Text wrapped to the width, each line after the first indented.
    fn wrapped(&mut self, first: &str, indent: usize, text: &str) {
        let width = usize::from(self.style.width).saturating_sub(indent).max(20);
        let mut lines = wrap(&clean(text), width).into_iter();
        let head = lines.next().unwrap_or_default();
        self.line(&format!("{first}{head}"));
        for line in lines {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    fn heading(&mut self, text: &str) {
        let text = self.paint(Paint::Bold, text);
        self.line(&format!("\n{text}"));
    }

    fn answer(&mut self, report: &Report) {
        if let Some(best) = report.causes.first() {
            let more = report.causes.len() - 1;
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            let title = self.paint(Paint::Red, &format!("{}{more}", best.title));
            let place = place(best);
            self.line(&format!("{title}  {}", self.paint(Paint::Dim, &place)));
        } else if report.suspected.is_empty() {
            let text = self.paint(Paint::Green, "No cause of failure found in this evidence.");
            self.line(&text);
        } else {
            let text = self.paint(
                Paint::Yellow,
                "No cause can be named with confidence; see what is suspected.",
            );
            self.line(&text);
        }
    }

    fn hosts(&mut self, report: &Report) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(self.style.width);
        table.set_header(["LAYER", "HOST", "PLATFORM", "KERNEL", "NESTING", "SOURCE"]);
        for host in &report.hosts {
            let platform = match (host.platform.vendor.as_str(), host.platform.product.as_str()) {
                ("", "") => "unknown".to_owned(),
                (vendor, "") => vendor.to_owned(),
                (vendor, product) => format!("{vendor}: {product}"),
            };
            let row = [
                &host.layer,
                &host.name,
                &platform,
                &host.kernel,
                host.platform.nesting,
                &host.source,
            ];
            table.add_row(row.map(clean));
        }
        if !report.hosts.is_empty() {
            let text = table.trim_fmt();
            self.line("");
            self.line(&text);
        }
    }

    fn cause(&mut self, cause: &CauseView) {
        let percent = format!("{:.0} %", cause.confidence * 100.0);
        self.heading(&format!("{}. {}", cause.rank, cause.title));
        self.line(&format!("   {}   {percent}   {}   {}", cause.id, cause.severity, place(cause)));
        self.wrapped("   ", 3, &cause.why);
        self.line(&self.paint(Paint::Dim, "   evidence"));
        let mut said = "";
        let mut quoted = BTreeSet::new();
        for evidence in cause.evidence.iter().take(MOST_EVIDENCE) {
            let new = quoted.insert((&evidence.host, &evidence.source, evidence.line));
            self.evidence(evidence, evidence.says == said, new);
            said = &evidence.says;
        }
        if cause.evidence.len() > MOST_EVIDENCE {
            let more = cause.evidence.len() - MOST_EVIDENCE;
            self.line(&format!("     and {more} more, with --format json"));
        }
        if !cause.explains.is_empty() {
            let ids: Vec<_> =
                cause.explains.iter().map(|e| format!("{} ({})", e.title, e.layer)).collect();
            self.wrapped("   explains: ", 6, &ids.join("; "));
        }
        self.line(&self.paint(Paint::Dim, "   what to do"));
        for remedy in &cause.remedy {
            self.wrapped("     ", 5, &remedy.text);
            for command in &remedy.commands {
                let command = self.paint(Paint::Green, command);
                self.line(&format!("       $ {command}"));
            }
            if !remedy.risk.is_empty() {
                self.wrapped("     risk: ", 11, &remedy.risk);
            }
        }
        for reference in &cause.references {
            self.line(&format!("   see {}", clean(reference)));
        }
    }

    /// Several lines that say the same thing are shown under one statement, and a line that says
    /// several things is quoted once.
    fn evidence(&mut self, evidence: &EvidenceView, said: bool, new: bool) {
        let mark = if evidence.weight == "against" { '-' } else { '+' };
        let line = evidence.line.map_or(String::new(), |l| format!(":{l}"));
        let place = format!("{} {}{line}", evidence.host, evidence.source);
        if !said {
            self.wrapped(&format!("   {mark} {:8} ", evidence.weight), 14, &evidence.says);
        }
        self.line(&format!("              {}", self.paint(Paint::Dim, place.trim())));
        if new && !evidence.text.is_empty() {
            self.wrapped("              | ", 16, &shorten(&evidence.text, LONGEST_QUOTE));
        }
    }

    /// Only where several hosts spoke: one log is better read in the log.
    fn timeline(&mut self, report: &Report) {
        let entries = &report.analyses.timeline;
        if entries.iter().map(|e| &e.host).collect::<BTreeSet<_>>().len() < 2 {
            return;
        }
        self.heading("Around the failure, all layers (UTC)");
        for entry in entries.iter().take(MOST_MOMENTS) {
            let mark = if entry.decisive { '*' } else { ' ' };
            let text = shorten(&entry.text, LONGEST_QUOTE);
            self.wrapped(&format!(" {mark} {:27} {:5} ", entry.time, entry.host), 37, &text);
        }
        if entries.len() > MOST_MOMENTS {
            let more = entries.len() - MOST_MOMENTS;
            self.line(&format!("     and {more} more, with --format json"));
        }
    }

    fn suspected(&mut self, report: &Report) {
        if report.suspected.is_empty() {
            return;
        }
        self.heading("Suspected, not proven");
        for cause in &report.suspected {
            let text = format!("{} ({:.0} %): {}", cause.id, cause.confidence * 100.0, cause.title);
            self.wrapped("   ", 5, &text);
        }
    }

    /// One line each: what to do about it is a page of its own.
    fn advice(&mut self, report: &Report) {
        if report.advice.is_empty() {
            return;
        }
        self.heading(
            "Advice (no failure; `nestdoctor explain ID` says why, how, and what it costs)",
        );
        for advice in &report.advice {
            let text = format!("{} on {}: {}", advice.id, advice.host, advice.title);
            self.wrapped(&format!("   {:7} ", advice.kind), 11, &text);
        }
    }

    fn undetermined(&mut self, report: &Report) {
        if report.undetermined.is_empty() {
            return;
        }
        self.heading("Cannot be told from this evidence");
        for entry in &report.undetermined {
            self.wrapped("   ", 5, &format!("{}: {}", entry.id, entry.why));
        }
    }

    fn next(&mut self, report: &Report) {
        if report.next_evidence.is_empty() {
            return;
        }
        self.heading("Collect next");
        for next in &report.next_evidence {
            let command = self.paint(Paint::Green, &next.command);
            self.line(&format!("   $ {command}"));
            self.wrapped("       decides: ", 16, &next.would_decide.join(", "));
        }
    }

    fn problems(&mut self, report: &Report) {
        if report.problems.is_empty() {
            return;
        }
        self.heading("Not read or not understood");
        for problem in &report.problems {
            self.wrapped("   ", 5, &format!("{}: {}", problem.source, problem.what));
        }
    }

    fn footer(&mut self, report: &Report) {
        let s = &report.stats;
        let text = format!(
            "{} files, {} bytes, {} log lines, {} events in {:.2} s; nestdoctor {} with {} rules ({})",
            s.files,
            s.bytes,
            s.lines,
            s.events,
            s.seconds,
            report.tool.version,
            report.tool.rules.count,
            report.tool.rules.digest,
        );
        let text = self.paint(Paint::Dim, &text);
        let _ = writeln!(self.out, "\n{text}");
    }
}

fn place(cause: &CauseView) -> String {
    match &cause.host {
        Some(host) => format!("on {} ({host})", cause.layer),
        None => format!("on {} (not collected)", cause.layer),
    }
}

/// Control characters of a stranger's log never reach a terminal.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() || is_bidi(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Characters that reorder text on a terminal: a log line must read as it was written.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn shorten(text: &str, most: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let length = line.chars().count() + word.chars().count() + 1;
        if !line.is_empty() && length > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(clean("a\x1b[31mb\u{202e}c\td"), "a\u{fffd}[31mb\u{fffd}c d");
    }

    #[test]
    fn wraps_at_words_and_keeps_long_ones_whole() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("averyveryverylongword x", 8), ["averyveryverylongword", "x"]);
    }
}
