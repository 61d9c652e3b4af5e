//! Requests a second and server CPU a request, contenders in turns.
//!
//! CPU a request is the steadier figure: it is the server's own time, whatever else the machine
//! does meanwhile. PUTNEW writes keys that are new, into an empty server, in every round; it stops
//! at the scenario's number of keys, so that all contenders do the same work.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use winter_bench::load::{KeyChoice, LoadPlan};
use winter_bench::wire::Operation;

use crate::arguments::{OperationName, Setup, ThroughputOptions};
use crate::contender::{Contender, Kind};
use crate::procfs;
use crate::scenario::{Dataset, Scenario, datasets};
use crate::statistics::Summary;
use crate::table::Table;
use crate::turn::{Figures, take_turn};

/// A ratio whose rounds are further apart than this share of it gets a note.
const SPREAD_WIDE: f64 = 0.15;

/// More cores than this busy with something else get a note.
const BYSTANDERS_MAX: f64 = 0.1;

/// Numbers of new keys begin here, and a round's this far behind the last one's.
const KEYS_A_ROUND: u64 = 1 << 40;

/// Runs what the options select and tabulates it.
pub(crate) fn race(setup: &Setup, options: &ThroughputOptions) -> Result<Vec<Table>> {
    let mut tables = Tables::new(&setup.contenders);
    for data in datasets(options) {
        let mut contenders = start(setup, data)?;
        if options.operations.contains(&OperationName::Get) {
            contenders.iter().try_for_each(|contender| contender.fill(data.keys))?;
        }
        for scenario in data.scenarios(options) {
            eprintln!("{scenario}");
            let bystanders = Bystanders::watch(&contenders)?;
            let figures = run(&mut contenders, scenario, options)?;
            let cores = bystanders.cores(&contenders)?;
            tables.push(scenario, &figures, cores);
        }
    }
    Ok(tables.finish())
}

/// Watches what the machine does beside the race.
#[derive(Debug)]
struct Bystanders {
    since: Instant,
    others: Duration,
}

impl Bystanders {
    fn watch(contenders: &[Contender]) -> Result<Self> {
        Ok(Self { since: Instant::now(), others: Self::spent(contenders)? })
    }

    /// Cores that were busy with something else since, on average.
    fn cores(&self, contenders: &[Contender]) -> Result<f64> {
        let spent = Self::spent(contenders)?.saturating_sub(self.others);
        Ok(spent.as_secs_f64() / self.since.elapsed().as_secs_f64())
    }

    fn spent(contenders: &[Contender]) -> Result<Duration> {
        let mut spent = procfs::machine_time()?;
        let servers = contenders.iter().map(|contender| contender.server.pid);
        for pid in servers.chain([std::process::id()]) {
            spent = spent.saturating_sub(procfs::cpu_time(pid)?);
        }
        Ok(spent)
    }
}

fn start(setup: &Setup, data: Dataset) -> Result<Vec<Contender>> {
    let start = |&kind| Contender::start(setup, kind, data.tables, data.value_len);
    setup.contenders.iter().map(start).collect()
}

/// All rounds of one scenario: the figures of each contender, in order.
fn run(
    contenders: &mut [Contender],
    scenario: Scenario,
    options: &ThroughputOptions,
) -> Result<Vec<Figures>> {
    let mut figures: Vec<_> = contenders.iter().map(|_| Figures::default()).collect();
    for round in 0..options.rounds.max(1) {
        for (contender, figures) in contenders.iter_mut().zip(&mut figures) {
            let mut plan = plan(contender, scenario, options, round);
            let aim = options.duration(OperationName::Get);
            take_turn(contender, &mut plan, aim, figures)
                .with_context(|| format!("{} in {scenario}", contender.kind.name()))?;
        }
    }
    Ok(figures)
}

