//! Keeps the log short when the same thing happens over and over.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

const PERIOD: Duration = Duration::from_secs(1);

/// Lets so many lines of one kind pass in a second, and counts the others.
#[derive(Debug)]
pub struct Throttle {
    lines_max: u32,
    period: Mutex<Period>,
}

#[derive(Debug, Default)]
struct Period {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Default for Throttle {
    /// One line a second.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Throttle {
    /// So many lines a second.
    #[must_use]
    pub fn new(lines_max: u32) -> Self {
        Self { lines_max, period: Mutex::default() }
    }

    /// Whether a line may be written `now`, and then of how many it tells: itself,
    /// and those that were left out before.
    pub fn line(&self, now: Instant) -> Option<u64> {
        let mut period = self.period.lock();
        period.renew(now);
        if period.lines == self.lines_max {
            period.left_out += 1;
            return None;
        }
        period.lines += 1;
        Some(std::mem::take(&mut period.left_out) + 1)
    }

    /// How many lines were left out in a second that is over, if none came since
    /// to tell of them. They count as told.
    pub fn rest(&self, now: Instant) -> Option<u64> {
        let mut period = self.period.lock();
        period.renew(now);
        if period.lines == self.lines_max || period.left_out == 0 {
            return None;
        }
        Some(std::mem::take(&mut period.left_out))
    }
}

impl Period {
    fn renew(&mut self, now: Instant) {
        if self.began.is_none_or(|began| now.duration_since(began) >= PERIOD) {
            (self.began, self.lines) = (Some(now), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds after a beginning.
    fn clock() -> impl Fn(u64) -> Instant {
        let began = Instant::now();
        move |millis| began + Duration::from_millis(millis)
    }

    #[test]
    fn a_line_tells_of_those_that_were_left_out_before_it() {
        let (throttle, at) = (Throttle::new(2), clock());
        let told: Vec<_> =
            [0, 1, 2, 999, 1_000, 1_001, 1_002].map(|millis| throttle.line(at(millis))).into();
        assert_eq!(told, [Some(1), Some(1), None, None, Some(3), Some(1), None]);
        assert_eq!(throttle.line(at(60_000)), Some(2));
    }

    #[test]
    fn what_no_line_tells_of_is_told_once_when_the_second_is_over() {
        let (throttle, at) = (Throttle::default(), clock());
        assert_eq!(throttle.rest(at(0)), None);
        let told = [1, 2, 3].map(|millis| throttle.line(at(millis)));
        assert_eq!(told, [Some(1), None, None]);
        assert_eq!(
            [999, 1_001, 1_002].map(|millis| throttle.rest(at(millis))),
            [None, Some(2), None]
        );
        assert_eq!(throttle.line(at(1_003)), Some(1), "they were told");
    }
}
