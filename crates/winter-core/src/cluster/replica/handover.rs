//! A replica's state, handed to another.

use std::sync::Arc;

use super::{Replica, Sink, Slot, find, share};
use crate::cluster::entry::{NewTable, TableRef};
use crate::cluster::snapshot::{Frozen, FrozenTable, Receiving, SnapshotFault};
use crate::command::Version;
use crate::fault::Fault;
use crate::store::entry::Entry;
use crate::store::{Partition, Seed, Table};
use crate::time::Timestamp;

impl Replica {
    /// The replica as it is now, to be read while this one moves on. It refers
    /// to full pages and copies the rest: no entry is looked at.
    #[must_use]
    pub fn freeze(&self) -> Frozen {
        let slots = (0u32..).zip(&self.slots);
        let tables = slots.filter_map(|(slot, Slot { last, table })| match table {
            Some(table) => Some(FrozenTable::Standing(table.clone(), self.partition.freeze(table))),
            None => last.map(|id| FrozenTable::Gone(TableRef { id, slot })),
        });
        Frozen::new(self.partition.versions(), self.clock, tables.collect())
    }

    /// Begins to receive another replica's state.
    #[must_use]
    pub fn receive(&self) -> Receiving {
        Receiving::new(self.seed)
    }

    /// Takes the state that was received, in the place of its own. Tables are
    /// shared through `sink` and what the old ones held is freed there, as when
    /// an entry is applied.
    ///
    /// # Errors
    /// When it was not received whole. The replica is what it was.
    ///
    /// # Panics
    /// When it was received for a node with another seed.
    pub fn install(
        &mut self,
        received: Receiving,
        sink: &mut impl Sink,
    ) -> Result<(), SnapshotFault> {
        let fresh = received.into_replica()?;
        assert_eq!(fresh.seed, self.seed, "it was received for this node");
        let left = std::mem::replace(self, fresh);
        let stands = |table: &Table| find(&self.slots, NewTable::of(table).table).is_some();
        let dropped = left.tables().filter(|table| !stands(table));
        dropped.for_each(|table| sink.dropped(table.id));
        self.partition.succeed(left.partition).for_each(|slice| sink.free(slice));
        for slot in &mut self.slots {
            if let Some(table) = &mut slot.table {
                *table = share(&NewTable::of(table), sink);
                self.partition.count_against(table);
            }
        }
        Ok(())
    }

    /// A replica without tables that goes on where another was.
    pub(in crate::cluster) fn resumed(
        seed: Seed,
        first_version: Version,
        version: u64,
        clock: Timestamp,
    ) -> Self {
        let partition = Partition::resumed(seed, first_version, version, clock);
        Self { partition, clock, ..Self::new(seed, first_version) }
    }

    /// Puts an entry where another replica had it: whether its key was free.
    pub(in crate::cluster) fn restore(
        &mut self,
        table: &Arc<Table>,
        entry: &Entry<'_>,
    ) -> Result<bool, Fault> {
        self.partition.restore(table, entry)
    }
}
