//! Every limit: one below, at it, one above. What is past one is answered with
//! both figures, and the connection stays in step where it can.

use winter_testkit::{Reply, Server, Wire, request};

use crate::winter;

const NAME_MAX: usize = 128;
const KEY_MAX: usize = 65_535;
const VALUE_MAX: usize = 16 << 20;

/// A server with a table `t`.
fn with_table() -> Server {
    let server = winter().start();
    assert_eq!(server.connect().ask("CREATE t"), "created");
    server
}

fn in_step(wire: &mut Wire) {
    wire.exchange("PING\n", "pong\n");
}

fn in_step_resp(wire: &mut Wire) {
    wire.exchange("*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
}

#[test]
fn a_table_name_has_1_to_128_bytes() {
    let server = winter().start();
    let (mut line, mut resp) = (server.connect(), server.connect());
    let told = "the table name is 129 bytes long, and the most is 128 bytes";
    for (length, created) in [(1, true), (NAME_MAX - 1, true), (NAME_MAX, true), (129, false)] {
        let (name, other) = ("n".repeat(length), "m".repeat(length));
        let answer = line.ask(&format!("CREATE {name}"));
        let answer_resp = resp.call(&["CREATE", &other]);
        if created {
            assert_eq!(answer, "created");
            assert_eq!(answer_resp, Reply::Simple("created".into()));
        } else {
            assert_eq!(answer, format!("error limit: {told}"));
            assert_eq!(answer_resp, Reply::Error(format!("ERR {told}")));
        }
    }
    let wide = "☃".repeat(43);
    assert_eq!(line.ask(&format!("GET {wide} k")), format!("error limit: {told}"));
    for name in ["a\u{a0}b", "a\u{2003}b", "a\u{85}", "a\u{7f}", "\u{1}"] {
        let told =
            "a table name is 1 to 128 bytes of UTF-8 with no white space or control characters";
        assert_eq!(line.ask(&format!("CREATE {name}")), format!("error limit: {told}"));
        assert_eq!(resp.call(&["CREATE", name]), Reply::Error(format!("ERR {told}")));
    }
    in_step(&mut line);
    in_step_resp(&mut resp);
}

#[test]
fn a_key_has_1_to_65535_bytes() {
    let server = with_table();
    let (mut line, mut resp) = (server.connect(), server.connect());
    for length in [1, KEY_MAX - 1, KEY_MAX] {
        let key = "k".repeat(length);
        assert_eq!(line.ask(&format!("PUTNEW t {key} {length}")), "ok");
        assert_eq!(resp.call(&["GET", "t", &key]), Reply::bulk(length.to_string()));
    }
    let key = "k".repeat(KEY_MAX + 1);
    let told = "the key is 65536 bytes long, and the most is 65535 bytes";
    for command in ["GET", "GETS", "TTL", "DELETE"] {
        assert_eq!(line.ask(&format!("{command} t {key}")), format!("error limit: {told}"));
        assert_eq!(resp.call(&[command, "t", &key]), Reply::Error(format!("ERR {told}")));
    }
    assert_eq!(line.ask(&format!("PUT t {key} v")), format!("error limit: {told}"));
    assert_eq!(resp.call(&["PUT", "t", &key, "v"]), Reply::Error(format!("ERR {told}")));
    assert_eq!(line.ask("COUNT t"), "3");
    in_step_resp(&mut resp);
}

#[test]
fn a_value_has_0_bytes_to_the_setting() {
    let server = with_table();
    let (mut line, mut resp) = (server.connect(), server.connect());
    let told = "the value is 16777217 bytes long, and the most is 16777216 bytes";
    for length in [0, VALUE_MAX - 1, VALUE_MAX] {
        let value = "v".repeat(length);
        assert_eq!(line.ask(&format!("PUTNEW t line{length} {value}")), "ok");
        resp.exchange(request(&["PUTNEW", "t", &format!("resp{length}"), &value]), "+ok\r\n");
        line.exchange(format!("GET t resp{length}\n"), format!("{value}\n"));
        let expected = format!("${length}\r\n{value}\r\n");
        resp.exchange(request(&["GET", "t", &format!("line{length}")]), expected);
    }
    let value = "v".repeat(VALUE_MAX + 1);
    assert_eq!(line.ask(&format!("PUT t k {value}")), format!("error limit: {told}"));
    in_step(&mut line);
    assert_eq!(resp.call(&["PUT", "t", "k", &value]), Reply::Error(format!("ERR {told}")));
    in_step_resp(&mut resp);
    assert_eq!(line.ask("GET t k"), "nil");
}

#[test]
fn a_resp_value_past_the_limit_is_refused_at_its_header_and_dropped() {
    let server = with_table();
    let mut wire = server.connect();
    let length = VALUE_MAX + 1;
    wire.send(format!("*6\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n${length}\r\n"));
    wire.expect(format!(
        "-ERR the value is {length} bytes long, and the most is {VALUE_MAX} bytes\r\n"
    ));
    for chunk in vec![b'*'; length].chunks(1_000_000) {
        wire.send(chunk);
    }
    wire.send("\r\n$6\r\nEXPIRE\r\n$1\r\n5\r\n");
    wire.exchange(request(&["GET", "t", "k"]), "$-1\r\n");
    in_step_resp(&mut wire);
}

#[test]
fn a_tables_own_limit_on_values_counts() {
    let server = winter().start();
    let mut wire = server.connect();
    assert_eq!(wire.ask("CREATE t MAXVALUE 1kb"), "created");
    for length in [1_023, 1_024] {
        assert_eq!(wire.ask(&format!("PUTNEW t k{length} {}", "v".repeat(length))), "ok");
    }
    let value = "v".repeat(1_025);
    let told = "error limit: the value is 1025 bytes long, and the most is 1024 bytes";
    for command in ["PUTNEW t k", "ADD t k", "PUT t k", "CAS t k1024 1", "PUT t k1024"] {
        assert_eq!(wire.ask(&format!("{command} {value}")), told, "{command}");
    }
    assert_eq!(wire.ask("COUNT t"), "2");
}

#[test]
fn a_tables_bytes_are_limited_to_the_byte() {
    let server = winter().start();
    let mut wire = server.connect();
    let bytes = |wire: &mut Wire, table: &str| -> u64 {
        let fields = wire.ask_lines(&format!("DESCRIBE {table}"));
        let bytes = fields.iter().find_map(|field| field.strip_prefix("bytes "));
        bytes.expect("DESCRIBE tells the bytes").parse().expect("a number")
    };
    wire.exchange("CREATE free\nPUTNEW free key value\n", "created\nok\n");
    let cost = bytes(&mut wire, "free");
    assert!(cost >= 8, "an entry costs its key and its value at least: {cost}");
    for (limit, fits) in [(2 * cost - 1, 1), (2 * cost, 2), (2 * cost + 1, 2)] {
        let table = format!("t{limit}");
        assert_eq!(wire.ask(&format!("CREATE {table} MAXBYTES {limit}")), "created");
        for (n, key) in (1..).zip(["ke1", "ke2", "ke3"]) {
            let answer = wire.ask(&format!("PUTNEW {table} {key} value"));
            if n <= fits {
                assert_eq!(answer, "ok", "{limit}: {key}");
            } else {
                assert!(
                    answer.starts_with(&format!("error quota: the table's MAXBYTES is {limit}; ")),
                    "{limit}: {key}: {answer}"
                );
            }
        }
        assert_eq!(bytes(&mut wire, &table), fits * cost);
        assert_eq!(wire.ask(&format!("DELETE {table} ke1")), "ok");
        assert_eq!(wire.ask(&format!("PUTNEW {table} ke4 value")), "ok");
    }
}

#[test]
fn a_line_is_no_longer_than_the_longest_legal_one() {
    let server = with_table();
    let longest = 384 + KEY_MAX + VALUE_MAX;
    let mut wire = server.connect();
    wire.send("PING ");
    wire.send("x".repeat(longest - "PING ".len()));
    wire.exchange("\n", format!("{}\n", "x".repeat(longest - "PING ".len())));
    let mut wire = server.connect();
    wire.send("x".repeat(longest + 1));
    let told = format!("the line is longer than any legal one of {longest} bytes");
    wire.expect(format!("error protocol: {told}\n"));
    wire.expect_close();
}

#[test]
fn a_resp_command_has_at_most_1024_words() {
    let server = with_table();
    let mut wire = server.connect();
    for count in [1_023, 1_024] {
        let told = wire.call(&vec!["GET"; count]).text();
        assert!(told.starts_with("ERR wrong number of arguments for 'get' command"), "{told}");
    }
    wire.send(format!("*1025\r\n{}", "$3\r\nGET\r\n".repeat(3)));
    wire.expect("-ERR Protocol error: invalid multibulk length\r\n");
    wire.expect_close();
}

#[test]
fn an_announced_length_past_512_mib_cannot_be_dropped() {
    let server = with_table();
    let put = "*4\r\n$3\r\nPUT\r\n$1\r\nt\r\n$1\r\nk\r\n";
    let most = 512 << 20;
    let mut wire = server.connect();
    wire.send(format!("{put}${most}\r\n"));
    wire.expect(format!(
        "-ERR the value is {most} bytes long, and the most is {VALUE_MAX} bytes\r\n"
    ));
    let mut wire = server.connect();
    wire.send(format!("{put}${}\r\n", most + 1));
    wire.expect("-ERR Protocol error: invalid bulk length\r\n");
    wire.expect_close();
}

#[test]
fn what_an_error_echoes_is_one_line_of_at_most_128_bytes() {
    let server = winter().start();
    let (mut line, mut resp) = (server.connect(), server.connect());
    for length in [127, 128, 129, 300] {
        let word = "W".repeat(length);
        let echoed = "W".repeat(length.min(128));
        assert_eq!(line.ask(&word), format!("unrecognized command {echoed}"));
        let told = resp.call(&[&word]).text();
        assert_eq!(told, format!("ERR unknown command '{echoed}', with args beginning with: "));
    }
    let told = resp.call(&["no\r\n-ERR injected\r\n", "a\r\nb\0c"]).text();
    let expected = "ERR unknown command 'no  -ERR injected  ', with args beginning with: 'a  b c' ";
    assert_eq!(told, expected);
    let told = resp.call(&[b"\xff".repeat(300)]).text();
    assert!(told.len() < 250, "{told}");
    assert_eq!(resp.call(&["HELP", "a\r\nb"]).text().lines().count(), 1);
    in_step_resp(&mut resp);
}

#[test]
fn a_client_name_has_at_most_256_bytes() {
    let server = winter().start();
    let mut wire = server.connect();
    for length in [255, 256] {
        let name = "n".repeat(length);
        assert_eq!(wire.call(&["CLIENT", "SETNAME", &name]), Reply::Simple("OK".into()));
        assert_eq!(wire.call(&["CLIENT", "GETNAME"]), Reply::bulk(name));
    }
    let told = wire.call(&["CLIENT", "SETNAME", &"n".repeat(257)]).text();
    assert_eq!(told, "ERR the client name is 257 bytes long, and the most is 256 bytes");
    assert_eq!(wire.call(&["CLIENT", "GETNAME"]), Reply::bulk("n".repeat(256)));
}

#[test]
fn a_node_has_at_most_65536_tables() {
    const TABLES_MAX: usize = 65_536;
    let server = winter().set("WINTER_LOG", "warn,winter_server::server=info").start();
    let mut wire = server.connect();
    let create = |from: usize, to: usize| -> String {
        (from..to).map(|n| format!("CREATE t{n}\n")).collect()
    };
    for from in (0..TABLES_MAX).step_by(4_096) {
        wire.exchange(create(from, from + 4_096), "created\n".repeat(4_096));
    }
    let told = wire.ask("CREATE more");
    assert!(told.starts_with("error limit: ") && told.contains("65536"), "{told}");
    assert_eq!(wire.ask("CREATE t7"), "already created");
    wire.exchange("DROP t7\nCREATE more\n", "dropped\ncreated\n");
}

#[test]
fn the_setting_for_values_counts_to_the_byte() {
    let server = winter().set("WINTER_MAX_VALUE", "100").start();
    let (mut line, mut resp) = (server.connect(), server.connect());
    assert_eq!(line.ask("CREATE t"), "created");
    for length in [99, 100] {
        assert_eq!(line.ask(&format!("PUTNEW t line{length} {}", "v".repeat(length))), "ok");
        let words = ["PUTNEW", "t", &format!("resp{length}"), &"v".repeat(length)];
        assert_eq!(resp.call(&words), Reply::Simple("ok".into()));
    }
    let told = "the value is 101 bytes long, and the most is 100 bytes";
    let value = "v".repeat(101);
    assert_eq!(line.ask(&format!("PUT t k {value}")), format!("error limit: {told}"));
    assert_eq!(resp.call(&["PUT", "t", "k", &value]), Reply::Error(format!("ERR {told}")));
    // A key may be longer than any value.
    let key = "k".repeat(KEY_MAX);
    assert_eq!(line.ask(&format!("PUTNEW t {key} v")), "ok");
    assert_eq!(resp.call(&["GET", "t", &key]), Reply::bulk("v"));
    let longest = 384 + KEY_MAX + 100;
    line.exchange(
        format!("{}\n", "x".repeat(longest + 1)),
        format!("error protocol: the line is longer than any legal one of {longest} bytes\n"),
    );
    line.expect_close();
}

#[test]
fn past_the_nodes_memory_writes_are_refused_and_reads_and_deletes_go_on() {
    let server = winter().set("WINTER_MAX_MEMORY", "16mb").start();
    let (mut line, mut resp) = (server.connect(), server.connect());
    assert_eq!(line.ask("CREATE t"), "created");
    let value = "v".repeat(64 << 10);
    let full = (0..1_000).find(|n| {
        let answer = line.ask(&format!("PUTNEW t k{n} {value}"));
        assert!(answer == "ok" || answer.starts_with("error memory: the node holds "), "{answer}");
        answer != "ok"
    });
    let full = full.expect("64 MB do not fit into 16");
    let told = resp.call(&["PUT", "t", "more", &value]).text();
    assert!(told.starts_with("OOM the node holds ") && told.contains("16777216"), "{told}");
    assert_eq!(line.ask(&format!("GET t k{full}")), "nil");
    assert_eq!(line.ask("GET t k0"), value);
    assert_eq!(line.ask("COUNT t"), full.to_string());
    for n in 0..full {
        assert_eq!(line.ask(&format!("DELETE t k{n}")), "ok");
    }
    winter_testkit::eventually("there is room again", || {
        (line.ask(&format!("PUTNEW t again {value}")) == "ok").then_some(())
    });
}
