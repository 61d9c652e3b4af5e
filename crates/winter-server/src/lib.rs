//! Winter's acting half: a thin tokio shell around `winter-core`.
//!
//! - [`config`], [`logging`]: settings, read whole before a port is bound; the log.
//! - [`server`]: a running node: threads, listeners, drain.
//! - [`session`]: one connection's life: bytes in, commands, bytes out.
//! - [`node`]: tables, partitions and memory, and what commands do to them.
//! - [`maintenance`], [`supervisor`]: background work, and its restarts.
//! - [`http`], [`metrics`], [`stats`]: what operators see.
//! - [`net`], [`clock`], [`process`]: the only ways to the system.

pub mod clock;
pub mod config;
pub mod http;
pub mod listener;
pub mod logging;
pub mod maintenance;
pub mod metrics;
pub mod net;
pub mod node;
pub mod process;
pub mod server;
pub mod session;
pub mod stats;
pub mod supervisor;

pub use server::{Server, StartError};
