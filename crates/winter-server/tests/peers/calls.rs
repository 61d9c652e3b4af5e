//! Calls: many at once, in order, with a deadline, and with a truthful end.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;
use winter_core::cluster::{GroupId, NodeId};
use winter_server::peers::frame::Header;
use winter_server::peers::{CallError, Channel, Lost, NotSent, Options};

use crate::kit::{
    DECLINE, ECHO, HOLD, LONG, NOTE, Node, PANIC, PATIENCE, address, draw, eventually, patient,
};
use crate::raw::Played;

async fn two() -> (Node, Node) {
    two_with(patient(), patient()).await
}

async fn two_with(caller: Options, callee: Options) -> (Node, Node) {
    let (caller, callee) = (Node::with(caller), Node::with(callee));
    caller.meet(&callee).await;
    (caller, callee)
}

#[tokio::test]
async fn a_thousand_calls_are_in_flight_and_each_gets_its_own_answer() {
    let (caller, callee) = two().await;
    let mut calls = JoinSet::new();
    for n in 0_u32..1_000 {
        let (peers, to) = (caller.peers.clone(), callee.id);
        calls.spawn(async move {
            let body = Bytes::from(n.to_string());
            let channel = if n % 2 == 0 { HOLD } else { ECHO };
            let deadline = Instant::now() + PATIENCE;
            let answer = peers.call(to, channel, GroupId::Meta, body.clone(), deadline).await;
            assert_eq!(answer.unwrap(), body);
            n
        });
    }
    // Those that are not held overtake those that are.
    for _ in 0..500 {
        assert_eq!(calls.join_next().await.unwrap().unwrap() % 2, 1);
    }
    callee.has_held(500).await;
    assert_eq!(caller.peers.queues().answers, 500);
    callee.deeds.release.add_permits(500);
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    assert_eq!(caller.peers.queues().answers, 0);
    assert_eq!(caller.peers.counters().dials.read(), 1, "over one connection");
}

