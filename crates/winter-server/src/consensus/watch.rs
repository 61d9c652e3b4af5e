//! Notices that terms begin and leaders change, to count it.

use std::sync::Arc;

use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::vote::RaftLeaderId as _;
use tokio_util::sync::CancellationToken;
use winter_core::cluster::{GroupId, NodeId};

use super::counters::Counters;
use super::machine::Machine;
use super::state::Applier;
use super::types::Types;

/// Looks at every change of a replica's standing. Costs nothing between them.
pub(super) struct Watch<M: Machine> {
    pub group: GroupId,
    pub raft: Raft<Types, Applier<M>>,
    pub counters: Arc<Counters>,
}

impl<M: Machine> Watch<M> {
    /// Watches until told to stop, or until openraft's core is no more.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut standings = self.raft.server_metrics();
        let mut seen = Seen::default();
        loop {
            let (term, leader) = {
                let now = standings.borrow_watched();
                (now.vote.leader_id().term(), now.current_leader)
            };
            self.note(&mut seen, term, leader);
            let changed = tokio::select! {
                () = stop.cancelled() => return,
                changed = standings.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    fn note(&self, seen: &mut Seen, term: u64, leader: Option<NodeId>) {
        if term > seen.term {
            seen.term = term;
            self.counters.elections.bump();
        }
        let Some(leader) = leader.filter(|&leader| seen.leader != Some(leader)) else { return };
        if seen.leader.replace(leader).is_some() {
            self.counters.leader_changes.bump();
        }
        tracing::debug!(group = %self.group, %leader, term, "a group has a leader");
    }
}

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    term: u64,
    leader: Option<NodeId>,
}
