//! Ways to break a node on purpose, so that the simulator is seen to notice.
//! They are compiled in with `sim` only, which no server is built with.

use std::cell::Cell;

/// A way to break a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A leader answers reads without making sure that it still leads.
    ReadsWithoutBarrier,
    /// A leader says `ok` to a `PUTNEW` or `DELETE` before the entry is committed.
    AcknowledgesEarly,
    /// A leader says `nil` of an entry that has expired by its own clock, and commits
    /// no tick by which the next leader would know.
    ExpiresByOwnClock,
}

thread_local! {
    static BROKEN: Cell<Option<Sabotage>> = const { Cell::new(None) };
}

/// Breaks all nodes of this thread's simulation, or none.
pub fn set(sabotage: Option<Sabotage>) {
    BROKEN.set(sabotage);
}

/// Whether the nodes are broken in this way.
#[must_use]
pub fn is(sabotage: Sabotage) -> bool {
    BROKEN.get() == Some(sabotage)
}
