//! The partitions of a node that stands alone, a lock for each.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use winter_core::limits::PARTITIONS_STANDALONE;
use winter_core::store::{Partition, Seed, partition_of};
use winter_core::time::Timestamp;

use super::memory::Memory;

const NEVER: u64 = u64::MAX;

/// A partition behind its lock, on cache lines of its own. The order of the
/// fields matters: `called` lies on the lock's cache line.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Shard {
    /// Written to call the lock's cache line over; its value means nothing.
    called: AtomicBool,
    partition: Mutex<Partition>,
    /// The partition's bytes as the node's memory has them; changed under the lock.
    counted: AtomicUsize,
    /// When something is due to be reclaimed, readable without the lock.
    next_due: AtomicU64,
}

/// All partitions.
#[derive(Debug)]
pub struct Shards {
    shards: Box<[Shard]>,
}

impl Shards {
    /// Empty partitions.
    #[must_use]
    pub fn new(seed: Seed, first_version: u64) -> Self {
        let shard = |_| Shard {
            called: AtomicBool::new(false),
            partition: Mutex::new(Partition::new(seed, first_version)),
            counted: AtomicUsize::new(0),
            next_due: AtomicU64::new(NEVER),
        };
        Self { shards: (0..PARTITIONS_STANDALONE).map(shard).collect() }
    }

    /// Which partition `key` of a table belongs to.
    #[inline]
    #[must_use]
    pub fn number_of(table_hash: u64, key: &[u8]) -> u16 {
        partition_of(table_hash, key, PARTITIONS_STANDALONE)
    }

    /// The partition with this number.
    #[inline]
    #[must_use]
    pub fn shard(&self, number: u16) -> &Shard {
        &self.shards[usize::from(number)]
    }

    /// The partition with this number, if there is one.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Shard> {
        self.shards.get(number)
    }

    /// All partitions in order.
    pub fn iter(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter()
    }
}

impl Shard {
    /// Calls the lock's cache line over from the core that had it last. A plain
    /// store waits for nothing, so that the lines of a whole group travel at
    /// once; taking one lock after the other would wait for each.
    #[inline]
    pub fn call(&self) {
        self.called.store(true, Ordering::Relaxed);
    }

    /// Waits for the partition.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, Partition> {
        self.partition.lock()
    }

    /// Works on the partition, and counts what that changes in memory.
    pub fn with<T>(&self, memory: &Memory, work: impl FnOnce(&mut Partition) -> T) -> T {
        let mut partition = self.lock();
        let done = work(&mut partition);
        self.settle(&partition, memory);
        done
    }

    /// Counts what work under the lock has changed since it was last counted.
    /// Work that panicked is made up for by whoever settles next.
    #[inline]
    pub fn settle(&self, partition: &Partition, memory: &Memory) {
        let bytes = partition.allocated_bytes();
        let before = self.counted.load(Ordering::Relaxed);
        if bytes != before {
            self.counted.store(bytes, Ordering::Relaxed);
            memory.count_store(before, bytes);
        }
        let due = partition.next_due().map_or(NEVER, Timestamp::as_millis);
        if self.next_due.load(Ordering::Relaxed) != due {
            self.next_due.store(due, Ordering::Relaxed);
        }
    }

    /// Whether something is due to be reclaimed at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_due.load(Ordering::Relaxed) <= now.as_millis()
    }
}

const WORD_BITS: usize = u64::BITS as usize;
const WORDS: usize = (PARTITIONS_STANDALONE as usize).div_ceil(WORD_BITS);

/// A set of partitions, in the order of their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardSet([u64; WORDS]);

impl ShardSet {
    /// Puts the partition with this number in.
    #[inline]
    pub fn insert(&mut self, number: u16) {
        let number = usize::from(number);
        self.0[number / WORD_BITS] |= 1 << (number % WORD_BITS);
    }

    /// Shows each number, from the smallest on.
    #[inline]
    pub fn for_each(self, mut visit: impl FnMut(u16)) {
        for (first, mut word) in (0u16..).step_by(WORD_BITS).zip(self.0) {
            while word != 0 {
                visit(first + u16::try_from(word.trailing_zeros()).expect("less than 64"));
                word &= word - 1;
            }
        }
    }
}
