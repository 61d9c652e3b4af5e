//! Tables by name.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use crate::cluster::entry::TableRef;

/// Which tables have which name. Two may share one for a while: a later one
/// may come before the earlier one's drop, and is the one that is meant.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<Box<str>, SmallVec<[TableRef; 1]>>);

impl Names {
    /// The latest table of that name.
    pub(super) fn latest(&self, name: &str) -> Option<TableRef> {
        self.0.get(name)?.last().copied()
    }

    pub(super) fn add(&mut self, name: &str, table: TableRef) {
        match self.0.get_mut(name) {
            Some(tables) => {
                tables.push(table);
                tables.sort_unstable();
            }
            None => {
                self.0.insert(name.into(), smallvec![table]);
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str, table: TableRef) {
        let tables = self.0.get_mut(name).expect("a table that stands has its name here");
        tables.retain(|known| *known != table);
        if tables.is_empty() {
            self.0.remove(name);
        }
    }
}
