//! The way of what is asked to those who can do it: a partition's leader, on this
//! node or another, and the meta group's.
//!
//! A command is sent again only when nothing was done; until it is done, or may
//! have been, or the time for it is over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use winter_core::cluster::meta::{self, Meta, MetaCommand, MetaReply, TableState};
use winter_core::cluster::{GroupId, NodeId, PartitionId};
use winter_core::fault::{Fault, Kind};

use super::Inner;
use super::leader::unknown;
use super::wire::{self, Affair, NewTable, NotDone, ProposeFault, Proposed};
use crate::consensus::ProposeError;
use crate::peers::{CallError, Channel};

/// How long to wait before those are asked again who could not do it.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// Who led each group when last heard of.
#[derive(Debug, Default)]
pub(crate) struct Leaders(Mutex<Vec<Option<NodeId>>>);

impl Leaders {
    fn place(group: GroupId) -> usize {
        match group {
            GroupId::Meta => 0,
            GroupId::Data(partition) => usize::from(partition.0) + 1,
        }
    }

    /// Who leads, as far as is known.
    pub(crate) fn of(&self, group: GroupId) -> Option<NodeId> {
        self.0.lock().get(Self::place(group)).copied().flatten()
    }

    /// Takes in which partitions `node` says it leads. Whoever was known to lead one
    /// is believed until it says otherwise or `is_heard` no more: two may say it for
    /// a moment, and the one that answered is the better guess.
    pub(crate) fn hear(&self, node: NodeId, leads: &[u16], is_heard: impl Fn(NodeId) -> bool) {
        let mut leaders = self.0.lock();
        let first = Self::place(GroupId::Data(PartitionId(0)));
        let said: Vec<usize> = leads.iter().map(|&number| first + usize::from(number)).collect();
        let places = said.iter().map(|place| place + 1).max().unwrap_or(0).max(leaders.len());
        leaders.resize(places, None);
        for (place, leader) in leaders.iter_mut().enumerate().skip(first) {
            if said.contains(&place) {
                *leader = leader.filter(|&known| is_heard(known)).or(Some(node));
            } else if *leader == Some(node) {
                *leader = None;
            }
        }
    }

    /// Notes who leads, or that nobody knows.
    pub(crate) fn note(&self, group: GroupId, leader: Option<NodeId>) {
        let place = Self::place(group);
        let mut leaders = self.0.lock();
        if leaders.len() <= place {
            leaders.resize(place + 1, None);
        }
        leaders[place] = leader;
    }
}

/// What came of asking one node.
enum Asked {
    /// It was begun there, and this is the answer.
    Answered(Bytes),
    /// Nothing was done.
    NotDone(Option<NodeId>),
    /// It may have been done.
    Lost,
}

impl Inner {
    /// Asks a group's leader, whoever that turns out to be: its answer, `None`
    /// when nothing was done until the deadline, or an error when it may have been.
    pub(crate) async fn ask_leader(
        self: &Arc<Self>,
        group: GroupId,
        body: Bytes,
        deadline: Instant,
        may_repeat: bool,
    ) -> Result<Option<Bytes>, ()> {
        let mut hint = None;
        let mut turn = 0usize;
        let mut was_lost = false;
        loop {
            let asked = match self.candidate(group, hint.take(), turn) {
                Some(node) => match self.ask_node(node, group, body.clone(), deadline).await {
                    Asked::Answered(answer) => {
                        self.leaders.note(group, Some(node));
                        return Ok(Some(answer));
                    }
                    other => other,
                },
                None => Asked::NotDone(None),
            };
            match asked {
                Asked::Lost if !may_repeat => return Err(()),
                Asked::NotDone(Some(leader)) => {
                    self.leaders.note(group, Some(leader));
                    hint = Some(leader);
                }
                other => {
                    was_lost |= matches!(other, Asked::Lost);
                    self.leaders.note(group, None);
                }
            }
            turn += 1;
            if Instant::now() + PAUSE >= deadline {
                return if was_lost { Err(()) } else { Ok(None) };
            }
            // A hint is followed at once, but two nodes that name each other must not make a storm.
            if hint.is_none() || turn > 2 {
                sleep(PAUSE).await;
            }
        }
    }

