//! A connection's life: which dialect it speaks, in what order it is answered,
//! and how it ends.

use std::fmt::Write as _;

use winter_testkit::{Reply, Server, Wire, request};

use crate::winter;

fn with_table() -> Server {
    let server = winter().start();
    assert_eq!(server.connect().ask("CREATE t"), "created");
    server
}

#[test]
fn the_first_byte_decides_the_dialect() {
    let server = with_table();
    for (bytes, reply) in [
        ("*1\r\n$4\r\nPING\r\n", "+PONG\r\n"),
        ("\r\n\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n"),
        ("PING\n", "pong\n"),
        ("\r\nPING\r\n", "pong\n"),
        (" PING\n", "unrecognized command \n"),
        ("$4\r\n", "unrecognized command $4\n"),
        ("+OK\n", "unrecognized command +OK\n"),
    ] {
        server.connect().exchange(bytes, reply);
    }
}

#[test]
fn the_dialect_stays_as_it_began() {
    let server = with_table();
    let mut line = server.connect();
    line.exchange("PING\n*1\r\n$4\r\n", "pong\nunrecognized command *1\nunrecognized command $4\n");
    line.exchange("PING\n", "pong\n");
    let mut resp = server.connect();
    resp.exchange("*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
    resp.exchange("PING\r\n", "-ERR Protocol error: expected '*', got 'P'\r\n");
    resp.expect_close();
}

#[test]
fn hello_switches_versions_from_its_own_reply_onward() {
    let server = with_table();
    let mut wire = server.connect();
    let get = request(&["GET", "t", "k"]);
    let mut pipeline = get.clone();
    for version in ["3", "2", "3"] {
        pipeline.extend_from_slice(&request(&["HELLO", version]));
        pipeline.extend_from_slice(&get);
    }
    wire.send(pipeline);
    wire.expect("$-1\r\n");
    assert!(matches!(wire.read_reply(), Reply::Map(_)), "HELLO 3 is answered with a map");
    wire.expect("_\r\n");
    assert!(matches!(wire.read_reply(), Reply::Array(_)), "HELLO 2 is answered with an array");
    wire.expect("$-1\r\n");
    assert!(matches!(wire.read_reply(), Reply::Map(_)), "HELLO 3 is answered with a map again");
    wire.expect("_\r\n");
}

#[test]
fn hello_says_who_answers() {
    let server = winter().start();
    let mut wire = server.connect();
    let id = wire.call(&["CLIENT", "ID"]);
    for (words, proto) in [
        (&["HELLO"][..], 2),
        (&["HELLO", "3"], 3),
        (&["hello"], 3),
        (&["HELLO", "2"], 2),
        (&["HELLO", "3", "setname", "me"], 3),
    ] {
        let hello = wire.call(words);
        let Reply::Map(fields) = &hello else {
            assert_eq!((proto, hello.items().len()), (2, 14));
            assert_eq!(hello.field("proto"), &Reply::Integer(2));
            continue;
        };
        assert_eq!((proto, fields.len()), (3, 7));
        assert_eq!(hello.field("proto"), &Reply::Integer(3));
        assert_eq!(hello.field("server"), &Reply::bulk("winter"));
        assert_eq!(hello.field("mode"), &Reply::bulk("standalone"));
        assert_eq!(hello.field("role"), &Reply::bulk("master"));
        assert_eq!(hello.field("modules"), &Reply::Array(Vec::new()));
        assert_eq!(hello.field("id"), &id);
        // Libraries compare it with the versions of Redis that they need.
        let version = hello.field("version").text();
        let parts: Vec<u32> = version.split('.').map(|n| n.parse().expect("a number")).collect();
        assert!(parts.len() == 3 && parts[0] >= 7, "{version}");
    }
    assert_eq!(wire.call(&["CLIENT", "GETNAME"]), Reply::bulk("me"));
}

#[test]
fn a_hello_that_fails_changes_nothing() {
    let server = winter().start();
    let mut wire = server.connect();
    for words in [
        &["HELLO", "4"][..],
        &["HELLO", "3", "JUNK"],
        &["HELLO", "3", "AUTH", "default", "secret"],
        &["HELLO", "3", "SETNAME", "a b"],
        &["HELLO", "3", "SETNAME", "me", "JUNK"],
    ] {
        assert!(matches!(wire.call(words), Reply::Error(_)), "{words:?}");
        assert_eq!(wire.call(&["CLIENT", "GETNAME"]), Reply::NullBulk, "{words:?}");
    }
}

#[test]
fn reset_makes_the_session_as_it_began() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.call(&["HELLO", "3", "SETNAME", "me"]);
    assert_eq!(wire.call(&["RESET"]), Reply::Simple("RESET".into()));
    assert_eq!(wire.call(&["CLIENT", "GETNAME"]), Reply::NullBulk);
    wire.send(request(&["CLIENT", "REPLY", "OFF"]));
    assert_eq!(wire.call(&["RESET"]), Reply::Simple("RESET".into()));
    assert_eq!(wire.call(&["PING"]), Reply::Simple("PONG".into()));
}

