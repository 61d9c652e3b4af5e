//! Snapshots on their way: cut for a replica that waits for one, sent in
//! chunks, read into a state of their own, and then installed.
//!
//! The sender asks first whether a snapshot would be taken, and cuts it only
//! then: a replica that is out of reach costs a message now and again. The
//! receiver has one snapshot at a time. A step that was lost or damaged is sent
//! again; the receiver takes each once.

use std::time::Duration;

use bytes::Bytes;
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::SnapshotResponse;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use winter_core::cluster::NodeId;

use super::machine::{Machine, Source as _, Target as _};
use super::network::{CallError, Link};
use super::options::CHUNK_BYTES_MAX;
use super::state::{Applier, Data, State};
use super::transport::{Lane, TransportError};
use super::types::{Snapshot, Types, Vote};
use super::wire::{Refusal, Request, Response, SnapshotAnswer, SnapshotRequest, Step};

/// How often a step is sent.
const TRIES_MAX: usize = 5;
/// How long a step waits for its answer.
const STEP_WAIT: Duration = Duration::from_secs(5);
/// How long the last one does, at which the state is put in place.
const FINISH_WAIT: Duration = Duration::from_secs(20);
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// A snapshot of which nothing more comes is let go.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl<M: Machine> Link<M> {
    /// Sends what `snapshot` stands for.
    pub(super) async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot<Data<M>>,
    ) -> Result<SnapshotResponse<Types>, CallError> {
        let mut is_cut = false;
        let sent = self.send_cut(vote, snapshot, &mut is_cut).await;
        let counters = &self.network.state.counters;
        match &sent {
            Ok(_) if is_cut => counters.snapshots_sent.bump(),
            Err(_) if is_cut => counters.snapshots_failed.bump(),
            // It was not wanted, or nobody was there to ask.
            _ => {}
        }
        sent
    }

    /// Sends a snapshot; `is_cut` tells whether there was one, as soon as there is.
    async fn send_cut(
        &self,
        vote: Vote,
        snapshot: Snapshot<Data<M>>,
        is_cut: &mut bool,
    ) -> Result<SnapshotResponse<Types>, CallError> {
        let number = self.network.next_snapshot();
        let last = snapshot.meta.last_log_id.map_or(0, |log_id| log_id.index);
        let _hold = self.network.state.hold(number, last);
        let step =
            |step| Request::Snapshot(SnapshotRequest { number, step }).encode(self.incarnation);

        if let Some(response) = self.step(step(Step::Begin(vote)), STEP_WAIT).await? {
            return Ok(response);
        }
        // What is cut now is newer than what openraft knows of, and so contains it.
        let (meta, mut source) = self.network.state.freeze();
        *is_cut = true;
        tracing::info!(
            group = %self.network.state.group, peer = %self.target, "a snapshot is sent"
        );
        let mut chunks = 0;
        while let Some(bytes) = source.next(CHUNK_BYTES_MAX) {
            self.network.state.counters.snapshot_bytes_sent.bump_by(bytes.len() as u64);
            let chunk = step(Step::Chunk { at: chunks, bytes });
            if let Some(response) = self.step(chunk, STEP_WAIT).await? {
                return Ok(response);
            }
            chunks += 1;
        }
        let finish = step(Step::Finish { chunks, vote, meta });
        self.step(finish, FINISH_WAIT).await?.ok_or(CallError::Malformed)
    }

    /// Sends a step until it is taken; the response if nothing is to follow.
    async fn step(
        &self,
        message: Bytes,
        wait: Duration,
    ) -> Result<Option<SnapshotResponse<Types>>, CallError> {
        let mut error = CallError::Malformed;
        for _ in 0..TRIES_MAX {
            error = match self.call(Lane::Bulk, message.clone(), wait).await {
                Ok(Response::Snapshot(SnapshotAnswer::Taken)) => return Ok(None),
                Ok(Response::Snapshot(SnapshotAnswer::Done(response))) => {
                    return Ok(Some(response));
                }
                Ok(Response::Snapshot(SnapshotAnswer::Damaged)) => CallError::Malformed,
                Ok(_) => return Err(CallError::Malformed),
                Err(error @ CallError::Transport(TransportError::NotSent)) => return Err(error),
                Err(error) => error,
            };
            sleep(PAUSE).await;
        }
        Err(error)
    }
}

/// The snapshot that a replica is being sent.
pub(super) struct Inbox<M: Machine> {
    arriving: Mutex<Option<Arriving<M>>>,
    /// The last that was whole, whose response may have been lost.
    last: Mutex<Option<Last>>,
}

