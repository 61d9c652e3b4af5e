//! Groups of several replicas in one process, over a network that delays, loses,
//! damages and cuts. Time stands still but for what is waited for, so that a
//! minute of it takes none.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod batching;
mod elections;
mod kit;
mod ledger;
mod logs;
mod members;
mod network;
mod snapshots;
