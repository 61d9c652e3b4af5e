//! Nodes that are killed, paused and stopped while clients ask: what was
//! acknowledged stays, and each history has an order that explains it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use winter_sim::coverage::Coverage;
use winter_sim::workload::Options;
use winter_testkit::{DEADLINE, TestCluster, Wire, eventually, metric};

use crate::load::{Load, Manner};
use crate::watch::{KEYS_FOR_ALL, ask_all, create, number_of, standing};
use crate::winter;

/// How long every partition may take to be written to again when a node is lost.
const OUTAGE_MAX: Duration = Duration::from_secs(10);

fn load(cluster: &TestCluster, manner: Manner, seed: u64) -> Load {
    let nodes = (0..cluster.size()).map(|number| cluster.address(number)).collect();
    Load::start(Arc::new(Mutex::new(nodes)), manner, Options { seed, ..Options::default() })
}

/// Writes to every partition through `wire` until all of them take it: how long it took.
#[track_caller]
fn until_all_is_written(wire: &mut Wire, table: &str) -> Duration {
    let began = Instant::now();
    eventually("every partition is written to", || {
        let replies = ask_all(wire, |n| format!("PUT {table} k{n} v"));
        replies.iter().all(|reply| reply.starts_with("ok ")).then_some(())
    });
    began.elapsed()
}

#[test]
fn no_node_that_is_killed_under_load_takes_a_write_or_the_order_with_it() {
    for (round, seed) in [7, 8].into_iter().enumerate() {
        let mut cluster = winter().start();
        create(&mut cluster.connect(0), "probe");
        let load = load(&cluster, Manner::OneByOne, seed);
        load.wait_for_writes(200);
        // Whoever leads a partition, then whoever leads the tables' group.
        let (killed, led) = eventually("there is such a leader", || {
            let seen = standing(&cluster, 0);
            let leader = if round == 0 { &seen.leaders[0] } else { &seen.meta_leader };
            let number = (0..3).find(|&number| standing(&cluster, number).me == *leader)?;
            Some((number, seen.led_by(leader)))
        });
        let mut wire = cluster.connect((killed + 1) % 3);
        cluster.kill(killed);
        let outage = until_all_is_written(&mut wire, "probe");
        eprintln!(
            "node {killed} led {led} partitions: everything was written again after {outage:?}"
        );
        assert!(outage < OUTAGE_MAX, "{outage:?}");
        load.wait_for_writes(200);
        let mut coverage = Coverage::default();
        coverage.require("ADD added", 1);
        coverage.require("CAS ok", 1);
        load.judge(&mut coverage);
    }
}

#[test]
fn a_leader_that_was_paused_for_long_returns_nothing_that_is_stale() {
    let cluster = winter().start();
    let paused = number_of(&cluster, &standing(&cluster, 0).leaders[0]);
    let (mut there, mut here) = (cluster.connect(paused), cluster.connect((paused + 1) % 3));
    create(&mut here, "t");
    let old = ask_all(&mut there, |n| format!("PUT t k{n} old"));
    assert!(old.iter().all(|reply| reply.starts_with("ok ")), "{old:?}");
    assert!(ask_all(&mut there, |n| format!("GET t k{n}")).iter().all(|reply| reply == "old"));
    cluster.pause(paused);
    eventually("all is overwritten", || {
        let replies = ask_all(&mut here, |n| format!("PUT t k{n} new"));
        replies.iter().all(|reply| reply.starts_with("ok ")).then_some(())
    });
    // These wait for it when it wakes: they were asked after all was overwritten.
    let mut readers: Vec<Wire> = (0..4).map(|_| cluster.connect(paused)).collect();
    for reader in readers.iter_mut().chain([&mut there]) {
        reader.send((0..KEYS_FOR_ALL).map(|n| format!("GET t k{n}\n")).collect::<String>());
    }
    cluster.resume(paused);
    let mut read = 0;
    for reader in readers.iter_mut().chain([&mut there]) {
        for n in 0..KEYS_FOR_ALL {
            let reply = reader.read_line();
            assert!(reply == "new" || reply.starts_with("error unavailable: "), "k{n}: {reply}");
            read += usize::from(reply == "new");
        }
    }
    eprintln!("{read} of {} reads were answered by the node that woke", 5 * KEYS_FOR_ALL);
    eventually("it serves again", || {
        let replies = ask_all(&mut there, |n| format!("GET t k{n}"));
        assert!(replies.iter().all(|r| r == "new" || r.starts_with("error unavailable: ")));
        replies.iter().all(|reply| reply == "new").then_some(())
    });
}

