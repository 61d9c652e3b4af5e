//! How many commands threads have done on a table: a counter on a cache line of its
//! own for each thread, so that none waits for another.
//!
//! Counters are made in blocks, each three times as long as all before it, when a
//! thread of the block first counts. Sessions live on the first few threads, so a
//! table has few counters however many threads there may be, and none while
//! nobody works on it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads that may count (`WINTER_THREADS`).
pub const THREADS_MAX: usize = 1_024;
const BLOCKS: usize = block_of(THREADS_MAX - 1) + 1;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Counter(AtomicU64);

/// A table's counters.
#[derive(Debug, Default)]
pub(super) struct Operations([OnceLock<Box<[Counter]>>; BLOCKS]);

/// Thread 0 has the first block, 1 to 3 the second, 4 to 15 the third, and so on.
#[inline]
const fn block_of(worker: usize) -> usize {
    (usize::BITS - worker.leading_zeros()).div_ceil(2) as usize
}

/// The first thread of a block.
#[inline]
const fn first_of(block: usize) -> usize {
    if block == 0 { 0 } else { 1 << (2 * (block - 1)) }
}

impl Operations {
    /// Counts `more` of the thread `worker`, the only one to write its counter.
    /// `made` is told the bytes of counters that had to be made.
    #[inline]
    pub(super) fn count(&self, worker: usize, more: u64, made: impl FnOnce(usize)) {
        let block = block_of(worker);
        let counters = self.0[block].get_or_init(|| {
            let length = first_of(block + 1) - first_of(block);
            made(length * size_of::<Counter>());
            (0..length).map(|_| Counter::default()).collect()
        });
        let counter = &counters[worker - first_of(block)].0;
        counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }

    /// What all threads have counted.
    pub(super) fn sum(&self) -> u64 {
        self.counters().map(|counter| counter.0.load(Ordering::Relaxed)).sum()
    }

    /// Bytes of the counters that were made.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.counters().count() * size_of::<Counter>()
    }

    fn counters(&self) -> impl Iterator<Item = &Counter> {
        self.0.iter().filter_map(OnceLock::get).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_a_counter_of_its_own() {
        let operations = Operations::default();
        let mut told = 0;
        for worker in 0..THREADS_MAX {
            operations.count(worker, worker as u64, |bytes| told += bytes);
        }
        let counted = operations.counters().map(|counter| counter.0.load(Ordering::Relaxed));
        assert!(counted.eq(0..THREADS_MAX as u64));
        assert_eq!(operations.sum(), (0..THREADS_MAX as u64).sum::<u64>());
        assert_eq!((told, operations.allocated_bytes()), (64 << 10, 64 << 10));
    }

    #[test]
    fn counters_are_made_for_who_counts() {
        for (worker, bytes) in [(0, 64), (1, 3 * 64), (3, 3 * 64), (4, 12 * 64), (1_023, 768 * 64)]
        {
            let operations = Operations::default();
            assert_eq!(operations.allocated_bytes(), 0);
            operations.count(worker, 1, |made| assert_eq!(made, bytes));
            operations.count(worker, 1, |_| panic!("they were made"));
            assert_eq!((operations.sum(), operations.allocated_bytes()), (2, bytes));
        }
    }
}
