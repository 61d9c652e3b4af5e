//! A session's commands on keys, parted by whom they are for, and what is known of them.

use std::sync::Arc;

use bytes::Bytes;
use winter_core::cluster::{GroupId, PartitionId};
use winter_core::command::KeyCommand;
use winter_core::fault::Fault;
use winter_core::store::{partition_of, table_hash};

use super::wire::{self, Answer, Ask, Command, Outcome};
use crate::node::memory::{Buffers, Memory, Reserved};

/// A session's commands on keys, parted by whom they are for.
#[derive(Debug)]
pub struct Keys {
    /// What is known already, in the commands' order.
    pub(super) answers: Vec<Option<Answer>>,
    /// What is not, by the first command of each.
    pub(super) parts: Vec<Part>,
    /// Counts both.
    pub(super) reserved: Reserved,
}

/// What a session is told.
#[derive(Debug)]
pub(crate) struct Told {
    /// The first answers.
    pub answers: Vec<Answer>,
    /// Counts them, until they are the session's output.
    pub reserved: Reserved,
    /// What is left to be asked when the client has them.
    pub rest: Option<Keys>,
}

/// Commands of one partition, in their order.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) partition: PartitionId,
    /// Which of the session's commands they are.
    pub(super) places: Vec<usize>,
    pub(super) body: Bytes,
    pub(super) is_read_only: bool,
    /// How much the first command answers, if that is known to be long.
    pub(super) needs: usize,
}

/// What came of a part that was asked for alone.
pub(super) struct Done {
    /// What came of its first commands.
    pub(super) outcomes: Vec<Outcome>,
    /// How much the next one answers, if that was too much.
    pub(super) needs: usize,
    /// Counts it.
    pub(super) reserved: Reserved,
}

impl Keys {
    /// Parts commands among `partitions`; without any, nobody can do them.
    pub(super) fn part(
        commands: &[KeyCommand<'_>],
        partitions: Option<u16>,
        memory: &Arc<Memory>,
    ) -> Self {
        let mut answers = Vec::new();
        answers.resize_with(commands.len(), || None);
        let mut reserved = memory.reserve(Buffers::Sessions, 0);
        let Some(partitions) = partitions else {
            return Self { answers, parts: Vec::new(), reserved };
        };
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
                needs: 0,
                places,
            }
        };
        let parts: Vec<Part> = parted.into_iter().map(part).collect();
        reserved.grow(bodies_bytes(&parts));
        Self { answers, parts, reserved }
    }

    /// Bytes of what is known already.
    pub(super) fn known_bytes(&self) -> usize {
        self.answers.iter().flatten().map(Answer::data_bytes).sum()
    }

    /// Notes what came of a part's first commands: the others, if there are any.
    pub(super) fn fill(
        &mut self,
        part: Part,
        outcomes: Vec<Outcome>,
        unavailable: impl Fn(GroupId) -> Fault,
    ) -> Option<Part> {
        let done = outcomes.len();
        if done == 0 {
            return Some(part);
        }
        for (&place, outcome) in part.places.iter().zip(outcomes) {
            self.answers[place] =
                Some(Answer::to(outcome, || unavailable(GroupId::Data(part.partition))));
        }
        (done < part.places.len()).then(|| part.after(done))
    }

    /// Notes what came of a part that was asked for alone: what is left of it.
    pub(super) fn take(
        &mut self,
        part: Part,
        done: Done,
        unavailable: impl Fn(GroupId) -> Fault,
    ) -> Option<Part> {
        self.reserved.join(done.reserved);
        let rest = self.fill(part, done.outcomes, unavailable)?;
        Some(Part { needs: done.needs, ..rest })
    }

    /// The answers up to the first that is not known, and whatever is left then.
    pub(super) fn split(mut self, unavailable: impl Fn(GroupId) -> Fault) -> Told {
        let unasked = || unavailable(GroupId::Meta).into();
        self.parts.sort_unstable_by_key(|part| part.places[0]);
        let rest = self.parts.first().map(|part| part.places[0]).map(|known| {
            let answers = self.answers.split_off(known);
            let places = self.parts.iter_mut().flat_map(|part| &mut part.places);
            places.for_each(|place| *place -= known);
            let reserved = self.reserved.split_off(0);
            let mut rest = Self { answers, parts: self.parts, reserved };
            let bytes = rest.known_bytes() + bodies_bytes(&rest.parts);
            rest.reserved.join(self.reserved.split_off(bytes));
            rest
        });
        let answers = self.answers.into_iter().map(|answer| answer.unwrap_or_else(unasked));
        Told { answers: answers.collect(), reserved: self.reserved, rest }
    }
}

fn bodies_bytes(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.body.len()).sum()
}

impl Part {
    /// Whether its first answer is known to be long.
    pub(super) fn is_long(&self) -> bool {
        self.needs > 0
    }

    /// The part without its first `done` commands.
    fn after(self, done: usize) -> Self {
        let body = rest_of(&self.body, done, 0);
        Self { places: self.places[done..].to_vec(), body, ..self }
    }
}

/// Whether nothing that is asked of a partition writes.
pub(super) fn is_read_only(body: &[u8]) -> bool {
    match wire::decode::<Ask<'_>>(body) {
        Some(Ask::Keys(commands) | Ask::LongKeys { commands, .. }) => {
            commands.iter().all(|command| !command.op().is_write())
        }
        _ => false,
    }
}

/// The commands of a part from the `done`th on, with `room` for what they answer if
/// that is not the usual.
pub(super) fn rest_of(body: &Bytes, done: usize, room: usize) -> Bytes {
    if done == 0 && room == 0 {
        return body.clone();
    }
    let commands = commands_of(body).split_off(done);
    wire::encode(&match room {
        0 => Ask::Keys(commands),
        room => Ask::LongKeys { room: room as u64, commands },
    })
}

/// The commands of a part.
pub(super) fn commands_of(body: &[u8]) -> Vec<Command<'_>> {
    match wire::decode::<Ask<'_>>(body) {
        Some(Ask::Keys(commands)) => commands,
        _ => unreachable!("this node wrote it"),
    }
}
