//! Limits that hold across the cluster: nodes tell each other, a few times a
//! second, whether their memory is full and what tables with quotas hold in the
//! partitions that they lead. Where they could pass a quota together, each is asked
//! before a write is let in or refused, and asks itself from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use winter_core::cluster::{GroupId, NodeId};
use winter_core::fault::Fault;
use winter_core::store::partition::Cost;
use winter_core::store::{Table, TableId};

use super::Inner;
use super::life::pulse::HEARD_LATELY;
use super::wire::{self, Affair, Pulse};
use crate::node::{Node, quota};
use crate::peers::Channel;

/// How long members may take to tell what a table holds.
const TELL_MAX: Duration = Duration::from_millis(300);

/// What counts against a table's quotas. Members tell each other of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Entries.
    pub entries: u64,
    /// Bytes of entries and their slots.
    pub bytes: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Usage {
    fn sub_assign(&mut self, other: Self) {
        self.entries -= other.entries;
        self.bytes -= other.bytes;
    }
}

/// What is known of the cluster's limits here.
#[derive(Debug)]
pub(crate) struct Limits {
    me: NodeId,
    node: Arc<Node>,
    known: Mutex<Known>,
    /// One measures at a time, so that what it finds is newer than what the one before found.
    measuring: Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last of each member, and when it came.
    pulses: BTreeMap<NodeId, (Instant, Pulse)>,
    /// What was let in here and is under way.
    under_way: BTreeMap<TableId, Usage>,
    /// What was let in here and is done, and not measured yet.
    done: BTreeMap<TableId, Usage>,
    /// Of which tables the members are asked, by one for all that wait.
    asking: BTreeMap<TableId, Arc<Asking>>,
    /// Of which tables another has asked here, and when: it counts on what it was told.
    told: BTreeMap<TableId, Instant>,
    /// How many the members are, this node among them; none are known at first.
    members: u64,
}

impl Known {
    /// How much of a quota may be taken as far as is known here without asking the others.
    /// Even if each of them takes as much in the meantime, they do not pass it together.
    fn unasked(&self, table: TableId, most: u64) -> u64 {
        let is_told = self.told.get(&table).is_some_and(is_fresh);
        if is_told { 0 } else { most.checked_div(self.members).unwrap_or(0) }
    }
}

/// When the members were asked of a table last.
type Asking = tokio::sync::Mutex<Option<Instant>>;

/// A write that was let in, until its outcome is known.
#[derive(Debug)]
pub(crate) struct Claim {
    limits: Arc<Limits>,
    table: TableId,
    usage: Usage,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut known = self.limits.known.lock();
        take_off(&mut known.under_way, self.table, self.usage);
        *known.done.entry(self.table).or_default() += self.usage;
    }
}

