//! One contender's turn in a round: the load, and what the server spent on it.

use std::time::Duration;

use anyhow::{Result, bail};
use winter_bench::load::{KeyChoice, Load, LoadPlan, LoadReport};
use winter_bench::wire::Operation;

use crate::contender::Contender;
use crate::procfs;

/// How far a pass's new keys are behind the last one's in the same round.
const KEYS_A_PASS: u64 = 1 << 32;

/// How often a write scenario runs in one turn, at most.
const PASSES_MAX: usize = 5;

/// What one contender did in the rounds of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rates: Vec<f64>,
    /// Microseconds of server CPU a request.
    pub(crate) costs: Vec<f64>,
    pub(crate) p50s: Vec<f64>,
    pub(crate) p99s: Vec<f64>,
}

/// One contender's turn. A write scenario is run again, on an emptied server, until it has taken
/// long enough to measure.
pub(crate) fn take_turn(
    contender: &mut Contender,
    plan: &mut LoadPlan,
    aim: Duration,
    figures: &mut Figures,
) -> Result<()> {
    let mut turn = Turn::default();
    for _ in 0..PASSES_MAX {
        if plan.operation == Operation::PutNew {
            contender.empty()?;
        }
        turn.measure(contender, plan)?;
        if turn.elapsed >= aim || plan.requests_max.is_none() {
            break;
        }
        if let KeyChoice::Sequential { first } = &mut plan.keys {
            *first += KEYS_A_PASS;
        }
    }
    figures.push(&turn);
    Ok(())
}

/// What a contender did in its turn of one round.
#[derive(Debug, Default)]
struct Turn {
    requests: u64,
    elapsed: Duration,
    spent: Duration,
    /// Of the last pass.
    latency: [Duration; 2],
}

impl Turn {
    fn measure(&mut self, contender: &Contender, plan: &LoadPlan) -> Result<()> {
        let load = Load::connect(plan)?;
        let before = procfs::cpu_time(contender.server.pid)?;
        let report = load.run()?.check()?;
        self.spent += procfs::cpu_time(contender.server.pid)?.saturating_sub(before);
        if report.requests == 0 {
            bail!("no request was answered");
        }
        if report.hits + report.stored != report.requests {
            let LoadReport { misses, taken, .. } = report;
            bail!("{misses} keys were not there, {taken} new keys were taken");
        }
        self.requests += report.requests;
        self.elapsed += report.elapsed;
        self.latency = [report.latency_at(0.5), report.latency_at(0.99)];
        Ok(())
    }
}

impl Figures {
    fn push(&mut self, turn: &Turn) {
        let requests = turn.requests as f64;
        let [p50, p99] = turn.latency;
        self.rates.push(requests / turn.elapsed.as_secs_f64());
        self.costs.push(microseconds(turn.spent) / requests);
        self.p50s.push(microseconds(p50));
        self.p99s.push(microseconds(p99));
    }
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
