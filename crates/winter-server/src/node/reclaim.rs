//! Bringing the memory of expired and dropped data back.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use winter_core::store::Slice;
use winter_core::time::Timestamp;

use super::shards::Shard;
use super::{Node, Table, faults};

/// How long slices of dropped tables are freed at a time.
const FREE_STEP: Duration = Duration::from_micros(100);
/// Between two steps, so that freeing has no thread to itself.
const FREE_PAUSE: Duration = Duration::from_micros(100);

/// Slices of dropped tables, which one thread drops where nobody waits for it.
#[derive(Debug, Default)]
pub(super) struct Dropped(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    slices: VecDeque<Box<Slice>>,
    has_thread: bool,
}

impl Node {
    /// Does one page's worth of what is due in `shard`. A panic in it is the
    /// fault of the table whose page it was.
    pub(crate) fn reclaim_step(&self, shard: &Shard) {
        let now = self.clock.now();
        let mut partition = shard.lock();
        let table = partition.next_due_slot().map(|slot| move || self.catalog.of_slot(slot));
        let done = catch_unwind(AssertUnwindSafe(|| {
            partition.maintain(now, 1);
            if cfg!(feature = "failpoints")
                && let Some(table) = table.as_ref().and_then(|table| table())
            {
                faults::point_of("reclaim", &table.core, || {
                    faults::spoil(&mut partition, &table.core);
                });
            }
        }));
        let fault_of = done.err().map(|panic| (panic, table.and_then(|table| table())));
        if let Some((_, Some(table))) = &fault_of {
            self.mend(table, &mut partition);
        }
        shard.settle(&partition, &self.memory);
        drop(partition);
        match fault_of {
            None => {}
            Some((panic, Some(table))) => drop(self.record_panic(&table, now, &*panic)),
            Some((panic, None)) => resume_unwind(panic),
        }
    }

    /// Takes the expired entries of `table` out of every partition, for a quota's sake.
    pub(super) fn make_room(&self, table: &Table, now: Timestamp) {
        let done = self.guard(table, || {
            for shard in self.shards.iter() {
                shard.with(&self.memory, |partition| partition.reclaim_expired(now, &table.core));
            }
        });
        // It was logged; the write that asked for room is measured once more.
        drop(done);
    }

    /// Drops slices on a thread of their own, and counts their memory as it
    /// comes back. However many tables are dropped, there is one such thread.
    #[expect(clippy::vec_box, reason = "slices come boxed, and are large")]
    pub(super) fn free(self: &Arc<Self>, slices: Vec<Box<Slice>>) {
        let mut queue = self.dropped.0.lock();
        queue.slices.extend(slices);
        if queue.has_thread || queue.slices.is_empty() {
            return;
        }
        let node = Arc::clone(self);
        let thread = std::thread::Builder::new().name("winter-free".into());
        match thread.spawn(move || {
            while node.free_step() {
                std::thread::sleep(FREE_PAUSE);
            }
        }) {
            Ok(_) => queue.has_thread = true,
            Err(error) => {
                drop(queue);
                tracing::warn!(%error, "no thread to free a dropped table on; it is freed at once");
                while self.free_one() {}
            }
        }
    }

    /// Drops slices for a step: whether there may be more. Those of many small
    /// tables are dropped by the hundred, a large one is a step of its own.
    fn free_step(&self) -> bool {
        let began = Instant::now();
        while began.elapsed() < FREE_STEP {
            if !self.free_one() {
                return false;
            }
        }
        true
    }

    /// Drops one slice: whether there was one.
    fn free_one(&self) -> bool {
        let mut queue = self.dropped.0.lock();
        let Some(slice) = queue.slices.pop_front() else {
            *queue = Queue::default();
            return false;
        };
        drop(queue);
        let bytes = slice.allocated_bytes();
        if catch_unwind(AssertUnwindSafe(|| drop(slice))).is_err() {
            tracing::error!("a slice of a dropped table could not be dropped whole");
        }
        self.memory.count_store(bytes, 0);
        true
    }
}
