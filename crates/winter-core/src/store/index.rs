//! Where entries lie, by their keys' hashes.
//!
//! A slot is one word: the top 28 bits of the hash (the *tag*) above a 36-bit
//! location. Slots stand in the order of their tags, in segments of at most
//! 2,048 slots that a directory finds by the tag's first bits (extendible
//! hashing, Fagin 1979). Inside a segment a tag's home is its proportional
//! place, and slots that meet are kept sorted (ordered linear probing, Amble
//! and Knuth 1974). Hence:
//!
//! - a segment grows by a third, more or less, so the index is never half
//!   empty, and no growth moves more than 2,048 words;
//! - growth never reads an entry: the tag says where a slot belongs;
//! - the order of a scan is the order of the hashes, whatever grows meanwhile;
//! - a miss ends at the first greater tag.

mod frozen;
mod segment;

use smallvec::{SmallVec, smallvec};

pub use self::frozen::FrozenIndex;
use self::segment::{RUN_LENGTH, SLOTS_LEAST, Segment, next_size};
use super::prefetch::prefetch;

const TAG_BITS: u32 = 28;
const LOCATION_BITS: u32 = 36;
/// Slots of a segment at the most: what one growth moves.
const SEGMENT_SLOTS_MAX: usize = 2_048;
/// Slots of a cache line.
const SLOTS_IN_LINE: usize = 8;
/// Cache lines after its own that an insertion seldom moves slots beyond: one in
/// twelve does.
const LINES_MOVED: usize = 3;
/// Past this depth tags are too short to tell halves apart: segments grow instead.
const DEPTH_MAX: u32 = 20;

/// The part of a key's hash that a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(u32);

impl Tag {
    /// One more than the last tag.
    pub const END: u64 = 1 << TAG_BITS;

    /// The tag of a hash.
    #[must_use]
    pub const fn of(hash: u64) -> Self {
        Self((hash >> (64 - TAG_BITS)) as u32)
    }

    /// The tag of a cursor; `None` past the last.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        u32::try_from(bits).ok().filter(|_| bits < Self::END).map(Self)
    }

    /// The tag as a number below [`Tag::END`].
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }
}

/// Where an entry lies: a non-zero number of 36 bits that the arena understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location(pub(super) u64);

/// A slot that was found; good until the index changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    segment: usize,
    slot: usize,
}

/// Where the slots of a tag begin, or would if there were any: the first slot
/// from its home on that is free, or holds it or a greater one; and what it held.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    position: Position,
    word: u64,
}

/// The index of a slice. While there is one segment it stands here and nothing
/// leads to it, so that a small slice is a cache miss or two away.
#[derive(Debug)]
pub struct Index {
    segments: SmallVec<[Segment; 1]>,
    /// Segment numbers by the first `depth` bits of the tag; empty at depth 0.
    directory: Vec<u32>,
    depth: u32,
    len: usize,
    bytes: usize,
}

impl Default for Index {
    fn default() -> Self {
        let mut index = Self {
            segments: smallvec![Segment::with_slots(SLOTS_LEAST, 0)],
            directory: Vec::new(),
            depth: 0,
            len: 0,
            bytes: 0,
        };
        index.bytes = index.measure();
        index
    }
}

