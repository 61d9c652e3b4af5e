//! Frames that are wrong, on connections that were let in.

use std::time::Duration;

use winter_core::cluster::GroupId;
use winter_server::peers::frame::{HEAD_BYTES, HEADER_BYTES_MAX, Header, Outcome};
use winter_server::peers::{Options, Reason};

use crate::kit::{ECHO, NOTE, Node, Pair, address, eventually, patient};
use crate::raw::{Played, Session};

const NOTED: Header = Header::OneWay { channel: NOTE, group: GroupId::Meta };

fn ask(request: u64) -> Header {
    Header::Request { request, channel: ECHO, group: GroupId::Meta, budget_millis: 60_000 }
}

#[tokio::test]
async fn a_frame_that_announces_four_gigabytes_is_refused_before_they_come() {
    let options = Options { body_bytes_max: 1_000, ..patient() };
    for length in [u32::MAX, u32::try_from(1_000 + HEADER_BYTES_MAX + 1).unwrap()] {
        let pair = Pair::with(options).await;
        pair.refuses(Reason::Oversized, async |to| {
            let mut session = Session::open(to).await;
            session.raw.send(&length.to_le_bytes()).await;
            assert!(session.next().await.is_none());
            session.raw.address()
        })
        .await;
    }
}

#[tokio::test]
async fn a_body_above_the_limit_by_one_byte_is_refused() {
    let pair = Pair::with(Options { body_bytes_max: 1_000, ..patient() }).await;
    pair.refuses(Reason::Oversized, async |to| {
        let mut session = Session::open(to).await;
        session.send(ask(0), vec![1; 1_000]).await;
        assert_eq!(session.frame().await.body.len(), 1_000);
        session.send(ask(1), vec![1; 1_001]).await;
        assert!(session.next().await.is_none());
        session.raw.address()
    })
    .await;
}

#[tokio::test]
async fn a_frame_with_any_wrong_bit_is_refused() {
    for at in [4, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, HEAD_BYTES + 3] {
        let pair = Pair::start().await;
        pair.refuses(Reason::Checksum, async |to| {
            let mut session = Session::open(to).await;
            let mut bytes = session.encode(NOTED, "body");
            bytes[at] ^= 1;
            session.raw.send(&bytes).await;
            assert!(session.next().await.is_none(), "byte {at}");
            session.raw.address()
        })
        .await;
        assert!(pair.target.deeds.notes.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_frame_that_is_sent_twice_is_refused() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Replayed, async |to| {
        let mut session = Session::open(to).await;
        let bytes = session.encode(NOTED, "once");
        session.raw.send(&[&bytes[..], &bytes[..]].concat()).await;
        assert!(session.next().await.is_none());
        session.raw.address()
    })
    .await;
    assert_eq!(*pair.target.deeds.notes.lock().unwrap(), ["once"]);
}

#[tokio::test]
async fn a_frame_that_is_left_out_is_noticed() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Checksum, async |to| {
        let mut session = Session::open(to).await;
        session.encode(NOTED, "never sent");
        session.send(NOTED, "sent").await;
        assert!(session.next().await.is_none());
        session.raw.address()
    })
    .await;
    assert!(pair.target.deeds.notes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_frame_of_another_connection_is_refused() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Checksum, async |to| {
        let (mut one, mut other) = (Session::open(to).await, Session::open(to).await);
        let bytes = one.encode(NOTED, "of one");
        other.raw.send(&bytes).await;
        assert!(other.next().await.is_none());
        other.raw.address()
    })
    .await;
    assert!(pair.target.deeds.notes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_header_that_cannot_be_read_is_refused() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Malformed, async |to| {
        let mut session = Session::open(to).await;
        let mut bytes = bytes::BytesMut::new();
        session.encoder.encode_raw(&[200, 200, 200], &mut bytes);
        session.raw.send(&bytes).await;
        assert!(session.next().await.is_none());
        session.raw.address()
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_is_cut_off_is_refused() {
    for cut in [1, 11, 14] {
        let pair = Pair::start().await;
        pair.refuses(Reason::CutOff, async |to| {
            let mut session = Session::open(to).await;
            let bytes = session.encode(NOTED, "cut off");
            session.raw.send(&bytes[..cut]).await;
            session.raw.finish().await;
            assert!(session.next().await.is_none());
            session.raw.address()
        })
        .await;
        assert!(pair.target.deeds.notes.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_frame_has_its_time() {
    let pair = Pair::with(Options { frame_timeout: Duration::from_millis(100), ..patient() }).await;
    pair.refuses(Reason::Slow, async |to| {
        let mut session = Session::open(to).await;
        let bytes = session.encode(NOTED, "slow");
        session.raw.send(&bytes[..bytes.len() - 1]).await;
        assert!(session.next().await.is_none());
        session.raw.address()
    })
    .await;
}

#[tokio::test]
async fn frames_out_of_place_are_refused() {
    let answer = Header::Answer { request: 0, outcome: Outcome::Done };
    for header in [answer, Header::Pong, Header::Goodbye] {
        let pair = Pair::start().await;
        pair.refuses(Reason::Unexpected, async |to| {
            let mut session = Session::open(to).await;
            session.send(header, "").await;
            assert!(session.next().await.is_none());
            session.raw.address()
        })
        .await;
    }
}

#[tokio::test]
async fn a_peer_that_answers_what_was_never_asked_is_refused() {
    let answer = Header::Answer { request: 5, outcome: Outcome::Done };
    for header in [answer, Header::Ping, ask(0), NOTED] {
        let (node, played) = (Node::member(), Played::start().await);
        node.peers.connect(played.id, address(played.at()));
        let (mut session, _) = played.accept().await;
        session.send(header, "").await;
        assert!(session.next().await.is_none());
        eventually("it is counted", || node.refused(Reason::Unexpected) == 1).await;
    }
}

#[tokio::test]
async fn a_body_of_any_length_up_to_the_limit_arrives_whole() {
    let (one, other) = (Node::member(), Node::member());
    one.meet(&other).await;
    for length in [0, 1, 16_383, 16_384, 16_385, 65_535, 1 << 20, 9_999_999] {
        let body: Vec<u8> = (0_u32..length).map(|n| n.to_le_bytes()[0] ^ 5).collect();
        let answer = one.call(other.id, ECHO, body.clone()).await.unwrap();
        assert!(answer == body, "{length} bytes");
    }
    assert_eq!(other.refused_in_all(), 0);
    assert_eq!(one.peers.counters().dials.read(), 1);
}

#[tokio::test]
async fn frames_that_come_byte_by_byte_are_read_alike() {
    let node = Node::member();
    let mut session = Session::open(node.at).await;
    for request in 0..3 {
        let bytes = session.encode(ask(request), "slowly");
        for byte in bytes {
            session.raw.send(&[byte]).await;
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..3 {
        assert_eq!(session.frame().await.body, "slowly");
    }
}
