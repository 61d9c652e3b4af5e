//! What the meta group's leader does for the whole cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use winter_core::cluster::meta::{
    FIRST_INCARNATION, MemberState, Meta, MetaCommand, MetaTable, TableState,
};
use winter_core::cluster::{NodeId, placement};
use winter_core::store::TableId;

use super::{Progress, TELL_MAX, log};
use crate::cluster::Inner;
use crate::cluster::wire::NewTable;

/// A leader that no majority has answered for so long decides nothing.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(3);
/// A table that is between two steps for so long was left so by somebody who is gone.
const TABLE_STEP_MAX: Duration = Duration::from_secs(3);
/// Replicas that come to one node at a time. More are no sooner there, and what
/// they are sent keeps others' commands waiting.
const COMING_MAX: usize = 2;

impl Inner {
    /// What the meta group's leader does, as long as a majority answers it. Who is
    /// cut off hears nobody, and must not hold that against the others when it is back.
    pub(super) async fn lead(self: &Arc<Self>, meta: &Meta) {
        let Some(held) = self.hosted.meta() else { return };
        let status = held.status();
        let voters = status.voters();
        let is_confirmed = || status.quorum_age.is_some_and(|age| age < UNCONFIRMED_MAX);
        if voters.len() > 1 && !is_confirmed() {
            return self.life.lock().silence.forget();
        }
        let others: BTreeSet<NodeId> =
            meta.members().keys().copied().filter(|&node| node != self.me).collect();
        let (silent, led) = {
            let mut life = self.life.lock();
            let Progress { silence, heard, led, .. } = &mut *life;
            (silence.too_long(Instant::now(), &others, heard), led.len())
        };
        // Everyone has the log, whether or not it votes, and nobody else.
        for &node in status.learners.iter().filter(|&&node| !meta.is_live(node)) {
            log(held.remove_learner(node).await);
        }
        for (&node, member) in meta.members() {
            let is_in = voters.contains(&node) || status.learners.contains(&node);
            let address = &member.profile.attributes.address;
            let is_live = member.state != MemberState::Dead;
            if is_live && !is_in && !status.is_changing() && node != self.me {
                // A leader that took the vote from itself leads a moment longer: the next one adds it.
                log(held.add_learner(node, address, FIRST_INCARNATION).await);
            }
        }
        for (&node, member) in meta.members() {
            if member.state == MemberState::Dead || node == self.me {
                continue;
            }
            let is_named = meta.groups().values().any(|group| group.names(node));
            let has_left = member.state == MemberState::Leaving && !is_named;
            if silent.contains(&node) || has_left {
                tracing::debug!(%node, has_left, "a member is to be counted as gone");
                self.decide(&MetaCommand::Dead(node)).await;
            }
        }
        let unsettled = |meta: &Meta| meta.unsettled_tables().cloned().collect::<Vec<_>>();
        self.settle_left(&held.machine(|machine| unsettled(machine.meta())));
        // A group that was never led may still have to be begun by those that were founded with it.
        let partitions = meta.founding().map_or(0, |founding| usize::from(founding.partitions));
        if led >= partitions {
            let mut coming: BTreeMap<NodeId, usize> = BTreeMap::new();
            let changes = meta.groups().values().filter_map(|group| group.change?.swap.add);
            changes.for_each(|node| *coming.entry(node).or_default() += 1);
            for step in placement::plan(meta) {
                if let Some(node) = step.swap.add {
                    let coming = coming.entry(node).or_default();
                    if *coming >= COMING_MAX {
                        continue;
                    }
                    *coming += 1;
                }
                tracing::debug!(group = %step.group, swap = ?step.swap, why = step.why.word(), "a change is planned");
                self.decide(&MetaCommand::PlanMove { group: step.group, swap: step.swap }).await;
            }
        }
    }

    /// Proposes what only the meta group's leader may: never to another, who may
    /// have followed it by now and know better.
    async fn decide(&self, command: &MetaCommand) {
        // What came of it is seen in the group's state.
        let _ = self.propose_here(command, Instant::now() + TELL_MAX).await;
    }

    /// Goes on with tables that were left between two steps. How long one was is
    /// measured here: the time that the meta group has for it is another node's.
    fn settle_left(self: &Arc<Self>, unsettled: &[MetaTable]) {
        let now = Instant::now();
        let mut life = self.life.lock();
        let steps: BTreeSet<_> = unsettled.iter().map(step_of).collect();
        life.unsettled.retain(|step, _| steps.contains(step));
        for table in unsettled {
            let since = life.unsettled.entry(step_of(table)).or_insert(now);
            if now.duration_since(*since) >= TABLE_STEP_MAX {
                *since = now;
                self.settle(table);
            }
        }
    }

    fn settle(self: &Arc<Self>, table: &MetaTable) {
        let (inner, new, state) = (Arc::clone(self), NewTable::from(table), table.state);
        tokio::spawn(async move {
            let deadline = Instant::now() + inner.command_timeout;
            let settled = match state {
                TableState::Opening => inner.open(&new, deadline).await,
                TableState::Dropping => inner.release(&new, deadline).await,
                TableState::Open => Ok(()),
            };
            if let Err(fault) = settled {
                tracing::debug!(table = new.name, why = %fault.sentence, "a table waits to be settled");
            }
        });
    }
}

/// What is to be done with a table next.
fn step_of(table: &MetaTable) -> (TableId, TableState) {
    (table.table.id, table.state)
}
