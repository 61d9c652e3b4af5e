//! What comes in and what goes out.

use super::message::{Message, Proposal, Unheard};
use super::rival::{Claim, Verdict};
use crate::cluster::{Address, ClusterId};
use crate::time::Timestamp;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time went on. Wanted a few times a second.
    Tick(Timestamp),
    /// The DNS answered [`Output::Resolve`].
    Resolved {
        /// Of which round.
        round: u64,
        /// What it lists; `None` when it failed. Empty counts as failed.
        addresses: Option<Vec<Address>>,
    },
    /// An address answered [`Output::Ask`], or did not.
    Answered {
        /// Of which round.
        round: u64,
        /// Which.
        address: Address,
        /// What it said.
        answer: Result<Message, Unheard>,
        /// When.
        now: Timestamp,
    },
    /// A peer asked. The outputs hold one [`Output::Reply`].
    Asked(Message),
    /// This node is a member of an open cluster: one that let it in, or the one
    /// it is enlisted in, which has opened. Comes from the applied log.
    Joined {
        /// Which.
        cluster: ClusterId,
        /// Whether it has tables.
        tables: bool,
    },
    /// Whether the cluster has tables, when that changed.
    Tables(bool),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask the DNS, and report as [`Input::Resolved`].
    Resolve {
        /// To be named in the report.
        round: u64,
    },
    /// Ask an address, within a deadline, and report as [`Input::Answered`]. A
    /// proposer's question asks for the ticket.
    Ask {
        /// To be named in the report.
        round: u64,
        /// Whom.
        address: Address,
        /// What.
        message: Message,
    },
    /// The answer to [`Input::Asked`].
    Reply(Message),
    /// Found: initialise the meta group with exactly this list.
    Found {
        /// The new cluster.
        cluster: ClusterId,
        /// Its first members, this node among them.
        list: Proposal,
    },
    /// The cluster was founded by another, with this node: initialise the meta
    /// group with exactly this list, as its founder does. All do the same, so
    /// the founding survives its founder.
    Enlist {
        /// The cluster.
        cluster: ClusterId,
        /// Its first members, this node among them.
        list: Proposal,
    },
    /// Everyone of the list is enlisted: the meta group may commit that the
    /// cluster is open. Where some never come, it may also open when it has
    /// committed that they are no members.
    Complete {
        /// Which.
        cluster: ClusterId,
    },
    /// The cluster never opened and cannot any more: forget it, and refuse
    /// everything of it for good. This node is fresh again.
    Abandon {
        /// Which.
        cluster: ClusterId,
    },
    /// Ask to be let in, as a new member. Comes each round until [`Input::Joined`].
    Join {
        /// The cluster.
        cluster: ClusterId,
        /// A member.
        through: Address,
    },
    /// Another cluster of this application: raise an error, be unready.
    Rival {
        /// Where it was met.
        address: Address,
        /// Which it is.
        other: Claim,
        /// What becomes of this node's cluster, once its meta group commits it.
        verdict: Verdict,
    },
    /// Somebody who does not belong here.
    Refused {
        /// Where, when this node dialled it.
        address: Option<Address>,
        /// Who.
        why: Unheard,
    },
}
