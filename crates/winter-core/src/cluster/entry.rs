//! The packed entry of a data group's log.
//!
//! A lone proposal costs twenty times what an operation in a packed entry
//! does, so a leader packs what waits: one stamp, and operations one after the
//! other. An entry without operations is a *tick*: it only moves the clock.
//!
//! ```text
//! format (1 byte) | stamp (8 bytes) | operation | operation | …
//! key operation:  kind | table's id | slot | key | version? | time to live? | data?
//! create a table: kind | id | slot | name | flags | the options that are set
//! drop a table:   kind | id | slot
//! ```
//!
//! Numbers are LEB128 in their shortest form, so that one entry has one
//! encoding; keys, names and data are a length and their bytes, and are
//! borrowed from the entry until the store copies them. A whole entry is
//! checked before any of it is applied.
//!
//! Tables travel by identity, never by name: an operation on a table that was
//! dropped, or superseded, finds so when it is applied. They come and go in the
//! log itself, so that all replicas decide alike whatever their nodes have
//! heard of the meta group by then.

pub(super) mod read;

use serde::{Deserialize, Serialize};

use super::stored;
use crate::command::{KeyOp, TableOptions, Write};
use crate::store::{Table, TableId};
use crate::time::{Timestamp, Ttl};

/// The format that this release writes, and the newest that it reads.
pub const FORMAT: u8 = 1;
/// Most operations of an entry.
pub const OPERATIONS_MAX: usize = 256;
/// Bytes of an entry after which no operation is added. One operation may be longer.
pub const BYTES_SOFT_MAX: usize = 64 << 10;
/// Bytes before the first operation.
const HEADER_BYTES: usize = 1 + 8;
/// What an operation takes beside its key and data, about.
const OPERATION_BYTES: usize = 24;

/// A table's identity, and where partitions keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableRef {
    /// Its identity.
    #[serde(with = "stored::table_id")]
    pub id: TableId,
    /// Its slot, below [`TABLES_MAX`](crate::limits::TABLES_MAX).
    pub slot: u32,
}

/// A table to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewTable<'a> {
    /// Its identity and slot.
    pub table: TableRef,
    /// Its name, checked.
    pub name: &'a str,
    /// What it allows.
    pub options: TableOptions,
}

impl<'a> NewTable<'a> {
    /// What would make `table` anew.
    #[must_use]
    pub fn of(table: &'a Table) -> Self {
        let Table { id, slot, ref name, options, .. } = *table;
        Self { table: TableRef { id, slot }, name, options }
    }

    /// The table, empty.
    #[must_use]
    pub fn make(&self) -> Table {
        Table::new(self.table.id, self.table.slot, self.name, self.options)
    }
}

/// What an entry asks of every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// A command on a key. Reads are among them: one that follows a write of its
    /// own session is ordered behind it without a wait between the two.
    Key {
        /// The table.
        table: TableRef,
        /// The key, 1 to 65,535 bytes.
        key: &'a [u8],
        /// What to do with it.
        op: KeyOp<'a>,
    },
    /// Take a table in.
    Create(NewTable<'a>),
    /// Let go of a table, and never take it in again. The slot tells which one
    /// that is, should it come before the table.
    Drop(TableRef),
}

/// Why an entry is not applied. Nothing of it was, and a replica that goes on
/// without it would differ from the others: it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// A later release wrote it.
    #[error("the entry has format {0}, and this release reads up to {FORMAT}")]
    Newer(u8),
    /// An operation that this release does not know.
    #[error("the entry holds an operation of kind {0}, which this release does not know")]
    UnknownOperation(u8),
    /// The bytes end before the entry does.
    #[error("the entry is cut short")]
    CutShort,
    /// A field is past its limit, or not written as this release writes it.
    #[error("the entry's {0} cannot be")]
    Invalid(&'static str),
}

