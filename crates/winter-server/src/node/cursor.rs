//! Cursors of scans: a partition's number above a tag's 28 bits. Cursor 0 is the
//! start, and no other cursor is 0: they count from 1.

use winter_core::store::index::Tag;

const TAG_BITS: u32 = Tag::END.ilog2();

/// The cursor that goes on at `tag` of the partition `number`.
pub(crate) fn join(number: usize, tag: Tag) -> u64 {
    ((number as u64) << TAG_BITS | tag.bits()) + 1
}

/// Where a cursor goes on; `None` when it is none.
pub(crate) fn split(cursor: u64) -> Option<(usize, Tag)> {
    let at = cursor.saturating_sub(1);
    let number = usize::try_from(at >> TAG_BITS).ok()?;
    Some((number, Tag::from_bits(at & (Tag::END - 1))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_apart_as_it_was_joined() {
        for (number, bits) in [(0, 0), (0, 1), (255, Tag::END - 1), (7, 12_345)] {
            let tag = Tag::from_bits(bits).unwrap();
            assert_eq!(split(join(number, tag)), Some((number, tag)));
        }
        assert_eq!(split(0), Some((0, Tag::of(0))));
    }
}
