//! What a partition's leader does: commands on keys in their order, and what
//! concerns a table's share of the partition.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::sleep;
use winter_core::cluster::entry::{self, Operation, TableRef};
use winter_core::cluster::replica::{Read, Replica};
use winter_core::command::KeyOp;
use winter_core::fault::{Fault, Kind};
use winter_core::store::index::Tag;
use winter_core::store::{HashedKey, Seed, Table};
use winter_core::time::Timestamp;

use super::machines::DataMachine;
use super::usage::Limits;
use super::wire::{self, Answer, Ask, Command, Held, NotDone, Outcome, Scanned};
use crate::clock::Clock;
use crate::consensus::{Group, Pending, ProposeError, ReadError, ReadPolicy};
use crate::node::table::Tally;

/// A replica of a partition on this node, asked as if it led: it says so if it does not.
#[derive(Clone)]
pub(crate) struct Leader {
    /// The replica's group.
    pub group: Group<DataMachine>,
    /// The node's clock.
    pub clock: Clock,
    /// The secret of the node's indexes.
    pub seed: Seed,
    /// How it makes sure that it leads before it answers a read.
    pub policy: ReadPolicy,
    /// Of the cluster.
    pub limits: Arc<Limits>,
}

/// After so long every member has told again what it holds.
const HEARD_AGAIN: Duration = Duration::from_millis(300);

/// A command that was begun with.
enum Begun {
    Ended(Outcome),
    Pending(Pending<Answer>, bool),
}

