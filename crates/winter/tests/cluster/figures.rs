//! What operators see in numbers: what happens between nodes moves their metrics.

use winter_testkit::{TestCluster, eventually};

use crate::watch::{ask_all, create, fill, number_of, standing, value_of};
use crate::winter;

#[track_caller]
fn sum(cluster: &TestCluster, numbers: &[usize], name: &str) -> u64 {
    numbers.iter().map(|&number| value_of(cluster, number, name)).sum()
}

#[track_caller]
fn until_peers_are(cluster: &TestCluster, peers: u64) {
    eventually("all count their peers", || {
        let of = |number| value_of(cluster, number, "winter_cluster_peers_connected");
        cluster.running().into_iter().all(|number| of(number) == peers).then_some(())
    });
}

#[test]
fn commands_that_are_forwarded_replicas_that_lag_and_leaders_that_are_lost_are_counted() {
    // Logs are short where memory is: who joins is sent snapshots, and not all that ever was.
    let small = winter().set("WINTER_MAX_MEMORY", "96mb");
    let mut cluster = small.set("WINTER_COMMAND_TIMEOUT", "2s").start();
    until_peers_are(&cluster, 2);
    create(&mut cluster.connect(0), "t");
    fill(&mut cluster.connect(0), "t", 4_000, &"x".repeat(3_000));
    let leader = number_of(&cluster, &standing(&cluster, 0).leaders[0]);
    let [other, behind] = [(leader + 1) % 3, (leader + 2) % 3];

    let forwarded = value_of(&cluster, other, "winter_cluster_forwarded_total");
    let read = ask_all(&mut cluster.connect(other), |n| format!("GET t k{n}"));
    assert!(read.iter().all(|reply| reply.starts_with('x')), "{read:?}");
    assert!(value_of(&cluster, other, "winter_cluster_forwarded_total") > forwarded);

    cluster.pause(behind);
    let mut wire = cluster.connect(leader);
    eventually("its lag is seen", || {
        ask_all(&mut wire, |n| format!("PUT t k{n} w"));
        (value_of(&cluster, leader, "winter_cluster_lag_entries") > 0).then_some(())
    });
    cluster.resume(behind);
    eventually("it has caught up", || {
        (sum(&cluster, &[0, 1, 2], "winter_cluster_lag_entries") == 0).then_some(())
    });

    // Whoever leads now, and leads something: a replica sees its leader change.
    let seen = standing(&cluster, other);
    let lost = number_of(&cluster, &seen.leaders[0]);
    let left = [(lost + 1) % 3, (lost + 2) % 3];
    let [changes, elections] =
        ["winter_cluster_leader_changes_total", "winter_cluster_elections_total"];
    let before = [changes, elections].map(|name| sum(&cluster, &left, name));
    cluster.kill(lost);
    until_peers_are(&cluster, 1);
    for (name, before) in [changes, elections].into_iter().zip(before) {
        eventually(name, || (sum(&cluster, &left, name) > before).then_some(()));
    }

    let [sent, received] = ["sent", "received"]
        .map(|what| format!("winter_cluster_snapshots_total{{result=\"{what}\"}}"));
    let [came, went] = ["in", "out"]
        .map(|way| format!("winter_cluster_snapshot_bytes_total{{direction=\"{way}\"}}"));
    let before = [&sent, &went].map(|name| sum(&cluster, &left, name));
    cluster.start(lost);
    cluster.wait_until_ready();
    until_peers_are(&cluster, 2);
    let snapshots = value_of(&cluster, lost, &received);
    assert!(snapshots > 0);
    assert!(value_of(&cluster, lost, &came) > 0);
    eventually("what is sent is counted, too", || {
        let now = [&sent, &went].map(|name| sum(&cluster, &left, name));
        (now[0] - before[0] >= snapshots && now[1] > before[1]).then_some(())
    });
}

#[test]
fn what_was_asked_of_tables_stays_counted_when_they_are_dropped() {
    let cluster = winter().start();
    let mut wire = cluster.connect(0);
    create(&mut wire, "t");
    for n in 0..30 {
        wire.exchange(format!("PUTNEW t k{n} v\nGET t k{n}\n"), "ok\nv\n");
    }
    let asked = || sum(&cluster, &[0, 1, 2], "winter_tables_operations_total");
    let before = eventually("all is counted", || Some(asked()).filter(|&sum| sum >= 60));
    wire.exchange("DROP t\n", "dropped\n");
    assert_eq!(asked(), before);
}
