//! Whether a history can be explained by operations that each take effect at
//! one moment between their invocation and their reply.
//!
//! The search is Wing and Gong's with Lowe's cache (*Testing for
//! linearizability*, 2017). A whole history is too much for it, so it is split,
//! and each part is searched alone:
//!
//! - **Each key**: what was asked of it, and every `CREATE` and `DROP` of its
//!   table, which are operations of each of the table's keys.
//! - **Each table**: its `CREATE`s and `DROP`s, and all that its keys' replies
//!   say of it: that it stands, or that it is missing.
//!
//! Each part is what is left of the whole when operations that it cannot tell
//! from none are taken away, and what explains the whole explains the part. So a
//! violation that is found is one. The reverse does not hold: while `CREATE`s and
//! `DROP`s of one table overlap, two of its keys may need different orders of
//! them, and the table's part sees that only if replies tell of the table.
//! Tables whose lives do not overlap with much leave nothing to miss.
//!
//! An operation whose outcome is unknown may take effect at any time after its
//! invocation, or never. What an entry's time to live allows is bounded by what
//! clients measured; inside the bounds, an entry may be there or gone, until one
//! operation has found it gone. Versions of a key grow and never repeat, its
//! table's end included; a version that was never answered is only known to be
//! greater than those before it.

mod evidence;
mod key;
#[cfg(test)]
mod naive;
mod search;
mod step;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::history::{History, Key, Operation, Table};
use search::{Found, search};
use step::Model;

/// How strictly to look, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// By how much a deadline may differ from what a client measures: the
    /// difference of the nodes' clocks, and the grain of their time.
    pub epsilon: Duration,
    /// The most configurations that one search visits and remembers. A search of
    /// a good history visits about as many as it has operations.
    pub steps_max: usize,
    /// At which moments a table comes and goes.
    pub table_moments: TableMoments,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            epsilon: Duration::from_millis(10),
            steps_max: 500_000,
            table_moments: TableMoments::One,
        }
    }
}

/// At which moments a `CREATE` or `DROP` takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableMoments {
    /// At one moment for all keys, as linearizability has it.
    One,
    /// At a moment for each key, all of them between invocation and reply: while
    /// a `CREATE` runs, one key may find the table and a later call for another
    /// key miss it.
    OnePerKey,
}

/// What a search looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A table's comings and goings.
    Table(Table),
    /// One key of a table.
    Key(Table, Key),
}

/// What is to be said of a history.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Every part has an explanation.
    Linearizable,
    /// A part has none.
    Violation(Box<Violation>),
    /// These parts were too much for the budget; the others have explanations.
    /// This is no pass.
    Undecided(Vec<Object>),
}

/// A part of a history that has no explanation.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What it is about.
    pub object: Object,
    /// The shortest beginning of the part that has no explanation, without most
    /// of the reads that it has none without, too. What had no reply by then is
    /// shown as still running.
    pub evidence: History,
    /// The operation whose reply cannot be explained: the last one to complete.
    pub culprit: u64,
    /// What could have stood when all but the culprit was explained.
    pub possible: Vec<String>,
}

impl Verdict {
    /// Whether the history is known to be good.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Linearizable)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => write!(f, "table {table}"),
            Self::Key(table, key) => write!(f, "key {key} of table {table}"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, evidence, culprit, possible } = self;
        writeln!(f, "; {object} is not linearizable: nothing explains #{culprit}")?;
        for state in possible {
            writeln!(f, "; before it there could be: {state}")?;
        }
        write!(f, "{evidence}")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linearizable => f.write_str("; linearizable\n"),
            Self::Violation(violation) => violation.fmt(f),
            Self::Undecided(objects) => objects
                .iter()
                .try_for_each(|object| writeln!(f, "; {object}: undecided within the budget")),
        }
    }
}

/// Judges a history that begins with no tables.
#[must_use]
pub fn check(history: &History, options: &Options) -> Verdict {
    let mut undecided = Vec::new();
    for (table, operations) in by_table(history) {
        let (of_table, of_keys): (Vec<&Operation>, Vec<&Operation>) =
            operations.iter().partition(|op| op.call.key().is_none());
        let seen_by_all = match options.table_moments {
            TableMoments::One => collect(operations.iter().copied()),
            TableMoments::OnePerKey => collect(of_table.iter().copied()),
        };
        let verdict = judge(&table::Model, Object::Table(table), seen_by_all, options);
        match verdict {
            Verdict::Linearizable => {}
            Verdict::Undecided(objects) => undecided.extend(objects),
            Verdict::Violation(_) => return verdict,
        }
        let keys: BTreeSet<Key> = of_keys.iter().filter_map(|op| op.call.key()).collect();
        let mut by_key: BTreeMap<Key, Vec<&Operation>> =
            keys.into_iter().map(|key| (key, of_table.clone())).collect();
        for op in of_keys {
            by_key.entry(op.call.key().expect("it is of a key")).or_default().push(op);
        }
        for (key, operations) in by_key {
            let model = key::Model { epsilon: options.epsilon };
            let verdict = judge(&model, Object::Key(table, key), collect(operations), options);
            match verdict {
                Verdict::Linearizable => {}
                Verdict::Undecided(objects) => undecided.extend(objects),
                Verdict::Violation(_) => return verdict,
            }
        }
    }
    if undecided.is_empty() { Verdict::Linearizable } else { Verdict::Undecided(undecided) }
}

fn by_table(history: &History) -> BTreeMap<Table, Vec<&Operation>> {
    let mut tables: BTreeMap<Table, Vec<&Operation>> = BTreeMap::new();
    for op in history.operations() {
        tables.entry(op.call.table).or_default().push(op);
    }
    tables
}

fn collect<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> History {
    operations.into_iter().cloned().collect::<Vec<_>>().into()
}

fn judge<M: Model>(model: &M, object: Object, part: History, options: &Options) -> Verdict {
    match search(model, &model.steps(&part), options.steps_max).found {
        Found::Explained => Verdict::Linearizable,
        Found::GaveUp => Verdict::Undecided(vec![object]),
        Found::Stuck { furthest } => {
            let violation = evidence::explain(model, object, part, furthest, options.steps_max);
            Verdict::Violation(Box::new(violation))
        }
    }
}
