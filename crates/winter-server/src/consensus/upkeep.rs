//! Keeps a group's log short.
//!
//! openraft drops only what a snapshot holds, and counts in entries. Here a
//! snapshot that nobody asked for is but a place in the log, so one is named
//! whenever the log is too long, by bytes, and what lies before it is dropped.

use std::sync::Arc;
use std::time::Duration;

use openraft::LogIdOptionExt as _;
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::log::Log;
use super::machine::Machine;
use super::options::Options;
use super::snapshot::Inbox;
use super::state::{Applier, State};
use super::types::Types;

/// How often it is looked after without being asked to.
const PERIOD: Duration = Duration::from_secs(5);
/// The least time between two looks; and the most while the log is too long, for what
/// made it so may be applied at any moment.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a snapshot's place may take to be known.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Upkeep<M: Machine> {
    pub options: Options,
    pub raft: Raft<Types, Applier<M>>,
    pub state: Arc<State<M>>,
    pub log: Log,
    pub inbox: Arc<Inbox<M>>,
}

impl<M: Machine> Upkeep<M> {
    /// Looks after the log until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let work = async {
            loop {
                self.purge().await;
                self.inbox.forget_the_silent();
                sleep(PAUSE).await;
                if self.log.bytes() <= self.options.purge_above() {
                    tokio::select! {
                        () = self.log.grown() => {}
                        () = sleep(PERIOD) => {}
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Has what is applied dropped, from the oldest on, while there is too much.
    ///
    /// A leader's core waits with it until no replica is being sent what is to
    /// go. The group stopped if any of this fails, so there is nobody to tell.
    async fn purge(&self) {
        let Some(upto) = self.to_purge() else { return };
        let is_known = |last| last >= Some(upto);
        if !is_known(self.raft.data_metrics().borrow_watched().snapshot.index()) {
            let _ = self.raft.trigger().snapshot().await;
            let known = self.raft.wait(Some(SNAPSHOT_WAIT));
            let _ =
                known.metrics(|now| is_known(now.snapshot.index()), "a place to purge to").await;
        }
        let _ = self.raft.trigger().purge_log(upto).await;
    }

    fn to_purge(&self) -> Option<u64> {
        let bytes = self.log.bytes();
        if bytes <= self.options.purge_above() {
            return None;
        }
        let applied = self.state.applied()?;
        let held = self.state.held_after().filter(|_| bytes < self.options.purge_anyway());
        self.log.to_purge(self.options.purge_down_to(), held.map_or(applied, |at| at.min(applied)))
    }
}
