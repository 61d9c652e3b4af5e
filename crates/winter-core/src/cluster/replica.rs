//! One replica of a data group: a partition, and the tables that it knows.
//!
//! A replica's state is a function of its log. Time is the highest stamp that
//! it applied, whatever the node's own clock says, and tables come and go by
//! entries, whatever the node has heard of the meta group: so all replicas,
//! and all later leaders, agree on what stands and what has expired. Where
//! bytes lie, and when they are reclaimed, is each replica's own.
//!
//! A table's drop leaves a mark in its slot. A copy of its creation that comes
//! late, even after the slot has another table, then changes nothing.
//!
//! A panic while a command runs is the command's: its table is checked, and the
//! rest of the entry is applied. All replicas run the same commands on the same
//! entries, so they panic alike. Should the table have lost entries by it, or
//! should anything else panic, this replica differs from the others: the panic
//! goes on, and whoever catches it gives the replica up.

mod handover;
mod names;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use smallvec::SmallVec;

use self::names::Names;
use super::entry::{EntryFault, LogEntry, NewTable, Operation, TableRef};
use crate::command::{KeyOp, Version};
use crate::fault::Fault;
use crate::reply::Reply;
use crate::store::index::Tag;
use crate::store::partition::Mended;
use crate::store::{HashedKey, Partition, Seed, Slice, Table, TableId};
use crate::time::Timestamp;

/// Operations whose cache misses overlap.
const GROUP_MAX: usize = 8;

/// Where what an entry brings about goes.
pub trait Sink {
    /// Whether anybody waits for answers. If not, reads are not even done: they
    /// change nothing.
    fn is_heard(&self) -> bool {
        true
    }

    /// The answer to an operation, by its number in the entry. Called in order.
    fn answer(&mut self, number: usize, reply: Reply<'_>);

    /// A command on a key of a table is about to run: where tests inject faults.
    fn begins(&mut self, _partition: &mut Partition, _table: &Table) {}

    /// A command has panicked, at the entry's time, and its table is whole: the
    /// reply to it.
    fn panicked(&mut self, table: &Table, _at: Timestamp, _panic: &(dyn Any + Send)) -> Fault {
        Fault::caught(&table.name)
    }

    /// The table as this node's partitions share it: what it holds is counted
    /// over all of them. It must be what [`NewTable::make`] makes.
    fn table(&mut self, new: &NewTable<'_>) -> Arc<Table> {
        Arc::new(new.make())
    }

    /// A table does not stand here any more.
    fn dropped(&mut self, _: TableId) {}

    /// What a dropped table held, to be freed where nobody waits for it.
    fn free(&mut self, slice: Box<Slice>) {
        drop(slice);
    }
}

/// Nobody waits: what a follower applies with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unheard;

impl Sink for Unheard {
    fn is_heard(&self) -> bool {
        false
    }

    fn answer(&mut self, _: usize, _: Reply<'_>) {}
}

/// What a read outside the log finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// This.
    Answer(Reply<'a>),
    /// An entry that the reader's clock holds for expired, and the partition's
    /// does not yet: commit a tick of at least the reader's time, and read again.
    NeedsTick,
}

/// A slot for a table.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// The last table that was here, or was dropped before it came.
    last: Option<TableId>,
    table: Option<Arc<Table>>,
}

/// One replica.
#[derive(Debug)]
pub struct Replica {
    seed: Seed,
    partition: Partition,
    /// The highest stamp applied.
    clock: Timestamp,
    slots: Vec<Slot>,
    names: Names,
}

/// A command on a key, and its number in the entry.
struct Work<'a> {
    number: usize,
    table: TableRef,
    key: HashedKey<'a>,
    op: KeyOp<'a>,
}

impl Replica {
    /// A replica that has applied nothing. Versions are greater than
    /// `first_version`, which is the cluster's; `seed` is the node's own.
    #[must_use]
    pub fn new(seed: Seed, first_version: Version) -> Self {
        Self {
            seed,
            partition: Partition::new(seed, first_version),
            clock: Timestamp::from_millis(0),
            slots: Vec::new(),
            names: Names::new(seed),
        }
    }

    /// The highest stamp applied: what has expired is decided by it alone.
    #[must_use]
    pub const fn clock(&self) -> Timestamp {
        self.clock
    }

