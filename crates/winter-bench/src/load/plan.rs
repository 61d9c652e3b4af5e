//! What a load consists of.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::LoadError;
use crate::wire::{Dialect, Operation};

/// Which keys the requests name. Keys are numbered; [`crate::keys::key`] spells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChoice {
    /// Each number below `count` is as likely as any other.
    Uniform {
        /// How many keys there are, at least 1.
        count: u64,
    },
    /// `first`, `first + 1` and so on: no key twice.
    Sequential {
        /// The first request's key.
        first: u64,
    },
}

/// The time to live of what a load writes: entries expire evenly over a stretch of time, whenever
/// they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// When the first entries expire.
    pub from: Instant,
    /// How long after `from` the last entries expire.
    pub spread: Duration,
}

/// What to send, how, and until when.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The server.
    pub target: SocketAddr,
    /// Further nodes of the same cluster. Connections take turns among all of them.
    pub targets_further: Vec<SocketAddr>,
    /// The server's language.
    pub dialect: Dialect,
    /// What each request does.
    pub operation: Operation,
    /// Connections, all open before the first request; at least 1.
    pub connections: usize,
    /// Requests in a batch, sent with one write and awaited together; at least 1.
    pub depth: usize,
    /// Which keys to name.
    pub keys: KeyChoice,
    /// The tables, which must exist, that keys are spread over by their number. Ignored by
    /// dialects that have none.
    pub tables: Vec<String>,
    /// Bytes in each value written and expected back.
    pub value_len: usize,
    /// A time to live for each write, if any.
    pub lifetime: Option<Lifetime>,
    /// Requests a second at most, over all connections. Unlimited if `None`.
    pub rate_max: Option<u64>,
    /// Send no batch after this many requests.
    pub requests_max: Option<u64>,
    /// Send no batch after this time.
    pub duration: Duration,
    /// How long to wait for a reply before giving the server up.
    pub patience: Duration,
    /// Where the random choices begin: equal seeds send equal requests.
    pub seed: u64,
}

impl LoadPlan {
    /// A modest load: 50 connections without pipelining over 200,000 keys in the table `t0`,
    /// 64-byte values, for two seconds.
    #[must_use]
    pub fn new(target: SocketAddr, dialect: Dialect, operation: Operation) -> Self {
        Self {
            target,
            targets_further: Vec::new(),
            dialect,
            operation,
            connections: 50,
            depth: 1,
            keys: KeyChoice::Uniform { count: 200_000 },
            tables: vec!["t0".to_owned()],
            value_len: 64,
            lifetime: None,
            rate_max: None,
            requests_max: None,
            duration: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            seed: 1,
        }
    }

    /// Whom the connection with this number is for.
    pub(super) fn target_of(&self, connection: usize) -> SocketAddr {
        match connection % (self.targets_further.len() + 1) {
            0 => self.target,
            turn => self.targets_further[turn - 1],
        }
    }

    /// Whether a load can be made of this.
    pub(super) fn validate(&self) -> Result<(), LoadError> {
        let wrong = if self.connections == 0 {
            "connections must be at least 1"
        } else if self.depth == 0 {
            "depth must be at least 1"
        } else if self.keys == (KeyChoice::Uniform { count: 0 }) {
            "there must be at least 1 key to choose from"
        } else if self.dialect.has_tables() && self.tables.is_empty() {
            "there must be at least 1 table"
        } else if self.rate_max == Some(0) {
            "the rate must be at least 1"
        } else if self.lifetime.is_some() && !self.dialect.has_lifetimes() {
            "this dialect has no time to live in milliseconds"
        } else if self.lifetime.is_some() && self.operation == Operation::Get {
            "only writes have a time to live"
        } else {
            return Ok(());
        };
        Err(LoadError::Plan(wrong))
    }
}
