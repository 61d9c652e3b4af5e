//! What a partition does for its own upkeep: reclaiming what has expired or is
//! garbage, a page at a time, and coming right after a panic. None of it changes
//! an answer.

use std::cmp::Reverse;

use super::{Mended, Partition};
use crate::store::arena::PageNumber;
#[cfg(feature = "failpoints")]
use crate::store::hash::HashedKey;
use crate::store::slice::{Reclaimed, Slice};
use crate::store::table::Table;
use crate::time::Timestamp;

/// Out-of-date entries of the queue of pages to be swept that are not worth a look.
const DUE_STALE_FREE: usize = 64;

impl Partition {
    /// Moves the clock on to `at`. It is written only when it changes, once a
    /// millisecond: reads leave the partition's cache lines to be shared.
    #[inline]
    pub(super) fn advance(&mut self, at: Timestamp) {
        if at > self.clock {
            self.clock = at;
        }
    }

    /// Takes every expired entry of `table` out.
    pub fn reclaim_expired(&mut self, at: Timestamp, table: &Table) {
        self.advance(at);
        let (seed, now) = (self.seed, self.clock);
        let done = self.slices.with(table.slot, |slice| slice.sweep_all(seed, now));
        self.reclaimed += done.unwrap_or_default();
        self.tidy(table.slot);
    }

    /// Takes `table`'s slice out, for the caller to drop when no lock is held.
    #[must_use]
    pub fn detach(&mut self, table: &Table) -> Option<Box<Slice>> {
        let slice = self.slices.take_if(table.slot, |slice| slice.table() == table.id)?;
        self.forget_stale();
        Some(slice)
    }

    /// Reclaims what is due at `now`, at most `pages_max` pages of it: whether
    /// more is due.
    pub fn maintain(&mut self, now: Timestamp, pages_max: usize) -> bool {
        self.advance(now);
        for _ in 0..pages_max {
            let Some(&Reverse((at, slot, page))) = self.due.peek() else { return false };
            if at > self.clock {
                return false;
            }
            self.due.pop();
            self.sweep_page(at, slot, page);
        }
        self.next_due().is_some_and(|at| at <= self.clock)
    }

    fn sweep_page(&mut self, at: Timestamp, slot: u32, page: PageNumber) {
        let (seed, now) = (self.seed, self.clock);
        let swept = self.slices.with(slot, |slice| {
            if !slice.unschedule(page, at) {
                return None;
            }
            let done = if slice.is_due(page, now) {
                slice.sweep(page, seed, now)
            } else {
                Reclaimed::default()
            };
            Some((done, slice.schedule(page)))
        });
        if let Some(Some((done, again))) = swept {
            self.reclaimed += done;
            self.due.extend(again.map(|at| Reverse((at, slot, page))));
            self.tidy(slot);
        }
        if self.due.len() < self.due.capacity() / 4 {
            self.due.shrink_to(self.due.capacity() / 2);
        }
    }

    /// The slot of the table of which something is due first.
    #[must_use]
    pub fn next_due_slot(&self) -> Option<u32> {
        self.due.peek().map(|&Reverse((_, slot, _))| slot)
    }

