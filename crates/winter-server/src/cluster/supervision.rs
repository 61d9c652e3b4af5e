//! Supervision of tables in a partition's replica: what was asked of them here,
//! and what a panic in their code costs.

use std::any::Any;
use std::collections::BTreeMap;

use parking_lot::Mutex;
use winter_core::fault::Fault;
use winter_core::store::{Table, TableId};
use winter_core::supervise::{Intensity, RestartLog, Verdict};
use winter_core::time::Timestamp;

use crate::node::faults;
use crate::node::table::Tally;

/// The tables of a replica of which there is something to say.
#[derive(Debug, Default)]
pub(crate) struct Supervision(Mutex<BTreeMap<TableId, Supervised>>);

#[derive(Debug, Default)]
struct Supervised {
    tally: Tally,
    recent: RestartLog,
    is_fenced: bool,
    revivals: u64,
}

impl Supervision {
    /// What was asked of a table here since this node has the replica.
    pub(crate) fn tally(&self, table: TableId) -> Tally {
        self.0.lock().get(&table).map(|known| known.tally).unwrap_or_default()
    }

    /// What was asked of each table.
    pub(crate) fn tallies(&self) -> Vec<(TableId, Tally)> {
        self.0.lock().iter().map(|(&table, known)| (table, known.tally)).collect()
    }

    /// Counts what was asked of a table.
    pub(crate) fn count(&self, table: TableId, asked: Tally) {
        if asked != Tally::default() {
            self.0.lock().entry(table).or_default().tally += asked;
        }
    }

    /// Whether a table answers nothing here until it is revived or dropped.
    pub(crate) fn is_fenced(&self, table: TableId) -> bool {
        self.0.lock().get(&table).is_some_and(|known| known.is_fenced)
    }

    /// Counts and logs a panic in a table's code at `at`, and fences the table
    /// when there were too many: the fault to answer.
    pub(crate) fn caught(&self, table: &Table, at: Timestamp, panic: &(dyn Any + Send)) -> Fault {
        let mut tables = self.0.lock();
        let known = tables.entry(table.id).or_default();
        known.tally.restarts += 1;
        let verdict = known.recent.record(at, Intensity::default());
        known.is_fenced |= verdict == Verdict::Fence;
        drop(tables);
        faults::caught(&table.name, verdict, panic)
    }

    /// Takes a table back into service that was revived so often by now.
    pub(crate) fn revive(&self, table: TableId, revivals: u64) {
        let mut tables = self.0.lock();
        let known = tables.entry(table).or_default();
        if known.revivals < revivals {
            known.revivals = revivals;
            known.recent.clear();
            known.is_fenced = false;
        }
    }

    /// Forgets a table that is gone.
    pub(crate) fn forget(&self, table: TableId) {
        self.0.lock().remove(&table);
    }
}
