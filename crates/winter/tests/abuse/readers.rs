//! Clients that ask and do not read what they are answered.

use std::io::Write;
use std::time::{Duration, Instant};

use winter_testkit::{Server, Wire, eventually, request};

use crate::watch::{alone, info, processor_time, resident_bytes, unsent_ends};
use crate::winter;

/// Sends as many bytes as the server takes without reading any; whether all were taken.
fn send_blindly(wire: &Wire, bytes: &[u8]) -> bool {
    wire.stream().set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    wire.stream().write_all(bytes).is_ok()
}

#[test]
fn replies_that_nobody_reads_take_little_memory_and_then_the_connection_is_closed() {
    let server = winter().set("WINTER_WRITE_TIMEOUT", "2s").start();
    let mut other = server.connect();
    other.exchange("CREATE t\n", "created\n");
    other.exchange(format!("PUTNEW t big {}\n", "x".repeat(1 << 20)), "ok\n");
    other.exchange("PUTNEW t k v\n", "ok\n");
    let before = resident_bytes(&server);
    let mut greedy: Vec<_> = (0..4).map(|_| server.connect()).collect();
    // Half of them leave nothing behind that the server has not read.
    for (wire, count) in greedy.iter().zip([4_000, 50, 4_000, 50]) {
        send_blindly(wire, &b"GET t big\n".repeat(count));
    }
    // They were promised 8 GB; the others are served as if they were not there.
    for _ in 0..500 {
        other.exchange("GET t k\n", "v\n");
    }
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 4 * (8 << 20), "{grown} bytes for 4 clients");
    assert_eq!(info(&mut other, "connected_clients"), 5);
    alone(&mut other);
    eventually("the system has let their replies go", || (unsent_ends(&server) == 0).then_some(()));
    for wire in &mut greedy {
        // What the system had taken in still comes; then it ends.
        let came = wire.read_to_end();
        assert!(came.len() < 64 << 20, "{} bytes", came.len());
    }
    assert!(info(&mut other, "used_memory_buffers") < 64 << 10);
}

/// Waiting costs nothing: not for clients that do not read, nor for such as have
/// said all that they will say, nor for halves of commands.
#[test]
fn whoever_is_waited_for_takes_no_processor_time() {
    const SPAN: Duration = Duration::from_millis(1_500);
    let server = ["WINTER_WRITE_TIMEOUT", "WINTER_REQUEST_TIMEOUT", "WINTER_DRAIN_TIMEOUT"]
        .into_iter()
        .fold(winter(), |server, wait| server.set(wait, "60m"))
        .start();
    let mut first = server.connect();
    first.exchange("CREATE t\n", "created\n");
    first.exchange(format!("PUTNEW t big {}\n", "x".repeat(1 << 20)), "ok\n");
    let wires: Vec<_> = (0..8).map(|_| server.connect()).collect();
    let scraper = std::net::TcpStream::connect(server.http()).unwrap();
    for (n, wire) in wires.iter().enumerate() {
        match n % 4 {
            // More than the server and the system take in, and less.
            0 => send_blindly(wire, &b"GET t big\n".repeat(2_000_000)),
            1 => send_blindly(wire, &b"GET t big\n".repeat(50)),
            2 => send_blindly(wire, b"*2\r\n$3\r\nGET\r\n$100\r\n"),
            _ => send_blindly(wire, b"PUT t k half a li"),
        };
        if n >= 4 && n % 4 < 2 {
            wire.stream().shutdown(std::net::Shutdown::Write).unwrap();
        }
    }
    scraper.shutdown(std::net::Shutdown::Write).unwrap();
    let is_quiet = |server: &Server| {
        let (before, began) = (processor_time(server), Instant::now());
        std::thread::sleep(SPAN);
        // One thread that spins takes all of the span, and all of a longer one.
        (processor_time(server) - before) * 4 < began.elapsed()
    };
    eventually("it waits", || is_quiet(&server).then_some(()));
    assert_eq!(info(&mut first, "connected_clients"), 9);
    server.signal(rustix::process::Signal::TERM);
    eventually("it waits while it drains", || is_quiet(&server).then_some(()));
    drop(wires);
}

