//! Clients that ask through all nodes, whatever becomes of these, and write
//! down what they asked and what they were told.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use winter_sim::coverage::Coverage;
use winter_sim::history::{
    Action, Call, History, Key, KeyOp, Operation, Outcome, Recorder, Reply, Table,
};
use winter_sim::linearizability::{Options, TableMoments, check};
use winter_sim::workload::{Options as WorkloadOptions, Workload};
use winter_testkit::{DEADLINE, within};

/// Clients of one load.
const CLIENTS: u32 = 6;
/// How long some writes may take on a machine that has much else to do.
const WRITES_MAX: Duration = Duration::from_secs(60);
/// How long a client waits before it connects to the next node.
const PAUSE: Duration = Duration::from_millis(10);

/// Clients at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// Where clients connect: a list that may change while they ask.
pub(crate) type Nodes = Arc<Mutex<Vec<SocketAddr>>>;

struct Shared {
    nodes: Nodes,
    began: Instant,
    workload: Mutex<Workload>,
    recorder: Mutex<Recorder>,
    written: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    /// Clients that ask the nodes at these addresses, until told to stop.
    pub(crate) fn start(nodes: Nodes, options: WorkloadOptions) -> Self {
        let shared = Arc::new(Shared {
            nodes,
            began: Instant::now(),
            workload: Mutex::new(Workload::new(options)),
            recorder: Mutex::default(),
            written: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let client = |process| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || Client::new(shared, process).run())
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { shared, clients }
    }

    /// Waits until `count` more writes were acknowledged.
    #[track_caller]
    pub(crate) fn wait_for_writes(&self, count: u64) {
        let wanted = self.shared.written.load(Ordering::Relaxed) + count;
        within(WRITES_MAX, "writes are acknowledged", || {
            (self.shared.written.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Ends the load, reads each key once more, and judges it all.
    #[track_caller]
    pub(crate) fn judge(self, coverage: &mut Coverage) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        let asked = self.shared.recorder.lock().unwrap().history();
        let stall = longest_stall(&asked);
        let mut last = Client::new(Arc::clone(&self.shared), CLIENTS);
        for (table, key) in keys(&asked) {
            last.ask(Call { table, action: Action::Key(key, KeyOp::Gets) });
        }
        let history = self.shared.recorder.lock().unwrap().history();
        coverage.saw_history(&history);
        // A table comes and goes partition by partition, while its CREATE or DROP runs.
        let options = Options { table_moments: TableMoments::OnePerKey, ..Options::default() };
        let verdict = check(&history, &options);
        assert!(verdict.passes(), "{verdict}");
        assert!(coverage.missed().is_empty(), "{coverage}");
        eprintln!(
            "{} operations, {stall:?} at the most without a write:\n{coverage}",
            history.operations().len()
        );
    }
}

fn keys(history: &History) -> std::collections::BTreeSet<(Table, Key)> {
    let of = |call: &Call| Some((call.table, call.key()?));
    history.operations().iter().filter_map(|op| of(&op.call)).collect()
}

/// One client. It asks one thing at a time.
struct Client {
    shared: Arc<Shared>,
    process: u32,
    /// How many nodes it has tried.
    turn: usize,
    node: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

/// Why there is no reply.
enum Broken {
    /// The request never left.
    NotSent,
    /// It may have been read.
    Lost,
}

impl Client {
    fn new(shared: Arc<Shared>, process: u32) -> Self {
        let turn = usize::try_from(process).unwrap();
        let node = choose(&shared.nodes, turn);
        Self { shared, process, turn, node, connection: None }
    }

    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let call = self.shared.workload.lock().unwrap().next_call();
            self.ask(call);
        }
    }

    fn ask(&mut self, call: Call) {
        let node = number_of(self.node);
        let at = self.shared.began.elapsed();
        let id = self.shared.recorder.lock().unwrap().invoke(self.process, node, at, call);
        let outcome = match self.exchange(&format!("{call}\n")) {
            Ok(line) => Outcome::of_line(&line),
            Err(broken) => {
                self.move_on();
                match broken {
                    Broken::NotSent => Outcome::Failed,
                    Broken::Lost => Outcome::Unknown,
                }
            }
        };
        let at = self.shared.began.elapsed();
        self.shared.recorder.lock().unwrap().complete(id, at, outcome.clone());
        if outcome == Outcome::Failed && self.connection.is_some() {
            self.move_on();
        }
        if let Outcome::Known(reply) = outcome {
            self.shared.workload.lock().unwrap().learn(&call, &reply);
            if is_written(&reply) {
                self.shared.written.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Turns to the next node, after a while: one that is cut off is of no use.
    fn move_on(&mut self) {
        self.connection = None;
        self.turn += 1;
        self.node = choose(&self.shared.nodes, self.turn);
        std::thread::sleep(PAUSE);
    }

    fn exchange(&mut self, line: &str) -> Result<String, Broken> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.connect().map_err(|_| Broken::NotSent)?),
        };
        connection.get_mut().write_all(line.as_bytes()).map_err(|_| Broken::Lost)?;
        let mut reply = String::new();
        match connection.read_line(&mut reply) {
            Ok(1..) if reply.ends_with('\n') => Ok(reply.trim_end_matches('\n').to_owned()),
            _ => Err(Broken::Lost),
        }
    }

    fn connect(&self) -> std::io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.node, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(BufReader::new(stream))
    }
}

fn choose(nodes: &Nodes, turn: usize) -> SocketAddr {
    let nodes = nodes.lock().unwrap();
    nodes[turn % nodes.len()]
}

/// What a history calls the node at this address: they are numbered from 1 there.
fn number_of(node: SocketAddr) -> u32 {
    let IpAddr::V4(address) = node.ip() else { panic!("{node} is no node") };
    u32::from(address.octets()[3]) - 1
}

const fn is_written(reply: &Reply) -> bool {
    matches!(reply, Reply::Ok | Reply::OkVersion(_) | Reply::Added(_))
}

/// The longest time in which nobody was told that something is written.
fn longest_stall(history: &History) -> Duration {
    let answers = history.operations().iter().filter_map(Operation::answer);
    let written = answers.filter(|(reply, _)| is_written(reply));
    let mut times: Vec<Duration> = written.map(|(_, event)| event.at).collect();
    times.sort();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}
