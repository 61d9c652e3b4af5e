//! The queue before standard error. That may be a pipe which nobody reads, and
//! then whoever writes to it waits for ever: only a thread of its own does.
//! Lines that find the queue full are lost, counted, and told of.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::Dispatch;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that wait to be written. One has some hundred bytes, mostly.
const LINES_MAX: usize = 4_096;

/// What ends the queue's thread.
static GUARD: Mutex<Option<WorkerGuard>> = Mutex::new(None);
/// Lines that found the queue full.
static UNQUEUED: OnceLock<ErrorCounter> = OnceLock::new();
/// Lines that standard error did not take, as on a full disk.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Lines of this process's log that were lost.
#[must_use]
pub fn lines_lost() -> u64 {
    let unqueued = UNQUEUED.get().map_or(0, |counter| counter.dropped_lines() as u64);
    unqueued + UNWRITTEN.load(Ordering::Relaxed)
}

/// Writes what waits, for `patience` at the most. To be called before the process
/// ends; what is logged later is lost.
pub fn finish(patience: Duration) {
    let Some(guard) = GUARD.lock().take() else { return };
    let (done, is_done) = sync_channel(1);
    let end = move || {
        drop(guard);
        // Nobody waits any more if it took too long.
        let _ = done.send(());
    };
    // Elsewhere: where the queue is full the guard says so to standard output,
    // which may be the same pipe.
    if std::thread::Builder::new().name("winter-log-end".to_owned()).spawn(end).is_ok() {
        // Too long, and the rest is lost.
        let _ = is_done.recv_timeout(patience);
    }
}

/// The log of this process. Dropped, it writes what waits.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct Log(pub(super) NonBlocking);

impl Log {
    /// How long the last lines are waited for: longer than the queue's guard does.
    pub const END_MAX: Duration = Duration::from_millis(1_500);

    /// Starts the thread that writes. Of lines that were lost `teller` tells, past the queue.
    pub(super) fn start(teller: Dispatch) -> Self {
        let (queue, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LINES_MAX)
            .thread_name("winter-log")
            .finish(Stderr { teller, told: 0 });
        UNQUEUED.get_or_init(|| queue.error_counter());
        GUARD.lock().get_or_insert(guard);
        Self(queue)
    }

    /// Says what is no event, whatever the filter.
    pub fn say(&mut self, what: impl Display) {
        self.0.write_all(format!("{what}\n").as_bytes()).expect("the queue takes it or loses it");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        finish(Self::END_MAX);
    }
}

/// Standard error, as the queue's thread writes to it.
struct Stderr {
    teller: Dispatch,
    /// How many lost lines were told of.
    told: u64,
}

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write_all(line);
        if written.is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
        }
        written.map(|()| line.len())
    }

    /// Called where the queue has become empty.
    fn flush(&mut self) -> io::Result<()> {
        let lost = lines_lost();
        if lost > self.told {
            let lines = lost - self.told;
            tracing::dispatcher::with_default(&self.teller, || {
                tracing::warn!(lines, "lines of the log were lost: nobody took them in time");
            });
            self.told = lost;
        }
        Ok(())
    }
}
