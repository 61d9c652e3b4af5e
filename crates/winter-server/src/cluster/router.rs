//! The way of a command to those who can do it: its partition's leader, on this
//! node or another, and the meta group's.
//!
//! A command is sent again only when nothing was done; until it is done, or may
//! have been, or the time for it is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use winter_core::cluster::meta::{self, Meta, MetaCommand, MetaReply, TableState};
use winter_core::cluster::{GroupId, NodeId, PartitionId};
use winter_core::command::KeyCommand;
use winter_core::store::{partition_of, table_hash};

use super::Inner;
use super::leader::{unavailable, unknown};
use super::wire::{
    self, Affair, Answer, Ask, Command, NewTable, NotDone, Outcome, ProposeFault, Proposed,
};
use crate::consensus::ProposeError;
use crate::peers::{CallError, Channel};

/// How long to wait before those are asked again who could not do it.
const PAUSE: Duration = Duration::from_millis(20);

/// A session's commands on keys, parted by whom they are for.
#[derive(Debug, Default)]
pub struct Keys {
    count: usize,
    parts: Vec<Part>,
}

/// Commands of one partition, in their order.
#[derive(Debug)]
struct Part {
    partition: PartitionId,
    /// Which of the session's commands they are.
    places: Vec<usize>,
    body: Bytes,
    is_read_only: bool,
}

impl Keys {
    /// Parts commands among `partitions`; without any, nobody can do them.
    #[must_use]
    pub fn part(commands: &[KeyCommand<'_>], partitions: Option<u16>) -> Self {
        let count = commands.len();
        let Some(partitions) = partitions else { return Self { count, parts: Vec::new() } };
        let mut parted: Vec<(u16, Vec<usize>)> = Vec::new();
        for (place, command) in commands.iter().enumerate() {
            let partition = partition_of(table_hash(command.table), command.key, partitions);
            match parted.iter_mut().find(|(number, _)| *number == partition) {
                Some((_, places)) => places.push(place),
                None => parted.push((partition, vec![place])),
            }
        }
        let part = |(number, places): (u16, Vec<usize>)| {
            let keys = places.iter().map(|&place| Command::from(&commands[place])).collect();
            Part {
                partition: PartitionId(number),
                body: wire::encode(&Ask::Keys(keys)),
                is_read_only: places.iter().all(|&place| !commands[place].op.is_write()),
                places,
            }
        };
        Self { count, parts: parted.into_iter().map(part).collect() }
    }
}

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
    /// Does a session's commands: their answers, in their order.
    pub(crate) async fn run_keys(self: &Arc<Self>, keys: Keys) -> Vec<Answer> {
        let deadline = Instant::now() + self.command_timeout;
        let mut answers: Vec<Answer> = Vec::new();
        answers.resize_with(keys.count, || unavailable().into());
        let mut first = self.ask_together(&keys.parts, deadline).await;
        let asked = keys.parts.into_iter().enumerate().map(|(number, part)| {
            let (inner, first) = (Arc::clone(self), first.remove(&number));
            async move {
                let done = inner.run_part(&part, first, deadline).await;
                (part, done)
            }
        });
        for (part, outcomes) in futures_util::future::join_all(asked).await {
            for (place, outcome) in part.places.into_iter().zip(outcomes) {
                answers[place] = Answer::to(outcome);
            }
        }
        answers
    }

    /// Asks other nodes that seem to lead several of the parts for all of them at
    /// once: what came of it, by the part's number. What a node did not do is left out.
    async fn ask_together(
        self: &Arc<Self>,
        parts: &[Part],
        deadline: Instant,
    ) -> BTreeMap<usize, Asked> {
        let mut together: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (number, part) in parts.iter().enumerate().filter(|_| parts.len() > 1) {
            let leader = self.candidate(GroupId::Data(part.partition), None, 0);
            if let Some(node) = leader.filter(|&node| node != self.me) {
                together.entry(node).or_default().push(number);
            }
        }
        let calls = together.into_iter().filter(|(_, numbers)| numbers.len() > 1);
        let calls = calls.map(|(node, numbers)| async move {
            let several: Vec<_> =
                numbers.iter().map(|&n| (parts[n].partition, &*parts[n].body)).collect();
            self.counters.forwarded.bump();
            let body = wire::encode(&several);
            let called =
                self.peers().call(node, Channel::BATCHES, GroupId::Meta, body, deadline).await;
            let lost = || numbers.iter().map(|&number| (number, Asked::Lost)).collect();
            let answers = match called {
                Ok(answer) => wire::decode::<Vec<Result<Bytes, NotDone>>>(&answer),
                Err(CallError::NotSent(_)) => return Vec::new(),
                Err(CallError::Lost(_)) => return lost(),
            };
            let Some(answers) = answers.filter(|answers| answers.len() == numbers.len()) else {
                return lost();
            };
            let done = numbers.iter().zip(answers);
            done.filter_map(|(&number, answer)| Some((number, Asked::Answered(answer.ok()?))))
                .collect()
        });
        futures_util::future::join_all(calls).await.into_iter().flatten().collect()
    }

