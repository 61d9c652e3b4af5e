//! Commands on keys: the hot path.
//!
//! A pipeline's commands are run in groups. A group's partitions are locked
//! together, in the order of their numbers, and worked in passes: hash every
//! key, read every index slot, read every entry, then answer. So the cache
//! misses of a group overlap instead of adding up.

use std::collections::HashMap;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrayvec::ArrayVec;
use parking_lot::MutexGuard;
use winter_core::command::KeyCommand;
use winter_core::fault::{Fault, Kind};
use winter_core::limits::PARTITIONS_STANDALONE;
use winter_core::protocol::Dialect;
use winter_core::reply::Reply;
use winter_core::store::{HashedKey, Partition};
use winter_core::time::Timestamp;

use super::shards::{Shard, ShardSet, Shards};
use super::{Node, Table, faults};
use crate::stats::Outcome;

/// Commands of a group at the most: as many misses as a core can have under way.
pub(crate) const GROUP_MAX: usize = 16;

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEnd {
    /// Every command was answered.
    Done,
    /// So many commands were answered; the output is full for now.
    OutputFull(usize),
}

/// One thread's way to tables by name, without the catalog's lock.
#[derive(Debug, Default)]
pub struct TableCache {
    numbers: HashMap<Box<str>, usize>,
    tables: Vec<Arc<Table>>,
    last: usize,
}

impl TableCache {
    /// The number of the table called `name`; good until the next [`TableCache::trim`].
    fn number(&mut self, node: &Node, name: &str) -> Option<usize> {
        if let Some(table) = self.tables.get(self.last)
            && &*table.core.name == name
            && !table.is_dropped()
        {
            return Some(self.last);
        }
        let known = self.numbers.get(name).copied();
        if let Some(number) = known.filter(|&number| !self.tables[number].is_dropped()) {
            self.last = number;
            return Some(number);
        }
        let table = node.catalog.find(name)?;
        let number = known.unwrap_or(self.tables.len());
        if number == self.tables.len() {
            self.numbers.insert(name.into(), number);
            self.tables.push(table);
        } else {
            self.tables[number] = table;
        }
        self.last = number;
        Some(number)
    }

    /// Forgets everything when most of it has been dropped.
    fn trim(&mut self, node: &Node) {
        if self.tables.len() > 64 && self.tables.len() > 2 * node.catalog.len() {
            *self = Self::default();
        }
    }
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
    /// How long the output may get before commands wait.
    pub output_soft_max: usize,
}

/// A command, and where its key belongs.
struct Work<'a> {
    command: &'a KeyCommand<'a>,
    table: Option<usize>,
    partition: u16,
    /// Where the partition stands among those that the group holds.
    held: u8,
    hash: u64,
}

impl<'a> Work<'a> {
    const fn key(&self) -> HashedKey<'a> {
        HashedKey { key: self.command.key, hash: self.hash }
    }
}

/// A partition that this group holds.
struct Held<'n> {
    shard: &'n Shard,
    partition: MutexGuard<'n, Partition>,
}

