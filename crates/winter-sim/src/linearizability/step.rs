//! What the search sees of an operation.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::hash::Hash;
use std::time::Duration;

use crate::history::{Action, Call, History, Operation, Reply};

/// An operation that took effect, or may have.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub call: Call,
    /// None when any reply would do: then it has had its effect, or it is no step.
    pub reply: Option<Reply>,
    /// The place of its invocation.
    pub invoked: u64,
    /// The place of the event by which it has taken effect. None if it need not.
    pub by: Option<u64>,
    /// When it was invoked.
    pub began: Duration,
    /// The time by which it has taken effect.
    pub ended: Option<Duration>,
    /// Whether it changes nothing wherever its reply is possible, so that it can
    /// be explained at the first chance.
    pub observes: bool,
    /// An earlier step that need not take effect and is just like this one, so
    /// that this one is only tried after it.
    pub twin: Option<usize>,
}

/// What operations mean to one kind of object.
pub(super) trait Model {
    type State: Clone + Eq + Hash + Display;

    /// The object before its first operation.
    fn start(&self) -> Self::State;

    /// What may stand after `step` in `state`; nothing if its reply is impossible.
    fn after(&self, state: &Self::State, step: &Step, states: &mut Vec<Self::State>);

    /// The steps of an object's part of a history, in the order of invocations.
    fn steps(&self, part: &History) -> Vec<Step>;
}

impl Step {
    /// The step of an operation with a reply, and of one without.
    pub(super) fn of(op: &Operation) -> Self {
        let answer = op.answer();
        Self {
            call: op.call,
            reply: answer.map(|(reply, _)| reply.clone()),
            invoked: op.invoked.order,
            by: answer.map(|(_, event)| event.order),
            began: op.invoked.at,
            ended: answer.map(|(_, event)| event.at),
            observes: false,
            twin: None,
        }
    }
}

/// Finds the twins of steps that need not take effect and leave nothing that
/// tells them apart. What two such steps can explain, they can in the order of
/// their invocations.
pub(super) fn find_twins(steps: &mut [Step]) {
    let mut last: BTreeMap<(u8, Option<u64>), usize> = BTreeMap::new();
    for (place, step) in steps.iter_mut().enumerate() {
        let kind = match step.call.action {
            Action::Create => (0, None),
            Action::Drop => (1, None),
            Action::Key(_, crate::history::KeyOp::Delete(version)) => (2, version),
            Action::Key(..) => continue,
        };
        if step.by.is_none() {
            step.twin = last.insert(kind, place);
        }
    }
}
