//! A member's way out.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::{Instant, sleep, timeout};
use winter_core::cluster::meta::{Meta, MetaCommand};

use super::{STEP, log};
use crate::cluster::Inner;
use crate::consensus::{Group, Machine};

impl Inner {
    /// Hands over what this node holds, and leaves.
    pub(crate) async fn leave(self: &Arc<Self>, limit: Duration) {
        if self.map().cluster.is_none() {
            return;
        }
        self.life.lock().is_leaving = true;
        let left = timeout(limit, async {
            let deadline = Instant::now() + limit;
            self.hand_over().await;
            drop(self.propose(MetaCommand::Leave(self.me), deadline).await);
            // A node that is let go is told no more of what the meta group decides: it asks.
            while self.is_needed() && !self.is_held_for_dead().await {
                self.hand_over().await;
                sleep(STEP).await;
            }
            self.hand_over().await;
        });
        if left.await.is_err() {
            tracing::warn!("the node leaves with what nobody has taken over from it");
        }
    }

    /// Whether a group still has a replica here, which another node could have.
    fn is_needed(&self) -> bool {
        let is_last = self.map().members.len() <= 1;
        let is_named = |meta: &Meta| meta.groups().values().any(|group| group.names(self.me));
        let is_missed = |meta: &Meta| is_named(meta) && !meta.is_gone(self.me);
        let Some(meta) = self.hosted.meta() else { return false };
        !is_last && meta.machine(|machine| is_missed(machine.meta()))
    }

    /// Lets others lead what this node leads.
    async fn hand_over(self: &Arc<Self>) {
        let handed = self.hosted.all_data().into_iter().map(|(_, group)| hand_over(group));
        join(join_all(handed), join_all(self.hosted.meta().map(hand_over))).await;
    }
}

async fn hand_over<M: Machine>(group: Group<M>) {
    if group.is_leader() {
        log(group.step_down().await);
    }
}
