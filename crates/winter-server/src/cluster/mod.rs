//! The cluster: many nodes that act as one.
//!
//! `driver` finds or founds it, `life` keeps it whole, `router` takes a command
//! to whoever leads its partition, `leader` does it there. What they decide
//! stands in `winter-core`; what they agree on goes through
//! the module `consensus`; what they say to each other, over
//! `peers`, is in `wire`.

mod commands;
mod driver;
mod events;
mod figures;
mod gathering;
mod groups;
mod handler;
mod keys;
mod leader;
mod life;
mod machines;
mod parts;
mod recover;
mod report;
mod router;
#[cfg(feature = "sim")]
mod simulated;
mod supervision;
mod tables;
mod usage;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use winter_core::cluster::founding::{Founding, Output, Settings};
use winter_core::cluster::meta::{FORMAT, Profile};
use winter_core::cluster::{Address, Attributes, ClusterId, GroupId, NodeId, PartitionId};
use winter_core::command::KeyCommand;
use winter_core::reply::Reply;
use winter_core::store::Seed;

use crate::config::ClusterConfig;
use crate::consensus::{self, Group, Machine, ReadPolicy};
use crate::net::link::{self, Bound};
use crate::node::Node;
use crate::peers::frame::BESIDE_VALUE_BYTES_MAX;
use crate::peers::{self, Entropy, Identity, Peers};
use crate::stats::Counter;
use crate::supervisor::supervise;
pub use commands::Whole;
pub use figures::Figures;
use groups::{Carrier, Hosted, Map, SharedMap};
use leader::Leader;
use machines::{DataMachine, Host};
pub use parts::Keys;
pub(crate) use parts::Told;
pub use recover::RecoverError;
use router::Leaders;
#[cfg(feature = "sim")]
pub use simulated::{Held, View};
use usage::Limits;
pub(crate) use wire::Answer;
use wire::Pulse;

/// How long peers may take to let go of a node that stops.
const PEERS_END_MAX: Duration = Duration::from_millis(500);

/// This node's part in its cluster.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cluster").field(&self.0.me).finish()
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Batches of commands sent to another node.
    pub forwarded: Counter,
    /// Other clusters of this application that were met.
    pub rivals: Counter,
    /// Nodes that were refused.
    pub strangers: Counter,
}

/// Ends the node so that it comes back as another member.
pub type Restart = Box<dyn Fn() + Send + Sync>;

/// What all of this node's part shares.
pub(crate) struct Inner {
    me: NodeId,
    profile: Profile,
    config: ClusterConfig,
    node: Arc<Node>,
    /// What the cluster's secret will be, should this node found it.
    seed: Seed,
    policy: ReadPolicy,
    command_timeout: Duration,
    peers: OnceLock<Peers>,
    founding: Mutex<Founding>,
    /// What the founding decided while it answered a peer.
    outputs: mpsc::UnboundedSender<Vec<Output>>,
    /// What nodes have said of themselves before they were members.
    profiles: Mutex<BTreeMap<NodeId, Profile>>,
    /// With whom this node was enlisted.
    enlisted: Mutex<Vec<(NodeId, Address)>>,
    /// When this node was let into a cluster that others had founded.
    let_in_at: Mutex<Option<Instant>>,
    /// Another cluster that was met, and when last.
    rival: Mutex<Option<(Instant, String)>>,
    hosted: Hosted,
    host: Arc<Host>,
    limits: Arc<Limits>,
    leaders: Leaders,
    map: SharedMap,
    /// The meta group's revision, as applied here.
    revision: watch::Sender<u64>,
    life: Mutex<life::Progress>,
    /// Bytes of logs as the node's memory has them.
    log_bytes: AtomicUsize,
    /// Where everything but the partitions' groups runs.
    control: Handle,
    /// Where those run.
    runtimes: Vec<Handle>,
    /// Where identities come from.
    entropy: Arc<dyn Entropy>,
    counters: Counters,
    /// What the groups on this node count.
    groups: Arc<consensus::Counters>,
    /// When they wake.
    pace: consensus::Pace,
    restart: Restart,
    stop: CancellationToken,
}

