//! Commands on keys: the hot path.
//!
//! A pipeline's commands are run in groups. A group's partitions are locked
//! together, in the order of their numbers, and worked in passes: hash every
//! key, ask the processor for every table's slice, for every index slot, for every
//! entry, then answer. So the cache misses of a group overlap instead of adding up.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrayvec::ArrayVec;
use parking_lot::MutexGuard;
use winter_core::command::KeyCommand;
use winter_core::fault::Fault;
use winter_core::limits::PARTITIONS_STANDALONE;
use winter_core::protocol::Dialect;
use winter_core::reply::Reply;
use winter_core::store::partition::Cost;
use winter_core::store::{HashedKey, Partition};
use winter_core::time::Timestamp;

use super::memory::{Memory, SHORT_BYTES};
use super::shards::{Shard, ShardSet, Shards};
use super::table_cache::TableCache;
use super::{Node, Table, faults, quota};
use crate::stats::Outcome;

/// Commands of a group at the most: enough for the misses of some to pass while
/// the others are worked on.
pub(crate) const GROUP_MAX: usize = 32;
/// Replies wait in the output until it holds so many bytes; then they are sent.
pub(crate) const OUTPUT_SOFT_MAX: usize = 1 << 20;

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEnd {
    /// Every command was answered.
    Done,
    /// So many commands were answered; the output is full for now.
    OutputFull(usize),
    /// So many commands were answered; the next one's reply is long, and the node's
    /// buffers are full.
    BuffersFull(usize),
}

impl GroupEnd {
    /// How many of the group's commands were answered.
    pub(crate) const fn answered(self, commands: usize) -> usize {
        match self {
            Self::Done => commands,
            Self::OutputFull(done) | Self::BuffersFull(done) => done,
        }
    }
}

/// What is done with replies that are not short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongReplies {
    /// They are written.
    Written,
    /// They wait, for the node's buffers are full.
    Waiting,
    /// They have waited for too long.
    Refused,
}

/// How one thread runs commands on keys.
#[derive(Debug)]
pub struct KeyRun<'n> {
    /// The node.
    pub node: &'n Node,
    /// The thread's number.
    pub worker: usize,
    /// When the commands came.
    pub now: Timestamp,
    /// What replies are written in.
    pub dialect: Dialect,
    /// Whether there is room for long replies.
    pub long_replies: LongReplies,
}

/// A command, and where its key belongs.
struct Work<'a> {
    command: &'a KeyCommand<'a>,
    key: HashedKey<'a>,
    table: Option<&'a Table>,
    partition: u16,
    /// Where the partition stands among those that the group holds.
    held: u8,
}

type Group<'a> = ArrayVec<Work<'a>, GROUP_MAX>;

/// A partition that a group holds.
struct Held<'n> {
    shard: &'n Shard,
    partition: MutexGuard<'n, Partition>,
}

type AllHeld<'n> = ArrayVec<Held<'n>, GROUP_MAX>;

/// How far a group has come.
struct Progress<'o> {
    /// Commands that were answered.
    done: usize,
    /// Where the next reply begins in the output.
    reply_at: usize,
    output: &'o mut Vec<u8>,
    /// Whether expired entries were reclaimed for the next command's sake.
    reclaimed: bool,
}

/// Why a group was left before its end.
enum Stop<'a> {
    /// The output is full for now.
    Output,
    /// The node's buffers are, and the reply is long.
    Buffers,
    /// The table's quota may have room once expired entries are reclaimed.
    Quota(&'a Table),
}

/// Why a command was not applied.
enum Refusal {
    /// Answer this.
    Fault(Fault),
    /// The quota may have room once expired entries are reclaimed.
    Quota,
}

