//! What nodes ask each other beside consensus: commands for a partition's
//! leader, and the cluster's own affairs. Variants and fields are only added, at
//! the end; a message that cannot be read is declined. Bytes are marked as such: they
//! travel as any sequence does, but are copied at once and not one by one.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use winter_core::cluster::entry::TableRef;
use winter_core::cluster::meta::{MetaCommand, MetaReply, MetaTable, Profile};
use winter_core::cluster::recovery::Holding;
use winter_core::cluster::{Address, ClusterId, GroupId, NodeId};
use winter_core::command::{KeyCommand, KeyOp, TableOptions, Write};
use winter_core::fault::{Fault, Kind};
use winter_core::reply::Reply;
use winter_core::time::Ttl;

/// A message has room for so many bytes at first.
const MESSAGE_BYTES: usize = 512;
/// Every word that a reply on a key can be.
const WORDS: [&str; 6] = ["ok", "added", "exists", "conflict", "never", "internal"];

/// A command on a key, on its way to the leader of the key's partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command<'a> {
    /// The table's name: its leader knows which table has it now.
    pub table: &'a str,
    /// The key.
    #[serde(borrow, with = "serde_bytes")]
    pub key: &'a [u8],
    #[serde(borrow)]
    op: Op<'a>,
}

/// [`KeyOp`] as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Op<'a> {
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
struct Data<'a> {
    #[serde(borrow, with = "serde_bytes")]
    data: &'a [u8],
    ttl: u64,
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

/// What became of one of several commands that were sent together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It was done, or refused for good.
    Done(Answer),
    /// Nothing was done, and it may be sent again.
    NotDone,
    /// It may have been done, or may be done yet.
    Unknown,
    /// Nothing was done: there is no room for what a read answers, of so many bytes.
    NeedsRoom(u64),
}

impl Outcome {
    /// How long an entry's data in it is.
    pub(crate) fn data_bytes(&self) -> usize {
        match self {
            Self::Done(answer) => answer.data_bytes(),
            Self::NotDone | Self::Unknown | Self::NeedsRoom(_) => 0,
        }
    }

    /// Whether it was begun with: what was not may be sent again.
    pub(crate) fn is_begun(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Unknown)
    }
}

/// Why a node did nothing of what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum NotDone {
    /// It does not lead; `leader` does, as far as it knows.
    #[error("it does not lead")]
    NotLeader {
        /// Whom to ask instead.
        leader: Option<NodeId>,
    },
    /// It leads, or did, and no majority answers it.
    #[error("no majority of the replicas answers")]
    NoMajority,
    /// It has no replica of the group, or could not read what it was asked.
    #[error("it has no part in this")]
    Declined,
}

/// What is asked of a partition's leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask<'a> {
    /// Commands on keys, in order: `Vec<Command>`, for [`Outcome`]s.
    Keys(#[serde(borrow)] Vec<Command<'a>>),
    /// Take a table in: for `()`.
    Create(NewTable),
    /// Let go of a table: for `()`.
    Drop(TableRef),
    /// Entries of a table that have not expired: for `Result<Option<u64>, Answer>`.
    Count(&'a str),
    /// What a table holds: for `Option<Held>`.
    Holdings(&'a str),
    /// One step of a scan: for `Result<Option<Scanned>, Answer>`.
    Scan {
        /// The table.
        table: &'a str,
        /// The first tag.
        from: u64,
        /// Keys begin so.
        #[serde(borrow, with = "serde_bytes")]
        prefix: &'a [u8],
        /// Entries to look at.
        count: u64,
    },
    /// [`Ask::Keys`] of one who has reserved so many bytes for what reads answer.
    LongKeys {
        /// How much they may answer.
        room: u64,
        /// In order.
        #[serde(borrow)]
        commands: Vec<Command<'a>>,
    },
}

/// A table to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewTable {
    /// Its identity and slot.
    pub table: TableRef,
    /// Its name.
    pub name: String,
    /// Its options, as the meta group holds them.
    pub options: Options,
}

/// A table's options as they travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    pub bytes_max: Option<u64>,
    pub entries_max: Option<u64>,
    pub value_bytes_max: Option<u64>,
    pub ttl: Option<u64>,
    pub once: bool,
}

impl From<TableOptions> for Options {
    fn from(options: TableOptions) -> Self {
        let TableOptions { bytes_max, entries_max, value_bytes_max, ttl, once } = options;
        Self { bytes_max, entries_max, value_bytes_max, ttl: ttl.map(Ttl::as_millis), once }
    }
}

