//! The sender's side: a replica as it was, read in chunks.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::{FORMAT, MAGIC, kind};
use crate::cluster::entry::{EntryWriter, NewTable, Operation, TableRef, put_number};
use crate::command::Version;
use crate::store::Table;
use crate::store::entry::Entry;
use crate::store::frozen::{FrozenEntries, FrozenSlice};
use crate::time::Timestamp;

/// Bytes that a chunk is given before it is known how many it takes.
const CHUNK_BYTES_FIRST: usize = 64 << 10;

/// A slot as it was.
pub(in crate::cluster) enum FrozenTable {
    /// A table, and what it held.
    Standing(Arc<Table>, Option<FrozenSlice>),
    /// The last table that was here.
    Gone(TableRef),
}

/// A replica as it was, to be sent while the replica moves on.
///
/// It keeps the pages that it refers to in memory, whatever becomes of them in
/// the replica, each table's until the table was read. [`Frozen::bytes`] counts
/// what is kept for it alone.
pub struct Frozen {
    clock: Timestamp,
    tables: std::vec::IntoIter<FrozenTable>,
    /// The table whose entries are being read.
    reading: Option<Reading>,
    /// Bytes to be given before what is left of the entry's data.
    staged: Vec<u8>,
    /// How many of them were given.
    given: usize,
    checksum: Box<Xxh3>,
    tables_sent: u64,
    entries_sent: u64,
    has_ended: bool,
}

/// A table's entries, and the place in them.
struct Reading {
    entries: FrozenEntries,
    /// The next entry.
    next: usize,
    /// The version of the entry before it.
    version: u64,
    /// How much of that entry's data was given.
    data_given: usize,
}

impl Frozen {
    pub(in crate::cluster) fn new(
        (first_version, version): (Version, u64),
        clock: Timestamp,
        tables: Vec<FrozenTable>,
    ) -> Self {
        let mut staged = MAGIC.to_vec();
        staged.extend(FORMAT.to_le_bytes());
        for number in [first_version, version, clock.as_millis()] {
            staged.extend(number.to_le_bytes());
        }
        let mut checksum = Box::new(Xxh3::new());
        checksum.update(&staged);
        Self {
            clock,
            tables: tables.into_iter(),
            reading: None,
            staged,
            given: 0,
            checksum,
            tables_sent: 0,
            entries_sent: 0,
            has_ended: false,
        }
    }

    /// The next chunk, of 1 to `bytes_max` bytes, or `None` after the last. The
    /// chunk that begins a table takes longer than others: it looks at all of
    /// the table's entries and sorts them.
    ///
    /// # Panics
    /// When `bytes_max` is 0.
    pub fn next(&mut self, bytes_max: usize) -> Option<Bytes> {
        assert!(bytes_max > 0, "a chunk has a byte at least");
        let mut chunk = Vec::with_capacity(bytes_max.min(CHUNK_BYTES_FIRST));
        while chunk.len() < bytes_max {
            let room = bytes_max - chunk.len();
            if let staged @ 1.. = (self.staged.len() - self.given).min(room) {
                chunk.extend_from_slice(&self.staged[self.given..self.given + staged]);
                self.given += staged;
            } else if let data @ 1.. = self.data_left().len().min(room) {
                chunk.extend_from_slice(&self.data_left()[..data]);
                self.reading.as_mut().expect("it has data left").data_given += data;
            } else if !self.stage() {
                break;
            }
        }
        (!chunk.is_empty()).then(|| chunk.into())
    }

    /// Bytes that are kept for this alone: what it copied, and pages that the
    /// replica has let go since. The others are counted in the replica.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let waiting = self.tables.as_slice().iter().map(|table| match table {
            FrozenTable::Standing(_, Some(slice)) => slice.bytes(),
            FrozenTable::Standing(_, None) | FrozenTable::Gone(_) => 0,
        });
        waiting.sum::<usize>()
            + self.reading.as_ref().map_or(0, |reading| reading.entries.bytes())
            + self.tables.len() * size_of::<FrozenTable>()
            + self.staged.capacity()
            + size_of::<Xxh3>()
    }

    /// What is left of the data of the entry that was begun.
    fn data_left(&self) -> &[u8] {
        self.reading.as_ref().map_or(&[], |reading| {
            let entry = reading.next.checked_sub(1).and_then(|last| reading.entries.nth(last));
            entry.map_or(&[], |entry| &entry.data[reading.data_given..])
        })
    }

    /// Stages the next record: whether there was one.
    fn stage(&mut self) -> bool {
        self.staged.clear();
        self.given = 0;
        if self.has_ended {
            return false;
        }
        if let Some(reading) = &mut self.reading {
            if let Some(entry) = reading.entries.nth(reading.next) {
                let head = head_of(&entry, reading.version, self.clock);
                put_number(&mut self.staged, (head.len() + entry.data.len()) as u64);
                self.staged.extend_from_slice(&head);
                self.checksum.update(&self.staged);
                self.checksum.update(entry.data);
                reading.version = entry.version;
                reading.next += 1;
                reading.data_given = 0;
                self.entries_sent += 1;
                return true;
            }
            self.reading = None;
        }
        match self.tables.next() {
            Some(table) => self.stage_table(table),
            None => self.stage_end(),
        }
        true
    }

    fn stage_table(&mut self, table: FrozenTable) {
        let mut record = vec![kind::TABLE];
        record.extend(match &table {
            FrozenTable::Standing(table, _) => {
                packed(&Operation::Create(NewTable::of(table)), self.clock)
            }
            FrozenTable::Gone(table) => packed(&Operation::Drop(*table), self.clock),
        });
        self.stage_record(&record);
        self.tables_sent += 1;
        if let FrozenTable::Standing(_, Some(slice)) = table {
            let entries = slice.into_entries(self.clock);
            self.reading = Some(Reading { entries, next: 0, version: 0, data_given: 0 });
        }
    }

    fn stage_end(&mut self) {
        let mut record = vec![kind::END];
        put_number(&mut record, self.tables_sent);
        put_number(&mut record, self.entries_sent);
        self.stage_record(&record);
        self.staged.extend(self.checksum.digest().to_le_bytes());
        self.has_ended = true;
    }

    fn stage_record(&mut self, record: &[u8]) {
        put_number(&mut self.staged, record.len() as u64);
        self.staged.extend_from_slice(record);
        self.checksum.update(&self.staged);
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen")
            .field("clock", &self.clock)
            .field("tables_left", &self.tables.len())
            .field("entries_sent", &self.entries_sent)
            .finish_non_exhaustive()
    }
}

/// An entry's record without its length and its data.
fn head_of(entry: &Entry<'_>, version_before: u64, clock: Timestamp) -> Vec<u8> {
    let mut head = vec![kind::ENTRY];
    put_number(&mut head, entry.version - version_before);
    put_number(&mut head, entry.deadline.map_or(0, |deadline| deadline.millis_left(clock)));
    put_number(&mut head, entry.key.len() as u64);
    head.extend_from_slice(entry.key);
    head
}

fn packed(operation: &Operation<'_>, clock: Timestamp) -> Vec<u8> {
    let mut writer = EntryWriter::default();
    writer.push(operation);
    writer.seal(clock)
}
