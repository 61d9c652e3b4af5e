//! What tests of the real binary share: a server or a cluster of their own on
//! ports that nobody else has, raw connections with deadlines, and scripts that say what is
//! sent and what comes back, byte for byte.
//!
//! Nothing here knows Winter's own code: bytes are read and written by a second
//! pair of hands, so that a mistake in the server cannot hide in its tests.
//! Everything that goes wrong fails the test that runs, with what was expected,
//! what came, and the server's log.

#![expect(clippy::panic, reason = "a kit for tests fails the test that uses it")]

mod cluster;
mod hex;
mod log;
mod network;
mod pods;
mod reply;
mod script;
mod seeds;
mod server;
mod wire;

pub use cluster::{ClusterBuilder, TestCluster};
pub use hex::{hex, unhex};
pub use log::Log;
pub use network::{Answer, Host, NameServer, Network};
pub use pods::{Pods, PodsBuilder};
pub use reply::{Reply, request};
pub use script::{Dialect, Pace, blocks, play, play_block};
pub use seeds::replay_seeds;
pub use server::{Launched, Server, ServerBuilder};
pub use wire::Wire;

use std::time::{Duration, Instant};

/// How long anything that must happen may take, on a machine that has much else to do.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Looks again and again until `look` finds what it waits for.
///
/// # Panics
/// If that takes longer than [`DEADLINE`].
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, look)
}

/// The same for what takes its time, as giving a lost node up does.
///
/// # Panics
/// If it takes longer than `limit`.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The value of the metric `name`, with its labels, on a page of metrics.
#[must_use]
pub fn metric(page: &str, name: &str) -> Option<u64> {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok())
}