impl Leader {
    /// Answers what a node asks of this partition.
    pub(crate) async fn ask(&self, body: &[u8]) -> Result<Bytes, NotDone> {
        let ask: Ask<'_> = wire::decode(body).ok_or(NotDone::Declined)?;
        // What is applied here now holds all that anybody was told.
        self.group.read_barrier(self.policy).await.map_err(NotDone::from)?;
        Ok(match ask {
            Ask::Keys(commands) => wire::encode(&self.keys(&commands).await),
            Ask::Create(new) => {
                let name = new.name.clone();
                let options = new.options.into();
                let new = entry::NewTable { table: new.table, name: &name, options };
                self.settle(&Operation::Create(new)).await?
            }
            Ask::Drop(table) => self.settle(&Operation::Drop(table)).await?,
            Ask::Count(table) => {
                self.tick().await?;
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
                self.tick().await?;
                self.of_table(table, |replica, table| {
                    let mut keys = Vec::new();
                    let from = Tag::from_bits(from)?;
                    let (next, looked_at) =
                        replica.scan(reference(table), from, prefix, count, &mut keys)?;
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
    /// goes through the log in its order, reads among it.
    async fn keys(&self, commands: &[Command<'_>]) -> Vec<Outcome> {
        let now = self.clock.now();
        let in_order = commands.iter().any(|command| command.op().is_write());
        let mut begun: Vec<Begun> = Vec::with_capacity(commands.len());
        let mut is_final = false;
        while begun.len() < commands.len() {
            self.group.machine(|machine| {
                machine.with(|replica| {
                    for command in &commands[begun.len()..] {
                        let next = self.begin(machine, replica, command, now, in_order, is_final);
                        let Some(next) = next else { return };
                        is_final = false;
                        begun.push(next);
                    }
                });
            });
            if begun.len() < commands.len() {
                // What others hold is known as of their last pulse: before a write is
                // refused, each tells once more.
                sleep(HEARD_AGAIN).await;
                is_final = true;
            }
        }
        let mut outcomes = Vec::with_capacity(commands.len());
        for begun in begun {
            outcomes.push(match begun {
                Begun::Ended(outcome) => outcome,
                Begun::Pending(pending, is_write) => outcome(pending.await, is_write),
            });
        }
        outcomes
    }

    /// Begins with a command; `None` when its table's quota may have room soon.
    fn begin(
        &self,
        machine: &DataMachine,
        replica: &mut Replica,
        command: &Command<'_>,
        now: Timestamp,
        in_order: bool,
        is_final: bool,
    ) -> Option<Begun> {
        let Some(table) = replica.table_by_name(command.table).cloned() else {
            return Some(Begun::Ended(Outcome::Done(Answer::MissingTable)));
        };
        let (op, reference) = (command.op(), reference(&table));
        let key = HashedKey::new(self.seed, command.key);
        let read = machine.supervise(replica, &table, |replica| {
            if in_order {
                return None;
            }
            match replica.read(now, reference, key, &op) {
                Read::Answer(reply) => Some(Answer::of(&reply)),
                Read::NeedsTick => None,
            }
        });
        let operation = Tally { operations: 1, ..Tally::default() };
        if let Some(answer) = read.unwrap_or_else(|fault| Some(fault.into())) {
            machine.supervision().count(table.id, operation);
            return Some(Begun::Ended(Outcome::Done(answer)));
        }
        if op.is_write()
            && let Err(fault) = self.admit(replica, &table, now, key, &op)
        {
            if fault.kind == Kind::Quota && !is_final {
                return None;
            }
            machine.supervision().count(table.id, Tally { rejections: 1, ..operation });
            return Some(Begun::Ended(Outcome::Done(fault.into())));
        }
        machine.supervision().count(table.id, operation);
        let operation = Operation::Key { table: reference, key: command.key, op };
        Some(match self.group.submit(entry::encode(&operation).into()) {
            #[cfg(feature = "sim")]
            Ok(_)
                if matches!(op, KeyOp::PutNew(_) | KeyOp::Delete(None))
                    && crate::sabotage::is(crate::sabotage::Sabotage::AcknowledgesEarly) =>
            {
                Begun::Ended(Outcome::Done(Answer::of(&winter_core::reply::Reply::Word("ok"))))
            }
            Ok(pending) => Begun::Pending(pending, op.is_write()),
            Err(error) => Begun::Ended(outcome(Err(error), op.is_write())),
        })
    }

    /// Measures a write against the memory of every replica's node, and against
    /// the table's quotas.
    fn admit(
        &self,
        replica: &Replica,
        table: &Table,
        now: Timestamp,
        key: HashedKey<'_>,
        op: &KeyOp<'_>,
    ) -> Result<(), Fault> {
        let is_full = self.limits.is_full(&self.group.voters());
        if !is_full && table.usage.is_none() {
            return Ok(());
        }
        let Some(cost) = replica.partition().cost(now, table, key, op) else { return Ok(()) };
        if is_full {
            return Err(Fault::new(
                Kind::Memory,
                "a node that holds this partition is at its memory limit (WINTER_MAX_MEMORY); delete entries or drop tables",
            ));
        }
        self.limits.admit(table, cost)
    }

    /// Moves the partition's clock on to now, so that what has expired is gone.
    async fn tick(&self) -> Result<(), NotDone> {
        // An operation that changes nothing: the letting go of no table.
        let nothing = TableRef { id: winter_core::store::TableId(0), slot: 0 };
        self.settle(&Operation::Drop(nothing)).await.map(drop)
    }

    /// Puts an operation that may be repeated through the log.
    async fn settle(&self, operation: &Operation<'_>) -> Result<Bytes, NotDone> {
        match self.group.propose(entry::encode(operation).into()).await {
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

fn outcome(result: Result<Answer, ProposeError>, is_write: bool) -> Outcome {
    match result {
        Ok(answer) => Outcome::Done(answer),
        Err(ProposeError::Busy) => Outcome::Done(busy().into()),
        // A read that may have been done has done nothing.
        Err(ProposeError::Unknown) if is_write => Outcome::Unknown,
        Err(_) => Outcome::NotDone,
    }
}

fn busy() -> Fault {
    Fault::new(Kind::Busy, "the partition has too much to do; nothing was done, send it later")
}

/// The reply to a command whose outcome nobody knows.
pub(crate) fn unknown() -> Fault {
    Fault::new(
        Kind::Unknown,
        "the partition's leader was lost midway; the command may or may not have been done",
    )
}

/// The reply to a command that nobody could be found to do.
pub(crate) fn unavailable() -> Fault {
    Fault::new(
        Kind::Unavailable,
        "no majority of the partition's replicas answers; nothing was done, send it again",
    )
}

impl Answer {
    /// The reply to a command whose outcome is known, or not.
    pub(crate) fn to(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done(answer) => answer,
            Outcome::NotDone => unavailable().into(),
            Outcome::Unknown => unknown().into(),
        }
    }
}
