//! A table as partitions know it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::table_hash;
use crate::command::TableOptions;

/// A table's identity: never used twice, so that a late command cannot touch a
/// namesake that came after a drop. Later tables have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u64);

/// A table as partitions know it.
#[derive(Debug)]
pub struct Table {
    /// Its identity.
    pub id: TableId,
    /// Where partitions keep its slice: dense, and used again after a drop.
    pub slot: u32,
    /// Its name.
    pub name: Box<str>,
    /// The hash of its name, which places its keys.
    pub hash: u64,
    /// What it allows.
    pub options: TableOptions,
    /// What it holds over all partitions; kept only when it has a quota.
    pub usage: Option<Arc<Usage>>,
}

impl Table {
    /// A new, empty table.
    #[must_use]
    pub fn new(id: TableId, slot: u32, name: &str, options: TableOptions) -> Self {
        let usage = options.has_quota().then(Arc::default);
        Self { id, slot, name: name.into(), hash: table_hash(name), options, usage }
    }
}

/// What a table holds over all partitions, expired entries that were not yet
/// reclaimed among it.
#[derive(Debug, Default)]
pub struct Usage {
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Usage {
    /// Entries.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes of entries and their slots.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn grow(&self, entries: u64, bytes: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn shrink(&self, entries: u64, bytes: u64) {
        less(&self.entries, entries);
        less(&self.bytes, bytes);
    }
}

/// Takes `n` away, to 0 at the least: a slice that was rebuilt after a fault may
/// have counted wrongly.
fn less(counter: &AtomicU64, n: u64) {
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| Some(value.saturating_sub(n)))
        .expect("the update never declines");
}
