//! Where an entry lies: a page's number above an offset in it.

use std::num::NonZeroU32;

use crate::store::index::Location;

/// Bits of an offset.
pub(super) const OFFSET_BITS: u32 = 14;

/// A page's number within its arena, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageNumber(NonZeroU32);

impl PageNumber {
    /// The number of the page that stands at `index`.
    pub(super) fn at(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("fewer than 2^22 pages"))
    }

    /// Where the page stands.
    pub(super) const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Location {
    pub(super) fn new(page: PageNumber, offset: usize) -> Self {
        Self(u64::from(page.0.get()) << OFFSET_BITS | offset as u64)
    }

    /// The page that the entry lies in.
    #[must_use]
    pub fn page(self) -> PageNumber {
        let number = u32::try_from(self.0 >> OFFSET_BITS).ok().and_then(NonZeroU32::new);
        PageNumber(number.expect("36 bits less 14, and never 0"))
    }

    /// Where the page stands; where none does if no entry lies here.
    #[inline]
    pub(super) const fn page_index(self) -> usize {
        ((self.0 >> OFFSET_BITS) as usize).wrapping_sub(1)
    }

    pub(super) const fn offset(self) -> usize {
        (self.0 & ((1 << OFFSET_BITS) - 1)) as usize
    }
}
