//! What can be asked, and what can be answered.
//!
//! Tables, keys and values are numbers here: short in a report, and cheap to
//! compare. How they look to a server (`t3`, `k17`, `v41` and perhaps padding)
//! is the driver's choice.

use std::time::Duration;

/// A table's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub u32);

/// A key's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u32);

/// An entry's data. A workload writes each value once, which makes the checker
/// sharper and faster; a history that repeats them is checked all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u64);

/// What is asked of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The table.
    pub table: Table,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done with a table or with one of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Make the table, without options.
    Create,
    /// Take the table away.
    Drop,
    /// Do something with a key.
    Key(Key, KeyOp),
}

/// What is to be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOp {
    /// Read the data.
    Get,
    /// Read the version and the data.
    Gets,
    /// Write unless the key has an entry; `ok` either way.
    PutNew(Write),
    /// Write unless the key has an entry, and say who won.
    Add(Write),
    /// Write.
    Put(Write),
    /// Write if the entry stands at this version.
    Cas(u64, Write),
    /// Take the entry away; with a version, only if it stands at it.
    Delete(Option<u64>),
    /// Give the entry a new time to live, or none; with a version, only if it
    /// stands at it.
    Touch(Option<Duration>, Option<u64>),
}

/// Data to be written, and its time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// The data.
    pub value: Value,
    /// The time to live; none is for ever.
    pub ttl: Option<Duration>,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `ok`
    Ok,
    /// `ok V`: written, at this version.
    OkVersion(u64),
    /// `added V`
    Added(u64),
    /// `exists V`
    Exists(u64),
    /// `conflict V`
    Conflict(u64),
    /// `nil`
    Nil,
    /// An entry's data.
    Data(Value),
    /// An entry's version and data.
    VersionData(u64, Value),
    /// `missing table`
    MissingTable,
    /// `created`
    Created,
    /// `already created`
    AlreadyCreated,
    /// `dropped`
    Dropped,
    /// Anything else, such as data that nobody wrote. Never linearizable.
    Other(String),
}

impl Reply {
    /// A reply that no command gives: `text` on one line.
    #[must_use]
    pub fn other(text: &str) -> Self {
        Self::Other(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// What kind of reply it is, in a word or two.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ok | Self::OkVersion(_) => "ok",
            Self::Added(_) => "added",
            Self::Exists(_) => "exists",
            Self::Conflict(_) => "conflict",
            Self::Nil => "nil",
            Self::Data(_) | Self::VersionData(..) => "data",
            Self::MissingTable => "missing table",
            Self::Created => "created",
            Self::AlreadyCreated => "already created",
            Self::Dropped => "dropped",
            Self::Other(_) => "other",
        }
    }

    /// The version that it names.
    #[must_use]
    pub const fn version(&self) -> Option<u64> {
        match *self {
            Self::OkVersion(version)
            | Self::Added(version)
            | Self::Exists(version)
            | Self::Conflict(version)
            | Self::VersionData(version, _) => Some(version),
            _ => None,
        }
    }
}

impl Call {
    /// The key, if one is named.
    #[must_use]
    pub const fn key(&self) -> Option<Key> {
        match self.action {
            Action::Key(key, _) => Some(key),
            Action::Create | Action::Drop => None,
        }
    }

    /// The command's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.action {
            Action::Create => "CREATE",
            Action::Drop => "DROP",
            Action::Key(_, op) => op.word(),
        }
    }
}

impl KeyOp {
    /// The command's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Gets => "GETS",
            Self::PutNew(_) => "PUTNEW",
            Self::Add(_) => "ADD",
            Self::Put(_) => "PUT",
            Self::Cas(..) => "CAS",
            Self::Delete(_) => "DELETE",
            Self::Touch(..) => "TOUCH",
        }
    }

    /// What it would write.
    #[must_use]
    pub const fn write(&self) -> Option<Write> {
        match *self {
            Self::PutNew(write) | Self::Add(write) | Self::Put(write) | Self::Cas(_, write) => {
                Some(write)
            }
            Self::Get | Self::Gets | Self::Delete(_) | Self::Touch(..) => None,
        }
    }

    /// The version that the entry must stand at.
    #[must_use]
    pub const fn version(&self) -> Option<u64> {
        match *self {
            Self::Cas(version, _) => Some(version),
            Self::Delete(version) | Self::Touch(_, version) => version,
            Self::Get | Self::Gets | Self::PutNew(_) | Self::Add(_) | Self::Put(_) => None,
        }
    }

    /// Whether it changes nothing, whatever it finds.
    #[must_use]
    pub const fn reads(&self) -> bool {
        matches!(self, Self::Get | Self::Gets)
    }
}
