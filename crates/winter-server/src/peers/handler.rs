//! What a node does with what its peers ask.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use tokio::time::Instant;
use winter_core::cluster::{Attributes, ClusterId, GroupId, NodeId};

use super::frame::Channel;

/// Who is at the other end of a connection, as it has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub node: NodeId,
    /// Its cluster, if it has one.
    pub cluster: Option<ClusterId>,
    /// What else it says of itself.
    pub attributes: Attributes,
    /// The version of the protocol that is spoken with it.
    pub version: u16,
}

/// What a peer asks or tells.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who.
    pub from: Arc<Peer>,
    /// What it is about.
    pub channel: Channel,
    /// Whom it is for.
    pub group: GroupId,
    /// What it carries.
    pub body: Bytes,
    /// When its caller gives up; `None` when no answer is wanted.
    pub deadline: Option<Instant>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done, and this is the answer.
    Done(Bytes),
    /// Nothing was done and nothing will be: no such channel or group here.
    Declined,
}

/// A request that is worked on.
pub type Handling = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Answers what peers ask.
///
/// A panic is that request's: its caller is told that it failed.
pub trait Handler: Send + Sync + 'static {
    /// Begins with a request. It is called for the requests and messages of one
    /// connection in the order in which they were sent, each after the one
    /// before has returned; what it returns runs beside the others. So whatever
    /// needs the order puts itself in a queue before it returns.
    fn handle(&self, request: Request) -> Handling;

    /// Answers a probe, by anybody of the same application, of whatever cluster.
    fn probe(&self, from: Arc<Peer>, body: Bytes) -> Handling;
}

/// Where nonces come from: chance in a server, a seed in a simulator.
pub trait Entropy: Send + Sync + 'static {
    /// A number that nobody could foresee.
    fn draw(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync + 'static> Entropy for F {
    fn draw(&self) -> u64 {
        self()
    }
}

/// What a handler panicked with.
pub(super) type Panic = Box<dyn Any + Send>;

/// Calls a handler now, and gives what runs it to its end.
pub(super) fn caught(
    begin: impl FnOnce() -> Handling,
) -> impl Future<Output = Result<Answer, Panic>> + Send {
    let mut begun = catch_unwind(AssertUnwindSafe(begin)).map_err(Some);
    std::future::poll_fn(move |context| {
        let handling = match &mut begun {
            Ok(handling) => handling,
            Err(panic) => {
                return Poll::Ready(Err(panic.take().expect("polled once after its end")));
            }
        };
        match catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(context))) {
            Ok(answered) => answered.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
}
