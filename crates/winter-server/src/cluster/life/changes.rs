//! Changes of a group's replicas, and of who leads it, made by its leader.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::field::display;
use winter_core::cluster::meta::{Change, MemberState, MetaCommand, Swap};
use winter_core::cluster::{GroupId, NodeId, PartitionId};

use super::STEP;
use super::pulse::{HEARD_LATELY, PULSE};
use crate::cluster::Inner;
use crate::cluster::groups::Map;
use crate::cluster::machines::DataMachine;
use crate::consensus::{ChangeError, Group, Machine};

/// How long a replica that comes may take to catch up, before it is tried again.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// How long a group is left with a leader that is not the one it should have.
const LEADER_STAYS: Duration = Duration::from_secs(5);

/// A group of which a change or a hand-over is being made here: while this is held, no other.
struct Busy {
    inner: Arc<Inner>,
    group: GroupId,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.inner.life.lock().busy.remove(&self.group);
    }
}

impl Inner {
    /// Makes a planned change, if this node leads the group.
    pub(super) fn change(self: &Arc<Self>, group: GroupId, change: Change, map: &Arc<Map>) {
        match group {
            GroupId::Meta => {
                self.hosted.meta().into_iter().for_each(|held| self.change_of(held, change, map));
            }
            GroupId::Data(partition) => {
                let held = self.hosted.data(partition);
                held.into_iter().for_each(|held| self.change_of(held, change, map));
            }
        }
    }

    fn change_of<M: Machine>(self: &Arc<Self>, held: Group<M>, change: Change, map: &Arc<Map>) {
        let group = held.group();
        let mut life = self.life.lock();
        if !held.is_leader() || !life.busy.insert(group) {
            return;
        }
        drop(life);
        let busy = Busy { inner: Arc::clone(self), group };
        let map = Arc::clone(map);
        tokio::spawn(async move {
            let inner = &busy.inner;
            let made = make(&held, inner, change, &map).await;
            let deadline = Instant::now() + inner.command_timeout;
            let number = change.number;
            let (added, removed) = (change.swap.add.map(display), change.swap.remove.map(display));
            match made {
                Ok(true) => {
                    tracing::info!(%group, added, removed, "a replica has changed hands");
                    let finish = MetaCommand::FinishMove { group, number };
                    drop(inner.propose(finish, deadline).await);
                }
                Ok(false) => {
                    tracing::warn!(%group, added, removed, "a change of replicas is given up");
                    let abandon = MetaCommand::AbandonMove { group, number };
                    drop(inner.propose(abandon, deadline).await);
                }
                Err(error) => {
                    tracing::debug!(%group, %error, "a change of replicas is tried again");
                    sleep(STEP).await;
                }
            }
        });
    }

    /// Hands a group over to the voter that should lead it: they take turns, so
    /// that leaders are spread over the nodes.
    pub(super) fn lead_in_turn(
        self: &Arc<Self>,
        partition: PartitionId,
        held: &Group<DataMachine>,
        is_changing: bool,
    ) {
        let group = GroupId::Data(partition);
        let mut life = self.life.lock();
        if !held.is_leader() {
            life.leads_since.remove(&group);
            return;
        }
        let since = *life.leads_since.entry(group).or_insert_with(Instant::now);
        let status = held.status();
        let voters: Vec<NodeId> = status.voters().into_iter().collect();
        let Some(&due) = voters.get(usize::from(partition.0) % voters.len().max(1)) else { return };
        let is_there = life.heard.get(&due).is_some_and(|at| at.elapsed() < 4 * PULSE);
        let waits = is_changing || status.is_changing() || since.elapsed() < LEADER_STAYS;
        if due == self.me || waits || !is_there || !life.busy.insert(group) {
            return;
        }
        drop(life);
        let busy = Busy { inner: Arc::clone(self), group };
        let held = held.clone();
        tokio::spawn(async move {
            if let Err(error) = held.transfer_leader(due).await {
                tracing::debug!(%group, %error, "a group keeps its leader");
            }
            busy.inner.life.lock().leads_since.remove(&group);
        });
    }
}

impl Inner {
    /// Awaits that a node is no member any more, or one that is lost or leaves.
    async fn is_not_up(&self, node: NodeId) {
        while matches!(self.map().members.get(&node), Some((_, MemberState::Up))) {
            sleep(STEP).await;
        }
    }
}

/// Makes a change: whether it was made, or is given up because who should come is gone.
///
/// A leader does not let go of itself. It would hear no more of what it has
/// proposed, and those who wait for that would wait for their whole time: it hands
/// over, and who leads then makes the change.
async fn make<M: Machine>(
    group: &Group<M>,
    inner: &Inner,
    change: Change,
    map: &Map,
) -> Result<bool, ChangeError> {
    let me = inner.me;
    let voters = group.voters();
    let Swap { add, remove } = change.swap;
    let goes_itself = remove == Some(me) && voters.contains(&me);
    if goes_itself && voters.len() > 1 {
        group.step_down().await?;
        return Err(ChangeError::NotLeader { leader: group.leader() });
    }
    if let Some(node) = add.filter(|node| !voters.contains(node)) {
        let Some((address, MemberState::Up)) = map.members.get(&node) else { return Ok(false) };
        group.add_learner(node, address, change.incarnation(group.group())).await?;
        tokio::select! {
            caught_up = group.caught_up(node, CATCH_UP_MAX) => caught_up?,
            () = inner.is_not_up(node) => return Ok(false),
        }
    }
    // A change that those who vote now cannot agree to would stand in the way of all others.
    if voters.len() > 1 && group.status().quorum_age.is_none_or(|age| age > HEARD_LATELY) {
        return Err(ChangeError::InProgress);
    }
    let mut target = voters;
    target.extend(add);
    if let Some(node) = remove.filter(|_| !goes_itself) {
        target.remove(&node);
    }
    group.change_voters(&target).await?;
    // Whoever had nobody to hand over to has somebody now.
    if goes_itself { Err(ChangeError::InProgress) } else { Ok(true) }
}
