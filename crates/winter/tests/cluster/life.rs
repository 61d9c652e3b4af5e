//! Nodes that come and go while all is well: who is ready, and what becomes of
//! what was acknowledged.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use winter_sim::coverage::Coverage;
use winter_sim::workload::Options;
use winter_testkit::{TestCluster, eventually, metric};

use crate::load::{Load, Manner};
use crate::watch::{ask_all, create, fill, number_of, standing, value_of};
use crate::winter;

/// Entries that a joiner is sent: too many to be there as soon as it is a member.
const ENTRIES: usize = 4_000;

/// Whether each partition has three replicas, and all on nodes that run.
#[track_caller]
fn is_whole(cluster: &TestCluster, number: usize) -> bool {
    let running: Vec<String> =
        cluster.running().into_iter().map(|n| standing(cluster, n).me).collect();
    let is_there = |node: &String| running.contains(node);
    let replicas = standing(cluster, number).replicas;
    replicas.iter().all(|held| held.len() == 3 && held.iter().all(is_there))
}

#[test]
fn a_joiner_is_not_ready_before_it_has_its_replicas_and_the_others_are_meanwhile() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    fill(&mut cluster.connect(0), "t", ENTRIES, &"x".repeat(1_000));
    let leave: [fn(&mut TestCluster); 2] =
        [|cluster| assert_eq!(cluster.terminate(2).code(), Some(0)), |cluster| cluster.kill(2)];
    for leave in leave {
        leave(&mut cluster);
        cluster.start(2);
        let mut reasons = Vec::new();
        eventually("the joiner is ready", || {
            // They may miss a leader, when one was killed.
            let others = [0, 1].map(|number| cluster.readiness(number).err());
            let waits = |why: &String| why.contains("short of replicas");
            assert!(!others.iter().flatten().any(waits), "{others:?}");
            cluster.readiness(2).map_err(|why| reasons.push(why)).ok()
        });
        let page = cluster.http(2, "/metrics").unwrap();
        assert_eq!(metric(&page, "winter_table_entries{table=\"t\"}"), Some(ENTRIES as u64));
        assert!(is_whole(&cluster, 2), "{:?}", standing(&cluster, 2));
        assert!(reasons.iter().all(|why| why.starts_with("HTTP/1.1 503")), "{reasons:?}");
    }
}

/// Whoever leaves is told no more of what the cluster decides once it is let go.
#[test]
fn a_node_that_has_handed_over_what_it_held_does_not_wait_for_more() {
    const SOON: Duration = Duration::from_secs(5);
    let mut cluster = winter().start();
    for number in [0, 1, 2, 0, 1, 2] {
        let began = Instant::now();
        assert_eq!(cluster.terminate(number).code(), Some(0));
        let took = began.elapsed();
        assert!(took < SOON, "it took {took:?}: {:#?}", cluster.log(number));
        cluster.start(number);
        cluster.wait_until_ready();
    }
}

#[test]
fn who_leaves_in_order_is_told_as_no_loss_and_dialled_by_nobody_who_comes_later() {
    let mut cluster = winter().start();
    assert_eq!(cluster.terminate(2).code(), Some(0));
    let has = |log: &[String], words: &str| log.iter().any(|line| line.contains(words));
    for number in [0, 1] {
        eventually("it is told", || has(&cluster.log(number), "a member has left").then_some(()));
        assert!(!has(&cluster.log(number), "a member is gone"), "{:#?}", cluster.log(number));
    }
    cluster.start(3);
    cluster.wait_until_node_is_ready(3);
    let log = cluster.log(3);
    assert!(!has(&log, "a peer cannot be connected") && !has(&log, "a member is gone"), "{log:#?}");
}

#[test]
fn a_joiner_is_not_ready_while_a_member_is_missed_that_nobody_holds_for_dead_yet() {
    let mut cluster = winter().start();
    cluster.kill(2);
    cluster.start(3);
    eventually("it is ready, or waits for what was lost", || match cluster.readiness(3) {
        // Nobody holds a member for dead before half a minute is over.
        Ok(()) => {
            assert!(is_whole(&cluster, 3), "{:?}", standing(&cluster, 3));
            Some(())
        }
        Err(why) => why.contains("short of replicas").then_some(()),
    });
}

/// Fails unless a connection is refused, or accepted by nobody but the system.
#[track_caller]
fn takes_nobody_in(cluster: &TestCluster, number: usize) {
    let Ok(mut late) = TcpStream::connect(cluster.address(number)) else { return };
    // It may be reset.
    let _ = late.write_all(b"PING\n");
    late.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(!matches!(late.read(&mut [0; 64]), Ok(1..)), "it serves somebody new");
}

