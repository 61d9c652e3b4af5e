//! A running node: threads, listeners, and its end.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use winter_core::store::Seed;

use crate::cluster::{self, Cluster};
use crate::config::Config;
use crate::net::link::{self, Bound};
use crate::net::{self, Listener};
use crate::node::Node;
use crate::process::ThreadTimes;
use crate::session::clients::Clients;
use crate::stats::End;
use crate::supervisor::supervise;
use crate::threads::Threads;
use crate::{http, listener, maintenance, process, threads};

/// Files that are kept from clients: HTTP, logs, the runtimes' own.
const RESERVED_FILES: u64 = 64 + http::CONNECTIONS_MAX as u64;
/// How long the listener may take to let those in who had connected before a drain.
const LISTENER_END_MAX: Duration = Duration::from_secs(1);
/// How long HTTP may take to answer its last requests.
const HTTP_END_MAX: Duration = Duration::from_secs(1);

/// Cores from which on groups of replicas have threads beside their peers', one
/// for every two. With fewer, what one thread hands to another costs more than
/// it does itself (docs/decisions/0013).
const GROUP_THREADS_FROM: usize = 4;

/// What all threads of a node share.
#[derive(Debug)]
pub struct Shared {
    /// The data and what is done to it.
    pub node: Arc<Node>,
    /// Who is connected.
    pub clients: Clients,
    /// Where sessions live.
    pub threads: Threads,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Cancelled when the node begins to drain.
    pub drain: CancellationToken,
    /// The same, to be asked at every turn of a session.
    is_draining: AtomicBool,
    /// The node's part in a cluster, if it is one of many.
    cluster: OnceLock<Cluster>,
}

impl Shared {
    /// What all threads of a new node share, whose clients connect to `address`.
    #[must_use]
    pub fn new(node: Node, address: SocketAddr) -> Self {
        Self {
            node: Arc::new(node),
            clients: Clients::default(),
            threads: Threads::default(),
            address,
            drain: CancellationToken::new(),
            is_draining: AtomicBool::new(false),
            cluster: OnceLock::new(),
        }
    }

    /// The node's part in a cluster, if it is one of many.
    #[inline]
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.get()
    }

    /// Whether the node drains.
    #[inline]
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Why the node is not ready, if it is not.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        if self.drain.is_cancelled() {
            return Some("draining".to_owned());
        }
        if let Some(why) = self.cluster().and_then(Cluster::unready) {
            return Some(why);
        }
        let failing = self.node.health.failing();
        (!failing.is_empty()).then(|| format!("failing: {}", failing.join(", ")))
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be bound.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A thread or runtime cannot be made.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A running node.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    http_address: Option<SocketAddr>,
    listener: Option<tokio::task::JoinHandle<()>>,
    http: Option<Http>,
    control: Option<Runtime>,
    workers: Vec<Worker>,
    /// Threads that groups of replicas run on.
    replicas: Vec<Worker>,
}

/// HTTP, which goes on until clients are gone.
#[derive(Debug)]
struct Http {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// A thread that serves clients on a runtime of its own.
#[derive(Debug)]
struct Worker {
    handle: Handle,
    stop: CancellationToken,
    thread: JoinHandle<()>,
    /// How busy it is, where the system tells.
    times: Option<ThreadTimes>,
}

impl Server {
    /// Binds the ports and starts serving. `seed` is the secret of the indexes:
    /// random in a real node.
    ///
    /// # Errors
    /// A port cannot be bound, or the system gives no thread. Nothing is left running.
    pub fn start(config: Config, seed: Seed) -> Result<Self, StartError> {
        let config = within_open_files(config);
        let clients = bind(SocketAddr::new(config.bind, config.port), "RECEPTOR_PORT")?;
        let http = config
            .http_port
            .map(|port| bind(SocketAddr::new(config.bind, port), "WINTER_HTTP_PORT"))
            .transpose()?;
        let peers = config
            .cluster
            .as_ref()
            .map(|cluster| bind_peers(SocketAddr::new(config.bind, cluster.peer_port)))
            .transpose()?;
        let workers: Vec<_> = (0..config.threads)
            .map(|number| Worker::start(&format!("winter-{number}")))
            .collect::<io::Result<_>>()?;
        let mut shared = Shared::new(Node::new(config, seed), clients.local_addr()?);
        shared.threads = Threads::new(workers.iter().map(|worker| worker.handle.clone()));
        let control = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("winter-control")
            .enable_all()
            .build()?;
        let http_address = http.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        let mut server = Self {
            shared: Arc::new(shared),
            http_address,
            listener: None,
            http: None,
            control: Some(control),
            workers,
            replicas: Vec::new(),
        };
        if let Some(peers) = peers {
            server.start_cluster(seed, peers)?;
        }
        server.start_control(clients, http)?;
        Ok(server)
    }

