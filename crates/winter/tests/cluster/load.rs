//! Clients that ask through all nodes, whatever becomes of these, and write
//! down what they asked and what they were told.

use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use winter_sim::coverage::Coverage;
use winter_sim::history::{
    Action, Call, History, Key, KeyOp, Operation, Outcome, Recorder, Reply, Table,
};
use winter_sim::linearizability::{Options, TableMoments, check};
use winter_sim::padding::Padding;
use winter_sim::workload::{Options as WorkloadOptions, Workload};
use winter_testkit::{DEADLINE, within};

/// Clients of one load.
const CLIENTS: u32 = 6;
/// How long some writes may take on a machine that has much else to do.
const WRITES_MAX: Duration = Duration::from_secs(60);
/// How long a client waits before it connects to the next node.
const PAUSE: Duration = Duration::from_millis(10);

/// What a client writes without reading meanwhile: a socket takes it in.
const WRITE_BYTES_MAX: usize = 16 << 10;
/// How long values are in [`Manner::LongPipelines`]: one of these, by their number.
const LENGTHS: &[usize] =
    &[0, 0, 0, 0, 0, 0, 1_000, 17_000, 17_000, 70_000, 300_000, 1_000_000, 4 << 20];
/// The most commands of a pipeline.
const PIPELINE_MAX: usize = 16;

/// How clients ask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One command after the other, with values of a few bytes.
    OneByOne,
    /// Many at once, with values of up to 4 MiB among them.
    LongPipelines,
}

/// Clients at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// Where clients connect: a list that may change while they ask.
pub(crate) type Nodes = Arc<Mutex<Vec<SocketAddr>>>;

struct Shared {
    nodes: Nodes,
    manner: Manner,
    padding: Padding,
    began: Instant,
    workload: Mutex<Workload>,
    recorder: Mutex<Recorder>,
    written: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    /// Clients that ask the nodes at these addresses, until told to stop.
    pub(crate) fn start(nodes: Nodes, manner: Manner, options: WorkloadOptions) -> Self {
        let shared = Arc::new(Shared {
            nodes,
            manner,
            padding: match manner {
                Manner::OneByOne => Padding::NONE,
                Manner::LongPipelines => Padding::of(LENGTHS),
            },
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
            last.ask(&[Call { table, action: Action::Key(key, KeyOp::Gets) }]);
        }
        let history = self.shared.recorder.lock().unwrap().history();
        coverage.saw_history(&history);
        self.shared.padding.saw_long(&history, coverage);
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

/// One client.
struct Client {
    shared: Arc<Shared>,
    process: u32,
    /// How many nodes it has tried.
    turn: usize,
    node: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    fn new(shared: Arc<Shared>, process: u32) -> Self {
        let turn = usize::try_from(process).unwrap();
        let node = choose(&shared.nodes, turn);
        Self { shared, process, turn, node, connection: None }
    }

    fn run(mut self) {
        let lengths = match self.shared.manner {
            Manner::OneByOne => 1..=1,
            Manner::LongPipelines => 1..=PIPELINE_MAX,
        };
        for length in lengths.cycle() {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let calls: Vec<Call> = {
                let mut workload = self.shared.workload.lock().unwrap();
                (0..length).map(|_| workload.next_call()).collect()
            };
            self.ask(&calls);
        }
    }

    /// Asks all of it at once, and writes down what comes of each.
    fn ask(&mut self, calls: &[Call]) {
        let (node, at) = (number_of(self.node), self.shared.began.elapsed());
        let invoke = |call: &Call| {
            self.shared.recorder.lock().unwrap().invoke(self.process, node, at, *call)
        };
        let ids: Vec<u64> = calls.iter().map(invoke).collect();
        let Some(mut connection) = self.connection.take().or_else(|| connect(self.node).ok())
        else {
            ids.iter().for_each(|&id| self.complete(id, Outcome::Failed));
            return self.move_on();
        };
        let sender = send(
            &connection,
            calls.iter().map(|call| self.shared.padding.line(call) + "\n").collect(),
        );
        let mut asked = calls.iter().zip(&ids);
        let mut is_served = true;
        for (call, &id) in asked.by_ref() {
            let Some(line) = read_line(&mut connection) else {
                self.complete(id, Outcome::Unknown);
                is_served = false;
                break;
            };
            let outcome = self.shared.padding.outcome(&line);
            self.complete(id, outcome.clone());
            is_served &= outcome != Outcome::Failed;
            if let Outcome::Known(reply) = outcome {
                self.learn(call, &reply);
            }
        }
        asked.for_each(|(_, &id)| self.complete(id, Outcome::Unknown));
        if is_served {
            self.connection = Some(connection);
        } else {
            // A sender that still waits ends with the connection.
            drop(connection.get_mut().shutdown(Shutdown::Both));
            self.move_on();
        }
        if let Some(sender) = sender {
            sender.join().expect("a sender does not panic");
        }
    }

    fn complete(&self, id: u64, outcome: Outcome) {
        let at = self.shared.began.elapsed();
        self.shared.recorder.lock().unwrap().complete(id, at, outcome);
    }

    fn learn(&self, call: &Call, reply: &Reply) {
        self.shared.workload.lock().unwrap().learn(call, reply);
        if is_written(reply) {
            self.shared.written.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Turns to the next node, after a while: one that is cut off is of no use.
    fn move_on(&mut self) {
        self.turn += 1;
        self.node = choose(&self.shared.nodes, self.turn);
        std::thread::sleep(PAUSE);
    }
}

fn connect(node: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&node, DEADLINE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(BufReader::new(stream))
}

/// Sends requests: what is long by a thread of its own, as the node takes no more while
/// it has replies that nobody reads. What is lost on the way shows in the replies.
fn send(connection: &BufReader<TcpStream>, requests: String) -> Option<JoinHandle<()>> {
    let mut stream = connection.get_ref().try_clone().unwrap();
    let is_short = requests.len() <= WRITE_BYTES_MAX;
    let mut send = move || drop(stream.write_all(requests.as_bytes()));
    if is_short {
        send();
        return None;
    }
    Some(std::thread::spawn(send))
}

fn read_line(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    connection.read_line(&mut line).ok()?;
    line.strip_suffix('\n').map(str::to_owned)
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
