//! What an operator is told of what clients do, and what not.

use std::io::Write;
use std::time::Duration;

use rustix::process::Signal;
use winter_testkit::{Server, eventually, metric};

use crate::drain::greedy;
use crate::watch::{alone, fill, http};
use crate::winter;

/// The value of a metric, with its labels.
#[track_caller]
fn counted(server: &Server, name: &str) -> u64 {
    let (_, page) = http(server, "/metrics");
    metric(&page, name).unwrap_or_else(|| panic!("no {name} in {page}"))
}

/// How many lines of the server's log hold all of `words`.
fn lines_with(server: &Server, words: &[&str]) -> usize {
    server.log().iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[test]
fn slow_commands_are_logged_and_counted() {
    const SCAN: &str = "SCAN t 0 COUNT 10000";
    let slow = ["slow commands", "SCAN"];
    for threshold in ["1ms", "0"] {
        let server = winter().set("WINTER_SLOW_COMMAND", threshold).start();
        let mut wire = server.connect();
        wire.exchange("CREATE t\n", "created\n");
        fill(&mut wire, "t", 10_000, "v");
        let mut is_told = || {
            wire.ask_lines(SCAN);
            lines_with(&server, &slow) > 0
        };
        if threshold == "0" {
            assert!((0..200).all(|_| !is_told()));
            assert_eq!(counted(&server, "winter_slow_commands_total"), 0);
        } else {
            // However fast the machine is, one of many takes that long.
            eventually("it is logged", || is_told().then_some(()));
            assert!(counted(&server, "winter_slow_commands_total") > 0);
        }
    }
}

#[test]
fn no_key_no_value_and_no_command_is_logged() {
    for (level, grows) in [("info", false), ("trace", true)] {
        let server = winter().set("WINTER_LOG", level).set("WINTER_SLOW_COMMAND", "0").start();
        let mut wire = server.connect();
        wire.exchange("CREATE t MAXVALUE 100\n", "created\n");
        let before = server.log().len();
        for n in 0..1_000 {
            let key = format!("secretkey{n}");
            wire.exchange(
                format!("PUTNEW t {key} secretvalue\nGET t {key}\n"),
                "ok\nsecretvalue\n",
            );
            let too_long = format!("PUT t secretkey secretvalue{}", "x".repeat(100));
            assert!(wire.ask(&too_long).starts_with("error limit"));
            assert!(
                wire.ask("CAS t secretkey secretversion secretvalue").starts_with("error usage")
            );
        }
        server.connect().exchange(
            "*3\r\n$3\r\nGET\r\n$1\r\nt\r\n$9\r\nsecretkeysecretvalue",
            "-ERR Protocol error: a bulk string must end with CR LF\r\n",
        );
        drop(wire);
        alone(&mut server.connect());
        let after = server.log();
        assert!(grows || after.len() < before + 10, "{} lines", after.len() - before);
        let leaks: Vec<_> = after.iter().filter(|line| line.contains("secret")).collect();
        assert!(leaks.is_empty(), "{leaks:?}");
    }
}

/// The value of the metric that counts the ends of sessions for this reason.
#[track_caller]
fn ended(server: &Server, why: &str) -> u64 {
    counted(server, &format!("winter_sessions_ended_total{{reason=\"{why}\"}}"))
}

#[test]
fn every_end_of_a_session_is_counted_by_its_reason() {
    let server =
        winter().set("WINTER_WRITE_TIMEOUT", "300ms").set("WINTER_MAX_MEMORY", "32mb").start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    wire.exchange(format!("PUTNEW t big {}\n", "x".repeat(1 << 20)), "ok\n");
    let is_counted = |why: &str| {
        eventually(why, || (ended(&server, why) > 0).then_some(()));
    };
    for why in ["slow_reader", "broken", "memory"] {
        assert_eq!(ended(&server, why), 0, "{why}");
    }
    {
        let mut slow = server.connect();
        slow.send("GET t big\n".repeat(50));
        is_counted("slow_reader");
    }
    {
        let mut breaks = server.connect();
        breaks.exchange("PING\n", "pong\n");
        socket2::SockRef::from(breaks.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        drop(breaks);
        is_counted("broken");
    }
    {
        // Half of the limit is for buffers when it is small: 16 MiB.
        let halves: Vec<_> = (0..12).map(|_| server.connect()).collect();
        for half in &halves {
            let head = b"*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n$16000000\r\n";
            half.stream().set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            let _ = half.stream().write_all(&[&head[..], &vec![b'x'; 4 << 20]].concat());
        }
        is_counted("memory");
    }
}

#[test]
fn whom_a_drain_has_sent_away_is_counted() {
    let long = "60m";
    let server =
        winter().set("WINTER_DRAIN_TIMEOUT", long).set("WINTER_WRITE_TIMEOUT", long).start();
    // HTTP goes on for as long as somebody has to be waited for.
    let unread = greedy(&server);
    let mut idle: Vec<_> = (0..3).map(|_| server.connect()).collect();
    idle.iter_mut().for_each(|wire| wire.exchange("PING\n", "pong\n"));
    assert_eq!(ended(&server, "drain"), 0);
    server.signal(Signal::TERM);
    eventually("they are counted", || (ended(&server, "drain") == 3).then_some(()));
    drop(unread);
}

#[test]
fn whoever_is_turned_away_is_counted() {
    let server = winter()
        .set("WINTER_MAX_CONNECTIONS", 2)
        .set("WINTER_MAX_OUTPUT", "64kb")
        .set("WINTER_WRITE_TIMEOUT", "200ms")
        .start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    wire.exchange(format!("PUTNEW t big {}\n", "x".repeat(12 << 20)), "ok\n");
    let ended = |why: &str| ended(&server, why);
    let counted = |name: &str| counted(&server, name);
    assert_eq!(counted("winter_connections_refused_total"), 0);
    assert_eq!(counted("winter_protocol_errors_total"), 0);
    {
        let mut second = server.connect();
        second.exchange("PING\n", "pong\n");
        let told = server.connect().read_to_end();
        assert!(told.ends_with(b"\n"), "it is told why");
        eventually("the third is counted", || {
            (counted("winter_connections_refused_total") == 1).then_some(())
        });
        second.send("*1\r\n");
    }
    alone(&mut wire);
    server.connect().exchange("*1\r\n!", "-ERR Protocol error: expected '$', got '!'\r\n");
    eventually("the wrong byte is counted", || {
        (counted("winter_protocol_errors_total") == 1 && ended("protocol") == 1).then_some(())
    });
    alone(&mut wire);
    let mut greedy = server.connect();
    greedy.send("GET t big\n".repeat(4));
    assert!(greedy.read_to_end().len() < 4 * (12 << 20));
    eventually("the greedy one is counted", || (ended("output_limit") == 1).then_some(()));
    alone(&mut wire);
    server.connect().exchange("QUIT\n", "bye\n");
    eventually("who has quit is counted", || (ended("quit") == 1).then_some(()));
}
