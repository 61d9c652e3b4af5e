//! One group: a replica of it on this node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::linearizable_read::LinearizerOption;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::vote::RaftLeaderId as _;
use openraft::{Instant as _, Raft, RaftMetrics, ReadPolicy as Confirm, ServerState};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use winter_core::cluster::{Address, GroupId, NodeId};

use super::batcher::{Batch, Batcher, Pending, Queue, Stamp};
use super::change::Handovers;
use super::counters::Counters;
use super::error::{ProposeError, ReadError, StartError};
use super::gather::Gather;
use super::log::Log;
use super::machine::Machine;
use super::network::Network;
use super::options::Options;
use super::pace::{Pace, Paced, seed};
use super::proposer::Core;
use super::snapshot::Inbox;
use super::state::{Applier, State};
use super::status::{Role, Status, role};
use super::transport::Transport;
use super::types::{Seat, Types};
use super::upkeep::Upkeep;
use super::watch::Watch;

/// How a leader makes sure that it still leads, before it answers a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPolicy {
    /// It trusts the confirmation of a majority for 0.6 of its lease. Right as
    /// long as no clock runs 1.6 times as fast as another.
    Lease,
    /// It asks a majority now.
    Quorum,
}

/// A replica of a group on this node. Cheap to clone; usable from any thread,
/// while the replica runs where it was started.
///
/// It runs until it is shut down or the last clone is dropped.
pub struct Group<M: Machine>(Arc<Inner<M>>);

struct Inner<M: Machine> {
    options: Options,
    pace: Pace,
    raft: Raft<Types, Applier<M>>,
    state: Arc<State<M>>,
    log: Log,
    queue: Queue<M::Reply>,
    inbox: Arc<Inbox<M>>,
    metrics: WatchReceiverOf<Types, RaftMetrics<Types>>,
    handovers: Handovers,
    stop: CancellationToken,
    is_shut_down: AtomicBool,
    _stops_with_the_last: DropGuard,
}

impl<M: Machine> Clone for Group<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a group is started with.
pub struct Start<M> {
    /// Its limits and times.
    pub options: Options,
    /// This node, drawn at its start and never used before.
    pub me: NodeId,
    /// The group.
    pub group: GroupId,
    /// Which of the replicas it is that this node has had of the group: the number
    /// that its seat was given.
    pub incarnation: u64,
    /// The state that entries change, empty.
    pub machine: M,
    /// The way to the other replicas.
    pub transport: Arc<dyn Transport>,
    /// The clock that entries are stamped with.
    pub stamp: Stamp,
    /// What the node's groups count.
    pub counters: Arc<Counters>,
    /// When they wake.
    pub pace: Pace,
}

impl<M: Machine> Group<M> {
    /// Starts a replica on this runtime. It waits to be initialized with others,
    /// or to be added to those that are.
    ///
    /// Election jitter comes from a seed made of node and group: drawn in a
    /// server, the same again in a simulation.
    ///
    /// # Errors
    /// [`StartError`] when the options contradict each other.
    pub async fn start(start: Start<M>) -> Result<Self, StartError> {
        let Start { options, me, group, incarnation, machine, transport, .. } = start;
        let Start { stamp, counters, pace, .. } = start;
        let state = State::new(me, group, incarnation, machine, counters);
        let log = Log::new(options.purge_above());
        Self::run(options, pace, state, log, transport, stamp).await
    }

    /// Stops this replica, and starts one in its place that goes on with all that
    /// it has in its log, as the only voter of the group.
    ///
    /// Only after a majority was lost: what others had acknowledged, and this
    /// replica did not have, is lost; and should they still be there, they must be
    /// kept from speaking to anybody who goes on.
    ///
    /// # Errors
    /// [`StartError`] when it does not stop, or the other one does not start.
    pub async fn go_on_alone(
        &self,
        address: &Address,
        transport: Arc<dyn Transport>,
        stamp: Stamp,
    ) -> Result<Self, StartError> {
        self.shutdown().await;
        let Inner { options, pace, state, log, .. } = &*self.0;
        log.crown(state.me, Seat::new(address, state.incarnation));
        Self::run(*options, *pace, Arc::clone(state), log.clone(), transport, stamp).await
    }

