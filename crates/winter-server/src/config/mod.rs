//! Settings.

use std::net::IpAddr;
use std::time::Duration;

/// What a node runs with, read whole before a port is bound.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address that clients and HTTP are served on.
    pub bind: IpAddr,
    /// The port of clients.
    pub port: u16,
    /// The port of HTTP; `None` turns it off.
    pub http_port: Option<u16>,
    /// Threads that serve clients.
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
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}
