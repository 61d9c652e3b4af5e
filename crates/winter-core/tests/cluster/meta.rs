//! The meta group's state holds together whatever it is asked.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use winter_core::cluster::meta::{
    FORMAT, MemberState, Meta, MetaCommand, MetaReply, PackFault, Profile, Refusal, SnapshotFault,
    Swap, TableState, pack, unpack,
};
use winter_core::cluster::{Attributes, ClusterId, GroupId, NodeId, PartitionId, placement};
use winter_core::command::TableOptions;
use winter_core::limits::TABLES_MAX;
use winter_core::store::TableId;

use crate::kit::{at, some_options};

pub(crate) fn profile(node: NodeId) -> Profile {
    let address = |port: u16| format!("winter-{}:{port}", node.0).parse().expect("an address");
    let attributes = Attributes { address: address(6062), name: format!("winter-{}", node.0) };
    Profile { attributes, client_address: address(6060), format: FORMAT }
}

pub(crate) fn nodes(ids: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    ids.into_iter().map(NodeId).collect()
}

pub(crate) fn founding(members: &BTreeSet<NodeId>, partitions: u16, replicas: u8) -> MetaCommand {
    MetaCommand::Found {
        cluster: ClusterId(77),
        partitions,
        replicas,
        secret: (1, 2),
        format: FORMAT,
        members: members.iter().map(|&node| (node, profile(node))).collect(),
        groups: placement::found(members, partitions, replicas),
    }
}

/// A cluster of the members 1 to `n`.
pub(crate) fn cluster(n: u64, partitions: u16, replicas: u8) -> Meta {
    let mut meta = Meta::default();
    let found = founding(&nodes(1..=n), partitions, replicas);
    assert_eq!(meta.apply(at(1_000), &found), MetaReply::Done);
    meta
}

pub(crate) fn join(meta: &mut Meta, node: NodeId) {
    let join = MetaCommand::Join { node, profile: profile(node) };
    assert_eq!(meta.apply(at(0), &join), MetaReply::Done);
    assert_eq!(meta.apply(at(0), &MetaCommand::Ready(node)), MetaReply::Done);
}

const fn group(number: u16) -> GroupId {
    GroupId::Data(PartitionId(number))
}

fn a_node() -> impl Strategy<Value = NodeId> {
    (1u64..9).prop_map(NodeId)
}

fn a_group() -> impl Strategy<Value = GroupId> {
    prop_oneof![Just(GroupId::Meta), (0u16..5).prop_map(group)]
}

fn a_table() -> impl Strategy<Value = TableId> {
    (1u64..12).prop_map(TableId)
}

fn a_command() -> impl Strategy<Value = MetaCommand> {
    let some_node = || proptest::option::of(a_node());
    prop_oneof![
        2 => (2u64..5, 1u16..5, 1u8..4).prop_map(|(n, p, r)| founding(&nodes(1..n), p, r)),
        3 => (a_node(), 0u8..9).prop_map(|(node, odd)| {
            let mut profile = profile(node);
            if odd == 0 {
                profile.format = 0;
            }
            MetaCommand::Join { node, profile }
        }),
        3 => a_node().prop_map(MetaCommand::Ready),
        1 => a_node().prop_map(MetaCommand::Leave),
        1 => a_node().prop_map(MetaCommand::Dead),
        1 => (0u16..3).prop_map(MetaCommand::RaiseFormat),
        4 => ("[a-d ]", some_options())
            .prop_map(|(name, options)| MetaCommand::CreateTable { name, options }),
        2 => a_table().prop_map(MetaCommand::OpenTable),
        3 => a_table().prop_map(MetaCommand::DropTable),
        3 => a_table().prop_map(MetaCommand::ReleaseTable),
        1 => a_table().prop_map(MetaCommand::ReviveTable),
        5 => (a_group(), some_node(), some_node())
            .prop_map(|(group, add, remove)| MetaCommand::PlanMove { group, swap: Swap { add, remove } }),
        4 => (a_group(), 1u64..9).prop_map(|(group, number)| MetaCommand::FinishMove { group, number }),
        2 => (a_group(), 1u64..9).prop_map(|(group, number)| MetaCommand::AbandonMove { group, number }),
        1 => (77u128..81, a_node(), a_node(), any::<bool>()).prop_map(|(id, lost, heir, begins_anew)| {
            let groups = (0..4).map(group).chain([GroupId::Meta]);
            let heirs = groups.map(|id| (id, heir)).collect();
            let lost = [lost].into();
            MetaCommand::Recover { cluster: ClusterId(id), lost, heirs, begins_anew }
        }),
        1 => (0u8..9).prop_map(|odd| {
            if odd == 0 { MetaCommand::Dissolve(ClusterId(99)) } else { MetaCommand::Ready(NodeId(1)) }
        }),
    ]
}