/// Kinds of operations as they are written. Only added to.
mod kind {
    pub(super) const GET: u8 = 1;
    pub(super) const GETS: u8 = 2;
    pub(super) const TTL: u8 = 3;
    pub(super) const PUT_NEW: u8 = 4;
    pub(super) const ADD: u8 = 5;
    pub(super) const PUT: u8 = 6;
    pub(super) const CAS: u8 = 7;
    pub(super) const DELETE: u8 = 8;
    pub(super) const DELETE_VERSION: u8 = 9;
    pub(super) const TOUCH: u8 = 10;
    pub(super) const TOUCH_VERSION: u8 = 11;
    pub(super) const CREATE: u8 = 32;
    pub(super) const DROP: u8 = 33;
}

/// Which options of a table are set.
mod flag {
    pub(super) const BYTES_MAX: u8 = 1;
    pub(super) const ENTRIES_MAX: u8 = 1 << 1;
    pub(super) const VALUE_BYTES_MAX: u8 = 1 << 2;
    pub(super) const TTL: u8 = 1 << 3;
    pub(super) const ONCE: u8 = 1 << 4;
    pub(super) const ALL: u8 = (1 << 5) - 1;
}

/// An entry whose every byte was checked, borrowed from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry<'a> {
    stamp: Timestamp,
    operations: usize,
    bytes: &'a [u8],
}

impl<'a> LogEntry<'a> {
    /// When its leader packed it, by the leader's clock.
    #[must_use]
    pub const fn stamp(&self) -> Timestamp {
        self.stamp
    }

    /// How many operations it holds; 0 is a tick.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.operations
    }

    /// Whether it only moves the clock.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// The operations, in order.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'a>> + use<'a> {
        read::operations(self.bytes)
    }
}

/// An entry in the making.
#[derive(Clone, Debug)]
pub struct EntryWriter {
    bytes: Vec<u8>,
    operations: usize,
}

impl Default for EntryWriter {
    fn default() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], operations: 0 }
    }
}

impl EntryWriter {
    /// How many operations it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.operations
    }

    /// Whether it holds no operation yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// Whether `operation` still belongs in this entry. The first always does.
    #[must_use]
    pub fn has_room_for(&self, operation: &Operation<'_>) -> bool {
        self.is_empty()
            || self.operations < OPERATIONS_MAX
                && self.bytes.len() + payload_len(operation) <= BYTES_SOFT_MAX
    }

    /// Adds an operation: its number in the entry, from 0.
    ///
    /// # Panics
    /// When the entry holds [`OPERATIONS_MAX`] operations already.
    pub fn push(&mut self, operation: &Operation<'_>) -> usize {
        assert!(self.operations < OPERATIONS_MAX, "has_room_for was not asked");
        match *operation {
            Operation::Key { table, key, ref op } => self.key(table, key, op),
            Operation::Create(ref new) => self.create(new),
            Operation::Drop(table) => self.start(kind::DROP, table),
        }
        self.operations += 1;
        self.operations - 1
    }

    /// The entry's bytes, stamped; what comes next is another entry.
    #[must_use]
    pub fn seal(&mut self, stamp: Timestamp) -> Vec<u8> {
        let Self { mut bytes, .. } = std::mem::take(self);
        bytes[0] = FORMAT;
        bytes[1..HEADER_BYTES].copy_from_slice(&stamp.as_millis().to_le_bytes());
        bytes
    }

    fn key(&mut self, table: TableRef, key: &[u8], op: &KeyOp<'_>) {
        self.start(kind_of(op), table);
        self.blob(key);
        match *op {
            KeyOp::Get | KeyOp::Gets | KeyOp::Ttl | KeyOp::Delete(None) => {}
            KeyOp::PutNew(write) | KeyOp::Add(write) | KeyOp::Put(write) => self.write(write),
            KeyOp::Cas(version, write) => {
                self.number(version);
                self.write(write);
            }
            KeyOp::Delete(Some(version)) => self.number(version),
            KeyOp::Touch(ttl, version) => {
                version.into_iter().for_each(|version| self.number(version));
                self.ttl(ttl);
            }
        }
    }

    fn create(&mut self, new: &NewTable<'_>) {
        self.start(kind::CREATE, new.table);
        self.blob(new.name.as_bytes());
        let TableOptions { bytes_max, entries_max, value_bytes_max, ttl, once } = new.options;
        let numbers = [
            (flag::BYTES_MAX, bytes_max),
            (flag::ENTRIES_MAX, entries_max),
            (flag::VALUE_BYTES_MAX, value_bytes_max),
            (flag::TTL, ttl.map(Ttl::as_millis)),
        ];
        let once = if once { flag::ONCE } else { 0 };
        let set = numbers.iter().filter(|(_, n)| n.is_some()).fold(once, |set, (f, _)| set | f);
        self.bytes.push(set);
        numbers.iter().filter_map(|&(_, n)| n).for_each(|n| self.number(n));
    }

    fn start(&mut self, kind: u8, table: TableRef) {
        self.bytes.push(kind);
        self.number(table.id.0);
        self.number(u64::from(table.slot));
    }

    fn write(&mut self, write: Write<'_>) {
        self.ttl(write.ttl);
        self.blob(write.data);
    }

    /// 0 stands for none: there is no time to live of 0.
    fn ttl(&mut self, ttl: Option<Ttl>) {
        self.number(ttl.map_or(0, Ttl::as_millis));
    }

    fn blob(&mut self, blob: &[u8]) {
        self.number(blob.len() as u64);
        self.bytes.extend_from_slice(blob);
    }

    fn number(&mut self, n: u64) {
        put_number(&mut self.bytes, n);
    }
}