#[test]
fn client_reply_silences_what_it_says_and_no_more() {
    let server = with_table();
    for hello in ["2", "3"] {
        let mut wire = server.connect();
        wire.call(&["HELLO", hello]);
        let mut pipeline = Vec::new();
        for words in [
            &["CLIENT", "REPLY", "OFF"][..],
            &["PING", "lost"],
            &["PUT", "t", "k", "written unheard"],
            &["CLIENT", "REPLY", "OFF"],
            &["NONSENSE"],
            &["CLIENT", "REPLY", "ON"],
            &["GET", "t", "k"],
            &["client", "reply", "skip"],
            &["PING", "lost"],
            &["PING", "heard"],
            &["CLIENT", "REPLY", "SKIP"],
            &["GET", "t", "k"],
            &["GET", "t", "k"],
        ] {
            pipeline.extend_from_slice(&request(words));
        }
        wire.send(pipeline);
        wire.expect("+OK\r\n$15\r\nwritten unheard\r\n$5\r\nheard\r\n$15\r\nwritten unheard\r\n");
        assert!(wire.call(&["CLIENT", "REPLY", "LATER"]).text().starts_with("ERR syntax error"));
        wire.exchange(request(&["PING"]), "+PONG\r\n");
    }
}

#[test]
fn clients_are_listed_as_tools_read_it() {
    let server = winter().start();
    let (mut two, mut three) = (server.connect(), server.connect());
    two.call(&["CLIENT", "SETNAME", "second-version"]);
    two.call(&["CLIENT", "SETINFO", "LIB-NAME", "by-hand"]);
    two.call(&["CLIENT", "SETINFO", "LIB-VER", "0.1"]);
    three.call(&["HELLO", "3", "SETNAME", "third-version"]);
    let ids = [two.call(&["CLIENT", "ID"]).integer(), three.call(&["CLIENT", "ID"]).integer()];
    assert!(ids[0] != ids[1] && ids[0] > 0);

    let info = two.call(&["CLIENT", "INFO"]);
    assert!(matches!(info, Reply::Bulk(_)), "{info:?}");
    let Reply::Verbatim(kind, list) = three.call(&["CLIENT", "LIST"]) else {
        panic!("RESP3 has a type for text")
    };
    assert_eq!(kind, "txt");
    let list = String::from_utf8(list).expect("text");
    assert_eq!(list.lines().count(), 2, "{list}");
    let local = two.stream().local_addr().expect("it is connected");
    for part in [
        &format!("id={} addr={local} laddr={} ", ids[0], server.address()),
        " name=second-version ",
        " flags=N ",
        " db=0 ",
        " cmd=client ",
        " user=default ",
        " lib-name=by-hand lib-ver=0.1 ",
        " resp=2",
    ] {
        assert!(format!("{} ", info.text().trim_end()).contains(part), "{part}: {info:?}");
        assert!(list.contains(part.trim_end()), "{part}: {list}");
    }
    assert!(list.contains(&format!("id={} ", ids[1])) && list.contains(" resp=3"), "{list}");
}

#[test]
fn info_has_what_client_libraries_read() {
    let server = with_table();
    let (mut line, mut two, mut three) = (server.connect(), server.connect(), server.connect());
    three.call(&["HELLO", "3"]);
    let bulk = two.call(&["INFO"]);
    assert!(matches!(bulk, Reply::Bulk(_)), "{bulk:?}");
    let verbatim = three.call(&["info"]);
    assert!(matches!(&verbatim, Reply::Verbatim(kind, _) if kind == "txt"), "{verbatim:?}");
    let lines = line.ask_lines("INFO").join("\n");
    let port = server.address().port();
    for text in [bulk.text(), verbatim.text(), lines] {
        for field in [
            "# Server",
            "redis_version:7.",
            "redis_mode:standalone",
            &format!("tcp_port:{port}"),
            &format!("process_id:{}", server.pid()),
            "# Clients",
            "connected_clients:3",
            "blocked_clients:0",
            "# Memory",
            "used_memory:",
            "maxmemory_policy:noeviction",
            "# Replication",
            "role:master",
            "connected_slaves:0",
            "loading:0",
            "# Keyspace",
            "tables:1",
        ] {
            assert!(text.lines().any(|line| line.starts_with(field)), "{field} in {text}");
        }
    }
    let text = two.call(&["INFO", "REPLICATION"]).text();
    assert!(text.starts_with("# Replication\r\n") && text.contains("role:master\r\n"), "{text}");
    assert!(!text.contains("# Server"), "{text}");
    let text = two.call(&["INFO", "server", "clients"]).text();
    assert!(text.contains("# Server") && text.contains("# Clients"), "{text}");
    assert_eq!(two.call(&["INFO", "nothing"]).text(), "");
    assert_eq!(line.ask("INFO nothing"), "0");
}

