//! A running node: threads, listeners, and its end.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use winter_core::store::Seed;

use crate::config::Config;
use crate::net::{self, Listener};
use crate::node::Node;
use crate::session::clients::Clients;
use crate::supervisor::supervise;
use crate::{http, listener, maintenance, process};

/// Files that are kept from clients: HTTP, logs, the runtimes' own.
const RESERVED_FILES: u64 = 64;

/// What all threads of a node share.
#[derive(Debug)]
pub struct Shared {
    /// The data and what is done to it.
    pub node: Arc<Node>,
    /// Who is connected.
    pub clients: Clients,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Cancelled when the node begins to drain.
    pub drain: CancellationToken,
    /// What keeps the node from being ready.
    pub health: Health,
}

/// What keeps a node from being ready: names of work that keeps failing.
#[derive(Debug, Default)]
pub struct Health {
    failing: Mutex<BTreeSet<&'static str>>,
}

impl Health {
    /// Notes whether `work` is well.
    pub fn set(&self, work: &'static str, is_well: bool) {
        let mut failing = self.failing.lock();
        if is_well {
            failing.remove(work);
        } else {
            failing.insert(work);
        }
    }

    /// What keeps failing.
    #[must_use]
    pub fn failing(&self) -> Vec<&'static str> {
        self.failing.lock().iter().copied().collect()
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
    control: Option<Runtime>,
    workers: Vec<Worker>,
}

/// A thread that serves clients on a runtime of its own.
#[derive(Debug)]
struct Worker {
    handle: Handle,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl Server {
    /// Binds the ports and starts serving. `seed` is the secret of the indexes:
    /// random in a real node.
    ///
    /// # Errors
    /// A port cannot be bound, or the system gives no thread. Nothing is left running.
    pub fn start(config: Config, seed: Seed) -> Result<Self, StartError> {
        let wanted = config.connections_max as u64 + RESERVED_FILES;
        if let Some(got) = process::raise_open_files(wanted).filter(|&got| got < wanted) {
            tracing::warn!(
                got,
                wanted,
                "fewer files may be open than WINTER_MAX_CONNECTIONS needs"
            );
        }
        let clients = bind(SocketAddr::new(config.bind, config.port), "RECEPTOR_PORT")?;
        let http = config
            .http_port
            .map(|port| bind(SocketAddr::new(config.bind, port), "WINTER_HTTP_PORT"))
            .transpose()?;
        let shared = Arc::new(Shared {
            address: clients.local_addr()?,
            node: Arc::new(Node::new(config, seed)),
            clients: Clients::default(),
            drain: CancellationToken::new(),
            health: Health::default(),
        });
        let workers: Vec<_> = (0..shared.node.config.threads)
            .map(|number| Worker::start(&format!("winter-{number}")))
            .collect::<io::Result<_>>()?;
        let control = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("winter-control")
            .enable_all()
            .build()?;
        let http_address = http.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        let server = Self { shared, http_address, control: Some(control), workers };
        server.start_control(clients, http)?;
        Ok(server)
    }

    fn start_control(
        &self,
        clients: std::net::TcpListener,
        http: Option<std::net::TcpListener>,
    ) -> io::Result<()> {
        let control = self.control.as_ref().expect("the server runs");
        let _guard = control.enter();
        let listener = Arc::new(Listener::from_std(clients)?);
        let handles: Arc<[Handle]> = self.workers.iter().map(|w| w.handle.clone()).collect();
        let shared = &self.shared;
        control.spawn(supervise("listener", Arc::clone(shared), {
            let shared = Arc::clone(shared);
            move || listener::run(Arc::clone(&listener), Arc::clone(&shared), Arc::clone(&handles))
        }));
        control.spawn(supervise("maintenance", Arc::clone(shared), {
            let node = Arc::clone(&shared.node);
            move || maintenance::run(Arc::clone(&node))
        }));
        if let Some(http) = http {
            let listener = Listener::from_std(http)?;
            control.spawn(http::serve(listener, Arc::clone(shared)));
        }
        tracing::info!(
            address = %shared.address,
            http = self.http_address.map(tracing::field::display),
            threads = shared.node.config.threads,
            memory_max = shared.node.memory.limit(),
            version = env!("CARGO_PKG_VERSION"),
            "winter is ready"
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
    /// and closed, within `WINTER_DRAIN_TIMEOUT`. Answers how many were cut off.
    pub fn stop(mut self) -> usize {
        tracing::info!(clients = self.shared.clients.len(), "draining");
        self.shared.drain.cancel();
        let deadline = Instant::now() + self.shared.node.config.drain_timeout;
        while !self.shared.clients.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let cut_off = self.shared.clients.len();
        for worker in self.workers.drain(..) {
            worker.stop();
        }
        if let Some(control) = self.control.take() {
            control.shutdown_timeout(Duration::from_millis(100));
        }
        tracing::info!(cut_off, "winter has stopped");
        cut_off
    }
}

impl Worker {
    fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(stopped.cancelled());
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop, thread })
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