    /// The partition, to measure and to foresee a write's cost.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The table, if it stands here.
    #[must_use]
    pub fn table(&self, table: TableRef) -> Option<&Arc<Table>> {
        find(&self.slots, table)
    }

    /// The table of that name, if one stands here: the latest, should there be two.
    #[must_use]
    pub fn table_by_name(&self, name: &str) -> Option<&Arc<Table>> {
        self.names.latest(name, &self.slots)
    }

    /// Every table that stands here, by slot.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.slots.iter().filter_map(|slot| slot.table.as_ref())
    }

    /// Bytes allocated: the partition's, and for the tables that it knows.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Slot>();
        self.partition.allocated_bytes() + slots + self.names.allocated_bytes()
    }

    /// Applies an entry of the log.
    ///
    /// # Errors
    /// When the entry cannot be read. Nothing was applied, and the replica stops here.
    pub fn apply(&mut self, entry: &[u8], sink: &mut impl Sink) -> Result<(), EntryFault> {
        let entry = LogEntry::read(entry)?;
        self.clock = self.clock.max(entry.stamp());
        // The partition's clock goes along, even if no operation shows it the time.
        self.partition.maintain(self.clock, 0);
        let mut group: SmallVec<[Work<'_>; GROUP_MAX]> = SmallVec::new();
        for (number, operation) in entry.operations().enumerate() {
            if let Operation::Key { table, key, op } = operation {
                if op.is_write() || sink.is_heard() {
                    group.push(Work { number, table, key: HashedKey::new(self.seed, key), op });
                }
                if group.len() == GROUP_MAX {
                    self.run(&mut group, sink);
                }
                continue;
            }
            self.run(&mut group, sink);
            let reply = match operation {
                Operation::Create(new) => self.create(&new, sink),
                Operation::Drop(table) => self.drop_table(table, sink),
                Operation::Key { .. } => unreachable!("is in a group"),
            };
            sink.answer(number, reply);
        }
        self.run(&mut group, sink);
        Ok(())
    }

    /// Runs commands on keys in passes, as a node that stands alone does, so
    /// that their cache misses overlap.
    fn run(&mut self, group: &mut SmallVec<[Work<'_>; GROUP_MAX]>, sink: &mut impl Sink) {
        if group.len() > 1 {
            let (slots, partition) = (&*self.slots, &self.partition);
            let mut known: SmallVec<[_; GROUP_MAX]> = group
                .iter_mut()
                .filter_map(|work| Some((find(slots, work.table)?, work)))
                .collect();
            known.iter().for_each(|(table, _)| partition.touch_slice(table));
            known.iter().for_each(|(table, work)| partition.touch_slot(table, work.key.hash));
            for (table, work) in &mut known {
                work.key.hint = partition.touch_entry(table, work.key.hash, &work.op);
            }
        }
        for Work { number, table, key, op } in group.drain(..) {
            let Some(table) = find(&self.slots, table) else {
                sink.answer(number, Reply::MissingTable);
                continue;
            };
            let (partition, clock, hook) = (&mut self.partition, self.clock, &mut *sink);
            let done = catch_unwind(AssertUnwindSafe(move || {
                // What it answers with is the partition's.
                let partition = partition;
                hook.begins(partition, table);
                partition.apply(clock, table, key, &op)
            }));
            match done {
                Ok(reply) => sink.answer(number, reply),
                Err(panic) => {
                    if !is_whole(&mut self.partition, table) {
                        resume_unwind(panic);
                    }
                    let fault = sink.panicked(table, clock, &*panic);
                    sink.answer(number, fault.into());
                }
            }
        }
    }

    /// Checks a table after a panic outside the log: whether all of it is there.
    #[must_use]
    pub fn mend(&mut self, table: TableRef) -> bool {
        find(&self.slots, table).is_none_or(|table| is_whole(&mut self.partition, table))
    }

    fn create(&mut self, new: &NewTable<'_>, sink: &mut impl Sink) -> Reply<'static> {
        if self.table(new.table).is_some() {
            return Reply::Word("already created");
        }
        let slot = self.slot(new.table.slot);
        if Some(new.table.id) <= slot.last {
            // It was dropped since, and this is a late copy.
            return Reply::MissingTable;
        }
        let table = share(new, sink);
        // A slot is given out again only when all have let go; should one not have, it does now.
        if let Some(left) = slot.table.take() {
            self.detach(&left, sink);
        }
        let stands = Slot { last: Some(table.id), table: Some(Arc::clone(&table)) };
        *self.slot(new.table.slot) = stands;
        self.names.add(&table, &self.slots);
        Reply::Word("created")
    }

    fn drop_table(&mut self, table: TableRef, sink: &mut impl Sink) -> Reply<'static> {
        let slot = self.slot(table.slot);
        slot.last = slot.last.max(Some(table.id));
        let Some(left) = slot.table.take_if(|left| left.id <= table.id) else {
            return Reply::MissingTable;
        };
        self.detach(&left, sink);
        Reply::Word("dropped")
    }

    fn detach(&mut self, table: &Table, sink: &mut impl Sink) {
        self.names.remove(table);
        sink.dropped(table.id);
        if let Some(slice) = self.partition.detach(table) {
            sink.free(slice);
        }
    }

    fn slot(&mut self, slot: u32) -> &mut Slot {
        let slot = slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, Slot::default);
        }
        &mut self.slots[slot]
    }

    /// Reads a key outside the log, at the reader's time `now`. Nothing of the
    /// replica's state changes. The caller has seen to it that this replica may answer.
    ///
    /// # Panics
    /// When `op` writes: writes go through the log.
    pub fn read(
        &mut self,
        now: Timestamp,
        table: TableRef,
        key: HashedKey<'_>,
        op: &KeyOp<'_>,
    ) -> Read<'_> {
        assert!(!op.is_write(), "writes go through the log");
        let Some(table) = find(&self.slots, table) else {
            return Read::Answer(Reply::MissingTable);
        };
        let ahead = now.as_millis().saturating_sub(self.clock.as_millis());
        if ahead > 0
            && let Reply::Integer(left) = self.partition.apply(self.clock, table, key, &KeyOp::Ttl)
            && left <= ahead
        {
            return Read::NeedsTick;
        }
        Read::Answer(self.partition.apply(self.clock, table, key, op))
    }

    /// How many entries of `table` have not expired by the partition's clock,
    /// or `None` without the table. Who wants them by another clock commits a tick before.
    pub fn count(&mut self, table: TableRef) -> Option<u64> {
        let table = find(&self.slots, table)?;
        Some(self.partition.count(self.clock, table))
    }

    /// One step of a scan, as [`Partition::scan`] makes it, by the partition's
    /// clock; `None` without the table.
    pub fn scan(
        &mut self,
        table: TableRef,
        from: Tag,
        prefix: &[u8],
        count: u64,
        found: &mut Vec<Vec<u8>>,
    ) -> Option<(Option<Tag>, u64)> {
        let table = find(&self.slots, table)?;
        Some(self.partition.scan(self.clock, table, from, prefix, count, found))
    }

    /// Whether entries have expired by `now` that the partition's clock does not know of.
    #[must_use]
    pub fn is_behind(&self, now: Timestamp) -> bool {
        self.partition.next_due().is_some_and(|due| self.clock < due && due <= now)
    }

    /// Reclaims what has expired by the partition's clock, at most `pages_max`
    /// pages of it: whether more is due. Each replica does so when it likes.
    pub fn maintain(&mut self, pages_max: usize) -> bool {
        self.partition.maintain(self.clock, pages_max)
    }
}

/// Checks a table's slice after a panic, and mends it: whether nothing was lost.
fn is_whole(partition: &mut Partition, table: &Table) -> bool {
    let mended = catch_unwind(AssertUnwindSafe(|| partition.mend(table)));
    matches!(mended, Ok(Mended::Sound | Mended::Rebuilt { lost: 0 }))
}

/// The table as the node's partitions share it.
fn share(new: &NewTable<'_>, sink: &mut impl Sink) -> Arc<Table> {
    let table = sink.table(new);
    assert_eq!(NewTable::of(&table), *new, "another table");
    table
}

/// The table, if it stands. Nothing is counted: nodes share tables between threads.
fn find(slots: &[Slot], table: TableRef) -> Option<&Arc<Table>> {
    let slot = slots.get(table.slot as usize)?;
    slot.table.as_ref().filter(|found| found.id == table.id)
}
