//! The receiver's side: chunks made into a replica, which stands apart until
//! it is whole.
//!
//! A record is read where it lies if a chunk has all of it, and is put together
//! first if not. Nothing is trusted: what a length announces is looked for
//! before it is taken, and no more is allocated than has come.

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::{
    CHECKSUM_BYTES, FORMAT, HEAD_BYTES, MAGIC, PREAMBLE_BYTES, RECORD_BYTES_MAX, SnapshotFault,
    kind,
};
use crate::cluster::entry::read::Reader;
use crate::cluster::entry::{EntryFault, LogEntry, Operation};
use crate::cluster::replica::{Replica, Unheard};
use crate::command::Version;
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::store::entry::Entry;
use crate::store::{Seed, Table};
use crate::time::{Deadline, Timestamp};

/// The greatest version that a partition can have come to: what every client's
/// number type can hold.
const VERSION_MAX: Version = i64::MAX.unsigned_abs();
/// What a part that came in pieces may keep allocated for the next.
const PARTIAL_BYTES_KEPT_MAX: usize = 64 << 10;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Preamble,
    Head,
    Record,
    Checksum,
    Nothing,
}

/// A replica's state that arrives in chunks, split anywhere.
pub struct Receiving {
    seed: Seed,
    part: Part,
    /// The front of the part that comes next.
    partial: Vec<u8>,
    checksum: Box<Xxh3>,
    replica: Replica,
    /// The table whose entries come.
    table: Option<Arc<Table>>,
    /// The least slot that a table may have.
    slot_next: u64,
    /// The version of the table's last entry.
    version: u64,
    tables: u64,
    entries: u64,
    fault: Option<SnapshotFault>,
}

