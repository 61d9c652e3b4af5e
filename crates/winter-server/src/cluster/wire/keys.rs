//! A command on a key and its reply, as they travel between nodes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use winter_core::command::{KeyCommand, KeyOp, Write};
use winter_core::fault::{Fault, Kind};
use winter_core::reply::Reply;
use winter_core::time::Ttl;

/// What a dialect adds to data or to a sentence has at the most so many bytes.
const FRAME_BYTES: usize = 32;
/// Every word that a reply on a key can be.
pub(super) const WORDS: [&str; 6] = ["ok", "added", "exists", "conflict", "never", "internal"];

/// A command on a key, on its way to the leader of the key's partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command<'a> {
    /// The table's name: its leader knows which table has it now.
    pub table: &'a str,
    /// The key.
    #[serde(borrow, with = "serde_bytes")]
    pub key: &'a [u8],
    #[serde(borrow)]
    pub(super) op: Op<'a>,
}

/// [`KeyOp`] as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Op<'a> {
    Get,
    Gets,
    Ttl,
    #[serde(borrow)]
    PutNew(Data<'a>),
    Add(Data<'a>),
    Put(Data<'a>),
    Cas(u64, Data<'a>),
    Delete(Option<u64>),
    /// A time to live in milliseconds, 0 for none.
    Touch(u64, Option<u64>),
}

/// [`Write`] as it travels; a time to live of 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Data<'a> {
    #[serde(borrow, with = "serde_bytes")]
    pub(super) data: &'a [u8],
    pub(super) ttl: u64,
}

impl<'a> From<Write<'a>> for Data<'a> {
    fn from(write: Write<'a>) -> Self {
        Self { data: write.data, ttl: write.ttl.map_or(0, Ttl::as_millis) }
    }
}

impl<'a> From<Data<'a>> for Write<'a> {
    fn from(data: Data<'a>) -> Self {
        Write { data: data.data, ttl: Ttl::from_millis(data.ttl) }
    }
}

impl<'a> From<&KeyCommand<'a>> for Command<'a> {
    fn from(command: &KeyCommand<'a>) -> Self {
        let op = match command.op {
            KeyOp::Get => Op::Get,
            KeyOp::Gets => Op::Gets,
            KeyOp::Ttl => Op::Ttl,
            KeyOp::PutNew(write) => Op::PutNew(write.into()),
            KeyOp::Add(write) => Op::Add(write.into()),
            KeyOp::Put(write) => Op::Put(write.into()),
            KeyOp::Cas(version, write) => Op::Cas(version, write.into()),
            KeyOp::Delete(version) => Op::Delete(version),
            KeyOp::Touch(ttl, version) => Op::Touch(ttl.map_or(0, Ttl::as_millis), version),
        };
        Self { table: command.table, key: command.key, op }
    }
}

impl<'a> Command<'a> {
    /// What is to be done with the key.
    pub(crate) fn op(&self) -> KeyOp<'a> {
        match self.op {
            Op::Get => KeyOp::Get,
            Op::Gets => KeyOp::Gets,
            Op::Ttl => KeyOp::Ttl,
            Op::PutNew(data) => KeyOp::PutNew(data.into()),
            Op::Add(data) => KeyOp::Add(data.into()),
            Op::Put(data) => KeyOp::Put(data.into()),
            Op::Cas(version, data) => KeyOp::Cas(version, data.into()),
            Op::Delete(version) => KeyOp::Delete(version),
            Op::Touch(ttl, version) => KeyOp::Touch(Ttl::from_millis(ttl), version),
        }
    }
}

/// A reply on its way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// One of [`WORDS`].
    Word(u8),
    /// One of [`WORDS`], and a version.
    WordVersion(u8, u64),
    /// An entry's data.
    Data(Bytes),
    /// An entry's version and data.
    VersionData(u64, Bytes),
    /// No such entry.
    Nil,
    /// A number.
    Integer(u64),
    /// No such table.
    MissingTable,
    /// An error: its kind among [`Kind::ALL`], and its sentence.
    Fault(u8, String),
}

impl Answer {
    /// Takes a reply to a command on a key along.
    pub(crate) fn of(reply: &Reply<'_>) -> Self {
        match reply {
            Reply::Word(word) => Self::Word(number_of(word)),
            Reply::WordVersion(word, version) => Self::WordVersion(number_of(word), *version),
            Reply::Data(data) => Self::Data(Bytes::copy_from_slice(data)),
            Reply::VersionData(version, data) => {
                Self::VersionData(*version, Bytes::copy_from_slice(data))
            }
            Reply::Nil => Self::Nil,
            Reply::Integer(n) => Self::Integer(*n),
            Reply::MissingTable => Self::MissingTable,
            Reply::Fault(fault) => fault.clone().into(),
            Reply::Text(_)
            | Reply::Lines(_)
            | Reply::Fields(_)
            | Reply::Scan { .. }
            | Reply::Resp(_) => unreachable!("no command on a key is answered so"),
        }
    }

    /// How long an entry's data in it is.
    pub(crate) fn data_bytes(&self) -> usize {
        match self {
            Self::Data(data) | Self::VersionData(_, data) => data.len(),
            _ => 0,
        }
    }

    /// How long the reply is at the most, whichever dialect writes it. Only data that a
    /// line cannot hold may take more.
    pub(crate) fn reply_bytes(&self) -> usize {
        let text_bytes = match self {
            Self::Fault(_, sentence) => sentence.len(),
            _ => self.data_bytes(),
        };
        FRAME_BYTES + text_bytes
    }

    /// The reply, as a dialect writes it.
    pub(crate) fn reply(&self) -> Reply<'_> {
        match self {
            Self::Word(word) => Reply::Word(word_of(*word)),
            Self::WordVersion(word, version) => Reply::WordVersion(word_of(*word), *version),
            Self::Data(data) => Reply::Data(data),
            Self::VersionData(version, data) => Reply::VersionData(*version, data),
            Self::Nil => Reply::Nil,
            Self::Integer(n) => Reply::Integer(*n),
            Self::MissingTable => Reply::MissingTable,
            Self::Fault(kind, sentence) => {
                let kind = Kind::ALL.get(usize::from(*kind)).copied().unwrap_or(Kind::Internal);
                Reply::Fault(Fault::new(kind, sentence.clone()))
            }
        }
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        let number = Kind::ALL.iter().position(|kind| *kind == fault.kind);
        let number = number.and_then(|n| u8::try_from(n).ok()).expect("every kind is listed");
        Self::Fault(number, fault.sentence.into_owned())
    }
}

fn number_of(word: &str) -> u8 {
    let number = WORDS.iter().position(|known| *known == word);
    number.and_then(|n| u8::try_from(n).ok()).expect("every word of a reply is listed")
}

fn word_of(number: u8) -> &'static str {
    WORDS.get(usize::from(number)).copied().unwrap_or("internal")
}
