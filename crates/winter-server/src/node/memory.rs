//! What the node holds in memory, counted, and the limit of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use bytes::Bytes;
use winter_core::fault::{Fault, Kind};

/// Sessions' buffers may take this share of the limit, so that clients who send
/// without end leave the store its room.
const BUFFERS_SHARE: u64 = 8;
/// Less than this is no use: a few long values fill it.
const BUFFERS_LEAST: u64 = 64 << 20;

/// So many bytes of a reply find room even when buffers are full: those who fill them with
/// what is long do not stop those who do not.
pub(crate) const SHORT_BYTES: usize = 16 << 10;

/// Counted memory: tables and partitions, and the buffers of sessions and of what peers
/// are answered.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    store: AtomicI64,
    sessions: AtomicI64,
    answers: AtomicI64,
    /// How many wait for room in the sessions' share.
    waiting: AtomicUsize,
    /// Whether somebody goes on without.
    is_passed: AtomicBool,
}

/// For whom something is buffered. What peers are answered goes out whatever the sessions
/// wait for, so each has its own share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// Clients of this node.
    Sessions,
    /// What peers have asked for.
    Answers,
}

impl Memory {
    /// Nothing held, and `limit` bytes that may be.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self {
            limit,
            store: AtomicI64::new(0),
            sessions: AtomicI64::new(0),
            answers: AtomicI64::new(0),
            waiting: AtomicUsize::new(0),
            is_passed: AtomicBool::new(false),
        }
    }

    /// Bytes that may be held.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that tables and partitions have allocated.
    #[must_use]
    pub fn store(&self) -> u64 {
        u64::try_from(self.store.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Bytes that are buffered for sessions and peers.
    #[must_use]
    pub fn buffers(&self) -> u64 {
        self.held(Buffers::Sessions) + self.held(Buffers::Answers)
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

    /// The fault for what would write when the node is full.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::new(
            Kind::Memory,
            format!(
                "the node holds {} bytes, and its limit (WINTER_MAX_MEMORY) is {}; delete entries or drop tables",
                self.counted(),
                self.limit
            ),
        )
    }

    /// The fault for what would write to nodes of which one is full.
    #[must_use]
    pub fn full_elsewhere(what_for: &str) -> Fault {
        Fault::new(
            Kind::Memory,
            format!(
                "a node that holds {what_for} is at its memory limit (WINTER_MAX_MEMORY); delete entries or drop tables"
            ),
        )
    }

    /// The fault for a reply that there is no room for.
    #[must_use]
    pub fn no_room() -> Fault {
        Fault::new(
            Kind::Busy,
            "replies to other clients fill the node's buffers; nothing was done, send it later",
        )
    }

    /// Whether sessions' buffers but for so many bytes hold more than their share.
    #[must_use]
    pub fn buffers_are_full_but_for(&self, bytes: usize) -> bool {
        let others = self.held(Buffers::Sessions).saturating_sub(bytes as u64);
        others > self.share(Buffers::Sessions)
    }

    /// Whether sessions' buffers hold so much that what is long should be waited with.
    #[must_use]
    pub fn buffers_are_half_full(&self) -> bool {
        self.held(Buffers::Sessions) > self.share(Buffers::Sessions) / 2
    }

    fn share(&self, buffers: Buffers) -> u64 {
        let share = (self.limit / BUFFERS_SHARE).max(BUFFERS_LEAST).min(self.limit / 2);
        match buffers {
            Buffers::Sessions => share,
            Buffers::Answers => share / 2,
        }
    }

    fn held(&self, buffers: Buffers) -> u64 {
        u64::try_from(self.counter(buffers).load(Ordering::Relaxed)).unwrap_or(0)
    }

    const fn counter(&self, buffers: Buffers) -> &AtomicI64 {
        match buffers {
            Buffers::Sessions => &self.sessions,
            Buffers::Answers => &self.answers,
        }
    }

    /// Counts more beside one's `own`, if the others leave room: the last may pass the share.
    fn try_add(&self, buffers: Buffers, own: usize, bytes: usize) -> bool {
        self.change(buffers, 0, bytes);
        let others = self.held(buffers).saturating_sub((own + bytes) as u64);
        let has_room = others <= self.share(buffers);
        if !has_room {
            self.change(buffers, bytes, 0);
        }
        has_room
    }

    fn change(&self, buffers: Buffers, before: usize, after: usize) {
        if before != after {
            self.counter(buffers).fetch_add(difference(before, after), Ordering::Relaxed);
        }
    }

    /// Counts bytes that are buffered already, or will be whatever is said here.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, buffers: Buffers, bytes: usize) -> Reserved {
        self.change(buffers, 0, bytes);
        Reserved { memory: Arc::clone(self), buffers, bytes, is_granted: false }
    }

    /// Counts bytes that are about to be buffered, if there is room: the last may pass
    /// the share.
    #[must_use]
    pub fn try_reserve(self: &Arc<Self>, buffers: Buffers, bytes: usize) -> Option<Reserved> {
        let mut reserved = self.reserve(buffers, 0);
        reserved.try_grow(bytes).then_some(reserved)
    }

    /// Counts a change of what a table or partition holds, from `before` to `after` bytes.
    #[inline]
    pub fn count_store(&self, before: usize, after: usize) {
        if before != after {
            self.store.fetch_add(difference(before, after), Ordering::Relaxed);
        }
    }

    /// Counts a change of what a session buffers, from `before` to `after` bytes.
    pub fn count_buffers(&self, before: usize, after: usize) {
        self.change(Buffers::Sessions, before, after);
    }

    /// Counts more of what a session is about to buffer beside its `own`, if the others
    /// leave room: the last may pass the share.
    #[must_use]
    pub fn try_count_buffers(&self, own: usize, bytes: usize) -> bool {
        self.try_add(Buffers::Sessions, own, bytes)
    }

    /// Notes that something waits for room in the sessions' buffers.
    #[must_use]
    pub fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }

    /// Whether something waits for room in the sessions' buffers.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Lets one at a time go on without room.
    #[must_use]
    pub fn try_pass(self: &Arc<Self>) -> Option<Pass> {
        let is_first = !self.is_passed.swap(true, Ordering::Relaxed);
        is_first.then(|| Pass(Arc::clone(self)))
    }
}

