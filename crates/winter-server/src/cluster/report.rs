//! What people see of the cluster: `CLUSTER`, `INFO` and readiness.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use winter_core::cluster::meta::{Group, Member, MemberState, Meta};
use winter_core::cluster::{GroupId, NodeId, PartitionId};
use winter_core::time::Timestamp;

use super::events::list;
use super::figures::{is_short, lag, unapplied, word};
use super::{Cluster, Inner};
use crate::consensus::Role;

/// Another cluster that was not met for so long is gone.
const RIVAL_STAYS: Duration = Duration::from_secs(60);

impl Cluster {
    /// The lines of `CLUSTER`: the cluster, how it is, this node, all nodes, all
    /// partitions.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let inner = &self.0;
        let mut lines = vec![self.headline(), format!("state {}", self.state()), self.here()];
        if let Some(meta) = inner.hosted.meta() {
            meta.machine(|machine| {
                let meta = machine.meta();
                if meta.founding().is_some() {
                    let leaders = inner.leaders_of(meta);
                    lines.extend(inner.nodes(meta, &leaders));
                    lines.extend(inner.partitions(meta, &leaders));
                }
            });
        }
        lines
    }

    fn headline(&self) -> String {
        let Some(meta) = self.0.hosted.meta() else { return "cluster none".to_owned() };
        let status = meta.status();
        let leader = name(self.0.leader_of(&status));
        meta.machine(|machine| {
            let meta = machine.meta();
            let Some(founding) = meta.founding() else { return "cluster none".to_owned() };
            format!(
                "cluster {} age {} nodes {} partitions {} replicas {} tables {} meta_leader {leader} meta_term {}",
                founding.cluster,
                self.0.age(founding.at),
                meta.members().values().filter(|m| m.state != MemberState::Dead).count(),
                founding.partitions,
                founding.replicas,
                meta.table_names().count(),
                status.term,
            )
        })
    }

    /// What is wrong with the cluster, as far as this node sees, or `ok`.
    #[must_use]
    pub fn state(&self) -> String {
        let inner = &self.0;
        if let Some(why) = self.estranged() {
            return why;
        }
        let leaderless = inner.leaderless();
        if !leaderless.is_empty() {
            return format!(
                "partitions {} have no leader: a majority of their replicas is lost or out of reach",
                list(&leaderless)
            );
        }
        let Some(meta) = inner.hosted.meta() else { return "ok".to_owned() };
        let short: Vec<PartitionId> = meta.machine(|machine| {
            let meta = machine.meta();
            let groups = meta.groups().iter().filter(|(_, group)| is_short(meta, group));
            groups.filter_map(|(id, _)| partition(*id)).collect()
        });
        if short.is_empty() {
            return "ok".to_owned();
        }
        format!("partitions {} are being given replicas", list(&short))
    }

    /// This node's part.
    fn here(&self) -> String {
        let figures = self.figures();
        let groups = self.groups();
        format!(
            "self {} ready {} waits_for {} hosts {} leads {} peers_connected {} lag {} log_bytes {} elections {} leader_changes {} forwarded {} snapshots_sent {} snapshots_received {}",
            self.0.me,
            if self.unready().is_none() { "yes" } else { "no" },
            figures.waits_for,
            figures.hosted,
            figures.led,
            figures.connected,
            figures.lag_entries,
            figures.log_bytes,
            groups.elections.read(),
            groups.leader_changes.read(),
            self.counters().forwarded.read(),
            groups.snapshots_sent.read(),
            groups.snapshots_received.read(),
        )
    }

    /// The fields of `INFO cluster`.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let figures = self.figures();
        let id = self.0.map().cluster.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let up = figures.members.iter().find(|(state, _)| *state == word(MemberState::Up));
        vec![
            ("cluster_id", id),
            ("cluster_node", self.0.me.to_string()),
            ("cluster_state", self.state()),
            ("cluster_waits_for", figures.waits_for.into()),
            ("cluster_members", figures.members.iter().map(|(_, n)| n).sum::<u64>().to_string()),
            ("cluster_members_up", up.map_or(0, |(_, n)| *n).to_string()),
            ("cluster_peers_connected", figures.connected.to_string()),
            ("cluster_partitions", figures.partitions.to_string()),
            ("cluster_partitions_hosted", figures.hosted.to_string()),
            ("cluster_partitions_led", figures.led.to_string()),
            ("cluster_partitions_leaderless", figures.leaderless.to_string()),
            ("cluster_partitions_short", figures.short.to_string()),
            ("cluster_changes", figures.changes.to_string()),
            ("cluster_lag_entries", figures.lag_entries.to_string()),
            ("cluster_log_bytes", figures.log_bytes.to_string()),
            ("cluster_elections", self.groups().elections.read().to_string()),
            ("cluster_leader_changes", self.groups().leader_changes.read().to_string()),
        ]
    }

    /// Why this node is not ready, if it is not.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        let inner = &self.0;
        if let Some(why) = self.estranged() {
            return Some(why);
        }
        let meta = inner.hosted.meta()?;
        let is_new = !inner.life.lock().is_settled;
        let waits = |meta: &Meta| inner.waits_for_replica(meta, is_new);
        if let Some(short) = meta.machine(|machine| waits(machine.meta())) {
            return Some(format!("partition {short} is short of replicas"));
        }
        inner.life.lock().is_settled = true;
        let leaderless = inner.leaderless();
        let first = leaderless.first()?;
        Some(format!("partition {first} has no leader"))
    }

    /// Why this node is no part of one whole cluster, if it is not.
    fn estranged(&self) -> Option<String> {
        let inner = &self.0;
        let rival = inner.rival.lock().clone().filter(|(at, _)| at.elapsed() < RIVAL_STAYS);
        if let Some((_, rival)) = rival {
            return Some(format!("another cluster of this application was met: {rival}"));
        }
        let wait = || Some(inner.founding.lock().waits().to_string());
        let Some(meta) = inner.hosted.meta() else { return wait() };
        let (me, up) = meta.machine(|machine| {
            let members = machine.meta().members();
            let is_up = |member: &Member| member.state == MemberState::Up;
            let up = members.iter().filter(|(_, member)| is_up(member)).map(|(&node, _)| node);
            (members.get(&inner.me).map(|member| member.state), up.collect::<Vec<_>>())
        });
        match me {
            None => wait(),
            Some(MemberState::Up) if !inner.life.lock().hears_most(&up) => {
                Some("most of the members are out of reach".to_owned())
            }
            Some(MemberState::Up) if inner.leader_of(&meta.status()).is_some() => None,
            Some(MemberState::Up) => Some(
                "the meta group has no leader: a majority of its nodes is lost or out of reach"
                    .to_owned(),
            ),
            Some(state) => Some(format!("this member is {}", word(state))),
        }
    }
}

