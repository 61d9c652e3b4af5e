//! One table's trouble costs no other its answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;

use winter_core::limits::PARTITIONS_STANDALONE;
use winter_core::store::{hash::table_hash, partition_of};
use winter_testkit::{Server, Wire};

use crate::watch::{commands_meanwhile, fill, info, shout};
use crate::winter;

/// Sends `lines` again and again, and reads as much as comes, until told to stop.
fn hammer<'scope>(
    scope: &'scope Scope<'scope, '_>,
    server: &Server,
    stop: &'scope AtomicBool,
    lines: String,
    replies: usize,
) {
    let mut wire = server.connect();
    scope.spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            wire.send(&lines);
            for _ in 0..replies {
                let _ = wire.read_line();
            }
        }
    });
}

/// Works on a table of its own, every answer of which is known.
fn works(wire: &mut Wire, rounds: usize) {
    for n in 0..rounds {
        wire.exchange(
            format!("PUTNEW calm k{n} v{n}\nGET calm k{n}\nDELETE calm k{n}\nGET calm k{n}\n"),
            format!("ok\nv{n}\nok\nnil\n"),
        );
    }
}

#[test]
fn a_hot_key_leaves_other_tables_their_answers() {
    let server = winter().set("WINTER_THREADS", 2).start();
    let mut wire = server.connect();
    wire.exchange("CREATE hot\nCREATE calm\n", "created\ncreated\n");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let lines = format!("PUT hot key {client}\nGET hot key\n").repeat(400);
            hammer(scope, &server, &stop, lines, 800);
        }
        works(&mut wire, 200);
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn slow_commands_of_one_client_leave_others_their_turns() {
    let server = winter().set("WINTER_THREADS", 1).start();
    let mut wire = server.connect();
    wire.exchange("CREATE huge\nCREATE calm\n", "created\ncreated\n");
    fill(&mut wire, "huge", 5_000, "v");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Each looks at a thousand entries and answers next to nothing.
        let lines = "SCAN huge 0 PREFIX none COUNT 1000\n".repeat(2_000);
        hammer(scope, &server, &stop, lines, 4_000);
        works(&mut wire, 10);
        let meanwhile = commands_meanwhile(&mut wire);
        stop.store(true, Ordering::Relaxed);
        assert!(meanwhile < 300, "{meanwhile} commands came first");
    });
}

#[test]
fn a_huge_table_is_dropped_while_others_are_served() {
    let server = winter().start();
    let mut wire = server.connect();
    let mut other = server.connect();
    wire.exchange("CREATE huge\nCREATE calm\n", "created\ncreated\n");
    fill(&mut wire, "huge", 50_000, &"x".repeat(100));
    let held = info(&mut wire, "used_memory_store");
    wire.send("DROP huge\n");
    works(&mut other, 100);
    wire.expect("dropped\n");
    wire.exchange("CREATE huge\nCOUNT huge\n", "created\n0\n");
    winter_testkit::eventually("its memory is back", || {
        works(&mut other, 5);
        (info(&mut wire, "used_memory_store") < held / 10).then_some(())
    });
}

#[test]
fn a_scan_finds_what_stands_while_others_write() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    fill(&mut wire, "t", 5_000, "v");
    let stop = AtomicBool::new(false);
    let mut seen = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let lines: String =
            (0..500).map(|n| format!("PUT t other{n} v\nDELETE t other{n}\n")).collect();
        hammer(scope, &server, &stop, lines, 1_000);
        let mut cursor = "0".to_owned();
        loop {
            let mut lines = wire.ask_lines(&format!("SCAN t {cursor} PREFIX k COUNT 500"));
            cursor = lines.remove(0);
            seen.extend(lines);
            if cursor == "0" {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(seen.len(), 5_000);
}

/// What is overwritten meanwhile counts once, what comes and goes once at the most, and
/// what expires for as long as it lives.
#[test]
fn a_count_is_of_what_stands_while_others_write_and_expire() {
    const STANDING: usize = 2_000;
    const PASSING: usize = 600;
    let server = winter().set("WINTER_THREADS", 2).start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    fill(&mut wire, "t", STANDING, "v");
    let stop = AtomicBool::new(false);
    let mut counts = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let lines = |line: &dyn Fn(usize) -> String| (0..PASSING / 3).map(line).collect::<String>();
        for (lines, replies) in [
            (lines(&|n| format!("PUT t other{n} v\nDELETE t other{n}\n")), 2),
            (lines(&|n| format!("PUT t brief{n} v EXPIRE {}\n", n % 7 + 1)), 1),
            (lines(&|n| format!("TOUCH t k{n} 0\nPUT t k{n} w\nADD t late{n} v EXPIRE 9\n")), 3),
        ] {
            hammer(scope, &server, &stop, lines, replies * PASSING / 3);
        }
        counts.extend((0..400).map(|_| wire.ask("COUNT t").parse::<usize>().unwrap()));
        stop.store(true, Ordering::Relaxed);
    });
    let bounds = STANDING..=STANDING + PASSING;
    assert!(counts.iter().all(|count| bounds.contains(count)), "{counts:?}");
    assert!(counts.len() > 10, "nothing came and went: {counts:?}");
    winter_testkit::eventually("what expires is gone", || {
        (wire.ask("COUNT t") == STANDING.to_string()).then_some(())
    });
}

#[test]
fn keys_chosen_to_share_a_partition_are_as_good_as_any() {
    let hash = table_hash("t");
    let chosen: Vec<String> = (0u64..)
        .map(|n| format!("{n:x}"))
        .filter(|key| partition_of(hash, key.as_bytes(), PARTITIONS_STANDALONE) == 0)
        .take(4_000)
        .collect();
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\nCREATE calm\n", "created\ncreated\n");
    for keys in chosen.chunks(1_000) {
        let lines: String = keys.iter().map(|key| format!("PUTNEW t {key} data-{key}\n")).collect();
        wire.exchange(lines, "ok\n".repeat(keys.len()));
    }
    assert_eq!(wire.ask("COUNT t"), "4000");
    works(&mut wire, 20);
    for keys in chosen.chunks(1_000) {
        let lines: String =
            keys.iter().map(|key| format!("GET t {key}\nDELETE t {key}\n")).collect();
        let replies: String = keys.iter().map(|key| format!("data-{key}\nok\n")).collect();
        wire.exchange(lines, replies);
    }
    assert_eq!(wire.ask("COUNT t"), "0");
}

#[test]
fn a_client_that_never_pauses_leaves_others_their_turns() {
    let server = winter().set("WINTER_THREADS", 1).start();
    let mut wire = server.connect();
    wire.exchange("CREATE calm\n", "created\n");
    let stop = AtomicBool::new(false);
    let mut loud = server.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| shout(&mut loud, || stop.load(Ordering::Relaxed)));
        works(&mut wire, 10);
        let meanwhile = commands_meanwhile(&mut wire);
        stop.store(true, Ordering::Relaxed);
        assert!(meanwhile < 1_000, "{meanwhile} commands came first");
    });
}