/// Why a command was not applied.
enum Refusal {
    /// Answer this.
    Fault(Fault),
    /// The quota may have room once expired entries are reclaimed.
    NeedsRoom,
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
        tables.trim(self.node);
        let mut done = 0;
        let mut reclaimed = false;
        while done < commands.len() {
            let mut group = self.prepare(tables, &commands[done..]);
            let (count, needs_room) =
                self.run_locked(tables, &mut group, reclaimed, output, &mut answered);
            done += count;
            if let Some(table) = needs_room {
                self.node.make_room(&tables.tables[table], self.now);
                reclaimed = true;
            } else if done < commands.len() {
                return GroupEnd::OutputFull(done);
            }
        }
        GroupEnd::Done
    }

    fn prepare<'a>(
        &self,
        tables: &mut TableCache,
        commands: &'a [KeyCommand<'a>],
    ) -> ArrayVec<Work<'a>, GROUP_MAX> {
        let mut group = ArrayVec::new();
        for command in commands {
            let table = tables.number(self.node, command.table);
            let (partition, hash) = match table {
                Some(number) => (
                    Shards::number_of(tables.tables[number].core.hash, command.key),
                    self.node.seed.hash(command.key),
                ),
                None => (0, 0),
            };
            group.push(Work { command, table, partition, held: 0, hash });
        }
        group
    }

    /// Locks the group's partitions, and notes for each command which of them is its.
    fn lock(&self, group: &mut [Work<'_>]) -> ArrayVec<Held<'_>, GROUP_MAX> {
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

    /// How many commands were answered, and the table that needs room, if that
    /// is why it stopped.
    fn run_locked(
        &self,
        tables: &TableCache,
        group: &mut [Work<'_>],
        mut reclaimed: bool,
        output: &mut Vec<u8>,
        answered: &mut impl FnMut(Outcome),
    ) -> (usize, Option<usize>) {
        let mut held = self.lock(group);
        if group.len() > 1 {
            touch(tables, group, &held);
        }
        let mut end = (group.len(), None);
        for (n, work) in group.iter().enumerate() {
            if output.len() > self.output_soft_max {
                end = (n, None);
                break;
            }
            let Some(number) = work.table else {
                answered(self.answer(&Reply::MissingTable, output));
                continue;
            };
            let held = &mut held[usize::from(work.held)];
            match self.run_one(&tables.tables[number], work, held, reclaimed, output) {
                Ok(outcome) => answered(outcome),
                Err(Refusal::Fault(fault)) => answered(self.answer(&Reply::Fault(fault), output)),
                Err(Refusal::NeedsRoom) => {
                    end = (n, Some(number));
                    break;
                }
            }
            reclaimed = false;
        }
        // Reads change nothing that is counted.
        let wrote = group.iter().any(|work| work.command.op.is_write());
        for held in held.iter().filter(|_| wrote) {
            held.shard.settle(&held.partition, &self.node.memory);
        }
        end
    }

    fn answer(&self, reply: &Reply<'_>, output: &mut Vec<u8>) -> Outcome {
        self.dialect.write(reply, output);
        Outcome::of(reply)
    }

    fn run_one(
        &self,
        table: &Table,
        work: &Work<'_>,
        held: &mut Held<'_>,
        reclaimed: bool,
        output: &mut Vec<u8>,
    ) -> Result<Outcome, Refusal> {
        if !reclaimed {
            table.count_operation(self.worker);
        }
        if table.is_dropped() {
            return Ok(self.answer(&Reply::MissingTable, output));
        }
        if table.is_fenced() {
            return Err(Refusal::Fault(faults::fenced()));
        }
        let length_before = output.len();
        let partition = &mut *held.partition;
        let applied = catch_unwind(AssertUnwindSafe(|| {
            faults::point_of("apply", &table.core, || faults::spoil(partition, &table.core));
            self.apply(table, work, partition, reclaimed, output)
        }));
        applied.unwrap_or_else(|panic| {
            output.truncate(length_before);
            self.node.mend(table, partition);
            held.shard.settle(partition, &self.node.memory);
            Err(Refusal::Fault(self.node.record_panic(table, self.now, &*panic)))
        })
    }

    fn apply(
        &self,
        table: &Table,
        work: &Work<'_>,
        partition: &mut Partition,
        reclaimed: bool,
        output: &mut Vec<u8>,
    ) -> Result<Outcome, Refusal> {
        let op = &work.command.op;
        let _quota = if op.is_write() {
            let quota = table.lock_quota();
            if quota.is_some() || self.node.memory.is_full() {
                self.admit(table, work, partition, reclaimed)?;
            }
            quota
        } else {
            None
        };
        Ok(self.answer(&partition.apply(self.now, &table.core, work.key(), op), output))
    }

    /// Measures a write against the node's limit and the table's.
    fn admit(
        &self,
        table: &Table,
        work: &Work<'_>,
        partition: &Partition,
        reclaimed: bool,
    ) -> Result<(), Refusal> {
        let Some(cost) = partition.cost(self.now, &table.core, work.key(), &work.command.op) else {
            return Ok(());
        };
        let node = self.node;
        if node.memory.is_full() {
            node.stats.events.memory_rejections.bump();
            table.count_rejection();
            return Err(Refusal::Fault(memory_fault(node)));
        }
        let Some(usage) = &table.core.usage else { return Ok(()) };
        let options = &table.core.options;
        let over = [
            ("MAXENTRIES", usage.entries(), cost.entries, options.entries_max),
            ("MAXBYTES", usage.bytes(), cost.bytes, options.bytes_max),
        ]
        .into_iter()
        .find(|&(_, held, more, most)| more > 0 && most.is_some_and(|most| held + more > most));
        let Some((option, held, more, most)) = over else { return Ok(()) };
        if !reclaimed && table.may_reclaim(self.now) {
            return Err(Refusal::NeedsRoom);
        }
        node.stats.events.quota_rejections.bump();
        table.count_rejection();
        Err(Refusal::Fault(Fault::new(
            Kind::Quota,
            format!(
                "the table's {option} is {}; it holds {held} and this write needs {more} more; delete entries or wait until some expire",
                most.unwrap_or_default()
            ),
        )))
    }
}

fn memory_fault(node: &Node) -> Fault {
    Fault::new(
        Kind::Memory,
        format!(
            "the node holds {} bytes, and its limit (WINTER_MAX_MEMORY) is {}; delete entries or drop tables",
            node.memory.counted(),
            node.memory.limit()
        ),
    )
}

/// Reads what the group will need, so that the caches hold it: first every slot,
/// then every entry, for as many reads to be under way as there are commands.
fn touch(tables: &TableCache, group: &[Work<'_>], held: &[Held<'_>]) {
    let known = || {
        group.iter().filter_map(|work| {
            let table = &tables.tables[work.table?].core;
            Some((work, table, &held[usize::from(work.held)].partition))
        })
    };
    let slots = known()
        .fold(0, |sum, (work, table, partition)| sum ^ partition.touch_slot(table, work.hash));
    black_box(slots);
    let mut sum = 0;
    let mut found = ArrayVec::<_, GROUP_MAX>::new();
    for (work, table, partition) in known() {
        if let Some((location, byte)) = partition.touch_entry(table, work.hash) {
            found.push((table, partition, location));
            sum ^= byte;
        }
    }
    for (table, partition, location) in found {
        sum ^= partition.touch_rest(table, location);
    }
    black_box(sum);
}
