//! What a client of one table notices while another table grows, expires or is dropped.
//!
//! A probe reads one key of its own table throughout. Three figures tell the machine's own noise
//! from the server's doing: the same probe on the idle server before the event, the same load and
//! probe on the do-nothing server, and how late the probe itself was woken during the event.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use winter_bench::load::{self, KeyChoice, Lifetime, LoadPlan, LoadReport};
use winter_bench::wire::Operation;

use crate::arguments::{Setup, StallOptions};
use crate::contender::{Contender, Kind};
use crate::probe::{Probe, View, Window};
use crate::query::Query;
use crate::scenario::Count;
use crate::statistics::Summary;
use crate::table::Table;

/// The number of the key that the probe reads, beyond all others.
const PROBE_KEY: u64 = u64::MAX;

/// Bytes in each value.
const VALUE_LEN: usize = 64;

/// How long the probe runs on an idle server before an event.
const IDLE: Duration = Duration::from_secs(3);

/// Between the idle stretch and the event.
const PAUSE: Duration = Duration::from_millis(200);

/// How long it goes on after an event: work that was put off counts, too.
const AFTERMATH: Duration = Duration::from_secs(2);

/// In what time the entries expire.
const EXPIRY_SPREAD: Duration = Duration::from_secs(1);

/// No load here takes longer.
const LOAD_PATIENCE: Duration = Duration::from_secs(600);

/// What happens to the other table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Event {
    /// It grows from nothing.
    Grow,
    /// Its entries expire within a second.
    Expire,
    /// It is dropped, full.
    Drop,
}

impl Event {
    fn describe(self, options: &StallOptions) -> String {
        match self {
            Self::Grow => format!("grow to {}", Count(options.grown)),
            Self::Expire => format!("expire {} in 1 s", Count(options.expired)),
            Self::Drop => format!("drop {}", Count(options.dropped)),
        }
    }

    fn run(self, stage: &mut Stage, options: &StallOptions) -> Result<Window> {
        match self {
            Self::Grow => stage.grow(options),
            Self::Expire => stage.expire(options),
            Self::Drop => stage.drop_full(),
        }
    }
}

/// What the probe saw of an event on one contender, and of the idle server before it.
#[derive(Debug)]
struct Observed {
    during: View,
    idle: View,
}

/// Runs the selected events and tabulates what the probe saw.
pub(crate) fn race(setup: &Setup, options: &StallOptions) -> Result<Table> {
    let kinds = || setup.contenders.iter().filter(|kind| kind.dialect().has_lifetimes());
    let header = "event,server,samples,p50,p99,p99.9,max,worst max,\
                  woken late p99.9,max,idle p99.9,max";
    let header = header.split(',').map(str::to_owned).collect();
    let title = "Another table's GET during an event, microseconds";
    let mut table = Table::new(title, header);
    for &event in &options.events {
        let mut rounds: Vec<Vec<Observed>> = kinds().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds.max(1) {
            for (&kind, rounds) in kinds().zip(&mut rounds) {
                let name = format!("{}: {}", kind.name(), event.describe(options));
                eprintln!("{name}");
                rounds.push(observe(setup, options, event, kind).context(name)?);
            }
        }
        for (kind, rounds) in kinds().zip(&rounds) {
            table.push(row(event.describe(options), *kind, rounds));
        }
    }
    Ok(table)
}

fn row(event: String, kind: Kind, rounds: &[Observed]) -> Vec<String> {
    let figures = |figure: fn(&Observed) -> f64| rounds.iter().map(figure);
    let median = |figure| format!("{:.0}", Summary::of(figures(figure)).median);
    let samples: usize = rounds.iter().map(|seen| seen.during.took.samples).sum();
    let worst = figures(|seen| seen.during.took.max).fold(0.0, f64::max);
    vec![
        event,
        kind.name().to_owned(),
        samples.to_string(),
        median(|seen| seen.during.took.p50),
        median(|seen| seen.during.took.p99),
        median(|seen| seen.during.took.p999),
        median(|seen| seen.during.took.max),
        format!("{worst:.0}"),
        median(|seen| seen.during.late.p999),
        median(|seen| seen.during.late.max),
        median(|seen| seen.idle.took.p999),
        median(|seen| seen.idle.took.max),
    ]
}

