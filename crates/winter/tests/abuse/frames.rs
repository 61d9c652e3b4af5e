//! Frames that are wrong: one error that says what, and then the connection is
//! closed or in step, never anything in between.

use winter_testkit::{Reply, Server, Wire, request};

use crate::watch::{answers, resident_bytes};
use crate::winter;

/// Sends `bytes`, which must be answered by one RESP error that begins so, and closed.
#[track_caller]
fn is_refused(server: &Server, bytes: &[u8], error: &str) {
    let mut wire = server.connect();
    wire.send(bytes);
    let came = String::from_utf8_lossy(&wire.read_to_end()).into_owned();
    let shown = bytes[..bytes.len().min(40)].escape_ascii();
    assert!(came.starts_with(error), "\"{shown}\" was answered {came:?}, not {error:?}");
    assert!(came.ends_with("\r\n") && came.lines().count() == 1, "\"{shown}\": {came:?}");
}

/// Sends RESP `bytes`, which must be answered by an error that begins so; the connection goes on.
#[track_caller]
fn is_declined(wire: &mut Wire, bytes: &[u8], error: &str) {
    wire.send(bytes);
    let reply = wire.read_reply();
    let shown = bytes[..bytes.len().min(60)].escape_ascii();
    let Reply::Error(text) = &reply else { panic!("\"{shown}\" was answered {reply:?}") };
    assert!(text.starts_with(error), "\"{shown}\" was answered {text:?}, not {error:?}");
    assert_eq!(wire.call(&["PING"]), Reply::Simple("PONG".into()), "after \"{shown}\"");
}

#[test]
fn counts_and_lengths_that_are_none_are_refused_before_anything_is_allocated() {
    const COUNT: &str = "-ERR Protocol error: invalid multibulk length";
    const LENGTH: &str = "-ERR Protocol error: invalid bulk length";
    let server = winter().start();
    answers(&server);
    let before = resident_bytes(&server);
    for count in [
        "2147483648",
        "3000000000",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999",
        "1000000",
        "1025",
        "+1",
        "01",
        " 1",
        "1 ",
        "x",
        "",
        "-",
        "--1",
        "0x1",
    ] {
        is_refused(&server, format!("*{count}\r\n").as_bytes(), COUNT);
    }
    for length in [
        "-1",
        "-10",
        "blabla",
        "+4",
        "04",
        "",
        "536870913",
        "2147483648",
        "9223372036854775807",
        "18446744073709551616",
    ] {
        is_refused(&server, format!("*2\r\n$4\r\nECHO\r\n${length}\r\n").as_bytes(), LENGTH);
    }
    let digits = format!("*{}", "1".repeat(70_000));
    is_refused(&server, digits.as_bytes(), "-ERR Protocol error: too big mbulk count string");
    let digits = format!("*1\r\n${}", "1".repeat(70_000));
    is_refused(&server, digits.as_bytes(), "-ERR Protocol error: too big bulk count string");
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 8 << 20, "refusing took {grown} bytes");
}

#[test]
fn what_is_no_bulk_string_is_refused() {
    let server = winter().start();
    for (bytes, got) in [
        ("*1\r\nfoo\r\n", 'f'),
        ("*1\r\n:1\r\n", ':'),
        ("*1\r\n*1\r\n", '*'),
        ("*1\r\n%1\r\n", '%'),
    ] {
        is_refused(
            &server,
            bytes.as_bytes(),
            &format!("-ERR Protocol error: expected '$', got '{got}'"),
        );
    }
    // A bulk string that runs on would let a proxy and the server disagree on what a request is.
    for bytes in
        ["*1\r\n$4\r\nPINGXX*1\r\n$4\r\nPING\r\n", "*1\r\n$4\r\nPING\n\n", "*1\r\n$4\r\nPING\rX"]
    {
        is_refused(
            &server,
            bytes.as_bytes(),
            "-ERR Protocol error: a bulk string must end with CR LF",
        );
    }
    is_refused(&server, b"*1\n$4\nPING\n", "-ERR Protocol error: invalid multibulk length");
    is_refused(&server, b"*1\r\n$4\nPING\r\n", "-ERR Protocol error: invalid bulk length");
}

