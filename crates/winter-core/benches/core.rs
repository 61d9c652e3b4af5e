//! What the pieces of a command cost: reading it, finding, writing, reclaiming;
//! and what a snapshot does.
//!
//! `cargo bench -p winter-core`, or with a name after `--` to run some.

use std::sync::OnceLock;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use winter_core::cluster::entry::{EntryWriter, NewTable, Operation, TableRef};
use winter_core::cluster::replica::{Replica, Unheard};
use winter_core::cluster::snapshot::{Frozen, Receiving};
use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::protocol::{Dialect, Limits, Step};
use winter_core::store::{HashedKey, Partition, Seed, Table, TableId, partition_of};
use winter_core::time::{Timestamp, Ttl};

const SEED: Seed = Seed(1, 2);
const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const PARTITIONS: u16 = 256;
/// Sizes that fit a cache, and that do not.
const ENTRIES: [u64; 2] = [200_000, 2_000_000];
/// Operations of one sample: as many as a pipeline of a busy session.
const BATCH: u64 = 1_024;
const DATA: [u8; 32] = [7; 32];
const PUT: KeyOp<'static> = KeyOp::Put(Write { data: &DATA, ttl: None });

fn main() {
    divan::main();
}

/// A table over a node's partitions.
struct Store {
    table: Table,
    partitions: Vec<Partition>,
}

impl Store {
    fn with(partitions: u16, entries: u64, ttl: Option<Ttl>) -> Self {
        let table = Table::new(TableId(1), 0, "bench", TableOptions::default());
        let partitions = (0..partitions).map(|_| Partition::new(SEED, 0)).collect();
        let mut store = Self { table, partitions };
        for n in 0..entries {
            store.apply(&key_of(n), &KeyOp::Put(Write { data: &DATA, ttl }));
        }
        store
    }

    /// Hashes, looks up and does `op`: how many bytes the answer has.
    fn apply(&mut self, key: &[u8], op: &KeyOp<'_>) -> usize {
        let count = u16::try_from(self.partitions.len()).expect("few partitions");
        let number = partition_of(self.table.hash, key, count);
        let partition = &mut self.partitions[usize::from(number)];
        match partition.apply(NOW, &self.table, HashedKey::new(SEED, key), op) {
            winter_core::reply::Reply::Data(data) => data.len(),
            reply => {
                black_box(&reply);
                0
            }
        }
    }
}

fn key_of(n: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    for (digit, shift) in key[4..].iter_mut().zip((0..12).map(|place| place * 4)) {
        *digit = b"0123456789abcdef"[usize::try_from(n >> shift & 15).expect("four bits")];
    }
    key
}

fn scrambled(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// Keys in an order that no cache foresees; each call goes on where the last ended.
fn some_keys(turn: &mut u64, below: u64) -> Vec<[u8; 16]> {
    *turn += BATCH;
    (*turn - BATCH..*turn).map(|n| key_of(scrambled(n) % below)).collect()
}

mod parsing {
    use super::*;

    fn pipeline(dialect: Dialect, commands: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for n in 0..BATCH {
            let command = commands[usize::try_from(n).expect("small") % commands.len()];
            if dialect == Dialect::Line {
                bytes.extend_from_slice(command.as_bytes());
                bytes.push(b'\n');
                continue;
            }
            let words: Vec<&str> = command.split(' ').collect();
            bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
            }
        }
        bytes
    }

    fn read_all(dialect: Dialect, mut input: &[u8]) {
        let limits = Limits { value_bytes_max: 16 << 20, scanned: 0 };
        while let Step::Command(parsed) = dialect.next(input, limits) {
            input = &input[parsed.length..];
            black_box(&parsed.command);
        }
        assert!(input.is_empty(), "the pipeline is whole");
    }

    #[divan::bench(args = ["GET", "PUTNEW", "CAS"])]
    fn line(bencher: Bencher<'_, '_>, command: &str) {
        let input = pipeline(Dialect::Line, &[line_of(command)]);
        bencher
            .counter(ItemsCount::new(BATCH))
            .bench(|| read_all(Dialect::Line, black_box(&input)));
    }

    #[divan::bench(args = ["GET", "PUTNEW", "CAS"])]
    fn resp(bencher: Bencher<'_, '_>, command: &str) {
        let input = pipeline(Dialect::Resp2, &[line_of(command)]);
        bencher
            .counter(ItemsCount::new(BATCH))
            .bench(|| read_all(Dialect::Resp2, black_box(&input)));
    }

    fn line_of(command: &str) -> &'static str {
        match command {
            "GET" => "GET sessions key:000000001234",
            "PUTNEW" => "PUTNEW sessions key:000000001234 0123456789abcdef0123456789abcdef",
            _ => "CAS sessions key:000000001234 1234567 0123456789abcdef EXPIRE 60000",
        }
    }
}

