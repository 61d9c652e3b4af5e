//! What a slice counts against its table's quota.

use std::sync::Arc;

use crate::store::table::Usage;

/// What a slice has added to its table's usage, kept beside it so that exactly
/// this can be taken away again, whatever a fault did to the slice.
#[derive(Debug)]
pub(super) struct Share {
    usage: Arc<Usage>,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl Share {
    pub(super) const fn new(usage: Arc<Usage>) -> Self {
        Self { usage, entries: 0, bytes: 0 }
    }

    pub(super) fn grow(&mut self, entries: u64, bytes: u64) {
        self.usage.grow(entries, bytes);
        self.entries += entries;
        self.bytes += bytes;
    }

    pub(super) fn shrink(&mut self, entries: u64, bytes: u64) {
        self.usage.shrink(entries, bytes);
        self.entries = self.entries.saturating_sub(entries);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(super) fn clear(&mut self) {
        self.shrink(self.entries, self.bytes);
    }
}

impl Drop for Share {
    /// A slice that goes, for whatever reason, no longer counts against the quota.
    fn drop(&mut self) {
        self.clear();
    }
}
