//! A server in this process, with failpoints to set and a log to read.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fail::FailScenario;
use winter_core::store::Seed;
use winter_server::config::{self, ClusterConfig, Config};
use winter_server::consensus::ReadPolicy;
use winter_server::metrics::Metrics;
use winter_server::server::Shared;
use winter_server::supervisor::Work;
use winter_server::{Server, logging};
use winter_testkit::{Log, Wire, eventually};

const PEER_PORT: u16 = 6062;

/// All that was logged in this process.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = logging::subscriber(&Config::default(), false, move || writer.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

/// A server, and the failpoints of this process for as long as it lives.
pub(crate) struct Faulty {
    server: Option<Server>,
    logged_before: usize,
    /// Dropped last: no other test sets a failpoint before.
    _scenario: FailScenario<'static>,
}

impl Faulty {
    /// A server with so many threads.
    pub(crate) fn start(threads: usize) -> Self {
        Self::with(Config { threads, http_port: None, ..Config::default() })
    }

    /// A server that is a cluster of one node, which has opened.
    pub(crate) fn cluster() -> Self {
        // An address that no other test has, though each may be a process of its own.
        let [.., high, low] = std::process::id().to_be_bytes();
        let bind: IpAddr = [127, 99, high, low.max(1)].into();
        let seeds = vec![config::Seed { host: bind.to_string(), port: PEER_PORT }];
        let cluster = ClusterConfig {
            seeds,
            dns_service_name: None,
            application_name: "faults".to_owned(),
            size: Some(1),
            replicas: 3,
            partitions: 2,
            peer_port: PEER_PORT,
            reads: ReadPolicy::Lease,
            command_timeout: Duration::from_secs(5),
        };
        let config = Config {
            bind,
            threads: 1,
            http_port: None,
            cluster: Some(cluster),
            ..Config::default()
        };
        let faulty = Self::with(config);
        let is_ready = || faulty.shared().unready().is_none().then_some(());
        eventually("the cluster is open", is_ready);
        faulty
    }

    /// A server with so many threads that serves HTTP as well.
    pub(crate) fn with_http(threads: usize) -> Self {
        Self::with(Config { threads, http_port: Some(0), ..Config::default() })
    }

    fn with(config: Config) -> Self {
        let scenario = FailScenario::setup();
        let logged_before = LOG.len();
        let config = Config { port: 0, ..config };
        let server = Some(Server::start(config, Seed(1, 2)).unwrap());
        Self { server, logged_before, _scenario: scenario }
    }

    /// What the server's threads share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.server.as_ref().expect("it runs").shared()
    }

    /// A new connection.
    #[track_caller]
    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.shared().address)
    }

    /// Asks HTTP for `path`: all of the answer, of which there is none if HTTP fails.
    #[track_caller]
    pub(crate) fn http(&self, path: &str) -> String {
        let address = self.server.as_ref().expect("it runs").http_address();
        let mut wire = Wire::connect(address.expect("it serves HTTP"));
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: winter\r\n\r\n"));
        String::from_utf8(wire.read_to_end()).unwrap()
    }

    /// What a piece of background work has gone through.
    pub(crate) fn work(&self, name: &str) -> Work {
        let all = self.shared().node.health.all();
        all.into_iter().find(|(known, _)| *known == name).map(|(_, work)| work).unwrap_or_default()
    }

    /// Fails unless a line that holds all of `words` was logged.
    #[track_caller]
    pub(crate) fn has_logged(&self, words: &[&str]) {
        LOG.has(self.logged_before, words);
    }

    /// The metrics' sample that begins so.
    #[track_caller]
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let text = Metrics::new(Arc::clone(self.shared())).render();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
    }

    /// Waits until the store's memory is down to `bytes`.
    #[track_caller]
    pub(crate) fn store_is_down_to(&self, bytes: u64) {
        let memory = &self.shared().node.memory;
        eventually("the memory is back", || (memory.store() <= bytes).then_some(()));
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.server.take().expect("it runs").stop();
    }
}

/// Sets a failpoint.
#[track_caller]
pub(crate) fn fault(point: &str, actions: &str) {
    fail::cfg(point, actions).unwrap();
}

/// A failpoint at which threads stand still until this is dropped: before the server,
/// which waits for its threads, though the test has failed.
pub(crate) struct Pause(&'static str);

impl Pause {
    #[track_caller]
    pub(crate) fn at(point: &'static str) -> Self {
        fault(point, "pause");
        Self(point)
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        fail::remove(self.0);
    }
}

/// Fails unless `table`, which nothing is wrong with, is read and written as ever.
#[track_caller]
pub(crate) fn works(wire: &mut Wire, table: &str) {
    for n in 0..20 {
        wire.exchange(
            format!("PUTNEW {table} w{n} v{n}\nGET {table} w{n}\nDELETE {table} w{n}\nGET {table} w{n}\n"),
            format!("ok\nv{n}\nok\nnil\n"),
        );
    }
}

/// Makes `table` and fills it with `k0` and so on.
#[track_caller]
pub(crate) fn fill(wire: &mut Wire, table: &str, count: usize) {
    wire.exchange(format!("CREATE {table}\n"), "created\n");
    let lines: String = (0..count).map(|n| format!("PUTNEW {table} k{n} data-{n}\n")).collect();
    wire.exchange(lines, "ok\n".repeat(count));
}

/// Fails unless `table` holds exactly what [`fill`] has written.
#[track_caller]
pub(crate) fn is_whole(wire: &mut Wire, table: &str, count: usize) {
    let lines: String = (0..count).map(|n| format!("GET {table} k{n}\n")).collect();
    let replies: String = (0..count).map(|n| format!("data-{n}\n")).collect();
    wire.exchange(lines, replies);
    assert_eq!(wire.ask(&format!("COUNT {table}")), count.to_string());
}

/// Fails unless `reply` tells of a fault that was caught.
#[track_caller]
pub(crate) fn is_caught(reply: &str, table: &str) {
    let expected = format!("error internal: a fault of ours in table {table} was caught");
    assert!(reply.starts_with(&expected), "{reply}");
}
