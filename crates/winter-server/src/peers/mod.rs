//! The link between nodes, at the peer port.
//!
//! A node keeps one connection to each peer for its calls, and makes another
//! when it has much to send (snapshots), so that commands never wait behind
//! that. Answers come on the connection of the call, in any order; what the
//! peer asks comes on connections that the peer has made. A connection begins
//! with a [`handshake`], in which both sides show application, cluster,
//! identity and versions, and goes on in [`frame`]s that belong to it and to
//! nothing else.
//!
//! What callers may rely on:
//! - A call is sent once, never again by itself. [`CallError`] says whether
//!   something may have been done.
//! - Calls to a peer begin there in the order in which they were made, for commands
//!   on the one hand, and for consensus and membership, which go before them, on the
//!   other; see [`Handler::handle`]. Nothing is promised across a connection's end.
//! - Nothing waits without end or grows without bound: every limit is in
//!   [`Options`]. Where a queue is full or a peer is out of reach, calls fail at once.
//! - What comes and is not right ends its own connection, is counted under its
//!   [`Reason`], named in the log, and changes nothing else.
//!
//! Format, versions and how they are updated: `docs/decisions/0012-peer-protocol.md`.

mod answers;
mod connection;
mod counters;
mod dial;
mod error;
pub mod frame;
mod handler;
pub mod handshake;
mod incoming;
mod lane;
mod options;
mod outgoing;
mod probe;
mod reason;
mod urgency;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use winter_core::cluster::{Address, Attributes, ClusterId, GroupId, NodeId};

pub use counters::Counters;
pub use error::{CallError, Lost, NotSent, ProbeError};
pub use frame::Channel;
pub use handler::{Answer, Entropy, Handler, Handling, Peer, Request};
pub use lane::Link;
pub use options::{Options, PROBE_BYTES_MAX};
pub use probe::Probed;
pub use reason::Reason;

use crate::net::link::Listener;
use handshake::{Hello, Own, Purpose};
use lane::Lane;
use outgoing::Dialler;

/// Who a node is, for as long as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The application's name: nodes of another name are refused.
    pub application: String,
    /// Drawn at this start.
    pub node: NodeId,
    /// What else it says of itself.
    pub attributes: Attributes,
}

/// How much waits between this node and its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Calls that wait to be sent.
    pub calls: usize,
    /// Bytes of these.
    pub bytes: usize,
    /// Calls that wait for their answers.
    pub answers: usize,
}

/// A node's link to all others.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    identity: Identity,
    options: Options,
    handler: Arc<dyn Handler>,
    entropy: Arc<dyn Entropy>,
    counters: Counters,
    cluster: watch::Sender<Option<ClusterId>>,
    known: RwLock<BTreeMap<NodeId, Known>>,
    /// Takes nothing more in.
    drain: CancellationToken,
    /// Stops whatever is left.
    kill: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
}

/// A peer to keep connected.
struct Known {
    address: watch::Sender<Address>,
    calls: Arc<Lane>,
    bulk: Arc<Lane>,
    forgotten: CancellationToken,
}

