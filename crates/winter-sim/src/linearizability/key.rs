//! One key's life, under the commands on it and on its table.

use std::fmt;
use std::time::Duration;

use super::step::{self, Step, find_twins};
use super::table;
use crate::history::{Action, History, KeyOp, Reply, Value, Write};

mod unknown;

/// What commands mean to a key.
pub(super) struct Model {
    /// By how much a deadline may differ from what clients measure.
    pub epsilon: Duration,
}

/// A key, and whether its table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    table: bool,
    entry: Option<Entry>,
    /// The greatest version that was answered. Every later write's is greater.
    floor: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    value: Value,
    /// None until it is answered: then it is greater than the floor.
    version: Option<u64>,
    life: Option<Life>,
}

/// A time to live, and when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Life {
    ttl: Duration,
    earliest: Duration,
    /// None while it is not bounded.
    latest: Option<Duration>,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let floor = self.floor;
        match self.entry {
            _ if !self.table => write!(f, "no table"),
            None => write!(f, "nil, and versions above {floor}"),
            Some(Entry { value, version, life }) => {
                match version {
                    Some(version) => write!(f, "{value} at version {version}"),
                    None => write!(f, "{value} at a version above {floor}"),
                }?;
                let Some(Life { ttl, earliest, latest }) = life else { return Ok(()) };
                write!(f, ", which began {earliest:?} to ")?;
                match latest {
                    Some(latest) => write!(f, "{latest:?}"),
                    None => write!(f, "any time"),
                }?;
                write!(f, " to live for {ttl:?}")
            }
        }
    }
}

impl Life {
    fn begun_by(ttl: Duration, step: &Step) -> Self {
        Self { ttl, earliest: step.began, latest: step.ended }
    }

    /// Whether `step` can find the entry alive.
    fn may_last(&self, step: &Step, epsilon: Duration) -> bool {
        self.latest.is_none_or(|latest| step.began <= latest + self.ttl + epsilon)
    }

    /// Whether `step` can find the entry gone.
    fn may_be_over(&self, step: &Step, epsilon: Duration) -> bool {
        step.ended.is_none_or(|ended| ended + epsilon >= self.earliest + self.ttl)
    }
}

impl step::Model for Model {
    type State = State;

    fn start(&self) -> State {
        State { table: false, entry: None, floor: 0 }
    }

    fn after(&self, state: &State, step: &Step, states: &mut Vec<State>) {
        let reply = step.reply.as_ref();
        let Some(table) = table::after(state.table, step.call.action, reply) else { return };
        match step.call.action {
            Action::Create => states.push(State { table, ..*state }),
            // A later table of this name is another, but the key's versions go on.
            Action::Drop => states.push(State { table, entry: None, floor: state.floor }),
            Action::Key(..) if !table => states.push(*state),
            Action::Key(_, op) => {
                let life = state.entry.and_then(|entry| entry.life);
                if life.is_none_or(|life| life.may_last(step, self.epsilon)) {
                    states.extend(state.lasting(step).done(op, step));
                }
                if life.is_some_and(|life| life.may_be_over(step, self.epsilon)) {
                    states.extend(State { entry: None, ..*state }.done(op, step));
                }
            }
        }
    }

    fn steps(&self, part: &History) -> Vec<Step> {
        let mut steps = unknown::settle(part);
        let expires = steps.iter().any(|step| match step.call.action {
            Action::Key(_, KeyOp::Touch(ttl, _)) => ttl.is_some(),
            Action::Key(_, op) => op.write().is_some_and(|write| write.ttl.is_some()),
            Action::Create | Action::Drop => false,
        });
        for step in &mut steps {
            step.observes = match step.reply {
                Some(
                    Reply::Data(_) | Reply::VersionData(..) | Reply::Exists(_) | Reply::Conflict(_),
                ) => true,
                // Where entries expire, a `nil` may be the moment at which one did.
                Some(Reply::Nil) => !expires,
                ref reply => table::observes(reply.as_ref()),
            };
        }
        find_twins(&mut steps);
        steps
    }
}

