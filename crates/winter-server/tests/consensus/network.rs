//! A network between replicas in one process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};
use winter_core::cluster::{GroupId, NodeId};
use winter_server::consensus::{Answer, Group, Lane, Transport, TransportError};

use crate::ledger::Ledger;

#[derive(Default)]
pub(crate) struct Network {
    nodes: Mutex<BTreeMap<NodeId, Group<Ledger>>>,
    weather: Mutex<Weather>,
}

/// What becomes of messages.
pub(crate) struct Weather {
    /// From whom to whom nothing comes through, questions or answers.
    pub(crate) cuts: BTreeSet<(NodeId, NodeId)>,
    /// How long a message takes, from and to.
    pub(crate) delay: (Duration, Duration),
    /// Of a hundred messages so many are lost.
    pub(crate) losses: u8,
    /// Every other answer on the bulk lane is lost.
    pub(crate) loses_bulk_answers: bool,
    /// So many of the next messages on the bulk lane have a bit turned.
    pub(crate) damages: usize,
    /// The longest message on the bulk lane, and how many there were.
    pub(crate) bulk_bytes_max: usize,
    pub(crate) bulk_messages: usize,
    /// The longest message on the other one, and how many there were.
    pub(crate) prompt_bytes_max: usize,
    pub(crate) prompt_messages: usize,
    random: fastrand::Rng,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            cuts: BTreeSet::new(),
            delay: (Duration::from_millis(1), Duration::from_millis(3)),
            losses: 0,
            loses_bulk_answers: false,
            damages: 0,
            bulk_bytes_max: 0,
            bulk_messages: 0,
            prompt_bytes_max: 0,
            prompt_messages: 0,
            random: fastrand::Rng::with_seed(7),
        }
    }
}

impl Network {
    pub(crate) fn add(&self, node: NodeId, group: Group<Ledger>) {
        self.nodes.lock().unwrap().insert(node, group);
    }

    pub(crate) fn remove(&self, node: NodeId) -> Option<Group<Ledger>> {
        self.nodes.lock().unwrap().remove(&node)
    }

    pub(crate) fn nodes(&self) -> BTreeMap<NodeId, Group<Ledger>> {
        self.nodes.lock().unwrap().clone()
    }

    pub(crate) fn weather<T>(&self, change: impl FnOnce(&mut Weather) -> T) -> T {
        change(&mut self.weather.lock().unwrap())
    }

    /// Whether a message from one to the other comes through, and after which
    /// time. A lost one is noticed by nobody.
    fn pass(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        self.weather(|weather| {
            let is_lost =
                weather.cuts.contains(&(from, to)) || weather.random.u8(..100) < weather.losses;
            let (least, most) = weather.delay;
            let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap();
            let delay = weather.random.u64(millis(least)..=millis(most));
            (!is_lost).then_some(Duration::from_millis(delay))
        })
    }

    fn note(&self, lane: Lane, body: Bytes) -> Bytes {
        self.weather(|weather| match lane {
            Lane::Prompt => {
                weather.prompt_messages += 1;
                weather.prompt_bytes_max = weather.prompt_bytes_max.max(body.len());
                body
            }
            Lane::Bulk => {
                weather.bulk_messages += 1;
                weather.bulk_bytes_max = weather.bulk_bytes_max.max(body.len());
                if weather.damages == 0 {
                    return body;
                }
                weather.damages -= 1;
                let mut damaged = body.to_vec();
                let at = weather.random.usize(2..damaged.len());
                damaged[at] ^= 1 << weather.random.u8(..8);
                damaged.into()
            }
        })
    }
}

/// A node's end of the network.
pub(crate) struct End {
    pub(crate) network: Arc<Network>,
    pub(crate) me: NodeId,
}

impl Transport for End {
    fn call(&self, to: NodeId, _: GroupId, lane: Lane, body: Bytes, deadline: Instant) -> Answer {
        let (network, me) = (Arc::clone(&self.network), self.me);
        Box::pin(async move {
            let body = network.note(lane, body);
            let is_answer_lost = lane == Lane::Bulk
                && network.weather(|now| now.loses_bulk_answers && now.bulk_messages % 2 == 1);
            let Some(delay) = network.pass(me, to) else {
                sleep_until(deadline).await;
                return Err(TransportError::Lost);
            };
            sleep(delay).await;
            let group = network.nodes.lock().unwrap().get(&to).cloned();
            let Some(group) = group else { return Err(TransportError::NotSent) };
            let answer = group.receive(me, body).await;
            let passes = network.pass(to, me).filter(|_| !is_answer_lost);
            let Some(delay) = passes else {
                sleep_until(deadline).await;
                return Err(TransportError::Lost);
            };
            sleep(delay).await;
            Ok(answer)
        })
    }
}
