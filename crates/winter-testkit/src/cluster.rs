//! A cluster of real processes on this machine. Each cluster has a network of
//! its own out of 127.0.0.0/8, all of which is loopback, and each node an
//! address in it: ports can be the default ones, and a node that is started
//! again is found where it was.

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitStatus;

use rustix::process::Signal;

use crate::{DEADLINE, Server, ServerBuilder, Wire, eventually};

/// Where clients connect.
const CLIENT_PORT: u16 = 6060;
/// Where HTTP is served.
const HTTP_PORT: u16 = 6061;
/// Where the other nodes connect.
const PEER_PORT: u16 = 6062;

/// How to start a cluster.
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    binary: String,
    founders: u8,
    settings: Vec<(String, String)>,
}

impl ClusterBuilder {
    /// How many nodes found the cluster, if not three.
    #[must_use]
    pub const fn founders(mut self, founders: u8) -> Self {
        self.founders = founders;
        self
    }

    /// Sets an environment variable of every node.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a value is written where it is set")]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts the founders together and waits until all of them are ready.
    ///
    /// # Panics
    /// If they do not become ready in time; with their logs.
    #[must_use]
    #[track_caller]
    pub fn start(&self) -> TestCluster {
        let mut cluster = self.lay_out();
        for number in 0..usize::from(self.founders) {
            cluster.start(number);
        }
        cluster.wait_until_ready();
        cluster
    }

    /// A cluster of which no node was started yet.
    #[must_use]
    #[track_caller]
    pub fn lay_out(&self) -> TestCluster {
        let network = free_network();
        let places =
            (0..usize::from(self.founders)).map(|number| Place::new(host(network, number)));
        TestCluster { builder: self.clone(), network, nodes: places.collect() }
    }
}

/// A cluster. Its processes are killed when this is dropped.
#[derive(Debug)]
pub struct TestCluster {
    builder: ClusterBuilder,
    network: [u8; 3],
    nodes: Vec<Place>,
}

/// Where a node is, or was.
#[derive(Debug)]
struct Place {
    address: IpAddr,
    server: Option<Server>,
    /// What processes that ended here had logged.
    logs: Vec<Vec<String>>,
}

impl Place {
    const fn new(address: IpAddr) -> Self {
        Self { address, server: None, logs: Vec::new() }
    }
}

impl TestCluster {
    /// A cluster of `binary`, which is `env!("CARGO_BIN_EXE_winter")` in a test of the package.
    #[must_use]
    pub fn of(binary: &str) -> ClusterBuilder {
        ClusterBuilder { binary: binary.to_owned(), founders: 3, settings: Vec::new() }
    }

