//! Points in time and spans of it, in milliseconds, as the store knows them.
//!
//! Core never asks for the time: whoever calls brings it.

use std::num::NonZeroU64;

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
        Deadline::from_millis(self.0.saturating_add(ttl.as_millis()))
    }
}

/// A time to live: 1 to 2^53 milliseconds, relative to the command that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(NonZeroU64);

impl Ttl {
    /// A time to live of `millis`, or `None` outside 1 to 2^53.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Option<Self> {
        match NonZeroU64::new(millis) {
            Some(millis) if millis.get() <= TTL_MILLIS_MAX => Some(Self(millis)),
            _ => None,
        }
    }

    /// The span in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get()
    }
}

/// The first point in time at which an entry is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(u64);

impl Deadline {
    /// The last deadline, in milliseconds: what seven bytes hold, two million years.
    pub const MILLIS_MAX: u64 = (1 << 56) - 1;

    /// The deadline `millis` milliseconds after the Unix epoch, or the last one.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > Self::MILLIS_MAX { Self::MILLIS_MAX } else { millis })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_at_its_millisecond() {
        let ttl = Ttl::from_millis(10).unwrap();
        let deadline = Timestamp::from_millis(100).after(ttl);
        let at = |millis| deadline.has_passed(Timestamp::from_millis(millis));
        assert_eq!([at(109), at(110), at(111)], [false, true, true]);
        assert_eq!(deadline.millis_left(Timestamp::from_millis(109)), 1);
        assert_eq!(deadline.millis_left(Timestamp::from_millis(111)), 0);
    }

    #[test]
    fn a_time_to_live_is_1_to_2_53() {
        for (millis, is_one) in [(0, false), (1, true), (1 << 53, true), ((1 << 53) + 1, false)] {
            assert_eq!(Ttl::from_millis(millis).is_some(), is_one, "{millis}");
        }
    }

    #[test]
    fn no_clock_makes_a_deadline_that_an_entry_cannot_hold() {
        let longest = Ttl::from_millis(TTL_MILLIS_MAX).unwrap();
        for now in [0, 1 << 55, (1 << 56) - 1, u64::MAX] {
            let deadline = Timestamp::from_millis(now).after(longest);
            assert!(deadline.as_millis() <= Deadline::MILLIS_MAX);
        }
    }
}
