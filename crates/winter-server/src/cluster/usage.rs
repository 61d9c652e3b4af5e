//! Limits that hold across the cluster: nodes tell each other, a few times a
//! second, whether their memory is full and what tables with quotas hold in the
//! partitions that they lead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use winter_core::cluster::NodeId;
use winter_core::fault::{Fault, Kind};
use winter_core::store::Table;
use winter_core::store::partition::Cost;

use super::life::pulse::HEARD_LATELY;
use super::wire::Pulse;
use crate::node::Node;

/// What is known of the cluster's limits here.
#[derive(Debug)]
pub(crate) struct Limits {
    me: NodeId,
    node: Arc<Node>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last of each member, and when it came.
    pulses: BTreeMap<NodeId, (Instant, Pulse)>,
    /// What was let in here since this node last measured what it leads.
    let_in: BTreeMap<u64, (u64, u64)>,
}

impl Known {
    /// How the members are that were heard of lately. What one held that is lost, others
    /// lead and tell of by then.
    fn lately(&self) -> impl Iterator<Item = (NodeId, &Pulse)> {
        let is_heard = |at: &Instant| at.elapsed() < HEARD_LATELY;
        self.pulses
            .iter()
            .filter(move |(_, (at, _))| is_heard(at))
            .map(|(&node, (_, pulse))| (node, pulse))
    }
}

impl Limits {
    /// Nothing is known of others yet.
    pub(crate) fn new(me: NodeId, node: Arc<Node>) -> Self {
        Self { me, node, known: Mutex::default() }
    }

    /// Takes in how a node is. What this node says of itself is exact, so what
    /// was let in before is part of it.
    pub(crate) fn hear(&self, from: NodeId, pulse: Pulse) {
        let mut known = self.known.lock();
        if from == self.me {
            known.let_in.clear();
        }
        known.pulses.insert(from, (Instant::now(), pulse));
    }

    /// Forgets nodes that are no members any more.
    pub(crate) fn keep(&self, members: &BTreeSet<NodeId>) {
        self.known.lock().pulses.retain(|node, _| members.contains(node));
    }

    /// Whether one of `nodes` can take no more. They are looked up only if
    /// anybody cannot.
    pub(crate) fn is_full(&self, nodes: impl FnOnce() -> BTreeSet<NodeId>) -> bool {
        let is_full_here = self.node.memory.is_full();
        let known = self.known.lock();
        let others = known.lately().filter(|&(node, pulse)| pulse.is_full && node != self.me);
        let mut full: BTreeSet<NodeId> = others.map(|(node, _)| node).collect();
        drop(known);
        full.extend(is_full_here.then_some(self.me));
        !full.is_empty() && !full.is_disjoint(&nodes())
    }

    /// Lets a write in that adds `cost` to `table`, if its quotas allow it.
    ///
    /// # Errors
    /// `quota`.
    pub(crate) fn admit(&self, table: &Table, cost: Cost) -> Result<(), Fault> {
        let mut known = self.known.lock();
        let id = table.id.0;
        let reported = known.lately().filter_map(|(_, pulse)| pulse.usage.get(&id));
        let let_in = known.let_in.get(&id);
        let (entries, bytes) =
            reported.chain(let_in).fold((0u64, 0u64), |sum, held| (sum.0 + held.0, sum.1 + held.1));
        let options = &table.options;
        let over = [
            ("MAXENTRIES", entries, cost.entries, options.entries_max),
            ("MAXBYTES", bytes, cost.bytes, options.bytes_max),
        ]
        .into_iter()
        .find(|&(_, held, more, most)| more > 0 && most.is_some_and(|most| held + more > most));
        if let Some((option, held, more, most)) = over {
            return Err(Fault::new(
                Kind::Quota,
                format!(
                    "the table's {option} is {}; it holds {held} and this write needs {more} more; delete entries or wait until some expire",
                    most.unwrap_or_default()
                ),
            ));
        }
        let let_in = known.let_in.entry(id).or_default();
        let_in.0 += cost.entries;
        let_in.1 += cost.bytes;
        Ok(())
    }
}
