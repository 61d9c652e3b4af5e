//! How faults begin and end.

use std::time::Duration;

use winter_server::cluster::Cluster;

use super::{World, host, millis};
use crate::faults::{Active, Kind};

/// What a slow link's messages take at the most, in milliseconds.
const SLOW_MAX: u64 = 400;
/// How likely it is that a message on a bad link is lost, with all until the
/// link is good again.
const LOSS: f64 = 0.02;

impl World<'_> {
    /// Begins a fault, if it may be now.
    pub(super) fn begin(&mut self, kind: Kind) -> bool {
        let node = self.victim();
        if self.slots[node].cluster.borrow().is_none() || self.leaving.contains(&node) {
            return false;
        }
        if kind.takes_a_replica() && (!self.active.is_empty() || !self.is_whole()) {
            return false;
        }
        if kind == Kind::Clock && !self.options.clocks_lie {
            return false;
        }
        let others = self.others(kind, node);
        let links_are_free = others.iter().all(|other| {
            let is_this = |active: &Active| {
                let own = host(active.node);
                let ends = |other: &String, end: &str| *other == end;
                active.others.iter().any(|far| {
                    (own == host(node) && ends(far, other))
                        || (ends(far, &host(node)) && own == *other)
                })
            };
            !self.active.iter().any(is_this)
        });
        if !links_are_free {
            return false;
        }
        let lasts = kind.lasts(&mut self.dice);
        self.afflict(kind, node, others, lasts);
        true
    }

    /// Begins a fault.
    pub(super) fn afflict(
        &mut self,
        kind: Kind,
        node: usize,
        others: Vec<String>,
        lasts: Duration,
    ) {
        let now = self.sim.elapsed();
        let until = now + lasts;
        let leads = self.leads(node);
        let role = if leads { "a leader" } else { "a node" };
        self.coverage.saw("faults");
        self.coverage.saw(format!("{}: {role}", kind.word()));
        let what = format!("{} at {} with {others:?} until {until:?}", kind.word(), host(node));
        self.trace.note(millis(now), &what);
        self.take_hold(kind, node, &others, until);
        if !matches!(kind, Kind::Crash | Kind::Leave | Kind::Clock) {
            self.active.push(Active { kind, node, others, until });
        }
    }

    /// A node, more often than not one that leads.
    fn victim(&mut self) -> usize {
        let leaders: Vec<usize> =
            (0..self.slots.len()).filter(|&number| self.leads(number)).collect();
        if !leaders.is_empty() && self.dice.percent(60) {
            return leaders[self.dice.place(leaders.len())];
        }
        self.dice.place(self.slots.len())
    }

    fn leads(&self, number: usize) -> bool {
        self.slots[number].cluster.borrow().as_ref().is_some_and(Cluster::leads_any)
    }

    /// The hosts at the other ends of the links that a fault is about.
    pub(super) fn others(&mut self, kind: Kind, node: usize) -> Vec<String> {
        let peers: Vec<String> =
            (0..self.slots.len()).filter(|&other| other != node).map(host).collect();
        let clients = (0..self.options.clients).map(|number| format!("client{number}"));
        match kind {
            Kind::Crash | Kind::Leave | Kind::Clock | Kind::Dns => Vec::new(),
            Kind::Isolation | Kind::Exile | Kind::Mute | Kind::Deaf => peers,
            Kind::PowerLoss | Kind::Hold => peers.into_iter().chain(clients).collect(),
            Kind::Rift | Kind::Slow | Kind::Loss => {
                vec![peers[self.dice.place(peers.len())].clone()]
            }
        }
    }

    fn take_hold(&mut self, kind: Kind, node: usize, others: &[String], until: Duration) {
        let own = host(node);
        for other in others.iter().map(String::as_str) {
            match kind {
                Kind::PowerLoss | Kind::Isolation | Kind::Exile | Kind::Rift => {
                    self.sim.partition(own.as_str(), other);
                }
                Kind::Hold => self.sim.hold(own.as_str(), other),
                Kind::Mute => self.sim.partition_oneway(own.as_str(), other),
                Kind::Deaf => self.sim.partition_oneway(other, own.as_str()),
                Kind::Slow => {
                    let slow = Duration::from_millis(50 + self.dice.below(SLOW_MAX - 50));
                    self.sim.set_link_max_message_latency(own.as_str(), other, slow);
                }
                Kind::Loss => self.sim.set_link_fail_rate(own.as_str(), other, LOSS),
                Kind::Crash | Kind::Leave | Kind::Clock | Kind::Dns => {}
            }
        }
        match kind {
            Kind::Crash | Kind::PowerLoss => self.stop(node, until),
            Kind::Leave => {
                self.leaving.insert(node);
                self.slots[node].leave.notify_one();
            }
            Kind::Clock => {
                let most = u64::try_from(self.options.clock_error.as_millis()).unwrap_or(1);
                let by = Duration::from_millis(1 + self.dice.below(most));
                self.read_clocks();
                if let Some((hand, _)) = self.slots[node].hand.get() {
                    hand.put_forward(by);
                }
                self.read_clocks();
            }
            Kind::Dns => {
                let mood = (self.sim.lookup(own), self.mood());
                self.script.borrow_mut().moods.push(mood);
            }
            _ => {}
        }
    }

    /// Ends the faults whose time has come.
    pub(super) fn end_due(&mut self) {
        let now = self.sim.elapsed();
        let due = self.active.extract_if(.., |active| active.until <= now).collect::<Vec<_>>();
        for active in due {
            self.lift(&active);
        }
    }

    /// Ends all faults.
    pub(super) fn end_all(&mut self) {
        for active in std::mem::take(&mut self.active) {
            self.lift(&active);
        }
        let now = self.sim.elapsed();
        for (_, at) in &mut self.down {
            *at = (*at).min(now);
        }
    }

    fn lift(&mut self, active: &Active) {
        let own = host(active.node);
        let own = own.as_str();
        self.trace
            .note(millis(self.sim.elapsed()), &format!("{} at {own} ends", active.kind.word()));
        for other in active.others.iter().map(String::as_str) {
            match active.kind {
                Kind::Hold => self.sim.release(own, other),
                Kind::Mute => self.sim.repair_oneway(own, other),
                Kind::Deaf => self.sim.repair_oneway(other, own),
                Kind::Slow => {
                    self.sim.set_link_max_message_latency(own, other, self.options.latency);
                }
                Kind::Loss => {
                    self.sim.set_link_fail_rate(own, other, 0.0);
                    self.sim.repair(own, other);
                }
                _ => self.sim.repair(own, other),
            }
        }
        if active.kind == Kind::Dns {
            let address = self.sim.lookup(own);
            self.script.borrow_mut().moods.retain(|(host, _)| *host != address);
        }
    }
}
