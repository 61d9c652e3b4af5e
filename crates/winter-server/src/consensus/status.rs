//! A replica as operators and the cluster's driver see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{Instant as _, LogIdOptionExt as _, Raft, RaftMetrics, ServerState};
use winter_core::cluster::{Address, GroupId, NodeId};

use super::log::Log;
use super::machine::Machine;
use super::state::{Applier, State};
use super::types::Types;

/// What a replica does in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is given the log and has no vote.
    Learner,
    /// It votes.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It takes proposals.
    Leader,
    /// It has stopped, by a fault or because it was told to.
    Stopped,
}

/// What a replica knows at a moment. Entries are numbered from 0, and a count
/// of them says how far the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The replica's node.
    pub node: NodeId,
    /// Its group.
    pub group: GroupId,
    /// What it does.
    pub role: Role,
    /// The term it knows of.
    pub term: u64,
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// The sets of voters of which a majority each must agree: two while a change is under way.
    pub voter_sets: Vec<BTreeSet<NodeId>>,
    /// Those who do not vote.
    pub learners: BTreeSet<NodeId>,
    /// Where each replica was when it was added.
    pub addresses: BTreeMap<NodeId, Address>,
    /// On the leader: how many entries each other replica has to go, and `None`
    /// while that is being found out.
    pub lags: BTreeMap<NodeId, Option<u64>>,
    /// On the leader: since when no majority has answered.
    pub quorum_age: Option<Duration>,
    /// The term of the last entry in the log.
    pub last_term: u64,
    /// Entries in the log, with those that were dropped.
    pub entries: u64,
    /// Of these, applied.
    pub applied: u64,
    /// Of these, dropped.
    pub purged: u64,
    /// Bytes that the log holds.
    pub log_bytes: usize,
}

impl Status {
    pub(super) fn of<M: Machine>(
        raft: &Raft<Types, Applier<M>>,
        state: &State<M>,
        log: &Log,
    ) -> Self {
        let now = raft.metrics().borrow_watched().clone();
        let members = now.membership_config.membership();
        let addresses = members.nodes();
        Self {
            node: state.me,
            group: state.group,
            role: role(&now),
            term: now.current_term,
            leader: now.current_leader,
            voter_sets: members.get_joint_config().clone(),
            learners: members.learner_ids().collect(),
            addresses: addresses
                .filter_map(|(node, seat)| Some((*node, seat.address.parse().ok()?)))
                .collect(),
            lags: lags(&now),
            quorum_age: now.last_quorum_acked.map(|at| at.elapsed()),
            last_term: log.last_term(),
            entries: now.last_log_index.map_or(0, |last| last + 1),
            applied: now.last_applied.next_index(),
            purged: now.purged.next_index(),
            log_bytes: log.bytes(),
        }
    }

    /// Those who vote. While a change is under way, of the old set and the new.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.voter_sets.iter().flatten().copied().collect()
    }

    /// Whether those who vote are being changed.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.voter_sets.len() > 1
    }

    /// How many entries `node` has to go, on the leader.
    #[must_use]
    pub fn lag(&self, node: NodeId) -> Option<u64> {
        self.lags.get(&node).copied().flatten()
    }
}

pub(super) fn role(now: &RaftMetrics<Types>) -> Role {
    if now.running_state.is_err() {
        return Role::Stopped;
    }
    match now.state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

/// How far behind the leader's log each other replica is.
pub(super) fn lags(now: &RaftMetrics<Types>) -> BTreeMap<NodeId, Option<u64>> {
    let next = now.last_log_index.map_or(0, |last| last + 1);
    let replicas = now.replication.iter().flatten();
    replicas
        .filter(|(node, _)| **node != now.id)
        .map(|(node, matched)| (*node, matched.map(|at| next.saturating_sub(at.index + 1))))
        .collect()
}
