//! Winter's acting half: a thin tokio shell around `winter-core`.
//!
//! - [`config`], [`logging`]: settings, read whole before a port is bound; the log.
//! - [`server`]: a running node: threads, listeners, drain.
//! - [`session`]: one connection's life: bytes in, commands, bytes out.
//! - [`node`]: tables, partitions and memory, and what commands do to them.
//! - [`threads`]: how many threads sessions live on, and which.
//! - [`maintenance`], [`supervisor`]: background work, and its restarts.
//! - [`peers`]: the link between nodes.
//! - [`cluster`]: many nodes that act as one.
//! - [`consensus`]: groups of replicas that agree on a log.
//! - [`http`], [`metrics`], [`stats`]: what operators see.
//! - [`net`], [`clock`], [`process`]: the only ways to the system.

pub mod clock;
pub mod cluster;
pub mod config;
pub mod consensus;
pub mod http;
pub mod listener;
pub mod logging;
pub mod maintenance;
pub mod metrics;
pub mod net;
pub mod node;
pub mod peers;
pub mod process;
#[cfg(feature = "sim")]
pub mod sabotage;
pub mod server;
pub mod session;
pub mod stats;
pub mod supervisor;
pub mod threads;

pub use server::{Server, StartError};
