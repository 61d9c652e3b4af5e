//! The replicas that this node hosts, and where those of others are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::time::Instant;
use winter_core::cluster::meta::{MemberState, Meta};
use winter_core::cluster::{Address, ClusterId, GroupId, NodeId, PartitionId};
use winter_core::store::{Seed, TableId};

use super::machines::{DataMachine, MetaMachine};
use super::usage::Usage;
use crate::consensus::{self, Answer, Group, Lane, Transport, TransportError};
use crate::peers::{CallError, Channel, Peers};

/// What a node knows of who holds what, as the meta group had it last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    /// The cluster, once it is open.
    pub cluster: Option<ClusterId>,
    /// The secret of every index of it.
    pub seed: Option<Seed>,
    /// Each partition's voters, by its number.
    pub partitions: Vec<Vec<NodeId>>,
    /// The meta group's voters.
    pub meta: Vec<NodeId>,
    /// Members that are not dead, and where their peers reach them.
    pub members: BTreeMap<NodeId, (Address, MemberState)>,
}

impl Map {
    /// What `meta` says.
    pub(crate) fn of(meta: &Meta) -> Self {
        let voters = |group| {
            meta.group(group)
                .map(|group| group.voters.iter().copied().collect())
                .unwrap_or_default()
        };
        let partitions = meta.founding().map_or(0, |founding| founding.partitions);
        let live = meta.members().iter().filter(|(_, m)| m.state != MemberState::Dead);
        Self {
            cluster: meta.founding().map(|founding| founding.cluster),
            seed: meta.seed(),
            partitions: (0..partitions).map(|n| voters(GroupId::Data(PartitionId(n)))).collect(),
            meta: voters(GroupId::Meta),
            members: live
                .map(|(&node, m)| (node, (m.profile.attributes.address.clone(), m.state)))
                .collect(),
        }
    }

    /// A group's voters; none if there is no such group.
    pub(crate) fn voters(&self, group: GroupId) -> &[NodeId] {
        match group {
            GroupId::Meta => &self.meta,
            GroupId::Data(partition) => {
                self.partitions.get(usize::from(partition.0)).map_or(&[], Vec::as_slice)
            }
        }
    }

    /// The members' identities.
    pub(crate) fn nodes(&self) -> BTreeSet<NodeId> {
        self.members.keys().copied().collect()
    }
}

/// The replicas on this node.
#[derive(Default)]
pub(crate) struct Hosted {
    meta: RwLock<Option<Group<MetaMachine>>>,
    data: RwLock<BTreeMap<PartitionId, Group<DataMachine>>>,
}

impl Hosted {
    /// This node's replica of the meta group.
    pub(crate) fn meta(&self) -> Option<Group<MetaMachine>> {
        self.meta.read().clone()
    }

    /// This node's replica of a partition.
    pub(crate) fn data(&self, partition: PartitionId) -> Option<Group<DataMachine>> {
        self.data.read().get(&partition).cloned()
    }

    /// All partitions of which this node has a replica.
    pub(crate) fn all_data(&self) -> Vec<(PartitionId, Group<DataMachine>)> {
        self.data.read().iter().map(|(&partition, group)| (partition, group.clone())).collect()
    }

    /// What tables hold in the partitions that this node leads.
    pub(crate) fn led_usage(&self, tables: &[(TableId, &str)]) -> BTreeMap<u64, Usage> {
        let mut usage: BTreeMap<u64, Usage> = BTreeMap::new();
        let hosted = if tables.is_empty() { Vec::new() } else { self.all_data() };
        for (_, group) in hosted.iter().filter(|(_, group)| group.is_leader()) {
            group.machine(|machine| {
                machine.with(|replica| {
                    for &(id, name) in tables {
                        // One that is being dropped may have a namesake already.
                        let named = replica.table_by_name(name).filter(|table| table.id == id);
                        let Some(table) = named.cloned() else { continue };
                        let held = replica.partition().holdings(&table);
                        let held = Usage { entries: held.entries, bytes: held.bytes };
                        *usage.entry(id.0).or_default() += held;
                    }
                });
            });
        }
        usage
    }

