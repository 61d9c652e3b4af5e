//! Memory: what an entry costs at every size, what churn leaves behind, and that
//! what is gone gives its bytes back.

use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::reply::Reply;
use winter_core::store::{HashedKey, Partition, Seed, Table, TableId, partition_of};
use winter_core::time::{Timestamp, Ttl};

const SEED: Seed = Seed(7, 8);
const PARTITIONS: u16 = 256;
const KEY_BYTES: usize = 16;
const DATA_BYTES: usize = 32;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A node's partitions, one table and its clock.
struct Store {
    table: Table,
    partitions: Vec<Partition>,
    allocated: usize,
    now: u64,
}

impl Store {
    fn new(partitions: u16) -> Self {
        Self {
            table: Table::new(TableId(1), 0, "t", TableOptions::default()),
            partitions: (0..partitions).map(|_| Partition::new(SEED, 0)).collect(),
            allocated: 0,
            now: 1_000_000,
        }
    }

    /// Applies `op`: by how much the allocated bytes changed.
    fn apply(&mut self, key: &[u8], op: &KeyOp<'_>) -> isize {
        let count = u16::try_from(self.partitions.len()).expect("few");
        let number = partition_of(self.table.hash, key, count);
        let partition = &mut self.partitions[usize::from(number)];
        let before = partition.allocated_bytes();
        let at = Timestamp::from_millis(self.now);
        let reply = partition.apply(at, &self.table, HashedKey::new(SEED, key), op);
        assert!(!matches!(reply, Reply::Fault(_)), "{reply:?}");
        let after = partition.allocated_bytes();
        self.allocated = self.allocated + after - before;
        after.cast_signed() - before.cast_signed()
    }

    fn put(&mut self, n: u64, data: &[u8], ttl: Option<u64>) -> isize {
        let ttl = ttl.map(|millis| Ttl::from_millis(millis).expect("in its limits"));
        self.apply(&key_of(n), &KeyOp::Put(Write { data, ttl }))
    }

    fn delete(&mut self, n: u64) {
        self.apply(&key_of(n), &KeyOp::Delete(None));
    }

    /// Lets time pass, and reclaims as a server does: a little at a time, until nothing is due.
    fn pass(&mut self, millis: u64) {
        self.now += millis;
        let now = Timestamp::from_millis(self.now);
        for partition in &mut self.partitions {
            let mut steps = 0;
            while partition.maintain(now, 4) {
                steps += 1;
                assert!(steps < 1_000_000, "what is due stays due");
            }
        }
        self.allocated = self.partitions.iter().map(Partition::allocated_bytes).sum();
    }

    fn live_bytes(&self) -> usize {
        let bytes: u64 = self.partitions.iter().map(|p| p.holdings(&self.table).bytes).sum();
        usize::try_from(bytes).expect("it fits in memory")
    }

    /// Bytes that are allocated whatever the partitions hold.
    fn assert_next_to_nothing(&self) {
        let each = self.allocated / self.partitions.len();
        assert!(each < 1_024, "{each} bytes are left in each partition");
        assert!(self.partitions.iter().all(Partition::is_sound));
    }
}

fn key_of(n: u64) -> [u8; KEY_BYTES] {
    let mut key = *b"key:000000000000";
    key[4..].copy_from_slice(format!("{n:012}").as_bytes());
    key
}

