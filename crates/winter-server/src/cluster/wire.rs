//! What nodes ask each other beside consensus: commands for a partition's
//! leader, and the cluster's own affairs. Variants and fields are only added, at
//! the end; a message that cannot be read is declined. Bytes are marked as such: they
//! travel as any sequence does, but are copied at once and not one by one.

mod keys;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use winter_core::cluster::entry::TableRef;
use winter_core::cluster::meta::{MetaCommand, MetaReply, MetaTable, Profile};
use winter_core::cluster::recovery::Holding;
use winter_core::cluster::{Address, ClusterId, GroupId, NodeId};
use winter_core::command::TableOptions;
use winter_core::time::Ttl;

use super::usage::Usage;
pub(crate) use keys::{Answer, Command};

/// A message has room for so many bytes at first.
const MESSAGE_BYTES: usize = 512;

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
