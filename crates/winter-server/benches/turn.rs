//! What a turn costs without the kernel: a pipeline's bytes in, replies out.

use std::net::SocketAddr;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use winter_core::store::Seed;
use winter_server::config::Config;
use winter_server::node::{Node, TableCache};
use winter_server::server::Shared;
use winter_server::session::turn::{State, Turn};

const DEPTH: usize = 32;

/// The one that the server runs with.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    divan::main();
}

fn shared() -> Arc<Shared> {
    let config = Config { memory_bytes_max: 8 << 30, slow_command: None, ..Config::default() };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Arc::new(Shared::new(Node::new(config, Seed(1, 2)), address))
}

struct Bench {
    shared: Arc<Shared>,
    state: State,
    tables: TableCache,
    output: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let shared = shared();
        let address = shared.address;
        let client = shared.clients.open(address, address, shared.node.clock.now());
        let mut bench = Self {
            state: State::new(client),
            shared,
            tables: TableCache::default(),
            output: Vec::new(),
        };
        bench.run(b"*2\r\n$6\r\nCREATE\r\n$1\r\nt\r\n");
        bench
    }

    fn run(&mut self, input: &[u8]) -> usize {
        self.output.clear();
        let mut turn = Turn {
            shared: &self.shared,
            worker: 0,
            tables: &mut self.tables,
            state: &mut self.state,
            has_room: true,
        };
        let (done, _) = turn.run(input, &mut self.output);
        assert_eq!(done, input.len());
        self.output.len()
    }
}

fn get(key: u64) -> String {
    format!("*3\r\n$3\r\nGET\r\n$1\r\nt\r\n$16\r\n{key:016}\r\n")
}

fn putnew(key: u64) -> String {
    format!("*4\r\n$6\r\nPUTNEW\r\n$1\r\nt\r\n$16\r\n{key:016}\r\n$64\r\n{}\r\n", "x".repeat(64))
}

/// Batches of commands on keys in a scattered order.
fn batches(keys: u64, command: impl Fn(u64) -> String) -> Vec<Vec<u8>> {
    let scattered = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys;
    (0..4_096u64)
        .map(|b| (0..DEPTH as u64).map(|n| command(scattered(b * 32 + n))).collect::<String>())
        .map(String::into_bytes)
        .collect()
}

#[divan::bench(args = [200_000, 2_000_000])]
fn get_32_deep(bencher: Bencher<'_, '_>, keys: u64) {
    let mut bench = Bench::new();
    for key in 0..keys {
        bench.run(putnew(key).as_bytes());
    }
    let batches = batches(keys, get);
    let mut next = batches.iter().cycle();
    bencher
        .counter(ItemsCount::new(DEPTH))
        .bench_local(|| bench.run(next.next().expect("a cycle")));
}

#[divan::bench]
fn putnew_32_deep(bencher: Bencher<'_, '_>) {
    let mut bench = Bench::new();
    let mut next = 0;
    bencher
        .counter(ItemsCount::new(DEPTH))
        .with_inputs(|| {
            next += DEPTH as u64;
            (next..next + DEPTH as u64).map(putnew).collect::<String>().into_bytes()
        })
        .bench_local_values(|batch| bench.run(&batch));
}
