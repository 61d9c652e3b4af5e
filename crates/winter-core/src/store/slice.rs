//! A table's share of a partition.

mod share;

use std::sync::Arc;

use self::share::Share;
use super::arena::{Arena, PageNumber};
use super::entry::Entry;
use super::frozen::FrozenSlice;
use super::hash::{HashedKey, Seed};
use super::index::{Hint, Index, Location, Position, Tag};
use super::prefetch::CACHE_LINE_BYTES;
use super::table::{Table, TableId, Usage};
use crate::time::{Deadline, Timestamp};

/// What an index slot counts for in a table's bytes.
pub const SLOT_BYTES: usize = size_of::<u64>();
/// Garbage that a slice may hold whatever its size.
const GARBAGE_BYTES_FREE: usize = 1 << 10;

// Every partition has a slice of each table, and most tables may be small.
const _: () = assert!(size_of::<Slice>() <= 4 * CACHE_LINE_BYTES);

/// What can be asked of a slice: see the module.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Slice {
    table: TableId,
    index: Index,
    arena: Arena,
    usage: Option<Share>,
}

/// An entry that was found, and where.
#[derive(Clone, Copy, Debug)]
pub struct Found<'s> {
    /// The entry, expired or not.
    pub entry: Entry<'s>,
    place: Place,
}

/// Where an entry stands in its slice; good until the slice changes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    position: Position,
    location: Location,
    length: usize,
}

/// Where an entry is to be written; good until the slice changes.
#[derive(Clone, Copy, Debug)]
pub enum Spot {
    /// In the place of this one.
    Taken(Place),
    /// There is none of its key, and its slot belongs here.
    Vacant(Position),
    /// The slice holds nothing yet.
    First,
}

impl Spot {
    /// Where the key that was looked for stands or belongs.
    #[inline]
    #[must_use]
    pub const fn of(sought: &Result<Found<'_>, Position>) -> Self {
        match sought {
            Ok(found) => Self::Taken(found.place),
            Err(position) => Self::Vacant(*position),
        }
    }
}

/// What reclaiming has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Entries taken out because their deadline had passed.
    pub expired: u64,
    /// Entries copied out of pages that were emptied.
    pub moved: u64,
}

impl std::ops::AddAssign for Reclaimed {
    fn add_assign(&mut self, other: Self) {
        self.expired += other.expired;
        self.moved += other.moved;
    }
}

impl Slice {
    /// An empty slice of `table`.
    #[must_use]
    pub fn new(table: &Table) -> Self {
        Self {
            table: table.id,
            index: Index::default(),
            arena: Arena::default(),
            usage: table.usage.clone().map(Share::new),
        }
    }

    /// The slice as it is now, to be read elsewhere while this one changes.
    #[must_use]
    pub fn freeze(&self) -> FrozenSlice {
        FrozenSlice::new(self.arena.freeze(), self.index.freeze())
    }

    /// Counts what it holds against another usage: the node's, where the slice
    /// was filled apart from it.
    pub fn count_against(&mut self, usage: Option<Arc<Usage>>) {
        self.usage = usage.map(|usage| {
            let mut share = Share::new(usage);
            share.grow(self.entries() as u64, self.entry_bytes() as u64);
            share
        });
    }

    /// The table that this is a slice of.
    #[must_use]
    pub const fn table(&self) -> TableId {
        self.table
    }

