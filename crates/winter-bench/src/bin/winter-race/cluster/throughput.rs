//! Requests a second, latency, and CPU a request over the whole cluster.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use winter_bench::load::{KeyChoice, LoadPlan};
use winter_bench::wire::Operation;

use super::contender::Contender;
use super::etcd::{self, Etcd};
use super::nodes::{Nodes, cpu_time};
use super::options::{Asked, ClusterOptions, Load};
use super::{Goals, load_average};
use crate::arguments::Setup;
use crate::procfs;
use crate::statistics::Summary;
use crate::table::Table;

/// Members of etcd, and of Winter where only one size is measured.
const THREE: usize = 3;

/// Clients of the goals.
const GOAL_CLIENTS: usize = 256;

/// The depth of the goals.
const GOAL_DEPTH: usize = 16;

/// New keys of one round begin so far behind those of the last.
const KEYS_A_ROUND: u64 = 1 << 40;

/// A ratio whose rounds are further apart than this share of it gets a note.
const SPREAD_WIDE: f64 = 0.15;

/// One load.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    load: Load,
    clients: usize,
    depth: usize,
    asked: Asked,
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { load, clients, depth, asked } = self;
        let plural = if *clients == 1 { "" } else { "s" };
        write!(f, "{}, {clients} client{plural}, {depth} deep, {}", load.name(), asked.name())
    }
}

impl Scenario {
    fn is_goal(self, load: Load) -> bool {
        self.load == load && self.clients == GOAL_CLIENTS && self.depth == GOAL_DEPTH
    }
}

/// Every size of Winter beside three members of etcd.
pub(super) fn race(
    setup: &Setup,
    options: &ClusterOptions,
    goals: &mut Goals,
) -> Result<Vec<Table>> {
    let race = |&nodes: &u8| {
        let nodes = usize::from(nodes);
        let contenders = start(setup, options, nodes, options.partitions)?;
        let mut table = results(&format!("{nodes} nodes"), options, &contenders);
        for scenario in scenarios(options, nodes) {
            let figures = run(&contenders, scenario, options)?;
            if nodes == THREE && scenario.is_goal(Load::Write) && scenario.asked == Asked::All {
                goals.note(scenario.to_string(), "200,000/s; 50 × etcd", measured(&figures));
            }
            table.push(row(scenario, &contenders, &figures));
        }
        Ok(table)
    };
    options.nodes().iter().map(race).collect()
}

/// One partition, so that one node leads: what it costs to ask another.
pub(super) fn forward(setup: &Setup, options: &ClusterOptions, goals: &mut Goals) -> Result<Table> {
    let contenders = start(setup, options, THREE, Some(1))?;
    let mut table = results("3 nodes, 1 partition", options, &contenders);
    for load in [Load::Write, Load::Read] {
        for &depth in &options.depths {
            for asked in [Asked::Leader, Asked::Follower] {
                let scenario = Scenario { load, clients: GOAL_CLIENTS, depth, asked };
                let figures = run(&contenders, scenario, options)?;
                if scenario.is_goal(Load::Read) && asked == Asked::Leader {
                    goals.note(scenario.to_string(), "500,000/s", measured(&figures));
                }
                table.push(row(scenario, &contenders, &figures));
            }
        }
    }
    Ok(table)
}

