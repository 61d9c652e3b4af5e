//! A session's commands on keys, and their way to the leaders of their partitions.
//!
//! A pipeline falls apart into as many parts as there are partitions, and most
//! have but a command or two. So each node is asked once for all the parts that
//! it seems to lead, this one too, and whoever waits is woken once by each node.
//! What that leaves undone goes the way of everything else, part by part.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use winter_core::cluster::{GroupId, NodeId, PartitionId};
use winter_core::command::KeyCommand;
use winter_core::store::{partition_of, table_hash};

use super::Inner;
use super::gathering::Gathering;
use super::leader::unavailable;
use super::router::PAUSE;
use super::wire::{self, Answer, Ask, Command, NotDone, Outcome};
use crate::peers::{CallError, Channel};

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

/// What came of asking for a part together with others.
enum First {
    /// It was begun, and each of its commands came to this.
    Answered(Vec<Outcome>),
    /// It may have been done.
    Lost,
    /// Nothing was done.
    NotAsked,
}

impl Inner {
    /// Does a session's commands: their answers, in their order.
    pub(crate) async fn run_keys(self: &Arc<Self>, keys: Keys) -> Vec<Answer> {
        let deadline = Instant::now() + self.command_timeout;
        let mut answers: Vec<Option<Answer>> = Vec::new();
        answers.resize_with(keys.count, || None);
        let firsts = self.ask_together(&keys.parts, deadline).await;
        let mut fill = |part: Part, outcomes: Vec<Outcome>| {
            for (place, outcome) in part.places.into_iter().zip(outcomes) {
                answers[place] = Some(Answer::to(outcome));
            }
        };
        let mut left = Vec::new();
        for (part, first) in keys.parts.into_iter().zip(firsts) {
            match first {
                First::Answered(outcomes) if !outcomes.contains(&Outcome::NotDone) => {
                    fill(part, outcomes);
                }
                first => left.push((part, first)),
            }
        }
        if !left.is_empty() {
            let asked = left.into_iter().map(|(part, first)| async move {
                let done = self.run_part(&part, first, deadline).await;
                (part, done)
            });
            let asked = Box::pin(futures_util::future::join_all(asked));
            asked.await.into_iter().for_each(|(part, outcomes)| fill(part, outcomes));
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| unavailable().into())).collect()
    }

    /// Asks each node that seems to lead some of the parts for all of them at
    /// once, this one too: what came of each part.
    async fn ask_together(self: &Arc<Self>, parts: &[Part], deadline: Instant) -> Vec<First> {
        let mut firsts: Vec<First> = Vec::new();
        firsts.resize_with(parts.len(), || First::NotAsked);
        let (mut here, mut begun) = (Gathering::for_here(), Vec::new());
        let mut there: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (number, part) in parts.iter().enumerate() {
            let leader = self.candidate(GroupId::Data(part.partition), None, 0);
            if leader == Some(self.me) {
                if self.begin_here(part.partition, &part.body, &mut here) {
                    begun.push(number);
                }
            } else if let Some(node) = leader {
                there.entry(node).or_default().push(number);
            }
        }
        let calls = there.into_iter().map(|(node, numbers)| async move {
            let firsts = self.ask_there(node, parts, &numbers, deadline).await;
            numbers.into_iter().zip(firsts)
        });
        let calls = futures_util::future::join_all(calls);
        let (here, there) = futures_util::future::join(here.outcomes(), calls).await;
        let here = begun.into_iter().zip(here.into_iter().map(First::Answered));
        here.chain(there.into_iter().flatten()).for_each(|(number, first)| firsts[number] = first);
        firsts
    }

    /// Asks another node for several parts.
    async fn ask_there(
        &self,
        node: NodeId,
        parts: &[Part],
        numbers: &[usize],
        deadline: Instant,
    ) -> Vec<First> {
        let several: Vec<_> =
            numbers.iter().map(|&n| (parts[n].partition, &*parts[n].body)).collect();
        self.counters.forwarded.bump();
        let body = wire::encode(&several);
        let called = self.peers().call(node, Channel::BATCHES, GroupId::Meta, body, deadline).await;
        let answers = match &called {
            Ok(answer) => wire::decode::<Vec<Result<&[u8], NotDone>>>(answer),
            Err(CallError::NotSent(_)) => return Vec::new(),
            Err(CallError::Lost(_)) => None,
        };
        let lost = || numbers.iter().map(|_| First::Lost).collect();
        let Some(answers) = answers.filter(|answers| answers.len() == numbers.len()) else {
            return lost();
        };
        let first = |(answer, &number): (Result<&[u8], NotDone>, &usize)| {
            let Ok(answer) = answer else { return First::NotAsked };
            let outcomes = wire::decode::<Vec<Outcome>>(answer);
            let outcomes = outcomes.filter(|found| found.len() == parts[number].places.len());
            outcomes.map_or(First::Lost, First::Answered)
        };
        answers.into_iter().zip(numbers).map(first).collect()
    }

    /// Begins with commands of a partition that this node leads, if they have to
    /// wait for nothing but the log.
    fn begin_here(&self, partition: PartitionId, body: &[u8], gathering: &mut Gathering) -> bool {
        let Some(group) = self.hosted.data(partition) else { return false };
        self.leader(group).begin_at_once(body, gathering)
    }

    /// Answers what is asked of several of this node's partitions.
    pub(crate) async fn answer_several(
        self: &Arc<Self>,
        several: Vec<(PartitionId, &[u8])>,
    ) -> Vec<Result<Bytes, NotDone>> {
        let (mut gathering, mut begun, mut others) =
            (Gathering::for_a_peer(), Vec::new(), Vec::new());
        for (number, &(partition, body)) in several.iter().enumerate() {
            if self.begin_here(partition, body, &mut gathering) {
                begun.push(number);
            } else {
                others.push((number, self.answer_here(GroupId::Data(partition), body)));
            }
        }
        let mut answers = vec![Err(NotDone::Declined); several.len()];
        if !others.is_empty() {
            let others = others.into_iter().map(|(n, answer)| async move { (n, answer.await) });
            let others = Box::pin(futures_util::future::join_all(others));
            let mut room = gathering.room;
            for (number, answer) in others.await {
                // Each had room as if it were alone. Reads that do not fit in are asked for alone.
                if room > 0 || !is_read_only(several[number].1) {
                    room = room.saturating_sub(answer.as_ref().map_or(0, Bytes::len));
                    answers[number] = answer;
                }
            }
        }
        for (number, outcomes) in begun.into_iter().zip(gathering.outcomes().await) {
            answers[number] = Ok(wire::encode(&outcomes));
        }
        answers
    }

    /// Does the commands of a partition; `first` is what came of asking already.
    async fn run_part(
        self: &Arc<Self>,
        part: &Part,
        first: First,
        deadline: Instant,
    ) -> Vec<Outcome> {
        let group = GroupId::Data(part.partition);
        let count = part.places.len();
        let mut body = part.body.clone();
        let mut done: Vec<Outcome> = Vec::with_capacity(count);
        let mut first = match first {
            First::Answered(outcomes) => Some(outcomes),
            First::Lost if !part.is_read_only => return lost(&part.body, done),
            First::Lost | First::NotAsked => None,
        };
        loop {
            let outcomes = match first.take() {
                Some(outcomes) => outcomes,
                None => {
                    let may_repeat = part.is_read_only;
                    match self.ask_leader(group, body.clone(), deadline, may_repeat).await {
                        Ok(Some(answer)) => wire::decode(&answer).unwrap_or_default(),
                        Ok(None) => break,
                        Err(()) => return lost(&part.body, done),
                    }
                }
            };
            if outcomes.len() != count - done.len() {
                return lost(&part.body, done);
            }
            // What comes after the last command that was begun may be sent again.
            let begun = outcomes.iter().rposition(|o| *o != Outcome::NotDone);
            let begun = begun.map_or(0, |last| last + 1);
            done.extend(outcomes.into_iter().take(begun));
            if done.len() == count || Instant::now() >= deadline {
                break;
            }
            body = rest_of(&part.body, done.len());
            // Who has begun with some goes on with the others as soon as it is asked.
            if begun == 0 {
                sleep(PAUSE).await;
            }
        }
        done.resize(count, Outcome::NotDone);
        done
    }
}

/// Whether nothing that is asked of a partition writes.
fn is_read_only(body: &[u8]) -> bool {
    match wire::decode::<Ask<'_>>(body) {
        Some(Ask::Keys(commands)) => commands.iter().all(|command| !command.op().is_write()),
        _ => false,
    }
}

/// What came of a part's commands, of which all but the `done` ones may have been
/// done: a read has done nothing, whatever became of it.
fn lost(body: &[u8], mut done: Vec<Outcome>) -> Vec<Outcome> {
    let rest = commands_of(body).split_off(done.len());
    let outcome = |command: Command<'_>| {
        if command.op().is_write() { Outcome::Unknown } else { Outcome::NotDone }
    };
    done.extend(rest.into_iter().map(outcome));
    done
}

/// The commands of a part from the `done`th on.
fn rest_of(body: &[u8], done: usize) -> Bytes {
    wire::encode(&Ask::Keys(commands_of(body).split_off(done)))
}

/// The commands of a part.
fn commands_of(body: &[u8]) -> Vec<Command<'_>> {
    match wire::decode::<Ask<'_>>(body) {
        Some(Ask::Keys(commands)) => commands,
        _ => unreachable!("this node wrote it"),
    }
}
