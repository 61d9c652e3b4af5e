//! What a race of clusters may be told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::etcd;

/// Which parts, and how long.
#[derive(Debug, Args)]
pub(crate) struct ClusterOptions {
    /// About three minutes: three nodes, a few loads, one fault of each kind.
    #[arg(long)]
    pub(super) quick: bool,
    /// What to measure.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "throughput,forwarding,idle,failover,rolling,rebuild"
    )]
    pub(super) parts: Vec<Part>,
    /// etcd's binary, as Debian's etcd-server has it; `none` to race without it.
    #[arg(long, default_value = "etcd")]
    etcd: PathBuf,
    /// Where etcd's data lies [default: a tmpfs if there is one]
    #[arg(long)]
    etcd_data: Option<PathBuf>,
    /// Nodes of Winter [default: 3,1,5; quick: 3]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: Option<Vec<u8>>,
    /// Write, read or mixed [default: all; quick: write,read]
    #[arg(long, value_enum, value_delimiter = ',')]
    operations: Option<Vec<Load>>,
    /// Clients, each with a connection [default: 1,16,256,1024; quick: 256]
    #[arg(long, value_delimiter = ',')]
    clients: Option<Vec<usize>>,
    /// Requests in a batch.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pub(super) depths: Vec<usize>,
    /// Whom the clients ask [default: one,all; quick: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    asked: Option<Vec<Asked>>,
    /// Bytes in a value; keys have 16.
    #[arg(long, default_value_t = 100)]
    pub(super) value_len: usize,
    /// Keys that reads choose from [default: 100000; quick: 20000]
    #[arg(long)]
    keys: Option<u64>,
    /// How often each contender runs each load [default: 5; quick: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Length of a round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Partitions of Winter's clusters [default: Winter's own]
    #[arg(long)]
    pub(super) partitions: Option<u16>,
    /// How long to watch an idle cluster, in seconds [default: 30; quick: 10]
    #[arg(long)]
    idle_seconds: Option<u64>,
    /// How often a leader is killed, each time in a new cluster [default: 5; quick: 1]
    #[arg(long)]
    failovers: Option<usize>,
    /// How often all nodes are restarted one by one, each time in a new cluster [default: 3; quick: 1]
    #[arg(long)]
    rollings: Option<usize>,
    /// Entries that a lost node held [default: 1000000; quick: 200000]
    #[arg(long)]
    entries: Option<u64>,
}

/// What there is to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// Requests a second and CPU a request, beside etcd.
    Throughput,
    /// The same asked at the leader, and at a node that must pass it on.
    Forwarding,
    /// CPU of a cluster that nobody asks anything.
    Idle,
    /// How long writes wait when a node that leads is killed.
    Failover,
    /// How long writes wait when all nodes are restarted one by one.
    Rolling,
    /// How long a lost node's replacement takes, and what others notice.
    Rebuild,
}

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Load {
    /// Write keys that are not there.
    Write,
    /// Read keys that are, linearizably.
    Read,
    /// Half of the clients write, half read.
    Mixed,
}

impl Load {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Mixed => "mixed",
        }
    }
}

/// Whom clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Asked {
    /// One node.
    One,
    /// All nodes alike.
    All,
    /// The node that leads, where only one does.
    #[value(skip)]
    Leader,
    /// A node that does not lead, where only one does.
    #[value(skip)]
    Follower,
}

impl Asked {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::One => "at one node",
            Self::All => "at all nodes",
            Self::Leader => "at the leader",
            Self::Follower => "at a follower",
        }
    }
}

impl ClusterOptions {
    pub(super) fn nodes(&self) -> Vec<u8> {
        self.choose(self.nodes.as_ref(), &[3], &[3, 1, 5])
    }

    pub(super) fn operations(&self) -> Vec<Load> {
        let all = [Load::Write, Load::Read, Load::Mixed];
        self.choose(self.operations.as_ref(), &all[..2], &all)
    }

    pub(super) fn clients(&self) -> Vec<usize> {
        self.choose(self.clients.as_ref(), &[256], &[1, 16, 256, 1024])
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.choose(self.asked.as_ref(), &[Asked::All], &[Asked::One, Asked::All])
    }

    pub(super) fn keys(&self) -> u64 {
        self.keys.unwrap_or(if self.quick { 20_000 } else { 100_000 }).max(1)
    }

    pub(super) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    pub(super) fn round(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds.unwrap_or(if self.quick { 10 } else { 30 }))
    }

    pub(super) fn failovers(&self) -> usize {
        self.failovers.unwrap_or(if self.quick { 1 } else { 5 })
    }

    pub(super) fn rollings(&self) -> usize {
        self.rollings.unwrap_or(if self.quick { 1 } else { 3 })
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.unwrap_or(if self.quick { 200_000 } else { 1_000_000 })
    }

    /// etcd's program and where its data lies, unless it does not take part.
    pub(super) fn etcd(&self) -> Option<(&Path, PathBuf)> {
        let data = self.etcd_data.clone().unwrap_or_else(etcd::usual_data);
        (self.etcd.as_os_str() != "none").then_some((self.etcd.as_path(), data))
    }

    fn choose<T: Clone>(&self, given: Option<&Vec<T>>, quick: &[T], full: &[T]) -> Vec<T> {
        given.cloned().unwrap_or_else(|| if self.quick { quick.into() } else { full.into() })
    }
}
