//! The node's clock: the only place that asks for the time of day.
//!
//! It is read once, at start, and moves with the monotonic clock from then on.
//! So a step of the wall clock neither expires entries early nor keeps them.

use std::time::{Duration, Instant, SystemTime};

use winter_core::time::Timestamp;

#[cfg(feature = "sim")]
mod hand;

#[cfg(feature = "sim")]
pub use hand::Hand;

/// Milliseconds since the Unix epoch, never going back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Duration,
    /// A simulator's, which it turns.
    #[cfg(feature = "sim")]
    hand: Option<&'static Hand>,
}

impl Clock {
    /// A clock that starts at the machine's time of day.
    #[must_use]
    pub fn start() -> Self {
        let started_at = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("the time of day is after 1970");
        Self {
            started: Instant::now(),
            started_at,
            #[cfg(feature = "sim")]
            hand: None,
        }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        #[cfg(feature = "sim")]
        if let Some(hand) = self.hand {
            return hand.now();
        }
        self.at(Instant::now())
    }

    /// The time at `instant`, which was read after the start.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Timestamp {
        let since_epoch = self.started_at + instant.duration_since(self.started);
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).expect("584 million years"))
    }

    /// When the node started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        Timestamp::from_millis(
            u64::try_from(self.started_at.as_millis()).expect("584 million years"),
        )
    }

    /// How long the node has been up.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
