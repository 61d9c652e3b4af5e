//! Points in time and spans of it, in milliseconds, as the store knows them.
//!
//! Core never asks for the time: whoever calls brings it.

use crate::limits::TTL_MILLIS_MAX;

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The point `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// When something ends that lives for `ttl` from now.
    #[must_use]
    pub const fn after(self, ttl: Ttl) -> Deadline {
        Deadline(self.0.saturating_add(ttl.0))
    }
}

/// A time to live: 1 to 2^53 milliseconds, relative to the command that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u64);

impl Ttl {
    /// A time to live of `millis`, or `None` outside 1 to 2^53.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Option<Self> {
        if millis == 0 || millis > TTL_MILLIS_MAX { None } else { Some(Self(millis)) }
    }

    /// The span in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// The first point in time at which an entry is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(u64);

impl Deadline {
    /// The deadline `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whether the entry is gone at `now`.
    #[must_use]
    pub const fn has_passed(self, now: Timestamp) -> bool {
        self.0 <= now.0
    }

    /// Milliseconds left at `now`; 0 once it has passed.
    #[must_use]
    pub const fn millis_left(self, now: Timestamp) -> u64 {
        self.0.saturating_sub(now.0)
    }
}
