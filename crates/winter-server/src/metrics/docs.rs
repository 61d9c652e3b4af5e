//! The table of metrics as the documentation shows it.

use std::fmt::Write as _;

use super::METRICS;

/// The table of metrics in Markdown, as `docs/operations.md` holds it.
#[must_use]
pub fn metrics_markdown() -> String {
    let mut table = "| metric | kind | labels | |\n| --- | --- | --- | --- |\n".to_owned();
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels) = (metric.name, metric.kind.word(), labels.join(", "));
        writeln!(table, "| `{name}` | {kind} | {labels} | {} |", metric.help)
            .expect("writing to a string does not fail");
    }
    table
}
