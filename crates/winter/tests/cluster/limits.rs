//! Limits hold across the cluster: what one node is short of, all refuse.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use winter_testkit::{Reply, TestCluster, Wire, eventually, request};

use crate::watch::{KEYS_FOR_ALL, ask_all, create, number_of, standing, value_of};
use crate::winter;

/// How long after its first refusal a quota may still be passed. What nodes know of
/// each other is a second old at the most; a machine that has much else to do is later.
const QUOTA_LATE_MAX: Duration = Duration::from_secs(3);

/// How many writes nodes say they have refused for this limit.
fn rejections(cluster: &TestCluster, limit: &str) -> u64 {
    let name = format!("winter_rejections_total{{limit=\"{limit}\"}}");
    (0..cluster.size()).map(|number| value_of(cluster, number, &name)).sum()
}

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
    assert_eq!(rejections(&cluster, "quota"), refusals);
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
fn a_client_that_waits_for_its_replies_passes_no_quota() {
    let cluster = winter().start();
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    // What one of them has let in the others do not know.
    eventually("all lead some partitions", || {
        let standing = standing(&cluster, 0);
        standing.nodes.keys().all(|node| standing.led_by(node) > 0).then_some(())
    });
    for most in [1, 2, 10, 100] {
        create(&mut wires[0], &format!("t{most} MAXENTRIES {most}"));
        let added = (0..2 * most + 10)
            .filter(|n| wires[n % 3].ask(&format!("ADD t{most} k{n} v")).starts_with("added "));
        assert_eq!(added.count(), most);
    }
}

/// A node that is killed takes with it what it knew of quotas, and the one that comes in
/// its place knows nothing.
#[test]
fn quotas_hold_when_a_node_is_killed_and_comes_back_as_another() {
    const MOST: usize = 60;
    let mut cluster = winter().start();
    let data = "x".repeat(1_000);
    let tables = [("entries", "entries", MOST), ("bytes", "bytes", MOST << 10)];
    for (table, _, most) in tables {
        create(&mut cluster.connect(0), &format!("{table} MAX{} {most}", table.to_uppercase()));
    }
    let mut keys = 0;
    let mut add = |wire: &mut Wire, table: &str| {
        keys += 1;
        wire.ask(&format!("ADD {table} k{keys:08} {data}"))
    };
    let mut wires: Vec<Wire> = (0..3).map(|number| cluster.connect(number)).collect();
    for n in 0..MOST * 6 / 10 {
        for (table, ..) in tables {
            let reply = add(&mut wires[n % 3], table);
            assert!(reply.starts_with("added "), "{reply}");
        }
    }
    let killed = number_of(&cluster, &standing(&cluster, 0).leaders[0]);
    cluster.kill(killed);
    cluster.start(killed);
    cluster.wait_until_ready();
    wires[killed] = cluster.connect(killed);
    let came = standing(&cluster, killed).me;
    eventually("it leads its share", || {
        (standing(&cluster, killed).led_by(&came) > 0).then_some(())
    });
    for (table, field, most) in tables {
        let is_refused = |reply: &str| reply.starts_with("error quota: ");
        let each = if field == "bytes" { data.len() + 100 } else { 1 };
        let mut fill = |wires: &mut [Wire]| {
            eventually("it is full", || {
                wires.iter_mut().for_each(|wire| drop(add(wire, table)));
                let held: usize = wires[0].describe(table, field).parse().unwrap();
                (held + each > most).then_some(held)
            })
        };
        let held = fill(&mut wires);
        assert!(held <= most, "{table} hold {held} of {most}");
        // What waits for nothing may pass it once, by what it adds; what is full is full.
        // Each of these is longer than what there may still be room for.
        for key in wires[0].ask_lines(&format!("SCAN {table} 0 COUNT 5")).iter().skip(1) {
            wires[1].exchange(format!("DELETE {table} {key}\n"), "ok\n");
        }
        let flood = |wires: &mut [Wire], turn: &str| -> usize {
            for (n, wire) in wires.iter_mut().enumerate() {
                let line = |i| format!("ADD {table} {turn}.{n}.{i:08} {data}{data}\n");
                wire.send((0..20).map(line).collect::<String>());
            }
            let read = |wire: &mut Wire| (0..20).map(|_| wire.read_line()).collect::<Vec<_>>();
            let replies: Vec<String> = wires.iter_mut().flat_map(read).collect();
            assert!(replies.iter().all(|reply| reply.starts_with("added ") || is_refused(reply)));
            replies.iter().filter(|reply| !is_refused(reply)).count()
        };
        let passed = flood(&mut wires, "into-some-room");
        fill(&mut wires);
        assert_eq!(flood(&mut wires, "into-none"), 0, "{passed} went before");
    }
}

