//! What other replicas of a group ask of this one.

use std::time::Duration;

use bytes::Bytes;
use openraft::vote::RaftLeaderId as _;
use tokio::time::timeout;
use winter_core::cluster::NodeId;

use super::group::Group;
use super::machine::Machine;
use super::options::SNAPSHOT_WAIT;
use super::types::Vote;
use super::wire::{Refusal, Request, Response};

impl<M: Machine> Group<M> {
    /// Answers a message that this group's replica on node `from` has sent.
    pub async fn receive(&self, from: NodeId, message: Bytes) -> Bytes {
        let response = match Request::decode(&message) {
            Err(response) => response,
            Ok((to, _)) if to != self.incarnation() => Response::Refused(Refusal::Incarnation),
            Ok((_, request)) => {
                let answered = timeout(self.patience(&request), self.answer(from, request)).await;
                answered.unwrap_or(Err(Refusal::Slow)).unwrap_or_else(Response::Refused)
            }
        };
        if let Response::Refused(refusal) = &response {
            tracing::debug!(group = %self.group(), peer = %from, %refusal, "refused");
        }
        response.encode()
    }

    /// How long a message may be worked on. A snapshot is put in place whole.
    fn patience(&self, request: &Request) -> Duration {
        match request {
            Request::Snapshot(_) => SNAPSHOT_WAIT,
            _ => self.options().commit_wait,
        }
    }

    async fn answer(&self, from: NodeId, request: Request) -> Result<Response, Refusal> {
        let raft = self.raft();
        // A peer speaks for itself only: a confused one must not depose a leader.
        let is_of = |vote: &Vote| *vote.leader_id().node_id() == from;
        let stopped = |_| Refusal::Stopped;
        match request {
            Request::Vote(vote) if is_of(&vote.vote) => {
                raft.vote(vote).await.map(Response::Vote).map_err(stopped)
            }
            Request::PreVote(vote) if is_of(&vote.vote) => {
                raft.pre_vote(vote).await.map(Response::Vote).map_err(stopped)
            }
            Request::Append(append) if is_of(&append.vote) => {
                raft.append_entries(append).await.map(Response::Append).map_err(stopped)
            }
            Request::Transfer(transfer) if is_of(transfer.from_leader()) => {
                let answer = raft.handle_transfer_leader(transfer).await;
                answer.map(Response::Transfer).map_err(|_| Refusal::Stopped)
            }
            Request::Snapshot(request) => {
                let answer = self.inbox().take(raft, self.state(), from, request).await;
                answer.map(Response::Snapshot)
            }
            _ => Err(Refusal::Impostor),
        }
    }
}
