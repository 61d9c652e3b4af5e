//! What has to be so at every moment, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use winter_core::cluster::{ClusterId, NodeId};
use winter_server::cluster::View;
use winter_sim::history::History;
use winter_sim::linearizability::{self, TableMoments, Verdict, check};

use super::World;

/// By how much a deadline may differ from what clients measure beside what clocks
/// are apart: they are read now and then, and time goes on in steps.
const EPSILON: Duration = Duration::from_millis(25);
/// Copies of each partition.
const REPLICAS: usize = 3;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    clusters: BTreeSet<ClusterId>,
    /// What a partition holds after so many entries, and who showed it first. Two
    /// nodes may lead in one term, for a leader is a term and a node; but no two
    /// may apply different entries in one place.
    states: BTreeMap<(u16, u64), (u64, NodeId)>,
    /// By how many milliseconds a clock was ahead of the true time, at the least and
    /// at the most.
    ahead: Option<(i64, i64)>,
}

impl Seen {
    /// By how many milliseconds the clock furthest ahead was ahead of the true time.
    pub(super) fn ahead_most(&self) -> i64 {
        self.ahead.unwrap_or_default().1
    }

    /// How far clocks were apart. A partition's time is the highest that a leader's
    /// clock has shown: never further behind the true time than the clock that is
    /// furthest behind, nor further ahead than the one that is furthest ahead. So a
    /// life is too short or too long by what is between those two, and no more.
    fn clocks_apart(&self) -> Duration {
        let (least, most) = self.ahead.unwrap_or_default();
        Duration::from_millis(most.abs_diff(least))
    }
}

impl World<'_> {
    /// Takes down how wrong the nodes' clocks are.
    pub(super) fn read_clocks(&mut self) {
        let now = self.sim.elapsed();
        for ahead in self.slots.iter().filter_map(|slot| slot.ahead_millis(now)) {
            let (least, most) = self.seen.ahead.unwrap_or((ahead, ahead));
            self.seen.ahead = Some((least.min(ahead), most.max(ahead)));
        }
    }

    /// Looks at the nodes for what may never be.
    pub(super) fn look(&mut self) {
        self.read_clocks();
        let mut problems = Vec::new();
        for (number, view) in self.views() {
            self.seen.clusters.extend(view.cluster);
            if view.panics > 0 {
                problems.push(format!("node{number} panicked while it answered a peer"));
            }
            let Some(node) = view.node else { continue };
            for (&partition, held) in &view.replicas {
                let place = (partition, held.applied);
                let (digest, first) = *self.seen.states.entry(place).or_insert((held.digest, node));
                if digest != held.digest {
                    let entries = held.applied;
                    problems.push(format!(
                        "{first} and {node} differ in partition {partition} after {entries} entries"
                    ));
                }
            }
        }
        if self.seen.clusters.len() > 1 {
            problems.push(format!("there is more than one cluster: {:?}", self.seen.clusters));
        }
        if self.problems.is_empty() {
            self.problems = problems;
        }
    }

    /// Whether all nodes run as members of one cluster, and every group has all
    /// the replicas that it should, and a leader.
    pub(super) fn is_whole(&self) -> bool {
        let views = self.views();
        let running: BTreeSet<NodeId> = views.iter().filter_map(|(_, view)| view.node).collect();
        let clusters: BTreeSet<_> = views.iter().map(|(_, view)| view.cluster).collect();
        let replicas = self.slots.len().min(REPLICAS);
        let is_full = |voters: &Vec<NodeId>, least: usize| {
            voters.len() >= least && voters.iter().all(|voter| running.contains(voter))
        };
        let sees_all = |view: &View| {
            view.members.keys().copied().collect::<BTreeSet<_>>() == running
                && view.members.values().all(|&is_up| is_up)
                && view.voters.len() == usize::from(self.options.partitions)
                && view.voters.iter().all(|voters| is_full(voters, replicas))
                && is_full(&view.meta, replicas)
        };
        let is_led = |partition: u16| {
            let mut held = views.iter().filter_map(|(_, view)| view.replicas.get(&partition));
            held.any(|held| held.leads)
        };
        self.leaving.is_empty()
            && self.down.is_empty()
            && views.len() == self.slots.len()
            && clusters.len() == 1
            && clusters.first().is_some_and(Option::is_some)
            && views.iter().all(|(_, view)| sees_all(view))
            && (0..self.options.partitions).all(is_led)
    }

    /// Whether all replicas of each partition hold the same.
    pub(super) fn are_replicas_equal(&self) -> bool {
        let views = self.views();
        (0..self.options.partitions).all(|partition| {
            let held = views.iter().filter_map(|(_, view)| view.replicas.get(&partition));
            let states: BTreeSet<_> = held.map(|held| (held.applied, held.digest)).collect();
            states.len() == 1
        })
    }

    /// What the nodes say, for people.
    pub(super) fn told(&self) -> String {
        let mut told = String::new();
        for (number, view) in self.views() {
            // Writing to a string does not fail.
            let _ = writeln!(told, "node{number}: {view:?}");
        }
        let _ = writeln!(told, "down: {:?}, leaving: {:?}", self.down, self.leaving);
        told
    }

    /// Judges what clients were told.
    pub(super) fn judge(&mut self, history: &History) {
        self.coverage.saw_history(history);
        self.options.padding.saw_long(history, &mut self.coverage);
        if self.script.borrow().lies > 0 {
            self.coverage.saw("DNS lied");
        }
        let apart = self.seen.clocks_apart();
        if apart > Duration::from_secs(60) {
            self.coverage.saw("clocks minutes apart");
        } else if apart > Duration::from_secs(1) {
            self.coverage.saw("clocks seconds apart");
        }
        let options = linearizability::Options {
            epsilon: EPSILON + self.seen.clocks_apart(),
            table_moments: TableMoments::OnePerKey,
            ..linearizability::Options::default()
        };
        let verdict = check(history, &options);
        match verdict {
            Verdict::Linearizable => {}
            Verdict::Violation(_) | Verdict::Undecided(_) => {
                self.problems.push(verdict.to_string());
            }
        }
        let missed = self.coverage.missed();
        if self.problems.is_empty() && !missed.is_empty() {
            self.problems.push(format!("invalid: it met too little: {missed:?}"));
        }
    }
}