    /// When something is due to be reclaimed.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.peek().map(|&Reverse((at, ..))| at)
    }

    /// Checks `table`'s slice after a panic, and makes it anew from the entries
    /// that still read well if its invariants do not hold. The partition's own
    /// counts are taken again either way: the panic may have come before they
    /// were brought up to date.
    pub fn mend(&mut self, table: &Table) -> Mended {
        self.slices.recount();
        let mended = self.mend_slice(table);
        self.tidy(table.slot);
        mended
    }

    /// Lets `table`'s slice go with all its entries, when not even mending it
    /// worked: how many there were. The partition's own counts are taken again.
    pub fn abandon(&mut self, table: &Table) -> usize {
        self.slices.recount();
        let slice = self.slices.take_if(table.slot, |slice| slice.table() == table.id);
        slice.map_or(0, |slice| slice.entries())
    }

    fn mend_slice(&mut self, table: &Table) -> Mended {
        let (seed, now, due) = (self.seed, self.clock, &mut self.due);
        let mended = self.slices.with(table.slot, |slice| {
            if slice.table() != table.id || slice.is_sound(seed) {
                return Mended::Sound;
            }
            let mut pages = Vec::new();
            let (mut fresh, lost) = slice.rebuilt(table, seed, now, |page| pages.push(page));
            pages.sort_unstable();
            pages.dedup();
            for page in pages {
                due.extend(fresh.schedule(page).map(|at| Reverse((at, table.slot, page))));
            }
            *slice = fresh;
            Mended::Rebuilt { lost }
        });
        mended.unwrap_or(Mended::Sound)
    }

    /// Whether every slice is sound and the count of bytes is right.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.slices.is_sound(self.seed) && self.slices.scheduled_pages() <= self.due.len()
    }

    /// Spoils `table`'s slice as a fault of ours might, so that tests see it mended.
    #[cfg(feature = "failpoints")]
    pub fn spoil(&mut self, table: &Table) {
        self.slices.with(table.slot, Slice::spoil);
    }

    /// Lets the slot of `key` lead to the entry of `other`, or nowhere.
    #[cfg(feature = "failpoints")]
    pub fn mislead(&mut self, table: &Table, key: HashedKey<'_>, other: Option<HashedKey<'_>>) {
        self.slices.with(table.slot, |slice| slice.mislead(key, other));
    }

    pub(super) fn schedule(&mut self, slot: u32, page: PageNumber) {
        let at = self.slices.with(slot, |slice| slice.schedule(page)).flatten();
        self.due.extend(at.map(|at| Reverse((at, slot, page))));
        self.forget_stale();
    }

    /// Takes what is out of date out of the queue when it is more than half of it:
    /// pages that came free, or were scheduled anew, before their time.
    fn forget_stale(&mut self) {
        if self.due.len() <= 2 * self.slices.scheduled_pages() + DUE_STALE_FREE {
            return;
        }
        let mut due = std::mem::take(&mut self.due).into_vec();
        // Unscheduled as it is found, so that of two that are the same one stays.
        due.retain(|&Reverse((at, slot, page))| {
            self.slices.with(slot, |slice| slice.unschedule(page, at)) == Some(true)
        });
        for &Reverse((at, slot, page)) in &due {
            self.slices.with(slot, |slice| slice.reschedule(page, at));
        }
        due.shrink_to(due.len() * 2);
        self.due = due.into();
    }

    /// Empties a page when too much of a slice is garbage, and lets an empty slice go.
    #[inline]
    pub(super) fn tidy(&mut self, slot: u32) {
        if self.slices.at(slot).is_some_and(is_untidy) {
            self.tidy_up(slot);
        }
    }

    /// As [`Self::tidy`], where the slice is known to be untidy.
    pub(super) fn tidy_up(&mut self, slot: u32) {
        if self.slices.at(slot).is_some_and(Slice::wants_compaction) {
            self.compact(slot);
        }
        // What was compacted may all have expired.
        if self.slices.take_if(slot, Slice::is_empty).is_some() {
            self.forget_stale();
        }
    }

    fn compact(&mut self, slot: u32) {
        let (seed, now) = (self.seed, self.clock);
        let mut pages = Vec::new();
        let done = self.slices.with(slot, |slice| {
            slice.compact(seed, now, |page| {
                if pages.last() != Some(&page) {
                    pages.push(page);
                }
            })
        });
        self.reclaimed += done.unwrap_or_default();
        pages.into_iter().for_each(|page| self.schedule(slot, page));
    }
}

/// Whether [`Partition::tidy`] has something to do.
pub(super) const fn is_untidy(slice: &Slice) -> bool {
    slice.wants_compaction() || slice.is_empty()
}
