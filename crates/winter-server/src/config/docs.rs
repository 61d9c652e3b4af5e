//! The table of settings as the documentation shows it.

use std::fmt::Write as _;

use super::setting::{SETTINGS, Setting};

/// The table of settings in Markdown, as `docs/operations.md` holds it.
#[must_use]
pub fn settings_markdown() -> String {
    let mut table = "| environment | flag | file | default | accepted | |\n\
                     | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for setting in &SETTINGS {
        let (environment, flag) = (setting.environment, setting.flag);
        let key = setting.file_key.map(|key| format!("`{key}`")).unwrap_or_default();
        let (default, accepts, help) = (default(setting), setting.accepts, setting.help);
        writeln!(
            table,
            "| `{environment}` | `--{flag}` | {key} | {default} | {accepts} | {help} |"
        )
        .expect("writing to a string does not fail");
    }
    table
}

fn default(setting: &Setting) -> String {
    let alone = setting.default.map(|text| format!("`{text}`")).unwrap_or_default();
    match setting.default_distributed {
        Some(distributed) => format!("{alone}; `{distributed}` when distributed"),
        None => alone,
    }
}