impl State {
    /// The same, now that `step` has found the entry alive: its life has begun by
    /// the time that `step` ended.
    fn lasting(&self, step: &Step) -> Self {
        let mut state = *self;
        if let Some(Entry { life: Some(life), .. }) = &mut state.entry
            && let Some(ended) = step.ended
        {
            life.latest = Some(life.latest.map_or(ended, |latest| latest.min(ended)));
        }
        state
    }

    /// What stands after `op`, if the step's reply is possible.
    fn done(self, op: KeyOp, step: &Step) -> Option<Self> {
        let effect = step.reply.is_none();
        match (op, step.reply.as_ref()) {
            (KeyOp::Get, Some(&Reply::Data(value))) => self.holding(value),
            (KeyOp::Gets, Some(&Reply::VersionData(version, value))) => {
                self.holding(value)?.standing_at(version)
            }
            (KeyOp::Add(_), Some(&Reply::Exists(version))) => self.standing_at(version),
            (
                KeyOp::Get
                | KeyOp::Gets
                | KeyOp::Cas(..)
                | KeyOp::Delete(Some(_))
                | KeyOp::Touch(..),
                Some(Reply::Nil),
            ) => self.absent(),
            (
                KeyOp::Cas(expected, _)
                | KeyOp::Delete(Some(expected))
                | KeyOp::Touch(_, Some(expected)),
                Some(&Reply::Conflict(version)),
            ) if version != expected => self.standing_at(version),

            (KeyOp::PutNew(_), Some(Reply::Ok)) if self.entry.is_some() => Some(self),
            (KeyOp::PutNew(write), None | Some(Reply::Ok)) => {
                self.absent()?.written(write, None, step)
            }
            (KeyOp::Add(write), Some(&Reply::Added(version))) => {
                self.absent()?.written(write, Some(version), step)
            }
            (KeyOp::Add(write), None) => self.absent()?.written(write, None, step),
            (KeyOp::Put(write), Some(&Reply::OkVersion(version))) => {
                self.written(write, Some(version), step)
            }
            (KeyOp::Put(write), None) => self.written(write, None, step),
            (KeyOp::Cas(expected, write), Some(&Reply::OkVersion(version))) => {
                self.standing_at(expected)?.written(write, Some(version), step)
            }
            (KeyOp::Cas(expected, write), None) => {
                self.standing_at(expected)?.written(write, None, step)
            }
            (KeyOp::Delete(None), None | Some(Reply::Ok)) => {
                (self.entry.is_some() || !effect).then(|| self.taken_away())
            }
            (KeyOp::Delete(Some(expected)), None | Some(Reply::Ok)) => {
                Some(self.standing_at(expected)?.taken_away())
            }
            (KeyOp::Touch(ttl, None), None | Some(Reply::Ok)) => self.touched(ttl, step),
            (KeyOp::Touch(ttl, Some(expected)), None | Some(Reply::Ok)) => {
                self.standing_at(expected)?.touched(ttl, step)
            }
            _ => None,
        }
    }

    fn absent(self) -> Option<Self> {
        self.entry.is_none().then_some(self)
    }

    fn holding(self, value: Value) -> Option<Self> {
        self.entry.is_some_and(|entry| entry.value == value).then_some(self)
    }

    /// The same, if the entry can stand at `version`, which is known from now on.
    fn standing_at(mut self, version: u64) -> Option<Self> {
        let entry = self.entry.as_mut()?;
        if let Some(known) = entry.version {
            return (known == version).then_some(self);
        }
        entry.version = Some(version);
        (version > self.floor).then_some(Self { floor: version, ..self })
    }

    fn written(mut self, write: Write, version: Option<u64>, step: &Step) -> Option<Self> {
        if let Some(version) = version {
            if version <= self.floor {
                return None;
            }
            self.floor = version;
        }
        let life = write.ttl.map(|ttl| Life::begun_by(ttl, step));
        self.entry = Some(Entry { value: write.value, version, life });
        Some(self)
    }

    fn taken_away(self) -> Self {
        Self { entry: None, ..self }
    }

    fn touched(mut self, ttl: Option<Duration>, step: &Step) -> Option<Self> {
        self.entry.as_mut()?.life = ttl.map(|ttl| Life::begun_by(ttl, step));
        Some(self)
    }
}
