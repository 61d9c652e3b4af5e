//! Bytes of other protocols, random bytes, and right bytes cut in odd places.

use std::time::Duration;

use winter_testkit::{Reply, Server, Wire, request};

use crate::watch::answers;
use crate::winter;

/// A server with a table `t` that holds `k`.
fn with_an_entry() -> (Server, Wire) {
    let server = winter().start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\nPUTNEW t k stays\n", "created\nok\n");
    (server, wire)
}

/// Fails if anything was made, changed or deleted since [`with_an_entry`].
#[track_caller]
fn nothing_was_done(wire: &mut Wire) {
    assert_eq!(wire.ask_lines("TABLES"), ["t"]);
    wire.exchange("GET t k\nCOUNT t\n", "stays\n1\n");
}

/// Sends `pieces` one after another; the server must close, and say at most `lines` lines.
#[track_caller]
fn is_closed(server: &Server, pieces: &[&[u8]], lines: usize) {
    let mut wire = server.connect();
    for (n, piece) in pieces.iter().enumerate() {
        if std::io::Write::write_all(&mut wire.stream(), piece).is_err() {
            assert!(n > 0, "the first piece must be taken");
            break;
        }
        // The next piece is to come in a segment, and a turn, of its own.
        std::thread::sleep(Duration::from_millis(5));
    }
    let came = String::from_utf8_lossy(&wire.read_to_end()).into_owned();
    assert!(came.lines().count() <= lines, "{came}");
}

#[test]
fn a_browser_cannot_run_a_command() {
    let (server, mut wire) = with_an_entry();
    let body = "CREATE hacked\r\nDELETE t k\r\nPUT t k owned\r\nDROP t\r\n";
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CREATE", "DROP"] {
        for target in ["/", "/t", "/t/k?x=1", "http://127.0.0.1:6060/t", "*"] {
            for version in ["HTTP/1.1", "HTTP/1.0"] {
                let head = format!(
                    "{method} {target} {version}\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let whole = head.clone() + body;
                is_closed(&server, &[whole.as_bytes()], 1);
            }
        }
        let head = format!("{method} / HTTP/1.1\r\n");
        is_closed(&server, &[head.as_bytes(), b"Host: x\r\n\r\n", body.as_bytes()], 1);
    }
    is_closed(&server, &[b"post / \r\n", body.as_bytes()], 1);
    is_closed(&server, &[b"Host: 127.0.0.1\r\n", body.as_bytes()], 1);
    is_closed(&server, &[b"\r\n\r\nPOST / HTTP/1.1\r\n\r\n", body.as_bytes()], 1);
    is_closed(&server, &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", body.as_bytes()], 1);
    nothing_was_done(&mut wire);
}

#[test]
fn a_tls_handshake_is_refused_at_once() {
    let (server, mut wire) = with_an_entry();
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend((0..500).map(|n| u8::try_from(n * 7 % 256).unwrap()));
    hello.extend_from_slice(b"\nDELETE t k\n");
    is_closed(&server, &[&hello], 1);
    is_closed(&server, &[&hello[..1]], 1);
    nothing_was_done(&mut wire);
}

#[test]
fn other_protocols_lines_are_declined_and_then_closed() {
    let (server, mut wire) = with_an_entry();
    let telnet = b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27\r\n";
    is_closed(&server, &[telnet, telnet, telnet, b"DELETE t k\n"], 4);
    let mut ssh = server.connect();
    ssh.send("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
    assert!(ssh.read_line().starts_with("unrecognized command SSH-2.0"));
    is_closed(&server, &[b"SSH-2.0-a\r\nSSH-2.0-b\r\nSSH-2.0-c\r\nDELETE t k\n"], 4);
    // Someone who mistypes is not taken for another protocol.
    let mut person = server.connect();
    for _ in 0..10 {
        assert_eq!(person.ask("PUTT t k"), "unrecognized command PUTT");
    }
    person.exchange("PING\n", "pong\n");
    nothing_was_done(&mut wire);
}

#[test]
fn random_bytes_hurt_nobody() {
    let (server, mut wire) = with_an_entry();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    let alphabet = b"*$:+-%\r\n0123456789 PGETAD_\xff\0";
    for round in 0..300 {
        let length = usize::from(random()) * 4;
        // Half of them look like the real thing.
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                if round % 2 == 0 {
                    random()
                } else {
                    alphabet[usize::from(random()) % alphabet.len()]
                }
            })
            .collect();
        let mut wire = server.connect();
        wire.send(if round % 4 == 1 { [b"*", &bytes[..]].concat() } else { bytes });
        let _ = wire.stream().shutdown(std::net::Shutdown::Write);
        let _ = wire.read_to_end();
    }
    nothing_was_done(&mut wire);
    assert!(server.log().iter().all(|line| !line.contains("panic")), "{:?}", server.log());
}