    /// Does the commands of a partition; `first` is what came of asking already.
    async fn run_part(
        self: &Arc<Self>,
        part: &Part,
        first: Option<Asked>,
        deadline: Instant,
    ) -> Vec<Outcome> {
        let group = GroupId::Data(part.partition);
        let count = part.places.len();
        let fallback = if part.is_read_only { Outcome::NotDone } else { Outcome::Unknown };
        let mut body = part.body.clone();
        let mut done: Vec<Outcome> = Vec::with_capacity(count);
        let mut first = match first {
            Some(Asked::Answered(answer)) => Some(Ok(Some(answer))),
            Some(Asked::Lost) if !part.is_read_only => Some(Err(())),
            _ => None,
        };
        loop {
            let asked = match first.take() {
                Some(asked) => asked,
                None => self.ask_leader(group, body.clone(), deadline, part.is_read_only).await,
            };
            match asked {
                Ok(Some(answer)) => {
                    let outcomes: Vec<Outcome> = wire::decode(&answer).unwrap_or_default();
                    if outcomes.len() != count - done.len() {
                        done.resize(count, fallback);
                        return done;
                    }
                    // What comes after the last command that was begun may be sent again.
                    let begun = outcomes.iter().rposition(|o| *o != Outcome::NotDone);
                    let begun = begun.map_or(0, |last| last + 1);
                    done.extend(outcomes.into_iter().take(begun));
                    if done.len() == count || Instant::now() >= deadline {
                        break;
                    }
                    body = rest_of(&part.body, done.len());
                    sleep(PAUSE).await;
                }
                Ok(None) => break,
                Err(()) => {
                    done.resize(count, fallback);
                    return done;
                }
            }
        }
        done.resize(count, Outcome::NotDone);
        done
    }

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
                _ => self.leaders.note(group, None),
            }
            turn += 1;
            if Instant::now() + PAUSE >= deadline {
                return Ok(None);
            }
            // A hint is followed at once, but two nodes that name each other must not make a storm.
            if hint.is_none() || turn > 2 {
                sleep(PAUSE).await;
            }
        }
    }

    /// Whom to ask: whoever is said to lead, or one voter after the other.
    fn candidate(&self, group: GroupId, hint: Option<NodeId>, turn: usize) -> Option<NodeId> {
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
        let voters = match group {
            GroupId::Meta => &map.meta,
            GroupId::Data(partition) => map.partitions.get(usize::from(partition.0))?,
        };
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
            return match self.answer_here(group, &body).await {
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

    /// Answers what is asked of this node's replica of a group.
    pub(crate) async fn answer_here(
        self: &Arc<Self>,
        group: GroupId,
        body: &[u8],
    ) -> Result<Bytes, NotDone> {
        match group {
            GroupId::Data(partition) => {
                let group = self.hosted.data(partition).ok_or(NotDone::Declined)?;
                self.leader(group).ask(body).await
            }
            GroupId::Meta => match wire::decode::<Affair>(body).ok_or(NotDone::Declined)? {
                Affair::Propose(command) => match self.propose_here(&command).await {
                    Err(ProposeFault::NotDone(not_done)) => Err(not_done),
                    proposed => Ok(wire::encode(&proposed)),
                },
                Affair::Find(name) => {
                    self.read_meta(|meta| meta.table(&name).map(NewTable::from)).await
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
                    self.read_meta::<Vec<NewTable>>(leaving).await
                }
                Affair::Names => {
                    let names = |meta: &Meta| meta.table_names().map(str::to_owned).collect();
                    self.read_meta::<Vec<String>>(names).await
                }
                Affair::Pulse(_) => Err(NotDone::Declined),
            },
        }
    }

    async fn read_meta<T: Serialize>(
        &self,
        read: impl FnOnce(&Meta) -> T,
    ) -> Result<Bytes, NotDone> {
        let group = self.hosted.meta().ok_or(NotDone::Declined)?;
        group.read_barrier(self.policy).await.map_err(NotDone::from)?;
        Ok(wire::encode(&group.machine(|machine| read(machine.meta()))))
    }

    async fn propose_here(&self, command: &MetaCommand) -> Proposed {
        let not_done = |not_done| Err(ProposeFault::NotDone(not_done));
        let Some(group) = self.hosted.meta() else { return not_done(NotDone::Declined) };
        let packed = meta::pack(self.node.clock.now(), command);
        match group.propose(packed.into()).await {
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
    ) -> Result<MetaReply, Answer> {
        let body = wire::encode(&Affair::Propose(command));
        let mut may_have_been_done = false;
        while Instant::now() < deadline {
            match self.ask_leader(GroupId::Meta, body.clone(), deadline, true).await {
                Ok(Some(answer)) => match wire::decode::<Proposed>(&answer) {
                    Some(Ok(reply)) => return Ok(reply),
                    _ => may_have_been_done = true,
                },
                Ok(None) | Err(()) => break,
            }
            sleep(PAUSE).await;
        }
        Err(if may_have_been_done { unknown() } else { unavailable() }.into())
    }
}

/// The commands of a part from the `done`th on.
fn rest_of(body: &[u8], done: usize) -> Bytes {
    let Some(Ask::Keys(mut commands)) = wire::decode::<Ask<'_>>(body) else {
        unreachable!("this node wrote it")
    };
    wire::encode(&Ask::Keys(commands.split_off(done)))
}
