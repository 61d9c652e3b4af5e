//! A snapshot is the replica: whoever installs it answers as the sender does.

use proptest::prelude::*;
use winter_core::cluster::entry::{NewTable, Operation, TableRef};
use winter_core::cluster::replica::{Replica, Sink, Unheard};
use winter_core::cluster::snapshot::{FORMAT, Frozen, Receiving, SnapshotFault};
use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::reply::Reply;
use winter_core::store::{HashedKey, Seed, Slice, Table};
use winter_core::time::Ttl;
use xxhash_rust::xxh3::xxh3_64;

use crate::kit::{at, pack, table};
use crate::packed::Answers;
use crate::replica::{Event, FIRST_VERSION, an_event, contents};
use crate::sent::{self, installed, read_all};

const SEEDS: [Seed; 3] = [Seed(1, 2), Seed(3, 4), Seed(5, 6)];
const CHECKSUM_BYTES: usize = 8;

/// The entries that events make, each of a few operations.
fn entries_of(events: &[Event], mut millis: u64) -> Vec<Vec<u8>> {
    let (mut entries, mut waiting) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Operation(operation) => waiting.push(operation.borrow()),
            Event::Seal(by) => {
                entries.push(pack(millis, &waiting));
                waiting.clear();
                millis = millis.saturating_add_signed(i64::from(*by));
            }
            Event::Maintain(_) => {}
        }
        if waiting.len() == 256 {
            entries.push(pack(millis, &waiting));
            waiting.clear();
        }
    }
    entries.push(pack(millis, &waiting));
    entries
}

fn answers(replica: &mut Replica, entry: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut sink = Answers::default();
    replica.apply(entry, &mut sink).expect("it can be read");
    sink.0
}

fn applied(seed: Seed, entries: &[Vec<u8>]) -> Replica {
    let mut replica = Replica::new(seed, FIRST_VERSION);
    entries.iter().for_each(|entry| replica.apply(entry, &mut Unheard).expect("it can be read"));
    replica
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn who_installs_a_snapshot_answers_as_the_sender_does(
        events in proptest::collection::vec(an_event(), 1..500),
        later in proptest::collection::vec(an_event(), 1..300),
        at_entry in any::<proptest::sample::Index>(),
        chunk_bytes in prop_oneof![1usize..40, 40usize..5_000],
        maintains in any::<bool>(),
    ) {
        let entries = entries_of(&events, 1_000);
        let cut = at_entry.index(entries.len()) + 1;
        let mut sender = applied(SEEDS[0], &entries[..cut]);
        while maintains && sender.maintain(1) {}
        let frozen = sender.freeze();
        // It goes on, and reclaims what it can, before any of it is read.
        let more = entries_of(&later, sender.clock().as_millis());
        let rest: Vec<_> = entries[cut..].iter().chain(&more).collect();
        let said: Vec<_> = rest.iter().map(|entry| answers(&mut sender, entry)).collect();
        while sender.maintain(8) {}

        let bytes = read_all(frozen, chunk_bytes);
        // One of other habits that came to the same state sends the same.
        let mut other = applied(SEEDS[1], &entries[..cut]);
        while !maintains && other.maintain(3) {}
        prop_assert!(bytes == read_all(other.freeze(), usize::MAX), "two states or two orders");

        let mut third = installed(SEEDS[2], &bytes, chunk_bytes).expect("it is whole");
        prop_assert!(third.partition().is_sound());
        prop_assert!(bytes == read_all(third.freeze(), 100), "it is not what was sent");
        for (entry, said) in rest.iter().zip(&said) {
            prop_assert_eq!(said, &answers(&mut third, entry));
        }
        prop_assert_eq!(contents(&mut sender, SEEDS[0]), contents(&mut third, SEEDS[2]));
        prop_assert!(sender.partition().is_sound() && third.partition().is_sound());
        for name in (1..10).map(|id| format!("table:{id}")) {
            let ids = |replica: &Replica| replica.table_by_name(&name).map(|table| table.id);
            prop_assert_eq!(ids(&sender), ids(&third));
        }
    }
}

fn create(id: u64, slot: u32, name: &str) -> Operation<'_> {
    Operation::Create(NewTable { table: table(id, slot), name, options: TableOptions::default() })
}