impl KeyRun<'_> {
    /// Runs `commands`, at most as many as a group holds, in order, and writes their replies.
    pub fn run(
        &self,
        tables: &mut TableCache,
        commands: &[KeyCommand<'_>],
        output: &mut Vec<u8>,
        mut answered: impl FnMut(Outcome),
    ) -> GroupEnd {
        let tables = tables.tables_of(self.node, commands);
        let mut group = self.prepare(commands, &tables);
        let mut left = &mut group[..];
        let mut reclaimed = false;
        while !left.is_empty() {
            let reply_at = output.len();
            let mut progress = Progress { done: 0, reply_at, output, reclaimed };
            let stop = self.run_locked(left, &mut progress, &mut answered);
            left = &mut left[progress.done..];
            let done = commands.len() - left.len();
            match stop {
                None => break,
                Some(Stop::Output) => return GroupEnd::OutputFull(done),
                Some(Stop::Buffers) => return GroupEnd::BuffersFull(done),
                Some(Stop::Quota(table)) => {
                    self.node.make_room(table, self.now);
                    reclaimed = true;
                }
            }
        }
        GroupEnd::Done
    }

    fn prepare<'a>(
        &self,
        commands: &'a [KeyCommand<'a>],
        tables: &[Option<&'a Table>],
    ) -> Group<'a> {
        let works = commands.iter().zip(tables).map(|(command, &table)| {
            let of_table = |table: &Table| Shards::number_of(table.core.hash, command.key);
            Work {
                command,
                key: HashedKey::new(self.node.seed, command.key),
                table,
                partition: table.map_or(0, of_table),
                held: 0,
            }
        });
        works.collect()
    }

    /// Locks the group's partitions, and notes for each command which of them is its.
    fn lock(&self, group: &mut [Work<'_>]) -> AllHeld<'_> {
        let mut numbers = ShardSet::default();
        group.iter().filter(|w| w.table.is_some()).for_each(|w| numbers.insert(w.partition));
        if group.len() > 1 {
            numbers.for_each(|number| self.node.shards.shard(number).call());
        }
        let mut held = ArrayVec::new();
        let mut places = [0u8; PARTITIONS_STANDALONE as usize];
        numbers.for_each(|number| {
            let shard = self.node.shards.shard(number);
            places[usize::from(number)] = u8::try_from(held.len()).expect("a group is small");
            held.push(Held { shard, partition: shard.lock() });
        });
        group.iter_mut().for_each(|work| work.held = places[usize::from(work.partition)]);
        held
    }

    /// Runs commands with their partitions locked, and says why if not all.
    fn run_locked<'a>(
        &self,
        group: &mut [Work<'a>],
        progress: &mut Progress<'_>,
        answered: &mut impl FnMut(Outcome),
    ) -> Option<Stop<'a>> {
        let mut held = self.lock(group);
        if group.len() > 1 {
            touch(group, &held);
        }
        let stop = loop {
            let run = AssertUnwindSafe(|| self.run_each(group, &mut held, progress, answered));
            match catch_unwind(run) {
                Ok(stop) => break stop,
                Err(panic) => {
                    let work = &group[progress.done];
                    let fault = self.answer_for(work, &mut held, &*panic);
                    progress.output.truncate(progress.reply_at);
                    self.answer(&fault.into(), progress, answered);
                }
            }
        };
        let done = &group[..progress.done];
        for works in done.chunk_by(|a, b| same(a.table, b.table)) {
            if let Some(table) = works[0].table {
                table.count_operations(self.worker, works.len() as u64);
            }
        }
        // Reads change nothing that is counted.
        if group.iter().any(|work| work.command.op.is_write()) {
            held.iter().for_each(|held| held.shard.settle(&held.partition, &self.node.memory));
        }
        stop
    }

    /// Does what is to be done after a panic in `work`, and says what to answer.
    fn answer_for(
        &self,
        work: &Work<'_>,
        held: &mut AllHeld<'_>,
        panic: &(dyn Any + Send),
    ) -> Fault {
        let Some(table) = work.table else { unreachable!("only tables' code panics") };
        let Held { shard, partition } = &mut held[usize::from(work.held)];
        self.node.mend(table, partition);
        shard.settle(partition, &self.node.memory);
        self.node.record_panic(table, self.now, panic)
    }

    fn run_each<'a>(
        &self,
        group: &[Work<'a>],
        held: &mut AllHeld<'_>,
        progress: &mut Progress<'_>,
        answered: &mut impl FnMut(Outcome),
    ) -> Option<Stop<'a>> {
        let has_room = self.long_replies == LongReplies::Written;
        let output_soft_max = if has_room { OUTPUT_SOFT_MAX } else { SHORT_BYTES };
        while let Some(work) = group.get(progress.done) {
            if progress.output.len() > output_soft_max {
                return Some(Stop::Output);
            }
            let Some(table) = work.table.filter(|table| !table.is_dropped()) else {
                self.answer(&Reply::MissingTable, progress, answered);
                continue;
            };
            if table.is_fenced() {
                self.answer(&faults::fenced().into(), progress, answered);
                continue;
            }
            let partition = &mut *held[usize::from(work.held)].partition;
            faults::point_of("apply", &table.core, || faults::spoil(partition, &table.core));
            let op = &work.command.op;
            let quota = op.is_write().then(|| table.lock_quota()).flatten();
            if op.is_write() && (quota.is_some() || self.node.memory.is_full()) {
                match self.admit(table, work, partition, progress.reclaimed) {
                    Ok(()) => {}
                    Err(Refusal::Quota) => return Some(Stop::Quota(table)),
                    Err(Refusal::Fault(fault)) => {
                        self.node.stats.events.count_rejection(&fault);
                        table.count_rejection();
                        self.answer(&fault.into(), progress, answered);
                        continue;
                    }
                }
            }
            let mut reply = partition.apply(self.now, &table.core, work.key, op);
            if !has_room && reply.data_bytes() > SHORT_BYTES {
                if self.long_replies == LongReplies::Waiting {
                    return Some(Stop::Buffers);
                }
                reply = Memory::no_room().into();
            }
            self.answer(&reply, progress, answered);
        }
        None
    }

    /// Writes the next command's reply.
    #[inline]
    fn answer(
        &self,
        reply: &Reply<'_>,
        progress: &mut Progress<'_>,
        answered: &mut impl FnMut(Outcome),
    ) {
        self.dialect.write(reply, progress.output);
        answered(Outcome::of(reply));
        progress.done += 1;
        progress.reply_at = progress.output.len();
        progress.reclaimed = false;
    }

    /// Measures a write against the node's limit and the table's.
    fn admit(
        &self,
        table: &Table,
        work: &Work<'_>,
        partition: &Partition,
        reclaimed: bool,
    ) -> Result<(), Refusal> {
        let Some(cost) = partition.cost(self.now, &table.core, work.key, &work.command.op) else {
            return Ok(());
        };
        if self.node.memory.is_full() {
            return Err(Refusal::Fault(self.node.memory.fault()));
        }
        let Some(usage) = &table.core.usage else { return Ok(()) };
        let held = Cost { entries: usage.entries(), bytes: usage.bytes() };
        match quota::refusal(&table.core.options, held, cost, |most| most) {
            None => Ok(()),
            Some(_) if !reclaimed && table.may_reclaim(self.now) => Err(Refusal::Quota),
            Some(fault) => Err(Refusal::Fault(fault)),
        }
    }
}

/// Whether both are the same table, or neither was created.
fn same(a: Option<&Table>, b: Option<&Table>) -> bool {
    a.map(std::ptr::from_ref) == b.map(std::ptr::from_ref)
}

/// Asks for what the group will need: for every slice, then for every slot, then
/// for every entry.
fn touch(group: &mut [Work<'_>], held: &[Held<'_>]) {
    for work in &*group {
        if let Some(table) = work.table {
            held[usize::from(work.held)].partition.touch_slice(&table.core);
        }
    }
    for work in &*group {
        if let Some(table) = work.table {
            held[usize::from(work.held)].partition.touch_slot(&table.core, work.key.hash);
        }
    }
    for work in group {
        if let Some(table) = work.table {
            let partition = &held[usize::from(work.held)].partition;
            let op = &work.command.op;
            work.key.hint = partition.touch_entry(&table.core, work.key.hash, op);
        }
    }
}
