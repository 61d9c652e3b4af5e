//! How the batcher's entries get into the log, and what is told of them.

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader};
use openraft::raft::ClientWriteResult;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{Instant as _, Raft, RaftMetrics, ServerState};
use tokio::time::timeout;

use super::batcher::{Flight, Proposer};
use super::error::ProposeError;
use super::log::Log;
use super::machine::Machine;
use super::options::Options;
use super::state::Applier;
use super::types::{Applied, Command, OnComplete, Types};

/// Where the batcher's entries go.
pub(super) struct Core<M: Machine> {
    pub raft: Raft<Types, Applier<M>>,
    pub metrics: WatchReceiverOf<Types, RaftMetrics<Types>>,
    pub log: Log,
    pub options: Options,
}

impl<M: Machine> Proposer<M::Reply> for Core<M> {
    fn is_ready(&self) -> bool {
        let now = self.metrics.borrow_watched();
        let lease = self.options.lease();
        let is_confirmed = || now.last_quorum_acked.is_some_and(|at| at.elapsed() < lease);
        let is_alone = || now.membership_config.voter_ids().count() == 1;
        let has_room = || self.log.bytes() < self.options.log_bytes_max;
        // Whoever does not lead is told so by the core.
        now.state != ServerState::Leader
            || now.running_state.is_err()
            || has_room() && (is_confirmed() || is_alone())
    }

    async fn propose(&self, entry: Bytes, flight: Flight<M::Reply>) {
        if self.metrics.borrow_watched().running_state.is_err() {
            return flight.fail(ProposeError::Stopped);
        }
        let complete = OnComplete::new(|result| land(result, flight));
        let proposed = self.raft.client_write_ff(Command(entry), Some(complete));
        // What is not taken is dropped, and its waiters are told by that.
        if !matches!(timeout(self.options.commit_wait, proposed).await, Ok(Ok(()))) {
            tracing::debug!("an entry was not proposed");
        }
    }
}

/// Tells those who wait for an entry what became of it.
fn land<R: 'static>(result: ClientWriteResult<Types>, flight: Flight<R>) {
    match result.map(|written| written.data) {
        Ok(Applied(Some(replies))) => match replies.downcast::<Vec<R>>() {
            Ok(replies) => flight.land(*replies),
            Err(_) => flight.fail(ProposeError::Unknown),
        },
        Ok(Applied(None)) => flight.fail(ProposeError::Unknown),
        Err(ClientWriteError::ForwardToLeader(to)) => flight.fail(not_proposed(&to)),
        Err(_) => flight.fail(ProposeError::Unknown),
    }
}

/// openraft's core refused an entry before it took it into the log.
pub(super) fn not_proposed(to: &ForwardToLeader<Types>) -> ProposeError {
    match to.reason {
        ForwardReason::LeaseExpired => ProposeError::Unavailable,
        ForwardReason::NotLeader | ForwardReason::LeadershipTransfer => {
            ProposeError::NotLeader { leader: to.leader_id }
        }
    }
}