#[test]
fn what_is_deleted_makes_room_in_a_quota_at_once() {
    let cluster = winter().start();
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    create(&mut wires[0], "t MAXENTRIES 1");
    let added = |reply: &str| assert!(reply.starts_with("added "), "{reply}");
    // One client, one partition.
    let claims = "ADD t x v\nDELETE t x\n".repeat(8);
    wires[1].send(&claims);
    for _ in 0..8 {
        added(&wires[1].read_line());
        assert_eq!(wires[1].read_line(), "ok");
    }
    // All clients in turn, all partitions.
    for n in 0..60 {
        added(&wires[n % 3].ask(&format!("ADD t k{n} v")));
        let refused = wires[(n + 1) % 3].ask(&format!("ADD t other{n} v"));
        assert!(refused.starts_with("error quota: "), "{refused}");
        assert_eq!(wires[(n + 2) % 3].ask(&format!("DELETE t k{n}")), "ok");
    }
}

#[test]
fn logs_of_many_partitions_leave_a_small_node_its_room() {
    let cluster = winter().set("WINTER_PARTITIONS", 32).set("WINTER_MAX_MEMORY", "8mb").start();
    let mut wire = cluster.connect(0);
    create(&mut wire, "t");
    let value = "v".repeat(8 << 10);
    // More than a node may hold goes through the logs, of which little stays.
    for _ in 0..24 {
        let puts = (0..64).map(|n| format!("PUT t k{n} {value}\n"));
        wire.send(puts.collect::<String>());
        for _ in 0..64 {
            let reply = wire.read_line();
            assert!(reply.starts_with("ok"), "{reply}");
        }
    }
}

