//! A scan returns each key that stands during the whole of it at least once,
//! whatever else comes and goes meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use winter_core::limits::PARTITIONS_STANDALONE;
use winter_core::store::{hash::table_hash, partition_of};
use winter_testkit::{Reply, Server, Wire};

use crate::winter;

const STANDING: usize = 2_000;
/// A scan is over after this many steps, or it does not end.
const STEPS_MAX: usize = 100_000;

fn standing() -> BTreeSet<String> {
    (0..STANDING).map(|n| format!("stand:{n}")).collect()
}

fn with_standing_keys() -> Server {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    let puts: String = standing().iter().map(|key| format!("PUTNEW t {key} v\n")).collect();
    wire.exchange(puts, "ok\n".repeat(STANDING));
    server
}

/// Every key that a scan returns, and how many steps it took.
fn scan(mut step: impl FnMut(&str) -> (String, Vec<String>)) -> (BTreeSet<String>, usize) {
    let mut keys = BTreeSet::new();
    let mut cursor = "0".to_owned();
    for steps in 1..=STEPS_MAX {
        let (next, found) = step(&cursor);
        keys.extend(found);
        if next == "0" {
            return (keys, steps);
        }
        cursor = next;
    }
    panic!("the scan does not end");
}

fn line_step<'w>(
    wire: &'w mut Wire,
    options: &'w str,
) -> impl FnMut(&str) -> (String, Vec<String>) + 'w {
    move |cursor| {
        let mut lines = wire.ask_lines(&format!("SCAN t {cursor}{options}"));
        (lines.remove(0), lines)
    }
}

fn resp_step(wire: &mut Wire) -> impl FnMut(&str) -> (String, Vec<String>) {
    move |cursor| {
        let reply = wire.call(&["SCAN", "t", cursor, "COUNT", "64"]);
        let [Reply::Bulk(next), Reply::Array(keys)] = reply.items() else {
            panic!("no step of a scan: {reply:?}")
        };
        let next = String::from_utf8(next.clone()).expect("a number");
        (next, keys.iter().map(Reply::text).collect())
    }
}

/// Says that the scans are over, also when they fail.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Grows and shrinks the table until told to stop.
fn disturb(server: &Server, is_over: &AtomicBool) {
    let mut wire = server.connect();
    for round in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let verb = if round % 3 == 2 { "DELETE" } else { "PUTNEW" };
        let data = if verb == "DELETE" { "" } else { " v" };
        let keys = (round / 3 * 1_000)..(round / 3 * 1_000 + 1_000);
        let commands: String = keys.map(|n| format!("{verb} t other:{n}{data}\n")).collect();
        wire.exchange(commands, "ok\n".repeat(1_000));
        // A standing key that is written again still stands.
        wire.ask(&format!("PUT t stand:{} w", round % STANDING));
    }
}

#[test]
fn a_scan_at_rest_returns_every_key() {
    let server = with_standing_keys();
    let mut wire = server.connect();
    for options in ["", " COUNT 1", " COUNT 10000", " PREFIX stand:"] {
        let (keys, steps) = scan(line_step(&mut wire, options));
        assert_eq!(keys, standing(), "SCAN t 0{options}");
        assert!(options != " COUNT 10000" || steps == 1, "{steps} steps");
    }
    let (keys, _) = scan(line_step(&mut wire, " PREFIX stand:7"));
    let expected = standing().into_iter().filter(|key| key.starts_with("stand:7"));
    assert_eq!(keys, expected.collect());
    let (keys, _) = scan(resp_step(&mut server.connect()));
    assert_eq!(keys, standing());
}

#[test]
fn a_scan_returns_what_stands_while_the_table_grows_and_shrinks() {
    let server = with_standing_keys();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| disturb(&server, &is_over));
        let over = Over(&is_over);
        let mut wires = [server.connect(), server.connect()];
        let [line, resp] = &mut wires;
        let found: Vec<_> = (0..4)
            .flat_map(|_| [scan(line_step(line, " COUNT 16")).0, scan(resp_step(resp)).0])
            .collect();
        drop(over);
        for keys in found {
            let missed: Vec<_> = standing().difference(&keys).cloned().collect();
            assert!(missed.is_empty(), "missed {}: {missed:?}", missed.len());
            let is_known = |key: &String| key.starts_with("stand:") || key.starts_with("other:");
            assert!(keys.iter().all(is_known), "a key that nobody wrote");
        }
    });
}

/// Each key lies in a partition of its own; a step is over with the key that completes a
/// mebibyte, however many entries it was to look at.
#[test]
fn a_step_ends_with_a_mebibyte_of_keys() {
    const STEP_BYTES: usize = 1 << 20;
    const KEY_BYTES: usize = 60_000;
    const KEYS: usize = 50;
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    let long = "k".repeat(KEY_BYTES - 8);
    let mut partitions = BTreeSet::new();
    for key in (0..).map(|n| format!("{long}{n:08}")) {
        if partitions.insert(partition_of(table_hash("t"), key.as_bytes(), PARTITIONS_STANDALONE)) {
            wire.exchange(format!("PUTNEW t {key} v\n"), "ok\n");
        }
        if partitions.len() == KEYS {
            break;
        }
    }
    let mut steps = Vec::new();
    let mut step = line_step(&mut wire, " COUNT 10000");
    let (found, _) = scan(|cursor| {
        let (next, keys) = step(cursor);
        steps.push(keys.len());
        (next, keys)
    });
    assert_eq!(found.len(), KEYS);
    let whole = STEP_BYTES.div_ceil(KEY_BYTES);
    assert_eq!(steps, [whole, whole, KEYS - 2 * whole]);
}
