//! Many connections: idle, half open, slow, reset, and one too many.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::{SockRef, Socket};
use winter_testkit::{DEADLINE, Server, eventually, metric};

use crate::watch::{alone, answers, http, info, open_files, resident_bytes, socket_of};
use crate::winter;

/// Lets this process hold as many connections as the tests here need.
fn many_files() {
    let got = rlimit::increase_nofile_limit(16_384).unwrap();
    assert!(got >= 8_192, "these tests need 8,192 open files; the system gives {got}");
}

/// A connection without the kit's deadlines: there are many of them.
fn plain(server: &Server) -> TcpStream {
    let stream = TcpStream::connect_timeout(&server.address(), DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Ends a connection with a reset instead of a goodbye.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Waits until the server has no more files open than `before`.
fn files_are_back(server: &Server, before: usize) {
    eventually("the files are closed", || (open_files(server) <= before).then_some(()));
}

#[test]
fn idle_connections_by_the_thousand_cost_little_and_their_files_come_back() {
    many_files();
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("PING\n", "pong\n");
    let (files, resident) = (open_files(&server), resident_bytes(&server));
    let mut idle: Vec<_> = (0..3_000).map(|_| plain(&server)).collect();
    // A third has spoken, and a third has said that it will say no more.
    for stream in idle.iter_mut().skip(1).step_by(3) {
        stream.write_all(b"PING\n").unwrap();
    }
    eventually("all are open", || (info(&mut wire, "connected_clients") == 3_001).then_some(()));
    let grown = resident_bytes(&server).saturating_sub(resident);
    // Ten thousand take less than 100 MB.
    assert!(grown < 3_000 * 10_000, "{} bytes a connection", grown / 3_000);
    for stream in idle.iter().step_by(3) {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    eventually("half closed is closed", || {
        (info(&mut wire, "connected_clients") == 2_001).then_some(())
    });
    idle.into_iter().for_each(reset);
    alone(&mut wire);
    files_are_back(&server, files);
}

#[test]
fn announcing_a_huge_value_takes_no_memory_and_does_not_hold_a_connection() {
    const EACH: usize = 1 << 10;
    many_files();
    let server = winter().set("WINTER_REQUEST_TIMEOUT", "3s").start();
    let mut wire = server.connect();
    wire.exchange("PING\n", "pong\n");
    let (files, resident) = (open_files(&server), resident_bytes(&server));
    let announcement = b"*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n$16777216\r\n";
    let mut crowd: Vec<_> = (0..500)
        .map(|_| {
            let mut stream = plain(&server);
            stream.write_all(announcement).unwrap();
            stream.write_all(&[b'x'; EACH]).unwrap();
            stream
        })
        .collect();
    eventually("all have announced", || {
        (info(&mut wire, "used_memory_buffers") >= 500 * EACH as u64).then_some(())
    });
    let grown = resident_bytes(&server).saturating_sub(resident);
    assert!(grown < 500 * (16 << 10), "{} bytes a connection", grown / 500);
    for stream in &mut crowd {
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("-ERR Protocol error: a command took longer"), "{said}");
    }
    alone(&mut wire);
    drop(crowd);
    files_are_back(&server, files);
    assert!(info(&mut wire, "used_memory_buffers") < 64 << 10);
}

#[test]
fn commands_that_do_not_come_to_an_end_are_closed_and_the_idle_are_not() {
    let server = winter().set("WINTER_REQUEST_TIMEOUT", "300ms").start();
    let mut idle = server.connect();
    idle.exchange("PING\n", "pong\n");
    let silent = server.connect();
    let mut drips: Vec<_> = (0..300).map(|_| plain(&server)).collect();
    let halves: [&[u8]; 4] =
        [b"PUT t k half", b"*2\r\n$4\r\nECHO\r\n$3\r\nab", b"*", b"*2\r\n$4\r\nEC"];
    for (stream, half) in drips.iter_mut().zip(halves.iter().cycle()) {
        stream.write_all(half).unwrap();
    }
    // One of them drips on; that is no progress.
    let mut dripping = server.connect();
    dripping.send("GET ");
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(10));
        if dripping.stream().write_all(b"x").is_err() {
            break;
        }
    }
    assert!(dripping.read_to_end().starts_with(b"error protocol: a command took longer"));
    for stream in &mut drips {
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains("a command took longer than 300ms"), "{said}");
    }
    // So is one that falls silent in a value past the limit, which is dropped as it comes.
    let mut oversized = server.connect();
    oversized.send("*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n$536870912\r\nxx");
    let said = String::from_utf8(oversized.read_to_end()).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    idle.exchange("PING\n", "pong\n");
    drop(silent);
}

#[test]
fn one_client_too_many_is_told_and_closed() {
    let server = winter().set("WINTER_MAX_CONNECTIONS", 40).start();
    let mut crowd: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for wire in &mut crowd {
        wire.exchange("PING\n", "pong\n");
    }
    for _ in 0..60 {
        let mut wire = server.connect();
        assert_eq!(wire.read_to_end(), b"-ERR max number of clients reached\r\n");
    }
    // Probes have files of their own.
    assert_eq!(http(&server, "/livez").0, "HTTP/1.1 200 OK");
    for wire in &mut crowd {
        wire.exchange("PING\n", "pong\n");
    }
    drop(crowd.pop());
    eventually("there is room for one", || {
        let mut wire = server.connect();
        wire.send("PING\n");
        (wire.read_line() == "pong").then_some(())
    });
}

