//! What this node does with what its peers ask.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::time::Instant;
use winter_core::cluster::founding::{Input, Message, Output};
use winter_core::cluster::meta::{MetaCommand, MetaReply, Profile, Refusal};
use winter_core::cluster::{NodeId, PartitionId};
use winter_core::store::TableId;

use super::Inner;
use super::wire::{self, Affair, NotDone, Probe, ProbeAnswer};
use crate::node::memory::Buffers;
use crate::peers::{Answer, Channel, Handler, Handling, Peer, Request};

/// Answers peers for a node that may be gone by then.
pub(crate) struct Desk(pub Weak<Inner>);

impl Handler for Desk {
    fn handle(&self, request: Request) -> Handling {
        let Some(inner) = self.0.upgrade() else { return Box::pin(async { Answer::Declined }) };
        let Request { from, channel, group, body, deadline } = request;
        match channel {
            Channel::CONSENSUS | Channel::SNAPSHOTS => Box::pin(async move {
                let answered = inner.hosted.receive(from.node, group, body).await;
                answered.map_or(Answer::Declined, Answer::Done)
            }),
            Channel::COMMANDS => Box::pin(async move {
                let by = inner.answers_by(deadline);
                let answered: Result<Bytes, NotDone> = inner.answer_here(group, &body, by).await;
                let data_bytes = answered.as_ref().map_or(0, Bytes::len);
                let reserved = inner.node.memory.reserve(Buffers::Answers, data_bytes);
                Answer::Done(reserved.cover(wire::encode_long(&answered, data_bytes)))
            }),
            Channel::BATCHES => Box::pin(async move {
                let Some(several) = wire::decode::<Vec<(PartitionId, &[u8])>>(&body) else {
                    return Answer::Declined;
                };
                let by = inner.answers_by(deadline);
                Answer::Done(inner.answer_several(several, by).await)
            }),
            Channel::MEMBERSHIP => {
                let answer = match wire::decode(&body) {
                    Some(Affair::Pulse(pulse)) => {
                        inner.heard(from.node, pulse);
                        Answer::Done(Bytes::new())
                    }
                    Some(Affair::Usage(id, name)) => {
                        Answer::Done(wire::encode(&inner.claimed_usage_of(TableId(id), &name)))
                    }
                    _ => Answer::Declined,
                };
                Box::pin(async { answer })
            }
            _ => Box::pin(async { Answer::Declined }),
        }
    }

    fn probe(&self, _: Arc<Peer>, body: Bytes) -> Handling {
        let Some(inner) = self.0.upgrade() else { return Box::pin(async { Answer::Declined }) };
        Box::pin(async move {
            let answer = match wire::decode::<Probe>(&body) {
                Some(Probe::Founding(profile, message)) => inner.stands(profile, &message),
                Some(Probe::Join(node, profile)) => Some(inner.let_in(node, profile).await),
                Some(Probe::Survey) => Some(ProbeAnswer::Holds(inner.holdings())),
                Some(Probe::Recover(from, command)) => {
                    let followed = inner.follow(from, command).await;
                    Some(followed.map_or_else(ProbeAnswer::NotNow, |()| ProbeAnswer::Recovered))
                }
                None => None,
            };
            answer.map_or(Answer::Declined, |answer| Answer::Done(wire::encode(&answer)))
        })
    }
}

impl Inner {
    /// By when a peer is answered that waits until `deadline`: a little before, so that
    /// it still hears that nothing was done.
    fn answers_by(&self, deadline: Option<Instant>) -> Instant {
        let now = Instant::now();
        let budget = deadline.map_or(self.command_timeout, |at| at.saturating_duration_since(now));
        now + budget * 9 / 10
    }

    /// Says where this node stands, to one that says where it does.
    fn stands(&self, profile: Profile, message: &[u8]) -> Option<ProbeAnswer> {
        let message = Message::from_bytes(message).ok()?;
        self.profiles.lock().insert(message.node, profile);
        let mut outputs = self.founding.lock().handle(Input::Asked(message));
        let reply = outputs.iter().position(|output| matches!(output, Output::Reply(_)))?;
        let Output::Reply(reply) = outputs.swap_remove(reply) else { return None };
        // Whoever acts on outputs is there as long as the node is.
        let _ = self.outputs.send(outputs);
        Some(ProbeAnswer::Founding(self.profile.clone(), reply.to_bytes().into()))
    }

    /// Lets a node in, if the meta group agrees.
    async fn let_in(self: &Arc<Self>, node: NodeId, profile: Profile) -> ProbeAnswer {
        let deadline = Instant::now() + self.command_timeout;
        // Who is gone is told so first: another may listen where it did.
        let meta = self.hosted.meta();
        if meta.is_some_and(|meta| meta.machine(|machine| machine.meta().is_gone(node))) {
            return ProbeAnswer::Gone;
        }
        // Where one node listens there is no other: who was there is gone.
        let address = &profile.attributes.address;
        let map = self.map();
        let former = map.members.iter().filter(|&(&id, (at, _))| at == address && id != node);
        for (&former, _) in former {
            tracing::warn!(%former, %node, %address, "a member is gone: another is at its address");
            drop(self.propose(MetaCommand::Dead(former), deadline).await);
        }
        match self.propose(MetaCommand::Join { node, profile }, deadline).await {
            Ok(MetaReply::Done | MetaReply::Already) => {
                let map = self.map();
                let members = map.members.iter().map(|(&node, (at, _))| (node, at.clone()));
                match map.cluster {
                    Some(cluster) => ProbeAnswer::Welcome(cluster, members.collect()),
                    None => ProbeAnswer::NotNow("this node is no member yet".to_owned()),
                }
            }
            Ok(MetaReply::Refused(Refusal::Gone(_))) => ProbeAnswer::Gone,
            Ok(MetaReply::Refused(refusal)) => ProbeAnswer::NotNow(refusal.to_string()),
            Ok(_) | Err(_) => ProbeAnswer::NotNow("the cluster does not answer".to_owned()),
        }
    }
}
