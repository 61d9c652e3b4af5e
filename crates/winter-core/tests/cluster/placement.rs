//! Placement comes to rest, evenly and with few moves, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use winter_core::cluster::meta::{Group, MemberState, Meta, MetaCommand, MetaReply};
use winter_core::cluster::placement::{self, META_VOTERS_MAX, Step, Why};
use winter_core::cluster::{GroupId, NodeId};

use crate::kit::at;
use crate::meta::{cluster, join};

/// What happens to a cluster.
#[derive(Clone, Debug)]
enum Event {
    Join,
    Leave(prop::sample::Index),
    Die(prop::sample::Index),
    /// So many of the plan's steps are begun.
    Plan(u8),
    /// The change under way of one of the groups ends, made or not.
    End(prop::sample::Index, bool),
}

fn an_event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Event::Join),
        2 => index().prop_map(Event::Leave),
        2 => index().prop_map(Event::Die),
        5 => any::<u8>().prop_map(Event::Plan),
        8 => (index(), any::<bool>()).prop_map(|(which, made)| Event::End(which, made)),
    ]
}

fn in_state(meta: &Meta, state: MemberState) -> BTreeSet<NodeId> {
    let is = |node: &NodeId| meta.members()[node].state == state;
    meta.members().keys().copied().filter(is).collect()
}

/// Begins steps of a plan. Every one is accepted, and loses no majority.
fn begin(meta: &mut Meta, steps: &[Step]) {
    for &Step { group, swap, why } in steps {
        let voters = meta.groups()[&group].voters.clone();
        let target = swap.target(&voters).expect("a swap of these voters");
        assert!(meta.has_majority(&voters) && meta.has_majority(&target), "{group} {why:?}");
        // Old and new voters differ by one at the most, so any two majorities meet.
        assert!(voters.difference(&target).count() <= 1 && target.difference(&voters).count() <= 1);
        let reply = meta.apply(at(0), &MetaCommand::PlanMove { group, swap });
        assert!(
            matches!(reply, MetaReply::Planned { is_new: true, .. }),
            "{group} {why:?}: {reply:?}"
        );
    }
}

fn end(meta: &mut Meta, group: GroupId, made: bool) {
    let Some(change) = meta.groups()[&group].change else { return };
    let number = change.number;
    let command = if made {
        MetaCommand::FinishMove { group, number }
    } else {
        MetaCommand::AbandonMove { group, number }
    };
    assert_eq!(meta.apply(at(0), &command), MetaReply::Done);
}

/// Groups whose change adds a member that is no longer up: their leaders give it up.
fn hopeless(meta: &Meta) -> Vec<GroupId> {
    let is_up = |node| meta.members().get(&node).is_some_and(|m| m.state == MemberState::Up);
    let added = |group: &Group| group.change.and_then(|change| change.swap.add);
    let groups = meta.groups().iter();
    let hopeless = groups.filter(|(_, group)| added(group).is_some_and(|node| !is_up(node)));
    hopeless.map(|(&group, _)| group).collect()
}

/// Does as placement says until it says nothing more: how many steps of each kind.
fn settle(meta: &mut Meta) -> BTreeMap<Why, usize> {
    let (mut steps, mut rounds) = (BTreeMap::new(), 0);
    loop {
        rounds += 1;
        assert!(rounds < 60, "placement does not come to rest: {:?}", placement::plan(meta));
        for group in hopeless(meta) {
            end(meta, group, false);
        }
        for group in meta.groups().keys().copied().collect::<Vec<_>>() {
            end(meta, group, true);
        }
        let plan = placement::plan(meta);
        if plan.is_empty() {
            return steps;
        }
        plan.iter().for_each(|step| *steps.entry(step.why).or_insert(0) += 1);
        begin(meta, &plan);
    }
}

/// Partitions that each member that is up holds.
fn loads(meta: &Meta) -> BTreeMap<NodeId, usize> {
    let mut loads: BTreeMap<_, _> =
        in_state(meta, MemberState::Up).into_iter().map(|node| (node, 0)).collect();
    for group in meta.groups().iter().filter(|(id, _)| **id != GroupId::Meta) {
        for node in &group.1.voters {
            loads.entry(*node).and_modify(|n| *n += 1);
        }
    }
    loads
}

fn spread(loads: &BTreeMap<NodeId, usize>) -> usize {
    loads.values().max().unwrap_or(&0) - loads.values().min().unwrap_or(&0)
}

