//! The driver of the founding: it resolves, dials and ticks, hands what it saw
//! to the machine in `winter-core`, and does what the machine says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use winter_core::cluster::founding::{Input, Message, Output, Proposal, Unheard, Verdict, Wait};
use winter_core::cluster::meta::{FIRST_INCARNATION, FORMAT, MetaCommand, MetaReply, Profile};
use winter_core::cluster::{Address, ClusterId, GroupId, NodeId, placement};

use super::Inner;
use super::machines::MetaMachine;
use super::wire::{self, Probe, ProbeAnswer};
use crate::consensus::Group;
use crate::net::link;
use crate::peers::{ProbeError, Reason};

const TICK: Duration = Duration::from_millis(100);
/// How long an address may take to answer.
const ASK_MAX: Duration = Duration::from_secs(2);
/// How long a node that was let in may wait for the cluster's state.
const WELCOME_MAX: Duration = Duration::from_secs(20);
/// How long DNS may take.
const RESOLVE_MAX: Duration = Duration::from_secs(5);

/// What is waited for is told at once when it is of another kind, and otherwise
/// no more often than this: addresses, names and times may change for ever.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Whoever should not be there is told again after so long.
const TELL_AGAIN: Duration = Duration::from_secs(300);
/// So many of them are told apart.
const MET_MAX: usize = 64;

/// What the founding decides while it answers peers. One task takes it.
pub(crate) type Decided = Arc<Mutex<UnboundedReceiver<Vec<Output>>>>;

/// Finds or founds a cluster, and from then on watches for others.
pub(crate) async fn run(inner: Arc<Inner>, decided: Decided) {
    let mut outputs = decided.lock().await;
    let (inputs, mut arrived) = unbounded_channel();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    loop {
        let input = tokio::select! {
            () = inner.stop.cancelled() => return,
            _ = ticks.tick() => Input::Tick(inner.node.clock.now()),
            Some(input) = arrived.recv() => input,
            Some(outputs) = outputs.recv() => {
                act(&inner, outputs, &inputs, &mut told).await;
                continue;
            }
        };
        let (outputs, wait) = {
            let mut founding = inner.founding.lock();
            let outputs = founding.handle(input);
            (outputs, founding.waits().clone())
        };
        told.wait(&wait);
        act(&inner, outputs, &inputs, &mut told).await;
    }
}

/// What the log was told last: of what this node waits for, and of whom it met.
#[derive(Default)]
struct Told {
    last: Option<(Instant, &'static str, String)>,
    met: BTreeMap<String, Instant>,
}

impl Told {
    fn wait(&mut self, wait: &Wait) {
        let (label, sentence) = (wait.label(), wait.to_string());
        let is_known = self.last.as_ref().is_some_and(|(at, was, said)| {
            *said == sentence || (*was == label && at.elapsed() < TELL_EVERY)
        });
        if !is_known {
            tracing::info!("this node {sentence}");
            self.last = Some((Instant::now(), label, sentence));
        }
    }

    /// Whether who was met is worth a line: whoever should not be there is met
    /// again in every round.
    fn is_news(&mut self, met: String) -> bool {
        self.met.retain(|_, at| at.elapsed() < TELL_AGAIN);
        if self.met.contains_key(&met) || self.met.len() >= MET_MAX {
            return false;
        }
        self.met.insert(met, Instant::now());
        true
    }
}

async fn act(
    inner: &Arc<Inner>,
    outputs: Vec<Output>,
    inputs: &UnboundedSender<Input>,
    told: &mut Told,
) {
    for output in outputs {
        match output {
            Output::Resolve { round } => {
                let (inner, inputs) = (Arc::clone(inner), inputs.clone());
                tokio::spawn(async move {
                    let addresses = inner.resolve().await;
                    // The driver is gone when nobody takes it.
                    let _ = inputs.send(Input::Resolved { round, addresses });
                });
            }
            Output::Ask { round, address, message } => {
                let (inner, inputs) = (Arc::clone(inner), inputs.clone());
                tokio::spawn(async move {
                    let answer = inner.ask(&address, &message).await;
                    let now = inner.node.clock.now();
                    let _ = inputs.send(Input::Answered { round, address, answer, now });
                });
            }
            Output::Reply(_) => {}
            Output::Found { cluster, list } | Output::Enlist { cluster, list } => {
                inner.enlist(cluster, &list).await;
            }
            Output::Complete { cluster } => {
                let inner = Arc::clone(inner);
                tokio::spawn(async move { inner.open_cluster(cluster).await });
            }
            Output::Abandon { cluster } => {
                tracing::warn!(%cluster, "the cluster never opened and is given up");
                inner.forget_cluster().await;
            }
            Output::Join { cluster, through } => {
                let inner = Arc::clone(inner);
                tokio::spawn(async move { inner.join(cluster, &through).await });
            }
            Output::Rival { address, other, verdict } => {
                inner.counters.rivals.bump();
                inner.note_rival(format!("{address} is of cluster {}", other.cluster));
                if told.is_news(format!("{address} {}", other.cluster)) {
                    tracing::error!(
                        %address, other = %other.cluster, ?verdict,
                        "another cluster of this application was met; one of them has to go"
                    );
                }
                let is_member = inner.map().cluster.is_some();
                if is_member && verdict == Verdict::Yields {
                    let inner = Arc::clone(inner);
                    tokio::spawn(async move { inner.dissolve(other.cluster).await });
                }
            }
            Output::Refused { address, why } => {
                inner.counters.strangers.bump();
                let address = address.as_ref().map(Address::as_str);
                if told.is_news(format!("{address:?} {why}")) {
                    tracing::warn!(address, %why, "a node was refused");
                }
            }
        }
    }
}

impl Inner {
    /// What DNS and the seeds list now: `None` when all of it failed.
    async fn resolve(&self) -> Option<Vec<Address>> {
        let port = self.config.peer_port;
        let service = self.config.dns_service_name.iter().map(|name| format!("{name}:{port}"));
        let seeds = self.config.seeds.iter().map(ToString::to_string);
        let mut listed: BTreeSet<Address> = BTreeSet::new();
        for name in service.chain(seeds) {
            match timeout(RESOLVE_MAX, link::resolve(&name)).await {
                Ok(Ok(found)) => {
                    listed
                        .extend(found.into_iter().filter_map(|at: SocketAddr| at.try_into().ok()));
                }
                Ok(Err(error)) => tracing::debug!(name, %error, "a name was not resolved"),
                Err(_) => tracing::debug!(name, "DNS did not answer in time"),
            }
        }
        (!listed.is_empty()).then(|| listed.into_iter().collect())
    }

