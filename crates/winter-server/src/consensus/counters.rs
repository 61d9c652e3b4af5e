//! What a node's groups count, all together.
//!
//! Each event costs an addition or two. There is no count for each group: a
//! cluster has up to 256 of them, and what is wrong with one is in `CLUSTER`.

use std::time::Duration;

use crate::stats::{Counter, SharedLatency};

/// Upper bounds of the sizes of entries, in operations.
pub const OPERATIONS_BOUNDS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Counts of all groups of one node. All only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Terms that began.
    pub elections: Counter,
    /// Leaders that another node took over from.
    pub leader_changes: Counter,
    /// From an entry's proposal to its replies, at the leader.
    pub commits: SharedLatency,
    /// What it took to apply an entry to the state.
    pub applies: SharedLatency,
    operations: [Counter; OPERATIONS_BOUNDS.len() + 1],
    operations_sum: Counter,
    /// Snapshots that were sent whole and put in place.
    pub snapshots_sent: Counter,
    /// Snapshots that were begun to be sent, and not put in place.
    pub snapshots_failed: Counter,
    /// Snapshots that came whole and were put in place.
    pub snapshots_received: Counter,
    /// Bytes of snapshots that were sent, each time that they were.
    pub snapshot_bytes_sent: Counter,
    /// Bytes of snapshots that came.
    pub snapshot_bytes_received: Counter,
}

/// How many operations entries had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// How many entries fell below each of [`OPERATIONS_BOUNDS`]; the last has no bound.
    pub buckets: [u64; OPERATIONS_BOUNDS.len() + 1],
    /// Operations of all entries.
    pub sum: u64,
}

impl Counters {
    /// Counts an entry that is proposed.
    pub(super) fn propose(&self, operations: usize) {
        let operations = operations as u64;
        let bucket = OPERATIONS_BOUNDS.partition_point(|&bound| bound < operations);
        self.operations[bucket].bump();
        self.operations_sum.bump_by(operations);
    }

    /// Counts an entry whose replies are there.
    pub(super) fn commit(&self, took: Duration) {
        self.commits.count(took);
    }

    /// How many operations entries had.
    #[must_use]
    pub fn operations(&self) -> Operations {
        Operations {
            buckets: std::array::from_fn(|bucket| self.operations[bucket].read()),
            sum: self.operations_sum.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_counted_by_its_operations() {
        let counters = Counters::default();
        for operations in [1, 1, 2, 3, 256, 257] {
            counters.propose(operations);
        }
        let counted = counters.operations();
        assert_eq!(counted.buckets, [2, 1, 1, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(counted.sum, 520);
    }
}
