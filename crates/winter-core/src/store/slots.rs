//! Slots: small numbers, each of which one table has at a time.

use std::collections::BTreeSet;

/// Which slots tables have. The lowest is given out first: a partition's list of
/// slices is as long as the highest slot of a table with entries there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Those below `end` that no table has, and never the last of them.
    free: BTreeSet<u32>,
    end: u32,
}

impl Slots {
    /// When tables have these.
    #[must_use]
    pub fn of(used: &BTreeSet<u32>) -> Self {
        let end = used.last().map_or(0, |&last| last.saturating_add(1));
        Self { free: (0..end).filter(|slot| !used.contains(slot)).collect(), end }
    }

    /// The lowest slot that no table has, which now one has.
    pub fn take(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.end += 1;
            self.end - 1
        })
    }

    /// Gives a slot back.
    pub fn release(&mut self, slot: u32) {
        self.free.insert(slot);
        while self.end > 0 && self.free.remove(&(self.end - 1)) {
            self.end -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_given_out_first_and_what_is_left_follows_from_what_is_used() {
        let mut slots = Slots::default();
        assert_eq!((0..5).map(|_| slots.take()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        for slot in [3, 1, 4] {
            slots.release(slot);
        }
        assert_eq!(slots, Slots::of(&BTreeSet::from([0, 2])));
        assert_eq!((0..3).map(|_| slots.take()).collect::<Vec<_>>(), [1, 3, 4]);
        (0..5).for_each(|slot| slots.release(slot));
        assert_eq!(slots, Slots::default());
    }
}
