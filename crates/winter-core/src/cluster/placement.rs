//! Which members should hold which group: what to change next.
//!
//! Pure: members and the map in, changes out. Whoever leads the meta group asks
//! again whenever either has changed, proposes what it is told, and as much of
//! it at a time as it likes: any beginning of a plan is a good plan.
//!
//! In the order of urgency, and never more than one change of a group:
//!
//! 1. The dead are replaced, or let go of when there are enough without them.
//! 2. Groups that are short of voters get one.
//! 3. Those who leave are replaced, or let go of.
//! 4. Groups that have more voters than are wanted lose one.
//! 5. Counting all of that as done, replicas go from the fullest member to the
//!    emptiest until no two differ by more than one. None goes to a member that
//!    will have to give one away, so nothing moves that need not.
//!
//! What is wanted is as many replicas as the cluster was founded with, or as
//! there are members that are up. The meta group wants three voters, or five
//! where there are five members; with fewer than three, all: a second copy is
//! worth more there than an odd number.
//!
//! A group most of whose voters are dead is left alone: nothing it is asked to
//! do would come about, and only people can say what to give up.

mod leaders;

use std::collections::{BTreeMap, BTreeSet};

pub use leaders::leaders;

use super::meta::{MemberState, Meta, Swap};
use super::{GroupId, NodeId, PartitionId};

/// Most voters of the meta group.
pub const META_VOTERS_MAX: usize = 5;

/// Why a group changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A voter is dead.
    Dead,
    /// It is short of voters.
    Grow,
    /// A voter leaves.
    Leaving,
    /// It has more voters than are wanted.
    Shrink,
    /// One member holds more than another.
    Balance,
}

impl Why {
    /// The reason in a word, for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Grow => "grow",
            Self::Leaving => "leaving",
            Self::Shrink => "shrink",
            Self::Balance => "balance",
        }
    }
}

/// A change to be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose voters.
    pub group: GroupId,
    /// What changes.
    pub swap: Swap,
    /// Why.
    pub why: Why,
}

/// The first voters of every group of a cluster that `founders` found. The meta
/// group's are all of them: it exists before there is anything to place.
#[must_use]
pub fn found(
    founders: &BTreeSet<NodeId>,
    partitions: u16,
    replicas: u8,
) -> BTreeMap<GroupId, BTreeSet<NodeId>> {
    let mut load: BTreeMap<NodeId, usize> = founders.iter().map(|&node| (node, 0)).collect();
    let mut groups = BTreeMap::from([(GroupId::Meta, founders.clone())]);
    for partition in (0..partitions).map(PartitionId) {
        let group = GroupId::Data(partition);
        let mut voters = BTreeSet::new();
        for _ in 0..replicas {
            let Some(node) = emptiest(&load, group, &voters) else { break };
            *load.entry(node).or_default() += 1;
            voters.insert(node);
        }
        groups.insert(group, voters);
    }
    groups
}

/// What to change now, the most urgent first. Empty when all is as it should
/// be, or waits for changes that are under way.
#[must_use]
pub fn plan(meta: &Meta) -> Vec<Step> {
    let mut plan = Plan::new(meta);
    // Without a member that is up there is nowhere to go, and what is left stays.
    if plan.load.is_empty() {
        return Vec::new();
    }
    for pass in [Plan::drop_dead, Plan::grow, Plan::drop_leaving, Plan::shrink] {
        for group in plan.idle() {
            if let Some((swap, why)) = pass(&plan, group) {
                plan.take(Step { group, swap, why });
            }
        }
    }
    plan.balance();
    plan.steps
}

/// A plan in the making.
struct Plan<'m> {
    meta: &'m Meta,
    replicas: usize,
    /// Every group's voters once what is under way, and what is planned, is done.
    targets: BTreeMap<GroupId, BTreeSet<NodeId>>,
    /// Groups that may still be changed.
    free: BTreeSet<GroupId>,
    /// Partitions that each member that is up holds, by the targets.
    load: BTreeMap<NodeId, usize>,
    steps: Vec<Step>,
}

impl<'m> Plan<'m> {
    fn new(meta: &'m Meta) -> Self {
        let up = meta.members().iter().filter(|(_, member)| member.state == MemberState::Up);
        let mut load: BTreeMap<NodeId, usize> = up.map(|(&node, _)| (node, 0)).collect();
        let groups = meta.groups().iter().filter(|(_, group)| meta.has_majority(&group.voters));
        let targets: BTreeMap<_, _> =
            groups.clone().map(|(&id, group)| (id, group.target())).collect();
        let idle = groups.filter(|(_, group)| group.change.is_none());
        let free = idle.map(|(&id, _)| id).collect();
        // Groups without a majority count too: they may come back.
        for (_, group) in meta.groups().iter().filter(|(id, _)| **id != GroupId::Meta) {
            for node in group.target() {
                load.entry(node).and_modify(|n| *n += 1);
            }
        }
        let replicas = meta.founding().map_or(0, |founding| usize::from(founding.replicas));
        Self { meta, replicas, targets, free, load, steps: Vec::new() }
    }

