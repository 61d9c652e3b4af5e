//! The bytes that logs and snapshots are made of, written out: they outlive a
//! release, and two releases side by side must make the same of them.

use std::collections::{BTreeMap, BTreeSet};

use winter_core::cluster::entry::{self, LogEntry, NewTable, Operation};
use winter_core::cluster::meta::{self, Meta, MetaCommand, MetaReply, Swap};
use winter_core::cluster::replica::{Replica, Unheard};
use winter_core::cluster::{ClusterId, GroupId, NodeId, PartitionId, snapshot};
use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::store::{Seed, TableId};
use winter_core::time::Ttl;
use winter_testkit::{hex, unhex};

use crate::kit::{at, pack, table};
use crate::meta::{cluster, founding, join, nodes, profile};
use crate::replica::FIRST_VERSION;
use crate::sent::{installed, read_all};

/// What to do about other bytes: change this page only together with a format.
const RAISE: &str = "the format has changed: raise its FORMAT, go on reading the one before, \
                     and switch it on once all members know it (docs/decisions/0012)";

/// Every kind of operation, and its bytes.
fn operations() -> Vec<(Operation<'static>, &'static str)> {
    let key = |op| Operation::Key { table: table(300, 2), key: b"key", op };
    let brief = Write { data: b"data", ttl: Ttl::from_millis(1_000) };
    let lasting = Write { data: b"", ttl: None };
    let all = TableOptions {
        bytes_max: Some(1 << 20),
        entries_max: Some(1_000),
        value_bytes_max: Some(64),
        ttl: Ttl::from_millis(60_000),
        once: true,
    };
    let create =
        |options| Operation::Create(NewTable { table: table(7, 1), name: "name", options });
    vec![
        (key(KeyOp::Get), "01ac0202036b6579"),
        (key(KeyOp::Gets), "02ac0202036b6579"),
        (key(KeyOp::Ttl), "03ac0202036b6579"),
        (key(KeyOp::PutNew(brief)), "04ac0202036b6579e8070464617461"),
        (key(KeyOp::Add(lasting)), "05ac0202036b65790000"),
        (key(KeyOp::Put(brief)), "06ac0202036b6579e8070464617461"),
        (key(KeyOp::Cas(1 << 40, brief)), "07ac0202036b6579808080808020e8070464617461"),
        (key(KeyOp::Delete(None)), "08ac0202036b6579"),
        (key(KeyOp::Delete(Some(128))), "09ac0202036b65798001"),
        (key(KeyOp::Touch(None, None)), "0aac0202036b657900"),
        (key(KeyOp::Touch(Ttl::from_millis(5), Some(9))), "0bac0202036b65790905"),
        (create(TableOptions::default()), "200701046e616d6500"),
        (create(all), "200701046e616d651f808040e80740e0d403"),
        (Operation::Drop(table(7, 1)), "210701"),
    ]
}

#[test]
fn an_entry_of_the_log_has_these_bytes() {
    assert_eq!(entry::FORMAT, 1);
    for (operation, bytes) in operations() {
        assert_eq!(hex(&entry::encode(&operation)), bytes, "{operation:?}: {RAISE}");
    }
    let all: Vec<Operation<'_>> =
        operations().into_iter().map(|(operation, _)| operation).collect();
    let bytes: String = operations().into_iter().map(|(_, bytes)| bytes).collect();
    let whole = format!("01{}{bytes}", hex(&1_750_000_000_123_u64.to_le_bytes()));
    assert_eq!(hex(&pack(1_750_000_000_123, &all)), whole, "{RAISE}");
    let bytes = unhex(&whole);
    let read = LogEntry::read(&bytes).expect("an entry");
    assert_eq!(read.stamp(), at(1_750_000_000_123));
    assert_eq!(read.operations().collect::<Vec<_>>(), all);
}

/// Two tables, one of which is gone, and entries with a deadline and without.
const SNAPSHOT: &str = "\
    5744415441010000000000000100000300000000000000fc030000000000000d0101fc03000000000000\
    210100160101fc03000000000000200201067374616e647302090e020100036f6e656c617374696e670d\
    0201ea030374776f6272696566030302029a2208f800faf10b";

#[test]
fn a_snapshot_of_a_partition_has_these_bytes() {
    assert_eq!(snapshot::FORMAT, 1);
    let mut replica = Replica::new(Seed(1, 2), FIRST_VERSION);
    let options = TableOptions { entries_max: Some(9), ..TableOptions::default() };
    let new = |id, slot, name, options| {
        Operation::Create(NewTable { table: table(id, slot), name, options })
    };
    let put = |key, data, millis| {
        let op = KeyOp::Put(Write { data, ttl: Ttl::from_millis(millis) });
        Operation::Key { table: table(2, 1), key, op }
    };
    let entries = [
        pack(1_000, &[new(1, 0, "gone", TableOptions::default()), new(2, 1, "stands", options)]),
        pack(1_010, &[put(b"one", b"lasting", 0), put(b"two", b"brief", 500), put(b"x", b"y", 1)]),
        pack(1_020, &[Operation::Drop(table(1, 0))]),
    ];
    entries.iter().for_each(|entry| replica.apply(entry, &mut Unheard).expect("it can be read"));
    assert_eq!(hex(&read_all(replica.freeze(), 1 << 20)), SNAPSHOT, "{RAISE}");
    let read = installed(Seed(3, 4), &unhex(SNAPSHOT), 7).expect("a snapshot");
    assert_eq!(hex(&read_all(read.freeze(), 1 << 20)), SNAPSHOT);
}

