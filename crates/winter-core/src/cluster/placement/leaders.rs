//! Who should lead which group.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::cluster::meta::{Group, MemberState, Meta};
use crate::cluster::{GroupId, NodeId};

/// Who should lead each group, given who does: as evenly as the voters allow,
/// and no leadership moves that need not. Members that are up lead; where none
/// is, one that leaves. A group whose voters are all dead has no leader.
///
/// An assignment in which no chain of hand-overs takes a group from a member to
/// one that leads two fewer is the best there is (Harvey, Ladner, Lovász and
/// Tamir, *Semi-matchings*, 2006).
#[must_use]
pub fn leaders(meta: &Meta, current: &BTreeMap<GroupId, NodeId>) -> BTreeMap<GroupId, NodeId> {
    let able = meta.groups().iter().map(|(&id, group)| (id, able(meta, group)));
    let mut leading = Leading {
        able: able.filter(|(_, able)| !able.is_empty()).collect(),
        leaders: BTreeMap::new(),
        led: meta.members().keys().map(|&node| (node, BTreeSet::new())).collect(),
    };
    for (&group, &leader) in current {
        if leading.able.get(&group).is_some_and(|able| able.contains(&leader)) {
            leading.hand(group, leader);
        }
    }
    let without: Vec<GroupId> =
        leading.able.keys().filter(|group| !leading.leaders.contains_key(group)).copied().collect();
    for group in without {
        let emptiest = leading.able[&group].iter().min_by_key(|node| leading.led[node].len());
        let emptiest = *emptiest.expect("groups that nobody can lead were left out");
        leading.hand(group, emptiest);
    }
    while let Some(chain) = leading.better() {
        chain.into_iter().for_each(|(group, to)| leading.hand(group, to));
    }
    leading.leaders
}

/// The voters that may lead: the best of those that will stay.
fn able(meta: &Meta, group: &Group) -> BTreeSet<NodeId> {
    let goes = group.change.and_then(|change| change.swap.remove);
    let of = |state, may_go: bool| -> BTreeSet<NodeId> {
        let is = |node: &&NodeId| meta.members().get(node).is_some_and(|m| m.state == state);
        let stays = |node: &&NodeId| may_go || Some(**node) != goes;
        group.voters.iter().filter(is).filter(stays).copied().collect()
    };
    let choices = [(MemberState::Up, false), (MemberState::Up, true), (MemberState::Leaving, true)];
    let mut choices = choices.into_iter().map(|(state, may_go)| of(state, may_go));
    choices.find(|able| !able.is_empty()).unwrap_or_default()
}

struct Leading {
    able: BTreeMap<GroupId, BTreeSet<NodeId>>,
    leaders: BTreeMap<GroupId, NodeId>,
    led: BTreeMap<NodeId, BTreeSet<GroupId>>,
}

impl Leading {
    fn hand(&mut self, group: GroupId, to: NodeId) {
        if let Some(from) = self.leaders.insert(group, to) {
            self.led.entry(from).or_default().remove(&group);
        }
        self.led.entry(to).or_default().insert(group);
    }

    /// Hand-overs that take one group from a member to one that leads at least
    /// two fewer, perhaps by way of others.
    fn better(&self) -> Option<Vec<(GroupId, NodeId)>> {
        let mut fullest: Vec<NodeId> = self.led.keys().copied().collect();
        fullest.sort_by_key(|node| std::cmp::Reverse(self.led[node].len()));
        fullest.into_iter().find_map(|from| self.chain(from))
    }

    fn chain(&self, from: NodeId) -> Option<Vec<(GroupId, NodeId)>> {
        let most = self.led[&from].len();
        // How each member was come to: from whom, and with which group.
        let mut come: BTreeMap<NodeId, (NodeId, GroupId)> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            if self.led[&node].len() + 2 <= most {
                return Some(path(&come, from, node));
            }
            for &group in &self.led[&node] {
                for &next in &self.able[&group] {
                    if next != from && !come.contains_key(&next) {
                        come.insert(next, (node, group));
                        queue.push_back(next);
                    }
                }
            }
        }
        None
    }
}

fn path(
    come: &BTreeMap<NodeId, (NodeId, GroupId)>,
    from: NodeId,
    mut node: NodeId,
) -> Vec<(GroupId, NodeId)> {
    let mut chain = Vec::new();
    while node != from {
        let (before, group) = come[&node];
        chain.push((group, node));
        node = before;
    }
    chain
}
