//! Entries: who wins, in which order, and until when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use winter_testkit::eventually;

use crate::watch::{ask_all, create, number_of, standing};
use crate::winter;

#[test]
fn of_all_that_add_a_key_through_all_nodes_one_wins() {
    const CLIENTS: usize = 12;
    const KEYS: usize = 60;
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    let adding: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut wire = cluster.connect(client % 3);
            std::thread::spawn(move || {
                let ask = |n| wire.ask(&format!("ADD t k{n} by{client}"));
                (0..KEYS).map(ask).collect::<Vec<String>>()
            })
        })
        .collect();
    let said: Vec<Vec<String>> = adding.into_iter().map(|client| client.join().unwrap()).collect();
    for key in 0..KEYS {
        let of_key: Vec<&str> = said.iter().map(|client| client[key].as_str()).collect();
        let winners: Vec<usize> =
            (0..CLIENTS).filter(|&n| of_key[n].starts_with("added ")).collect();
        assert_eq!(winners.len(), 1, "k{key}: {of_key:?}");
        let version = of_key[winners[0]].trim_start_matches("added ");
        let exists = format!("exists {version}");
        let lost = of_key.iter().filter(|reply| **reply == exists).count();
        assert_eq!(lost, CLIENTS - 1, "k{key}: {of_key:?}");
        let stands = format!("{version} by{}\n", winners[0]);
        (0..3).for_each(|n| cluster.connect(n).exchange(format!("GETS t k{key}\n"), &stands));
    }
}

#[test]
fn versions_grow_and_never_repeat_over_the_loss_of_a_leader() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    let meta_leader = standing(&cluster, 0).meta_leader;
    let lost = number_of(&cluster, &meta_leader);
    let other = (lost + 1) % 3;
    let mut versions: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut write = |cluster: &winter_testkit::TestCluster| {
        let mut wire = cluster.connect(other);
        let replies = ask_all(&mut wire, |n| format!("PUT t k{n} v"));
        let is_done = replies.iter().all(|reply| reply.starts_with("ok "));
        for (n, reply) in replies.iter().enumerate() {
            let version: Option<u64> = reply.strip_prefix("ok ").and_then(|v| v.parse().ok());
            let has_failed = reply.starts_with("error un");
            assert!(version.is_some() || has_failed, "{reply}");
            versions.entry(n).or_default().extend(version);
        }
        is_done
    };
    for _ in 0..3 {
        assert!(write(&cluster));
    }
    cluster.kill(lost);
    for _ in 0..3 {
        eventually("every partition is written to", || write(&cluster).then_some(()));
    }
    for (key, versions) in versions {
        assert!(versions.len() >= 6 && versions.is_sorted_by(|a, b| a < b), "k{key}: {versions:?}");
    }
}

#[test]
fn an_entry_is_never_returned_after_its_deadline_through_any_node() {
    const LIFE: Duration = Duration::from_millis(300);
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    let begin = Instant::now();
    let written = ask_all(&mut wires[0], |n| format!("PUTNEW t k{n} v EXPIRE 300"));
    assert!(written.iter().all(|reply| reply == "ok"), "{written:?}");
    let end = Instant::now();
    let mut seen = [0; 2];
    while begin.elapsed() < LIFE * 4 {
        for wire in &mut wires {
            let asked = Instant::now();
            let replies = ask_all(wire, |n| format!("GET t k{n}"));
            let answered = Instant::now();
            for reply in &replies {
                match reply.as_str() {
                    // The last was written at the end, at the latest.
                    "v" => assert!(asked < end + LIFE + Duration::from_millis(2), "late"),
                    "nil" => assert!(answered > begin + LIFE, "early"),
                    other => panic!("{other}"),
                }
            }
            seen[0] += usize::from(replies.iter().all(|reply| reply == "v"));
            seen[1] += usize::from(replies.iter().all(|reply| reply == "nil"));
        }
        if seen[1] > 3 {
            break;
        }
    }
    assert!(seen[1] > 0, "{seen:?}");
    for wire in &mut wires {
        assert_eq!(wire.ask("COUNT t"), "0");
        assert_eq!(wire.ask_lines("SCAN t 0"), ["0"]);
        assert_eq!(wire.ask("TTL t k1"), "nil");
    }
    // What is written anew has a life of its own.
    wires[1].exchange("PUTNEW t k1 w\n", "ok\n");
    wires[2].exchange("GET t k1\nTTL t k1\nADD t k1 x\n", "w\nnever\nexists ");
}

#[test]
fn what_expired_stays_gone_when_a_leader_is_lost() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    let lost = number_of(&cluster, &standing(&cluster, 0).meta_leader);
    let other = (lost + 1) % 3;
    let mut wire = cluster.connect(other);
    ask_all(&mut wire, |n| format!("PUTNEW t k{n} v EXPIRE 100"));
    eventually("all has expired", || {
        ask_all(&mut wire, |n| format!("GET t k{n}")).iter().all(|r| r == "nil").then_some(())
    });
    cluster.kill(lost);
    eventually("every partition answers", || {
        let replies = ask_all(&mut wire, |n| format!("GET t k{n}"));
        assert!(replies.iter().all(|reply| reply != "v"), "what has expired came back");
        replies.iter().all(|reply| reply == "nil").then_some(())
    });
    assert_eq!(wire.ask("COUNT t"), "0");
}