    async fn ask(&self, address: &Address, message: &Message) -> Result<Message, Unheard> {
        let bytes = Bytes::from(message.to_bytes());
        let probe = wire::encode(&Probe::Founding(self.profile.clone(), bytes));
        let probed = self.peers().probe(address, probe, Instant::now() + ASK_MAX).await;
        match probed {
            Ok(probed) => match wire::decode(&probed.body) {
                Some(ProbeAnswer::Founding(profile, bytes)) => {
                    self.profiles.lock().insert(probed.node, profile);
                    Message::from_bytes(&bytes)
                }
                _ => Err(Unheard::Malformed),
            },
            Err(ProbeError::Refused { reason: Reason::Application, told }) => {
                Err(Unheard::Application(told))
            }
            Err(ProbeError::Refused { .. } | ProbeError::Declined) => Err(Unheard::Malformed),
            Err(ProbeError::Unreachable(_) | ProbeError::TooLong) => Err(Unheard::Silent),
        }
    }

    /// Takes part in the meta group of a cluster that was founded with `list`.
    async fn enlist(self: &Arc<Self>, cluster: ClusterId, list: &Proposal) {
        if self.hosted.meta().is_some() {
            if self.let_in_at.lock().is_some() && self.map().cluster.is_none() {
                self.give_up("it was let into one cluster, and another is founded with it");
            }
            return;
        }
        tracing::info!(%cluster, %list, "a cluster is being founded");
        let seats: Vec<_> =
            list.seats().iter().map(|seat| (seat.node, seat.address.clone())).collect();
        *self.enlisted.lock() = seats.clone();
        self.belong(cluster, seats.iter().cloned());
        let Some(group) = self.start_meta().await else { return };
        if let Err(error) = group.initialize(&seats).await {
            tracing::debug!(%error, "the meta group was initialised before");
        }
    }

    /// Belongs to `cluster`, and keeps `members` connected.
    pub(super) fn belong(
        &self,
        cluster: ClusterId,
        members: impl Iterator<Item = (NodeId, Address)>,
    ) {
        self.peers().set_cluster(Some(cluster));
        members.for_each(|(node, address)| self.peers().connect(node, address));
    }

    async fn start_meta(self: &Arc<Self>) -> Option<Group<MetaMachine>> {
        let machine = MetaMachine::new(self.revision.clone());
        match Group::start(self.start_of(GroupId::Meta, FIRST_INCARNATION, machine)).await {
            Ok(group) => {
                self.hosted.put_meta(group.clone());
                Some(group)
            }
            Err(error) => {
                tracing::error!(%error, "the meta group does not start");
                None
            }
        }
    }

    /// Everyone of the list is enlisted: commits that the cluster is open. It is
    /// told so once, and has to see it through: an election may take longer than
    /// a command is waited for.
    async fn open_cluster(self: Arc<Self>, cluster: ClusterId) {
        while !self.stop.is_cancelled() && self.is_left_to_open(cluster).await {
            sleep(TICK).await;
        }
    }

