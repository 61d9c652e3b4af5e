//! What connections cost that do nothing, in resident memory of the server.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::arguments::{IdleOptions, Setup};
use crate::contender::{Contender, Kind};
use crate::procfs;
use crate::query::Query;
use crate::table::Table;

/// How long a server may take to tidy up before it is measured.
const RELEASE_DELAY: Duration = Duration::from_secs(2);

/// Bytes in a value, none of which is ever stored.
const VALUE_LEN: usize = 64;

/// Opens connections to each contender in turn and tabulates its growth.
pub(crate) fn race(setup: &Setup, options: &IdleOptions) -> Result<Table> {
    let title = format!("Resident memory with {} idle connections", options.connections);
    let header = ["server", "none MB", "fresh MB", "used MB", "growth MB", "B/connection"];
    let mut table = Table::new(title, header.map(str::to_owned).into());
    for &kind in setup.contenders.iter().filter(|kind| **kind != Kind::Nothing) {
        eprintln!("idle connections to {}", kind.name());
        table.push(open(setup, options, kind)?);
    }
    Ok(table)
}

/// Memory before, with connections that never sent anything, and after a GET on each.
fn open(setup: &Setup, options: &IdleOptions, kind: Kind) -> Result<Vec<String>> {
    let contender = Contender::start(setup, kind, 1, VALUE_LEN)?;
    let table = &contender.tables[0];
    let query = Query::new(contender.server.address, kind.dialect(), table, 0, VALUE_LEN);
    let none = resident(&contender)?;
    let connections = (0..options.connections).map(|_| query.connect());
    let mut connections = connections.collect::<Result<Vec<_>>>()?;
    let fresh = resident(&contender)?;
    for connection in &mut connections {
        connection.ask(&query)?;
    }
    let used = resident(&contender)?;
    let growth = used.saturating_sub(none) as f64;
    let megabytes = |bytes: f64| format!("{:.1}", bytes / 1e6);
    Ok(vec![
        kind.name().to_owned(),
        megabytes(none as f64),
        megabytes(fresh as f64),
        megabytes(used as f64),
        megabytes(growth),
        format!("{:.0}", growth / options.connections.max(1) as f64),
    ])
}

fn resident(contender: &Contender) -> Result<u64> {
    contender.settle()?;
    thread::sleep(RELEASE_DELAY);
    Ok(procfs::memory(contender.server.pid)?.resident)
}
