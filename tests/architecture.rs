//! The import table of the library's documentation holds: stages do not reach into each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::files;

/// What each stage may import of ours. `pipeline`, `trial` and `cli` may import all stages.
const TABLE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("parse", &["model"]),
    ("evidence", &["model", "parse"]),
    ("source", &["model"]),
    ("collect", &["model", "parse", "evidence", "source"]),
    ("analyze", &["model"]),
    ("rules", &["model"]),
    ("rank", &["model", "rules"]),
    ("report", &["model"]),
    ("pipeline", &["model", "evidence", "source", "collect", "analyze", "rules", "rank", "report"]),
    ("trial", &["model", "pipeline", "report", "rules", "source"]),
    ("cli", &["model", "evidence", "source", "collect", "report", "rules", "pipeline", "trial"]),
];

/// Modules named in `crate::...` paths of a source text, comments left out.
fn imports(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        // `use crate::{a, b::c}` names several at once.
        let names = match rest.strip_prefix('{') {
            Some(group) => {
                group.split('}').next().unwrap_or("").split(',').map(str::trim).map(head).collect()
            }
            None => vec![head(rest)],
        };
        found.extend(names);
    }
    found
}

fn head(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn stage(path: &Path, src: &Path) -> String {
    let inside = path.strip_prefix(src).expect("inside src");
    let first =
        inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn every_stage_imports_only_what_the_table_allows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for path in files(&src) {
        let stage = stage(&path, &src);
        if matches!(stage.as_str(), "lib" | "main" | "build") {
            continue;
        }
        let allowed =
            table.get(stage.as_str()).unwrap_or_else(|| panic!("{stage} is not in the table"));
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        for import in imports(&text) {
            checked += 1;
            if import != stage && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: {stage} imports {import}", path.display()));
            }
        }
    }
    assert!(checked > 50, "the scan reads the code: {checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_scan_sees_grouped_and_single_imports() {
    let text = "use crate::model::Fact;\nuse crate::{analyze, evidence::logs};\n// crate::rank\nlet x = crate::source::open(p);";
    assert_eq!(imports(text), ["model", "analyze", "evidence", "source"]);
}

#[test]
fn every_file_says_what_it_is() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in files(&src) {
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        assert!(
            text.starts_with("//!") || text.starts_with("#!["),
            "{} has no //! docs",
            path.display()
        );
    }
}
