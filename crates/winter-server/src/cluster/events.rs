//! Puts into the log what operators need to know of the cluster: each event
//! once, on every node that sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval};
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
    let mut revision = inner.revision.subscribe();
    let mut period = interval(PERIOD);
    loop {
        let is_due = tokio::select! {
            () = inner.stop.cancelled() => return,
            _ = period.tick() => true,
            // Who leaves an idle cluster is gone within a period.
            _ = revision.changed() => false,
        };
        let Some(meta) = inner.hosted.meta() else { continue };
        meta.machine(|machine| watch.members(machine.meta(), inner.me));
        if is_due {
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
    /// Tells whose state has changed since the last look. A newcomer learns what
    /// was before it came, which is news to nobody.
    fn members(&mut self, meta: &Meta, me: NodeId) {
        if meta.founding().is_none() || !meta.is_live(me) {
            return;
        }
        let now: BTreeMap<_, _> = meta
            .members()
            .iter()
            .map(|(&node, member)| (node, (member.state, &member.profile.attributes.name)))
            .collect();
        if let Some(before) = &self.members {
            let nodes: BTreeSet<_> = now.keys().chain(before.keys()).copied().collect();
            for node in nodes.into_iter().filter(|&node| node != me) {
                let (was, is) = (before.get(&node), now.get(&node));
                let name = is.map(|(_, name)| *name).or(was.map(|(_, name)| name));
                match News::of(was.map(|was| was.0), is.map(|is| is.0)) {
                    Some(News::Joins) => tracing::info!(%node, name, "a member joins"),
                    Some(News::IsUp) => tracing::info!(%node, name, "a member is up"),
                    Some(News::Leaves) => tracing::info!(%node, name, "a member leaves"),
                    Some(News::HasLeft) => tracing::info!(%node, name, "a member has left"),
                    Some(News::IsGone) => tracing::warn!(%node, name, "a member is gone"),
                    None => {}
                }
            }
        }
        let seen = now.into_iter().map(|(node, (state, name))| (node, (state, name.clone())));
        self.members = Some(seen.collect());
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

/// What has become of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Joins,
    IsUp,
    Leaves,
    HasLeft,
    IsGone,
}

impl News {
    /// What is to be told of a member that was in one state and is in another; in
    /// none, where the meta group knows it not.
    fn of(was: Option<MemberState>, is: Option<MemberState>) -> Option<Self> {
        if was == is {
            return None;
        }
        match (was, is) {
            (_, Some(MemberState::Joining)) => Some(Self::Joins),
            (_, Some(MemberState::Up)) => Some(Self::IsUp),
            (_, Some(MemberState::Leaving)) => Some(Self::Leaves),
            (Some(MemberState::Leaving), Some(MemberState::Dead) | None) => Some(Self::HasLeft),
            // It was told when it died.
            (Some(MemberState::Dead), None) => None,
            (_, Some(MemberState::Dead) | None) => Some(Self::IsGone),
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

    #[test]
    fn a_member_that_leaves_in_order_is_no_loss() {
        use MemberState::{Dead, Joining, Leaving, Up};
        let tells = |states: &[Option<MemberState>]| -> Vec<News> {
            states.windows(2).filter_map(|pair| News::of(pair[0], pair[1])).collect()
        };
        let leaves = [None, Some(Joining), Some(Up), Some(Leaving), Some(Dead), None];
        assert_eq!(tells(&leaves), [News::Joins, News::IsUp, News::Leaves, News::HasLeft]);
        assert_eq!(tells(&[Some(Leaving), None]), [News::HasLeft]);
        assert_eq!(tells(&[Some(Up), Some(Up), Some(Dead), None]), [News::IsGone]);
        assert_eq!(tells(&[Some(Up), None]), [News::IsGone]);
    }

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