fn put<'a>(at: TableRef, key: &'a [u8], data: &'a [u8], millis: u64) -> Operation<'a> {
    let op = KeyOp::Put(Write { data, ttl: Ttl::from_millis(millis) });
    Operation::Key { table: at, key, op }
}

/// A replica with something of everything.
fn small() -> Replica {
    let options = TableOptions {
        bytes_max: Some(1 << 30),
        entries_max: Some(1_000),
        value_bytes_max: Some(100_000),
        ttl: Ttl::from_millis(5_000),
        once: true,
    };
    let quota = Operation::Create(NewTable { table: table(7, 3), name: "quota", options });
    let add = KeyOp::Add(Write { data: b"once", ttl: None });
    let (first, third) = (table(1, 0), table(7, 3));
    applied(
        SEEDS[0],
        &[
            pack(1_000, &[create(1, 0, "first"), create(2, 1, "empty"), create(3, 2, "gone")]),
            pack(1_001, &[put(first, b"a", b"one", 0), put(first, b"b", b"two", 40), quota]),
            pack(1_002, &[put(first, b"c", b"", 5), Operation::Drop(table(3, 2))]),
            pack(1_003, &[put(first, b"a", &[9; 300], 1 << 40)]),
            pack(1_010, &[Operation::Key { table: third, key: b"k", op: add }]),
        ],
    )
}

fn small_bytes() -> Vec<u8> {
    read_all(small().freeze(), usize::MAX)
}

/// The bytes with a checksum that matches them, so that what is behind it is asked.
fn signed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() - CHECKSUM_BYTES].to_vec();
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}

fn fault_of(bytes: &[u8]) -> SnapshotFault {
    installed(SEEDS[1], bytes, usize::MAX).expect_err("it cannot be installed")
}

#[test]
fn every_split_of_the_chunks_makes_the_same_replica() {
    let bytes = small_bytes();
    for first in 0..=bytes.len() {
        for step in [1, 2, 3, 7, 64, bytes.len()] {
            let mut received = Receiving::new(SEEDS[1]);
            received.push(&bytes[..first]).unwrap();
            for chunk in bytes[first..].chunks(step) {
                assert!(!received.is_whole());
                received.push(chunk).unwrap();
            }
            assert!(received.is_whole());
            let mut replica = Replica::new(SEEDS[1], 0);
            replica.install(received, &mut Unheard).unwrap();
            assert!(read_all(replica.freeze(), step) == bytes);
        }
    }
}

#[test]
fn every_damaged_byte_is_found() {
    let bytes = small_bytes();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            assert!(installed(SEEDS[1], &damaged, 50).is_err(), "bit {bit} of byte {place}");
            // With a checksum that matches, it is refused or is another state's bytes.
            sent::snapshot(&damaged[..bytes.len() - CHECKSUM_BYTES]);
        }
    }
}

