//! Connections end, peers restart, nodes stop.

use std::time::Duration;

use winter_core::cluster::GroupId;
use winter_server::peers::frame::{Header, Outcome};
use winter_server::peers::{CallError, Link, Lost, NotSent, Options, Reason};

use crate::kit::{
    APPLICATION, CLUSTER, ECHO, HOLD, NOTE, Node, PATIENCE, address, eventually, patient,
};
use crate::raw::{Played, Session};

#[tokio::test]
async fn a_call_whose_connection_ends_may_have_been_done() {
    let (caller, played) = (Node::member(), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let ends = async {
        let (mut session, _) = played.accept().await;
        session.frame().await;
    };
    let (answer, ()) = tokio::join!(caller.call(played.id, ECHO, "x"), ends);
    assert_eq!(answer, Err(CallError::Lost(Lost::Closed)));
    // It is dialled again, and nothing is sent twice.
    let (mut session, _) = played.accept().await;
    caller.peers.send(played.id, NOTE, GroupId::Meta, "new".into()).unwrap();
    assert_eq!(session.frame().await.body, "new");
}

#[tokio::test]
async fn calls_to_a_peer_that_is_out_of_reach_fail_at_once_and_did_nothing() {
    let slow = Options {
        backoff_least: Duration::from_secs(60),
        backoff_most: Duration::from_secs(60),
        ..patient()
    };
    let (caller, gone) = (Node::with(slow), Played::start().await);
    let at = gone.at();
    let id = gone.id;
    drop(gone);
    caller.peers.connect(id, address(at));
    for _ in 0..100 {
        let error = caller.call(id, ECHO, "x").await.unwrap_err();
        assert_eq!(error, CallError::NotSent(NotSent::Unreachable));
    }
    assert_eq!(caller.peers.counters().dials.read(), 1, "there is a wait between two attempts");
}

#[tokio::test]
async fn a_peer_that_restarts_is_another_and_its_former_self_is_out_of_reach() {
    let (caller, first) = (Node::member(), Node::member());
    caller.meet(&first).await;
    assert_eq!(caller.call(first.id, ECHO, "x").await.unwrap(), "x");
    let at = first.at;
    first.peers.shutdown(PATIENCE).await;
    let second = Node::fresh(APPLICATION, patient(), at);
    second.peers.set_cluster(Some(CLUSTER));
    let refused = Some(Link::Down(NotSent::Refused(Reason::Receiver)));
    eventually("another is there", || caller.peers.link(first.id) == refused).await;
    let error = caller.call(first.id, NOTE, "x").await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(_)), "{error}");
    assert!(second.deeds.notes.lock().unwrap().is_empty());
    caller.meet(&second).await;
    assert_eq!(caller.call(second.id, ECHO, "x").await.unwrap(), "x");
    caller.peers.disconnect(first.id);
    assert_eq!(caller.peers.link(first.id), None);
}

