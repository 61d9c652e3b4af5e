//! An async client of Winter, for tokio.
//!
//! A [`Client`] is one connection. It is cheap to clone, and all clones share
//! the connection: commands that are under way at the same time travel together
//! and are answered in their order. Underneath is RESP3, so keys and values may
//! be any bytes.
//!
//! ```no_run
//! use std::time::Duration;
//! use winter_client::{Added, Client, Guarded, TableOptions};
//!
//! # async fn example() -> Result<(), winter_client::Error> {
//! let winter = Client::connect("127.0.0.1:6060").await?;
//! winter.create("leases", TableOptions::default()).await?;
//!
//! // A lease: whoever is first has it for ten seconds.
//! let ttl = Some(Duration::from_secs(10));
//! if let Added::Added(version) = winter.add("leases", "report", "worker-7", ttl).await? {
//!     // The version is the fencing token: hand it to whatever the lease guards.
//!     let renewed = winter.touch_at("leases", "report", ttl, version).await?;
//!     assert_eq!(renewed, Guarded::Done(()));
//!     winter.delete_at("leases", "report", version).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Outcomes are values, errors are [`Error`]s: a key that is not there is
//! `None`, a lost race is [`Guarded::Conflict`]. A connection that ends is not
//! made anew: every command then answers [`Error::Closed`], and the caller, who
//! alone knows what may be sent twice, connects again.

mod client;
mod commands;
mod connection;
mod error;
mod keys;
mod outcome;
mod pipeline;
pub mod reply;
mod request;

pub use client::{Client, Options, Pending};
pub use error::{Error, ErrorKind, ServerError};
pub use keys::Keys;
pub use outcome::{Added, Created, Guarded, Lifetime, Versioned};
pub use pipeline::Pipeline;
pub use reply::Value;
pub use request::Request;
pub use winter_core::command::TableOptions;
