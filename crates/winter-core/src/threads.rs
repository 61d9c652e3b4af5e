//! How many threads sessions live on.
//!
//! Threads that compete for cores cost more for each request than fewer threads
//! do: each is woken more often for less, and what one has in its caches the next
//! one fetches. So sessions stand together on as few threads as do the work.
//! Another is taken into use when those at work are busy and the machine has a
//! core to spare for it, and let go when fewer would do, or when threads wait for
//! cores.
//!
//! Between the bounds lies room, so that a load that stays the same never moves
//! sessions to and fro: twice as many threads are far from too many when the
//! first ones were busy. Only waiting for cores cannot be foreseen; it is tried,
//! and after each failure less often.

use std::time::Duration;

/// Threads are busy when they run for this share of the time.
const BUSY: f64 = 0.85;
/// A thread is let go when the others would be busy for less than this share.
const SPARE: f64 = 0.5;
/// Samples running in which a thread must have been to spare.
const SPARE_SAMPLES: u32 = 4;
/// Threads that wait for a core for more than this share of the time that they
/// could run compete for cores.
const CONTENDED: f64 = 0.25;
/// Samples running in which they must have done so.
const CONTENDED_SAMPLES: u32 = 2;
/// No thread is taken into use where those at work wait for more than this share.
const UNCONTENDED: f64 = 0.1;
/// How long no thread is taken into use after some had to compete, at first.
const PAUSE_LEAST: Duration = Duration::from_secs(10);
/// How long at the most, after that has happened again and again.
const PAUSE_MOST: Duration = Duration::from_secs(300);

/// What was seen of the threads and the machine for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// For how long.
    pub span: Duration,
    /// How long threads that serve clients ran, in all.
    pub run: Duration,
    /// How long they could have run, and waited for a core.
    pub wait: Duration,
    /// How long the machine's cores had nothing to do, in all.
    pub idle: Duration,
}

impl Sample {
    /// How many of something lasted for the whole span.
    fn cores(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.span.as_secs_f64()
    }

    /// The share of the time in which threads could run that they waited.
    fn contention(&self) -> f64 {
        let ready = self.run + self.wait;
        if ready.is_zero() { 0.0 } else { self.wait.as_secs_f64() / ready.as_secs_f64() }
    }
}

/// Decides how many threads sessions live on, from one sample to the next.
#[derive(Clone, Debug)]
pub struct Governor {
    active: usize,
    most: usize,
    /// Samples running in which a thread was to spare.
    spare: u32,
    /// Samples running in which threads competed for cores.
    contended: u32,
    /// How long no thread is taken into use from now on.
    pause: Duration,
    /// How long that will be when threads compete again.
    pause_next: Duration,
    /// How long all has been well since a pause ended.
    proven: Duration,
}

