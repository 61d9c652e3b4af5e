//! Changes of a group's replicas, and of who leads it, made by its leader.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use winter_core::cluster::meta::{Change, MemberState, MetaCommand};
use winter_core::cluster::{GroupId, NodeId, PartitionId};

use super::STEP;
use super::pulse::PULSE;
use crate::cluster::Inner;
use crate::cluster::groups::Map;
use crate::cluster::machines::DataMachine;
use crate::consensus::{ChangeError, Group, Machine};

/// How long a replica that comes may take to catch up, before it is tried again.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// How long a group is left with a leader that is not the one it should have.
const LEADER_STAYS: Duration = Duration::from_secs(5);

impl Inner {
    /// Makes a planned change, if this node leads the group.
    pub(super) fn change(self: &Arc<Self>, group: GroupId, change: Change, map: &Arc<Map>) {
        let leads = match group {
            GroupId::Meta => self.hosted.meta().is_some_and(|held| held.is_leader()),
            GroupId::Data(partition) => {
                self.hosted.data(partition).is_some_and(|held| held.is_leader())
            }
        };
        if !leads || !self.life.lock().busy.insert(group) {
            return;
        }
        let (inner, map) = (Arc::clone(self), Arc::clone(map));
        tokio::spawn(async move {
            let made = match group {
                GroupId::Meta => match inner.hosted.meta() {
                    Some(held) => make(&held, change, &map).await,
                    None => Ok(false),
                },
                GroupId::Data(partition) => match inner.hosted.data(partition) {
                    Some(held) => make(&held, change, &map).await,
                    None => Ok(false),
                },
            };
            let deadline = Instant::now() + inner.command_timeout;
            let number = change.number;
            match made {
                Ok(true) => {
                    tracing::info!(%group, swap = ?change.swap, "a replica has changed hands");
                    let finish = MetaCommand::FinishMove { group, number };
                    drop(inner.propose(finish, deadline).await);
                }
                Ok(false) => {
                    tracing::warn!(%group, swap = ?change.swap, "a change of replicas is given up");
                    let abandon = MetaCommand::AbandonMove { group, number };
                    drop(inner.propose(abandon, deadline).await);
                }
                Err(error) => {
                    tracing::debug!(%group, %error, "a change of replicas is tried again");
                    sleep(STEP).await;
                }
            }
            inner.life.lock().busy.remove(&group);
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
        let voters: Vec<NodeId> = status.voters.iter().copied().collect();
        let Some(&due) = voters.get(usize::from(partition.0) % voters.len().max(1)) else { return };
        let is_there = life.heard.get(&due).is_some_and(|at| at.elapsed() < 4 * PULSE);
        let waits = is_changing || status.is_changing || since.elapsed() < LEADER_STAYS;
        if due == self.me || waits || !is_there || !life.busy.insert(group) {
            return;
        }
        drop(life);
        let (inner, held) = (Arc::clone(self), held.clone());
        tokio::spawn(async move {
            if let Err(error) = held.transfer_leader(due).await {
                tracing::debug!(%group, %error, "a group keeps its leader");
            }
            let mut life = inner.life.lock();
            life.leads_since.remove(&group);
            life.busy.remove(&group);
        });
    }
}

/// Makes a change: whether it was made, or is given up because who should come is gone.
async fn make<M: Machine>(
    group: &Group<M>,
    change: Change,
    map: &Map,
) -> Result<bool, ChangeError> {
    let voters = group.status().voters;
    if let Some(node) = change.swap.add.filter(|node| !voters.contains(node)) {
        let Some((address, MemberState::Up)) = map.members.get(&node) else { return Ok(false) };
        group.add_learner(node, address).await?;
        group.caught_up(node, CATCH_UP_MAX).await?;
    }
    let mut target = voters;
    target.extend(change.swap.add);
    if let Some(node) = change.swap.remove {
        target.remove(&node);
    }
    group.change_voters(&target).await?;
    Ok(true)
}
