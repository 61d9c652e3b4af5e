//! What is long goes another way than what is quick.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;
use winter_core::cluster::GroupId;
use winter_server::peers::frame::{Header, Outcome};
use winter_server::peers::handshake::Purpose;
use winter_server::peers::{CallError, Channel, Lost, NotSent, Options};

use crate::kit::{ECHO, HELD, HOLD, NOTE, Node, PATIENCE, address, patient};
use crate::raw::{Played, Session};

/// Answers every request on a connection with its body.
async fn echo(mut session: Session) {
    while let Some(frame) = session.next().await {
        if let Header::Request { request, .. } = frame.header {
            session.send(Header::Answer { request, outcome: Outcome::Done }, frame.body).await;
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_nobody_reads_does_not_hold_up_a_call() {
    let (caller, played) = (Node::member(), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let (calls, hello) = played.accept().await;
    assert_eq!(hello.purpose, Purpose::Calls);
    tokio::spawn(echo(calls));
    let mut snapshots = JoinSet::new();
    for _ in 0..32 {
        let (peers, to) = (caller.peers.clone(), played.id);
        let deadline = Instant::now() + PATIENCE;
        snapshots.spawn(async move {
            let body = Bytes::from(vec![1; 1 << 20]);
            peers.call(to, Channel::SNAPSHOTS, GroupId::Meta, body, deadline).await
        });
    }
    let (bulk, hello) = played.accept().await;
    assert_eq!(hello.purpose, Purpose::Bulk);
    // Nobody reads: what the system takes is taken, and the rest waits.
    for n in 0..1_000 {
        let body = n.to_string();
        assert_eq!(caller.call(played.id, ECHO, body.clone()).await.unwrap(), body);
    }
    assert_eq!(caller.peers.queues().calls + caller.peers.queues().answers, 32);
    assert!(caller.peers.counters().bytes_out.read() < 32 << 20, "not all could be written");
    tokio::spawn(echo(bulk));
    while let Some(done) = snapshots.join_next().await {
        assert_eq!(done.unwrap().unwrap().len(), 1 << 20);
    }
}

#[tokio::test]
async fn long_bodies_arrive_while_calls_go_on() {
    let (caller, callee) = (Node::member(), Node::member());
    caller.meet(&callee).await;
    let snapshots = async {
        for _ in 0..4 {
            let body = vec![3; 32 << 20];
            let answer = caller.call(callee.id, Channel::SNAPSHOTS, body).await.unwrap();
            assert_eq!(answer.len(), 32 << 20);
        }
    };
    let calls = async {
        for n in 0..2_000 {
            let body = n.to_string();
            assert_eq!(caller.call(callee.id, ECHO, body.clone()).await.unwrap(), body);
        }
    };
    tokio::join!(snapshots, calls);
    assert_eq!(caller.peers.counters().dials.read(), 2);
}

#[tokio::test]
async fn the_connection_for_bulk_is_made_when_needed_and_given_up_when_idle() {
    let brief = Options {
        bulk_idle: Duration::from_millis(50),
        keepalive: Duration::from_millis(10),
        ..patient()
    };
    let (caller, played) = (Node::with(brief), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let (calls, _) = played.accept().await;
    tokio::spawn(echo(calls));
    for _ in 0..2 {
        // While it is between two connections, calls are refused.
        let asks = async {
            while caller.call(played.id, Channel::SNAPSHOTS, "x").await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let idles = async {
            let (bulk, hello) = played.accept().await;
            assert_eq!(hello.purpose, Purpose::Bulk);
            echo(bulk).await;
        };
        tokio::join!(asks, idles);
    }
    assert!(caller.is_connected(played.id), "the other one stays");
    assert_eq!(caller.refused_in_all(), 0);
}

#[tokio::test]
async fn losing_one_connection_leaves_the_other() {
    let (caller, played) = (Node::member(), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let (calls, _) = played.accept().await;
    tokio::spawn(echo(calls));
    let ends = async {
        let (mut bulk, _) = played.accept().await;
        bulk.frame().await;
    };
    let (lost, ()) = tokio::join!(caller.call(played.id, Channel::SNAPSHOTS, "x"), ends);
    assert_eq!(lost, Err(CallError::Lost(Lost::Closed)));
    assert_eq!(caller.call(played.id, ECHO, "x").await.unwrap(), "x");
}

#[tokio::test]
async fn who_does_not_take_its_answers_is_not_read_from() {
    let small = Options { queue_bytes_max: 4 << 20, in_flight_max: 64, ..patient() };
    let (node, other) = (Node::with(small), Node::member());
    other.meet(&node).await;
    let mut session = Session::open(node.at).await;
    let requests = &node.peers.counters().requests;
    // Asks for far more than may wait, and reads nothing.
    let mut asked = 0_u64;
    let body = Bytes::from(vec![5; 1 << 20]);
    loop {
        let request = Header::Request {
            request: asked,
            channel: ECHO,
            group: GroupId::Meta,
            budget_millis: 600_000,
        };
        let bytes = session.encode(request, body.clone());
        let sent = tokio::time::timeout(Duration::from_millis(500), session.raw.send(&bytes)).await;
        if sent.is_err() {
            break;
        }
        asked += 1;
        assert!(asked < 400, "all of it is taken");
    }
    assert!(requests.read() <= asked);
    assert_eq!(other.call(node.id, ECHO, "x").await.unwrap(), "x", "others are served");
    for n in 0..requests.read().min(3) {
        let Header::Answer { request, .. } = session.frame().await.header else { panic!() };
        assert_eq!(request, n);
    }
}

/// Commands wait for consensus: if it found no room beside them, both would wait.
#[tokio::test]
async fn what_commands_hold_keeps_no_consensus_out() {
    let small = Options { queue_bytes_max: 1_000, in_flight_max: 1, ..patient() };
    let (caller, callee) = (Node::member(), Node::with(small));
    caller.meet(&callee).await;
    let (held, ()) = tokio::join!(caller.call(callee.id, HOLD, vec![1; 5_000]), async {
        callee.has_held(1).await;
        let busy = caller.call(callee.id, ECHO, "x").await;
        assert_eq!(busy, Err(CallError::NotSent(NotSent::Busy)));
        for length in [5_000, 3] {
            let echoed = caller.call(callee.id, Channel::CONSENSUS, vec![2; length]).await;
            assert_eq!(echoed.unwrap().len(), length);
        }
        callee.deeds.release.add_permits(1);
    });
    assert_eq!(held.unwrap().len(), 5_000);
}

#[tokio::test]
async fn what_is_long_of_consensus_keeps_nothing_short_out_and_is_kept_out_by_none() {
    let small = Options { queue_bytes_max: 1_000, in_flight_max: 3, ..patient() };
    let (caller, callee) = (Node::member(), Node::with(small));
    caller.meet(&callee).await;
    let call = |body: Vec<u8>| caller.call(callee.id, Channel::CONSENSUS, body);
    let long = [HELD, &[1; 20 << 10]].concat();
    let (short, held, ()) = tokio::join!(call(HELD.to_vec()), call(long.clone()), async {
        callee.has_held(2).await;
        assert_eq!(call(vec![2; 10_000]).await.unwrap().len(), 10_000);
        let second = call(long.clone()).await;
        assert_eq!(second, Err(CallError::NotSent(NotSent::Busy)));
        callee.deeds.release.add_permits(2);
    });
    assert_eq!((short.unwrap().len(), held.unwrap().len()), (HELD.len(), long.len()));
}

#[tokio::test]
async fn consensus_goes_before_commands_that_wait_and_is_not_refused_for_them() {
    let small = Options { queue_bytes_max: 1_000, ..patient() };
    let (caller, played) = (Node::with(small), Played::start().await);
    caller.peers.connect(played.id, address(played.at()));
    let send = |channel: Channel, bytes: usize| {
        caller.peers.send(played.id, channel, GroupId::Meta, vec![1; bytes].into())
    };
    assert_eq!(send(NOTE, 300 << 10), Ok(()), "a single one is let through");
    assert_eq!(send(NOTE, 1), Err(NotSent::QueueFull));
    assert_eq!(send(Channel::CONSENSUS, 400 << 10), Ok(()), "so is one of consensus");
    assert_eq!(send(Channel::CONSENSUS, 20 << 10), Err(NotSent::QueueFull));
    assert_eq!(send(Channel::CONSENSUS, 10), Ok(()), "a short one always");
    let (mut session, _) = played.accept().await;
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(session.frame().await.body.len());
    }
    // The longest fills a batch, in which there is room for one of each kind.
    assert_eq!(came, [400 << 10, 300 << 10, 10]);
}

#[tokio::test]
async fn a_request_that_holds_many_bytes_makes_the_next_ones_wait_elsewhere() {
    let small = Options { queue_bytes_max: 1_000, ..patient() };
    let (caller, callee) = (Node::member(), Node::with(small));
    caller.meet(&callee).await;
    let (held, ()) = tokio::join!(caller.call(callee.id, HOLD, vec![1; 5_000]), async {
        callee.has_held(1).await;
        let busy = caller.call(callee.id, ECHO, "x").await;
        assert_eq!(busy, Err(CallError::NotSent(NotSent::Busy)));
        callee.deeds.release.add_permits(1);
    });
    assert_eq!(held.unwrap().len(), 5_000);
    assert_eq!(caller.call(callee.id, ECHO, "x").await.unwrap(), "x");
}
