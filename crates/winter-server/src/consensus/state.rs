//! A replica's applied state, as openraft works on it and as reads see it.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use winter_core::cluster::{GroupId, NodeId};

use super::counters::Counters;
use super::machine::{Machine, Replies, Source as _, Target as _};
use super::options::CHUNK_BYTES_MAX;
use super::types::{
    Applied, Entry, LeaderId, LogId, Snapshot, SnapshotMeta, StoredMembership, Types,
};

/// After so many bytes of entries, others on the same thread have their turn.
const TURN_BYTES_MAX: usize = 256 << 10;
/// And after so many entries.
const TURN_ENTRIES_MAX: usize = 64;

/// A replica's state, shared by whoever applies, reads and sends it.
#[derive(Debug)]
pub(super) struct State<M> {
    /// This replica's node.
    pub me: NodeId,
    /// The group that it is a replica of.
    pub group: GroupId,
    /// Which of its node's replicas of the group it is.
    pub incarnation: u64,
    /// What the node's groups count.
    pub counters: Arc<Counters>,
    now: Mutex<Now<M>>,
    /// Snapshots that are being sent: their number, and their last entry.
    sending: Mutex<BTreeMap<u64, u64>>,
}

#[derive(Debug)]
struct Now<M> {
    machine: M,
    /// Which of the engines that this state had may still change it: the last.
    engine: u64,
    applied: Option<LogId>,
    membership: StoredMembership,
}

/// A state that is cut when somebody takes it, or that was received.
#[derive(Debug)]
pub(super) enum Data<M: Machine> {
    /// What this replica has applied by then. Most snapshots of which openraft
    /// knows are never sent, and cost nothing.
    Here(Arc<State<M>>),
    /// What a leader has sent.
    Received(M::Target),
}

/// The hold of a snapshot that is being sent on the entries that follow it.
#[derive(Debug)]
pub(super) struct Sending<M> {
    state: Arc<State<M>>,
    number: u64,
}

impl<M> Drop for Sending<M> {
    fn drop(&mut self) {
        self.state.sending.lock().remove(&self.number);
    }
}

impl<M: Machine> State<M> {
    pub(super) fn new(
        me: NodeId,
        group: GroupId,
        incarnation: u64,
        machine: M,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let now =
            Now { machine, engine: 0, applied: None, membership: StoredMembership::default() };
        let (now, sending) = (Mutex::new(now), Mutex::default());
        Arc::new(Self { me, group, incarnation, counters, now, sending })
    }

    /// Runs a read on what is applied.
    pub(super) fn read<T>(&self, read: impl FnOnce(&M) -> T) -> T {
        read(&self.now.lock().machine)
    }

    /// Runs a read on what is applied, which is so many entries.
    #[cfg(feature = "sim")]
    pub(super) fn read_at<T>(&self, read: impl FnOnce(u64, &M) -> T) -> T {
        let now = self.now.lock();
        read(now.applied.map_or(0, |last| last.index + 1), &now.machine)
    }

    /// The last entry that is applied.
    pub(super) fn applied(&self) -> Option<u64> {
        self.now.lock().applied.map(|log_id| log_id.index)
    }

    /// The leader of whose term the last applied entry is.
    pub(super) fn applied_of(&self) -> Option<LeaderId> {
        self.now.lock().applied.map(|log_id| log_id.leader_id)
    }

    /// A place for a state to be received into.
    pub(super) fn receive(&self) -> M::Target {
        self.now.lock().machine.receive()
    }

    /// Cuts a snapshot.
    pub(super) fn freeze(&self) -> (SnapshotMeta, M::Source) {
        let now = self.now.lock();
        (now.meta(), now.machine.freeze())
    }

    /// Says that a snapshot up to `last` is being sent, so that the entries
    /// after it are kept for whom it is sent to.
    pub(super) fn hold(self: &Arc<Self>, number: u64, last: u64) -> Sending<M> {
        self.sending.lock().insert(number, last);
        Sending { state: Arc::clone(self), number }
    }

    /// The entry after which a snapshot that is being sent needs them all.
    pub(super) fn held_after(&self) -> Option<u64> {
        self.sending.lock().values().min().copied()
    }