impl Peers {
    /// Takes peers in at `listener`, which is all a node without a cluster does.
    /// To be called within a runtime, in which all connections and handlers then run.
    pub fn start(
        identity: Identity,
        options: Options,
        listener: Listener,
        handler: Arc<dyn Handler>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let shared = Arc::new(Shared {
            identity,
            options,
            handler,
            entropy,
            counters: Counters::default(),
            cluster: watch::Sender::new(None),
            known: RwLock::default(),
            drain: CancellationToken::new(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        });
        shared.tasks.spawn(incoming::accept(listener, Arc::clone(&shared)));
        Self { shared }
    }

    /// Belongs to `cluster` from here on. Connections within another one end,
    /// those to known peers are made anew.
    pub fn set_cluster(&self, cluster: Option<ClusterId>) {
        self.shared.cluster.send_if_modified(|known| {
            let is_other = *known != cluster;
            *known = cluster;
            is_other
        });
    }

    /// Keeps `node` connected from here on, and looks for it at `address`. A
    /// connection that stands is kept when the address changes. A node does not
    /// connect to itself.
    pub fn connect(&self, node: NodeId, address: Address) {
        let shared = &self.shared;
        if node == shared.identity.node || shared.drain.is_cancelled() {
            return;
        }
        let mut all = shared.known.write();
        if let Some(known) = all.get(&node) {
            known.address.send_if_modified(|old| {
                let is_other = *old != address;
                *old = address;
                is_other
            });
            return;
        }
        let known = Known {
            address: watch::Sender::new(address),
            calls: Arc::new(Lane::new(&shared.options, None)),
            bulk: Arc::new(Lane::new(&shared.options, Some(shared.options.bulk_idle))),
            forgotten: CancellationToken::new(),
        };
        for (lane, purpose) in [(&known.calls, Purpose::Calls), (&known.bulk, Purpose::Bulk)] {
            let dialler = Dialler {
                shared: Arc::clone(shared),
                lane: Arc::clone(lane),
                node,
                purpose,
                address: known.address.subscribe(),
                forgotten: known.forgotten.clone(),
            };
            shared.tasks.spawn_on(dialler.run(), &shared.runtime);
        }
        all.insert(node, known);
    }

    /// Forgets a peer: its connections from here end, and calls to it fail.
    pub fn disconnect(&self, node: NodeId) {
        if let Some(known) = self.shared.known.write().remove(&node) {
            known.forgotten.cancel();
        }
    }

    /// Asks a peer, and waits for its answer until `deadline`. To give up
    /// earlier, drop the future: a call that was not sent by then never is.
    ///
    /// # Errors
    /// Whether nothing was done, or nobody knows.
    pub async fn call(
        &self,
        to: NodeId,
        channel: Channel,
        group: GroupId,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let counters = &self.shared.counters;
        counters.calls.bump();
        let answer = match self.lane(to, channel) {
            Ok(lane) => lane.call(channel, group, body, deadline).await,
            Err(error) => Err(error.into()),
        };
        match answer {
            Err(CallError::NotSent(_)) => counters.calls_not_sent.bump(),
            Err(CallError::Lost(_)) => counters.calls_lost.bump(),
            Ok(_) => {}
        }
        answer
    }

    /// Tells a peer something that wants no answer. Whether it arrives, nobody learns.
    ///
    /// # Errors
    /// It was not even queued.
    pub fn send(
        &self,
        to: NodeId,
        channel: Channel,
        group: GroupId,
        body: Bytes,
    ) -> Result<(), NotSent> {
        self.lane(to, channel)?.send(channel, group, body)?;
        self.shared.counters.one_way.bump();
        Ok(())
    }

    /// Asks whoever is at `address`, of whatever cluster of this application,
    /// over a connection of its own. Neither needs to know the other.
    ///
    /// # Errors
    /// Nobody is there, or it is refused.
    pub async fn probe(
        &self,
        address: &Address,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Probed, ProbeError> {
        self.shared.counters.probes.bump();
        probe::probe(&self.shared, address, body, deadline).await
    }

    /// How it stands with a peer's connection for calls, if the peer is known.
    #[must_use]
    pub fn link(&self, node: NodeId) -> Option<Link> {
        self.shared.known.read().get(&node).map(|known| known.calls.link())
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// How much waits, over all peers.
    #[must_use]
    pub fn queues(&self) -> Queues {
        let all = self.shared.known.read();
        let lanes = all.values().flat_map(|known| [&known.calls, &known.bulk]);
        lanes.map(|lane| lane.lengths()).fold(Queues::default(), |sum, (calls, bytes, answers)| {
            Queues {
                calls: sum.calls + calls,
                bytes: sum.bytes + bytes,
                answers: sum.answers + answers,
            }
        })
    }

    /// Stops: takes nothing more in and makes no more calls, lets what is under
    /// way be answered on both sides for up to `grace`, and closes.
    pub async fn shutdown(&self, grace: Duration) {
        let shared = &self.shared;
        shared.drain.cancel();
        shared.tasks.close();
        if timeout(grace, shared.tasks.wait()).await.is_err() {
            tracing::info!("some peers did not let go in time");
        }
        shared.kill.cancel();
        shared.tasks.wait().await;
    }

    fn lane(&self, to: NodeId, channel: Channel) -> Result<Arc<Lane>, NotSent> {
        let all = self.shared.known.read();
        let known = all.get(&to).ok_or(NotSent::UnknownPeer)?;
        Ok(Arc::clone(if channel.is_bulk() { &known.bulk } else { &known.calls }))
    }
}

impl Shared {
    /// What this node is, in a handshake.
    fn own(&self, cluster: Option<ClusterId>) -> Own<'_> {
        Own {
            application: &self.identity.application,
            node: self.identity.node,
            cluster,
            versions: self.options.versions,
        }
    }

    fn hello(&self, purpose: Purpose, receiver: Option<NodeId>) -> Hello {
        Hello {
            purpose,
            application: self.identity.application.clone(),
            cluster: *self.cluster.borrow(),
            sender: self.identity.node,
            attributes: self.identity.attributes.clone(),
            body_bytes_max: u32::try_from(self.options.body_bytes_max).unwrap_or(u32::MAX),
            receiver,
            nonce: self.entropy.draw(),
        }
    }

    /// Waits until this node no longer belongs to `cluster`.
    async fn other_cluster(&self, cluster: ClusterId) {
        let mut clusters = self.cluster.subscribe();
        // An error would mean that this node is gone, and with it who waits.
        let _ = clusters.wait_for(|now| *now != Some(cluster)).await;
    }
}
