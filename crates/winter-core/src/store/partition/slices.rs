//! The slices of all tables in a partition, and what they come to together.

use smallvec::SmallVec;

use crate::fault::{Fault, Kind};
use crate::store::hash::Seed;
use crate::store::slice::Slice;
use crate::store::table::Table;

/// The slice of every table that has entries, and counts that hold whatever is
/// done to one of them here.
#[derive(Debug, Default)]
pub(super) struct Slices {
    /// By the table's slot; the first stands here.
    list: SmallVec<[Option<Box<Slice>>; 1]>,
    /// Bytes that they have allocated.
    bytes: usize,
    /// Pages of theirs that are to be swept.
    scheduled: usize,
}

impl Slices {
    /// Bytes that were allocated for all of them.
    #[inline]
    pub(super) fn allocated_bytes(&self) -> usize {
        let beside = if self.list.spilled() {
            self.list.capacity() * size_of::<Option<Box<Slice>>>()
        } else {
            0
        };
        self.bytes + beside
    }

    /// Pages that are to be swept.
    pub(super) const fn scheduled_pages(&self) -> usize {
        self.scheduled
    }

    /// The slice in `slot`, whichever table's it is.
    #[inline]
    pub(super) fn at(&self, slot: u32) -> Option<&Slice> {
        self.list.get(slot as usize)?.as_deref()
    }

    /// The slice of `table`.
    #[inline]
    pub(super) fn of(&self, table: &Table) -> Option<&Slice> {
        self.at(table.slot).filter(|slice| slice.table() == table.id)
    }

    /// The slices in the `count` slots from `first` on.
    pub(super) fn range(&self, first: u32, count: u32) -> impl Iterator<Item = (u32, &Slice)> {
        let list = self.list.get(first as usize..).unwrap_or_default();
        let slices = (first..).zip(list.iter().take(count as usize));
        slices.filter_map(|(slot, slice)| Some((slot, slice.as_deref()?)))
    }

    /// Works on the slice in `slot`.
    pub(super) fn with<T>(&mut self, slot: u32, work: impl FnOnce(&mut Slice) -> T) -> Option<T> {
        let slice = self.list.get_mut(slot as usize)?.as_deref_mut()?;
        let before = (slice.allocated_bytes(), slice.scheduled_pages());
        let done = work(slice);
        let after = (slice.allocated_bytes(), slice.scheduled_pages());
        self.changed(before, after);
        Some(done)
    }

    /// Writes to the slice of `table`, which is made if there is none.
    ///
    /// # Errors
    /// The slice has no room for another page; nothing was done.
    pub(super) fn write<T>(
        &mut self,
        table: &Table,
        work: impl FnOnce(&mut Slice) -> T,
    ) -> Result<T, Fault> {
        let slot = table.slot as usize;
        if self.list.len() <= slot {
            let places = self.list.len();
            self.list.reserve_exact((slot + 1 - places).max(places / 4));
            self.list.resize_with(slot + 1, || None);
        }
        let place = &mut self.list[slot];
        let mut before = (0, 0);
        if let Some(slice) = place {
            before = (slice.allocated_bytes(), slice.scheduled_pages());
            if slice.table() < table.id {
                // A late write came between the drop of its table and now.
                *place = None;
            }
        }
        let slice = place.get_or_insert_with(|| Box::new(Slice::new(table)));
        assert_eq!(slice.table(), table.id, "what supersedes the table was looked for");
        let done = slice.has_page_numbers().then(|| work(slice));
        let after = (slice.allocated_bytes(), slice.scheduled_pages());
        self.changed(before, after);
        done.ok_or_else(|| {
            Fault::new(Kind::Memory, "this partition of the table is full; delete entries first")
        })
    }

    #[inline]
    fn changed(&mut self, before: (usize, usize), after: (usize, usize)) {
        self.bytes += after.0;
        self.bytes -= before.0;
        self.scheduled += after.1;
        self.scheduled -= before.1;
    }

    /// Takes out the slice in `slot` if it is one to `go`.
    pub(super) fn take_if(
        &mut self,
        slot: u32,
        go: impl FnOnce(&Slice) -> bool,
    ) -> Option<Box<Slice>> {
        let slice = self.list.get_mut(slot as usize)?.take_if(|slice| go(slice))?;
        self.changed((slice.allocated_bytes(), slice.scheduled_pages()), (0, 0));
        let used = self.list.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.list.truncate(used);
        if self.list.capacity() > 2 * used {
            self.list.shrink_to_fit();
        }
        Some(slice)
    }

    /// Counts anew.
    pub(super) fn recount(&mut self) {
        (self.bytes, self.scheduled) = self.counts();
    }

    fn counts(&self) -> (usize, usize) {
        let slices = || self.list.iter().flatten();
        let bytes = slices().map(|slice| slice.allocated_bytes()).sum();
        (bytes, slices().map(|slice| slice.scheduled_pages()).sum())
    }

    /// Whether each is sound, and the counts are what a recount finds.
    pub(super) fn is_sound(&self, seed: Seed) -> bool {
        self.list.iter().flatten().all(|slice| slice.is_sound(seed))
            && (self.bytes, self.scheduled) == self.counts()
    }

    /// All of them.
    pub(super) fn into_iter(self) -> impl Iterator<Item = Box<Slice>> {
        self.list.into_iter().flatten()
    }
}
