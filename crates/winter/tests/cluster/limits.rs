//! Limits hold across the cluster: what one node is short of, all refuse.

use winter_testkit::{Reply, eventually};

use crate::watch::create;
use crate::winter;

#[test]
fn a_tables_quota_on_entries_holds_through_all_nodes() {
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t MAXENTRIES 300");
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    let mut refusals = 0;
    // Nodes hear of each other a few times a second; a flood may exceed the
    // quota by what they have not heard yet, and then it holds.
    for n in 0..3_000 {
        let reply = wires[n % 3].ask(&format!("PUTNEW t k{n} v"));
        match reply.as_str() {
            "ok" => assert_eq!(refusals / 20, 0, "written when the quota had long been reached"),
            refused => {
                assert!(
                    refused.starts_with("error quota: the table's MAXENTRIES is 300"),
                    "{refused}"
                );
                refusals += 1;
            }
        }
        if refusals > 40 {
            break;
        }
    }
    let count: usize = wires[0].ask("COUNT t").parse().unwrap();
    eprintln!("{count} entries of 300");
    assert!((300..=900).contains(&count), "{count}");
    // What stands may be read, and deleted; what is deleted makes room.
    wires[1].exchange("GET t k0\nPUTNEW t k0 w\n", "v\nok\n");
    for n in 0..count {
        wires[2].exchange(format!("DELETE t k{n}\n"), "ok\n");
    }
    for wire in &mut wires {
        eventually("there is room again", || (wire.ask("PUTNEW t new v") == "ok").then_some(()));
    }
}

#[test]
fn a_tables_quota_on_bytes_holds_through_all_nodes() {
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t MAXBYTES 1mb");
    let value = "x".repeat(10_000);
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    let mut refusals = 0;
    for n in 0..1_000 {
        let reply = wires[n % 3].ask(&format!("PUTNEW t k{n} {value}"));
        if reply != "ok" {
            assert!(reply.starts_with("error quota: the table's MAXBYTES is 1048576"), "{reply}");
            refusals += 1;
        }
        if refusals > 100 {
            break;
        }
    }
    assert!(refusals > 100);
    wires[1].exchange("GET t k0\nDROP t\n", format!("{value}\ndropped\n"));
}

#[test]
fn past_the_memory_of_one_node_writes_are_refused_through_all() {
    let cluster = winter().set("WINTER_MAX_MEMORY", "24mb").start();
    create(&mut cluster.connect(0), "t");
    let value = "x".repeat(100_000);
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    let refused = (0..2_000).find(|n| {
        let reply = wires[n % 3].ask(&format!("PUTNEW t k{n} {value}"));
        assert!(reply == "ok" || reply.starts_with("error memory: "), "{reply}");
        reply != "ok"
    });
    let written = refused.expect("the memory is limited");
    assert!((50..=250).contains(&written), "{written} values of 100 kB in 24 MB");
    let mut more = 0;
    for wire in &mut wires {
        eventually("it refuses", || {
            more += 1;
            let reply = wire.ask(&format!("PUTNEW t more{more} {value}"));
            reply.starts_with("error memory: ").then_some(())
        });
        assert_eq!(wire.ask("GET t k0"), value);
        assert_eq!(wire.ask("PING"), "pong");
    }
    let mut resp = cluster.connect(1);
    let Reply::Error(why) = resp.call(&["PUTNEW", "t", "yet more", &value]) else {
        panic!("refused")
    };
    assert!(why.starts_with("OOM "), "{why}");
    for n in 0..written {
        wires[n % 3].exchange(format!("DELETE t k{n}\n"), "ok\n");
    }
    for n in 0..=more {
        wires[0].exchange(format!("DELETE t more{n}\n"), "ok\n");
    }
    for wire in &mut wires {
        eventually("there is room again", || {
            (wire.ask(&format!("PUTNEW t again {value}")) == "ok").then_some(())
        });
    }
}
