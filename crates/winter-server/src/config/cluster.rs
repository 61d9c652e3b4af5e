//! What a node of a cluster is told.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::consensus::ReadPolicy;

/// How a node finds its cluster and what the cluster is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The headless service whose A and AAAA records are the nodes.
    pub dns_service_name: Option<String>,
    /// The cluster's name; `winter` if only seeds are given.
    pub application_name: String,
    /// Nodes to dial beside those.
    pub seeds: Vec<Seed>,
    /// How many nodes found the cluster.
    pub size: Option<u16>,
    /// Copies of each partition.
    pub replicas: u16,
    /// Partitions.
    pub partitions: u16,
    /// The port of the other nodes.
    pub peer_port: u16,
    /// How a leader makes sure that it still leads, before it answers a read.
    pub reads: ReadPolicy,
    /// How long a command may take until its outcome is called unavailable or unknown.
    pub command_timeout: Duration,
}

/// The cluster's name where only seeds are given.
pub(super) const APPLICATION_NAME_DEFAULT: &str = "winter";

/// A node to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// A DNS name or an IP address.
    pub host: String,
    /// The port of its peers.
    pub port: u16,
}

impl Seed {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|&port| port > 0)?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inner) => inner.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6).map(|_| inner)?,
            None => Some(host).filter(|host| is_dns_name(host))?,
        };
        Some(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Whether `name` can be asked of DNS: up to 253 bytes, in labels of 1 to 63
/// letters, digits, dashes and underscores.
pub(super) fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Whether `name` can name a cluster.
pub(super) fn is_application_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_host_and_a_port() {
        for text in ["winter-0.winter:6062", "10.0.0.1:1", "[::1]:65535"] {
            assert_eq!(Seed::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "host", "host:", "host:0", ":1", "host:65536", "::1:1", "[10.0.0.1]:1"] {
            assert_eq!(Seed::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn dns_names_at_their_limits() {
        let long = [&"x".repeat(63)[..]; 4].join(".");
        assert!(is_dns_name(&long[..253]));
        assert!(is_dns_name("winter."));
        for bad in ["", ".", "a..b", "-a", "a-", "a b", &"x".repeat(64), &long, "tcp://a"] {
            assert!(!is_dns_name(bad), "{bad}");
        }
    }
}
