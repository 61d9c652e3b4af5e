//! Supervision, with faults injected: what a panic or a hot loop in one place
//! costs, and whom. With the feature `failpoints`.
//!
//! Failpoints belong to the process, so these tests run one after another.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod background;
mod fence;
mod kit;
mod replicas;
mod sessions;
mod tables;