#[test]
fn a_member_that_is_told_to_stop_is_not_ready_takes_nobody_in_and_ends_in_time() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(1), "t");
    let mut wire = cluster.connect(1);
    // A client that asks for much and reads nothing: a drain waits for it.
    let mut greedy = cluster.connect(0);
    greedy.exchange(format!("PUTNEW t big {}\n", "x".repeat(1 << 20)), "ok\n");
    greedy.send("GET t big\n".repeat(24));
    cluster.server(0).signal(Signal::TERM);
    eventually("it is not ready", || {
        let why = cluster.readiness(0).err()?;
        (why.starts_with("HTTP/1.1 503") && why.contains("draining")).then_some(())
    });
    eventually("it takes nobody in", || {
        let closed = "no connection is accepted any more";
        cluster.log(0).iter().any(|line| line.contains(closed)).then_some(())
    });
    assert!(cluster.http(0, "/livez").unwrap().starts_with("HTTP/1.1 200"));
    takes_nobody_in(&cluster, 0);
    // The kit waits for longer than the drain may take, and less than a hang does.
    let (mut refused, mut writes) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let ends = scope.spawn(|| cluster.ended(0));
        while !ends.is_finished() {
            let replies = ask_all(&mut wire, |n| format!("PUT t k{n} v"));
            writes += replies.len();
            refused.extend(replies.into_iter().filter(|reply| !reply.starts_with("ok ")));
        }
        assert_eq!(ends.join().unwrap().code(), Some(0));
    });
    assert!(refused.is_empty(), "of {writes} writes: {refused:?}");
    assert_eq!(standing(&cluster, 1).nodes.len(), 2, "it has left");
    drop(greedy);
}

#[test]
fn of_three_members_two_that_are_told_to_stop_at_once_leave_everything_to_the_third() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(0), "kept");
    let written = ask_all(&mut cluster.connect(1), |n| format!("PUTNEW kept k{n} v{n}"));
    assert!(written.iter().all(|reply| reply == "ok"), "{written:?}");
    let id = standing(&cluster, 0).cluster;
    // Whoever leads the tables' group is one of those who go.
    let leader = number_of(&cluster, &standing(&cluster, 0).meta_leader);
    let [other, stays] = [(leader + 1) % 3, (leader + 2) % 3];
    let nodes = Arc::new(Mutex::new(vec![cluster.address(stays)]));
    let load = Load::start(nodes, Manner::OneByOne, Options { seed: 17, ..Options::default() });
    load.wait_for_writes(100);
    for number in [leader, other] {
        cluster.server(number).signal(Signal::TERM);
    }
    let ends: [ExitStatus; 2] = [leader, other].map(|number| cluster.ended(number));
    assert!(ends.iter().all(|status| status.code() == Some(0)), "{ends:?}");
    load.wait_for_writes(100);
    let mut coverage = Coverage::default();
    coverage.require("ADD added", 1);
    load.judge(&mut coverage);
    let now = standing(&cluster, stays);
    assert_eq!((&now.cluster, now.nodes.len()), (&id, 1));
    let read = ask_all(&mut cluster.connect(stays), |n| format!("GET kept k{n}"));
    let is_kept = |(n, reply): (usize, &String)| *reply == format!("v{n}");
    assert!(read.iter().enumerate().all(is_kept), "{read:?}");
}

/// Nobody waits for who reads the log: not clients, nor other nodes, nor a drain.
#[test]
fn a_member_whose_log_nobody_reads_serves_on_counts_what_is_lost_and_leaves_when_told() {
    // A drain that waited for the log would last until the test is given up.
    let unread = winter().set("WINTER_LOG", "debug").set("WINTER_DRAIN_TIMEOUT", "60m");
    let mut cluster = unread.start();
    let full = number_of(&cluster, &standing(&cluster, 0).leaders[0]);
    let others = [(full + 1) % 3, (full + 2) % 3];
    cluster.server(full).leave_log_unread();
    let lost = || value_of(&cluster, full, "winter_log_lines_lost_total");
    eventually("lines are lost", || {
        // Bytes that are no commands are told of.
        for _ in 0..100 {
            let mut stranger = cluster.connect(full);
            stranger.send("\x16\x03\x01");
            let _ = stranger.read_to_end();
        }
        (lost() > 0).then_some(())
    });
    create(&mut cluster.connect(full), "t");
    for number in [full, others[0], others[1]] {
        let mut wire = cluster.connect(number);
        let written = ask_all(&mut wire, |n| format!("PUTNEW t {number}.{n} v"));
        assert!(written.iter().all(|reply| reply == "ok"), "through node {number}: {written:?}");
    }
    let read = ask_all(&mut cluster.connect(others[0]), |n| format!("GET t {full}.{n}"));
    assert!(read.iter().all(|reply| reply == "v"), "{read:?}");
    assert_eq!(cluster.readiness(full), Ok(()));
    assert_eq!(cluster.terminate(full).code(), Some(0));
    assert_eq!(standing(&cluster, others[0]).nodes.len(), 2, "it has left");
    let read = ask_all(&mut cluster.connect(others[1]), |n| format!("GET t {full}.{n}"));
    assert!(read.iter().all(|reply| reply == "v"), "{read:?}");
}
