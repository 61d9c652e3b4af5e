//! Clusters: what agreement costs, beside etcd, and what faults cost.
//!
//! All nodes, etcd's members and the load share this machine, so a request's CPU is counted over
//! the whole cluster, and what is to be compared runs in turns in the same minutes. etcd is there
//! for the ratio: it does more (it survives the loss of power, and keeps old revisions) and less.

mod contender;
mod etcd;
mod faults;
mod nodes;
mod options;
mod rebuild;
mod throughput;
mod view;
mod writers;

use anyhow::{Result, bail};

use crate::arguments::Setup;
use crate::table::Table;
pub(crate) use options::ClusterOptions;
use options::Part;

/// Runs the selected parts and shows what came of each; the goals come last.
///
/// A part that fails does not take the others with it: clusters are new in every part.
pub(crate) fn race(
    setup: &Setup,
    options: &ClusterOptions,
    mut show: impl FnMut(&Table) -> Result<()>,
) -> Result<()> {
    let mut goals = Goals::default();
    let mut failed = Vec::new();
    for &part in &options.parts {
        eprintln!("{part:?}, load average {}", load_average());
        match run(setup, options, part, &mut goals) {
            Ok(tables) => tables.iter().try_for_each(&mut show)?,
            Err(error) => failed.push(format!("{part:?}: {error:#}")),
        }
    }
    show(&goals.table())?;
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("; ")) }
}

fn run(
    setup: &Setup,
    options: &ClusterOptions,
    part: Part,
    goals: &mut Goals,
) -> Result<Vec<Table>> {
    let one = match part {
        Part::Throughput => return throughput::race(setup, options, goals),
        Part::Forwarding => throughput::forward(setup, options, goals),
        Part::Idle => throughput::idle(setup, options, goals),
        Part::Failover => faults::failover(setup, options, goals),
        Part::Rolling => faults::rolling(setup, options, goals),
        Part::Rebuild => rebuild::race(setup, options, goals),
    };
    Ok(vec![one?])
}

/// What was measured of that which a cluster must show.
#[derive(Debug, Default)]
struct Goals(Vec<[String; 3]>);

impl Goals {
    fn note(&mut self, what: impl Into<String>, goal: &str, measured: String) {
        self.0.push([what.into(), goal.to_owned(), measured]);
    }

    fn table(self) -> Table {
        let header = ["three nodes", "to reach", "measured"];
        let mut table = Table::new("Against the goals", header.map(str::to_owned).into());
        self.0.into_iter().for_each(|row| table.push(row.into()));
        table
    }
}

/// Processes that wanted to run, over the last 1, 5 and 15 minutes: the others on this machine.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
