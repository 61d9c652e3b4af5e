//! The wire: what the contract says, asked of the real binary.

#![expect(clippy::panic, reason = "a test that meets what it did not expect fails")]

use winter_testkit::{Server, ServerBuilder};

mod clients;
mod contract;
mod histories;
mod shared_state;
mod transcripts;
mod valkey_cases;

/// The binary that this package builds.
fn winter() -> ServerBuilder {
    Server::of(env!("CARGO_BIN_EXE_winter"))
}