mod lookup {
    use super::*;

    fn stores(entries: u64) -> &'static std::sync::Mutex<Store> {
        static SMALL: OnceLock<std::sync::Mutex<Store>> = OnceLock::new();
        static LARGE: OnceLock<std::sync::Mutex<Store>> = OnceLock::new();
        let place = if entries == ENTRIES[0] { &SMALL } else { &LARGE };
        place.get_or_init(|| Store::with(PARTITIONS, entries, None).into())
    }

    fn find(bencher: Bencher<'_, '_>, entries: u64, first: u64) {
        let mut store = stores(entries).lock().expect("no bench panics");
        let mut turn = 0;
        bencher
            .counter(ItemsCount::new(BATCH))
            .with_inputs(|| some_keys(&mut turn, entries))
            .bench_local_values(|keys| {
                keys.iter()
                    .map(|key| {
                        let mut key = *key;
                        key[0] = key[0].wrapping_add(u8::try_from(first).expect("0 or 1"));
                        store.apply(&key, &KeyOp::Get)
                    })
                    .sum::<usize>()
            });
    }

    #[divan::bench(args = ENTRIES)]
    fn hit(bencher: Bencher<'_, '_>, entries: u64) {
        find(bencher, entries, 0);
    }

    #[divan::bench(args = ENTRIES)]
    fn miss(bencher: Bencher<'_, '_>, entries: u64) {
        find(bencher, entries, 1);
    }
}

mod writing {
    use super::*;

    /// Fresh keys, in a store that has so many already.
    #[divan::bench(args = ENTRIES, max_time = 2)]
    fn insert(bencher: Bencher<'_, '_>, entries: u64) {
        let mut store = Store::with(PARTITIONS, entries, None);
        let mut next = entries;
        bencher
            .counter(ItemsCount::new(BATCH))
            .with_inputs(|| {
                next += BATCH;
                (next - BATCH..next).map(key_of).collect::<Vec<_>>()
            })
            .bench_local_values(|keys| {
                keys.iter().map(|key| store.apply(key, &PUT)).sum::<usize>()
            });
    }

    /// Keys that are there: what is garbage is compacted in passing.
    #[divan::bench(args = ENTRIES)]
    fn overwrite(bencher: Bencher<'_, '_>, entries: u64) {
        let mut store = Store::with(PARTITIONS, entries, None);
        let mut turn = 0;
        bencher
            .counter(ItemsCount::new(BATCH))
            .with_inputs(|| some_keys(&mut turn, entries))
            .bench_local_values(|keys| {
                keys.iter().map(|key| store.apply(key, &PUT)).sum::<usize>()
            });
    }
}

mod reclaiming {
    use super::*;

    const LIVES: u64 = 100_000;

    /// Entries that expired together, swept a page at a time: the time of all of them.
    #[divan::bench(sample_count = 20)]
    fn sweep(bencher: Bencher<'_, '_>) {
        let later = Timestamp::from_millis(NOW.as_millis() + 10_000);
        bencher
            .counter(ItemsCount::new(LIVES))
            .with_inputs(|| Store::with(1, LIVES, Ttl::from_millis(1_000)))
            .bench_local_refs(|store| while store.partitions[0].maintain(later, 1) {});
    }

