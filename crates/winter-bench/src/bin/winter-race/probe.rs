//! A steady trickle of GETs on a connection and thread of its own, each one timed.
//!
//! The probe shows what a client of one table notices of what happens to another. It sends one
//! request at a time at a fixed pace. A stall delays the requests that would have been sent
//! meanwhile, too; percentiles count those in, as HdrHistogram does for coordinated omission, or
//! a stall of a second would be one sample among thousands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use hdrhistogram::Histogram;

use crate::query::Query;

/// From one request to the next, unless a reply takes longer.
const PERIOD: Duration = Duration::from_micros(500);

/// A probe stops by itself after this many requests.
const SAMPLES_MAX: usize = 4_000_000;

/// Longer stalls than this are recorded as this.
const STALL_MAX: Duration = Duration::from_secs(60);

/// One timed request.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// How long after its time the probe woke to send it: the machine's doing, not the server's.
    late: Duration,
    took: Duration,
}

/// A running probe.
#[derive(Debug)]
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Vec<Sample>>>>,
}

impl Probe {
    pub(crate) fn start(query: Query) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().spawn(move || probe(&query, &stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops the probe and returns what it saw.
    pub(crate) fn finish(mut self) -> Result<Observations> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("a probe finishes once");
        let samples = thread.join().map_err(|_| anyhow!("the probe panicked"))??;
        Ok(Observations { samples })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn probe(query: &Query, stop: &AtomicBool) -> Result<Vec<Sample>> {
    let mut asker = query.connect()?;
    let mut samples = Vec::new();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) && samples.len() < SAMPLES_MAX {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let at = Instant::now();
        asker.ask(query)?;
        let done = Instant::now();
        samples.push(Sample { at, late: at - due, took: done - at });
        due = (due + PERIOD).max(done);
    }
    Ok(samples)
}

/// Everything a probe saw.
#[derive(Debug)]
pub(crate) struct Observations {
    samples: Vec<Sample>,
}

impl Observations {
    /// What requests that were under way between two moments saw.
    pub(crate) fn between(&self, (from, until): Window) -> Result<View> {
        let within = |sample: &&Sample| sample.at + sample.took >= from && sample.at <= until;
        let samples = || self.samples.iter().filter(within);
        Ok(View {
            took: Latencies::of(samples().map(|sample| sample.took))?,
            late: Latencies::of(samples().map(|sample| sample.late))?,
        })
    }
}

/// A stretch of time: its beginning and its end.
pub(crate) type Window = (Instant, Instant);

/// What a probe saw in a stretch of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// How long replies took.
    pub(crate) took: Latencies,
    /// How late the machine woke the probe.
    pub(crate) late: Latencies,
}

/// The latencies of a stretch of time, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latencies {
    pub(crate) samples: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Latencies {
    fn of(durations: impl Iterator<Item = Duration>) -> Result<Self> {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, nanoseconds(STALL_MAX), 3)?;
        let (mut samples, mut max) = (0, Duration::ZERO);
        for took in durations {
            samples += 1;
            max = max.max(took);
            let took = nanoseconds(took.min(STALL_MAX));
            histogram.record_correct(took, nanoseconds(PERIOD))?;
        }
        if samples == 0 {
            bail!("the probe saw nothing");
        }
        let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile));
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        Ok(Self {
            samples,
            p50: micros(at(0.5)),
            p99: micros(at(0.99)),
            p999: micros(at(0.999)),
            max: micros(max),
        })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_weighs_as_much_as_it_lasts() {
        let quick = std::iter::repeat_n(Duration::from_micros(100), 1000);
        let steady = Latencies::of(quick.clone()).unwrap();
        assert!(steady.p99 < 101.0 && steady.samples == 1000);
        let stalled = Latencies::of(quick.chain([Duration::from_millis(100)])).unwrap();
        assert!(stalled.p99 > 50_000.0 && stalled.max == 100_000.0);
    }

    #[test]
    fn a_window_takes_what_was_under_way_in_it() {
        let start = Instant::now();
        let sample = |at, took| Sample {
            at: start + Duration::from_millis(at),
            late: Duration::ZERO,
            took: Duration::from_millis(took),
        };
        let samples = vec![sample(0, 1), sample(2, 100), sample(110, 1), sample(200, 1)];
        let observations = Observations { samples };
        let moment = |milliseconds| start + Duration::from_millis(milliseconds);
        let window = observations.between((moment(50), moment(150))).unwrap();
        assert_eq!(window.took.samples, 2);
    }
}
