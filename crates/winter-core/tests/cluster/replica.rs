//! Replicas that are fed the same entries are the same, whatever else they do.

use std::sync::Arc;

use proptest::prelude::*;
use winter_core::cluster::entry::{EntryWriter, NewTable, Operation, TableRef};
use winter_core::cluster::replica::{Read, Replica, Sink, Unheard};
use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::reply::Reply;
use winter_core::store::{HashedKey, Seed, Slice, Table};
use winter_core::time::Ttl;

use crate::kit::{Owned, a_ttl, at, pack, table};
use crate::packed::Answers;

pub(crate) const FIRST_VERSION: u64 = 1 << 40;
const SLOTS: u32 = 3;

/// What happens to a replica.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Operation(Owned),
    /// The entry is sealed; the leader's clock has moved by so much.
    Seal(i16),
    /// Reclaims, in the variants that do.
    Maintain(u8),
}

/// How replicas may differ without a difference in what they answer.
#[derive(Clone, Copy)]
struct Variant {
    seed: Seed,
    maintains: bool,
    /// Whether each operation has an entry of its own.
    lone: bool,
}

/// A table of a few, some of which never were, or are no more.
fn a_table() -> impl Strategy<Value = TableRef> {
    (0..SLOTS, prop_oneof![8 => Just(0u64), 1 => Just(1), 1 => Just(2)])
        .prop_map(|(slot, age)| table(1 + u64::from(slot) + age * u64::from(SLOTS), slot))
}

pub(crate) fn an_event() -> impl Strategy<Value = Event> {
    let key = (0u8..40).prop_map(|n| format!("key:{n}").into_bytes());
    let data = (0usize..200, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    let version = (0u64..200).prop_map(|n| FIRST_VERSION + n);
    let fields = (a_table(), key, any::<u8>(), data, a_ttl(), version);
    let options = |table: TableRef| TableOptions {
        ttl: (table.slot == 1).then(|| Ttl::from_millis(60).expect("a time to live")),
        once: table.slot == 2,
        ..TableOptions::default()
    };
    prop_oneof![
        60 => fields.prop_map(|(table, key, verb, data, ttl, version)| {
            Event::Operation(Owned::Key { table, key, verb, data, ttl, version })
        }),
        8 => (-20i16..60).prop_map(Event::Seal),
        4 => (0u8..4).prop_map(Event::Maintain),
        3 => a_table().prop_map(move |table| {
            let name = format!("table:{}", table.id.0);
            Event::Operation(Owned::Create { table, name, options: options(table) })
        }),
        1 => a_table().prop_map(|table| Event::Operation(Owned::Drop(table))),
    ]
}

/// Feeds the events to a new replica: the replica, its answers, and its entries.
fn run(events: &[Event], variant: Variant) -> (Replica, Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut replica = Replica::new(variant.seed, FIRST_VERSION);
    let (mut answers, mut entries) = (Vec::new(), Vec::new());
    let (mut writer, mut pending, mut millis) = (EntryWriter::default(), Vec::new(), 1_000u64);
    let mut seal = |replica: &mut Replica, pending: &mut Vec<Operation<'_>>, millis| {
        let size = if variant.lone { 1 } else { usize::MAX };
        for operations in pending.chunks(size) {
            operations.iter().for_each(|operation| assert!(writer.push(operation) < 256));
            let entry = writer.seal(at(millis));
            let mut sink = Answers::default();
            replica.apply(&entry, &mut sink).expect("it can be read");
            assert!(sink.0.iter().map(|(number, _)| *number).eq(0..operations.len()));
            answers.extend(sink.0.into_iter().map(|(_, reply)| reply));
            entries.push(entry);
        }
        pending.clear();
    };
    for event in events {
        match event {
            Event::Operation(operation) => pending.push(operation.borrow()),
            Event::Maintain(pages) if variant.maintains => {
                replica.maintain(usize::from(*pages));
            }
            Event::Maintain(_) => {}
            Event::Seal(by) => {
                seal(&mut replica, &mut pending, millis);
                millis = millis.saturating_add_signed(i64::from(*by));
            }
        }
        if pending.len() == 256 {
            seal(&mut replica, &mut pending, millis);
        }
    }
    seal(&mut replica, &mut pending, millis);
    assert!(replica.partition().is_sound());
    (replica, answers, entries)
}

