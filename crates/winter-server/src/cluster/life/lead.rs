//! What the meta group's leader does for the whole cluster.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use winter_core::cluster::meta::{MemberState, Meta, MetaCommand, MetaTable, TableState};
use winter_core::cluster::{GroupId, placement};

use super::log;
use crate::cluster::Inner;
use crate::cluster::wire::NewTable;

/// A member that was not heard of for so long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A table that is between two steps for so long was left so by somebody who is gone.
const TABLE_STEP_MAX: Duration = Duration::from_secs(3);

impl Inner {
    /// What the meta group's leader does.
    pub(super) async fn lead(self: &Arc<Self>, meta: &Meta) {
        let Some(held) = self.hosted.meta() else { return };
        let now = Instant::now();
        let (since, heard, led) = {
            let mut life = self.life.lock();
            let since = *life.leads_since.entry(GroupId::Meta).or_insert(now);
            (since, life.heard.clone(), life.led.len())
        };
        // Everyone has the log, whether or not it votes.
        let status = held.status();
        for (&node, member) in meta.members() {
            let is_in = status.voters.contains(&node) || status.learners.contains(&node);
            let address = &member.profile.attributes.address;
            if member.state == MemberState::Dead {
                if status.learners.contains(&node) {
                    log(held.remove_learner(node).await);
                }
            } else if !is_in && !status.is_changing {
                log(held.add_learner(node, address).await);
            }
        }
        for (&node, member) in meta.members() {
            if member.state == MemberState::Dead || node == self.me {
                continue;
            }
            let seen = heard.get(&node).copied().unwrap_or(since).max(since);
            let is_named = meta.groups().values().any(|group| group.names(node));
            let has_left = member.state == MemberState::Leaving && !is_named;
            if now.duration_since(seen) > SILENCE_MAX || has_left {
                tracing::debug!(%node, has_left, "a member is to be counted as gone");
                self.tell(MetaCommand::Dead(node)).await;
            }
        }
        for table in meta.unsettled_tables() {
            self.settle(table);
        }
        // A group that was never led may still have to be begun by those that were founded with it.
        let partitions = meta.founding().map_or(0, |founding| usize::from(founding.partitions));
        if led >= partitions {
            for step in placement::plan(meta) {
                tracing::debug!(group = %step.group, swap = ?step.swap, why = step.why.word(), "a change is planned");
                self.tell(MetaCommand::PlanMove { group: step.group, swap: step.swap }).await;
            }
        }
    }

    /// Goes on with a table that was left between two steps.
    fn settle(self: &Arc<Self>, table: &MetaTable) {
        let age = self.node.clock.now().as_millis().saturating_sub(table.since.as_millis());
        if u128::from(age) < TABLE_STEP_MAX.as_millis() {
            return;
        }
        let id = table.table.id;
        if !self.life.lock().settling.insert(id) {
            return;
        }
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
            inner.life.lock().settling.remove(&id);
        });
    }
}
