//! Who belongs to a group, and who leads it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::errors::{ChangeMembershipError, ClientWriteError, Fatal, RaftError};
use openraft::vote::RaftLeaderId as _;
use openraft::{ChangeMembers, RaftMetrics, ServerState};
use tokio::sync::Mutex;
use tokio::time::timeout;
use winter_core::cluster::{Address, NodeId};

use super::error::ChangeError;
use super::group::Group;
use super::machine::Machine;
use super::options::LAG_MAX;
use super::status::lags;
use super::types::{Seat, Types};

/// One joint change is two steps. A leader that finds the first one done by a
/// leader before it has one step to go, and the change itself after that.
const STEPS_MAX: usize = 3;

/// How long it may take until it is seen that a change is through.
const SEEN_MAX: Duration = Duration::from_millis(50);

/// What is known here of leadership that was handed over: another may have it while this
/// replica's lease is still good.
#[derive(Default)]
pub(super) struct Handovers {
    one_at_a_time: Mutex<()>,
    last_term: AtomicU64,
}

impl Handovers {
    /// No lease of this term or an earlier one is to be trusted without asking the core.
    pub(super) fn last_term(&self) -> u64 {
        self.last_term.load(Ordering::SeqCst)
    }

    fn note(&self, last_term: u64) {
        self.last_term.store(last_term, Ordering::SeqCst);
    }
}

type Written<T> = Result<T, RaftError<Types, ClientWriteError<Types>>>;

impl<M: Machine> Group<M> {
    /// Makes a group of the replicas on these nodes, of incarnation 0. To be called on each of
    /// them with the same list, or on one; and never again, for a group that
    /// forgot that it exists would be made twice.
    ///
    /// # Errors
    /// [`ChangeError`]; `Refused` when the replica belongs to a group already.
    pub async fn initialize(&self, nodes: &[(NodeId, Address)]) -> Result<(), ChangeError> {
        let seats: BTreeMap<NodeId, Seat> =
            nodes.iter().map(|(node, address)| (*node, Seat::new(address, 0))).collect();
        let made = self.raft().initialize(seats);
        match timeout(self.options().change_wait, made).await {
            Err(_) => Err(ChangeError::Unknown),
            Ok(Ok(())) => Ok(()),
            Ok(Err(RaftError::APIError(error))) => Err(ChangeError::Refused(error.to_string())),
            Ok(Err(RaftError::Fatal(_))) => Err(ChangeError::Stopped),
        }
    }