impl Inner {
    fn peers(&self) -> &Peers {
        self.peers.get().expect("the link is there before anything runs")
    }

    fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read())
    }

    fn group_options(&self) -> consensus::Options {
        let (node, partitions) = (&self.node, self.config.partitions);
        let value_bytes_max = node.config.value_bytes_max;
        groups::options(node.memory.limit(), partitions, value_bytes_max, self.command_timeout)
    }

    /// What this node starts its replica of a group with.
    fn start_of<M: Machine>(
        &self,
        group: GroupId,
        incarnation: u64,
        machine: M,
    ) -> consensus::Start<M> {
        let clock = self.node.clock;
        consensus::Start {
            options: self.group_options(),
            me: self.me,
            group,
            incarnation,
            machine,
            transport: Arc::new(Carrier(self.peers().clone())),
            stamp: Box::new(move || clock.now()),
            counters: Arc::clone(&self.groups),
            pace: self.pace,
        }
    }

    /// Where a partition's group runs.
    fn runtime_of(&self, partition: PartitionId) -> &Handle {
        &self.runtimes[usize::from(partition.0) % self.runtimes.len()]
    }

    fn leader(self: &Arc<Self>, group: Group<DataMachine>) -> Leader {
        Leader { group, seed: self.map().seed.unwrap_or(self.seed), inner: Arc::clone(self) }
    }

    /// Keeps a part of this node's work going until the node stops.
    fn keep<F>(self: &Arc<Self>, name: &'static str, work: impl Fn(Arc<Self>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = Arc::clone(self);
        let work = move || work(Arc::clone(&inner));
        self.control.spawn(supervise(name, Arc::clone(&self.node), self.stop.clone(), work));
    }

    fn note_rival(&self, what: String) {
        *self.rival.lock() = Some((Instant::now(), what));
    }

    fn heard(&self, from: NodeId, pulse: Pulse) {
        self.life.lock().heard(from, &pulse);
        self.leaders.hear(from, &pulse.leads, |node| self.is_heard(node));
        self.limits.hear(from, pulse);
    }
}

/// What a node takes part in a cluster with.
pub struct Start {
    /// What it is told of the cluster.
    pub config: ClusterConfig,
    /// The node.
    pub node: Arc<Node>,
    /// The secret of the cluster's indexes, should this node found it.
    pub seed: Seed,
    /// Where peers connect.
    pub listener: Bound,
    /// Where clients connect.
    pub client_port: u16,
    /// What everything but the groups runs on.
    pub control: Handle,
    /// What groups run on.
    pub runtimes: Vec<Handle>,
    /// Where identities and nonces come from.
    pub entropy: Arc<dyn Entropy>,
    /// Called when the node can be part of the cluster no longer. It may return;
    /// the node does nothing more that matters.
    pub restart: Restart,
}

