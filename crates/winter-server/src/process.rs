//! What the system says of this process.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::logging::{self, Log};

/// The kernel counts in hundredths of a second towards programs, whatever its own clock.
const MILLIS_PER_TICK: u64 = 10;

/// Bytes of memory that are resident, where the system tells.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

/// File descriptors that are open, where the system tells.
#[must_use]
pub fn open_files() -> Option<u64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// How many file descriptors may be open, where the system tells.
#[must_use]
pub fn open_files_limit() -> Option<u64> {
    rlimit::Resource::NOFILE.get_soft().ok()
}

/// Processor time that the process has used, where the system tells.
#[must_use]
pub fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, which comes second, may hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * MILLIS_PER_TICK))
}

/// How long the cores of the machine had nothing to do since it started, in all,
/// where the system tells.
#[must_use]
pub fn idle_time() -> Option<Duration> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What the system counts of one thread.
#[derive(Debug)]
pub struct ThreadTimes(File);

impl ThreadTimes {
    /// Those of the thread that asks, where the system tells.
    #[must_use]
    pub fn of_this_thread() -> Option<Self> {
        File::open("/proc/thread-self/schedstat").ok().map(Self)
    }

    /// How long the thread ran, and how long it could have run and waited for a
    /// core; `None` where the system does not count it.
    #[must_use]
    pub fn read(&self) -> Option<(Duration, Duration)> {
        let mut text = [0; 64];
        let length = self.0.read_at(&mut text, 0).ok()?;
        let mut fields = std::str::from_utf8(&text[..length]).ok()?.split_ascii_whitespace();
        let mut nanos = || fields.next()?.parse().ok().map(Duration::from_nanos);
        let (run, wait) = (nanos()?, nanos()?);
        (!run.is_zero()).then_some((run, wait))
    }
}

/// Lets the process have at least `wanted` files open, as far as the system
/// allows: how many it may have then.
#[must_use]
pub fn raise_open_files(wanted: u64) -> Option<u64> {
    rlimit::increase_nofile_limit(wanted).ok()
}

/// What the host calls itself, a pod's name for example.
#[must_use]
pub fn hostname() -> String {
    if cfg!(feature = "sim") {
        return "simulated".to_owned();
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

/// Ends the process so that it is started again.
pub fn restart() -> ! {
    logging::finish(Log::END_MAX);
    std::process::exit(EXIT_RESTART)
}

/// The exit status that asks to be started again (`EX_TEMPFAIL`).
const EXIT_RESTART: i32 = 75;
