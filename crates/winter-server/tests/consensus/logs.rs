//! Logs stay within their bytes.

use std::time::Duration;

use bytes::Bytes;
use winter_server::consensus::{Options, ProposeError, Status};

use crate::kit::{Cluster, DEADLINE, packed};

const LOG_BYTES_MAX: usize = 1 << 20;

fn options() -> Options {
    Options { log_bytes_max: LOG_BYTES_MAX, ..Options::default() }
}

/// Writes at least so many operations of 10 KiB, some at a time, and looks at
/// each replica's log in between.
async fn write(cluster: &Cluster, count: usize, mut look: impl FnMut(&Status)) -> usize {
    let leader = cluster.group(cluster.leader().await);
    let operation = Bytes::from(vec![b'x'; 10 << 10]);
    let mut done = 0;
    let begun = tokio::time::Instant::now();
    while done < count {
        assert!(begun.elapsed() < DEADLINE, "only {done} are done: {:#?}", leader.status());
        let pending: Vec<_> =
            (0..20).filter_map(|_| leader.submit(operation.clone()).ok()).collect();
        for pending in pending {
            match pending.await {
                Ok(_) => done += 1,
                Err(ProposeError::Busy) => {}
                Err(error) => panic!("{error}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        for node in cluster.nodes() {
            look(&cluster.status(node));
        }
    }
    done
}

/// What a log may hold at the most: what is in flight when it becomes full.
fn bytes_max(options: &Options) -> usize {
    let entry = packed(&Bytes::from(vec![0; options.entry_bytes_max])) + 1024;
    options.log_bytes_max + options.entries_in_flight_max * entry
}

#[tokio::test(start_paused = true)]
async fn logs_keep_their_bytes_under_writes_and_nothing_is_cut_for_it() {
    let cluster = Cluster::with(3, options()).await;
    let mut longest = 0;
    let done = write(&cluster, 2_000, |status| longest = longest.max(status.log_bytes)).await;
    let lines = cluster.settle().await.lines;
    assert_eq!(lines.len(), done, "twenty times what a log may hold");
    assert!(longest <= bytes_max(&cluster.options), "{longest}");
    assert!(longest > LOG_BYTES_MAX / 3, "it was in use: {longest}");
    for node in cluster.nodes() {
        let status = cluster.status(node);
        assert!(status.purged > 0, "{status:?}");
        assert!(status.log_bytes <= LOG_BYTES_MAX, "{status:?}");
    }
    assert_eq!(cluster.freezes(), 0, "nobody needed a snapshot");
}

#[tokio::test(start_paused = true)]
async fn a_lost_follower_does_not_keep_the_log_long() {
    let cluster = Cluster::with(3, options()).await;
    let leader = cluster.leader().await;
    cluster.part(&cluster.others(&[leader])[..1]);
    let mut longest = 0;
    let done = write(&cluster, 500, |status| longest = longest.max(status.log_bytes)).await;
    assert!(longest <= bytes_max(&cluster.options), "{longest}");
    cluster.heal();
    assert_eq!(cluster.settle().await.lines.len(), done);
}

#[tokio::test(start_paused = true)]
async fn two_lost_followers_of_five_do_not_stop_the_others() {
    let cluster = Cluster::with(5, options()).await;
    let leader = cluster.leader().await;
    cluster.part(&cluster.others(&[leader])[..2]);
    let mut longest = 0;
    let done = write(&cluster, 500, |status| longest = longest.max(status.log_bytes)).await;
    assert!(longest <= bytes_max(&cluster.options), "{longest}");
    cluster.heal();
    assert_eq!(cluster.settle().await.lines.len(), done);
}

/// Options with which two operations of 40 KiB fill the log, each in an entry of its own.
fn narrow() -> Options {
    Options { log_bytes_max: 64 << 10, entry_bytes_max: 32 << 10, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn while_the_log_is_full_what_is_new_waits_for_room() {
    let cluster = Cluster::with(3, narrow()).await;
    let group = cluster.group(cluster.leader().await);
    let operation = Bytes::from(vec![b'x'; 40 << 10]);
    let pending: Vec<_> = (0..20).map(|_| group.submit(operation.clone()).unwrap()).collect();
    let mut longest = 0;
    for pending in pending {
        pending.await.unwrap();
        longest = longest.max(group.status().log_bytes);
    }
    assert!(longest <= (64 << 10) + 2 * (41 << 10), "{longest}");
    assert_eq!(cluster.settle().await.lines.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_room_in_a_full_log_is_given_up_in_time() {
    let cluster = Cluster::with(3, narrow()).await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    cluster.part(&[leader]);
    let operation = Bytes::from(vec![b'x'; 40 << 10]);
    let _in_the_log = [(); 2].map(|()| group.submit(operation.clone()).unwrap());
    crate::kit::until("both are in the log", || group.status().log_bytes > 80 << 10).await;
    let full = group.status().log_bytes;
    let begun = tokio::time::Instant::now();
    let error = group.submit(operation).unwrap().await.unwrap_err();
    assert!(
        matches!(error, ProposeError::Unavailable | ProposeError::NotLeader { .. }),
        "nothing was done: {error}"
    );
    assert!(begun.elapsed() <= cluster.options.queue_wait + Duration::from_millis(10));
    assert_eq!(group.status().log_bytes, full, "it was not in the log");
}

#[tokio::test(start_paused = true)]
async fn an_entry_longer_than_a_message_goes_alone() {
    let cluster = Cluster::of(3).await;
    let long = Bytes::from(vec![b'x'; 3 << 20]);
    assert_eq!(cluster.write(long.clone()).await.1, long);
    // Others wait meanwhile, and travel in messages of the usual length.
    let leader = cluster.leader().await;
    let follower = cluster.others(&[leader])[0];
    cluster.part(&[follower]);
    for _ in 0..40 {
        cluster.write(Bytes::from(vec![b'y'; 100 << 10])).await;
    }
    cluster.network.weather(|weather| weather.prompt_bytes_max = 0);
    cluster.heal();
    assert_eq!(cluster.settle().await.lines.len(), 41);
    let longest = cluster.network.weather(|weather| weather.prompt_bytes_max);
    assert!(longest > 500 << 10, "they went together: {longest}");
    assert!(longest < (1 << 20) + (16 << 10), "but not all: {longest}");
}