#[test]
fn a_client_that_is_slow_but_reads_gets_everything() {
    let server = winter().set("WINTER_WRITE_TIMEOUT", "10s").start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    let data = "x".repeat(256 << 10);
    wire.exchange(format!("PUTNEW t big {data}\n"), "ok\n");
    wire.send("GET t big\n".repeat(100));
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(2));
        wire.expect(format!("{data}\n"));
    }
    wire.exchange("PING\n", "pong\n");
}

#[test]
fn one_reply_past_the_limit_of_unread_replies_ends_the_session() {
    let server = winter().set("WINTER_MAX_OUTPUT", "64kb").start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    wire.exchange(format!("PUTNEW t big {}\n", "x".repeat(12 << 20)), "ok\n");
    wire.send("GET t big\n".repeat(4));
    let came = wire.read_to_end().len();
    assert!(came < 4 * (12 << 20), "{came}");
    server.connect().exchange("PING\n", "pong\n");
}

#[test]
fn all_unread_replies_together_are_bounded() {
    // Half of the limit is for buffers when it is small: 16 MiB.
    let server = winter().set("WINTER_MAX_MEMORY", "32mb").start();
    let mut other = server.connect();
    other.exchange("CREATE t\n", "created\n");
    other.exchange(format!("PUTNEW t big {}\n", "x".repeat(8 << 20)), "ok\n");
    let greedy: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for wire in &greedy {
        send_blindly(wire, &b"GET t big\n".repeat(20));
    }
    let mut peak = 0;
    eventually("some are dropped", || {
        peak = peak.max(info(&mut other, "used_memory_buffers"));
        (info(&mut other, "connected_clients") < 13).then_some(())
    });
    assert!(peak < 48 << 20, "{peak}");
    drop(greedy);
    alone(&mut other);
    other.exchange("PUTNEW t k v\nGET t k\n", "ok\nv\n");
}

#[test]
fn all_halves_of_commands_together_are_bounded() {
    let server = winter().set("WINTER_MAX_MEMORY", "32mb").start();
    let mut other = server.connect();
    let head = b"*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n$16000000\r\n";
    let mut halves: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for wire in &halves {
        send_blindly(wire, head);
        send_blindly(wire, &vec![b'x'; 4 << 20]);
    }
    let mut peak = 0;
    eventually("some are refused", || {
        peak = peak.max(info(&mut other, "used_memory_buffers"));
        (info(&mut other, "connected_clients") < 13).then_some(())
    });
    assert!(peak < 48 << 20, "{peak}");
    let mut told = 0;
    for wire in &mut halves {
        let _ = wire.stream().shutdown(std::net::Shutdown::Write);
        let said = String::from_utf8_lossy(&wire.read_to_end()).into_owned();
        assert!(said.is_empty() || said.starts_with("-OOM "), "{said}");
        told += usize::from(!said.is_empty());
    }
    assert!(told > 0);
    alone(&mut other);
    assert!(info(&mut other, "used_memory_buffers") < 64 << 10);
}

#[test]
fn the_room_of_a_long_command_does_not_stay_for_the_first_bytes_of_the_next() {
    let server = winter().set("WINTER_REQUEST_TIMEOUT", "60s").start();
    let mut other = server.connect();
    other.exchange("CREATE t\n", "created\n");
    let crowd: Vec<_> = (0..8)
        .map(|n| {
            let mut wire = server.connect();
            wire.send(format!("PUT t k{n} {}\nGET t", "x".repeat(4 << 20)));
            assert!(wire.read_line().starts_with("ok "));
            wire
        })
        .collect();
    let buffers = info(&mut other, "used_memory_buffers");
    assert!(buffers < 8 * (128 << 10), "{buffers}");
    drop(crowd);
}

