//! Pages as they were at one moment.

use bytes::Bytes;

use crate::store::entry::Entry;
use crate::store::index::Location;

/// Every page of an arena as it was when it was frozen: references to sealed
/// pages, copies of the open ones.
#[derive(Debug)]
pub struct FrozenPages(Vec<Bytes>);

impl FrozenPages {
    pub(super) const fn new(pages: Vec<Bytes>) -> Self {
        Self(pages)
    }

    /// The entry at `location`, which the index led to then.
    #[must_use]
    pub fn entry(&self, location: Location) -> Entry<'_> {
        let page = self.0.get(location.page_index());
        let read = page.and_then(|page| Entry::decode(page, location.offset()));
        read.expect("the index led to whole entries").0
    }

    /// Bytes that nobody else keeps: copies of open pages, and pages that the
    /// arena has let go since. What the arena still has is counted there. Of a
    /// page that two snapshots keep and the arena does not, neither counts it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let own = self.0.iter().filter(|page| page.is_unique()).map(Bytes::len);
        own.sum::<usize>() + self.0.capacity() * size_of::<Bytes>()
    }
}
