//! Pages of entries.
//!
//! Entries are appended to open pages and never change; an entry that is
//! overwritten or deleted leaves garbage behind until its page is emptied. There
//! is one open page for entries without a deadline and one for each class of
//! times to live, so that what is written together expires together and a page
//! comes free whole. An open page begins with room for a tenth of what its
//! slice holds, and while that is little it grows by as much again: so a small slice
//! has small pages, free room is a tenth of all, and few bytes are copied.
//!
//! A page that is full, or is being emptied, is *sealed*: its bytes never change
//! again, and whoever froze the arena keeps them by reference. A page that comes
//! free is no longer counted here, even if somebody still reads it: who keeps it
//! counts it.

mod bytes;
mod frozen;
mod lifespan;
mod place;

use self::bytes::{PageBytes, size};
pub use self::frozen::FrozenPages;
use self::lifespan::{CLASSES, Lifespan, class_of};
use self::place::OFFSET_BITS;
pub use self::place::PageNumber;
use super::entry::Entry;
use super::index::Location;
use super::prefetch::{CACHE_LINE_BYTES, prefetch, prefetch_after};
use crate::time::{Deadline, Timestamp};

/// A new page has a tenth of what its slice holds: no more is free.
const PAGE_SHARE: usize = 10;
/// The size of a full-grown page: what one step of reclaiming reads.
const PAGE_BYTES_MAX: usize = 16 << 10;
const PAGE_BYTES_MIN: usize = 64;
/// Whatever the size of its slice, a page grows by half until it has grown by so many bytes.
const PAGE_BYTES_MORE_LEAST: usize = 256;
/// Whatever the size of its slice, a page is not full before it has so many bytes.
const PAGE_BYTES_FULL_LEAST: usize = 1 << 10;
/// A page that has grown so far grows no further: it would be copied again.
const PAGE_BYTES_GROWN_MAX: usize = 4 << 10;
/// Entries longer than this have a page of their own.
const SHARED_ENTRY_BYTES_MAX: usize = 2 << 10;
const LINES_TOUCHED: usize = 3;
/// As many as there are numbers: of 22 bits, from 1.
const PAGES_MAX: usize = (1 << 22) - 1;
/// Pages that a search for the emptiest looks at.
const CANDIDATES_MAX: usize = 64;

const _: () = assert!(PAGE_BYTES_MAX == 1 << OFFSET_BITS);

/// What is known of a page beside its bytes, apart from them: readers need the
/// bytes alone.
#[derive(Debug, Default)]
struct Page {
    /// Bytes of entries that the index leads to.
    live: usize,
    /// Bytes allocated for it.
    allocated: u32,
    /// The class of its entries' times to live, when they were written.
    class: u8,
    span: Option<Lifespan>,
    /// When the page is to be swept, as the partition's queue has it.
    scheduled: Option<Timestamp>,
}

/// The pages of a slice.
#[derive(Debug, Default)]
pub struct Arena {
    /// Each page's bytes, in the order of their numbers.
    bytes: Vec<PageBytes>,
    pages: Vec<Page>,
    free: Vec<PageNumber>,
    open: [Option<PageNumber>; CLASSES],
    /// Bytes of all pages, free room in them included.
    page_bytes: usize,
    /// Bytes written to pages.
    used: usize,
    /// Bytes of entries that the index leads to.
    live: usize,
    /// Pages that are to be swept.
    scheduled: u32,
    search_from: u32,
    /// Bytes allocated beside the pages.
    beside_bytes: usize,
}

