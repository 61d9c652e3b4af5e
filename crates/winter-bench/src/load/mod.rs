//! A closed-loop load: every connection sends a batch of requests, waits for all of its replies,
//! and sends the next.
//!
//! One thread drives all connections over nonblocking sockets, and [`run`] blocks until it is
//! done: run it on a thread of its own where something else must go on. Servers are expected to
//! be close by; connecting is sequential and counts in no figure.
//!
//! A load fails rather than report numbers that mean nothing: a reply that does not belong to its
//! request, a connection that closes, a server that stops answering each end it with a
//! [`LoadError`]. Errors that the server states are counted; [`LoadReport::check`] turns them into
//! a failure.
//!
//! ```no_run
//! use std::time::Duration;
//! use winter_bench::load::{self, KeyChoice, LoadPlan};
//! use winter_bench::wire::{Dialect, Operation};
//!
//! let target = ([127, 0, 0, 1], 6060).into();
//! let mut plan = LoadPlan::new(target, Dialect::WinterResp, Operation::PutNew);
//! plan.keys = KeyChoice::Sequential { first: 0 };
//! plan.requests_max = Some(200_000);
//! load::run(&plan)?.check()?;
//!
//! plan.operation = Operation::Get;
//! plan.keys = KeyChoice::Uniform { count: 200_000 };
//! plan.requests_max = None;
//! plan.duration = Duration::from_secs(2);
//! let report = load::run(&plan)?;
//! assert_eq!(report.hits, report.requests);
//! # Ok::<(), load::LoadError>(())
//! ```

mod connection;
#[cfg(feature = "etcd")]
pub mod etcd;
mod generator;
mod pacing;
mod plan;
mod report;

pub use generator::Load;
pub use plan::{KeyChoice, Lifetime, LoadPlan};
pub use report::{LoadError, LoadReport};

/// Connects, sends what the plan says, and reports.
///
/// # Errors
/// [`LoadError`] says what ended the load early.
pub fn run(plan: &LoadPlan) -> Result<LoadReport, LoadError> {
    Load::connect(plan)?.run()
}
