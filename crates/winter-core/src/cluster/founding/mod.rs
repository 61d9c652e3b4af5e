//! How fresh nodes become one cluster, and never two.
//!
//! A node keeps nothing over a restart, so only living nodes can tell a first
//! start from one after everything was lost. The DNS is a list of addresses to
//! dial. In rounds, a node asks the DNS, and then everyone that it lists, where
//! they stand; and every answer says it.
//!
//! - A fresh node that meets a member joins, and does not found.
//! - When rounds on end show the same list, long enough, everyone on it answers
//!   and is fresh, the node with the lowest id proposes to found with it.
//! - Everyone has one ticket. It is bound to exactly one list, and the proposer
//!   founds when one round shows it every ticket of its list.
//! - A ticket moves to another list only when its proposer no longer stands by
//!   the first one (the module `watch` says how that is known), and a node that moved
//!   refuses everything of the first list for good.
//! - The founder and everyone who learns of the founding while their ticket is
//!   bound to its list are *enlisted*. The cluster *opens*, and takes its first
//!   write, when all of the list are. Until then nothing can be lost; so an
//!   enlisted node is free again when so many of its list have left that the
//!   rest can never be a majority. A member of an open cluster is never freed.
//!
//! The machine decides and does nothing: see [`Input`] and [`Output`]. The model
//! check is in `tests/founding`, the reasons are in `docs/decisions`.

mod enlisted;
mod message;
mod port;
mod rival;
mod round;
mod rules;
mod wait;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

pub use message::{
    ADDRESSES_MAX, MESSAGE_BYTES_MAX, Message, Proposal, Seat, Standing, Unheard, VERSION,
};
pub use port::{Input, Output};
pub use rival::{Claim, Verdict};
pub use rules::Flaw;
pub use wait::Wait;

use crate::cluster::{Address, ClusterId, NodeId};
use crate::time::Timestamp;
use enlisted::Enlisted;
use round::{Heard, Progress, Steady};
use rules::Ticket;

/// How many rounds on end must show the same list.
pub const ROUNDS_MIN: u32 = 2;
/// A round is over after this time, whatever was not reported.
pub const ROUND_TIME_MAX: Duration = Duration::from_secs(30);
/// The most proposers whose lists are remembered as refused. At the limit a
/// ticket stays where it is: to forget a refusal would not be safe.
pub const REFUSED_MAX: usize = 4096;

/// What does not change while the node runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The application: nodes of another are refused.
    pub application: String,
    /// How many nodes found the cluster. Without it the list must stand
    /// unchanged for the settling time, and have two nodes at least.
    pub cluster_size: Option<NonZeroUsize>,
    /// The time from a round's end to the next round.
    pub round_interval: Duration,
    /// How long a node must be missing, and a list must stand.
    pub settling: Duration,
    /// A rule to break, to see that the model check notices. None in a server.
    #[doc(hidden)]
    pub flaw: Option<Flaw>,
}

impl Settings {
    /// The settings of an application: a round a second, and half a minute to settle.
    #[must_use]
    pub fn new(application: impl Into<String>, cluster_size: Option<NonZeroUsize>) -> Self {
        Self {
            application: application.into(),
            cluster_size,
            round_interval: Duration::from_secs(1),
            settling: Duration::from_secs(30),
            flaw: None,
        }
    }
}

/// A node's way into a cluster.
#[derive(Clone, Debug)]
pub struct Founding {
    settings: Settings,
    me: NodeId,
    /// The first identity of a cluster that this node may found.
    drawn: ClusterId,
    round: u64,
    due: Timestamp,
    began: Timestamp,
    ended: Option<Timestamp>,
    waits: Wait,
    state: State,
}

/// Everything that decides, without the clock and the round's number: two nodes
/// of one identity that are equal in it act alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    role: Role,
    /// Of each proposer, the last attempt that this node has turned away from.
    refused: BTreeMap<NodeId, u32>,
    attempts: u32,
    listed: BTreeSet<Address>,
    steady: Option<Steady>,
    /// Whether the last round met a member: then no ticket is given.
    has_met: bool,
    progress: Progress,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Role {
    Fresh(Option<Ticket>),
    Enlisted(Enlisted),
    Member { cluster: ClusterId, tables: bool },
}

impl Founding {
    /// A fresh node. `me` and `drawn` were drawn at this start and never before;
    /// `drawn` names the cluster, should this node found one with its first list; later
    /// lists count up from it.
    #[must_use]
    pub fn new(settings: Settings, me: NodeId, drawn: ClusterId) -> Self {
        let state = State {
            role: Role::Fresh(None),
            refused: BTreeMap::new(),
            attempts: 0,
            listed: BTreeSet::new(),
            steady: None,
            has_met: false,
            progress: Progress::Idle,
        };
        let zero = Timestamp::default();
        let waits = Wait::default();
        Self { settings, me, drawn, round: 0, due: zero, began: zero, ended: None, waits, state }
    }

    /// Takes in what happened, and says what to do.
    pub fn handle(&mut self, input: Input) -> Vec<Output> {
        match input {
            Input::Tick(now) => self.tick(now),
            Input::Resolved { round, addresses } => self.resolved(round, addresses),
            Input::Answered { round, address, answer, now } => {
                self.answered(round, address, answer, now)
            }
            Input::Asked(message) => self.asked(message),
            Input::Joined { cluster, tables } => {
                self.state.role = Role::Member { cluster, tables };
                self.waits = Wait::Nothing;
                Vec::new()
            }
            Input::Tables(has_tables) => {
                if let Role::Member { tables, .. } = &mut self.state.role {
                    *tables = has_tables;
                }
                Vec::new()
            }
        }
    }

