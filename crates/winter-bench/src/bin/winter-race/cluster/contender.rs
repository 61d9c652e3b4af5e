//! A cluster that takes part, whichever it is, and a load on it.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use winter_bench::load::etcd::EtcdLoad;
use winter_bench::load::{self, KeyChoice, LoadError, LoadPlan, LoadReport};
use winter_bench::wire::{Dialect, Operation};

use super::etcd::Etcd;
use super::nodes::{Nodes, TABLE, cpu_time};

/// The table that is written to, and emptied after every round.
const WRITTEN: &str = "written";

/// How long filling may take.
const FILL_PATIENCE: Duration = Duration::from_secs(600);

/// What a cluster may go on doing for after a load, so that it burdens no other's turn.
const SETTLE: Duration = Duration::from_millis(200);

/// A cluster that takes part.
#[derive(Debug)]
pub(super) enum Contender {
    Winter(Nodes),
    Etcd(Etcd),
}

impl Contender {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Winter(nodes) => format!("winter {}", nodes.count()),
            Self::Etcd(etcd) => format!("etcd {}", etcd.pids().len()),
        }
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Winter(nodes) => nodes.addresses(),
            Self::Etcd(etcd) => etcd.addresses(),
        }
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Winter(nodes) => nodes.pids(),
            Self::Etcd(etcd) => etcd.pids(),
        }
    }

    /// The place of the node that leads, or that leads most.
    pub(super) fn leader(&self) -> Result<usize> {
        match self {
            Self::Winter(nodes) => nodes.busiest(0),
            Self::Etcd(etcd) => etcd.leader(),
        }
    }

    /// Writes the keys with numbers below `keys`, and makes room for those that rounds write.
    pub(super) fn fill(&self, keys: u64, value_len: usize) -> Result<()> {
        if let Self::Winter(nodes) = self {
            nodes.control(0)?.ask(&["CREATE", WRITTEN])?;
        }
        let mut plan = self.plan(Operation::PutNew, value_len, &self.addresses());
        plan.connections = 64;
        plan.depth = 16;
        plan.keys = KeyChoice::Sequential { first: 0 };
        plan.tables = vec![TABLE.to_owned()];
        plan.requests_max = Some(keys);
        plan.duration = FILL_PATIENCE;
        let (report, _) = self.run(&[plan])?;
        let report = report.check().with_context(|| format!("filling {}", self.name()))?;
        if report.stored != keys {
            bail!("{} stored {} of {keys} keys", self.name(), report.stored);
        }
        Ok(())
    }

    /// A load that asks these nodes, to be adapted.
    pub(super) fn plan(
        &self,
        operation: Operation,
        value_len: usize,
        asked: &[SocketAddr],
    ) -> LoadPlan {
        let (&target, further) = asked.split_first().expect("somebody is asked");
        let table = if operation == Operation::Get { TABLE } else { WRITTEN };
        LoadPlan {
            targets_further: further.to_vec(),
            tables: vec![table.to_owned()],
            value_len,
            patience: Duration::from_secs(30),
            ..LoadPlan::new(target, Dialect::WinterResp, operation)
        }
    }

    /// Runs loads side by side, each on a thread: what they did together, and the CPU time that all
    /// of the cluster's processes spent meanwhile.
    pub(super) fn run(&self, plans: &[LoadPlan]) -> Result<(LoadReport, Duration)> {
        let (pids, ready) = (self.pids(), &Barrier::new(plans.len() + 1));
        let (reports, spent) = thread::scope(|scope| {
            let start = |plan| scope.spawn(move || self.load(plan, ready));
            let running: Vec<_> = plans.iter().map(start).collect();
            let before = cpu_time(&pids);
            ready.wait();
            let reports: Vec<_> = running.into_iter().map(ScopedJoinHandle::join).collect();
            let after = cpu_time(&pids);
            (reports, before.and_then(|before| Ok(after?.saturating_sub(before))))
        });
        thread::sleep(SETTLE);
        let mut together: Option<LoadReport> = None;
        for report in reports {
            let report = report.map_err(|_| anyhow!("a load panicked"))?;
            let report =
                report.with_context(|| format!("{}: {}", self.name(), self.last_words()))?;
            together = Some(match together {
                Some(others) => others.beside(&report),
                None => report,
            });
        }
        Ok((together.context("there is a load")?, spent?))
    }

    /// Connects, waits until everything is ready whether or not that worked, and runs.
    fn load(&self, plan: &LoadPlan, ready: &Barrier) -> Result<LoadReport, LoadError> {
        match self {
            Self::Winter(_) => {
                let load = load::Load::connect(plan);
                ready.wait();
                load?.run()
            }
            Self::Etcd(_) => {
                let load = EtcdLoad::connect(plan);
                ready.wait();
                load?.run()
            }
        }
    }

    /// Forgets what a round has written.
    pub(super) fn empty(&self) -> Result<()> {
        let Self::Winter(nodes) = self else { return Ok(()) };
        let mut control = nodes.control(0)?;
        control.ask(&["DROP", WRITTEN])?;
        control.ask(&["CREATE", WRITTEN])?;
        Ok(())
    }

    fn last_words(&self) -> String {
        match self {
            Self::Winter(nodes) => nodes.last_words(),
            Self::Etcd(etcd) => etcd.last_words(),
        }
    }
}
