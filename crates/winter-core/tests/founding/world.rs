//! The world that the machine is checked in: processes at addresses, a network
//! that loses, delays and repeats, and a DNS that says what it likes.
//!
//! A question and its answer are one step, unless a fault with a budget parts
//! them. So what the network may do is a number, and all of it is explored.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use stateright::{Model, Property};
use winter_core::cluster::founding::{
    Flaw, Founding, Input, Message, Output, Proposal, Settings, Standing, Unheard,
};
use winter_core::cluster::{Address, ClusterId, NodeId};
use winter_core::time::Timestamp;

/// A place where a process can be: its address.
pub(crate) type Slot = usize;

const INTERVAL_MILLIS: u64 = 1_000;

/// What may happen, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// The identities of the processes at the start, by slot.
    pub ids: Vec<u64>,
    /// More slots, which are empty at the start: new addresses.
    pub spare: usize,
    pub size: Option<usize>,
    /// Lists that the DNS may answer at any time.
    pub dns: Vec<Vec<Slot>>,
    /// Whether the DNS may also fail, or tell the truth about who lives.
    pub dns_fails: bool,
    pub dns_is_true: bool,
    pub crashes: u8,
    pub boots: u8,
    pub losses: u8,
    pub delays: u8,
    /// Rounds in which a node must be missing until it counts as gone.
    pub settling: u64,
    /// How many lists a node may propose.
    pub attempts: u32,
    /// Whether a cluster that is complete opens.
    pub opens: bool,
    /// Whether every state is asked if the world can heal from it.
    pub heals: bool,
    /// Whether nobody crashes before somebody founds.
    pub crashes_late: bool,
    /// Questions from the one slot never reach the other.
    pub cut: Option<(Slot, Slot)>,
    /// Whether who does not propose asks everyone in one step.
    pub is_coarse: bool,
    pub flaw: Option<Flaw>,
}

impl Bounds {
    /// Nodes that all see each other, without faults.
    pub(crate) fn calm(ids: &[u64], size: usize) -> Self {
        Self {
            ids: ids.to_vec(),
            spare: 0,
            size: Some(size),
            dns: vec![(0..ids.len()).collect()],
            dns_fails: false,
            dns_is_true: false,
            crashes: 0,
            boots: 0,
            losses: 0,
            delays: 0,
            settling: 1,
            attempts: 2,
            opens: false,
            heals: false,
            crashes_late: false,
            cut: None,
            is_coarse: false,
            flaw: None,
        }
    }
}

/// A process.
#[derive(Clone)]
pub(crate) struct Process {
    machine: Arc<Founding>,
    clock: u64,
    round: u64,
    /// Its question in this round, and who was not asked yet.
    ask: Option<Message>,
    pending: BTreeSet<Slot>,
    /// Answers on their way.
    answers: BTreeMap<Slot, Message>,
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        self.machine.node() == other.machine.node()
            && self.machine.state() == other.machine.state()
            && self.ask == other.ask
            && self.pending == other.pending
            && self.answers == other.answers
    }
}

impl Eq for Process {}

impl Hash for Process {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.machine.node().hash(hasher);
        self.machine.state().hash(hasher);
        self.ask.hash(hasher);
        self.pending.hash(hasher);
        self.answers.hash(hasher);
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.machine.node(), self.machine.standing())
    }
}

