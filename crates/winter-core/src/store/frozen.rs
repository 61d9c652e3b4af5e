//! A slice as it was at one moment, read elsewhere while the slice changes.
//!
//! To freeze a slice takes a list of its sealed pages, a copy of its open ones
//! and of its index: no entry is looked at. Which ones had not expired, and
//! their order, is found out by whoever reads, where nobody waits for a lock.

use super::arena::FrozenPages;
use super::entry::Entry;
use super::index::{FrozenIndex, Location};
use crate::time::Timestamp;

/// A slice as it was. It keeps the pages that it was made of in memory.
#[derive(Debug)]
pub struct FrozenSlice {
    pages: FrozenPages,
    index: FrozenIndex,
}

/// A frozen slice's entries, in the order of their versions: an order that
/// every replica has, wherever its entries lie.
#[derive(Debug)]
pub struct FrozenEntries {
    pages: FrozenPages,
    order: Vec<(u64, Location)>,
}

impl FrozenSlice {
    pub(super) const fn new(pages: FrozenPages, index: FrozenIndex) -> Self {
        Self { pages, index }
    }

    /// Bytes that nobody else keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pages.bytes() + self.index.bytes()
    }

    /// The entries that had not expired at `now`. Reads them all, and sorts them.
    #[must_use]
    pub fn into_entries(self, now: Timestamp) -> FrozenEntries {
        let Self { pages, index } = self;
        // By page, so that memory is read from front to back.
        let mut locations: Vec<_> = index.locations().collect();
        drop(index);
        locations.sort_unstable();
        let live = locations.into_iter().filter_map(|location| {
            let Entry { version, deadline, .. } = pages.entry(location);
            let is_live = deadline.is_none_or(|deadline| !deadline.has_passed(now));
            is_live.then_some((version, location))
        });
        let mut order: Vec<_> = live.collect();
        // Pages were written in that order, but for what was moved: the sort that finds runs.
        order.sort_by_key(|&(version, _)| version);
        FrozenEntries { pages, order }
    }
}

impl FrozenEntries {
    /// How many they are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// An entry, by its number from 0.
    #[must_use]
    pub fn nth(&self, number: usize) -> Option<Entry<'_>> {
        let &(_, location) = self.order.get(number)?;
        Some(self.pages.entry(location))
    }

    /// Bytes that nobody else keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pages.bytes() + self.order.capacity() * size_of::<(u64, Location)>()
    }
}