    /// Whom to ask: whoever is said to lead, or one voter after the other.
    pub(super) fn candidate(
        &self,
        group: GroupId,
        hint: Option<NodeId>,
        turn: usize,
    ) -> Option<NodeId> {
        if hint.is_some() {
            return hint;
        }
        let here = match group {
            GroupId::Meta => self.hosted.meta().and_then(|group| group.leader()),
            GroupId::Data(partition) => self.hosted.data(partition).and_then(|g| g.leader()),
        };
        if let Some(leader) =
            here.or_else(|| self.leaders.of(group)).filter(|_| turn.is_multiple_of(2))
        {
            return Some(leader);
        }
        let map = self.map();
        let voters = map.voters(group);
        voters.get(turn % voters.len().max(1)).copied()
    }

    async fn ask_node(
        self: &Arc<Self>,
        node: NodeId,
        group: GroupId,
        body: Bytes,
        deadline: Instant,
    ) -> Asked {
        if node == self.me {
            return match Box::pin(self.answer_here(group, &body, deadline)).await {
                Ok(answer) => Asked::Answered(answer),
                Err(NotDone::NotLeader { leader }) => {
                    Asked::NotDone(leader.filter(|&l| l != self.me))
                }
                Err(NotDone::NoMajority | NotDone::Declined) => Asked::NotDone(None),
            };
        }
        self.counters.forwarded.bump();
        let called = self.peers().call(node, Channel::COMMANDS, group, body, deadline).await;
        match called {
            Ok(answer) => match wire::decode::<Result<Bytes, NotDone>>(&answer) {
                Some(Ok(answer)) => Asked::Answered(answer),
                Some(Err(NotDone::NotLeader { leader })) => Asked::NotDone(leader),
                Some(Err(NotDone::NoMajority | NotDone::Declined)) => Asked::NotDone(None),
                None => Asked::Lost,
            },
            Err(CallError::NotSent(_)) => Asked::NotDone(None),
            Err(CallError::Lost(_)) => Asked::Lost,
        }
    }

    /// Answers what is asked of this node's replica of a group, by the deadline.
    pub(crate) async fn answer_here(
        self: &Arc<Self>,
        group: GroupId,
        body: &[u8],
        deadline: Instant,
    ) -> Result<Bytes, NotDone> {
        match group {
            GroupId::Data(partition) => {
                let group = self.hosted.data(partition).ok_or(NotDone::Declined)?;
                self.leader(group).ask(body, deadline).await
            }
            GroupId::Meta => match wire::decode::<Affair>(body).ok_or(NotDone::Declined)? {
                Affair::Propose(command) => match self.propose_here(&command, deadline).await {
                    Err(ProposeFault::NotDone(not_done)) => Err(not_done),
                    proposed => Ok(wire::encode(&proposed)),
                },
                Affair::Find(name) => {
                    self.read_meta(|meta| meta.table(&name).map(NewTable::from), deadline).await
                }
                Affair::Leaving(name) => {
                    let leaving = |meta: &Meta| {
                        let tables = meta.unsettled_tables();
                        tables
                            .filter(|table| {
                                table.name == name && table.state == TableState::Dropping
                            })
                            .map(NewTable::from)
                            .collect()
                    };
                    self.read_meta::<Vec<NewTable>>(leaving, deadline).await
                }
                Affair::Names => {
                    let names = |meta: &Meta| meta.table_names().map(str::to_owned).collect();
                    self.read_meta::<Vec<String>>(names, deadline).await
                }
                Affair::Pulse(_) | Affair::Usage(..) => Err(NotDone::Declined),
            },
        }
    }

    async fn read_meta<T: Serialize>(
        &self,
        read: impl FnOnce(&Meta) -> T,
        deadline: Instant,
    ) -> Result<Bytes, NotDone> {
        let group = self.hosted.meta().ok_or(NotDone::Declined)?;
        group.read_barrier_until(self.policy, deadline).await.map_err(NotDone::from)?;
        Ok(wire::encode(&group.machine(|machine| read(machine.meta()))))
    }

