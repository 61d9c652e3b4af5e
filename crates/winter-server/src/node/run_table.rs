//! Commands on tables as a whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use winter_core::command::{Scan, TableCommand, TableOptions};
use winter_core::fault::{Fault, Kind};
use winter_core::reply::Reply;
use winter_core::store::index::Tag;
use winter_core::store::partition::Holdings;
use winter_core::store::{Partition, Slice};

use super::shards::Shard;
use super::table::Described;
use super::{Node, Table, cursor, faults};

/// Bytes of keys after which a step asks no further partition.
const SCAN_BYTES_MAX: usize = 1 << 20;

impl Node {
    /// Does a command on a table.
    pub fn run_table(self: &Arc<Self>, command: &TableCommand<'_>) -> Reply<'static> {
        if let TableCommand::Create(name, options) = *command {
            return self.create(name, options);
        }
        let Some(table) = self.catalog.find(command.table()) else { return Reply::MissingTable };
        match *command {
            TableCommand::Drop(name) => return self.drop_table(name),
            TableCommand::Revive(_) => {
                table.revive();
                if self.lines.tables() {
                    tracing::info!(table = &*table.core.name, "the table was revived");
                }
                return Reply::Word("ok");
            }
            TableCommand::Count(_) | TableCommand::Scan(..) if table.is_fenced() => {
                return faults::fenced().into();
            }
            _ => {}
        }
        let answered = self.guard(&table, || {
            faults::point_of("table", &table.core, || {
                let spoil = |shard: &Shard| faults::spoil(&mut shard.lock(), &table.core);
                self.shards.iter().for_each(spoil);
            });
            self.answer(&table, command)
        });
        answered.unwrap_or_else(Reply::Fault)
    }

    fn answer(&self, table: &Table, command: &TableCommand<'_>) -> Reply<'static> {
        match *command {
            TableCommand::Describe(_) => Reply::Fields(self.describe(table)),
            TableCommand::Count(_) => Reply::Integer(self.count(table)),
            TableCommand::Scan(_, scan) => self.scan(table, scan),
            TableCommand::Create(..) | TableCommand::Drop(_) | TableCommand::Revive(_) => {
                unreachable!("answered already")
            }
        }
    }

    fn create(&self, name: &str, options: TableOptions) -> Reply<'static> {
        match self.catalog.create(name, options) {
            Ok(true) => {
                if self.lines.tables() {
                    tracing::info!(table = name, %options, "a table was created");
                }
                Reply::Word("created")
            }
            Ok(false) => Reply::Word("already created"),
            Err(fault) => {
                if fault.kind == Kind::Memory {
                    self.stats.events.memory_rejections.bump();
                }
                fault.into()
            }
        }
    }

    /// Takes a table away. Its slices are detached under their partitions'
    /// locks, which is quick, and dropped a few at a time on a thread of its own.
    fn drop_table(self: &Arc<Self>, name: &str) -> Reply<'static> {
        let Some(table) = self.catalog.remove(name) else { return Reply::MissingTable };
        let mut slices = Vec::new();
        for shard in self.shards.iter() {
            let slice = shard.with(&self.memory, |partition| self.detach(&table, partition));
            // It stays counted until it is freed.
            self.memory.count_store(0, slice.as_ref().map_or(0, |slice| slice.allocated_bytes()));
            slices.extend(slice);
        }
        self.catalog.release(&table);
        if self.lines.tables() {
            tracing::info!(table = name, slices = slices.len(), "a table was dropped");
        }
        self.free(slices);
        Reply::Word("dropped")
    }

    fn detach(&self, table: &Table, partition: &mut Partition) -> Option<Box<Slice>> {
        let detached = catch_unwind(AssertUnwindSafe(|| {
            faults::point_of("drop", &table.core, || faults::spoil(partition, &table.core));
            partition.detach(&table.core)
        }));
        detached.unwrap_or_else(|panic| {
            drop(self.record_panic(table, self.clock.now(), &*panic));
            partition.abandon(&table.core);
            None
        })
    }

    fn count(&self, table: &Table) -> u64 {
        let now = self.clock.now();
        let count_one =
            |shard: &Shard| shard.with(&self.memory, |partition| partition.count(now, &table.core));
        self.shards.iter().map(count_one).sum()
    }

    /// Walks partition after partition in the order of hashes, which growth does not change.
    fn scan(&self, table: &Table, scan: Scan<'_>) -> Reply<'static> {
        let now = self.clock.now();
        let (mut number, mut from) = match cursor::split(scan.cursor) {
            Some(at) => at,
            None => {
                return Fault::usage("invalid cursor; give 0, then what the last step answered")
                    .into();
            }
        };
        let mut keys = Vec::new();
        let (mut left, mut bytes) = (scan.count, 0);
        while let Some(shard) = self.shards.get(number) {
            let known = keys.len();
            let (next, looked_at) =
                shard.lock().scan(now, &table.core, from, scan.prefix, left, &mut keys);
            left = left.saturating_sub(looked_at);
            bytes += keys[known..].iter().map(Vec::len).sum::<usize>();
            if let Some(tag) = next {
                return Reply::Scan { cursor: cursor::join(number, tag), keys };
            }
            number += 1;
            from = Tag::of(0);
            if left == 0 || bytes >= SCAN_BYTES_MAX {
                break;
            }
        }
        let is_over = self.shards.get(number).is_none();
        Reply::Scan { cursor: if is_over { 0 } else { cursor::join(number, from) }, keys }
    }

    /// What a table holds over all partitions, once what has expired is gone.
    fn holdings(&self, table: &Table) -> Holdings {
        let now = self.clock.now();
        let mut sum = Holdings::default();
        for shard in self.shards.iter() {
            sum += shard.with(&self.memory, |partition| {
                partition.reclaim_expired(now, &table.core);
                partition.holdings(&table.core)
            });
        }
        sum
    }

    fn describe(&self, table: &Table) -> Vec<(String, String)> {
        let described = Described {
            name: &table.core.name,
            options: table.core.options,
            held: self.holdings(table),
            tally: table.tally(),
            is_fenced: table.is_fenced(),
        };
        described.fields()
    }
}
