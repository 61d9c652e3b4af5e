//! Every limit of the link between nodes.

use std::time::Duration;

use super::frame::BODY_BYTES_MAX;
use super::handshake::{VERSIONS, Versions};

/// The longest body of a probe and of its answer, in bytes.
pub const PROBE_BYTES_MAX: usize = 64 << 10;
/// Probes under way on one connection.
pub(super) const PROBES_IN_FLIGHT_MAX: usize = 4;
/// Addresses of one name that are tried in one round.
pub(super) const ADDRESSES_MAX: usize = 16;
/// Most bytes that are gathered before a write.
pub(super) const WRITE_BYTES: usize = 256 << 10;
/// Room for what comes, in bytes; more when a frame of which much has come needs it.
pub(super) const READ_BYTES: usize = 16 << 10;
/// A frame may take a second longer for each so many of its bytes.
pub(super) const BYTES_PER_EXTRA_SECOND: usize = 64 << 10;
/// How long to wait when the system has no file descriptor to give.
pub(super) const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What may be set. The defaults are for a cluster in one data centre.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The versions of the protocol to speak.
    pub versions: Versions,
    /// The longest body of a call and of its answer, in bytes: [`BODY_BYTES_MAX`] at the most.
    pub body_bytes_max: usize,
    /// Calls of one connection that wait to be sent or answered; and requests of one
    /// connection that are worked on: of commands, and of all that is more urgent.
    pub in_flight_max: usize,
    /// Bytes of one connection's calls that wait to be sent, and of requests that are worked
    /// on, each for commands and for all that is more urgent; of answers that wait to be
    /// sent. A single longer one is let through, and what is short and urgent counts nothing.
    pub queue_bytes_max: usize,
    /// Connections that others have made.
    pub connections_max: usize,
    /// Connections among them that have not shown who they are.
    pub handshakes_max: usize,
    /// How long to resolve a name, and how long to connect to an address.
    pub dial_timeout: Duration,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long a frame may take that has begun to come, with a second more for each 64 KiB of it.
    pub frame_timeout: Duration,
    /// How long a dialler leaves a connection idle before it asks whether the other side is there.
    pub keepalive: Duration,
    /// How long nothing may come, or nothing of what is written be taken, before
    /// a connection counts as broken. More than twice `keepalive`.
    pub silence: Duration,
    /// How long a connection for bulk is kept when there is nothing to send.
    pub bulk_idle: Duration,
    /// The shortest wait before a peer is dialled again; doubled each time.
    pub backoff_least: Duration,
    /// The longest.
    pub backoff_most: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            versions: VERSIONS,
            body_bytes_max: BODY_BYTES_MAX,
            in_flight_max: 4_096,
            queue_bytes_max: 64 << 20,
            connections_max: 1_024,
            handshakes_max: 256,
            dial_timeout: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            keepalive: Duration::from_secs(2),
            silence: Duration::from_secs(8),
            bulk_idle: Duration::from_secs(30),
            backoff_least: Duration::from_millis(50),
            backoff_most: Duration::from_secs(1),
        }
    }
}