#[test]
fn a_server_out_of_files_waits_and_recovers() {
    many_files();
    let binary = env!("CARGO_BIN_EXE_winter");
    let script = format!("ulimit -n 40; exec {binary}");
    let mut server = Server::of("/bin/sh").argument("-c").argument(&script).start();
    let mut first = server.connect();
    first.exchange("CREATE t\n", "created\n");
    let free = 40 - open_files(&server);
    // HTTP's connections are no clients, so they can take every file.
    let hogs: Vec<_> = (0..free + 8)
        .map(|_| TcpStream::connect_timeout(&server.http(), DEADLINE).unwrap())
        .collect();
    let crowd: Vec<_> = (0..100).map(|_| plain(&server)).collect();
    first.exchange("PUTNEW t k v\nGET t k\n", "ok\nv\n");
    std::thread::sleep(Duration::from_millis(500));
    assert!(server.is_running());
    let complaints =
        server.log().iter().filter(|line| line.contains("no connection can be accepted")).count();
    assert!(complaints < 10, "{complaints} lines of the log in half a second");
    drop((hogs, crowd));
    eventually("it accepts again", || {
        let mut wire = server.connect();
        wire.send("GET t k\n");
        (wire.read_line() == "v").then_some(())
    });
    assert_eq!(http(&server, "/livez").0, "HTTP/1.1 200 OK");
    let errors = metric(&http(&server, "/metrics").1, "winter_accept_errors_total");
    assert!(errors > Some(0), "{errors:?}");
}

#[test]
fn where_files_are_few_so_are_connections_and_it_is_said() {
    let binary = env!("CARGO_BIN_EXE_winter");
    let script = format!("ulimit -n 100; exec {binary}");
    let server = Server::of("/bin/sh").argument("-c").argument(&script).start();
    assert!(server.log().iter().any(|line| line.contains("fewer files may be open")));
    let crowd: Vec<_> = (0..150).map(|_| plain(&server)).collect();
    let refused = eventually("the surplus is refused", || {
        let mut wire = server.connect();
        let said = wire.read_to_end();
        (!said.is_empty()).then_some(said)
    });
    assert_eq!(refused, b"-ERR max number of clients reached\r\n");
    assert_eq!(http(&server, "/readyz").0, "HTTP/1.1 200 OK");
    drop(crowd);
}

/// A peer that vanishes says no goodbye: its machine lost its power, or a wire was cut.
/// The system finds out, when it was told to look.
#[test]
fn whoever_vanishes_is_missed_after_a_minute() {
    const MINUTE: Option<Duration> = Some(Duration::from_mins(1));
    let server = winter().start();
    let client = plain(&server);
    let scraper = TcpStream::connect_timeout(&server.http(), DEADLINE).unwrap();
    for peer in [&client, &scraper] {
        let is_told = |socket: &Socket| socket.tcp_user_timeout().unwrap() == MINUTE;
        let look = || socket_of(&server, peer).filter(is_told);
        let socket = eventually("one with unread replies is looked after", look);
        assert!(socket.keepalive().unwrap(), "so is an idle one");
        assert_eq!(Some(socket.tcp_keepalive_time().unwrap()), MINUTE);
        assert!(socket.tcp_keepalive_interval().unwrap() < MINUTE.unwrap());
    }
}

#[test]
fn a_storm_of_resets_leaves_nothing_behind() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\nPUTNEW t k v\n", "created\nok\n");
    let (files, resident) = (open_files(&server), resident_bytes(&server));
    for round in 0..3_000 {
        let mut stream = plain(&server);
        match round % 4 {
            0 => {}
            1 => stream.write_all(b"GET t k\n").unwrap(),
            2 => stream.write_all(&b"GET t k\n".repeat(100)).unwrap(),
            _ => stream.write_all(b"*2\r\n$4\r\nECHO\r\n$10000\r\nhalf").unwrap(),
        }
        reset(stream);
    }
    alone(&mut wire);
    files_are_back(&server, files);
    assert!(resident_bytes(&server) < resident + (32 << 20));
    assert!(info(&mut wire, "used_memory_buffers") < 64 << 10);
    answers(&server);
}

#[test]
fn replies_of_a_broken_connection_reach_nobody_else() {
    // One thread, so that all sessions share its buffers.
    let server = winter().set("WINTER_THREADS", 1).start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    wire.exchange(format!("PUTNEW t secret {}\n", "s".repeat(1 << 20)), "ok\n");
    for round in 0..300 {
        let mut broken = plain(&server);
        broken.write_all(&b"GET t secret\n".repeat(5)).unwrap();
        if round % 3 == 0 {
            broken.read_exact(&mut [0; 100]).unwrap();
        }
        // The rest comes to a session that cannot be answered any more.
        broken.write_all(&b"GET t secret\n".repeat(round % 7)).unwrap();
        reset(broken);
        wire.exchange("PING\nGET t none\n", "pong\nnil\n");
    }
}

#[test]
fn whoever_leaves_right_after_a_write_has_written_all_or_nothing_of_it() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    let files = open_files(&server);
    for n in 0..500 {
        let mut stream = plain(&server);
        stream
            .write_all(format!("PUTNEW t k{n} value-{n}\nPUTNEW t half{n} v").as_bytes())
            .unwrap();
        if n % 2 == 0 { reset(stream) } else { drop(stream) }
    }
    alone(&mut wire);
    for n in 0..500 {
        let data = wire.ask(&format!("GET t k{n}"));
        assert!(data == format!("value-{n}") || (n % 2 == 0 && data == "nil"), "{n}: {data}");
        assert_eq!(wire.ask(&format!("GET t half{n}")), "nil");
    }
    files_are_back(&server, files);
}
