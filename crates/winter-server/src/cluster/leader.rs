//! What a partition's leader does: commands on keys in their order, and what
//! concerns a table's share of the partition.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_bytes::ByteBuf;
use tokio::time::Instant;
use winter_core::cluster::entry::{self, Operation, TableRef};
use winter_core::cluster::replica::{Read, Replica};
use winter_core::command::KeyOp;
use winter_core::fault::{Fault, Kind};
use winter_core::reply::Reply;
use winter_core::store::index::Tag;
use winter_core::store::partition::Cost;
use winter_core::store::{HashedKey, Seed, Table, TableId};
use winter_core::time::Timestamp;

use super::Inner;
use super::gathering::{Begun, Gathering, Packing, READ_BYTES_MAX, Room};
use super::machines::DataMachine;
use super::usage::Claim;
use super::wire::{self, Answer, Ask, Command, Held, NotDone, Outcome, Scanned};
use crate::consensus::{Group, ProposeError, ReadError, ReadPolicy};
use crate::node::memory::{Buffers, Memory};
use crate::node::table::Tally;

/// A replica of a partition on this node, asked as if it led: it says so if it does not.
#[derive(Clone)]
pub(crate) struct Leader {
    /// The replica's group.
    pub group: Group<DataMachine>,
    /// The secret of the node's indexes.
    pub seed: Seed,
    /// The node's part in the cluster.
    pub inner: Arc<Inner>,
}

/// An operation that changes nothing: the letting go of no table.
const NOTHING: Operation<'static> = Operation::Drop(TableRef { id: TableId(0), slot: 0 });
/// So many milliseconds what has expired may wait for a write to its partition.
const DUE_STAYS_MILLIS: u64 = 1_000;

impl Leader {
    /// Answers what a node asks of this partition, by the deadline.
    pub(crate) async fn ask(&self, body: &[u8], deadline: Instant) -> Result<Bytes, NotDone> {
        let ask: Ask<'_> = wire::decode(body).ok_or(NotDone::Declined)?;
        // What is applied here now holds all that anybody was told.
        self.group.read_barrier_until(self.inner.policy, deadline).await.map_err(NotDone::from)?;
        Ok(match ask {
            Ask::Keys(commands) => self.answer_keys(&commands, READ_BYTES_MAX, deadline).await,
            Ask::LongKeys { room, commands } => {
                let room = usize::try_from(room).unwrap_or(usize::MAX);
                self.answer_keys(&commands, room, deadline).await
            }
            Ask::Create(new) => {
                let name = new.name.clone();
                let options = new.options.into();
                let new = entry::NewTable { table: new.table, name: &name, options };
                self.settle(&Operation::Create(new), deadline).await?
            }
            Ask::Drop(table) => self.settle(&Operation::Drop(table), deadline).await?,
            Ask::Count(table) => {
                self.tick(deadline).await?;
                self.of_table(table, |replica, table| replica.count(reference(table)))
            }
            Ask::Holdings(table) => self.group.machine(|machine| {
                wire::encode(&machine.with(|replica| {
                    let table = Arc::clone(replica.table_by_name(table)?);
                    let held = replica.partition().holdings(&table);
                    let asked = machine.supervision().tally(table.id);
                    Some(Held {
                        entries: held.entries,
                        bytes: held.bytes,
                        allocated: held.allocated_bytes,
                        operations: asked.operations,
                        rejections: asked.rejections,
                        restarts: asked.restarts,
                        is_fenced: machine.supervision().is_fenced(table.id),
                    })
                }))
            }),
            Ask::Scan { table, from, prefix, count } => {
                self.tick(deadline).await?;
                self.of_table(table, |replica, table| {
                    let mut keys = Vec::new();
                    let from = Tag::from_bits(from)?;
                    let (next, looked_at) =
                        replica.scan(reference(table), from, prefix, count, &mut keys)?;
                    let keys = keys.into_iter().map(ByteBuf::from).collect();
                    Some(Scanned { next: next.map(Tag::bits), looked_at, keys })
                })
            }
        })
    }

