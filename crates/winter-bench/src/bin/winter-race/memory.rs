//! What an entry costs beyond its key and value, in resident memory.
//!
//! Resident before and after, and nothing that the server says of itself: allocator, index, slack
//! and fragmentation all count. The peak shows what growing cost on the way.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use winter_bench::keys::KEY_LEN;

use crate::arguments::{MemoryOptions, Setup};
use crate::contender::{Contender, Kind};
use crate::procfs;
use crate::scenario::Count;
use crate::table::Table;

/// Allocators give pages back with some delay.
const RELEASE_DELAY: Duration = Duration::from_secs(2);

/// Fills each contender in turn and tabulates what that cost.
pub(crate) fn race(setup: &Setup, options: &MemoryOptions) -> Result<Table> {
    let MemoryOptions { entries, value_len, tables } = *options;
    let title = format!(
        "Resident memory, {} entries of {KEY_LEN} + {value_len} bytes, {tables} table(s)",
        Count(entries)
    );
    let header = ["server", "empty MB", "full MB", "peak MB", "overhead B/entry"];
    let mut table = Table::new(title, header.map(str::to_owned).into());
    for &kind in setup.contenders.iter().filter(|kind| **kind != Kind::Nothing) {
        eprintln!("memory of {}", kind.name());
        table.push(fill(setup, options, kind)?);
    }
    Ok(table)
}

fn fill(setup: &Setup, options: &MemoryOptions, kind: Kind) -> Result<Vec<String>> {
    let contender = Contender::start(setup, kind, options.tables, options.value_len)?;
    contender.settle()?;
    let before = procfs::memory(contender.server.pid)?;
    contender.fill(options.entries)?;
    thread::sleep(RELEASE_DELAY);
    let after = procfs::memory(contender.server.pid)?;
    let grown = after.resident.saturating_sub(before.resident) as f64;
    let overhead = grown / options.entries as f64 - (KEY_LEN + options.value_len) as f64;
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    Ok(vec![
        kind.name().to_owned(),
        megabytes(before.resident),
        megabytes(after.resident),
        megabytes(after.peak),
        format!("{overhead:.1}"),
    ])
}
