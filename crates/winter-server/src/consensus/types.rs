//! What openraft is told of our types.

use std::any::Any;
use std::fmt;

use bytes::Bytes;
use openraft::RaftTypeConfig;
use openraft::raft::responder::Responder;
use openraft::type_config::alias;
use openraft::vote::RaftLeaderId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use winter_core::cluster::{Address, NodeId};

use super::pace::Paced;

/// The types of every group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Types;

impl RaftTypeConfig for Types {
    type D = Command;
    type R = Applied;
    type NodeId = NodeId;
    type Node = Seat;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, NodeId>;
    type Vote = openraft::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Command, NodeId, Seat>;
    type Entry = openraft::Entry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type Responder<T>
        = OnComplete<T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type AsyncRuntime = Paced;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// A term, the node that leads in it, and an index.
pub(super) type LogId = alias::LogIdOf<Types>;
/// A term and the node that leads in it.
pub(super) type LeaderId = alias::CommittedLeaderIdOf<Types>;
pub(super) type Vote = alias::VoteOf<Types>;
pub(super) type Entry = alias::EntryOf<Types>;
pub(super) type Membership = openraft::Membership<NodeId, Seat>;
pub(super) type StoredMembership = alias::StoredMembershipOf<Types>;
pub(super) type SnapshotMeta = alias::SnapshotMetaOf<Types>;
pub(super) type Snapshot<D> = alias::SnapshotOf<Types, D>;

/// A replica's seat in its group: where its node is, and which of the replicas it is
/// that the node has had of the group. One that was let go has forgotten its vote
/// and its log, and the one that comes after it must never be taken for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seat {
    pub address: String,
    pub incarnation: u64,
}

impl Seat {
    pub(super) fn new(address: &Address, incarnation: u64) -> Self {
        Self { address: address.to_string(), incarnation }
    }
}

/// An entry's bytes, which only the machine understands.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Command(pub Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}

/// The replies to an entry's operations, of a type that only the machine knows,
/// on their way from where it is applied to where it was proposed. They never
/// leave the process, though openraft asks for the traits of what does.
#[derive(Debug, Default)]
pub(super) struct Applied(pub Option<Box<dyn Any + Send + Sync>>);

impl Serialize for Applied {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("replies do not leave their process"))
    }
}

impl<'de> Deserialize<'de> for Applied {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom("replies do not leave their process"))
    }
}

/// Runs when an entry was applied here, or failed to be.
pub(super) struct OnComplete<T>(Box<dyn FnOnce(T) + Send>);

impl<T> OnComplete<T> {
    pub(super) fn new(run: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(run))
    }
}

impl<T: Send + 'static> Responder<Types, T> for OnComplete<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}
