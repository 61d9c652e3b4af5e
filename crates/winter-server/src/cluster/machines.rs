//! The two state machines that groups replicate: the meta group's, and a
//! partition's. What they mean stands in `winter-core`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use winter_core::cluster::entry::{self, NewTable};
use winter_core::cluster::meta::{self, Meta, MetaReply};
use winter_core::cluster::replica::{Replica, Sink};
use winter_core::cluster::snapshot::{Frozen, Receiving};
use winter_core::fault::Fault;
use winter_core::reply::Reply;
use winter_core::store::{self, Partition, Slice, TableId};
use winter_core::time::Timestamp;

use super::life::give_up;
use super::supervision::{Past, Supervision};
use super::tables::Tables;
use super::wire::Answer;
use crate::consensus::{Batch, Machine, Replies, Source, Target, Unreadable};
use crate::node::{Node, faults};

/// Bytes of the meta group's state that may be received.
const META_BYTES_MAX: usize = 256 << 20;

/// The meta group's machine.
#[derive(Debug)]
pub(crate) struct MetaMachine {
    meta: Meta,
    /// Tells whoever watches that the state has changed.
    revision: watch::Sender<u64>,
}

impl MetaMachine {
    /// A machine that nothing was applied to.
    pub(crate) fn new(revision: watch::Sender<u64>) -> Self {
        Self { meta: Meta::default(), revision }
    }

    /// The state.
    pub(crate) const fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// Bytes in memory, sent in chunks.
#[derive(Debug)]
pub(crate) struct Whole(Bytes);

impl Source for Whole {
    fn next(&mut self, bytes_max: usize) -> Option<Bytes> {
        let length = self.0.len().min(bytes_max);
        (length > 0).then(|| self.0.split_to(length))
    }
}

/// Bytes that are gathered whole.
#[derive(Debug, Default)]
pub(crate) struct Gathered(Vec<u8>);

impl Target for Gathered {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        if self.0.len() + chunk.len() > META_BYTES_MAX {
            return Err(Unreadable("the meta group's state is too long"));
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }
}

impl Machine for MetaMachine {
    type Reply = MetaReply;
    type Source = Whole;
    type Target = Gathered;

    /// A command of the meta group is packed by whoever proposes it, with the
    /// time; commands go one by one, for they are rare.
    fn pack(commands: &[Batch], _: Timestamp) -> Bytes {
        let mut packed = Vec::new();
        for Batch { bytes, .. } in commands {
            packed.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
            packed.extend_from_slice(bytes);
        }
        packed.into()
    }

    fn apply(&mut self, _: u64, mut entry: &[u8], replies: &mut Replies<MetaReply>) {
        let before = self.meta.revision();
        while let Some((length, rest)) = entry.split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some((operation, rest)) = rest.split_at_checked(length) else { break };
            entry = rest;
            match meta::unpack(operation) {
                Ok((at, command)) => replies.push(self.meta.apply(at, &command)),
                Err(fault) => {
                    give_up(&format!("the meta group's log cannot be read ({fault})"));
                }
            }
        }
        if self.meta.revision() != before {
            self.revision.send_replace(self.meta.revision());
        }
    }

    fn freeze(&self) -> Whole {
        Whole(self.meta.encode().into())
    }

    fn receive(&self) -> Gathered {
        Gathered::default()
    }

    fn install(&mut self, target: Gathered) -> Result<(), Unreadable> {
        self.meta =
            Meta::decode(&target.0).map_err(|_| Unreadable("not the meta group's state"))?;
        self.revision.send_replace(self.meta.revision());
        Ok(())
    }
}

/// A partition's machine.
#[derive(Debug)]
pub(crate) struct DataMachine {
    /// Reads change where bytes lie, so even they want it to themselves.
    replica: Mutex<Replica>,
    shared: Arc<Host>,
    /// The replica's bytes as the node's memory has them.
    counted: AtomicUsize,
    supervision: Supervision,
}

/// What a node's partitions share.
#[derive(Debug)]
pub(crate) struct Host {
    /// The node: its memory above all.
    pub node: Arc<Node>,
    /// The node's tables, one of each for all partitions.
    pub tables: Tables,
    /// What was asked of tables and no partition counts any more.
    pub past: Arc<Mutex<Past>>,
}

