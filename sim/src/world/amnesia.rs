//! A plan of faults that a group survives only because nobody comes back as who
//! he was: of three replicas one lags, one forgets, and the third, which alone
//! remembers all that was acknowledged, is cut off. Were the one that forgot
//! still a voter, it could elect the one that lags.

use std::time::Duration;

use winter_core::cluster::NodeId;

use super::World;
use crate::faults::Kind;

/// How often it happens.
const ROUNDS: usize = 3;
/// How long a replica misses what the others acknowledge.
const LAGS: Duration = Duration::from_secs(2);
/// How long the replica that forgot does not run.
const RESTARTS: Duration = Duration::from_millis(100);
/// How long those two are without the third: enough to find each other, and to
/// elect; too short to be counted as dead.
const APART: Duration = Duration::from_secs(15);
/// How long the cluster may take to be whole again between two rounds.
const ROUND_MAX: Duration = Duration::from_secs(120);
/// The partition whose replicas it is about.
const PARTITION: usize = 0;

impl World<'_> {
    /// Lets it happen, again and again.
    pub(super) fn forget(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS {
            self.until("the cluster is not whole again", ROUND_MAX, Self::is_whole)?;
            self.go_on(Duration::from_secs(2))?;
            let Some([leads, lags, forgets]) = self.replicas() else { continue };
            self.plan(Kind::Isolation, lags, LAGS);
            self.go_on(LAGS)?;
            self.plan(Kind::Isolation, leads, APART);
            self.plan(Kind::Crash, forgets, RESTARTS);
            self.go_on(APART)?;
        }
        self.coverage.require("faults", 6);
        Ok(())
    }

    /// The hosts with the partition's replicas, the leader first.
    pub(super) fn replicas(&self) -> Option<[usize; 3]> {
        let views = self.views();
        let host_of = |node: &NodeId| {
            views.iter().find(|(_, view)| view.node == Some(*node)).map(|(number, _)| *number)
        };
        let voters = views.first()?.1.voters.get(PARTITION)?;
        let mut hosts: Vec<usize> = voters.iter().filter_map(host_of).collect();
        hosts.sort_by_key(|number| {
            let held = views.iter().find(|(other, _)| other == number);
            let held = held.and_then(|(_, view)| view.replicas.values().next());
            !held.is_some_and(|held| held.leads)
        });
        hosts.try_into().ok()
    }

    pub(super) fn plan(&mut self, kind: Kind, node: usize, lasts: Duration) {
        let others = self.others(kind, node);
        self.afflict(kind, node, others, lasts);
    }
}
