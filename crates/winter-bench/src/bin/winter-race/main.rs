//! Races Winter against its peers on this machine, in turns, and prints the ratios.
//!
//! Absolute figures of a shared machine mean little and change by the hour. So every contender
//! runs in the same process of measurement, a round each in turn, on loopback, under the same
//! load; what is reported is the median over rounds of Winter's figure over its peer's in the same
//! round. The server that does nothing (`winter-nothing`) runs along as the floor.

mod arguments;
mod cluster;
mod contender;
mod control;
mod idle;
mod memory;
mod probe;
mod process;
mod procfs;
mod query;
mod scenario;
mod stalls;
mod statistics;
mod table;
mod throughput;
mod turn;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Race};
use table::Table;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("winter-race: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    process::kill_children_on_signals()?;
    // Ten thousand connections have two ends; children inherit the limit.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let setup = &arguments.setup;
    let show = |table: &Table| {
        let text = if setup.markdown { table.markdown() } else { table.text() };
        Ok(writeln!(std::io::stdout(), "{text}")?)
    };
    let tables = match &arguments.race {
        Race::Throughput(options) => throughput::race(setup, options)?,
        Race::Memory(options) => vec![memory::race(setup, options)?],
        Race::Stalls(options) => vec![stalls::race(setup, options)?],
        Race::Idle(options) => vec![idle::race(setup, options)?],
        Race::Cluster(options) => return cluster::race(setup, options, show),
    };
    tables.iter().try_for_each(show)
}