/// A cluster that somebody founded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Founded {
    pub cluster: ClusterId,
    pub list: Proposal,
    pub is_complete: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub slots: Vec<Option<Process>>,
    /// Questions on their way, to be delivered whenever, and as often as likes.
    late: Vec<(Slot, Message)>,
    pub founded: Vec<Founded>,
    pub abandoned: u8,
    crashes: u8,
    boots: u8,
    losses: u8,
    delays: u8,
    cut: Option<(Slot, Slot)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A process begins a round, and the DNS says this.
    Round(Slot, Option<Vec<Slot>>),
    /// A question is asked and answered.
    Meet(Slot, Slot),
    /// Nobody is there.
    Silence(Slot, Slot),
    /// The question is lost.
    Lose(Slot, Slot),
    /// The question arrives, and the answer is lost.
    LoseAnswer(Slot, Slot),
    /// The question arrives, and the answer takes its time.
    Sample(Slot, Slot),
    /// Such an answer arrives.
    Answer(Slot, Slot),
    /// The asker gives up, and the question arrives at some time.
    Hold(Slot, Slot),
    /// Such a question arrives, for the last time or not.
    Late {
        index: usize,
        is_last: bool,
    },
    Crash(Slot),
    /// A process starts with nothing, with a lower or a higher identity than any.
    Boot {
        slot: Slot,
        is_low: bool,
    },
    /// The log tells a process that its cluster is open.
    Open(Slot),
}

pub(crate) fn address(slot: Slot) -> Address {
    format!("10.0.0.{}:6062", slot + 1).parse().expect("an address")
}

fn slot_of(address: &Address) -> Slot {
    let last = address.host().rsplit('.').next().and_then(|n| n.parse::<usize>().ok());
    last.expect("addresses are made from slots") - 1
}

impl Bounds {
    fn process(&self, id: u64) -> Process {
        let mut settings = Settings::new("a", self.size.and_then(NonZeroUsize::new));
        settings.settling = Duration::from_millis(self.settling * INTERVAL_MILLIS);
        settings.flaw = self.flaw;
        let machine = Founding::new(settings, NodeId(id), ClusterId(u128::from(id) << 64));
        Process {
            machine: Arc::new(machine),
            clock: 0,
            round: 0,
            ask: None,
            pending: BTreeSet::new(),
            answers: BTreeMap::new(),
        }
    }
}

impl World {
    fn new(bounds: &Bounds) -> Self {
        let mut slots: Vec<_> = bounds.ids.iter().map(|id| Some(bounds.process(*id))).collect();
        slots.resize(bounds.ids.len() + bounds.spare, None);
        Self {
            slots,
            late: Vec::new(),
            founded: Vec::new(),
            abandoned: 0,
            crashes: bounds.crashes,
            boots: bounds.boots,
            losses: bounds.losses,
            delays: bounds.delays,
            cut: bounds.cut,
        }
    }

    fn living(&self) -> Vec<Slot> {
        (0..self.slots.len()).filter(|slot| self.slots[*slot].is_some()).collect()
    }

    pub(crate) fn machine(&self, slot: Slot) -> Option<&Founding> {
        self.slots[slot].as_ref().map(|process| &*process.machine)
    }

    /// Gives a process an input, and takes in what it does.
    fn handle(&mut self, slot: Slot, input: Input) -> Option<Message> {
        let process = self.slots[slot].as_mut().expect("only the living are given inputs");
        let mut reply = None;
        for output in Arc::make_mut(&mut process.machine).handle(input) {
            match output {
                Output::Resolve { round } => process.round = round,
                Output::Ask { address, message, .. } => {
                    process.pending.insert(slot_of(&address));
                    process.ask = Some(message);
                }
                Output::Reply(message) => reply = Some(message),
                Output::Found { cluster, list } => {
                    self.founded.push(Founded { cluster, list, is_complete: false });
                }
                Output::Complete { cluster } => {
                    for founded in self.founded.iter_mut().filter(|f| f.cluster == cluster) {
                        founded.is_complete = true;
                    }
                }
                Output::Abandon { .. } => self.abandoned = 1,
                Output::Enlist { .. }
                | Output::Join { .. }
                | Output::Rival { .. }
                | Output::Refused { .. } => {}
            }
        }
        reply
    }