#[test]
fn help_and_command_list_every_command() {
    let server = winter().start();
    let (mut line, mut two, mut three) = (server.connect(), server.connect(), server.connect());
    three.call(&["HELLO", "3"]);
    let names = two.call(&["COMMAND", "LIST"]);
    let names: Vec<String> = names.items().iter().map(Reply::text).collect();
    assert_eq!(two.call(&["COMMAND", "COUNT"]).integer(), i64::try_from(names.len()).expect("few"));
    let infos = [two.call(&["COMMAND"]), three.call(&["COMMAND", "INFO"])];
    let docs = [two.call(&["COMMAND", "DOCS"]), three.call(&["COMMAND", "DOCS"])];
    let help: Vec<String> = two.call(&["HELP"]).items().iter().map(Reply::text).collect();
    assert_eq!(help.len(), names.len());
    for name in &names {
        for infos in &infos {
            let has_it = |info: &&Reply| info.items()[0] == Reply::bulk(name);
            let info = infos.items().iter().find(has_it).expect(name);
            assert_eq!(info.items().len(), 10, "{name}");
        }
        for docs in &docs {
            let summary = docs.field(name).field("summary").text();
            assert!(!summary.is_empty(), "{name}");
        }
        let upper = name.to_uppercase();
        let is_of_it = |line: &&String| line.split(' ').next() == Some(&upper);
        assert!(help.iter().any(|line| is_of_it(&line)), "{name} in {help:?}");
    }
    let on_lines = line.ask_lines("HELP");
    assert!(on_lines.iter().any(|line| line.starts_with("GET table key - ")), "{on_lines:?}");
    assert!(!on_lines.iter().any(|line| line.starts_with("HELLO")), "{on_lines:?}");
    for line_of_help in &on_lines {
        let name = line_of_help.split(' ').next().expect("a word");
        let told = line.ask_lines(&format!("HELP {name}"));
        assert!(told.len() == 2 && told[0].starts_with(name), "{told:?}");
    }
}

#[test]
fn replies_come_in_the_order_of_the_requests() {
    const COUNT: usize = 10_000;
    let server = with_table();
    let (mut line, mut resp) = (server.connect(), server.connect());
    let (mut requests, mut replies) = (String::new(), String::new());
    for n in 0..COUNT {
        // Commands that are answered in different places of the server.
        let (request, reply) = match n % 5 {
            0 => (format!("PING {n}"), n.to_string()),
            1 => (format!("PUTNEW t k{n} v{n}"), "ok".to_owned()),
            2 => (format!("GET t k{}", n - 1), format!("v{}", n - 1)),
            3 => (format!("GET x{n} k"), "missing table".to_owned()),
            _ => (format!("WHAT{n}"), format!("unrecognized command WHAT{n}")),
        };
        writeln!(requests, "{request}").expect("a string grows");
        writeln!(replies, "{reply}").expect("a string grows");
    }
    exchange_both_ways(&mut line, requests.as_bytes(), replies.as_bytes());

    let (mut requests, mut replies) = (Vec::new(), String::new());
    for n in 0..COUNT {
        let text = n.to_string();
        let (words, reply) = match n % 3 {
            0 => (["PUTNEW", "t", &text, &text].to_vec(), "+ok\r\n".to_owned()),
            1 => (["PING", &text].to_vec(), format!("${}\r\n{text}\r\n", text.len())),
            _ => (["COUNT", "x"].to_vec(), "-MISSINGTABLE missing table\r\n".to_owned()),
        };
        requests.extend_from_slice(&request(&words));
        replies.push_str(&reply);
    }
    exchange_both_ways(&mut resp, &requests, replies.as_bytes());
}

/// Sends and reads at once, so that neither side waits for the other.
fn exchange_both_ways(wire: &mut Wire, requests: &[u8], replies: &[u8]) {
    let mut sender = wire.stream().try_clone().expect("a socket can be cloned");
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut sender, requests).expect("it is read"));
        wire.expect(replies);
    });
}

#[test]
fn commands_may_come_in_any_pieces() {
    let server = with_table();
    let line = "ADD t a b\nGET t a\nPING\n";
    let resp =
        [request(&["ADD", "t", "c", "d\r\n"]), request(&["GET", "t", "c"]), request(&["PING"])];
    let resp = resp.concat();
    for cut in 1..line.len() {
        let mut wire = server.connect();
        wire.exchange("DELETE t a\n", "ok\n");
        wire.send(&line[..cut]);
        wire.send(&line[cut..]);
        assert!(wire.read_line().starts_with("added "), "cut at {cut}");
        wire.expect("b\npong\n");
    }
    for cut in 1..resp.len() {
        let mut wire = server.connect();
        wire.exchange(request(&["DELETE", "t", "c"]), "+ok\r\n");
        wire.send(&resp[..cut]);
        wire.send(&resp[cut..]);
        assert_eq!(wire.read_reply().items()[0], Reply::bulk("added"), "cut at {cut}");
        wire.expect("$3\r\nd\r\n\r\n+PONG\r\n");
    }
}

