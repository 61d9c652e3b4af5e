//! What came of a load.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::wire::Reply;

/// Nanoseconds above which a batch's round trip is recorded as this.
const LATENCY_MAX: u64 = 60_000_000_000;

/// Why a load ended early. Its numbers are lost; the server may have done any part of it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan contradicts itself. Nothing was sent.
    #[error("the load cannot be: {0}")]
    Plan(&'static str),
    /// A socket failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// How it failed.
        source: io::Error,
    },
    /// The server closed a connection that owed replies.
    #[error("the server closed a connection that owed {owed} replies")]
    Closed {
        /// Requests without a reply on that connection.
        owed: usize,
    },
    /// Bytes arrived that are no reply to the request.
    #[error("an unexpected reply: {0}")]
    Unexpected(String),
    /// The server did not answer for as long as the plan waits.
    #[error("no reply for {0:?}")]
    Silent(Duration),
    /// A call to etcd failed in another way than by its own answer.
    #[error("etcd: {0}")]
    Call(String),
    /// The server answered requests with errors.
    #[error("{count} error replies, the first: {first}")]
    Refused {
        /// How many.
        count: u64,
        /// The first one's text.
        first: String,
    },
}

impl LoadError {
    /// For `map_err`: wraps a socket's failure with what was being done.
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// The counts and times of a finished load.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// Requests sent, all of them answered.
    pub requests: u64,
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Writes accepted.
    pub stored: u64,
    /// Writes whose key was taken, where the dialect tells.
    pub taken: u64,
    /// Error replies.
    pub errors: u64,
    /// The first error reply's text.
    pub first_error: Option<String>,
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// Nanoseconds from a batch's write to its last reply.
    pub latency: Histogram<u64>,
}

impl LoadReport {
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("bounds in order");
        Self {
            requests: 0,
            hits: 0,
            misses: 0,
            stored: 0,
            taken: 0,
            errors: 0,
            first_error: None,
            elapsed: Duration::ZERO,
            latency,
        }
    }

    pub(super) fn count(&mut self, reply: Reply, bytes: &[u8]) {
        self.requests += 1;
        match reply {
            Reply::Hit => self.hits += 1,
            Reply::Miss => self.misses += 1,
            Reply::Stored => self.stored += 1,
            Reply::Taken => self.taken += 1,
            Reply::Error => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| excerpt(bytes));
            }
        }
    }

    pub(super) fn record_batch(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(nanoseconds);
    }

    /// What two loads did that ran side by side.
    #[must_use]
    pub fn beside(mut self, other: &Self) -> Self {
        self.requests += other.requests;
        self.hits += other.hits;
        self.misses += other.misses;
        self.stored += other.stored;
        self.taken += other.taken;
        self.errors += other.errors;
        self.first_error = self.first_error.or_else(|| other.first_error.clone());
        self.elapsed = self.elapsed.max(other.elapsed);
        self.latency.add(&other.latency).expect("equal bounds");
        self
    }

    /// Requests answered a second.
    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The batch round trip that this share of batches did not exceed, `0.99` for p99.
    #[must_use]
    pub fn latency_at(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_quantile(quantile))
    }

    /// Passes the report on if no reply was an error.
    ///
    /// # Errors
    /// [`LoadError::Refused`] otherwise.
    pub fn check(self) -> Result<Self, LoadError> {
        match self.first_error {
            Some(first) => Err(LoadError::Refused { count: self.errors, first }),
            None => Ok(self),
        }
    }
}

/// The beginning of what a server sent, safe to print.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(80)].trim_ascii_end().escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_recorded_in_nanoseconds() {
        let mut report = LoadReport::new();
        for microseconds in 1..=1000 {
            report.record_batch(Duration::from_micros(microseconds));
        }
        let p50 = report.latency_at(0.5).as_secs_f64();
        assert!((p50 * 1e6 - 500.0).abs() < 1.0, "{p50}");
        report.record_batch(Duration::from_secs(1000));
        assert!(report.latency_at(1.0) >= Duration::from_secs(60));
    }

    #[test]
    fn error_replies_fail_the_check() {
        let mut report = LoadReport::new();
        report.count(Reply::Stored, b"+ok\r\n");
        assert!(report.clone().check().is_ok());
        report.count(Reply::Error, b"-OOM full\r\n");
        report.count(Reply::Error, b"-OOM again\r\n");
        let error = report.check().unwrap_err().to_string();
        assert_eq!(error, "2 error replies, the first: -OOM full");
    }
}
