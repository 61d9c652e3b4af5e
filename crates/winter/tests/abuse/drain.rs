//! Being told to stop: what was accepted is answered, and then it is over.

use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use winter_testkit::{DEADLINE, Server, Wire, eventually};

use crate::watch::{http, info, shout};
use crate::winter;

/// Waits for the end of the server, which must have been a clean one and have cut
/// off so many clients.
#[track_caller]
fn ended_having_cut_off(clients: usize, server: &mut Server) {
    let status = server.wait();
    assert_eq!(status.code(), Some(0), "{status}");
    let last = eventually("its last words are read", || {
        server.log().into_iter().find(|line| line.contains("winter has stopped"))
    });
    assert!(last.contains(&format!("\"cut_off\":{clients},")), "{last}");
}

#[track_caller]
fn ended_well(server: &mut Server) {
    ended_having_cut_off(0, server);
}

/// A client that asks for much and reads nothing: a drain has to wait for it.
pub(crate) fn greedy(server: &Server) -> Wire {
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    wire.exchange(format!("PUTNEW t big {}\n", "x".repeat(8 << 20)), "ok\n");
    wire.send("GET t big\n".repeat(8));
    wire
}

#[test]
fn what_was_accepted_is_answered_and_the_exit_is_clean() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = winter().start();
        let mut idle = server.connect();
        idle.exchange("CREATE t\n", "created\n");
        let mut busy: Vec<_> = (0..20).map(|_| server.connect()).collect();
        for (n, wire) in busy.iter_mut().enumerate() {
            wire.send(format!("PUTNEW t k{n} v\nGET t k{n}\n").repeat(200));
        }
        server.signal(signal);
        for wire in &mut busy {
            wire.expect("ok\nv\n".repeat(200));
            wire.expect_close();
        }
        idle.expect_close();
        ended_well(&mut server);
        assert!(TcpStream::connect_timeout(&server.address(), DEADLINE).is_err());
    }
}

/// A client has more unread than a session reads at once, and reads on only when one
/// that never pauses has been cut off.
#[test]
fn what_had_come_is_answered_however_long_it_takes() {
    let mut server = winter().set("WINTER_DRAIN_TIMEOUT", "60m").start();
    let mut slow = server.connect();
    let (big, text) = ("x".repeat(16 << 20), "x".repeat(1_000));
    slow.exchange(format!("CREATE t\nPUTNEW t big {big}\n"), "created\nok\n");
    let mut loud = server.connect();
    let shouting = std::thread::spawn(move || shout(&mut loud, || false));
    // Neither value fits into what the system holds of replies.
    slow.exchange("GET t big\n", "x");
    slow.send("GET t big\n".to_owned() + &format!("PING {text}\n").repeat(50));
    server.signal(Signal::TERM);
    slow.expect(format!("{}\n", &big[1..]));
    shouting.join().unwrap();
    slow.expect(format!("{big}\n") + &format!("{text}\n").repeat(50));
    slow.expect_close();
    ended_having_cut_off(1, &mut server);
}

#[test]
fn a_client_that_never_pauses_does_not_keep_the_node_from_stopping() {
    let mut server = winter().set("WINTER_DRAIN_TIMEOUT", "30s").start();
    let mut wire = server.connect();
    let before = info(&mut wire, "total_commands_processed");
    let mut loud = server.connect();
    let shouting = std::thread::spawn(move || shout(&mut loud, || false));
    eventually("it shouts", || {
        (info(&mut wire, "total_commands_processed") > before + 5_000).then_some(())
    });
    server.signal(Signal::TERM);
    // Well within the drain's time: the kit's deadline is less.
    ended_having_cut_off(1, &mut server);
    shouting.join().unwrap();
}

/// None of it is answered: a half that were taken for a whole would be.
#[test]
fn half_a_command_holds_nothing_up_and_is_not_done() {
    let mut server =
        winter().set("WINTER_REQUEST_TIMEOUT", "60m").set("WINTER_DRAIN_TIMEOUT", "60m").start();
    let mut observer = server.connect();
    observer.exchange("CREATE t\n", "created\n");
    let halves = [
        b"PUT t line half".to_vec(),
        b"PUT t line whole?\r".to_vec(),
        b"*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n$4\r\nhalf".to_vec(),
        b"*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n$4\r\nhalf\r".to_vec(),
        // Longer than a session reads at once, and past what is held of it.
        [b"PUT t long ", &[b'x'; 200_000][..]].concat(),
        [b"*2\r\n$4\r\nECHO\r\n$100000000\r\n", &[b'x'; 200_000][..]].concat(),
    ];
    let mut wires: Vec<_> = halves.iter().map(|_| server.connect()).collect();
    for (wire, half) in wires.iter_mut().zip(&halves) {
        wire.send(half);
    }
    let sent: usize = halves.iter().map(Vec::len).sum();
    eventually("all of it has come", || {
        (info(&mut observer, "total_net_input_bytes") >= sent as u64).then_some(())
    });
    server.signal(Signal::TERM);
    ended_well(&mut server);
    for (wire, half) in wires.iter_mut().zip(&halves) {
        let came = wire.read_to_end();
        let is_refusal = came.starts_with(b"-ERR ") && half.len() > 1_000;
        assert!(came.is_empty() || is_refusal, "{}", came.escape_ascii());
    }
}

#[test]
fn a_draining_node_is_alive_not_ready_and_takes_nobody_in() {
    let mut server = winter().set("WINTER_DRAIN_TIMEOUT", "3s").start();
    assert_eq!(http(&server, "/readyz").0, "HTTP/1.1 200 OK");
    let unread = greedy(&server);
    server.signal(Signal::TERM);
    eventually("it is not ready", || {
        let (status, body) = http(&server, "/readyz");
        (status.contains("503") && body.contains("draining")).then_some(())
    });
    assert_eq!(http(&server, "/livez").0, "HTTP/1.1 200 OK");
    // Whoever had connected until now is served yet.
    eventually("it takes nobody in", || {
        let closed = "no connection is accepted any more";
        server.log().iter().any(|line| line.contains(closed)).then_some(())
    });
    // The system still completes connections; nobody is served on one.
    if let Ok(late) = TcpStream::connect_timeout(&server.address(), Duration::from_secs(1)) {
        let _ = std::io::Write::write_all(&mut &late, b"PING\n");
        late.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut buffer = [0; 64];
        assert!(!matches!(std::io::Read::read(&mut &late, &mut buffer), Ok(1..)));
    }
    ended_having_cut_off(1, &mut server);
    drop(unread);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (second, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut server = winter().set("WINTER_DRAIN_TIMEOUT", "60m").start();
        let unread = greedy(&server);
        server.signal(Signal::TERM);
        eventually("it drains", || {
            server.log().iter().any(|line| line.contains("draining")).then_some(())
        });
        assert!(server.is_running());
        server.signal(second);
        assert_eq!(server.wait().code(), Some(status));
        drop(unread);
    }
}