/// Three commands and their replies, in each dialect.
fn pipelines() -> [(Vec<u8>, Vec<u8>); 2] {
    let lines = b"PUTNEW t key  a  b \r\nGET t key\nDELETE t key\n".to_vec();
    let line_replies = b"ok\n a  b \nok\n".to_vec();
    let mut frames = request(&["PUTNEW", "t", "key", "a\r\nb"]);
    frames.extend(request(&["GET", "t", "key"]));
    frames.extend(request(&["DELETE", "t", "key"]));
    let replies = b"+ok\r\n$4\r\na\r\nb\r\n+ok\r\n".to_vec();
    [(lines, line_replies), (frames, replies)]
}

#[test]
fn a_pipeline_is_the_same_however_it_is_cut() {
    let (server, mut wire) = with_an_entry();
    for (bytes, replies) in pipelines() {
        for at in 0..=bytes.len() {
            let mut wire = server.connect();
            wire.send(&bytes[..at]);
            if at % 4 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            wire.exchange(&bytes[at..], &replies);
        }
        let mut wire = server.connect();
        wire.send_byte_by_byte(&bytes);
        wire.expect(&replies);
    }
    nothing_was_done(&mut wire);
}

#[test]
fn ten_thousand_commands_in_one_write_are_answered_in_order() {
    let (server, _) = with_an_entry();
    let mut wire = server.connect();
    let frames: Vec<u8> = (0..10_000).flat_map(|n| request(&["ECHO", &n.to_string()])).collect();
    let replies: String =
        (0..10_000).map(|n: u32| format!("${}\r\n{n}\r\n", n.to_string().len())).collect();
    wire.exchange(frames, replies);
}

#[test]
fn half_a_close_is_answered_in_full_and_then_closed() {
    let (server, _) = with_an_entry();
    let mut wire = server.connect();
    wire.send("GET t k\n".repeat(5_000) + "GET t");
    wire.finish_sending();
    wire.expect("stays\n".repeat(5_000));
    wire.expect_close();
}

#[test]
fn a_refused_password_has_one_reply_of_its_own() {
    let (server, _) = with_an_entry();
    let mut wire = server.connect();
    let frames = [
        &["PING"][..],
        &["AUTH", "wrong"],
        &["PING"],
        &["AUTH", "user", "wrong"],
        &["HELLO", "3", "AUTH", "u", "p"],
        &["PING"],
    ];
    wire.send(frames.iter().flat_map(|words| request(words)).collect::<Vec<_>>());
    let replies: Vec<_> = frames.iter().map(|_| wire.read_reply()).collect();
    for (words, reply) in frames.iter().zip(replies) {
        assert_eq!(matches!(reply, Reply::Error(_)), words.len() > 1, "{words:?}: {reply:?}");
    }
    wire.finish_sending();
    wire.expect_close();
}

#[test]
fn a_version_of_the_protocol_holds_from_its_hello_on() {
    let (server, _) = with_an_entry();
    let mut wire = server.connect();
    let get = request(&["GET", "t", "none"]);
    let hello = |version| request(&["HELLO", version]);
    wire.send(
        [&get[..], &hello("3"), &get, &hello("2"), &get, &hello("4"), &get, &hello("3"), &get]
            .concat(),
    );
    let nulls: Vec<_> = (0..9).map(|_| wire.read_reply()).step_by(2).collect();
    assert_eq!(
        nulls,
        [Reply::NullBulk, Reply::Null, Reply::NullBulk, Reply::NullBulk, Reply::Null]
    );
    answers(&server);
}
