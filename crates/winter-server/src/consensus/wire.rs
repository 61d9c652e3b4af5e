//! A group's messages as bytes.
//!
//! A message is a version, a head written by `postcard` (which begins with the
//! incarnation of the replica that is meant), and a tail of raw bytes: the entries of an append, the chunk of a snapshot. So the bytes of an
//! entry are copied once into a message, and not at all out of it. Messages of a
//! snapshot end in a checksum of all that stands before it.

#[cfg(test)]
mod formats;

use bytes::{Bytes, BytesMut};
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::types::{Command, Entry, LogId, Membership, SnapshotMeta, Types, Vote};

/// The first byte of every message. A node that reads another one refuses it.
const VERSION: u8 = 1;
/// The checksum that ends a message of a snapshot.
const CHECKSUM_BYTES: usize = 8;
/// A head has room for so many bytes at first.
const HEAD_BYTES: usize = 128;

/// What a replica asks of another.
#[derive(Debug)]
pub(super) enum Request {
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    Append(AppendEntriesRequest<Types>),
    Transfer(TransferLeaderRequest<Types>),
    Snapshot(SnapshotRequest),
}

/// A step of sending a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotRequest {
    /// The sender's number for this snapshot.
    pub number: u64,
    pub step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Asks whether a snapshot would be taken, before one is cut.
    Begin(Vote),
    /// The chunk after `at` others.
    Chunk { at: u64, bytes: Bytes },
    /// There were `chunks`, and they are this snapshot.
    Finish { chunks: u64, vote: Vote, meta: SnapshotMeta },
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Response {
    Vote(VoteResponse<Types>),
    Append(AppendEntriesResponse<Types>),
    Transfer(TransferLeaderResponse<Types>),
    Snapshot(SnapshotAnswer),
    Refused(Refusal),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum SnapshotAnswer {
    /// What was sent is taken.
    Taken,
    /// It did not arrive as it was sent: send it again.
    Damaged,
    /// Nothing is known of this snapshot: begin again.
    Unknown,
    /// It is no state that this node can read: do not go on.
    Unreadable,
    /// It is in place, or was not needed; or the sender leads no more.
    Done(SnapshotResponse<Types>),
}

/// Why a message is not answered. It has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the message cannot be read")]
    Malformed,
    #[error("the message is in another's name")]
    Impostor,
    #[error("the message is for a replica that was there before, or comes later")]
    Incarnation,
    #[error("the group has stopped there")]
    Stopped,
    #[error("the replica took too long")]
    Slow,
}

#[derive(Serialize, Deserialize)]
enum Head {
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    Append {
        vote: Vote,
        prev_log_id: Option<LogId>,
        leader_commit: Option<LogId>,
        entries: Vec<(LogId, Payload)>,
    },
    Transfer(TransferLeaderRequest<Types>),
    Begin {
        number: u64,
        vote: Vote,
    },
    Chunk {
        number: u64,
        at: u64,
    },
    Finish {
        number: u64,
        chunks: u64,
        vote: Vote,
        meta: SnapshotMeta,
    },
}

#[derive(Serialize, Deserialize)]
enum Payload {
    Blank,
    /// So many bytes of the tail.
    Command(u32),
    Membership(Membership),
}

impl Request {
    /// The message to the replica of this incarnation.
    pub(super) fn encode(self, to: u64) -> Bytes {
        match self {
            Self::Vote(vote) => encode(&(to, Head::Vote(vote)), []),
            Self::PreVote(vote) => encode(&(to, Head::PreVote(vote)), []),
            Self::Transfer(transfer) => encode(&(to, Head::Transfer(transfer)), []),
            Self::Append(append) => encode_append(to, append),
            Self::Snapshot(request) => request.encode(to),
        }
    }

