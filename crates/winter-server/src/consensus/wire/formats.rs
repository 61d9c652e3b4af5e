//! Messages between replicas, byte by byte: what openraft's types are made of is
//! part of them, and its next release may change that without a word.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use openraft::vote::RaftLeaderId as _;
use openraft::{EntryPayload, Membership as Members};
use winter_core::cluster::NodeId;
use winter_testkit::{hex, unhex};

use super::super::types::{
    Command, Entry, LogId, Membership, Seat, SnapshotMeta, StoredMembership, Vote,
};
use super::{Refusal, Request, Response, SnapshotAnswer, SnapshotRequest, Step, VERSION};

/// What to do about other bytes: change this page only together with the version.
const RAISE: &str = "the messages have changed: raise VERSION, and speak the one before as long \
                     as a member does (docs/decisions/0012)";
/// The incarnation that requests are for.
const TO: u64 = 300;

fn vote() -> Vote {
    Vote::new_committed(3, NodeId(0xabcd))
}

fn log_id(index: u64) -> LogId {
    LogId::new(vote().leader_id.to_committed(), index)
}

/// Voters on the way from one set to another, and a learner.
fn membership() -> Membership {
    let seat = |number: u64| Seat { address: format!("winter-{number}:6062"), incarnation: number };
    let nodes: BTreeMap<NodeId, Seat> =
        [1, 2, 300].map(|number| (NodeId(number), seat(number))).into();
    let sets = [[NodeId(1)], [NodeId(2)]].map(BTreeSet::from);
    Members::new(sets.into(), nodes).expect("all have seats")
}

fn requests() -> [(Request, &'static str); 7] {
    let mut ask = VoteRequest::new(Vote::new(4, NodeId(0xabcd)), Some(log_id(9)));
    ask.leadership_transfer = true;
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(Command(Bytes::from_static(b"one"))),
        EntryPayload::Membership(membership()),
        EntryPayload::Normal(Command(Bytes::from_static(b"two"))),
    ];
    let entries = (5..).zip(payloads);
    let append = AppendEntriesRequest {
        vote: vote(),
        prev_log_id: Some(log_id(4)),
        entries: entries.map(|(index, payload)| Entry { log_id: log_id(index), payload }).collect(),
        leader_commit: None,
    };
    let meta = SnapshotMeta {
        last_log_id: Some(log_id(9)),
        last_membership: StoredMembership::new(Some(log_id(7)), membership()),
    };
    let step = |step| Request::Snapshot(SnapshotRequest { number: 8, step });
    [
        (Request::Vote(ask.clone()), "01ac020004cdd702000103cdd7020901"),
        (Request::PreVote(VoteRequest::new(vote(), None)), "01ac020103cdd702010000"),
        (
            Request::Append(append),
            "01ac020203cdd702010103cdd70204000403cdd702050003cdd70206010303cdd7020702020101010203010d77696e7465722d313a3630363201020d77696e7465722d323a3630363202ac020f77696e7465722d3330303a36303632ac0203cdd7020801036f6e6574776f",
        ),
        (
            Request::Transfer(TransferLeaderRequest::new(vote(), NodeId(2), Some(log_id(9)))),
            "01ac020303cdd70201020103cdd70209",
        ),
        (step(Step::Begin(vote())), "01ac02040803cdd702016c30b084cb219949"),
        (
            step(Step::Chunk { at: 300, bytes: Bytes::from_static(b"chunk") }),
            "01ac020508ac026368756e6bdb13f4c778eba71e",
        ),
        (
            step(Step::Finish { chunks: 2, vote: vote(), meta }),
            "01ac0206080203cdd702010103cdd702090103cdd70207020101010203010d77696e7465722d313a3630363201020d77696e7465722d323a3630363202ac020f77696e7465722d3330303a36303632ac0200cc459bc28c7a3e04",
        ),
    ]
}

fn responses() -> [(Response, &'static str); 16] {
    let granted = VoteResponse { vote: vote(), vote_granted: true, last_log_id: Some(log_id(9)) };
    let done = SnapshotAnswer::Done(SnapshotResponse::new(vote()));
    [
        (Response::Vote(granted), "010003cdd70201010103cdd70209"),
        (Response::Append(AppendEntriesResponse::Success), "010100"),
        (
            Response::Append(AppendEntriesResponse::PartialSuccess(Some(log_id(9)))),
            "0101010103cdd70209",
        ),
        (Response::Append(AppendEntriesResponse::Conflict), "010102"),
        (Response::Append(AppendEntriesResponse::HigherVote(vote())), "01010303cdd70201"),
        (Response::Transfer(Ok(())), "010200"),
        (Response::Snapshot(SnapshotAnswer::Taken), "010300"),
        (Response::Snapshot(SnapshotAnswer::Damaged), "010301"),
        (Response::Snapshot(SnapshotAnswer::Unknown), "010302"),
        (Response::Snapshot(SnapshotAnswer::Unreadable), "010303"),
        (Response::Snapshot(done), "01030403cdd70201"),
        (Response::Refused(Refusal::Malformed), "010400"),
        (Response::Refused(Refusal::Impostor), "010401"),
        (Response::Refused(Refusal::Incarnation), "010402"),
        (Response::Refused(Refusal::Stopped), "010403"),
        (Response::Refused(Refusal::Slow), "010404"),
    ]
}

#[test]
fn requests_of_version_one_have_these_bytes() {
    assert_eq!(VERSION, 1);
    for (request, bytes) in requests() {
        let what = format!("{request:?}");
        assert_eq!(hex(&request.encode(TO)), bytes, "{what}: {RAISE}");
        let (to, read) = Request::decode(&unhex(bytes).into()).expect("a request");
        assert_eq!((to, format!("{read:?}")), (TO, what));
    }
}

#[test]
fn responses_of_version_one_have_these_bytes() {
    for (response, bytes) in responses() {
        assert_eq!(hex(&response.encode()), bytes, "{response:?}: {RAISE}");
        let read = Response::decode(&unhex(bytes).into()).expect("a response");
        assert_eq!(format!("{read:?}"), format!("{response:?}"));
    }
}
