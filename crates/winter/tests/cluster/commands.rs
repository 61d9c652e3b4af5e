//! Sessions: pipelines, sizes, and clients as people use them.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use winter_testkit::{Reply, Wire, eventually, request};

use crate::watch::{KEYS_FOR_ALL, create, value_of};
use crate::winter;

#[test]
fn a_pipeline_of_five_hundred_keeps_its_order_over_all_partitions() {
    let cluster = winter().start();
    for number in 0..3 {
        let mut wire = cluster.connect(number);
        let table = format!("t{number}");
        let (mut lines, mut replies) = (format!("CREATE {table}\n"), "created\n".to_owned());
        for n in 0..125 {
            lines += &format!("PUTNEW {table} k{n} a{n}\nGET {table} k{n}\n");
            lines += &format!("DELETE {table} k{n}\nGET {table} k{}\n", n / 2);
            // The second half of what is read here was deleted before.
            replies += &format!("ok\na{n}\nok\nnil\n");
        }
        lines += &format!("COUNT {table}\nDROP {table}\nGET {table} k\n");
        replies += "0\ndropped\nmissing table\n";
        wire.exchange(lines, replies);
    }
}

#[test]
fn a_pipeline_of_many_barriers_is_answered_in_turn() {
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    for (n, wire) in wires.iter_mut().enumerate() {
        let line = |i| format!("PUTNEW t {n}.{i} v{i}\nPING {i}\nGET t {n}.{i}\n");
        wire.send((0..200).map(line).collect::<String>());
    }
    for wire in &mut wires {
        wire.expect((0..200).map(|i| format!("ok\n{i}\nv{i}\n")).collect::<String>());
    }
    assert_eq!(wires[0].ask("COUNT t"), "600");
}

/// Each of these commands follows on those before it, on every partition, and none is
/// waited for.
#[test]
fn tables_come_and_go_in_a_pipeline_between_what_stands_before_and_after() {
    const ROUNDS: usize = 4;
    let cluster = winter().start();
    let all = |line: &dyn Fn(usize) -> String| (0..KEYS_FOR_ALL).map(line).collect::<String>();
    for number in 0..3 {
        let (mut lines, mut replies) = ("CREATE kept\n".to_owned(), String::new());
        for round in 0..ROUNDS {
            let mut ask = |asked: String, replied: String| {
                lines += &asked;
                replies += &replied;
            };
            ask(all(&|n| format!("PUTNEW t k{n} v\n")), all(&|_| "missing table\n".into()));
            ask("CREATE t\n".into(), "created\n".into());
            ask(
                all(&|n| format!("GET t k{n}\nPUTNEW t k{n} {round}.{n}\n")),
                all(&|_| "nil\nok\n".into()),
            );
            ask("CREATE t\n".into(), "already created\n".into());
            ask(all(&|n| format!("PUTNEW kept {round}.{n} v\n")), all(&|_| "ok\n".into()));
            ask(all(&|n| format!("GET t k{n}\n")), all(&|n| format!("{round}.{n}\n")));
            // Nothing but its place keeps it from what comes before and after.
            ask(all(&|n| format!("PUTNEW t last{n} v\n")), all(&|_| "ok\n".into()));
            ask("DROP t\n".into(), "dropped\n".into());
            ask(all(&|n| format!("GET t last{n}\n")), all(&|_| "missing table\n".into()));
        }
        lines += "COUNT kept\nDROP kept\nTABLES\n";
        replies += &format!("{}\ndropped\n0\n", ROUNDS * KEYS_FOR_ALL);
        cluster.connect(number).exchange(lines, format!("created\n{replies}"));
    }
}

#[test]
fn a_session_that_wants_no_replies_gets_none_and_is_obeyed() {
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    let mut wire = cluster.connect(1);
    let mut bytes = request(&["CLIENT", "REPLY", "OFF"]);
    for n in 0..50 {
        bytes.extend(request(&["PUTNEW", "t", &format!("k{n}"), "v"]));
    }
    bytes.extend(request(&["COUNT", "t"]));
    bytes.extend(request(&["CLIENT", "REPLY", "ON"]));
    bytes.extend(request(&["COUNT", "t"]));
    bytes.extend(request(&["CLIENT", "REPLY", "SKIP"]));
    bytes.extend(request(&["GET", "t", "k1"]));
    bytes.extend(request(&["GET", "t", "k2"]));
    wire.exchange(bytes, "+OK\r\n:50\r\n$1\r\nv\r\n");
}

