//! A table's comings and goings, as all replies tell of them.

use std::fmt;

use super::step::{self, Step, find_twins};
use crate::history::{Action, History, Outcome, Reply};

/// A table stands or is missing.
pub(super) struct Model;

/// Whether the table stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State(bool);

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "the table" } else { "no table" })
    }
}

/// Whether the table stands after `action`, if `reply` is possible.
pub(super) fn after(stands: bool, action: Action, reply: Option<&Reply>) -> Option<bool> {
    match (action, reply, stands) {
        (Action::Create, None | Some(Reply::Created), false) => Some(true),
        (Action::Drop, None | Some(Reply::Dropped), true) => Some(false),
        (Action::Create, Some(Reply::AlreadyCreated), true) => Some(true),
        (Action::Drop, Some(Reply::MissingTable), false) => Some(false),
        (Action::Create | Action::Drop, ..) => None,
        (Action::Key(..), Some(Reply::MissingTable), _) => (!stands).then_some(false),
        (Action::Key(..), ..) => stands.then_some(true),
    }
}

/// Whether a call with this reply has changed nothing of the table.
pub(super) const fn observes(reply: Option<&Reply>) -> bool {
    matches!(reply, Some(Reply::MissingTable | Reply::AlreadyCreated))
}

impl step::Model for Model {
    type State = State;

    fn start(&self) -> State {
        State(false)
    }

    fn after(&self, state: &State, step: &Step, states: &mut Vec<State>) {
        states.extend(after(state.0, step.call.action, step.reply.as_ref()).map(State));
    }

    fn steps(&self, part: &History) -> Vec<Step> {
        let mut steps: Vec<Step> = part
            .operations()
            .iter()
            .filter(|op| match op.outcome {
                // A reply that nobody understands is its key's affair.
                Outcome::Known(Reply::Other(_)) => op.call.key().is_none(),
                Outcome::Known(_) => true,
                Outcome::Unknown => op.call.key().is_none(),
                Outcome::Failed => false,
            })
            .map(Step::of)
            .collect();
        for step in &mut steps {
            step.observes = step.call.key().is_some() || observes(step.reply.as_ref());
        }
        find_twins(&mut steps);
        steps
    }
}
