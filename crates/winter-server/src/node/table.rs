//! A table as the node knows it: what partitions know, and its supervision.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use winter_core::command::TableOptions;
use winter_core::store;
use winter_core::store::partition::Holdings;
use winter_core::supervise::{Intensity, RestartLog, Verdict};
use winter_core::time::{Timestamp, Ttl};

use super::memory::Memory;
use super::operations::Operations;

/// How long after a failed quota check the next one may reclaim again, in milliseconds.
const RECLAIM_PAUSE_MILLIS: u64 = 10;

/// One table.
#[derive(Debug)]
pub struct Table {
    /// What partitions know of it.
    pub core: store::Table,
    dropped: AtomicBool,
    fenced: AtomicBool,
    restarts: Mutex<RestartLog>,
    restarts_total: AtomicU64,
    rejections_total: AtomicU64,
    operations: Operations,
    /// Held while a write is measured against the quota and done.
    quota: Mutex<()>,
    reclaimed_at: AtomicU64,
    /// What counts the table's own memory, unless it is made only to be shown.
    memory: Option<Arc<Memory>>,
}

/// What a table has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Commands on its keys.
    pub operations: u64,
    /// Commands that a limit has refused.
    pub rejections: u64,
    /// Restarts after a panic.
    pub restarts: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.rejections += other.rejections;
        self.restarts += other.restarts;
    }
}

/// A table as `DESCRIBE` tells of it.
pub(crate) struct Described<'a> {
    pub name: &'a str,
    pub options: TableOptions,
    pub held: Holdings,
    pub tally: Tally,
    pub is_fenced: bool,
}

impl Described<'_> {
    /// The fields, in the order of the contract.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let Self { options, held, tally, .. } = self;
        let limit = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
        let yes_no = |yes: bool| (if yes { "yes" } else { "no" }).to_owned();
        [
            ("name", self.name.to_owned()),
            ("maxbytes", limit(options.bytes_max)),
            ("maxentries", limit(options.entries_max)),
            ("maxvalue", limit(options.value_bytes_max)),
            ("ttl", limit(options.ttl.map(Ttl::as_millis))),
            ("once", yes_no(options.once)),
            ("entries", held.entries.to_string()),
            ("bytes", held.bytes.to_string()),
            ("allocated_bytes", held.allocated_bytes.to_string()),
            ("operations", tally.operations.to_string()),
            ("rejections", tally.rejections.to_string()),
            ("restarts", tally.restarts.to_string()),
            ("fenced", yes_no(self.is_fenced)),
        ]
        .map(|(field, value)| (field.to_owned(), value))
        .into()
    }
}

impl Table {
    /// A new table, whose own memory counts in `memory` until it is dropped.
    #[must_use]
    pub fn new(core: store::Table, memory: Option<Arc<Memory>>) -> Self {
        let table = Self {
            core,
            dropped: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            restarts: Mutex::default(),
            restarts_total: AtomicU64::new(0),
            rejections_total: AtomicU64::new(0),
            operations: Operations::default(),
            quota: Mutex::new(()),
            reclaimed_at: AtomicU64::new(0),
            memory,
        };
        if let Some(memory) = &table.memory {
            memory.count_store(0, table.own_bytes());
        }
        table
    }

    /// A table of which somebody else has counted so much, to be shown.
    #[must_use]
    pub fn counted(core: store::Table, tally: Tally) -> Self {
        let table = Self::new(core, None);
        table.count_operations(0, tally.operations);
        table.rejections_total.store(tally.rejections, Ordering::Relaxed);
        table.restarts_total.store(tally.restarts, Ordering::Relaxed);
        table
    }

    /// Whether the table is gone. Asked again under a partition's lock, so that
    /// a late write cannot bring a slice back.
    #[inline]
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    pub(super) fn mark_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    /// Whether the table answers nothing until it is revived or dropped.
    #[inline]
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// Takes the table back into service.
    pub fn revive(&self) {
        self.restarts.lock().clear();
        self.fenced.store(false, Ordering::Relaxed);
    }

    /// Records a restart, and fences the table when there are too many.
    pub fn record_restart(&self, now: Timestamp, intensity: Intensity) -> Verdict {
        self.restarts_total.fetch_add(1, Ordering::Relaxed);
        let verdict = self.restarts.lock().record(now, intensity);
        if verdict == Verdict::Fence {
            self.fenced.store(true, Ordering::Relaxed);
        }
        verdict
    }

    /// Restarts so far.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts_total.load(Ordering::Relaxed)
    }

    /// Counts a command that a limit of the table or the node has refused.
    pub fn count_rejection(&self) {
        self.rejections_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Commands refused so far.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.rejections_total.load(Ordering::Relaxed)
    }

    /// Counts operations of the thread `worker`, the only one to write its counter.
    #[inline]
    pub fn count_operations(&self, worker: usize, operations: u64) {
        self.operations.count(worker, operations, |bytes| {
            if let Some(memory) = &self.memory {
                memory.count_store(0, bytes);
            }
        });
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations.sum()
    }

    /// What the table has counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            operations: self.operations(),
            rejections: self.rejections(),
            restarts: self.restarts(),
        }
    }

    /// Waits until no other write of the table is being measured against its quota.
    pub(super) fn lock_quota(&self) -> Option<parking_lot::MutexGuard<'_, ()>> {
        self.core.usage.is_some().then(|| self.quota.lock())
    }

    /// Whether expired entries may be reclaimed over all partitions to make
    /// room: not so often that a full table costs the others their turns.
    pub(super) fn may_reclaim(&self, now: Timestamp) -> bool {
        let last = self.reclaimed_at.load(Ordering::Relaxed);
        let due = last + RECLAIM_PAUSE_MILLIS <= now.as_millis();
        if due {
            self.reclaimed_at.store(now.as_millis(), Ordering::Relaxed);
        }
        due
    }

    /// What the table takes beside its entries: itself, its name, which the catalog
    /// has too, its place there, and its counters.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        /// What an `Arc` counts in, beside what it holds.
        const ARC: usize = 2 * size_of::<usize>();
        /// A node of a B-tree is two thirds full.
        const PLACE: usize = size_of::<(Box<str>, Arc<Table>)>() * 3 / 2;
        let usage = self.core.usage.as_ref().map_or(0, |_| ARC + size_of::<store::Usage>());
        let fixed = ARC + size_of::<Self>() + PLACE;
        fixed + 2 * self.core.name.len() + usage + self.operations.allocated_bytes()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.count_store(self.own_bytes(), 0);
        }
    }
}
