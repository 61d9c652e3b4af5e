//! The cluster in numbers, as this node knows them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use winter_core::cluster::meta::{Group, MemberState, Meta};
use winter_core::cluster::{GroupId, NodeId, PartitionId};
use winter_core::store::partition::Holdings;
use winter_core::store::slice::Reclaimed;
use winter_core::store::{self, TableId};

use super::{Cluster, Inner};
use crate::consensus::{self, Role, Status};
use crate::node::table::Tally;
use crate::node::{Survey, Table};
use crate::peers::Link;

/// Who has not been heard of for so long leads nothing, as far as is known here.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Tables that are looked at under one lock.
const SLOTS_AT_ONCE: u32 = 1_024;

/// Every state of a member.
const STATES: [MemberState; 4] =
    [MemberState::Joining, MemberState::Up, MemberState::Leaving, MemberState::Dead];

/// What a node knows of its cluster at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Members by state; the dead among them are those whom a group still counts.
    pub members: [(&'static str, u64); STATES.len()],
    /// What this node waits for: one of [`Wait::LABELS`](winter_core::cluster::founding::Wait::LABELS).
    pub waits_for: &'static str,
    /// Partitions of the cluster.
    pub partitions: u64,
    /// Of these, those of which this node has a replica,
    pub hosted: u64,
    /// and those that it leads,
    pub led: u64,
    /// and those of which it has a replica, and nobody leads them.
    pub leaderless: u64,
    /// Partitions of the cluster with fewer replicas than they could have.
    pub short: u64,
    /// Changes of replicas that are under way in the cluster.
    pub changes: u64,
    /// The most entries that any replica has to go, of a partition that this node leads.
    pub lag_entries: u64,
    /// The most entries that a replica on this node has and has not applied.
    pub unapplied_entries: u64,
    /// Bytes of the logs on this node.
    pub log_bytes: u64,
    /// Bytes that one log may have.
    pub log_bytes_max: u64,
    /// Peers to which this node has a connection.
    pub connected: u64,
}

impl Cluster {
    /// The cluster as this node knows it now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let inner = &self.0;
        let mut figures = Figures {
            members: STATES.map(|state| (word(state), 0)),
            waits_for: inner.founding.lock().waits().label(),
            log_bytes_max: inner.group_options().log_bytes_max as u64,
            ..Figures::default()
        };
        if let Some(meta) = inner.hosted.meta() {
            figures.log_bytes += meta.status().log_bytes as u64;
            meta.machine(|machine| figures.count(machine.meta()));
        }
        for (_, group) in inner.hosted.all_data() {
            let status = group.status();
            figures.hosted += 1;
            figures.led += u64::from(status.role == Role::Leader);
            figures.leaderless += u64::from(inner.leader_of(&status).is_none());
            figures.lag_entries = figures.lag_entries.max(lag(&status));
            figures.unapplied_entries = figures.unapplied_entries.max(unapplied(&status));
            figures.log_bytes += status.log_bytes as u64;
        }
        let link = |node: &NodeId| inner.peers().link(*node);
        let links = inner.map().nodes();
        let is_up = |node: &&NodeId| matches!(link(node), Some(Link::Connected { .. }));
        figures.connected = links.iter().filter(is_up).count() as u64;
        figures
    }

    /// What the groups on this node count.
    #[must_use]
    pub fn groups(&self) -> &consensus::Counters {
        &self.0.groups
    }

    /// What the replicas on this node hold of each table.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let mut tables: BTreeMap<TableId, (store::Table, Holdings, Tally)> = BTreeMap::new();
        if let Some(meta) = self.0.hosted.meta() {
            meta.machine(|machine| {
                for known in machine.meta().tables() {
                    let (id, slot) = (known.table.id, known.table.slot);
                    let core = store::Table::new(id, slot, &known.name, known.options);
                    tables.insert(id, (core, Holdings::default(), Tally::default()));
                }
            });
        }
        let slots = tables.values().map(|(table, ..)| table.slot + 1).max().unwrap_or(0);
        let mut reclaimed = Reclaimed::default();
        let knows_tables = self.0.hosted.meta().is_some();
        let stands = |id| tables.contains_key(&id) || !knows_tables;
        let (past, mut gone) = self.0.host.past.lock().tallies(stands);
        let groups: Vec<_> = self.0.hosted.all_data().into_iter().map(|(_, group)| group).collect();
        let held = groups.iter().map(|group| group.machine(|m| m.supervision().tallies()));
        for (id, tally) in past.into_iter().chain(held.flatten()) {
            *tables.get_mut(&id).map_or(&mut gone, |(_, _, sum)| sum) += tally;
        }
        for group in groups {
            let mut first = 0;
            loop {
                group.machine(|machine| {
                    machine.with(|replica| {
                        let partition = replica.partition();
                        if first == 0 {
                            reclaimed += partition.reclaimed();
                        }
                        for ((_, id), held) in partition.holdings_from(first, SLOTS_AT_ONCE) {
                            if let Some((_, sum, _)) = tables.get_mut(&id) {
                                *sum += held;
                            }
                        }
                    });
                });
                first += SLOTS_AT_ONCE;
                if first >= slots {
                    break;
                }
            }
        }
        let shown = |(core, held, tally)| (Arc::new(Table::counted(core, tally)), held);
        let mut tables: Vec<_> = tables.into_values().map(shown).collect();
        tables.sort_by(|(one, _), (other, _)| one.core.name.cmp(&other.core.name));
        Survey { tables, gone, reclaimed }
    }
}