impl Arena {
    /// Bytes that the arena has allocated.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.page_bytes + self.beside_bytes
    }

    const fn measure_beside(&self) -> usize {
        self.bytes.capacity() * size_of::<PageBytes>()
            + self.pages.capacity() * size_of::<Page>()
            + self.free.capacity() * size_of::<PageNumber>()
    }

    /// Bytes of entries that are not garbage.
    #[must_use]
    pub const fn live_bytes(&self) -> usize {
        self.live
    }

    /// Bytes of entries that nothing leads to any more.
    #[must_use]
    pub const fn garbage_bytes(&self) -> usize {
        self.used - self.live
    }

    /// The entry at `location`, which the index leads to.
    #[inline]
    #[must_use]
    pub fn entry(&self, location: Location) -> Entry<'_> {
        self.whole(location).0
    }

    /// The entry at `location`, which the index leads to, and its length.
    #[inline]
    #[must_use]
    pub fn whole(&self, location: Location) -> (Entry<'_>, usize) {
        self.read(location).expect("the index leads to whole entries")
    }

    /// The entry at `location` and its length, if a whole one stands there.
    #[inline]
    #[must_use]
    pub fn read(&self, location: Location) -> Option<(Entry<'_>, usize)> {
        let page = self.bytes.get(location.page_index())?;
        Entry::decode(page.as_slice(), location.offset())
    }

    /// Asks for what leads to the last page: in a small slice to all, and mostly to
    /// the open one.
    #[inline]
    pub fn touch_last(&self) {
        self.bytes.last().into_iter().for_each(prefetch);
    }

    /// Asks for the first cache lines at `location`: of a small entry for all.
    #[inline]
    pub fn touch(&self, location: Location) {
        let Some(page) = self.bytes.get(location.page_index()) else { return };
        let bytes = page.as_slice();
        for line in 0..LINES_TOUCHED {
            bytes.get(location.offset() + line * CACHE_LINE_BYTES).into_iter().for_each(prefetch);
        }
    }

    /// Asks for the end of the page that an entry with this deadline would be
    /// appended to.
    #[inline]
    pub fn touch_end(&self, deadline: Option<Deadline>, now: Timestamp) {
        let Some(number) = self.open[class_of(deadline, now)] else { return };
        self.pages.get(number.index()).into_iter().for_each(prefetch);
        let Some(page) = self.bytes.get(number.index()) else { return };
        for line in 0..LINES_TOUCHED {
            prefetch_after(page.as_slice(), line * CACHE_LINE_BYTES);
        }
    }

    /// Appends an entry of `length` bytes: where it lies, or `None` when the arena has no page
    /// number left (64 GiB of small entries in one slice).
    pub fn append(&mut self, entry: &Entry<'_>, length: usize, now: Timestamp) -> Option<Location> {
        let class = class_of(entry.deadline, now);
        let number = if length > SHARED_ENTRY_BYTES_MAX {
            self.new_page(length, class)?
        } else {
            self.page_with_room(length, class)?
        };
        let bytes = self.bytes[number.index()].open();
        let location = Location::new(number, bytes.len());
        entry.encode(bytes);
        if length > SHARED_ENTRY_BYTES_MAX {
            self.seal(number);
        }
        let page = &mut self.pages[number.index()];
        page.live += length;
        if let Some(deadline) = entry.deadline {
            page.span = Some(Lifespan::widened(page.span, deadline));
        }
        self.used += length;
        self.live += length;
        Some(location)
    }

    /// Whether an entry of `length` bytes can be appended.
    #[must_use]
    pub fn has_page_numbers(&self) -> bool {
        !self.free.is_empty() || self.pages.len() < PAGES_MAX
    }

    /// Makes garbage of the entry at `location`, `length` bytes long. A page
    /// that holds nothing else comes free.
    pub fn discard(&mut self, location: Location, length: usize) {
        let number = location.page();
        let page = &mut self.pages[number.index()];
        page.live -= length;
        self.live -= length;
        if page.live == 0 {
            self.free_page(number);
        }
    }

    /// When a sweep of `page` is worth the while; `None` when nothing in it expires.
    #[must_use]
    pub fn sweep_at(&self, page: PageNumber) -> Option<Timestamp> {
        self.pages.get(page.index())?.sweep_at()
    }

    /// Pages that are to be swept.
    #[must_use]
    pub const fn scheduled(&self) -> usize {
        self.scheduled as usize
    }

    /// Notes that `page` is to be swept, and says when: `None` when nothing in it
    /// expires, or it is to be swept by then already.
    pub fn schedule(&mut self, number: PageNumber) -> Option<Timestamp> {
        let page = self.pages.get_mut(number.index())?;
        let at = page.sweep_at()?;
        if page.scheduled.is_some_and(|scheduled| scheduled <= at) {
            return None;
        }
        self.scheduled += u32::from(page.scheduled.is_none());
        page.scheduled = Some(at);
        Some(at)
    }

    /// Notes that `page` is to be swept at `at`, where [`Arena::unschedule`] has
    /// just found so.
    pub fn reschedule(&mut self, number: PageNumber, at: Timestamp) {
        let page = &mut self.pages[number.index()];
        assert!(page.scheduled.is_none(), "it was unscheduled");
        page.scheduled = Some(at);
        self.scheduled += 1;
    }

    /// Whether `page` was to be swept at `at`; then it no longer is.
    pub fn unschedule(&mut self, number: PageNumber, at: Timestamp) -> bool {
        let Some(page) = self.pages.get_mut(number.index()) else { return false };
        let was_scheduled = page.scheduled.take_if(|scheduled| *scheduled == at).is_some();
        self.scheduled -= u32::from(was_scheduled);
        was_scheduled
    }

    /// Pages that hold an entry whose deadline has passed.
    pub fn expired_pages(&self, now: Timestamp) -> impl Iterator<Item = PageNumber> {
        let has_expired =
            move |page: &Page| page.span.is_some_and(|span| span.first.has_passed(now));
        let expired = self.pages.iter().enumerate().filter(move |(_, page)| has_expired(page));
        expired.map(|(index, _)| PageNumber::at(index))
    }

    /// Sets when the entries of `page` expire, as a sweep has found.
    pub fn set_span(&mut self, page: PageNumber, deadlines: impl Iterator<Item = Deadline>) {
        let span = deadlines.fold(None, |span, d| Some(Lifespan::widened(span, d)));
        self.pages[page.index()].span = span;
    }

    /// Every entry of `page` in the order they were written, garbage too.
    #[must_use]
    pub fn entries(&self, page: PageNumber) -> Entries<'_> {
        let bytes = self.bytes.get(page.index()).map_or(&[][..], PageBytes::as_slice);
        Entries { page, bytes, offset: 0 }
    }

    /// Takes no more entries into `page`.
    pub fn close(&mut self, page: PageNumber) {
        self.unopen(page);
        if self.pages.get(page.index()).is_some_and(|page| page.live > 0) {
            self.seal(page);
        }
    }

    /// Every page as it is now: references, and copies of open pages.
    #[must_use]
    pub fn freeze(&self) -> FrozenPages {
        FrozenPages::new(self.bytes.iter().map(PageBytes::freeze).collect())
    }

    fn unopen(&mut self, page: PageNumber) {
        for open in &mut self.open {
            if *open == Some(page) {
                *open = None;
            }
        }
    }

    fn seal(&mut self, page: PageNumber) {
        let more = self.bytes[page.index()].seal();
        self.pages[page.index()].allocated += more;
        self.page_bytes += more as usize;
    }

    /// The page with the most garbage among the next few in turn.
    pub fn emptiest(&mut self) -> Option<PageNumber> {
        let pages = self.pages.len();
        if pages == 0 {
            return None;
        }
        let looked_at = pages.min(CANDIDATES_MAX);
        let start = self.search_from as usize;
        self.search_from = u32::try_from((start + looked_at) % pages).expect("fewer than 2^22");
        let garbage = |&n: &usize| self.bytes[n].len() - self.pages[n].live;
        (start..start + looked_at)
            .map(|n| n % pages)
            .max_by_key(garbage)
            .filter(|n| garbage(n) > 0)
            .map(PageNumber::at)
    }

    fn page_with_room(&mut self, length: usize, class: usize) -> Option<PageNumber> {
        if let Some(number) = self.open[class] {
            let bytes = self.bytes[number.index()].open();
            let taken = bytes.len() + length;
            if taken <= bytes.capacity() {
                return Some(number);
            }
            if taken <= full_size(self.page_bytes) {
                let more = (self.page_bytes / PAGE_SHARE)
                    .max((bytes.len() / 2).min(PAGE_BYTES_MORE_LEAST))
                    .max(length);
                let grown = page_size_for(bytes.len() + more).min(PAGE_BYTES_MAX);
                bytes.reserve_exact(grown - bytes.len());
                let page = &mut self.pages[number.index()];
                self.page_bytes += bytes.capacity() - page.allocated as usize;
                page.allocated = size(bytes);
                return Some(number);
            }
            self.seal(number);
        }
        let size = (self.page_bytes / PAGE_SHARE).clamp(PAGE_BYTES_MIN, PAGE_BYTES_MAX);
        let number = self.new_page(page_size_for(size.max(length)), class)?;
        self.open[class] = Some(number);
        Some(number)
    }

    fn new_page(&mut self, bytes: usize, class: usize) -> Option<PageNumber> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.pages.len() < PAGES_MAX => {
                push(&mut self.pages, Page::default());
                push(&mut self.bytes, PageBytes::default());
                self.beside_bytes = self.measure_beside();
                PageNumber::at(self.pages.len() - 1)
            }
            None => return None,
        };
        let bytes = Vec::with_capacity(bytes);
        let page = &mut self.pages[number.index()];
        page.class = u8::try_from(class).expect("one of a few");
        page.allocated = size(&bytes);
        self.page_bytes += bytes.capacity();
        self.bytes[number.index()] = PageBytes::Open(bytes);
        Some(number)
    }

    fn free_page(&mut self, number: PageNumber) {
        self.unopen(number);
        let page = std::mem::take(&mut self.pages[number.index()]);
        let bytes = std::mem::take(&mut self.bytes[number.index()]);
        self.used -= bytes.len();
        self.page_bytes -= page.allocated as usize;
        self.scheduled -= u32::from(page.scheduled.is_some());
        self.free.push(number);
        self.beside_bytes = self.measure_beside();
    }

    /// Whether every count is what a recount finds.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let sum = |count: fn(&Page) -> usize| self.pages.iter().map(count).sum::<usize>();
        self.bytes.len() == self.pages.len()
            && self.beside_bytes == self.measure_beside()
            && self.page_bytes == sum(|page| page.allocated as usize)
            && self.used == self.bytes.iter().map(PageBytes::len).sum::<usize>()
            && self.bytes.iter().enumerate().all(|(index, bytes)| {
                let is_open = self.open.contains(&Some(PageNumber::at(index)));
                bytes.len() == 0 || is_open != bytes.is_sealed()
            })
            && self.live == sum(|page| page.live)
            && self.scheduled() == sum(|page| usize::from(page.scheduled.is_some()))
    }
}

