//! What the link counts, and what it writes to the log of those whom it refuses.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::handshake::Refused;
use super::reason::Reason;
use crate::logging::Throttle;
use crate::stats::Counter;

/// Counts of one node's link. All only grow.
#[derive(Debug, Default)]
pub struct Counters {
    refused: [Counter; Reason::ALL.len()],
    refused_by: [Counter; Reason::ALL.len()],
    lines: [Throttle; Reason::ALL.len()],
    /// Frames that came whole.
    pub frames_in: Counter,
    /// Frames that were written.
    pub frames_out: Counter,
    /// Bytes that came.
    pub bytes_in: Counter,
    /// Bytes that were written.
    pub bytes_out: Counter,
    /// Calls that were made.
    pub calls: Counter,
    /// Calls among them of which nothing was done.
    pub calls_not_sent: Counter,
    /// Calls among them that may have been done.
    pub calls_lost: Counter,
    /// Answers to calls that had been given up.
    pub answers_late: Counter,
    /// Messages that want no answer and were queued.
    pub one_way: Counter,
    /// Probes that were made.
    pub probes: Counter,
    /// Requests that came.
    pub requests: Counter,
    /// Requests and messages that came when too much was under way.
    pub requests_busy: Counter,
    /// Handlers that panicked.
    pub handler_panics: Counter,
    /// Connections that others began.
    pub accepted: Counter,
    /// Connections that could not be accepted for want of something.
    pub accept_errors: Counter,
    /// Rounds in which a peer was dialled.
    pub dials: Counter,
    /// Rounds among them that led to no connection.
    pub dial_failures: Counter,
}

impl Counters {
    /// How much this node refused for `reason`.
    #[must_use]
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused[usize::from(reason.code())].read()
    }

    /// How often others refused this node for `reason`.
    #[must_use]
    pub fn refused_by_peers(&self, reason: Reason) -> u64 {
        self.refused_by[usize::from(reason.code())].read()
    }

    pub(super) fn refused_by_peer(&self, reason: Reason) {
        self.refused_by[usize::from(reason.code())].bump();
    }

    /// Counts what is refused, and names it in the log, with `sign`: what else
    /// can be said of who sent it.
    pub(super) fn refuse(&self, from: Option<SocketAddr>, refused: &Refused, sign: &str) {
        let row = usize::from(refused.reason.code());
        self.refused[row].bump();
        let now = Instant::now().into_std();
        let Some(times) = self.lines[row].line(now) else { return };
        let from = from.map(tracing::field::display);
        let (reason, told) = (refused.reason.word(), &refused.told);
        if refused.reason.is_usual() {
            tracing::debug!(reason, from, times, ?told, sign, "a peer is refused");
        } else {
            tracing::warn!(reason, from, times, ?told, sign, "a peer is refused");
        }
    }
}
