//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::cluster::ClusterOptions;
use crate::contender::Kind;
use crate::stalls::Event;

/// `winter-race`.
#[derive(Debug, Parser)]
#[command(about = "Races Winter against its peers on this machine")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) setup: Setup,
    #[command(subcommand)]
    pub(crate) race: Race,
}

/// What every race needs.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Winter's binary.
    #[arg(long, global = true, default_value = "target/release/winter")]
    winter: PathBuf,
    /// The do-nothing server's binary; beside this one if not given.
    #[arg(long, global = true)]
    nothing: Option<PathBuf>,
    /// Who takes part. The first is measured, the others are what it is measured against.
    #[arg(
        long,
        global = true,
        value_enum,
        value_delimiter = ',',
        default_value = "winter,redis,memcached,nothing"
    )]
    pub(crate) contenders: Vec<Kind>,
    /// Print tables in Markdown.
    #[arg(long, global = true)]
    pub(crate) markdown: bool,
}

impl Setup {
    /// The program that plays this contender.
    pub(crate) fn program(&self, kind: Kind) -> Result<PathBuf> {
        Ok(match kind {
            Kind::Redis => "redis-server".into(),
            Kind::Memcached => "memcached".into(),
            Kind::Winter | Kind::WinterLine => {
                let missing =
                    || format!("{}: build it, or name it with --winter", self.winter.display());
                self.winter.canonicalize().with_context(missing)?
            }
            Kind::Nothing => {
                let beside = std::env::current_exe()?.with_file_name("winter-nothing");
                let path = self.nothing.clone().unwrap_or(beside);
                path.canonicalize().with_context(|| path.display().to_string())?
            }
        })
    }
}

/// What to race for.
#[derive(Debug, Subcommand)]
pub(crate) enum Race {
    /// Requests a second, and server CPU a request.
    Throughput(ThroughputOptions),
    /// Resident bytes an entry, beyond its key and value.
    Memory(MemoryOptions),
    /// Another table's latency while a table grows, expires and is dropped.
    Stalls(StallOptions),
    /// Resident memory of connections that do nothing.
    Idle(IdleOptions),
    /// Clusters of Winter beside one of etcd: throughput, forwarding, idling, and what faults cost.
    Cluster(ClusterOptions),
}

/// Which scenarios, and how long.
#[derive(Debug, Args)]
pub(crate) struct ThroughputOptions {
    /// 64-byte values, 50 connections and one table, unless said otherwise.
    #[arg(long)]
    quick: bool,
    /// GET, PUTNEW or both.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "get,putnew")]
    pub(crate) operations: Vec<OperationName>,
    /// Requests in a batch.
    #[arg(long, value_delimiter = ',', default_value = "1,32")]
    pub(crate) depths: Vec<usize>,
    /// Bytes in a value [default: 16,64,1024; quick: 64]
    #[arg(long, value_delimiter = ',')]
    values: Option<Vec<usize>>,
    /// Connections [default: 1,50,500; quick: 50]
    #[arg(long, value_delimiter = ',')]
    connections: Option<Vec<usize>>,
    /// Tables that the keys are spread over [default: 1,100; quick: 1]
    #[arg(long, value_delimiter = ',')]
    tables: Option<Vec<usize>>,
    /// Keys that GET chooses from, and that PUTNEW stops after.
    #[arg(long, value_delimiter = ',', default_value = "200000,2000000")]
    pub(crate) keys: Vec<u64>,
    /// How often each contender runs each scenario.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Length of a round of GET.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Length at most of a round of PUTNEW, which ends when all keys are written.
    #[arg(long, default_value_t = 3.0)]
    write_seconds: f64,
}

/// An operation's name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OperationName {
    /// Read keys that are there.
    Get,
    /// Write keys that are not.
    Putnew,
}

impl ThroughputOptions {
    pub(crate) fn values(&self) -> Vec<usize> {
        self.choose(self.values.as_ref(), &[64], &[16, 64, 1024])
    }

    pub(crate) fn connections(&self) -> Vec<usize> {
        self.choose(self.connections.as_ref(), &[50], &[1, 50, 500])
    }

    pub(crate) fn tables(&self) -> Vec<usize> {
        self.choose(self.tables.as_ref(), &[1], &[1, 100])
    }

    /// Length of a round of this operation.
    pub(crate) fn duration(&self, operation: OperationName) -> Duration {
        Duration::from_secs_f64(match operation {
            OperationName::Get => self.seconds,
            OperationName::Putnew => self.write_seconds,
        })
    }

    fn choose(&self, given: Option<&Vec<usize>>, quick: &[usize], full: &[usize]) -> Vec<usize> {
        given.cloned().unwrap_or_else(|| if self.quick { quick.into() } else { full.into() })
    }
}

/// What to fill the servers with.
#[derive(Debug, Args)]
pub(crate) struct MemoryOptions {
    /// Entries.
    #[arg(long, default_value_t = 2_000_000)]
    pub(crate) entries: u64,
    /// Bytes in a value; keys have 16.
    #[arg(long, default_value_t = 32)]
    pub(crate) value_len: usize,
    /// Tables that the entries are spread over.
    #[arg(long, default_value_t = 1)]
    pub(crate) tables: usize,
}

/// What happens beside the probe.
#[derive(Debug, Args)]
pub(crate) struct StallOptions {
    /// Which events.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "grow,expire,drop")]
    pub(crate) events: Vec<Event>,
    /// Entries that a table grows to.
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) grown: u64,
    /// Entries that expire.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) expired: u64,
    /// Entries in the table that is dropped.
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) dropped: u64,
    /// Writes a second, for every server alike.
    #[arg(long, default_value_t = 250_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: u64,
    /// How often, each time on a fresh server.
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: usize,
}

/// How many connections.
#[derive(Debug, Args)]
pub(crate) struct IdleOptions {
    /// Connections to open to each server.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) connections: usize,
}