    /// Reads a message, and the incarnation that it is for.
    ///
    /// # Errors
    /// What a message that cannot be read is answered.
    pub(super) fn decode(message: &Bytes) -> Result<(u64, Self), Response> {
        let malformed = || Response::Refused(Refusal::Malformed);
        let ((to, head), tail) = decode::<(u64, Head)>(message).ok_or_else(malformed)?;
        let snapshot = |number, step| {
            let body = message.len().checked_sub(CHECKSUM_BYTES).map(|at| message.split_at(at));
            let is_sound = body.is_some_and(|(body, sum)| xxh3_64(body).to_le_bytes() == *sum);
            if !is_sound {
                return Err(Response::Snapshot(SnapshotAnswer::Damaged));
            }
            Ok(Self::Snapshot(SnapshotRequest { number, step }))
        };
        let request = match head {
            Head::Vote(_) | Head::PreVote(_) | Head::Transfer(_) if !tail.is_empty() => {
                Err(malformed())
            }
            Head::Vote(vote) => Ok(Self::Vote(vote)),
            Head::PreVote(vote) => Ok(Self::PreVote(vote)),
            Head::Transfer(transfer) => Ok(Self::Transfer(transfer)),
            Head::Append { vote, prev_log_id, leader_commit, entries } => {
                let entries = read_entries(entries, tail).ok_or_else(malformed)?;
                let append = AppendEntriesRequest { vote, prev_log_id, entries, leader_commit };
                Ok(Self::Append(append))
            }
            Head::Begin { number, vote } => snapshot(number, Step::Begin(vote)),
            Head::Chunk { number, at } => {
                let bytes = tail.slice(..tail.len().saturating_sub(CHECKSUM_BYTES));
                snapshot(number, Step::Chunk { at, bytes })
            }
            Head::Finish { number, chunks, vote, meta } => {
                snapshot(number, Step::Finish { chunks, vote, meta })
            }
        };
        Ok((to, request?))
    }
}

impl SnapshotRequest {
    fn encode(self, to: u64) -> Bytes {
        let number = self.number;
        let (head, chunk) = match self.step {
            Step::Begin(vote) => (Head::Begin { number, vote }, Bytes::new()),
            Step::Chunk { at, bytes } => (Head::Chunk { number, at }, bytes),
            Step::Finish { chunks, vote, meta } => {
                (Head::Finish { number, chunks, vote, meta }, Bytes::new())
            }
        };
        let mut message = BytesMut::from(encode(&(to, head), [&*chunk]));
        let checksum = xxh3_64(&message);
        message.extend_from_slice(&checksum.to_le_bytes());
        message.freeze()
    }
}

impl Response {
    /// The answer as bytes.
    pub(super) fn encode(&self) -> Bytes {
        encode(self, [])
    }

    /// Reads an answer.
    pub(super) fn decode(message: &Bytes) -> Option<Self> {
        decode(message).map(|(response, _)| response)
    }
}

fn encode_append(to: u64, append: AppendEntriesRequest<Types>) -> Bytes {
    let AppendEntriesRequest { vote, prev_log_id, entries, leader_commit } = append;
    let mut tail = Vec::with_capacity(entries.len());
    let mut heads = Vec::with_capacity(entries.len());
    for entry in entries {
        let payload = match entry.payload {
            EntryPayload::Blank => Payload::Blank,
            EntryPayload::Normal(command) => {
                let bytes = u32::try_from(command.0.len()).expect("entries are below 4 GiB");
                tail.push(command.0);
                Payload::Command(bytes)
            }
            EntryPayload::Membership(membership) => Payload::Membership(membership),
        };
        heads.push((entry.log_id, payload));
    }
    let head = Head::Append { vote, prev_log_id, leader_commit, entries: heads };
    encode(&(to, head), tail.iter().map(|bytes| &**bytes))
}

fn read_entries(heads: Vec<(LogId, Payload)>, mut tail: Bytes) -> Option<Vec<Entry>> {
    let read = |(log_id, payload)| {
        let payload = match payload {
            Payload::Blank => EntryPayload::Blank,
            Payload::Membership(membership) => EntryPayload::Membership(membership),
            Payload::Command(bytes) => {
                let bytes = usize::try_from(bytes).ok()?;
                let bytes = (bytes <= tail.len()).then(|| tail.split_to(bytes))?;
                EntryPayload::Normal(Command(bytes))
            }
        };
        Some(Entry { log_id, payload })
    };
    let entries = heads.into_iter().map(read).collect::<Option<Vec<_>>>()?;
    tail.is_empty().then_some(entries)
}

fn encode<'t>(head: &impl Serialize, tail: impl IntoIterator<Item = &'t [u8]> + Clone) -> Bytes {
    let tail_bytes: usize = tail.clone().into_iter().map(<[u8]>::len).sum();
    let mut message = Vec::with_capacity(HEAD_BYTES + tail_bytes + CHECKSUM_BYTES);
    message.push(VERSION);
    let mut message =
        postcard::to_extend(head, message).expect("a message's types can all be written");
    for part in tail {
        message.extend_from_slice(part);
    }
    Bytes::from(message)
}

