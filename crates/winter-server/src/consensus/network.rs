//! openraft's messages on our transport.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::OptionalSend;
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::time::{Instant, timeout_at};
use winter_core::cluster::NodeId;

use super::machine::Machine;
use super::options::Options;
use super::state::{Data, State};
use super::transport::{Lane, Transport, TransportError};
use super::types::{Seat, Snapshot, Types, Vote};
use super::wire::{Refusal, Request, Response};

type Error = RPCError<Types>;

/// Makes a link to each of a group's other replicas.
pub(super) struct Network<M> {
    pub(super) state: Arc<State<M>>,
    transport: Arc<dyn Transport>,
    options: Options,
    /// Numbers for snapshots, never the same twice in this process.
    snapshots: Arc<AtomicU64>,
}

impl<M> Clone for Network<M> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            transport: Arc::clone(&self.transport),
            options: self.options,
            snapshots: Arc::clone(&self.snapshots),
        }
    }
}

impl<M> Network<M> {
    pub(super) fn new(
        state: Arc<State<M>>,
        transport: Arc<dyn Transport>,
        options: Options,
    ) -> Self {
        Self { state, transport, options, snapshots: Arc::default() }
    }

    pub(super) fn next_snapshot(&self) -> u64 {
        self.snapshots.fetch_add(1, Ordering::Relaxed)
    }
}

impl<M: Machine> RaftNetworkFactory<Types> for Network<M> {
    type Network = Link<M>;

    async fn new_client(&mut self, target: NodeId, seat: &Seat) -> Link<M> {
        Link { network: self.clone(), target, incarnation: seat.incarnation }
    }
}

/// The way to one other replica.
pub(super) struct Link<M> {
    pub(super) network: Network<M>,
    pub(super) target: NodeId,
    pub(super) incarnation: u64,
}

/// Why a replica did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    #[error("the answer cannot be read")]
    Malformed,
}

impl<M> Link<M> {
    /// Sends a message and awaits the answer, for `wait` at the most.
    pub(super) async fn call(
        &self,
        lane: Lane,
        message: Bytes,
        wait: Duration,
    ) -> Result<Response, CallError> {
        let deadline = Instant::now() + wait;
        let State { group, .. } = *self.network.state;
        let call = self.network.transport.call(self.target, group, lane, message, deadline);
        let answer = timeout_at(deadline, call).await.map_err(|_| CallError::Late(wait))??;
        match Response::decode(&answer) {
            None => Err(CallError::Malformed),
            Some(Response::Refused(refusal)) => Err(refusal.into()),
            Some(response) => Ok(response),
        }
    }

    async fn ask<T>(
        &self,
        action: RPCTypes,
        request: Request,
        wait: Duration,
        answer: impl FnOnce(Response) -> Option<T>,
    ) -> Result<T, Error> {
        let called = self.call(Lane::Prompt, request.encode(self.incarnation), wait).await;
        called
            .and_then(|response| answer(response).ok_or(CallError::Malformed))
            .map_err(|error| self.error(action, error))
    }

    fn error(&self, action: RPCTypes, error: CallError) -> Error {
        match error {
            CallError::Late(timeout) => Error::Timeout(Timeout {
                action,
                id: self.network.state.me,
                target: self.target,
                timeout,
            }),
            CallError::Transport(TransportError::Lost) => {
                Error::Network(NetworkError::from_string(error))
            }
            // Asking again at once would change nothing.
            CallError::Transport(TransportError::NotSent)
            | CallError::Refused(_)
            | CallError::Malformed => Error::Unreachable(Unreachable::from_string(error)),
        }
    }
}

impl<M: Machine> RaftNetworkV2<Types> for Link<M> {
    type SnapshotData = Data<M>;

    async fn append_entries(
        &mut self,
        append: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, Error> {
        // openraft gives both kinds a heartbeat's time, in which a long message
        // may not be through.
        let is_heartbeat = append.entries.is_empty();
        let wait = if is_heartbeat { option.hard_ttl() } else { self.network.options.lease() };
        let request = Request::Append(append);
        self.ask(RPCTypes::AppendEntries, request, wait, |response| match response {
            Response::Append(answer) => Some(answer),
            _ => None,
        })
        .await
    }

    async fn vote(
        &mut self,
        vote: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Error> {
        self.ask(RPCTypes::Vote, Request::Vote(vote), option.hard_ttl(), Response::into_vote).await
    }

    async fn pre_vote(
        &mut self,
        vote: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Error> {
        let request = Request::PreVote(vote);
        self.ask(RPCTypes::Vote, request, option.hard_ttl(), Response::into_vote).await
    }

    async fn transfer_leader(
        &mut self,
        transfer: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, Error> {
        let request = Request::Transfer(transfer);
        self.ask(RPCTypes::TransferLeader, request, option.hard_ttl(), |response| match response {
            Response::Transfer(answer) => Some(answer),
            _ => None,
        })
        .await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Data<M>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let wait = option.hard_ttl();
        let sent = timeout_at(Instant::now() + wait, self.send_snapshot(vote, snapshot));
        let sent = tokio::select! {
            biased;
            closed = cancel => return Err(StreamingError::Closed(closed)),
            sent = sent => sent.unwrap_or(Err(CallError::Late(wait))),
        };
        sent.map_err(|error| {
            tracing::warn!(
                group = %self.network.state.group,
                peer = %self.target,
                %error,
                "a snapshot was not sent"
            );
            self.error(RPCTypes::InstallSnapshot, error).into()
        })
    }
}

impl Response {
    fn into_vote(self) -> Option<VoteResponse<Types>> {
        match self {
            Self::Vote(answer) => Some(answer),
            _ => None,
        }
    }
}
