//! Loads against servers that behave, and against servers that do not.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use winter_bench::load::{self, KeyChoice, LoadError, LoadPlan};
use winter_bench::wire::{Dialect, Operation};

/// A server that answers every line with what `reply` makes of it, until that is nothing: then it
/// hangs up. Sessions end with their clients.
fn server(reply: fn(&str) -> Option<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
    let address = listener.local_addr().expect("a bound socket has an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            thread::spawn(move || session(&stream, reply));
        }
    });
    address
}

fn session(mut stream: &TcpStream, reply: fn(&str) -> Option<Vec<u8>>) {
    for line in BufReader::new(stream).lines() {
        let Some(reply) = line.ok().and_then(|line| reply(&line)) else { return };
        // A byte at a time: replies are cut wherever they can be.
        for byte in reply {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
        }
    }
}

fn plan(target: SocketAddr, operation: Operation) -> LoadPlan {
    LoadPlan {
        connections: 3,
        depth: 4,
        value_len: 5,
        requests_max: Some(50),
        ..LoadPlan::new(target, Dialect::WinterLine, operation)
    }
}

#[test]
fn every_request_is_answered_and_counted() {
    let address = server(|line| match line.split(' ').next() {
        Some("GET") => Some(b"xxxxx\n".to_vec()),
        _ => Some(b"ok\n".to_vec()),
    });
    let report = load::run(&plan(address, Operation::Get)).unwrap().check().unwrap();
    assert_eq!((report.requests, report.hits, report.stored), (50, 50, 0));
    assert_eq!(report.latency.len(), 13, "twelve batches of four and one of two");
    let report = load::run(&plan(address, Operation::PutNew)).unwrap().check().unwrap();
    assert_eq!((report.requests, report.hits, report.stored), (50, 0, 50));
}

#[test]
fn sequential_keys_are_those_that_were_asked_for() {
    let address = server(|line| {
        let known =
            (7..57).any(|number| line.as_bytes().ends_with(&winter_bench::keys::key(number)));
        Some(if known { b"xxxxx\n".to_vec() } else { b"nil\n".to_vec() })
    });
    let choose = |keys| LoadPlan { keys, ..plan(address, Operation::Get) };
    let report = load::run(&choose(KeyChoice::Sequential { first: 7 })).unwrap();
    assert_eq!((report.hits, report.misses), (50, 0));
    let report = load::run(&choose(KeyChoice::Sequential { first: 57 })).unwrap();
    assert_eq!((report.hits, report.misses), (0, 50));
}

#[test]
fn errors_are_counted_and_fail_the_check() {
    let address = server(|_| Some(b"error memory: full\n".to_vec()));
    let report = load::run(&plan(address, Operation::PutNew)).unwrap();
    assert_eq!((report.requests, report.errors), (50, 50));
    let error = report.check().unwrap_err();
    assert_eq!(error.to_string(), "50 error replies, the first: error memory: full");
}

#[test]
fn a_reply_to_something_else_ends_the_load() {
    let address = server(|_| Some(b"xxxxxx\n".to_vec()));
    let error = load::run(&plan(address, Operation::Get)).unwrap_err();
    assert!(matches!(error, LoadError::Unexpected(_)), "{error}");
}

#[test]
fn bytes_that_no_request_asked_for_end_the_load() {
    let address = server(|_| Some(b"ok\nwhat?\n".to_vec()));
    let error = load::run(&plan(address, Operation::PutNew)).unwrap_err();
    assert!(matches!(error, LoadError::Unexpected(_)), "{error}");
}

#[test]
fn a_server_that_hangs_up_ends_the_load() {
    let address = server(|_| None);
    let error = load::run(&plan(address, Operation::Get)).unwrap_err();
    assert!(matches!(error, LoadError::Closed { .. } | LoadError::Io { .. }), "{error}");
}

#[test]
fn a_server_that_says_nothing_ends_the_load() {
    let address = server(|_| Some(Vec::new()));
    let patience = Duration::from_millis(100);
    let plan = LoadPlan { patience, ..plan(address, Operation::Get) };
    let error = load::run(&plan).unwrap_err();
    assert!(matches!(error, LoadError::Silent(_)), "{error}");
}

#[test]
fn a_plan_that_contradicts_itself_sends_nothing() {
    let plan = plan(([127, 0, 0, 1], 1).into(), Operation::Get);
    let error = load::run(&LoadPlan { depth: 0, ..plan }).unwrap_err();
    assert!(matches!(error, LoadError::Plan(_)), "{error}");
}