    /// How many places for nodes there are.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The numbers of the nodes that run, or are paused.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        let is_there = |&number: &usize| self.nodes[number].server.is_some();
        (0..self.size()).filter(is_there).collect()
    }

    /// Where clients of node `number` connect.
    #[must_use]
    pub fn address(&self, number: usize) -> SocketAddr {
        self.at(number, CLIENT_PORT)
    }

    /// Where the other nodes find node `number`.
    #[must_use]
    pub fn peer_address(&self, number: usize) -> SocketAddr {
        self.at(number, PEER_PORT)
    }

    fn at(&self, number: usize, port: u16) -> SocketAddr {
        let address = self.nodes.get(number).map(|place| place.address);
        SocketAddr::from((address.unwrap_or_else(|| host(self.network, number)), port))
    }

    /// How the node in place `number` is started.
    #[must_use]
    pub fn node(&self, number: usize) -> ServerBuilder {
        let founders = usize::from(self.builder.founders);
        let seeds: Vec<_> = (0..founders).map(|n| self.peer_address(n).to_string()).collect();
        let own = Server::of(&self.builder.binary)
            .set("IS_DISTRIBUTED", true)
            .set("WINTER_SEEDS", seeds.join(","))
            .set("WINTER_CLUSTER_SIZE", founders)
            .set("WINTER_BIND", self.address(number).ip())
            .set("RECEPTOR_PORT", CLIENT_PORT)
            .set("WINTER_HTTP_PORT", HTTP_PORT)
            .set("WINTER_PEER_PORT", PEER_PORT);
        self.builder.settings.iter().fold(own, |node, (name, value)| node.set(name, value))
    }

    /// Starts a process that knows nothing in place `number`, and waits until it
    /// listens. The place after the last is a new one.
    ///
    /// # Panics
    /// If one runs there already.
    #[track_caller]
    pub fn start(&mut self, number: usize) {
        self.reserve(number);
        let server = self.node(number).start();
        self.place(number, server);
    }

    /// Puts a node that was started in another way in place `number`.
    ///
    /// # Panics
    /// If one runs there already.
    #[track_caller]
    pub fn place(&mut self, number: usize, server: Server) {
        self.reserve(number);
        let place = &mut self.nodes[number];
        assert!(place.server.is_none(), "node {number} runs");
        place.server = Some(server);
    }

    /// Puts a node that was started at an address of its own in place `number`.
    #[track_caller]
    pub(crate) fn place_at(&mut self, number: usize, address: IpAddr, server: Server) {
        self.place(number, server);
        self.nodes[number].address = address;
    }

    /// Makes the place after the last.
    fn reserve(&mut self, number: usize) {
        if number == self.size() {
            self.nodes.push(Place::new(host(self.network, number)));
        }
    }

    /// The process in place `number`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[track_caller]
    pub fn server(&self, number: usize) -> &Server {
        self.nodes[number].server.as_ref().expect("the node runs")
    }

    /// A new connection to node `number`.
    #[must_use]
    #[track_caller]
    pub fn connect(&self, number: usize) -> Wire {
        Wire::connect(self.address(number))
    }

    /// Ends node `number` with no warning.
    #[track_caller]
    pub fn kill(&mut self, number: usize) {
        self.server(number).signal(Signal::KILL);
        self.ended(number);
    }

    /// Asks node `number` to stop, and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self, number: usize) -> ExitStatus {
        self.server(number).signal(Signal::TERM);
        self.ended(number)
    }

    /// Waits for the end of node `number`, which comes by itself.
    ///
    /// # Panics
    /// If it does not come in time.
    #[track_caller]
    pub fn ended(&mut self, number: usize) -> ExitStatus {
        let place = &mut self.nodes[number];
        let status = place.server.as_mut().expect("the node runs").wait();
        let server = place.server.take().expect("the node ran");
        place.logs.push(server.into_log());
        status
    }

    /// Stops node `number` in the middle of whatever it does, and waits until
    /// all its threads stand still.
    #[track_caller]
    pub fn pause(&self, number: usize) {
        let server = self.server(number);
        server.signal(Signal::STOP);
        eventually("the node stands still", || server.is_stopped().then_some(()));
    }

    /// Lets a paused node go on.
    #[track_caller]
    pub fn resume(&self, number: usize) {
        self.server(number).signal(Signal::CONT);
    }

    /// Waits until every node that runs is ready.
    ///
    /// # Panics
    /// If one does not become ready in time; it says why.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        for number in self.running() {
            self.wait_until_node_is_ready(number);
        }
    }

    /// Waits until node `number` is ready.
    ///
    /// # Panics
    /// If it does not become ready in time; it says why.
    #[track_caller]
    pub fn wait_until_node_is_ready(&self, number: usize) {
        let deadline = std::time::Instant::now() + DEADLINE;
        while let Err(why) = self.readiness(number) {
            let now = std::time::Instant::now();
            assert!(now < deadline, "node {number} is not ready within {DEADLINE:?}: {why}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Whether node `number` says that it is ready.
    ///
    /// # Errors
    /// What it says why it is not.
    pub fn readiness(&self, number: usize) -> Result<(), String> {
        let answer = self.http(number, "/readyz").map_err(|error| error.to_string())?;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
    }

    /// What node `number` answers over HTTP, its head included.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn http(&self, number: usize, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.at(number, HTTP_PORT), DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: winter\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// What all processes in place `number` have logged, a line each.
    #[must_use]
    pub fn log(&self, number: usize) -> Vec<String> {
        let place = &self.nodes[number];
        let now = place.server.as_ref().map(Server::log).unwrap_or_default();
        place.logs.iter().flatten().cloned().chain(now).collect()
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (number, place) in self.nodes.iter().enumerate() {
            for log in &place.logs {
                let shown = log.len().saturating_sub(crate::server::LOG_LINES_SHOWN);
                eprintln!(
                    "an ended node {number}'s log, its last lines:\n{}",
                    log[shown..].join("\n")
                );
            }
        }
    }
}

/// The address of place `number`.
fn host([a, b, c]: [u8; 3], number: usize) -> IpAddr {
    let host = u8::try_from(number + 1).expect("a cluster is small");
    IpAddr::from([a, b, c, host])
}

/// Draws a network until nobody listens in it.
#[track_caller]
fn free_network() -> [u8; 3] {
    eventually("a network nobody uses", || {
        let [b, c, ..] = RandomState::new().hash_one(()).to_ne_bytes();
        // 127.0.0 is everybody's.
        let first = IpAddr::from([127, b.max(1), c, 1]);
        let is_free = |port: u16| TcpListener::bind((first, port)).is_ok();
        [CLIENT_PORT, HTTP_PORT, PEER_PORT].into_iter().all(is_free).then_some([127, b.max(1), c])
    })
}
