//! The tables in the documents say what the code says.
//!
//! Each stands between two markers, and is made of the one table that the code
//! itself goes by. `cargo xtask fix` writes them anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use winter_core::command::table::SPECS;
use winter_server::config::settings_markdown;
use winter_server::metrics::metrics_markdown;

/// The variable that `cargo xtask fix` sets: write the tables instead of comparing them.
const WRITE: &str = "UPDATE_DOCUMENTS";

fn document(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// `text` with `table` between the markers called `name`.
fn with_table(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test has no settings of its own")]
fn says(path: &str, name: &str, table: &str) {
    let file = document(path);
    let text = std::fs::read_to_string(&file).expect("the document is there");
    let wanted = with_table(&text, name, table).expect("the document has the markers");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&file, wanted).expect("the document can be written");
    } else {
        assert_eq!(text, wanted, "{path}: the table of {name} is old; run `cargo xtask fix`");
    }
}

#[test]
fn protocol_lists_every_command() {
    let mut table = "| request | |\n| --- | --- |\n".to_owned();
    for spec in &SPECS {
        let usage = spec.usage().replace('|', "\\|");
        let only = if spec.resp_only { " RESP only." } else { "" };
        writeln!(table, "| `{usage}` | {}{only} |", spec.summary).expect("strings take all");
    }
    says("docs/protocol.md", "commands", &table);
}

/// One test, for both tables stand in one file.
#[test]
fn operations_lists_every_setting_and_every_metric() {
    says("docs/operations.md", "settings", &settings_markdown());
    says("docs/operations.md", "metrics", &metrics_markdown());
}

/// Every word of `text` that begins as a metric does, a histogram's ending taken off.
fn metrics_in(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_lowercase() && c != '_')
        .filter(|word| word.starts_with("winter_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
        .collect()
}

#[test]
fn dashboard_and_alarms_name_metrics_that_exist() {
    let table = metrics_markdown();
    for path in ["docs/operations.md", "deploy/grafana/winter.json"] {
        let text = std::fs::read_to_string(document(path)).expect("the file is there");
        let named = metrics_in(&text);
        assert!(named.len() > 10, "{path} names {named:?}");
        let unknown: Vec<_> =
            named.iter().filter(|name| !table.contains(&format!("| `{name}` |"))).collect();
        assert!(unknown.is_empty(), "{path} names metrics that are not there: {unknown:?}");
    }
}

#[test]
fn a_table_is_put_between_its_markers_and_nowhere_else() {
    let text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n";
    let new = "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n";
    assert_eq!(with_table(text, "x", "new\n").as_deref(), Some(new));
    assert_eq!(with_table(text, "y", "new\n"), None);
}