    /// Applies an entry, and gives the replies of its operations if `are_wanted`.
    fn apply(&self, engine: u64, entry: &Entry, are_wanted: bool) -> io::Result<Applied> {
        let mut now = self.now_of(engine)?;
        let mut applied = Applied::default();
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(command) => {
                let mut replies = Replies::new(are_wanted);
                let index = entry.log_id.index;
                let began = Instant::now();
                let work = || now.machine.apply(index, &command.0, &mut replies);
                // Whether the machine is sound after a panic nobody knows: the
                // group stops here, and others go on.
                catch_unwind(AssertUnwindSafe(work))
                    .map_err(|_| io::Error::other("the machine panicked"))?;
                self.counters.applies.count(began.elapsed());
                if are_wanted {
                    applied.0 = Some(Box::new(replies.into_vec()));
                }
            }
            EntryPayload::Membership(membership) => {
                now.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
            }
        }
        now.applied = Some(entry.log_id);
        Ok(applied)
    }

    /// The state in the hands of an engine, unless another has taken it over.
    fn now_of(&self, engine: u64) -> io::Result<MutexGuard<'_, Now<M>>> {
        let now = self.now.lock();
        if now.engine == engine {
            Ok(now)
        } else {
            Err(io::Error::other("another engine has taken the state over"))
        }
    }

    fn install(&self, engine: u64, meta: &SnapshotMeta, target: M::Target) -> io::Result<()> {
        let mut now = self.now_of(engine)?;
        now.machine.install(target).map_err(io::Error::other)?;
        now.applied = meta.last_log_id;
        now.membership = meta.last_membership.clone();
        Ok(())
    }

    /// What this replica has now, as if it had been received.
    fn copy(&self, to: &Self) -> io::Result<M::Target> {
        let (_, mut source) = self.freeze();
        let mut target = to.receive();
        while let Some(chunk) = source.next(CHUNK_BYTES_MAX) {
            target.push(&chunk).map_err(io::Error::other)?;
        }
        Ok(target)
    }
}

impl<M> Now<M> {
    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() }
    }
}

/// The state in openraft's hands.
#[derive(Debug)]
pub(super) struct Applier<M> {
    state: Arc<State<M>>,
    engine: u64,
}

impl<M: Machine> Applier<M> {
    /// Gives the state to an engine, and takes it from the one that had it.
    pub(super) fn new(state: Arc<State<M>>) -> Self {
        let mut now = state.now.lock();
        now.engine += 1;
        let engine = now.engine;
        drop(now);
        Self { state, engine }
    }
}

/// A snapshot that consists of where it would end.
#[derive(Debug)]
pub(super) struct Cut<M>(Arc<State<M>>);

impl<M: Machine> RaftSnapshotBuilder<Types> for Cut<M> {
    type SnapshotData = Data<M>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<Data<M>>> {
        let meta = self.0.now.lock().meta();
        Ok(Snapshot { meta, snapshot: Data::Here(Arc::clone(&self.0)) })
    }
}

impl<M: Machine> RaftStateMachine<Types> for Applier<M> {
    type SnapshotData = Data<M>;
    type SnapshotBuilder = Cut<M>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let meta = self.state.now.lock().meta();
        Ok((meta.last_log_id, meta.last_membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let (mut bytes, mut count) = (0, 0);
        while let Some((entry, responder)) = entries.try_next().await? {
            let applied = self.state.apply(self.engine, &entry, responder.is_some())?;
            if let Some(responder) = responder {
                responder.send(applied);
            }
            if let EntryPayload::Normal(command) = &entry.payload {
                bytes += command.0.len();
            }
            count += 1;
            if bytes > TURN_BYTES_MAX || count > TURN_ENTRIES_MAX {
                tokio::task::yield_now().await;
                (bytes, count) = (0, 0);
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _is_needed: bool) -> Option<Cut<M>> {
        Some(Cut(Arc::clone(&self.state)))
    }

    async fn get_snapshot_builder(&mut self) -> Cut<M> {
        Cut(Arc::clone(&self.state))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: Data<M>) -> io::Result<()> {
        let target = match data {
            Data::Received(target) => target,
            Data::Here(from) => from.copy(&self.state)?,
        };
        self.state.install(self.engine, meta, target)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot<Data<M>>>> {
        let meta = self.state.now.lock().meta();
        Ok(meta
            .last_log_id
            .map(|_| Snapshot { meta, snapshot: Data::Here(Arc::clone(&self.state)) }))
    }
}