/// CPU and memory of clusters that nobody asks anything.
pub(super) fn idle(setup: &Setup, options: &ClusterOptions, goals: &mut Goals) -> Result<Table> {
    let header = ["cluster", "% of a core a node", "resident MB a node"];
    let title = format!("Idle for {:?}, load average {}", options.idle(), load_average());
    let mut table = Table::new(title, header.map(str::to_owned).into());
    // Not `start`: nothing is to be stored.
    let mut contenders = vec![Contender::Winter(Nodes::start(setup, THREE, options.partitions)?)];
    if let Some((program, data)) = options.etcd() {
        contenders.push(Contender::Etcd(Etcd::start(program, &data, THREE)?));
    }
    // What starting has left to do.
    thread::sleep(Duration::from_secs(5));
    let spent = || contenders.iter().map(|contender| cpu_time(&contender.pids()));
    let before = spent().collect::<Result<Vec<_>>>()?;
    thread::sleep(options.idle());
    let after = spent().collect::<Result<Vec<_>>>()?;
    for (place, contender) in contenders.iter().enumerate() {
        let busy = after[place].saturating_sub(before[place]).as_secs_f64();
        let share = busy / options.idle().as_secs_f64() / THREE as f64 * 100.0;
        let pids = contender.pids();
        let resident = pids.iter().map(|&pid| Ok(procfs::memory(pid)?.resident));
        let resident = resident.sum::<Result<u64>>()? as f64 / 1e6 / THREE as f64;
        if place == 0 {
            goals.note("idle", "3 % of a core a node", format!("{share:.1} %"));
        }
        table.push(vec![contender.name(), format!("{share:.2}"), format!("{resident:.1}")]);
    }
    Ok(table)
}

fn start(
    setup: &Setup,
    options: &ClusterOptions,
    nodes: usize,
    partitions: Option<u16>,
) -> Result<Vec<Contender>> {
    let mut contenders = vec![Contender::Winter(Nodes::start(setup, nodes, partitions)?)];
    if let Some((program, data)) = options.etcd() {
        contenders.push(Contender::Etcd(Etcd::start(program, &data, THREE)?));
    }
    let fill = |contender: &Contender| contender.fill(options.keys(), options.value_len);
    contenders.iter().try_for_each(fill)?;
    Ok(contenders)
}

fn scenarios(options: &ClusterOptions, nodes: usize) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for load in options.operations() {
        for clients in options.clients() {
            for &depth in &options.depths {
                for asked in options.asked() {
                    let is_possible = load != Load::Mixed || clients > 1;
                    let is_same = nodes == 1 && asked == Asked::One;
                    if is_possible && !is_same {
                        scenarios.push(Scenario { load, clients, depth, asked });
                    }
                }
            }
        }
    }
    scenarios
}

/// What one contender did in the rounds of one scenario.
#[derive(Debug, Default)]
struct Figures {
    rates: Vec<f64>,
    /// Microseconds of CPU a request, over all processes of the cluster.
    costs: Vec<f64>,
    p50s: Vec<f64>,
    p99s: Vec<f64>,
    refused: u64,
}

/// One kind of figure, a round each.
type Kind = fn(&Figures) -> &Vec<f64>;

fn run(
    contenders: &[Contender],
    scenario: Scenario,
    options: &ClusterOptions,
) -> Result<Vec<Figures>> {
    eprintln!("{scenario}");
    let mut figures: Vec<_> = contenders.iter().map(|_| Figures::default()).collect();
    for _ in 0..options.rounds() {
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            take_turn(contender, scenario, options, figures)?;
        }
    }
    Ok(figures)
}

fn take_turn(
    contender: &Contender,
    scenario: Scenario,
    options: &ClusterOptions,
    figures: &mut Figures,
) -> Result<()> {
    let asked = asked(contender, scenario.asked)?;
    let plan = |operation, connections| LoadPlan {
        connections,
        depth: scenario.depth,
        keys: match operation {
            Operation::Get => KeyChoice::Uniform { count: options.keys() },
            Operation::PutNew => KeyChoice::Sequential { first: fresh_keys() },
        },
        duration: options.round(),
        ..contender.plan(operation, options.value_len, &asked)
    };
    let clients = scenario.clients;
    let plans = match scenario.load {
        Load::Write => vec![plan(Operation::PutNew, clients)],
        Load::Read => vec![plan(Operation::Get, clients)],
        Load::Mixed => {
            vec![plan(Operation::PutNew, clients / 2), plan(Operation::Get, clients - clients / 2)]
        }
    };
    let (report, spent) = contender.run(&plans)?;
    if report.misses + report.taken > 0 {
        let (misses, taken) = (report.misses, report.taken);
        bail!("{}: {misses} keys were not there, {taken} new ones were", contender.name());
    }
    let answered = (report.requests - report.errors) as f64;
    if answered == 0.0 {
        bail!("{} did nothing: {:?}", contender.name(), report.first_error);
    }
    if scenario.load != Load::Read {
        contender.empty()?;
    }
    figures.refused += report.errors;
    figures.rates.push(answered / report.elapsed.as_secs_f64());
    figures.costs.push(spent.as_secs_f64() * 1e6 / answered);
    figures.p50s.push(report.latency_at(0.5).as_secs_f64() * 1e3);
    figures.p99s.push(report.latency_at(0.99).as_secs_f64() * 1e3);
    Ok(())
}

