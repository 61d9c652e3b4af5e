//! What the node holds in memory, counted, and the limit of it.

use std::sync::atomic::{AtomicI64, Ordering};

/// Sessions' buffers may take this share of the limit, so that clients who send
/// without end leave the store its room.
const BUFFERS_SHARE: u64 = 8;
/// Less than this is no use: a few long values fill it.
const BUFFERS_LEAST: u64 = 64 << 20;

/// Counted memory: partitions, and the buffers of sessions.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    store: AtomicI64,
    buffers: AtomicI64,
}

impl Memory {
    /// Nothing held, and `limit` bytes that may be.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self { limit, store: AtomicI64::new(0), buffers: AtomicI64::new(0) }
    }

    /// Bytes that may be held.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that partitions have allocated.
    #[must_use]
    pub fn store(&self) -> u64 {
        u64::try_from(self.store.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Bytes that sessions buffer.
    #[must_use]
    pub fn buffers(&self) -> u64 {
        u64::try_from(self.buffers.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Bytes counted in all.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.store() + self.buffers()
    }

    /// Whether writes are to be refused.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.counted() >= self.limit
    }

    /// Whether sessions buffer more than their share.
    #[must_use]
    pub fn buffers_are_full(&self) -> bool {
        let share = (self.limit / BUFFERS_SHARE).max(BUFFERS_LEAST);
        self.buffers() > share.min(self.limit / 2)
    }

    /// Counts a change of what partitions hold, from `before` to `after` bytes.
    #[inline]
    pub fn count_store(&self, before: usize, after: usize) {
        if before != after {
            self.store.fetch_add(difference(before, after), Ordering::Relaxed);
        }
    }

    /// Counts a change of what a session buffers, from `before` to `after` bytes.
    pub fn count_buffers(&self, before: usize, after: usize) {
        if before != after {
            self.buffers.fetch_add(difference(before, after), Ordering::Relaxed);
        }
    }
}

#[expect(clippy::cast_possible_wrap, reason = "no machine has 2^63 bytes")]
const fn difference(before: usize, after: usize) -> i64 {
    after as i64 - before as i64
}