/// Bytes of buffers that count until this is dropped.
#[derive(Debug)]
pub struct Reserved {
    memory: Arc<Memory>,
    buffers: Buffers,
    bytes: usize,
    is_granted: bool,
}

impl Reserved {
    /// Counts more, whether there is room or not.
    pub fn grow(&mut self, bytes: usize) {
        self.memory.change(self.buffers, 0, bytes);
        self.bytes += bytes;
    }

    /// Counts more, if there is room: the last may pass the share.
    #[must_use]
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let has_room = self.memory.try_add(self.buffers, 0, bytes);
        if has_room {
            self.bytes += bytes;
            self.is_granted |= bytes > 0;
        }
        has_room
    }

    /// Whether there was room for some of it when it was asked for.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        self.is_granted
    }

    /// Takes over what `other` counts, for the same.
    ///
    /// # Panics
    /// If it is for another.
    pub fn join(&mut self, mut other: Self) {
        assert_eq!(self.buffers, other.buffers, "each has its share");
        self.bytes += std::mem::take(&mut other.bytes);
        self.is_granted |= other.is_granted;
    }

    /// Parts so many bytes from the others.
    #[must_use]
    pub fn split_off(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { memory: Arc::clone(&self.memory), buffers: self.buffers, bytes, is_granted: false }
    }

    /// Counts until all copies of `buffer` are gone.
    #[must_use]
    pub fn cover(self, buffer: Bytes) -> Bytes {
        if self.bytes == 0 {
            return buffer;
        }
        Bytes::from_owner(Covered { buffer, _reserved: self })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.memory.change(self.buffers, self.bytes, 0);
    }
}

/// Something waits for room as long as this is held.
#[derive(Debug)]
pub struct Waiting(Arc<Memory>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whoever holds this goes on without room.
#[derive(Debug)]
pub struct Pass(Arc<Memory>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.is_passed.store(false, Ordering::Relaxed);
    }
}

/// A buffer and what counts it.
struct Covered {
    buffer: Bytes,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Covered {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

#[expect(clippy::cast_possible_wrap, reason = "no machine has 2^63 bytes")]
const fn difference(before: usize, after: usize) -> i64 {
    after as i64 - before as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: usize = 20 << 20;

    fn memory() -> Arc<Memory> {
        Arc::new(Memory::new(256 << 20))
    }

    #[test]
    fn what_finds_no_room_is_not_counted() {
        let memory = memory();
        let mut held: Vec<_> =
            (0..4).map_while(|_| memory.try_reserve(Buffers::Sessions, LONG)).collect();
        assert_eq!(held.len(), 4, "the last may pass 64 MiB");
        assert!(memory.buffers_are_full_but_for(0));
        assert!(memory.try_reserve(Buffers::Sessions, LONG).is_none());
        assert_eq!(memory.buffers(), 4 * LONG as u64);
        let answers: Vec<_> =
            (0..4).map_while(|_| memory.try_reserve(Buffers::Answers, LONG)).collect();
        assert_eq!(answers.len(), 2, "what peers are answered waits for no session");
        drop(answers);
        held.truncate(3);
        assert!(memory.try_reserve(Buffers::Sessions, LONG).is_some());
        held.clear();
        assert_eq!(memory.buffers(), 0);
    }

    #[test]
    fn what_is_reserved_counts_once_whoever_holds_it() {
        let memory = memory();
        let mut first = memory.reserve(Buffers::Sessions, 10);
        first.join(memory.reserve(Buffers::Sessions, 5));
        assert_eq!(memory.buffers(), 15);
        let second = first.split_off(12);
        drop(first);
        assert_eq!(memory.buffers(), 12);
        let buffer = second.cover(Bytes::from_static(b"data"));
        let copy = buffer.clone();
        drop(buffer);
        assert_eq!((&*copy, memory.buffers()), (&b"data"[..], 12));
        drop(copy);
        assert_eq!(memory.buffers(), 0);
    }
}
