//! A member's way out.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use winter_core::cluster::NodeId;
use winter_core::cluster::meta::MetaCommand;

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
            drop(self.propose(MetaCommand::Leave(self.me), deadline).await);
            loop {
                let Some(meta) = self.hosted.meta() else { return };
                let (is_named, is_gone) = meta.machine(|machine| {
                    let meta = machine.meta();
                    let named = meta.groups().values().any(|group| group.names(self.me));
                    (named, meta.is_gone(self.me))
                });
                let is_last = self.map().members.len() <= 1;
                if is_gone || is_last || !is_named {
                    return;
                }
                self.hand_over().await;
                sleep(STEP).await;
            }
        });
        if left.await.is_err() {
            tracing::warn!("the node leaves with replicas that nobody has taken over");
        }
        if timeout(limit, self.hand_over()).await.is_err() {
            tracing::warn!("the node leaves groups that it led without another leader");
        }
    }

    /// Lets others lead what this node leads.
    async fn hand_over(self: &Arc<Self>) {
        let handed = self.hosted.all_data().into_iter().map(|(_, group)| hand_over(group, self.me));
        futures_util::future::join_all(handed).await;
        if let Some(meta) = self.hosted.meta() {
            hand_over(meta, self.me).await;
        }
    }
}

async fn hand_over<M: Machine>(group: Group<M>, me: NodeId) {
    if !group.is_leader() {
        return;
    }
    let status = group.status();
    let next = status.voters.iter().filter(|&&node| node != me);
    if let Some(&next) = next.min_by_key(|&&node| status.lag(node).unwrap_or(u64::MAX)) {
        log(group.transfer_leader(next).await);
    }
}
