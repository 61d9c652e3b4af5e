//! How a group reaches its other replicas.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tokio::time::Instant;
use winter_core::cluster::{GroupId, NodeId};

/// An answer to come.
pub type Answer = Pin<Box<dyn Future<Output = Result<Bytes, TransportError>> + Send>>;

/// Carries a group's messages to the same group on another node, where
/// [`Group::receive`](super::Group::receive) answers them.
pub trait Transport: Send + Sync + 'static {
    /// Sends `body` to `to` and awaits the answer, until `deadline`.
    ///
    /// It must arrive at exactly this node and group, or nowhere: a node that
    /// has the same address as one before it is not the same.
    fn call(
        &self,
        to: NodeId,
        group: GroupId,
        lane: Lane,
        body: Bytes,
        deadline: Instant,
    ) -> Answer;
}

/// Which of a peer's connections carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Small and awaited: heartbeats, votes, entries.
    Prompt,
    /// Chunks of snapshots, which nothing else should wait behind.
    Bulk,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nothing left this node.
    #[error("the peer is out of reach")]
    NotSent,
    /// It may have arrived.
    #[error("the peer did not answer")]
    Lost,
}