#[test]
fn what_has_expired_makes_room_though_nothing_is_written_any_more() {
    let cluster = winter().start();
    let mut wire = cluster.connect(0);
    create(&mut wire, "t MAXENTRIES 50");
    for n in 0..50 {
        assert!(wire.ask(&format!("ADD t k{n} v EXPIRE 2000")).starts_with("added "));
    }
    // Nobody reads or counts: a write that is refused is not in the log, either.
    eventually("there is room", || wire.ask("ADD t new v").starts_with("added ").then_some(()));
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
    // Logs and replies are counted, too, and make room for one more now and then.
    let mut resp = cluster.connect(1);
    let why = eventually("it refuses", || {
        more += 1;
        match resp.call(&["PUTNEW", "t", &format!("more{more}"), &value]) {
            Reply::Error(why) => Some(why),
            _ => None,
        }
    });
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

/// Writes that were sent to a table after its quota had refused one for so long: how
/// they were answered.
#[derive(Default)]
struct Refusals {
    first: Option<Instant>,
    late: Vec<String>,
}

impl Refusals {
    fn note(&mut self, sent: Instant, reply: String) {
        assert!(reply == "ok" || reply.starts_with("error quota: "), "{reply}");
        let is_late = self.first.is_some_and(|first| sent > first + QUOTA_LATE_MAX);
        if is_late {
            self.late.push(reply);
        } else if reply != "ok" {
            self.first.get_or_insert_with(Instant::now);
        }
    }
}

#[test]
fn a_flood_through_all_nodes_passes_no_quota_for_longer_than_nodes_are_behind() {
    let cluster = winter().start();
    let tables = ["entries", "bytes"];
    create(&mut cluster.connect(0), "entries MAXENTRIES 300");
    create(&mut cluster.connect(0), "bytes MAXBYTES 300kb");
    let refusals = tables.map(|_| Mutex::new(Refusals::default()));
    let stop = AtomicBool::new(false);
    let flood = |writer: usize, mut wire: Wire| {
        let data = "x".repeat(1_000);
        for n in 0.. {
            for (table, refusals) in tables.iter().zip(&refusals) {
                let sent = Instant::now();
                // All of one length: a shorter one may find room where another did not.
                let reply = wire.ask(&format!("PUTNEW {table} {writer}.{n:08} {data}"));
                refusals.lock().unwrap().note(sent, reply);
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let wire = cluster.connect(writer % 3);
            scope.spawn(move || flood(writer, wire));
        }
        eventually("many are late", || {
            refusals.iter().all(|table| table.lock().unwrap().late.len() > 20).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });
    for (table, refusals) in tables.iter().zip(refusals) {
        let late = refusals.into_inner().unwrap().late;
        let written = late.iter().filter(|reply| *reply == "ok").count();
        assert_eq!(written, 0, "of {} late writes to {table}", late.len());
    }
    let held: usize = cluster.connect(1).ask("COUNT entries").parse().unwrap();
    assert!(held >= 300, "refused before it was full: {held}");
}

#[test]
fn what_one_node_has_no_memory_for_is_refused_and_what_it_does_not_hold_is_not() {
    let mut cluster = winter().founders(4).lay_out();
    for number in 0..3 {
        cluster.start(number);
    }
    let small = cluster.node(3).set("WINTER_MAX_MEMORY", "10mb").start();
    cluster.place(3, small);
    cluster.wait_until_ready();
    let (seen, me) = (standing(&cluster, 0), standing(&cluster, 3).me);
    let held = seen.replicas.iter().filter(|held| held.contains(&me)).count();
    // It leads one or two of these: whoever leads the others has to know of it.
    assert_eq!((held, seen.replicas.len()), (3, 4), "{seen:?}");
    create(&mut cluster.connect(0), "t");
    let mut wires: Vec<Wire> = (0..3).map(|number| cluster.connect(number)).collect();
    let value = "x".repeat(20_000);
    let is_refusal = |reply: &String| reply.starts_with("error memory: ");
    let mut written = 0;
    eventually("its memory is full", || {
        let replies = ask_all(&mut wires[written % 3], |n| format!("PUT t {written}.{n} {value}"));
        written += 1;
        let refused = replies.iter().filter(|reply| is_refusal(reply)).count();
        assert!(replies.iter().all(|reply| reply.starts_with("ok ") || is_refusal(reply)));
        (refused > KEYS_FOR_ALL / 2).then_some(())
    });
    let refused: Vec<Vec<bool>> = wires
        .iter_mut()
        .map(|wire| {
            // It may have had a little room left.
            eventually("it takes no more", || {
                let replies = ask_all(wire, |n| format!("PUT t more{n} {value}"));
                let refused: Vec<bool> = replies.iter().map(is_refusal).collect();
                (refused.iter().filter(|is_refused| **is_refused).count() > KEYS_FOR_ALL / 2)
                    .then_some(refused)
            })
        })
        .collect();
    eprintln!("{written} times were written before: {refused:?}");
    assert!(refused.iter().all(|through| through.contains(&false)), "others go on");
    // Every node keeps all tables in mind, and this one has no room for more.
    let before = rejections(&cluster, "memory");
    assert!(before > 0, "what is refused is counted");
    let mut tables = 0..;
    for wire in &mut wires {
        eventually("no table is made", || {
            let name = tables.next().unwrap();
            is_refusal(&wire.ask(&format!("CREATE u{name}"))).then_some(())
        });
        assert_eq!(wire.ask("CREATE t"), "already created");
    }
    assert!(rejections(&cluster, "memory") >= before + 3, "of tables, too");
    // Whichever node is asked, what it holds may be read and deleted.
    for (number, wire) in wires.iter_mut().enumerate() {
        assert_eq!(wire.ask("GET t 0.0"), value, "through node {number}");
    }
    for turn in 0..written {
        let deleted = ask_all(&mut wires[0], |n| format!("DELETE t {turn}.{n}"));
        assert!(deleted.iter().all(|reply| reply == "ok"), "{deleted:?}");
    }
    eventually("there is room again", || {
        let replies = ask_all(&mut wires[1], |n| format!("PUT t again{n} {n}"));
        replies.iter().all(|reply| reply.starts_with("ok ")).then_some(())
    });
}

#[test]
fn a_client_that_is_alone_is_never_told_that_a_partition_is_busy() {
    // Of so much memory each log has 1 MiB: less than one of the values.
    let cluster = winter().set("WINTER_MAX_MEMORY", "80mb").set("WINTER_MAX_VALUE", "4mb").start();
    create(&mut cluster.connect(0), "t");
    let value = "x".repeat(4 << 20);
    for number in 0..3 {
        let mut wire = cluster.connect(number);
        for key in ["a", "b", "c", "d"] {
            let mut pipeline = request(&["PUTNEW", "t", key, &value]);
            pipeline.extend(request(&["DELETE", "t", key]));
            wire.exchange(pipeline, "+ok\r\n+ok\r\n");
        }
    }
}

/// How long a leader's followers may be silent before it gives up what waits for them.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);

/// Values as long as all that may be under way between two nodes, which forward them to
/// each other, and a third that is lost: each write waits for an append between these two.
#[test]
fn long_values_that_two_nodes_forward_to_each_other_do_not_stop_their_consensus() {
    let mut cluster = winter()
        .set("WINTER_MAX_MEMORY", "64mb")
        // A machine that has much else to do takes its time; what stands still takes it all.
        .set("WINTER_COMMAND_TIMEOUT", "15s")
        .start();
    create(&mut cluster.connect(0), "t");
    cluster.kill(2);
    eventually("both others lead, and nobody else does", || {
        let seen = [0, 1].map(|number| standing(&cluster, number));
        let led = seen.iter().map(|node| node.led_by(&node.me));
        led.clone().all(|led| led > 0).then_some(())?;
        (led.sum::<usize>() == seen[0].leaders.len()).then_some(())
    });
    let value = "x".repeat(4_200_000);
    std::thread::scope(|scope| {
        for writer in 0..10 {
            let mut wire = cluster.connect(writer % 2);
            let (key, value) = (writer / 2, &value);
            scope.spawn(move || {
                for turn in 0..6 {
                    let reply = wire.ask(&format!("PUT t {key} {value}"));
                    // For what was overwritten there may still be no room.
                    let is_answered = reply.starts_with("ok ") || reply.starts_with("error memory");
                    assert!(is_answered, "{writer}.{turn}: {reply}");
                }
            });
        }
    });
}

#[test]
fn writes_that_no_queue_has_room_for_are_busy_were_not_done_and_go_through_later() {
    // Nine megabytes may wait.
    let cluster = winter().set("WINTER_PARTITIONS", 1).set("WINTER_MAX_VALUE", "1mb").start();
    let leader = number_of(&cluster, &standing(&cluster, 0).leaders[0]);
    let followers = [(leader + 1) % 3, (leader + 2) % 3];
    let mut line = cluster.connect(leader);
    create(&mut line, "t");
    let value = "x".repeat(1 << 20);
    let mut wires: Vec<_> = (0..20).map(|_| cluster.connect(leader)).collect();
    let mut round = 0;
    eventually("a queue is full", || {
        round += 1;
        let keys: Vec<_> = (0..wires.len()).map(|n| format!("{round}.{n}")).collect();
        // All but the end, so that all of them come at once, while nobody answers the leader.
        for (wire, key) in wires.iter_mut().zip(&keys) {
            let write = request(&["PUTNEW", "t", key, &value]);
            wire.send(&write[..write.len() - 2]);
        }
        eventually("all but the ends were read", || {
            let held = value_of(&cluster, leader, "winter_memory_buffers_bytes");
            (held > (wires.len() * value.len()) as u64).then_some(())
        });
        followers.iter().for_each(|&number| cluster.pause(number));
        wires.iter_mut().for_each(|wire| wire.send("\r\n"));
        let paused = Instant::now();
        let busy =
            || cluster.http(leader, "/metrics").unwrap().contains("\"putnew\",result=\"busy\"");
        while paused.elapsed() < SILENCE_MAX && !busy() {
            std::thread::sleep(Duration::from_millis(20));
        }
        followers.iter().for_each(|&number| cluster.resume(number));
        let replies: Vec<_> = wires.iter_mut().map(Wire::read_reply).collect();
        // A follower that woke may want to lead.
        let mut ask = |request: String| {
            eventually("it is answered", || {
                let reply = line.ask(&request);
                (!reply.starts_with("error un")).then_some(reply)
            })
        };
        let mut busy = 0;
        for (key, reply) in keys.iter().zip(replies) {
            let stands = ask(format!("TTL t {key}"));
            match reply {
                Reply::Simple(ok) => assert_eq!((&*ok, &*stands), ("ok", "never"), "{key}"),
                Reply::Error(why) if why.starts_with("BUSY ") => {
                    assert_eq!(stands, "nil", "{key}: {why}");
                    busy += 1;
                    assert_eq!(ask(format!("PUTNEW t {key} {value}")), "ok");
                }
                // It took too long after all.
                Reply::Error(why)
                    if why.starts_with("TRYAGAIN ") || why.starts_with("UNKNOWN ") => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(ask(format!("DELETE t {key}")), "ok");
        }
        eprintln!("{busy} of {} writes were busy in round {round}", keys.len());
        (busy > 0).then_some(())
    });
}