    fn round(&mut self, slot: Slot, dns: Option<&[Slot]>) {
        let process = self.slots[slot].as_mut().expect("only the living ask");
        process.clock += INTERVAL_MILLIS;
        let now = Timestamp::from_millis(process.clock);
        self.handle(slot, Input::Tick(now));
        let round = self.slots[slot].as_ref().map_or(0, |process| process.round);
        let addresses = dns.map(|slots| slots.iter().copied().map(address).collect());
        self.handle(slot, Input::Resolved { round, addresses });
        let pending = self.slots[slot].as_ref().map(|process| process.pending.clone());
        let pending = pending.unwrap_or_default();
        if pending.contains(&slot) {
            self.meet(slot, slot);
        }
        if pending.is_empty() {
            let process = self.slots[slot].as_mut().expect("it lives");
            // Nothing was ever listed: the round waits for its end.
            let now = Timestamp::from_millis(process.clock + 60_000);
            self.handle(slot, Input::Tick(now));
        }
    }

    /// Whether it matters that the process begins a round with this list.
    ///
    /// Who has no ticket and is not the lowest of the list that it sees gives
    /// and takes nothing by asking: the rounds that count towards a list are
    /// those of its lowest node. To leave the others out keeps the check small.
    fn matters(&self, slot: Slot, list: &[Slot]) -> bool {
        let Some(machine) = self.machine(slot) else { return false };
        if machine.standing() != (Standing::Fresh { ticket: None }) {
            return true;
        }
        let fresh = list.iter().filter_map(|slot| self.machine(*slot));
        let nodes = fresh.filter(|machine| machine.standing().cluster().is_none());
        let nodes = nodes.map(Founding::node);
        list.contains(&slot) && nodes.min() == Some(machine.node())
    }

    fn may_propose(&self, slot: Slot) -> bool {
        let Some(machine) = self.machine(slot) else { return false };
        match machine.standing() {
            Standing::Fresh { ticket } => {
                ticket.is_none_or(|list| list.proposer().node == machine.node())
            }
            Standing::Enlisted { .. } | Standing::Member { .. } => false,
        }
    }

    /// The answer of `target` to the question of `slot`.
    fn ask(&mut self, slot: Slot, target: Slot) -> Option<Message> {
        let ask = self.slots[slot].as_ref()?.ask.clone()?;
        self.handle(target, Input::Asked(ask))
    }

    fn report(&mut self, slot: Slot, target: Slot, answer: Result<Message, Unheard>) {
        let process = self.slots[slot].as_mut().expect("only the living are answered");
        process.pending.remove(&target);
        if process.pending.is_empty() && process.answers.is_empty() {
            process.ask = None;
        }
        let now = Timestamp::from_millis(process.clock);
        let round = process.round;
        self.handle(slot, Input::Answered { round, address: address(target), answer, now });
    }

    fn meet(&mut self, slot: Slot, target: Slot) {
        let is_there = self.slots[target].is_some() && self.cut != Some((slot, target));
        let answer = if is_there { self.ask(slot, target) } else { None };
        self.report(slot, target, answer.ok_or(Unheard::Silent));
    }

    /// How many of `founded`'s list could act for it, now or when they hear of
    /// it. None do when nobody is left who knows of the founding.
    fn could_act(&self, founded: &Founded) -> usize {
        let mut knows = false;
        let standings = self
            .slots
            .iter()
            .flatten()
            .map(|process| (process.machine.node(), process.machine.standing()));
        let count = standings.filter(|(node, standing)| {
            let is_of = standing.cluster() == Some(founded.cluster);
            knows |= is_of;
            let is_free = *standing == Standing::Fresh { ticket: Some(founded.list.clone()) };
            founded.list.holds(*node) && (is_of || is_free)
        });
        let count = count.count();
        if knows { count } else { 0 }
    }

    /// Clusters that could act.
    pub(crate) fn alive(&self) -> usize {
        let alive = |founded: &&Founded| self.could_act(founded) >= founded.list.majority();
        self.founded.iter().filter(alive).count()
    }

    /// Whether each complete cluster could act unless a majority of it crashed.
    fn keeps_what_is_complete(&self) -> bool {
        let nodes: BTreeSet<_> = self.slots.iter().flatten().map(|p| p.machine.node()).collect();
        self.founded.iter().filter(|founded| founded.is_complete).all(|founded| {
            let seats = founded.list.seats();
            let living = seats.iter().filter(|seat| nodes.contains(&seat.node)).count();
            living < founded.list.majority() || self.could_act(founded) >= founded.list.majority()
        })
    }