    /// Proposes to the meta group if this node leads it.
    pub(super) async fn propose_here(&self, command: &MetaCommand, deadline: Instant) -> Proposed {
        let not_done = |not_done| Err(ProposeFault::NotDone(not_done));
        let Some(group) = self.hosted.meta() else { return not_done(NotDone::Declined) };
        let packed = meta::pack(self.node.clock.now(), command);
        let proposed = match group.submit(packed.into()) {
            Ok(pending) => pending.until(deadline).await,
            Err(error) => Err(error),
        };
        match proposed {
            Ok(reply) => Ok(reply),
            Err(ProposeError::NotLeader { leader }) => not_done(NotDone::NotLeader { leader }),
            Err(ProposeError::Busy | ProposeError::Unavailable) => not_done(NotDone::NoMajority),
            Err(ProposeError::Stopped) => not_done(NotDone::Declined),
            Err(ProposeError::Unknown) => Err(ProposeFault::Unknown),
        }
    }

    /// Proposes to the meta group, whoever leads it. All its commands may be
    /// repeated, so what may have been done is asked for again.
    ///
    /// # Errors
    /// When nothing is known of it at the deadline.
    pub(crate) async fn propose(
        self: &Arc<Self>,
        command: MetaCommand,
        deadline: Instant,
    ) -> Result<MetaReply, Fault> {
        let body = wire::encode(&Affair::Propose(command));
        let mut may_have_been_done = false;
        while Instant::now() < deadline {
            match self.ask_leader(GroupId::Meta, body.clone(), deadline, true).await {
                Ok(Some(answer)) => match wire::decode::<Proposed>(&answer) {
                    Some(Ok(reply)) => return Ok(reply),
                    _ => may_have_been_done = true,
                },
                Ok(None) => break,
                Err(()) => return Err(unknown()),
            }
            sleep(PAUSE).await;
        }
        Err(if may_have_been_done { unknown() } else { self.unavailable(GroupId::Meta) })
    }

    /// The reply to a command that nobody of a group could be found to do, with the
    /// reason as far as it can be seen from here.
    pub(super) fn unavailable(&self, group: GroupId) -> Fault {
        let map = self.map();
        let sentence = if map.cluster.is_none() {
            "this node is in no cluster yet; nothing was done, send it later or to another node"
        } else if !self.life.lock().hears_most(map.voters(group)) {
            "this node hears no majority of the replicas: they are gone, or it is cut off; nothing was done, send it again"
        } else {
            "no leader took it in time; nothing was done, send it again"
        };
        Fault::new(Kind::Unavailable, sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: NodeId = NodeId(1);
    const NEW: NodeId = NodeId(2);

    fn second(leaders: &Leaders) -> Option<NodeId> {
        leaders.of(GroupId::Data(PartitionId(1)))
    }

    #[test]
    fn who_says_that_it_leads_is_known_until_it_says_otherwise() {
        let leaders = Leaders::default();
        leaders.note(GroupId::Meta, Some(OLD));
        leaders.hear(OLD, &[1, 3], |_| true);
        assert_eq!(second(&leaders), Some(OLD));
        leaders.hear(NEW, &[1], |_| true);
        assert_eq!(second(&leaders), Some(OLD), "both say it");
        leaders.hear(OLD, &[3], |_| true);
        assert_eq!(second(&leaders), None);
        leaders.hear(NEW, &[1], |_| true);
        assert_eq!(second(&leaders), Some(NEW));
        assert_eq!(leaders.of(GroupId::Data(PartitionId(3))), Some(OLD));
        assert_eq!(leaders.of(GroupId::Meta), Some(OLD), "of that nothing was said");
    }

    #[test]
    fn who_is_not_heard_of_any_more_leads_nothing_that_another_says_it_leads() {
        let leaders = Leaders::default();
        leaders.hear(OLD, &[1], |_| true);
        leaders.hear(NEW, &[1], |node| node != OLD);
        assert_eq!(second(&leaders), Some(NEW));
    }
}
