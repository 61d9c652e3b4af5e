//! The link between nodes, over loopback: real nodes on both sides, and raw
//! bytes where one of them does what a node never would.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod bulk;
mod calls;
mod codec;
mod corpus;
mod endings;
mod frames;
mod fuzzed;
mod handshakes;
mod kit;
mod probes;
mod raw;
mod strangers;