    /// Takes part in a cluster, on threads of its own.
    fn start_cluster(&mut self, seed: Seed, listener: Bound) -> io::Result<()> {
        let node = &self.shared.node;
        let Some(config) = node.config.cluster.clone() else { return Ok(()) };
        let threads = node.config.threads;
        let groups = if threads < GROUP_THREADS_FROM { 0 } else { threads / 2 };
        let groups = (0..groups).map(|number| format!("winter-group-{number}"));
        self.replicas = std::iter::once("winter-peers".to_owned())
            .chain(groups)
            .map(|name| Worker::start(&name))
            .collect::<io::Result<_>>()?;
        let mut runtimes: Vec<Handle> = self.replicas.iter().map(|w| w.handle.clone()).collect();
        let control = runtimes.first().expect("the first was just started").clone();
        if runtimes.len() > 1 {
            runtimes.remove(0);
        }
        let cluster = Cluster::start(cluster::Start {
            config,
            node: Arc::clone(node),
            seed,
            listener,
            client_port: self.shared.address.port(),
            control,
            runtimes,
            entropy: Arc::new(|| RandomState::new().hash_one(())),
            restart: Box::new(|| process::restart()),
        })?;
        assert!(self.shared.cluster.set(cluster).is_ok(), "a node starts once");
        Ok(())
    }

    fn start_control(
        &mut self,
        clients: std::net::TcpListener,
        http: Option<std::net::TcpListener>,
    ) -> io::Result<()> {
        let control = self.control.as_ref().expect("the server runs");
        let _guard = control.enter();
        let listener = Arc::new(Listener::from_std(clients)?);
        let shared = &self.shared;
        self.listener = Some(control.spawn(supervise(
            "listener",
            Arc::clone(&shared.node),
            shared.drain.clone(),
            {
                let shared = Arc::clone(shared);
                move || listener::run(Arc::clone(&listener), Arc::clone(&shared))
            },
        )));
        let times: Option<Arc<[_]>> = self.workers.iter_mut().map(|w| w.times.take()).collect();
        if let Some(times) = times.filter(|times| times.len() > 1) {
            control.spawn(supervise("threads", Arc::clone(&shared.node), shared.drain.clone(), {
                let shared = Arc::clone(shared);
                move || threads::govern(Arc::clone(&shared), Arc::clone(&times))
            }));
        }
        control.spawn(supervise(
            "session-watch",
            Arc::clone(&shared.node),
            shared.drain.clone(),
            {
                let shared = Arc::clone(shared);
                move || threads::listen(Arc::clone(&shared))
            },
        ));
        control.spawn(supervise("maintenance", Arc::clone(&shared.node), shared.drain.clone(), {
            let node = Arc::clone(&shared.node);
            move || maintenance::run(Arc::clone(&node))
        }));
        if let Some(http) = http {
            let (listener, stop) = (Arc::new(Listener::from_std(http)?), CancellationToken::new());
            let site = Arc::new(http::Site::new(Arc::clone(shared)));
            let task = control.spawn(supervise("http", Arc::clone(&shared.node), stop.clone(), {
                let stop = stop.clone();
                move || http::serve(Arc::clone(&listener), Arc::clone(&site), stop.clone())
            }));
            self.http = Some(Http { stop, task });
        }
        tracing::info!(
            address = %shared.address,
            http = self.http_address.map(tracing::field::display),
            threads = shared.node.config.threads,
            memory_max = shared.node.memory.limit(),
            version = env!("CARGO_PKG_VERSION"),
            "winter is listening"
        );
        Ok(())
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Where HTTP is served.
    #[must_use]
    pub const fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// What the node's threads share.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Runs `work` on the control runtime, and waits for it.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.control.as_ref().expect("the server runs").block_on(work)
    }

