//! Puts into the log what operators need to know of the cluster: each event
//! once, on every node that sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use winter_core::cluster::meta::{MemberState, Meta};
use winter_core::cluster::{NodeId, PartitionId};

use super::Inner;

/// The time between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// An election may take so long; after that nobody can be elected.
const ELECTION_MAX: Duration = Duration::from_secs(5);

/// Watches until the node stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut watch = Watch::default();
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = sleep(PERIOD) => {}
        }
        if let Some(meta) = inner.hosted.meta() {
            meta.machine(|machine| watch.members(machine.meta(), inner.me));
            watch.leaders(&inner.leaderless(), Instant::now());
        }
    }
}

impl Inner {
    /// Partitions with a replica here and no leader.
    pub(super) fn leaderless(&self) -> Vec<PartitionId> {
        let hosted = self.hosted.all_data().into_iter();
        let is_led = |status| self.leader_of(&status).is_some();
        hosted.filter(|(_, group)| !is_led(group.status())).map(|(id, _)| id).collect()
    }
}

#[derive(Debug, Default)]
struct Watch {
    members: Option<BTreeMap<NodeId, (MemberState, String)>>,
    leaderless_since: Option<Instant>,
    /// Whether that was told.
    is_told: bool,
}

impl Watch {
    /// Tells whose state has changed since the last look.
    fn members(&mut self, meta: &Meta, me: NodeId) {
        if meta.founding().is_none() {
            return;
        }
        let name = |node: &NodeId| meta.members()[node].profile.attributes.name.clone();
        let now: BTreeMap<_, _> =
            meta.members().iter().map(|(id, m)| (*id, (m.state, name(id)))).collect();
        // Those who were there first are news to nobody.
        let Some(before) = self.members.replace(now.clone()) else { return };
        for (node, (state, name)) in now.iter().filter(|(node, _)| **node != me) {
            if before.get(node).is_some_and(|(was, _)| was == state) {
                continue;
            }
            match state {
                MemberState::Joining => tracing::info!(%node, name, "a member joins"),
                MemberState::Up => tracing::info!(%node, name, "a member is up"),
                MemberState::Leaving => tracing::info!(%node, name, "a member leaves"),
                MemberState::Dead => tracing::warn!(%node, name, "a member is gone"),
            }
        }
        for (node, (was, name)) in before.iter().filter(|(node, _)| !now.contains_key(node)) {
            match was {
                // It was told when it died.
                MemberState::Dead => {}
                MemberState::Leaving => tracing::info!(%node, name, "a member has left"),
                _ => tracing::warn!(%node, name, "a member is gone"),
            }
        }
    }

    /// Tells once that partitions have had no leader for longer than an election
    /// takes, and once that all have one again.
    fn leaders(&mut self, leaderless: &[PartitionId], now: Instant) {
        if leaderless.is_empty() {
            if std::mem::take(&mut self.is_told) {
                tracing::info!("every partition on this node has a leader again");
            }
            self.leaderless_since = None;
            return;
        }
        let since = *self.leaderless_since.get_or_insert(now);
        if !self.is_told && now.duration_since(since) >= ELECTION_MAX {
            self.is_told = true;
            tracing::warn!(
                partitions = list(leaderless),
                "partitions have no leader: a majority of their replicas is lost or out of reach"
            );
        }
    }
}

/// Partitions in a line, apart by commas.
pub(super) fn list(partitions: &[PartitionId]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_partition_without_a_leader_is_told_once_and_only_after_an_election_has_failed() {
        let mut watch = Watch::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let lost = vec![PartitionId(3)];
        watch.leaders(&lost, at(0));
        watch.leaders(&lost, at(4));
        assert!(!watch.is_told);
        watch.leaders(&lost, at(5));
        assert!(watch.is_told);
        watch.leaders(&[], at(6));
        assert!(!watch.is_told);
        watch.leaders(&lost, at(7));
        watch.leaders(&[], at(8));
        watch.leaders(&lost, at(12));
        assert!(!watch.is_told, "two elections are not one that failed");
    }
}