#[test]
fn a_leader_that_is_paused_under_load_breaks_no_order() {
    let cluster = winter().start();
    create(&mut cluster.connect(0), "probe");
    let load = load(&cluster, Manner::OneByOne, 11);
    load.wait_for_writes(100);
    for paused in 0..2 {
        let mut wire = cluster.connect((paused + 1) % 3);
        cluster.pause(paused);
        until_all_is_written(&mut wire, "probe");
        cluster.resume(paused);
        load.wait_for_writes(100);
        eventually("it is ready again", || cluster.readiness(paused).ok());
    }
    let mut coverage = Coverage::default();
    coverage.require("ADD added", 1);
    load.judge(&mut coverage);
}

/// What is long goes in parts, waits for room and is sent again: much may be under way
/// when a node is lost, of which nobody is told.
#[test]
fn a_node_that_is_killed_among_long_values_and_pipelines_breaks_no_order() {
    let mut cluster = winter().set("WINTER_MAX_MEMORY", "64MB").start();
    create(&mut cluster.connect(0), "probe");
    let load = load(&cluster, Manner::LongPipelines, 12);
    for killed in 0..3 {
        load.wait_for_writes(100);
        cluster.kill(killed);
        until_all_is_written(&mut cluster.connect((killed + 1) % 3), "probe");
        load.wait_for_writes(100);
        cluster.start(killed);
        cluster.wait_until_ready();
    }
    let mut coverage = Coverage::default();
    coverage.require("a long value was read", 1);
    coverage.require("a long value was written", 1);
    load.judge(&mut coverage);
}

#[test]
fn a_rolling_restart_under_load_loses_nothing() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(0), "kept");
    let mut wire = cluster.connect(0);
    let written = ask_all(&mut wire, |n| format!("PUTNEW kept k{n} v{n}"));
    assert!(written.iter().all(|reply| reply == "ok"), "{written:?}");
    let id = standing(&cluster, 0).cluster;
    let load = load(&cluster, Manner::OneByOne, 13);
    for number in 0..3 {
        load.wait_for_writes(100);
        let status = cluster.terminate(number);
        assert_eq!(status.code(), Some(0), "{status}");
        cluster.start(number);
        cluster.wait_until_ready();
    }
    load.wait_for_writes(100);
    let mut coverage = Coverage::default();
    coverage.require("ADD added", 1);
    load.judge(&mut coverage);
    for number in 0..3 {
        assert_eq!(standing(&cluster, number).cluster, id);
        let replies = ask_all(&mut cluster.connect(number), |n| format!("GET kept k{n}"));
        let is_kept = |(n, reply): (usize, &String)| *reply == format!("v{n}");
        assert!(replies.iter().enumerate().all(is_kept), "{replies:?}");
    }
}

/// Writes to all partitions in turn, one write at a time, until `stop` or the end of the
/// connection: how many writes there were, and replies that were no acknowledgement.
fn write_until(stop: &AtomicBool, node: SocketAddr) -> (usize, Vec<String>) {
    let mut connection = BufReader::new(TcpStream::connect(node).unwrap());
    connection.get_ref().set_read_timeout(Some(DEADLINE)).unwrap();
    let (mut count, mut others) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let line = format!("PUT t k{} v\n", count % KEYS_FOR_ALL);
        let mut reply = String::new();
        let sent = connection.get_mut().write_all(line.as_bytes());
        if sent.is_err() || !matches!(connection.read_line(&mut reply), Ok(1..)) {
            break;
        }
        count += 1;
        others.extend(Some(reply).filter(|reply| !reply.starts_with("ok ")));
    }
    (count, others)
}

#[test]
fn while_a_node_leaves_no_write_is_refused_there_or_elsewhere() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..12)
        .map(|number| {
            let (stop, node) = (Arc::clone(&stop), cluster.address(number % 3));
            std::thread::spawn(move || write_until(&stop, node))
        })
        .collect();
    let acknowledged = || {
        let wire = &mut cluster.connect(1);
        ask_all(wire, |n| format!("GETS t k{n}")).iter().all(|reply| reply.ends_with(" v"))
    };
    eventually("every key is written", || acknowledged().then_some(()));
    let status = cluster.terminate(0);
    assert_eq!(status.code(), Some(0), "{status}");
    until_all_is_written(&mut cluster.connect(1), "t");
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        let (count, others) = writer.join().unwrap();
        assert!(others.is_empty(), "of {count} writes: {others:?}");
    }
}

