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
use crate::node::memory::Memory;

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

/// Whether what came then still counts. What a member held that is lost since, others
/// lead and tell of by now.
fn is_fresh(at: &Instant) -> bool {
    at.elapsed() < HEARD_LATELY
}

impl Limits {
    /// Nothing is known of others yet.
    pub(crate) fn new(me: NodeId, node: Arc<Node>) -> Self {
        Self { me, node, known: Mutex::default() }
    }

    /// What this node holds in memory.
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.node.memory
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
        let full = |(&node, (at, pulse)): (&NodeId, &(Instant, Pulse))| {
            (pulse.is_full && node != self.me && is_fresh(at)).then_some(node)
        };
        let mut full: BTreeSet<NodeId> = self.known.lock().pulses.iter().filter_map(full).collect();
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
        let held_by =
            |(at, pulse): &(Instant, Pulse)| pulse.usage.get(&id).copied().filter(|_| is_fresh(at));
        let reported = known.pulses.values().filter_map(held_by);
        let let_in = known.let_in.get(&id).copied();
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
