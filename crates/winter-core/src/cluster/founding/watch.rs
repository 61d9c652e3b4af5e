//! Who of a list no longer stands by it, and how that is known.
//!
//! Three things count: somebody else answers at the address (the process that
//! was there is gone, and its identity with it), the node itself says that it
//! stands elsewhere, or it has been missing from the DNS *and* out of reach for
//! the settling time. The first two last for ever. The third is a guess: it is
//! taken back when the node is heard or listed again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::message::{Proposal, Standing};
use super::round::Heard;
use crate::cluster::{ClusterId, NodeId};

/// What is known of a list's nodes since this node began to stand by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Watch {
    /// Whether the questions of this round were sent after the watch began: an
    /// answer to an earlier one tells of a past that does not count.
    is_counted: bool,
    left: BTreeSet<NodeId>,
    missing: BTreeMap<NodeId, Duration>,
}

impl Watch {
    /// The questions of a round go out.
    pub(super) fn begin_round(&mut self) {
        self.is_counted = true;
    }

    /// Takes in what a round heard of `list`'s nodes, as far as `watched` wants
    /// to know. `settling` bounds what is counted.
    pub(super) fn observe(
        &mut self,
        list: &Proposal,
        cluster: Option<ClusterId>,
        heard: &Heard,
        settling: Duration,
        watched: impl Fn(NodeId) -> bool,
    ) {
        if !self.is_counted {
            return;
        }
        for seat in list.seats().iter().filter(|seat| watched(seat.node)) {
            match heard.answer(&seat.address) {
                Some(answer) if answer.node != seat.node => {
                    self.left.insert(seat.node);
                }
                Some(answer) => {
                    self.missing.remove(&seat.node);
                    if !stands_by(&answer.standing, list, cluster) {
                        self.left.insert(seat.node);
                    }
                }
                None => match heard.lists(&seat.address) {
                    Some(true) => {
                        self.missing.remove(&seat.node);
                    }
                    Some(false) => {
                        let missing = self.missing.get(&seat.node);
                        let time = missing.map_or(Duration::ZERO, |time| *time + heard.elapsed);
                        self.missing.insert(seat.node, time.min(settling));
                    }
                    // The DNS said nothing, which changes nothing.
                    None => {}
                },
            }
        }
    }

    /// Whether `node` no longer stands by the list.
    pub(super) fn has_left(&self, node: NodeId, settling: Duration) -> bool {
        self.left.contains(&node) || self.missing.get(&node).is_some_and(|time| *time >= settling)
    }
}

fn stands_by(standing: &Standing, list: &Proposal, cluster: Option<ClusterId>) -> bool {
    match standing {
        Standing::Member { cluster: theirs, .. } => cluster == Some(*theirs),
        Standing::Fresh { .. } | Standing::Enlisted { .. } => standing.list() == Some(list),
    }
}