    /// Tries to open the cluster: whether that is to be tried again.
    async fn is_left_to_open(self: &Arc<Self>, cluster: ClusterId) -> bool {
        let list = self.enlisted.lock().clone();
        let members: BTreeMap<NodeId, Profile> = {
            let profiles = self.profiles.lock();
            let profile = |(node, at): &(NodeId, Address)| {
                let own = || (*node == self.me).then_some(&self.profile);
                let said = profiles.get(node).or_else(own)?;
                Some((*node, located(said, at.host())))
            };
            list.iter().filter_map(profile).collect()
        };
        let is_open = || self.map().cluster.is_some();
        if list.is_empty() || is_open() {
            return false;
        }
        if members.len() < list.len() {
            return true;
        }
        let founders = members.keys().copied().collect();
        let (partitions, replicas) = (self.config.partitions, self.config.replicas);
        let replicas = u8::try_from(replicas).unwrap_or(u8::MAX);
        let groups = placement::found(&founders, partitions, replicas);
        let format = members.values().map(|profile| profile.format).min().unwrap_or(FORMAT);
        let secret = (self.seed.0, self.seed.1);
        let command =
            MetaCommand::Found { cluster, partitions, replicas, secret, format, members, groups };
        let deadline = Instant::now() + self.command_timeout;
        match self.propose(command, deadline).await {
            Ok(MetaReply::Done) => tracing::info!(%cluster, "the cluster is founded"),
            Ok(MetaReply::Already) => {}
            Ok(reply) => tracing::warn!(%cluster, ?reply, "the cluster is not opened"),
            Err(_) => {
                tracing::debug!(%cluster, "the meta group does not answer yet");
                return true;
            }
        }
        false
    }

    async fn forget_cluster(&self) {
        if let Some(group) = self.hosted.take_meta() {
            group.shutdown().await;
        }
        self.enlisted.lock().clear();
        self.peers().set_cluster(None);
    }

    /// Asks whether the cluster counts this node no more, of which it may hear nothing
    /// then. Those that it knew may have been replaced as well, so it also asks whoever
    /// DNS lists.
    pub(super) async fn is_held_for_dead(&self) -> bool {
        let map = self.map();
        let known = map.members.iter().filter(|(node, _)| **node != self.me);
        let mut addresses: BTreeSet<Address> = known.map(|(_, (at, _))| at.clone()).collect();
        addresses.extend(self.resolve().await.into_iter().flatten());
        let probe = wire::encode(&Probe::Join(self.me, self.profile.clone()));
        let asked = addresses
            .iter()
            .map(|address| self.peers().probe(address, probe.clone(), Instant::now() + ASK_MAX));
        let answers = futures_util::future::join_all(asked).await;
        let of_ours = answers.into_iter().flatten().filter(|probed| probed.cluster == map.cluster);
        let mut answers = of_ours.map(|probed| wire::decode(&probed.body));
        answers.any(|answer| answer == Some(ProbeAnswer::Gone))
    }

    /// Asks to be let into a cluster, through one of its members.
    async fn join(self: Arc<Self>, cluster: ClusterId, through: &Address) {
        if self.hosted.meta().is_some() {
            let waits = self.let_in_at.lock().is_some_and(|at| at.elapsed() > WELCOME_MAX);
            if waits && self.map().cluster.is_none() {
                self.give_up("it was let into a cluster that did not go on with it");
            }
            return;
        }
        let bind = self.node.config.bind;
        let Some(host) = link::own_address_towards(through.as_str(), bind).await else { return };
        let profile = located(&self.profile, &host.to_string());
        let probe = wire::encode(&Probe::Join(self.me, profile));
        let deadline = Instant::now() + self.command_timeout;
        match self.peers().probe(through, probe, deadline).await.map(|probed| probed.body) {
            Ok(body) => match wire::decode(&body) {
                Some(ProbeAnswer::Welcome(cluster, members)) => {
                    if self.hosted.meta().is_none() {
                        tracing::info!(%cluster, %through, "the cluster lets this node in");
                        *self.let_in_at.lock() = Some(Instant::now());
                        self.life.lock().expects = Some(cluster);
                        self.belong(cluster, members.into_iter());
                        self.start_meta().await;
                    }
                }
                Some(ProbeAnswer::Gone) => {
                    self.give_up(
                        "the cluster holds this node for dead: it was out of reach for too long",
                    );
                }
                Some(ProbeAnswer::NotNow(why)) => {
                    tracing::info!(%cluster, %through, why, "the cluster does not let this node in yet");
                    sleep(TICK).await;
                }
                _ => tracing::warn!(%through, "a member answers what no node says"),
            },
            Err(error) => tracing::debug!(%through, %error, "a member does not answer"),
        }
    }
}

/// What a node says of itself, with the host at which others have met it.
fn located(profile: &Profile, host: &str) -> Profile {
    let at = |port: u16| {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{host}:{port}").parse::<Address>().ok()
    };
    let mut profile = profile.clone();
    if let Some(address) = at(profile.attributes.address.port()) {
        profile.attributes.address = address;
    }
    if let Some(address) = at(profile.client_address.port()) {
        profile.client_address = address;
    }
    profile
}