/// Whether the reply says that something changed.
fn changed(reply: MetaReply) -> bool {
    match reply {
        MetaReply::Done => true,
        MetaReply::Already | MetaReply::Refused(_) => false,
        MetaReply::Table { is_new, .. } | MetaReply::Planned { is_new, .. } => is_new,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_state_holds_together_whatever_it_is_asked(
        commands in proptest::collection::vec((0u64..5_000, a_command()), 1..200),
        begins in prop_oneof![1 => Just(None), 4 => (2u64..5, 1u8..4).prop_map(Some)],
    ) {
        let begins = begins.map(|(members, replicas)| founding(&nodes(1..=members), 4, replicas));
        let commands: Vec<_> = begins.map(|found| (9, found)).into_iter().chain(commands).collect();
        let mut meta = Meta::default();
        let mut log = Vec::new();
        let mut slots: BTreeMap<TableId, u32> = BTreeMap::new();
        let mut dead = BTreeSet::new();
        for (millis, command) in &commands {
            let before = meta.clone();
            log.push(pack(at(*millis), command));
            let reply = meta.apply(at(*millis), command);
            prop_assert!(meta.is_sound(), "{command:?}");
            if changed(reply) {
                prop_assert_eq!(meta.revision(), before.revision() + 1);
            } else {
                prop_assert!(meta == before, "{command:?} said {reply:?} and changed something");
            }
            // Repeated, it changes nothing more; but to revive twice is to revive again.
            let mut twice = meta.clone();
            twice.apply(at(*millis), command);
            prop_assert!(twice == meta || matches!(command, MetaCommand::ReviveTable(_)));
            for table in meta.tables() {
                let slot = *slots.entry(table.table.id).or_insert(table.table.slot);
                prop_assert_eq!(slot, table.table.slot, "an identity was used twice");
            }
            dead.extend(meta.members().keys().filter(|node| meta.is_gone(**node)));
            prop_assert!(dead.iter().all(|node| meta.is_gone(*node)));
        }
        // The log, and a snapshot, make the same state.
        let mut replayed = Meta::default();
        for entry in &log {
            let (at, command) = unpack(entry).unwrap();
            replayed.apply(at, &command);
        }
        prop_assert!(replayed == meta);
        prop_assert!(replayed.encode() == meta.encode());
        prop_assert!(Meta::decode(&meta.encode()).unwrap() == meta);
    }

    #[test]
    fn a_changed_snapshot_is_corrupt(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = cluster(3, 4, 3).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_eq!(Meta::decode(&bytes), Err(SnapshotFault::Corrupt));
        prop_assert_eq!(Meta::decode(&bytes[..at]), Err(SnapshotFault::Corrupt));
    }

    #[test]
    fn any_bytes_are_no_command_or_one(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        for bytes in [bytes.clone(), [&[1], &bytes[..]].concat()] {
            if let Ok((at, command)) = unpack(&bytes) {
                let packed = pack(at, &command);
                prop_assert_eq!(unpack(&packed), Ok((at, command)));
            }
        }
    }
}

#[test]
fn a_later_releases_bytes_are_named_as_such() {
    let mut bytes = pack(at(1), &MetaCommand::Ready(NodeId(1)));
    bytes[0] = 2;
    assert_eq!(unpack(&bytes), Err(PackFault::Newer(2)));
    assert_eq!(unpack(&[]), Err(PackFault::Corrupt));
    bytes[0] = 1;
    bytes.push(0);
    assert_eq!(unpack(&bytes), Err(PackFault::Corrupt), "nothing may follow");

    let mut snapshot = cluster(1, 1, 1).encode();
    snapshot[5] = 9;
    let body = snapshot.len() - 8;
    let checksum = xxhash_rust::xxh3::xxh3_64(&snapshot[..body]).to_le_bytes();
    snapshot[body..].copy_from_slice(&checksum);
    assert_eq!(Meta::decode(&snapshot), Err(SnapshotFault::Newer(9)));
}

#[test]
fn nothing_is_done_before_the_founding_and_it_is_done_once() {
    let mut meta = Meta::default();
    let refused = meta.apply(at(1), &MetaCommand::Ready(NodeId(1)));
    assert_eq!(refused, MetaReply::Refused(Refusal::NotFounded));
    let mut meta = cluster(3, 4, 3);
    assert_eq!(meta.apply(at(5), &founding(&nodes(1..=2), 1, 1)), MetaReply::Already);
    let MetaCommand::Found { members, groups, .. } = founding(&nodes(1..=3), 4, 3) else {
        unreachable!()
    };
    let other = MetaCommand::Found {
        cluster: ClusterId(8),
        partitions: 4,
        replicas: 3,
        secret: (1, 2),
        format: 1,
        members,
        groups,
    };
    assert_eq!(meta.apply(at(5), &other), MetaReply::Refused(Refusal::Founded(ClusterId(77))));
    assert_eq!(meta.founding().unwrap().at, at(1_000));
    assert_eq!(meta.first_version(), Some(1_000 << 11));
}

#[test]
fn a_founding_whose_groups_do_not_fit_is_refused() {
    for wrong in 0..4 {
        let MetaCommand::Found {
            cluster,
            partitions,
            replicas,
            secret,
            format,
            mut members,
            mut groups,
        } = founding(&nodes(1..=3), 4, 3)
        else {
            unreachable!()
        };
        match wrong {
            0 => drop(groups.remove(&group(2))),
            1 => drop(groups.insert(group(4), nodes([1]))),
            2 => drop(groups.insert(group(1), BTreeSet::new())),
            _ => drop(members.remove(&NodeId(3))),
        }
        let found =
            MetaCommand::Found { cluster, partitions, replicas, secret, format, members, groups };
        let refused = Meta::default().apply(at(1), &found);
        assert_eq!(refused, MetaReply::Refused(Refusal::BadFounding), "{wrong}");
    }
}

#[test]
fn an_identity_that_was_dead_never_comes_back() {
    let mut meta = cluster(3, 4, 3);
    let node = NodeId(4);
    join(&mut meta, node);
    assert_eq!(meta.members()[&node].state, MemberState::Up);
    assert_eq!(meta.apply(at(9), &MetaCommand::Dead(node)), MetaReply::Done);
    assert!(!meta.members().contains_key(&node), "no group counts it");
    let again = MetaCommand::Join { node, profile: profile(node) };
    for command in [again, MetaCommand::Ready(node), MetaCommand::Leave(node)] {
        assert_eq!(meta.apply(at(9), &command), MetaReply::Refused(Refusal::Gone(node)));
    }
    // One that groups count stays in sight until they do not.
    assert_eq!(meta.apply(at(9), &MetaCommand::Dead(NodeId(1))), MetaReply::Done);
    assert_eq!(meta.members()[&NodeId(1)].state, MemberState::Dead);
    assert!(meta.is_gone(NodeId(1)));
}

#[test]
fn a_member_that_leaves_does_not_turn_back() {
    let mut meta = cluster(2, 1, 1);
    let (leave, ready) = (MetaCommand::Leave(NodeId(1)), MetaCommand::Ready(NodeId(1)));
    assert_eq!(meta.apply(at(7_000), &leave), MetaReply::Done);
    assert_eq!(meta.apply(at(8_000), &leave), MetaReply::Already);
    assert_eq!(meta.members()[&NodeId(1)].since, at(7_000));
    let refusal = Refusal::WrongState(MemberState::Leaving);
    assert_eq!(meta.apply(at(8_000), &ready), MetaReply::Refused(refusal));
    let unknown = meta.apply(at(8_000), &MetaCommand::Leave(NodeId(5)));
    assert_eq!(unknown, MetaReply::Refused(Refusal::UnknownMember(NodeId(5))));
}

#[test]
fn a_cluster_without_tables_dissolves_and_takes_nothing_in_any_more() {
    let (mut meta, into) = (cluster(3, 4, 3), ClusterId(5));
    let create =
        MetaCommand::CreateTable { name: "a".to_owned(), options: TableOptions::default() };
    let dissolve = MetaCommand::Dissolve(into);
    meta.apply(at(0), &create);
    // Not even one that is being dropped may be left behind.
    for command in [None, Some(MetaCommand::DropTable(TableId(1)))] {
        command.map(|command| meta.apply(at(0), &command));
        assert_eq!(meta.apply(at(0), &dissolve), MetaReply::Refused(Refusal::HasTables));
        assert_eq!(meta.dissolved(), None);
    }
    meta.apply(at(0), &MetaCommand::ReleaseTable(TableId(1)));
    assert_eq!(meta.apply(at(0), &dissolve), MetaReply::Done);
    assert_eq!(meta.apply(at(0), &MetaCommand::Dissolve(ClusterId(6))), MetaReply::Already);
    assert_eq!(meta.dissolved(), Some(into));
    let join = MetaCommand::Join { node: NodeId(4), profile: profile(NodeId(4)) };
    for command in [create, join] {
        assert_eq!(meta.apply(at(0), &command), MetaReply::Refused(Refusal::Dissolved(into)));
    }
    assert!(Meta::decode(&meta.encode()).unwrap() == meta);
}

#[test]
fn a_table_is_revived_for_every_node_to_see() {
    let mut meta = cluster(1, 1, 1);
    let id = TableId(1);
    let revive = MetaCommand::ReviveTable(id);
    assert_eq!(meta.apply(at(0), &revive), MetaReply::Refused(Refusal::MissingTable));
    let create =
        MetaCommand::CreateTable { name: "a".to_owned(), options: TableOptions::default() };
    meta.apply(at(0), &create);
    assert_eq!(meta.apply(at(0), &revive), MetaReply::Done);
    assert_eq!(meta.table_by_id(id).unwrap().revivals, 1);
    meta.apply(at(0), &MetaCommand::DropTable(id));
    assert_eq!(meta.apply(at(0), &revive), MetaReply::Refused(Refusal::MissingTable));
}

#[test]
fn a_cluster_has_65_536_tables_and_no_more() {
    let mut meta = cluster(1, 1, 1);
    let create = |meta: &mut Meta, name: String| {
        meta.apply(at(0), &MetaCommand::CreateTable { name, options: TableOptions::default() })
    };
    for n in 0..TABLES_MAX {
        assert!(matches!(create(&mut meta, n.to_string()), MetaReply::Table { is_new: true, .. }));
    }
    let full = MetaReply::Refused(Refusal::TablesFull);
    assert_eq!(create(&mut meta, "one-more".to_owned()), full);
    // One that partitions have yet to let go of still takes its place.
    meta.apply(at(0), &MetaCommand::DropTable(TableId(7)));
    assert_eq!(create(&mut meta, "x".to_owned()), full);
    meta.apply(at(0), &MetaCommand::ReleaseTable(TableId(7)));
    let MetaReply::Table { table, .. } = create(&mut meta, "x".to_owned()) else { unreachable!() };
    assert_eq!((table.id.0, table.slot), (65_537, 6));
    assert!(Meta::decode(&meta.encode()).unwrap() == meta);
}

#[test]
fn a_name_is_free_once_dropped_and_a_slot_once_released() {
    let mut meta = cluster(1, 1, 1);
    let create = |meta: &mut Meta, name: &str| {
        let create =
            MetaCommand::CreateTable { name: name.to_owned(), options: TableOptions::default() };
        match meta.apply(at(0), &create) {
            MetaReply::Table { table, is_new, .. } => (table.id.0, table.slot, is_new),
            reply => panic!("{reply:?}"),
        }
    };
    assert_eq!(create(&mut meta, "a"), (1, 0, true));
    assert_eq!(create(&mut meta, "a"), (1, 0, false));
    assert_eq!(meta.table("a").unwrap().state, TableState::Opening);
    meta.apply(at(0), &MetaCommand::OpenTable(TableId(1)));
    assert_eq!(meta.unsettled_tables().count(), 0);
    meta.apply(at(0), &MetaCommand::DropTable(TableId(1)));
    assert_eq!(meta.table("a"), None);
    assert_eq!(create(&mut meta, "a"), (2, 1, true), "the slot is not free yet");
    // A late confirmation, or a late drop, of the first does not touch the second.
    let late = meta.apply(at(0), &MetaCommand::OpenTable(TableId(1)));
    assert_eq!(late, MetaReply::Refused(Refusal::WrongTableState(TableState::Dropping)));
    assert_eq!(meta.apply(at(0), &MetaCommand::ReleaseTable(TableId(1))), MetaReply::Done);
    assert_eq!(meta.apply(at(0), &MetaCommand::ReleaseTable(TableId(1))), MetaReply::Already);
    let late = meta.apply(at(0), &MetaCommand::DropTable(TableId(1)));
    assert_eq!(late, MetaReply::Refused(Refusal::MissingTable));
    assert_eq!(create(&mut meta, "b"), (3, 0, true), "the lowest slot, and a new identity");
    assert_eq!(meta.table_names().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_group_has_one_change_at_a_time_and_only_its_own_number_ends_it() {
    let mut meta = cluster(3, 1, 2);
    let voters = meta.group(group(0)).unwrap().voters.clone();
    let remove = *voters.first().unwrap();
    let add = *nodes(1..=3).difference(&voters).next().unwrap();
    let swap = Swap { add: Some(add), remove: Some(remove) };
    let plan = |swap| MetaCommand::PlanMove { group: group(0), swap };
    for is_new in [true, false] {
        assert_eq!(meta.apply(at(0), &plan(swap)), MetaReply::Planned { number: 1, is_new });
    }
    let other = Swap { add: Some(add), remove: None };
    assert_eq!(meta.apply(at(0), &plan(other)), MetaReply::Refused(Refusal::Changing));
    let finish = |number| MetaCommand::FinishMove { group: group(0), number };
    assert_eq!(meta.apply(at(0), &finish(2)), MetaReply::Refused(Refusal::UnknownChange));
    assert_eq!(meta.apply(at(0), &finish(1)), MetaReply::Done);
    assert!(meta.group(group(0)).unwrap().voters.contains(&add));
    // And back; a late confirmation of the first does not end the second.
    let back = Swap { add: Some(remove), remove: Some(add) };
    assert_eq!(meta.apply(at(0), &plan(back)), MetaReply::Planned { number: 2, is_new: true });
    assert_eq!(meta.apply(at(0), &finish(1)), MetaReply::Refused(Refusal::UnknownChange));
    let abandon = MetaCommand::AbandonMove { group: group(0), number: 2 };
    assert_eq!(meta.apply(at(0), &abandon), MetaReply::Done);
    assert!(!meta.group(group(0)).unwrap().voters.contains(&remove));
}

#[test]
fn a_group_without_a_majority_is_not_changed() {
    let mut meta = cluster(5, 1, 3);
    let voters = meta.group(group(0)).unwrap().voters.clone();
    let mut dead = voters.iter().copied();
    let add = nodes(1..=5).difference(&voters).next().copied();
    let (first, second) = (dead.next().unwrap(), dead.next().unwrap());
    meta.apply(at(0), &MetaCommand::Dead(first));
    let replace =
        MetaCommand::PlanMove { group: group(0), swap: Swap { add, remove: Some(first) } };
    assert!(matches!(meta.clone().apply(at(0), &replace), MetaReply::Planned { .. }));
    let worse =
        MetaCommand::PlanMove { group: group(0), swap: Swap { add: None, remove: Some(second) } };
    assert_eq!(meta.apply(at(0), &worse), MetaReply::Refused(Refusal::NoMajority));
    meta.apply(at(0), &MetaCommand::Dead(second));
    assert_eq!(meta.apply(at(0), &replace), MetaReply::Refused(Refusal::NoMajority));
}

#[test]
fn a_format_is_raised_when_all_speak_it() {
    let mut meta = cluster(2, 1, 1);
    let refusal = Refusal::Unspoken { format: 2, newest: 1 };
    assert_eq!(meta.apply(at(0), &MetaCommand::RaiseFormat(2)), MetaReply::Refused(refusal));
    let mut newer = profile(NodeId(9));
    newer.format = 2;
    meta.apply(at(0), &MetaCommand::Join { node: NodeId(9), profile: newer });
    for old in [1, 2] {
        meta.apply(at(0), &MetaCommand::Dead(NodeId(old)));
    }
    assert_eq!(meta.apply(at(0), &MetaCommand::RaiseFormat(2)), MetaReply::Done);
    assert_eq!(meta.format(), 2);
    let older = MetaCommand::Join { node: NodeId(10), profile: profile(NodeId(10)) };
    assert_eq!(meta.apply(at(0), &older), MetaReply::Refused(refusal));
}
