//! How a cluster goes on that has lost the majority of a group: what is left,
//! what may be lost, and what to do about it. Never done but by an operator.
//!
//! The members that can be reached say what they hold. Each group goes on from
//! the replica whose log goes furthest, with that replica alone: it holds all
//! that any of the others knows to be committed. What only replicas had that are
//! out of reach is lost. The cluster goes on under another identity, so that
//! whoever was out of reach, and is not dead after all, is no part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::meta::{MemberState, Meta, MetaCommand};
use super::{ClusterId, GroupId, NodeId};

/// What a node holds of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The term of the last entry of its log.
    pub last_term: u64,
    /// Entries of its log, with those that were dropped.
    pub entries: u64,
    /// Keys that it has applied; of the meta group, tables.
    pub keys: u64,
    /// Who votes, as far as it knows. While that is being changed, the majorities of
    /// two sets must agree.
    pub voters: Vec<BTreeSet<NodeId>>,
}

impl Holding {
    /// Holdings of one group: the greatest holds all that the others know to be
    /// committed.
    fn rank(&self) -> (u64, u64) {
        (self.last_term, self.entries)
    }
}

/// What each node that was reached holds.
pub type Survey = BTreeMap<NodeId, BTreeMap<GroupId, Holding>>;

/// What becomes of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Its voters, of two sets those of which fewer are left,
    pub voters: usize,
    /// and how many of them were reached.
    pub reached: usize,
    /// The replica that it goes on from; `None` if there is none left, and the
    /// group begins anew with nothing in it.
    pub from: Option<NodeId>,
    /// Keys that this replica has.
    pub keys: u64,
}

impl Fate {
    /// Whether all that was acknowledged is still there.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        self.reached > self.voters / 2
    }

    /// What becomes of the group, for an operator. What it holds is called `things`.
    #[must_use]
    pub fn sentence(&self, things: &str) -> String {
        let Self { voters, reached, from, keys } = self;
        let Some(node) = from else {
            return format!(
                "{reached} of {voters} replicas in reach, all of its {things} are lost"
            );
        };
        let lost = if self.is_safe() {
            "nothing is lost"
        } else {
            "what only the others had acknowledged is lost"
        };
        format!(
            "{reached} of {voters} replicas in reach, goes on from {node} with {keys} {things}; {lost}"
        )
    }
}

/// What a recovery would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The cluster that it is about.
    pub cluster: ClusterId,
    /// Members that were not reached. They are dead from then on.
    pub lost: BTreeSet<NodeId>,
    /// What becomes of each group.
    pub fates: BTreeMap<GroupId, Fate>,
    /// Who goes on with the meta group, and with what nobody has a replica of.
    pub heir: NodeId,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// There is nothing to recover.
    #[error("nothing is to be recovered: a majority of every group is in reach")]
    Whole,
    /// The node has no cluster.
    #[error("this node is in no cluster")]
    NoCluster,
    /// Nobody has what says which tables and members there are.
    #[error("no node in reach holds the meta group; start all nodes anew")]
    NoHeir,
}

impl Plan {
    /// What is to be done about the cluster of `meta`, of which `survey` says what is left.
    ///
    /// # Errors
    /// [`NoPlan`].
    pub fn of(meta: &Meta, survey: &Survey) -> Result<Self, NoPlan> {
        let cluster = meta.founding().ok_or(NoPlan::NoCluster)?.cluster;
        let is_lost = |node: &&NodeId| !survey.contains_key(node);
        let live = meta.members().iter().filter(|(_, m)| m.state != MemberState::Dead);
        let lost = live.map(|(node, _)| node).filter(is_lost).copied().collect();
        let fates: BTreeMap<_, _> = meta
            .groups()
            .iter()
            .map(|(&id, group)| (id, fate(id, &group.target(), survey)))
            .collect();
        if fates.values().all(Fate::is_safe) {
            return Err(NoPlan::Whole);
        }
        let heir = fates.get(&GroupId::Meta).and_then(|fate| fate.from).ok_or(NoPlan::NoHeir)?;
        Ok(Self { cluster, lost, fates, heir })
    }

    /// Names the plan: one that would lose something else has another name.
    #[must_use]
    pub fn token(&self) -> String {
        let mut hasher = Xxh3::new();
        hasher.write_u128(self.cluster.0);
        for node in &self.lost {
            hasher.write_u64(node.0);
        }
        for fate in self.fates.values() {
            hasher.write_u64(fate.from.map_or(0, |node| node.0));
        }
        format!("{:016x}", hasher.digest())
    }

    /// The command that the meta group's heir begins with. The cluster's other
    /// identity is `cluster`.
    #[must_use]
    pub fn command(&self, cluster: ClusterId) -> MetaCommand {
        let heir = |fate: &Fate| fate.from.unwrap_or(self.heir);
        MetaCommand::Recover {
            cluster,
            lost: self.lost.clone(),
            heirs: self.fates.iter().map(|(&id, fate)| (id, heir(fate))).collect(),
            begins_anew: self.fates.values().any(|fate| fate.from.is_none()),
        }
    }
}

fn fate(id: GroupId, known: &BTreeSet<NodeId>, survey: &Survey) -> Fate {
    let holdings = survey.iter().filter_map(|(&node, held)| Some((node, held.get(&id)?)));
    // One that was added and has been given nothing yet is no replica to go on from.
    let best = holdings.filter(|(_, held)| held.entries > 0).max_by_key(|(_, held)| held.rank());
    let sets = best.map_or(std::slice::from_ref(known), |(_, held)| &held.voters);
    let counts = sets
        .iter()
        .map(|set| (set.len(), set.iter().filter(|node| survey.contains_key(node)).count()));
    let (voters, reached) = counts
        .min_by_key(|&(voters, reached)| (2 * reached).saturating_sub(voters))
        .unwrap_or_default();
    Fate {
        voters,
        reached,
        from: best.map(|(node, _)| node),
        keys: best.map_or(0, |(_, held)| held.keys),
    }
}
