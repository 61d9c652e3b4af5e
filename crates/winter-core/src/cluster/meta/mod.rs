//! What the whole cluster agrees on: its members, its tables, and which members
//! hold which partition. The state machine of the meta group.
//!
//! [`Meta::apply`] is total and deterministic, a refused command changes
//! nothing, and a command that is repeated because its outcome was not known
//! does no harm. Decisions travel in commands: where replicas go is worked out
//! by [`placement`](super::placement) before a command is proposed, never here,
//! so that releases may place differently and still replay one log alike.
//!
//! **Members.** An identity that was dead never comes back. A dead member stays
//! known by name while a group still counts it; then only its identity is kept.
//!
//! **Tables.** Making one takes two steps, and so does dropping one: between
//! the commit here and the confirmation that follows, every partition takes the
//! table in or lets go of it. Whoever finds a table between the steps may go on
//! with it. A slot is given out again only after the second step of a drop.
//!
//! **Groups.** One change at a time, and each has a number, so that a late
//! confirmation of one cannot end another.

mod apply;
mod command;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use command::{MetaCommand, MetaReply, PackFault, Refusal, pack, unpack};
pub use snapshot::SnapshotFault;

use super::entry::TableRef;
use super::{Address, Attributes, ClusterId, GroupId, NodeId, PartitionId, stored};
use crate::command::{TableOptions, Version};
use crate::store::{Seed, Slots, TableId, first_version, partition_of};
use crate::time::Timestamp;

/// The newest format of logs and peers that this release speaks.
pub const FORMAT: u16 = 1;
/// Most members, dead ones among them that groups still count.
pub const MEMBERS_MAX: usize = 512;
/// Dead identities that are kept, the latest of them.
pub const MEMBERS_GONE_MAX: usize = 65_536;
/// Longest name of a member, in bytes.
pub const MEMBER_NAME_BYTES_MAX: usize = 253;
/// Most partitions of a cluster.
pub const PARTITIONS_MAX: u16 = 256;
/// Most copies of a partition.
pub const REPLICAS_MAX: u8 = 7;

/// What was fixed when the cluster was founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The cluster.
    pub cluster: ClusterId,
    /// When it was founded.
    #[serde(with = "stored::timestamp")]
    pub at: Timestamp,
    /// Partitions, 1 to [`PARTITIONS_MAX`].
    pub partitions: u16,
    /// Copies of each that are wanted, 1 to [`REPLICAS_MAX`].
    pub replicas: u8,
    /// The secret of every index: a scan's cursor is a place in the order that it
    /// makes, and must mean the same to every leader.
    pub secret: (u64, u64),
}

/// What a member says of itself when it joins. It stays so until the member's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name, and where its peers reach it.
    pub attributes: Attributes,
    /// Where clients reach it.
    pub client_address: Address,
    /// The newest format that it speaks.
    pub format: u16,
}

/// Where a member stands. It only ever goes down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemberState {
    /// Let in, and not ready for replicas yet.
    Joining,
    /// Ready for replicas.
    Up,
    /// It wants to go, and still holds what others have not taken over.
    Leaving,
    /// It is no more, and will not be again.
    Dead,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it said of itself.
    pub profile: Profile,
    /// Where it stands.
    pub state: MemberState,
    /// Since when.
    #[serde(with = "stored::timestamp")]
    pub since: Timestamp,
}

/// Where a table stands. It only ever goes down this list, but that a recovery
/// opens tables again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TableState {
    /// Partitions are taking it in; nobody was told that it is created.
    Opening,
    /// Every partition has it.
    Open,
    /// Partitions are letting go of it; its name is free.
    Dropping,
}

/// A table as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaTable {
    /// Its identity and slot.
    pub table: TableRef,
    /// Its name.
    pub name: String,
    /// What it allows.
    #[serde(with = "stored::options")]
    pub options: TableOptions,
    /// Where it stands.
    pub state: TableState,
    /// Since when.
    #[serde(with = "stored::timestamp")]
    pub since: Timestamp,
    /// How often it was revived. Each node lifts its own fence when this grows.
    pub revivals: u64,
}

/// A change of one group's voters: one comes, one goes, or one takes another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Swap {
    /// Who becomes a voter.
    pub add: Option<NodeId>,
    /// Who ceases to be one.
    pub remove: Option<NodeId>,
}

