//! The node: its tables, partitions and memory, and what commands do to them.
//!
//! A [`Node`] is shared by all threads. It knows nothing of sockets: sessions
//! hand it commands and an output to write replies to.

pub mod catalog;
pub(crate) mod faults;
mod lines;
pub mod memory;
pub mod operations;
pub(crate) mod quota;
mod reclaim;
mod run_keys;
mod run_table;
pub(crate) mod scan;
pub mod shards;
pub mod survey;
pub mod table;
mod table_cache;

use std::sync::Arc;

use winter_core::store::{Seed, first_version};
use winter_core::supervise::Intensity;

use crate::clock::Clock;
use crate::config::Config;
use crate::stats::Stats;
use crate::supervisor::Health;
use catalog::Catalog;
use lines::Lines;
use memory::Memory;
use reclaim::Dropped;
use shards::Shards;

pub(crate) use run_keys::{GROUP_MAX, OUTPUT_SOFT_MAX};
pub use run_keys::{GroupEnd, KeyRun, LongReplies};
pub use survey::Survey;
pub use table::Table;
pub use table_cache::TableCache;

/// One node's state.
#[derive(Debug)]
pub struct Node {
    /// What it runs with.
    pub config: Config,
    /// Its clock.
    pub clock: Clock,
    /// Its tables by name.
    pub catalog: Catalog,
    /// Its partitions.
    pub shards: Shards,
    /// What it holds in memory.
    pub memory: Arc<Memory>,
    /// What it has done.
    pub stats: Stats,
    /// How its background work is.
    pub health: Health,
    /// What it logs of clients who may do the same over and over.
    pub(crate) lines: Lines,
    seed: Seed,
    intensity: Intensity,
    dropped: Dropped,
}

impl Node {
    /// A node with no tables.
    #[must_use]
    pub fn new(config: Config, seed: Seed) -> Self {
        Self::with_clock(config, seed, Clock::start())
    }

    /// A node with no tables and a clock that somebody else has started.
    #[must_use]
    pub fn with_clock(config: Config, seed: Seed, clock: Clock) -> Self {
        let memory = Arc::new(Memory::new(config.memory_bytes_max));
        Self {
            catalog: Catalog::new(Arc::clone(&memory)),
            memory,
            shards: Shards::new(seed, first_version(clock.started_at())),
            stats: Stats::new(config.threads),
            health: Health::default(),
            lines: Lines::default(),
            clock,
            config,
            seed,
            intensity: Intensity::default(),
            dropped: Dropped::default(),
        }
    }
}
