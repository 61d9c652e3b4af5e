//! Load for Winter, and for the servers that it is compared with.
//!
//! The library is a closed-loop load generator: [`load::LoadPlan`] says what to send,
//! [`load::run`] sends it over real sockets and returns a [`load::LoadReport`]. It knows servers
//! only by their wire protocols ([`wire`]), so that one measurement treats all of them alike.
//!
//! Two programs are built on it. `winter-race` starts Winter and its peers on one machine and
//! races them in turns. `winter-nothing` is the floor of that race: a server that reads requests
//! and answers them with canned replies.

pub mod keys;
pub mod load;
pub mod wire;
