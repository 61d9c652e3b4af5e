//! The rules: what a round decides, and who gets the ticket.

use super::enlisted::{Enlisted, Turn};
use super::message::{Message, Proposal, Seat, Standing};
use super::port::Output;
use super::rival::Claim;
use super::round::{Heard, Steady};
use super::wait::Wait;
use super::watch::Watch;
use super::{Founding, REFUSED_MAX, ROUNDS_MIN, Role};
use crate::cluster::{ClusterId, NodeId};

/// The one ticket of a node, and the list that it is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket {
    pub list: Proposal,
    pub watch: Watch,
}

/// A rule broken on purpose.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A ticket counts for every list, not only for the one it is bound to.
    UnboundTicket,
    /// A ticket moves at once, without a word of its proposer's end.
    MovesAtOnce,
    /// A majority of the list's tickets is enough.
    FoundsOnMajority,
    /// Who does not answer, or is no longer fresh, is left out of the list.
    SkipsSilent,
    /// An enlisted node is free as soon as the founder is gone.
    LeavesWithFounder,
    /// A proposer stands by its first list for ever.
    NeverWithdraws,
    /// An enlisted node waits for ever.
    NeverAbandons,
}

impl Founding {
    fn has(&self, flaw: Flaw) -> bool {
        self.settings.flaw == Some(flaw)
    }

    /// What a round that has ended comes to.
    pub(super) fn decide(&mut self, heard: &Heard, outputs: &mut Vec<Output>) {
        match &self.state.role {
            Role::Fresh(_) => self.decide_fresh(heard, outputs),
            Role::Enlisted(_) => self.decide_enlisted(heard, outputs),
            Role::Member { cluster, tables } => {
                let mine = Claim { cluster: *cluster, is_open: true, has_tables: *tables };
                report_rivals(self.me, mine, heard, outputs);
                self.waits = Wait::Nothing;
            }
        }
    }

    fn decide_fresh(&mut self, heard: &Heard, outputs: &mut Vec<Output>) {
        let settling = self.settings.settling;
        for (_, answer) in heard.messages() {
            if self.enlist_with(&answer.standing, outputs) {
                return;
            }
        }
        if let Role::Fresh(Some(Ticket { list, watch })) = &mut self.state.role {
            let proposer = list.proposer().node;
            watch.observe(list, None, heard, settling, |node| node == proposer);
        }
        self.state.has_met = self.join(heard, outputs);
        if self.state.has_met {
            return;
        }
        let seats = heard.seats(self.me, self.settings.cluster_size, self.has(Flaw::SkipsSilent));
        let seats = match seats {
            Ok(seats) => seats,
            Err(wait) => {
                // A DNS that says nothing changes nothing.
                if heard.listed.is_some() {
                    self.state.steady = None;
                }
                self.waits = wait;
                return;
            }
        };
        let steady =
            Steady::note(self.state.steady.take(), &seats, heard.elapsed, (ROUNDS_MIN, settling));
        let has_size = self.settings.cluster_size.is_some();
        let has_stood = has_size || steady.stood >= settling;
        let is_ready = steady.rounds >= ROUNDS_MIN && has_stood;
        self.waits = if has_size {
            Wait::Confirmation
        } else {
            Wait::Settling { stood: steady.stood, settling }
        };
        self.state.steady = Some(steady);
        if let Some(list) = self.own_proposal() {
            if list.seats() == seats {
                self.found(list, heard, outputs);
                return;
            }
            if self.has(Flaw::NeverWithdraws) {
                return;
            }
            self.turn_away();
        }
        if is_ready {
            self.propose(seats);
        }
    }

    /// The list that this node proposes.
    fn own_proposal(&self) -> Option<Proposal> {
        match &self.state.role {
            Role::Fresh(Some(ticket)) if ticket.list.proposer().node == self.me => {
                Some(ticket.list.clone())
            }
            _ => None,
        }
    }