impl Host {
    /// A node without partitions.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, tables: Tables::default(), past: Arc::default() }
    }
}

impl DataMachine {
    /// A machine that nothing was applied to.
    pub(crate) fn new(replica: Replica, shared: Arc<Host>) -> Self {
        let machine = Self {
            replica: Mutex::new(replica),
            counted: AtomicUsize::new(0),
            supervision: Supervision::new(Arc::clone(&shared.past)),
            shared,
        };
        machine.settle(&machine.replica.lock());
        machine
    }

    /// Works on the replica outside the log.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Replica) -> T) -> T {
        let mut replica = self.replica.lock();
        let done = work(&mut replica);
        self.settle(&replica);
        done
    }

    /// Supervision of the tables here.
    pub(crate) const fn supervision(&self) -> &Supervision {
        &self.supervision
    }

    /// Works on a table of the replica outside the log, unless it is fenced. A
    /// panic is the table's.
    ///
    /// # Errors
    /// `internal` when the table is fenced, or the work panicked.
    pub(crate) fn supervise<T>(
        &self,
        replica: &mut Replica,
        table: &store::Table,
        work: impl FnOnce(&mut Replica) -> T,
    ) -> Result<T, Fault> {
        if self.supervision.is_fenced(table.id) {
            return Err(faults::fenced());
        }
        let work = || {
            faults::point_of("apply", table, || {});
            work(replica)
        };
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            let fault = self.supervision.caught(table, self.shared.node.clock.now(), &*panic);
            if !replica.mend(NewTable::of(table).table) {
                give_up("a table has lost entries on this node alone");
            }
            fault
        })
    }

    /// Counts what work has changed since it was last counted.
    fn settle(&self, replica: &Replica) {
        let bytes = replica.allocated_bytes();
        let before = self.counted.swap(bytes, Ordering::Relaxed);
        self.shared.node.memory.count_store(before, bytes);
    }
}

impl Drop for DataMachine {
    fn drop(&mut self) {
        self.shared.node.memory.count_store(self.counted.load(Ordering::Relaxed), 0);
    }
}

/// Where what an entry brings about goes on this node.
struct Effects<'a> {
    shared: &'a Host,
    supervision: &'a Supervision,
    replies: &'a mut Replies<Answer>,
}

impl Sink for Effects<'_> {
    fn is_heard(&self) -> bool {
        self.replies.are_wanted()
    }

    fn answer(&mut self, _: usize, reply: Reply<'_>) {
        if self.replies.are_wanted() {
            self.replies.push(match reply {
                // Of the two table operations, whoever asked wants to know that they are done.
                Reply::Word("created" | "already created" | "dropped") => Answer::Nil,
                reply => Answer::of(&reply),
            });
        }
    }

    fn begins(&mut self, partition: &mut Partition, table: &store::Table) {
        faults::point_of("apply", table, || faults::spoil(partition, table));
    }

    fn panicked(&mut self, table: &store::Table, at: Timestamp, panic: &(dyn Any + Send)) -> Fault {
        self.supervision.caught(table, at, panic)
    }

    fn table(&mut self, new: &NewTable<'_>) -> Arc<store::Table> {
        self.shared.tables.take_in(new)
    }

    fn dropped(&mut self, table: TableId) {
        self.supervision.forget(table);
    }

    fn free(&mut self, slice: Box<Slice>) {
        super::tables::free(slice);
    }
}

impl Source for Frozen {
    fn next(&mut self, bytes_max: usize) -> Option<Bytes> {
        Frozen::next(self, bytes_max)
    }
}

impl Target for Receiving {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        Receiving::push(self, chunk).map_err(|_| Unreadable("not a partition's state"))
    }
}

impl Machine for DataMachine {
    type Reply = Answer;
    type Source = Frozen;
    type Target = Receiving;

    fn pack(batches: &[Batch], stamp: Timestamp) -> Bytes {
        entry::pack(stamp, batches.iter().map(|batch| &*batch.bytes)).into()
    }

