//! What the kernel knows: a process's CPU time to the nanosecond, its resident memory, and how
//! busy the machine is.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time of the process's living threads, user and system.
///
/// `/proc/<pid>/stat` counts in ticks of 10 milliseconds, too coarse for a round of a second;
/// each thread's `schedstat` counts in nanoseconds. Exact while the process sleeps.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
            total += parse_schedstat(&text).context("an unreadable schedstat")?;
        }
    }
    Ok(total)
}

/// CPU time that all of the machine's cores together have spent on anything, or that another
/// virtual machine took from them.
pub(crate) fn machine_time() -> Result<Duration> {
    parse_stat(&fs::read_to_string("/proc/stat")?).context("an unreadable /proc/stat")
}

/// Resident memory of a process in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: u64,
    /// At its highest.
    pub(crate) peak: u64,
}

/// Reads a process's resident memory.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name| status_field(&status, name).with_context(|| format!("no {name}"));
    Ok(Memory { resident: field("VmRSS")?, peak: field("VmHWM")? })
}

fn parse_schedstat(text: &str) -> Option<Duration> {
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The first line of `/proc/stat`: ticks of 10 milliseconds, whatever the kernel's own rate, as
/// user, nice, system, idle, iowait, irq, softirq, steal; guests are in user and nice already.
fn parse_stat(text: &str) -> Option<Duration> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else {
        return None;
    };
    Some(Duration::from_millis(10 * (user + nice + system + irq + softirq + steal)))
}

/// A field of `/proc/<pid>/status` that is given in kB, in bytes.
fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_begins_with_the_time_on_the_cpu() {
        assert_eq!(parse_schedstat("93094 12 1\n"), Some(Duration::from_nanos(93_094)));
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn the_machine_is_busy_unless_idle_or_waiting() {
        let text = "cpu  1 2 3 1000 1000 4 5 6 1 1\ncpu0 9 9 9 9 9 9 9 9 9 9\n";
        assert_eq!(parse_stat(text), Some(Duration::from_millis(210)));
        assert!(machine_time().unwrap() > Duration::ZERO);
    }

    #[test]
    fn status_fields_are_found_by_their_whole_name() {
        let status = "VmRSSX:\t1 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(status_field(status, "VmRSS"), Some(1024 * 1024));
        assert_eq!(status_field(status, "VmHWM"), None);
    }

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let pid = std::process::id();
        assert!(cpu_time(pid).unwrap() > Duration::ZERO);
        let memory = memory(pid).unwrap();
        assert!(memory.peak >= memory.resident && memory.resident > 0);
    }
}
