//! The cluster's real code on a simulated network: nodes, clients and DNS are
//! hosts of one thread's world, whose time is virtual and whose chance comes from
//! a seed. So a run that went wrong is run again, to the last message, by its seed.
//!
//! - [`options`]: what a seed makes of a run.
//! - [`world`]: a run: nodes are started, clients ask, faults happen and end.
//! - [`node`], [`client`], [`dns`]: what the hosts do.
//! - [`faults`]: what happens to them.
//! - [`report`]: what is said of a run: its verdict, what it met, its trace.
//! - [`trace`]: a hash of every message and of every line of the nodes' logs.
//!
//! What a run cannot show: a host that stands still while others go on (its
//! messages are held instead, and its time goes on), threads that race (there is
//! one), and what a client's session does (clients speak to the router behind it).

pub mod client;
pub mod dns;
pub mod faults;
pub mod node;
pub mod options;
pub mod report;
pub mod trace;
pub mod world;