/// Clients that ask for what is long and do not read, as many as there is room for.
fn fill_buffers(server: &Server) -> Vec<Wire> {
    let mut other = server.connect();
    let mut greedy = Vec::new();
    eventually("the buffers are full", || {
        let wire = server.connect();
        send_blindly(&wire, &b"GET t big\n".repeat(20));
        greedy.push(wire);
        (info(&mut other, "used_memory_buffers") > 16 << 20).then(|| std::mem::take(&mut greedy))
    })
}

#[test]
fn those_who_do_not_read_make_room_for_those_who_do() {
    // Half of the limit is for buffers when it is small: 16 MiB. Nobody waits for the hour
    // that clients are given when there is room.
    let mut server = winter();
    for wait in ["WINTER_WRITE_TIMEOUT", "WINTER_REQUEST_TIMEOUT"] {
        server = server.set(wait, "60m");
    }
    let server = server.set("WINTER_MAX_MEMORY", "32mb").start();
    let mut other = server.connect();
    other.exchange("CREATE t\n", "created\n");
    // The system takes in half of it.
    let big = "x".repeat(8 << 20);
    other.exchange(format!("PUTNEW t big {big}\n"), "ok\n");
    other.exchange("PUTNEW t k v\n", "ok\n");
    let greedy = fill_buffers(&server);
    // What is short does not wait, and what is long waits for a moment.
    other.exchange("GET t k\n", "v\n");
    other.exchange("GET t big\n", format!("{big}\n"));
    let greedier = fill_buffers(&server);
    // What is muted does not wait, and stays muted.
    let words = ["CLIENT REPLY SKIP", "GET t big", "GET t k"];
    let pipeline = words.map(|words| request(&words.split(' ').collect::<Vec<_>>())).concat();
    server.connect().exchange(pipeline, "$1\r\nv\r\n");
    other.exchange(format!("PUTNEW t long {}\n", "x".repeat(1 << 20)), "ok\n");
    drop((greedy, greedier));
    alone(&mut other);
    assert!(info(&mut other, "used_memory_buffers") < 64 << 10);
}

#[test]
fn those_who_do_not_go_on_make_room_for_those_who_do() {
    let server =
        winter().set("WINTER_REQUEST_TIMEOUT", "60m").set("WINTER_MAX_MEMORY", "32mb").start();
    let mut other = server.connect();
    other.exchange("CREATE t\n", "created\n");
    let halves: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for wire in &halves {
        send_blindly(wire, b"*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n$8000000\r\n");
        send_blindly(wire, &vec![b'x'; 4 << 20]);
    }
    eventually("the buffers are full", || {
        (info(&mut other, "used_memory_buffers") > 16 << 20).then_some(())
    });
    let data = "x".repeat(1 << 20);
    other.exchange("PUTNEW t k v\n", "ok\n");
    other.exchange(format!("PUTNEW t long {data}\n"), "ok\n");
    other.exchange("GET t long\n", format!("{data}\n"));
    drop(halves);
    alone(&mut other);
}

#[test]
fn those_who_send_much_at_once_are_all_taken_in() {
    const CLIENTS: usize = 12;
    // Half of the limit is for buffers: room for eight such commands when they are half in.
    let server = winter().set("WINTER_MAX_MEMORY", "64mb").start();
    server.connect().exchange("CREATE t\n", "created\n");
    let command = format!("PUT t k {}\n", "x".repeat(3 << 20));
    let mut wires: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    // All are half in before any is whole.
    for wire in &mut wires {
        wire.send(&command[..2 << 20]);
    }
    std::thread::scope(|scope| {
        for wire in &mut wires {
            scope.spawn(|| {
                wire.send(&command[2 << 20..]);
                assert!(wire.read_line().starts_with("ok "));
            });
        }
    });
}