/// One operation as it stands in an entry.
#[must_use]
pub fn encode(operation: &Operation<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OPERATION_BYTES + payload_len(operation));
    encode_to(&mut bytes, operation);
    bytes
}

/// Appends an operation as it stands in an entry.
pub fn encode_to(bytes: &mut Vec<u8>, operation: &Operation<'_>) {
    let mut writer = EntryWriter { bytes: std::mem::take(bytes), operations: 0 };
    writer.push(operation);
    *bytes = writer.bytes;
}

/// An entry of operations that [`encode`] has made, stamped.
#[must_use]
pub fn pack<'a>(stamp: Timestamp, operations: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let length: usize = operations.clone().map(<[u8]>::len).sum();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&stamp.as_millis().to_le_bytes());
    operations.for_each(|operation| bytes.extend_from_slice(operation));
    bytes
}

/// Appends a number in its shortest form.
pub(super) fn put_number(bytes: &mut Vec<u8>, mut n: u64) {
    while n > 0x7f {
        bytes.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    bytes.push(n.to_le_bytes()[0]);
}

/// The bytes of an operation that can be many.
fn payload_len(operation: &Operation<'_>) -> usize {
    match operation {
        Operation::Key { key, op, .. } => {
            let (KeyOp::PutNew(write)
            | KeyOp::Add(write)
            | KeyOp::Put(write)
            | KeyOp::Cas(_, write)) = op
            else {
                return key.len();
            };
            key.len() + write.data.len()
        }
        Operation::Create(new) => new.name.len(),
        Operation::Drop(_) => 0,
    }
}

const fn kind_of(op: &KeyOp<'_>) -> u8 {
    match op {
        KeyOp::Get => kind::GET,
        KeyOp::Gets => kind::GETS,
        KeyOp::Ttl => kind::TTL,
        KeyOp::PutNew(_) => kind::PUT_NEW,
        KeyOp::Add(_) => kind::ADD,
        KeyOp::Put(_) => kind::PUT,
        KeyOp::Cas(..) => kind::CAS,
        KeyOp::Delete(None) => kind::DELETE,
        KeyOp::Delete(Some(_)) => kind::DELETE_VERSION,
        KeyOp::Touch(_, None) => kind::TOUCH,
        KeyOp::Touch(_, Some(_)) => kind::TOUCH_VERSION,
    }
}
