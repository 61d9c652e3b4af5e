//! Settings: what a node runs with, read whole before a port is bound.
//!
//! One table, [`SETTINGS`], feeds flags, environment, settings file, `--help`
//! and the documentation. A flag wins over the environment, that over the file,
//! that over the default. Everything wrong is said at once ([`SettingFaults`]);
//! what is odd but harmless comes back as warnings.
//!
//! [`Config::read`] is a function of its arguments, so that tests need no
//! process; `process` is the one module that reads the real environment.

mod accepts;
mod cluster;
mod docs;
mod environment;
mod fault;
mod file;
mod flags;
mod layers;
mod machine;
mod process;
mod setting;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

pub use accepts::Accepts;
pub use cluster::{ClusterConfig, Seed};
pub use docs::settings_markdown;
pub use environment::{Environment, LATER, Later, is_service_link};
pub use fault::{Origin, SettingFault, SettingFaults};
pub use machine::{FileReader, Machine};
pub use process::environment;
pub use setting::{Group, Name, SETTINGS, Setting};

/// What a node runs with, read whole before a port is bound.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address that clients and HTTP are served on.
    pub bind: IpAddr,
    /// The port of clients; 0 is any free one.
    pub port: u16,
    /// The port of HTTP; `None` turns it off, 0 is any free one.
    pub http_port: Option<u16>,
    /// Threads that serve clients, at least one.
    pub threads: usize,
    /// Bytes that may be held in memory before writes are refused.
    pub memory_bytes_max: u64,
    /// The longest value, in bytes.
    pub value_bytes_max: usize,
    /// Most connections of clients at a time.
    pub connections_max: usize,
    /// Bytes of replies that a client may leave unread before it is dropped.
    pub output_bytes_max: usize,
    /// How long a command may take to arrive, once begun.
    pub request_timeout: Duration,
    /// How long a client may go without reading what it is sent.
    pub write_timeout: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// Commands that take longer are logged; `None` logs none.
    pub slow_command: Option<Duration>,
    /// What is logged, as tracing's filter.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// What the node is told of its cluster; `None` when it stands alone.
    pub cluster: Option<ClusterConfig>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What came of reading the settings.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The settings, or everything that is wrong with them.
    pub config: Result<Config, SettingFaults>,
    /// What is odd but does no harm, one sentence each.
    pub warnings: Vec<String>,
    /// What holds for each setting that has a value, in the table's order, right or wrong.
    pub effective: Vec<Effective>,
}

/// What holds for a setting.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value as it was written.
    pub text: String,
    /// What that came to on this machine, where the text does not say it.
    pub means: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// Whether a fault says that it will not do.
    pub is_wrong: bool,
}

impl Config {
    /// Reads the settings out of `args` (the program's name and command not
    /// among them), `environment` and the file that either names.
    #[must_use]
    pub fn read(
        args: &[String],
        environment: &Environment,
        read_file: FileReader<'_>,
        machine: &Machine,
    ) -> Reading {
        settle::settle(layers::gather(args, environment, read_file), machine)
    }
}

/// Every setting at its default, on a machine with one core that does not say
/// how much memory it has.
impl Default for Config {
    fn default() -> Self {
        let machine = Machine { cores: 1, memory_bytes: None, stderr_is_terminal: false };
        let no_file = |_: &std::path::Path| Err(io::Error::from(io::ErrorKind::NotFound));
        Self::read(&[], &BTreeMap::new(), &no_file, &machine)
            .config
            .expect("a test reads every default")
    }
}
