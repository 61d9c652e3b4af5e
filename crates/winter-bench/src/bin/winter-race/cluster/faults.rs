//! What writers notice when nodes are killed, and when all are restarted one by one.

use std::time::{Duration, Instant};
use std::{iter, thread};

use anyhow::Result;

use super::nodes::Nodes;
use super::options::ClusterOptions;
use super::writers::Writers;
use super::{Goals, load_average};
use crate::arguments::Setup;
use crate::statistics::Summary;
use crate::table::Table;

const THREE: usize = 3;

/// How long writers run before the fault, and how long they are watched after a kill.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(10);

/// What one fault did.
#[derive(Debug)]
struct Fault {
    gap: Duration,
    refused: u64,
    lost: usize,
    late: Duration,
}

/// Kills the node that leads most, each time in a new cluster, and asks those that are left.
pub(super) fn failover(
    setup: &Setup,
    options: &ClusterOptions,
    goals: &mut Goals,
) -> Result<Table> {
    let faults = iter::repeat_with(|| kill_leader(setup, options)).take(options.failovers());
    let what = "a node that leads is killed: until every partition acknowledges again";
    tabulate("Failover", what, "3 s", &faults.collect::<Result<Vec<_>>>()?, goals)
}

/// Ends every node in turn and starts another in its place, under writes.
pub(super) fn rolling(setup: &Setup, options: &ClusterOptions, goals: &mut Goals) -> Result<Table> {
    let faults = iter::repeat_with(|| restart_all(setup, options)).take(options.rollings());
    let what = "all nodes are restarted: longest time without an acknowledgement of a partition";
    tabulate("Rolling restart", what, "1 s", &faults.collect::<Result<Vec<_>>>()?, goals)
}

fn kill_leader(setup: &Setup, options: &ClusterOptions) -> Result<Fault> {
    let nodes = Nodes::start(setup, THREE, options.partitions)?;
    let victim = nodes.busiest(0)?;
    let partitions = nodes.view(0)?.partitions.len();
    let mut others = nodes.addresses();
    others.remove(victim);
    let writers = Writers::start(&others, partitions)?;
    thread::sleep(BEFORE);
    let from = Instant::now();
    nodes.kill(victim);
    thread::sleep(AFTER);
    let until = Instant::now();
    let seen = writers.finish()?;
    seen.check_before(from)?;
    let mut control = nodes.control((victim + 1) % THREE)?;
    Ok(Fault {
        gap: seen.longest_gap(from, until),
        refused: seen.refused(),
        lost: seen.lost(&mut control)?,
        late: seen.late(),
    })
}

fn restart_all(setup: &Setup, options: &ClusterOptions) -> Result<Fault> {
    let mut nodes = Nodes::start(setup, THREE, options.partitions)?;
    let partitions = nodes.view(0)?.partitions.len();
    let writers = Writers::start(&nodes.addresses(), partitions)?;
    thread::sleep(BEFORE);
    let from = Instant::now();
    for place in 0..nodes.count() {
        nodes.terminate(place)?;
        nodes.replace(place)?;
        // As a rolling update does: the next one when this one is ready.
        nodes.wait_ready(place)?;
    }
    let until = Instant::now();
    let seen = writers.finish()?;
    seen.check_before(from)?;
    Ok(Fault {
        gap: seen.longest_gap(from, until),
        refused: seen.refused(),
        lost: seen.lost(&mut nodes.control(0)?)?,
        late: seen.late(),
    })
}

fn tabulate(
    name: &str,
    what: &str,
    goal: &str,
    faults: &[Fault],
    goals: &mut Goals,
) -> Result<Table> {
    let header = ["run", "gap s", "refused or unknown", "lost", "machine late ms"];
    let title =
        format!("{name}, {THREE} nodes, a writer a partition; load average {}", load_average());
    let mut table = Table::new(title, header.map(str::to_owned).into());
    for (run, fault) in faults.iter().enumerate() {
        table.push(vec![
            (run + 1).to_string(),
            format!("{:.2}", fault.gap.as_secs_f64()),
            fault.refused.to_string(),
            fault.lost.to_string(),
            format!("{:.0}", fault.late.as_secs_f64() * 1e3),
        ]);
    }
    if !faults.is_empty() {
        let gaps = || faults.iter().map(|fault| fault.gap.as_secs_f64());
        let (median, worst) = (Summary::of(gaps()).median, gaps().fold(0.0, f64::max));
        let lost: usize = faults.iter().map(|fault| fault.lost).sum();
        let measured = format!("median {median:.2} s, worst {worst:.2} s, {lost} lost");
        goals.note(what, &format!("under {goal}, nothing lost"), measured);
    }
    Ok(table)
}
