//! Operations are packed, keep their order, and have each its own reply.

use std::time::Duration;

use bytes::Bytes;
use winter_server::consensus::{Options, ProposeError};

use crate::kit::Cluster;

#[tokio::test(start_paused = true)]
async fn what_is_submitted_together_travels_together_and_in_order() {
    let cluster = Cluster::of(3).await;
    let group = cluster.group(cluster.leader().await);
    let pending: Vec<_> =
        (0..2_000).map(|n| group.submit(format!("{n}").into()).unwrap()).collect();
    for (n, pending) in pending.into_iter().enumerate() {
        assert_eq!(pending.await, Ok((n, Bytes::from(format!("{n}")))));
    }
    let ledger = cluster.settle().await;
    // 2,000 are seven entries of 256 and the rest; the first may go alone.
    assert!((8..=9).contains(&ledger.entries), "{}", ledger.entries);
}

#[tokio::test(start_paused = true)]
async fn a_lone_operation_does_not_wait_for_company() {
    let cluster = Cluster::of(3).await;
    cluster.network.weather(|weather| {
        weather.delay = (Duration::from_millis(10), Duration::from_millis(10));
    });
    let group = cluster.group(cluster.leader().await);
    let begun = tokio::time::Instant::now();
    group.propose("alone".into()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(25), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_sessions_each_have_their_own_replies() {
    let cluster = Cluster::of(3).await;
    let group = cluster.group(cluster.leader().await);
    let session = |name: usize| {
        let group = group.clone();
        async move {
            let mut last = None;
            for n in 0..50 {
                let operation = Bytes::from(format!("{name}.{n}"));
                let (line, echo) = group.propose(operation.clone()).await.unwrap();
                assert_eq!(echo, operation);
                assert!(last < Some(line), "a session's own order");
                last = Some(line);
            }
        }
    };
    let sessions: Vec<_> = (0..40).map(|name| tokio::spawn(session(name))).collect();
    for session in sessions {
        session.await.unwrap();
    }
    let ledger = cluster.settle().await;
    assert_eq!(ledger.lines.len(), 2_000);
    assert!(ledger.entries < 500, "they share entries: {}", ledger.entries);
}

#[tokio::test(start_paused = true)]
async fn stamps_never_go_back() {
    let cluster = Cluster::of(3).await;
    for n in 0..20 {
        cluster.write(format!("{n}")).await;
    }
    let stamps: Vec<u64> = cluster.settle().await.lines.iter().map(|line| line.0).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
    assert!(stamps.first() < stamps.last());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_busy_at_once_and_takes_more_when_it_has_room() {
    let options = Options { queue_operations_max: 10, ..Options::default() };
    let cluster = Cluster::with(3, options).await;
    let group = cluster.group(cluster.leader().await);
    let (mut pending, mut refused) = (Vec::new(), 0);
    for n in 0..1_000 {
        match group.submit(format!("{n}").into()) {
            Ok(one) => pending.push(one),
            Err(ProposeError::Busy) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, 1_000 - pending.len());
    assert!((10..20).contains(&pending.len()), "{}", pending.len());
    for one in pending {
        one.await.unwrap();
    }
    group.propose("room".into()).await.unwrap();
}
