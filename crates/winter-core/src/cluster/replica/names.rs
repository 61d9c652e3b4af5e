//! Tables by name.

use std::sync::Arc;

use hashbrown::HashTable;

use super::Slot;
use crate::store::{Seed, Table};

/// The slots of tables, by the tables' names. Two may share one for a while: a later one
/// may come before the earlier one's drop. Every partition has one of these, so names
/// stand in the tables alone.
#[derive(Debug)]
pub(super) struct Names {
    seed: Seed,
    slots: HashTable<u32>,
}

impl Names {
    /// No tables. Names are the clients', so who does not know `seed` cannot choose them
    /// such that they are slow to find.
    pub(super) const fn new(seed: Seed) -> Self {
        Self { seed, slots: HashTable::new() }
    }

    /// The latest table of that name, of those in `slots`.
    pub(super) fn latest<'a>(&self, name: &str, slots: &'a [Slot]) -> Option<&'a Arc<Table>> {
        let same_hash = self.slots.iter_hash(self.seed.hash(name.as_bytes()));
        let tables = same_hash.filter_map(|&slot| slots[slot as usize].table.as_ref());
        tables.filter(|table| &*table.name == name).max_by_key(|table| table.id)
    }

    /// Takes in a table that stands in `slots`.
    pub(super) fn add(&mut self, table: &Table, slots: &[Slot]) {
        let hash = |table: &Table| self.seed.hash(table.name.as_bytes());
        let again = |&slot: &u32| slots[slot as usize].table.as_deref().map_or(0, hash);
        self.slots.insert_unique(hash(table), table.slot, again);
    }

    /// Lets go of a table, before another stands in its slot.
    pub(super) fn remove(&mut self, table: &Table) {
        let hash = self.seed.hash(table.name.as_bytes());
        let known = self.slots.find_entry(hash, |&slot| slot == table.slot);
        known.expect("a table that stands has its name here").remove();
    }

    /// Bytes allocated for it.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.slots.allocation_size()
    }
}
