//! A cluster as its clients and operators meet it: processes of the real binary,
//! which are killed, paused, stopped and started again while others ask. Each
//! test is a claim, and has a cluster of its own.
//!
//! Nothing here measures speed. Waits have deadlines that only a hang exceeds.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod commands;
mod contract;
mod faults;
mod figures;
mod forming;
mod keys;
mod life;
mod limits;
mod load;
mod recovery;
mod silence;
mod strangers;
mod tables;
mod watch;

use winter_testkit::{ClusterBuilder, TestCluster};

/// A cluster of this package's binary, for settings to be added. It is small, so
/// that a machine that has much else to do can hold several: a group costs its
/// heartbeats, and in a build without optimisation these are dear.
fn winter() -> ClusterBuilder {
    TestCluster::of(env!("CARGO_BIN_EXE_winter"))
        .set("WINTER_THREADS", 1)
        .set("WINTER_PARTITIONS", 4)
        .set("WINTER_LOG", "info,openraft=error")
}
