//! A partition does what the model does, whatever is done to it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::reply::Reply;
use winter_core::store::index::Tag;
use winter_core::store::{HashedKey, Partition, Seed, Table, TableId};
use winter_core::time::Timestamp;

use crate::model::{Guess, Op, TABLES, Variant, Verb, run};

fn a_verb() -> impl Strategy<Value = Verb> {
    // Writes come more often than reads, so that there is something to read.
    prop_oneof![
        3 => proptest::sample::select(&Verb::ALL[..3]),
        2 => proptest::sample::select(&Verb::ALL[..]),
    ]
}

fn a_size() -> impl Strategy<Value = u8> {
    prop_oneof![20 => 0u8..140, 4 => 140u8..180, 4 => 180u8..240, 1 => 240u8..=255]
}

fn a_guess() -> impl Strategy<Value = Guess> {
    prop_oneof![3 => Just(Guess::Right), 1 => Just(Guess::Stale), 1 => Just(Guess::Wild)]
}

fn a_ttl() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![2 => Just(None), 2 => (1u16..50).prop_map(Some), 1 => any::<u16>().prop_map(Some)]
}

fn an_op() -> impl Strategy<Value = Op> {
    let table = 0..u8::try_from(TABLES).expect("a few tables");
    let key = prop_oneof![12 => 0u8..58, 3 => any::<u8>()];
    let fields = (table.clone(), key, a_verb(), a_size(), a_ttl(), a_guess());
    prop_oneof![
        60 => fields.prop_map(|(table, key, verb, size, ttl, guess)| {
            Op::Key { table, key, verb, size, ttl, guess }
        }),
        4 => prop_oneof![(-100i16..100), any::<i16>()].prop_map(Op::Time),
        6 => (table.clone(), any::<u8>(), -1i8..=1)
            .prop_map(|(table, nth, beside)| Op::Deadline { table, nth: nth % 8, beside }),
        3 => (0u8..4).prop_map(Op::Maintain),
        2 => table.clone().prop_map(Op::Count),
        6 => (table.clone(), 1u8..20).prop_map(|(table, count)| Op::Scan { table, count }),
        1 => table.prop_map(Op::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_partition_is_a_map_with_versions_and_deadlines(
        ops in proptest::collection::vec(an_op(), 1..400),
    ) {
        let answers = run(&ops, Variant { seed: Seed(3, 4), maintains: true });
        // Neither where entries lie nor when they are reclaimed shows in an answer.
        let again = run(&ops, Variant { seed: Seed(5, 6), maintains: false });
        prop_assert!(answers == again, "two runs answer differently");
    }
}

/// More entries than one segment of the index or one page holds, through growth and back.
#[test]
fn growth_and_decline_keep_every_entry() {
    let key = |table: u8, n: u8, verb, ttl| Op::Key {
        table,
        key: n,
        verb,
        size: n % 180,
        ttl,
        guess: Guess::Right,
    };
    let mut ops = Vec::new();
    for round in 0u8..40 {
        for n in 0..=255 {
            let ttl = (n % 3 == 0).then_some(u16::from(n) * 10 + 1);
            ops.push(key(round % 2, n, Verb::ALL[usize::from(n ^ round) % 8], ttl));
        }
        ops.push(Op::Time(500));
        ops.push(Op::Maintain(round % 5));
        ops.push(Op::Scan { table: 0, count: 100 });
    }
    let answers = run(&ops, Variant { seed: Seed(3, 4), maintains: true });
    assert_eq!(answers, run(&ops, Variant { seed: Seed(3, 4), maintains: true }));
}

/// A command that was on its way while its table was dropped does nothing to the
/// table that came after it in its slot, and no harm to the partition.
#[test]
fn a_late_command_finds_its_table_gone() {
    let seed = Seed(1, 2);
    let now = Timestamp::from_millis(1);
    let gone = Table::new(TableId(1), 0, "t", TableOptions::default());
    let namesake = Table::new(TableId(2), 0, "t", TableOptions::default());
    let key = HashedKey::new(seed, b"k");
    let put = KeyOp::Put(Write { data: b"x", ttl: None });

    let mut partition = Partition::new(seed, 0);
    partition.apply(now, &namesake, key, &put);
    assert_eq!(partition.apply(now, &gone, key, &put), Reply::MissingTable);
    assert_eq!(partition.apply(now, &gone, key, &KeyOp::Delete(None)), Reply::MissingTable);
    assert_eq!(partition.apply(now, &gone, key, &KeyOp::Get), Reply::Nil);
    assert!(partition.detach(&gone).is_none());
    assert_eq!(partition.apply(now, &namesake, key, &KeyOp::Get), Reply::Data(b"x"));

    // The late command comes first: the namesake begins with nothing of it.
    let mut partition = Partition::new(seed, 0);
    partition.apply(now, &gone, key, &put);
    assert_eq!(partition.apply(now, &namesake, key, &KeyOp::Get), Reply::Nil);
    assert_eq!(partition.apply(now, &namesake, key, &put), Reply::WordVersion("ok", 2));
    assert_eq!(partition.holdings(&namesake).entries, 1);
    assert!(partition.is_sound());
}

/// Among so many keys some have the same tag: a cursor must not step between them.
#[test]
fn a_scan_in_steps_of_one_loses_no_key() {
    let seed = Seed(1, 2);
    let now = Timestamp::from_millis(1);
    let table = Table::new(TableId(1), 0, "t", TableOptions::default());
    let mut partition = Partition::new(seed, 0);
    let put = KeyOp::Put(Write { data: b"", ttl: None });
    let keys: BTreeSet<Vec<u8>> = (0u32..100_000).map(|n| n.to_le_bytes().to_vec()).collect();
    let mut tags = BTreeSet::new();
    for key in &keys {
        let key = HashedKey::new(seed, key);
        tags.insert(Tag::of(key.hash));
        partition.apply(now, &table, key, &put);
    }
    assert!(tags.len() < keys.len(), "no two keys have the same tag: take more of them");
    let (mut seen, mut from, mut steps) = (Vec::new(), Some(Tag::of(0)), 0..=keys.len());
    while let Some(tag) = from {
        assert!(steps.next().is_some(), "a scan goes on");
        from = partition.scan(now, &table, tag, b"", 1, &mut seen).0;
    }
    assert_eq!(seen.len(), keys.len(), "each key is shown once");
    assert!(seen.into_iter().collect::<BTreeSet<_>>() == keys);
}

/// Segments of the index split, grow and shrink between the steps.
#[test]
fn a_scan_shows_what_stands_while_the_table_grows_and_shrinks() {
    let seed = Seed(1, 2);
    let now = Timestamp::from_millis(1);
    let table = Table::new(TableId(1), 0, "t", TableOptions::default());
    let mut partition = Partition::new(seed, 0);
    let put = KeyOp::Put(Write { data: b"x", ttl: None });
    let key_of = |name: &str, n: u32| format!("{name}{n}").into_bytes();
    let apply = |partition: &mut Partition, key: &[u8], op: &KeyOp<'_>| {
        partition.apply(now, &table, HashedKey::new(seed, key), op);
    };
    let standing: BTreeSet<Vec<u8>> = (0..5_000).map(|n| key_of("stands", n)).collect();
    for key in &standing {
        apply(&mut partition, key, &put);
    }
    let (mut seen, mut from, mut passing) = (Vec::new(), Some(Tag::of(0)), 0..0);
    while let Some(tag) = from {
        from = partition.scan(now, &table, tag, b"stands", 400, &mut seen).0;
        // Grow to many times the size and back, once in the course of some steps.
        if passing.len() < 30_000 {
            let more = passing.end..passing.end + 3_000;
            more.clone().for_each(|n| apply(&mut partition, &key_of("passes", n), &put));
            passing.end = more.end;
        } else {
            let gone = std::mem::take(&mut passing);
            let delete = KeyOp::Delete(None);
            gone.for_each(|n| apply(&mut partition, &key_of("passes", n), &delete));
        }
    }
    assert!(seen.into_iter().collect::<BTreeSet<_>>() == standing);
}

/// However many entries it may look at, a step is over with the key that completes a
/// mebibyte.
#[test]
fn a_step_of_a_scan_ends_with_a_mebibyte_of_keys() {
    const STEP_BYTES: usize = 1 << 20;
    const KEY_BYTES: usize = 50_000;
    const KEYS: usize = 50;
    let (seed, now) = (Seed(1, 2), Timestamp::from_millis(1));
    let table = Table::new(TableId(1), 0, "t", TableOptions::default());
    let mut partition = Partition::new(seed, 0);
    let put = KeyOp::Put(Write { data: b"x", ttl: None });
    for n in 0..KEYS {
        let key = format!("{n:0KEY_BYTES$}");
        partition.apply(now, &table, HashedKey::new(seed, key.as_bytes()), &put);
    }
    let (mut from, mut steps, mut seen) = (Tag::from_bits(0), Vec::new(), BTreeSet::new());
    while let Some(at) = from {
        let mut keys = Vec::new();
        (from, _) = partition.scan(now, &table, at, b"", 10_000, &mut keys);
        steps.push(keys.len());
        seen.extend(keys);
    }
    let whole = STEP_BYTES.div_ceil(KEY_BYTES);
    assert_eq!(steps, [whole, whole, KEYS - 2 * whole]);
    assert_eq!(seen.len(), KEYS);
}
