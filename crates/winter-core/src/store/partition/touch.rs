//! Asking for memory before it is needed.

use super::Partition;
use crate::command::KeyOp;
use crate::store::index::Hint;
use crate::store::prefetch::prefetch_whole;
use crate::store::table::Table;

impl Partition {
    /// Asks for what leads to the entries of `table`. Done for many keys before their
    /// slots are asked for, as that is before their entries are read, so that
    /// cache misses overlap.
    #[inline]
    pub fn touch_slice(&self, table: &Table) {
        let slice = self.slices.at(table.slot);
        slice.into_iter().for_each(prefetch_whole);
    }

    /// Asks for the slots of a key with `hash`.
    #[inline]
    pub fn touch_slot(&self, table: &Table, hash: u64) {
        if let Some(slice) = self.slices.of(table) {
            slice.touch_slot(hash);
        }
    }

    /// Asks for the front of a key's entry, after its slot, and for the place that
    /// `op` would write to: a hint for the look-up to come.
    #[inline]
    #[must_use]
    pub fn touch_entry(&self, table: &Table, hash: u64, op: &KeyOp<'_>) -> Option<Hint> {
        let slice = self.slices.of(table)?;
        let hint = slice.touch_entry(hash);
        if let Some(write) = op.written() {
            slice.touch_to_write(hint, self.deadline_of(table, write), self.clock);
        }
        Some(hint)
    }
}