impl From<Options> for TableOptions {
    fn from(options: Options) -> Self {
        let Options { bytes_max, entries_max, value_bytes_max, ttl, once } = options;
        Self { bytes_max, entries_max, value_bytes_max, ttl: ttl.and_then(Ttl::from_millis), once }
    }
}

impl From<&MetaTable> for NewTable {
    fn from(table: &MetaTable) -> Self {
        Self { table: table.table, name: table.name.clone(), options: table.options.into() }
    }
}

/// What a table holds in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Entries.
    pub entries: u64,
    /// Bytes of entries and their slots.
    pub bytes: u64,
    /// Bytes allocated for them.
    pub allocated: u64,
    /// Commands on its keys, since this node leads the partition.
    pub operations: u64,
    /// Commands among them that a limit has refused.
    pub rejections: u64,
    /// Panics in its code that were caught.
    pub restarts: u64,
    /// Whether it answers nothing until it is revived.
    pub is_fenced: bool,
}

/// One step of a scan within a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scanned {
    /// The tag to go on at; `None` at the partition's end.
    pub next: Option<u64>,
    /// Entries looked at.
    pub looked_at: u64,
    /// Keys found.
    pub keys: Vec<ByteBuf>,
}

/// What a probe asks, by whoever is of the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Probe {
    /// Where do you stand? With the founding's message.
    Founding(Profile, Bytes),
    /// Let me in.
    Join(NodeId, Profile),
    /// Of a member: what do you hold?
    Survey,
    /// Of a member of this cluster: do your part of this recovery.
    Recover(ClusterId, MetaCommand),
}

/// What a probe is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ProbeAnswer {
    /// Here, with the founding's message.
    Founding(Profile, Bytes),
    /// You are a member now, and these are the others.
    Welcome(ClusterId, BTreeMap<NodeId, Address>),
    /// Not now; ask again.
    NotNow(String),
    /// You were a member and are held for dead. Come back as somebody else.
    Gone,
    /// This of each group.
    Holds(BTreeMap<GroupId, Holding>),
    /// It is done.
    Recovered,
}

/// What members ask each other about the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Affair {
    /// Of the meta group's leader: propose this. For `Result<MetaReply, NotDone>`.
    Propose(MetaCommand),
    /// Of anybody, unanswered: how I am.
    Pulse(Pulse),
    /// Of the meta group's leader: the table of this name. For `Option<NewTable>`.
    Find(String),
    /// Of the meta group's leader: the tables that had this name and that
    /// partitions are still letting go of. For `Vec<NewTable>`.
    Leaving(String),
    /// Of the meta group's leader: the names of all tables. For `Vec<String>`.
    Names,
    /// Of anybody: what the table of this identity and name holds in the partitions that
    /// you lead. For [`Usage`].
    Usage(u64, String),
}

/// Entries of a table, and bytes of these and their slots.
pub(crate) type Usage = (u64, u64);

/// How a node is, told to all others again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pulse {
    /// Whether its memory is full, so that no leader may write to it.
    pub is_full: bool,
    /// What tables with quotas hold in the partitions that it leads.
    pub usage: BTreeMap<u64, Usage>,
    /// The partitions that it leads.
    pub leads: Vec<u16>,
}

/// What became of a proposal to the meta group.
pub(crate) type Proposed = Result<MetaReply, ProposeFault>;

/// Why a proposal to the meta group has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum ProposeFault {
    /// Nothing was done.
    #[error("nothing was done: {0}")]
    NotDone(NotDone),
    /// It may have been done.
    #[error("the outcome is not known")]
    Unknown,
}

/// Writes a message.
pub(crate) fn encode(message: &impl Serialize) -> Bytes {
    encode_long(message, 0)
}

/// Writes a message with so many bytes of data in it.
pub(crate) fn encode_long(message: &impl Serialize, data_bytes: usize) -> Bytes {
    let room = Vec::with_capacity(MESSAGE_BYTES + data_bytes);
    let written = postcard::to_extend(message, room);
    Bytes::from(written.expect("messages hold nothing that cannot be written"))
}

/// Writes what became of commands.
pub(crate) fn encode_outcomes(outcomes: &[Outcome]) -> Bytes {
    encode_long(&outcomes, outcomes.iter().map(Outcome::data_bytes).sum())
}

/// Reads a message that fills `bytes`.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}

#[cfg(test)]
mod formats;