    fn apply(&mut self, index: u64, entry: &[u8], replies: &mut Replies<Answer>) {
        let replica = self.replica.get_mut();
        let mut effects = Effects { shared: &self.shared, supervision: &self.supervision, replies };
        if let Err(fault) = replica.apply(entry, &mut effects) {
            give_up(&format!("entry {index} of a partition's log cannot be read ({fault})"));
        }
        self.settle(&self.replica.lock());
    }

    fn freeze(&self) -> Frozen {
        self.replica.lock().freeze()
    }

    fn receive(&self) -> Receiving {
        self.replica.lock().receive()
    }

    fn install(&mut self, target: Receiving) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        let replica = self.replica.get_mut();
        let mut replies = Replies::new(false);
        let installed = replica.install(
            target,
            &mut Effects { shared: &shared, supervision: &self.supervision, replies: &mut replies },
        );
        installed.map_err(|_| Unreadable("not a partition's state"))?;
        self.settle(&self.replica.lock());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use winter_core::cluster::entry::{Operation, TableRef};
    use winter_core::command::TableOptions;
    use winter_core::store::Seed;

    use super::*;
    use crate::config::Config;
    use crate::node::table::Tally;

    const TABLE: TableRef = TableRef { id: TableId(1), slot: 0 };
    const SEED: Seed = Seed(1, 2);
    const ASKED: Tally = Tally { operations: 1, rejections: 2, restarts: 3 };

    fn machine() -> DataMachine {
        let node = Arc::new(Node::new(Config::default(), SEED));
        DataMachine::new(Replica::new(SEED, 1), Arc::new(Host::new(node)))
    }

    fn apply(machine: &mut DataMachine, index: u64, operation: &Operation<'_>) {
        let batch = Batch::from(Bytes::from(entry::encode(operation)));
        let packed = DataMachine::pack(&[batch], Timestamp::from_millis(index));
        machine.apply(index, &packed, &mut Replies::new(false));
    }

    /// A machine that was asked of a table in which nothing was written.
    fn asked() -> DataMachine {
        let mut machine = machine();
        let new = NewTable { table: TABLE, name: "t", options: TableOptions::default() };
        apply(&mut machine, 1, &Operation::Create(new));
        machine.supervision().count(TABLE.id, ASKED);
        assert_eq!(machine.supervision().tallies().len(), 1);
        machine
    }

    fn hand_over(from: &DataMachine, to: &mut DataMachine) {
        let (mut frozen, mut receiving) = (from.freeze(), to.receive());
        while let Some(chunk) = Source::next(&mut frozen, 1 << 10) {
            Target::push(&mut receiving, &chunk).unwrap();
        }
        to.install(receiving).unwrap();
    }

    #[test]
    fn what_was_counted_of_a_table_is_forgotten_with_it_though_nothing_was_written() {
        let mut machine = asked();
        apply(&mut machine, 2, &Operation::Drop(TABLE));
        assert_eq!(machine.supervision().tallies(), []);
        let of_dropped = machine.shared.past.lock().tallies(|_| true);
        assert_eq!(of_dropped, (Vec::new(), ASKED));
    }

    #[test]
    fn what_was_counted_of_a_table_stays_when_the_node_has_the_partition_no_more() {
        let machine = asked();
        let host = Arc::clone(&machine.shared);
        drop(machine);
        assert_eq!(host.past.lock().tallies(|_| true), (vec![(TABLE.id, ASKED)], Tally::default()));
        assert_eq!(host.past.lock().tallies(|_| false), (Vec::new(), ASKED));
    }

    #[test]
    fn a_snapshot_leaves_what_was_counted_of_tables_that_stand() {
        let (mut machine, other) = (asked(), asked());
        hand_over(&other, &mut machine);
        assert_eq!(machine.supervision().tallies(), [(TABLE.id, ASKED)]);
    }

    #[test]
    fn what_was_counted_of_a_table_that_a_snapshot_lacks_is_forgotten() {
        let mut machine = asked();
        hand_over(&self::machine(), &mut machine);
        assert_eq!(machine.supervision().tallies(), []);
    }
}
