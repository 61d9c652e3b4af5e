//! Restart intensity: when something that keeps failing is left alone.
//!
//! The rule is OTP's: more than `restarts_max` restarts within `window_millis`
//! and the supervisor gives up. Here giving up means a *fence*: the table
//! answers `internal` until it is dropped or revived, and nothing else stops.

use std::collections::VecDeque;

use crate::time::Timestamp;

/// How many restarts are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts that are tolerated within the window.
    pub restarts_max: usize,
    /// The window, in milliseconds.
    pub window_millis: u64,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { restarts_max: 5, window_millis: 10_000 }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again.
    Restart,
    /// It keeps failing: leave it fenced.
    Fence,
}

/// One supervised thing's recent restarts.
#[derive(Clone, Debug, Default)]
pub struct RestartLog {
    recent: VecDeque<Timestamp>,
}

impl RestartLog {
    /// Records a failure at `now` and says what to do.
    pub fn record(&mut self, now: Timestamp, intensity: Intensity) -> Verdict {
        let horizon = now.as_millis().saturating_sub(intensity.window_millis);
        while self.recent.front().is_some_and(|at| at.as_millis() < horizon) {
            self.recent.pop_front();
        }
        if self.recent.len() > intensity.restarts_max {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > intensity.restarts_max { Verdict::Fence } else { Verdict::Restart }
    }

    /// Forgets the past, so that a revived table starts with a clean sheet.
    pub fn clear(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWICE_A_SECOND: Intensity = Intensity { restarts_max: 2, window_millis: 1_000 };

    fn verdicts(at: &[u64]) -> Vec<Verdict> {
        let mut log = RestartLog::default();
        at.iter().map(|&ms| log.record(Timestamp::from_millis(ms), TWICE_A_SECOND)).collect()
    }

    #[test]
    fn fences_after_too_many_in_the_window() {
        assert_eq!(verdicts(&[0, 10, 20]), [Verdict::Restart, Verdict::Restart, Verdict::Fence]);
    }

    #[test]
    fn keeps_no_more_than_it_needs() {
        let mut log = RestartLog::default();
        for _ in 0..100 {
            log.record(Timestamp::from_millis(5), TWICE_A_SECOND);
        }
        assert_eq!(log.recent.len(), 3);
        assert_eq!(log.record(Timestamp::from_millis(6), TWICE_A_SECOND), Verdict::Fence);
    }

    #[test]
    fn forgets_what_left_the_window() {
        assert_eq!(verdicts(&[0, 10, 1_011]), [Verdict::Restart; 3]);
    }
}
