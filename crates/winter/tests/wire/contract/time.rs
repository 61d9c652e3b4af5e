//! Times to live, to the millisecond, as seen from outside.
//!
//! The server's clock ticks in milliseconds. A write that was sent at `s` and
//! answered at `r` with a time to live `t` was done somewhere between, so its
//! entry must be there before `s + t - 1 ms` and must be gone from `r + t` on.

use std::time::{Duration, Instant};

use winter_testkit::{Reply, Server, Wire};

use crate::winter;

/// The server's clock counts whole milliseconds.
const TICK: Duration = Duration::from_millis(1);

/// When an entry must still be there, and when it must be gone.
struct Life {
    must_stand_until: Instant,
    must_be_gone_from: Instant,
}

/// Does `write`, which gives an entry `ttl`.
fn write(ttl: Duration, write: impl FnOnce()) -> Life {
    let sent = Instant::now();
    write();
    Life { must_stand_until: sent + ttl - TICK, must_be_gone_from: Instant::now() + ttl }
}

impl Life {
    /// Asks `is_there` until the entry is gone, and fails if that is too soon or too late.
    #[track_caller]
    fn watch(&self, mut is_there: impl FnMut() -> bool) {
        loop {
            let asked = Instant::now();
            let there = is_there();
            let answered = Instant::now();
            if there {
                assert!(
                    asked < self.must_be_gone_from,
                    "there too long: {:?}",
                    asked - self.must_be_gone_from
                );
            } else {
                assert!(
                    answered >= self.must_stand_until,
                    "gone too soon: {:?}",
                    self.must_stand_until - answered
                );
                return;
            }
        }
    }
}

fn with_tables() -> Server {
    let server = winter().start();
    server.connect().exchange("CREATE t\nCREATE short TTL 40\n", "created\ncreated\n");
    server
}