impl Inner {
    /// A partition that keeps this node from being ready: one that it should host
    /// and does not; or, for a node that was never ready before, any that is
    /// short of replicas, or has one on a member that is missed: nobody may hold
    /// that for dead yet. Nodes that were ready stay so while others are rebuilt:
    /// clients need somebody to talk to.
    fn waits_for_replica(&self, meta: &Meta, is_new: bool) -> Option<PartitionId> {
        let is_missed = |node: &NodeId| !self.life.lock().hears(node);
        let is_waiting = |id: PartitionId, group: &Group| {
            let should_host = group.voters.contains(&self.me);
            let is_whole = || !is_short(meta, group) && !group.voters.iter().any(is_missed);
            (should_host && self.hosted.data(id).is_none()) || (is_new && !is_whole())
        };
        let groups = meta.groups().iter().filter_map(|(id, group)| Some((partition(*id)?, group)));
        groups.into_iter().find(|(id, group)| is_waiting(*id, group)).map(|(id, _)| id)
    }

    /// Who leads each partition, as far as is known here.
    fn leaders_of(&self, meta: &Meta) -> BTreeMap<PartitionId, NodeId> {
        let partitions = meta.groups().keys().filter_map(|id| partition(*id));
        partitions.filter_map(|id| Some((id, self.leader_of_partition(id)?))).collect()
    }

    fn age(&self, since: Timestamp) -> String {
        let millis = self.node.clock.now().as_millis().saturating_sub(since.as_millis());
        format!("{}s", millis / 1_000)
    }

    fn nodes(&self, meta: &Meta, leaders: &BTreeMap<PartitionId, NodeId>) -> Vec<String> {
        let line = |(node, member): (&NodeId, &_)| {
            let member: &winter_core::cluster::meta::Member = member;
            let holds = |group: &&Group| group.voters.contains(node);
            let hosts = meta.groups().iter().filter(|(id, _)| partition(**id).is_some());
            format!(
                "node {node} name {} state {} age {} heard {} leads {} hosts {} peers {} clients {}",
                member.profile.attributes.name,
                word(member.state),
                self.age(member.since),
                self.heard_ago(*node),
                leaders.values().filter(|leader| *leader == node).count(),
                hosts.map(|(_, group)| group).filter(holds).count(),
                member.profile.attributes.address,
                member.profile.client_address,
            )
        };
        meta.members().iter().map(line).collect()
    }

    fn heard_ago(&self, node: NodeId) -> String {
        if node == self.me {
            return "0s".to_owned();
        }
        let silence = self.life.lock().silence(node);
        silence.map_or_else(|| "never".to_owned(), |silence| format!("{}s", silence.as_secs()))
    }

    fn partitions(&self, meta: &Meta, leaders: &BTreeMap<PartitionId, NodeId>) -> Vec<String> {
        let mut lines = Vec::new();
        for (&id, group) in meta.groups() {
            let Some(id) = partition(id) else { continue };
            let replicas: Vec<String> = group.voters.iter().map(ToString::to_string).collect();
            let leader = name(leaders.get(&id).copied());
            let mut line =
                format!("partition {id} leader {leader} replicas {}", replicas.join(","));
            if let Some(held) = self.hosted.data(id) {
                let status = held.status();
                // Strings take all that is written to them.
                let _ = match status.role {
                    Role::Leader => write!(line, " lag {}", lag(&status)),
                    _ => write!(line, " unapplied {}", unapplied(&status)),
                };
                let (term, applied, bytes) = (status.term, status.applied, status.log_bytes);
                let _ = write!(line, " term {term} applied {applied} log_bytes {bytes}");
            }
            let change = group.change.map(|change| change.swap);
            let parts = [
                ("adds", change.and_then(|swap| swap.add)),
                ("removes", change.and_then(|swap| swap.remove)),
            ];
            for (word, node) in parts {
                let _ = node.map(|node| write!(line, " {word} {node}"));
            }
            lines.push(line);
        }
        lines
    }
}

fn name(node: Option<NodeId>) -> String {
    node.map_or_else(|| "none".to_owned(), |node| node.to_string())
}

const fn partition(group: GroupId) -> Option<PartitionId> {
    match group {
        GroupId::Meta => None,
        GroupId::Data(partition) => Some(partition),
    }
}
