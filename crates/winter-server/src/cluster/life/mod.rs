//! What keeps the cluster whole: each node hosts the replicas that the meta
//! group gives it; each leader makes the changes that are planned for its group;
//! and the meta group's leader plans them, and buries the dead.

mod changes;
mod lead;
mod leave;
pub(super) mod pulse;
mod silence;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use winter_core::cluster::founding::Input;
use winter_core::cluster::meta::{FIRST_INCARNATION, MemberState, Meta, MetaCommand, TableState};
use winter_core::cluster::replica::Replica;
use winter_core::cluster::{Address, ClusterId, GroupId, NodeId, PartitionId};
use winter_core::store::TableId;

use self::silence::Silence;
use crate::cluster::Inner;
use crate::cluster::groups::Map;
use crate::cluster::machines::{DataMachine, MetaMachine};
use crate::cluster::wire::Pulse;
use crate::consensus::{ChangeError, Group};
use crate::node::faults;

/// The time between two looks.
pub(super) const STEP: Duration = Duration::from_millis(100);
/// How long to wait for the meta group with what is proposed again anyway.
const TELL_MAX: Duration = Duration::from_secs(1);
/// A node that hears of no leader, or of too few members, for so long asks whether
/// it is held for dead.
const ALONE_MAX: Duration = Duration::from_secs(10);
/// How long a node of a cluster that has dissolved stays, so that the others hear of it.
const DISSOLVED_STAYS: Duration = Duration::from_secs(3);
/// Why a node gives up that the others have replaced.
const HELD_FOR_DEAD: &str =
    "the cluster holds this node for dead: it was out of reach for too long";
/// Pages of a replica that are swept at a time.
const PAGES_PER_STEP: usize = 64;

/// What is under way on this node.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    heard: BTreeMap<NodeId, Instant>,
    /// The partitions that somebody has led since this node looks.
    led: BTreeSet<u16>,
    /// Groups of which a change or a hand-over is being made here.
    busy: BTreeSet<GroupId>,
    leads_since: BTreeMap<GroupId, Instant>,
    alone_since: Option<Instant>,
    /// On the meta group's leader: since when it waits to hear of the members.
    silence: Silence,
    /// On the meta group's leader: the tables between two steps, and since when it sees them so.
    unsettled: BTreeMap<(TableId, TableState), Instant>,
    seen_revision: Option<u64>,
    /// The meta group's state without the tables, as taken in last.
    meta: Option<Arc<Meta>>,
    tables: bool,
    member_of: Option<ClusterId>,
    dissolved_at: Option<Instant>,
    is_leaving: bool,
    /// The cluster that this node is part of, until the meta group's state says so,
    /// too: what that replays may be older than a recovery.
    pub(super) expects: Option<ClusterId>,
    /// Whether this node was ready once.
    pub(super) is_settled: bool,
}

impl Progress {
    /// A member has told how it is.
    pub(crate) fn heard(&mut self, from: NodeId, pulse: &Pulse) {
        self.heard.insert(from, Instant::now());
        self.led.extend(&pulse.leads);
    }

    /// Whether the meta group's state is to be followed, now that it is that of
    /// this cluster.
    fn is_to_be_followed(&mut self, cluster: Option<ClusterId>) -> bool {
        self.expects = self.expects.filter(|expected| Some(*expected) != cluster);
        self.expects.is_none()
    }

    /// How long nothing was heard of a member; `None` if nothing ever was.
    pub(super) fn silence(&self, node: NodeId) -> Option<Duration> {
        self.heard.get(&node).map(Instant::elapsed)
    }

    /// Whether `node` was heard of lately.
    pub(super) fn hears(&self, node: &NodeId) -> bool {
        self.heard.get(node).is_some_and(|at| at.elapsed() < pulse::HEARD_LATELY)
    }

    /// Whether most of `members` were heard of lately. A group that has lost its
    /// majority elects nobody else, and goes on naming the leader it had.
    pub(crate) fn hears_most(&self, members: &[NodeId]) -> bool {
        members.iter().filter(|node| self.hears(node)).count() > members.len() / 2
    }
}

/// What of the meta group's tables concerns whoever follows it.
struct TableNews {
    are_any: bool,
    /// Those that were revived, and how often.
    revived: Vec<(TableId, u64)>,
}

impl TableNews {
    fn of(meta: &Meta) -> Self {
        let revived = meta.revived_tables().map(|table| (table.table.id, table.revivals));
        Self { are_any: meta.tables().next().is_some(), revived: revived.collect() }
    }
}

