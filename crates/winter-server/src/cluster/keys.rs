//! A session's commands on keys, and their way to the leaders of their partitions.
//!
//! A pipeline falls apart into as many parts as there are partitions, and most
//! have but a command or two. So each node is asked once for all the parts that
//! it seems to lead, this one too, and whoever waits is woken once by each node.
//! What that leaves undone goes the way of everything else, part by part.
//!
//! Reads may answer far more than was asked. What a session is told at once is hence
//! bounded: the client has the first answers before the others are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use winter_core::cluster::{GroupId, NodeId, PartitionId};
use winter_core::command::KeyCommand;
use winter_core::store::{partition_of, table_hash};

use super::Inner;
use super::gathering::{Gathering, READ_BYTES_MAX};
use super::leader::unavailable;
use super::router::PAUSE;
use super::wire::{self, Answer, Ask, Command, NotDone, Outcome};
use crate::peers::{CallError, Channel};

/// Bytes that reads have answered after which a session's other commands wait until its
/// client has taken these.
const ANSWERS_BYTES_MAX: usize = 1 << 20;

/// A session's commands on keys, parted by whom they are for.
#[derive(Debug, Default)]
pub struct Keys {
    /// What is known already, in the commands' order.
    answers: Vec<Option<Answer>>,
    /// What is not, by the first command of each.
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
        let mut answers = Vec::new();
        answers.resize_with(commands.len(), || None);
        let Some(partitions) = partitions else { return Self { answers, parts: Vec::new() } };
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
        Self { answers, parts: parted.into_iter().map(part).collect() }
    }

    /// Bytes of what is known already.
    fn known_bytes(&self) -> usize {
        self.answers.iter().flatten().map(Answer::data_bytes).sum()
    }

    /// Notes what came of a part's first commands: the others, if there are any.
    fn fill(&mut self, part: Part, outcomes: Vec<Outcome>) -> Option<Part> {
        let done = outcomes.len();
        if done == 0 {
            return Some(part);
        }
        for (&place, outcome) in part.places.iter().zip(outcomes) {
            self.answers[place] = Some(Answer::to(outcome));
        }
        (done < part.places.len()).then(|| part.after(done))
    }

    /// The answers up to the first that is not known, and whatever is left then.
    fn split(mut self) -> (Vec<Answer>, Option<Self>) {
        let unasked = || unavailable().into();
        self.parts.sort_unstable_by_key(|part| part.places[0]);
        let rest = self.parts.first().map(|part| part.places[0]).map(|known| {
            let answers = self.answers.split_off(known);
            let places = self.parts.iter_mut().flat_map(|part| &mut part.places);
            places.for_each(|place| *place -= known);
            Self { answers, parts: self.parts }
        });
        let answers = self.answers.into_iter().map(|answer| answer.unwrap_or_else(unasked));
        (answers.collect(), rest)
    }
}

impl Part {
    /// The part without its first `done` commands.
    fn after(self, done: usize) -> Self {
        let body = rest_of(&self.body, done);
        Self { places: self.places[done..].to_vec(), body, ..self }
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
    /// Does a session's commands: the first answers, in their order, and what is left
    /// where these are so long that the client should have them first. The first command
    /// is always answered.
    pub(crate) async fn run_keys(self: &Arc<Self>, mut keys: Keys) -> (Vec<Answer>, Option<Keys>) {
        let deadline = Instant::now() + self.command_timeout;
        let mut parts = std::mem::take(&mut keys.parts);
        if keys.known_bytes() >= ANSWERS_BYTES_MAX {
            keys.parts = parts.split_off(1);
        }
        let first_place = parts.first().map_or(0, |part| part.places[0]);
        let firsts = self.ask_together(&parts, deadline).await;
        let mut left = Vec::new();
        for (part, first) in parts.into_iter().zip(firsts) {
            let outcomes = match first {
                First::Answered(mut outcomes) => {
                    outcomes.truncate(begun(&outcomes));
                    outcomes
                }
                First::Lost if !part.is_read_only => lost(&part.body, Vec::new()),
                First::Lost | First::NotAsked => Vec::new(),
            };
            left.extend(keys.fill(part, outcomes));
        }
        if keys.known_bytes() >= ANSWERS_BYTES_MAX {
            let later = left.extract_if(.., |part| part.places[0] != first_place);
            keys.parts.extend(later);
        }
        if !left.is_empty() {
            let asked = left.into_iter().map(|part| async move {
                let done = self.run_part(&part, deadline).await;
                (part, done)
            });
            for (part, outcomes) in Box::pin(futures_util::future::join_all(asked)).await {
                let rest = keys.fill(part, outcomes);
                keys.parts.extend(rest);
            }
        }
        keys.split()
    }

    /// Asks each node that seems to lead some of the parts for all of them at
    /// once, this one too: what came of each part.
    async fn ask_together(self: &Arc<Self>, parts: &[Part], deadline: Instant) -> Vec<First> {
        let mut firsts: Vec<First> = Vec::new();
        firsts.resize_with(parts.len(), || First::NotAsked);
        let (mut here, mut begun) = (Gathering::with_room(ANSWERS_BYTES_MAX), Vec::new());
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
            (Gathering::with_room(READ_BYTES_MAX), Vec::new(), Vec::new());
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

    /// Does the commands of a partition, or the first of them if these answer so much
    /// that the client should have that first.
    async fn run_part(self: &Arc<Self>, part: &Part, deadline: Instant) -> Vec<Outcome> {
        let group = GroupId::Data(part.partition);
        let count = part.places.len();
        let mut body = part.body.clone();
        let mut done: Vec<Outcome> = Vec::with_capacity(count);
        loop {
            let asked = self.ask_leader(group, body.clone(), deadline, part.is_read_only);
            let outcomes: Vec<Outcome> = match asked.await {
                Ok(Some(answer)) => wire::decode(&answer).unwrap_or_default(),
                Ok(None) => break,
                Err(()) => return lost(&part.body, done),
            };
            if outcomes.len() != count - done.len() {
                return lost(&part.body, done);
            }
            let begun = begun(&outcomes);
            done.extend(outcomes.into_iter().take(begun));
            if done.iter().map(Outcome::data_bytes).sum::<usize>() >= ANSWERS_BYTES_MAX {
                return done;
            }
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

/// How many commands were begun with: what comes after the last may be sent again.
fn begun(outcomes: &[Outcome]) -> usize {
    outcomes.iter().rposition(|outcome| *outcome != Outcome::NotDone).map_or(0, |last| last + 1)
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