impl Page {
    fn sweep_at(&self) -> Option<Timestamp> {
        Some(self.span?.sweep_at(self.class))
    }
}

/// Pushes `item`; a list begins with room for one, for most slices may be small.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len().max(1));
    }
    list.push(item);
}

/// How many bytes a page of a slice has when it is full.
fn full_size(page_bytes: usize) -> usize {
    (page_bytes / 4).clamp(PAGE_BYTES_FULL_LEAST, PAGE_BYTES_GROWN_MAX)
}

/// The sizes of pages: four steps to a doubling, as allocators have them.
fn page_size_for(bytes: usize) -> usize {
    bytes.next_multiple_of((1 << bytes.ilog2()) / 4)
}

/// The entries of a page.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    page: PageNumber,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Location, Entry<'a>, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, length) = Entry::decode(self.bytes, self.offset)?;
        let location = Location::new(self.page, self.offset);
        self.offset += length;
        Some((location, entry, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(data: &[u8]) -> Entry<'_> {
        Entry { version: 1, deadline: None, key: b"key", data }
    }

    fn append(arena: &mut Arena, entry: &Entry<'_>) -> Option<Location> {
        arena.append(entry, entry.encoded_len(), Timestamp::default())
    }

    #[test]
    fn what_is_appended_is_read_until_it_is_discarded() {
        let mut arena = Arena::default();
        let data = vec![7; 5_000];
        let lengths = [0usize, 1, 100, 2_000, 2_048, 2_049, 5_000];
        let at: Vec<_> =
            lengths.iter().map(|&n| append(&mut arena, &entry(&data[..n])).unwrap()).collect();
        for (&location, n) in at.iter().zip(lengths) {
            let (read, length) = arena.read(location).unwrap();
            assert_eq!(read, entry(&data[..n]));
            arena.discard(location, length);
        }
        assert_eq!((arena.live_bytes(), arena.garbage_bytes()), (0, 0));
        assert_eq!(arena.page_bytes, 0);
    }

    #[test]
    fn a_small_arena_has_small_pages() {
        let mut arena = Arena::default();
        append(&mut arena, &entry(b"data"));
        assert!(arena.bytes() <= 192, "{}", arena.bytes());
    }

    #[test]
    fn free_room_is_a_small_part_of_what_is_held() {
        let mut arena = Arena::default();
        let data = [7; 80];
        for n in 1..20_000 {
            let before = arena.page_bytes;
            append(&mut arena, &entry(&data)).unwrap();
            let free = arena.page_bytes - arena.used;
            assert!(free <= 256 + arena.used / 5, "{free} bytes for {} at {n}", arena.used);
            assert!(arena.page_bytes - before < 2 * PAGE_BYTES_MAX);
        }
        assert!(arena.is_sound());
    }
}