impl Index {
    /// How many slots are taken.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no slot is taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the index has allocated.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the slots stand in order and the counts are what a recount finds.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.bytes == self.measure()
            && self.len == self.segments.iter().map(|s| s.len as usize).sum::<usize>()
            && self.segments.iter().all(Segment::is_sound)
    }

    fn measure(&self) -> usize {
        self.fixed_bytes()
            + self.segments.iter().map(|s| s.slots.len() * size_of::<u64>()).sum::<usize>()
    }

    #[inline]
    fn segment_of(&self, tag: Tag) -> usize {
        if self.depth == 0 {
            return 0;
        }
        self.directory[(tag.0 >> (TAG_BITS - self.depth)) as usize] as usize
    }

    /// Asks for the slots that `tag` begins at, without looking at them.
    #[inline]
    pub fn touch(&self, tag: Tag) {
        let segment = &self.segments[self.segment_of(tag)];
        let home = segment.home(tag);
        segment.slots.get(home).into_iter().for_each(prefetch);
        segment.slots.get(home + RUN_LENGTH).into_iter().for_each(prefetch);
    }

    /// Asks for the slots that an insertion at `hint` would move.
    #[inline]
    pub fn touch_run(&self, hint: Hint) {
        let Position { segment, slot } = hint.position;
        let run = self.segments[segment].slots.get(slot..).unwrap_or_default();
        run.iter().step_by(SLOTS_IN_LINE).skip(1).take(LINES_MOVED).for_each(prefetch);
    }

    /// The slot of `tag` whose location `is_it` recognises; else where one more
    /// slot of `tag` belongs. A hint spares the walk there, if it is still right.
    ///
    /// # Errors
    /// There is no such slot.
    #[inline]
    pub fn find(
        &self,
        tag: Tag,
        hint: Option<Hint>,
        mut is_it: impl FnMut(Position, Location) -> bool,
    ) -> Result<(Position, Location), Position> {
        let hint = hint.filter(|&hint| self.is_right(tag, hint));
        let Hint { mut position, word } = hint.unwrap_or_else(|| self.seek(tag));
        let mut slot = word;
        while let Some(word) = Word::taken(slot).filter(|word| word.tag() == tag) {
            if is_it(position, word.location()) {
                return Ok((position, word.location()));
            }
            position.slot += 1;
            slot = self.segments[position.segment].slots[position.slot];
        }
        Err(position)
    }

    /// Where the slots of `tag` begin.
    #[inline]
    #[must_use]
    pub fn seek(&self, tag: Tag) -> Hint {
        let number = self.segment_of(tag);
        let segment = &self.segments[number];
        let mut slot = segment.home(tag);
        while Word::taken(segment.slots[slot]).is_some_and(|word| word.tag() < tag) {
            slot += 1;
        }
        Hint { position: Position { segment: number, slot }, word: segment.slots[slot] }
    }

    /// Where the first entry with `tag` lay, if there was one.
    #[inline]
    #[must_use]
    pub fn hinted(tag: Tag, hint: Hint) -> Option<Location> {
        Word::taken(hint.word).filter(|word| word.tag() == tag).map(Word::location)
    }

    /// Whether the slots of `tag` begin where `hint` says, whatever has changed
    /// since: slots stand in order, so its slot and the one before it tell.
    #[inline]
    fn is_right(&self, tag: Tag, hint: Hint) -> bool {
        let Hint { position: Position { segment, slot }, word } = hint;
        let Some(slots) = self.segments.get(segment).map(|segment| &segment.slots) else {
            return false;
        };
        if slots.get(slot) != Some(&word) {
            return false;
        }
        let before = slot.checked_sub(1).and_then(|before| Word::taken(slots[before]));
        if Self::hinted(tag, hint).is_some() {
            return before.is_none_or(|word| word.tag() != tag);
        }
        let home = self.segments[segment].home(tag);
        segment == self.segment_of(tag)
            && (slot == home || slot > home && before.is_some_and(|word| word.tag() < tag))
    }

    /// Puts `location` under `tag`, beside whatever else has that tag.
    pub fn insert(&mut self, tag: Tag, location: Location) {
        if let Err(position) = self.find(tag, None, |_, _| false) {
            self.insert_at(position, tag, location);
        }
    }

    /// Puts `location` under `tag` where [`Index::find`] has just found that it belongs.
    pub fn insert_at(&mut self, position: Position, tag: Tag, location: Location) {
        let segment = &mut self.segments[position.segment];
        if !segment.has_room() {
            self.grow(position.segment);
            return self.insert(tag, location);
        }
        let is_overrun = segment.insert(position.slot, Word::new(tag, location));
        self.len += 1;
        if is_overrun {
            self.grow(position.segment);
        }
    }

    /// Lets the slot at `position` lead to another location.
    pub fn relocate(&mut self, position: Position, location: Location) {
        let slot = &mut self.segments[position.segment].slots[position.slot];
        *slot = Word::new(Word(*slot).tag(), location).0;
    }

    /// Frees the slot at `position`.
    pub fn remove(&mut self, position: Position) {
        let segment = &mut self.segments[position.segment];
        segment.remove(position.slot);
        self.len -= 1;
        if segment.is_sparse() {
            self.resize(position.segment, Segment::fitted);
        }
    }

    /// Shows each slot from tag `from` on, in order, until `visit` says stop.
    pub fn walk(&self, from: Tag, mut visit: impl FnMut(Tag, Location) -> bool) {
        let mut next = from.bits();
        while let Some(tag) = Tag::from_bits(next) {
            let segment = &self.segments[self.segment_of(tag)];
            for word in segment.slots.iter().filter_map(|&slot| Word::taken(slot)) {
                if word.tag() >= from && !visit(word.tag(), word.location()) {
                    return;
                }
            }
            let span = TAG_BITS - segment.depth;
            next = ((next >> span) + 1) << span;
        }
    }

    fn grow(&mut self, number: usize) {
        let segment = &self.segments[number];
        if segment.slots.len() < SEGMENT_SLOTS_MAX || segment.depth >= DEPTH_MAX {
            self.resize(number, |segment| segment.rebuilt(next_size(segment.slots.len())));
        } else {
            self.split(number);
        }
    }

    fn resize(&mut self, number: usize, make: impl FnOnce(&Segment) -> Segment) {
        let segment = &mut self.segments[number];
        let before = segment.slots.len();
        *segment = make(segment);
        self.bytes += segment.slots.len() * size_of::<u64>();
        self.bytes -= before * size_of::<u64>();
    }

    fn split(&mut self, number: usize) {
        let fixed_before = self.fixed_bytes();
        let old = &self.segments[number];
        let (old_slots, old_depth) = (old.slots.len(), old.depth);
        let prefix = old.prefix();
        let (low, high) = old.halves();
        let slots = low.slots.len() + high.slots.len();
        if old_depth == self.depth {
            let whole = if self.depth == 0 { &[0][..] } else { &self.directory };
            self.directory = whole.iter().flat_map(|&s| [s, s]).collect();
            self.depth += 1;
        }
        let width = 1usize << (self.depth - old_depth);
        let first = prefix as usize * width;
        let high_number = u32::try_from(self.segments.len()).expect("fewer than 2^20 segments");
        self.directory[first + width / 2..first + width].fill(high_number);
        self.segments[number] = low;
        self.segments.push(high);
        self.bytes += slots * size_of::<u64>() + self.fixed_bytes();
        self.bytes -= old_slots * size_of::<u64>() + fixed_before;
    }

    fn fixed_bytes(&self) -> usize {
        let segments = if self.segments.spilled() { self.segments.capacity() } else { 0 };
        self.directory.capacity() * size_of::<u32>() + segments * size_of::<Segment>()
    }
}