    /// One step of sweeping: what a command beside it may wait for.
    #[divan::bench(sample_count = 200)]
    fn sweep_one_page(bencher: Bencher<'_, '_>) {
        let later = Timestamp::from_millis(NOW.as_millis() + 10_000);
        let full = || Store::with(1, LIVES, Ttl::from_millis(1_000));
        let mut store = full();
        bencher.bench_local(|| {
            if !store.partitions[0].maintain(later, 1) {
                store = full();
            }
        });
    }

    /// Half the entries deleted in a random order: the other half is moved together.
    #[divan::bench(sample_count = 10)]
    fn compact(bencher: Bencher<'_, '_>) {
        bencher
            .counter(ItemsCount::new(LIVES / 2))
            .with_inputs(|| Store::with(1, LIVES, None))
            .bench_local_refs(|store| {
                for n in 0..LIVES / 2 {
                    store.apply(&key_of(scrambled(n) % LIVES), &KeyOp::Delete(None));
                }
            });
    }
}

/// A partition of a million entries over sixteen, with 100 bytes of key and data each.
mod snapshots {
    use super::*;

    const ENTRIES: u64 = 62_500;
    const CHUNK_BYTES: usize = 256 << 10;

    fn replica() -> &'static std::sync::Mutex<Replica> {
        static REPLICA: OnceLock<std::sync::Mutex<Replica>> = OnceLock::new();
        REPLICA.get_or_init(|| filled().into())
    }

    fn filled() -> Replica {
        let table = TableRef { id: TableId(1), slot: 0 };
        let new = NewTable { table, name: "bench", options: TableOptions::default() };
        let mut replica = Replica::new(SEED, 0);
        let mut writer = EntryWriter::default();
        writer.push(&Operation::Create(new));
        for n in 0..ENTRIES {
            let op = KeyOp::Put(Write { data: &[7; 84], ttl: None });
            let key = key_of(scrambled(n));
            let operation = Operation::Key { table, key: &key, op };
            if !writer.has_room_for(&operation) {
                replica.apply(&writer.seal(NOW), &mut Unheard).expect("it can be read");
            }
            writer.push(&operation);
        }
        replica.apply(&writer.seal(NOW), &mut Unheard).expect("it can be read");
        replica
    }

    fn chunks(mut frozen: Frozen) -> impl Iterator<Item = impl AsRef<[u8]>> {
        std::iter::from_fn(move || frozen.next(CHUNK_BYTES))
    }

    /// What the partition's lock is held for.
    #[divan::bench]
    fn freeze(bencher: Bencher<'_, '_>) {
        let replica = replica().lock().expect("no bench panics");
        bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| replica.freeze());
    }

    /// The first chunk: looking at all entries, and sorting them.
    #[divan::bench]
    fn first_chunk(bencher: Bencher<'_, '_>) {
        let replica = replica().lock().expect("no bench panics");
        bencher
            .counter(ItemsCount::new(ENTRIES))
            .with_inputs(|| replica.freeze())
            .bench_local_refs(|frozen| frozen.next(CHUNK_BYTES).map(|chunk| chunk.len()));
    }

    #[divan::bench]
    fn stream(bencher: Bencher<'_, '_>) {
        let replica = replica().lock().expect("no bench panics");
        let bytes = chunks(replica.freeze()).map(|chunk| chunk.as_ref().len()).sum::<usize>();
        bencher
            .counter(ItemsCount::new(ENTRIES))
            .counter(BytesCount::new(bytes))
            .with_inputs(|| replica.freeze())
            .bench_local_values(|frozen| chunks(frozen).map(|c| c.as_ref().len()).sum::<usize>());
    }

    #[divan::bench(sample_count = 50)]
    fn receive(bencher: Bencher<'_, '_>) {
        let replica = replica().lock().expect("no bench panics");
        let all: Vec<_> = chunks(replica.freeze()).collect();
        bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
            let mut received = Receiving::new(Seed(3, 4));
            for chunk in &all {
                received.push(chunk.as_ref()).expect("it was just sent");
            }
            assert!(received.is_whole());
            received
        });
    }
}
