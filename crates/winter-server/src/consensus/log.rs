//! A group's log and vote, in memory and nowhere else.
//!
//! A node that starts has a new identity, so that no vote and no entry of a
//! former life is missed: there is nothing to come back to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::vote::RaftLeaderId as _;
use openraft::{EntryPayload, LogState};
use parking_lot::Mutex;
use tokio::sync::Notify;
use winter_core::cluster::NodeId;

use super::options::APPEND_BYTES_MAX;
use super::types::{Entry, LogId, Membership, Seat, Types, Vote};

/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = size_of::<Entry>() + 16;

/// The log, shared by the group's core, its readers and its upkeep.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    bytes: AtomicUsize,
    /// Upkeep is woken when the log is longer.
    wake_above: usize,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    /// Without a hole.
    entries: VecDeque<Entry>,
}

impl Log {
    /// An empty log that wakes its upkeep above so many bytes.
    pub(super) fn new(wake_above: usize) -> Self {
        Self(Arc::new(Shared {
            kept: Mutex::default(),
            bytes: AtomicUsize::new(0),
            wake_above,
            grown: Notify::new(),
        }))
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Returns when the log has grown too long.
    pub(super) async fn grown(&self) {
        self.0.grown.notified().await;
    }

    /// The last entry to drop so that no more than `bytes_max` are left, of
    /// those up to `upto`.
    pub(super) fn to_purge(&self, bytes_max: usize, upto: u64) -> Option<u64> {
        let kept = self.0.kept.lock();
        let mut left = self.bytes();
        let mut last = None;
        for entry in kept.entries.iter().take_while(|entry| entry.index() <= upto) {
            if left <= bytes_max {
                break;
            }
            left -= bytes_of(entry);
            last = Some(entry.index());
        }
        last
    }

    /// The term of the last entry.
    pub(super) fn last_term(&self) -> u64 {
        self.0.kept.lock().last().map_or(0, |last| last.leader_id.term())
    }

    /// Has the log go on as that of a leader of a later term, who is the only
    /// voter: then all of it is committed.
    pub(super) fn crown(&self, me: NodeId, seat: Seat) {
        self.change(|kept| {
            let last = kept.last();
            let voted = kept.vote.map_or(0, |vote| vote.leader_id().term());
            let term = voted.max(last.map_or(0, |last| last.leader_id.term())) + 1;
            let vote = Vote::new_committed(term, me);
            let index = last.map_or(0, |last| last.index + 1);
            let log_id = LogId::new(vote.leader_id().to_committed(), index);
            let alone = Membership::new(vec![[me].into()], BTreeMap::from([(me, seat)]))
                .expect("the one voter has a seat");
            let entry = Entry::new(log_id, EntryPayload::Membership(alone));
            self.0.bytes.fetch_add(bytes_of(&entry), Ordering::Relaxed);
            kept.entries.push_back(entry);
            kept.vote = Some(vote);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let mut kept = self.0.kept.lock();
        let result = change(&mut kept);
        drop(kept);
        if self.bytes() > self.0.wake_above {
            self.0.grown.notify_one();
        }
        result
    }

    fn count(&self, entries: impl Iterator<Item = Entry>) {
        let bytes = entries.map(|entry| bytes_of(&entry)).sum();
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What the log counts an entry as.
fn bytes_of(entry: &Entry) -> usize {
    ENTRY_BYTES
        + match &entry.payload {
            EntryPayload::Blank => 0,
            EntryPayload::Normal(command) => command.0.len(),
            EntryPayload::Membership(membership) => 64 * membership.nodes().count(),
        }
}

impl Kept {
    fn last(&self) -> Option<LogId> {
        self.entries.back().map(RaftEntry::log_id).or(self.purged)
    }

    /// Where the entry of `index` lies, or the first after it.
    fn position(&self, index: u64) -> usize {
        let Some(first) = self.entries.front() else { return 0 };
        let ahead = index.saturating_sub(first.index());
        usize::try_from(ahead).unwrap_or(usize::MAX).min(self.entries.len())
    }

    fn range(&self, range: &impl RangeBounds<u64>) -> impl Iterator<Item = &Entry> {
        let from = match range.start_bound() {
            Bound::Included(index) => self.position(*index),
            Bound::Excluded(index) => self.position(index.saturating_add(1)),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => self.position(index.saturating_add(1)),
            Bound::Excluded(index) => self.position(*index),
            Bound::Unbounded => self.entries.len(),
        };
        self.entries.range(from..to.max(from))
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<Entry>> {
        Ok(self.0.kept.lock().range(&range).cloned().collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.0.kept.lock().vote)
    }

    /// As many entries as one message may carry, and at least one.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let kept = self.0.kept.lock();
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let is_first = bytes == 0;
            bytes += bytes_of(entry);
            is_first || bytes <= APPEND_BYTES_MAX
        };
        Ok(kept.range(&(start..end)).take_while(fits).cloned().collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let kept = self.0.kept.lock();
        Ok(LogState { last_purged_log_id: kept.purged, last_log_id: kept.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.0.kept.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.0.kept.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.0.kept.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        self.change(|kept| {
            for entry in entries {
                let last = kept.entries.back();
                assert!(
                    last.is_none_or(|last| last.index() + 1 == entry.index()),
                    "a log has no hole"
                );
                self.0.bytes.fetch_add(bytes_of(&entry), Ordering::Relaxed);
                kept.entries.push_back(entry);
            }
        });
        flushed.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.change(|kept| {
            let from = last.map_or(0, |last| kept.position(last.index + 1));
            self.count(kept.entries.drain(from..));
        });
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.change(|kept| {
            let to = kept.position(upto.index + 1);
            self.count(kept.entries.drain(..to));
            kept.purged = kept.purged.max(Some(upto));
            // A burst's room is given back.
            if kept.entries.len() < kept.entries.capacity() / 4 {
                kept.entries.shrink_to_fit();
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::storage::RaftLogStorageExt;

    use super::*;
    use crate::consensus::types::Command;
    use openraft::type_config::alias::LeaderIdOf;

    fn entry(index: u64, bytes: usize) -> Entry {
        let leader = LeaderIdOf::<Types>::new(1, NodeId(1)).to_committed();
        let log_id = LogId::new(leader, index);
        Entry::new(log_id, EntryPayload::Normal(Command(Bytes::from(vec![0; bytes]))))
    }

    async fn filled(entries: impl Iterator<Item = (u64, usize)> + Send) -> Log {
        let mut log = Log::new(usize::MAX);
        let entries: Vec<Entry> = entries.map(|(index, bytes)| entry(index, bytes)).collect();
        log.blocking_append(entries).await.unwrap();
        log
    }

    async fn indices(log: &mut Log, start: u64, end: u64) -> Vec<u64> {
        let entries = log.limited_get_log_entries(start, end).await.unwrap();
        entries.iter().map(Entry::index).collect()
    }

    #[tokio::test]
    async fn a_message_is_bounded_in_bytes_and_carries_at_least_one_entry() {
        let mut log = filled((1..5).map(|index| (index, APPEND_BYTES_MAX / 3))).await;
        assert_eq!(indices(&mut log, 1, 5).await, [1, 2]);
        assert_eq!(indices(&mut log, 3, 5).await, [3, 4]);
        let mut log = filled((1..3).map(|index| (index, 2 * APPEND_BYTES_MAX))).await;
        assert_eq!(indices(&mut log, 1, 3).await, [1]);
    }

    #[tokio::test]
    async fn bytes_are_counted_in_and_out() {
        let mut log = filled((1..11).map(|index| (index, 100))).await;
        let all = log.bytes();
        assert_eq!(all, 10 * (100 + ENTRY_BYTES));
        log.truncate_after(Some(entry(8, 0).log_id())).await.unwrap();
        assert_eq!(log.bytes(), all / 10 * 8);
        log.purge(entry(5, 0).log_id()).await.unwrap();
        assert_eq!(log.bytes(), all / 10 * 3);
        log.purge(entry(20, 0).log_id()).await.unwrap();
        assert_eq!(log.bytes(), 0);
    }

    #[tokio::test]
    async fn what_is_purged_leaves_no_more_than_is_wanted_and_nothing_unapplied() {
        let log = filled((1..11).map(|index| (index, 100))).await;
        let one = 100 + ENTRY_BYTES;
        assert_eq!(log.to_purge(10 * one, 10), None);
        assert_eq!(log.to_purge(4 * one, 10), Some(6));
        assert_eq!(log.to_purge(4 * one - 1, 10), Some(7));
        assert_eq!(log.to_purge(0, 3), Some(3));
        assert_eq!(log.to_purge(0, 0), None);
    }

    #[tokio::test]
    async fn a_long_log_wakes_its_upkeep() {
        let mut log = Log::new(1000);
        log.blocking_append([entry(1, 10)]).await.unwrap();
        let woken = tokio::time::timeout(std::time::Duration::ZERO, log.grown()).await;
        assert!(woken.is_err(), "it is short");
        log.blocking_append([entry(2, 2000)]).await.unwrap();
        log.grown().await;
    }
}