    async fn run(
        options: Options,
        pace: Pace,
        state: Arc<State<M>>,
        log: Log,
        transport: Arc<dyn Transport>,
        stamp: Stamp,
    ) -> Result<Self, StartError> {
        let (me, group, counters) = (state.me, state.group, Arc::clone(&state.counters));
        let config = options.config(group)?;
        let network = Network::new(Arc::clone(&state), transport, options);
        let applier = Applier::new(Arc::clone(&state));
        let started = Raft::new(me, config, network, log.clone(), applier);
        let raft = Paced::scope(pace, seed(me, group), started)
            .await
            .map_err(|error| StartError(error.to_string()))?;

        let stop = CancellationToken::new();
        let proposer =
            Core { raft: raft.clone(), metrics: raft.metrics(), log: log.clone(), options };
        let (queue, batcher) =
            Batcher::<M, _>::new(options, stamp, proposer, Arc::clone(&counters));
        let inbox = Arc::<Inbox<M>>::default();
        let upkeep = Upkeep {
            options,
            raft: raft.clone(),
            state: Arc::clone(&state),
            log: log.clone(),
            inbox: Arc::clone(&inbox),
        };
        let watch = Watch { group, raft: raft.clone(), counters };
        run_part(&stop, batcher.run(stop.clone()));
        run_part(&stop, upkeep.run(stop.clone()));
        run_part(&stop, watch.run(stop.clone()));
        let _stops_with_the_last = stop.clone().drop_guard();
        let metrics = raft.metrics();
        let inner = Inner {
            options,
            pace,
            raft,
            state,
            log,
            queue,
            inbox,
            metrics,
            handovers: Handovers::default(),
            stop,
            is_shut_down: AtomicBool::new(false),
            _stops_with_the_last,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Proposes an operation and awaits its reply.
    ///
    /// # Errors
    /// [`ProposeError`], whose variants say what was done.
    pub async fn propose(&self, operation: Bytes) -> Result<M::Reply, ProposeError> {
        self.submit(operation)?.await
    }

    /// Puts an operation behind all that were submitted before. They keep their
    /// order, so that a session may have many on their way.
    ///
    /// # Errors
    /// [`ProposeError`]; nothing was done then.
    pub fn submit(&self, operation: Bytes) -> Result<Pending<M::Reply>, ProposeError> {
        self.takes_proposals()?;
        self.0.queue.put(operation)
    }

    /// As [`submit`](Self::submit), for operations that keep together: `gather`
    /// is told of them in a slot of its own, and in none when they are refused.
    /// They should be no more than [`batch_max`](Self::batch_max).
    ///
    /// # Errors
    /// [`ProposeError`]; nothing was done then.
    pub fn submit_batch(
        &self,
        batch: Batch,
        gather: &mut Gather<M::Reply>,
    ) -> Result<(), ProposeError> {
        self.takes_proposals()?;
        self.0.queue.put_batch(batch, gather)
    }

    /// The operations that one entry takes, and their bytes.
    #[must_use]
    pub fn batch_max(&self) -> (usize, usize) {
        (self.0.options.entry_operations_max, self.0.options.entry_bytes_max)
    }

    fn takes_proposals(&self) -> Result<(), ProposeError> {
        if self.0.stop.is_cancelled() {
            return Err(ProposeError::Stopped);
        }
        self.look(|now| match now.state {
            _ if now.running_state.is_err() => Err(ProposeError::Stopped),
            ServerState::Leader => Ok(()),
            _ => Err(ProposeError::NotLeader { leader: now.current_leader }),
        })
    }

    /// Makes sure that what is applied here holds all that was acknowledged
    /// anywhere before this call. Then reads that came before the call may be
    /// answered by [`machine`](Self::machine): one call for a batch of them.
    ///
    /// # Errors
    /// [`ReadError`]; nothing may be answered then.
    pub async fn read_barrier(&self, policy: ReadPolicy) -> Result<(), ReadError> {
        #[cfg(feature = "sim")]
        if crate::sabotage::is(crate::sabotage::Sabotage::ReadsWithoutBarrier) {
            return Ok(());
        }
        if policy == ReadPolicy::Lease && self.is_surely_leader() {
            return Ok(());
        }
        if self.0.stop.is_cancelled() {
            return Err(ReadError::Stopped);
        }
        let wait = self.0.options.read_wait;
        let option = match policy {
            ReadPolicy::Quorum => LinearizerOption::from(Confirm::ReadIndex),
            ReadPolicy::Lease => LinearizerOption::new(Some(self.0.options.read_age_max()), true),
        };
        let confirmed = async {
            let raft = &self.0.raft;
            let read = raft.get_read_linearizer(option.with_wait_timeout(wait)).await;
            match read {
                Ok(read) => match read.try_await_ready(raft, Some(wait)).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(_)) => Err(ReadError::Unavailable),
                    Err(_) => Err(ReadError::Stopped),
                },
                Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                    Err(ReadError::NotLeader { leader: to.leader_id })
                }
                Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                    Err(ReadError::Unavailable)
                }
                Err(RaftError::Fatal(_)) => Err(ReadError::Stopped),
            }
        };
        timeout(wait, confirmed).await.unwrap_or(Err(ReadError::Unavailable))
    }

    /// As [`read_barrier`](Self::read_barrier), and no longer than until `deadline`.
    ///
    /// # Errors
    /// [`ReadError`]; nothing may be answered then.
    pub async fn read_barrier_until(
        &self,
        policy: ReadPolicy,
        deadline: Instant,
    ) -> Result<(), ReadError> {
        let confirmed = timeout_at(deadline, self.read_barrier(policy)).await;
        confirmed.unwrap_or(Err(ReadError::Unavailable))
    }

    /// Whether this replica leads and has applied all that anybody was told of,
    /// as can be seen without asking its core: that costs two wake-ups.
    ///
    /// What is seen may be old, but a lease that was good then is good until its
    /// end: nobody else is elected before, unless this replica hands over, which
    /// is noted first. A lone voter needs no confirmation: whoever else would lead
    /// needs its vote first, and its log for every write. An applied entry of this
    /// leader's own stands behind all of its predecessors, and what it has
    /// acknowledged itself it had applied.
    #[must_use]
    pub fn is_surely_leader(&self) -> bool {
        let handed_over = self.0.handovers.last_term();
        let leads = self.look(|now| {
            let age_max = self.0.options.read_age_max();
            let is_lone = || now.membership_config.voter_ids().eq([self.0.state.me]);
            let is_confirmed = now.last_quorum_acked.is_some_and(|at| at.elapsed() < age_max);
            let is_running = now.running_state.is_ok() && !self.0.stop.is_cancelled();
            let leads = is_running && now.state == ServerState::Leader;
            let leader = *now.vote.leader_id();
            (leads && (is_confirmed || is_lone()) && leader.term() > handed_over).then_some(leader)
        });
        leads.is_some_and(|leader| {
            let is_mine = *leader.node_id() == self.0.state.me;
            is_mine && self.0.state.applied_of() == Some(leader.to_committed())
        })
    }

    /// Runs a read on what is applied here. Keep it short: nothing is applied
    /// meanwhile.
    pub fn machine<T>(&self, read: impl FnOnce(&M) -> T) -> T {
        self.0.state.read(read)
    }

    /// Runs a read on what is applied here, which is so many entries.
    #[cfg(feature = "sim")]
    pub fn machine_at<T>(&self, read: impl FnOnce(u64, &M) -> T) -> T {
        self.0.state.read_at(read)
    }

    /// The group that it is a replica of.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.0.state.group
    }

    /// Which of this node's replicas of the group it is.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.0.state.incarnation
    }

    /// The incarnation of the replica that has a seat on `node`, as far as is known here.
    pub(super) fn seated(&self, node: NodeId) -> Option<u64> {
        self.look(|now| now.membership_config.membership().get_node(&node).map(|at| at.incarnation))
    }

    /// What this replica knows now.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = Status::of(&self.0.raft, &self.0.state, &self.0.log);
        if self.0.stop.is_cancelled() {
            status.role = Role::Stopped;
        }
        status
    }

    /// Whether this replica has stopped by a fault, and not because it was told to.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let has_stopped = self.0.stop.is_cancelled() || self.look(|now| role(now) == Role::Stopped);
        has_stopped && !self.0.is_shut_down.load(Ordering::Acquire)
    }

    /// The leader, as far as is known here.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.look(|now| now.current_leader)
    }

    /// Whether this replica leads, as far as it knows.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        !self.0.stop.is_cancelled() && self.look(|now| now.state == ServerState::Leader)
    }

    /// A short look: whoever writes the metrics waits for it.
    fn look<T>(&self, look: impl FnOnce(&RaftMetrics<Types>) -> T) -> T {
        look(&self.0.metrics.borrow_watched())
    }

    /// Bytes that the group holds beside its machine: its log, and the
    /// operations that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.log.bytes() + self.0.queue.bytes()
    }

    /// Stops the replica. What waits is refused, what was proposed is unknown.
    pub async fn shutdown(&self) {
        self.0.is_shut_down.store(true, Ordering::Release);
        self.0.stop.cancel();
        let stopped = timeout(self.0.options.change_wait, self.0.raft.shutdown()).await;
        if stopped.is_err() {
            tracing::error!(group = %self.0.state.group, "the group did not stop in time");
        }
    }

    pub(super) fn raft(&self) -> &Raft<Types, Applier<M>> {
        &self.0.raft
    }

    pub(super) fn inbox(&self) -> &Inbox<M> {
        &self.0.inbox
    }

    pub(super) fn state(&self) -> &Arc<State<M>> {
        &self.0.state
    }

    pub(super) fn handovers(&self) -> &Handovers {
        &self.0.handovers
    }

    pub(super) fn options(&self) -> &Options {
        &self.0.options
    }

    /// Those who vote, as far as is known here.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.look(|now| now.membership_config.voter_ids().collect())
    }

    pub(super) fn me(&self) -> NodeId {
        self.0.state.me
    }
}

/// Runs a part of a replica. None is of use without the others: when one ends,
/// by a panic or because openraft's core has, the replica has stopped.
fn run_part(stop: &CancellationToken, part: impl Future<Output = ()> + Send + 'static) {
    let ends_all = stop.clone().drop_guard();
    tokio::spawn(async move {
        part.await;
        drop(ends_all);
    });
}