/// Takes `usage` off that of a table, of which nothing is kept when nothing is left.
fn take_off(all: &mut BTreeMap<TableId, Usage>, table: TableId, usage: Usage) {
    let Some(left) = all.get_mut(&table) else { return };
    *left -= usage;
    if *left == Usage::default() {
        all.remove(&table);
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
        Self { me, node, known: Mutex::default(), measuring: Mutex::default() }
    }

    /// Takes in how a node is.
    pub(crate) fn hear(&self, from: NodeId, pulse: Pulse) {
        self.known.lock().pulses.insert(from, (Instant::now(), pulse));
    }

    /// Takes in what a table holds in the partitions that a node leads, if the node is
    /// heard of.
    fn hear_of(&self, from: NodeId, table: TableId, usage: Usage) {
        if let Some((_, pulse)) = self.known.lock().pulses.get_mut(&from) {
            pulse.usage.insert(table.0, usage);
        }
    }

    /// Counts what was `done` before a measurement no longer beside it.
    fn note_measured(&self, done: BTreeMap<TableId, Usage>) {
        let mut known = self.known.lock();
        for (table, usage) in done {
            take_off(&mut known.done, table, usage);
        }
    }

    /// Members that were heard of lately: what others hold, somebody else leads by now.
    fn heard_lately(&self) -> Vec<NodeId> {
        let known = self.known.lock();
        let fresh = known.pulses.iter().filter(|(_, (at, _))| is_fresh(at));
        fresh.map(|(&node, _)| node).filter(|&node| node != self.me).collect()
    }

    /// Forgets nodes that are no members any more.
    pub(crate) fn keep(&self, members: &BTreeSet<NodeId>) {
        let mut known = self.known.lock();
        known.pulses.retain(|node, _| members.contains(node));
        known.asking.retain(|_, asking| Arc::strong_count(asking) > 1);
        known.told.retain(|_, at| is_fresh(at));
        known.members = members.len() as u64;
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

    /// Lets a write in that adds `cost` to `table`, if its quotas allow it; and if little
    /// of them is taken, or all members were `asked`: what one of them has let in since its
    /// pulse is not known here.
    ///
    /// # Errors
    /// `quota`.
    pub(crate) fn admit(
        self: &Arc<Self>,
        table: &Table,
        cost: Cost,
        asked: bool,
    ) -> Result<Claim, Fault> {
        let mut known = self.known.lock();
        let id = table.id;
        let held_by = |(at, pulse): &(Instant, Pulse)| {
            pulse.usage.get(&id.0).copied().filter(|_| is_fresh(at))
        };
        let reported = known.pulses.values().filter_map(held_by);
        let let_in = [&known.under_way, &known.done].into_iter().filter_map(|own| own.get(&id));
        let mut held = Usage::default();
        reported.chain(let_in.copied()).for_each(|usage| held += usage);
        let held = Cost { entries: held.entries, bytes: held.bytes };
        let free = |most| if asked { most } else { known.unasked(id, most) };
        if let Some(fault) = quota::refusal(&table.options, held, cost, free) {
            return Err(fault);
        }
        let usage = Usage { entries: cost.entries, bytes: cost.bytes };
        *known.under_way.entry(id).or_default() += usage;
        Ok(Claim { limits: Arc::clone(self), table: id, usage })
    }
}

impl Inner {
    /// Measures this node and what it leads.
    pub(crate) fn measure_all(&self) -> Pulse {
        let _one = self.limits.measuring.lock();
        let done = self.limits.known.lock().done.clone();
        let pulse = self.how_it_is();
        self.heard(self.me, pulse.clone());
        self.limits.note_measured(done);
        pulse
    }

    /// Measures what a table holds in the partitions that this node leads.
    pub(crate) fn measure(&self, table: &Table) {
        let _one = self.limits.measuring.lock();
        let done = self.limits.known.lock().done.get(&table.id).copied();
        let usage = self.led_usage_of(table.id, &table.name);
        self.limits.hear_of(self.me, table.id, usage);
        self.limits.note_measured(done.map(|done| (table.id, done)).into_iter().collect());
    }

    /// What a table holds in the partitions that this node leads.
    fn led_usage_of(&self, table: TableId, name: &str) -> Usage {
        self.hosted.led_usage(&[(table, name)]).values().next().copied().unwrap_or_default()
    }

    /// The same, and what is about to be written there.
    pub(crate) fn claimed_usage_of(&self, table: TableId, name: &str) -> Usage {
        let claimed = {
            let mut known = self.limits.known.lock();
            // Whatever is let in from here on is asked for first.
            known.told.insert(table, Instant::now());
            known.under_way.get(&table).copied()
        };
        let mut usage = claimed.unwrap_or_default();
        usage += self.led_usage_of(table, name);
        usage
    }

    /// Has every member that is heard of tell what a table holds in the partitions that it
    /// leads, by the deadline.
    pub(crate) async fn ask_usage(&self, table: &Table, deadline: Instant) {
        let wanted = Instant::now();
        let asking = Arc::clone(self.limits.known.lock().asking.entry(table.id).or_default());
        if let Ok(mut asked) = timeout_at(deadline, asking.lock()).await
            && asked.is_none_or(|asked| asked < wanted)
        {
            let begun = Instant::now();
            let deadline = deadline.min(begun + TELL_MAX);
            let ask = wire::encode(&Affair::Usage(table.id.0, table.name.to_string()));
            let told = self.limits.heard_lately().into_iter().map(|node| {
                let ask = ask.clone();
                async move {
                    let channel = Channel::MEMBERSHIP;
                    let told = self.peers().call(node, channel, GroupId::Meta, ask, deadline).await;
                    // Of one that says nothing what it said last counts.
                    if let Some(usage) = told.ok().and_then(|told| wire::decode(&told)) {
                        self.limits.hear_of(node, table.id, usage);
                    }
                }
            });
            join_all(told).await;
            *asked = Some(begun);
        }
        self.measure(table);
    }
}
