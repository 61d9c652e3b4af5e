//! What the node counts about itself.
//!
//! Each thread that serves clients writes counters of its own, without atomic
//! read-modify-writes; a scrape adds them up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use winter_core::command::{Verb, table::SPECS};
use winter_core::fault::{Fault, Kind};
use winter_core::reply::Reply;

const COMMANDS: usize = SPECS.len();
/// A row for each command, and one for words that are none.
const ROWS: usize = COMMANDS + 1;
const OUTCOMES: usize = 3 + Kind::ALL.len();

/// Upper bounds of the latency buckets, in microseconds.
pub const LATENCY_BOUNDS_MICROS: [u64; 16] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];
const BUCKETS: usize = LATENCY_BOUNDS_MICROS.len() + 1;

/// A counter that only one thread writes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Adds one from any thread.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds `n` from any thread.
    pub fn bump_by(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome(u8);

impl Outcome {
    /// The outcome that `reply` tells.
    #[must_use]
    #[inline]
    pub fn of(reply: &Reply<'_>) -> Self {
        match reply {
            Reply::Nil => Self(1),
            Reply::MissingTable => Self(2),
            Reply::Fault(fault) => Self(3 + fault.kind as u8),
            _ => Self(0),
        }
    }

    /// What went wrong, if something did.
    #[must_use]
    pub fn fault(self) -> Option<Kind> {
        usize::from(self.0).checked_sub(3).map(|n| Kind::ALL[n])
    }

    /// Every outcome.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..OUTCOMES).map(|n| Self(u8::try_from(n).expect("few outcomes")))
    }

    /// The outcome's word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self.0 {
            0 => "ok",
            1 => "nil",
            2 => "missing_table",
            n => Kind::ALL[usize::from(n) - 3].word(),
        }
    }
}

/// A command's name in metrics, or `unknown`.
#[must_use]
pub fn command_name(row: usize) -> String {
    SPECS.get(row).map_or_else(|| "unknown".to_owned(), winter_core::command::Spec::lower_name)
}

/// One thread's counters.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerStats {
    commands: Box<[[Counter; OUTCOMES]; ROWS]>,
    latency: Box<[[Counter; BUCKETS]; ROWS]>,
    latency_nanos: Box<[Counter; ROWS]>,
    /// Bytes read from clients.
    pub bytes_in: Counter,
    /// Bytes written to clients.
    pub bytes_out: Counter,
}

impl Default for WorkerStats {
    fn default() -> Self {
        Self {
            commands: Box::new(std::array::from_fn(|_| {
                std::array::from_fn(|_| Counter::default())
            })),
            latency: Box::new(std::array::from_fn(|_| std::array::from_fn(|_| Counter::default()))),
            latency_nanos: Box::new(std::array::from_fn(|_| Counter::default())),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
        }
    }
}

fn row(verb: Option<Verb>) -> usize {
    verb.map_or(COMMANDS, |verb| verb as usize)
}

impl WorkerStats {
    /// Counts a command and what became of it.
    #[inline]
    pub fn count(&self, verb: Option<Verb>, outcome: Outcome) {
        self.commands[row(verb)][usize::from(outcome.0)].add(1);
    }

    /// Counts how long a command took, from the start of its pass to its reply's encoding.
    #[inline]
    pub fn time(&self, verb: Option<Verb>, bucket: LatencyBucket) {
        self.latency[row(verb)][bucket.number].add(1);
        self.latency_nanos[row(verb)].add(bucket.nanos);
    }
}

/// Where a latency falls.
#[derive(Clone, Copy, Debug)]
pub struct LatencyBucket {
    number: usize,
    nanos: u64,
}

impl LatencyBucket {
    /// The bucket of `elapsed`.
    #[must_use]
    pub fn of(elapsed: Duration) -> Self {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let number = LATENCY_BOUNDS_MICROS.partition_point(|bound| bound * 1_000 < nanos);
        Self { number, nanos }
    }
}

/// One command's latencies over all threads.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// How many fell into each bucket; the last has no upper bound.
    pub buckets: [u64; BUCKETS],
    /// Seconds in all.
    pub seconds: f64,
}

/// Latencies that any thread counts.
#[derive(Debug)]
pub struct SharedLatency {
    buckets: [Counter; BUCKETS],
    nanos: Counter,
}

impl Default for SharedLatency {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Counter::default()), nanos: Counter::default() }
    }
}

impl SharedLatency {
    /// Counts what took so long.
    pub fn count(&self, elapsed: Duration) {
        let LatencyBucket { number, nanos } = LatencyBucket::of(elapsed);
        self.buckets[number].bump();
        self.nanos.bump_by(nanos);
    }

    /// The latencies so far.
    #[must_use]
    pub fn read(&self) -> Latency {
        Latency {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].read()),
            seconds: self.nanos.read() as f64 / 1e9,
        }
    }
}

/// Declares the counters that any thread may bump.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Events that any thread counts.
        #[derive(Debug, Default)]
        pub struct Events {
            $($(#[$doc])* pub $name: Counter,)*
        }
    };
}

