//! How clusters come about, and who belongs to them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use winter_testkit::{TestCluster, eventually, within};

use crate::watch::{create, standing};
use crate::winter;

/// All nodes that run are up in one cluster: its id.
#[track_caller]
fn is_one(cluster: &TestCluster) -> String {
    let seen = standing(cluster, cluster.running()[0]);
    assert_eq!(seen.nodes.len(), cluster.running().len(), "{seen:?}");
    assert!(seen.nodes.values().all(|state| state == "up"), "{seen:?}");
    for number in cluster.running() {
        let theirs = standing(cluster, number);
        assert_eq!((&theirs.cluster, &theirs.nodes), (&seen.cluster, &seen.nodes));
        assert_eq!(seen.clients[&theirs.me], cluster.address(number).to_string());
    }
    assert_eq!(seen.cluster.len(), 32, "{seen:?}");
    seen.cluster
}

#[test]
fn nodes_that_are_started_together_form_one_cluster() {
    let cluster = winter().start();
    is_one(&cluster);
}

#[test]
fn nodes_that_are_started_one_after_the_other_form_one_cluster_and_none_before_it_is_whole() {
    const WHY: &str = "error unavailable: this node is in no cluster yet; nothing was done, ";
    // Longer than a test waits for a reply.
    let mut cluster = winter().set("WINTER_COMMAND_TIMEOUT", "30s").lay_out();
    for number in 0..cluster.size() {
        cluster.start(number);
        if number + 1 == cluster.size() {
            break;
        }
        // It has looked round for others, and waits.
        eventually("it says what it waits for", || {
            let log = cluster.log(number);
            log.iter().any(|line| line.contains("this node waits for")).then_some(())
        });
        for earlier in 0..=number {
            let why = cluster.readiness(earlier).unwrap_err();
            assert!(why.starts_with("HTTP/1.1 503"), "{why}");
            let mut wire = cluster.connect(earlier);
            for line in ["CREATE t", "PUTNEW t k v", "GET t k", "COUNT t", "SCAN t 0", "TABLES"] {
                let reply = wire.ask(line);
                assert!(reply.starts_with(WHY), "{line}: {reply}");
            }
            assert_eq!(wire.ask("PING"), "pong");
            assert_eq!(standing(&cluster, earlier).cluster, "none");
        }
    }
    cluster.wait_until_ready();
    is_one(&cluster);
}

#[test]
fn nodes_that_are_not_told_how_many_they_are_wait_for_their_list_to_settle_and_say_so() {
    const SETTLES: Duration = Duration::from_secs(30);
    const FOUNDED_MAX: Duration = Duration::from_secs(90);
    let began = Instant::now();
    let mut cluster = winter().set("WINTER_CLUSTER_SIZE", "").lay_out();
    (0..3).for_each(|number| cluster.start(number));
    let waits = "this node waits for the list to stand unchanged";
    let is_told = |line: &String| line.contains(waits) && line.contains("WINTER_CLUSTER_SIZE");
    eventually("it says what it waits for, and what is better", || {
        cluster.log(0).iter().any(is_told).then_some(())
    });
    assert_eq!(standing(&cluster, 0).cluster, "none");
    within(FOUNDED_MAX, "the nodes are ready", || {
        (0..3).all(|number| cluster.readiness(number).is_ok()).then_some(())
    });
    assert!(began.elapsed() >= SETTLES, "{:?}", began.elapsed());
    is_one(&cluster);
}

#[test]
fn a_node_that_comes_later_joins_and_serves() {
    let mut cluster = winter().start();
    let id = is_one(&cluster);
    create(&mut cluster.connect(0), "t");
    cluster.connect(1).exchange("PUTNEW t k v\n", "ok\n");
    cluster.start(3);
    cluster.wait_until_node_is_ready(3);
    assert_eq!(is_one(&cluster), id);
    let mut wire = cluster.connect(3);
    // Replicas are moving, so that a leader may change midway.
    eventually("it serves", || {
        wire.send("GET t k\nPUTNEW t l w\n");
        let replies = (wire.read_line(), wire.read_line());
        (replies == ("v".to_owned(), "ok".to_owned())).then_some(())
    });
    cluster.connect(2).exchange("GET t l\n", "w\n");
    // It is given its share of the replicas.
    let me = standing(&cluster, 3).me;
    eventually("it holds replicas", || {
        let replicas = standing(&cluster, 0).replicas;
        replicas.iter().any(|held| held.contains(&me)).then_some(())
    });
}

#[test]
fn a_lone_node_is_a_cluster_if_told_so() {
    let cluster = winter().founders(1).start();
    is_one(&cluster);
    let mut wire = cluster.connect(0);
    create(&mut wire, "t");
    wire.exchange("PUTNEW t k v\nGET t k\nCOUNT t\n", "ok\nv\n1\n");
}

#[test]
fn a_cluster_without_names_is_a_usage_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_winter"))
        .env_clear()
        .env("IS_DISTRIBUTED", "true")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{words}");
    assert!(words.contains("IS_DISTRIBUTED") && words.contains("WINTER_SEEDS"), "{words}");
}