/// Numbers that look random and are the same in every run.
fn scrambled(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A number below `end`, as a length.
fn below(end: u64, n: u64) -> usize {
    usize::try_from(scrambled(n) % end).expect("a short length")
}

#[test]
fn an_entry_costs_under_24_bytes_at_every_size() {
    let mut store = Store::new(PARTITIONS);
    let (mut next, mut worst) = (100_000, (0.0f64, 0));
    for n in 1..=1_000_000u32 {
        let grown = store.put(u64::from(n), &[7; DATA_BYTES], None);
        assert!(grown < 64 << 10, "one write allocates {grown} bytes at {n} entries");
        if n == next {
            let allocated = u32::try_from(store.allocated).expect("under 4 GiB");
            let payload = u32::try_from(KEY_BYTES + DATA_BYTES).expect("a few");
            let overhead = f64::from(allocated) / f64::from(n) - f64::from(payload);
            worst = if overhead > worst.0 { (overhead, n) } else { worst };
            next += next / 40;
        }
    }
    assert!(worst.0 < 24.0, "{:.2} bytes an entry beyond key and value at {}", worst.0, worst.1);
    for n in 1..=1_000_000 {
        store.delete(n);
    }
    store.assert_next_to_nothing();
}

/// Every partition has a slice of a table: what a table of few entries costs is
/// mostly slices.
#[test]
fn a_small_table_costs_little() {
    for (entries, most) in [(100u32, 400.0), (1_000, 130.0), (2_000, 85.0), (10_000, 40.0)] {
        let mut store = Store::new(PARTITIONS);
        for n in 1..=entries {
            store.put(u64::from(n), &[7; DATA_BYTES], None);
        }
        let allocated = u32::try_from(store.allocated).expect("under 4 GiB");
        let payload = u32::try_from(KEY_BYTES + DATA_BYTES).expect("a few");
        let overhead = f64::from(allocated) / f64::from(entries) - f64::from(payload);
        assert!(overhead < most, "{overhead:.0} bytes an entry beyond key and value at {entries}");
    }
}

/// With a time to live each entry has seven bytes more.
#[test]
fn an_entry_that_expires_costs_under_31_bytes() {
    let mut store = Store::new(PARTITIONS);
    for n in 1..=300_000u32 {
        store.put(u64::from(n), &[7; DATA_BYTES], Some(HOUR + u64::from(n)));
    }
    let allocated = u32::try_from(store.allocated).unwrap();
    let overhead = f64::from(allocated) / 300_000.0 - 48.0;
    assert!(overhead < 31.0, "{overhead:.2} bytes an entry");
    store.pass(2 * HOUR);
    store.assert_next_to_nothing();
}

/// A partition of a cluster holds sixteen times as much as one of a node that stands alone.
#[test]
fn a_large_partition_grows_in_small_steps() {
    let mut store = Store::new(1);
    for n in 1..=600_000 {
        let grown = store.put(n, &[7; DATA_BYTES], None);
        assert!(grown < 512 << 10, "one write allocates {grown} bytes at {n} entries");
    }
    for n in 1..600_000 {
        store.delete(n);
    }
    // One entry keeps the slice: what grew with the table has shrunk with it.
    assert!(store.allocated < 256 << 10, "{} bytes for one entry", store.allocated);
    store.delete(600_000);
    store.assert_next_to_nothing();
}

#[test]
fn overwriting_leaves_little_garbage() {
    let mut store = Store::new(4);
    let data = [7; 700];
    for n in 0..20_000 {
        store.put(n, &data[..below(700, n)], None);
    }
    for round in 1..=5 {
        for n in 0..20_000 {
            store.put(below(20_000, n + round * 31) as u64, &data[..below(700, n + round)], None);
            let most = store.live_bytes_estimate();
            assert!(store.allocated < most, "{} of {most}, round {round}", store.allocated);
        }
    }
    for n in 0..20_000 {
        store.delete(n);
    }
    store.assert_next_to_nothing();
}

impl Store {
    /// Half as much again as what is live.
    fn live_bytes_estimate(&self) -> usize {
        self.live_bytes() * 3 / 2
    }
}

/// What lives at `now`, told by the deadlines of what was written.
fn live_of(written: &[(u64, usize)], now: u64) -> usize {
    written.iter().filter(|(deadline, _)| *deadline > now).map(|(_, bytes)| bytes).sum()
}

/// Writes `per_step` new entries at each of `steps`, with times to live that `ttl`
/// draws, and asks that what is allocated stays near what lives.
fn expiry_keeps_near_what_lives(step: u64, steps: u64, ttl: impl Fn(u64) -> u64) {
    let mut store = Store::new(2);
    let mut written = Vec::new();
    let mut n = 0;
    for at in 0..steps {
        for _ in 0..100 {
            n += 1;
            let millis = ttl(scrambled(n));
            store.put(n, &[7; 100], Some(millis));
            written.push((store.now + millis, KEY_BYTES + 100 + 14 + 8));
        }
        store.pass(step);
        if at > 50 {
            let live = live_of(&written, store.now);
            assert!(
                store.allocated * 10 < live * 16 + (640 << 10),
                "step {at}: {} allocated, {live} live",
                store.allocated
            );
        }
    }
    store.pass(1 << 54);
    store.assert_next_to_nothing();
}

#[test]
fn short_lives_leave_nothing_behind() {
    expiry_keeps_near_what_lives(100, 400, |random| 1 + random % 4_000);
}

/// Entries that live briefly are not kept by one beside them that lives long.
#[test]
fn long_lives_do_not_keep_short_ones() {
    expiry_keeps_near_what_lives(MINUTE, 400, |random| match random % 50 {
        0 => 4 * HOUR,
        _ => 18 * MINUTE,
    });
}

#[test]
fn lives_without_end_do_not_keep_those_that_end() {
    expiry_keeps_near_what_lives(10 * MINUTE, 400, |random| match random % 100 {
        0 => 1 << 53,
        _ => 5 * HOUR,
    });
}

/// A lease that is renewed again and again takes no more than a lease.
#[test]
fn renewing_leaves_nothing_behind() {
    let mut store = Store::new(1);
    for n in 0..100 {
        store.put(n, b"owner", Some(24 * HOUR));
    }
    let before = store.allocated;
    for second in 0..2_000 {
        store.now += 1_000;
        for n in 0..100 {
            // Ever shorter, too: each renewal is due before the last.
            let ttl = Ttl::from_millis(24 * HOUR - second * 2_000);
            store.apply(&key_of(n), &KeyOp::Touch(ttl, None));
        }
    }
    assert!(store.allocated < before * 2, "{} bytes, and {before} before", store.allocated);
    store.pass(48 * HOUR);
    store.assert_next_to_nothing();
}

/// One key, one moment: the same page is due at the same time again and again.
#[test]
fn rewriting_within_one_millisecond_leaves_nothing_behind() {
    let mut store = Store::new(1);
    for n in 0..100_000 {
        store.put(n % 3, &[7; 3_000], Some(HOUR));
        assert!(store.allocated < 32 << 10, "{} bytes for three entries", store.allocated);
    }
}

/// A count takes out what has expired, and the room that it leaves comes back.
#[test]
fn counting_gives_back_what_has_expired() {
    let mut store = Store::new(1);
    for n in 0..50_000 {
        let ttl = if n % 2 == 0 { MINUTE } else { 10 * MINUTE };
        store.put(n, &[7; 100], Some(ttl));
    }
    store.now += MINUTE;
    let at = Timestamp::from_millis(store.now);
    assert_eq!(store.partitions[0].count(at, &store.table), 25_000);
    store.pass(0);
    assert!(store.allocated < store.live_bytes_estimate(), "{}", store.allocated);
}

/// What one step of reclaiming reads has a limit, whatever is due: a page that it sweeps,
/// and one that it empties where that leaves too much garbage.
#[test]
fn a_step_of_reclaiming_reads_a_page() {
    const PAGE_BYTES: u64 = 16 << 10;
    const STEP: u64 = 500;
    let mut store = Store::new(1);
    for n in 0..30_000 {
        let life = if n % 4 == 0 { STEP } else { STEP + scrambled(n) % (7 * STEP) };
        store.put(n, &[7; 100], Some(life));
    }
    let entry = 100 + KEY_BYTES as u64;
    let (mut steps, mut most) = (0, 0);
    while store.partitions[0].holdings(&store.table).entries > 0 {
        store.now += STEP;
        let now = Timestamp::from_millis(store.now);
        let partition = &mut store.partitions[0];
        let mut more = true;
        while more {
            let before = partition.reclaimed();
            more = partition.maintain(now, 1);
            let after = partition.reclaimed();
            let read = after.expired - before.expired + after.moved - before.moved;
            most = most.max(read * entry);
            steps += 1;
        }
    }
    assert!((PAGE_BYTES / 2..=2 * PAGE_BYTES).contains(&most), "{most} bytes in one step");
    assert!(steps > 30_000 * entry / (2 * PAGE_BYTES), "{steps} steps");
}

/// The last entries may go by being compacted away: their slice goes with them.
#[test]
fn an_emptied_slice_is_let_go_however_it_was_emptied() {
    for expiring in 1..40u64 {
        let mut store = Store::new(1);
        for n in 0..40 {
            // One class of lives, so that they share pages.
            store.put(n, &[7; 100], Some(if n < expiring { 2 * MINUTE } else { 16 * MINUTE }));
        }
        store.now += 2 * MINUTE;
        for n in 0..40 {
            store.delete(n);
        }
        store.pass(HOUR);
        assert_eq!(store.partitions[0].all_holdings().count(), 0, "{expiring} expired");
    }
}

/// A partition's list of slices is as long as the highest slot with entries, and no longer.
#[test]
fn tables_that_are_gone_leave_nothing_behind() {
    let mut store = Store::new(1);
    let partition = &mut store.partitions[0];
    let at = Timestamp::from_millis(0);
    let tables: Vec<Table> = (0..10_000)
        .map(|slot| Table::new(TableId(u64::from(slot) + 1), slot, "t", TableOptions::default()))
        .collect();
    let before = partition.allocated_bytes();
    let key = HashedKey::new(SEED, b"key");
    for table in &tables {
        let write = KeyOp::Put(Write { data: b"value", ttl: None });
        assert!(!matches!(partition.apply(at, table, key, &write), Reply::Fault(_)));
    }
    let (last, others) = tables.split_last().expect("there are many");
    for table in others {
        drop(partition.detach(table).expect("it has an entry"));
    }
    let slots = size_of::<usize>() * tables.len();
    assert!(partition.allocated_bytes() - before < 2 * slots + 1_024);
    drop(partition.detach(last).expect("it has an entry"));
    assert_eq!(partition.allocated_bytes(), before);
}