#[tokio::test]
async fn a_peer_that_moves_is_found_at_its_new_address() {
    let slow = Options {
        backoff_least: Duration::from_secs(600),
        backoff_most: Duration::from_secs(600),
        ..patient()
    };
    let (caller, callee, gone) = (Node::with(slow), Node::member(), Played::start().await);
    let nowhere = gone.at();
    drop(gone);
    caller.peers.connect(callee.id, address(nowhere));
    let down = Some(Link::Down(NotSent::Unreachable));
    eventually("nobody is there", || caller.peers.link(callee.id) == down).await;
    caller.meet(&callee).await;
    assert_eq!(caller.call(callee.id, ECHO, "x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_peer_that_is_forgotten_is_left_and_calls_to_it_fail() {
    let (caller, callee) = (Node::member(), Node::member());
    caller.meet(&callee).await;
    let (held, ()) = tokio::join!(caller.call(callee.id, HOLD, "x"), async {
        callee.has_held(1).await;
        caller.peers.disconnect(callee.id);
    });
    assert_eq!(held, Err(CallError::Lost(Lost::Closed)));
    let after = caller.call(callee.id, ECHO, "x").await;
    assert_eq!(after, Err(CallError::NotSent(NotSent::UnknownPeer)));
}

#[tokio::test]
async fn a_node_that_stops_answers_what_it_has_begun_and_takes_nothing_new() {
    let (caller, callee) = (Node::member(), Node::member());
    caller.meet(&callee).await;
    let mut session = Session::open(callee.at).await;
    let mut stopping = tokio::task::JoinSet::new();
    let stop = async {
        callee.has_held(1).await;
        let peers = callee.peers.clone();
        stopping.spawn(async move { peers.shutdown(PATIENCE).await });
        let down = Some(Link::Down(NotSent::Stopping));
        eventually("it says goodbye", || caller.peers.link(callee.id) == down).await;
        assert_eq!(session.frame().await.header, Header::Goodbye);
        let request = Header::Request {
            request: 9,
            channel: NOTE,
            group: GroupId::Meta,
            budget_millis: 60_000,
        };
        session.send(request, "too late").await;
        let stopping_answer = Header::Answer { request: 9, outcome: Outcome::Stopping };
        assert_eq!(session.frame().await.header, stopping_answer);
        drop(session);
        callee.deeds.release.add_permits(1);
    };
    let (answer, ()) = tokio::join!(caller.call(callee.id, HOLD, "begun"), stop);
    assert_eq!(answer.unwrap(), "begun");
    stopping.join_next().await.unwrap().unwrap();
    assert!(callee.deeds.notes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_node_that_stops_waits_for_the_answers_to_its_own_calls() {
    let (caller, callee) = (Node::member(), Node::member());
    caller.meet(&callee).await;
    let (answer, ()) = tokio::join!(caller.call(callee.id, HOLD, "x"), async {
        callee.has_held(1).await;
        let peers = caller.peers.clone();
        let stopping = tokio::spawn(async move { peers.shutdown(PATIENCE).await });
        let down = Some(Link::Down(NotSent::Stopped));
        eventually("it takes no more", || caller.peers.link(callee.id) == down).await;
        let error = caller.call(callee.id, ECHO, "x").await.unwrap_err();
        assert_eq!(error, CallError::NotSent(NotSent::Stopped));
        callee.deeds.release.add_permits(1);
        stopping.await.unwrap();
    });
    assert_eq!(answer.unwrap(), "x");
}

#[tokio::test]
async fn stopping_has_an_end_when_a_peer_does_not_let_go() {
    let (caller, callee) = (Node::member(), Node::member());
    caller.meet(&callee).await;
    let (answer, ()) = tokio::join!(caller.call(callee.id, HOLD, "x"), async {
        callee.has_held(1).await;
        callee.peers.shutdown(Duration::from_millis(50)).await;
    });
    assert_eq!(answer, Err(CallError::Lost(Lost::Closed)));
    let held = callee.deeds.held.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(held, 1, "it was begun, and nobody knows how far it came");
}

#[tokio::test]
async fn a_peer_that_is_silent_is_left_and_dialled_again() {
    let brisk = Options {
        keepalive: Duration::from_millis(20),
        silence: Duration::from_millis(200),
        ..patient()
    };
    let (caller, played) = (Node::with(brisk), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let (mut session, _) = played.accept().await;
    assert_eq!(session.frame().await.header, Header::Ping);
    // No pong: it hangs up, and tries again.
    while session.next().await.is_some() {}
    let _again = played.accept().await;
    assert_eq!(caller.refused_in_all(), 0, "silence is no offence");
}

#[tokio::test]
async fn a_dialler_that_is_silent_is_left() {
    let node = Node::with(Options { silence: Duration::from_millis(100), ..patient() });
    let mut session = Session::open(node.at).await;
    assert!(session.next().await.is_none());
    assert_eq!(node.refused_in_all(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_kept_by_asking() {
    let brisk = Options {
        keepalive: Duration::from_millis(10),
        silence: Duration::from_secs(30),
        ..patient()
    };
    let (caller, callee) = (Node::with(brisk), Node::with(brisk));
    caller.meet(&callee).await;
    let counters = caller.peers.counters();
    let before = counters.frames_in.read();
    eventually("pongs come", || counters.frames_in.read() >= before + 10).await;
    assert_eq!(counters.dials.read(), 1);
}

#[tokio::test]
async fn frames_and_bytes_are_counted_on_both_sides() {
    let (caller, callee) = (Node::member(), Node::member());
    caller.meet(&callee).await;
    for _ in 0..10 {
        caller.call(callee.id, ECHO, vec![7; 1_000]).await.unwrap();
    }
    let (ours, theirs) = (caller.peers.counters(), callee.peers.counters());
    assert_eq!((ours.calls.read(), ours.calls_not_sent.read(), ours.calls_lost.read()), (10, 0, 0));
    assert_eq!(theirs.requests.read(), 10);
    assert_eq!(ours.frames_out.read(), 11, "ten calls, and the first ping");
    assert_eq!(theirs.frames_in.read(), 11);
    assert_eq!(ours.frames_in.read(), theirs.frames_out.read());
    assert!(ours.bytes_out.read() > 10_000);
    assert_eq!(ours.bytes_out.read(), theirs.bytes_in.read());
    assert_eq!(ours.bytes_in.read(), theirs.bytes_out.read());
}