    /// Founds, when this round has shown every ticket of `list`.
    fn found(&mut self, list: Proposal, heard: &Heard, outputs: &mut Vec<Output>) {
        let is_granted = |seat: &&Seat| {
            let answer = heard.answer(&seat.address);
            match answer.map(|answer| &answer.standing) {
                Some(Standing::Fresh { ticket: Some(ticket) }) => {
                    *ticket == list || self.has(Flaw::UnboundTicket)
                }
                _ => false,
            }
        };
        let missing = list.seats().iter().find(|seat| !is_granted(seat));
        let granted = list.seats().iter().filter(is_granted).count();
        let is_enough = self.has(Flaw::FoundsOnMajority) && granted >= list.majority();
        if let Some(seat) = missing
            && !is_enough
        {
            self.waits = Wait::Ticket { node: seat.node };
            return;
        }
        // A founding that was abandoned and one that follows it are two clusters.
        let cluster = ClusterId(self.drawn.0.wrapping_add(u128::from(list.attempt() - 1)));
        outputs.push(Output::Found { cluster, list: list.clone() });
        self.enlist(cluster, list);
    }

    /// Proposes `seats`, when this node is to and its ticket is free.
    fn propose(&mut self, seats: Vec<Seat>) {
        let founder = seats.first().map(|seat| seat.node);
        if founder != Some(self.me) {
            self.waits = founder.map_or(Wait::NotListed, |node| Wait::Founder { node });
            return;
        }
        if !self.free_ticket() {
            if let Some(list) = self.standing().list() {
                self.waits = Wait::OwnTicket { proposer: list.proposer().node };
            }
            return;
        }
        self.state.attempts += 1;
        let list = Proposal::new(self.state.attempts, seats)
            .expect("a round's seats are one for each node, and no more than were dialled");
        self.waits = Wait::Ticket { node: self.me };
        self.state.role = Role::Fresh(Some(Ticket { list, watch: Watch::default() }));
        self.hurry();
    }

    /// A peer said where it stands.
    pub(super) fn hear(&mut self, message: Message, outputs: &mut Vec<Output>) {
        if !matches!(self.state.role, Role::Fresh(_))
            || self.enlist_with(&message.standing, outputs)
        {
            return;
        }
        match message.standing {
            Standing::Fresh { ticket: Some(list) } if list.proposer().node == message.node => {
                self.grant(list);
            }
            // There is a cluster: whatever the DNS says, this is no time to found.
            Standing::Member { .. } => {
                self.state.steady = None;
                if self.own_proposal().is_some() {
                    self.turn_away();
                }
            }
            Standing::Fresh { .. } | Standing::Enlisted { .. } => {}
        }
    }

    /// Binds the ticket to `list`, when it is free for it.
    fn grant(&mut self, list: Proposal) {
        let proposer = list.proposer().node;
        let is_refused =
            self.state.refused.get(&proposer).is_some_and(|last| *last >= list.attempt());
        let is_bound = self.standing().list() == Some(&list);
        if is_bound || is_refused || self.state.has_met || !list.holds(self.me) {
            return;
        }
        // A proposer of a later attempt no longer stands by its earlier one.
        let supersedes = self.standing().list().is_some_and(|bound| {
            bound.proposer().node == proposer && bound.attempt() < list.attempt()
        });
        if supersedes {
            self.turn_away();
        }
        if self.free_ticket() {
            self.state.role = Role::Fresh(Some(Ticket { list, watch: Watch::default() }));
        }
    }

    /// Frees the ticket if its proposer no longer stands by its list, and says
    /// whether it is free.
    fn free_ticket(&mut self) -> bool {
        let Role::Fresh(Some(ticket)) = &self.state.role else { return true };
        let proposer = ticket.list.proposer().node;
        if proposer == self.me {
            return self.has(Flaw::MovesAtOnce) && self.turn_away();
        }
        let has_left = ticket.watch.has_left(proposer, self.settings.settling);
        (has_left || self.has(Flaw::MovesAtOnce)) && self.turn_away()
    }

    /// Leaves the list that this node stands by, for good; `false` when there is
    /// no room to remember it by.
    fn turn_away(&mut self) -> bool {
        if let Some(list) = self.standing().list() {
            let proposer = list.proposer().node;
            let is_known = self.state.refused.contains_key(&proposer);
            if !is_known && self.state.refused.len() >= REFUSED_MAX {
                return false;
            }
            let last = self.state.refused.entry(proposer).or_default();
            *last = list.attempt().max(*last);
        }
        self.state.role = Role::Fresh(None);
        true
    }