#[test]
fn values_up_to_the_limit_are_held_by_all() {
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    for (number, size) in [(0, 0), (1, 1 << 20), (2, (16 << 20) - 1), (0, 16 << 20)] {
        let (key, value) = (format!("k{size}"), vec![b'x'; size]);
        let stored =
            cluster.connect(number).call(&[b"PUTNEW" as &[u8], b"t", key.as_bytes(), &value]);
        assert_eq!(stored, Reply::Simple("ok".into()));
        let read = cluster.connect((number + 1) % 3).call(&["GET", "t", &key]);
        assert!(read == Reply::Bulk(value), "{size} bytes come back");
    }
    let mut wire = cluster.connect(1);
    let Reply::Error(why) =
        wire.call(&[b"PUTNEW" as &[u8], b"t", b"k", &vec![b'x'; (16 << 20) + 1]])
    else {
        panic!("a value past the limit is refused")
    };
    assert!(why.starts_with("ERR"), "{why}");
    assert_eq!(wire.call(&["PING"]), Reply::Simple("PONG".into()));
}

#[test]
fn big_values_that_are_pipelined_come_back() {
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    let mut wire = cluster.connect(2);
    let value = "x".repeat(1 << 20);
    let writes: String = (0..24).map(|n| format!("PUTNEW t k{n} {value}\n")).collect();
    wire.exchange(writes, "ok\n".repeat(24));
    let mut reader = cluster.connect(1);
    reader.send((0..24).map(|n| format!("GET t k{n}\n")).collect::<String>());
    for _ in 0..24 {
        assert!(reader.read_line() == value, "a value comes back whole");
    }
}

/// Any node is as one server to a client of Redis: what asks for Redis's own cluster is
/// told what a server alone says, and not answered in a form that it cannot read.
#[test]
fn clients_of_rediss_cluster_are_told_that_it_is_none() {
    let cluster = winter().start();
    let mut wire = cluster.connect(0);
    for word in ["NODES", "SLOTS", "SHARDS", "INFO", "MYID"] {
        let told = wire.call(&["CLUSTER", word]).text();
        assert!(told.starts_with("ERR This instance has cluster support disabled"), "{told}");
    }
    assert!(wire.call(&["CLUSTER"]).items()[0].text().starts_with("cluster "));
    let told = cluster.connect(1).ask("CLUSTER NODES");
    assert!(told.starts_with("error usage: This instance has cluster support disabled"), "{told}");
}