    /// Adds a replica that has no vote. It is given the log, or a snapshot and
    /// what follows it; [`caught_up`](Self::caught_up) awaits that. What is left of
    /// an earlier replica on the same node is let go of first.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn add_learner(
        &self,
        node: NodeId,
        address: &Address,
        incarnation: u64,
    ) -> Result<(), ChangeError> {
        match self.seated(node).filter(|_| self.is_leader()) {
            Some(seated) if seated == incarnation => return Ok(()),
            Some(_) => self.remove_learner(node).await?,
            None => {}
        }
        let seat = Seat::new(address, incarnation);
        self.bounded(self.raft().add_learner(node, seat, false)).await.map(drop)
    }

    /// Awaits that a replica has all but the last few entries.
    ///
    /// # Errors
    /// [`ChangeError`]; `Unknown` when it has not within this time.
    pub async fn caught_up(&self, node: NodeId, within: Duration) -> Result<(), ChangeError> {
        let is_there = |now: &RaftMetrics<Types>| {
            // A leader may be without a vote, and be given it back.
            node == now.id
                || lags(now).get(&node).copied().flatten().is_some_and(|lag| lag <= LAG_MAX)
        };
        let leads = |now: &RaftMetrics<Types>| now.state == ServerState::Leader;
        let seen = self
            .raft()
            .wait(Some(within))
            .metrics(|now| !leads(now) || is_there(now), "a replica that has caught up")
            .await;
        match seen {
            Ok(now) if leads(&now) => Ok(()),
            Ok(now) => Err(ChangeError::NotLeader { leader: now.current_leader }),
            Err(_) => Err(ChangeError::Unknown),
        }
    }

    /// Makes exactly these replicas the ones that vote, by one joint change:
    /// until it is through, both the old and the new ones must agree to
    /// everything. Those who leave are let go; those who come must be learners,
    /// and should have caught up.
    ///
    /// # Errors
    /// [`ChangeError`]. After `Unknown` the same call finishes what was begun.
    pub async fn change_voters(&self, voters: &BTreeSet<NodeId>) -> Result<(), ChangeError> {
        if voters.is_empty() {
            return Err(ChangeError::Refused("a group without voters".to_owned()));
        }
        for _ in 0..STEPS_MAX {
            let now = self.status();
            if self.is_leader() && now.voter_sets == [voters.clone()] {
                return Ok(());
            }
            let change = ChangeMembers::ReplaceAllVoters(voters.clone());
            let changed = self.bounded(self.raft().change_membership(change, false)).await?;
            let config = changed.membership.map(|members| members.get_joint_config().clone());
            if config.is_some_and(|sets| sets == [voters.clone()]) {
                return Ok(());
            }
        }
        Err(ChangeError::Unknown)
    }

    /// Lets go of a replica that has no vote.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn remove_learner(&self, node: NodeId) -> Result<(), ChangeError> {
        if self.is_leader() && self.seated(node).is_none() {
            return Ok(());
        }
        let change = ChangeMembers::RemoveNodes(BTreeSet::from([node]));
        self.bounded(self.raft().change_membership(change, false)).await.map(drop)
    }

    /// Hands leadership to another voter, once that has caught up.
    ///
    /// From then on this replica takes neither proposals nor reads. When the
    /// other one does not take over, somebody is elected as after a loss.
    ///
    /// # Errors
    /// [`ChangeError`]; `NotLeader` also when a third one leads now.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), ChangeError> {
        let wait = self.options().change_wait;
        if !self.is_leader() {
            return Err(ChangeError::NotLeader { leader: self.leader() });
        }
        if to == self.me() {
            return Ok(());
        }
        if !self.voters().contains(&to) {
            return Err(ChangeError::Refused(format!("{to} has no vote")));
        }
        self.caught_up(to, wait).await?;
        let begun = timeout(wait, self.begin_handover(to)).await;
        begun.map_err(|_| ChangeError::Unknown)?.map_err(|_| ChangeError::Stopped)?;
        match self.led_by_another(wait).await {
            Some(leader) if leader == to => Ok(()),
            Some(leader) => Err(ChangeError::NotLeader { leader: Some(leader) }),
            None => Err(ChangeError::Unknown),
        }
    }

    /// Has the core hand over if it leads, in whichever term it then does. Until that is
    /// known no lease is trusted; if this ends before, until the next handover.
    ///
    /// Leases of later terms are as good as any. `to` asks for votes in spite of leases only
    /// while it follows the leader that hands over, so with a log of that leader's time.
    /// Whoever has an entry of a later leader refuses that vote, however late it comes: a
    /// majority, once the later leader has applied an entry of its own, and nobody trusts
    /// its lease before.
    async fn begin_handover(&self, to: NodeId) -> Result<(), Fatal<Types>> {
        let handovers = self.handovers();
        // Else one could end the distrust while another's order is on its way to the core.
        let _one = handovers.one_at_a_time.lock().await;
        handovers.note(u64::MAX);
        self.raft().trigger().transfer_leader(to).await?;
        // The core does what it is asked in turn, and its term never falls: the order above,
        // and any whose sender did not wait for this, was followed in this term or before.
        let term = self.raft().with_raft_state(|now| now.vote_ref().leader_id().term()).await?;
        handovers.note(term);
        Ok(())
    }

    /// Hands leadership to the voter that lags least. Without another voter it
    /// stays where it is.
    ///
    /// # Errors
    /// [`ChangeError`], as of [`transfer_leader`](Self::transfer_leader).
    pub async fn step_down(&self) -> Result<(), ChangeError> {
        let status = self.status();
        let others = status.voters().into_iter().filter(|&node| node != self.me());
        match others.min_by_key(|&node| status.lag(node).unwrap_or(u64::MAX)) {
            Some(next) => self.transfer_leader(next).await,
            None => Ok(()),
        }
    }

    async fn led_by_another(&self, within: Duration) -> Option<NodeId> {
        let me = self.me();
        let another = |now: &RaftMetrics<Types>| now.current_leader.filter(|leader| *leader != me);
        let wait = self.raft().wait(Some(within));
        let seen = wait.metrics(|now| another(now).is_some(), "another leader").await;
        seen.ok().and_then(|now| another(&now))
    }

    /// Awaits a leader, and tells which; `None` when there is none in time.
    pub async fn led(&self, within: Duration) -> Option<NodeId> {
        let wait = self.raft().wait(Some(within));
        let seen = wait.metrics(|now| now.current_leader.is_some(), "a leader").await;
        seen.ok().and_then(|now| now.current_leader)
    }

    /// Makes a change, unless one before it is not through: where a majority is
    /// missing that lasts, and openraft logs an error each time it is asked.
    async fn bounded<T>(&self, change: impl Future<Output = Written<T>>) -> Result<T, ChangeError> {
        if self.is_leader() {
            let wait = self.raft().wait(Some(SEEN_MAX));
            let is_through = wait.metrics(is_through, "the change before is through").await;
            is_through.map_err(|_| ChangeError::InProgress)?;
        }
        match timeout(self.options().change_wait, change).await {
            Err(_) => Err(ChangeError::Unknown),
            Ok(changed) => changed.map_err(refusal),
        }
    }
}

/// Whether the last change of the group is committed.
fn is_through(now: &RaftMetrics<Types>) -> bool {
    now.membership_config.log_id() == now.committed_membership_config.log_id()
}

fn refusal(error: RaftError<Types, ClientWriteError<Types>>) -> ChangeError {
    match error {
        // What was in the log when the group stopped may be committed by others.
        RaftError::Fatal(Fatal::Stopped | Fatal::Panicked | Fatal::StorageError(_)) => {
            ChangeError::Stopped
        }
        RaftError::APIError(error) => match error {
            ClientWriteError::ForwardToLeader(to) => {
                ChangeError::NotLeader { leader: to.leader_id }
            }
            ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_)
                | ChangeMembershipError::UncommittedLeaderLog(_),
            ) => ChangeError::InProgress,
            ClientWriteError::ChangeMembershipError(error) => {
                ChangeError::Refused(error.to_string())
            }
            ClientWriteError::LogEntryDiscarded(_) | ClientWriteError::PreconditionFailed(_) => {
                ChangeError::Unknown
            }
        },
    }
}