/// Everything that a replica holds, as its readers see it.
pub(crate) fn contents(replica: &mut Replica, seed: Seed) -> Vec<String> {
    let mut seen = vec![format!("{:?}", replica.clock())];
    let tables: Vec<Arc<Table>> = replica.tables().cloned().collect();
    for held in tables {
        let table = table(held.id.0, held.slot);
        seen.push(format!("{} {:?} {:?}", held.name, held.options, replica.count(table)));
        for n in 0..40 {
            let key = format!("key:{n}");
            for op in [KeyOp::Gets, KeyOp::Ttl] {
                let key = HashedKey::new(seed, key.as_bytes());
                seen.push(format!("{:?}", replica.read(at(0), table, key, &op)));
            }
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn replicas_fed_the_same_entries_answer_alike(
        events in proptest::collection::vec(an_event(), 1..600),
    ) {
        let seeds = [Seed(1, 2), Seed(3, 4), Seed(5, 6)];
        let variant = |n: usize| Variant { seed: seeds[n], maintains: n == 0, lone: n == 2 };
        let (mut first, answers, entries) = run(&events, variant(0));
        let (mut second, again, same) = run(&events, variant(1));
        prop_assert!(entries == same);
        prop_assert_eq!(&answers, &again);
        // How operations are packed shows in nothing either.
        let (_, alone, _) = run(&events, variant(2));
        prop_assert_eq!(&answers, &alone);
        // A follower answers nobody and holds the same.
        let mut follower = Replica::new(seeds[2], FIRST_VERSION);
        for entry in &entries {
            follower.apply(entry, &mut Unheard).unwrap();
        }
        let held = contents(&mut first, seeds[0]);
        prop_assert_eq!(&held, &contents(&mut second, seeds[1]));
        prop_assert_eq!(&held, &contents(&mut follower, seeds[2]));
    }
}

fn create(id: u64, slot: u32, name: &str) -> Operation<'_> {
    Operation::Create(NewTable { table: table(id, slot), name, options: TableOptions::default() })
}

fn put(id: u64, slot: u32, data: &[u8], millis: u64) -> Operation<'_> {
    let op = KeyOp::Put(Write { data, ttl: Ttl::from_millis(millis) });
    Operation::Key { table: table(id, slot), key: b"k", op }
}

const fn get(id: u64, slot: u32) -> Operation<'static> {
    Operation::Key {
        table: TableRef { id: winter_core::store::TableId(id), slot },
        key: b"k",
        op: KeyOp::Get,
    }
}

const SEED: Seed = Seed(7, 8);

fn new() -> Replica {
    Replica::new(SEED, FIRST_VERSION)
}

