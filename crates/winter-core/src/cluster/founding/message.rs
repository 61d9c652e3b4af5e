//! What fresh nodes say to each other.
//!
//! There is one message, both as question and as answer: who I am and where I
//! stand. A proposer's question is its request for a ticket, since its standing
//! names the list that it stands for; an answer that stands by that list is the
//! ticket. So nothing can be granted without being seen, and nothing is seen
//! that was not granted.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cluster::{Address, ClusterId, NodeId};

/// The version of these messages. Nodes of different versions refuse each other.
pub const VERSION: u16 = 1;
/// The most nodes that found a cluster together, and the most addresses that
/// are dialled in a round.
pub const ADDRESSES_MAX: usize = 256;
/// The longest message: every seat with the longest address, and a name.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;

/// A node of a list, and where it was met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// Who.
    pub node: NodeId,
    /// Where it answered.
    pub address: Address,
}

/// A list that one node proposes to found with, sorted by node.
///
/// Its proposer and attempt identify it: a proposer never uses an attempt twice,
/// and a node never uses an identity twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawProposal", into = "RawProposal")]
pub struct Proposal {
    attempt: u32,
    seats: Arc<[Seat]>,
}

#[derive(Serialize, Deserialize)]
struct RawProposal {
    attempt: u32,
    seats: Vec<Seat>,
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// In no cluster. A ticket of its own list makes it a proposer.
    Fresh {
        /// The list that its one ticket is bound to.
        ticket: Option<Proposal>,
    },
    /// Of a cluster that was founded and is not open yet.
    Enlisted {
        /// The cluster.
        cluster: ClusterId,
        /// The list it was founded with.
        list: Proposal,
    },
    /// Of an open cluster.
    Member {
        /// The cluster.
        cluster: ClusterId,
        /// Whether the cluster has tables.
        tables: bool,
    },
}

/// Who a node is and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// The application: nodes of others are refused.
    pub application: String,
    /// Who says it.
    pub node: NodeId,
    /// Where it stands.
    pub standing: Standing,
}

/// Why an address gave no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unheard {
    /// Nothing came back in time.
    #[error("does not answer")]
    Silent,
    /// It speaks another version of these messages.
    #[error("speaks version {0} of the peer protocol, and this node version {VERSION}")]
    Version(u16),
    /// It is a node of another application: a clause says which is whose.
    #[error("is a node of another application: {0}")]
    Application(String),
    /// It answered something else.
    #[error("answers what no node says")]
    Malformed,
}

impl Proposal {
    /// The list of `seats`, or `None` when it is empty, too long, or names a
    /// node twice.
    #[must_use]
    pub fn new(attempt: u32, mut seats: Vec<Seat>) -> Option<Self> {
        seats.sort();
        let is_repeated = seats.windows(2).any(|pair| pair[0].node == pair[1].node);
        if seats.is_empty() || seats.len() > ADDRESSES_MAX || is_repeated {
            return None;
        }
        Some(Self { attempt, seats: seats.into() })
    }

    /// The node that proposes it: the lowest.
    #[must_use]
    pub fn proposer(&self) -> &Seat {
        self.seats.first().expect("a list is never empty")
    }

    /// Which of its proposer's lists it is.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Its nodes, from the lowest.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Whether `node` is of the list.
    #[must_use]
    pub fn holds(&self, node: NodeId) -> bool {
        self.seats.binary_search_by_key(&node, |seat| seat.node).is_ok()
    }

    /// How many of its nodes can act for all.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.seats.len() / 2 + 1
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} nodes, attempt {} of {}",
            self.seats.len(),
            self.attempt,
            self.proposer().node
        )
    }
}

impl TryFrom<RawProposal> for Proposal {
    type Error = &'static str;

    fn try_from(raw: RawProposal) -> Result<Self, Self::Error> {
        Self::new(raw.attempt, raw.seats).ok_or("a list has 1 to 256 nodes, each once")
    }
}

impl From<Proposal> for RawProposal {
    fn from(list: Proposal) -> Self {
        Self { attempt: list.attempt, seats: list.seats.to_vec() }
    }
}

impl Standing {
    /// The list that it stands by.
    pub(super) fn list(&self) -> Option<&Proposal> {
        match self {
            Self::Fresh { ticket } => ticket.as_ref(),
            Self::Enlisted { list, .. } => Some(list),
            Self::Member { .. } => None,
        }
    }

    /// The cluster that it is of.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        match self {
            Self::Fresh { .. } => None,
            Self::Enlisted { cluster, .. } | Self::Member { cluster, .. } => Some(*cluster),
        }
    }
}

impl Message {
    /// As bytes: the version, so that every later version can tell, and then
    /// the message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = VERSION.to_be_bytes().to_vec();
        postcard::to_extend(self, bytes).expect("a message has nothing that cannot be written")
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`Unheard::Version`] or [`Unheard::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unheard> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(Unheard::Malformed);
        }
        let (version, body) = bytes.split_first_chunk().ok_or(Unheard::Malformed)?;
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            return Err(Unheard::Version(version));
        }
        match postcard::take_from_bytes(body) {
            Ok((message, [])) => Ok(message),
            _ => Err(Unheard::Malformed),
        }
    }
}
