//! Who needs a snapshot is sent one, whole and as it was cut.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use winter_core::cluster::NodeId;
use winter_core::cluster::meta::FIRST_INCARNATION;
use winter_server::consensus::{CHUNK_BYTES_MAX, Options};

use crate::kit::{Cluster, DEADLINE, address, set, until};

/// Three replicas whose log is long gone, and a state of several chunks.
async fn full() -> Cluster {
    let options = Options { log_bytes_max: 1 << 20, ..Options::default() };
    let cluster = Cluster::with(3, options).await;
    for n in 0..50_u8 {
        cluster.write(Bytes::from(vec![n; 100 << 10])).await;
    }
    cluster.settle().await;
    let leader = cluster.leader().await;
    until("the log is short", || cluster.status(leader).purged > 30).await;
    cluster
}

/// Adds a learner and waits for nothing.
async fn add(cluster: &mut Cluster) -> NodeId {
    let node = cluster.add_node().await;
    let leader = cluster.group(cluster.leader().await);
    leader.add_learner(node, &address(node), FIRST_INCARNATION).await.unwrap();
    node
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_is_built_from_a_snapshot_and_then_votes() {
    let mut cluster = full().await;
    assert_eq!(cluster.freezes(), 0);
    let node = add(&mut cluster).await;
    let leader = cluster.group(cluster.leader().await);
    leader.caught_up(node, DEADLINE).await.unwrap();
    leader.change_voters(&set(&cluster.nodes())).await.unwrap();
    cluster.write("after").await;
    assert_eq!(cluster.settle().await.lines.len(), 51);
    assert_eq!(cluster.freezes(), 1, "one was cut, for the one who needed it");
    let (longest, count) =
        cluster.network.weather(|weather| (weather.bulk_bytes_max, weather.bulk_messages));
    assert!(longest <= CHUNK_BYTES_MAX + 64, "{longest}");
    assert!(count >= 6, "5 MB in {count} messages");
}

#[tokio::test(start_paused = true)]
async fn writes_go_on_while_a_snapshot_is_sent_and_what_follows_it_is_kept() {
    let mut cluster = full().await;
    // Chunks take long: more is written meanwhile than a log keeps otherwise.
    cluster.network.weather(|weather| {
        weather.delay = (Duration::from_millis(40), Duration::from_millis(60));
    });
    let node = add(&mut cluster).await;
    until("some of it is there", || cluster.network.weather(|weather| weather.bulk_messages) > 2)
        .await;
    let leader = cluster.group(cluster.leader().await);
    let operation = Bytes::from(vec![b'x'; 90 << 10]);
    let pending: Vec<_> = (0..4).map(|_| leader.submit(operation.clone()).unwrap()).collect();
    for pending in pending {
        pending.await.unwrap();
    }
    assert!(cluster.lines(node).is_empty(), "it is still being sent");
    leader.caught_up(node, DEADLINE).await.unwrap();
    assert_eq!(cluster.settle().await.lines.len(), 54);
    assert_eq!(cluster.freezes(), 1, "the first one was enough");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_chunk_is_refused_and_sent_again() {
    let mut cluster = full().await;
    cluster.network.weather(|weather| weather.damages = 4);
    let node = add(&mut cluster).await;
    cluster.group(cluster.leader().await).caught_up(node, DEADLINE).await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.network.weather(|weather| weather.damages), 0, "all were sent");
    assert_eq!(cluster.freezes(), 1, "the rest of it was good");
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_answer_is_lost_is_sent_again_and_taken_once() {
    let mut cluster = full().await;
    cluster.network.weather(|weather| weather.loses_bulk_answers = true);
    let node = add(&mut cluster).await;
    until("it is there", || cluster.lines(node).len() == 50).await;
    cluster.settle().await;
    until("a beginning, five chunks and an end are sent, each twice", || {
        cluster.network.weather(|weather| weather.bulk_messages) == 14
    })
    .await;
    cluster.group(cluster.leader().await).caught_up(node, DEADLINE).await.unwrap();
    assert_eq!(cluster.freezes(), 1, "it was not begun again");
}

#[tokio::test(start_paused = true)]
async fn a_replica_out_of_reach_costs_no_snapshot() {
    let mut cluster = full().await;
    let node = cluster.add_node().await;
    cluster.part(&[node]);
    let leader = cluster.group(cluster.leader().await);
    leader.add_learner(node, &address(node), FIRST_INCARNATION).await.unwrap();
    sleep(cluster.options.election_max * 75).await;
    assert_eq!(cluster.freezes(), 0);
    cluster.heal();
    leader.caught_up(node, DEADLINE).await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.freezes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_cut_off_by_a_leaders_loss_is_begun_anew() {
    let mut cluster = full().await;
    cluster.network.weather(|weather| {
        weather.delay = (Duration::from_millis(40), Duration::from_millis(60));
    });
    let node = add(&mut cluster).await;
    until("some of it is there", || cluster.network.weather(|weather| weather.bulk_messages) > 3)
        .await;
    cluster.kill(cluster.leader().await).await;
    cluster.write("by the next").await;
    assert_eq!(cluster.settle().await.lines.len(), 51);
    assert!(cluster.lines(node).len() == 51);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_was_away_too_long_is_sent_a_snapshot() {
    let cluster = full().await;
    let leader = cluster.leader().await;
    let away = cluster.others(&[leader])[0];
    cluster.part(&[away]);
    for n in 0..50_u8 {
        cluster.write(Bytes::from(vec![n; 100 << 10])).await;
    }
    assert_eq!(cluster.freezes(), 0);
    cluster.heal();
    assert_eq!(cluster.settle().await.lines.len(), 100);
    assert_eq!(cluster.freezes(), 1);
}

/// A sender goes on trying a step of a snapshot for longer than this.
const SHORT_CUT: Duration = Duration::from_secs(7);
/// A receiver keeps half a snapshot for less than this.
const LONG_CUT: Duration = Duration::from_secs(90);

/// Slow chunks to a learner, of which some are there.
async fn midway(cluster: &mut Cluster) -> NodeId {
    cluster.network.weather(|weather| {
        weather.delay = (Duration::from_millis(40), Duration::from_millis(60));
    });
    let node = add(cluster).await;
    until("some of it is there", || cluster.network.weather(|weather| weather.bulk_messages) > 3)
        .await;
    node
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_goes_on_after_a_short_cut() {
    let mut cluster = full().await;
    let node = midway(&mut cluster).await;
    cluster.part(&[node]);
    sleep(SHORT_CUT).await;
    assert!(cluster.lines(node).is_empty(), "it had not come whole");
    cluster.heal();
    cluster.group(cluster.leader().await).caught_up(node, DEADLINE).await.unwrap();
    assert_eq!(cluster.settle().await.lines.len(), 50);
    assert_eq!(cluster.freezes(), 1, "the rest of it was sent");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_a_long_cut_ended_is_begun_anew() {
    let mut cluster = full().await;
    let node = midway(&mut cluster).await;
    cluster.part(&[node]);
    // What is written meanwhile is in no part of what had come.
    cluster.write("meanwhile").await;
    sleep(LONG_CUT).await;
    assert!(cluster.lines(node).is_empty(), "half a state is none");
    cluster.heal();
    cluster.group(cluster.leader().await).caught_up(node, DEADLINE).await.unwrap();
    assert_eq!(cluster.settle().await.lines.len(), 51);
    assert_eq!(cluster.freezes(), 2, "another was cut");
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_read_is_refused_and_the_next_one_taken() {
    let mut cluster = full().await;
    cluster.group(cluster.leader().await).machine(|ledger| ledger.spoils.set(2));
    let node = add(&mut cluster).await;
    until("it was refused", || cluster.freezes() == 2).await;
    assert!(cluster.lines(node).is_empty(), "nothing of it was taken");
    cluster.group(cluster.leader().await).caught_up(node, DEADLINE).await.unwrap();
    assert_eq!(cluster.settle().await.lines.len(), 50);
    assert_eq!(cluster.freezes(), 3);
    assert!(cluster.counters.snapshots_failed.read() >= 2);
}