/// Where keys begin that were never written.
fn fresh_keys() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static ROUND: AtomicU64 = AtomicU64::new(1);
    ROUND.fetch_add(1, Ordering::Relaxed) * KEYS_A_ROUND
}

fn asked(contender: &Contender, asked: Asked) -> Result<Vec<SocketAddr>> {
    let mut addresses = contender.addresses();
    match asked {
        Asked::All => {}
        Asked::One => addresses.truncate(1),
        Asked::Leader => addresses = vec![addresses[contender.leader()?]],
        Asked::Follower => {
            let leader = contender.leader()?;
            addresses = vec![addresses[(leader + 1) % addresses.len()]];
        }
    }
    Ok(addresses)
}

fn results(what: &str, options: &ClusterOptions, contenders: &[Contender]) -> Table {
    let disk = match options.etcd() {
        None => "",
        Some((_, data)) if etcd::is_in_memory(&data) => ", etcd's data on a tmpfs",
        Some(_) => ", etcd's data ON A DISK",
    };
    let title = format!(
        "{what}, {}-byte values: thousand requests a second, microseconds of CPU a request over \
         the whole cluster, a batch's round trip in milliseconds{disk}; load average {}",
        options.value_len,
        load_average()
    );
    let mut header = vec!["load".to_owned()];
    for what in ["k/s", "µs", "p50/p99 ms"] {
        header.extend(contenders.iter().map(|contender| format!("{} {what}", contender.name())));
        if contenders.len() > 1 && what != "p50/p99 ms" {
            header.push("ratio".to_owned());
        }
    }
    header.push("spread, refused".to_owned());
    Table::new(title, header)
}

fn row(scenario: Scenario, contenders: &[Contender], figures: &[Figures]) -> Vec<String> {
    let mut row = vec![scenario.to_string()];
    let mut notes = Vec::new();
    let rates: Kind = |figures| &figures.rates;
    let costs: Kind = |figures| &figures.costs;
    for (kind, unit) in [(rates, 1000.0), (costs, 1.0)] {
        row.extend(figures.iter().map(|figures| format!("{:.1}", median(kind(figures)) / unit)));
        if let [ours, theirs] = figures {
            let ratio = Summary::of_ratios(kind(ours), kind(theirs));
            row.push(format!("{:.2}", ratio.median));
            if ratio.spread > SPREAD_WIDE {
                notes.push(format!("{:.0}%", ratio.spread * 100.0));
            }
        }
    }
    let latency =
        |figures: &Figures| format!("{:.2}/{:.2}", median(&figures.p50s), median(&figures.p99s));
    row.extend(figures.iter().map(latency));
    for (contender, figures) in contenders.iter().zip(figures) {
        if figures.refused > 0 {
            notes.push(format!("{} refused {}", contender.name(), figures.refused));
        }
    }
    row.push(notes.join(", "));
    row
}

fn measured(figures: &[Figures]) -> String {
    let rate = median(&figures[0].rates);
    match figures {
        [ours, theirs] => {
            let ratio = Summary::of_ratios(&ours.rates, &theirs.rates).median;
            format!("{rate:.0}/s; {ratio:.1} × etcd")
        }
        _ => format!("{rate:.0}/s"),
    }
}

fn median(figures: &[f64]) -> f64 {
    Summary::of(figures.iter().copied()).median
}