    fn of_table<T: Serialize>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Replica, &Arc<Table>) -> Option<T>,
    ) -> Bytes {
        let found = self.group.machine(|machine| {
            machine.with(|replica| {
                let Some(table) = replica.table_by_name(name).cloned() else { return Ok(None) };
                machine.supervise(replica, &table, |replica| work(replica, &table))
            })
        });
        wire::encode(&found.map_err(Answer::from))
    }

    /// Commands on keys: reads at once if there are only reads; else everything
    /// goes through the log in its order, reads among it. Reads answer up to `room` bytes.
    async fn answer_keys(&self, commands: &[Command<'_>], room: usize, deadline: Instant) -> Bytes {
        let mut room = Room::hard(room, self.inner.node.memory.reserve(Buffers::Answers, 0));
        let mut done: Vec<Outcome> = Vec::with_capacity(commands.len());
        let mut asked = Vec::new();
        loop {
            let mut gathering = Gathering::with(room);
            let short_of_room = self.begin(&commands[done.len()..], &asked, &mut gathering);
            let (asks, left) = gathering.outcomes(deadline).await;
            room = left;
            let before = done.len();
            done.extend(asks.into_iter().flatten());
            let Some(table) = short_of_room.filter(|_| Instant::now() < deadline) else { break };
            // Others are asked when nothing that this asks for can make room.
            if done.len() > before {
                self.inner.measure(&table);
            } else {
                self.inner.ask_usage(&table, deadline).await;
                asked.push(table.id);
            }
        }
        done.resize(commands.len(), Outcome::NotDone);
        room.into_reserved().cover(wire::encode_outcomes(&done))
    }

    /// Begins with commands on keys at once, if nothing has to be waited for
    /// before: neither the leader's confirmation, nor room in a table's quota. If
    /// something has, nothing is begun with.
    pub(crate) fn begin_at_once(&self, body: &[u8], gathering: &mut Gathering) -> bool {
        if self.inner.policy != ReadPolicy::Lease || !self.group.is_surely_leader() {
            return false;
        }
        let Some(Ask::Keys(commands)) = wire::decode(body) else { return false };
        if self.has_quotas(&commands) {
            return false;
        }
        let short_of_room = self.begin(&commands, &[], gathering);
        assert!(short_of_room.is_none(), "no table has a quota");
        true
    }

    /// Whether a command's table has a quota, for which it may have to wait.
    fn has_quotas(&self, commands: &[Command<'_>]) -> bool {
        self.group.machine(|machine| {
            machine.with(|replica| {
                let mut last = None;
                commands.iter().any(|command| {
                    let is_other = last.replace(command.table) != Some(command.table);
                    let table = is_other.then(|| replica.table_by_name(command.table)).flatten();
                    table.is_some_and(|table| table.usage.is_some())
                })
            })
        })
    }

    /// Begins with commands: with all, or up to a write whose table's quota has no room
    /// for it, as far as is known, and which table that is. The write is refused instead
    /// when nothing was begun with before it, and the members were `asked` of its table.
    /// Where there is no room for what a read answers, it and what follows have ended, with
    /// nothing done.
    fn begin(
        &self,
        commands: &[Command<'_>],
        asked: &[TableId],
        gathering: &mut Gathering,
    ) -> Option<Arc<Table>> {
        let now = self.inner.node.clock.now();
        let in_order = commands.iter().any(|command| command.op().is_write());
        let is_full = in_order && self.inner.limits.is_full(|| self.group.voters());
        let mut begun = Vec::with_capacity(commands.len());
        let Gathering { gather, room, claims, asks } = gathering;
        let mut packing = Packing::new(&self.group, gather);
        let (mut longest_written, mut is_under_way, mut short_of_room) = (0, false, None);
        let mut tallied = (TableId(0), Tally::default());
        self.group.machine(|machine| {
            machine.with(|replica| {
                let mut table: Option<Arc<Table>> = None;
                for command in commands {
                    if room.left() == 0 {
                        break;
                    }
                    if table.as_ref().is_none_or(|table| *table.name != *command.table) {
                        table = replica.table_by_name(command.table).cloned();
                    }
                    let Some(table) = table.clone() else {
                        begun.push(Begun::Ended(Outcome::Done(Answer::MissingTable)));
                        continue;
                    };
                    let op = command.op();
                    let is_write = op.is_write();
                    let key = HashedKey::new(self.seed, command.key);
                    let reference = reference(&table);
                    let done = machine.supervise(replica, &table, |replica| {
                        if is_write {
                            return Ok(None);
                        }
                        let reply = read(replica, now, reference, key, &op);
                        // What a read answers after writes is known only when it is done.
                        let bytes =
                            reply.as_ref().map_or(0, Reply::data_bytes).max(longest_written);
                        if !room.take(bytes) {
                            return Err(bytes);
                        }
                        Ok(reply.filter(|_| !in_order).as_ref().map(Answer::of))
                    });
                    let mut answer = match done {
                        Ok(Ok(answer)) => answer,
                        Ok(Err(bytes)) => {
                            begun.push(Begun::Ended(Outcome::NeedsRoom(bytes as u64)));
                            break;
                        }
                        Err(fault) => Some(fault.into()),
                    };
                    let written = op.written().map_or(0, |write| write.data.len());
                    longest_written = longest_written.max(written);
                    let mut tally = Tally { operations: 1, ..Tally::default() };
                    if answer.is_none() && is_write {
                        let asked = asked.contains(&table.id);
                        let cost = (is_full || table.usage.is_some())
                            .then(|| replica.partition().cost(now, &table, key, &op));
                        match self.admit(is_full, asked, &table, cost.flatten()) {
                            Ok(claim) => claims.extend(claim),
                            Err(fault) => {
                                let may_find_room = is_under_way || !asked;
                                if fault.kind == Kind::Quota && may_find_room {
                                    short_of_room = Some(table);
                                    break;
                                }
                                self.inner.node.stats.events.count_rejection(&fault);
                                tally.rejections = 1;
                                answer = Some(fault.into());
                            }
                        }
                    }
                    if tallied.0 != table.id {
                        machine.supervision().count(tallied.0, std::mem::take(&mut tallied.1));
                        tallied.0 = table.id;
                    }
                    tallied.1 += tally;
                    if let Some(answer) = answer {
                        begun.push(Begun::Ended(Outcome::Done(answer)));
                        continue;
                    }
                    let operation = Operation::Key { table: reference, key: command.key, op };
                    #[cfg(feature = "sim")]
                    if let Some(early) = self.acknowledge_early(&operation) {
                        begun.push(early);
                        continue;
                    }
                    let slot = packing.add(&operation, &mut begun);
                    begun.push(Begun::Pending { slot, is_write });
                    is_under_way |= is_write;
                }
            });
            machine.supervision().count(tallied.0, tallied.1);
        });
        packing.submit(&mut begun);
        if short_of_room.is_none() {
            begun.resize_with(commands.len(), || Begun::Ended(Outcome::NotDone));
        }
        asks.push(begun);
        short_of_room
    }

    /// The defect by which the simulator's oracle is tried.
    #[cfg(feature = "sim")]
    fn acknowledge_early(&self, operation: &Operation<'_>) -> Option<Begun> {
        let Operation::Key { op: KeyOp::PutNew(_) | KeyOp::Delete(None), .. } = operation else {
            return None;
        };
        if !crate::sabotage::is(crate::sabotage::Sabotage::AcknowledgesEarly) {
            return None;
        }
        self.group.submit(entry::encode(operation).into()).ok()?;
        let reply = winter_core::reply::Reply::Word("ok");
        Some(Begun::Ended(Outcome::Done(Answer::of(&reply))))
    }

    /// Measures what a write adds against the memory of every replica's node, and
    /// against the table's quotas.
    fn admit(
        &self,
        is_full: bool,
        asked: bool,
        table: &Table,
        cost: Option<Cost>,
    ) -> Result<Option<Claim>, Fault> {
        let Some(cost) = cost else { return Ok(None) };
        if is_full {
            return Err(Memory::full_elsewhere("this partition"));
        }
        table.usage.as_ref().map(|_| self.inner.limits.admit(table, cost, asked)).transpose()
    }

    /// Moves the partition's clock on to now, so that what has expired is gone.
    async fn tick(&self, deadline: Instant) -> Result<(), NotDone> {
        self.settle(&NOTHING, deadline).await.map(drop)
    }

    /// Does the same without waiting for it, if entries expired a while ago that no
    /// write has shown the time to: they take up memory and quotas as long as none does.
    pub(crate) fn tick_if_behind(&self) {
        let by = self.inner.node.clock.now().as_millis().saturating_sub(DUE_STAYS_MILLIS);
        let by = Timestamp::from_millis(by);
        let is_behind = || self.group.machine(|m| m.with(|replica| replica.is_behind(by)));
        if is_behind() {
            // Whoever leads when it is lost looks again.
            drop(self.group.submit(entry::encode(&NOTHING).into()));
        }
    }

    /// Puts an operation that may be repeated through the log.
    async fn settle(&self, operation: &Operation<'_>, deadline: Instant) -> Result<Bytes, NotDone> {
        let settled = match self.group.submit(entry::encode(operation).into()) {
            Ok(pending) => pending.until(deadline).await,
            Err(error) => Err(error),
        };
        match settled {
            Ok(_) => Ok(wire::encode(&())),
            Err(ProposeError::NotLeader { leader }) => Err(NotDone::NotLeader { leader }),
            Err(ProposeError::Stopped) => Err(NotDone::Declined),
            // It may have been done, and whoever asks asks again.
            Err(ProposeError::Busy | ProposeError::Unavailable | ProposeError::Unknown) => {
                Err(NotDone::NoMajority)
            }
        }
    }
}

/// Answers a read here and now; `None` if it has to go through the log.
fn read<'a>(
    replica: &'a mut Replica,
    now: Timestamp,
    table: TableRef,
    key: HashedKey<'_>,
    op: &KeyOp<'_>,
) -> Option<Reply<'a>> {
    match replica.read(now, table, key, op) {
        Read::Answer(reply) => Some(reply),
        #[cfg(feature = "sim")]
        Read::NeedsTick if crate::sabotage::is(crate::sabotage::Sabotage::ExpiresByOwnClock) => {
            Some(Reply::Nil)
        }
        Read::NeedsTick => None,
    }
}

fn reference(table: &Arc<Table>) -> TableRef {
    TableRef { id: table.id, slot: table.slot }
}

impl From<ReadError> for NotDone {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotLeader { leader } => Self::NotLeader { leader },
            ReadError::Unavailable => Self::NoMajority,
            ReadError::Stopped => Self::Declined,
        }
    }
}

/// The reply to a command whose outcome nobody knows.
pub(crate) fn unknown() -> Fault {
    Fault::new(
        Kind::Unknown,
        "no answer came: the leader was lost, or the command's time ran out; it may or may not have been done",
    )
}

impl Answer {
    /// The reply to a command whose outcome is known, or not.
    pub(crate) fn to(outcome: Outcome, unavailable: impl FnOnce() -> Fault) -> Self {
        match outcome {
            Outcome::Done(answer) => answer,
            Outcome::NotDone => unavailable().into(),
            Outcome::NeedsRoom(_) => Memory::no_room().into(),
            Outcome::Unknown => unknown().into(),
        }
    }
}
