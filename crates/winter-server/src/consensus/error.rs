//! Why something was not done, and whether it may have been all the same.

use winter_core::cluster::NodeId;

/// Why a proposal has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was done: this replica does not lead. `leader` does, as far as
    /// is known here.
    #[error("this replica does not lead")]
    NotLeader {
        /// Whom to ask instead.
        leader: Option<NodeId>,
    },
    /// Nothing was done: too much waits, or the log is full. It passes.
    #[error("too much is waiting")]
    Busy,
    /// Nothing was done: no majority answers.
    #[error("no majority of the replicas answers")]
    Unavailable,
    /// It may have been done, or may be done yet.
    #[error("the outcome is not known")]
    Unknown,
    /// Nothing was done: the group has stopped here.
    #[error("the group has stopped on this node")]
    Stopped,
}

/// Why this replica may not answer a read. Nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This replica does not lead. `leader` does, as far as is known here.
    #[error("this replica does not lead")]
    NotLeader {
        /// Whom to ask instead.
        leader: Option<NodeId>,
    },
    /// No majority confirms in time that this replica leads.
    #[error("no majority of the replicas answers")]
    Unavailable,
    /// The group has stopped here.
    #[error("the group has stopped on this node")]
    Stopped,
}

/// Why a change of a group's replicas or of its leader did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Nothing was done: this replica does not lead.
    #[error("this replica does not lead")]
    NotLeader {
        /// Whom to ask instead.
        leader: Option<NodeId>,
    },
    /// Nothing was done: the last change is not committed yet.
    #[error("another change is under way")]
    InProgress,
    /// Nothing was done: the change makes no sense for this group as it is.
    #[error("refused: {0}")]
    Refused(String),
    /// It did not come about in time, and may yet. See the group's status.
    #[error("the outcome is not known")]
    Unknown,
    /// The group has stopped here; what was begun may yet come about.
    #[error("the group has stopped on this node")]
    Stopped,
}

/// Why a group did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the group cannot start: {0}")]
pub struct StartError(pub(crate) String);
