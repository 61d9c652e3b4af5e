//! Between a founding and its opening.

use std::collections::BTreeSet;
use std::time::Duration;

use super::message::Proposal;
use super::round::Heard;
use super::watch::Watch;
use crate::cluster::{ClusterId, NodeId};

/// A founding that this node takes part in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Enlisted {
    pub cluster: ClusterId,
    pub list: Proposal,
    pub watch: Watch,
    /// Who is known to be enlisted.
    seen: BTreeSet<NodeId>,
    is_complete: bool,
}

/// What a round brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Everyone is enlisted; told once.
    Complete,
    /// So many have left that the rest is no majority.
    Lost,
    /// Neither.
    Waits,
}

impl Enlisted {
    pub(super) fn new(me: NodeId, cluster: ClusterId, list: Proposal) -> Self {
        let seen = BTreeSet::from([me]);
        Self { cluster, list, watch: Watch::default(), seen, is_complete: false }
    }

    pub(super) fn observe(&mut self, me: NodeId, heard: &Heard, settling: Duration) -> Turn {
        self.watch.observe(&self.list, Some(self.cluster), heard, settling, |node| node != me);
        for (_, answer) in heard.messages() {
            let is_enlisted = answer.standing.cluster() == Some(self.cluster);
            if is_enlisted && self.list.holds(answer.node) {
                self.seen.insert(answer.node);
            }
        }
        let seats = self.list.seats();
        let left = seats.iter().filter(|seat| self.watch.has_left(seat.node, settling)).count();
        if seats.len() - left < self.list.majority() {
            return Turn::Lost;
        }
        if self.seen.len() == seats.len() && !self.is_complete {
            self.is_complete = true;
            return Turn::Complete;
        }
        Turn::Waits
    }
}
