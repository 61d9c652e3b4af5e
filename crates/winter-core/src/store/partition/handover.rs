//! A partition's state, handed to another replica: what a snapshot needs to
//! read here and to make there.

use super::{Partition, Slice};
use crate::command::Version;
use crate::fault::Fault;
use crate::store::entry::Entry;
use crate::store::frozen::FrozenSlice;
use crate::store::hash::{HashedKey, Seed};
use crate::store::slice::Spot;
use crate::store::table::Table;
use crate::time::Timestamp;

impl Partition {
    /// An empty partition that goes on where another was: the next version is
    /// greater than `first_version + version`, and it is `clock` or later.
    #[must_use]
    pub fn resumed(seed: Seed, first_version: Version, version: u64, clock: Timestamp) -> Self {
        Self { version, clock, ..Self::new(seed, first_version) }
    }

    /// What versions count from, and how far they have come.
    #[must_use]
    pub const fn versions(&self) -> (Version, u64) {
        (self.first_version, self.version)
    }

    /// `table`'s slice as it is now: references to its pages, and a copy of its
    /// index. `None` while it holds nothing.
    #[must_use]
    pub fn freeze(&self, table: &Table) -> Option<FrozenSlice> {
        self.slices.of(table).map(Slice::freeze)
    }

    /// Puts an entry where another partition had it: whether its key was free.
    ///
    /// # Errors
    /// When the partition has no room for it.
    pub fn restore(&mut self, table: &Table, entry: &Entry<'_>) -> Result<bool, Fault> {
        let key = HashedKey::new(self.seed, entry.key);
        let spot = self.slices.of(table).map_or(Spot::First, |slice| Spot::of(&slice.seek(key)));
        self.put(table, key.hash, entry, spot)?;
        Ok(!matches!(spot, Spot::Taken(_)))
    }

    /// Takes the place of `other`, which had the same part to play on this node:
    /// its slices, for the caller to drop when no lock is held.
    pub fn succeed(&mut self, other: Self) -> impl Iterator<Item = Box<Slice>> + use<> {
        self.reclaimed += other.reclaimed;
        other.slices.into_iter()
    }

    /// Counts what `table` holds here against what it holds over all partitions.
    pub fn count_against(&mut self, table: &Table) {
        self.slices.with(table.slot, |slice| {
            assert_eq!(slice.table(), table.id, "the slot's only table");
            slice.count_against(table.usage.clone());
        });
    }
}
