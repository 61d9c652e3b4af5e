//! What clients asked, and what they were told.
//!
//! Two orders matter and are kept apart. Events stand in the order in which
//! they were recorded: an invocation is recorded before its bytes leave, a
//! completion after the reply has come, so what stands earlier did happen
//! earlier. Times, measured from the history's beginning on one clock, only
//! bound when entries expire.

mod operation;
mod recorder;
mod text;

pub use operation::{Action, Call, Key, KeyOp, Reply, Table, Value, Write};
pub use recorder::Recorder;
pub use text::ParseError;

use std::time::Duration;

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place among the history's events. No two share one.
    pub order: u64,
    /// The time since the history began.
    pub at: Duration,
}

/// How an operation ended, as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply came.
    Known(Reply),
    /// Nothing was done, and nothing will be: the server said so, or the request
    /// never left.
    Failed,
    /// It may have been done, or be done at any later time, or never.
    Unknown,
}

impl Outcome {
    /// What kind of outcome it is, in a word or two.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Known(reply) => reply.kind(),
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that a client asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its number in the history it was recorded in. Evidence keeps it.
    pub id: u64,
    /// The client.
    pub process: u32,
    /// The node that was asked.
    pub node: u32,
    /// What was asked.
    pub call: Call,
    /// When it was asked.
    pub invoked: Event,
    /// When its outcome became known to be what it is; none while it runs.
    pub completed: Option<Event>,
    /// How it ended; unknown while it runs.
    pub outcome: Outcome,
}

impl Operation {
    /// The reply and when it came, if one came.
    #[must_use]
    pub fn answer(&self) -> Option<(&Reply, Event)> {
        match (&self.outcome, self.completed) {
            (Outcome::Known(reply), Some(event)) => Some((reply, event)),
            _ => None,
        }
    }
}

/// Operations in the order of their invocations.
///
/// Operations of one process may overlap (a pipeline); the checker then takes
/// them for concurrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    operations: Vec<Operation>,
}

impl History {
    /// The operations, in the order of their invocations.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// A history of only those operations that `wanted` says.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Operation) -> bool) -> Self {
        Self { operations: self.operations.iter().filter(|op| wanted(op)).cloned().collect() }
    }

    /// What was known just after the event in place `order`: later invocations
    /// are gone, and what completed later is still running.
    #[must_use]
    pub fn until(&self, order: u64) -> Self {
        let mut prefix = self.only(|op| op.invoked.order <= order);
        for op in &mut prefix.operations {
            if op.completed.is_some_and(|event| event.order > order) {
                op.completed = None;
                op.outcome = Outcome::Unknown;
            }
        }
        prefix
    }
}

impl From<Vec<Operation>> for History {
    fn from(mut operations: Vec<Operation>) -> Self {
        operations.sort_by_key(|op| op.invoked.order);
        Self { operations }
    }
}