/// One event on a fresh server: latencies during it, and on the idle server before.
fn observe(setup: &Setup, options: &StallOptions, event: Event, kind: Kind) -> Result<Observed> {
    let mut stage = Stage::set(setup, options, kind)?;
    if event == Event::Drop {
        stage.write(options, options.dropped, None)?;
        stage.contender.settle()?;
    }
    let [_, probed] = &stage.contender.tables[..] else { bail!("a stage has two tables") };
    let address = stage.contender.server.address;
    let probe = Probe::start(Query::new(address, kind.dialect(), probed, PROBE_KEY, VALUE_LEN))?;
    let idle = Instant::now();
    thread::sleep(IDLE);
    let idle = (idle, Instant::now());
    // No request of the idle stretch may still be under way when the event begins.
    thread::sleep(PAUSE);
    let window = event.run(&mut stage, options)?;
    let seen = probe.finish()?;
    Ok(Observed { during: seen.between(window)?, idle: seen.between(idle)? })
}

/// A server with two tables: the first is tormented, the second holds the probe's key.
#[derive(Debug)]
struct Stage {
    contender: Contender,
}

impl Stage {
    fn set(setup: &Setup, options: &StallOptions, kind: Kind) -> Result<Self> {
        let stage = Self { contender: Contender::start(setup, kind, 2, VALUE_LEN)? };
        let mut plan = stage.plan(options);
        plan.tables = stage.contender.tables[1..].to_vec();
        plan.keys = KeyChoice::Sequential { first: PROBE_KEY };
        plan.requests_max = Some(1);
        load::run(&plan)?.check()?;
        Ok(stage)
    }

    fn plan(&self, options: &StallOptions) -> LoadPlan {
        LoadPlan {
            connections: 8,
            depth: 32,
            tables: self.contender.tables[..1].to_vec(),
            duration: LOAD_PATIENCE,
            rate_max: Some(options.rate),
            ..self.contender.plan(Operation::PutNew)
        }
    }

    /// Writes this many entries to the first table.
    fn write(
        &self,
        options: &StallOptions,
        entries: u64,
        lifetime: Option<Lifetime>,
    ) -> Result<LoadReport> {
        let plan = LoadPlan {
            keys: KeyChoice::Sequential { first: 0 },
            requests_max: Some(entries),
            lifetime,
            ..self.plan(options)
        };
        let report = load::run(&plan)?.check()?;
        if report.stored != entries {
            bail!("{} of {entries} entries were stored", report.stored);
        }
        Ok(report)
    }

    fn grow(&self, options: &StallOptions) -> Result<Window> {
        let from = Instant::now();
        self.write(options, options.grown, None)?;
        Ok((from, Instant::now()))
    }

    fn expire(&self, options: &StallOptions) -> Result<Window> {
        let writing = Duration::from_secs_f64(options.expired as f64 / options.rate as f64);
        let from = Instant::now() + 2 * writing + Duration::from_secs(2);
        let lifetime = Lifetime { from, spread: EXPIRY_SPREAD };
        self.write(options, options.expired, Some(lifetime))?;
        if Instant::now() > from {
            bail!("writing took too long: entries expired meanwhile; try a lower --rate");
        }
        let until = from + EXPIRY_SPREAD + AFTERMATH;
        thread::sleep(until.saturating_duration_since(Instant::now()));
        self.check_expired(options)?;
        Ok((from, until))
    }

    /// Fails if entries that should have expired are still read.
    fn check_expired(&self, options: &StallOptions) -> Result<()> {
        let plan = LoadPlan {
            operation: Operation::Get,
            keys: KeyChoice::Uniform { count: options.expired },
            requests_max: Some(1000),
            ..self.plan(options)
        };
        let report = load::run(&plan)?.check()?;
        if report.hits > 0 && self.contender.kind != Kind::Nothing {
            bail!("{} of {} expired entries were read", report.hits, report.requests);
        }
        Ok(())
    }

    fn drop_full(&mut self) -> Result<Window> {
        let from = Instant::now();
        self.contender.drop_first_table()?;
        let until = Instant::now() + AFTERMATH;
        thread::sleep(AFTERMATH);
        Ok((from, until))
    }
}