#[tokio::test]
async fn calls_and_messages_begin_in_the_order_in_which_they_were_made() {
    let (caller, callee) = two().await;
    let mut calls = Vec::new();
    for n in 0_u32..3_000 {
        let body = Bytes::from(n.to_string());
        if n % 3 == 0 {
            caller.peers.send(callee.id, NOTE, GroupId::Meta, body).unwrap();
            continue;
        }
        let mut call = Box::pin(caller.call(callee.id, NOTE, body));
        // Polled once: it is in the queue.
        assert!(futures_poll(call.as_mut()).await.is_none());
        calls.push(call);
    }
    for call in calls {
        call.await.unwrap();
    }
    let notes = &callee.deeds.notes;
    eventually("all came", || notes.lock().unwrap().len() == 3_000).await;
    let expected: Vec<String> = (0..3_000).map(|n: u32| n.to_string()).collect();
    assert_eq!(*notes.lock().unwrap(), expected);
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        let polled = std::pin::Pin::new(&mut future).poll(context);
        std::task::Poll::Ready(match polled {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_deadline_after_the_call_was_sent_leaves_it_open_what_was_done() {
    let (caller, callee) = two().await;
    let deadline = Instant::now() + Duration::from_millis(300);
    let call = caller.peers.call(callee.id, HOLD, GroupId::Meta, "x".into(), deadline);
    assert_eq!(call.await, Err(CallError::Lost(Lost::Deadline)));
    callee.deeds.release.add_permits(1);
    let late = &caller.peers.counters().answers_late;
    eventually("the answer comes to nobody", || late.read() == 1).await;
    assert_eq!(caller.call(callee.id, ECHO, "on").await.unwrap(), "on");
}

#[tokio::test]
async fn a_deadline_before_the_call_was_sent_is_known_to_have_done_nothing() {
    // Somebody who takes the connection, and says nothing.
    let (caller, played) = (Node::member(), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let past = Instant::now();
    for deadline in [past, past + Duration::from_millis(50)] {
        let call = caller.peers.call(played.id, ECHO, GroupId::Meta, "x".into(), deadline);
        assert_eq!(call.await, Err(CallError::NotSent(NotSent::Deadline)));
    }
    assert_eq!(caller.peers.queues(), Default::default());
    let (mut session, _) = played.accept().await;
    caller.peers.send(played.id, NOTE, GroupId::Meta, "next".into()).unwrap();
    assert_eq!(session.frame().await.body, "next", "and they are not sent after all");
}

#[tokio::test]
async fn a_call_that_is_given_up_before_it_is_sent_never_is() {
    let (caller, played) = (Node::member(), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let mut call = Box::pin(caller.call(played.id, ECHO, "given up"));
    assert!(futures_poll(call.as_mut()).await.is_none());
    assert_eq!(caller.peers.queues().calls, 1);
    drop(call);
    assert_eq!(caller.peers.queues(), Default::default());
    caller.peers.send(played.id, NOTE, GroupId::Meta, "next".into()).unwrap();
    let (mut session, _) = played.accept().await;
    assert_eq!(session.frame().await.body, "next");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_the_next_call_after_an_answer_goes() {
    let few = Options { in_flight_max: 3, ..patient() };
    let (caller, callee) = two_with(few, patient()).await;
    let mut held = JoinSet::new();
    for _ in 0..3 {
        let (peers, to) = (caller.peers.clone(), callee.id);
        let deadline = Instant::now() + PATIENCE;
        held.spawn(async move { peers.call(to, HOLD, GroupId::Meta, "x".into(), deadline).await });
    }
    callee.has_held(3).await;
    let error = caller.call(callee.id, ECHO, "one more").await.unwrap_err();
    assert_eq!(error, CallError::NotSent(NotSent::QueueFull));
    callee.deeds.release.add_permits(1);
    held.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(caller.call(callee.id, ECHO, "one more").await.unwrap(), "one more");
    callee.deeds.release.add_permits(2);
}

#[tokio::test]
async fn a_queue_is_bounded_in_bytes_as_well() {
    let small = Options { queue_bytes_max: 1_000, ..patient() };
    let (caller, played) = (Node::with(small), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let send =
        |bytes: usize| caller.peers.send(played.id, NOTE, GroupId::Meta, vec![1; bytes].into());
    assert_eq!(send(2_000), Ok(()), "a single one is let through");
    assert_eq!(send(1), Err(NotSent::QueueFull));
    let (mut session, _) = played.accept().await;
    assert_eq!(session.frame().await.body.len(), 2_000);
    assert_eq!(send(600), Ok(()));
}

#[tokio::test]
async fn a_peer_with_too_much_under_way_says_so_and_does_nothing() {
    let few = Options { in_flight_max: 2, ..patient() };
    let (caller, callee) = two_with(patient(), few).await;
    let mut held = JoinSet::new();
    for _ in 0..2 {
        let (peers, to) = (caller.peers.clone(), callee.id);
        let deadline = Instant::now() + PATIENCE;
        held.spawn(async move { peers.call(to, HOLD, GroupId::Meta, "x".into(), deadline).await });
    }
    callee.has_held(2).await;
    let error = caller.call(callee.id, NOTE, "one more").await.unwrap_err();
    assert_eq!(error, CallError::NotSent(NotSent::Busy));
    assert!(callee.deeds.notes.lock().unwrap().is_empty());
    assert_eq!(callee.peers.counters().requests_busy.read(), 1);
    callee.deeds.release.add_permits(2);
    while let Some(done) = held.join_next().await {
        done.unwrap().unwrap();
    }
    caller.call(callee.id, NOTE, "one more").await.unwrap();
}

#[tokio::test]
async fn a_handler_that_declines_has_done_nothing_and_one_that_panics_may_have() {
    let (caller, callee) = two().await;
    let declined = caller.call(callee.id, DECLINE, "x").await;
    assert_eq!(declined, Err(CallError::NotSent(NotSent::Declined)));
    for body in ["", "when polled"] {
        let failed = caller.call(callee.id, PANIC, body).await;
        assert_eq!(failed, Err(CallError::Lost(Lost::Failed)));
    }
    assert_eq!(callee.peers.counters().handler_panics.read(), 2);
    assert_eq!(caller.call(callee.id, ECHO, "on").await.unwrap(), "on");
    assert_eq!(caller.peers.counters().dials.read(), 1, "the connection stands");
}

#[tokio::test]
async fn a_body_that_the_peer_would_refuse_is_not_sent() {
    let small = Options { body_bytes_max: 1 << 20, ..patient() };
    let (caller, callee) = two_with(patient(), small).await;
    let call = async |bytes| caller.call(callee.id, ECHO, vec![0; bytes]).await;
    assert_eq!(call((1 << 20) + 1).await, Err(CallError::NotSent(NotSent::TooLong)));
    assert_eq!(call(1 << 20).await.unwrap().len(), 1 << 20);
    // What the callee would answer is above what it may send.
    let failed = caller.call(callee.id, LONG, "x").await;
    assert_eq!(failed, Err(CallError::Lost(Lost::Failed)));
    assert_eq!(callee.refused_in_all(), 0);
}

#[tokio::test]
async fn a_body_that_was_queued_before_the_limit_was_known_is_not_sent() {
    let (caller, played) = (Node::member(), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let (error, _session) =
        tokio::join!(caller.call(played.id, ECHO, vec![0; (1 << 20) + 1]), played.accept(),);
    assert_eq!(error, Err(CallError::NotSent(NotSent::TooLong)));
}

#[tokio::test]
async fn a_call_to_nobody_is_refused() {
    let caller = Node::member();
    let unknown = caller.call(NodeId(draw()), ECHO, "x").await;
    assert_eq!(unknown, Err(CallError::NotSent(NotSent::UnknownPeer)));
    caller.peers.connect(caller.id, address(caller.at));
    let itself = caller.call(caller.id, ECHO, "x").await;
    assert_eq!(itself, Err(CallError::NotSent(NotSent::UnknownPeer)));
}

#[tokio::test]
async fn a_request_says_how_long_its_caller_waits() {
    let (caller, played) = (Node::member(), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let (mut session, _) = played.accept().await;
    let deadline = Instant::now() + Duration::from_millis(3_600_000);
    let call = caller.peers.call(played.id, ECHO, GroupId::Meta, "x".into(), deadline);
    let asked = async {
        match session.frame().await.header {
            Header::Request { budget_millis, channel: Channel(1), .. } => budget_millis,
            other => panic!("{other:?}"),
        }
    };
    tokio::select! {
        budget = asked => assert!((3_000_000..=3_600_000).contains(&budget), "{budget}"),
        _ = call => panic!("nobody answers"),
    }
}
