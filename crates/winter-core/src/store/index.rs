//! Where entries lie, by their keys' hashes.
//!
//! A slot is one word: the top 28 bits of the hash (the *tag*) above a 36-bit
//! location. Slots stand in the order of their tags, in segments of at most
//! 2,048 slots that a directory finds by the tag's first bits (extendible
//! hashing, Fagin 1979). Inside a segment a tag's home is its proportional
//! place, and slots that meet are kept sorted (ordered linear probing, Amble
//! and Knuth 1974). Hence:
//!
//! - a segment grows by a quarter at the most, so the index is never half
//!   empty, and no growth moves more than 2,048 words;
//! - growth never reads an entry: the tag says where a slot belongs;
//! - the order of a scan is the order of the hashes, whatever grows meanwhile;
//! - a miss ends at the first greater tag.

mod frozen;

use smallvec::{SmallVec, smallvec};

pub use self::frozen::FrozenIndex;

const TAG_BITS: u32 = 28;
const LOCATION_BITS: u32 = 36;
/// Slots of a segment at the most: what one growth moves.
const SEGMENT_SLOTS_MAX: usize = 2_048;
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
#[derive(Clone, Copy, Debug)]
pub struct Position {
    segment: usize,
    slot: usize,
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

    /// Reads the slot that `tag` begins at into the cache. It compares nothing: a
    /// processor that guesses wrong would wait for the slot before it went on.
    #[inline]
    #[must_use]
    pub fn touch(&self, tag: Tag) -> u64 {
        let segment = &self.segments[self.segment_of(tag)];
        segment.slots[segment.home(tag)]
    }

    /// The slot of `tag` whose location `is_it` recognises.
    #[inline]
    pub fn find(
        &self,
        tag: Tag,
        mut is_it: impl FnMut(Location) -> bool,
    ) -> Option<(Position, Location)> {
        let segment = self.segment_of(tag);
        let slots = &self.segments[segment];
        let mut slot = slots.home(tag);
        while let Some(word) = Word::taken(slots.slots[slot]) {
            if word.tag() >= tag {
                if word.tag() > tag {
                    return None;
                }
                if is_it(word.location()) {
                    return Some((Position { segment, slot }, word.location()));
                }
            }
            slot += 1;
        }
        None
    }

    /// Puts `location` under `tag`, beside whatever else has that tag.
    pub fn insert(&mut self, tag: Tag, location: Location) {
        let word = Word::new(tag, location);
        loop {
            let number = self.segment_of(tag);
            let segment = &mut self.segments[number];
            if segment.has_room() && segment.insert(word) {
                self.len += 1;
                return;
            }
            self.grow(number);
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
#[derive(Clone, Copy)]
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

/// A run of slots for the tags that share their first `depth` bits. The last
/// slot is always free.
#[derive(Debug)]
struct Segment {
    slots: Box<[u64]>,
    /// How many slots are some tag's home; the rest take what runs over.
    homes: u32,
    len: u32,
    depth: u32,
}

const SLOTS_LEAST: usize = 4;

/// The sizes of segments: four steps to a doubling, as allocators have them.
fn next_size(slots: usize) -> usize {
    let octave = 1 << slots.ilog2();
    let step = if octave < 8 { octave / 2 } else { octave / 4 };
    slots + step
}

fn homes_of(slots: usize) -> usize {
    slots - (slots / 32).max(1)
}

/// Slots that may be taken before a segment grows: seven in eight homes.
fn room_of(homes: usize) -> usize {
    (homes * 7 / 8).max(1)
}

impl Segment {
    fn with_slots(slots: usize, depth: u32) -> Self {
        let homes = u32::try_from(homes_of(slots)).expect("a segment is small");
        Self { slots: vec![0; slots].into_boxed_slice(), homes, len: 0, depth }
    }

    /// The smallest segment that holds `taken` slots with some room to grow.
    fn size_for(taken: usize) -> usize {
        let mut slots = SLOTS_LEAST;
        while room_of(homes_of(slots)) * 9 / 10 < taken {
            slots = next_size(slots);
        }
        slots
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a home is less than `homes`, a u32")]
    fn home(&self, tag: Tag) -> usize {
        let bits = TAG_BITS - self.depth;
        let rest = u64::from(tag.0) & ((1 << bits) - 1);
        ((rest * u64::from(self.homes)) >> bits) as usize
    }

    fn has_room(&self) -> bool {
        (self.len as usize) < room_of(self.homes as usize)
    }

    fn is_sparse(&self) -> bool {
        self.slots.len() > SLOTS_LEAST && (self.len as usize) < self.slots.len() / 4
    }

    /// The tag bits that all of the segment's tags share.
    fn prefix(&self) -> u32 {
        let word = self.words().next().expect("a segment that splits is full");
        word.tag().0 >> (TAG_BITS - self.depth)
    }

    fn words(&self) -> impl Iterator<Item = Word> + Clone {
        self.slots.iter().filter_map(|&slot| Word::taken(slot))
    }

    /// Puts a word in its place; `false` when the slots run over at the end.
    fn insert(&mut self, word: Word) -> bool {
        let mut at = self.home(word.tag());
        while Word::taken(self.slots[at]).is_some_and(|w| w.tag() <= word.tag()) {
            at += 1;
        }
        let mut free = at;
        while self.slots[free] != 0 {
            free += 1;
        }
        if free + 1 == self.slots.len() {
            return false;
        }
        self.slots.copy_within(at..free, at + 1);
        self.slots[at] = word.0;
        self.len += 1;
        true
    }

    fn remove(&mut self, at: usize) {
        let mut end = at + 1;
        while let Some(word) = Word::taken(self.slots[end])
            && self.home(word.tag()) < end
        {
            end += 1;
        }
        self.slots.copy_within(at + 1..end, at);
        self.slots[end - 1] = 0;
        self.len -= 1;
    }

    /// Whether each slot is its tag's home or reached from it over taken ones, in order.
    fn is_sound(&self) -> bool {
        let mut free_from = 0;
        self.slots.last() == Some(&0)
            && self.words().count() == self.len as usize
            && self.words().map(Word::tag).is_sorted()
            && self.slots.iter().enumerate().all(|(at, &slot)| match Word::taken(slot) {
                Some(word) => (free_from..=at).contains(&self.home(word.tag())),
                None => {
                    free_from = at + 1;
                    true
                }
            })
    }

    fn rebuilt(&self, slots: usize) -> Self {
        Self::filled(self.words(), slots, self.depth)
    }

    fn fitted(&self) -> Self {
        self.rebuilt(Self::size_for(self.len as usize))
    }

    fn halves(&self) -> (Self, Self) {
        let depth = self.depth + 1;
        let is_high = |word: &Word| word.tag().0 >> (TAG_BITS - depth) & 1 == 1;
        let high = self.words().filter(is_high).count();
        let low = self.len as usize - high;
        (
            Self::filled(self.words().take(low), Self::size_for(low), depth),
            Self::filled(self.words().skip(low), Self::size_for(high), depth),
        )
    }

    /// A segment of at least `slots` slots with `words`, which come in order.
    fn filled(words: impl Iterator<Item = Word> + Clone, slots: usize, depth: u32) -> Self {
        let mut segment = Self::with_slots(slots, depth);
        let mut free = 0;
        for word in words.clone() {
            let at = free.max(segment.home(word.tag()));
            if at + 1 >= segment.slots.len() {
                return Self::filled(words, next_size(slots), depth);
            }
            segment.slots[at] = word.0;
            segment.len += 1;
            free = at + 1;
        }
        segment
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
                    let (position, _) = index.find(Tag(t), |found| found.0 == l).unwrap();
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