impl Figures {
    fn count(&mut self, meta: &Meta) {
        for member in meta.members().values() {
            self.members[member.state as usize].1 += 1;
        }
        self.partitions = meta.founding().map_or(0, |founding| u64::from(founding.partitions));
        for (id, group) in meta.groups() {
            self.changes += u64::from(group.change.is_some());
            self.short += u64::from(matches!(id, GroupId::Data(_)) && is_short(meta, group));
        }
    }
}

impl Inner {
    /// Who leads a group, by its replica here: whoever it names and was heard of
    /// lately. A replica that is cut off goes on naming the last that it knew.
    pub(super) fn leader_of(&self, status: &Status) -> Option<NodeId> {
        if status.role == Role::Leader {
            let is_confirmed = status.quorum_age.is_some_and(|age| age < SILENCE_MAX);
            return (is_confirmed || status.voters().len() == 1).then_some(self.me);
        }
        status.leader.filter(|&leader| self.is_heard(leader))
    }

    /// Who leads a partition, by a replica of it here or by what others have said.
    pub(super) fn leader_of_partition(&self, partition: PartitionId) -> Option<NodeId> {
        match self.hosted.data(partition) {
            Some(held) => self.leader_of(&held.status()),
            None => self.leaders.of(GroupId::Data(partition)).filter(|&node| self.is_heard(node)),
        }
    }

    pub(super) fn is_heard(&self, node: NodeId) -> bool {
        node == self.me || self.life.lock().silence(node).is_some_and(|silent| silent < SILENCE_MAX)
    }
}

/// Whether a group has fewer voters that are to stay than there could be.
pub(super) fn is_short(meta: &Meta, group: &Group) -> bool {
    let is_up = |node| meta.members().get(node).is_some_and(|m| m.state == MemberState::Up);
    let up = meta.members().keys().filter(|&node| is_up(node)).count();
    let wanted = meta.founding().map_or(0, |founding| usize::from(founding.replicas)).min(up);
    group.voters.iter().filter(|&node| is_up(node)).count() < wanted
}

/// How many entries the slowest replica of a group has to go, on its leader.
pub(super) fn lag(status: &Status) -> u64 {
    status.lags.values().flatten().copied().max().unwrap_or(0)
}

/// How many entries a replica has and has not applied.
pub(super) const fn unapplied(status: &Status) -> u64 {
    status.entries.saturating_sub(status.applied)
}

/// A state's word.
pub(super) const fn word(state: MemberState) -> &'static str {
    match state {
        MemberState::Joining => "joining",
        MemberState::Up => "up",
        MemberState::Leaving => "leaving",
        MemberState::Dead => "dead",
    }
}
