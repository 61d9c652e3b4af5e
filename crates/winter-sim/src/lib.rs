//! What judges a cluster from outside: histories of what clients asked and were
//! told, and a checker that says whether one order of moments explains them.
//!
//! Everything here is a function of its arguments, so that the simulator and
//! the tests against real processes share it: times come in, nothing is asked
//! of the outside, and a seed gives the same workload for ever.

pub mod coverage;
pub mod dice;
pub mod history;
pub mod linearizability;
pub mod padding;
pub mod workload;
