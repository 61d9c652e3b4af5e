//! Steps of scans, and the cursors between them: a partition's number above a tag's
//! 28 bits. Cursor 0 is the start, and no other cursor is 0: they count from 1.

use winter_core::command::Scan;
use winter_core::fault::Fault;
use winter_core::reply::Reply;
use winter_core::store::Seed;
use winter_core::store::index::Tag;

const TAG_BITS: u32 = Tag::END.ilog2();
/// Bytes of keys after which a step is over.
const BYTES_MAX: usize = 1 << 20;

/// A step on its way through the partitions, each in the order of hashes, which growth
/// does not change.
pub(crate) struct Step {
    partitions: usize,
    /// The partition that is next, and where in it.
    number: usize,
    from: Tag,
    /// How many entries are still to be looked at, at the most.
    left: u64,
    bytes: usize,
    keys: Vec<Vec<u8>>,
    is_over: bool,
}

impl Step {
    /// Begins where the last step ended.
    ///
    /// # Errors
    /// `usage` when no step ended there.
    pub(crate) fn begin(scan: &Scan<'_>, partitions: usize) -> Result<Self, Fault> {
        let (number, from) = split(scan.cursor).ok_or_else(Scan::invalid_cursor)?;
        let (left, keys) = (scan.count, Vec::new());
        Ok(Self { partitions, number, from, left, bytes: 0, keys, is_over: false })
    }

    /// Which partition is to be asked, from which tag on, and how many entries it may look
    /// at; `None` when the step is over.
    pub(crate) fn next(&self) -> Option<(usize, Tag, u64)> {
        let goes_on = !self.is_over && self.number < self.partitions;
        goes_on.then_some((self.number, self.from, self.left))
    }

    /// Takes in what the partition has found: keys, where in it to go on if there is more,
    /// and how many entries it has looked at. What is more than fits in beside other
    /// partitions' keys is left to the next step.
    pub(crate) fn found(
        &mut self,
        keys: Vec<Vec<u8>>,
        mut more: Option<Tag>,
        looked_at: u64,
        seed: Seed,
    ) {
        let tag = |key: &Vec<u8>| Tag::of(seed.hash(key));
        let others = self.keys.len();
        for key in keys {
            // No cursor parts keys of one tag.
            if self.bytes >= BYTES_MAX && self.keys[others..].last().map(tag) != Some(tag(&key)) {
                more = Some(tag(&key));
                break;
            }
            self.bytes += key.len();
            self.keys.push(key);
        }
        self.left = self.left.saturating_sub(looked_at);
        self.is_over = more.is_some() || self.left == 0 || self.bytes >= BYTES_MAX;
        self.number += usize::from(more.is_none());
        self.from = more.unwrap_or(Tag::of(0));
    }

    /// What the step comes to.
    pub(crate) fn reply(self) -> Reply<'static> {
        let is_end = self.number >= self.partitions;
        let cursor = if is_end { 0 } else { join(self.number, self.from) };
        Reply::Scan { cursor, keys: self.keys }
    }
}

/// The cursor that goes on at `tag` of the partition `number`.
fn join(number: usize, tag: Tag) -> u64 {
    ((number as u64) << TAG_BITS | tag.bits()) + 1
}

/// Where a cursor goes on; `None` when it is none.
fn split(cursor: u64) -> Option<(usize, Tag)> {
    let at = cursor.saturating_sub(1);
    let number = usize::try_from(at >> TAG_BITS).ok()?;
    Some((number, Tag::from_bits(at & (Tag::END - 1))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed(1, 2);

    fn begin(cursor: u64, count: u64) -> Step {
        Step::begin(&Scan { cursor, prefix: b"", count }, 3).expect("it is a cursor")
    }

    fn cursor(step: Step) -> u64 {
        let Reply::Scan { cursor, .. } = step.reply() else { panic!("it is a step of a scan") };
        cursor
    }

    #[test]
    fn a_cursor_comes_apart_as_it_was_joined() {
        for (number, bits) in [(0, 0), (0, 1), (255, Tag::END - 1), (7, 12_345)] {
            let tag = Tag::from_bits(bits).unwrap();
            assert_eq!(split(join(number, tag)), Some((number, tag)));
        }
        assert_eq!(split(0), Some((0, Tag::of(0))));
    }

    #[test]
    fn a_step_goes_through_the_partitions_and_ends_after_the_last() {
        let mut step = begin(0, 10);
        for number in 0..3 {
            assert_eq!(step.next(), Some((number, Tag::of(0), 10 - number as u64)));
            step.found(vec![vec![b'k']], None, 1, SEED);
        }
        assert_eq!(step.next(), None);
        assert_eq!(step.reply(), Reply::Scan { cursor: 0, keys: vec![vec![b'k']; 3] });
        assert_eq!(begin(join(3, Tag::of(0)), 10).next(), None, "no partition is there");
    }

    #[test]
    fn what_does_not_fit_in_beside_other_partitions_keys_is_left_to_the_next_step() {
        let mut step = begin(0, 10);
        let keys = |length: usize| vec![vec![b'a'; length], vec![b'b'; length]];
        step.found(keys(BYTES_MAX / 4), None, 2, SEED);
        step.found(keys(BYTES_MAX / 2), None, 2, SEED);
        assert_eq!(step.next(), None);
        assert_eq!(step.keys.len(), 3);
        let left = Tag::of(SEED.hash(&keys(BYTES_MAX / 2)[1]));
        assert_eq!(begin(cursor(step), 10).next(), Some((1, left, 10)));
    }

    #[test]
    fn a_step_ends_early_and_the_next_goes_on_there() {
        let tag = Tag::from_bits(5).unwrap();
        let long = vec![vec![b'k'; BYTES_MAX]];
        for (keys, more, looked_at, goes_on) in [
            (Vec::new(), Some(tag), 1, (0, tag)),
            (Vec::new(), None, 10, (1, Tag::of(0))),
            (long, None, 1, (1, Tag::of(0))),
        ] {
            let mut step = begin(0, 10);
            step.found(keys, more, looked_at, SEED);
            assert_eq!(step.next(), None);
            let (number, from) = goes_on;
            assert_eq!(begin(cursor(step), 10).next(), Some((number, from, 10)));
        }
    }
}
