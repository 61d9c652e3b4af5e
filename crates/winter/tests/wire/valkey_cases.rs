//! The cases that Valkey's own suite holds a server to, asked of this one.
//!
//! They follow `tests/unit/protocol.tcl`, `introspection.tcl` and `other.tcl` of
//! Valkey, case by case where the commands exist here. Where this server is
//! stricter on purpose, the test says so.

use std::io::Write as _;

use winter_testkit::{Reply, Server, request};

use crate::winter;

const PING: &str = "*1\r\n$4\r\nPING\r\n";

fn with_table() -> Server {
    let server = winter().start();
    assert_eq!(server.connect().ask("CREATE t"), "created");
    server
}

/// The first commands of a connection that is to end with a protocol error.
#[track_caller]
fn refused(server: &Server, bytes: impl AsRef<[u8]>, why: &str) {
    let mut wire = server.connect();
    wire.send(bytes);
    wire.expect(format!("-ERR Protocol error: {why}\r\n"));
    wire.expect_close();
}

#[test]
fn what_asks_for_nothing_is_ignored() {
    let server = winter().start();
    for nothing in ["\r\n", "\r\n\r\n", "*0\r\n", "*-1\r\n", "*-10\r\n"] {
        let mut wire = server.connect();
        // The first byte decides, and an empty query alone is none of RESP yet.
        wire.exchange(PING, "+PONG\r\n");
        wire.send(nothing);
        wire.exchange(PING, "+PONG\r\n");
        wire.exchange(format!("{nothing}{PING}{nothing}{PING}"), "+PONG\r\n+PONG\r\n");
        let mut wire = server.connect();
        wire.exchange(format!("{nothing}{PING}"), "+PONG\r\n");
    }
}

#[test]
fn a_count_of_arguments_out_of_range_is_refused() {
    let server = winter().start();
    let why = "invalid multibulk length";
    for count in [
        "3000000000",
        "2147483648",
        "20000000",
        "1000000",
        "99999999999999999999",
        "18446744073709551616",
        "+1",
        "01",
        " 1",
        "1 ",
        "x",
        "",
        "-",
        "--1",
        "1.0",
    ] {
        refused(&server, format!("*{count}\r\n"), why);
    }
}

#[test]
fn a_length_of_an_argument_that_is_none_is_refused() {
    let server = with_table();
    for length in
        ["-10", "-1", "2000000000", "blabla", "+4", "04", "", " 4", "18446744073709551616", "0x4"]
    {
        let bytes = format!("*3\r\n$3\r\nGET\r\n$1\r\nt\r\n${length}\r\n");
        refused(&server, bytes, "invalid bulk length");
    }
}

#[test]
fn what_is_no_argument_is_named() {
    let server = winter().start();
    refused(&server, "*3\r\n$3\r\nGET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'");
    refused(&server, "*1\r\nfoo\r\n", "expected '$', got 'f'");
    refused(&server, "*1\r\n:1\r\n", "expected '$', got ':'");
    refused(&server, "*1\r\n*1\r\n", "expected '$', got '*'");
    refused(&server, "*1\r\n%1\r\n", "expected '$', got '%'");
    refused(&server, "*1\r\n\0", "expected '$', got ' '");
    refused(&server, "*1\r\n\r\n", "expected '$', got ' '");
}

#[test]
fn the_wrong_number_of_arguments_is_told() {
    let server = winter().start();
    let mut wire = server.connect();
    for words in [&["ping", "x", "y", "z"][..], &["PING", "hello", "valkey"]] {
        let told = wire.call(words).text();
        assert!(told.starts_with("ERR wrong number of arguments for 'ping' command"), "{told}");
    }
    wire.exchange(PING, "+PONG\r\n");
}

#[test]
fn every_line_end_of_a_frame_is_checked() {
    let server = with_table();
    let frame = "*3\r\n$3\r\nGET\r\n$1\r\nt\r\n$5\r\nvalue\r\n";
    server.connect().exchange(frame, "$-1\r\n");
    for (at, _) in frame.match_indices("\r\n") {
        for wrong in ["x\n", "\rx", "xx", "\n", "\r\r", " \r\n"] {
            let broken = format!("{}{wrong}{}{PING}", &frame[..at], &frame[at + 2..]);
            let mut wire = server.connect();
            wire.send(&broken);
            // What follows must not be read as part of what is broken.
            wire.finish_sending();
            let told = String::from_utf8_lossy(&wire.read_to_end()).into_owned();
            let is_one_error = told.starts_with("-ERR Protocol error: ")
                && told.ends_with("\r\n")
                && told.lines().count() == 1;
            assert!(is_one_error, "{broken:?}: {told:?}");
        }
    }
}

