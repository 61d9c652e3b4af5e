//! Nodes in this process, a handler that does as it is told, and the log.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use winter_core::cluster::{Address, Attributes, ClusterId, GroupId, NodeId};
use winter_server::config::Config;
use winter_server::peers::{
    Answer, CallError, Channel, Handler, Handling, Identity, Link, Options, Peer, Peers, Reason,
    Request,
};
use winter_server::{logging, net};
use winter_testkit::Log;

/// How long anything that must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const CLUSTER: ClusterId = ClusterId(7);
pub(crate) const APPLICATION: &str = "winter-test";

/// Answers with the body.
pub(crate) const ECHO: Channel = Channel::COMMANDS;
/// Answers when it is released.
pub(crate) const HOLD: Channel = Channel(10);
/// What begins so is held, whatever it is about.
pub(crate) const HELD: &[u8] = b"held";
/// Declines.
pub(crate) const DECLINE: Channel = Channel(11);
/// Panics at once, or when it is polled.
pub(crate) const PANIC: Channel = Channel(12);
/// Notes the order of arrival.
pub(crate) const NOTE: Channel = Channel(13);
/// Answers with many bytes.
pub(crate) const LONG: Channel = Channel(14);

static DRAWN: AtomicU64 = AtomicU64::new(1);

/// A number that nobody else has in this process.
pub(crate) fn draw() -> u64 {
    DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Options that a pause of this machine does not trip.
pub(crate) fn patient() -> Options {
    Options {
        dial_timeout: PATIENCE,
        handshake_timeout: PATIENCE,
        frame_timeout: PATIENCE,
        keepalive: Duration::from_secs(40),
        silence: PATIENCE,
        backoff_least: Duration::from_millis(5),
        backoff_most: Duration::from_millis(40),
        ..Options::default()
    }
}

/// What the test's handler has seen, and what it waits for.
pub(crate) struct Deeds {
    pub held: AtomicUsize,
    pub release: Semaphore,
    pub notes: Mutex<Vec<Bytes>>,
    pub probed_by: Mutex<Vec<Arc<Peer>>>,
}

struct Doing(Arc<Deeds>);

impl Handler for Doing {
    fn handle(&self, request: Request) -> Handling {
        let deeds = Arc::clone(&self.0);
        match request.channel {
            channel if channel == HOLD || request.body.starts_with(HELD) => Box::pin(async move {
                deeds.held.fetch_add(1, Ordering::SeqCst);
                deeds.release.acquire().await.unwrap().forget();
                Answer::Done(request.body)
            }),
            DECLINE => Box::pin(async { Answer::Declined }),
            PANIC if request.body.is_empty() => panic!("as the test wants it"),
            PANIC => Box::pin(async { panic!("as the test wants it") }),
            NOTE => {
                deeds.notes.lock().unwrap().push(request.body);
                Box::pin(async { Answer::Done(Bytes::new()) })
            }
            LONG => Box::pin(async { Answer::Done(Bytes::from(vec![1; 3 << 20])) }),
            _ => Box::pin(async move { Answer::Done(request.body) }),
        }
    }

    fn probe(&self, from: Arc<Peer>, body: Bytes) -> Handling {
        self.0.probed_by.lock().unwrap().push(from);
        Box::pin(async move { if body.is_empty() { Answer::Declined } else { Answer::Done(body) } })
    }
}

/// A node of this process.
pub(crate) struct Node {
    pub id: NodeId,
    pub peers: Peers,
    pub at: SocketAddr,
    pub deeds: Arc<Deeds>,
}

impl Node {
    /// A member of the test's cluster.
    pub(crate) fn member() -> Self {
        Self::with(patient())
    }

    pub(crate) fn with(options: Options) -> Self {
        let node = Self::fresh(APPLICATION, options, ([127, 0, 0, 1], 0).into());
        node.peers.set_cluster(Some(CLUSTER));
        node
    }

    /// A node without a cluster.
    pub(crate) fn fresh(application: &str, options: Options, at: SocketAddr) -> Self {
        LazyLock::force(&LOG);
        let listener = net::Listener::from_std(net::bind(at).unwrap()).unwrap();
        let at = listener.local_addr().unwrap();
        let id = NodeId(draw());
        let deeds = Arc::new(Deeds {
            held: AtomicUsize::new(0),
            release: Semaphore::new(0),
            notes: Mutex::default(),
            probed_by: Mutex::default(),
        });
        let identity = Identity {
            application: application.to_owned(),
            node: id,
            attributes: Attributes { address: address(at), name: format!("pod-{id}") },
        };
        let handler = Arc::new(Doing(Arc::clone(&deeds)));
        let peers = Peers::start(identity, options, listener, handler, Arc::new(draw));
        Self { id, peers, at, deeds }
    }

    /// Keeps a connection to `other`, and waits until it stands.
    pub(crate) async fn meet(&self, other: &Self) {
        self.peers.connect(other.id, address(other.at));
        eventually("they are connected", || self.is_connected(other.id)).await;
    }

    pub(crate) fn is_connected(&self, node: NodeId) -> bool {
        matches!(self.peers.link(node), Some(Link::Connected { .. }))
    }

    pub(crate) async fn call(
        &self,
        to: NodeId,
        channel: Channel,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, CallError> {
        let deadline = Instant::now() + PATIENCE;
        self.peers.call(to, channel, GroupId::Meta, body.into(), deadline).await
    }

    pub(crate) fn refused(&self, reason: Reason) -> u64 {
        self.peers.counters().refused(reason)
    }

    pub(crate) fn refused_in_all(&self) -> u64 {
        Reason::ALL.iter().map(|reason| self.refused(*reason)).sum()
    }

    pub(crate) async fn has_held(&self, calls: usize) {
        eventually("they are held", || self.deeds.held.load(Ordering::SeqCst) == calls).await;
    }
}

pub(crate) fn address(at: SocketAddr) -> Address {
    at.to_string().parse().unwrap()
}

/// Polls until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "not in time, at {caller}: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A node that is done wrong, and one whose calls to it must not notice.
pub(crate) struct Pair {
    pub target: Node,
    pub bystander: Node,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::with(patient()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let (target, bystander) = (Node::with(options), Node::member());
        bystander.meet(&target).await;
        Self { target, bystander }
    }

    /// Does the wrong, which must be refused for `reason`, counted once and
    /// logged, while a call of the bystander is under way and others go on. The
    /// wrong is given as what sends it and says from which address.
    pub(crate) async fn refuses<F>(&self, reason: Reason, wrong: impl FnOnce(SocketAddr) -> F)
    where
        F: Future<Output = SocketAddr>,
    {
        let Self { target, bystander } = self;
        let (counted, in_all) = (target.refused(reason), target.refused_in_all());
        let dials = bystander.peers.counters().dials.read();
        let held = target.deeds.held.load(Ordering::SeqCst);
        let (from, answer) = tokio::join!(
            async {
                target.has_held(held + 1).await;
                let from = wrong(target.at).await;
                eventually(reason.word(), || target.refused(reason) == counted + 1).await;
                assert_eq!(bystander.call(target.id, ECHO, "and yet").await.unwrap(), "and yet");
                target.deeds.release.add_permits(1);
                from
            },
            bystander.call(target.id, HOLD, "under way"),
        );
        assert_eq!(answer.unwrap(), "under way");
        assert_eq!(target.refused_in_all(), in_all + 1, "nothing else is counted");
        assert_eq!(bystander.peers.counters().dials.read(), dials, "its connection stands");
        // That a node has no cluster yet is how each begins: nobody has to be told.
        if reason != Reason::NoCluster {
            has_logged(&["a peer is refused", reason.word(), &from.to_string()]);
        }
    }
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = logging::subscriber(&Config::default(), false, move || writer.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

/// Fails unless a line that holds all of `words` was logged.
#[track_caller]
pub(crate) fn has_logged(words: &[&str]) {
    LOG.has(0, words);
}
