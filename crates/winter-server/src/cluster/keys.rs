//! The way of a session's commands on keys to the leaders of their partitions.
//!
//! A pipeline falls apart into as many parts as there are partitions, and most
//! have but a command or two. So each node is asked once for all the parts that
//! it seems to lead, this one too, and whoever waits is woken once by each node.
//! What that leaves undone goes the way of everything else, part by part.
//!
//! Reads may answer far more than was asked. What a session is told at once is hence
//! bounded: the client has the first answers before the others are asked for. A long
//! answer is asked for when this node's buffers have room for it; while they are half
//! full, so is whatever is not short.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use winter_core::cluster::{GroupId, NodeId, PartitionId};

use super::Inner;
use super::gathering::{Gathering, READ_BYTES_MAX, Room};
use super::parts::{Done, Keys, Part, Told, commands_of, is_read_only, rest_of};
use super::router::PAUSE;
use super::wire::{self, Command, NotDone, Outcome};
use crate::node::memory::{Buffers, Reserved, SHORT_BYTES};
use crate::peers::{CallError, Channel};

/// Bytes that reads have answered after which a session's other commands wait until its
/// client has taken these.
const ANSWERS_BYTES_MAX: usize = 1 << 20;

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
    pub(crate) async fn run_keys(self: &Arc<Self>, mut keys: Keys) -> Told {
        let deadline = Instant::now() + self.command_timeout;
        let unavailable = |group| self.unavailable(group);
        let mut parts = std::mem::take(&mut keys.parts);
        if keys.known_bytes() >= ANSWERS_BYTES_MAX {
            keys.parts = parts.split_off(1);
        }
        let first_place = parts.first().map_or(0, |part| part.places[0]);
        let is_first = |part: &Part| part.places[0] == first_place;
        let (mut left, asked): (Vec<_>, Vec<_>) = parts.into_iter().partition(Part::is_long);
        let firsts = self.ask_together(&asked, first_place, &mut keys.reserved, deadline).await;
        for (mut part, first) in asked.into_iter().zip(firsts) {
            let outcomes = match first {
                First::Answered(mut outcomes) => {
                    let begun = begun(&outcomes);
                    part.needs = needs(&outcomes[begun..]);
                    outcomes.truncate(begun);
                    outcomes
                }
                First::Lost if !part.is_read_only => lost(&part.body, Vec::new()),
                First::Lost | First::NotAsked => Vec::new(),
            };
            left.extend(keys.fill(part, outcomes, unavailable));
        }
        if keys.known_bytes() >= ANSWERS_BYTES_MAX {
            keys.parts.extend(left.extract_if(.., |part| !is_first(part)));
        }
        let is_later = |part: &Part| part.is_long() && !is_first(part);
        let (mut long, left): (Vec<_>, Vec<_>) = left.into_iter().partition(is_later);
        if !left.is_empty() {
            let asked = left.into_iter().map(|part| async move {
                let done = self.run_part(&part, is_first(&part), deadline).await;
                (part, done)
            });
            for (part, done) in Box::pin(futures_util::future::join_all(asked)).await {
                let rest = keys.take(part, done, unavailable);
                let rests = if rest.as_ref().is_some_and(Part::is_long) {
                    &mut long
                } else {
                    &mut keys.parts
                };
                rests.extend(rest);
            }
        }
        // Who holds long answers and waits for an earlier one may wait for one who does the
        // same: they are asked for in their order, and only the first waits for room.
        long.sort_unstable_by_key(|part| part.places[0]);
        for part in long {
            let is_next = keys.parts.is_empty() && Instant::now() < deadline;
            if is_next && keys.known_bytes() < ANSWERS_BYTES_MAX {
                let done = self.run_part(&part, false, deadline).await;
                let rest = keys.take(part, done, unavailable);
                keys.parts.extend(rest);
            } else {
                keys.parts.push(part);
            }
        }
        keys.split(unavailable)
    }

    /// Asks each node that seems to lead some of the parts for all of them at
    /// once, this one too: what came of each part, counted in `reserved`.
    async fn ask_together(
        self: &Arc<Self>,
        parts: &[Part],
        first_place: usize,
        reserved: &mut Reserved,
        deadline: Instant,
    ) -> Vec<First> {
        let memory = &self.node.memory;
        let mut firsts: Vec<First> = Vec::new();
        firsts.resize_with(parts.len(), || First::NotAsked);
        let room = Room::hard(READ_BYTES_MAX, memory.reserve(Buffers::Sessions, 0));
        let (mut here, mut begun) = (Gathering::with(room), Vec::new());
        let mut there: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        let is_scarce = memory.buffers_are_half_full();
        for (number, part) in parts.iter().enumerate() {
            let leader = self.candidate(GroupId::Data(part.partition), None, 0);
            if leader == Some(self.me) {
                here.room.soften(part.places[0] == first_place);
                if self.begin_here(part.partition, &part.body, &mut here) {
                    begun.push(number);
                }
            } else if let Some(node) = leader.filter(|_| !(is_scarce && part.is_read_only)) {
                there.entry(node).or_default().push(number);
            }
        }
        let calls = there.into_iter().map(|(node, numbers)| async move {
            let (firsts, reserved) = self.ask_there(node, parts, &numbers, deadline).await;
            (numbers.into_iter().zip(firsts), reserved)
        });
        let calls = futures_util::future::join_all(calls);
        let ((here, room), there) =
            futures_util::future::join(here.outcomes(deadline), calls).await;
        reserved.join(room.into_reserved());
        for (number, outcomes) in begun.into_iter().zip(here) {
            firsts[number] = First::Answered(outcomes);
        }
        for (answers, held) in there {
            reserved.join(held);
            answers.for_each(|(number, first)| firsts[number] = first);
        }
        firsts
    }

    /// Asks another node for several parts: what came of each, and what counts that.
    async fn ask_there(
        &self,
        node: NodeId,
        parts: &[Part],
        numbers: &[usize],
        deadline: Instant,
    ) -> (Vec<First>, Reserved) {
        let mut reserved = self.node.memory.reserve(Buffers::Sessions, 0);
        let several: Vec<_> =
            numbers.iter().map(|&n| (parts[n].partition, &*parts[n].body)).collect();
        self.counters.forwarded.bump();
        let body = wire::encode(&several);
        let called = self.peers().call(node, Channel::BATCHES, GroupId::Meta, body, deadline).await;
        let answers = match &called {
            Ok(answer) => wire::decode::<Vec<Result<&[u8], NotDone>>>(answer),
            Err(CallError::NotSent(_)) => return (Vec::new(), reserved),
            Err(CallError::Lost(_)) => None,
        };
        let Some(answers) = answers.filter(|answers| answers.len() == numbers.len()) else {
            return (numbers.iter().map(|_| First::Lost).collect(), reserved);
        };
        let first = |(answer, &number): (Result<&[u8], NotDone>, &usize)| {
            let Ok(answer) = answer else { return First::NotAsked };
            let outcomes = wire::decode::<Vec<Outcome>>(answer);
            let outcomes = outcomes.filter(|found| found.len() == parts[number].places.len());
            outcomes.map_or(First::Lost, |outcomes| {
                reserved.grow(data_bytes(&outcomes));
                First::Answered(outcomes)
            })
        };
        (answers.into_iter().zip(numbers).map(first).collect(), reserved)
    }

    /// Begins with commands of a partition that this node leads, if they have to
    /// wait for nothing but the log.
    fn begin_here(
        self: &Arc<Self>,
        partition: PartitionId,
        body: &[u8],
        gathering: &mut Gathering,
    ) -> bool {
        let Some(group) = self.hosted.data(partition) else { return false };
        self.leader(group).begin_at_once(body, gathering)
    }

    /// Answers what is asked of several of this node's partitions, by the deadline.
    pub(crate) async fn answer_several(
        self: &Arc<Self>,
        several: Vec<(PartitionId, &[u8])>,
        deadline: Instant,
    ) -> Bytes {
        let room = Room::hard(READ_BYTES_MAX, self.node.memory.reserve(Buffers::Answers, 0));
        let (mut gathering, mut begun, mut others) =
            (Gathering::with(room), Vec::new(), Vec::new());
        for (number, &(partition, body)) in several.iter().enumerate() {
            if self.begin_here(partition, body, &mut gathering) {
                begun.push(number);
            } else {
                others.push((number, self.answer_here(GroupId::Data(partition), body, deadline)));
            }
        }
        let mut answers = vec![Err(NotDone::Declined); several.len()];
        if !others.is_empty() {
            let others = others.into_iter().map(|(n, answer)| async move { (n, answer.await) });
            let others = Box::pin(futures_util::future::join_all(others));
            let mut room = gathering.room.left();
            for (number, answer) in others.await {
                // Each had room as if it were alone. Reads that do not fit in are asked for alone.
                if room > 0 || !is_read_only(several[number].1) {
                    room = room.saturating_sub(answer.as_ref().map_or(0, Bytes::len));
                    answers[number] = answer;
                }
            }
        }
        let (outcomes, room) = gathering.outcomes(deadline).await;
        for (number, outcomes) in begun.into_iter().zip(outcomes) {
            answers[number] = Ok(wire::encode_outcomes(&outcomes));
        }
        let data_bytes = answers.iter().flatten().map(Bytes::len).sum();
        room.into_reserved().cover(wire::encode_long(&answers, data_bytes))
    }

    /// Does the commands of a partition, or the first of them if these answer so much
    /// that the client should have that first, or the next one's answer is found to be
    /// long and it may not wait for room.
    async fn run_part(self: &Arc<Self>, part: &Part, may_wait: bool, deadline: Instant) -> Done {
        let memory = &self.node.memory;
        let group = GroupId::Data(part.partition);
        let count = part.places.len();
        let reserved = memory.reserve(Buffers::Sessions, 0);
        let mut done = Done { outcomes: Vec::with_capacity(count), needs: part.needs, reserved };
        loop {
            let Some(granted) = self.room_for(done.needs, may_wait, deadline).await else {
                if may_wait {
                    break;
                }
                return done;
            };
            let is_scarce = part.is_read_only && memory.buffers_are_half_full();
            let room = if is_scarce { done.needs.max(SHORT_BYTES) } else { done.needs };
            let body = rest_of(&part.body, done.outcomes.len(), room);
            let outcomes: Vec<Outcome> =
                match self.ask_leader(group, body, deadline, part.is_read_only).await {
                    Ok(Some(answer)) => wire::decode(&answer).unwrap_or_default(),
                    Ok(None) => break,
                    Err(()) => return done.lost(part),
                };
            if outcomes.len() != count - done.outcomes.len() {
                return done.lost(part);
            }
            let begun = begun(&outcomes);
            if begun > 0 {
                done.reserved.join(granted);
                done.reserved.grow(data_bytes(&outcomes).saturating_sub(done.needs));
            } else {
                drop(granted);
            }
            done.needs = needs(&outcomes[begun..]);
            done.outcomes.extend(outcomes.into_iter().take(begun));
            if done.outcomes.len() == count {
                return done;
            }
            let is_its_turn = may_wait && done.outcomes.is_empty();
            let is_much = data_bytes(&done.outcomes) >= ANSWERS_BYTES_MAX;
            if is_much || done.needs > 0 && !is_its_turn {
                return done;
            }
            if Instant::now() >= deadline {
                break;
            }
            // Who has begun with some goes on with the others as soon as it is asked, and
            // who only lacks room here with one.
            if begun == 0 && done.needs <= room {
                sleep(PAUSE).await;
            }
        }
        done.given_up(count)
    }

    /// Reserves room for a long answer, as soon as there is some, or only at once.
    async fn room_for(&self, bytes: usize, may_wait: bool, deadline: Instant) -> Option<Reserved> {
        let memory = &self.node.memory;
        if bytes == 0 {
            return Some(memory.reserve(Buffers::Sessions, 0));
        }
        let _waiting = may_wait.then(|| memory.wait());
        loop {
            let reserved = memory.try_reserve(Buffers::Sessions, bytes);
            if reserved.is_some() || !may_wait || Instant::now() >= deadline {
                return reserved;
            }
            sleep(PAUSE).await;
        }
    }
}

impl Done {
    /// All else may have been done.
    fn lost(self, part: &Part) -> Self {
        Self { outcomes: lost(&part.body, self.outcomes), ..self }
    }

    /// All `count` have an outcome: nothing was done of what is left.
    fn given_up(mut self, count: usize) -> Self {
        let needs = self.needs as u64;
        let not_done = if needs > 0 { Outcome::NeedsRoom(needs) } else { Outcome::NotDone };
        self.outcomes.resize(count, not_done);
        self
    }
}

/// How many commands were begun with: what comes after the last may be sent again.
fn begun(outcomes: &[Outcome]) -> usize {
    outcomes.iter().rposition(Outcome::is_begun).map_or(0, |last| last + 1)
}

/// How much room the first of these lacks.
fn needs(outcomes: &[Outcome]) -> usize {
    match outcomes.first() {
        Some(Outcome::NeedsRoom(bytes)) => usize::try_from(*bytes).unwrap_or(usize::MAX),
        _ => 0,
    }
}

fn data_bytes(outcomes: &[Outcome]) -> usize {
    outcomes.iter().map(Outcome::data_bytes).sum()
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