events! {
    /// Connections that were accepted.
    connections_accepted,
    /// Connections refused because there were too many.
    connections_refused,
    /// Sessions that moved to another thread.
    sessions_moved,
    /// Errors of `accept` itself, such as too few file descriptors.
    accept_errors,
    /// Errors in bytes that cannot be read.
    protocol_errors,
    /// Writes refused because the node's memory limit was reached.
    memory_rejections,
    /// Writes refused because of their table's quota.
    quota_rejections,
    /// Commands that took longer than the threshold of the slow log.
    slow_commands,
    /// Steps of reclaiming.
    reclaim_steps,
    /// Nanoseconds spent on reclaiming.
    reclaim_nanos,
    /// Requests to HTTP.
    http_requests,
    /// Connections to HTTP that were too slow and were dropped.
    http_dropped,
    /// Times that metrics were put together.
    scrapes,
    /// Nanoseconds spent on that.
    scrape_nanos,
}

impl Events {
    /// Counts a write that was refused, by the limit that the fault names.
    pub fn count_rejection(&self, fault: &Fault) {
        match fault.kind {
            Kind::Memory => self.memory_rejections.bump(),
            Kind::Quota => self.quota_rejections.bump(),
            _ => {}
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed.
    Client,
    /// The client said `QUIT`.
    Quit,
    /// The node drained.
    Drain,
    /// The node drained, and the client had more to say.
    CutOff,
    /// Bytes came that cannot be read.
    Protocol,
    /// A command took too long to arrive.
    RequestTimeout,
    /// The client did not read its replies in time.
    SlowReader,
    /// The client had more replies unread than it may.
    OutputLimit,
    /// All clients' buffers together held too much.
    Memory,
    /// The connection broke.
    Broken,
    /// A fault of ours, caught.
    Panic,
}

impl End {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Client,
        Self::Quit,
        Self::Drain,
        Self::CutOff,
        Self::Protocol,
        Self::RequestTimeout,
        Self::SlowReader,
        Self::OutputLimit,
        Self::Memory,
        Self::Broken,
        Self::Panic,
    ];

    /// The reason's word in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Quit => "quit",
            Self::Drain => "drain",
            Self::CutOff => "cut_off",
            Self::Protocol => "protocol",
            Self::RequestTimeout => "request_timeout",
            Self::SlowReader => "slow_reader",
            Self::OutputLimit => "output_limit",
            Self::Memory => "memory",
            Self::Broken => "broken",
            Self::Panic => "panic",
        }
    }
}

/// All counters.
#[derive(Debug)]
pub struct Stats {
    workers: Box<[WorkerStats]>,
    /// Events that any thread counts.
    pub events: Events,
    ends: [Counter; End::ALL.len()],
}

impl Stats {
    /// Zeroes, for so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self {
            workers: (0..threads).map(|_| WorkerStats::default()).collect(),
            events: Events::default(),
            ends: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// Counts a session that ended.
    pub fn count_end(&self, why: End) {
        self.ends[why as usize].bump();
    }

    /// How many sessions ended for this reason.
    #[must_use]
    pub fn ended(&self, why: End) -> u64 {
        self.ends[why as usize].read()
    }

    /// How many sessions ended, by reason.
    pub fn ends(&self) -> impl Iterator<Item = (End, u64)> {
        End::ALL.into_iter().zip(&self.ends).map(|(end, counter)| (end, counter.read()))
    }

    /// The counters of one thread.
    #[must_use]
    pub fn worker(&self, number: usize) -> &WorkerStats {
        &self.workers[number]
    }

    /// Every command's name, outcome and count, zeroes left out.
    pub fn commands(&self) -> impl Iterator<Item = (usize, Outcome, u64)> {
        (0..ROWS).flat_map(move |row| {
            Outcome::all().filter_map(move |outcome| {
                let count = self.sum(|w| w.commands[row][usize::from(outcome.0)].read());
                (count > 0).then_some((row, outcome, count))
            })
        })
    }

    /// Commands in all.
    #[must_use]
    pub fn commands_total(&self) -> u64 {
        self.commands().map(|(_, _, count)| count).sum()
    }

    /// Every command's latencies, those that never ran left out.
    pub fn latencies(&self) -> impl Iterator<Item = (usize, Latency)> {
        (0..ROWS).filter_map(move |row| {
            let buckets = std::array::from_fn(|b| self.sum(|w| w.latency[row][b].read()));
            let nanos = self.sum(|w| w.latency_nanos[row].read());
            let latency = Latency { buckets, seconds: nanos as f64 / 1e9 };
            (latency.buckets.iter().sum::<u64>() > 0).then_some((row, latency))
        })
    }

    /// Bytes read from and written to clients.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.sum(|w| w.bytes_in.read()), self.sum(|w| w.bytes_out.read()))
    }

    fn sum(&self, of: impl Fn(&WorkerStats) -> u64) -> u64 {
        self.workers.iter().map(of).sum()
    }
}
