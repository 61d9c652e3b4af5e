//! Winter's deciding half: what a command means and what becomes of the data.
//!
//! Everything here is a function of its arguments. Time comes in as a
//! [`Timestamp`](time::Timestamp), randomness as a [`Seed`](store::Seed), bytes as slices; effects
//! go out as values. Nothing reads a clock, draws a number, opens a socket or
//! knows of tokio, so the same code serves one node, replays a log, and runs in
//! a simulator.
//!
//! - [`command`]: the one table of commands, and words made into a [`Command`](command::Command).
//! - [`protocol`]: the two dialects: bytes into words, replies into bytes.
//! - [`reply`] and [`fault`]: what a command answers, outcomes and errors apart.
//! - [`store`]: partitions, tables, entries.
//! - [`cluster`]: who nodes are, and how many of them become one.
//! - [`supervise`]: when a table that keeps failing is fenced.
//! - [`threads`]: how many threads sessions live on.

pub mod cluster;
pub mod command;
pub mod fault;
pub mod limits;
pub mod name;
pub mod protocol;
pub mod reply;
pub mod store;
pub mod supervise;
pub mod threads;
pub mod time;
