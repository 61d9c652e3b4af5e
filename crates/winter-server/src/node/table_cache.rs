//! A thread's way to tables.

use std::collections::HashMap;
use std::sync::Arc;

use arrayvec::ArrayVec;
use winter_core::command::KeyCommand;

use super::run_keys::GROUP_MAX;
use super::{Node, Table};

/// One thread's way to tables by name, without the catalog's lock.
#[derive(Debug, Default)]
pub struct TableCache {
    numbers: HashMap<Box<str>, usize>,
    tables: Vec<Arc<Table>>,
    last: usize,
}

impl TableCache {
    /// The table of each command, if it was created.
    pub(super) fn tables_of(
        &mut self,
        node: &Node,
        commands: &[KeyCommand<'_>],
    ) -> ArrayVec<Option<&Table>, GROUP_MAX> {
        self.trim(node);
        let mut numbers = ArrayVec::<Option<usize>, GROUP_MAX>::new();
        let mut before: Option<&str> = None;
        for command in commands {
            // A pipeline's names are mostly not only alike, but were read once.
            let same = before.is_some_and(|name| std::ptr::eq(name, command.table));
            let number = match numbers.last() {
                Some(&number) if same => number,
                _ => self.number(node, command.table),
            };
            numbers.push(number);
            before = Some(command.table);
        }
        numbers.into_iter().map(|number| Some(&*self.tables[number?])).collect()
    }

    /// The number of the table called `name`; good until the next [`TableCache::trim`].
    fn number(&mut self, node: &Node, name: &str) -> Option<usize> {
        if let Some(table) = self.tables.get(self.last)
            && &*table.core.name == name
            && !table.is_dropped()
        {
            return Some(self.last);
        }
        let known = self.numbers.get(name).copied();
        if let Some(number) = known.filter(|&number| !self.tables[number].is_dropped()) {
            self.last = number;
            return Some(number);
        }
        let table = node.catalog.find(name)?;
        let number = known.unwrap_or(self.tables.len());
        if number == self.tables.len() {
            self.numbers.insert(name.into(), number);
            self.tables.push(table);
        } else {
            self.tables[number] = table;
        }
        self.last = number;
        Some(number)
    }

    /// Forgets everything when most of it has been dropped.
    fn trim(&mut self, node: &Node) {
        if self.tables.len() > 64 && self.tables.len() > 2 * node.catalog.len() {
            *self = Self::default();
        }
    }
}