fn plan(
    contender: &Contender,
    scenario: Scenario,
    options: &ThroughputOptions,
    round: usize,
) -> LoadPlan {
    let round = u64::try_from(round).expect("a round's number fits 64 bits") + 1;
    let (operation, keys, requests_max) = match scenario.operation {
        OperationName::Get => {
            (Operation::Get, KeyChoice::Uniform { count: scenario.data.keys }, None)
        }
        OperationName::Putnew => {
            let first = round * KEYS_A_ROUND;
            (Operation::PutNew, KeyChoice::Sequential { first }, Some(scenario.data.keys))
        }
    };
    LoadPlan {
        connections: scenario.connections,
        depth: scenario.depth,
        keys,
        requests_max,
        duration: options.duration(scenario.operation),
        seed: round,
        ..contender.plan(operation)
    }
}

/// The tables in the making.
#[derive(Debug)]
struct Tables {
    kinds: Vec<Kind>,
    rates: Table,
    costs: Table,
    latencies: Table,
}

impl Tables {
    fn new(kinds: &[Kind]) -> Self {
        let header = |ratios: bool| {
            let mut header = vec!["scenario".to_owned()];
            header.extend(kinds.iter().map(|kind| kind.name().to_owned()));
            if ratios {
                header.extend(kinds[1..].iter().map(|kind| format!("/{}", kind.name())));
                header.push("spread of ratios, others' cores".to_owned());
            }
            header
        };
        let subject = kinds[0].name();
        let rates =
            format!("Thousand requests a second ({subject} over its peers: more is better)");
        let costs = format!("Server CPU, microseconds a request ({subject}: less is better)");
        Self {
            kinds: kinds.to_vec(),
            rates: Table::new(rates, header(true)),
            costs: Table::new(costs, header(true)),
            latencies: Table::new("Batch round trip, microseconds, p50/p99", header(false)),
        }
    }

    fn push(&mut self, scenario: Scenario, figures: &[Figures], bystanders: f64) {
        let rates: Vec<_> = figures.iter().map(|figures| figures.rates.clone()).collect();
        let costs: Vec<_> = figures.iter().map(|figures| figures.costs.clone()).collect();
        let rates = self.row(scenario, &rates, |rate| format!("{:.0}", rate / 1000.0));
        let costs = self.row(scenario, &costs, |cost| format!("{cost:.2}"));
        for (table, mut row) in [(&mut self.rates, rates), (&mut self.costs, costs)] {
            if bystanders > BYSTANDERS_MAX {
                let notes = row.last_mut().expect("the last column is for notes");
                let separator = if notes.is_empty() { "" } else { ", " };
                *notes = format!("{notes}{separator}others {bystanders:.1}");
            }
            table.push(row);
        }
        let mut latencies = vec![scenario.to_string()];
        latencies.extend(figures.iter().map(|figures| {
            let median = |figures: &[f64]| Summary::of(figures.iter().copied()).median;
            format!("{:.0}/{:.0}", median(&figures.p50s), median(&figures.p99s))
        }));
        self.latencies.push(latencies);
    }

    /// The scenario, each contender's median, the first one's ratio to each other, and a note on
    /// the ratios that differ much from round to round.
    fn row(
        &self,
        scenario: Scenario,
        rounds: &[Vec<f64>],
        show: impl Fn(f64) -> String,
    ) -> Vec<String> {
        let mut row = vec![scenario.to_string()];
        row.extend(rounds.iter().map(|rounds| show(Summary::of(rounds.iter().copied()).median)));
        let mut notes = Vec::new();
        for (kind, theirs) in self.kinds.iter().zip(rounds).skip(1) {
            let ratio = Summary::of_ratios(&rounds[0], theirs);
            row.push(format!("{:.2}", ratio.median));
            if ratio.spread > SPREAD_WIDE {
                notes.push(format!("{} {:.0}%", kind.name(), ratio.spread * 100.0));
            }
        }
        row.push(notes.join(", "));
        row
    }

    fn finish(self) -> Vec<Table> {
        vec![self.rates, self.costs, self.latencies]
    }
}
