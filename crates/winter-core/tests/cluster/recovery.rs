//! What is left after majorities were lost, and what is done about it.

use std::collections::{BTreeMap, BTreeSet};

use winter_core::cluster::meta::{MemberState, Meta, MetaCommand, MetaReply, Refusal, TableState};
use winter_core::cluster::recovery::{Holding, NoPlan, Plan, Survey};
use winter_core::cluster::{ClusterId, GroupId, NodeId};
use winter_core::command::TableOptions;

use crate::kit::at;
use crate::meta::{cluster, nodes};

/// What `node` would say: the furthest in the groups of its number's parity.
fn holdings(meta: &Meta, node: NodeId) -> BTreeMap<GroupId, Holding> {
    let voted = meta.groups().iter().filter(|(_, group)| group.voters.contains(&node));
    voted
        .map(|(&id, group)| {
            let entries = 10 + node.0;
            let voters = vec![group.voters.clone()];
            (id, Holding { last_term: 3, entries, keys: node.0, voters })
        })
        .collect()
}

fn survey(meta: &Meta, left: impl IntoIterator<Item = u64>) -> Survey {
    left.into_iter().map(|n| (NodeId(n), holdings(meta, NodeId(n)))).collect()
}

fn with_a_table() -> Meta {
    let mut meta = cluster(5, 4, 3);
    let create =
        MetaCommand::CreateTable { name: "t".to_owned(), options: TableOptions::default() };
    meta.apply(at(0), &create);
    let table = meta.table("t").expect("it was made").table;
    assert!(matches!(
        meta.apply(at(0), &MetaCommand::OpenTable(table.id)),
        MetaReply::Table { .. }
    ));
    meta
}

#[test]
fn while_every_group_has_its_majority_there_is_no_plan() {
    let meta = with_a_table();
    assert_eq!(Plan::of(&meta, &survey(&meta, 1..=5)), Err(NoPlan::Whole));
    assert_eq!(Plan::of(&meta, &survey(&meta, 1..=4)), Err(NoPlan::Whole));
    assert_eq!(Plan::of(&Meta::default(), &survey(&meta, 1..=4)), Err(NoPlan::NoCluster));
    assert_eq!(Plan::of(&meta, &Survey::new()), Err(NoPlan::NoHeir));
}

#[test]
fn while_a_group_is_being_changed_both_its_sets_need_their_majority() {
    let meta = with_a_table();
    let partition = *meta.groups().keys().next_back().expect("there are some");
    let mut survey = survey(&meta, 1..=5);
    let set = |numbers: &[u64]| numbers.iter().map(|&n| NodeId(n)).collect::<BTreeSet<_>>();
    let being_changed =
        Holding { last_term: 3, entries: 20, keys: 1, voters: vec![set(&[1, 7]), set(&[1, 2, 7])] };
    survey.get_mut(&NodeId(1)).unwrap().insert(partition, being_changed.clone());
    let fate = Plan::of(&meta, &survey).expect("node 7 is needed").fates[&partition];
    assert_eq!((fate.voters, fate.reached, fate.is_safe()), (2, 1, false));
    let held = Holding { voters: vec![set(&[1, 2]), set(&[1, 2, 7])], ..being_changed };
    survey.get_mut(&NodeId(1)).unwrap().insert(partition, held);
    assert_eq!(Plan::of(&meta, &survey), Err(NoPlan::Whole));
}

#[test]
fn each_group_goes_on_from_the_log_that_goes_furthest_and_of_the_latest_term() {
    let meta = with_a_table();
    let mut survey = survey(&meta, [2, 4]);
    let plan = Plan::of(&meta, &survey).unwrap();
    assert_eq!(plan.lost, nodes([1, 3, 5]));
    assert_eq!(plan.heir, NodeId(4));
    for (id, group) in meta.groups() {
        let left: BTreeSet<NodeId> = group.voters.intersection(&nodes([2, 4])).copied().collect();
        let fate = plan.fates[id];
        assert_eq!(fate.from, left.last().copied(), "{id}");
        assert_eq!(fate.reached, left.len());
        assert_eq!(fate.is_safe(), left.len() * 2 > group.voters.len());
    }
    // A later term wins over a longer log; its name changes with what the plan does.
    survey.get_mut(&NodeId(2)).unwrap().get_mut(&GroupId::Meta).unwrap().last_term = 4;
    let other = Plan::of(&meta, &survey).unwrap();
    assert_eq!(other.heir, NodeId(2));
    assert_ne!(plan.token(), other.token());
    // One that has been given nothing yet is nobody to go on from.
    survey.get_mut(&NodeId(2)).unwrap().get_mut(&GroupId::Meta).unwrap().entries = 0;
    assert_eq!(Plan::of(&meta, &survey).unwrap().heir, NodeId(4));
}

#[test]
fn a_recovered_cluster_is_another_one_in_which_the_lost_are_dead() {
    let mut meta = with_a_table();
    let plan = Plan::of(&meta, &survey(&meta, [2])).unwrap();
    let is_gone = |id: &GroupId| plan.fates[id].from.is_none();
    assert!(meta.groups().keys().any(is_gone), "a partition without a replica on the one left");
    let command = plan.command(ClusterId(78));
    assert_eq!(meta.apply(at(5_000), &command), MetaReply::Done);
    assert_eq!(meta.founding().unwrap().cluster, ClusterId(78));
    assert!(
        meta.groups().values().all(|group| group.voters == nodes([2]) && group.change.is_none())
    );
    for lost in [1, 3, 4, 5] {
        assert!(meta.is_gone(NodeId(lost)));
    }
    assert_eq!(meta.members()[&NodeId(2)].state, MemberState::Up);
    assert_eq!(
        meta.table("t").unwrap().state,
        TableState::Opening,
        "it has to come to new partitions"
    );
    assert!(!meta.is_as_founded());
    assert_eq!(meta.apply(at(5_000), &command), MetaReply::Already);
}

#[test]
fn a_recovery_that_names_who_is_not_left_or_not_every_group_changes_nothing() {
    let meta = with_a_table();
    let plan = Plan::of(&meta, &survey(&meta, [2, 4])).unwrap();
    let MetaCommand::Recover { cluster, lost, heirs, begins_anew } = plan.command(ClusterId(9))
    else {
        panic!("a recovery")
    };
    let mut fewer = heirs.clone();
    fewer.pop_last();
    let mut foreign = heirs.clone();
    foreign.insert(GroupId::Meta, NodeId(99));
    let mut dead = heirs;
    dead.insert(GroupId::Meta, NodeId(1));
    for heirs in [fewer, foreign, dead] {
        let (mut tried, lost) = (meta.clone(), lost.clone());
        let command = MetaCommand::Recover { cluster, lost, heirs, begins_anew };
        assert_eq!(tried.apply(at(1), &command), MetaReply::Refused(Refusal::BadRecovery));
        assert_eq!(tried, meta);
    }
}
