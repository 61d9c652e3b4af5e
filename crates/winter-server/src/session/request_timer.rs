//! The time that a command has to arrive, once it has begun.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::READ_BYTES;
use super::room::{LOOK_EVERY, Pace};

/// A command may take a second longer to arrive for each so many bytes that have come.
const BYTES_PER_EXTRA_SECOND: usize = 64 << 10;

/// Runs while a command has begun to arrive and is not whole.
#[derive(Debug)]
pub(super) struct RequestTimer {
    began: Instant,
    timeout: Duration,
    sleep: Pin<Box<Sleep>>,
    pace: Pace,
}

impl RequestTimer {
    /// A command has begun to arrive, and has `timeout` to be whole.
    pub(super) fn begin(timeout: Duration) -> Self {
        let began = Instant::now();
        let sleep = Box::pin(sleep_until(began + timeout));
        Self { began, timeout, sleep, pace: Pace::begin(0) }
    }

    /// Ready when the time may be over, or the command should be looked at.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }

    /// Gives more time to a command of which `received` bytes have come: whether
    /// there is any left.
    pub(super) fn extend(&mut self, received: usize) -> bool {
        let extra = Duration::from_secs((received / BYTES_PER_EXTRA_SECOND) as u64);
        let due = self.began + self.timeout + extra;
        self.sleep.as_mut().reset(due);
        self.look_soon_if_long(received);
        due > Instant::now()
    }

    /// Has a long command looked at before its time is over.
    pub(super) fn look_soon_if_long(&mut self, received: usize) {
        let soon = Instant::now() + LOOK_EVERY;
        if received > READ_BYTES && self.sleep.deadline() > soon {
            self.sleep.as_mut().reset(soon);
        }
    }

    /// Whether the command is long, and comes too slowly for others to wait.
    pub(super) fn is_slow(&mut self, received: usize) -> bool {
        received > READ_BYTES && self.pace.is_slow(received)
    }
}