    /// Hosts the meta group.
    pub(crate) fn put_meta(&self, group: Group<MetaMachine>) {
        *self.meta.write() = Some(group);
    }

    /// Lets go of the meta group.
    pub(crate) fn take_meta(&self) -> Option<Group<MetaMachine>> {
        self.meta.write().take()
    }

    /// Hosts a partition.
    pub(crate) fn put_data(&self, partition: PartitionId, group: Group<DataMachine>) {
        self.data.write().insert(partition, group);
    }

    /// Lets go of a partition.
    pub(crate) fn take_data(&self, partition: PartitionId) -> Option<Group<DataMachine>> {
        self.data.write().remove(&partition)
    }

    /// Gives a peer's message to the replica that it is for.
    pub(crate) async fn receive(
        &self,
        from: NodeId,
        group: GroupId,
        message: Bytes,
    ) -> Option<Bytes> {
        match group {
            GroupId::Meta => {
                let group = self.meta()?;
                Some(group.receive(from, message).await)
            }
            GroupId::Data(partition) => {
                let group = self.data(partition)?;
                Some(group.receive(from, message).await)
            }
        }
    }
}

/// Carries the groups' messages over the link between nodes.
pub(crate) struct Carrier(pub Peers);

impl Transport for Carrier {
    fn call(
        &self,
        to: NodeId,
        group: GroupId,
        lane: Lane,
        body: Bytes,
        deadline: Instant,
    ) -> Answer {
        let channel = match lane {
            Lane::Prompt => Channel::CONSENSUS,
            Lane::Bulk => Channel::SNAPSHOTS,
        };
        let peers = self.0.clone();
        Box::pin(async move {
            peers.call(to, channel, group, body, deadline).await.map_err(|error| match error {
                CallError::NotSent(_) => TransportError::NotSent,
                CallError::Lost(_) => TransportError::Lost,
            })
        })
    }
}

/// The limits and times of a node's groups: `memory` bytes of logs in all, of
/// which each of `partitions` and the meta group have their part. Values are no longer
/// than `value_bytes_max`, and who asks waits for `wait`.
pub(crate) fn options(
    memory: u64,
    partitions: u16,
    value_bytes_max: usize,
    wait: Duration,
) -> consensus::Options {
    let share = memory / 16 / (u64::from(partitions) + 1);
    consensus::Options {
        log_bytes_max: usize::try_from(share).unwrap_or(usize::MAX).max(LOG_BYTES_LEAST),
        // A client that is alone has one long command under way, and is never refused.
        queue_bytes_max: value_bytes_max + QUEUE_BYTES,
        commit_wait: wait,
        queue_wait: wait / 2,
        read_wait: wait / 2,
        ..consensus::Options::default()
    }
}

/// Bytes that may wait for a partition's log beside the longest value.
const QUEUE_BYTES: usize = 8 << 20;
/// A log that is shorter than this is no use: one entry fills it.
const LOG_BYTES_LEAST: usize = 64 << 10;

/// Shares a map between the many who read it.
pub(crate) type SharedMap = RwLock<Arc<Map>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_have_a_sixteenth_of_the_memory_between_them() {
        let wait = Duration::from_secs(1);
        for (memory, partitions) in [(1_u64 << 30, 16), (1 << 40, 256), (16 << 30, 1)] {
            let each = options(memory, partitions, 1, wait).log_bytes_max as u64;
            let all = each * (u64::from(partitions) + 1);
            let share = memory / 16;
            assert!((share - 256..=share).contains(&all), "{all} of {share}");
        }
        let least = options(64 << 20, 256, 1, wait).log_bytes_max;
        assert_eq!(least, LOG_BYTES_LEAST, "a log that is too short is of no use");
    }
}