/// What must hold once placement has come to rest.
fn check_rest(meta: &Meta) {
    let up = in_state(meta, MemberState::Up);
    if up.is_empty() {
        return;
    }
    let replicas = usize::from(meta.founding().expect("it was founded").replicas);
    let mut halted = 0;
    for (id, group) in meta.groups() {
        if !meta.has_majority(&group.voters) {
            halted += 1;
            continue;
        }
        assert!(group.voters.is_subset(&up), "{id}: {:?} of {up:?}", group.voters);
        let wanted = match id {
            GroupId::Data(_) => replicas.min(up.len()),
            GroupId::Meta if up.len() < 3 => up.len(),
            GroupId::Meta => META_VOTERS_MAX.min((up.len() - 1) / 2 * 2 + 1),
        };
        assert_eq!(group.voters.len(), wanted, "{id}");
    }
    if halted == 0 {
        assert!(spread(&loads(meta)) <= 1, "{:?}", loads(meta));
        assert_eq!(in_state(meta, MemberState::Dead).len(), 0, "the dead are forgotten");
    }
}

fn check_leaders(meta: &Meta) {
    let leaders = placement::leaders(meta, &BTreeMap::new());
    assert_eq!(placement::leaders(meta, &leaders), leaders, "what is good stays");
    for (group, leader) in &leaders {
        assert!(meta.groups()[group].voters.contains(leader) && meta.is_live(*leader));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn from_any_state_placement_comes_to_rest_evenly(
        founders in 1u64..7,
        partitions in 1u16..24,
        replicas in 1u8..6,
        events in proptest::collection::vec(an_event(), 0..60),
    ) {
        let mut meta = cluster(founders, partitions, replicas);
        let mut last = founders;
        for event in events {
            match event {
                Event::Join => {
                    last += 1;
                    join(&mut meta, NodeId(last));
                }
                Event::Leave(which) | Event::Die(which) => {
                    let live: Vec<NodeId> =
                        meta.members().keys().copied().filter(|&node| meta.is_live(node)).collect();
                    if !live.is_empty() {
                        let node = live[which.index(live.len())];
                        let dies = matches!(event, Event::Die(_));
                        let end = if dies { MetaCommand::Dead } else { MetaCommand::Leave };
                        meta.apply(at(0), &end(node));
                    }
                }
                Event::Plan(count) => {
                    let plan = placement::plan(&meta);
                    begin(&mut meta, &plan[..plan.len().min(usize::from(count))]);
                }
                Event::End(which, made) => {
                    let changing: Vec<GroupId> = meta
                        .groups()
                        .iter()
                        .filter(|(_, group)| group.change.is_some())
                        .map(|(&id, _)| id)
                        .collect();
                    if !changing.is_empty() {
                        end(&mut meta, changing[which.index(changing.len())], made);
                    }
                }
            }
            prop_assert!(meta.is_sound());
            check_leaders(&meta);
        }
        settle(&mut meta);
        check_rest(&meta);
    }
}

const SHAPES: [(u64, u16, u8); 9] = [
    (1, 16, 3),
    (2, 16, 3),
    (3, 16, 3),
    (4, 16, 3),
    (5, 16, 3),
    (7, 64, 3),
    (12, 256, 3),
    (6, 31, 5),
    (3, 16, 1),
];

/// A cluster that has come to rest.
fn rested(shape: (u64, u16, u8)) -> Meta {
    let mut meta = cluster(shape.0, shape.1, shape.2);
    let steps = settle(&mut meta);
    assert!(steps.keys().all(|why| *why == Why::Shrink), "{steps:?}: only the meta group shrinks");
    check_rest(&meta);
    meta
}

#[test]
fn a_founding_is_even_from_the_start() {
    for (founders, partitions, replicas) in SHAPES {
        assert!(spread(&loads(&cluster(founders, partitions, replicas))) <= 1);
    }
}

#[test]
fn a_member_that_comes_takes_its_share_and_nothing_else_moves() {
    for shape @ (members, partitions, replicas) in SHAPES {
        if members < u64::from(replicas) {
            continue;
        }
        let mut meta = rested(shape);
        join(&mut meta, NodeId(members + 1));
        let steps = settle(&mut meta);
        check_rest(&meta);
        let all = usize::from(partitions) * usize::from(replicas);
        let share = all.div_ceil(usize::try_from(members).unwrap() + 1);
        let moved = steps.get(&Why::Balance).copied().unwrap_or(0);
        assert!(moved <= share, "{shape:?}: {moved} moves for a share of {share}");
        assert_eq!(loads(&meta)[&NodeId(members + 1)], moved, "{shape:?}: each went to it");
        let others = steps.iter().filter(|(why, _)| !matches!(why, Why::Balance | Why::Grow));
        assert_eq!(others.count(), 0, "{shape:?}: {steps:?}");
        let grown = steps.get(&Why::Grow).copied().unwrap_or(0);
        assert!(grown <= 2, "{shape:?}: only the meta group grows");
    }
}

#[test]
fn groups_grow_to_the_wanted_replicas_as_members_come() {
    let mut meta = rested((1, 16, 3));
    for (member, voters) in [(2, 2), (3, 3), (4, 3)] {
        join(&mut meta, NodeId(member));
        settle(&mut meta);
        check_rest(&meta);
        assert!(meta.groups().values().all(|group| group.voters.len() == voters));
    }
}

#[test]
fn a_dead_members_replicas_are_made_anew_once_each() {
    for shape @ (members, ..) in SHAPES.into_iter().filter(|shape| shape.0 >= 3 && shape.2 >= 3) {
        for dead in 1..=members {
            let mut meta = rested(shape);
            let held = loads(&meta)[&NodeId(dead)];
            let in_meta =
                usize::from(meta.group(GroupId::Meta).unwrap().voters.contains(&NodeId(dead)));
            meta.apply(at(0), &MetaCommand::Dead(NodeId(dead)));
            let steps = settle(&mut meta);
            check_rest(&meta);
            assert_eq!(steps[&Why::Dead], held + in_meta, "{shape:?}");
            let balance = steps.get(&Why::Balance).copied().unwrap_or(0);
            assert!(balance <= held.div_ceil(8), "{shape:?}: {balance} more moves after {held}");
        }
    }
}

#[test]
fn who_leaves_is_emptied_and_the_last_one_stays_with_its_data() {
    let mut meta = rested((3, 16, 3));
    for leaving in 1..=3 {
        meta.apply(at(0), &MetaCommand::Leave(NodeId(leaving)));
        settle(&mut meta);
        check_rest(&meta);
        let holds = meta.groups().values().any(|group| group.voters.contains(&NodeId(leaving)));
        assert_eq!(holds, leaving == 3, "{leaving}");
    }
    // With somebody to take over, the last one goes too.
    join(&mut meta, NodeId(4));
    settle(&mut meta);
    check_rest(&meta);
    assert!(meta.groups().values().all(|group| group.voters == BTreeSet::from([NodeId(4)])));
}

#[test]
fn a_rolling_replacement_keeps_every_group_whole() {
    let mut meta = rested((3, 16, 3));
    for old in 1..=3 {
        join(&mut meta, NodeId(old + 3));
        meta.apply(at(0), &MetaCommand::Leave(NodeId(old)));
        settle(&mut meta);
        check_rest(&meta);
        assert!(meta.groups().values().all(|group| group.voters.len() == 3));
        assert_eq!(meta.apply(at(0), &MetaCommand::Dead(NodeId(old))), MetaReply::Done);
    }
}

#[test]
fn leaders_are_spread_evenly_and_few_of_them_change() {
    for shape @ (members, partitions, _) in SHAPES {
        let mut meta = rested(shape);
        let leaders = placement::leaders(&meta, &BTreeMap::new());
        assert_eq!(leaders.len(), usize::from(partitions) + 1);
        let count = |leaders: &BTreeMap<GroupId, NodeId>| {
            let mut led: BTreeMap<NodeId, usize> = loads(&meta).keys().map(|&n| (n, 0)).collect();
            leaders.values().for_each(|node| *led.get_mut(node).unwrap() += 1);
            led
        };
        assert!(spread(&count(&leaders)) <= 1, "{shape:?}: {:?}", count(&leaders));
        // All on one: only what it leads too many of is handed over.
        let lopsided: BTreeMap<GroupId, NodeId> =
            meta.groups().iter().map(|(&id, group)| (id, *group.voters.first().unwrap())).collect();
        let evened = placement::leaders(&meta, &lopsided);
        assert!(spread(&count(&evened)) <= 1);
        // A dead leader's groups are led by others, and nobody else's more than need be.
        if members >= 3 {
            meta.apply(at(0), &MetaCommand::Dead(NodeId(1)));
            let after = placement::leaders(&meta, &leaders);
            assert!(after.values().all(|node| *node != NodeId(1)));
            let orphans = leaders.values().filter(|node| **node == NodeId(1)).count();
            let changed = leaders.iter().filter(|(id, node)| after.get(id) != Some(node)).count();
            assert!(changed <= 2 * orphans, "{shape:?}: {changed} for {orphans}");
        }
    }
}