#[test]
fn a_stream_out_of_step_ends_before_it_fills_the_memory() {
    // Sent without a line end, for longer than any header may be.
    for (start, is_resp) in [("*\0", true), ("*1\r\n$\0", true), ("*1\r\n*\0", true)] {
        let server = winter().start();
        let mut wire = server.connect();
        wire.send(start);
        let mut socket = wire.stream().try_clone().expect("a socket can be cloned");
        let payload = [b'A'; 1_024];
        let mut sent = 0;
        while sent <= 64 << 10 && socket.write_all(&payload).is_ok() {
            sent += payload.len();
        }
        let told = String::from_utf8_lossy(&wire.read_to_end()).into_owned();
        assert!(is_resp && told.starts_with("-ERR Protocol error: "), "{start:?}: {told:?}");
    }
}

#[test]
fn a_line_that_begins_with_a_stray_byte_is_a_line() {
    // Valkey reads these as inline commands and closes at 64 KiB; lines may be as
    // long as the longest value here, and are read to their end.
    let server = winter().start();
    for start in ["\0", "$\0"] {
        let mut wire = server.connect();
        wire.send(start);
        wire.send("A".repeat(70_000));
        wire.send("\n");
        let told = wire.read_line();
        assert!(told.starts_with("unrecognized command ") && told.len() < 200, "{told}");
        wire.exchange("PING\n", "pong\n");
    }
}

#[test]
fn a_header_of_70000_digits_is_refused() {
    let server = winter().start();
    for (start, why) in
        [("*", "too big mbulk count string"), ("*1\r\n$", "too big bulk count string")]
    {
        let mut wire = server.connect();
        let bytes = format!("{start}{}", "1".repeat(70_000));
        let mut socket = wire.stream().try_clone().expect("a socket can be cloned");
        // The server need not take all of it.
        let _ = socket.write_all(bytes.as_bytes());
        let told = String::from_utf8_lossy(&wire.read_to_end()).into_owned();
        assert_eq!(told, format!("-ERR Protocol error: {why}\r\n"));
    }
}

#[test]
fn null_is_raw_as_its_version_writes_it() {
    let server = with_table();
    let mut wire = server.connect();
    wire.exchange(request(&["GET", "t", "nothing"]), "$-1\r\n");
    wire.call(&["HELLO", "3"]);
    wire.exchange(request(&["GET", "t", "nothing"]), "_\r\n");
    wire.exchange(request(&["PUTNEW", "t", "ss", "a"]), "+ok\r\n");
    wire.exchange(request(&["SCAN", "t", "0"]), "*2\r\n$1\r\n0\r\n*1\r\n$2\r\nss\r\n");
}

#[test]
fn hello_without_a_version_keeps_the_one_that_is_spoken() {
    let server = winter().start();
    let mut wire = server.connect();
    for (words, proto) in
        [(&["HELLO", "3"][..], 3), (&["HELLO"], 3), (&["HELLO", "2"], 2), (&["HELLO"], 2)]
    {
        assert_eq!(wire.call(words).field("proto"), &Reply::Integer(proto), "{words:?}");
    }
}

#[test]
fn a_count_of_zero_with_a_line_after_it_does_no_harm() {
    // Valkey runs the line as an inline command; RESP sessions have none here.
    let server = winter().start();
    refused(&server, "*0\r\nPING\r\n", "expected '*', got 'P'");
    server.connect().exchange(PING, "+PONG\r\n");
}

#[test]
fn names_with_a_bar_in_them_are_unknown() {
    let server = winter().start();
    let mut wire = server.connect();
    for word in ["GET|", "GET|SET", "GET|SET|OTHER", "CONFIG|GET"] {
        let told = wire.call(&[word, "x"]).text();
        assert!(told.starts_with(&format!("ERR unknown command '{word}'")), "{told}");
    }
    let told = wire.call(&["CONFIG", "GET_XX"]).text();
    assert!(told.starts_with("ERR unknown subcommand 'GET_XX'"), "{told}");
}