    pub(crate) fn has_complete(&self) -> bool {
        self.founded.iter().any(|founded| {
            founded.is_complete && self.could_act(founded) >= founded.list.majority()
        })
    }

    /// Whether a majority of a list is enlisted: consensus takes it from there.
    fn has_formed(&self) -> bool {
        let standings: Vec<_> = self.slots.iter().flatten().map(|p| p.machine.standing()).collect();
        self.founded.iter().any(|founded| {
            let of = standings.iter().filter(|s| s.cluster() == Some(founded.cluster));
            of.count() >= founded.list.majority()
        })
    }

    fn boot(&mut self, bounds: &Bounds, slot: Slot, is_low: bool) {
        let known = self.slots.iter().flatten().map(|p| p.machine.node().0);
        let listed = self.founded.iter().flat_map(|f| f.list.seats().iter().map(|s| s.node.0));
        let known: Vec<u64> = known.chain(listed).chain(bounds.ids.iter().copied()).collect();
        let used = u64::from(bounds.boots - self.boots);
        let low = known.iter().min().map_or(1, |id| id - 1);
        let high = known.iter().max().map_or(1, |id| id + 1);
        // An identity is never used twice, even if nobody remembers it.
        let id = if is_low { low.min(500 - used) } else { high.max(1_500 + used) };
        self.slots[slot] = Some(bounds.process(id));
    }

    /// Whether a cluster is there once faults end: whoever is missing is back,
    /// the DNS is true, and nothing is lost.
    pub(crate) fn heals(&self, bounds: &Bounds) -> bool {
        let mut world = self.clone();
        for slot in 0..world.slots.len() {
            if slot < bounds.ids.len() && world.slots[slot].is_none() {
                world.boots = world.boots.saturating_sub(1);
                world.boot(bounds, slot, slot % 2 == 0);
            }
        }
        let living = world.living();
        for slot in &living {
            world.finish(*slot);
        }
        for _ in 0..12 + 2 * bounds.settling {
            if world.has_formed() {
                return true;
            }
            for slot in &living {
                world.round(*slot, Some(&living));
                world.finish(*slot);
            }
        }
        world.has_formed()
    }

    /// Brings a round to its end.
    fn finish(&mut self, slot: Slot) {
        while let Some(process) = &self.slots[slot] {
            if let Some((target, answer)) = process.answers.first_key_value() {
                let (target, answer) = (*target, answer.clone());
                self.deliver(slot, target, answer);
            } else if let Some(target) = process.pending.first().copied() {
                self.meet(slot, target);
            } else {
                return;
            }
        }
    }

    fn deliver(&mut self, slot: Slot, target: Slot, answer: Message) {
        if let Some(process) = &mut self.slots[slot] {
            process.answers.remove(&target);
        }
        self.report(slot, target, Ok(answer));
    }
}