/// Every command of the meta group, and its bytes after format and stamp.
fn commands() -> Vec<(MetaCommand, &'static str)> {
    let (node, group) = (NodeId(0xabcd), GroupId::Data(PartitionId(3)));
    let swap = Swap { add: Some(node), remove: None };
    let options = TableOptions {
        bytes_max: Some(1 << 20),
        ttl: Ttl::from_millis(60_000),
        once: true,
        ..TableOptions::default()
    };
    let name = "name".to_owned();
    let heirs = BTreeMap::from([(GroupId::Meta, node), (group, NodeId(1))]);
    let lost = BTreeSet::from([NodeId(2)]);
    vec![
        (
            founding(&nodes([1, 300]), 2, 2),
            "004d020201020102010d77696e7465722d313a363036320877696e7465722d310d77696e7465722d313a3630363001ac020f77696e7465722d3330303a363036320a77696e7465722d3330300f77696e7465722d3330303a363036300103000201ac0201000201ac0201010201ac02",
        ),
        (
            MetaCommand::Join { node, profile: profile(NodeId(5)) },
            "01cdd7020d77696e7465722d353a363036320877696e7465722d350d77696e7465722d353a3630363001",
        ),
        (MetaCommand::Ready(node), "02cdd702"),
        (MetaCommand::Leave(node), "03cdd702"),
        (MetaCommand::Dead(node), "04cdd702"),
        (MetaCommand::RaiseFormat(2), "0502"),
        (MetaCommand::CreateTable { name, options }, "06046e616d6501808040000001e0d40301"),
        (MetaCommand::OpenTable(TableId(7)), "0707"),
        (MetaCommand::DropTable(TableId(7)), "0807"),
        (MetaCommand::ReleaseTable(TableId(7)), "0907"),
        (MetaCommand::ReviveTable(TableId(7)), "0a07"),
        (MetaCommand::PlanMove { group, swap }, "0b010301cdd70200"),
        (MetaCommand::FinishMove { group, number: 4 }, "0c010304"),
        (MetaCommand::AbandonMove { group: GroupId::Meta, number: 4 }, "0d0004"),
        (
            MetaCommand::Recover { cluster: ClusterId(9), lost, heirs, begins_anew: true },
            "0e0901020200cdd70201030101",
        ),
        (MetaCommand::Dissolve(ClusterId(9)), "0f09"),
    ]
}

#[test]
fn a_command_of_the_meta_group_has_these_bytes() {
    for (command, bytes) in commands() {
        let whole = format!("01e807{bytes}");
        assert_eq!(hex(&meta::pack(at(1_000), &command)), whole, "{command:?}: {RAISE}");
        assert_eq!(meta::unpack(&unhex(&whole)), Ok((at(1_000), command)));
    }
}

/// A founding of three, a fourth who joined, a dead one, a table in each state and a move.
const META: &str = "\
    574d4554410100d00f0c01014de8070103010204010d77696e7465722d313a363036320877696e746572\
    2d310d77696e7465722d313a363036300101e807020d77696e7465722d323a363036320877696e746572\
    2d320d77696e7465722d323a363036300101e807030d77696e7465722d333a363036320877696e746572\
    2d330d77696e7465722d333a363036300101e807040d77696e7465722d343a363036320877696e746572\
    2d340d77696e7465722d343a363036300101e8070105d00f030100076f70656e696e6700000140000000\
    d00f000201046f70656e00000140000001d00f0003020864726f7070696e6700000140000002d00f0002\
    000301020300010003010203010101040103d00f030100451f82f5e7a56e89";

#[test]
fn the_meta_groups_state_has_these_bytes() {
    assert_eq!(meta::FORMAT, 1);
    let mut state = cluster(3, 1, 3);
    join(&mut state, NodeId(4));
    let create = |name: &str| MetaCommand::CreateTable {
        name: name.to_owned(),
        options: TableOptions { value_bytes_max: Some(64), ..TableOptions::default() },
    };
    let swap = Swap { add: Some(NodeId(4)), remove: Some(NodeId(3)) };
    let commands = [
        create("opening"),
        create("open"),
        MetaCommand::OpenTable(TableId(2)),
        create("dropping"),
        MetaCommand::OpenTable(TableId(3)),
        MetaCommand::DropTable(TableId(3)),
        MetaCommand::PlanMove { group: GroupId::Data(PartitionId(0)), swap },
        MetaCommand::Join { node: NodeId(5), profile: profile(NodeId(5)) },
        MetaCommand::Dead(NodeId(5)),
    ];
    for command in commands {
        let reply = state.apply(at(2_000), &command);
        assert!(!matches!(reply, MetaReply::Refused(_)), "{command:?}: {reply:?}");
    }
    assert_eq!(hex(&state.encode()), META, "{RAISE}");
    assert_eq!(Meta::decode(&unhex(META)), Ok(state));
}
