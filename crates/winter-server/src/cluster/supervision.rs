//! Supervision of tables in a partition's replica: what was asked of them here,
//! and what a panic in their code costs.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use winter_core::fault::Fault;
use winter_core::store::{Table, TableId};
use winter_core::supervise::{Intensity, RestartLog, Verdict};
use winter_core::time::Timestamp;

use crate::node::faults;
use crate::node::table::Tally;

/// The tables of a replica of which there is something to say.
#[derive(Debug)]
pub(crate) struct Supervision {
    tables: Mutex<BTreeMap<TableId, Supervised>>,
    past: Arc<Mutex<Past>>,
}

/// What was asked of tables on this node and no replica counts any more.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// By replicas that the node has no more, of each table.
    by_former_replicas: BTreeMap<TableId, Tally>,
    /// Of tables that were dropped.
    of_dropped: Tally,
}

impl Past {
    /// What was asked of each table that stands, and of all others together.
    pub(crate) fn tallies(
        &mut self,
        stands: impl Fn(TableId) -> bool,
    ) -> (Vec<(TableId, Tally)>, Tally) {
        let dropped = self.by_former_replicas.extract_if(.., |&table, _| !stands(table));
        dropped.for_each(|(_, tally)| self.of_dropped += tally);
        let standing = self.by_former_replicas.iter().map(|(&table, &tally)| (table, tally));
        (standing.collect(), self.of_dropped)
    }
}

#[derive(Debug, Default)]
struct Supervised {
    tally: Tally,
    recent: RestartLog,
    is_fenced: bool,
    revivals: u64,
}

impl Supervision {
    /// Nothing to say yet. What is counted is kept in `past` when it goes.
    pub(crate) fn new(past: Arc<Mutex<Past>>) -> Self {
        Self { tables: Mutex::default(), past }
    }

    /// What was asked of a table here since this node has the replica.
    pub(crate) fn tally(&self, table: TableId) -> Tally {
        self.tables.lock().get(&table).map(|known| known.tally).unwrap_or_default()
    }

    /// What was asked of each table.
    pub(crate) fn tallies(&self) -> Vec<(TableId, Tally)> {
        self.tables.lock().iter().map(|(&table, known)| (table, known.tally)).collect()
    }

    /// Counts what was asked of a table.
    pub(crate) fn count(&self, table: TableId, asked: Tally) {
        if asked != Tally::default() {
            self.tables.lock().entry(table).or_default().tally += asked;
        }
    }

    /// Whether a table answers nothing here until it is revived or dropped.
    pub(crate) fn is_fenced(&self, table: TableId) -> bool {
        self.tables.lock().get(&table).is_some_and(|known| known.is_fenced)
    }

    /// Counts and logs a panic in a table's code at `at`, and fences the table
    /// when there were too many: the fault to answer.
    pub(crate) fn caught(&self, table: &Table, at: Timestamp, panic: &(dyn Any + Send)) -> Fault {
        let mut tables = self.tables.lock();
        let known = tables.entry(table.id).or_default();
        known.tally.restarts += 1;
        let verdict = known.recent.record(at, Intensity::default());
        known.is_fenced |= verdict == Verdict::Fence;
        drop(tables);
        faults::caught(&table.name, verdict, panic)
    }

    /// Takes a table back into service that was revived so often by now.
    pub(crate) fn revive(&self, table: TableId, revivals: u64) {
        let mut tables = self.tables.lock();
        let known = tables.entry(table).or_default();
        if known.revivals < revivals {
            known.revivals = revivals;
            known.recent.clear();
            known.is_fenced = false;
        }
    }

    /// Forgets a table that is gone.
    pub(crate) fn forget(&self, table: TableId) {
        if let Some(known) = self.tables.lock().remove(&table) {
            self.past.lock().of_dropped += known.tally;
        }
    }

    /// Leaves what was counted to the node.
    pub(crate) fn retire(&self) {
        let mut tables = self.tables.lock();
        let mut past = self.past.lock();
        for (&table, known) in &mut *tables {
            let tally = std::mem::take(&mut known.tally);
            *past.by_former_replicas.entry(table).or_default() += tally;
        }
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        self.retire();
    }
}
