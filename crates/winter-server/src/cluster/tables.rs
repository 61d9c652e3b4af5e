//! A node's tables, as its partitions share them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use winter_core::cluster::entry::NewTable;
use winter_core::store::{Slice, Table, TableId};

/// Slices larger than this are freed on a thread of their own.
const FREED_HERE_BYTES: usize = 1 << 20;

/// One [`Table`] for all partitions of the node that have it: what the table
/// holds is counted over all of them.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tables: BTreeMap<TableId, Weak<Table>>,
    /// How many there were when those that are gone were last removed.
    swept: usize,
}

impl Tables {
    /// The table, made if no partition has it yet.
    pub(crate) fn take_in(&self, new: &NewTable<'_>) -> Arc<Table> {
        let Known { tables, swept } = &mut *self.0.lock();
        if let Some(table) = tables.get(&new.table.id).and_then(Weak::upgrade) {
            return table;
        }
        if tables.len() > 2 * *swept {
            tables.retain(|_, table| table.strong_count() > 0);
            *swept = tables.len();
        }
        let table = Arc::new(new.make());
        tables.insert(table.id, Arc::downgrade(&table));
        table
    }
}

/// Frees a dropped table's slice, where nobody waits for it.
pub(crate) fn free(slice: Box<Slice>) {
    if slice.allocated_bytes() < FREED_HERE_BYTES {
        return;
    }
    let freed = std::thread::Builder::new().name("winter-free".to_owned()).spawn(|| drop(slice));
    if let Err(error) = freed {
        // The closure, and the slice with it, is dropped here then.
        tracing::warn!(%error, "a dropped table was freed on a thread that had other things to do");
    }
}
