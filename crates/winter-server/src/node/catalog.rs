//! The node's tables by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use winter_core::command::TableOptions;
use winter_core::fault::Fault;
use winter_core::limits::TABLES_MAX;
use winter_core::store::{self, Slots, TableId};

use super::memory::Memory;
use super::table::{Table, Tally};

/// The tables that stand.
#[derive(Debug)]
pub struct Catalog {
    memory: Arc<Memory>,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_name: BTreeMap<Box<str>, Arc<Table>>,
    /// What tables that are gone had counted.
    gone: Tally,
    last_id: u64,
    slots: Slots,
}

impl Catalog {
    /// No tables; what they take counts in `memory`.
    #[must_use]
    pub fn new(memory: Arc<Memory>) -> Self {
        Self { memory, inner: RwLock::default() }
    }

    /// The table of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Table>> {
        self.inner.read().by_name.get(name).cloned()
    }

    /// The table of this slot. Asked for only when something went wrong in it: it looks at all.
    #[must_use]
    pub fn of_slot(&self, slot: u32) -> Option<Arc<Table>> {
        self.inner.read().by_name.values().find(|table| table.core.slot == slot).cloned()
    }

    /// Every table, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Table>> {
        self.inner.read().by_name.values().cloned().collect()
    }

    /// Every table, by name, and what those that are gone had counted.
    #[must_use]
    pub fn all_and_gone(&self) -> (Vec<Arc<Table>>, Tally) {
        let inner = self.inner.read();
        (inner.by_name.values().cloned().collect(), inner.gone)
    }

    /// How many tables stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().by_name.len()
    }

    /// Whether no table stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes a table: whether it is new.
    ///
    /// # Errors
    /// `limit` when the node has as many tables as it may, `memory` when it is full.
    pub fn create(&self, name: &str, options: TableOptions) -> Result<bool, Fault> {
        let mut inner = self.inner.write();
        if inner.by_name.contains_key(name) {
            return Ok(false);
        }
        if inner.by_name.len() >= TABLES_MAX {
            return Err(Fault::limit("the number of tables", inner.by_name.len(), TABLES_MAX));
        }
        if self.memory.is_full() {
            return Err(self.memory.fault());
        }
        inner.last_id += 1;
        let slot = inner.slots.take();
        let core = store::Table::new(TableId(inner.last_id), slot, name, options);
        let table = Table::new(core, Some(Arc::clone(&self.memory)));
        inner.by_name.insert(name.into(), Arc::new(table));
        Ok(true)
    }

    /// Takes a table's name away. Its slot stays taken until [`Catalog::release`].
    #[must_use]
    pub fn remove(&self, name: &str) -> Option<Arc<Table>> {
        let mut inner = self.inner.write();
        let table = inner.by_name.remove(name)?;
        table.mark_dropped();
        inner.gone += table.tally();
        Some(table)
    }

    /// Lets the slot of a removed table be used again: no partition has a slice of it.
    pub fn release(&self, table: &Table) {
        self.inner.write().slots.release(table.core.slot);
    }
}
