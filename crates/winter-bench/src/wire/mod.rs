//! What is sent and what is expected back, dialect by dialect.
//!
//! Requests are built from parts made once ([`RequestEncoder`]); replies are recognised by length
//! and fixed bytes rather than parsed ([`ReplyScanner`]). Both are a small part of the cost of a
//! system call, so that the generator takes as little as it can from the server it shares a
//! machine with.

mod reply;
mod request;

pub use reply::{Reply, ReplyScanner, Scan};
pub use request::RequestEncoder;

/// The byte that values consist of. No reply that is not a value begins with it.
pub const VALUE_BYTE: u8 = b'x';

/// A server's language, as far as the load needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Winter's commands in RESP2 frames: `GET table key`, `PUTNEW table key data`.
    WinterResp,
    /// Winter's commands, a line each.
    WinterLine,
    /// `GET key` and `SET key value NX` in RESP2 frames. Tables do not exist.
    Redis,
    /// memcached's text protocol: `get key` and `add key …`. Tables do not exist.
    Memcached,
}

impl Dialect {
    /// Whether a request names a table.
    #[must_use]
    pub const fn has_tables(self) -> bool {
        matches!(self, Self::WinterResp | Self::WinterLine)
    }

    /// Whether a write can carry a time to live in milliseconds.
    #[must_use]
    pub const fn has_lifetimes(self) -> bool {
        !matches!(self, Self::Memcached)
    }
}

/// What each request of a load does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read a key.
    Get,
    /// Write a key unless it is there: `PUTNEW`, `SET … NX`, `add`.
    PutNew,
}