#[test]
fn without_a_majority_writes_are_unavailable_and_nothing_hangs() {
    const TIMEOUT: Duration = Duration::from_millis(800);
    let mut cluster =
        winter().set("WINTER_COMMAND_TIMEOUT", format!("{}ms", TIMEOUT.as_millis())).start();
    create(&mut cluster.connect(0), "t");
    let written = ask_all(&mut cluster.connect(0), |n| format!("PUTNEW t k{n} v"));
    assert!(written.iter().all(|reply| reply == "ok"), "{written:?}");
    cluster.kill(0);
    cluster.kill(1);
    // What had begun before the loss was noticed may end as unknown.
    let mut wire = cluster.connect(2);
    eventually("the loss is noticed", || {
        wire.ask("PUT t k0 w").starts_with("error unavailable: ").then_some(())
    });
    let commands = [
        "PUT t k1 w",
        "PUTNEW t k2 w",
        "ADD t k3 w",
        "CAS t k4 1 w",
        "DELETE t k5",
        "TOUCH t k6 0",
        "GET t k7",
        "GETS t k8",
        "TTL t k9",
        "COUNT t",
        "SCAN t 0",
        "CREATE u",
        "DROP t",
        "TABLES",
        "DESCRIBE t",
    ];
    for command in commands {
        let began = Instant::now();
        let reply = wire.ask(command);
        assert!(reply.starts_with("error unavailable: "), "{command}: {reply}");
        assert!(began.elapsed() < TIMEOUT * 5, "{command}: {:?}", began.elapsed());
    }
    let began = Instant::now();
    let replies = ask_all(&mut wire, |n| format!("PUT t k{n} w"));
    assert!(replies.iter().all(|reply| reply.starts_with("error unavailable: ")), "{replies:?}");
    assert!(began.elapsed() < TIMEOUT * 5, "a pipeline: {:?}", began.elapsed());
    assert_eq!(wire.ask("PING"), "pong");
    eventually("it is not ready", || cluster.readiness(2).err());
    assert!(cluster.http(2, "/livez").unwrap().starts_with("HTTP/1.1 200"));
    says_that_a_majority_is_lost(&cluster, 2);
}

/// Fails unless a node says in its state, its metrics and its log that partitions
/// are without a leader.
fn says_that_a_majority_is_lost(cluster: &TestCluster, number: usize) {
    let lost = "have no leader: a majority of their replicas is lost or out of reach";
    let state = cluster.connect(number).ask_lines("CLUSTER");
    let says = state.iter().find(|line| line.starts_with("state "));
    assert!(says.is_some_and(|says| says.contains("out of reach")), "{state:?}");
    let page = cluster.http(number, "/metrics").unwrap();
    let leaderless = metric(&page, "winter_cluster_partitions_leaderless");
    assert!(leaderless > Some(0), "{leaderless:?}");
    eventually("it is logged, once an election has failed", || {
        cluster.log(number).iter().any(|line| line.contains(lost)).then_some(())
    });
}

#[test]
fn what_could_not_be_finished_is_not_said_to_be_undone() {
    // Each partition has one replica, and the tables' group has three: a table
    // can be begun with and not be finished.
    let mut cluster = winter()
        .set("WINTER_REPLICAS", 1)
        .set("WINTER_PARTITIONS", 16)
        .set("WINTER_COMMAND_TIMEOUT", "500ms")
        .start();
    let mut wire = cluster.connect(0);
    create(&mut wire, "t");
    let leader = standing(&cluster, 0).meta_leader;
    let leads = number_of(&cluster, &leader);
    let lost = if leads == 2 { 1 } else { 2 };
    cluster.kill(lost);
    let reply = wire.ask("CREATE u");
    assert!(reply.starts_with("error unknown: "), "{reply}");
    let reply = wire.ask("DROP t");
    assert!(reply.starts_with("error unknown: "), "{reply}");
}

#[test]
fn a_node_that_was_killed_comes_back_as_another_member() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    ask_all(&mut cluster.connect(0), |n| format!("PUTNEW t k{n} v{n}"));
    let (id, former) = (standing(&cluster, 0).cluster, standing(&cluster, 2).me);
    cluster.kill(2);
    cluster.start(2);
    cluster.wait_until_ready();
    let seen = standing(&cluster, 2);
    assert_eq!(seen.cluster, id);
    assert_ne!(seen.me, former, "an identity is never used again");
    for number in 0..3 {
        let replies = ask_all(&mut cluster.connect(number), |n| format!("GET t k{n}"));
        let is_kept = |(n, reply): (usize, &String)| *reply == format!("v{n}");
        assert!(replies.iter().enumerate().all(is_kept), "{replies:?}");
    }
}
