//! The settings file: TOML, one flat table, keys as flags are but with underscores.

use std::collections::BTreeMap;
use std::path::Path;

use super::fault::{Origin, SettingFault, closest};
use super::machine::FileReader;
use super::setting::{Name, SETTINGS};

/// Reads the file at `path`.
pub(super) fn read(
    path: &str,
    read: FileReader<'_>,
) -> (BTreeMap<Name, String>, Vec<SettingFault>) {
    let table = read(Path::new(path))
        .map_err(|error| format!("the file cannot be read: {error}"))
        .and_then(|text| text.parse().map_err(|error| not_toml(&text, &error)));
    match table {
        Ok(table) => settings(path, &table),
        Err(sentence) => {
            let origin = Origin::File(path.to_owned());
            let name = Name::ConfigFile.setting().environment.to_owned();
            (BTreeMap::new(), vec![SettingFault { name, value: None, origin, sentence }])
        }
    }
}

fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("line {line} is not TOML: {}", error.message().replace('\n', "; "))
}

fn settings(path: &str, table: &toml::Table) -> (BTreeMap<Name, String>, Vec<SettingFault>) {
    let (mut found, mut faults) = (BTreeMap::new(), Vec::new());
    let origin = Origin::File(path.to_owned());
    for (key, value) in table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.file_key == Some(key)) else {
            let keys = SETTINGS.iter().filter_map(|setting| setting.file_key);
            let closest = closest(key, keys).map(str::to_owned);
            faults.push(SettingFault::unknown(key, origin.clone(), closest));
            continue;
        };
        match text_of(value) {
            Some(text) => {
                found.insert(setting.name, text);
            }
            None => faults.push(SettingFault::unaccepted(setting, &value.to_string(), &origin)),
        }
    }
    (found, faults)
}

/// A value as one would write it in the environment; a list's items are set apart by commas.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(n) => Some(n.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
