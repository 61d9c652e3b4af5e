//! What is known after all of operations whose outcome is not.
//!
//! Each operation that may or may not have taken effect doubles the search, in
//! the worst case. Values that are written once settle most of them before it:
//! a value that somebody read was written, and by the time of that reply; a
//! value that nobody read can be left out where nothing else tells of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Action, Event, History, KeyOp, Operation, Outcome, Reply, Value};
use crate::linearizability::step::Step;

/// The steps of a key, with as few that need not take effect as can be.
pub(super) fn settle(part: &History) -> Vec<Step> {
    let known = Known::of(part);
    part.operations().iter().filter_map(|op| known.step(op)).collect()
}

#[derive(Default)]
struct Known {
    /// How often each value may have been written.
    writes: BTreeMap<Value, usize>,
    /// When each value was first read.
    read: BTreeMap<Value, Event>,
    /// Whether something tells of entries whose values were never read.
    tells_of_unread: bool,
}

impl Known {
    fn of(part: &History) -> Self {
        let mut known = Self::default();
        let (mut told, mut explained) = (BTreeSet::new(), BTreeSet::new());
        for op in part.operations() {
            let Action::Key(_, key_op) = op.call.action else { continue };
            if let Some(write) = key_op.write() {
                *known.writes.entry(write.value).or_default() += 1;
            }
            told.extend(key_op.version());
            let Some((reply, event)) = op.answer() else { continue };
            match *reply {
                Reply::Data(value) => known.saw(value, event),
                Reply::VersionData(version, value) => {
                    known.saw(value, event);
                    explained.insert(version);
                }
                Reply::Added(version) | Reply::OkVersion(version) => {
                    explained.insert(version);
                }
                Reply::Exists(version) | Reply::Conflict(version) => {
                    told.insert(version);
                }
                Reply::Ok if matches!(key_op, KeyOp::Touch(_, None)) => {
                    known.tells_of_unread = true;
                }
                _ => {}
            }
        }
        known.tells_of_unread |= !told.is_subset(&explained);
        known
    }

    fn saw(&mut self, value: Value, event: Event) {
        let first = self.read.entry(value).or_insert(event);
        if event.order < first.order {
            *first = event;
        }
    }

    fn step(&self, op: &Operation) -> Option<Step> {
        match op.outcome {
            Outcome::Failed => return None,
            Outcome::Known(_) => return Some(Step::of(op)),
            Outcome::Unknown => {}
        }
        let Action::Key(_, key_op) = op.call.action else { return Some(Step::of(op)) };
        if key_op.reads() {
            return None;
        }
        let mut step = Step::of(op);
        let Some(write) = key_op.write() else { return Some(step) };
        if self.writes.get(&write.value) != Some(&1) {
            return Some(step);
        }
        match self.read.get(&write.value) {
            Some(event) => {
                step.by = Some(event.order);
                step.ended = Some(event.at);
                Some(step)
            }
            // Nobody saw it come, stand or go. What stood before it, or nothing,
            // explains as much: writes, deletes and drops find what they need in
            // either case, and an entry that does not expire is no reason for `nil`.
            None if write.ttl.is_none() && !self.tells_of_unread => None,
            None => Some(step),
        }
    }
}
