//! Those who do not belong to the cluster cost it nothing.

use std::io::Write;
use std::net::TcpStream;

use winter_testkit::{DEADLINE, Server, TestCluster, eventually};

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

#[test]
fn a_node_of_another_application_is_refused_and_changes_nothing() {
    let cluster = winter().set("DNS_APPLICATION_NAME", "ours").start();
    let id = standing(&cluster, 0).cluster;
    create(&mut cluster.connect(0), "t");
    cluster.connect(0).exchange("PUTNEW t k v\n", "ok\n");
    let host = cluster.address(3).ip();
    let stranger = cluster.node(3).set("DNS_APPLICATION_NAME", "theirs").start();
    let refused = |server: &Server| server.log().iter().any(|line| line.contains("was refused"));
    eventually("it is refused", || refused(&stranger).then_some(()));
    let mut wire = stranger.connect();
    assert!(wire.ask("GET t k").starts_with("error unavailable: "), "through {host}");
    assert!(wire.ask_lines("CLUSTER")[0].starts_with("cluster none"), "through {host}");
    is_unchanged(&cluster, &id);
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
    }
}
