//! What commands come to.

use std::time::Duration;

use crate::error::Error;
use crate::reply::Value;

/// What became of `CREATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The table is new.
    Created,
    /// It stood already; its options are what they were.
    AlreadyCreated,
}

/// What became of `ADD`: who won, and the version of the entry that stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// This entry, at this version.
    Added(u64),
    /// One that was there, at this version.
    Exists(u64),
}

/// What became of a command that was to be done only at one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded<T> {
    /// The entry stood at it, and the command was done.
    Done(T),
    /// The entry stands at another version, this one. Nothing was done.
    Conflict(u64),
    /// There is no such entry. Nothing was done.
    Nil,
}

/// An entry's data and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The version.
    pub version: u64,
    /// The data.
    pub data: Vec<u8>,
}

/// How long an entry lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// So much longer, to the millisecond.
    For(Duration),
    /// Until it is deleted.
    Forever,
    /// There is no such entry.
    Nil,
}

/// The fault of a reply that its command does not have.
pub(crate) fn unexpected(value: &Value) -> Error {
    let mut text = format!("{value:?}");
    if text.len() > 200 {
        text = text.chars().take(200).chain("...".chars()).collect();
    }
    Error::Unexpected(text)
}

/// `word` and nothing else, in any case of letters.
pub(crate) fn word(value: &Value, word: &str) -> Result<(), Error> {
    let is_word = value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word));
    if is_word { Ok(()) } else { Err(unexpected(value)) }
}

pub(crate) fn created(value: &Value) -> Result<Created, Error> {
    match value.as_str() {
        Some("created") => Ok(Created::Created),
        Some("already created") => Ok(Created::AlreadyCreated),
        _ => Err(unexpected(value)),
    }
}

pub(crate) fn data(value: Value) -> Result<Option<Vec<u8>>, Error> {
    match value {
        Value::Data(data) => Ok(Some(data)),
        Value::Nil => Ok(None),
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn versioned(value: Value) -> Result<Option<Versioned>, Error> {
    match value {
        Value::Nil => Ok(None),
        Value::Array(items) => match <[Value; 2]>::try_from(items) {
            Ok([Value::Integer(version), Value::Data(data)]) if u64::try_from(version).is_ok() => {
                let version = u64::try_from(version).expect("the guard says so");
                Ok(Some(Versioned { version, data }))
            }
            Ok(items) => Err(unexpected(&Value::Array(items.into()))),
            Err(items) => Err(unexpected(&Value::Array(items))),
        },
        other => Err(unexpected(&other)),
    }
}

/// A word and a version, such as `added V`.
fn word_version(value: &Value) -> Option<(&str, u64)> {
    match value {
        Value::Array(items) => match &items[..] {
            [word, version] => Some((word.as_str()?, version.as_u64()?)),
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn added(value: &Value) -> Result<Added, Error> {
    match word_version(value) {
        Some(("added", version)) => Ok(Added::Added(version)),
        Some(("exists", version)) => Ok(Added::Exists(version)),
        _ => Err(unexpected(value)),
    }
}

pub(crate) fn version(value: &Value) -> Result<u64, Error> {
    match word_version(value) {
        Some(("ok", version)) => Ok(version),
        _ => Err(unexpected(value)),
    }
}

/// The outcome of a command that writes at a version and answers the new one.
pub(crate) fn swapped(value: &Value) -> Result<Guarded<u64>, Error> {
    match word_version(value) {
        Some(("ok", version)) => Ok(Guarded::Done(version)),
        Some(("conflict", version)) => Ok(Guarded::Conflict(version)),
        _ if *value == Value::Nil => Ok(Guarded::Nil),
        _ => Err(unexpected(value)),
    }
}

/// The outcome of a command that is done at a version and answers `ok`.
pub(crate) fn guarded(value: &Value) -> Result<Guarded<()>, Error> {
    match word_version(value) {
        Some(("conflict", version)) => Ok(Guarded::Conflict(version)),
        _ if *value == Value::Nil => Ok(Guarded::Nil),
        _ => word(value, "ok").map(Guarded::Done),
    }
}

pub(crate) fn lifetime(value: &Value) -> Result<Lifetime, Error> {
    match value {
        Value::Nil => Ok(Lifetime::Nil),
        Value::Integer(_) => number(value).map(Duration::from_millis).map(Lifetime::For),
        other => word(other, "never").map(|()| Lifetime::Forever),
    }
}

pub(crate) fn number(value: &Value) -> Result<u64, Error> {
    value.as_u64().ok_or_else(|| unexpected(value))
}

fn text(value: Value) -> Result<String, Error> {
    match value {
        Value::Data(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn texts(value: Value) -> Result<Vec<String>, Error> {
    match value {
        Value::Array(items) => items.into_iter().map(text).collect(),
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn fields(value: Value) -> Result<Vec<(String, String)>, Error> {
    match value {
        Value::Map(pairs) => pairs.into_iter().map(|(k, v)| Ok((text(k)?, text(v)?))).collect(),
        other => Err(unexpected(&other)),
    }
}

/// A step of a scan: the next cursor, and keys.
pub(crate) fn step(value: Value) -> Result<(u64, Vec<Vec<u8>>), Error> {
    let parts = match value {
        Value::Array(items) => <[Value; 2]>::try_from(items).map_err(Value::Array),
        other => Err(other),
    };
    let [cursor, keys] = parts.map_err(|value| unexpected(&value))?;
    let parsed = cursor.as_str().and_then(|text| text.parse().ok());
    let cursor = parsed.ok_or_else(|| unexpected(&cursor))?;
    let Value::Array(keys) = keys else { return Err(unexpected(&keys)) };
    let key = |value| data(value)?.ok_or_else(|| unexpected(&Value::Nil));
    Ok((cursor, keys.into_iter().map(key).collect::<Result<_, _>>()?))
}
