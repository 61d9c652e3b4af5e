//! How a history comes about.

use std::time::Duration;

use super::{Call, Event, History, Operation, Outcome};

/// Takes events down as they happen.
///
/// Many clients share one recorder under a lock. Call [`Recorder::invoke`]
/// before the first byte leaves and [`Recorder::complete`] after the reply was
/// read: then the order of the calls is an order that clients could see.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    operations: Vec<Operation>,
    events: u64,
}

impl Recorder {
    /// Records that `process` asks `node` for something, and returns the
    /// operation's number.
    pub fn invoke(&mut self, process: u32, node: u32, at: Duration, call: Call) -> u64 {
        let id = u64::try_from(self.operations.len()).expect("lengths fit 64 bits");
        let invoked = self.event(at);
        let outcome = Outcome::Unknown;
        self.operations.push(Operation {
            id,
            process,
            node,
            call,
            invoked,
            completed: None,
            outcome,
        });
        id
    }

    /// Records how operation `id` ended. An operation that never ends here stays
    /// unknown.
    ///
    /// # Panics
    /// If there is no such operation, or it has ended before.
    pub fn complete(&mut self, id: u64, at: Duration, outcome: Outcome) {
        let completed = self.event(at);
        let place = usize::try_from(id).expect("an operation's number is a place");
        let operation = self.operations.get_mut(place).expect("only what was invoked completes");
        assert!(operation.completed.is_none(), "operation {id} ended twice");
        operation.completed = Some(completed);
        operation.outcome = outcome;
    }

    /// What was recorded so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.operations.clone().into()
    }

    const fn event(&mut self, at: Duration) -> Event {
        let order = self.events;
        self.events += 1;
        Event { order, at }
    }
}