impl Governor {
    /// One thread at first, and `most` of them at the most.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            active: 1,
            most,
            spare: 0,
            contended: 0,
            pause: Duration::ZERO,
            pause_next: PAUSE_LEAST,
            proven: Duration::ZERO,
        }
    }

    /// How many threads sessions live on.
    #[must_use]
    pub const fn active(&self) -> usize {
        self.active
    }

    /// How many threads sessions are to live on after `sample`.
    pub fn decide(&mut self, sample: &Sample) -> usize {
        if sample.span.is_zero() {
            return self.active;
        }
        let (busy, contention) = (sample.cores(sample.run), sample.contention());
        let has_spare = busy < SPARE * (self.active as f64 - 1.0);
        self.spare = if has_spare { self.spare + 1 } else { 0 };
        let competes = self.active > 1 && contention > CONTENDED;
        self.contended = if competes { self.contended + 1 } else { 0 };
        self.pause = self.pause.saturating_sub(sample.span);
        if self.contended >= CONTENDED_SAMPLES {
            self.begin_pause();
            self.use_threads(self.active - 1);
        } else if self.spare >= SPARE_SAMPLES {
            self.use_threads(self.active - 1);
        } else if busy > BUSY * self.active as f64 && contention < UNCONTENDED {
            self.grow(sample.cores(sample.idle));
        }
        if self.active > 1 && self.contended == 0 && self.pause.is_zero() {
            self.prove(sample.span);
        }
        self.active
    }

    /// Takes as many threads into use as there are idle cores, half a core being
    /// one, but doubles their number at the most.
    fn grow(&mut self, idle: f64) {
        let more = (1..=self.active).take_while(|&more| idle >= more as f64 - 0.5).count();
        if self.pause.is_zero() {
            self.use_threads((self.active + more).min(self.most));
        }
    }

    fn use_threads(&mut self, active: usize) {
        if active != self.active {
            self.active = active;
            self.spare = 0;
            self.contended = 0;
        }
    }

    /// Threads compete: several that are let go one after the other are one failure.
    fn begin_pause(&mut self) {
        if self.pause.is_zero() {
            self.pause = self.pause_next;
            self.pause_next = PAUSE_MOST.min(self.pause_next * 2);
        }
        self.proven = Duration::ZERO;
    }

    /// More threads than one get on for a while; once that is as long as they were
    /// kept apart, what was before no longer counts.
    fn prove(&mut self, span: Duration) {
        self.proven += span;
        if self.proven >= self.pause_next {
            self.pause_next = PAUSE_LEAST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quarter of a second in which so many cores ran, were waited for and were idle.
    fn sample(run: f64, wait: f64, idle: f64) -> Sample {
        let span = Duration::from_millis(250);
        let [run, wait, idle] = [run, wait, idle].map(|cores| span.mul_f64(cores));
        Sample { span, run, wait, idle }
    }

    /// What is decided of each of `samples`.
    fn decisions(governor: &mut Governor, samples: impl IntoIterator<Item = Sample>) -> Vec<usize> {
        samples.into_iter().map(|sample| governor.decide(&sample)).collect()
    }

    /// A governor that uses `active` threads of `most`.
    fn with_active(active: usize, most: usize) -> Governor {
        Governor { active, ..Governor::new(most) }
    }

    /// How many quarters of a second pass until another thread is tried.
    fn samples_until_growth(governor: &mut Governor) -> usize {
        let before = governor.active;
        let busy = sample(before as f64, 0.0, 4.0);
        (1..10_000).find(|_| governor.decide(&busy) > before).expect("it is tried again")
    }

    #[test]
    fn busy_threads_are_doubled_while_cores_are_idle() {
        let mut governor = Governor::new(12);
        let load = |run: f64| sample(run, 0.0, 16.0 - run);
        assert_eq!(decisions(&mut governor, [1.0, 2.0, 4.0, 8.0].map(load)), [2, 4, 8, 12]);
        assert_eq!(governor.decide(&load(12.0)), 12, "there are no more");
    }

    #[test]
    fn no_more_threads_are_added_than_cores_are_idle() {
        for (idle, active) in [(0.4, 4), (0.6, 5), (1.4, 5), (2.6, 7), (9.0, 8)] {
            assert_eq!(with_active(4, 16).decide(&sample(4.0, 0.0, idle)), active, "{idle}");
        }
    }

    #[test]
    fn a_machine_whose_cores_are_taken_keeps_one_thread() {
        let mut governor = Governor::new(8);
        let load = [sample(1.0, 0.0, 0.2), sample(0.9, 0.3, 0.6), sample(0.7, 0.0, 3.0)];
        let all = load.into_iter().cycle().take(300);
        assert!(decisions(&mut governor, all).iter().all(|&active| active == 1));
    }

    #[test]
    fn threads_to_spare_are_let_go_one_by_one_and_not_for_a_lull() {
        let mut governor = with_active(3, 4);
        let [lull, load] = [sample(0.1, 0.0, 4.0), sample(1.5, 0.0, 2.0)];
        let lulls = [lull, lull, lull, load].into_iter().cycle().take(100);
        assert!(decisions(&mut governor, lulls).iter().all(|&active| active == 3));
        let quiet = decisions(&mut governor, [lull; 12]);
        assert_eq!(quiet, [3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_constant_load_settles() {
        for cores in 1..=16 {
            for load in 1..=200 {
                let load = f64::from(load) / 10.0;
                let mut governor = Governor::new(16);
                let seen = (0..200).map(|_| {
                    let run = load.min(governor.active as f64);
                    governor.decide(&sample(run, 0.0, (f64::from(cores) - run).max(0.0)))
                });
                let settled = seen.skip(100).collect::<std::collections::BTreeSet<_>>();
                assert_eq!(settled.len(), 1, "{cores} cores, load of {load}: {settled:?}");
            }
        }
    }

    #[test]
    fn threads_that_compete_are_let_go() {
        let mut governor = with_active(3, 4);
        let [competes, runs] = [sample(1.5, 0.9, 0.0), sample(2.4, 0.1, 0.0)];
        let once = [competes, runs].into_iter().cycle().take(100);
        assert!(decisions(&mut governor, once).iter().all(|&active| active == 3), "never twice");
        assert_eq!(decisions(&mut governor, [competes; 6]), [3, 2, 2, 1, 1, 1]);
    }

    #[test]
    fn after_each_failure_the_next_attempt_is_later() {
        let mut governor = Governor::new(8);
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(samples_until_growth(&mut governor) / 4);
            decisions(&mut governor, [sample(1.0, 1.0, 0.0); 2]);
            assert_eq!(governor.active, 1);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn several_threads_let_go_in_a_row_are_one_failure() {
        let mut governor = with_active(8, 8);
        decisions(&mut governor, [sample(4.0, 4.0, 0.0); 14]);
        assert_eq!(governor.active, 1);
        assert!(samples_until_growth(&mut governor) < 40);
    }

    #[test]
    fn a_success_that_lasts_makes_up_for_failures() {
        let mut governor = Governor::new(2);
        for _ in 0..3 {
            samples_until_growth(&mut governor);
            decisions(&mut governor, [sample(1.0, 1.0, 0.0); 2]);
        }
        assert_eq!(samples_until_growth(&mut governor), 160, "40 s");
        decisions(&mut governor, [sample(1.6, 0.0, 2.0); 4 * 81]);
        decisions(&mut governor, [sample(1.0, 1.0, 0.0); 2]);
        assert_eq!(samples_until_growth(&mut governor), 40, "10 s");
    }
}
