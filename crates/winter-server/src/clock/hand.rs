//! A clock that a simulator turns: it starts at any time of day, runs fast or
//! slow against the runtime's own time, and may be put forward.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use winter_core::time::Timestamp;

use super::Clock;

/// What [`Clock::now`] shows.
#[derive(Debug)]
pub struct Hand {
    started: Instant,
    started_at: Duration,
    /// Millionths by which it runs fast.
    fast: i32,
    /// Milliseconds that it was put forward.
    forward: AtomicU64,
}

impl Hand {
    /// A hand that shows `started_at` now and runs `fast` millionths too fast.
    /// To be called within the runtime whose time it follows.
    #[must_use]
    pub fn new(started_at: Duration, fast: i32) -> Self {
        Self { started: Instant::now(), started_at, fast, forward: AtomicU64::new(0) }
    }

    /// Puts it forward. It never goes back, as no clock of a node does.
    pub fn put_forward(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("584 million years");
        self.forward.fetch_add(millis, Ordering::Relaxed);
    }

    /// What it shows.
    pub(super) fn now(&self) -> Timestamp {
        self.after(self.started.elapsed())
    }

    /// What it shows so long after its start, as far as it was put forward by now.
    #[must_use]
    pub fn after(&self, elapsed: Duration) -> Timestamp {
        let elapsed = elapsed.as_secs_f64() * (1.0 + f64::from(self.fast) / 1e6);
        let at = self.started_at + Duration::from_secs_f64(elapsed.max(0.0));
        let millis = u64::try_from(at.as_millis()).expect("584 million years");
        Timestamp::from_millis(millis + self.forward.load(Ordering::Relaxed))
    }
}

impl Clock {
    /// A clock that shows what `hand` does.
    #[must_use]
    pub fn shown_by(hand: &'static Hand) -> Self {
        Self { started_at: hand.started_at, hand: Some(hand), ..Self::start() }
    }
}