#[test]
fn a_client_that_will_send_no_more_gets_all_its_replies() {
    let server = with_table();
    let mut line = server.connect();
    line.send("PING\n".repeat(5_000));
    line.finish_sending();
    line.expect("pong\n".repeat(5_000));
    line.expect_close();
    let mut resp = server.connect();
    resp.send(request(&["PUTNEW", "t", "k", "v"]).repeat(1_000));
    resp.send("*2\r\n$4\r\nPI");
    resp.finish_sending();
    resp.expect("+ok\r\n".repeat(1_000));
    resp.expect_close();
}

#[test]
fn quit_answers_and_closes_and_nothing_after_it_is_done() {
    let server = with_table();
    let mut line = server.connect();
    line.exchange("PUTNEW t a 1\nQUIT\nPUTNEW t b 1\n", "ok\nbye\n");
    line.expect_close();
    let mut resp = server.connect();
    resp.send([request(&["QUIT"]), request(&["PUTNEW", "t", "c", "1"])].concat());
    resp.expect("+OK\r\n");
    resp.expect_close();
    server.connect().exchange("COUNT t\n", "1\n");
}

#[test]
fn what_a_line_cannot_show_is_an_error_and_the_connection_goes_on() {
    let server = with_table();
    let mut resp = server.connect();
    for (key, value) in [("lf", "a\nb"), ("cr", "a\rb"), ("end", "a\r\n"), ("fine", "a b\tc\0")] {
        resp.exchange(request(&["PUTNEW", "t", key, value]), "+ok\r\n");
    }
    let mut line = server.connect();
    let told = "error binary: the value holds a line end and cannot be shown on a line; use RESP";
    for key in ["lf", "cr", "end"] {
        line.exchange(
            format!("GET t {key}\nGETS t {key}\nPING\n"),
            format!("{told}\n{told}\npong\n"),
        );
    }
    line.exchange("GET t fine\n", "a b\tc\0\n");
    resp.exchange(request(&["PUTNEW", "t", "key\nwith", ""]), "+ok\r\n");
    let told = "error binary: a key holds a line end and cannot be shown on a line; use RESP";
    assert_eq!(line.ask("SCAN t 0"), told);
    line.exchange("SCAN t 0 PREFIX fi\n", "2\n0\nfine\n");
}

#[test]
fn other_protocols_are_told_so_and_nothing_of_them_is_done() {
    let server = with_table();
    let http = "error protocol: this port does not speak HTTP; see WINTER_HTTP_PORT\n";
    for bytes in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nPUTNEW t k v\n",
        "POST /x HTTP/1.0\r\n\r\nPUTNEW t k v\n",
        "POST PUTNEW t k v\n",
        "OPTIONS * HTTP/1.1\r\n\r\nPUTNEW t k v\n",
        "Host: evil\r\nPUTNEW t k v\n",
    ] {
        let mut wire = server.connect();
        wire.exchange(bytes, http);
        wire.expect_close();
    }
    let mut wire = server.connect();
    wire.exchange(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "error protocol: this port does not speak TLS; connect without it\n",
    );
    wire.expect_close();
    let mut wire = server.connect();
    wire.send("SSH-2.0-OpenSSH_9.2\r\n\u{1}\u{2}\r\n\u{1}\u{2}\r\nPUTNEW t k v\n");
    let told = String::from_utf8_lossy(&wire.read_to_end()).into_owned();
    assert!(told.ends_with("type HELP for this one's\n"), "{told}");
    server.connect().exchange("COUNT t\n", "0\n");
}

#[test]
fn two_connections_speak_two_dialects_of_one_table() {
    let server = with_table();
    let (mut line, mut resp) = (server.connect(), server.connect());
    let added = line.ask("ADD t k from a line");
    let version = added.strip_prefix("added ").expect("the key is free");
    let gets = resp.call(&["GETS", "t", "k"]);
    assert_eq!(gets.items()[0].integer().to_string(), version);
    assert_eq!(gets.items()[1], Reply::bulk("from a line"));
    let cas = resp.call(&["CAS", "t", "k", version, "from RESP"]);
    assert_eq!(cas.items()[0], Reply::bulk("ok"));
    let version = cas.items()[1].integer();
    line.exchange("GETS t k\n", format!("{version} from RESP\n"));
}