/// Looks after this node's part again and again.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut revision = inner.revision.subscribe();
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            _ = revision.changed() => {}
            () = sleep(STEP) => {}
        }
        inner.look_after().await;
    }
}

impl Inner {
    async fn look_after(self: &Arc<Self>) {
        faults::point("life");
        let Some(meta) = self.hosted.meta() else { return };
        if meta.has_failed() {
            return self.give_up("the meta group has stopped on this node");
        }
        let (revision, cluster) = meta.machine(|machine| {
            (machine.meta().revision(), machine.meta().founding().map(|founding| founding.cluster))
        });
        if !self.life.lock().is_to_be_followed(cluster) {
            return;
        }
        if self.life.lock().seen_revision != Some(revision) {
            let (state, tables) = meta.machine(|machine| {
                let meta = machine.meta();
                (Arc::new(meta.without_tables()), TableNews::of(meta))
            });
            self.life.lock().meta = Some(Arc::clone(&state));
            self.take_in(&state, &tables).await;
            self.life.lock().seen_revision = Some(state.revision());
        }
        let (map, state) = (self.map(), self.life.lock().meta.clone());
        let Some(state) = state.filter(|_| map.cluster.is_some()) else { return };
        if let Some(into) = state.dissolved() {
            return self.mind_the_end(into);
        }
        let changes = || state.groups().iter().filter_map(|(&id, group)| Some((id, group.change?)));
        changes().for_each(|(group, change)| self.change(group, change, &map));
        for (partition, group) in self.hosted.all_data() {
            group.machine(|machine| machine.with(|replica| replica.maintain(PAGES_PER_STEP)));
            if group.is_leader() {
                self.leader(group.clone()).tick_if_behind();
            }
            if group.has_failed() {
                return self.give_up("a partition has stopped on this node");
            }
            self.lead_in_turn(
                partition,
                &group,
                changes().any(|(changing, _)| changing == GroupId::Data(partition)),
            );
        }
        if state.members().get(&self.me).map(|member| member.state) == Some(MemberState::Joining) {
            self.tell(MetaCommand::Ready(self.me)).await;
        }
        self.mind_being_alone(&meta, &map);
        if meta.is_leader() {
            self.lead(&state).await;
        } else {
            let mut life = self.life.lock();
            life.silence.forget();
            life.unsettled.clear();
        }
    }

    /// Proposes that this cluster, which another has the better claim against,
    /// dissolves. That it has no tables is for its own log to say.
    pub(super) async fn dissolve(self: &Arc<Self>, into: ClusterId) {
        self.tell(MetaCommand::Dissolve(into)).await;
    }

    /// Ends this node as one of a cluster that has dissolved, in a while.
    fn mind_the_end(&self, into: ClusterId) {
        let mut life = self.life.lock();
        let is_news = life.dissolved_at.is_none();
        let since = *life.dissolved_at.get_or_insert_with(Instant::now);
        drop(life);
        if is_news {
            tracing::warn!(%into, "the cluster has no tables, and dissolves to join another");
        }
        if since.elapsed() > DISSOLVED_STAYS {
            self.give_up("the cluster has dissolved");
        }
    }

    /// Asks from time to time whether it is held for dead, while it seems to be
    /// cut off. Not to know a leader is not all that shows it: whoever the others
    /// have replaced is elected by nobody, and so goes on naming the leader it had.
    fn mind_being_alone(self: &Arc<Self>, meta: &Group<MetaMachine>, map: &Map) {
        let now = Instant::now();
        let mut life = self.life.lock();
        if meta.leader().is_some() && life.hears_most(&map.meta) {
            life.alone_since = None;
            return;
        }
        let since = *life.alone_since.get_or_insert(now);
        if now.duration_since(since) > ALONE_MAX {
            life.alone_since = Some(now);
            let inner = Arc::clone(self);
            tokio::spawn(async move {
                if inner.is_held_for_dead().await {
                    inner.give_up(HELD_FOR_DEAD);
                }
            });
        }
    }