    /// Who this node is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.me
    }

    /// What is missing before this node is a member.
    #[must_use]
    pub fn waits(&self) -> &Wait {
        &self.waits
    }

    /// Everything that decides.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where this node stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &self.state.role {
            Role::Fresh(ticket) => {
                Standing::Fresh { ticket: ticket.as_ref().map(|ticket| ticket.list.clone()) }
            }
            Role::Enlisted(Enlisted { cluster, list, .. }) => {
                Standing::Enlisted { cluster: *cluster, list: list.clone() }
            }
            Role::Member { cluster, tables } => {
                Standing::Member { cluster: *cluster, tables: *tables }
            }
        }
    }

    fn message(&self) -> Message {
        Message {
            application: self.settings.application.clone(),
            node: self.me,
            standing: self.standing(),
        }
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Output> {
        if self.state.progress != Progress::Idle {
            // The DNS had nothing to say, and there is nobody to hear out.
            if matches!(&self.state.progress, Progress::Asking { pending, .. } if pending.is_empty())
            {
                return self.end_round(now);
            }
            let began = Duration::from_millis(self.began.as_millis());
            if Duration::from_millis(now.as_millis()) < began + ROUND_TIME_MAX {
                return Vec::new();
            }
            return self.end_round(now);
        }
        if now < self.due {
            return Vec::new();
        }
        self.round += 1;
        self.began = now;
        self.state.progress = Progress::Resolving;
        vec![Output::Resolve { round: self.round }]
    }

    /// The DNS answered, or failed. Who is of this node's list is asked in any case.
    fn resolved(&mut self, round: u64, addresses: Option<Vec<Address>>) -> Vec<Output> {
        if round != self.round || self.state.progress != Progress::Resolving {
            return Vec::new();
        }
        let listed = addresses.filter(|listed| !listed.is_empty());
        let listed = listed.map(|listed| listed.into_iter().collect::<BTreeSet<_>>());
        if let Some(listed) = &listed {
            self.state.listed = listed.iter().take(ADDRESSES_MAX).cloned().collect();
        }
        let mut pending = self.state.listed.clone();
        let list = match &mut self.state.role {
            Role::Fresh(Some(ticket)) => Some((&ticket.list, &mut ticket.watch)),
            Role::Enlisted(enlisted) => Some((&enlisted.list, &mut enlisted.watch)),
            Role::Fresh(None) | Role::Member { .. } => None,
        };
        if let Some((list, watch)) = list {
            watch.begin_round();
            pending.extend(list.seats().iter().map(|seat| seat.address.clone()));
        }
        let message = self.message();
        let ask = |address: &Address| Output::Ask {
            round,
            address: address.clone(),
            message: message.clone(),
        };
        let outputs = pending.iter().map(ask).collect();
        let heard = Heard { listed, ..Heard::default() };
        self.state.progress = Progress::Asking { pending, heard };
        outputs
    }

    fn answered(
        &mut self,
        round: u64,
        address: Address,
        answer: Result<Message, Unheard>,
        now: Timestamp,
    ) -> Vec<Output> {
        let answer = answer.and_then(|message| self.of_this_application(message));
        if round != self.round {
            return Vec::new();
        }
        let Progress::Asking { pending, heard } = &mut self.state.progress else {
            return Vec::new();
        };
        if !pending.remove(&address) {
            return Vec::new();
        }
        heard.answers.insert(address, answer);
        if pending.is_empty() { self.end_round(now) } else { Vec::new() }
    }

    fn of_this_application(&self, message: Message) -> Result<Message, Unheard> {
        if message.application == self.settings.application {
            Ok(message)
        } else {
            let (theirs, ours) = (message.application, &self.settings.application);
            Err(Unheard::Application(format!("it is of {theirs:?}, this node of {ours:?}")))
        }
    }

    /// A peer says where it stands, and is told where this node does.
    fn asked(&mut self, message: Message) -> Vec<Output> {
        let mut outputs = Vec::new();
        match self.of_this_application(message) {
            Ok(message) if message.node != self.me => self.hear(message, &mut outputs),
            Ok(_) => {}
            Err(why) => outputs.push(Output::Refused { address: None, why }),
        }
        outputs.push(Output::Reply(self.message()));
        outputs
    }

    fn end_round(&mut self, now: Timestamp) -> Vec<Output> {
        let mut heard = match std::mem::take(&mut self.state.progress) {
            Progress::Asking { heard, .. } => heard,
            Progress::Idle | Progress::Resolving => Heard::default(),
        };
        let before = self.ended.replace(now).unwrap_or(now);
        heard.elapsed = Duration::from_millis(now.as_millis().saturating_sub(before.as_millis()));
        let interval = u64::try_from(self.settings.round_interval.as_millis()).unwrap_or(u64::MAX);
        self.due = Timestamp::from_millis(now.as_millis().saturating_add(interval));
        let mut outputs = Vec::new();
        for (address, answer) in &heard.answers {
            if let Err(why) = answer
                && *why != Unheard::Silent
            {
                outputs.push(Output::Refused { address: Some(address.clone()), why: why.clone() });
            }
        }
        self.decide(&heard, &mut outputs);
        outputs
    }

    /// The next round begins with the next tick.
    fn hurry(&mut self) {
        self.due = Timestamp::default();
    }
}