/// A swap that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its number, never used twice.
    pub number: u64,
    /// What changes.
    pub swap: Swap,
    /// When it was planned.
    #[serde(with = "stored::timestamp")]
    pub since: Timestamp,
}

/// Which replica of a group a node has, when it never had another.
pub const FIRST_INCARNATION: u64 = 0;

impl Change {
    /// Which of its node's replicas of the group the one is that comes: another than
    /// any before it, for those that were let go have forgotten all. Of the meta
    /// group a node has the same replica for as long as it lives.
    #[must_use]
    pub const fn incarnation(&self, group: GroupId) -> u64 {
        match group {
            GroupId::Meta => FIRST_INCARNATION,
            GroupId::Data(_) => self.number,
        }
    }
}

/// Who holds a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its voters, as of the last change that was finished.
    pub voters: BTreeSet<NodeId>,
    /// The change under way.
    pub change: Option<Change>,
}

/// The cluster's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The highest time that was brought.
    #[serde(with = "stored::timestamp")]
    clock: Timestamp,
    /// Counts the commands that changed something.
    revision: u64,
    /// The format that every member speaks.
    format: u16,
    founding: Option<Founding>,
    members: BTreeMap<NodeId, Member>,
    /// The dead that no group counts any more, and since when they are dead.
    gone: BTreeMap<NodeId, u64>,
    #[serde(serialize_with = "write_tables", deserialize_with = "read_tables")]
    tables: BTreeMap<TableId, MetaTable>,
    groups: BTreeMap<GroupId, Group>,
    last_table: u64,
    last_change: u64,
    /// The cluster that its nodes join, once it has dissolved.
    dissolved: Option<ClusterId>,
    #[serde(skip)]
    index: Index,
}

/// What follows from the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Index {
    /// The tables that were not dropped.
    by_name: BTreeMap<String, TableId>,
    slots: Slots,
    /// Those between two steps.
    unsettled: BTreeSet<TableId>,
    /// Those that have a quota.
    quotas: BTreeSet<TableId>,
    /// Those that were revived.
    revived: BTreeSet<TableId>,
}

impl Index {
    /// Takes in how a table stands now.
    fn note(&mut self, table: &MetaTable) {
        let put = |is_in, tables: &mut BTreeSet<TableId>| match is_in {
            true => tables.insert(table.table.id),
            false => tables.remove(&table.table.id),
        };
        put(table.state != TableState::Open, &mut self.unsettled);
        put(table.options.has_quota(), &mut self.quotas);
        put(table.revivals > 0, &mut self.revived);
    }

    /// Lets go of a table.
    fn forget(&mut self, id: TableId, slot: u32) {
        self.slots.release(slot);
        for tables in [&mut self.unsettled, &mut self.quotas, &mut self.revived] {
            tables.remove(&id);
        }
    }
}

impl Swap {
    /// The voters after the swap, or `None` when it cannot be made of these:
    /// it changes nothing, adds who is there, removes who is not, or leaves nobody.
    #[must_use]
    pub fn target(&self, voters: &BTreeSet<NodeId>) -> Option<BTreeSet<NodeId>> {
        let mut target = voters.clone();
        let removes = self.remove.is_none_or(|node| target.remove(&node));
        let adds = self.add.is_none_or(|node| !voters.contains(&node) && target.insert(node));
        let changes = self.add.is_some() || self.remove.is_some();
        (removes && adds && changes && !target.is_empty()).then_some(target)
    }
}

impl Group {
    /// The voters once the change under way is finished.
    #[must_use]
    pub fn target(&self) -> BTreeSet<NodeId> {
        match &self.change {
            Some(change) => change.swap.target(&self.voters).expect("a change is checked"),
            None => self.voters.clone(),
        }
    }

    /// Whether the group counts `node`, as a voter or as one to be.
    #[must_use]
    pub fn names(&self, node: NodeId) -> bool {
        self.voters.contains(&node)
            || self.change.is_some_and(|change| change.swap.add == Some(node))
    }

    /// The incarnation of the replica that `node` is about to have of this group, if
    /// the change under way brings it one.
    #[must_use]
    pub fn comes_to(&self, id: GroupId, node: NodeId) -> Option<u64> {
        let change = self.change.filter(|change| change.swap.add == Some(node))?;
        (!self.voters.contains(&node)).then(|| change.incarnation(id))
    }
}