    /// Follows what the meta group has decided.
    async fn take_in(self: &Arc<Self>, meta: &Meta, tables: &TableNews) {
        let map = Map::of(meta);
        let Some(cluster) = map.cluster else { return };
        let members = map.nodes();
        let gone: Vec<NodeId> =
            self.map().nodes().into_iter().filter(|node| !members.contains(node)).collect();
        gone.into_iter().for_each(|node| self.peers().disconnect(node));
        // A newcomer reads of members who may be long gone before it reads of itself.
        let known = map.members.iter().filter(|_| meta.is_live(self.me));
        self.belong(cluster, known.map(|(&node, (at, _))| (node, at.clone())));
        self.limits.keep(&members);
        *self.map.write() = Arc::new(map);
        if meta.is_gone(self.me) && !self.life.lock().is_leaving {
            return self.give_up(HELD_FOR_DEAD);
        }
        self.note_membership(cluster, meta, tables.are_any);
        for &(table, revivals) in &tables.revived {
            for (_, held) in self.hosted.all_data() {
                held.machine(|m| m.supervision().revive(table, revivals));
            }
        }
        for (&group, stands) in meta.groups() {
            let GroupId::Data(partition) = group else { continue };
            let comes = stands.comes_to(group, self.me);
            let held = self.hosted.data(partition);
            let is_former =
                |held: &Group<_>| comes.is_some_and(|comes| comes != held.incarnation());
            let is_held = held.is_some_and(|held| !is_former(&held));
            let is_named = stands.names(self.me);
            if !is_named || !is_held {
                self.let_go(partition).await;
            }
            if is_named && !is_held {
                let founders = meta.is_as_founded().then(|| stands.voters.clone());
                let incarnation = comes.unwrap_or(FIRST_INCARNATION);
                self.host(partition, incarnation, founders, meta).await;
            }
        }
    }

    /// Lets go of the replica of a partition, if there is one here.
    pub(super) async fn let_go(&self, partition: PartitionId) {
        if let Some(held) = self.hosted.data(partition) {
            held.machine(|machine| machine.supervision().retire());
            self.hosted.take_data(partition);
            held.shutdown().await;
            tracing::info!(%partition, "a replica has moved away");
        }
    }

    /// Tells the founding that this node is a member, and whether there are tables.
    fn note_membership(&self, cluster: ClusterId, meta: &Meta, tables: bool) {
        if !meta.is_live(self.me) {
            return;
        }
        let input = {
            let mut life = self.life.lock();
            let input = if life.member_of != Some(cluster) {
                tracing::info!(%cluster, "this node is a member");
                Some(Input::Joined { cluster, tables })
            } else if life.tables != tables {
                Some(Input::Tables(tables))
            } else {
                None
            };
            (life.member_of, life.tables) = (Some(cluster), tables);
            input
        };
        if let Some(input) = input {
            let outputs = self.founding.lock().handle(input);
            // Whoever acts on outputs is there as long as the node is.
            let _ = self.outputs.send(outputs);
        }
    }

    /// Hosts a replica of a partition, which `founders` begin if it is new.
    async fn host(
        self: &Arc<Self>,
        partition: PartitionId,
        incarnation: u64,
        founders: Option<BTreeSet<NodeId>>,
        meta: &Meta,
    ) {
        let (Some(seed), Some(first_version)) = (meta.seed(), meta.first_version()) else { return };
        let machine = DataMachine::new(Replica::new(seed, first_version), Arc::clone(&self.host));
        let start = self.start_of(GroupId::Data(partition), incarnation, machine);
        let (started, hosted) = oneshot::channel();
        self.runtime_of(partition).spawn(async move {
            // Who asked is there until it is answered.
            let _ = started.send(Group::start(start).await);
        });
        let group = match hosted.await {
            Ok(Ok(group)) => group,
            Ok(Err(error)) => {
                return tracing::error!(%partition, %error, "a replica does not start");
            }
            Err(_) => return tracing::error!(%partition, "a replica does not start"),
        };
        self.hosted.put_data(partition, group.clone());
        if let Some(founders) = founders {
            let addresses = meta.members();
            let seats: Vec<(NodeId, Address)> = founders
                .iter()
                .filter_map(|node| {
                    Some((*node, addresses.get(node)?.profile.attributes.address.clone()))
                })
                .collect();
            if let Err(error) = group.initialize(&seats).await {
                tracing::debug!(%partition, %error, "the partition was begun before");
            }
        }
    }

    /// Proposes to the meta group, and lets others see what became of it.
    async fn tell(self: &Arc<Self>, command: MetaCommand) {
        drop(self.propose(command, Instant::now() + TELL_MAX).await);
    }
}

fn log(changed: Result<(), ChangeError>) {
    if let Err(error) = changed {
        tracing::debug!(%error, "a group is not changed yet");
    }
}

impl Inner {
    /// Ends the node. One whose replica has stopped, or that the others hold for
    /// dead, can only come back as a new member, under a new identity.
    pub(crate) fn give_up(&self, why: &str) {
        tracing::error!("{why}; it starts anew as another member");
        (self.restart)();
    }
}

/// Ends the process, for whoever could not go on by a single step.
pub(crate) fn give_up(why: &str) -> ! {
    tracing::error!("{why}; it starts anew as another member");
    crate::process::restart()
}
