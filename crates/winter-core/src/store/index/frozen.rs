//! An index as it was at one moment.

use super::{Index, Location, Word};

/// The slots of an index as they were.
#[derive(Debug)]
pub struct FrozenIndex(Vec<u64>);

impl FrozenIndex {
    /// Where every entry lies, in no order.
    pub fn locations(&self) -> impl Iterator<Item = Location> {
        self.0.iter().filter_map(|&slot| Word::taken(slot)).map(Word::location)
    }

    /// Bytes that the copy has allocated.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

impl Index {
    /// A copy of every slot, free ones too: it compares nothing.
    #[must_use]
    pub fn freeze(&self) -> FrozenIndex {
        let slots = || self.segments.iter().map(|segment| &*segment.slots);
        let mut copy = Vec::with_capacity(slots().map(<[u64]>::len).sum());
        slots().for_each(|slots| copy.extend_from_slice(slots));
        FrozenIndex(copy)
    }
}
