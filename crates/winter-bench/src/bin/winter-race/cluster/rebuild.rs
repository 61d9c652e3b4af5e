//! A node is lost with all it held, and another comes in its place.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use winter_bench::load::{KeyChoice, LoadPlan};
use winter_bench::wire::{Dialect, Operation};

use super::contender::Contender;
use super::nodes::{Nodes, TABLE, cpu_time};
use super::options::ClusterOptions;
use super::writers::Writers;
use super::{Goals, load_average};
use crate::arguments::Setup;
use crate::probe::Probe;
use crate::procfs;
use crate::query::Query;
use crate::table::Table;

const THREE: usize = 3;

/// The node that is lost, and the one that is asked meanwhile.
const LOST: usize = 2;
const ASKED: usize = 0;

/// When the survivors have elected leaders and answer again.
const ELECTED: Duration = Duration::from_secs(5);

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Kills a node of a full cluster, starts another when writes go on, and waits until every
/// replica is there again.
pub(super) fn race(setup: &Setup, options: &ClusterOptions, goals: &mut Goals) -> Result<Table> {
    let mut nodes = filled(setup, options)?;
    let view = nodes.view(ASKED)?;
    let lost = view.at(&nodes.address(LOST).to_string()).context("it is a member")?.id.clone();
    nodes.kill(LOST);
    thread::sleep(ELECTED);
    let survivors = &nodes.addresses()[..LOST];
    let query = Query::new(survivors[ASKED], Dialect::WinterResp, TABLE, 0, options.value_len);
    let probe = Probe::start(query)?;
    let writers = Writers::start(survivors, view.partitions.len())?;
    let survivors_spent = |nodes: &Nodes| cpu_time(&nodes.pids()[..LOST]);
    let (began, before) = (Instant::now(), survivors_spent(&nodes)?);
    nodes.replace(LOST)?;
    nodes.wait_for(ASKED, PATIENCE, |view| view.is_whole(THREE) && !view.has_replica_on(&lost))?;
    let whole = Instant::now();
    let spent = survivors_spent(&nodes)?.saturating_sub(before) + cpu_time(&nodes.pids()[LOST..])?;
    nodes.wait_ready(LOST)?;
    let ready = Instant::now();
    let reads = probe.finish()?.between((began, whole))?;
    let seen = writers.finish()?;
    let write_p99 = seen.took(began, whole, 0.99);
    let milliseconds = |duration: Duration| format!("{:.1}", duration.as_secs_f64() * 1e3);
    let seconds = |duration: Duration| format!("{:.1}", duration.as_secs_f64());
    let title = format!(
        "A lost node's {} entries on another, {}-byte values; load average {}",
        options.entries(),
        options.value_len,
        load_average()
    );
    let mut table = Table::new(title, ["what", "measured"].map(str::to_owned).into());
    let mut push = |what: &str, measured| table.push(vec![what.to_owned(), measured]);
    push("another node started until all replicas are whole, s", seconds(whole - began));
    push("another node started until it is ready, s", seconds(ready - began));
    push("CPU of all nodes meanwhile, s", seconds(spent));
    for (name, place) in [("resident MB of the new node", LOST), ("and of another", ASKED)] {
        push(name, (procfs::memory(nodes.pids()[place])?.resident / 1_000_000).to_string());
    }
    push("GET meanwhile, p50 ms", format!("{:.2}", reads.took.p50 / 1e3));
    push("GET meanwhile, p99 ms", format!("{:.2}", reads.took.p99 / 1e3));
    push("PUT meanwhile, p50 ms", milliseconds(seen.took(began, whole, 0.5)));
    push("PUT meanwhile, p99 ms", milliseconds(write_p99));
    push("the machine woke the reader late, p99 ms", format!("{:.2}", reads.late.p99 / 1e3));
    push("acknowledged writes lost", seen.lost(&mut nodes.control(ASKED)?)?.to_string());
    goals.note(
        format!("{} entries rebuilt", options.entries()),
        "under 30 s, p99 under 10 ms",
        format!(
            "{:.1} s, p99 GET {:.1} ms, PUT {} ms",
            (whole - began).as_secs_f64(),
            reads.took.p99 / 1e3,
            milliseconds(write_p99)
        ),
    );
    Ok(table)
}

fn filled(setup: &Setup, options: &ClusterOptions) -> Result<Nodes> {
    let contender = Contender::Winter(Nodes::start(setup, THREE, options.partitions)?);
    contender.fill(options.entries(), options.value_len)?;
    let check = LoadPlan {
        depth: 16,
        keys: KeyChoice::Sequential { first: 0 },
        requests_max: Some(1000),
        ..contender.plan(Operation::Get, options.value_len, &contender.addresses())
    };
    contender.run(&[check])?.0.check()?;
    match contender {
        Contender::Winter(nodes) => Ok(nodes),
        Contender::Etcd(_) => unreachable!("it is made of Winter's nodes above"),
    }
}
