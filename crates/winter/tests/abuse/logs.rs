//! A log whose reader is gone, or hangs, and clients who would fill it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use winter_testkit::{Server, Wire, eventually, metric};

use crate::drain::greedy;
use crate::watch::{answers, http};
use crate::winter;

/// Bytes that are no commands: at the level debug, two lines of the log.
fn is_refused(server: &Server) {
    let mut wire = server.connect();
    wire.send("\x16\x03\x01");
    let _ = wire.read_to_end();
}

fn lines_lost(server: &Server) -> u64 {
    metric(&http(server, "/metrics").1, "winter_log_lines_lost_total").unwrap()
}

/// Of how many other lines a line of the log tells.
fn left_out(line: &str) -> u64 {
    let rest = line.split_once(r#""lines":"#).map(|(_, rest)| rest);
    rest.map_or(0, |rest| rest.split_once(',').unwrap().0.parse().unwrap())
}

/// A server whose log stands still, and has lost lines.
fn blocked() -> Server {
    let server = winter().set("WINTER_LOG", "debug").set("WINTER_DRAIN_TIMEOUT", "60m").start();
    server.leave_log_unread();
    eventually("lines are lost", || {
        (0..100).for_each(|_| is_refused(&server));
        (lines_lost(&server) > 0).then_some(())
    });
    server
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let mut server = blocked();
    answers(&server);
    for path in ["/livez", "/readyz"] {
        assert_eq!(http(&server, path).0, "HTTP/1.1 200 OK");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once_whoever_reads_the_log() {
    let mut server = blocked();
    let unread = greedy(&server);
    server.signal(Signal::TERM);
    eventually("it drains", || http(&server, "/readyz").1.contains("draining").then_some(()));
    assert!(server.is_running());
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(143));
    drop(unread);
}

#[test]
fn a_log_that_is_read_again_says_what_it_lost_and_ends_whole() {
    let mut server = blocked();
    server.read_log_on();
    eventually("it tells", || {
        let told = |line: &String| line.contains("lines of the log were lost");
        server.log().iter().any(told).then_some(())
    });
    let lost = lines_lost(&server);
    answers(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    eventually("the last line comes", || {
        server.log().last().filter(|line| line.contains("winter has stopped")).map(drop)
    });
    let told: u64 = server.log().iter().map(|line| left_out(line)).sum();
    assert_eq!(told, lost, "each of them is told once");
}

#[test]
fn a_client_that_makes_and_drops_tables_does_not_fill_the_log() {
    const PAIRS: u64 = 2_000;
    let server = winter().start();
    let mut wire = server.connect();
    for _ in 0..PAIRS {
        wire.exchange("CREATE t\nDROP t\n", "created\ndropped\n");
    }
    let told = |line: &String| u64::from(line.contains("a table was ")) + left_out(line);
    eventually("each is told, or how many more there were", || {
        (server.log().iter().map(told).sum::<u64>() == 2 * PAIRS).then_some(())
    });
    let lines = server.log().len();
    assert!(lines < 500, "{lines} lines");
}

#[test]
fn a_log_that_nobody_reads_any_more_is_no_reason_to_fail() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_winter"))
        .env_clear()
        .envs([("RECEPTOR_PORT", "0"), ("WINTER_HTTP_PORT", "0"), ("WINTER_LOG", "debug")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address: SocketAddr = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        if let Some((_, address)) = line.split_once(r#""address":""#) {
            break address.split('"').next().unwrap().parse().unwrap();
        }
    };
    drop(log);
    let mut wire = Wire::connect(address);
    // Each of these is logged, or would be.
    wire.exchange("CREATE t\nDROP t\nCREATE t\nPUTNEW t k v\n", "created\ndropped\ncreated\nok\n");
    Wire::connect(address).send("\x16\x03\x01");
    wire.exchange("GET t k\n", "v\n");
    child.kill().unwrap();
    child.wait().unwrap();
}
