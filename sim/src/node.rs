//! A host with a node, and a door through which clients' lines come.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};
use winter_core::store::Seed;
use winter_server::clock::{Clock, Hand};
use winter_server::cluster::{Cluster, Start};
use winter_server::config::{ClusterConfig, Config};
use winter_server::node::Node;
use winter_sim::dice::Dice;

use crate::options::{Broken, Options};

/// Where clients connect.
pub const CLIENT_PORT: u16 = 6060;
/// Where peers do.
pub const PEER_PORT: u16 = 6062;
/// How long a node takes to hand over what it holds.
const LEAVE_MAX: Duration = Duration::from_secs(20);
/// The time of day at which simulations begin.
const EPOCH: Duration = Duration::from_secs(1_750_000_000);

/// What the simulator and a host's node share.
pub struct Slot {
    number: usize,
    /// The node that runs, for the simulator to look at.
    pub cluster: RefCell<Option<Cluster>>,
    /// The clock of the node that runs, and when the simulator started it.
    pub hand: Cell<Option<(&'static Hand, Duration)>>,
    /// Set when the node wants to be started again.
    pub ended: Arc<AtomicBool>,
    /// Tells the node to leave.
    pub leave: Rc<Notify>,
    /// How often it was started.
    starts: Cell<u64>,
    /// How long it waits before its first start.
    first_start: Duration,
    options: Options,
}

impl Slot {
    /// A host's, before its node was started.
    #[must_use]
    pub fn new(number: usize, options: &Options, first_start: Duration) -> Self {
        Self {
            number,
            cluster: RefCell::default(),
            hand: Cell::default(),
            ended: Arc::default(),
            leave: Rc::default(),
            starts: Cell::default(),
            first_start,
            options: options.clone(),
        }
    }

    /// By how many milliseconds the running node's clock is ahead of the true time,
    /// when that is `now` after the beginning.
    #[must_use]
    pub fn ahead_millis(&self, now: Duration) -> Option<i64> {
        let (hand, started) = self.hand.get()?;
        let shown = i64::try_from(hand.after(now - started).as_millis()).expect("it is in range");
        let is = i64::try_from((EPOCH + now).as_millis()).expect("it is in range");
        Some(shown - is)
    }

    fn config(&self) -> Config {
        let options = &self.options;
        let cluster = ClusterConfig {
            dns_service_name: Some("winter".to_owned()),
            application_name: "simulated".to_owned(),
            seeds: Vec::new(),
            size: u16::try_from(options.nodes).ok(),
            replicas: 3,
            partitions: options.partitions,
            peer_port: PEER_PORT,
            reads: options.reads,
            command_timeout: Duration::from_secs(3),
        };
        let bind = Ipv4Addr::UNSPECIFIED.into();
        Config {
            bind,
            memory_bytes_max: options.memory,
            cluster: Some(cluster),
            ..Config::default()
        }
    }
}

/// Runs a node with an identity of its own.
///
/// # Errors
/// Its ports are in use.
pub async fn run(slot: Rc<Slot>) -> turmoil::Result {
    let options = &slot.options;
    let start = slot.starts.get();
    slot.starts.set(start + 1);
    if start == 0 {
        sleep(slot.first_start).await;
    }
    let number = u64::try_from(slot.number).expect("hosts are few");
    let mut identities = Dice::new(options.seed ^ (number + 1) << 32 ^ (start + 1) << 48);
    let mut dice = identities.clone();
    if options.broken == Some(Broken::Identity) {
        identities = Dice::new(options.seed ^ (number + 1) << 32);
    }
    let chance = Mutex::new(dice.clone());
    let first = Mutex::new(Some(identities.roll()));
    let entropy = move || first.lock().take().unwrap_or_else(|| chance.lock().roll());

    let off = u64::try_from(options.clock_error.as_millis()).expect("it is short");
    let elapsed = turmoil_elapsed();
    let started_at = EPOCH + Duration::from_millis(dice.below(off)) + elapsed;
    let most = if options.clocks_lie { 20_000 } else { 50 };
    let fast = i32::try_from(dice.below(2 * most)).expect("it is small");
    let fast = fast - i32::try_from(most).expect("it is small");
    let hand: &'static Hand = Box::leak(Box::new(Hand::new(started_at, fast)));
    slot.hand.set(Some((hand, elapsed)));

    let seed = Seed(dice.roll(), dice.roll());
    let config = slot.config();
    let cluster_config = config.cluster.clone().expect("it is of a cluster");
    let node = Arc::new(Node::with_clock(config, seed, Clock::shown_by(hand)));
    let listener = TcpListener::bind(("0.0.0.0", PEER_PORT)).await?;
    let ended = Arc::clone(&slot.ended);
    let cluster = Cluster::start(Start {
        config: cluster_config,
        node,
        seed,
        listener,
        client_port: CLIENT_PORT,
        control: Handle::current(),
        runtimes: vec![Handle::current()],
        entropy: Arc::new(entropy),
        restart: Box::new(move || ended.store(true, Ordering::Relaxed)),
    })?;
    *slot.cluster.borrow_mut() = Some(cluster.clone());
    let door = TcpListener::bind(("0.0.0.0", CLIENT_PORT)).await?;
    loop {
        tokio::select! {
            accepted = door.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(serve(cluster.clone(), stream));
            }
            () = slot.leave.notified() => {
                cluster.leave(LEAVE_MAX).await;
                slot.ended.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn turmoil_elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// Answers line by line until the client goes, or the answer cannot be known.
async fn serve(cluster: Cluster, stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match stream.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let answer = cluster.answer_line(&line).await;
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}