#[test]
fn what_asks_for_nothing_is_not_answered() {
    let server = winter().start();
    server.connect().exchange("\n\r\n\n\nPING\n", "pong\n");
    let mut wire = server.connect();
    wire.exchange("\r\n*0\r\n*-1\r\n*-10\r\n\r\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
    wire.finish_sending();
    wire.expect_close();
}

#[test]
fn a_line_without_end_is_refused_at_the_longest_legal_one() {
    let server = winter().set("WINTER_MAX_VALUE", "1kb").start();
    let mut wire = server.connect();
    wire.send("PUT t k ".to_owned() + &"x".repeat(80_000));
    let came = String::from_utf8(wire.read_to_end()).unwrap();
    assert!(came.starts_with("error protocol: the line is longer than any legal one"), "{came}");
    assert_eq!(came.lines().count(), 1);
    answers(&server);
}

#[test]
fn an_endless_line_takes_no_more_memory_than_the_longest_legal_one() {
    let server = winter().start();
    answers(&server);
    let before = resident_bytes(&server);
    let mut wire = server.connect();
    let piece = vec![b'x'; 1 << 20];
    let mut peak = 0;
    // Five times as much as is legal: it is refused on the way.
    for _ in 0..80 {
        peak = peak.max(resident_bytes(&server));
        if std::io::Write::write_all(&mut wire.stream(), &piece).is_err() {
            break;
        }
    }
    assert!(peak < before + (64 << 20), "{} bytes", peak - before);
    let _ = wire.read_to_end();
    answers(&server);
}

#[test]
fn a_value_past_its_limit_is_refused_at_its_header_and_dropped() {
    let server = winter().set("WINTER_MAX_VALUE", "100kb").start();
    let mut wire = server.connect();
    assert_eq!(wire.call(&["CREATE", "t"]), Reply::Simple("created".into()));
    let length = (100 << 10) + 1;
    wire.send(format!("*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n${length}\r\n"));
    let error = wire.read_reply().text();
    assert!(error.contains("102401") && error.contains("102400"), "{error}");
    let mut rest = vec![b'x'; length];
    rest.extend_from_slice(b"\r\n");
    rest.extend_from_slice(&request(&["GET", "t", "k"]));
    wire.send(rest);
    assert_eq!(wire.read_reply(), Reply::NullBulk);
    let just_right = "x".repeat(100 << 10);
    assert_eq!(wire.call(&["PUTNEW", "t", "k", &just_right]), Reply::Simple("ok".into()));
    assert_eq!(wire.call(&["GET", "t", "k"]), Reply::bulk(just_right));
}

#[test]
fn whoever_wants_no_replies_gets_none_for_an_oversized_command_either() {
    let server = winter().set("WINTER_MAX_VALUE", "100kb").start();
    let mut wire = server.connect();
    wire.send(request(&["CLIENT", "REPLY", "OFF"]));
    wire.send(request(&["PUT", "t", "k", &"x".repeat(200 << 10)]));
    wire.send(request(&["PING"]));
    wire.exchange(request(&["CLIENT", "REPLY", "ON"]), "+OK\r\n");
}

#[test]
fn any_bytes_are_keys_and_values() {
    let server = winter().start();
    let mut wire = server.connect();
    let _ = wire.call(&["CREATE", "t"]);
    let all: Vec<u8> = (0..=255).collect();
    for key in [&b"\0"[..], b"\xff\xfe", b"\r\n", b" ", b"a b\n", &all] {
        let put: [&[u8]; 4] = [b"PUTNEW", b"t", key, &all];
        assert_eq!(wire.call(&put), Reply::Simple("ok".into()));
        assert_eq!(wire.call(&[&b"GET"[..], b"t", key]), Reply::bulk(&all));
    }
    // On a line the reply would be two lines; it is an error, and in step.
    let mut line = server.connect();
    assert!(line.ask("GET t \0").starts_with("error binary: "));
    line.exchange("PING\n", "pong\n");
}

#[test]
fn errors_echo_little_and_on_one_line() {
    let server = winter().start();
    let mut wire = server.connect();
    let _ = wire.call(&["PING"]);
    let name = "n".repeat(100) + "\r\n+injected\r\n" + &"n".repeat(200);
    is_declined(&mut wire, &request(&[&name]), "ERR unknown command 'nnnn");
    wire.send(request(&[&name, &name, &name]));
    let text = wire.read_reply().text();
    assert!(text.len() < 1024 && !text.contains(['\r', '\n']), "{text}");
    for words in [
        &["CREATE", &name][..],
        &["GET", &name, "k"],
        &["CLIENT", &name],
        &["CONFIG", &name],
        &["HELP", &name],
        &["SELECT", &name],
        &["PUT", "t", "k", "v", "EXPIRE", &name],
        &["CREATE", "t", &name, &name],
        &["SCAN", "t", &name],
        &["CAS", "t", "k", &name, "v"],
    ] {
        is_declined(&mut wire, &request(words), "ERR ");
    }
    let mut line = server.connect();
    let long = "w".repeat(300);
    assert_eq!(line.ask(&long), format!("unrecognized command {}", "w".repeat(128)));
    assert_eq!(line.ask("a\rb c"), "unrecognized command a b");
}

#[test]
fn badly_made_commands_are_answered_once_and_the_connection_goes_on() {
    let server = winter().start();
    let mut wire = server.connect();
    let _ = wire.call(&["CREATE", "t"]);
    let big = (1u64 << 63).to_string();
    let past = ((1u64 << 53) + 1).to_string();
    for (words, error) in [
        (&[""][..], "ERR unknown command ''"),
        (&["PING", "a", "b"], "ERR wrong number of arguments for 'ping' command"),
        (&["GET"], "ERR wrong number of arguments for 'get' command"),
        (&["PUTNEW", "t", "k"], "ERR wrong number of arguments for 'putnew' command"),
        (&["HELLO", "4"], "NOPROTO "),
        (&["HELLO", "x"], "ERR Protocol version is not an integer"),
        (&["HELLO", "3", "JUNK"], "ERR syntax error"),
        (&["SELECT", "99"], "ERR DB index is out of range"),
        (&["SELECT", "x"], "ERR "),
        (&["CLIENT", "FOO"], "ERR unknown subcommand 'FOO'"),
        (&["CONFIG", "SET", "maxmemory", "1"], "ERR "),
        (&["FLUSHALL"], "ERR unknown command 'FLUSHALL', with args beginning with: "),
        (&["EVAL", "return 1", "0"], "ERR unknown command 'EVAL'"),
        (&["PUT", "t", "k", "v", "EXPIRE", "0"], "ERR invalid expire time"),
        (&["PUT", "t", "k", "v", "EXPIRE", "-1"], "ERR invalid expire time"),
        (&["PUT", "t", "k", "v", "EXPIRE", "1e9"], "ERR invalid expire time"),
        (&["PUT", "t", "k", "v", "EXPIRE", " 5"], "ERR invalid expire time"),
        (&["PUT", "t", "k", "v", "EXPIRE", &big], "ERR invalid expire time"),
        (&["PUT", "t", "k", "v", "EXPIRE", "9223372036854775807"], "ERR invalid expire time"),
        (&["PUT", "t", "k", "v", "EXPIRE", &past], "ERR invalid expire time"),
        (&["PUT", "t", "k", "v", "EXPIRE"], "ERR "),
        (&["PUT", "t", "k", "v", "FOREVER", "1"], "ERR syntax error"),
        (&["TOUCH", "t", "k", &past], "ERR invalid expire time"),
        (&["CAS", "t", "k", "-1", "v"], "ERR "),
        (&["CAS", "t", "k", "18446744073709551616", "v"], "ERR "),
        (&["SCAN", "t", "-1"], "ERR "),
        (&["SCAN", "t", "0", "COUNT", "0"], "ERR "),
        (&["SCAN", "t", "0", "COUNT", "18446744073709551615"], "ERR "),
        (&["CREATE", "u", "MAXBYTES", "10GG"], "ERR "),
        (&["CREATE", "u", "MAXENTRIES", "0"], "ERR "),
        (&["CREATE", "u", "TTL"], "ERR "),
    ] {
        is_declined(&mut wire, &request(words), error);
    }
    // No cursor is out of reach, and none of the above was done.
    assert!(matches!(
        wire.call(&["SCAN", "t", "18446744073709551615"]),
        Reply::Array(_) | Reply::Error(_)
    ));
    assert_eq!(wire.call(&["COUNT", "t"]), Reply::Integer(0));
    assert_eq!(wire.call(&["GET", "u", "k"]), Reply::Error("MISSINGTABLE missing table".into()));
}

#[test]
fn names_keys_and_times_end_exactly_at_their_limits() {
    let server = winter().start();
    let mut wire = server.connect();
    let created = Reply::Simple("created".into());
    for name in ["a", &"n".repeat(128), "größe-☃", "..", "../../etc/passwd", "a/b", "*", "$1"] {
        assert_eq!(wire.call(&["CREATE", name]), created, "{name}");
    }
    for name in
        ["", &"n".repeat(129), &"n".repeat(256), "a b", "a\0b", "a\nb", "a\tb", "a\u{2003}b"]
    {
        is_declined(&mut wire, &request(&["CREATE", name]), "ERR ");
    }
    is_declined(&mut wire, &request(&[&b"CREATE"[..], b"\xff"]), "ERR ");
    for (length, fits) in [(0, false), (1, true), (65_534, true), (65_535, true), (65_536, false)] {
        let key = "k".repeat(length);
        let bytes = request(&["PUTNEW", "a", &key, ""]);
        if fits {
            wire.exchange(bytes, "+ok\r\n");
            assert_eq!(wire.call(&["GET", "a", &key]), Reply::bulk(""), "{length}");
        } else {
            is_declined(&mut wire, &bytes, "ERR ");
        }
    }
    let longest = (1u64 << 53).to_string();
    wire.exchange(request(&["PUTNEW", "a", "life", "v", "EXPIRE", &longest]), "+ok\r\n");
    assert!(wire.call(&["TTL", "a", "life"]).integer() > (1 << 53) - 60_000);
    let words: Vec<_> = std::iter::once("INFO").chain(std::iter::repeat_n("x", 1_023)).collect();
    assert!(matches!(wire.call(&words), Reply::Bulk(_)));
}
