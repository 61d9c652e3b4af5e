//! Limits that hold across the cluster: nodes tell each other, a few times a
//! second, whether their memory is full and what tables with quotas hold in the
//! partitions that they lead. Before a write is refused for a quota, each is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;
use winter_core::cluster::{GroupId, NodeId};
use winter_core::fault::{Fault, Kind};
use winter_core::store::partition::Cost;
use winter_core::store::{Table, TableId};

use super::life::pulse::HEARD_LATELY;
use super::wire::{self, Affair, Pulse, Usage};
use super::{Inner, others};
use crate::node::Node;
use crate::node::memory::Memory;
use crate::peers::Channel;

/// How long members may take to tell what a table holds.
const TELL_MAX: Duration = Duration::from_millis(300);

/// What is known of the cluster's limits here.
#[derive(Debug)]
pub(crate) struct Limits {
    me: NodeId,
    node: Arc<Node>,
    known: Mutex<Known>,
    /// One asks the members for all that wait.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last of each member, and when it came.
    pulses: BTreeMap<NodeId, (Instant, Pulse)>,
    /// What was let in here and is under way.
    under_way: BTreeMap<TableId, Usage>,
    /// What was let in here and is done, and not measured yet.
    done: BTreeMap<TableId, Usage>,
    /// Of which tables all members were asked, and when last.
    asked: BTreeMap<TableId, Instant>,
}

/// A write that was let in, until its outcome is known.
#[derive(Debug)]
pub(crate) struct Claim {
    limits: Arc<Limits>,
    table: TableId,
    cost: Cost,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Cost { entries, bytes } = self.cost;
        let mut known = self.limits.known.lock();
        if let Some(under_way) = known.under_way.get_mut(&self.table) {
            under_way.0 -= entries;
            under_way.1 -= bytes;
            if *under_way == Usage::default() {
                known.under_way.remove(&self.table);
            }
        }
        let done = known.done.entry(self.table).or_default();
        done.0 += entries;
        done.1 += bytes;
    }
}

/// Whether what came then still counts. What a member held that is lost since, others
/// lead and tell of by now.
fn is_fresh(at: &Instant) -> bool {
    at.elapsed() < HEARD_LATELY
}

impl Limits {
    /// Nothing is known of others yet.
    pub(crate) fn new(me: NodeId, node: Arc<Node>) -> Self {
        Self { me, node, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// What this node holds in memory.
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.node.memory
    }

    /// Takes in how a node is.
    pub(crate) fn hear(&self, from: NodeId, pulse: Pulse) {
        self.known.lock().pulses.insert(from, (Instant::now(), pulse));
    }

    /// Takes in what a table holds in the partitions that a node leads.
    fn hear_of(&self, from: NodeId, table: TableId, usage: Usage) {
        let mut known = self.known.lock();
        let (at, pulse) =
            known.pulses.entry(from).or_insert_with(|| (Instant::now(), Pulse::default()));
        *at = Instant::now();
        pulse.usage.insert(table.0, usage);
    }

    /// What this node leads is about to be measured: what is done is part of that.
    pub(crate) fn begin_measuring(&self) {
        self.known.lock().done.clear();
    }

    /// Forgets nodes that are no members any more.
    pub(crate) fn keep(&self, members: &BTreeSet<NodeId>) {
        let mut known = self.known.lock();
        known.pulses.retain(|node, _| members.contains(node));
        known.asked.retain(|_, at| is_fresh(at));
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
    pub(crate) fn admit(self: &Arc<Self>, table: &Table, cost: Cost) -> Result<Claim, Fault> {
        let mut known = self.known.lock();
        let id = table.id;
        let held_by = |(at, pulse): &(Instant, Pulse)| {
            pulse.usage.get(&id.0).copied().filter(|_| is_fresh(at))
        };
        let reported = known.pulses.values().filter_map(held_by);
        let let_in = [&known.under_way, &known.done].into_iter().filter_map(|own| own.get(&id));
        let held = reported.chain(let_in.copied());
        let (entries, bytes) =
            held.fold(Usage::default(), |sum, held| (sum.0 + held.0, sum.1 + held.1));
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
        let under_way = known.under_way.entry(id).or_default();
        under_way.0 += cost.entries;
        under_way.1 += cost.bytes;
        Ok(Claim { limits: Arc::clone(self), table: id, cost })
    }
}

impl Inner {
    /// Measures what a table holds in the partitions that this node leads.
    pub(crate) fn measure(&self, table: &Table) {
        self.limits.known.lock().done.remove(&table.id);
        let usage = self.hosted.led_usage(&[(table.id, &table.name)]);
        let usage = usage.values().next().copied().unwrap_or_default();
        self.limits.hear_of(self.me, table.id, usage);
    }

    /// Has every member tell what a table holds in the partitions that it leads.
    pub(crate) async fn ask_usage(&self, table: &Table) {
        let wanted = Instant::now();
        let _one = self.limits.asking.lock().await;
        let asked = self.limits.known.lock().asked.get(&table.id).copied();
        if asked.is_none_or(|asked| asked < wanted) {
            let begun = Instant::now();
            let ask = wire::encode(&Affair::Usage(table.id.0, table.name.to_string()));
            let told = others(&self.map(), self.me).into_iter().map(|node| {
                let ask = ask.clone();
                async move {
                    let (channel, deadline) = (Channel::MEMBERSHIP, begun + TELL_MAX);
                    let told = self.peers().call(node, channel, GroupId::Meta, ask, deadline).await;
                    // Of one that says nothing what it said last counts.
                    if let Some(usage) = told.ok().and_then(|told| wire::decode(&told)) {
                        self.limits.hear_of(node, table.id, usage);
                    }
                }
            });
            join_all(told).await;
            self.limits.known.lock().asked.insert(table.id, begun);
        }
        self.measure(table);
    }
}