#[test]
fn a_client_name_may_not_break_the_list() {
    let server = winter().start();
    let mut wire = server.connect();
    assert_eq!(wire.call(&["CLIENT", "GETNAME"]), Reply::NullBulk);
    assert!(wire.call(&["CLIENT", "LIST"]).text().contains(" name= "));
    for bad in ["foo bar", "a\nb", "a\r\nid=1", "a\u{7f}", "é b", "\t"] {
        assert!(matches!(wire.call(&["CLIENT", "SETNAME", bad]), Reply::Error(_)), "{bad:?}");
        for attribute in ["LIB-NAME", "LIB-VER"] {
            let reply = wire.call(&["CLIENT", "SETINFO", attribute, bad]);
            assert!(matches!(reply, Reply::Error(_)), "{bad:?}");
        }
    }
    assert_eq!(wire.call(&["CLIENT", "SETNAME", "someothername"]), Reply::Simple("OK".into()));
    assert!(wire.call(&["CLIENT", "LIST"]).text().contains(" name=someothername "));
    for words in [&["CLIENT", "SETINFO"][..], &["CLIENT", "SETNAME"], &["CLIENT"]] {
        assert!(matches!(wire.call(words), Reply::Error(_)), "{words:?}");
    }
}

#[test]
fn a_client_that_leaves_is_no_longer_listed() {
    let server = winter().start();
    let mut wire = server.connect();
    let mut other = server.connect();
    other.call(&["CLIENT", "SETNAME", "leaves"]);
    assert!(wire.call(&["CLIENT", "LIST"]).text().contains("name=leaves"));
    drop(other);
    winter_testkit::eventually("the client is off the list", || {
        let list = wire.call(&["CLIENT", "LIST"]).text();
        (!list.contains("name=leaves")).then_some(())
    });
}

#[test]
fn select_out_of_range_is_told() {
    let server = winter().start();
    let mut wire = server.connect();
    for index in ["1", "1000000", "-1", "4294967296", "x", ""] {
        let told = wire.call(&["SELECT", index]).text();
        assert!(told.starts_with("ERR ") && told.contains("DB index"), "{index}: {told}");
    }
    assert_eq!(wire.call(&["SELECT", "0"]), Reply::Simple("OK".into()));
}

#[test]
fn echo_and_values_of_random_bytes_come_back_as_they_were() {
    let server = with_table();
    let mut wire = server.connect();
    // A fixed sequence: bytes of every kind, lengths from 0 to 511.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..1_000 {
        let length = next() % 512;
        let value: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[3]).collect();
        let put = wire.call(&[b"PUT".as_slice(), b"t", b"foo", &value]);
        assert_eq!(put.items()[0], Reply::bulk("ok"), "round {round}");
        assert_eq!(wire.call(&["GET", "t", "foo"]), Reply::bulk(&value), "round {round}");
        assert_eq!(wire.call(&[b"ECHO".as_slice(), &value]), Reply::bulk(&value), "round {round}");
    }
}

#[test]
fn a_pipeline_of_100000_writes_and_reads_is_answered_in_full() {
    const COUNT: usize = 100_000;
    let server = with_table();
    let mut wire = server.connect();
    let mut socket = wire.stream().try_clone().expect("a socket can be cloned");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for from in (0..COUNT).step_by(1_000) {
                let mut bytes = Vec::new();
                for n in from..from + 1_000 {
                    let (key, value) = (format!("key:{n}"), format!("0000{n}0000"));
                    bytes.extend_from_slice(&request(&["PUTNEW", "t", &key, &value]));
                    bytes.extend_from_slice(&request(&["GET", "t", &key]));
                }
                socket.write_all(&bytes).expect("the server reads");
            }
        });
        for n in 0..COUNT {
            let value = format!("0000{n}0000");
            wire.expect(format!("+ok\r\n${}\r\n{value}\r\n", value.len()));
        }
    });
    wire.exchange(request(&["COUNT", "t"]), format!(":{COUNT}\r\n"));
}
