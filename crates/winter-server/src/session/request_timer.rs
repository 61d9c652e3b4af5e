//! The time that a command has to arrive, once it has begun.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A command may take a second longer to arrive for each so many bytes that have come.
const BYTES_PER_EXTRA_SECOND: usize = 64 << 10;

/// Runs while a command has begun to arrive and is not whole.
#[derive(Debug)]
pub(super) struct RequestTimer {
    began: Instant,
    timeout: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl RequestTimer {
    /// A command has begun to arrive, and has `timeout` to be whole.
    pub(super) fn begin(timeout: Duration) -> Self {
        let began = Instant::now();
        Self { began, timeout, sleep: Box::pin(sleep_until(began + timeout)) }
    }

    /// Ready when the time is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }

    /// Gives more time to a command of which `received` bytes have come: whether
    /// there is any left.
    pub(super) fn extend(&mut self, received: usize) -> bool {
        let extra = Duration::from_secs((received / BYTES_PER_EXTRA_SECOND) as u64);
        let due = self.began + self.timeout + extra;
        self.sleep.as_mut().reset(due);
        due > Instant::now()
    }
}
