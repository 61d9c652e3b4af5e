//! What nodes agree on when they are many: who they are, and what they hold.
//!
//! The modules below decide and never act: a driver in the server dials,
//! resolves and ticks, and hands what it saw to them. What crosses between
//! nodes, or stands in a log, is `serde` types written with `postcard`: the
//! order of fields and variants here is part of the format.

pub mod entry;
pub mod founding;
pub mod meta;
pub mod placement;
pub mod recovery;
pub mod replica;
pub mod snapshot;
mod stored;

use core::net::SocketAddr;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest address: a name of DNS has at most 253 bytes, and a port six.
pub const ADDRESS_BYTES_MAX: usize = 253 + 6;

/// A process, from its start to its end.
///
/// Drawn at every start, never stored and never used twice: a node that lost
/// its memory can then never vote or acknowledge as what it was before. Shown
/// as 16 hexadecimal digits.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NodeId(pub u64);

/// A cluster, from its founding to its end. Drawn by its founder, and shown as
/// 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u128);

/// A partition's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(pub u16);

/// A group of replicas that agree on one log. Shown as `meta` or as the
/// partition's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GroupId {
    /// The group that holds members, tables and the partitions' places.
    Meta,
    /// The group of a partition.
    Data(PartitionId),
}

/// Where a node's peers reach it: a host and a port, as text.
///
/// One address has one text: numbers are written as the standard library
/// writes them (`[::1]:6062`), names in lower case, so that equal means equal.
/// Whether a name resolves is not asked here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

/// What is known of a member beside its identity. It may be the same for two
/// members, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attributes {
    /// Where its peers reach it.
    pub address: Address,
    /// What its host calls it, a pod's name for example. For people only.
    pub name: String,
}

/// Why a text names no node, cluster, group or address. The text is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not the 16 digits of a node.
    #[error("a node is named by 16 hexadecimal digits")]
    Node,
    /// Not the 32 digits of a cluster.
    #[error("a cluster is named by 32 hexadecimal digits")]
    Cluster,
    /// Neither `meta` nor a number.
    #[error("a group is named \"meta\", or by its partition's number")]
    Group,
    /// No host and port.
    #[error("an address is host:port, with a port of 1 to 65535 and IPv6 in brackets")]
    Address,
}

impl Address {
    /// The text, `host:port`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, without the brackets of IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        self.split().0.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.split().1.parse().expect("an address was parsed before it was made")
    }

    fn split(&self) -> (&str, &str) {
        self.0.rsplit_once(':').expect("an address was parsed before it was made")
    }
}

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(ParseError::Address);
        }
        if let Ok(number) = text.parse::<SocketAddr>() {
            return Self::try_from(number);
        }
        let (host, port) = text.rsplit_once(':').ok_or(ParseError::Address)?;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if host.is_empty() || !host.bytes().all(is_name) {
            return Err(ParseError::Address);
        }
        match digits(port, 10, ParseError::Address)? {
            port @ 1..=0xffff => Ok(Self(format!("{}:{port}", host.to_ascii_lowercase()))),
            _ => Err(ParseError::Address),
        }
    }
}

impl TryFrom<SocketAddr> for Address {
    type Error = ParseError;

    fn try_from(number: SocketAddr) -> Result<Self, ParseError> {
        if number.port() == 0 { Err(ParseError::Address) } else { Ok(Self(number.to_string())) }
    }
}

impl TryFrom<String> for Address {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<u64> for NodeId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl FromStr for NodeId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() != 16 {
            return Err(ParseError::Node);
        }
        let number = digits(text, 16, ParseError::Node)?;
        Ok(Self(u64::try_from(number).expect("16 digits are 64 bits")))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for ClusterId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() != 32 {
            return Err(ParseError::Cluster);
        }
        digits(text, 16, ParseError::Cluster).map(Self)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.pad("meta"),
            Self::Data(partition) => write!(f, "{partition}"),
        }
    }
}

impl FromStr for GroupId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "meta" {
            return Ok(Self::Meta);
        }
        let number = digits(text, 10, ParseError::Group)?;
        let number = u16::try_from(number).map_err(|_| ParseError::Group)?;
        Ok(Self::Data(PartitionId(number)))
    }
}

/// A number of digits alone: the standard library would take a sign as well.
fn digits(text: &str, radix: u32, wrong: ParseError) -> Result<u128, ParseError> {
    if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(wrong);
    }
    u128::from_str_radix(text, radix).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<String, ParseError> {
        text.parse::<Address>().map(|address| address.to_string())
    }

    #[test]
    fn identities_are_shown_in_full_and_read_back() {
        let node = NodeId(0xab);
        assert_eq!(node.to_string(), "00000000000000ab");
        assert_eq!(node.to_string().parse(), Ok(node));
        let cluster = ClusterId(0xcd);
        assert_eq!(cluster.to_string(), format!("{:032x}", 0xcd));
        assert_eq!(cluster.to_string().parse(), Ok(cluster));
        for bad in ["", "ab", "00000000000000zz", "+0000000000000ab", "000000000000000ab"] {
            assert_eq!(bad.parse::<NodeId>(), Err(ParseError::Node), "{bad}");
            assert_eq!(bad.parse::<ClusterId>(), Err(ParseError::Cluster), "{bad}");
        }
    }

    #[test]
    fn groups_are_named_meta_or_by_number() {
        for group in [GroupId::Meta, GroupId::Data(PartitionId(0)), GroupId::Data(PartitionId(255))]
        {
            assert_eq!(group.to_string().parse(), Ok(group));
        }
        for bad in ["", "Meta", "-1", "+1", "65536", "1 "] {
            assert_eq!(bad.parse::<GroupId>(), Err(ParseError::Group), "{bad}");
        }
    }

    #[test]
    fn an_address_has_one_text() {
        assert_eq!(address("Winter-0.Winter:06062").unwrap(), "winter-0.winter:6062");
        assert_eq!(address("[0:0::1]:6062").unwrap(), "[::1]:6062");
        assert_eq!(address("10.0.0.7:6062").unwrap(), "10.0.0.7:6062");
        let v6: Address = "[::1]:6062".parse().unwrap();
        assert_eq!((v6.host(), v6.port()), ("::1", 6062));
        let name: Address = "winter-0:65535".parse().unwrap();
        assert_eq!((name.host(), name.port()), ("winter-0", 65_535));
    }

    #[test]
    fn what_is_no_host_and_port_is_no_address() {
        let long = format!("{}:1", "x".repeat(ADDRESS_BYTES_MAX));
        for bad in
            ["", ":1", "host", "host:", "host:0", "host:65536", "::1:6062", "a b:1", "h:+1", &long]
        {
            assert_eq!(address(bad), Err(ParseError::Address), "{bad}");
        }
        assert_eq!(address("10.0.0.7:0"), Err(ParseError::Address));
    }

    #[test]
    fn a_peer_cannot_send_what_is_no_address() {
        let good: Address = "winter-0:6062".parse().unwrap();
        let bytes = postcard::to_stdvec(&good).unwrap();
        assert_eq!(postcard::from_bytes::<Address>(&bytes).unwrap(), good);
        let bytes = postcard::to_stdvec("no port").unwrap();
        assert!(postcard::from_bytes::<Address>(&bytes).is_err());
    }
}