impl Receiving {
    /// Begins to receive a state for a node that hashes under `seed`.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            part: Part::Preamble,
            partial: Vec::new(),
            checksum: Box::new(Xxh3::new()),
            replica: Replica::new(seed, 0),
            table: None,
            slot_next: 0,
            version: 0,
            tables: 0,
            entries: 0,
            fault: None,
        }
    }

    /// Takes the next chunk, of any length.
    ///
    /// # Errors
    /// What is wrong with it. Every later chunk is refused with the same.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), SnapshotFault> {
        if self.fault.is_none() {
            self.fault = self.take(chunk).err();
        }
        self.fault.map_or(Ok(()), Err)
    }

    /// Whether all of the state has come, as it was sent.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.part == Part::Nothing && self.fault.is_none()
    }

    /// Bytes allocated for what has come.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.replica.partition().allocated_bytes() + self.partial.capacity() + size_of::<Xxh3>()
    }

    pub(in crate::cluster) fn into_replica(self) -> Result<Replica, SnapshotFault> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.is_whole() => Ok(self.replica),
            None => Err(SnapshotFault::CutShort),
        }
    }

    fn take(&mut self, mut chunk: &[u8]) -> Result<(), SnapshotFault> {
        while !chunk.is_empty() {
            if self.partial.is_empty()
                && let Some(length) = self.length_of(chunk)?
                && let Some((whole, rest)) = chunk.split_at_checked(length)
            {
                self.read(whole)?;
                chunk = rest;
                continue;
            }
            // Byte by byte until the length is there.
            let known = self.length_of(&self.partial)?;
            let missing = known.map_or(1, |length| length - self.partial.len());
            let (more, rest) = chunk.split_at(missing.min(chunk.len()));
            self.partial.extend_from_slice(more);
            chunk = rest;
            if self.length_of(&self.partial)? == Some(self.partial.len()) {
                let mut whole = std::mem::take(&mut self.partial);
                self.read(&whole)?;
                if whole.capacity() <= PARTIAL_BYTES_KEPT_MAX {
                    whole.clear();
                    self.partial = whole;
                }
            }
        }
        Ok(())
    }

    /// The length of the part that begins with `front`, if that tells.
    fn length_of(&self, front: &[u8]) -> Result<Option<usize>, SnapshotFault> {
        const INVALID: SnapshotFault = SnapshotFault::Invalid("record's length");
        Ok(Some(match self.part {
            Part::Preamble => PREAMBLE_BYTES,
            Part::Head => HEAD_BYTES,
            Part::Checksum => CHECKSUM_BYTES,
            Part::Nothing => return Err(SnapshotFault::Invalid("end")),
            Part::Record => {
                let mut reader = Reader { rest: front };
                let length = match reader.number() {
                    Ok(length) => usize::try_from(length).map_err(|_| INVALID)?,
                    Err(EntryFault::CutShort) => return Ok(None),
                    Err(_) => return Err(INVALID),
                };
                if !(1..=RECORD_BYTES_MAX).contains(&length) {
                    return Err(INVALID);
                }
                front.len() - reader.rest.len() + length
            }
        }))
    }

    /// Reads a whole part.
    fn read(&mut self, part: &[u8]) -> Result<(), SnapshotFault> {
        if self.part == Part::Checksum {
            let matches = part == self.checksum.digest().to_le_bytes();
            self.part = Part::Nothing;
            return if matches { Ok(()) } else { Err(SnapshotFault::Corrupt) };
        }
        self.checksum.update(part);
        match self.part {
            Part::Preamble => self.preamble(part),
            Part::Head => self.head(part),
            Part::Record => self.record(part),
            Part::Checksum | Part::Nothing => unreachable!("were seen to"),
        }
    }

    fn preamble(&mut self, part: &[u8]) -> Result<(), SnapshotFault> {
        let format = part.strip_prefix(MAGIC).ok_or(SnapshotFault::Foreign)?;
        match u16::from_le_bytes(format.try_into().expect("the preamble ends with two bytes")) {
            FORMAT => {}
            newer if newer > FORMAT => return Err(SnapshotFault::Newer(newer)),
            _ => return Err(SnapshotFault::Invalid("format")),
        }
        self.part = Part::Head;
        Ok(())
    }

    fn head(&mut self, part: &[u8]) -> Result<(), SnapshotFault> {
        let (numbers, _) = part.as_chunks::<8>();
        let [first_version, version, clock] = *numbers else {
            return Err(SnapshotFault::Invalid("head"));
        };
        let [first_version, version, clock] =
            [first_version, version, clock].map(u64::from_le_bytes);
        if first_version.checked_add(version).is_none_or(|last| last > VERSION_MAX) {
            return Err(SnapshotFault::Invalid("version"));
        }
        let clock = Timestamp::from_millis(clock);
        self.replica = Replica::resumed(self.seed, first_version, version, clock);
        self.part = Part::Record;
        Ok(())
    }

    fn record(&mut self, part: &[u8]) -> Result<(), SnapshotFault> {
        let mut reader = Reader { rest: part };
        reader.number().map_err(invalid("record's length"))?;
        match reader.byte().map_err(invalid("record"))? {
            kind::TABLE => self.table(reader.rest),
            kind::ENTRY => self.entry(reader),
            kind::END => self.end(reader),
            _ => Err(SnapshotFault::Invalid("kind of record")),
        }
    }

    fn table(&mut self, entry: &[u8]) -> Result<(), SnapshotFault> {
        const INVALID: SnapshotFault = SnapshotFault::Invalid("table");
        let packed = LogEntry::read(entry).map_err(invalid("table"))?;
        if packed.len() != 1 || packed.stamp() != self.replica.clock() {
            return Err(INVALID);
        }
        let table = match packed.operations().next() {
            Some(Operation::Create(new)) => new.table,
            Some(Operation::Drop(table)) => table,
            Some(Operation::Key { .. }) | None => return Err(INVALID),
        };
        if u64::from(table.slot) < self.slot_next {
            return Err(INVALID);
        }
        self.slot_next = u64::from(table.slot) + 1;
        self.replica.apply(entry, &mut Unheard).map_err(invalid("table"))?;
        self.table = self.replica.table(table).cloned();
        self.version = 0;
        self.tables += 1;
        Ok(())
    }

    fn entry(&mut self, mut reader: Reader<'_>) -> Result<(), SnapshotFault> {
        let table = self.table.as_ref().ok_or(SnapshotFault::Invalid("entry without a table"))?;
        let (_, version_last) = self.replica.partition().versions();
        let newer = reader.number().map_err(invalid("version"))?;
        let version = self.version.checked_add(newer).filter(|&v| newer > 0 && v <= version_last);
        let version = version.ok_or(SnapshotFault::Invalid("version"))?;
        let deadline = match reader.number().map_err(invalid("deadline"))? {
            0 => None,
            left => Some(deadline(self.replica.clock(), left)?),
        };
        let key = reader.blob("key", 1, KEY_BYTES_MAX).map_err(invalid("key"))?;
        let data = reader.rest;
        if data.len() > VALUE_BYTES_MAX {
            return Err(SnapshotFault::Invalid("value"));
        }
        let entry = Entry { version, deadline, key, data };
        match self.replica.restore(table, &entry) {
            Ok(true) => {}
            Ok(false) => return Err(SnapshotFault::Invalid("key")),
            Err(_) => return Err(SnapshotFault::NoRoom),
        }
        self.version = version;
        self.entries += 1;
        Ok(())
    }

    fn end(&mut self, mut reader: Reader<'_>) -> Result<(), SnapshotFault> {
        let counts = (
            reader.number().map_err(invalid("count"))?,
            reader.number().map_err(invalid("count"))?,
        );
        if counts != (self.tables, self.entries) || !reader.rest.is_empty() {
            return Err(SnapshotFault::Invalid("count"));
        }
        self.part = Part::Checksum;
        Ok(())
    }
}

impl fmt::Debug for Receiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving")
            .field("part", &self.part)
            .field("tables", &self.tables)
            .field("entries", &self.entries)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

fn invalid(what: &'static str) -> impl FnOnce(EntryFault) -> SnapshotFault {
    move |_| SnapshotFault::Invalid(what)
}

fn deadline(clock: Timestamp, left: u64) -> Result<Deadline, SnapshotFault> {
    let millis = clock.as_millis().checked_add(left);
    millis
        .filter(|&millis| millis <= Deadline::MILLIS_MAX)
        .map(Deadline::from_millis)
        .ok_or(SnapshotFault::Invalid("deadline"))
}