    /// Stops: no new connection, and every open one is answered what it asked
    /// and closed; then the node leaves its cluster; all within
    /// `WINTER_DRAIN_TIMEOUT`. Answers how many clients were cut off: before they had
    /// said all, or before they had taken all that they were answered.
    pub fn stop(mut self) -> u64 {
        tracing::info!(clients = self.shared.clients.len(), "draining");
        let drain_timeout = self.shared.node.config.drain_timeout;
        let deadline = Instant::now() + drain_timeout;
        self.shared.is_draining.store(true, Ordering::Relaxed);
        self.shared.drain.cancel();
        if let (Some(control), Some(listener)) = (&self.control, self.listener.take()) {
            let end = async { tokio::time::timeout(LISTENER_END_MAX, listener).await };
            if control.block_on(end).is_err() {
                tracing::warn!("the listener did not end in time");
            } else {
                tracing::info!("no connection is accepted any more");
            }
        }
        // What clients are still answered takes the cluster, which takes half the time to leave.
        let leaving_takes = self.shared.cluster().map_or(Duration::ZERO, |_| drain_timeout / 2);
        while !self.shared.clients.is_empty() && Instant::now() + leaving_takes < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let (Some(cluster), Some(control)) = (self.shared.cluster(), &self.control) {
            control.block_on(cluster.leave(deadline.saturating_duration_since(Instant::now())));
        }
        let cut_off = self.shared.clients.len() as u64 + self.shared.node.stats.ended(End::CutOff);
        for worker in self.workers.drain(..) {
            worker.stop();
        }
        self.replicas.drain(..).for_each(Worker::stop);
        if let Some(control) = self.control.take() {
            if let Some(Http { stop, task }) = self.http.take() {
                stop.cancel();
                let end = async { tokio::time::timeout(HTTP_END_MAX, task).await };
                if control.block_on(end).is_err() {
                    tracing::debug!("HTTP did not end in time");
                }
            }
            control.shutdown_timeout(Duration::from_millis(100));
        }
        tracing::info!(cut_off, "winter has stopped");
        cut_off
    }
}

/// Takes no more connections than the system gives files for, so that HTTP and
/// logs find some when all clients' are taken.
fn within_open_files(mut config: Config) -> Config {
    let wanted = config.connections_max as u64 + RESERVED_FILES;
    if let Some(got) = process::raise_open_files(wanted).filter(|&got| got < wanted) {
        let left = usize::try_from(got.saturating_sub(RESERVED_FILES).max(got / 2));
        config.connections_max = left.unwrap_or(usize::MAX).max(1);
        tracing::warn!(
            open_files_max = got,
            connections_max = config.connections_max,
            wanted,
            "fewer files may be open than WINTER_MAX_CONNECTIONS needs; fewer connections are taken"
        );
    }
    config
}

impl Worker {
    fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (tell, told) = sync_channel(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Nobody waits for it only where the process could not start.
            let _ = tell.send(ThreadTimes::of_this_thread());
            runtime.block_on(stopped.cancelled());
            runtime.shutdown_background();
        })?;
        let times = told.recv().ok().flatten();
        Ok(Self { handle, stop, thread, times })
    }

    fn stop(self) {
        self.stop.cancel();
        if self.thread.join().is_err() {
            tracing::error!("a thread that served clients had panicked");
        }
    }
}

fn bind(address: SocketAddr, setting: &'static str) -> Result<std::net::TcpListener, StartError> {
    net::bind(address).map_err(|source| StartError::Bind { address, setting, source })
}

fn bind_peers(address: SocketAddr) -> Result<Bound, StartError> {
    link::bind(address).map_err(|source| StartError::Bind {
        address,
        setting: "WINTER_PEER_PORT",
        source,
    })
}
