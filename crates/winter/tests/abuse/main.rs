//! What a server meets that is not nice to it: bytes that are no commands,
//! clients that do not read, do not end or do not stop, and too much of
//! everything. Each test is a claim about what that costs, and whom.
//!
//! Nothing here measures speed. Waits have deadlines that only a hang exceeds.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod bytes;
mod clocks;
mod confined;
mod crowds;
mod drain;
mod frames;
mod logs;
mod memory;
mod neighbours;
mod races;
mod readers;
mod signals;
mod told;
mod watch;

use winter_testkit::{Server, ServerBuilder};

/// A server of this package's binary, for settings to be added.
fn winter() -> ServerBuilder {
    Server::of(env!("CARGO_BIN_EXE_winter"))
}
