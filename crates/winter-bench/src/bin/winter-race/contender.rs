//! Who races, and how each is started, filled and emptied.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use winter_bench::load::{self, KeyChoice, LoadPlan};
use winter_bench::wire::{Dialect, Operation};

use crate::arguments::Setup;
use crate::control::{Control, Framing};
use crate::process::ServerProcess;
use crate::procfs;

/// How long a server may take to answer its first command.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may go on working after its last request.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// Connections that a server should admit at most.
const CONNECTIONS_MAX: &str = "16000";

/// How long filling a server may take.
const FILL_PATIENCE: Duration = Duration::from_secs(600);

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Winter, spoken to in RESP.
    Winter,
    /// Winter, spoken to in its line dialect.
    WinterLine,
    /// redis-server, one thread, no persistence.
    Redis,
    /// memcached, two threads.
    Memcached,
    /// The server that does nothing.
    Nothing,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Winter => "winter",
            Self::WinterLine => "winter-line",
            Self::Redis => "redis",
            Self::Memcached => "memcached",
            Self::Nothing => "nothing",
        }
    }

    pub(crate) const fn dialect(self) -> Dialect {
        match self {
            Self::Winter | Self::Nothing => Dialect::WinterResp,
            Self::WinterLine => Dialect::WinterLine,
            Self::Redis => Dialect::Redis,
            Self::Memcached => Dialect::Memcached,
        }
    }

    const fn framing(self) -> Framing {
        match self {
            Self::Winter | Self::Redis | Self::Nothing => Framing::Resp,
            Self::WinterLine | Self::Memcached => Framing::Line,
        }
    }

    fn ping(self) -> &'static str {
        if self == Self::Memcached { "version" } else { "PING" }
    }

    fn command(self, program: &Path, port: u16, value_len: usize) -> Command {
        let mut command = Command::new(program);
        let port = port.to_string();
        command.current_dir(std::env::temp_dir());
        match self {
            Self::Winter | Self::WinterLine => {
                command.env("RECEPTOR_PORT", port).env("WINTER_HTTP_PORT", "0");
                command.env("WINTER_BIND", "127.0.0.1").env("IS_DISTRIBUTED", "false");
                command.env("WINTER_MAX_CONNECTIONS", CONNECTIONS_MAX);
            }
            Self::Redis => {
                command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
                command.args(["--appendonly", "no", "--io-threads", "1"]);
                command.args(["--maxclients", CONNECTIONS_MAX]);
            }
            Self::Memcached => {
                command.args(["-p", &port, "-l", "127.0.0.1", "-t", "2", "-m", "4096"]);
                command.args(["-U", "0", "-c", CONNECTIONS_MAX, "-u", "nobody"]);
            }
            Self::Nothing => {
                command.args(["--port", &port, "--value-len", &value_len.to_string()]);
            }
        }
        command
    }
}

/// A running server that takes part.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    pub(crate) server: ServerProcess,
    control: Control,
    pub(crate) tables: Vec<String>,
    value_len: usize,
}

impl Contender {
    /// Starts a server, waits until it answers, and creates its tables.
    pub(crate) fn start(
        setup: &Setup,
        kind: Kind,
        tables: usize,
        value_len: usize,
    ) -> Result<Self> {
        let program = setup.program(kind)?;
        let server = ServerProcess::start(|port| kind.command(&program, port, value_len))?;
        let control = wait_for(kind, &server)
            .with_context(|| format!("{} did not start: {}", kind.name(), server.last_words()))?;
        let tables = (0..tables).map(|table| format!("t{table}")).collect();
        let mut contender = Self { kind, server, control, tables, value_len };
        contender.create_tables()?;
        Ok(contender)
    }

    fn create_tables(&mut self) -> Result<()> {
        if matches!(self.kind, Kind::Winter | Kind::WinterLine) {
            for table in &self.tables {
                self.control.ask(&["CREATE", table])?;
            }
        }
        Ok(())
    }

    /// Removes every entry, and waits until the server has nothing more to do.
    pub(crate) fn empty(&mut self) -> Result<()> {
        match self.kind {
            Kind::Redis => drop(self.control.ask(&["FLUSHALL"])?),
            Kind::Memcached => drop(self.control.ask(&["flush_all"])?),
            Kind::Nothing => {}
            Kind::Winter | Kind::WinterLine => {
                for table in &self.tables {
                    self.control.ask(&["DROP", table])?;
                }
                self.create_tables()?;
            }
        }
        self.settle()
    }

    /// Drops the first table; all there is, where there are no tables.
    pub(crate) fn drop_first_table(&mut self) -> Result<()> {
        let words: &[&str] = match self.kind {
            Kind::Redis => &["FLUSHALL"],
            Kind::Memcached => &["flush_all"],
            Kind::Winter | Kind::WinterLine | Kind::Nothing => &["DROP", "t0"],
        };
        self.control.ask(words).map(drop)
    }

    /// Writes the keys with numbers below `keys`.
    pub(crate) fn fill(&self, keys: u64) -> Result<()> {
        if self.kind == Kind::Nothing {
            return Ok(());
        }
        let plan = LoadPlan {
            connections: 4,
            depth: 64,
            keys: KeyChoice::Sequential { first: 0 },
            requests_max: Some(keys),
            duration: FILL_PATIENCE,
            ..self.plan(Operation::PutNew)
        };
        let report = load::run(&plan).and_then(load::LoadReport::check);
        let report = report.with_context(|| format!("filling {}", self.kind.name()))?;
        if report.stored != keys {
            bail!("{} stored {} of {keys} new keys", self.kind.name(), report.stored);
        }
        self.settle()
    }

    /// A load on this server, to be adapted.
    pub(crate) fn plan(&self, operation: Operation) -> LoadPlan {
        LoadPlan {
            tables: self.tables.clone(),
            value_len: self.value_len,
            ..LoadPlan::new(self.server.address, self.kind.dialect(), operation)
        }
    }

    /// Waits until the server is idle, so that one round's leftovers burden no other's.
    pub(crate) fn settle(&self) -> Result<()> {
        let tick = Duration::from_millis(50);
        let deadline = Instant::now() + SETTLE_PATIENCE;
        while Instant::now() < deadline {
            let before = procfs::cpu_time(self.server.pid)?;
            thread::sleep(tick);
            if procfs::cpu_time(self.server.pid)?.saturating_sub(before) < tick / 50 {
                return Ok(());
            }
        }
        eprintln!("note: {} is still busy {SETTLE_PATIENCE:?} after its work", self.kind.name());
        Ok(())
    }
}

/// Connects and pings until the server answers.
fn wait_for(kind: Kind, server: &ServerProcess) -> Result<Control> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let attempt = Control::connect(server.address, kind.framing()).and_then(|mut control| {
            control.exchange(&[kind.ping()])?;
            Ok(control)
        });
        match attempt {
            Ok(control) => return Ok(control),
            Err(error) if Instant::now() > deadline || !server.is_alive() => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
