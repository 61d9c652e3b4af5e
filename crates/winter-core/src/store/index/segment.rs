//! A part of an index: slots in the order of their tags.

use super::{TAG_BITS, Tag, Word};

/// A run of slots for the tags that share their first `depth` bits. The last
/// slot is always free.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) slots: Box<[u64]>,
    /// How many slots are some tag's home; the rest take what runs over.
    homes: u32,
    /// How many slots may be taken before the segment grows.
    room: u32,
    pub(super) len: u32,
    pub(super) depth: u32,
}

pub(super) const SLOTS_LEAST: usize = 4;
/// Slots that a look-up seldom walks beyond.
pub(super) const RUN_LENGTH: usize = 6;

/// The sizes of segments: three steps to a doubling.
pub(super) fn next_size(slots: usize) -> usize {
    let octave: usize = 1 << slots.ilog2();
    (slots + octave.div_ceil(3)).min(2 * octave)
}

fn homes_of(slots: usize) -> usize {
    slots - (slots / 32).max(1)
}

/// Slots that may be taken before a segment grows: seven in eight homes.
fn room_of(homes: usize) -> usize {
    (homes * 7 / 8).max(1)
}

impl Segment {
    pub(super) fn with_slots(slots: usize, depth: u32) -> Self {
        let small = |n| u32::try_from(n).expect("a segment is small");
        let homes = homes_of(slots);
        Self {
            slots: vec![0; slots].into_boxed_slice(),
            homes: small(homes),
            room: small(room_of(homes)),
            len: 0,
            depth,
        }
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
    pub(super) fn home(&self, tag: Tag) -> usize {
        let bits = TAG_BITS - self.depth;
        let rest = u64::from(tag.0) & ((1 << bits) - 1);
        ((rest * u64::from(self.homes)) >> bits) as usize
    }

    pub(super) const fn has_room(&self) -> bool {
        self.len < self.room
    }

    pub(super) fn is_sparse(&self) -> bool {
        self.slots.len() > SLOTS_LEAST && (self.len as usize) < self.slots.len() / 4
    }

    /// The tag bits that all of the segment's tags share.
    pub(super) fn prefix(&self) -> u32 {
        let word = self.words().next().expect("a segment that splits is full");
        word.tag().0 >> (TAG_BITS - self.depth)
    }

    fn words(&self) -> impl Iterator<Item = Word> + Clone {
        self.slots.iter().filter_map(|&slot| Word::taken(slot))
    }

    /// Puts a word in its place, which is `at`, and moves those from there on to
    /// the next free slot by one. Whether that was the last slot: then the segment
    /// has to grow at once.
    pub(super) fn insert(&mut self, at: usize, word: Word) -> bool {
        self.len += 1;
        let mut moved = word.0;
        let mut slots = self.slots[at..].iter_mut();
        for slot in &mut slots {
            moved = std::mem::replace(slot, moved);
            if moved == 0 {
                break;
            }
        }
        slots.len() == 0
    }

    pub(super) fn remove(&mut self, at: usize) {
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
    pub(super) fn is_sound(&self) -> bool {
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

    pub(super) fn rebuilt(&self, slots: usize) -> Self {
        Self::filled(&self.slots, self.len, slots, self.depth)
    }

    pub(super) fn fitted(&self) -> Self {
        self.rebuilt(Self::size_for(self.len as usize))
    }

    pub(super) fn halves(&self) -> (Self, Self) {
        let depth = self.depth + 1;
        let is_high = |&slot: &u64| Word(slot).tag().0 >> (TAG_BITS - depth) & 1 == 1;
        let middle = self.slots.iter().position(is_high).unwrap_or(self.slots.len());
        let (low, high) = self.slots.split_at(middle);
        let low_len = low.iter().map(|&slot| u32::from(slot != 0)).sum();
        let half = |slots, len| Self::filled(slots, len, Self::size_for(len as usize), depth);
        (half(low, low_len), half(high, self.len - low_len))
    }

    /// A segment of at least `slots` slots with the `len` words of `old`, which come
    /// in order. Nothing hangs on whether a slot is free, for no processor could
    /// guess it: a free one is 0, whose home is the first, and is written over.
    fn filled(old: &[u64], len: u32, slots: usize, depth: u32) -> Self {
        let mut segment = Self { len, ..Self::with_slots(slots, depth) };
        let last = segment.slots.len() - 1;
        let mut free = 0;
        for &slot in old {
            let at = segment.home(Word(slot).tag()).max(free);
            segment.slots[at.min(last)] = slot;
            free = at + usize::from(slot != 0);
        }
        if free > last {
            return Self::filled(old, len, next_size(slots), depth);
        }
        segment
    }
}
