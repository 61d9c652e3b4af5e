//! The real binary, one process for each test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{DEADLINE, Wire, eventually};

/// Lines of the log that a failed test shows.
pub(crate) const LOG_LINES_SHOWN: usize = 20;

/// Where a server listens: for clients, and for HTTP.
type Listening = (SocketAddr, Option<SocketAddr>);

/// How to start a server.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    binary: PathBuf,
    before: Vec<String>,
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl ServerBuilder {
    /// Sets an environment variable. Nothing else of the environment is passed on.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a value is written where it is set")]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds an argument to the command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts the binary by way of other programs, each of which becomes the next
    /// one of the command line that it is given.
    #[must_use]
    pub fn by_way_of(mut self, words: Vec<String>) -> Self {
        self.before = words;
        self
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready in time; with its log.
    #[must_use]
    #[track_caller]
    pub fn start(&self) -> Server {
        self.launch().ready()
    }

    /// Starts the server, and waits for nothing.
    ///
    /// # Panics
    /// If there is no such program.
    #[must_use]
    #[track_caller]
    pub fn launch(&self) -> Launched {
        let binary = self.binary.display().to_string();
        let mut words = self.before.iter().chain([&binary]).chain(&self.arguments);
        let mut child = Command::new(words.next().expect("a binary at least"))
            .args(words)
            .env_clear()
            .envs([("RECEPTOR_PORT", "0"), ("WINTER_HTTP_PORT", "auto")])
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.binary.display()));
        let log = Arc::new(Mutex::new(Vec::new()));
        let is_unread = Arc::new(AtomicBool::new(false));
        let (ready_tx, ready) = mpsc::channel();
        let reader = std::thread::spawn({
            let stderr = child.stderr.take().expect("it is piped");
            let (log, is_unread) = (Arc::clone(&log), Arc::clone(&is_unread));
            move || read_log(stderr, &log, &is_unread, &ready_tx)
        });
        let server = Server {
            child,
            log,
            is_unread,
            reader: Some(reader),
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            http: None,
        };
        Launched { server, ready }
    }
}

/// A server that may not listen yet. It is killed when this is dropped.
#[derive(Debug)]
pub struct Launched {
    server: Server,
    ready: Receiver<Listening>,
}

impl Launched {
    /// Waits until the server is ready.
    ///
    /// # Panics
    /// If it does not become ready in time; with its log.
    #[must_use]
    #[track_caller]
    pub fn ready(mut self) -> Server {
        let listening = self.ready.recv_timeout(DEADLINE).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => panic!("the server was not ready within {DEADLINE:?}"),
            RecvTimeoutError::Disconnected => panic!("the server ended before it was ready"),
        });
        (self.server.address, self.server.http) = listening;
        self.server
    }
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    is_unread: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    address: SocketAddr,
    http: Option<SocketAddr>,
}

impl Server {
    /// A server of `binary`, which is `env!("CARGO_BIN_EXE_winter")` in a test of the package.
    #[must_use]
    pub fn of(binary: &str) -> ServerBuilder {
        ServerBuilder {
            binary: binary.into(),
            before: Vec::new(),
            settings: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where HTTP is served.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http.expect("the server's HTTP port is on")
    }

    /// The process's number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection for clients.
    #[must_use]
    #[track_caller]
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// Sends the process a signal.
    ///
    /// # Panics
    /// If the process is gone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server is there");
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the server ends", || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// What the server has logged so far, a line each.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("nobody panics with the log").clone()
    }

    /// Reads the log no more: what the server writes fills a pipe.
    pub fn leave_log_unread(&self) {
        self.is_unread.store(true, Ordering::SeqCst);
    }

    /// Reads the log again.
    pub fn read_log_on(&self) {
        self.is_unread.store(false, Ordering::SeqCst);
        self.reader.iter().for_each(|reader| reader.thread().unpark());
    }

    /// Whether all threads of the process stand still, as SIGSTOP does it in its own time.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.pid())) else {
            return false;
        };
        threads.filter_map(Result::ok).all(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("State:\tT"))
        })
    }

    /// What the server has logged, all of it once it has ended.
    pub(crate) fn into_log(mut self) -> Vec<String> {
        self.end();
        self.log()
    }

    fn end(&mut self) {
        // Both fail only for a process that has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.read_log_on();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let (address, log) = (self.address, self.log());
            let shown = log.len().saturating_sub(LOG_LINES_SHOWN);
            eprintln!("the log of {address}, its last lines:\n{}", log[shown..].join("\n"));
        }
    }
}

fn read_log(
    stderr: ChildStderr,
    log: &Mutex<Vec<String>>,
    is_unread: &AtomicBool,
    ready: &mpsc::Sender<Listening>,
) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(addresses) = addresses(&line) {
            // Nobody waits when it says so a second time.
            let _ = ready.send(addresses);
        }
        log.lock().expect("nobody panics with the log").push(line);
        while is_unread.load(Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

/// The addresses in the line that says where the server listens.
fn addresses(line: &str) -> Option<Listening> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    if fields.get("message")?.as_str()? != "winter is listening" {
        return None;
    }
    let address = |name: &str| fields.get(name)?.as_str()?.parse().ok();
    Some((address("address")?, address("http")))
}