/// The answers to an entry of `operations`, stamped `millis`.
fn answers(replica: &mut Replica, millis: u64, operations: &[Operation<'_>]) -> Vec<String> {
    let mut sink = Answers::default();
    replica.apply(&pack(millis, operations), &mut sink).expect("it can be read");
    sink.0.into_iter().map(|(_, reply)| String::from_utf8_lossy(&reply).trim().to_owned()).collect()
}

/// What RESP3 says of a table that is not there.
fn missing() -> String {
    let seen = answers(&mut new(), 1, &[get(1, 0)]).remove(0);
    assert!(seen.contains("missing table"), "{seen}");
    seen
}

#[test]
fn a_table_is_there_from_its_entry_to_its_entry() {
    let mut replica = new();
    let before = answers(
        &mut replica,
        1,
        &[put(1, 0, b"a", 0), create(1, 0, "t"), put(1, 0, b"b", 0), get(1, 0)],
    );
    assert_eq!(before[0], missing());
    assert_eq!(before[1], "+created");
    assert_eq!(before[3], "$1\r\nb");
    assert_eq!(answers(&mut replica, 1, &[create(1, 0, "t")]), ["+already created"]);
    let after = answers(
        &mut replica,
        2,
        &[get(1, 0), Operation::Drop(table(1, 0)), get(1, 0), put(1, 0, b"c", 0)],
    );
    assert_eq!(after, ["$1\r\nb".to_owned(), "+dropped".to_owned(), missing(), missing()]);
    assert_eq!(replica.partition().all_holdings().count(), 0);
}

#[test]
fn a_late_copy_of_a_creation_brings_no_table_back() {
    let mut replica = new();
    answers(&mut replica, 1, &[create(1, 0, "t"), Operation::Drop(table(1, 0))]);
    assert_eq!(answers(&mut replica, 2, &[create(1, 0, "t"), get(1, 0)]), [missing(), missing()]);
    // Not even once the slot has another table.
    answers(&mut replica, 3, &[create(9, 0, "u"), put(9, 0, b"x", 0)]);
    let late =
        answers(&mut replica, 4, &[create(1, 0, "t"), Operation::Drop(table(1, 0)), get(9, 0)]);
    assert_eq!(late, [missing(), missing(), "$1\r\nx".to_owned()]);
}

#[test]
fn a_drop_that_overtakes_the_creation_wins() {
    let mut replica = new();
    answers(&mut replica, 1, &[Operation::Drop(table(5, 2))]);
    assert_eq!(answers(&mut replica, 2, &[create(5, 2, "t")]), [missing()]);
    assert_eq!(answers(&mut replica, 3, &[create(6, 2, "t")]), ["+created"]);
}

#[test]
fn a_later_table_takes_the_slot_with_nothing_of_the_earlier() {
    let mut replica = new();
    answers(&mut replica, 1, &[create(1, 0, "t"), put(1, 0, b"a", 0)]);
    assert_eq!(
        answers(&mut replica, 2, &[create(2, 0, "t"), get(2, 0), get(1, 0)]),
        ["+created".to_owned(), "_".to_owned(), missing()]
    );
    assert_eq!(replica.tables().count(), 1);
    assert!(replica.partition().is_sound());
}

#[test]
fn of_two_tables_of_a_name_the_later_is_meant() {
    let mut replica = new();
    let named = |replica: &Replica| replica.table_by_name("t").map(|table| table.id.0);
    answers(&mut replica, 1, &[create(4, 1, "t"), create(3, 0, "t"), create(5, 2, "u")]);
    assert_eq!(named(&replica), Some(4), "whichever came first");
    answers(&mut replica, 2, &[Operation::Drop(table(4, 1))]);
    assert_eq!(named(&replica), Some(3));
    answers(&mut replica, 3, &[Operation::Drop(table(3, 0))]);
    assert_eq!(named(&replica), None);
}

#[test]
fn tables_without_entries_are_found_by_name_and_counted() {
    let mut replica = new();
    let before = replica.allocated_bytes();
    let name = |n: u32| format!("t{n}");
    for n in 0..1_000 {
        answers(&mut replica, 1, &[create(u64::from(n) + 1, n, &name(n))]);
    }
    assert!((0..1_000).all(|n| replica.table_by_name(&name(n)).is_some_and(|t| t.slot == n)));
    let each = (replica.allocated_bytes() - before) / 1_000;
    assert!((20..100).contains(&each), "{each} bytes a table and partition");
}

#[test]
fn time_is_the_highest_stamp() {
    let mut replica = new();
    answers(&mut replica, 1_000, &[create(1, 0, "t"), put(1, 0, b"a", 50)]);
    // A leader whose clock lags brings nothing back and makes nothing live longer.
    assert_eq!(answers(&mut replica, 10, &[get(1, 0)]), ["$1\r\na"]);
    assert_eq!(replica.clock(), at(1_000));
    assert_eq!(answers(&mut replica, 1_049, &[get(1, 0)]), ["$1\r\na"]);
    replica.apply(&pack(1_050, &[]), &mut Unheard).unwrap();
    assert_eq!(answers(&mut replica, 1, &[get(1, 0)]), ["_"]);
    // What a leader foresees by an older clock goes by it as well.
    let mut other = new();
    answers(&mut other, 1_000, &[create(1, 0, "t"), put(1, 0, b"a", 50)]);
    other.apply(&pack(1_050, &[]), &mut Unheard).unwrap();
    let (held, key) = (other.table(table(1, 0)).unwrap(), HashedKey::new(SEED, b"k"));
    let add = KeyOp::Add(Write { data: b"b", ttl: None });
    assert!(other.partition().cost(at(1), held, key, &add).is_some());
}

#[test]
fn a_read_by_a_later_clock_asks_for_a_tick_before_it_serves_late() {
    let mut replica = new();
    answers(&mut replica, 1_000, &[create(1, 0, "t"), put(1, 0, b"a", 50)]);
    let key = HashedKey::new(SEED, b"k");
    let at_table = table(1, 0);
    let mut read = |now| format!("{:?}", replica.read(at(now), at_table, key, &KeyOp::Get));
    let found = format!("{:?}", Read::Answer(Reply::Data(b"a")));
    assert_eq!(read(900), found);
    assert_eq!(read(1_049), found);
    assert_eq!(read(1_050), "NeedsTick");
    assert_eq!(replica.clock(), at(1_000), "a read moves no clock");
    replica.apply(&pack(1_050, &[]), &mut Unheard).unwrap();
    assert_eq!(replica.read(at(1_050), at_table, key, &KeyOp::Get), Read::Answer(Reply::Nil));
    let unknown = replica.read(at(1), table(2, 0), key, &KeyOp::Get);
    assert_eq!(unknown, Read::Answer(Reply::MissingTable));
}

#[test]
fn reclaiming_goes_by_the_partitions_clock() {
    let mut replica = new();
    answers(&mut replica, 1_000, &[create(1, 0, "t"), put(1, 0, b"a", 50)]);
    while replica.maintain(8) {}
    assert_eq!(replica.partition().reclaimed().expired, 0);
    replica.apply(&pack(1_000_000, &[]), &mut Unheard).unwrap();
    while replica.maintain(8) {}
    assert_eq!(replica.partition().reclaimed().expired, 1);
}

#[test]
fn an_entry_that_cannot_be_read_is_not_applied_in_part() {
    let mut replica = new();
    let mut entry = pack(9, &[create(1, 0, "t")]);
    entry.push(200);
    let mut sink = Answers::default();
    assert!(replica.apply(&entry, &mut sink).is_err());
    assert!(sink.0.is_empty() && replica.tables().count() == 0 && replica.clock() == at(0));
}

#[test]
fn a_node_shares_a_table_and_frees_what_it_held() {
    #[derive(Default)]
    struct Node {
        table: Option<Arc<Table>>,
        freed: usize,
    }
    impl Sink for Node {
        fn answer(&mut self, _: usize, _: Reply<'_>) {}
        fn table(&mut self, new: &NewTable<'_>) -> Arc<Table> {
            self.table.get_or_insert_with(|| Arc::new(new.make())).clone()
        }
        fn free(&mut self, slice: Box<Slice>) {
            self.freed += slice.entries();
        }
    }
    let options = TableOptions { entries_max: Some(10), ..TableOptions::default() };
    let new_table = Operation::Create(NewTable { table: table(1, 0), name: "t", options });
    let entry = pack(1, &[new_table, put(1, 0, b"a", 0)]);
    let mut node = Node::default();
    let mut replicas = [new(), new()];
    for replica in &mut replicas {
        replica.apply(&entry, &mut node).unwrap();
    }
    let shared = node.table.clone().unwrap();
    assert_eq!(shared.usage.as_ref().unwrap().entries(), 2, "over all partitions");
    replicas[0].apply(&pack(2, &[Operation::Drop(table(1, 0))]), &mut node).unwrap();
    assert_eq!(node.freed, 1);
}