fn decode<T: for<'de> Deserialize<'de>>(message: &Bytes) -> Option<(T, Bytes)> {
    let (version, body) = message.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (head, tail) = postcard::take_from_bytes(body).ok()?;
    Some((head, message.slice(message.len() - tail.len()..)))
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload::{Blank, Normal};
    use openraft::Membership as Members;
    use openraft::vote::RaftLeaderId as _;
    use std::collections::{BTreeMap, BTreeSet};
    use winter_core::cluster::NodeId;

    use super::super::types::Seat;
    use super::*;

    const TO: u64 = 300;

    fn log_id(index: u64) -> LogId {
        let vote = Vote::new_committed(3, NodeId(u64::MAX));
        LogId::new(vote.leader_id.to_committed(), index)
    }

    fn append() -> AppendEntriesRequest<Types> {
        let node = NodeId(7);
        let nodes =
            BTreeMap::from([(node, Seat { address: "winter-0:6062".to_owned(), incarnation: 3 })]);
        let members = Members::new(vec![BTreeSet::from([node])], nodes).unwrap();
        let payloads = [
            Blank,
            Normal(Command(Bytes::from_static(b"one"))),
            EntryPayload::Membership(members),
            Normal(Command(Bytes::new())),
            Normal(Command(Bytes::from(vec![1; 100_000]))),
        ];
        let entries = (5..).zip(payloads);
        AppendEntriesRequest {
            vote: Vote::new_committed(3, NodeId(u64::MAX)),
            prev_log_id: Some(log_id(4)),
            entries: entries
                .map(|(index, payload)| Entry { log_id: log_id(index), payload })
                .collect(),
            leader_commit: None,
        }
    }

    fn chunk() -> Bytes {
        let step = Step::Chunk { at: 300, bytes: Bytes::from(vec![9; 1000]) };
        Request::Snapshot(SnapshotRequest { number: 4, step }).encode(TO)
    }

    #[test]
    fn an_append_is_read_as_it_was_written_and_its_entries_are_not_copied() {
        let message = Request::Append(append()).encode(TO);
        let Ok((TO, Request::Append(read))) = Request::decode(&message) else {
            panic!("an append")
        };
        assert_eq!(read.entries, append().entries);
        assert_eq!((read.vote, read.prev_log_id), (append().vote, append().prev_log_id));
        let EntryPayload::Normal(Command(bytes)) = &read.entries[4].payload else {
            panic!("a command")
        };
        assert!(message.as_ptr_range().contains(&bytes.as_ptr()));
    }

    #[test]
    fn the_steps_of_a_snapshot_are_read_as_they_were_written() {
        let vote = Vote::new_committed(3, NodeId(1));
        let meta = SnapshotMeta { last_log_id: Some(log_id(9)), ..SnapshotMeta::default() };
        let steps = [
            Step::Begin(vote),
            Step::Chunk { at: 3, bytes: Bytes::from_static(b"chunk") },
            Step::Finish { chunks: 4, vote, meta },
        ];
        for step in steps {
            let request = SnapshotRequest { number: 4, step };
            let message = Request::Snapshot(request.clone()).encode(TO);
            let Ok((TO, Request::Snapshot(read))) = Request::decode(&message) else {
                panic!("a step")
            };
            assert_eq!(read, request);
        }
    }

    #[test]
    fn no_turned_bit_of_a_snapshots_message_goes_unseen() {
        let message = chunk();
        for at in 0..message.len() {
            for bit in 0..8 {
                let mut damaged = message.to_vec();
                damaged[at] ^= 1 << bit;
                assert!(Request::decode(&damaged.into()).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_padded_or_of_another_version_is_refused() {
        for message in [Request::Append(append()).encode(TO), chunk()] {
            for end in (0..message.len()).step_by(1 + message.len() / 500) {
                assert!(Request::decode(&message.slice(..end)).is_err(), "{end} bytes");
            }
            let padded = [&*message, b"x"].concat();
            assert!(Request::decode(&padded.into()).is_err());
            let newer = [&[VERSION + 1], &message[1..]].concat();
            assert!(Request::decode(&newer.into()).is_err());
        }
    }

    #[test]
    fn garbage_is_read_without_a_panic() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let mut garbage: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
            if let Some(first) = garbage.first_mut() {
                *first = VERSION;
            }
            let garbage = Bytes::from(garbage);
            let _ = Request::decode(&garbage);
            let _ = Response::decode(&garbage);
        }
    }
}
