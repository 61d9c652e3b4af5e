//! What the system says of this process.

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

/// Lets the process have at least `wanted` files open, as far as the system
/// allows: how many it may have then.
#[must_use]
pub fn raise_open_files(wanted: u64) -> Option<u64> {
    rlimit::increase_nofile_limit(wanted).ok()
}
