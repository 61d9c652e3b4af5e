//! Consensus: replicas of a state that stay equal, on several nodes.
//!
//! A [`Group`] is one replica of one log on this node. Operations are proposed
//! to the leader's replica, packed into entries, given to the others, and
//! applied by each to its [`Machine`] once a majority has them. The algorithm is
//! Raft, and openraft's; this module is the only one that names it, and says
//! with which settings it is safe without a disk:
//!
//! - Log and vote are in memory (`log`). A node that starts anew is a new node:
//!   its id was never used, so it cannot vote or acknowledge as its former self.
//! - The log is bounded in bytes and not in entries (`upkeep`). A snapshot is a
//!   place in the log until a replica needs one; it is cut then (`snapshot`).
//! - Each wait ends, and each error says whether something was done (`error`).
//!
//! Why so, and what was found in openraft's source: `docs/decisions/0011-consensus.md`.

mod batcher;
mod change;
mod counters;
mod error;
mod gather;
mod group;
mod log;
mod machine;
mod network;
mod options;
mod pace;
mod proposer;
mod receive;
mod snapshot;
mod state;
mod status;
#[cfg(test)]
mod suite;
mod transport;
mod types;
mod upkeep;
mod watch;
mod wire;

/// The target under which openraft logs.
pub const LOG_TARGET: &str = "openraft";

pub use batcher::{Batch, Pending, Stamp};
pub use counters::{Counters, OPERATIONS_BOUNDS, Operations};
pub use error::{ChangeError, ProposeError, ReadError, StartError};
pub use gather::{Gather, Outcome};
pub use group::{Group, ReadPolicy, Start};
pub use machine::{Machine, Replies, Source, Target, Unreadable};
pub use options::{CHUNK_BYTES_MAX, Options};
pub use pace::Pace;
pub use status::{Role, Status};
pub use transport::{Answer, Lane, Transport, TransportError};
