//! What an operator is told of what clients do, and what not.

use winter_testkit::{Server, eventually, metric};

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
    for (threshold, is_told) in [("1ms", true), ("0", false)] {
        let server = winter().set("WINTER_SLOW_COMMAND", threshold).start();
        let mut wire = server.connect();
        wire.exchange("CREATE t\n", "created\n");
        fill(&mut wire, "t", 10_000, "v");
        let told = || lines_with(&server, &slow) > 0;
        // However fast the machine is, one of many takes that long.
        let is_seen = (0..200).any(|_| {
            wire.ask_lines(SCAN);
            counted(&server, "winter_slow_commands_total") > 0
        });
        assert_eq!(is_seen, is_told, "{threshold}");
        if is_told {
            eventually("it is logged", || told().then_some(()));
        }
        assert_eq!(told(), is_told, "{threshold}");
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
    let ended =
        |why: &str| counted(&server, &format!("winter_sessions_ended_total{{reason=\"{why}\"}}"));
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