    /// Enlists, when `standing` tells of a founding that has this node's ticket.
    fn enlist_with(&mut self, standing: &Standing, outputs: &mut Vec<Output>) -> bool {
        let Standing::Enlisted { cluster, list } = standing else { return false };
        let is_bound = self.standing().list() == Some(list);
        if !(is_bound || self.has(Flaw::UnboundTicket) && list.holds(self.me)) {
            return false;
        }
        outputs.push(Output::Enlist { cluster: *cluster, list: list.clone() });
        self.enlist(*cluster, list.clone());
        true
    }

    fn enlist(&mut self, cluster: ClusterId, list: Proposal) {
        self.waits = Wait::Opening { cluster };
        self.state.steady = None;
        self.state.role = Role::Enlisted(Enlisted::new(self.me, cluster, list));
        self.hurry();
    }

    fn decide_enlisted(&mut self, heard: &Heard, outputs: &mut Vec<Output>) {
        let settling = self.settings.settling;
        let leaves_with_founder = self.has(Flaw::LeavesWithFounder);
        let stays = self.has(Flaw::NeverAbandons);
        let Role::Enlisted(enlisted) = &mut self.state.role else { return };
        let cluster = enlisted.cluster;
        let turn = enlisted.observe(self.me, heard, settling);
        let founder = enlisted.list.proposer().node;
        let is_left = leaves_with_founder && enlisted.watch.has_left(founder, settling);
        let mine = Claim { cluster, is_open: false, has_tables: false };
        report_rivals(self.me, mine, heard, outputs);
        self.waits = Wait::Opening { cluster };
        if turn == Turn::Complete {
            outputs.push(Output::Complete { cluster });
        }
        // It opened, perhaps without this node: then the log would never say so.
        for (at, answer) in heard.messages() {
            if matches!(answer.standing, Standing::Member { cluster: theirs, .. } if theirs == cluster)
            {
                outputs.push(Output::Join { cluster, through: at.clone() });
                self.waits = Wait::Join { cluster };
            }
        }
        if (turn == Turn::Lost && !stays || is_left) && self.turn_away() {
            outputs.push(Output::Abandon { cluster });
            self.waits = Wait::Dns;
            self.hurry();
        }
    }

    /// Asks to be let in where members were met, and says whether any were. Of
    /// several clusters it is the one that would stay.
    fn join(&mut self, heard: &Heard, outputs: &mut Vec<Output>) -> bool {
        let members = heard.messages().filter_map(|(at, answer)| match answer.standing {
            Standing::Member { cluster, tables } => Some(((!tables, cluster), at)),
            Standing::Fresh { .. } | Standing::Enlisted { .. } => None,
        });
        let members: Vec<_> = members.collect();
        let Some(best) = members.iter().map(|(rank, _)| *rank).min() else { return false };
        let cluster = best.1;
        let through = members.into_iter().filter(|(rank, _)| rank.1 == cluster);
        outputs.extend(through.map(|(_, at)| Output::Join { cluster, through: at.clone() }));
        self.turn_away();
        self.state.steady = None;
        self.waits = Wait::Join { cluster };
        true
    }
}

/// A node may hear of itself, as it was when it was asked: that is nobody else.
fn report_rivals(me: NodeId, mine: Claim, heard: &Heard, outputs: &mut Vec<Output>) {
    for (address, answer) in heard.messages().filter(|(_, answer)| answer.node != me) {
        let other = match &answer.standing {
            Standing::Fresh { .. } => continue,
            Standing::Enlisted { cluster, .. } => {
                Claim { cluster: *cluster, is_open: false, has_tables: false }
            }
            Standing::Member { cluster, tables } => {
                Claim { cluster: *cluster, is_open: true, has_tables: *tables }
            }
        };
        if other.cluster != mine.cluster {
            let verdict = mine.verdict(other);
            outputs.push(Output::Rival { address: address.clone(), other, verdict });
        }
    }
}