#[test]
fn redis_cli_talks_to_any_node() {
    let cluster = winter().start();
    let redis_cli = |number: usize, words: &[&str]| {
        let address = cluster.address(number);
        let output = Command::new("redis-cli")
            .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli is installed");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(redis_cli(0, &["CREATE", "t"]), "created\n");
    assert_eq!(redis_cli(1, &["PUTNEW", "t", "k", "a b"]), "ok\n");
    assert_eq!(redis_cli(2, &["-3", "GET", "t", "k"]), "a b\n");
}

#[test]
fn long_values_that_are_read_together_come_back_through_every_node() {
    const LENGTH: usize = 900_000;
    // A message between nodes has room for the longest value, and for little beside it.
    let cluster = winter().set("WINTER_MAX_VALUE", "1mb").start();
    create(&mut cluster.connect(0), "t");
    let value = "x".repeat(LENGTH);
    cluster.connect(0).exchange(format!("PUTNEW t k {value}\n"), "ok\n");
    for number in 0..3 {
        // All of one partition: more than nodes send each other at a time.
        let mut wire = cluster.connect(number);
        wire.send("GET t k\n".repeat(5) + "PUTNEW t k w\nGET t k\nGET t k\nGET t k\nGET t k\n");
        for _ in 0..5 {
            assert!(wire.read_line() == value, "through node {number}");
        }
        wire.expect("ok\n");
        for _ in 0..4 {
            assert!(wire.read_line() == value, "after a write through node {number}");
        }
    }
}

/// What a node holds for a client that asks for much and takes nothing: some answers of
/// each partition, and buffers.
const HELD_BYTES_MAX: u64 = 80 << 20;

#[test]
fn a_client_that_asks_for_much_and_takes_nothing_costs_a_node_little() {
    for reads in ["lease", "quorum"] {
        let cluster = winter().set("WINTER_READS", reads).start();
        create(&mut cluster.connect(0), "t");
        // Of several partitions, and many times what a connection may leave unread.
        let value = |key: usize| key.to_string().repeat(4 << 20);
        for key in 0..8 {
            let put = request(&["PUTNEW", "t", &key.to_string(), &value(key)]);
            cluster.connect(0).exchange(put, "+ok\r\n");
        }
        for number in 0..3 {
            let resident = || value_of(&cluster, number, "winter_memory_resident_bytes");
            let before = resident();
            let mut wire = cluster.connect(number);
            let keys = || (0..32).map(|n| n % 8);
            wire.send(
                keys().flat_map(|key| request(&["GET", "t", &key.to_string()])).collect::<Vec<_>>(),
            );
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(1) {
                let held = resident().saturating_sub(before);
                assert!(held < HELD_BYTES_MAX, "{held} bytes on node {number}, by {reads}");
            }
            for key in keys() {
                wire.expect(format!("${}\r\n{}\r\n", 4 << 20, value(key)));
            }
        }
    }
}

#[test]
fn many_clients_that_read_long_values_are_all_answered_and_cost_a_node_little() {
    const CLIENTS: usize = 30;
    // The buffers' share is 64 MiB, of which a build without optimisation fills little in
    // the usual time.
    let settings = [("WINTER_MAX_MEMORY", "128mb"), ("WINTER_COMMAND_TIMEOUT", "60s")];
    let cluster = settings.iter().fold(winter(), |nodes, (name, value)| nodes.set(name, value));
    let cluster = cluster.start();
    create(&mut cluster.connect(0), "t");
    let value = "v".repeat(8 << 20);
    cluster.connect(0).exchange(request(&["PUTNEW", "t", "k", &value]), "+ok\r\n");
    let reply = format!("${}\r\n{value}\r\n", value.len());
    // One of these is no leader of it.
    for number in 0..2 {
        let resident = |n| value_of(&cluster, n, "winter_memory_resident_bytes");
        let before: Vec<_> = (0..3).map(resident).collect();
        let mut wires: Vec<_> = (0..CLIENTS).map(|_| cluster.connect(number)).collect();
        let get = request(&["GET", "t", "k"]);
        wires.iter_mut().for_each(|wire| wire.send(&get));
        let is_done = AtomicBool::new(false);
        let held = thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut most = [0; 3];
                while !is_done.load(Ordering::Relaxed) {
                    for (n, most) in most.iter_mut().enumerate() {
                        *most = (*most).max(resident(n).saturating_sub(before[n]));
                    }
                }
                most
            });
            let read = |wire: &Wire| {
                let mut came = vec![0; reply.len()];
                wire.stream().set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
                wire.stream().read_exact(&mut came).expect("a whole reply");
                assert!(came == reply.as_bytes(), "{:?}", String::from_utf8_lossy(&came[..80]));
            };
            let readers: Vec<_> =
                wires.iter().map(|wire| scope.spawn(move || read(wire))).collect();
            let readers = readers.into_iter().map(thread::ScopedJoinHandle::join);
            let failed = readers.filter(Result::is_err).count();
            is_done.store(true, Ordering::Relaxed);
            assert_eq!(failed, 0, "of {CLIENTS} clients of node {number}");
            watch.join().expect("it only looks")
        });
        eprintln!("through node {number}: {held:?}");
        assert!(held.iter().all(|&held| held < 128 << 20), "through node {number}: {held:?}");
    }
}

#[test]
fn clients_that_read_nothing_keep_no_long_reply_from_the_others() {
    const LENGTH: usize = 4 << 20;
    // Without room for them, clients that do not read would keep it for an hour.
    let settings = [
        ("WINTER_MAX_MEMORY", "128mb"),
        ("WINTER_COMMAND_TIMEOUT", "60s"),
        ("WINTER_WRITE_TIMEOUT", "60m"),
    ];
    let cluster = settings.iter().fold(winter(), |nodes, (name, value)| nodes.set(name, value));
    let cluster = cluster.start();
    create(&mut cluster.connect(0), "t");
    let mut wire = cluster.connect(0);
    let value = "v".repeat(LENGTH);
    for key in ["a", "b", "c", "d"] {
        wire.exchange(request(&["PUTNEW", "t", key, &value]), "+ok\r\n");
    }
    let gets: Vec<u8> =
        ["a", "b", "c", "d"].iter().flat_map(|key| request(&["GET", "t", key])).collect();
    let greedy: Vec<_> = (0..40)
        .map(|_| {
            let mut wire = cluster.connect(1);
            wire.send(gets.repeat(5));
            wire
        })
        .collect();
    eventually("the buffers are full", || {
        (value_of(&cluster, 1, "winter_memory_buffers_bytes") > 64 << 20).then_some(())
    });
    let mut wire = cluster.connect(1);
    for key in ["a", "b", "c", "d"] {
        wire.exchange(request(&["GET", "t", key]), format!("${LENGTH}\r\n{value}\r\n"));
    }
    wire.exchange(request(&["PUTNEW", "t", "e", &value]), "+ok\r\n");
    drop(greedy);
}
