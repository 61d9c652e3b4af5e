//! When the next batch may go, and which keys it names.

use std::time::{Duration, Instant};

use super::plan::{KeyChoice, Lifetime, LoadPlan};

/// What a connection that is ready for a batch should do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Send this many requests.
    Send(usize),
    /// Wait: the rate is used up for now.
    Park,
    /// Nothing is left to send.
    Finish,
}

/// Hands out turns until the plan's count or time is over, no faster than its rate.
#[derive(Debug)]
pub(super) struct Pacer {
    depth: usize,
    left: u64,
    issued: u64,
    rate_max: Option<u64>,
    started: Instant,
    duration: Duration,
}

impl Pacer {
    pub(super) fn new(plan: &LoadPlan, started: Instant) -> Self {
        Self {
            depth: plan.depth,
            left: plan.requests_max.unwrap_or(u64::MAX),
            issued: 0,
            rate_max: plan.rate_max,
            started,
            duration: plan.duration,
        }
    }

    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let elapsed = now.saturating_duration_since(self.started);
        let batch = u64::try_from(self.depth).expect("a depth fits 64 bits").min(self.left);
        if batch == 0 || elapsed >= self.duration {
            return Turn::Finish;
        }
        if self.rate_max.is_some_and(|rate| self.issued + batch > allowance(rate, elapsed)) {
            return Turn::Park;
        }
        self.issued += batch;
        self.left -= batch;
        Turn::Send(usize::try_from(batch).expect("no more than the depth"))
    }
}

/// Requests that may have been sent by now. A millisecond is granted ahead, or a rate below a
/// batch a millisecond could never begin.
fn allowance(rate: u64, elapsed: Duration) -> u64 {
    let granted = u128::from(rate) * (elapsed.as_micros() + 1000) / 1_000_000;
    u64::try_from(granted).unwrap_or(u64::MAX)
}

/// Draws the keys of a load, and the times to live that go with them.
#[derive(Debug)]
pub(super) struct KeySource {
    choice: KeyChoice,
    issued: u64,
    lifetime: Option<Lifetime>,
    random: fastrand::Rng,
}

impl KeySource {
    pub(super) fn new(plan: &LoadPlan) -> Self {
        let random = fastrand::Rng::with_seed(plan.seed);
        Self { choice: plan.keys, issued: 0, lifetime: plan.lifetime, random }
    }

    #[inline]
    pub(super) fn next_key(&mut self) -> u64 {
        match self.choice {
            KeyChoice::Uniform { count } => self.random.u64(..count),
            KeyChoice::Sequential { first } => {
                let key = first.wrapping_add(self.issued);
                self.issued += 1;
                key
            }
        }
    }

    /// Time to live from `now` for the next write.
    pub(super) fn next_lifetime(&mut self, now: Instant) -> Option<Duration> {
        let Lifetime { from, spread } = self.lifetime?;
        Some(from.saturating_duration_since(now) + spread.mul_f64(self.random.f64()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::{Dialect, Operation};

    fn plan() -> LoadPlan {
        let target = ([127, 0, 0, 1], 1).into();
        LoadPlan::new(target, Dialect::Redis, Operation::Get)
    }

    #[test]
    fn a_count_is_sent_exactly() {
        let plan = LoadPlan { depth: 4, requests_max: Some(10), ..plan() };
        let now = Instant::now();
        let mut pacer = Pacer::new(&plan, now);
        let turns: Vec<_> = (0..4).map(|_| pacer.turn(now)).collect();
        assert_eq!(turns, [Turn::Send(4), Turn::Send(4), Turn::Send(2), Turn::Finish]);
    }

    #[test]
    fn nothing_is_sent_after_the_duration() {
        let now = Instant::now();
        let mut pacer = Pacer::new(&plan(), now);
        assert_eq!(pacer.turn(now + Duration::from_millis(1999)), Turn::Send(1));
        assert_eq!(pacer.turn(now + Duration::from_secs(2)), Turn::Finish);
    }

    #[test]
    fn a_rate_is_kept() {
        let plan = LoadPlan { depth: 5, rate_max: Some(10_000), ..plan() };
        let now = Instant::now();
        let mut pacer = Pacer::new(&plan, now);
        let sent = |pacer: &mut Pacer, at| {
            (0..1000).map(|_| pacer.turn(at)).filter(|turn| *turn == Turn::Send(5)).count() * 5
        };
        assert_eq!(sent(&mut pacer, now), 10);
        assert_eq!(sent(&mut pacer, now + Duration::from_millis(100)), 1000);
    }

    #[test]
    fn sequential_keys_do_not_repeat_and_uniform_ones_cover_the_range() {
        let choice = KeyChoice::Sequential { first: 7 };
        let mut keys = KeySource::new(&LoadPlan { keys: choice, ..plan() });
        assert_eq!((0..3).map(|_| keys.next_key()).collect::<Vec<_>>(), [7, 8, 9]);

        let choice = KeyChoice::Uniform { count: 5 };
        let mut keys = KeySource::new(&LoadPlan { keys: choice, ..plan() });
        let drawn: HashSet<_> = (0..1000).map(|_| keys.next_key()).collect();
        assert_eq!(drawn, (0..5).collect());
    }

    #[test]
    fn lifetimes_end_within_the_spread() {
        let now = Instant::now();
        let from = now + Duration::from_secs(10);
        let lifetime = Some(Lifetime { from, spread: Duration::from_secs(1) });
        let mut keys = KeySource::new(&LoadPlan { lifetime, ..plan() });
        for _ in 0..1000 {
            let ends = now + keys.next_lifetime(now).unwrap();
            assert!(from <= ends && ends <= from + Duration::from_secs(1));
        }
    }
}
