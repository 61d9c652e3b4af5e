//! Commands on tables as a whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use winter_core::command::{Scan, TableCommand, TableOptions};
use winter_core::fault::Fault;
use winter_core::limits::PARTITIONS_STANDALONE;
use winter_core::reply::Reply;
use winter_core::store::partition::Holdings;
use winter_core::store::{Partition, Slice};

use super::scan::Step;
use super::shards::Shard;
use super::table::Described;
use super::{Node, Table, faults};

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
            TableCommand::Scan(_, scan) => self.scan(table, scan).unwrap_or_else(Reply::Fault),
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
                self.stats.events.count_rejection(&fault);
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

    fn scan(&self, table: &Table, scan: Scan<'_>) -> Result<Reply<'static>, Fault> {
        let now = self.clock.now();
        let mut step = Step::begin(&scan, PARTITIONS_STANDALONE.into())?;
        while let Some((number, from, left)) = step.next() {
            let mut keys = Vec::new();
            let shard = self.shards.get(number).expect("a step asks those that there are");
            let (more, looked_at) =
                shard.lock().scan(now, &table.core, from, scan.prefix, left, &mut keys);
            step.found(keys, more, looked_at, self.seed);
        }
        Ok(step.reply())
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
