//! Commands on tables as a whole. Making and dropping a table commits in the
//! meta group and is then done by every partition, before it is answered.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use tokio::time::Instant;
use winter_core::cluster::meta::{MetaCommand, MetaReply, Refusal, TableState};
use winter_core::cluster::{GroupId, PartitionId};
use winter_core::command::{Scan, TableCommand, TableOptions};
use winter_core::fault::{Fault, Kind};
use winter_core::limits::TABLES_MAX;
use winter_core::reply::Reply;
use winter_core::store::TableId;
use winter_core::store::index::Tag;
use winter_core::store::partition::Holdings;

use super::Inner;
use super::leader::unknown;
use super::wire::{self, Affair, Answer, Ask, Held, NewTable, Proposed, Scanned};
use crate::node::memory::Memory;
use crate::node::scan::Step;
use crate::node::table::{Described, Tally};

/// What a partition counts of a table, if it has it.
type Counted = Result<Option<u64>, Answer>;

/// A reply, or a fault that is one.
type Replied = Result<Reply<'static>, Fault>;

/// A command on a table, as a session hands it over.
#[derive(Clone, Debug)]
pub enum Whole {
    /// `CREATE`
    Create(String, TableOptions),
    /// `DROP`
    Drop(String),
    /// `COUNT`
    Count(String),
    /// `SCAN`: the table, the cursor, the prefix, the count.
    Scan(String, u64, Vec<u8>, u64),
    /// `DESCRIBE`
    Describe(String),
    /// `REVIVE`
    Revive(String),
    /// `TABLES`
    Names,
}

impl From<&TableCommand<'_>> for Whole {
    fn from(command: &TableCommand<'_>) -> Self {
        match command {
            TableCommand::Create(name, options) => Self::Create((*name).to_owned(), *options),
            TableCommand::Drop(name) => Self::Drop((*name).to_owned()),
            TableCommand::Count(name) => Self::Count((*name).to_owned()),
            TableCommand::Scan(name, Scan { cursor, prefix, count }) => {
                Self::Scan((*name).to_owned(), *cursor, prefix.to_vec(), *count)
            }
            TableCommand::Describe(name) => Self::Describe((*name).to_owned()),
            TableCommand::Revive(name) => Self::Revive((*name).to_owned()),
        }
    }
}