    /// Entries, those that have expired and were not yet reclaimed among them.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.index.len()
    }

    /// Bytes that entries and their slots take: what a quota is measured in.
    #[must_use]
    pub const fn entry_bytes(&self) -> usize {
        self.arena.live_bytes() + self.index.len() * SLOT_BYTES
    }

    /// Bytes that the slice has allocated.
    #[must_use]
    pub const fn allocated_bytes(&self) -> usize {
        size_of::<Self>() + self.index.bytes() + self.arena.bytes()
    }

    /// Whether the slice holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The entry of `key`, expired or not.
    #[inline]
    #[must_use]
    pub fn find(&self, key: HashedKey<'_>) -> Option<Found<'_>> {
        self.seek(key).ok()
    }

    /// The entry of `key`, expired or not, or else where one belongs.
    ///
    /// # Errors
    /// There is none.
    #[inline]
    pub fn seek(&self, key: HashedKey<'_>) -> Result<Found<'_>, Position> {
        let mut found = None;
        let place = self.index.find(Tag::of(key.hash), key.hint, |position, location| {
            let (entry, length) = self.arena.whole(location);
            let is_it = entry.key == key.key;
            if is_it {
                found = Some(Found { entry, place: Place { position, location, length } });
            }
            is_it
        });
        match (place, found) {
            (Err(vacant), _) => Err(vacant),
            (Ok(_), found) => Ok(found.expect("it was recognised")),
        }
    }

    /// Asks for the slots of `hash`, and for what leads to pages.
    #[inline]
    pub fn touch_slot(&self, hash: u64) {
        self.index.touch(Tag::of(hash));
        self.arena.touch_last();
    }

    /// Where the slots of `hash` begin, after they were touched. The entry that they
    /// lead to, if any, is asked for.
    #[inline]
    #[must_use]
    pub fn touch_entry(&self, hash: u64) -> Hint {
        let tag = Tag::of(hash);
        let hint = self.index.seek(tag);
        if let Some(location) = Index::hinted(tag, hint) {
            self.arena.touch(location);
        }
        hint
    }

    /// Asks for what a write would change: the place of the entry to be written, and
    /// the slots that it would move.
    #[inline]
    pub fn touch_to_write(&self, hint: Hint, deadline: Option<Deadline>, now: Timestamp) {
        self.index.touch_run(hint);
        self.arena.touch_end(deadline, now);
    }

    /// Whether the arena can take another page.
    #[must_use]
    pub fn has_page_numbers(&self) -> bool {
        self.arena.has_page_numbers()
    }

    /// Writes `entry` under its key's hash, where [`Slice::seek`] has just found
    /// that it belongs: the page that it went to.
    ///
    /// # Panics
    /// When the arena has no page numbers left; ask [`Slice::has_page_numbers`] first.
    pub fn write(
        &mut self,
        hash: u64,
        entry: &Entry<'_>,
        spot: Spot,
        now: Timestamp,
    ) -> PageNumber {
        let length = entry.encoded_len();
        let location = self.arena.append(entry, length, now).expect("there are page numbers");
        match spot {
            Spot::Taken(old) => {
                self.index.relocate(old.position, location);
                self.arena.discard(old.location, old.length);
                self.account(|share| {
                    share.grow(0, length as u64);
                    share.shrink(0, old.length as u64);
                });
            }
            Spot::Vacant(position) => {
                self.index.insert_at(position, Tag::of(hash), location);
                self.account(|share| share.grow(1, (length + SLOT_BYTES) as u64));
            }
            Spot::First => {
                self.index.insert(Tag::of(hash), location);
                self.account(|share| share.grow(1, (length + SLOT_BYTES) as u64));
            }
        }
        location.page()
    }

    /// Takes out the entry that [`Slice::find`] has just found.
    pub fn remove(&mut self, place: Place) {
        self.remove_at(place.position, place.location, place.length);
    }

    fn remove_at(&mut self, position: Position, location: Location, length: usize) {
        self.index.remove(position);
        self.arena.discard(location, length);
        self.account(|share| share.shrink(1, (length + SLOT_BYTES) as u64));
    }

    fn account(&mut self, change: impl FnOnce(&mut Share)) {
        if let Some(share) = &mut self.usage {
            change(share);
        }
    }

    /// Notes that `page` is to be swept, and says when: `None` when nothing in it
    /// expires, or it is to be swept by then already.
    pub fn schedule(&mut self, page: PageNumber) -> Option<Timestamp> {
        self.arena.schedule(page)
    }

    /// Whether `page` was to be swept at `at`; then it no longer is.
    pub fn unschedule(&mut self, page: PageNumber, at: Timestamp) -> bool {
        self.arena.unschedule(page, at)
    }

    /// Whether a sweep of `page` would be worth the while.
    #[must_use]
    pub fn is_due(&self, page: PageNumber, now: Timestamp) -> bool {
        self.arena.sweep_at(page).is_some_and(|at| at <= now)
    }

    /// Pages that are to be swept.
    #[must_use]
    pub const fn scheduled_pages(&self) -> usize {
        self.arena.scheduled()
    }

    /// Notes that `page` is to be swept at `at`, where [`Slice::unschedule`] has
    /// just found so.
    pub fn reschedule(&mut self, page: PageNumber, at: Timestamp) {
        self.arena.reschedule(page, at);
    }

    /// Takes the expired entries of `page` out.
    pub fn sweep(&mut self, page: PageNumber, seed: Seed, now: Timestamp) -> Reclaimed {
        let mut expired = Vec::new();
        let mut left = Vec::<Deadline>::new();
        for (location, entry, length) in self.arena.entries(page) {
            match entry.deadline {
                Some(deadline) if deadline.has_passed(now) => {
                    let hash = seed.hash(entry.key);
                    if self.position_of(location, hash).is_some() {
                        expired.push((location, hash, length));
                    }
                }
                Some(deadline) => left.push(deadline),
                None => {}
            }
        }
        self.arena.set_span(page, left.into_iter());
        let count = expired.len() as u64;
        for (location, hash, length) in expired {
            let position = self.position_of(location, hash).expect("found a moment ago");
            self.remove_at(position, location, length);
        }
        Reclaimed { expired: count, moved: 0 }
    }

    /// The slot that leads to `location`, unless the entry there is garbage.
    fn position_of(&self, location: Location, hash: u64) -> Option<Position> {
        let found = self.index.find(Tag::of(hash), None, |_, found| found == location);
        found.ok().map(|(position, _)| position)
    }

    /// Takes every expired entry out, so that what is left has not expired.
    pub fn sweep_all(&mut self, seed: Seed, now: Timestamp) -> Reclaimed {
        let pages: Vec<_> = self.arena.expired_pages(now).collect();
        let mut done = Reclaimed::default();
        for page in pages {
            done += self.sweep(page, seed, now);
        }
        done
    }

    /// Whether so much is garbage that a page should be emptied.
    #[must_use]
    pub const fn wants_compaction(&self) -> bool {
        self.arena.garbage_bytes() > GARBAGE_BYTES_FREE + self.arena.live_bytes() / 4
    }

    /// Empties the page with the most garbage: its live entries are copied to
    /// open pages, which are handed to `moved_to`.
    pub fn compact(
        &mut self,
        seed: Seed,
        now: Timestamp,
        mut moved_to: impl FnMut(PageNumber),
    ) -> Reclaimed {
        let mut done = Reclaimed::default();
        let Some(page) = self.arena.emptiest() else { return done };
        self.arena.close(page);
        let mut survivors = Vec::new();
        for (location, entry, length) in self.arena.entries(page) {
            let hash = seed.hash(entry.key);
            if self.position_of(location, hash).is_some() {
                survivors.push((location, hash, length));
            }
        }
        let mut copy = Vec::new();
        for (location, hash, length) in survivors {
            let position = self.position_of(location, hash).expect("found a moment ago");
            if self.arena.entry(location).deadline.is_some_and(|d| d.has_passed(now)) {
                self.remove_at(position, location, length);
                done.expired += 1;
                continue;
            }
            copy.clear();
            self.arena.entry(location).encode(&mut copy);
            let (entry, _) = Entry::decode(&copy, 0).expect("just encoded");
            let Some(new) = self.arena.append(&entry, length, now) else { return done };
            self.index.relocate(position, new);
            self.arena.discard(location, length);
            moved_to(new.page());
            done.moved += 1;
        }
        done
    }

    /// Shows each entry whose tag is `from` or greater, in the order of tags,
    /// until `visit` says stop.
    pub fn walk(&self, from: Tag, mut visit: impl FnMut(Tag, Entry<'_>) -> bool) {
        self.index.walk(from, |tag, location| visit(tag, self.arena.entry(location)));
    }

    /// Whether everything that the index leads to reads well, and every count is
    /// what a recount finds.
    #[must_use]
    pub fn is_sound(&self, seed: Seed) -> bool {
        let mut live = 0;
        let mut slots = 0;
        self.index.walk(Tag::of(0), |tag, location| {
            let sound = self.arena.read(location).filter(|(e, _)| Tag::of(seed.hash(e.key)) == tag);
            if let Some((_, length)) = sound {
                live += length;
                slots += 1;
            }
            sound.is_some()
        });
        let share_is_right = self.usage.as_ref().is_none_or(|share| {
            share.entries == self.entries() as u64 && share.bytes == self.entry_bytes() as u64
        });
        slots == self.index.len()
            && live == self.arena.live_bytes()
            && share_is_right
            && self.index.is_sound()
            && self.arena.is_sound()
    }

    /// A slice made anew from the entries that still read well, and how many
    /// were lost. Their pages are handed to `written_to`.
    #[must_use]
    pub fn rebuilt(
        &mut self,
        table: &Table,
        seed: Seed,
        now: Timestamp,
        mut written_to: impl FnMut(PageNumber),
    ) -> (Self, usize) {
        self.account(Share::clear);
        let mut fresh = Self::new(table);
        let mut lost = 0;
        self.index.walk(Tag::of(0), |tag, location| {
            match self.arena.read(location) {
                Some((entry, _)) if Tag::of(seed.hash(entry.key)) == tag => {
                    let hash = seed.hash(entry.key);
                    let spot = Spot::of(&fresh.seek(HashedKey::with_hash(entry.key, hash)));
                    written_to(fresh.write(hash, &entry, spot, now));
                }
                _ => lost += 1,
            }
            true
        });
        (fresh, lost)
    }

    /// Spoils the slice as a fault of ours might, so that tests see it mended.
    #[cfg(feature = "failpoints")]
    pub fn spoil(&mut self) {
        self.index.insert(Tag::of(u64::MAX), Location(u64::from(u16::MAX)));
    }

    /// Lets the slot of `key` lead to the entry of `other`, or nowhere.
    #[cfg(feature = "failpoints")]
    pub fn mislead(&mut self, key: HashedKey<'_>, other: Option<HashedKey<'_>>) {
        let place = |key| self.find(key).expect("tests know what stands").place;
        let nowhere = Location(u64::from(u16::MAX));
        let to = other.map_or(nowhere, |other| place(other).location);
        let position = place(key).position;
        self.index.relocate(position, to);
    }
}