#[test]
fn every_cut_is_found() {
    let bytes = small_bytes();
    for length in 0..bytes.len() {
        assert_eq!(fault_of(&bytes[..length]), SnapshotFault::CutShort, "at {length}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(fault_of(&longer), SnapshotFault::Invalid("end"));
}

#[test]
fn a_newer_format_is_named_and_a_foreign_one_refused() {
    let mut bytes = small_bytes();
    bytes[5] = 2;
    assert_eq!(fault_of(&signed(&bytes)), SnapshotFault::Newer(FORMAT + 1));
    assert_eq!(
        SnapshotFault::Newer(FORMAT + 1).to_string(),
        "the snapshot has format 2, and this release reads up to 1"
    );
    bytes[5] = 0;
    assert_eq!(fault_of(&signed(&bytes)), SnapshotFault::Invalid("format"));
    assert_eq!(fault_of(b"WMETA\x01\x00"), SnapshotFault::Foreign);
}

#[test]
fn a_chunk_after_a_fault_is_refused_as_the_first_was() {
    let mut received = Receiving::new(SEEDS[0]);
    assert_eq!(received.push(b"WMETA\x01\x00"), Err(SnapshotFault::Foreign));
    assert_eq!(received.push(&small_bytes()), Err(SnapshotFault::Foreign));
    assert!(!received.is_whole());
}

#[test]
fn a_failed_installation_changes_nothing() {
    let mut replica = small();
    let before = small_bytes();
    for bytes in [&before[..before.len() - 1], b"WMETA\x01\x00"] {
        let mut received = replica.receive();
        let _ = received.push(bytes);
        assert!(replica.install(received, &mut Unheard).is_err());
        assert!(read_all(replica.freeze(), 1_000) == before);
    }
}

#[test]
fn what_is_announced_is_not_allocated() {
    let bytes = small_bytes();
    let head = &bytes[..5 + 2 + 3 * 8];
    let mut received = Receiving::new(SEEDS[0]);
    received.push(head).unwrap();
    let before = received.bytes();
    // A record of 400 MiB, of which little comes.
    received.push(&[0x80, 0x80, 0x80, 0xc8, 0x01]).unwrap();
    received.push(&[2; 1_000]).unwrap();
    assert!(received.bytes() < before + 4_096, "{} bytes", received.bytes());
    // One longer than any entry is refused at once.
    let mut received = Receiving::new(SEEDS[0]);
    received.push(head).unwrap();
    let refused = received.push(&[0x80, 0x80, 0x80, 0x80, 0x04]);
    assert_eq!(refused, Err(SnapshotFault::Invalid("record's length")));
}

#[test]
fn what_has_expired_is_left_out() {
    let mut replica = Replica::new(SEEDS[0], FIRST_VERSION);
    let at_table = table(1, 0);
    let entry = pack(1_000, &[create(1, 0, "t"), put(at_table, b"k", &[7; 10_000], 50)]);
    replica.apply(&entry, &mut Unheard).unwrap();
    replica.apply(&pack(1_049, &[]), &mut Unheard).unwrap();
    assert!(read_all(replica.freeze(), 1 << 20).len() > 10_000);
    replica.apply(&pack(1_050, &[]), &mut Unheard).unwrap();
    assert!(read_all(replica.freeze(), 1 << 20).len() < 100);
}

#[test]
fn versions_go_on_where_the_sender_was() {
    let mut sender = small();
    let mut third = installed(SEEDS[1], &small_bytes(), 10).unwrap();
    let entry = pack(1_011, &[put(table(1, 0), b"z", b"z", 0)]);
    let said = answers(&mut sender, &entry);
    assert!(
        String::from_utf8_lossy(&said[0].1).contains(&(FIRST_VERSION + 6).to_string()),
        "{said:?}"
    );
    assert_eq!(said, answers(&mut third, &entry));
    // What was dropped stays dropped.
    let late = pack(1_012, &[create(3, 2, "gone"), create(4, 2, "new")]);
    assert_eq!(answers(&mut sender, &late), answers(&mut third, &late));
    assert!(third.table_by_name("gone").is_none());
    assert_eq!(third.table_by_name("new").unwrap().id.0, 4);
}

#[test]
fn a_name_leads_to_the_latest_table_that_stands() {
    let mut replica = Replica::new(SEEDS[0], FIRST_VERSION);
    let id = |replica: &Replica| replica.table_by_name("t").map(|table| table.id.0);
    let mut apply = |operation| {
        replica.apply(&pack(1, &[operation]), &mut Unheard).unwrap();
        id(&replica)
    };
    assert_eq!(apply(create(5, 1, "t")), Some(5));
    // The earlier one comes late, and goes late.
    assert_eq!(apply(create(2, 0, "t")), Some(5));
    assert_eq!(apply(Operation::Drop(table(5, 1))), Some(2));
    assert_eq!(apply(create(6, 1, "t")), Some(6));
    assert_eq!(apply(Operation::Drop(table(2, 0))), Some(6));
    // A slot that is taken over takes the name of what it had with it.
    assert_eq!(apply(create(7, 1, "u")), None);
}

/// A replica of `count` entries of 100 bytes.
fn filled(count: u32) -> Replica {
    let mut replica = Replica::new(SEEDS[0], FIRST_VERSION);
    replica.apply(&pack(1_000, &[create(1, 0, "t")]), &mut Unheard).expect("it can be read");
    write_all(&mut replica, count, 1);
    replica
}

fn write_all(replica: &mut Replica, count: u32, byte: u8) {
    let data = [byte; 84];
    let keys: Vec<_> = (0..count).map(|n| format!("key:{n:012}")).collect();
    for keys in keys.chunks(200) {
        let puts = keys.iter().map(|key| put(table(1, 0), key.as_bytes(), &data, 0));
        let puts: Vec<_> = puts.collect();
        replica.apply(&pack(1_000, &puts), &mut Unheard).expect("it can be read");
    }
}

#[test]
fn what_is_frozen_stays_readable_while_its_pages_are_emptied() {
    let mut replica = filled(20_000);
    let before = read_all(replica.freeze(), 1 << 20);
    let frozen = replica.freeze();
    let kept_first = frozen.bytes();
    assert!(kept_first < 400_000, "{kept_first} bytes for an index and an open page");
    for byte in 2..5 {
        write_all(&mut replica, 20_000, byte);
    }
    replica.apply(&pack(2_000, &[Operation::Drop(table(1, 0))]), &mut Unheard).unwrap();
    assert_eq!(replica.partition().all_holdings().count(), 0);
    // What only the snapshot keeps, the snapshot counts.
    assert!(frozen.bytes() > kept_first + 2_000_000, "{} bytes", frozen.bytes());
    assert!(replica.partition().allocated_bytes() < 64 << 10);
    assert!(read_all(frozen, 1 << 20) == before);
}

#[test]
fn a_value_longer_than_many_chunks_crosses() {
    let mut replica = Replica::new(SEEDS[0], FIRST_VERSION);
    let data: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
    let entry = pack(1_000, &[create(1, 0, "t"), put(table(1, 0), b"k", &data, 0)]);
    replica.apply(&entry, &mut Unheard).unwrap();
    let bytes = read_all(replica.freeze(), 1_000);
    let mut third = installed(SEEDS[1], &bytes, 64 << 10).unwrap();
    let key = HashedKey::new(SEEDS[1], b"k");
    let found = format!("{:?}", third.read(at(0), table(1, 0), key, &KeyOp::Get));
    assert!(
        found
            == format!(
                "{:?}",
                replica.read(at(0), table(1, 0), HashedKey::new(SEEDS[0], b"k"), &KeyOp::Get)
            )
    );
    assert!(third.partition().is_sound());
}

#[test]
fn what_is_installed_counts_against_the_nodes_quota_and_what_was_there_no_more() {
    #[derive(Default)]
    struct Node {
        table: Option<std::sync::Arc<Table>>,
        freed: usize,
    }
    impl Sink for Node {
        fn answer(&mut self, _: usize, _: Reply<'_>) {}
        fn table(&mut self, new: &NewTable<'_>) -> std::sync::Arc<Table> {
            self.table.get_or_insert_with(|| std::sync::Arc::new(new.make())).clone()
        }
        fn free(&mut self, slice: Box<Slice>) {
            self.freed += slice.entries();
        }
    }
    let options = TableOptions { entries_max: Some(100), ..TableOptions::default() };
    let make = Operation::Create(NewTable { table: table(1, 0), name: "t", options });
    let at_table = table(1, 0);
    let full = pack(5, &[make, put(at_table, b"a", b"1", 0), put(at_table, b"b", b"2", 0)]);
    let sender = applied(SEEDS[0], &[full]);

    let mut node = Node::default();
    let mut replicas = [Replica::new(SEEDS[1], 0), Replica::new(SEEDS[1], 0)];
    for replica in &mut replicas {
        replica.apply(&pack(1, &[make, put(at_table, b"old", b"3", 0)]), &mut node).unwrap();
    }
    let shared = node.table.clone().unwrap();
    let usage = shared.usage.as_ref().unwrap();
    assert_eq!(usage.entries(), 2);
    let mut received = replicas[0].receive();
    received.push(&read_all(sender.freeze(), 1 << 20)).unwrap();
    assert_eq!(usage.entries(), 2, "what is half received counts for nobody");
    replicas[0].install(received, &mut node).unwrap();
    assert_eq!((usage.entries(), node.freed), (3, 1));
    replicas[0].apply(&pack(9, &[put(at_table, b"c", b"4", 0)]), &mut node).unwrap();
    assert_eq!(usage.entries(), 4);
    assert!(replicas[0].partition().is_sound());
    replicas[0].apply(&pack(9, &[Operation::Drop(at_table)]), &mut node).unwrap();
    assert_eq!((usage.entries(), node.freed), (1, 4));
}

#[test]
fn a_snapshot_goes_to_another_thread() {
    fn is_sent<T: Send + 'static>() {}
    is_sent::<Frozen>();
    is_sent::<Receiving>();
}
