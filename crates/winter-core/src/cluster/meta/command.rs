//! What can be asked of the meta group, what it answers, and how a command
//! stands in the log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{MemberState, Profile, Swap, TableState};
use crate::cluster::entry::TableRef;
use crate::cluster::{ClusterId, GroupId, NodeId, stored};
use crate::command::TableOptions;
use crate::store::TableId;
use crate::time::Timestamp;

/// The format of a command in the log, its first byte.
const FORMAT: u8 = 1;

/// A command of the meta group. Variants are only added, at the end, and keep
/// their fields: what is written does not say what it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetaCommand {
    /// Begin. The first command of every cluster.
    Found {
        /// The cluster.
        cluster: ClusterId,
        /// Partitions.
        partitions: u16,
        /// Copies of each that are wanted.
        replicas: u8,
        /// The secret of every index, drawn by the founder.
        secret: (u64, u64),
        /// The format that all founders speak.
        format: u16,
        /// The founders. They are up.
        members: BTreeMap<NodeId, Profile>,
        /// The first voters of the meta group and of every partition.
        groups: BTreeMap<GroupId, BTreeSet<NodeId>>,
    },
    /// Let a node in.
    Join {
        /// Who.
        node: NodeId,
        /// What it says of itself.
        profile: Profile,
    },
    /// A joining member is ready for replicas.
    Ready(NodeId),
    /// A member wants to go: it gets no more replicas, and its own are taken over.
    Leave(NodeId),
    /// A member is no more: it has left, or was not heard of for too long.
    Dead(NodeId),
    /// Speak a newer format, which every member knows.
    RaiseFormat(u16),
    /// Make a table, unless one of its name stands. Partitions take it in next.
    CreateTable {
        /// Its name.
        name: String,
        /// What it allows.
        #[serde(with = "stored::options")]
        options: TableOptions,
    },
    /// Every partition has the table.
    OpenTable(#[serde(with = "stored::table_id")] TableId),
    /// Drop a table. Partitions let go of it next.
    DropTable(#[serde(with = "stored::table_id")] TableId),
    /// Every partition has let go of the table: its slot is free.
    ReleaseTable(#[serde(with = "stored::table_id")] TableId),
    /// Take a fenced table back into service, on every node.
    ReviveTable(#[serde(with = "stored::table_id")] TableId),
    /// Begin a change of a group's voters.
    PlanMove {
        /// Whose.
        group: GroupId,
        /// Which.
        swap: Swap,
    },
    /// The group has made the change.
    FinishMove {
        /// Whose.
        group: GroupId,
        /// The change's number.
        number: u64,
    },
    /// The group has not made the change, and will not.
    AbandonMove {
        /// Whose.
        group: GroupId,
        /// The change's number.
        number: u64,
    },
    /// Go on after majorities were lost, as another cluster. See
    /// [`recovery`](crate::cluster::recovery).
    Recover {
        /// The cluster's identity from here on.
        cluster: ClusterId,
        /// Members that are out of reach. They are dead.
        lost: BTreeSet<NodeId>,
        /// The one voter of each group from here on.
        heirs: BTreeMap<GroupId, NodeId>,
        /// Whether a partition begins anew, so that tables have to come to it.
        begins_anew: bool,
    },
    /// Dissolve: the cluster has no table, and its nodes join this other one.
    Dissolve(ClusterId),
}

/// What the meta group answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetaReply {
    /// Done now.
    Done,
    /// It was so already: nothing was changed.
    Already,
    /// The table that stands under the name, or is opened or dropped now.
    Table {
        /// Which.
        table: TableRef,
        /// Where it stands.
        state: TableState,
        /// Whether this command brought it there.
        is_new: bool,
    },
    /// The group's change is under way.
    Planned {
        /// The change's number.
        number: u64,
        /// Whether this command began it.
        is_new: bool,
    },
    /// It cannot be: nothing was changed.
    Refused(Refusal),
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The first command founds the cluster.
    #[error("the cluster is not founded yet")]
    NotFounded,
    /// There is a cluster already.
    #[error("the cluster {0} was founded already")]
    Founded(ClusterId),
    /// Its figures are past their limits, or its groups are not made of its members.
    #[error("the founding does not hold together")]
    BadFounding,
    /// Its name is too long.
    #[error("the member's profile is past its limits")]
    BadProfile,
    /// Another member has this identity, by chance. The node draws another.
    #[error("another member has the identity {0}")]
    IdTaken(NodeId),
    /// Never a member.
    #[error("{0} is no member")]
    UnknownMember(NodeId),
    /// Identities never come back. The node starts anew.
    #[error("{0} is dead, and does not come back under its identity")]
    Gone(NodeId),
    /// Members go from joining to up to leaving to dead.
    #[error("the member is {0:?}")]
    WrongState(MemberState),
    /// As many as there may be.
    #[error("there are as many members as there may be")]
    MembersFull,
    /// Somebody does not speak the format.
    #[error("format {format} is not spoken by a release that knows up to {newest}")]
    Unspoken {
        /// The format.
        format: u16,
        /// The newest that somebody speaks.
        newest: u16,
    },
    /// The name cannot be a table's.
    #[error("a table cannot have this name")]
    BadName,
    /// As many as there may be, those among them that are being dropped.
    #[error("there are as many tables as there may be")]
    TablesFull,
    /// There is no such table any more, or never was.
    #[error("there is no such table")]
    MissingTable,
    /// The table has not come, or gone, so far.
    #[error("the table is {0:?}")]
    WrongTableState(TableState),
    /// No such group.
    #[error("there is no group {0}")]
    UnknownGroup(GroupId),
    /// One change at a time.
    #[error("another change of the group is under way")]
    Changing,
    /// The swap cannot be made of the group's voters, or adds who is not up.
    #[error("the group's voters cannot be changed so")]
    BadSwap,
    /// Most of the voters are dead, or would be.
    #[error("the group has no majority to change it")]
    NoMajority,
    /// The group's change has another number, or there is none.
    #[error("no change of this number is under way")]
    UnknownChange,
    /// It does not give each group, and no other, to a member that is left.
    #[error("the recovery is not of this cluster's groups and members")]
    BadRecovery,
    /// A cluster that has tables goes on.
    #[error("the cluster has tables, and does not dissolve")]
    HasTables,
    /// Its nodes start anew, and join another.
    #[error("the cluster has dissolved; its nodes join cluster {0}")]
    Dissolved(ClusterId),
}

/// Why a command of the log cannot be read. The meta group stops on this node:
/// to skip one would be to disagree with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackFault {
    /// A later release wrote it.
    #[error("the command has format {0}, and this release reads up to {FORMAT}")]
    Newer(u8),
    /// No command of any format.
    #[error("the command cannot be read")]
    Corrupt,
}

/// A command as it stands in the log, with its leader's stamp.
#[must_use]
pub fn pack(at: Timestamp, command: &MetaCommand) -> Vec<u8> {
    postcard::to_extend(&(FORMAT, at.as_millis(), command), Vec::new())
        .expect("a vector takes whatever is written to it")
}

/// The stamp and the command of an entry of the log.
///
/// # Errors
/// When the bytes are no command that this release knows.
pub fn unpack(bytes: &[u8]) -> Result<(Timestamp, MetaCommand), PackFault> {
    match bytes.first() {
        Some(&newer) if newer > FORMAT => return Err(PackFault::Newer(newer)),
        Some(&FORMAT) => {}
        _ => return Err(PackFault::Corrupt),
    }
    let ((millis, command), rest) =
        postcard::take_from_bytes(&bytes[1..]).map_err(|_| PackFault::Corrupt)?;
    if rest.is_empty() {
        Ok((Timestamp::from_millis(millis), command))
    } else {
        Err(PackFault::Corrupt)
    }
}