impl Cluster {
    /// Takes part in a cluster: dials, founds or joins, and serves what it is given.
    /// Groups run on `runtimes`, everything else on `control`.
    ///
    /// # Errors
    /// Those of the system, about the listener.
    pub fn start(start: Start) -> std::io::Result<Self> {
        let Start { config, node, seed, listener, client_port, control, runtimes, .. } = start;
        let (entropy, restart) = (start.entropy, start.restart);
        let me = NodeId(entropy.draw());
        let drawn = ClusterId(u128::from(entropy.draw()) << 64 | u128::from(entropy.draw()));
        let name = crate::process::hostname();
        let at = |port: u16| format!("{name}:{port}").parse::<Address>();
        let fallback =
            |port: u16| Address::try_from(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        let address = |port: u16| at(port).or_else(|_| fallback(port));
        let peer_port = listener.local_addr()?.port();
        let (Ok(peer), Ok(client)) = (address(peer_port), address(client_port)) else {
            unreachable!("a bound port is not 0")
        };
        let attributes = Attributes { address: peer, name: name.clone() };
        let profile =
            Profile { attributes: attributes.clone(), client_address: client, format: FORMAT };
        let size = config.size.and_then(|size| NonZeroUsize::new(usize::from(size)));
        let settings = Settings::new(config.application_name.clone(), size);
        let (outputs, decided) = mpsc::unbounded_channel();
        let identity =
            Identity { application: config.application_name.clone(), node: me, attributes };
        let inner = Arc::new(Inner {
            me,
            profile,
            node: Arc::clone(&node),
            seed,
            policy: config.reads,
            command_timeout: config.command_timeout,
            peers: OnceLock::new(),
            founding: Mutex::new(Founding::new(settings, me, drawn)),
            outputs,
            profiles: Mutex::default(),
            enlisted: Mutex::default(),
            let_in_at: Mutex::default(),
            rival: Mutex::default(),
            hosted: Hosted::default(),
            host: Arc::new(Host::new(Arc::clone(&node))),
            limits: Arc::new(Limits::new(me, Arc::clone(&node))),
            leaders: Leaders::default(),
            map: RwLock::default(),
            revision: watch::Sender::new(0),
            life: Mutex::default(),
            log_bytes: AtomicUsize::new(0),
            control: control.clone(),
            runtimes,
            entropy: Arc::clone(&entropy),
            counters: Counters::default(),
            groups: Arc::default(),
            pace: consensus::Pace::begin(),
            restart,
            stop: CancellationToken::new(),
            config,
        });
        let _guard = control.enter();
        let listener = link::listen(listener)?;
        let desk = Arc::new(handler::Desk(Arc::downgrade(&inner)));
        let options = peers::Options {
            body_bytes_max: node.config.value_bytes_max + BESIDE_VALUE_BYTES_MAX,
            queue_bytes_max: queue_bytes_max(node.memory.limit()),
            ..peers::Options::default()
        };
        let peers = Peers::start(identity, options, listener, desk, entropy);
        assert!(inner.peers.set(peers).is_ok(), "set once");
        tracing::info!(node = %me, peer_port, application = inner.config.application_name, "looking for the cluster");
        let decided = Arc::new(tokio::sync::Mutex::new(decided));
        inner.keep("founding", move |inner| driver::run(inner, Arc::clone(&decided)));
        inner.keep("life", life::run);
        inner.keep("pulse", life::pulse::run);
        inner.keep("events", events::run);
        Ok(Self(inner))
    }

    /// How many partitions the cluster has; `None` before this node knows.
    #[must_use]
    pub fn partitions(&self) -> Option<u16> {
        u16::try_from(self.0.map.read().partitions.len()).ok().filter(|&n| n > 0)
    }

    /// A session's commands on keys.
    pub(crate) fn keys(&self, commands: &[KeyCommand<'_>]) -> Keys {
        Keys::part(commands, self.partitions(), &self.0.node.memory)
    }

    /// Does commands on keys: the first, and what is left is to be done when the client
    /// has their answers.
    pub(crate) async fn run_keys(&self, keys: Keys) -> Told {
        self.0.run_keys(keys).await
    }

    /// Does a command on a table as a whole.
    pub async fn run_whole(&self, command: Whole) -> Reply<'static> {
        self.0.run_whole(command).await
    }

    /// Hands over what this node holds and leaves the cluster, within `limit`.
    pub async fn leave(&self, limit: Duration) {
        self.0.leave(limit).await;
        self.0.stop.cancel();
        if let Some(meta) = self.0.hosted.take_meta() {
            meta.shutdown().await;
        }
        self.0.peers().shutdown(PEERS_END_MAX).await;
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// The link to other nodes, to count.
    #[must_use]
    pub fn link(&self) -> &Peers {
        self.0.peers()
    }
}

/// Bytes that may wait on the way to a peer, of a node's `memory`.
fn queue_bytes_max(memory: u64) -> usize {
    let most = peers::Options::default().queue_bytes_max;
    usize::try_from(memory / 16).unwrap_or(most).min(most)
}

/// The nodes of `map` that are not this one.
fn others(map: &Map, me: NodeId) -> BTreeSet<NodeId> {
    map.members.keys().copied().filter(|&node| node != me).collect()
}
