//! A slice that a fault has spoiled is made anew, and nothing else is touched.
//! With the feature `failpoints`, which brings the fault.

use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::reply::Reply;
use winter_core::store::partition::Mended;
use winter_core::store::{HashedKey, Partition, Seed, Table, TableId};
use winter_core::time::{Timestamp, Ttl};

const SEED: Seed = Seed(1, 2);
const NOW: Timestamp = Timestamp::from_millis(1_000);

fn a_table(number: u32) -> Table {
    let options = TableOptions { entries_max: Some(10_000), ..TableOptions::default() };
    Table::new(TableId(u64::from(number) + 1), number, "t", options)
}

fn key_of(n: u64) -> Vec<u8> {
    format!("key-{n}").into_bytes()
}

/// Entries of every kind: small and large, of a while and for ever.
fn fill(partition: &mut Partition, table: &Table, entries: u64) {
    for n in 0..entries {
        let data = vec![b'x'; usize::try_from(n * 37 % 5_000).expect("a short length")];
        let ttl = if n % 3 == 0 { Ttl::from_millis(n + 1) } else { None };
        let op = KeyOp::Put(Write { data: &data, ttl });
        partition.apply(NOW, table, HashedKey::new(SEED, &key_of(n)), &op);
    }
}

/// What the table answers for each of its keys.
fn answers(partition: &mut Partition, table: &Table, entries: u64) -> Vec<String> {
    (0..entries)
        .map(|n| {
            let key = key_of(n);
            let key = HashedKey::new(SEED, &key);
            let lives = format!("{:?}", partition.apply(NOW, table, key, &KeyOp::Ttl));
            format!("{lives} {:?}", partition.apply(NOW, table, key, &KeyOp::Gets))
        })
        .collect()
}

#[test]
fn a_spoiled_slice_is_made_anew_from_what_reads_well() {
    for entries in [0, 1, 10, 1_000] {
        let mut partition = Partition::new(SEED, 0);
        let (spoiled, other) = (a_table(0), a_table(1));
        fill(&mut partition, &spoiled, entries);
        fill(&mut partition, &other, 50);
        let before = answers(&mut partition, &spoiled, entries);
        let beside = answers(&mut partition, &other, 50);
        let held = (partition.holdings(&spoiled), partition.holdings(&other));

        partition.spoil(&spoiled);
        assert_eq!(partition.mend(&other), Mended::Sound);
        let expected = if entries == 0 { Mended::Sound } else { Mended::Rebuilt { lost: 1 } };
        assert_eq!(partition.mend(&spoiled), expected, "{entries} entries");
        assert_eq!(partition.mend(&spoiled), Mended::Sound);

        assert_eq!(answers(&mut partition, &spoiled, entries), before);
        assert_eq!(answers(&mut partition, &other, 50), beside);
        assert!(partition.is_sound());
        let now_held = (partition.holdings(&spoiled), partition.holdings(&other));
        assert_eq!((now_held.0.entries, now_held.0.bytes), (held.0.entries, held.0.bytes));
        assert_eq!(now_held.1, held.1);
        for (table, held) in [(&spoiled, held.0), (&other, held.1)] {
            let usage = table.usage.as_ref().unwrap();
            assert_eq!((usage.entries(), usage.bytes()), (held.entries, held.bytes));
        }
    }
}

/// Some entries are lost: their slots lead nowhere, or to the entry of another key.
#[test]
fn a_slice_keeps_what_reads_well_and_says_how_many_entries_did_not() {
    const ENTRIES: u64 = 1_000;
    let mut partition = Partition::new(SEED, 0);
    let table = a_table(0);
    fill(&mut partition, &table, ENTRIES);
    let mut expected = answers(&mut partition, &table, ENTRIES);
    let nothing = answers(&mut partition, &a_table(1), 1).remove(0);
    let mut lost = 0;
    for n in (5..ENTRIES).step_by(7) {
        let (key, other) = (key_of(n), key_of(n + 1));
        let other = (n % 2 == 0).then_some(HashedKey::new(SEED, &other));
        partition.mislead(&table, HashedKey::new(SEED, &key), other.filter(|_| n + 1 < ENTRIES));
        expected[usize::try_from(n).expect("a small number")].clone_from(&nothing);
        lost += 1;
    }
    assert_eq!(partition.mend(&table), Mended::Rebuilt { lost });
    assert_eq!(partition.mend(&table), Mended::Sound);
    assert_eq!(answers(&mut partition, &table, ENTRIES), expected);
    assert!(partition.is_sound());
    let left = ENTRIES - lost as u64;
    assert_eq!(partition.holdings(&table).entries, left);
    assert_eq!(table.usage.as_ref().unwrap().entries(), left);
    fill(&mut partition, &table, ENTRIES);
    assert_eq!(partition.holdings(&table).entries, ENTRIES);
}

/// What was mended goes on: it is written, expires, and comes to nothing.
#[test]
fn a_mended_slice_lives_on() {
    let mut partition = Partition::new(SEED, 0);
    let table = a_table(0);
    fill(&mut partition, &table, 300);
    partition.spoil(&table);
    assert_eq!(partition.mend(&table), Mended::Rebuilt { lost: 1 });
    fill(&mut partition, &table, 400);
    let later = Timestamp::from_millis(NOW.as_millis() + 1_000);
    while partition.maintain(later, 2) {}
    assert_eq!(partition.holdings(&table).entries, 400 - 134);
    for n in 0..400 {
        partition.apply(later, &table, HashedKey::new(SEED, &key_of(n)), &KeyOp::Delete(None));
    }
    assert_eq!(partition.all_holdings().count(), 0);
    assert_eq!(table.usage.as_ref().unwrap().bytes(), 0);
    let gone = HashedKey::new(SEED, b"key-1");
    assert_eq!(partition.apply(later, &table, gone, &KeyOp::Get), Reply::Nil);
    assert!(partition.is_sound());
}
