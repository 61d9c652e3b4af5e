//! The wire: what the contract says, asked of the real binary.

use winter_testkit::{Server, ServerBuilder};

mod contract;

/// The binary that this package builds.
fn winter() -> ServerBuilder {
    Server::of(env!("CARGO_BIN_EXE_winter"))
}
