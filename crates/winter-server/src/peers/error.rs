//! What callers are told. The line is drawn at what was done: a call that was
//! not sent may be made again, of one that is lost nobody knows.

use super::reason::Reason;

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing was done: the call did not leave this node, or the peer said
    /// that it did not begin it. It may be made again.
    #[error("nothing was done: {0}")]
    NotSent(#[from] NotSent),
    /// The call left this node and may have been done, once.
    #[error("it may have been done: {0}")]
    Lost(#[from] Lost),
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// No such peer was ever named, or it was forgotten.
    #[error("the peer is unknown")]
    UnknownPeer,
    /// This node has no cluster yet.
    #[error("this node has no cluster yet")]
    NoCluster,
    /// The peer cannot be reached; it is dialled again all the time.
    #[error("the peer is out of reach")]
    Unreachable,
    /// The peer, or who answers at its address, was refused or refuses us.
    #[error("refused: {0}")]
    Refused(Reason),
    /// Too many calls wait here.
    #[error("too many calls wait for the peer")]
    QueueFull,
    /// The body is above the limit.
    #[error("the body is above the limit")]
    TooLong,
    /// The deadline came before the call was sent.
    #[error("the deadline came before it was sent")]
    Deadline,
    /// The peer knows no such channel or group.
    #[error("the peer declined")]
    Declined,
    /// The peer has too much under way.
    #[error("the peer is busy")]
    Busy,
    /// The peer is stopping.
    #[error("the peer is stopping")]
    Stopping,
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopped,
}

/// Why nobody knows what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The deadline came after the call was sent.
    #[error("the deadline came before the answer")]
    Deadline,
    /// The connection ended after the call was sent.
    #[error("the connection ended before the answer")]
    Closed,
    /// The peer began it, and failed.
    #[error("the peer failed")]
    Failed,
}

/// Why a probe has no answer. Whether it was looked at, nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Nobody is there, or nobody answers in time.
    #[error("out of reach: {0}")]
    Unreachable(String),
    /// Who is there refuses us, or is refused.
    #[error("refused ({reason}): {told}")]
    Refused {
        /// Why.
        reason: Reason,
        /// In its words.
        told: String,
    },
    /// It had nothing to say to this.
    #[error("declined")]
    Declined,
    /// The body is above the limit.
    #[error("the body is above the limit")]
    TooLong,
}
