//! Supervision of tables: what a panic in a table's code costs, and whom.
//!
//! A panic is caught at the command or the step of background work in which it
//! came. The table's slices are checked, and made anew where their invariants do
//! not hold; the panic is counted and logged under the table's name; and a table
//! that keeps panicking is fenced. Nothing else is touched.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use winter_core::fault::{Fault, Kind};
use winter_core::store::partition::Mended;
use winter_core::store::{self, Partition};
use winter_core::supervise::Verdict;
use winter_core::time::Timestamp;

use super::{Node, Table};

impl Node {
    /// Runs work on a whole table, and answers for a panic in it: the fault.
    ///
    /// # Errors
    /// `internal` when the work panicked.
    pub(super) fn guard<T>(&self, table: &Table, work: impl FnOnce() -> T) -> Result<T, Fault> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            for shard in self.shards.iter() {
                shard.with(&self.memory, |partition| self.mend(table, partition));
            }
            self.record_panic(table, self.clock.now(), &*panic)
        })
    }

    /// Checks the table's slice of a partition after a panic, and mends it.
    pub(super) fn mend(&self, table: &Table, partition: &mut Partition) {
        let name = &*table.core.name;
        let mended = catch_unwind(AssertUnwindSafe(|| partition.mend(&table.core)));
        match mended {
            Ok(Mended::Sound) => {}
            Ok(Mended::Rebuilt { lost }) => {
                tracing::error!(table = name, lost, "a slice of the table was made anew");
            }
            Err(_) => {
                let entries = partition.abandon(&table.core);
                tracing::error!(table = name, lost = entries, "a slice of the table was let go");
            }
        }
    }

    /// Counts and logs a panic in the table's code, and fences the table when
    /// there were too many: the fault to answer.
    pub(super) fn record_panic(
        &self,
        table: &Table,
        now: Timestamp,
        panic: &(dyn Any + Send),
    ) -> Fault {
        caught(&table.core.name, table.record_restart(now, self.intensity), panic)
    }
}

/// Logs a panic that was caught in a table's code: the fault to answer.
pub(crate) fn caught(table: &str, verdict: Verdict, panic: &(dyn Any + Send)) -> Fault {
    let reason = message(panic);
    tracing::error!(table, reason, ?verdict, "a table's code panicked");
    if verdict == Verdict::Fence {
        tracing::error!(table, "the table keeps failing and is fenced");
    }
    Fault::caught(table)
}

/// The fault of a fenced table.
pub(crate) fn fenced() -> Fault {
    Fault::new(Kind::Internal, "the table keeps failing and is out of service; REVIVE or DROP it")
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A place where tests inject faults into work that is no table's.
#[inline]
pub(crate) fn point(_place: &str) {
    fail::fail_point!(_place);
}

/// A place where tests inject faults into one table: `<place>:<table>`. The
/// action `return` spoils the table before it panics.
#[cfg(feature = "failpoints")]
#[expect(clippy::panic, reason = "tests ask for it")]
pub(crate) fn point_of(place: &str, table: &store::Table, spoil: impl FnOnce()) {
    let name = format!("{place}:{}", table.name);
    if fail::eval(&name, |_| ()).is_some() {
        spoil();
        panic!("failpoint {name}");
    }
}

#[cfg(feature = "failpoints")]
pub(crate) fn spoil(partition: &mut Partition, table: &store::Table) {
    partition.spoil(table);
}

#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn point_of(_place: &str, _table: &store::Table, _spoil: impl FnOnce()) {}

#[cfg(not(feature = "failpoints"))]
pub(crate) const fn spoil(_partition: &mut Partition, _table: &store::Table) {}
