//! What a node waits for, in words that a log and `/readyz` can show.

use std::fmt;
use std::time::Duration;

use super::message::Unheard;
use crate::cluster::{Address, ClusterId, NodeId};

/// What is missing before this node is of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// The first round has not ended, or the DNS failed or was empty.
    #[default]
    Dns,
    /// The DNS lists fewer nodes than found a cluster.
    TooFew {
        /// How many there are.
        found: usize,
        /// How many are wanted.
        wanted: usize,
    },
    /// The DNS lists more addresses than are dialled.
    TooMany {
        /// How many it lists.
        listed: usize,
    },
    /// There is one node, and nothing says that one is enough.
    Alone,
    /// The DNS does not list this node.
    NotListed,
    /// A listed address gave no answer that counts.
    Address {
        /// Which.
        address: Address,
        /// What is wrong with it.
        why: Unheard,
    },
    /// All that a founding takes was seen, and is to be seen in another round.
    Confirmation,
    /// The list has not stood for long enough.
    Settling {
        /// How long it has stood.
        stood: Duration,
        /// How long it has to.
        settling: Duration,
    },
    /// Everyone is fresh, and another node has the lowest id and founds.
    Founder {
        /// Who.
        node: NodeId,
    },
    /// This node proposes, and another's ticket is bound to another list.
    Ticket {
        /// Whose ticket.
        node: NodeId,
    },
    /// This node would propose, and its own ticket is bound to another list.
    OwnTicket {
        /// Whose list.
        proposer: NodeId,
    },
    /// A cluster was founded and is not open yet.
    Opening {
        /// Which.
        cluster: ClusterId,
    },
    /// A cluster is there, and this node is to join it.
    Join {
        /// Which.
        cluster: ClusterId,
    },
    /// Nothing: this node is a member.
    Nothing,
}

impl Wait {
    /// Every label, for the metric.
    pub const LABELS: &'static [&'static str] = &[
        "dns",
        "too_few",
        "too_many",
        "alone",
        "not_listed",
        "address",
        "settling",
        "founder",
        "ticket",
        "own_ticket",
        "opening",
        "join",
        "nothing",
    ];

    /// One word for a metric's label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::TooFew { .. } => "too_few",
            Self::TooMany { .. } => "too_many",
            Self::Alone => "alone",
            Self::NotListed => "not_listed",
            Self::Address { .. } => "address",
            Self::Confirmation => "confirmation",
            Self::Settling { .. } => "settling",
            Self::Founder { .. } => "founder",
            Self::Ticket { .. } => "ticket",
            Self::OwnTicket { .. } => "own_ticket",
            Self::Opening { .. } => "opening",
            Self::Join { .. } => "join",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns => f.write_str("waits for DNS or seeds to list addresses"),
            Self::TooFew { found, wanted } => {
                write!(f, "waits for {wanted} nodes (WINTER_CLUSTER_SIZE); {found} listed")
            }
            Self::TooMany { listed } => {
                write!(f, "waits for a shorter list: {listed} addresses are listed")
            }
            Self::Alone => f.write_str(
                "waits for a second node: one founds alone only where WINTER_CLUSTER_SIZE is 1",
            ),
            Self::NotListed => f.write_str("waits for DNS or seeds to list this node"),
            Self::Address { address, why } => write!(f, "waits for {address}, which {why}"),
            Self::Confirmation => f.write_str("waits for the list and all nodes to say so again"),
            Self::Settling { stood, settling } => write!(
                f,
                "waits for the list to stand unchanged: {} of {} s (WINTER_CLUSTER_SIZE makes this \
                 quicker and safer)",
                stood.as_secs(),
                settling.as_secs()
            ),
            Self::Founder { node } => write!(f, "waits for node {node} to found the cluster"),
            Self::Ticket { node } => write!(f, "waits for the ticket of node {node}"),
            Self::OwnTicket { proposer } => {
                write!(f, "waits for node {proposer}, whose list this node's ticket is bound to")
            }
            Self::Opening { cluster } => write!(f, "waits for cluster {cluster} to open"),
            Self::Join { cluster } => write!(f, "waits to be let into cluster {cluster}"),
            Self::Nothing => f.write_str("waits for nothing: it is a member"),
        }
    }
}