impl Meta {
    /// The cluster that its nodes join, once it has dissolved. It takes in neither
    /// tables nor members then.
    #[must_use]
    pub const fn dissolved(&self) -> Option<ClusterId> {
        self.dissolved
    }

    /// What was fixed when the cluster was founded; `None` before.
    #[must_use]
    pub const fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// Grows with every command that changed something.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The format that every member speaks.
    #[must_use]
    pub const fn format(&self) -> u16 {
        self.format
    }

    /// Where the versions of entries begin: those of the founding.
    #[must_use]
    pub fn first_version(&self) -> Option<Version> {
        self.founding.map(|founding| first_version(founding.at))
    }

    /// The secret of every index of the cluster.
    #[must_use]
    pub fn seed(&self) -> Option<Seed> {
        self.founding.map(|founding| Seed(founding.secret.0, founding.secret.1))
    }

    /// The members, dead ones among them that groups still count.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<NodeId, Member> {
        &self.members
    }

    /// Whether `node` was a member, and is dead or has left.
    #[must_use]
    pub fn is_gone(&self, node: NodeId) -> bool {
        self.gone.contains_key(&node)
            || self.members.get(&node).is_some_and(|member| member.state == MemberState::Dead)
    }

    /// Whether `node` is a member that is not dead.
    #[must_use]
    pub fn is_live(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.state != MemberState::Dead)
    }

    /// The table of this name that was not dropped.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&MetaTable> {
        self.index.by_name.get(name).map(|id| &self.tables[id])
    }

    /// The table of this identity, until its slot is released.
    #[must_use]
    pub fn table_by_id(&self, id: TableId) -> Option<&MetaTable> {
        self.tables.get(&id)
    }

    /// Every table, in the order of creation.
    pub fn tables(&self) -> impl Iterator<Item = &MetaTable> {
        self.tables.values()
    }

    /// The names of the tables that were not dropped, in their order.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.index.by_name.keys().map(String::as_str)
    }

    /// Tables between two steps, which somebody must go on with.
    pub fn unsettled_tables(&self) -> impl Iterator<Item = &MetaTable> {
        self.index.unsettled.iter().map(|id| &self.tables[id])
    }

    /// Tables that have a quota.
    pub fn tables_with_quota(&self) -> impl Iterator<Item = &MetaTable> {
        self.index.quotas.iter().map(|id| &self.tables[id])
    }

    /// Tables that were revived.
    pub fn revived_tables(&self) -> impl Iterator<Item = &MetaTable> {
        self.index.revived.iter().map(|id| &self.tables[id])
    }

    /// A copy of all but the tables, which may be many.
    #[must_use]
    pub fn without_tables(&self) -> Self {
        let Self { clock, revision, format, founding, last_table, last_change, dissolved, .. } =
            *self;
        Self {
            clock,
            revision,
            format,
            founding,
            members: self.members.clone(),
            gone: self.gone.clone(),
            tables: BTreeMap::new(),
            groups: self.groups.clone(),
            last_table,
            last_change,
            dissolved,
            index: Index::default(),
        }
    }

    /// Every group, the meta group first.
    #[must_use]
    pub const fn groups(&self) -> &BTreeMap<GroupId, Group> {
        &self.groups
    }

    /// One group.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// Which partition a key belongs to, given the hash of its table's name;
    /// `None` before the founding.
    #[must_use]
    pub fn partition_of(&self, table_hash: u64, key: &[u8]) -> Option<PartitionId> {
        let founding = self.founding.as_ref()?;
        Some(PartitionId(partition_of(table_hash, key, founding.partitions)))
    }

    /// Whether no group was ever changed, so that its voters are those it was founded with.
    #[must_use]
    pub const fn is_as_founded(&self) -> bool {
        self.last_change == 0
    }

    /// Whether a majority of `voters` is not dead.
    #[must_use]
    pub fn has_majority(&self, voters: &BTreeSet<NodeId>) -> bool {
        let live = voters.iter().filter(|&&node| self.is_live(node)).count();
        live > voters.len() / 2
    }
}

fn write_tables<S: Serializer>(
    tables: &BTreeMap<TableId, MetaTable>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(tables.values())
}

fn read_tables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<TableId, MetaTable>, D::Error> {
    let tables = Vec::<MetaTable>::deserialize(deserializer)?;
    Ok(tables.into_iter().map(|table| (table.table.id, table)).collect())
}