impl Inner {
    /// Does a command on a table as a whole.
    pub(crate) async fn run_whole(self: &Arc<Self>, command: Whole) -> Reply<'static> {
        if self.map().cluster.is_none() {
            return Reply::Fault(self.unavailable(GroupId::Meta));
        }
        let deadline = Instant::now() + self.command_timeout;
        let replied = match command {
            Whole::Create(name, options) => self.create(name, options, deadline).await,
            Whole::Drop(name) => self.drop_table(name, deadline).await,
            Whole::Count(name) => self.count(&name, deadline).await,
            Whole::Scan(name, cursor, prefix, count) => {
                self.scan(&name, Scan { cursor, prefix: &prefix, count }, deadline).await
            }
            Whole::Describe(name) => self.describe(name, deadline).await,
            Whole::Revive(name) => self.revive(name, deadline).await,
            Whole::Names => self.of_meta(&Affair::Names, deadline).await.map(Reply::Lines),
        };
        replied.unwrap_or_else(Reply::Fault)
    }

    async fn create(
        self: &Arc<Self>,
        name: String,
        options: TableOptions,
        deadline: Instant,
    ) -> Replied {
        // Every node keeps all tables in mind.
        if self.limits.is_full(|| self.map().nodes())
            && self.find(name.clone(), deadline).await?.is_none()
        {
            let fault = Memory::full_elsewhere("the tables, as all do,");
            self.node.stats.events.count_rejection(&fault);
            return Err(fault);
        }
        let command = MetaCommand::CreateTable { name: name.clone(), options };
        let (is_new, table) = match self.proposed_once(command, deadline).await? {
            MetaReply::Table { state: TableState::Open, .. } => {
                return Ok(Reply::Word("already created"));
            }
            MetaReply::Table { is_new, table, .. } => (is_new, table),
            MetaReply::Refused(refusal) => return Err(refused(refusal)),
            _ => return Err(unknown()),
        };
        // It is begun with, and whoever leads the meta group goes on with it if this node does not.
        // Another may have begun with it, with other options: what stands holds.
        let stands = self.find(name.clone(), deadline).await.map_err(|_| unknown())?;
        let settled = match stands.filter(|new| new.table == table) {
            Some(new) => self.open(&new, deadline).await,
            // It was dropped before it was open; and with it goes what it came after.
            None => self.see_off(&name, TableId(u64::MAX), deadline).await,
        };
        settled.map_err(|_| unknown())?;
        if is_new && self.node.lines.tables() {
            tracing::info!(table = name, %options, "a table was created");
        }
        Ok(Reply::Word(if is_new { "created" } else { "already created" }))
    }

    /// Sees to it that no partition serves a dropped table of this name, earlier
    /// than `before`, any more. Else somebody could be told that it is gone, and
    /// still read it. There may be several: a name is free again as soon as its
    /// table's drop has begun, and the table that has it next may be dropped, too,
    /// before anybody has let go of the first.
    async fn see_off(
        self: &Arc<Self>,
        name: &str,
        before: TableId,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let leaving: Vec<NewTable> =
            self.of_meta(&Affair::Leaving(name.to_owned()), deadline).await?;
        for left in leaving.iter().filter(|left| left.table.id < before) {
            self.release(left, deadline).await?;
        }
        Ok(())
    }

    /// Lets every partition take a table in, and then says so to the meta group.
    pub(crate) async fn open(
        self: &Arc<Self>,
        new: &NewTable,
        deadline: Instant,
    ) -> Result<(), Fault> {
        self.see_off(&new.name, new.table.id, deadline).await?;
        self.of_all::<()>(&Ask::Create(new.clone()), deadline).await?;
        self.propose(MetaCommand::OpenTable(new.table.id), deadline).await.map(drop)
    }

    /// Lets every partition let go of a table, and then says so to the meta group.
    pub(crate) async fn release(
        self: &Arc<Self>,
        new: &NewTable,
        deadline: Instant,
    ) -> Result<(), Fault> {
        self.of_all::<()>(&Ask::Drop(new.table), deadline).await?;
        self.propose(MetaCommand::ReleaseTable(new.table.id), deadline).await.map(drop)
    }

    async fn drop_table(self: &Arc<Self>, name: String, deadline: Instant) -> Replied {
        let is_new = match self.find(name.clone(), deadline).await? {
            Some(new) => {
                let drop = MetaCommand::DropTable(new.table.id);
                let reply = self.proposed_once(drop, deadline).await?;
                matches!(reply, MetaReply::Table { is_new: true, .. })
            }
            None => false,
        };
        let gone = self.see_off(&name, TableId(u64::MAX), deadline).await;
        if !is_new {
            return gone.map(|()| Reply::MissingTable);
        }
        gone.map_err(|_| unknown())?;
        if self.node.lines.tables() {
            tracing::info!(table = name, "a table was dropped");
        }
        Ok(Reply::Word("dropped"))
    }

    async fn revive(self: &Arc<Self>, name: String, deadline: Instant) -> Replied {
        let Some(new) = self.find(name, deadline).await? else { return Ok(Reply::MissingTable) };
        match self.propose(MetaCommand::ReviveTable(new.table.id), deadline).await? {
            MetaReply::Refused(_) => Ok(Reply::MissingTable),
            _ => Ok(Reply::Word("ok")),
        }
    }

    async fn count(self: &Arc<Self>, name: &str, deadline: Instant) -> Replied {
        let counts: Vec<Counted> = self.of_all(&Ask::Count(name), deadline).await?;
        let counts: Vec<Option<u64>> = counts.into_iter().collect::<Result<_, _>>()?;
        let sum = counts.into_iter().sum::<Option<u64>>();
        Ok(sum.map_or(Reply::MissingTable, Reply::Integer))
    }

    async fn scan(self: &Arc<Self>, name: &str, scan: Scan<'_>, deadline: Instant) -> Replied {
        let partitions = self.map().partitions.len();
        let mut step = Step::begin(&scan, partitions)?;
        if partitions == 0 {
            return Err(self.unavailable(GroupId::Meta));
        }
        let seed = self.map().seed.unwrap_or(self.seed);
        while let Some((number, from, count)) = step.next() {
            let ask = Ask::Scan { table: name, from: from.bits(), prefix: scan.prefix, count };
            let scanned: Result<Option<Scanned>, Answer> =
                self.of_one(number, &ask, deadline).await?;
            let Some(Scanned { next, looked_at, keys }) = scanned? else {
                return Ok(Reply::MissingTable);
            };
            let keys = keys.into_iter().map(ByteBuf::into_vec).collect();
            step.found(keys, next.and_then(Tag::from_bits), looked_at, seed);
        }
        Ok(step.reply())
    }

    async fn describe(self: &Arc<Self>, name: String, deadline: Instant) -> Replied {
        let Some(new) = self.find(name, deadline).await? else { return Ok(Reply::MissingTable) };
        let held: Vec<Option<Held>> = self.of_all(&Ask::Holdings(&new.name), deadline).await?;
        let held = held.into_iter().flatten().fold(Held::default(), |sum, held| Held {
            entries: sum.entries + held.entries,
            bytes: sum.bytes + held.bytes,
            allocated: sum.allocated + held.allocated,
            operations: sum.operations + held.operations,
            rejections: sum.rejections + held.rejections,
            restarts: sum.restarts + held.restarts,
            is_fenced: sum.is_fenced || held.is_fenced,
        });
        let described = Described {
            name: &new.name,
            options: new.options.into(),
            held: Holdings {
                entries: held.entries,
                bytes: held.bytes,
                allocated_bytes: held.allocated,
            },
            tally: Tally {
                operations: held.operations,
                rejections: held.rejections,
                restarts: held.restarts,
            },
            is_fenced: held.is_fenced,
        };
        Ok(Reply::Fields(described.fields()))
    }

    /// The table that has this name now.
    async fn find(
        self: &Arc<Self>,
        name: String,
        deadline: Instant,
    ) -> Result<Option<NewTable>, Fault> {
        self.of_meta(&Affair::Find(name), deadline).await
    }

    async fn of_meta<T: DeserializeOwned>(
        self: &Arc<Self>,
        affair: &Affair,
        deadline: Instant,
    ) -> Result<T, Fault> {
        self.read(GroupId::Meta, wire::encode(affair), deadline).await
    }

    async fn of_one<T: DeserializeOwned>(
        self: &Arc<Self>,
        number: usize,
        ask: &Ask<'_>,
        deadline: Instant,
    ) -> Result<T, Fault> {
        let group = GroupId::Data(PartitionId(u16::try_from(number).unwrap_or(u16::MAX)));
        self.read(group, wire::encode(ask), deadline).await
    }

    /// Asks a group's leader for what may be asked for again.
    async fn read<T: DeserializeOwned>(
        self: &Arc<Self>,
        group: GroupId,
        body: Bytes,
        deadline: Instant,
    ) -> Result<T, Fault> {
        let answer = self.ask_leader(group, body, deadline, true).await.ok().flatten();
        answer.and_then(|answer| wire::decode(&answer)).ok_or_else(|| self.unavailable(group))
    }

    /// Asks every partition at once.
    async fn of_all<T: DeserializeOwned>(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        deadline: Instant,
    ) -> Result<Vec<T>, Fault> {
        let partitions = self.map().partitions.len();
        if partitions == 0 {
            return Err(self.unavailable(GroupId::Meta));
        }
        let asked = (0..partitions).map(|number| self.of_one(number, ask, deadline));
        futures_util::future::join_all(asked).await.into_iter().collect()
    }

    /// Proposes what is answered by whether it was the first to do it: asked again
    /// after it may have been done, it would be told that another was.
    async fn proposed_once(
        self: &Arc<Self>,
        command: MetaCommand,
        deadline: Instant,
    ) -> Result<MetaReply, Fault> {
        let body = wire::encode(&Affair::Propose(command));
        match self.ask_leader(GroupId::Meta, body, deadline, false).await {
            Ok(Some(answer)) => match wire::decode::<Proposed>(&answer) {
                Some(Ok(reply)) => Ok(reply),
                _ => Err(unknown()),
            },
            Ok(None) => Err(self.unavailable(GroupId::Meta)),
            Err(()) => Err(unknown()),
        }
    }
}

fn refused(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Dissolved(_) => Fault::new(
            Kind::Unavailable,
            "the cluster has dissolved, and its nodes join another; nothing was done, send it again",
        ),
        Refusal::TablesFull => Fault::limit("the number of tables", TABLES_MAX, TABLES_MAX),
        other => Fault::usage(other.to_string()),
    }
}

/// An answer that no leader gave.
impl From<Answer> for Fault {
    fn from(answer: Answer) -> Self {
        match answer.reply() {
            Reply::Fault(fault) => fault,
            _ => unknown(),
        }
    }
}
