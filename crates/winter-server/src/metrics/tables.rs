//! Which tables a scrape shows by name.
//!
//! A label for every table would let clients grow the metrics without end. So
//! only the largest tables are shown by name, and the rest as a sum. What must
//! not be missed wherever it happens, such as a table's restart, is also counted
//! over all tables.

use std::cmp::Reverse;
use std::sync::Arc;

use winter_core::store::partition::Holdings;

use crate::node::table::Tally;
use crate::node::{Survey, Table};

/// Tables that are shown by name at the most.
pub const TABLES_SHOWN_MAX: usize = 100;

/// One table.
pub(super) struct Figures {
    table: Arc<Table>,
    pub(super) held: Holdings,
    pub(super) tally: Tally,
}

impl Figures {
    pub(super) fn name(&self) -> &str {
        &self.table.core.name
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.table.is_fenced()
    }

    pub(super) fn options(&self) -> &winter_core::command::TableOptions {
        &self.table.core.options
    }
}

/// Several tables together.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) tables: u64,
    pub(super) fenced: u64,
    pub(super) held: Holdings,
    pub(super) tally: Tally,
}

impl Sum {
    fn of(tables: &[Figures]) -> Self {
        let mut sum = Self::default();
        for table in tables {
            sum.tables += 1;
            sum.fenced += u64::from(table.is_fenced());
            sum.held += table.held;
            sum.tally += table.tally;
        }
        sum
    }
}

/// All tables.
pub(super) struct Tables {
    /// The largest by bytes, in that order, and by name where they are the same.
    pub(super) shown: Vec<Figures>,
    /// The others.
    pub(super) left_out: Sum,
    /// All of them; the tally is also of those that are gone, so that it never shrinks.
    pub(super) all: Sum,
}

impl Tables {
    pub(super) fn of(survey: Survey) -> Self {
        let figures = survey.tables.into_iter().map(|(table, held)| {
            let tally = table.tally();
            Figures { table, held, tally }
        });
        let mut shown: Vec<Figures> = figures.collect();
        let mut all = Sum::of(&shown);
        all.tally += survey.gone;
        // They come by name, and a stable sort leaves them so.
        shown.sort_by_key(|table| Reverse(table.held.bytes));
        let others = shown.split_off(shown.len().min(TABLES_SHOWN_MAX));
        Self { shown, left_out: Sum::of(&others), all }
    }
}

#[cfg(test)]
mod tests {
    use winter_core::command::TableOptions;
    use winter_core::store::slice::Reclaimed;
    use winter_core::store::{self, TableId};

    use super::*;

    /// As many tables as there are figures, each with so many bytes.
    fn survey(bytes: &[u64]) -> Survey {
        let table = |(n, &bytes): (u32, &u64)| {
            let name = format!("t{n:04}");
            let core = store::Table::new(TableId(n.into()), n, &name, TableOptions::default());
            let table = Arc::new(Table::new(core, None));
            table.count_operations(0, 1);
            (table, Holdings { entries: 1, bytes, allocated_bytes: 2 * bytes })
        };
        let tables = (0..).zip(bytes).map(table).collect();
        let gone = Tally { operations: 5, rejections: 6, restarts: 7 };
        Survey { tables, gone, reclaimed: Reclaimed::default() }
    }

    #[test]
    fn the_largest_are_shown_and_the_others_summed() {
        let bytes: Vec<u64> = (0..TABLES_SHOWN_MAX as u64 + 3).collect();
        let tables = Tables::of(survey(&bytes));
        assert_eq!(tables.shown.len(), TABLES_SHOWN_MAX);
        assert_eq!(tables.shown[0].name(), format!("t{:04}", TABLES_SHOWN_MAX + 2));
        assert_eq!(tables.shown.last().map(Figures::name), Some("t0003"));
        let left_out = &tables.left_out;
        assert_eq!(
            (left_out.tables, left_out.held.bytes, left_out.held.allocated_bytes),
            (3, 3, 6)
        );
        assert_eq!((left_out.held.entries, left_out.tally.operations), (3, 3));
        assert_eq!(tables.all.tables, TABLES_SHOWN_MAX as u64 + 3);
        assert_eq!(tables.all.held.bytes, bytes.iter().sum::<u64>());
        assert_eq!(tables.all.tally.operations, TABLES_SHOWN_MAX as u64 + 3 + 5);
        assert_eq!((tables.all.tally.rejections, tables.all.tally.restarts), (6, 7));
    }

    #[test]
    fn of_the_same_size_the_first_names_are_shown() {
        let tables = Tables::of(survey(&[7; TABLES_SHOWN_MAX + 1]));
        assert!(tables.shown.iter().map(Figures::name).is_sorted());
        assert_eq!(tables.shown[0].name(), "t0000");
        assert_eq!(tables.left_out.tables, 1);
    }

    #[test]
    fn as_many_as_may_be_shown_are_and_none_is_left_out() {
        for count in [0, 1, TABLES_SHOWN_MAX] {
            let tables = Tables::of(survey(&vec![1; count]));
            assert_eq!((tables.shown.len(), tables.left_out.tables), (count, 0));
        }
    }
}