    fn idle(&self) -> Vec<GroupId> {
        self.free.iter().copied().collect()
    }

    /// How many voters the group should have.
    fn wanted(&self, group: GroupId) -> usize {
        let up = self.load.len();
        match group {
            GroupId::Data(_) => up.min(self.replicas),
            GroupId::Meta if up < 3 => up,
            GroupId::Meta => (up - 1 + up % 2).min(META_VOTERS_MAX),
        }
    }

    fn is_in(&self, node: NodeId, state: MemberState) -> bool {
        // One that nobody knows is no better than dead.
        let found = self.meta.members().get(&node).map_or(MemberState::Dead, |m| m.state);
        found == state
    }

    fn drop_dead(&self, group: GroupId) -> Option<(Swap, Why)> {
        Some((self.without(group, MemberState::Dead)?, Why::Dead))
    }

    fn drop_leaving(&self, group: GroupId) -> Option<(Swap, Why)> {
        Some((self.without(group, MemberState::Leaving)?, Why::Leaving))
    }

    /// A swap that rids the group of a voter in `state`.
    fn without(&self, group: GroupId, state: MemberState) -> Option<Swap> {
        let voters = &self.targets[&group];
        let remove = *voters.iter().find(|&&node| self.is_in(node, state))?;
        let up = voters.iter().filter(|node| self.load.contains_key(node)).count();
        let add = if up < self.wanted(group) {
            Some(emptiest(&self.load, group, voters).expect("more are up than are voters"))
        } else {
            None
        };
        Some(Swap { add, remove: Some(remove) })
    }

    fn grow(&self, group: GroupId) -> Option<(Swap, Why)> {
        let voters = &self.targets[&group];
        if voters.len() >= self.wanted(group) {
            return None;
        }
        let add = emptiest(&self.load, group, voters)?;
        Some((Swap { add: Some(add), remove: None }, Why::Grow))
    }

    fn shrink(&self, group: GroupId) -> Option<(Swap, Why)> {
        let voters = &self.targets[&group];
        if voters.len() <= self.wanted(group) {
            return None;
        }
        let up = voters.iter().filter_map(|&node| Some((*self.load.get(&node)?, node)));
        let remove = up.max_by_key(|&(load, node)| (load, mix(group, node)))?.1;
        Some((Swap { add: None, remove: Some(remove) }, Why::Shrink))
    }

    /// Evens out what members hold.
    fn balance(&mut self) {
        while let Some(step) = self.level() {
            self.take(step);
        }
    }

    /// One replica from a fuller member to an emptier one, the greatest difference first.
    fn level(&self) -> Option<Step> {
        let mut by_load: Vec<(usize, NodeId)> = self.load.iter().map(|(&n, &l)| (l, n)).collect();
        by_load.sort_unstable();
        for &(most, remove) in by_load.iter().rev() {
            for &(_, add) in by_load.iter().take_while(|(least, _)| least + 2 <= most) {
                let is_movable = |group: &&GroupId| {
                    let voters = &self.targets[*group];
                    **group != GroupId::Meta && voters.contains(&remove) && !voters.contains(&add)
                };
                let movable = self.free.iter().filter(is_movable);
                if let Some(&group) = movable.min_by_key(|group| mix(**group, add)) {
                    let swap = Swap { add: Some(add), remove: Some(remove) };
                    return Some(Step { group, swap, why: Why::Balance });
                }
            }
        }
        None
    }

    /// Counts a step as done.
    fn take(&mut self, step: Step) {
        let target = step.swap.target(&self.targets[&step.group]);
        let target = target.expect("steps are made of the voters");
        if !self.meta.has_majority(&target) {
            return;
        }
        if step.group != GroupId::Meta {
            if let Some(load) = step.swap.add.and_then(|node| self.load.get_mut(&node)) {
                *load += 1;
            }
            if let Some(load) = step.swap.remove.and_then(|node| self.load.get_mut(&node)) {
                *load -= 1;
            }
        }
        self.targets.insert(step.group, target);
        self.free.remove(&step.group);
        self.steps.push(step);
    }
}

/// The member that holds the least and is none of `voters`. Among equals each
/// group goes its own way, so that what one member holds is spread over all others.
fn emptiest(
    load: &BTreeMap<NodeId, usize>,
    group: GroupId,
    voters: &BTreeSet<NodeId>,
) -> Option<NodeId> {
    let others = load.iter().filter(|(node, _)| !voters.contains(node));
    others.min_by_key(|&(&node, &load)| (load, mix(group, node))).map(|(&node, _)| node)
}

/// A number that looks random and is always the same: splitmix64's last step.
fn mix(group: GroupId, node: NodeId) -> u64 {
    let group = match group {
        GroupId::Meta => 0,
        GroupId::Data(partition) => u64::from(partition.0) + 1,
    };
    let mut z = node.0 ^ group.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