impl Model for Bounds {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (slot, place) in world.slots.iter().enumerate() {
            let Some(process) = place else {
                if world.boots > 0 {
                    actions.extend([true, false].map(|is_low| Action::Boot { slot, is_low }));
                }
                continue;
            };
            if process.pending.is_empty() && process.answers.is_empty() {
                let truth = self.dns_is_true.then(|| world.living());
                let known = truth.filter(|truth| !self.dns.contains(truth));
                let lists = self.dns.iter().cloned().chain(known);
                let lists = lists.filter(|list| world.matters(slot, list));
                actions.extend(lists.map(|list| Action::Round(slot, Some(list))));
                if self.dns_fails
                    && !matches!(process.machine.standing(), Standing::Fresh { ticket: None })
                {
                    actions.push(Action::Round(slot, None));
                }
            }
            for target in process.pending.iter().copied() {
                if world.slots[target].is_none() {
                    actions.push(Action::Silence(slot, target));
                    continue;
                }
                actions.push(Action::Meet(slot, target));
                if world.losses > 0 {
                    actions.push(Action::Lose(slot, target));
                    actions.push(Action::LoseAnswer(slot, target));
                }
                if world.delays > 0 {
                    actions.push(Action::Sample(slot, target));
                    actions.push(Action::Hold(slot, target));
                }
            }
            actions.extend(process.answers.keys().map(|target| Action::Answer(slot, *target)));
            if world.crashes > 0 && !(self.crashes_late && world.founded.is_empty()) {
                actions.push(Action::Crash(slot));
            }
            if let Standing::Enlisted { cluster, .. } = process.machine.standing() {
                let is_open = |f: &Founded| f.cluster == cluster && f.is_complete;
                if self.opens && world.founded.iter().any(is_open) {
                    actions.push(Action::Open(slot));
                }
            }
        }
        for (index, (slot, _)) in world.late.iter().enumerate() {
            if world.slots[*slot].is_some() {
                actions.extend([true, false].map(|is_last| Action::Late { index, is_last }));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Round(slot, dns) => {
                next.round(slot, dns.as_deref());
                if self.is_coarse && !world.may_propose(slot) {
                    next.finish(slot);
                }
            }
            Action::Meet(slot, target) | Action::Silence(slot, target) => next.meet(slot, target),
            Action::Lose(slot, target) => {
                next.losses -= 1;
                next.report(slot, target, Err(Unheard::Silent));
            }
            Action::LoseAnswer(slot, target) => {
                next.losses -= 1;
                next.ask(slot, target)?;
                next.report(slot, target, Err(Unheard::Silent));
            }
            Action::Sample(slot, target) => {
                next.delays -= 1;
                let answer = next.ask(slot, target)?;
                let process = next.slots[slot].as_mut()?;
                process.pending.remove(&target);
                process.answers.insert(target, answer);
            }
            Action::Answer(slot, target) => {
                let answer = next.slots[slot].as_ref()?.answers.get(&target)?.clone();
                next.deliver(slot, target, answer);
            }
            Action::Hold(slot, target) => {
                next.delays -= 1;
                let ask = next.slots[slot].as_ref()?.ask.clone()?;
                next.late.push((target, ask));
                next.report(slot, target, Err(Unheard::Silent));
            }
            Action::Late { index, is_last } => {
                let (slot, ask) = next.late[index].clone();
                next.handle(slot, Input::Asked(ask));
                if is_last {
                    next.late.remove(index);
                }
            }
            Action::Crash(slot) => {
                next.crashes -= 1;
                next.slots[slot] = None;
            }
            Action::Boot { slot, is_low } => {
                next.boots -= 1;
                next.boot(self, slot, is_low);
            }
            Action::Open(slot) => {
                let cluster = next.machine(slot)?.standing().cluster()?;
                next.handle(slot, Input::Joined { cluster, tables: false });
            }
        }
        Some(next)
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.slots.iter().flatten().all(|process| match process.machine.standing() {
            Standing::Fresh { ticket: Some(list) } => list.attempt() <= self.attempts,
            _ => true,
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("one cluster at most", |_, world: &World| world.alive() <= 1),
            Property::always("a complete cluster lasts", |_, world: &World| {
                world.keeps_what_is_complete()
            }),
            Property::sometimes("a cluster is complete", |_, world: &World| world.has_complete()),
        ];
        if self.crashes > 0 && !self.is_coarse {
            properties.push(Property::sometimes("a founding is abandoned", |_, world: &World| {
                world.abandoned > 0
            }));
        }
        if self.crashes > 0 {
            properties.push(Property::sometimes("a second founding", |_, world: &World| {
                world.founded.len() > 1 && world.has_complete()
            }));
        }
        if self.heals {
            properties.push(Property::always("it heals", |bounds: &Self, world: &World| {
                world.heals(bounds)
            }));
        }
        properties
    }
}
