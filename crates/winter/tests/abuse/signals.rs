//! Signals, a stalled machine, and curious scrapers.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use winter_testkit::{DEADLINE, eventually};

use crate::watch::{answers, http, is_stopped};
use crate::winter;

#[test]
fn signals_that_do_not_ask_to_stop_do_not() {
    let mut server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\nPUTNEW t k v\n", "created\nok\n");
    for signal in [
        Signal::PIPE,
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::XFSZ,
        Signal::CHILD,
        Signal::WINCH,
    ] {
        server.signal(signal);
        wire.exchange("GET t k\n", "v\n");
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(server.is_running());
    answers(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_pause_of_the_whole_process_loses_nothing() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\nPUTNEW t k v\nPUTNEW t short v EXPIRE 200\n", "created\nok\nok\n");
    server.signal(Signal::STOP);
    eventually("every thread stands still", || is_stopped(&server).then_some(()));
    wire.send("GET t k\nGET t short\n");
    std::thread::sleep(Duration::from_millis(600));
    server.signal(Signal::CONT);
    wire.expect("v\nnil\n");
    answers(&server);
}

#[test]
fn no_word_of_a_client_becomes_a_label() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    for n in 0..500 {
        wire.exchange(format!("PUTNEW t key-of-a-user-{n} v\n"), "ok\n");
        let _ = wire.ask(&format!("WORD-OF-A-USER-{n} x"));
        let _ = wire.ask(&format!("GET table-of-a-user-{n} x"));
    }
    let first = http(&server, "/metrics").1;
    assert!(!first.contains("of-a-user") && !first.contains("OF-A-USER"), "{first}");
    for _ in 0..100 {
        assert_eq!(http(&server, "/metrics").0, "HTTP/1.1 200 OK");
    }
    assert!(http(&server, "/metrics").1.lines().count() <= first.lines().count() + 50);
}

#[test]
fn scrapers_that_do_not_read_or_finish_are_let_go() {
    let server = winter().start();
    let connect = || TcpStream::connect_timeout(&server.http(), DEADLINE).unwrap();
    // More than HTTP may have: the oldest give way to those that come.
    let mut slow: Vec<_> = (0..200).map(|_| connect()).collect();
    for (n, stream) in slow.iter_mut().enumerate() {
        let part: &[u8] = if n % 2 == 0 {
            b"GET /metrics HTT"
        } else {
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        };
        let _ = stream.write_all(part);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(http(&server, path).0, "HTTP/1.1 200 OK");
    }
    answers(&server);
    let mut oldest = slow.swap_remove(0);
    oldest.set_read_timeout(Some(DEADLINE)).unwrap();
    let end = oldest.read(&mut [0; 64]).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
}
