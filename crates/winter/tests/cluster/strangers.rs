//! Those who do not belong to the cluster cost it nothing.

use std::io::Write;
use std::net::TcpStream;

use winter_testkit::{DEADLINE, TestCluster, eventually, metric};

use crate::watch::{create, standing};
use crate::winter;

/// Fails unless the cluster is as it was when it had entry `k` in table `t`.
#[track_caller]
fn is_unchanged(cluster: &TestCluster, id: &str) {
    for number in 0..3 {
        let seen = standing(cluster, number);
        assert_eq!((seen.cluster.as_str(), seen.nodes.len()), (id, 3));
        assert_eq!(cluster.readiness(number), Ok(()));
        let mut wire = cluster.connect(number);
        wire.exchange("GET t k\nPUTNEW t l w\nCOUNT t\n", "v\nok\n2\n");
    }
}

/// How often a node has refused what came at its peer port for this reason.
#[track_caller]
fn refused(cluster: &TestCluster, number: usize, reason: &str) -> Option<u64> {
    let page = cluster.http(number, "/metrics").unwrap();
    metric(&page, &format!("winter_peer_refused_total{{reason=\"{reason}\"}}"))
}

#[test]
fn a_node_of_another_application_is_refused_and_changes_nothing() {
    let mut cluster = winter().set("DNS_APPLICATION_NAME", "ours").start();
    let id = standing(&cluster, 0).cluster;
    create(&mut cluster.connect(0), "t");
    cluster.connect(0).exchange("PUTNEW t k v\n", "ok\n");
    let stranger = cluster.node(3).set("DNS_APPLICATION_NAME", "theirs").start();
    cluster.place(3, stranger);
    eventually("it is refused", || {
        cluster.log(3).iter().any(|line| line.contains("was refused")).then_some(())
    });
    let mut wire = cluster.connect(3);
    assert!(wire.ask("GET t k").starts_with("error unavailable: "));
    assert!(wire.ask_lines("CLUSTER")[0].starts_with("cluster none"));
    is_unchanged(&cluster, &id);
    for number in 0..3 {
        eventually("it is counted", || {
            (refused(&cluster, number, "application") > Some(0)).then_some(())
        });
    }
    let page = cluster.http(3, "/metrics").unwrap();
    assert!(metric(&page, "winter_cluster_strangers_total") > Some(0));
    let by_peers = "winter_peer_refused_by_peers_total{reason=\"application\"}";
    assert!(metric(&page, by_peers) > Some(0));
}

#[test]
fn garbage_at_the_peer_port_changes_nothing() {
    let cluster = winter().start();
    let id = standing(&cluster, 0).cluster;
    create(&mut cluster.connect(0), "t");
    cluster.connect(0).exchange("PUTNEW t k v\n", "ok\n");
    let noise: Vec<u8> = (0..=255u8).cycle().take(300_000).collect();
    let garbage: [&[u8]; 7] = [
        b"",
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        &[0; 64],
        &[255; 64],
        &noise,
    ];
    for number in 0..3 {
        for bytes in garbage {
            let mut stream =
                TcpStream::connect_timeout(&cluster.peer_address(number), DEADLINE).unwrap();
            // It may have closed before all was sent.
            let _ = stream.write_all(bytes);
        }
        // And one that says nothing, and one that stops midway, for as long as they like.
        let mut half = TcpStream::connect(cluster.peer_address(number)).unwrap();
        half.write_all(&[0, 0, 0]).unwrap();
        let _silent = TcpStream::connect(cluster.peer_address(number)).unwrap();
        is_unchanged(&cluster, &id);
        eventually("it is counted", || {
            (refused(&cluster, number, "not_winter") >= Some(5)).then_some(())
        });
    }
}