struct Last {
    from: NodeId,
    number: u64,
    /// `None` while it is put in place.
    response: Option<SnapshotResponse<Types>>,
}

struct Arriving<M: Machine> {
    from: NodeId,
    number: u64,
    chunks: u64,
    target: M::Target,
    heard: Instant,
}

impl<M: Machine> Default for Inbox<M> {
    fn default() -> Self {
        Self { arriving: Mutex::new(None), last: Mutex::new(None) }
    }
}

impl<M: Machine> Inbox<M> {
    /// Takes a step of a snapshot.
    pub(super) async fn take(
        &self,
        raft: &Raft<Types, Applier<M>>,
        state: &State<M>,
        from: NodeId,
        request: SnapshotRequest,
    ) -> Result<SnapshotAnswer, Refusal> {
        let number = request.number;
        match request.step {
            Step::Begin(vote) => Ok(self.begin(raft, state, from, number, vote)),
            Step::Chunk { at, bytes } => {
                state.counters.snapshot_bytes_received.bump_by(bytes.len() as u64);
                Ok(self.push(from, number, at, &bytes))
            }
            Step::Finish { chunks, vote, meta } => {
                if let Some(answer) = self.repeated(from, number) {
                    return answer.map(SnapshotAnswer::Done);
                }
                let Some(target) = self.finish(from, number, chunks) else {
                    return Ok(SnapshotAnswer::Unknown);
                };
                let snapshot = Snapshot { meta, snapshot: Data::Received(target) };
                let installed = raft.install_full_snapshot(vote, snapshot).await;
                let response = installed.map_err(|_| Refusal::Stopped)?;
                state.counters.snapshots_received.bump();
                tracing::info!(group = %state.group, peer = %from, "a snapshot is in place");
                let last = Last { from, number, response: Some(response.clone()) };
                *self.last.lock() = Some(last);
                Ok(SnapshotAnswer::Done(response))
            }
        }
    }

    fn begin(
        &self,
        raft: &Raft<Types, Applier<M>>,
        state: &State<M>,
        from: NodeId,
        number: u64,
        vote: Vote,
    ) -> SnapshotAnswer {
        let known = raft.server_metrics().borrow_watched().vote;
        let leads = vote >= known;
        if !leads {
            return SnapshotAnswer::Done(SnapshotResponse::new(known));
        }
        let mut arriving = self.arriving.lock();
        let is_known = arriving.as_ref().is_some_and(|arriving| arriving.is(from, number));
        if !is_known {
            let (target, heard) = (state.receive(), Instant::now());
            *arriving = Some(Arriving { from, number, chunks: 0, target, heard });
        }
        SnapshotAnswer::Taken
    }

    fn push(&self, from: NodeId, number: u64, at: u64, chunk: &[u8]) -> SnapshotAnswer {
        let mut slot = self.arriving.lock();
        let arriving = slot.as_mut().filter(|arriving| arriving.is(from, number));
        let Some(arriving) = arriving.filter(|arriving| at <= arriving.chunks) else {
            return SnapshotAnswer::Unknown;
        };
        arriving.heard = Instant::now();
        if at < arriving.chunks {
            return SnapshotAnswer::Taken;
        }
        if let Err(error) = arriving.target.push(chunk) {
            tracing::error!(peer = %from, %error, "a snapshot is refused");
            *slot = None;
            return SnapshotAnswer::Unreadable;
        }
        arriving.chunks += 1;
        SnapshotAnswer::Taken
    }

    fn finish(&self, from: NodeId, number: u64, chunks: u64) -> Option<M::Target> {
        let mut slot = self.arriving.lock();
        let is_whole =
            |arriving: &mut Arriving<M>| arriving.is(from, number) && arriving.chunks == chunks;
        let arriving = slot.take_if(is_whole)?;
        *self.last.lock() = Some(Last { from, number, response: None });
        Some(arriving.target)
    }

    /// The answer to an end that has come before.
    fn repeated(
        &self,
        from: NodeId,
        number: u64,
    ) -> Option<Result<SnapshotResponse<Types>, Refusal>> {
        let last = self.last.lock();
        let last = last.as_ref().filter(|last| (last.from, last.number) == (from, number))?;
        Some(last.response.clone().ok_or(Refusal::Slow))
    }

    /// Lets go of a snapshot whose sender has fallen silent.
    pub(super) fn forget_the_silent(&self) {
        self.arriving.lock().take_if(|arriving| arriving.heard.elapsed() > SILENCE_MAX);
    }
}

impl<M: Machine> Arriving<M> {
    fn is(&self, from: NodeId, number: u64) -> bool {
        (self.from, self.number) == (from, number)
    }
}