/// A request, and whether its reply says that the entry stands.
type Ask = (&'static str, fn(&str) -> bool);

#[test]
fn an_entry_is_gone_to_the_millisecond_for_every_command() {
    let server = with_tables();
    let mut wire = server.connect();
    let asks: [Ask; 5] = [
        ("GET t k", |answer| answer != "nil"),
        ("GETS t k", |answer| answer != "nil"),
        ("TTL t k", |answer| answer != "nil"),
        ("COUNT t", |answer| answer != "0"),
        ("DELETE t k 1", |answer| answer != "nil"),
    ];
    for (ask, is_there) in asks {
        for ttl in [1, 2, 17, 60] {
            let life = write(Duration::from_millis(ttl), || {
                assert!(wire.ask(&format!("PUT t k v EXPIRE {ttl}")).starts_with("ok "));
            });
            life.watch(|| is_there(&wire.ask(ask)));
        }
    }
    let life = write(Duration::from_millis(30), || {
        assert!(wire.ask("PUT t k v EXPIRE 30").starts_with("ok "));
    });
    life.watch(|| wire.ask_lines("SCAN t 0 COUNT 10000").len() > 1);
}

#[test]
fn an_entry_is_gone_to_the_millisecond_in_resp_too() {
    let server = with_tables();
    let mut wire = server.connect();
    for ttl in [1, 25] {
        let life = write(Duration::from_millis(ttl), || {
            let reply = wire.call(&["PUTNEW", "t", "k", "v", "EXPIRE", &ttl.to_string()]);
            assert_eq!(reply, Reply::Simple("ok".into()));
        });
        life.watch(|| wire.call(&["GET", "t", "k"]) != Reply::NullBulk);
    }
}

#[test]
fn every_command_that_takes_a_time_to_live_keeps_it() {
    let server = with_tables();
    let mut wire = server.connect();
    let ttl = Duration::from_millis(40);
    let commands = [
        "PUTNEW t k v EXPIRE 40",
        "ADD t k v EXPIRE 40",
        "PUT t k v EXPIRE 40",
        "PUTNEW short k v",
        "ADD short k v",
        "PUT short k v",
    ];
    for command in commands {
        let table = command.split(' ').nth(1).expect("a table");
        let life = write(ttl, || drop(wire.ask(command)));
        life.watch(|| wire.ask(&format!("GET {table} k")) == "v");
    }
    let version = wire.ask("PUT t k v").replace("ok ", "");
    let life = write(ttl, || {
        assert!(wire.ask(&format!("CAS t k {version} w EXPIRE 40")).starts_with("ok "));
    });
    life.watch(|| wire.ask("GET t k") == "w");
    wire.ask("PUT t k v EXPIRE 3600000");
    let life = write(ttl, || assert_eq!(wire.ask("TOUCH t k 40"), "ok"));
    life.watch(|| wire.ask("GET t k") == "v");
}

#[test]
fn ttl_counts_down_in_milliseconds() {
    const TTL: u64 = 60_000;
    let server = with_tables();
    let (mut line, mut resp) = (server.connect(), server.connect());
    let sent = Instant::now();
    assert_eq!(line.ask(&format!("PUTNEW t k v EXPIRE {TTL}")), "ok");
    let written = Instant::now();
    let millis = |time: Duration| u64::try_from(time.as_millis()).expect("short");
    let mut last = TTL;
    for n in 0..200 {
        let asked = Instant::now();
        let left = if n % 2 == 0 {
            line.ask("TTL t k").parse().expect("a number")
        } else {
            u64::try_from(resp.call(&["TTL", "t", "k"]).integer()).expect("above 0")
        };
        assert!(left <= last, "{left} after {last}");
        assert!(
            left <= TTL - millis(asked - written) + 1,
            "{left} left after {:?}",
            asked - written
        );
        assert!(left + millis(sent.elapsed()) + 2 >= TTL, "{left} left after {:?}", sent.elapsed());
        last = left;
    }
}

#[test]
fn a_new_write_starts_a_life_of_its_own() {
    let server = with_tables();
    let mut wire = server.connect();
    // Overwritten while the first life still ran, touched to last, and written
    // anew after it was over: none of them may end with the first life.
    wire.exchange("PUTNEW t written v EXPIRE 50\n", "ok\n");
    wire.exchange("PUTNEW t touched v EXPIRE 50\n", "ok\n");
    wire.exchange("PUTNEW t deleted v EXPIRE 50\n", "ok\n");
    let life = write(Duration::from_millis(50), || {
        wire.exchange("PUTNEW t gone v EXPIRE 50\n", "ok\n");
    });
    assert!(wire.ask("PUT t written w").starts_with("ok "));
    assert_eq!(wire.ask("TOUCH t touched 0"), "ok");
    wire.exchange("DELETE t deleted\nPUTNEW t deleted w\n", "ok\nok\n");
    life.watch(|| wire.ask("GET t gone") == "v");
    assert!(wire.ask("ADD t gone w").starts_with("added "));
    std::thread::sleep(Duration::from_millis(120));
    for (key, value) in [("written", "w"), ("touched", "v"), ("deleted", "w"), ("gone", "w")] {
        assert_eq!(wire.ask(&format!("GET t {key}")), value, "{key}");
        assert_eq!(wire.ask(&format!("TTL t {key}")), "never", "{key}");
    }
}

#[test]
fn what_has_expired_is_gone_for_writes_too() {
    let server = with_tables();
    let mut wire = server.connect();
    wire.exchange("CREATE one MAXENTRIES 1\n", "created\n");
    let first = expired(&mut wire, "one");
    let added = wire.ask("ADD one other w");
    assert!(added.starts_with("added "), "an expired entry counts against a quota: {added}");
    wire.exchange("DELETE one other\n", "ok\n");
    for command in ["CAS one k V w", "TOUCH one k 1000", "TOUCH one k 1000 V", "DELETE one k V"] {
        assert_eq!(wire.ask(&command.replace('V', &first)), "nil", "{command}");
    }
    let added = wire.ask("ADD one k w");
    let second: u64 = added.strip_prefix("added ").expect("the key is free").parse().expect("V");
    assert!(second > first.parse().expect("V"), "{second} after {first}");
}

/// Writes `k` into `table`, waits until it has expired, and tells its version.
fn expired(wire: &mut Wire, table: &str) -> String {
    let mut version = String::new();
    let life = write(Duration::from_millis(10), || {
        let added = wire.ask(&format!("ADD {table} k v EXPIRE 10"));
        added.strip_prefix("added ").expect("the key is free").clone_into(&mut version);
    });
    life.watch(|| wire.ask(&format!("GET {table} k")) == "v");
    version
}

#[test]
fn versions_of_a_key_grow_whatever_becomes_of_it() {
    let server = with_tables();
    let (mut line, mut resp) = (server.connect(), server.connect());
    let mut last = 0;
    let mut grew = |answer: String| {
        let version = answer.rsplit(' ').next().and_then(|v| v.parse::<u64>().ok());
        let version = version.unwrap_or_else(|| panic!("no version in {answer}"));
        assert!(version > last, "{version} after {last}: {answer}");
        last = version;
    };
    for round in 0..50 {
        grew(line.ask("PUT t k v"));
        let reply = resp.call(&["PUT", "t", "k", "w"]);
        grew(format!("ok {}", reply.items()[1].integer()));
        if round % 2 == 0 {
            line.exchange("DELETE t k\n", "ok\n");
            grew(line.ask("ADD t k v"));
        }
        if round % 10 == 0 {
            line.exchange("DROP t\nCREATE t\n", "dropped\ncreated\n");
            grew(line.ask("ADD t k v EXPIRE 1"));
            while line.ask("GET t k") == "v" {}
            grew(line.ask("ADD t k v"));
        }
    }
    drop(server);
    let server = with_tables();
    grew(server.connect().ask("ADD t k v"));
}