/// A slot's word: tag above location; 0 is a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(u64);

impl Word {
    fn new(tag: Tag, location: Location) -> Self {
        debug_assert!(location.0 != 0 && location.0 >> LOCATION_BITS == 0);
        Self(tag.bits() << LOCATION_BITS | location.0)
    }

    #[inline]
    fn taken(slot: u64) -> Option<Self> {
        (slot != 0).then_some(Self(slot))
    }

    #[inline]
    const fn tag(self) -> Tag {
        Tag((self.0 >> LOCATION_BITS) as u32)
    }

    #[inline]
    const fn location(self) -> Location {
        Location(self.0 & ((1 << LOCATION_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Tags that meet often, so that runs, duplicates and splits happen.
    fn a_tag() -> impl Strategy<Value = u32> {
        prop_oneof![0u32..64, (0u32..1 << TAG_BITS), ((1 << TAG_BITS) - 64u32..1 << TAG_BITS)]
    }

    proptest! {
        #[test]
        fn an_index_is_a_map_from_tags_to_locations(
            ops in proptest::collection::vec((a_tag(), any::<bool>()), 1..4_000)
        ) {
            let mut index = Index::default();
            let mut model: BTreeMap<(u32, u64), ()> = BTreeMap::new();
            for (number, (tag, insert)) in ops.into_iter().enumerate() {
                if insert {
                    let location = number as u64 + 1;
                    index.insert(Tag(tag), Location(location));
                    model.insert((tag, location), ());
                } else if let Some((&(t, l), ())) = model.range((tag, 0)..).next() {
                    let (position, _) = index.find(Tag(t), None, |_, found| found.0 == l).unwrap();
                    index.remove(position);
                    model.remove(&(t, l));
                }
            }
            prop_assert!(index.is_sound());
            let mut walked = Vec::new();
            index.walk(Tag(0), |tag, location| { walked.push((tag.0, location.0)); true });
            walked.sort_unstable();
            prop_assert_eq!(walked, model.keys().copied().collect::<Vec<_>>());
        }
    }

    proptest! {
        /// Hints are taken and used at any time: they change nothing that is found.
        #[test]
        fn a_hint_is_right_or_is_not_used(
            ops in proptest::collection::vec((a_tag(), a_tag(), 0u8..4), 1..1_500)
        ) {
            let mut index = Index::default();
            let mut hints = BTreeMap::new();
            for (number, (tag, hinted, what)) in ops.into_iter().enumerate() {
                let (tag, hinted) = (Tag(tag), Tag(hinted));
                // Locations come back, as an arena's do, but no two live ones of a tag are one.
                let free = |at: &u64| index.find(tag, None, |_, found| found.0 == *at).is_err();
                let location = (number as u64 % 3 + 1..).find(free).map(Location).unwrap();
                match (what, index.find(tag, None, |_, _| true)) {
                    (0, Ok((position, _))) => index.remove(position),
                    (1, Ok((position, _))) => index.relocate(position, location),
                    (_, Err(position)) => index.insert_at(position, tag, location),
                    (_, Ok(_)) => index.insert(tag, location),
                }
                for (&tag, &hint) in hints.range(hinted..).take(8).chain(hints.range(tag..).take(8)) {
                    for nth in 0..2 {
                        let find = |hint| {
                            let mut left = nth;
                            index.find(tag, hint, |_, _| std::mem::replace(&mut left, 0) == 0)
                        };
                        prop_assert_eq!(find(Some(hint)), find(None));
                    }
                }
                hints.insert(tag, index.seek(tag));
                hints.insert(hinted, index.seek(hinted));
            }
            prop_assert!(index.is_sound());
        }
    }

    #[test]
    fn a_hint_to_a_location_that_came_back_misses_nothing() {
        let mut index = Index::default();
        index.insert(Tag(0), Location(9));
        index.insert(Tag(1), Location(1));
        index.insert(Tag(1), Location(2));
        let hint = index.seek(Tag(1));
        let at = |index: &Index, tag, location| {
            index.find(Tag(tag), None, |_, found| found.0 == location).unwrap().0
        };
        // The first of the tag goes elsewhere, the run moves on, and the second
        // comes to lie where the first was.
        index.relocate(at(&index, 1, 1), Location(3));
        index.remove(at(&index, 0, 9));
        index.relocate(at(&index, 1, 2), Location(1));
        assert!(index.find(Tag(1), Some(hint), |_, found| found.0 == 3).is_ok());
    }

    /// Where the slots of each segment stand, and how many of them are taken.
    fn stands(index: &Index) -> Vec<(*const u64, u32)> {
        index.segments.iter().map(|segment| (segment.slots.as_ptr(), segment.len)).collect()
    }

    /// How many slots have moved to another segment, or with theirs, since `before`.
    fn moved(before: &[(*const u64, u32)], index: &Index) -> u32 {
        let now = stands(index);
        let all = before.iter().zip(&now);
        all.filter(|(before, now)| before.0 != now.0).map(|(before, _)| before.1).sum()
    }

    #[test]
    fn no_step_of_growth_or_decline_moves_more_than_a_segment() {
        let tag = |n: u64| Tag::of(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut index, mut most) = (Index::default(), 0);
        let mut step = |index: &mut Index, change: &dyn Fn(&mut Index)| {
            let before = stands(index);
            change(index);
            most = most.max(moved(&before, index));
        };
        for n in 1..60_000 {
            step(&mut index, &|index| index.insert(tag(n), Location(n)));
        }
        for n in 1..60_000 {
            step(&mut index, &|index| {
                let found = index.find(tag(n), None, |_, found| found.0 == n);
                index.remove(found.unwrap().0);
            });
        }
        assert!((1_024..=2_048).contains(&most), "{most} slots at once");
    }

    #[test]
    fn it_is_full_enough_at_every_size() {
        let mut index = Index::default();
        for n in 1..200_000u64 {
            index.insert(Tag::of(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), Location(n));
            if n > 1_000 {
                let bytes = index.bytes() as u64;
                assert!(bytes < n * 13, "{bytes} bytes for {n} slots");
            }
        }
        assert!(index.is_sound());
    }
}
